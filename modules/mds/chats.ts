import { Jid, type MapStore, type Maybe, timeOf } from '#core';

/** Up to where a chat has been displayed: an id, and who has given it (XEP-0359). */
export interface Mark {
  readonly by: string;
  readonly id: string;
}

/** A mark as it is stored. */
export interface StoredMark extends Mark {
  /** Rises with each publication: their order (XEP-0060 section 13.1). */
  readonly nth: number;
}

/** How far ahead of the clock an id of ours may be: other nodes have clocks of their own. */
const MAX_AHEAD = 60_000;

/** What the chats of an account are kept with. */
export interface ChatsParts {
  readonly store: MapStore<StoredMark>;
  readonly domain: string;
  /** Whether whoever has this bare JID gives ids that sort in the order in which they were given, as the host does. */
  isSorted?(by: string): boolean;
  /** Chats one account may have marked; beyond that the one that was not marked for the longest time is forgotten. */
  readonly max: number;
}

/** Which chats of one account have been displayed, and up to where. Shows only what is durable; its owner node is the only one that writes. */
export class Chats {
  readonly #username: string;
  readonly #own: string;
  readonly #parts: ChatsParts;
  /** In the order of publication. */
  readonly #marks: Map<string, StoredMark>;
  /** The last change of each chat that is on its way to the disk. */
  readonly #changing = new Map<string, Promise<unknown>>();
  #next: number;
  #isGone = false;

  private constructor(username: string, parts: ChatsParts, marks: Map<string, StoredMark>) {
    this.#username = username;
    this.#own = Jid.of(username, parts.domain).bare;
    this.#parts = parts;
    this.#marks = marks;
    this.#next = 0;
    for (const { nth } of marks.values()) this.#next = nth + 1;
  }

  static async load(username: string, parts: ChatsParts): Promise<Chats> {
    const entries = await parts.store.entries(username);
    return new Chats(username, parts, new Map([...entries].sort(([, a], [, b]) => a.nth - b.nth)));
  }

  get size(): number {
    return this.#marks.size;
  }

  /** Whether something is being written. */
  get isBusy(): boolean {
    return this.#changing.size > 0;
  }

  /** The account is gone: what is still being written goes too. */
  end(): void {
    this.#isGone = true;
  }

  get(chat: string): Mark | undefined {
    return this.#marks.get(chat);
  }

  /** In the order of publication, the oldest first. */
  all(): IterableIterator<[string, Mark]> {
    return this.#marks.entries();
  }

  /** The id in the account's own archive up to which the chat is displayed; undefined when there is none. */
  displayed(chat: string): string | undefined {
    const mark = this.#marks.get(chat);
    return mark && this.#isOurs(mark) ? mark.id : undefined;
  }

  /**
   * Marks a chat. True once that is durable; false when it changes nothing: the mark is there already, or both are ids of ours (or of one
   * of our rooms) and this is the older one (XEP-0490 section 5.1: the displayed state only moves forward). Of ids of others nothing is
   * known.
   */
  publish(chat: string, mark: Mark): Maybe<boolean> {
    const before = this.#changing.get(chat);
    if (!before && this.#isKnown(chat, mark)) return false;
    return this.#inTurn(chat, async () => !this.#isKnown(chat, mark) && (await this.#write(chat, mark)));
  }

  /** As `publish`, but takes nothing from a chat that is marked by somebody else's ids: that is a room. */
  publishOurs(chat: string, id: string): Maybe<boolean> {
    const known = this.#marks.get(chat);
    return known && known.by !== this.#own ? false : this.publish(chat, { by: this.#own, id });
  }

  /** Takes the mark of a chat away. True once that is durable; false when there is none. */
  retract(chat: string): Promise<boolean> {
    return this.#inTurn(chat, async () => {
      if (!this.#marks.has(chat)) return false;
      await this.#parts.store.update(this.#username, new Map([[chat, undefined]]));
      this.#marks.delete(chat);
      return true;
    });
  }

  /** Changes of one chat are made one after the other, those of different chats share commits. */
  #inTurn(chat: string, change: () => Promise<boolean>): Promise<boolean> {
    const before = this.#changing.get(chat);
    // Whether the one before went well is told to whoever asked for it.
    const task = before ? before.then(change, change) : change();
    this.#changing.set(chat, task);
    const end = (): void => {
      if (this.#changing.get(chat) === task) this.#changing.delete(chat);
    };
    task.then(end, end);
    return task;
  }

  async #write(chat: string, mark: Mark): Promise<boolean> {
    const stored = { ...mark, nth: this.#next++ };
    const forgotten = this.#marks.has(chat) ? [] : this.#surplus();
    const changes = new Map<string, StoredMark | undefined>([[chat, stored]]);
    for (const other of forgotten) changes.set(other, undefined);
    await this.#parts.store.update(this.#username, changes);
    if (this.#isGone) {
      // The name may soon be somebody else's.
      await this.#parts.store.update(this.#username, new Map([[chat, undefined]]));
      return false;
    }
    for (const other of forgotten) this.#marks.delete(other);
    this.#marks.delete(chat);
    this.#marks.set(chat, stored);
    return true;
  }

  /** What has to go so that there is room for one more (XEP-0060 section 7.1.2.5: the oldest is retracted). */
  #surplus(): readonly string[] {
    let count = this.#marks.size + 1 - this.#parts.max;
    const oldest: string[] = [];
    for (const chat of this.#marks.keys()) {
      if (count <= 0) break;
      if (this.#changing.has(chat)) continue;
      oldest.push(chat);
      count--;
    }
    return oldest;
  }

  #isKnown(chat: string, mark: Mark): boolean {
    const known = this.#marks.get(chat);
    if (!known) return false;
    if (known.by === mark.by && known.id === mark.id) return true;
    return known.by === mark.by && this.#isSorted(known) && this.#isSorted(mark) && mark.id < known.id;
  }

  /** Whether it is known of an id where in its archive it stands. */
  #isSorted({ by, id }: Mark): boolean {
    return (by === this.#own || this.#parts.isSorted?.(by) === true) && isTimely(id);
  }

  #isOurs(mark: Mark): boolean {
    return isOurs(mark, this.#own);
  }
}

/**
 * Whether a mark is by an id of this account's own archive (`own` is its bare JID). One from the future is none of ours, whatever it looks
 * like: it would keep all true ones out.
 */
export function isOurs({ by, id }: Mark, own: string): boolean {
  return by === own && isTimely(id);
}

/** Whether an id is of the form of ours, and not from the future. */
export function isTimely(id: string): boolean {
  const time = timeOf(id);
  return time !== undefined && time <= Date.now() + MAX_AHEAD;
}
