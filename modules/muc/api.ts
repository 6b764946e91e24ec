import type { ArchiveStore, Jid, Maybe, Stanza } from '#core';
import type { CommandDesk } from '../commands/index.ts';
import type { Actor, AffiliationChange, RoleChange } from './affiliating.ts';
import type { RoomHooks, RoomSignals } from './events.ts';
import type { RoomInfo } from './info.ts';
import type { Affiliation } from './ranks.ts';
import type { Tombstone } from './retracting.ts';
import type { Decoration, Listing, Room } from './room.ts';
import type { RoomHandler, ServiceHandler } from './service.ts';
import type { RoomField, Settings } from './settings.ts';

/** How a module makes a room. */
export interface RoomWish {
  /** The local part of its address; prepared here. */
  readonly name: string;
  /** Bare JIDs. A room without an owner is managed by those who administer the host. */
  readonly owners: readonly Jid[];
  /** What differs from a usual new room. */
  readonly settings?: Partial<Settings>;
}

/** What other modules get from this one: rooms, and places to take part in what happens in them. What is added is taken back by what is returned. */
export interface MucApi {
  /** The address of the service. */
  readonly jid: Jid;
  readonly hooks: RoomHooks;
  readonly signals: RoomSignals;
  /** The archives of all rooms, by bare JID; `with` is the account of whoever has said it, and the stanzas are as everybody may see them. */
  readonly messages: ArchiveStore;
  /** Ad-hoc commands at the addresses of rooms; undefined when the module of commands is off. */
  readonly desk: CommandDesk<Room> | undefined;
  /** A room; undefined when there is none. Rejects with StanzaError `gone` for one that was destroyed. */
  find(jid: Jid): Maybe<Room | undefined>;
  /** Makes a room. Rejects with StanzaError `conflict` when there is one. */
  create(wish: RoomWish): Promise<Room>;
  /** Ends a room, and tells those who are in it. */
  destroy(room: Room, reason?: string): Promise<void>;
  /** Configures a room, and tells those who are in it. A function is given what holds when it is this change's turn; see Room.configure. */
  configure(room: Room, settings: Settings | ((now: Settings) => Settings)): Promise<void>;
  /** Changes affiliations by right of `by`, or of the room when that is undefined. */
  affiliate(room: Room, by: Actor, changes: readonly AffiliationChange[]): Promise<void>;
  /** Changes roles, as `affiliate` does affiliations. Throws StanzaError `not-allowed`. */
  changeRoles(room: Room, by: Actor, changes: readonly RoleChange[]): void;
  /** Says something to everybody in the room's own name, or as one of its addresses. Resolves once it is durable. */
  speak(room: Room, stanza: Stanza, from?: Jid): Maybe<void>;
  /**
   * Puts a tombstone in the place of what was said (XEP-0424, XEP-0425), and tells so (signal `retracted`). A subject that is retracted is
   * the room's no more. False when it is not in the archive any more.
   */
  bury(room: Room, tombstone: Tombstone): Promise<boolean>;
  /** Rooms in memory. */
  open(): Iterable<Room>;
  /** The addresses of all rooms, ascending from behind `after`, at most `max`; also of destroyed ones whose names nobody else gets yet. */
  all(after?: string, max?: number): Promise<readonly string[]>;
  /** Public rooms by address, ascending from behind `after`, at most `max`. */
  listed(after?: string, max?: number): Promise<readonly (readonly [jid: string, listing: Listing])[]>;
  /** The rooms that an account of this host is affiliated with, by address. */
  membershipsOf(username: string): Promise<ReadonlyMap<string, Affiliation>>;
  /** Lets rooms answer an IQ. */
  atRoom(type: 'get' | 'set', xmlns: string, name: string, handler: RoomHandler): () => void;
  /** Lets the service answer an IQ. */
  atService(type: 'get' | 'set', xmlns: string, name: string, handler: ServiceHandler): () => void;
  /** Adds to what rooms and the service say of themselves. */
  inform(info: RoomInfo): () => void;
  /** Adds a field to the configuration of rooms. */
  field(field: RoomField): () => void;
  /** Adds to the presence of occupants. */
  decorate(decoration: Decoration): () => void;
}
