import { createHmac } from 'node:crypto';
import { createMechanisms } from '../auth/mechanisms.ts';
import type { SaslMechanism } from '../auth/sasl.ts';
import { serverSecret } from '../auth/server-secret.ts';
import { type AccountRecord, StoredAccounts } from '../auth/stored-accounts.ts';
import { Throttle, type ThrottleSettings } from '../auth/throttle.ts';
import type { HostConfig, ServerConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';
import { mapStore, type Storage } from '../storage/storage.ts';

/** The core's own place among the stores of modules; no module may have this name. */
export const CORE = 'core';
const SECRET = 'login';

/** Who is told of what becomes of accounts. */
export interface AccountListener {
  /** It is durable. */
  created(username: string): void;
  /** It is about to be erased; awaited. Does not reject. */
  deleting(username: string): Promise<void>;
  /** Everything of it is gone. */
  deleted(username: string): void;
}

/** How the clients of one host log in. */
export interface HostLogin {
  readonly accounts: StoredAccounts;
  /** The mechanisms that a config of this host switches on. */
  mechanisms(config: HostConfig): readonly SaslMechanism[];
}

/** How clients log in, on all hosts: accounts in the database, and one limit on guessing for everybody. */
export class CoreLogin {
  readonly #storage: Storage;
  readonly #secret: Buffer;
  readonly #throttle: Throttle;

  /** Rejects when the secret in the data folder can be neither read nor made, with an Error that says so. */
  static async open(config: ServerConfig, storage: Storage): Promise<CoreLogin> {
    return new CoreLogin(storage, await serverSecret(config.data, SECRET), new Throttle(throttleOf(config)));
  }

  private constructor(storage: Storage, secret: Buffer, throttle: Throttle) {
    this.#storage = storage;
    this.#secret = secret;
    this.#throttle = throttle;
  }

  /** Opens the accounts of a host. */
  async openHost(config: HostConfig, log: Log, listener: AccountListener): Promise<HostLogin> {
    const { domain } = config;
    const { accounts: store } = await this.#storage.open(domain, CORE, { accounts: mapStore<AccountRecord>() });
    const accounts = new StoredAccounts({
      store,
      iterations: config.authentication.scramIterations,
      // Another one for each host: a name that has the same salt on two of them would be nobody's.
      secret: createHmac('sha256', this.#secret).update(domain).digest(),
      erase: (username) => this.#storage.erase(domain, username),
      deleting: (username) => listener.deleting(username),
      created: (username) => listener.created(username),
      deleted: (username) => listener.deleted(username),
    });
    const guard = this.#throttle.guard(domain, log);
    return { accounts, mechanisms: ({ authentication }) => createMechanisms(authentication, guard) };
  }

  /** Takes up other limits on guessing. */
  configure(config: ServerConfig): void {
    this.#throttle.settings = throttleOf(config);
  }
}

function throttleOf({ limits }: ServerConfig): ThrottleSettings {
  return { ...limits.loginFailures, exemptLoopback: limits.exemptLoopback };
}
