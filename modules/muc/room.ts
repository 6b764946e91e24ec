import { createHmac } from 'node:crypto';
import { type ArchiveStore, type Element, type Jid, type MapStore, Stanza, StanzaError, sortableId, xml } from '#core';
import type { RoomEvents } from './events.ts';
import { fold } from './nick.ts';
import { type Member, type Occupant, Occupants } from './occupant.ts';
import { Line, type Outbox, type Utterance } from './outbox.ts';
import type { Affiliation, Standing } from './ranks.ts';
import { type Level, type RoomFields, reaches, type Settings } from './settings.ts';

/** What a room talks about, and who has said so when. */
export interface Subject {
  readonly text: string;
  /** The nick of whoever has set it; empty for the room itself. */
  readonly by: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The id in the archive of the message that has set it; undefined when that is not kept. */
  readonly id?: string;
}

/** What is stored of a room: under 'room', and for each account it knows under its bare JID. */
export type Stored = StoredRoom | Member | Gone;

/** The room itself. */
export interface StoredRoom {
  readonly settings: Settings;
  readonly subject?: Subject;
  /** Rises with each change of an affiliation (XEP-0463). */
  readonly version: number;
  /** The last changes: which version has changed whom. Ascending. */
  readonly changes?: readonly (readonly [version: number, bare: string])[];
}

/** What is left of a room that was destroyed, so that nobody takes its place at once. */
export interface Gone {
  readonly goneAt: number;
  readonly venue?: string;
  readonly reason?: string;
}

/** What a public room shows to those who look for rooms. */
export interface Listing {
  readonly name: string;
  readonly description: string;
  readonly lang: string;
  /** Whether anybody may come in without a word. */
  readonly isOpen: boolean;
}

/** What all rooms of a service work with. */
export interface RoomParts {
  /** By the room's bare JID, which no account has for a name. */
  readonly store: MapStore<Stored>;
  /** What is appended is signed, what is found is not (author.ts). */
  readonly messages: ArchiveStore;
  /** Public rooms, under 'room'. */
  readonly listed: MapStore<Listing>;
  /** The rooms that local accounts are affiliated with: by username, under the bare JID of the room. */
  readonly memberships: MapStore<Affiliation>;
  readonly outbox: Outbox;
  readonly events: RoomEvents;
  readonly fields: RoomFields;
  /** What features add to the presence of occupants. */
  readonly decorations: ReadonlySet<Decoration>;
  /** What occupant ids are made with; the same for ever, and known to nobody. */
  readonly secret: Buffer;
  /** Occupants from which on only moderators are seen coming and going; 0 for any number. */
  readonly presenceLimit: number;
  /** Whether messages may be archived at all. */
  readonly mayArchive: boolean;
  /** The account's name, when it is one of the host's. */
  localName(bare: string): string | undefined;
  /** Whether this account owns all rooms. */
  isAdmin(jid: Jid): boolean;
}

/** What a change of the settings has changed. */
export interface Configured {
  readonly before: Settings;
  readonly after: Settings;
}

/** Changes of affiliations that are remembered: who was away for longer is told of all. */
const MAX_CHANGES = 200;

/** Something that a feature adds to the presence of an occupant; asked again once the room forgets its forms (Occupant.forms). */
export type Decoration = (room: Room, occupant: Occupant) => Element | undefined;

/** Where the room itself is stored. */
export const ROOM = 'room';

/** A room: who may do what in it, who is in it, and what it keeps. Changes are durable before anybody is told of them. */
export class Room {
  readonly jid: Jid;
  readonly parts: RoomParts;
  readonly occupants = new Occupants();
  /** Made, and not configured yet: nobody else comes in (XEP-0045 section 10.1.1). */
  isLocked = false;
  /** It is being destroyed, or has been. */
  isGone = false;
  /** Resolves once all that was said so far is stored, and was begun to be given to those who are here; undefined when it is. */
  underway: Promise<void> | undefined = undefined;
  /** Stanzas that are being dealt with, and may have to wait for something: the room neither sleeps nor ends meanwhile. */
  inUse = 0;
  /** Those who are being given the history, and have not got what was said since. */
  readonly arriving = new Set<Occupant>();
  /** Who has asked to become a member, under which nick; forgotten when the room sleeps. */
  readonly requests = new Map<string, string>();
  /** When something was said or somebody came last: milliseconds since the epoch. */
  usedAt = Date.now();
  readonly #line = new Line();
  /** What holds. */
  #state: StoredRoom;
  /** Resolves once the last change of the settings is done. */
  #configured: Promise<void> = Promise.resolve();
  /** What is being stored, in order. */
  readonly #pending: Partial<StoredRoom>[] = [];
  readonly #members: Map<string, Member>;
  /** Accounts of which changes are being stored: what is stored of each, and how many changes. */
  readonly #unsure = new Map<string, { stored: Member | undefined; changes: number }>();

  constructor(
    jid: Jid,
    parts: RoomParts,
    state: { readonly room: StoredRoom; readonly members: Iterable<readonly [string, Member]> },
  ) {
    this.jid = jid;
    this.parts = parts;
    this.#state = state.room;
    this.#members = new Map(state.members);
  }

  get settings(): Settings {
    return this.#state.settings;
  }

  get subject(): Subject | undefined {
    return this.#state.subject;
  }

  /** The version of the lists of affiliations (XEP-0463). */
  get version(): number {
    return this.#state.version;
  }

  /** Whose affiliation has changed since a version; undefined when that is no longer known. */
  changedSince(version: number): readonly string[] | undefined {
    const changes = this.#state.changes ?? [];
    // Of the oldest that is remembered, a part may be forgotten.
    const first = changes[0]?.[0] ?? this.version;
    if (version > this.version || version < first) return undefined;
    return [...new Set(changes.filter(([at]) => at > version).map(([, bare]) => bare))];
  }

  /** All accounts (and domains) that the room knows, by bare JID. */
  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** Whether something is being done with it that another object for the same room would know nothing of. */
  get isBusy(): boolean {
    return this.inUse > 0 || this.#pending.length > 0 || this.underway !== undefined;
  }

  /** Whether what is said is kept (XEP-0313). */
  get isArchived(): boolean {
    return this.settings.isArchived && this.parts.mayArchive;
  }

  /** What an account is to the room: by itself, or by its domain. Those who administer the service own all rooms. */
  affiliationOf(jid: Jid): Affiliation {
    const own = this.#members.get(jid.bare)?.affiliation;
    if (own !== 'owner' && this.parts.isAdmin(jid)) return 'owner';
    if (own !== undefined && own !== 'none') return own;
    return this.#members.get(jid.domain)?.affiliation ?? 'none';
  }

  /** What somebody is to the room, and is in it. */
  standingOf(jid: Jid): Standing {
    return { affiliation: this.affiliationOf(jid), role: this.occupants.of(jid)?.role ?? 'none' };
  }

  /** Whether something that the room leaves to these is left to somebody. */
  may(jid: Jid, level: Level): boolean {
    return reaches(this.standingOf(jid), level);
  }

  /** The level that a field of the configuration has. */
  levelOf(field: string): Level {
    return this.parts.fields.levelOf(this.settings, field);
  }

  /** The accounts of this affiliation, by bare JID. */
  affiliated(affiliation: Affiliation): readonly (readonly [string, Member])[] {
    return [...this.#members].filter(([, member]) => member.affiliation === affiliation);
  }

  /** Whose nick this is by registration; undefined when it is nobody's. */
  ownerOf(nick: string): string | undefined {
    const wanted = fold(nick);
    for (const [bare, member] of this.#members) if (member.nick !== undefined && fold(member.nick) === wanted) return bare;
    return undefined;
  }

  /** Who somebody is to this room for ever, without saying who they are (XEP-0421). */
  occupantId(bare: string): string {
    return createHmac('sha256', this.parts.secret).update(`${this.jid.bare}\0${bare}`).digest('base64url');
  }

  /** Whether somebody may see the real addresses of occupants. */
  seesReal(viewer: Jid): boolean {
    if (this.settings.whois === 'anyone') return true;
    const { affiliation, role } = this.standingOf(viewer);
    return role === 'moderator' || affiliation === 'admin' || affiliation === 'owner';
  }

  /**
   * Configures the room: by what `change` makes of what holds once all changes before it are done. Resolves with the settings before and
   * after; rejects with StanzaError `item-not-found` for a room that is no more, and with what `change` throws.
   */
  configure(change: (now: Settings) => Settings): Promise<Configured> {
    this.inUse++;
    const task = this.#configured.then(() => this.#configure(change)).finally(() => this.inUse--);
    this.#configured = task.then(ignore, ignore);
    return task;
  }

  async #configure(change: (now: Settings) => Settings): Promise<Configured> {
    if (this.isGone) throw new StanzaError('item-not-found', { text: 'There is no such room' });
    const before = this.settings;
    const after = change(before);
    await this.#write({ settings: after }, () => [this.#list(after)]);
    return { before, after };
  }

  /** Sets what the room talks about. Until it is stored the old subject holds. */
  async talkAbout(subject: Subject): Promise<void> {
    await this.#write({ subject });
  }

  /** Changes what accounts are to the room, all or nothing. One that is nothing and has no nick is forgotten. */
  async affiliate(changes: ReadonlyMap<string, Member>): Promise<void> {
    const rows = new Map<string, Stored | undefined>();
    // They hold at once, so that a change that comes meanwhile builds on these.
    for (const [bare, member] of changes) {
      rows.set(bare, isNothing(member) ? undefined : member);
      const unsure = this.#unsure.get(bare) ?? { stored: this.#members.get(bare), changes: 0 };
      unsure.changes++;
      this.#unsure.set(bare, unsure);
      this.#setMember(bare, member);
    }
    const { version: before, changes: earlier = [] } = this.#written;
    const changed = [...changes.keys()].map((bare) => [before + 1, bare] as const);
    let isStored = false;
    try {
      await this.#write(
        { version: before + 1, changes: [...earlier, ...changed].slice(-MAX_CHANGES) },
        () => this.#noteMemberships(changes),
        rows,
      );
      isStored = true;
    } finally {
      for (const [bare, member] of changes) this.#confirm(bare, isStored ? member : undefined);
    }
  }

  /** A change of an account is stored, or is not (undefined). After the last of several what is stored is what holds. */
  #confirm(bare: string, member: Member | undefined): void {
    const unsure = this.#unsure.get(bare);
    if (!unsure) return;
    if (member) unsure.stored = member;
    if (--unsure.changes > 0) return;
    this.#unsure.delete(bare);
    this.#setMember(bare, unsure.stored);
  }

  /** Stores a room that is new. */
  async create(): Promise<void> {
    await this.#write({}, () => [this.#list(this.settings), ...this.#noteMemberships(this.#members)], new Map(this.#members));
  }

  /** Forgets everything but that it has been; not even that, of a room without `gone`. */
  async erase(gone?: Gone): Promise<void> {
    this.isGone = true;
    const { store, messages, listed } = this.parts;
    const left = new Map([...this.#members.keys()].map((bare) => [bare, { affiliation: 'none' as const }]));
    const stored = new Map<string, Stored | undefined>([
      [ROOM, gone],
      ...[...left.keys()].map((bare) => [bare, undefined] as const),
    ]);
    const forgotten = [listed.clear(this.jid.bare), ...this.#noteMemberships(left)];
    await Promise.all([store.update(this.jid.bare, stored), messages.remove(this.jid.bare, {}), ...forgotten]);
  }

  /** Sends something to one client in the name of somebody in the room, or of the room. */
  send(stanza: Stanza, from: Jid, to: Jid): void {
    this.parts.outbox.send(this.#line, { stanza, from }, to);
  }

  /** Sends several things to one client. The list must not change any more. */
  sendEach(said: readonly Utterance[], to: Jid): void {
    this.parts.outbox.sendEach(this.#line, said, to);
  }

  /** Sends something to several; a promise that resolves once all have it, when that takes longer. `to` must not change any more. */
  sendAll(stanza: Stanza, from: Jid, to: readonly Jid[]): Promise<void> | undefined {
    return this.parts.outbox.sendAll(this.#line, { stanza, from }, to);
  }

  /** Sends a notice of the room to everybody in it. */
  notify(...payload: readonly Element[]): void {
    const message = Stanza.of(xml('message', { type: 'groupchat', id: sortableId() }, ...payload));
    void this.sendAll(message, this.jid, this.occupants.addresses);
  }

  /** The address of a nick in this room. */
  addressOf(nick: string): Jid {
    return this.jid.withResource(nick);
  }

  /** Forgets how occupants are shown, because that has changed for all of them. */
  forgetForms(): void {
    for (const occupant of this.occupants) occupant.forms = undefined;
  }

  /** The clients that see something of others: those for whom this is true. */
  addressesOf(isMeant: (occupant: Occupant) => boolean): readonly Jid[] {
    const found: Jid[] = [];
    for (const occupant of this.occupants) if (isMeant(occupant)) found.push(occupant.real);
    return found;
  }

  #setMember(bare: string, member: Member | undefined): void {
    if (!member || isNothing(member)) this.#members.delete(bare);
    else this.#members.set(bare, member);
  }

  #noteMemberships(changes: ReadonlyMap<string, Member>): readonly Promise<void>[] {
    const { localName, memberships } = this.parts;
    const notes: Promise<void>[] = [];
    for (const [bare, { affiliation }] of changes) {
      const name = localName(bare);
      if (name === undefined) continue;
      const value = affiliation === 'none' || affiliation === 'outcast' ? undefined : affiliation;
      notes.push(memberships.update(name, new Map([[this.jid.bare, value]])));
    }
    return notes;
  }

  #list({ name, description, lang, isPublic, isMembersOnly, password }: Settings): Promise<void> {
    const { listed } = this.parts;
    if (!isPublic) return listed.clear(this.jid.bare);
    const isOpen = !isMembersOnly && password === undefined;
    return listed.update(this.jid.bare, new Map([[ROOM, { name, description, lang, isOpen }]]));
  }

  /** Writes a change and what goes with it, which holds once all is durable. */
  async #write(
    change: Partial<StoredRoom>,
    also: () => readonly Promise<void>[] = () => [],
    rows?: ReadonlyMap<string, Stored | undefined>,
  ) {
    this.#pending.push(change);
    const update = this.parts.store.update(
      this.jid.bare,
      new Map<string, Stored | undefined>([...(rows ?? []), [ROOM, this.#written]]),
    );
    try {
      await Promise.all([update, ...also()]);
      this.#state = { ...this.#state, ...change };
    } finally {
      this.#pending.splice(this.#pending.indexOf(change), 1);
    }
  }

  /** What has been given to the store last. */
  get #written(): StoredRoom {
    let written = this.#state;
    for (const change of this.#pending) written = { ...written, ...change };
    return written;
  }
}

function ignore(): void {}

function isNothing({ affiliation, nick }: Member): boolean {
  return affiliation === 'none' && nick === undefined;
}
