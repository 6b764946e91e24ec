/** The hashes SCRAM is offered with. */
export type ScramHash = 'sha1' | 'sha256' | 'sha512';

/** What is stored instead of a password (RFC 5802 section 3). */
export interface ScramKeys {
  readonly salt: Buffer;
  readonly iterations: number;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** One account as `list` shows it. Times are milliseconds since the epoch. */
export interface AccountInfo {
  readonly username: string;
  readonly created: number;
}

/** The accounts of one host. Usernames are prepared localparts. Writes resolve once durable. */
export interface Accounts {
  /** Makes an account; throws StanzaError `conflict` when it exists, `not-acceptable` for a password that cannot be prepared. */
  create(username: string, password: string): Promise<void>;
  /** Throws StanzaError `item-not-found` when there is no such account. */
  setPassword(username: string, password: string): Promise<void>;
  exists(username: string): Promise<boolean>;
  /** Removes the account, once modules have taken leave of it, and everything every store holds for it. True when there was one. */
  delete(username: string): Promise<boolean>;
  list(): Promise<readonly AccountInfo[]>;
  /** The keys for SCRAM; for an unknown name stable fake ones, so that answer and timing tell nothing. */
  scramKeys(username: string, hash: ScramHash): Promise<{ readonly keys: ScramKeys; readonly known: boolean }>;
  /** Checks a password, with the same work for an unknown name. */
  verify(username: string, password: string): Promise<boolean>;
}
