import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bind } from '../../src/c2s/bind.ts';
import { type C2sLimits, C2sServer } from '../../src/c2s/c2s-server.ts';
import { Host, type HostSettings } from '../../src/host/host.ts';
import { Jid } from '../../src/jid.ts';
import { type Log, silent } from '../../src/log.ts';
import { Metrics } from '../../src/metrics.ts';
import type { HttpRoutes } from '../../src/module/context.ts';
import { ModuleHost } from '../../src/module/loader.ts';
import type { AnyModule, Endpoints } from '../../src/module/module.ts';
import type { HttpHandler } from '../../src/net/http.ts';
import { HttpSite } from '../../src/net/http-routes.ts';
import { LocalRouter } from '../../src/router/local-router.ts';
import { Guests } from '../../src/server/guests.ts';
import { openStorage } from '../../src/storage/open.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { Traffic } from '../../src/traffic.ts';
import { FakeAccounts } from './fake-accounts.ts';
import { FakeTransport } from './fake-transport.ts';
import { Probe, settle } from './probe.ts';

const XML = { maxBytes: 262_144, maxDepth: 64, maxAttributes: 64, maxElements: 4096 };

/** Limits that no test meets by accident. */
export const roomyLimits: C2sLimits = {
  beforeLogin: XML,
  afterLogin: XML,
  bytesPerSecond: 0,
  burstBytes: 0,
  stanzasPerTurn: 100,
  queueBytes: 1 << 20,
  loginTimeout: 60_000,
  stanzaTimeout: 60_000,
  keepalive: 0,
  idleSeconds: 0,
};

/** How a test host differs from the usual one. */
export interface HostOptions {
  readonly domain?: string;
  /** Sections of the modules by name; parsed by their own schemas. */
  readonly modules?: Readonly<Record<string, unknown>>;
  readonly settings?: Partial<HostSettings>;
  readonly limits?: Partial<C2sLimits>;
  /** Faults are thrown at the test unless it brings its own log. */
  readonly log?: Log;
  readonly storage?: Storage;
  /** Where its HTTP listeners would take clients. */
  readonly endpoints?: Endpoints;
}

/** A host with modules, without sockets: clients log in as Probes. */
export class TestHost {
  readonly host: Host;
  readonly modules: ModuleHost;
  readonly c2s: C2sServer;
  readonly storage: Storage;
  readonly routes: Map<string, HttpHandler>;
  /** The same as the HTTP listeners see it. */
  readonly site: HttpSite;
  readonly guests: Guests;
  /** Errors that were logged: faults of ours. `stop` fails when there are any. */
  readonly faults: unknown[];
  /** Those that modules have asked for; they go when the host stops. */
  readonly folders: readonly string[];

  constructor(
    parts: Pick<TestHost, 'host' | 'modules' | 'c2s' | 'storage' | 'routes' | 'site' | 'guests' | 'faults' | 'folders'>,
  ) {
    this.host = parts.host;
    this.modules = parts.modules;
    this.c2s = parts.c2s;
    this.storage = parts.storage;
    this.routes = parts.routes;
    this.site = parts.site;
    this.guests = parts.guests;
    this.faults = parts.faults;
    this.folders = parts.folders;
  }

  /** Makes the account when there is none, and binds a client of it. */
  async login(username: string, resource?: string): Promise<Probe> {
    if (!(await this.host.accounts.exists(username))) await this.host.accounts.create(username, 'secret');
    return this.#bind(username, resource, false);
  }

  /** Binds an anonymous client, whose name is made up. */
  loginAsGuest(): Promise<Probe> {
    return this.#bind(randomBytes(16).toString('hex'), undefined, true);
  }

  async #bind(username: string, resource: string | undefined, isAnonymous: boolean): Promise<Probe> {
    const { stream, transport } = this.connect();
    stream.authenticate(username, isAnonymous);
    const session = await bind(stream, resource);
    const probe = new Probe(session, transport);
    this.host.signals.sessionBound.emit(session);
    return probe;
  }

  /** Logs in and sends initial presence; what comes back for it is thrown away. */
  async online(username: string, resource?: string): Promise<Probe> {
    const probe = await this.login(username, resource);
    probe.send('<presence/>');
    await settle();
    probe.take();
    return probe;
  }

  /** A stream that has been opened, before log-in. What was sent so far is in `transport.sent`. `prepare` sees the line first. */
  connect(prepare: (transport: FakeTransport) => void = () => {}): {
    stream: ReturnType<C2sServer['accept']>;
    transport: FakeTransport;
  } {
    const transport = new FakeTransport();
    prepare(transport);
    const stream = this.c2s.accept(transport);
    transport.feed(`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='${this.host.domain}' version='1.0'/>`);
    return { stream, transport };
  }

  jid(text: string): Jid {
    return Jid.parse(text);
  }

  async stop(): Promise<void> {
    await this.c2s.drain(0);
    this.c2s.stop();
    await settle();
    await this.guests.settled();
    await this.modules.stop();
    this.host.questions.close();
    await this.storage.close();
    for (const folder of this.folders) await rm(folder, { recursive: true, force: true });
    if (this.faults.length > 0) throw new Error(`faults were logged: ${this.faults.map(describe).join('\n')}`);
  }
}

/** Starts a host with these modules on a storage in memory. */
export async function startHost(modules: readonly AnyModule[], options: HostOptions = {}): Promise<TestHost> {
  const domain = options.domain ?? 'example.org';
  const faults: unknown[] = [];
  const log = options.log ?? collect(faults);
  const storage = options.storage ?? (await openStorage({ type: 'memory' }, silent));
  const router = new LocalRouter(log, (env) => host.toRemote(env));
  const config: HostSettings = {
    requireEncryption: true,
    trustLoopback: false,
    deliverToAll: true,
    resourceConflict: 'replace',
    resourcesPerAccount: 10,
    admins: [],
    ...options.settings,
  };
  const accounts = new FakeAccounts({
    deleting: (username) => host.prepareDeletion(username),
    erase: (username) => storage.erase(domain, username),
    deleted: (username) => host.signals.accountDeleted.emit({ username }),
  });
  const host: Host = new Host(domain, { config, accounts, router, log });
  router.serve(domain, host);
  const guests = new Guests(host, (username) => accounts.forget(username));
  const routes = new Map<string, HttpHandler>();
  const site = new HttpSite([domain]);
  const http: HttpRoutes = {
    add(at, path, handler, route) {
      const giveBack = site.add(at, path, handler, route);
      routes.set(path, handler);
      return () => {
        giveBack();
        routes.delete(path);
      };
    },
  };
  const endpoints = options.endpoints ?? { websocket: '/xmpp-websocket', bosh: '/http-bind' };
  const c2s = new C2sServer({
    hosts: new Map([[domain, host]]),
    limits: { ...roomyLimits, ...options.limits },
    traffic: new Traffic(),
    log,
    hasCertificate: () => true,
  });
  const folders: string[] = [];
  const folder = async () => {
    const made = await mkdtemp(join(tmpdir(), 'parlance-host-'));
    folders.push(made);
    return made;
  };
  const moduleHost = new ModuleHost(host, { c2s, storage, metrics: new Metrics(), http, endpoints, folder });
  await moduleHost.apply(
    modules.map((module) => ({
      module,
      config: module.config.parse(options.modules?.[module.name] ?? {}, `modules.${module.name}`),
    })),
  );
  return new TestHost({ host, modules: moduleHost, c2s, storage, routes, site, guests, faults, folders });
}

function collect(faults: unknown[]): Log {
  const log: Log = { ...silent, error: (text, detail) => void faults.push({ text, ...detail }), child: () => log };
  return log;
}

function describe(fault: unknown): string {
  const { text, error } = fault as { text: string; error?: unknown };
  return `${text}: ${error instanceof Error ? error.stack : String(error)}`;
}
