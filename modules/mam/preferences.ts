import { type Cache, type Element, Jid, type MapStore, type Maybe, type Query, StanzaError, xml } from '#core';

/** The namespace of archives (XEP-0313), which is that of preferences too (XEP-0441). */
const NS = 'urn:xmpp:mam:2';

/** What is archived of those on neither list (XEP-0441 section 2.1.1). `roster`: what is exchanged with contacts. */
export const POLICIES = ['always', 'never', 'roster'] as const;
/** One of POLICIES. */
export type Policy = (typeof POLICIES)[number];

/** The only key of each user in the store. */
const KEY = 'preferences';
/** Preferences kept in memory; nearly all of them are the same, those of who has never set any. */
const CACHED = 100_000;
/** Nobody's address is that long. */
const MAX_JID_BYTES = 1024;
/** Both lists together, as bytes of text: what all users of a big server may have in memory stays bounded. */
const MAX_LIST_BYTES = 65_536;

/** What a user has set, as it is stored. */
export interface StoredPreferences {
  /** Absent: as the host has it. */
  readonly policy?: Policy;
  /** Addresses, prepared. */
  readonly always: readonly string[];
  readonly never: readonly string[];
  /** Milliseconds after which messages are thrown away; absent: as the host has it. */
  readonly keepFor?: number;
}

/** What holds for one user, in the form in which it is looked up. */
interface Known {
  readonly stored: StoredPreferences;
  readonly always: ReadonlySet<string>;
  readonly never: ReadonlySet<string>;
}

/** What preferences need of their surroundings. */
export interface PreferencesParts {
  readonly store: MapStore<StoredPreferences>;
  /** The module context's: it forgets accounts that are deleted. */
  cache(name: string, load: (key: string) => Promise<Known>, max?: number): Cache<Known>;
  /** What the host archives of users who have not chosen. */
  readonly policy: Policy;
  /** Milliseconds that the host keeps messages at most; 0 for ever. */
  readonly keepFor: number;
  /** Addresses on both lists of a user together. */
  readonly maxJids?: number;
}

const NOTHING: StoredPreferences = { always: [], never: [] };
const NONE: Known = { stored: NOTHING, always: new Set(), never: new Set() };

/** What each user wants to have archived, and for how long (XEP-0441). */
export class Preferences {
  /** What the host archives of users who have not chosen. */
  readonly policy: Policy;
  readonly #store: MapStore<StoredPreferences>;
  readonly #cache: Cache<Known>;
  readonly #hostKeepFor: number;
  readonly #maxJids: number;
  /** Changes under way by user: each begins where the one before has ended, since it keeps what it does not change. */
  readonly #changing = new Map<string, Promise<unknown>>();

  constructor({ store, cache, policy, keepFor, maxJids = 1000 }: PreferencesParts) {
    this.policy = policy;
    this.#store = store;
    this.#cache = cache('preferences', async (username) => know(await store.get(username, KEY)), CACHED);
    this.#hostKeepFor = keepFor;
    this.#maxJids = maxJids;
  }

  /** Answers a get (XEP-0441 section 2.1): the lists are there even when they are empty. */
  readonly show = ({ from }: Query): Maybe<Element> => {
    const known = this.#cache.get(from.local);
    return known instanceof Promise ? known.then((each) => this.#write(each.stored)) : this.#write(known.stored);
  };

  /** Answers a set: both lists and the default are replaced as a whole. */
  readonly change = async ({ from, payload }: Query): Promise<Element> => {
    const { policy, always, never } = readPrefs(payload, this.#maxJids);
    return this.#write(await this.#update(from.local, (before) => ({ ...before, policy, always, never })));
  };

  /** Sets the default and the time (undefined: as the host has it), and leaves the lists as they are. */
  async configure(username: string, policy: Policy, keepFor: number | undefined): Promise<void> {
    await this.#update(username, ({ always, never }) => ({ policy, always, never, ...(keepFor !== undefined && { keepFor }) }));
  }

  /** The default that holds for a user. */
  async policyOf(username: string): Promise<Policy> {
    return (await this.#cache.get(username)).stored.policy ?? this.policy;
  }

  /**
   * Milliseconds after which a user's messages are thrown away: the user's own time or the host's, whichever is shorter; 0 for never.
   * Read from the store, since who asks goes through all users and would only push others out of memory.
   */
  async keepFor(username: string): Promise<number> {
    const own = (await this.#store.get(username, KEY))?.keepFor ?? 0;
    if (own <= 0) return this.#hostKeepFor;
    return this.#hostKeepFor > 0 ? Math.min(own, this.#hostKeepFor) : own;
  }

  /**
   * Whether a user wants to have archived what is exchanged with this entity (XEP-0441 section 2.3): the `to` of what was sent, the `from`
   * of what came in. A full JID on a list goes before a bare one, and of the same on both lists `never` wins. `isContact` is only asked
   * where that matters, and has to look at the bare JID.
   */
  isWanted(username: string, other: Jid, isContact: () => Maybe<boolean>): Maybe<boolean> {
    const known = this.#cache.get(username);
    return known instanceof Promise
      ? known.then((each) => this.#judge(each, other, isContact))
      : this.#judge(known, other, isContact);
  }

  #judge({ stored, always, never }: Known, { full, bare }: Jid, isContact: () => Maybe<boolean>): Maybe<boolean> {
    if (never.has(full)) return false;
    if (always.has(full)) return true;
    if (never.has(bare)) return false;
    if (always.has(bare)) return true;
    const policy = stored.policy ?? this.policy;
    return policy === 'roster' ? isContact() : policy === 'always';
  }

  async #update(username: string, change: (before: StoredPreferences) => StoredPreferences): Promise<StoredPreferences> {
    const task = this.#after(username, async () => {
      const after = change((await this.#cache.get(username)).stored);
      await this.#store.update(username, new Map([[KEY, after]]));
      this.#cache.set(username, know(after));
      return after;
    });
    this.#changing.set(username, task);
    try {
      return await task;
    } finally {
      if (this.#changing.get(username) === task) this.#changing.delete(username);
    }
  }

  async #after<T>(username: string, task: () => Promise<T>): Promise<T> {
    // Whether the one before went well is told to whoever asked for it.
    await this.#changing.get(username)?.catch(() => undefined);
    return task();
  }

  #write({ policy = this.policy, always, never }: StoredPreferences): Element {
    return xml('prefs', { xmlns: NS, default: policy }, writeList('always', always), writeList('never', never));
  }
}

/** Reads one of POLICIES; undefined for anything else. */
export function readPolicy(text: unknown): Policy | undefined {
  return POLICIES.find((policy) => policy === text);
}

function know(stored: StoredPreferences | undefined): Known {
  return stored ? { stored, always: new Set(stored.always), never: new Set(stored.never) } : NONE;
}

function writeList(name: string, jids: readonly string[]): Element {
  return xml(name, {}, ...jids.map((jid) => xml('jid', {}, jid)));
}

/** What a client sets. Throws StanzaError for what is none, or too much. */
function readPrefs(prefs: Element, maxJids: number): Required<Omit<StoredPreferences, 'keepFor'>> {
  const policy = readPolicy(prefs.attrs['default']);
  if (policy === undefined) throw new StanzaError('bad-request', { text: 'The default is always, never or roster' });
  const lists = new Map<string, readonly string[]>();
  for (const child of prefs.getChildElements()) {
    if (child.getNS() !== NS) continue;
    const name = child.getName();
    if ((name !== 'always' && name !== 'never') || lists.has(name)) throw new StanzaError('bad-request');
    lists.set(name, readList(child));
  }
  const always = lists.get('always') ?? [];
  const never = lists.get('never') ?? [];
  if (always.length + never.length > maxJids) throw tooMuch(`At most ${maxJids} addresses can be listed`);
  let bytes = 0;
  for (const jid of [...always, ...never]) bytes += Buffer.byteLength(jid);
  if (bytes > MAX_LIST_BYTES) throw tooMuch('The lists are too long');
  return { policy, always, never };
}

/** The addresses of a list, each once. */
function readList(list: Element): readonly string[] {
  const jids = new Set<string>();
  for (const child of list.getChildElements()) {
    if (child.getNS() !== NS) continue;
    if (child.getName() !== 'jid' || child.getChildElements().length > 0) throw new StanzaError('bad-request');
    const jid = Jid.tryParse(child.getText().trim());
    if (!jid) throw new StanzaError('jid-malformed');
    if (Buffer.byteLength(jid.full) > MAX_JID_BYTES) throw new StanzaError('not-acceptable', { text: 'The address is too long' });
    jids.add(jid.full);
  }
  return [...jids];
}

function tooMuch(text: string): StanzaError {
  return new StanzaError('resource-constraint', { type: 'cancel', text });
}
