import { randomBytes } from 'node:crypto';
import { type MapStore, StanzaError } from '#core';
import { Contact, type Given, type StoredContact } from './contact.ts';

/** Where the store keeps what concerns the whole roster: a key that is no JID. */
const HEAD = '/';
/** Contacts that were removed and are still remembered, so that a client which comes back need not fetch everything. */
const MAX_REMOVED = 100;
/** Addresses are keys of the store, and databases bound those. Nobody's address is that long. */
const MAX_JID_BYTES = 1024;
const NOTHING: Promise<readonly Change[]> = Promise.resolve([]);
/** The epoch of a roster that was never written. */
const UNWRITTEN = '0';

/** What the store keeps of a whole roster. */
export interface StoredHead {
  /** Begins every version: an account that takes the name of a deleted one shares no version with it. */
  readonly epoch: string;
  /** The last revision whose removals are all still known. */
  readonly floor: number;
}

/** A value of a roster's store: under each contact's bare JID, and under one key that is none. */
export type StoredRoster = StoredContact | StoredHead;

/** How big a roster may grow. */
export interface RosterLimits {
  readonly maxContacts: number;
  readonly maxRequests: number;
}

/** What all rosters of a host share. */
export interface RosterParts {
  readonly store: MapStore<StoredRoster>;
  readonly limits: RosterLimits;
  /** Tells the owner's clients what has become of a contact. */
  push(roster: Roster, contact: Contact): void;
}

/** What an edit made of a contact. */
export interface Change {
  readonly before: Contact;
  readonly after: Contact;
}

/** When and of what an edit tells the owner's clients. */
export interface ChangeOptions {
  /** Called once the change is durable, before clients are told of it. */
  readonly onDurable?: (change: Change) => void;
  /** Tells clients even where they could see no difference. */
  readonly alwaysPush?: boolean;
}

interface Edit {
  readonly before: Contact;
  readonly edited: Contact;
  readonly isSeen: boolean;
}

/** The contacts of one account, in memory. What it shows is durable; edits happen one after the other. */
export class Roster {
  /** The account. */
  readonly username: string;
  readonly #parts: RosterParts;
  readonly #contacts = new Map<string, Contact>();
  #epoch = UNWRITTEN;
  #floor = 0;
  #revision = 0;
  #listed = 0;
  /** Those of them that the owner has made: what is given to them does not fill the roster. */
  #own = 0;
  #given = 0;
  #pending = 0;
  #tail: Promise<void> | undefined = undefined;
  #isGone = false;

  private constructor(username: string, parts: RosterParts) {
    this.username = username;
    this.#parts = parts;
  }

  /** Reads a roster; one that was never written is empty. */
  static async load(username: string, parts: RosterParts): Promise<Roster> {
    const roster = new Roster(username, parts);
    for (const [key, stored] of await parts.store.entries(username)) roster.#restore(key, stored);
    return roster;
  }

  /** Names its present content to clients (RFC 6121 section 2.6). */
  get version(): string {
    return this.#versionAt(this.#revision);
  }

  /** How many contacts clients see in it. */
  get size(): number {
    return this.#listed;
  }

  /** Whether edits are under way. */
  get isBusy(): boolean {
    return this.#tail !== undefined;
  }

  /** All contacts: also strangers who have asked for the owner's presence, and some that were removed. */
  get contacts(): Iterable<Contact> {
    return this.#contacts.values();
  }

  /** A contact by its bare JID, also one that is not listed. */
  get(jid: string): Contact | undefined {
    return this.#contacts.get(jid);
  }

  /** The version that a contact's revision made. */
  versionOf(contact: Contact): string {
    return this.#versionAt(contact.revision);
  }

  /**
   * What has changed since a version, in the order of the changes; undefined when that cannot be said, or would be longer than
   * the whole roster (RFC 6121 section 2.6.3).
   */
  changesSince(version: string): readonly Contact[] | undefined {
    const dash = version.indexOf('-');
    const revision = Number(version.slice(dash + 1));
    if (version.slice(0, dash) !== this.#epoch || version !== this.#versionAt(revision)) return undefined;
    if (revision < this.#floor || revision > this.#revision) return undefined;
    const changes = [...this.#contacts.values()].filter((contact) => contact.revision > revision);
    if (changes.length > this.#listed) return undefined;
    return changes.sort((a, b) => a.revision - b.revision);
  }

  /**
   * Edits one contact, once the edits before it are done: `edit` gets it as it is (in no state when it is not there) and
   * returns it as it shall be. Resolves when that is durable and clients have been told. Rejects with what `edit` throws, with
   * StanzaError `resource-constraint` when the roster is full and `not-acceptable` when the address is too long, and when the store
   * fails; then nothing has changed.
   */
  change(jid: string, edit: (before: Contact) => Contact, options: ChangeOptions = {}): Promise<Change> {
    return this.#inTurn(() => this.#change(jid, edit, options));
  }

  /**
   * Makes these the contacts that the owner is given, by bare JID, once the edits before are done. Resolves with what has changed, when
   * that is durable and clients have been told; rejects as `change` does.
   */
  give(given: ReadonlyMap<string, Given>): Promise<readonly Change[]> {
    if (given.size === 0 && this.#given === 0 && !this.isBusy) return NOTHING;
    return this.#inTurn(() => this.#give(given));
  }

  /** Ends it because its account was deleted: edits that are under way leave nothing behind. */
  end(): void {
    this.#isGone = true;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = (this.#tail ?? Promise.resolve()).then(task);
    const tail: Promise<void> = turn
      .then(
        () => {},
        () => {},
      )
      .then(() => {
        if (this.#tail === tail) this.#tail = undefined;
      });
    this.#tail = tail;
    return turn;
  }

  async #change(jid: string, edit: (before: Contact) => Contact, options: ChangeOptions): Promise<Change> {
    if (this.#isGone) throw new StanzaError('item-not-found');
    const before = this.#contacts.get(jid) ?? new Contact(jid);
    const edited = edit(before);
    if (edited === before) return { before, after: before };
    this.#checkLimits(before, edited);
    const isSeen = options.alwaysPush === true || edited.differsFrom(before);
    const [change] = await this.#apply([{ before, edited, isSeen }], options);
    return change!;
  }

  async #give(given: ReadonlyMap<string, Given>): Promise<readonly Change[]> {
    if (this.#isGone) throw new StanzaError('item-not-found');
    const edits: Edit[] = [];
    const note = (before: Contact, wanted: Given | undefined) => {
      const edited = before.withGiven(wanted);
      if (edited !== before) edits.push({ before, edited, isSeen: edited.differsFrom(before) });
    };
    for (const contact of this.#contacts.values()) if (contact.given && !given.has(contact.jid)) note(contact, undefined);
    for (const [jid, wanted] of given) note(this.#contacts.get(jid) ?? new Contact(jid), wanted);
    return edits.length === 0 ? [] : this.#apply(edits, {});
  }

  /** Writes edits, all or none, and tells of them in this order. */
  async #apply(edits: readonly Edit[], { onDurable }: ChangeOptions): Promise<readonly Change[]> {
    let revision = this.#revision;
    const changes = edits.map(({ before, edited, isSeen }) => ({
      before,
      after: isSeen ? edited.revised(++revision) : edited,
      isSeen,
    }));
    const head = this.#epoch === UNWRITTEN ? { epoch: randomBytes(6).toString('hex'), floor: 0 } : undefined;
    const { forgotten, floor } = this.#forget(changes.map(({ after }) => after));
    // What is forgotten may be what has just been removed, and then is written as that.
    const contacts = [...changes.map(({ after }) => after), ...forgotten];
    await this.#write(contacts, head || floor > this.#floor ? { epoch: head?.epoch ?? this.#epoch, floor } : undefined);
    this.#floor = floor;
    if (head) this.#epoch = head.epoch;
    for (const contact of contacts) this.#put(contact);
    for (const { before, after, isSeen } of changes) {
      onDurable?.({ before, after });
      if (isSeen) this.#parts.push(this, after);
    }
    return changes;
  }

  #checkLimits(before: Contact, after: Contact): void {
    if (Buffer.byteLength(after.jid) > MAX_JID_BYTES)
      throw new StanzaError('not-acceptable', { text: 'The address is too long' });
    const { maxContacts, maxRequests } = this.#parts.limits;
    const isFull = after.isOwn && !before.isOwn && this.#own >= maxContacts;
    if (isFull || (after.isPending && !before.isPending && this.#pending >= maxRequests)) {
      throw new StanzaError('resource-constraint', { type: 'cancel', text: 'The roster is full' });
    }
  }

  /** The removals that are no longer remembered once these contacts are as they are now. */
  #forget(changed: readonly Contact[]): { forgotten: readonly Contact[]; floor: number } {
    const isRemoval = (contact: Contact) => !contact.isListed && contact.revision > 0;
    const added = changed.filter(isRemoval);
    if (added.length === 0) return { forgotten: [], floor: this.#floor };
    const jids = new Set(changed.map(({ jid }) => jid));
    const removed = [...this.#contacts.values()].filter((contact) => isRemoval(contact) && !jids.has(contact.jid));
    const tooMany = removed.length + added.length - MAX_REMOVED;
    if (tooMany <= 0) return { forgotten: [], floor: this.#floor };
    const oldest = [...removed, ...added].sort((a, b) => a.revision - b.revision).slice(0, tooMany);
    return { forgotten: oldest.map((contact) => contact.revised(0)), floor: oldest.at(-1)!.revision };
  }

  async #write(contacts: readonly Contact[], head: StoredHead | undefined): Promise<void> {
    const changes = new Map<string, StoredRoster | undefined>();
    for (const contact of contacts) changes.set(contact.jid, contact.toStored());
    if (head) changes.set(HEAD, head);
    const { store } = this.#parts;
    await store.update(this.username, changes);
    if (!this.#isGone) return;
    await store.update(this.username, new Map([...changes.keys()].map((key) => [key, undefined])));
    throw new StanzaError('item-not-found');
  }

  #restore(key: string, stored: StoredRoster): void {
    if ('epoch' in stored) {
      this.#epoch = stored.epoch;
      this.#floor = stored.floor;
    } else this.#put(Contact.restore(key, stored));
  }

  #put(contact: Contact): void {
    const old = this.#contacts.get(contact.jid);
    this.#listed += Number(contact.isListed) - Number(old?.isListed ?? false);
    this.#own += Number(contact.isOwn) - Number(old?.isOwn ?? false);
    this.#given += Number(contact.given !== undefined) - Number(old?.given !== undefined);
    this.#pending += Number(contact.isPending) - Number(old?.isPending ?? false);
    if (contact.revision > this.#revision) this.#revision = contact.revision;
    if (contact.isKept) this.#contacts.set(contact.jid, contact);
    else this.#contacts.delete(contact.jid);
  }

  #versionAt(revision: number): string {
    return `${this.#epoch}-${revision}`;
  }
}
