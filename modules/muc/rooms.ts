import { type ArchiveStore, type Jid, type Log, type Maybe, StanzaError } from '#core';
import type { RoomEvents } from './events.ts';
import { type Destruction, empty } from './leaving.ts';
import type { Member } from './occupant.ts';
import { type Gone, ROOM, Room, type RoomParts, type StoredRoom } from './room.ts';
import type { Settings } from './settings.ts';

/** What a service allows. */
export interface RoomLimits {
  /** Occupants of one room. */
  readonly maxUsers: number;
  /** Messages of history for whoever comes in. */
  readonly maxHistory: number;
  /** Empty rooms that are kept in memory. */
  readonly maxIdle: number;
  /** Milliseconds for which the name of a destroyed room is nobody else's. */
  readonly keepNames: number;
}

/** How a room is made. */
export interface Creation {
  readonly settings: Settings;
  /** Bare JIDs. */
  readonly owners: readonly string[];
  /** Whether nobody else comes in before it is configured (XEP-0045 section 10.1.1). */
  readonly isLocked: boolean;
}

/**
 * The rooms of a service. Those in use are in memory, and the last few that were; all others sleep in the store and are read when somebody
 * turns to them.
 */
export class Rooms {
  limits: RoomLimits;
  readonly #parts: RoomParts;
  readonly #log: Log;
  readonly #open = new Map<string, Room>();
  readonly #loading = new Map<string, Promise<Room | undefined>>();
  /** Empty, in the order they were left. */
  readonly #idle = new Set<Room>();

  constructor(parts: RoomParts, limits: RoomLimits, log: Log) {
    this.#parts = parts;
    this.limits = limits;
    this.#log = log;
  }

  /** The hooks and signals of all rooms. */
  get events(): RoomEvents {
    return this.#parts.events;
  }

  /** The archives of all rooms, by bare JID, without the real addresses of authors (author.ts). */
  get messages(): ArchiveStore {
    return this.#parts.messages;
  }

  /** Rooms in memory. */
  get open(): Iterable<Room> {
    return this.#open.values();
  }

  /** How many rooms are in memory. */
  get size(): number {
    return this.#open.size;
  }

  /** The room of this bare JID, at once when it is in memory; undefined when there is none. Throws `gone` for one that was destroyed. */
  get(jid: Jid): Maybe<Room | undefined> {
    return this.#open.get(jid.bare) ?? this.#wait(jid);
  }

  /** As `get`, for a room that is about to have somebody in it again: also a temporary one. */
  async wake(jid: Jid): Promise<Room | undefined> {
    return this.#open.get(jid.bare) ?? this.#load(jid, true);
  }

  /** As `get`, only if it is in memory. */
  peek(bare: string): Room | undefined {
    return this.#open.get(bare);
  }

  /** Makes a room. Rejects with `conflict` when there is one. */
  async create(jid: Jid, { settings, owners, isLocked }: Creation): Promise<Room> {
    const { bare } = jid;
    do {
      if (this.#open.has(bare) || (await this.get(jid))) throw new StanzaError('conflict', { text: 'There is such a room' });
      // Somebody else who found none may have begun to make it.
    } while (this.#loading.has(bare));
    const members = owners.map((owner): [string, Member] => [owner, { affiliation: 'owner' }]);
    const room = new Room(jid.bareJid, this.#parts, { room: { settings, version: 0 }, members });
    room.isLocked = isLocked;
    const made = room.create().then(() => {
      this.#open.set(bare, room);
      return room;
    });
    const loading = made.finally(() => this.#loading.delete(bare));
    this.#loading.set(bare, loading);
    await loading;
    if (!isLocked) this.#parts.events.signals.created.emit({ room });
    return room;
  }

  /** Tells those who are in it, and forgets it (section 10.9). */
  async destroy(room: Room, destruction: Destruction): Promise<void> {
    const { venue, reason } = destruction;
    const wasLocked = room.isLocked;
    const gone: Gone | undefined =
      wasLocked || !room.settings.isPersistent || this.limits.keepNames === 0
        ? undefined
        : { goneAt: Date.now(), ...(venue !== undefined && { venue }), ...(reason !== undefined && { reason }) };
    await this.#erase(room, gone);
    empty(room, destruction);
  }

  /** Sees to a room that may have become empty: a temporary one ends, another may sleep (section 3.2). */
  rest(room: Room): void {
    if (room.occupants.size > 0) {
      this.#idle.delete(room);
      return;
    }
    if (room.isGone || room.inUse > 0 || this.#open.get(room.jid.bare) !== room) return;
    if (room.isLocked || !room.settings.isPersistent) {
      const erased = this.#erase(room, undefined);
      erased.catch((error: unknown) => this.#log.error('a room is left though it has ended', { room: room.jid.bare, error }));
      return;
    }
    this.#idle.add(room);
    this.#makeRoom();
  }

  /** Lets the rooms sleep that have been empty longest, but for those that something is done with, and for one. */
  #makeRoom(except?: Room): void {
    for (const oldest of this.#idle) {
      if (this.#idle.size <= this.limits.maxIdle) return;
      if (oldest === except || oldest.isBusy) continue;
      this.#idle.delete(oldest);
      if (oldest.occupants.size === 0) this.#open.delete(oldest.jid.bare);
    }
  }

  async #erase(room: Room, gone: Gone | undefined): Promise<void> {
    const { bare } = room.jid;
    room.isGone = true;
    this.#open.delete(bare);
    this.#idle.delete(room);
    const erased = room.erase(gone);
    // Whoever comes meanwhile waits until it is gone.
    const waiting = erased.then(() => undefined);
    waiting.catch(() => {});
    this.#loading.set(bare, waiting);
    try {
      await erased;
      this.#parts.events.signals.destroyed.emit({ room });
    } catch (error) {
      // It goes on for those who are in it.
      room.isGone = false;
      this.#open.set(bare, room);
      throw error;
    } finally {
      if (this.#loading.get(bare) === waiting) this.#loading.delete(bare);
    }
  }

  #wait(jid: Jid): Promise<Room | undefined> {
    const { bare } = jid;
    const underway = this.#loading.get(bare);
    if (underway) return underway.then((room) => room ?? this.#retry(jid));
    const loading = this.#load(jid.bareJid, false).finally(() => this.#loading.delete(bare));
    this.#loading.set(bare, loading);
    return loading;
  }

  /** What was being loaded was not there, or was being erased: now something else may be. */
  #retry(jid: Jid): Maybe<Room | undefined> {
    return this.#open.get(jid.bare);
  }

  async #load(jid: Jid, isWaking: boolean): Promise<Room | undefined> {
    const entries = await this.#parts.store.entries(jid.bare);
    const state = entries.get(ROOM) as StoredRoom | Gone | undefined;
    if (!state) return undefined;
    if ('goneAt' in state) return this.#refuse(state);
    const members = [...entries].filter(([key]) => key !== ROOM) as [string, Member][];
    const room = new Room(jid, this.#parts, { room: state, members });
    // It was in use when the server broke off, and nobody is in it any more.
    if (!state.settings.isPersistent && !isWaking) {
      await room.erase();
      return undefined;
    }
    this.#open.set(jid.bare, room);
    if (isWaking) return room;
    // Whoever has asked for it has yet to turn to it: it does not sleep again at once.
    this.#idle.add(room);
    this.#makeRoom(room);
    return room;
  }

  /** Its name stays taken for a time, lest somebody else receives what is meant for it. */
  #refuse({ goneAt, venue, reason }: Gone): undefined {
    if (goneAt + this.limits.keepNames < Date.now()) return undefined;
    const content = venue === undefined ? undefined : `xmpp:${venue}?join`;
    throw new StanzaError('gone', { content, text: reason ?? 'This room was destroyed' });
  }
}
