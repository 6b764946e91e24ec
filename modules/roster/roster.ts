import { randomBytes } from 'node:crypto';
import { type MapStore, StanzaError } from '#core';
import { Contact, type StoredContact } from './contact.ts';

/** Where the store keeps what concerns the whole roster: a key that is no JID. */
const HEAD = '/';
/** Contacts that were removed and are still remembered, so that a client which comes back need not fetch everything. */
const MAX_REMOVED = 100;
/** Addresses are keys of the store, and databases bound those. Nobody's address is that long. */
const MAX_JID_BYTES = 1024;
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
    const turn = (this.#tail ?? Promise.resolve()).then(() => this.#change(jid, edit, options));
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

  /** Ends it because its account was deleted: edits that are under way leave nothing behind. */
  end(): void {
    this.#isGone = true;
  }

  async #change(jid: string, edit: (before: Contact) => Contact, options: ChangeOptions): Promise<Change> {
    if (this.#isGone) throw new StanzaError('item-not-found');
    const before = this.#contacts.get(jid) ?? new Contact(jid);
    const edited = edit(before);
    if (edited === before) return { before, after: before };
    this.#checkLimits(before, edited);
    const isSeen = options.alwaysPush || edited.differsFrom(before);
    const after = isSeen ? edited.revised(this.#revision + 1) : edited;
    const head = this.#epoch === UNWRITTEN ? { epoch: randomBytes(6).toString('hex'), floor: 0 } : undefined;
    const { forgotten, floor } = this.#forget(after);
    await this.#write([after, ...forgotten], floor > this.#floor ? { epoch: this.#epoch, floor } : head);
    this.#floor = floor;
    if (head) this.#epoch = head.epoch;
    for (const contact of [after, ...forgotten]) this.#put(contact);
    const change = { before, after };
    options.onDurable?.(change);
    if (isSeen) this.#parts.push(this, after);
    return change;
  }

  #checkLimits(before: Contact, after: Contact): void {
    if (Buffer.byteLength(after.jid) > MAX_JID_BYTES)
      throw new StanzaError('not-acceptable', { text: 'The address is too long' });
    const { maxContacts, maxRequests } = this.#parts.limits;
    const isFull = after.isListed && !before.isListed && this.#listed >= maxContacts;
    if (isFull || (after.isPending && !before.isPending && this.#pending >= maxRequests)) {
      throw new StanzaError('resource-constraint', { type: 'cancel', text: 'The roster is full' });
    }
  }

  /** The removals that are no longer remembered once this one has been added. */
  #forget(added: Contact): { forgotten: readonly Contact[]; floor: number } {
    if (added.isListed || added.revision === 0) return { forgotten: [], floor: this.#floor };
    const removed = [...this.#contacts.values()].filter(
      (contact) => !contact.isListed && contact.revision > 0 && contact.jid !== added.jid,
    );
    const tooMany = removed.length + 1 - MAX_REMOVED;
    if (tooMany <= 0) return { forgotten: [], floor: this.#floor };
    const oldest = removed.sort((a, b) => a.revision - b.revision).slice(0, tooMany);
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
    this.#pending += Number(contact.isPending) - Number(old?.isPending ?? false);
    if (contact.revision > this.#revision) this.#revision = contact.revision;
    if (contact.isKept) this.#contacts.set(contact.jid, contact);
    else this.#contacts.delete(contact.jid);
  }

  #versionAt(revision: number): string {
    return `${this.#epoch}-${revision}`;
  }
}
