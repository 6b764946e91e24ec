import { type Jid, type Router, Stanza, xml } from '#core';
import type { Watch } from './watches.ts';

/** The namespace of room activity indicators (XEP-0437). */
export const NS_RAI = 'urn:xmpp:rai:0';
/** Clients told in one turn of the event loop. */
const PER_TURN = 256;
/** Rooms named in one message. */
const MAX_NAMED = 250;

/** Tells clients where something was said: whatever is said how often, one message to each in an interval at most. */
export class Post {
  readonly #router: Router;
  readonly #from: Jid;
  readonly #interval: number;
  readonly #due = new Set<Watch>();
  #told = 0;
  #timer: NodeJS.Timeout | undefined = undefined;
  #isUnderway = false;

  /** `interval` in milliseconds. */
  constructor(router: Router, from: Jid, interval: number) {
    this.#router = router;
    this.#from = from;
    this.#interval = interval;
  }

  /** A client has something to be told of: at once, unless somebody was told within the interval. */
  add(watch: Watch): void {
    this.#due.add(watch);
    if (this.#timer || this.#isUnderway) return;
    const wait = this.#told + this.#interval - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#begin(), wait).unref();
    else this.#begin();
  }

  /** Tells a client now of these rooms. */
  tell(watch: Watch, rooms: Iterable<string>): void {
    const named = [...rooms];
    for (let i = 0; i < named.length; i += MAX_NAMED) {
      const activities = named.slice(i, i + MAX_NAMED).map((room) => xml('activity', {}, room));
      const message = Stanza.of(xml('message', {}, xml('rai', NS_RAI, ...activities)));
      this.#router.send(message, this.#from, watch.jid);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #begin(): void {
    this.#timer = undefined;
    this.#isUnderway = true;
    // In another turn, so that all that is said in this one goes into one message.
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    let left = PER_TURN;
    for (const watch of this.#due) {
      if (left-- === 0) return void setImmediate(this.#run);
      this.#due.delete(watch);
      const rooms = [...watch.due];
      watch.due.clear();
      this.tell(watch, rooms);
    }
    this.#isUnderway = false;
    this.#told = Date.now();
  };
}
