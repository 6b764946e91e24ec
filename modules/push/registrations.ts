import { createHash } from 'node:crypto';
import { type Cache, Jid, type MapStore, type Maybe, type ModuleContext, StanzaError } from '#core';
import type { Options, Wish } from './request.ts';

/** Accounts kept in memory; nearly all of them have no registrations. */
const CACHED = 100_000;
/** Milliseconds after which it is noted that a registration is still in use. */
const DAY = 86_400_000;

/** A registration as it is stored, under a hash of its address and node. */
export interface StoredRegistration {
  readonly jid: string;
  readonly node?: string;
  readonly options: Options;
  /** The client that enabled it last. */
  readonly resource: string;
  /** When that was, at most a day ago, in milliseconds since the epoch. */
  readonly since: number;
  /** Notifications in a row that the service did not want. */
  readonly failures?: number;
  /** Since when it has not answered, in milliseconds since the epoch. */
  readonly unreachableSince?: number;
}

/** One way to notify a client that is not connected. */
export class Registration {
  readonly key: string;
  readonly stored: StoredRegistration;
  readonly service: Jid;
  /** The client: the address that it had when it enabled this. */
  readonly client: Jid;
  /** The newest message that its client was to be notified of (Stanza.keptAs). */
  seen = '';

  constructor(key: string, stored: StoredRegistration, account: Jid) {
    this.key = key;
    this.stored = stored;
    this.service = Jid.parse(stored.jid);
    this.client = account.withResource(stored.resource);
  }

  /** Whether its client was not notified of a message yet, and is from here on; what is kept nowhere (no id) is always news. */
  isNews(id: string | undefined): boolean {
    if (id === undefined) return true;
    if (id <= this.seen) return false;
    this.seen = id;
    return true;
  }

  get node(): string | undefined {
    return this.stored.node;
  }

  get options(): Options {
    return this.stored.options;
  }
}

/** The registrations of one account, and what waits for it. */
export class Account {
  /** Those that were enabled longest ago come first. */
  registrations: readonly Registration[];
  /** Messages since one of its clients was there; undefined when that is not known. */
  waiting: number | undefined = undefined;
  #counted = '';

  constructor(registrations: readonly Registration[]) {
    this.registrations = registrations;
  }

  find(key: string): Registration | undefined {
    return this.registrations.find((each) => each.key === key);
  }

  /** Counts messages that nobody has seen; one with an id (Stanza.keptAs) once. */
  count(amount: number, id: string | undefined): void {
    if (id !== undefined && id <= this.#counted) return;
    if (id !== undefined) this.#counted = id;
    if (this.waiting !== undefined) this.waiting += amount;
  }
}

/** What registrations need of their surroundings. */
export interface RegistrationsParts {
  readonly ctx: Pick<ModuleContext<unknown, Record<never, never>>, 'accounts' | 'cache' | 'domain' | 'log'>;
  readonly store: MapStore<StoredRegistration>;
  readonly limits: {
    readonly maxPerAccount: number;
    /** Refusals in a row, and milliseconds without an answer, after which a service is not notified any more. */
    readonly maxErrors: number;
    readonly giveUpAfter: number;
  };
  isConnected(client: Jid): boolean;
}

type Changes = Map<string, StoredRegistration | undefined>;

/** Who is to be notified through which service: in memory as it is stored, or about to be. */
export class Registrations {
  readonly #parts: RegistrationsParts;
  readonly #accounts: Cache<Account>;
  readonly #writing = new Set<Promise<void>>();

  constructor(parts: RegistrationsParts) {
    this.#parts = parts;
    this.#accounts = parts.ctx.cache('accounts', (username) => this.#load(username), CACHED);
  }

  /** The registrations of an account. */
  of(username: string): Maybe<Account> {
    return this.#accounts.get(username);
  }

  /**
   * Registers, or renews what is registered already. Where there are too many, the one goes that was not renewed for longest: clients that
   * were removed from their devices take nothing back. Returns its key. Rejects with StanzaError `resource-constraint` when all are in use.
   */
  async enable(client: Jid, { service, node, options }: Wish): Promise<string> {
    const account = await this.#accounts.get(client.local);
    const key = keyOf(service.full, node);
    const before = account.find(key);
    const now = Date.now();
    const stored = { jid: service.full, ...(node !== undefined && { node }), options, resource: client.resource, since: now };
    if (before && isSame(before.stored, stored)) return key;
    const changes: Changes = new Map([[key, stored]]);
    if (!before && account.registrations.length >= this.#parts.limits.maxPerAccount) {
      for (const each of this.#leastUsed(account, client)) changes.set(each.key, undefined);
    }
    const registration = new Registration(key, stored, client.bareJid);
    if (before) registration.seen = before.seen;
    const others = account.registrations.filter((each) => !changes.has(each.key));
    await this.#change(client.local, account, { registrations: [...others, registration], changes });
    return key;
  }

  /** Removes one registration, or without a node all of a service. */
  async disable(username: string, { service, node }: Omit<Wish, 'options'>): Promise<void> {
    const account = await this.#accounts.get(username);
    const isMeant = (each: Registration) => each.service.full === service.full && (node === undefined || each.node === node);
    await this.#remove(username, account, isMeant);
  }

  /** The service has taken a notification. */
  async succeeded(username: string, key: string): Promise<void> {
    const account = await this.#accounts.get(username);
    const found = account.find(key);
    if (!found || (found.stored.failures === undefined && found.stored.unreachableSince === undefined)) return;
    const { failures: _, unreachableSince: __, ...healthy } = found.stored;
    await this.#replace(username, account, { found, stored: healthy });
  }

  /** It did not. Too many refusals in a row, or silence for too long, and the registration is erased (XEP-0357 section 7.1). */
  async failed(username: string, key: string, isRefusal: boolean): Promise<void> {
    const { ctx, limits } = this.#parts;
    const { maxErrors, giveUpAfter } = limits;
    const account = await this.#accounts.get(username);
    const found = account.find(key);
    if (!found) return;
    const { unreachableSince, ...rest } = found.stored;
    const failures = (rest.failures ?? 0) + (isRefusal ? 1 : 0);
    const since = isRefusal ? undefined : (unreachableSince ?? Date.now());
    const isHopeless = isRefusal ? failures >= maxErrors : Date.now() - since! >= giveUpAfter && unreachableSince !== undefined;
    if (isHopeless) {
      ctx.log.info('a push service is given up', { account: username, service: found.service.full });
      return this.#remove(username, account, (each) => each.key === key);
    }
    if (since !== undefined && since === unreachableSince) return;
    const stored = { ...rest, ...(failures > 0 && { failures }), ...(since !== undefined && { unreachableSince: since }) };
    await this.#replace(username, account, { found, stored });
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#writing);
  }

  async #load(username: string): Promise<Account> {
    const entries = [...(await this.#parts.store.entries(username))];
    const address = Jid.of(username, this.#parts.ctx.domain);
    // Another version may have taken for an address what is none now.
    const valid = entries.filter(([, { jid }]) => Jid.tryParse(jid));
    const all = valid.map(([key, stored]) => new Registration(key, stored, address));
    return new Account(all.sort((a, b) => a.stored.since - b.stored.since));
  }

  /** Those that have to go for one more. */
  #leastUsed(account: Account, client: Jid): readonly Registration[] {
    const { isConnected, limits } = this.#parts;
    const { maxPerAccount } = limits;
    const surplus = account.registrations.length - maxPerAccount + 1;
    const idle = account.registrations.filter((each) => each.client.full === client.full || !isConnected(each.client));
    if (idle.length < surplus) {
      throw new StanzaError('resource-constraint', { text: `At most ${maxPerAccount} push services can be enabled` });
    }
    return idle.slice(0, surplus);
  }

  async #remove(username: string, account: Account, isMeant: (each: Registration) => boolean): Promise<void> {
    const changes: Changes = new Map(account.registrations.filter(isMeant).map(({ key }) => [key, undefined]));
    if (changes.size === 0) return;
    const registrations = account.registrations.filter(({ key }) => !changes.has(key));
    await this.#change(username, account, { registrations, changes });
  }

  async #replace(
    username: string,
    account: Account,
    { found, stored }: { readonly found: Registration; readonly stored: StoredRegistration },
  ): Promise<void> {
    const next = new Registration(found.key, stored, found.client.bareJid);
    next.seen = found.seen;
    const registrations = account.registrations.map((each) => (each === found ? next : each));
    await this.#change(username, account, { registrations, changes: new Map([[found.key, stored]]) });
  }

  /** In the same turn in which it was decided, so that no two changes are made to the same list. */
  #change(
    username: string,
    account: Account,
    { registrations, changes }: { readonly registrations: readonly Registration[]; readonly changes: Changes },
  ): Promise<void> {
    account.registrations = registrations;
    this.#accounts.set(username, account);
    const task: Promise<void> = this.#write(username, changes).finally(() => void this.#writing.delete(task));
    this.#writing.add(task);
    return task;
  }

  async #write(username: string, changes: Changes): Promise<void> {
    const { ctx, store } = this.#parts;
    try {
      await store.update(username, changes);
    } catch (error) {
      this.#accounts.drop(username);
      throw error;
    }
    // The account may have been deleted, which ends its sessions: nothing is left behind for the next one of that name.
    if (await ctx.accounts.exists(username)) return;
    this.#accounts.drop(username);
    await store.clear(username);
  }
}

/** Databases bound their keys. */
function keyOf(service: string, node: string | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify(node === undefined ? [service] : [service, node]))
    .digest('base64url');
}

/** Whether nothing would change: clients enable their service whenever they connect. */
function isSame(before: StoredRegistration, now: StoredRegistration): boolean {
  const isHealthy = before.failures === undefined && before.unreachableSince === undefined;
  if (!isHealthy || before.resource !== now.resource || now.since - before.since >= DAY) return false;
  return JSON.stringify(before.options) === JSON.stringify(now.options);
}
