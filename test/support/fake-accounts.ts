import type { AccountInfo, Accounts, ScramHash, ScramKeys } from '../../src/auth/accounts.ts';
import { StanzaError } from '../../src/stanza/errors.ts';

/** Accounts in memory, for tests that are not about authentication: passwords are kept as they are. */
export class FakeAccounts implements Accounts {
  readonly #passwords = new Map<string, string>();
  readonly #erase: (username: string) => Promise<void>;

  constructor(erase: (username: string) => Promise<void>) {
    this.#erase = erase;
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
    const existed = this.#passwords.delete(username);
    if (existed) await this.#erase(username);
    return existed;
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
}
