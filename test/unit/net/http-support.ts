import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import type { HttpConfig } from '../../../src/config/server-config.ts';
import type { AddressLimits } from '../../../src/net/address-limits.ts';
import { TrustedProxies } from '../../../src/net/addresses.ts';
import { BoshEndpoint } from '../../../src/net/bosh.ts';
import type { CertificateStore } from '../../../src/net/certificates.ts';
import type { HttpHandler } from '../../../src/net/http.ts';
import { HttpListener } from '../../../src/net/http-listener.ts';
import { HttpSite } from '../../../src/net/http-routes.ts';
import { type HealthReport, serveHealth, serveMetrics } from '../../../src/net/monitoring.ts';
import { WebSocketEndpoint } from '../../../src/net/websocket.ts';
import type { SplitterLimits } from '../../../src/xml/splitter.ts';
import { Accepting, type Client, dial, LogRecorder, roomyAddressLimits } from './support.ts';

const before: SplitterLimits = { maxBytes: 16_384, maxDepth: 32, maxAttributes: 32, maxElements: 128 };
const after: SplitterLimits = { maxBytes: 262_144, maxDepth: 64, maxAttributes: 64, maxElements: 4096 };

export const httpConfig: HttpConfig = {
  websocket: '/xmpp-websocket',
  bosh: '/http-bind',
  metrics: '/metrics',
  health: '/health',
  origins: ['*'],
  boshWait: 60_000,
  boshInactivity: 60_000,
  boshRequests: 2,
  headerTimeout: 10_000,
  requestTimeout: 120_000,
};

/** How a test's listener differs from the usual one. */
export interface HttpOptions {
  readonly type?: 'http' | 'https';
  readonly serve?: readonly ('websocket' | 'bosh' | 'web' | 'metrics' | 'health')[];
  readonly addresses?: readonly string[];
  readonly http?: Partial<HttpConfig>;
  readonly proxies?: readonly string[];
  readonly proxyProtocol?: boolean;
  readonly domains?: readonly string[];
  /** What modules serve; by default a site of its own for `domains`. */
  readonly site?: HttpSite;
  readonly certificates?: CertificateStore;
  readonly tokens?: readonly string[];
  readonly health?: () => HealthReport | Promise<HealthReport>;
  readonly pingEvery?: number;
}

/** A listener for HTTP with everything it may serve. */
export class TestHttp {
  readonly log = new LogRecorder();
  readonly accepting = new Accepting();
  readonly limits: AddressLimits = roomyAddressLimits(this.log);
  readonly site: HttpSite;
  readonly websocket: WebSocketEndpoint;
  readonly bosh: BoshEndpoint;
  readonly listener: HttpListener;
  readonly #clients: Client[] = [];

  private constructor(options: HttpOptions) {
    const http = { ...httpConfig, ...options.http };
    const { limits, log, accepting } = this;
    const certificates = options.certificates as CertificateStore;
    this.site = options.site ?? new HttpSite(options.domains ?? ['example.org', 'other.example']);
    this.websocket = new WebSocketEndpoint({
      accept: accepting.accept,
      origins: http.origins,
      maxBytes: before.maxBytes,
      leave: (address) => limits.leave(address),
      certificates,
      ...(options.pingEvery === undefined ? {} : { pingEvery: options.pingEvery }),
    });
    this.bosh = new BoshEndpoint({
      accept: accepting.accept,
      http,
      limits: before,
      limitsAfterLogin: after,
      enter: (address) => limits.enter(address) === undefined,
      leave: (address) => limits.leave(address),
    });
    this.listener = new HttpListener({
      config: {
        type: options.type ?? 'http',
        port: 0,
        addresses: options.addresses ?? ['127.0.0.1'],
        proxyProtocol: options.proxyProtocol ?? false,
        serve: options.serve ?? ['websocket', 'bosh', 'web', 'metrics', 'health'],
      },
      http,
      certificates,
      limits,
      log,
      proxies: new TrustedProxies(options.proxies ?? []),
      site: this.site,
      websocket: this.websocket,
      bosh: this.bosh,
      health: serveHealth(options.health ?? (() => ({ ok: true }))),
      metrics: serveMetrics({ contentType: 'text/plain; version=1', render: async () => 'figures 1\n' }, options.tokens ?? []),
    });
  }

  static async start(options: HttpOptions = {}): Promise<TestHttp> {
    const server = new TestHttp(options);
    await server.listener.listen();
    return server;
  }

  get port(): number {
    return this.listener.port;
  }

  stop(): void {
    for (const { socket } of this.#clients) socket.destroy();
    this.listener.close();
    this.listener.destroy();
    for (const { transport } of this.accepting.recorders) transport.destroy();
    this.websocket.close();
  }

  /** A client that says what it likes; its line is cut when the listener stops. */
  async dial(): Promise<Client> {
    const client = await dial(this.port);
    this.#clients.push(client);
    return client;
  }

  /** Serves at this path what it is asked, as JSON. */
  mirror(path: string, host?: string, methods?: readonly string[]): void {
    const handler: HttpHandler = ({ method, path, query, remoteAddress, secure }, response) =>
      void response.end(JSON.stringify({ method, path, query: [...query], remoteAddress, secure, route: host }));
    this.site.add(host, path, handler, methods && { methods });
  }

  /** Asks, without any of the repairs that a browser would make to the path. */
  async ask(
    path: string,
    options: { method?: string; headers?: Readonly<Record<string, string>>; body?: string | Buffer } = {},
  ): Promise<Answer> {
    const { method = 'GET', headers = {}, body } = options;
    const asking = request({
      port: this.port,
      host: '127.0.0.1',
      path,
      method,
      agent: false,
      headers: { Host: 'example.org', ...headers },
    });
    asking.end(body);
    const [response] = await once(asking, 'response');
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() };
  }
}

/** What comes back. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
