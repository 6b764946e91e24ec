import type { C2sServer } from '../c2s/c2s-server.ts';
import { writeFooter, writeHeader } from '../c2s/header.ts';
import type { CertificateConfig, ListenerConfig, ServerConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Endpoints } from '../module/module.ts';
import { AddressLimits, type Refusal } from '../net/address-limits.ts';
import { isLoopback, TrustedProxies } from '../net/addresses.ts';
import { BoshEndpoint, type BoshParts } from '../net/bosh.ts';
import { type CertificateParts, CertificateStore } from '../net/certificates.ts';
import type { HttpHandler } from '../net/http.ts';
import { HttpListener } from '../net/http-listener.ts';
import { HttpSite } from '../net/http-routes.ts';
import { serveHealth, serveMetrics } from '../net/monitoring.ts';
import { TcpListener } from '../net/tcp.ts';
import { WebSocketEndpoint, type WebSocketParts } from '../net/websocket.ts';
import { asciiDomain } from '../precis/domain.ts';
import { StreamError } from '../stanza/errors.ts';
import { openStorage } from '../storage/open.ts';
import type { Storage } from '../storage/storage.ts';
import { serialize } from '../xml/serialize.ts';
import { toWire } from '../xml/wire.ts';
import { watchStorage } from './figures.ts';
import { moduleFolder } from './folders.ts';
import { limitsOf } from './limits.ts';
import { type ListenerInfo, Listeners, type Listening } from './listeners.ts';
import { CoreLogin } from './login.ts';

/** What resources are made for. */
export interface ResourceUser {
  readonly c2s: C2sServer;
  readonly metrics: Metrics;
  readonly log: Log;
  /** What keeps the server from doing its work; nothing when all is well. */
  findProblems(): Promise<readonly string[]>;
}

/** What a running server has taken from the system, and gives back: database, certificates, ports. */
export class Resources {
  readonly storage: Storage;
  readonly certificates: CertificateStore;
  readonly login: CoreLogin;
  /** What modules serve over HTTP. */
  readonly site: HttpSite;
  readonly listeners: Listeners;
  /** Where clients reach the HTTP listeners, by the config in force. */
  readonly endpoints: Endpoints;
  readonly #user: ResourceUser;
  readonly #limits: AddressLimits;
  readonly #websocket: WebSocketEndpoint;
  readonly #bosh: BoshEndpoint;
  readonly #health: HttpHandler;
  readonly #unwatch: () => void;
  #config: ServerConfig;

  /** Opens the database and the certificates. Rejects with what cannot be had, and then keeps nothing. Nothing is listened on yet. */
  static async open(config: ServerConfig, user: ResourceUser): Promise<Resources> {
    const storage = await openStorage(config.storage, user.log);
    try {
      const certificates = await CertificateStore.open(certificateParts(config, user.log));
      const login = await CoreLogin.open(config, storage);
      return new Resources(config, user, { storage, certificates, login });
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  private constructor(config: ServerConfig, user: ResourceUser, opened: Pick<Resources, 'storage' | 'certificates' | 'login'>) {
    const { metrics, log } = user;
    this.#config = config;
    this.#user = user;
    this.storage = opened.storage;
    this.certificates = opened.certificates;
    this.login = opened.login;
    this.site = new HttpSite(config.hosts.keys());
    this.endpoints = this.#makeEndpoints();
    this.listeners = new Listeners((listener) => this.#listen(listener), log);
    this.#limits = new AddressLimits(config.limits, log);
    this.#unwatch = watchStorage(metrics, this.storage);
    this.#health = serveHealth(async () => ({ ok: (await user.findProblems()).length === 0 }));
    this.#websocket = new WebSocketEndpoint(this.#webSocketParts());
    this.#bosh = new BoshEndpoint(this.#boshParts());
    this.certificates.watch();
  }

  /** Takes up certificates of another config. Rejects where they are wrong, and then has those of before. */
  async prepare(config: ServerConfig): Promise<void> {
    await this.certificates.configure(certificateParts(config, this.#user.log));
  }

  /** Listens as a config says. Rejects with ConfigError for what cannot be had; then it listens as before. */
  async listen(config: ServerConfig): Promise<void> {
    const before = this.#config;
    this.#config = config;
    try {
      await this.listeners.apply(config.listeners, {
        http: config.http,
        proxies: config.trustedProxies,
        metrics: config.metrics,
      });
    } catch (error) {
      this.#config = before;
      throw error;
    }
  }

  /** Takes up limits, ways to log in and the domains of another config. */
  configure(config: ServerConfig): void {
    this.#config = config;
    this.#limits.config = config.limits;
    this.login.configure(config);
    this.site.serve(config.hosts.keys());
  }

  /** Gives everything back, once writes under way are done. Never rejects. */
  async close(): Promise<void> {
    this.listeners.close();
    this.listeners.destroy();
    this.#websocket.close();
    this.certificates.close();
    this.#unwatch();
    try {
      await this.storage.close();
    } catch (error) {
      this.#user.log.error('the storage did not close cleanly', { error });
    }
  }

  async #listen(config: ListenerConfig): Promise<Listening> {
    const { log, c2s, metrics } = this.#user;
    const { certificates, site } = this;
    const proxies = new TrustedProxies(this.#config.trustedProxies);
    const common = { certificates, proxies, log, limits: this.#limits };
    if (config.type === 'c2s' || config.type === 'c2s-tls') {
      const listener = new TcpListener({
        ...common,
        config,
        accept: (transport) => void c2s.accept(transport),
        refused: writeRefusal,
      });
      await listener.listen();
      return listener;
    }
    const tokens = this.#config.metrics.tokens.map((token) => token.reveal());
    const listener = new HttpListener({
      ...common,
      config,
      site,
      http: this.#config.http,
      websocket: this.#websocket,
      bosh: this.#bosh,
      health: this.#health,
      metrics: serveMetrics(metrics, tokens),
    });
    await listener.listen();
    return listener;
  }

  #makeEndpoints(): Endpoints {
    const config = () => this.#config;
    return {
      get websocket() {
        return config().http.websocket;
      },
      get bosh() {
        return config().http.bosh;
      },
      site: (domain) => siteOf(this.listeners.open, domain),
    };
  }

  /** Where a module keeps files of one host. */
  folder(module: string, domain: string): Promise<string> {
    return moduleFolder(this.#config.data, module, domain);
  }

  /** Read anew at each connection, so that a reload counts from the next one on. */
  #webSocketParts(): WebSocketParts {
    const config = () => this.#config;
    return {
      accept: (transport) => void this.#user.c2s.accept(transport),
      leave: (address) => this.#limits.leave(address),
      certificates: this.certificates,
      get origins() {
        return config().http.origins;
      },
      get maxBytes() {
        return config().limits.stanzaBytesBeforeLogin;
      },
    };
  }

  /** As above. */
  #boshParts(): BoshParts {
    const config = () => this.#config;
    return {
      accept: (transport) => void this.#user.c2s.accept(transport),
      enter: (address) => this.#limits.enter(address) === undefined,
      leave: (address) => this.#limits.leave(address),
      get http() {
        return config().http;
      },
      get limits() {
        return limitsOf(config().limits).beforeLogin;
      },
      get limitsAfterLogin() {
        return limitsOf(config().limits).afterLogin;
      },
    };
  }
}

function certificateParts({ tls, hosts, data }: ServerConfig, log: Log): CertificateParts {
  const named = [...hosts].map(([domain, { certificate }]): [string, CertificateConfig] => [domain, certificate]);
  return { tls, hosts: new Map(named), data, log };
}

/** The encrypted one before the other, and that only where it is on this machine. */
function siteOf(open: readonly ListenerInfo[], domain: string): string | undefined {
  const web = open.filter(({ serve }) => serve.includes('web'));
  const https = web.find(({ type }) => type === 'https');
  if (https) return `https://${asciiDomain(domain)}${https.port === 443 ? '' : `:${https.port}`}`;
  const http = web.find(({ type, address }) => type === 'http' && isLoopback(address));
  return http && `http://${domain === 'localhost' ? 'localhost' : asciiDomain(domain)}:${http.port}`;
}

/** What an address with too many connections is told over TCP (RFC 6120 section 4.9.3.14). */
function writeRefusal(reason: Refusal): string {
  const text = reason === 'rate' ? 'Too many new connections from this address' : 'Too many connections from this address';
  const error = serialize(new StreamError('policy-violation', { text }).toElement(false));
  return toWire(`${writeHeader(false, undefined, undefined)}${error}${writeFooter(false)}`);
}
