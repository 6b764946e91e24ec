import { createHmac } from 'node:crypto';
import type { ArchiveStore, Jid, Log, MapStore, Router, Stanza } from '#core';
import { type Member, type Occupant, Occupants } from './occupant.ts';
import { AFFILIATIONS, type Affiliation } from './ranks.ts';
import type { Settings } from './settings.ts';

/** What a room talks about, and who has said so when. */
export interface Subject {
  readonly text: string;
  /** The nick of whoever has set it. */
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** What is stored of a room: under 'room', and for each account it knows under its bare JID. */
export type Stored = StoredRoom | Member;

/** The room itself. */
export interface StoredRoom {
  readonly settings: Settings;
  readonly subject?: Subject;
  /** Rises with each change of an affiliation (XEP-0463). */
  readonly version: number;
}

/** What all rooms of a service work with. */
export interface RoomParts {
  readonly store: MapStore<Stored>;
  readonly messages: ArchiveStore;
  readonly router: Router;
  readonly log: Log;
  /** What occupant ids are made with; the same for ever, and known to nobody. */
  readonly secret: Buffer;
}

const ROOM = 'room';

/** A room: who may do what in it, who is in it, and what it keeps. Changes are durable before anybody is told of them. */
export class Room {
  readonly jid: Jid;
  readonly parts: RoomParts;
  readonly occupants = new Occupants();
  /** Made, and not configured yet: nobody else comes in (XEP-0045 section 10.1.1). */
  isLocked = false;
  /** It is being destroyed, or has been. */
  isGone = false;
  /** Resolves once all that was said so far is stored, and was given to those who are here; undefined when there is nothing. */
  underway: Promise<void> | undefined = undefined;
  #settings: Settings;
  #subject: Subject | undefined;
  #version: number;
  readonly #members: Map<string, Member>;

  constructor(
    jid: Jid,
    parts: RoomParts,
    state: { readonly room: StoredRoom; readonly members: Iterable<readonly [string, Member]> },
  ) {
    this.jid = jid;
    this.parts = parts;
    this.#settings = state.room.settings;
    this.#subject = state.room.subject;
    this.#version = state.room.version;
    this.#members = new Map(state.members);
  }

  /** Reads a room; undefined when none of this name is stored. */
  static async load(jid: Jid, parts: RoomParts): Promise<Room | undefined> {
    const entries = await parts.store.entries(jid.local);
    const room = entries.get(ROOM) as StoredRoom | undefined;
    if (!room) return undefined;
    const members = [...entries].filter(([key]) => key !== ROOM) as [string, Member][];
    return new Room(jid, parts, { room, members });
  }

  get settings(): Settings {
    return this.#settings;
  }

  get subject(): Subject | undefined {
    return this.#subject;
  }

  /** The version of the lists of affiliations (XEP-0463). */
  get version(): number {
    return this.#version;
  }

  /** All accounts that the room knows, by bare JID. */
  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** What an account is to the room. */
  affiliationOf(bare: string): Affiliation {
    return this.#members.get(bare)?.affiliation ?? 'none';
  }

  /** The accounts of this affiliation, by bare JID. */
  affiliated(affiliation: Affiliation): readonly (readonly [string, Member])[] {
    return [...this.#members].filter(([, member]) => member.affiliation === affiliation);
  }

  /** Whose nick this is by registration; undefined when it is nobody's. */
  ownerOf(nick: string, fold: (nick: string) => string): string | undefined {
    const wanted = fold(nick);
    for (const [bare, member] of this.#members) if (member.nick !== undefined && fold(member.nick) === wanted) return bare;
    return undefined;
  }

  /** Who somebody is to this room for ever, without saying who they are (XEP-0421). */
  occupantId({ bare }: Jid): string {
    return createHmac('sha256', this.parts.secret).update(`${this.jid.bare}\0${bare}`).digest('base64url');
  }

  /** Whether an occupant sees the real addresses of others. */
  seesReal(viewer: Occupant): boolean {
    return this.#settings.whois === 'anyone' || viewer.role === 'moderator';
  }

  /** Configures the room. */
  async configure(settings: Settings): Promise<void> {
    await this.#write({ settings });
    this.#settings = settings;
  }

  /** Sets what the room talks about. */
  async talkAbout(subject: Subject): Promise<void> {
    await this.#write({ subject });
    this.#subject = subject;
  }

  /** Changes what accounts are to the room, all or nothing. One that is nothing and has no nick is forgotten. */
  async affiliate(changes: ReadonlyMap<string, Member>): Promise<void> {
    const version = this.#version + 1;
    const stored = new Map<string, Stored | undefined>([[ROOM, this.#stored({ version })]]);
    for (const [bare, member] of changes) stored.set(bare, isNothing(member) ? undefined : member);
    await this.parts.store.update(this.jid.local, stored);
    this.#version = version;
    for (const [bare, member] of changes) {
      if (isNothing(member)) this.#members.delete(bare);
      else this.#members.set(bare, member);
    }
  }

  /** Stores a room that is new. */
  async create(): Promise<void> {
    const stored = new Map<string, Stored>([[ROOM, this.#stored({})], ...this.#members]);
    await this.parts.store.update(this.jid.local, stored);
  }

  /** Forgets everything. */
  async erase(): Promise<void> {
    this.isGone = true;
    await this.parts.store.clear(this.jid.local);
    await this.parts.messages.remove(this.jid.local, {});
  }

  /** Sends something to one client in the name of somebody in the room, or of the room. */
  send(stanza: Stanza, from: Jid, to: Jid): void {
    this.parts.router.send(stanza, from, to);
  }

  /** The address of a nick in this room. */
  addressOf(nick: string): Jid {
    return this.jid.withResource(nick);
  }

  async #write(change: Partial<StoredRoom>): Promise<void> {
    await this.parts.store.update(this.jid.local, new Map([[ROOM, this.#stored(change)]]));
  }

  #stored(change: Partial<StoredRoom>): StoredRoom {
    const subject = change.subject ?? this.#subject;
    return {
      settings: change.settings ?? this.#settings,
      version: change.version ?? this.#version,
      ...(subject && { subject }),
    };
  }
}

function isNothing({ affiliation, nick }: Member): boolean {
  return affiliation === 'none' && nick === undefined;
}

/** Whether a stored affiliation is one: databases may hold anything. */
export function isMember(value: Stored): value is Member {
  return 'affiliation' in value && AFFILIATIONS.includes(value.affiliation);
}
