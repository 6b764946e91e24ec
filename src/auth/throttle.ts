import type { Log } from '../log.ts';
import { isLoopback, neighbourhood } from '../net/addresses.ts';
import { SaslError } from '../stanza/errors.ts';

/** What mechanisms ask before they do any work, and tell afterwards. */
export interface Guard {
  /** Throws SaslError `temporary-auth-failure` for who has failed too often. */
  check(username: string, address: string): void;
  failed(username: string, address: string): void;
  succeeded(username: string, address: string): void;
}

/** How often log-ins may fail. */
export interface ThrottleSettings {
  /** For one account from one address. */
  readonly perAccount: number;
  /** From one address, for all accounts together. */
  readonly perAddress: number;
  /** Milliseconds in which failures are counted. */
  readonly period: number;
  readonly exemptLoopback: boolean;
}

const MAX_ENTRIES = 50_000;

/** Failures since a time. */
interface Entry {
  readonly since: number;
  count: number;
}

/**
 * Limits guessing: by account and address together, and by address, so that nobody can lock somebody else out. Remembers a bounded
 * number of addresses, and forgets those first that have not failed for longest.
 */
export class Throttle {
  settings: ThrottleSettings;
  readonly #entries = new Map<string, Entry>();
  readonly #now: () => number;

  constructor(settings: ThrottleSettings, now: () => number = () => performance.now()) {
    this.settings = settings;
    this.#now = now;
  }

  /** The guard of one host. */
  guard(domain: string, log: Log): Guard {
    const account = (username: string, group: string) => `${domain}\n${username}\n${group}`;
    return {
      check: (username, address) => {
        if (this.#isExempt(address)) return;
        const group = neighbourhood(address);
        const { perAccount, perAddress } = this.settings;
        if (this.#count(account(username, group)) < perAccount && this.#count(group) < perAddress) return;
        log.warn('a log-in was put off after too many failures', { username, address });
        throw new SaslError('temporary-auth-failure', 'Too many failed attempts; try again later');
      },
      failed: (username, address) => {
        log.warn('a log-in failed', { username, address });
        if (this.#isExempt(address)) return;
        const group = neighbourhood(address);
        this.#raise(account(username, group));
        this.#raise(group);
      },
      succeeded: (username, address) => {
        log.info('logged in', { username, address });
        this.#entries.delete(account(username, neighbourhood(address)));
      },
    };
  }

  /** How many addresses and accounts are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  #isExempt(address: string): boolean {
    return this.settings.exemptLoopback && isLoopback(address);
  }

  #count(key: string): number {
    const entry = this.#entries.get(key);
    if (!entry) return 0;
    if (this.#now() - entry.since < this.settings.period) return entry.count;
    this.#entries.delete(key);
    return 0;
  }

  #raise(key: string): void {
    const count = this.#count(key);
    const entry = this.#entries.get(key) ?? { since: this.#now(), count: 0 };
    entry.count = count + 1;
    // Moved to the end, since the first are forgotten first.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > MAX_ENTRIES) this.#entries.delete(this.#entries.keys().next().value!);
  }
}
