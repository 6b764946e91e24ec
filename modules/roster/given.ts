import { type Jid, type Maybe, Signal } from '#core';
import type { Given } from './contact.ts';
import type { Change, Roster } from './roster.ts';
import type { Rosters } from './rosters.ts';

/** Milliseconds that a source may be away, as it is while its module is started anew, before what it has given is taken back. */
const PATIENCE = 1000;
/** Rosters that are written at once. */
const BATCH = 50;

/**
 * Gives accounts contacts that they have not made themselves, and that they cannot remove. What it says may change at any time; it then
 * asks for a refresh.
 */
export interface ContactSource {
  /** The contacts of a local account, by bare JID; none for a name that is no account's. */
  contactsOf(username: string): ReadonlyMap<string, Given>;
  /** The bare JIDs of those who see the presence of an account and are not among its contacts: of local accounts that are online. */
  watchersOf(username: string): Iterable<string>;
  /** Whether a bare JID would be among them, were it online. */
  isWatched(username: string, bare: string): boolean;
}

/** A contact that somebody was given, or is given no more. */
export interface GivenChange extends Change {
  /** The owner's bare JID. */
  readonly account: Jid;
}

/** What this works with. */
export interface GivenContactsParts {
  readonly rosters: Rosters;
  jidOf(username: string): Jid;
  /** Is told of what goes wrong. */
  report(signal: string, error: unknown): void;
}

/**
 * Puts what a source gives into rosters: into those in memory whenever that changes, into others once they are loaded. It is stored with
 * the roster, so that clients which come back are told what has changed (RFC 6121 section 2.6), also over a restart.
 */
export class GivenContacts {
  /** Told of each change, once those that came with it are durable in all rosters. */
  readonly changed: Signal<GivenChange>;
  readonly #parts: GivenContactsParts;
  #source: ContactSource | undefined = undefined;
  /** Until it is known that there is no source, what is in the rosters stays. */
  #isKnown = false;
  #timer: NodeJS.Timeout | undefined = undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: GivenContactsParts) {
    this.#parts = parts;
    this.changed = new Signal<GivenChange>('given', parts.report);
    this.#wait();
  }

  /** Takes a source, which then asks for a refresh; returns what takes it back. Throws when there is one. */
  provide(source: ContactSource): () => void {
    if (this.#source) throw new Error('two modules give contacts to the same accounts');
    clearTimeout(this.#timer);
    this.#source = source;
    this.#isKnown = true;
    return () => {
      this.#source = undefined;
      this.#isKnown = false;
      this.#wait();
    };
  }

  /** Nothing comes any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  /** What is given to these accounts has changed, or to all. Resolves when their rosters in memory say so; what fails is reported. */
  refresh(usernames?: readonly string[]): Promise<void> {
    this.#turn = this.#turn.then(() => this.#refresh(usernames ?? this.#parts.rosters.loaded));
    return this.#turn;
  }

  /** A roster that has just been loaded, as it is to be shown. */
  async complete(roster: Roster): Promise<Roster> {
    const changes = await this.#sync(roster);
    // Once others can have it.
    if (changes.length > 0) setImmediate(() => this.#tell(changes));
    return roster;
  }

  /** Those who see an account's presence without being among its contacts. */
  watchersOf(username: string): Iterable<string> {
    return this.#source?.watchersOf(username) ?? [];
  }

  /** Whether a bare JID may be one of them. */
  isWatched(username: string, bare: string): boolean {
    return this.#source?.isWatched(username, bare) ?? false;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#isKnown = true;
      void this.refresh();
    }, PATIENCE).unref();
  }

  async #refresh(usernames: readonly string[]): Promise<void> {
    const { rosters } = this.#parts;
    const changes: GivenChange[] = [];
    for (let i = 0; i < usernames.length; i += BATCH) {
      const found = usernames.slice(i, i + BATCH).map((username) => rosters.peek(username));
      const batch = await Promise.all(found.map((roster) => this.#syncLoaded(roster)));
      for (const some of batch) changes.push(...some);
    }
    this.#tell(changes);
  }

  async #syncLoaded(loaded: Maybe<Roster> | undefined): Promise<readonly GivenChange[]> {
    try {
      const roster = await loaded;
      return roster ? await this.#sync(roster) : [];
    } catch (error) {
      this.#parts.report('given', error);
      return [];
    }
  }

  async #sync(roster: Roster): Promise<readonly GivenChange[]> {
    if (!this.#isKnown) return [];
    const changes = await roster.give(this.#source?.contactsOf(roster.username) ?? new Map<string, Given>());
    if (changes.length === 0) return [];
    const account = this.#parts.jidOf(roster.username);
    return changes.map(({ before, after }) => ({ account, before, after }));
  }

  #tell(changes: readonly GivenChange[]): void {
    for (const change of changes) this.changed.emit(change);
  }
}
