import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Cache } from '../cache.ts';
import { StanzaError } from '../stanza/errors.ts';
import type { MapStore } from '../storage/storage.ts';
import type { AccountInfo, Accounts, ScramHash, ScramKeys } from './accounts.ts';
import { HASH_LENGTH, makeKeys, preparePassword, saltPassword, storedKeyOf } from './passwords.ts';

const HASHES = ['sha1', 'sha256', 'sha512'] as const satisfies readonly ScramHash[];
/** PLAIN is checked against the cheapest. */
const PLAIN_HASH = 'sha1';
const SALT_LENGTH = 16;
const KEY = 'account';
const CACHED = 20_000;

/** One hash's keys as they are stored, in Base64. */
interface StoredKeys {
  readonly salt: string;
  readonly iterations: number;
  readonly storedKey: string;
  readonly serverKey: string;
}

/** An account as it is stored; its owner is the prepared username. */
export interface AccountRecord {
  /** Milliseconds since the epoch. */
  readonly created: number;
  readonly keys: Readonly<Record<ScramHash, StoredKeys>>;
}

/** What the accounts of a host are made of. */
export interface StoredAccountsParts {
  readonly store: MapStore<AccountRecord>;
  /** Work of each guess at a password, for passwords set from now on. */
  readonly iterations: number;
  /** A secret that outlives the process, for the salts of accounts that do not exist. */
  readonly secret: Buffer;
  /** Awaited before anything of an account is erased. Does not reject. */
  deleting(username: string): Promise<void>;
  /** Removes everything every store holds for an account, this one among them. */
  erase(username: string): Promise<void>;
  /** Told once an account is durable. */
  created(username: string): void;
  /** Told once everything of it is gone. */
  deleted(username: string): void;
}

/** Accounts in a store: SCRAM keys, never passwords. What another process sets as a password counts at once. */
export class StoredAccounts implements Accounts {
  readonly #parts: StoredAccountsParts;
  /** Whether there is such an account: asked for each message to somebody who is not there. Keys are not remembered. */
  readonly #known: Cache<boolean>;
  /** Names that are being made or removed, each with the end of it. */
  readonly #busy = new Map<string, Promise<unknown>>();
  #iterations: number;
  /** The keys of who does not exist: nothing hashes to them. */
  readonly #nobody = randomBytes(64);

  constructor(parts: StoredAccountsParts) {
    this.#parts = parts;
    this.#iterations = parts.iterations;
    this.#known = new Cache(CACHED, async (username) => (await parts.store.get(username, KEY)) !== undefined);
  }

  /** Other work for passwords that are set from now on. */
  setIterations(iterations: number): void {
    this.#iterations = iterations;
  }

  create(username: string, password: string): Promise<void> {
    return this.#alone(username, async () => {
      if ((await this.#read(username)) !== null) throw new StanzaError('conflict');
      const record = { created: Date.now(), keys: await this.#makeKeys(password) };
      // Another process may have been quicker.
      if (!(await this.#write(username, (store) => store.insert(username, KEY, record)))) throw new StanzaError('conflict');
      this.#parts.created(username);
    });
  }

  setPassword(username: string, password: string): Promise<void> {
    return this.#alone(username, async () => {
      const record = await this.#read(username);
      if (record === null) throw new StanzaError('item-not-found');
      const changed = { ...record, keys: await this.#makeKeys(password) };
      await this.#write(username, (store) => store.update(username, new Map([[KEY, changed]])));
    });
  }

  async exists(username: string): Promise<boolean> {
    return this.#known.get(username);
  }

  delete(username: string): Promise<boolean> {
    return this.#alone(username, async () => {
      if ((await this.#read(username)) === null) return false;
      await this.#remove(username);
      return true;
    });
  }

  /** Removes what is kept for a name without an account, as after a guest (XEP-0175). That of an account is left alone. */
  forget(username: string): Promise<void> {
    return this.#alone(username, async () => {
      if ((await this.#read(username)) === null) await this.#remove(username);
    });
  }

  async list(): Promise<readonly AccountInfo[]> {
    const accounts: AccountInfo[] = [];
    for (let after: string | undefined; ; ) {
      const owners = await this.#parts.store.owners(after);
      if (owners.length === 0) return accounts;
      for (const username of owners) {
        const record = await this.#parts.store.get(username, KEY);
        if (record) accounts.push({ username, created: record.created });
      }
      after = owners.at(-1)!;
    }
  }

  async scramKeys(username: string, hash: ScramHash): Promise<{ readonly keys: ScramKeys; readonly known: boolean }> {
    // Read each time, so that no answer comes sooner for a name that was asked for before.
    const record = await this.#read(username);
    const fake = this.#fakeKeys(username, hash); // also for those who exist, who would be quicker otherwise
    return record === null ? { keys: fake, known: false } : { keys: readKeys(record, hash), known: true };
  }

  async verify(username: string, password: string): Promise<boolean> {
    const { keys, known } = await this.scramKeys(username, PLAIN_HASH);
    return (await isPassword(password, keys)) && known;
  }

  async #makeKeys(password: string): Promise<AccountRecord['keys']> {
    const prepared = preparePassword(password);
    if (prepared === undefined) throw new StanzaError('not-acceptable', { text: 'This password cannot be used' });
    const entries = HASHES.map(async (hash) => {
      const keys = await makeKeys(prepared, randomBytes(SALT_LENGTH), this.#iterations, hash);
      const { salt, iterations, storedKey, serverKey } = keys;
      const stored = { salt: encode(salt), iterations, storedKey: encode(storedKey), serverKey: encode(serverKey) };
      return [hash, stored] as const;
    });
    return Object.fromEntries(await Promise.all(entries)) as AccountRecord['keys'];
  }

  /** Always the same for a name, so that asking twice does not tell that nobody has it. */
  #fakeKeys(username: string, hash: ScramHash): ScramKeys {
    const salt = createHmac('sha256', this.#parts.secret).update(`${hash}\0${username}`).digest().subarray(0, SALT_LENGTH);
    const length = HASH_LENGTH[hash];
    return {
      salt,
      iterations: this.#iterations,
      storedKey: this.#nobody.subarray(0, length),
      serverKey: this.#nobody.subarray(0, length),
    };
  }

  async #remove(username: string): Promise<void> {
    await this.#parts.deleting(username);
    try {
      await this.#parts.erase(username);
    } finally {
      this.#known.drop(username);
    }
    this.#parts.deleted(username);
  }

  /** What is stored now, whatever is remembered. */
  async #read(username: string): Promise<AccountRecord | null> {
    const record = (await this.#parts.store.get(username, KEY)) ?? null;
    this.#known.set(username, record !== null);
    return record;
  }

  async #write<T>(username: string, write: (store: MapStore<AccountRecord>) => Promise<T>): Promise<T> {
    try {
      return await write(this.#parts.store);
    } finally {
      this.#known.drop(username);
    }
  }

  /** One change of an account at a time. */
  async #alone<T>(username: string, work: () => Promise<T>): Promise<T> {
    for (let other = this.#busy.get(username); other; other = this.#busy.get(username)) await other.catch(() => undefined);
    const running = work();
    this.#busy.set(username, running);
    try {
      return await running;
    } finally {
      this.#busy.delete(username);
    }
  }
}

async function isPassword(password: string, { salt, iterations, storedKey }: ScramKeys): Promise<boolean> {
  // What cannot be prepared is no password of anybody's, but takes as long as one.
  const prepared = preparePassword(password);
  const salted = await saltPassword(prepared ?? 'x', salt, iterations, PLAIN_HASH);
  return timingSafeEqual(storedKeyOf(salted, PLAIN_HASH), storedKey) && prepared !== undefined;
}

function readKeys(record: AccountRecord, hash: ScramHash): ScramKeys {
  const { salt, iterations, storedKey, serverKey } = record.keys[hash];
  return { salt: decode(salt), iterations, storedKey: decode(storedKey), serverKey: decode(serverKey) };
}

function encode(bytes: Buffer): string {
  return bytes.toString('base64');
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
