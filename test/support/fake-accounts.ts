import type { AccountInfo, Accounts, ScramHash, ScramKeys } from '../../src/auth/accounts.ts';
import type { StoredAccountsParts } from '../../src/auth/stored-accounts.ts';
import { StanzaError } from '../../src/stanza/errors.ts';

/** What they are made of: those of StoredAccounts that are about their end. */
export type FakeAccountsParts = Pick<StoredAccountsParts, 'deleting' | 'erase' | 'deleted'>;

/** Accounts in memory, for tests that are not about authentication: passwords are kept as they are. */
export class FakeAccounts implements Accounts {
  readonly #passwords = new Map<string, string>();
  readonly #parts: FakeAccountsParts;

  constructor(parts: FakeAccountsParts) {
    this.#parts = parts;
  }

  async create(username: string, password: string): Promise<void> {
    if (this.#passwords.has(username)) throw new StanzaError('conflict');
    this.#passwords.set(username, password);
  }

  async setPassword(username: string, password: string): Promise<void> {
    if (!this.#passwords.has(username)) throw new StanzaError('item-not-found');
    this.#passwords.set(username, password);
  }

  async exists(username: string): Promise<boolean> {
    return this.#passwords.has(username);
  }

  async delete(username: string): Promise<boolean> {
    if (!this.#passwords.has(username)) return false;
    await this.#remove(username);
    return true;
  }

  /** As StoredAccounts do. */
  async forget(username: string): Promise<void> {
    if (!this.#passwords.has(username)) await this.#remove(username);
  }

  async list(): Promise<readonly AccountInfo[]> {
    return [...this.#passwords.keys()].map((username) => ({ username, created: 0 }));
  }

  scramKeys(_username: string, _hash: ScramHash): Promise<{ readonly keys: ScramKeys; readonly known: boolean }> {
    throw new Error('not part of this test');
  }

  async verify(username: string, password: string): Promise<boolean> {
    return this.#passwords.get(username) === password;
  }

  async #remove(username: string): Promise<void> {
    await this.#parts.deleting(username);
    this.#passwords.delete(username);
    await this.#parts.erase(username);
    this.#parts.deleted(username);
  }
}
