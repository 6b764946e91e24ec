import { setImmediate } from 'node:timers/promises';
import { after, type Log, type Maybe } from '#core';
import { isAffiliated, type Room } from '../muc/index.ts';
import type { Setting } from './settings.ts';

/** Members looked up at once. */
const AT_ONCE = 50;

/** A member who wants to be notified. */
export interface Watcher {
  readonly username: string;
  readonly bare: string;
  /** Of all that is said, or only of what is said to this member. */
  readonly setting: Exclude<Setting, 'never'>;
  /** By which others know this member who has not registered a nick. */
  readonly nick: string;
  /** Who this is to the room (XEP-0421). */
  readonly occupantId: string;
}

/** What it takes to know who wants to be notified. */
export interface WatchesParts {
  readonly log: Log;
  /** The account's name, when it is one of the host's. */
  localName(bare: string): string | undefined;
  /** Whether an account has asked to be notified of anything. */
  hasRegistrations(username: string): Maybe<boolean>;
  /** Of what in a room an account wants to be notified, and how it is called there. */
  wishOf(room: Room, username: string): Promise<{ readonly setting: Setting; readonly nick: string }>;
  /** Rooms in memory. */
  open(): Iterable<Room>;
}

/** By the bare JIDs of members. */
type Watch = Map<string, Watcher>;

/**
 * Which members of a room want to be notified and can be: so that of a message in a large room only those are looked at. Made when something
 * is said there for the first time, and kept as long as the room is in memory.
 */
export class Watches {
  readonly #parts: WatchesParts;
  readonly #watches = new WeakMap<Room, Maybe<Watch>>();

  constructor(parts: WatchesParts) {
    this.#parts = parts;
  }

  /** Those who want to be notified of what is said in a room. */
  of(room: Room): Maybe<ReadonlyMap<string, Watcher>> {
    return this.#watches.get(room) ?? this.#hold(room, this.#read(room));
  }

  /** Something may have changed for a member of a room. */
  refresh(room: Room, bare: string): void {
    const watch = this.#watches.get(room);
    if (!watch) return;
    // What is being made may have passed this member already; and what is said from now on waits for this.
    const refreshed = Promise.resolve(watch).then(async (made) => {
      await this.#look(room, bare, made);
      return made;
    });
    this.#hold(room, refreshed).catch((error: unknown) => {
      this.#parts.log.error('it is not known who is to be notified', { room: room.jid.bare, error });
    });
  }

  /** Something may have changed for an account in all rooms. */
  refreshAll(bare: string): void {
    for (const room of this.#parts.open()) if (room.members.has(bare)) this.refresh(room, bare);
  }

  /** Something has changed for all members of a room. */
  drop(room: Room): void {
    this.#watches.delete(room);
  }

  /** Who is to be notified is known once this resolves. */
  #hold(room: Room, task: Promise<Watch>): Promise<Watch> {
    const holding: Promise<Watch> = task.then(
      (watch) => {
        if (this.#watches.get(room) === holding) this.#watches.set(room, watch);
        return watch;
      },
      (error: unknown) => {
        if (this.#watches.get(room) === holding) this.#watches.delete(room);
        throw error;
      },
    );
    this.#watches.set(room, holding);
    return holding;
  }

  async #read(room: Room): Promise<Watch> {
    const watch: Watch = new Map();
    const members = [...room.members.keys()];
    while (members.length > 0) {
      await Promise.all(members.splice(-AT_ONCE).map((bare) => this.#look(room, bare, watch)));
      await setImmediate();
    }
    return watch;
  }

  #look(room: Room, bare: string, watch: Watch): Maybe<void> {
    const username = isMember(room, bare) ? this.#parts.localName(bare) : undefined;
    if (username === undefined) return void watch.delete(bare);
    return after(this.#parts.hasRegistrations(username), (has) => {
      if (!has) return void watch.delete(bare);
      return this.#ask(room, { bare, username }, watch);
    });
  }

  async #ask(room: Room, { bare, username }: Pick<Watcher, 'bare' | 'username'>, watch: Watch): Promise<void> {
    const { setting, nick } = await this.#parts.wishOf(room, username);
    // It may have left for good meanwhile.
    if (setting === 'never' || !isMember(room, bare)) watch.delete(bare);
    else watch.set(bare, { username, bare, setting, nick, occupantId: room.occupantId(bare) });
  }
}

/** Whether this account itself is a member of a room, or more than that. */
export function isMember(room: Room, bare: string): boolean {
  return isAffiliated(room.members.get(bare)?.affiliation ?? 'none', 'member');
}
