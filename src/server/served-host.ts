import { isDeepStrictEqual } from 'node:util';
import { countLogins } from '../auth/count-logins.ts';
import type { C2sServer } from '../c2s/c2s-server.ts';
import type { C2sStream } from '../c2s/stream.ts';
import type { HostConfig } from '../config/server-config.ts';
import { Host, type HostSettings } from '../host/host.ts';
import type { Log } from '../log.ts';
import type { ModuleServices } from '../module/context.ts';
import { type Enabled, ModuleHost } from '../module/loader.ts';
import type { AnyModule } from '../module/module.ts';
import type { Router } from '../router/router.ts';
import { type StreamCondition, StreamError } from '../stanza/errors.ts';
import { watchHost } from './figures.ts';
import { Guests } from './guests.ts';
import type { CoreLogin, HostLogin } from './login.ts';

/** What a host needs of the server. */
export interface HostParts {
  readonly c2s: C2sServer;
  readonly router: Router;
  readonly services: ModuleServices;
  readonly login: CoreLogin;
  readonly log: Log;
}

/** One domain that is served: its host, accounts and modules, taken up and changed as the config says. */
export class ServedHost {
  readonly host: Host;
  readonly modules: ModuleHost;
  config: HostConfig;
  readonly #login: HostLogin;
  readonly #parts: HostParts;
  readonly #guests: Guests;
  readonly #giveBack: (() => void)[] = [];
  #mechanisms: readonly (() => void)[] = [];

  /** Makes a host in which nothing runs yet. */
  static async create(config: HostConfig, parts: HostParts): Promise<ServedHost> {
    let served: ServedHost | undefined;
    const log = parts.log.child({ host: config.domain });
    const login = await parts.login.openHost(config, log, {
      created: (username) => served?.host.signals.accountCreated.emit({ username }),
      deleting: async (username) => served?.host.prepareDeletion(username),
      deleted: (username) => served?.host.signals.accountDeleted.emit({ username }),
    });
    served = new ServedHost(config, login, log, parts);
    return served;
  }

  private constructor(config: HostConfig, login: HostLogin, log: Log, parts: HostParts) {
    this.config = config;
    this.#login = login;
    this.#parts = parts;
    this.host = new Host(config.domain, { config: settingsOf(config), accounts: login.accounts, router: parts.router, log });
    this.modules = new ModuleHost(this.host, parts.services);
    this.#guests = new Guests(this.host, (username) => login.accounts.forget(username));
    // Later than the answer to whoever deleted it: that one may be about to be sent over one of these streams.
    this.host.signals.accountDeleted.add(({ username }) => void setImmediate(() => this.closeAccount(username)));
  }

  /** Starts the modules and lets clients in. Throws what keeps a module from starting, with everything given back. */
  async start(modules: ReadonlyMap<string, AnyModule>): Promise<void> {
    await this.modules.apply(enabledOf(this.config, modules));
    this.#offer(this.config);
    const { c2s, router, services } = this.#parts;
    this.#giveBack.push(router.serve(this.host.domain, this.host), watchHost(services.metrics, c2s, this.host));
  }

  /**
   * Takes up another config of this host. Clients stay. Throws what keeps a module from starting; then the modules run as before,
   * and nothing else has changed either.
   */
  async apply(config: HostConfig, modules: ReadonlyMap<string, AnyModule>): Promise<void> {
    await this.modules.apply(enabledOf(config, modules));
    this.host.config = settingsOf(config);
    this.#login.accounts.setIterations(config.authentication.scramIterations);
    if (!isDeepStrictEqual(config.authentication, this.config.authentication)) this.#offer(config);
    this.config = config;
  }

  /** Stops the modules, and is not served any more. Its clients are gone already. */
  async stop(): Promise<void> {
    for (const giveBack of this.#giveBack.splice(0)) giveBack();
    await this.#guests.settled();
    await this.modules.stop();
    this.#withdraw();
    this.host.questions.close();
  }

  /** Sends all clients of this host away. */
  closeAll(condition: StreamCondition, text?: string): void {
    this.#close(
      () => true,
      () => new StreamError(condition, { text }),
    );
  }

  /** Sends the clients of an account away that is gone (XEP-0077 section 3.2). */
  closeAccount(username: string): void {
    this.#close(
      (stream) => stream.username === username,
      () => new StreamError('not-authorized', { text: 'The account was removed' }),
    );
  }

  #close(isMeant: (stream: C2sStream) => boolean, error: () => StreamError): void {
    for (const stream of [...this.#parts.c2s.streams]) if (stream.host === this.host && isMeant(stream)) stream.close(error());
  }

  #offer(config: HostConfig): void {
    this.#withdraw();
    const { services } = this.#parts;
    this.#mechanisms = this.#login
      .mechanisms(config)
      .map((mechanism) => this.host.login.add(countLogins(mechanism, services.metrics)));
  }

  #withdraw(): void {
    for (const giveBack of this.#mechanisms) giveBack();
    this.#mechanisms = [];
  }
}

function settingsOf({ authentication, sessions, admins }: HostConfig): HostSettings {
  const { requireEncryption, trustLoopback } = authentication;
  return { requireEncryption, trustLoopback, ...sessions, admins };
}

function enabledOf({ modules: sections }: HostConfig, modules: ReadonlyMap<string, AnyModule>): readonly Enabled[] {
  return [...sections].map(([name, config]) => ({ module: modules.get(name)!, config }));
}
