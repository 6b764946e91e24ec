import type { Jid, Session } from '#core';

/** A client that wants to know where something was said, as long as its session lasts. */
export class Watch {
  readonly session: Session;
  /** Rooms of which it is told once something is said, by bare JID. */
  readonly rooms = new Set<string>();
  /** Rooms in which something was said, of which it has not been told yet. */
  readonly due = new Set<string>();

  constructor(session: Session) {
    this.session = session;
  }

  get jid(): Jid {
    return this.session.jid;
  }
}

/** All clients that watch, by their addresses and by the rooms they watch. */
export class Watches {
  readonly #byClient = new Map<string, Watch>();
  readonly #byRoom = new Map<string, Set<Watch>>();
  readonly #maxRooms: number;

  /** `maxRooms` is how many rooms one client may watch: of others it is not told. */
  constructor(maxRooms: number) {
    this.#maxRooms = maxRooms;
  }

  get size(): number {
    return this.#byClient.size;
  }

  of(client: Jid): Watch | undefined {
    return this.#byClient.get(client.full);
  }

  add(watch: Watch): void {
    this.#byClient.set(watch.jid.full, watch);
  }

  /** Forgets a client. */
  remove(watch: Watch): void {
    for (const room of watch.rooms) this.#leave(watch, room);
    watch.rooms.clear();
    watch.due.clear();
    this.#byClient.delete(watch.jid.full);
  }

  /** Lets a client be told once something is said in a room. */
  arm(watch: Watch, room: string): void {
    if (watch.rooms.size >= this.#maxRooms || watch.due.has(room) || this.of(watch.jid) !== watch) return;
    watch.rooms.add(room);
    const watching = this.#byRoom.get(room);
    if (watching) watching.add(watch);
    else this.#byRoom.set(room, new Set([watch]));
  }

  /** A client need not be told of a room, nor of what was said there so far. */
  disarm(watch: Watch, room: string): void {
    watch.due.delete(room);
    if (watch.rooms.delete(room)) this.#leave(watch, room);
  }

  /** Nobody watches a room any more. */
  forget(room: string): void {
    for (const watch of this.watching(room)) this.disarm(watch, room);
  }

  /** Those who are to be told once something is said in a room. */
  watching(room: string): Iterable<Watch> {
    return this.#byRoom.get(room) ?? [];
  }

  /** Something was said: a client is to be told, and not once more. */
  note(watch: Watch, room: string): void {
    this.disarm(watch, room);
    watch.due.add(room);
  }

  [Symbol.iterator](): IterableIterator<Watch> {
    return this.#byClient.values();
  }

  #leave(watch: Watch, room: string): void {
    const watching = this.#byRoom.get(room);
    if (watching?.delete(watch) && watching.size === 0) this.#byRoom.delete(room);
  }
}
