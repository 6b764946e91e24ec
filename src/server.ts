import { isDeepStrictEqual } from 'node:util';
import { C2sServer } from './c2s/c2s-server.ts';
import type { HostConfig, ServerConfig } from './config/server-config.ts';
import type { Host } from './host/host.ts';
import type { Jid } from './jid.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import type { AnyModule } from './module/module.ts';
import type { LocalRouter } from './router/local-router.ts';
import { watchStreams, watchTraffic } from './server/figures.ts';
import { routeBetween } from './server/host-router.ts';
import { limitsOf } from './server/limits.ts';
import type { ListenerInfo } from './server/listeners.ts';
import { Resources } from './server/resources.ts';
import { ServedHost } from './server/served-host.ts';
import { Traffic } from './traffic.ts';

/** What a server is made of, besides its config. */
export interface ServerParts {
  /** Every module that the config names, by name. */
  readonly modules: ReadonlyMap<string, AnyModule>;
  readonly log: Log;
}

/** How a host is doing. */
export interface HostInfo {
  readonly domain: string;
  /** Bound clients. */
  readonly sessions: number;
  /** The modules that run, in the order they were started. */
  readonly modules: readonly string[];
}

const PING_PATIENCE = 5000;

/** A whole server: its hosts with their modules, its storage and certificates, and the places where it listens. */
export class Server {
  readonly metrics = new Metrics();
  readonly traffic = new Traffic();
  readonly c2s: C2sServer;
  readonly #log: Log;
  readonly #hosts = new Map<string, Host>();
  readonly #served = new Map<string, ServedHost>();
  readonly #router: LocalRouter;
  #config: ServerConfig;
  #modules: ReadonlyMap<string, AnyModule>;
  #resources: Resources | undefined = undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #stopping: Promise<void> | undefined = undefined;

  constructor(config: ServerConfig, { modules, log }: ServerParts) {
    this.#config = config;
    this.#modules = modules;
    this.#log = log;
    this.#router = routeBetween(this.#hosts, log);
    this.c2s = new C2sServer({
      hosts: this.#hosts,
      limits: limitsOf(config.limits),
      traffic: this.traffic,
      log,
      hasCertificate: (domain) => this.#resources?.certificates.has(domain) ?? false,
    });
    watchStreams(this.metrics, this.c2s);
    watchTraffic(this.metrics, this.traffic);
  }

  /** The config in force. */
  get config(): ServerConfig {
    return this.#config;
  }

  /** Where it listens. */
  get listeners(): readonly ListenerInfo[] {
    return this.#resources?.listeners.open ?? [];
  }

  /** A host that is served, by its prepared domain. */
  host(domain: string): Host | undefined {
    return this.#hosts.get(domain);
  }

  /** All hosts, as they are doing. */
  describeHosts(): readonly HostInfo[] {
    const sessions = new Map<Host, number>();
    for (const { session } of this.c2s.streams) if (session) sessions.set(session.host, (sessions.get(session.host) ?? 0) + 1);
    return [...this.#served.values()].map(({ host, modules }) => {
      return { domain: host.domain, sessions: sessions.get(host) ?? 0, modules: modules.running };
    });
  }

  /**
   * Starts everything: storage, certificates, hosts and their modules, and only then the listeners. Rejects with what went wrong
   * (ConfigError where the config is to blame), after giving back what had been taken.
   */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      this.metrics.watchProcess();
      try {
        this.#resources = await Resources.open(this.#config, {
          c2s: this.c2s,
          metrics: this.metrics,
          log: this.#log,
          findProblems: () => this.findProblems(),
        });
        for (const config of this.#config.hosts.values()) await this.#addHost(config, this.#modules);
        await this.#resources.listen(this.#config);
      } catch (error) {
        await this.#giveBack();
        throw error;
      }
    });
  }

  /**
   * Takes up another config, which was checked, with the modules it can name. Clients stay, but for those of hosts that are gone.
   * Returns what is only in force after a restart, in words. Rejects with what cannot be had; then the old config is in force.
   */
  reload(config: ServerConfig, modules: ReadonlyMap<string, AnyModule>): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      const before = { config: this.#config, modules: this.#modules };
      const next = { ...config, data: before.config.data, storage: before.config.storage };
      try {
        await this.#change(next, modules);
      } catch (error) {
        await this.#change(before.config, before.modules).catch((fault: unknown) =>
          this.#log.error('the old config is not wholly in force', { error: fault }),
        );
        throw error;
      }
      return findRestarts(before.config, config);
    });
  }

  /**
   * Stops and starts one module, and what depends on it, on every host that has it; clients stay. Returns the domains of these hosts,
   * none where no such module runs. Rejects with what keeps it from starting; then it runs as before.
   */
  restartModule(name: string): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      const having = [...this.#served.values()].filter(({ modules }) => modules.running.includes(name));
      for (const { modules } of having) await modules.restart(name);
      return having.map(({ host }) => host.domain);
    });
  }

  /**
   * Ends in good order: listens no more, sends the clients away, lets modules and writes finish, closes the storage. Each part has
   * the grace of the config; what takes longer is cut off. May be called again, and never rejects.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#inTurn(async () => {
      const { grace, seeOtherHost } = this.#config.shutdown;
      this.#resources?.listeners.close();
      this.c2s.seeOtherHost = seeOtherHost;
      await this.c2s.drain(grace);
      await this.#giveBack();
    });
    return this.#stopping;
  }

  /** What keeps this server from doing its work, in words; nothing when all is well. */
  async findProblems(): Promise<readonly string[]> {
    if (!this.#resources || this.#stopping) return ['the server is not running'];
    const problems: string[] = [];
    const answered = this.#resources.storage.ping().then(
      () => true,
      () => false,
    );
    if (!(await within(PING_PATIENCE, answered))) problems.push('the storage does not answer');
    if (this.#config.listeners.length > 0 && this.listeners.length === 0) problems.push('nothing is listened on');
    return problems;
  }

  /** Deletes an account with everything that is kept for it, and sends its clients away. True when there was one. */
  async deleteAccount(jid: Jid): Promise<boolean> {
    const served = this.#served.get(jid.domain);
    if (!served) return false;
    // First, too: what they might still write would be found by whoever takes the name next.
    served.closeAccount(jid.local);
    return served.host.accounts.delete(jid.local);
  }

  async #change(config: ServerConfig, modules: ReadonlyMap<string, AnyModule>): Promise<void> {
    const resources = this.#resources;
    if (!resources) throw new Error('the server is not running');
    await resources.prepare(config);
    for (const host of config.hosts.values()) {
      const served = this.#served.get(host.domain);
      if (served) await served.apply(host, modules);
      else await this.#addHost(host, modules);
    }
    await resources.listen(config);
    resources.configure(config);
    this.c2s.limits = limitsOf(config.limits);
    for (const domain of [...this.#served.keys()]) if (!config.hosts.has(domain)) await this.#removeHost(domain);
    this.#config = config;
    this.#modules = modules;
  }

  async #addHost(config: HostConfig, modules: ReadonlyMap<string, AnyModule>): Promise<void> {
    const resources = this.#resources!;
    const { storage, site: http, endpoints, login } = resources;
    const parts = {
      c2s: this.c2s,
      router: this.#router,
      log: this.#log,
      login,
      services: {
        c2s: this.c2s,
        storage,
        http,
        endpoints,
        metrics: this.metrics,
        folder: (module: string, domain: string) => resources.folder(module, domain),
      },
    };
    const served = await ServedHost.create(config, parts);
    await served.start(modules);
    this.#served.set(config.domain, served);
    this.#hosts.set(config.domain, served.host);
  }

  async #removeHost(domain: string): Promise<void> {
    const served = this.#served.get(domain);
    this.#hosts.delete(domain);
    this.#served.delete(domain);
    // RFC 6120 section 4.9.3.5: the domain is not served any more.
    served?.closeAll('host-gone');
    await served?.stop();
  }

  async #giveBack(): Promise<void> {
    const { grace } = this.#config.shutdown;
    const resources = this.#resources;
    this.#resources = undefined;
    this.c2s.stop();
    resources?.listeners.close();
    for (const domain of [...this.#served.keys()].reverse()) await this.#removeHost(domain);
    if (
      resources &&
      !(await within(
        grace,
        resources.close().then(() => true),
      ))
    )
      this.#log.error('the storage did not close in time');
    this.metrics.close();
  }

  /** One change of the whole server at a time, in the order they were asked for. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

/** What a config says that this server can only take up when it starts. */
function findRestarts(before: ServerConfig, after: ServerConfig): readonly string[] {
  const notes: string[] = [];
  if (!isDeepStrictEqual(before.storage, after.storage))
    notes.push('storage is taken up at the next start; until then it is as it was');
  if (before.data !== after.data) notes.push('data is taken up at the next start; until then it is as it was');
  if (before.log.format !== after.log.format) notes.push('log.format is taken up at the next start; until then it is as it was');
  return notes;
}

/** What the task gives, or undefined when it takes longer. */
async function within<T>(milliseconds: number, task: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<undefined>((resolve) => (timer = setTimeout(resolve, milliseconds, undefined)));
  try {
    return await Promise.race([task, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
