import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { HttpConfig, ListenerConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';
import { Acceptor } from './acceptor.ts';
import type { AddressLimits, Refusal } from './address-limits.ts';
import type { Origin, TrustedProxies } from './addresses.ts';
import type { BoshEndpoint } from './bosh.ts';
import type { CertificateStore } from './certificates.ts';
import { findClient } from './forwarded.ts';
import { HttpError, type HttpHandler } from './http.ts';
import { CheckedRequest, readTarget, type Target } from './http-request.ts';
import type { HttpSite } from './http-routes.ts';
import { Handshakes } from './tls.ts';
import type { WebSocketEndpoint } from './websocket.ts';

const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
/** Longer than browsers and proxies wait between two requests, so that it is they who close. */
const KEEP_ALIVE = 75_000;
/** How often it is looked for requests that are too slow. */
const CHECK_EVERY = 1000;

/** What Node's parser and clock refuse, by the codes of their errors. */
const UNREAD: ReadonlyMap<string, readonly [number, string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'Request Header Fields Too Large']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', [413, 'Content Too Large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'Request Timeout']],
]);
/** Refusals that tell of an attack, or of a client that is broken. */
const NOTEWORTHY: ReadonlySet<number> = new Set([400, 403, 408, 413, 414, 429, 431, 501]);

/** What a listener for HTTP is made of. */
export interface HttpListenerParts {
  readonly config: Extract<ListenerConfig, { readonly type: 'http' | 'https' }>;
  readonly http: HttpConfig;
  readonly certificates: CertificateStore;
  readonly limits: AddressLimits;
  readonly proxies: TrustedProxies;
  readonly log: Log;
  readonly site: HttpSite;
  readonly websocket: WebSocketEndpoint;
  readonly bosh: BoshEndpoint;
  readonly health: HttpHandler;
  readonly metrics: HttpHandler;
}

/** A socket, and who is counted for it in the limits. */
interface Line {
  readonly origin: Origin;
  /** False once somebody else says that it has left. */
  isCounted: boolean;
  /** The last one, under way or not. */
  response?: ServerResponse;
}

/** Serves HTTP (`http`) or HTTPS (`https`): WebSocket, BOSH, what modules serve, metrics, health; only what its `serve` names. */
export class HttpListener {
  readonly #parts: HttpListenerParts;
  readonly #server: Server;
  readonly #acceptor: Acceptor;
  readonly #handshakes: Handshakes;
  readonly #lines = new WeakMap<Duplex, Line>();
  readonly #serves: ReadonlySet<string>;

  constructor(parts: HttpListenerParts) {
    this.#parts = parts;
    this.#serves = new Set(parts.config.serve);
    const { headerTimeout, requestTimeout, boshWait } = parts.http;
    this.#server = createServer({
      headersTimeout: Math.min(headerTimeout, requestTimeout),
      // Below: some requests may take longer.
      requestTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE,
      connectionsCheckingInterval: CHECK_EVERY,
      maxHeaderSize: MAX_HEADER_BYTES,
    });
    this.#server.maxHeadersCount = MAX_HEADERS + 1; // Node cuts off what is beyond: one more shows that there was more
    this.#server.timeout = Math.max(requestTimeout, boshWait) + KEEP_ALIVE; // a reader that does not read
    this.#server.on('request', (message, response) => void this.#answer(message, response));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket) => this.#refuseUnread(error, socket as Socket));
    this.#server.on('upgrade', (message, socket, head) => this.#upgrade(message, socket as Socket, head));
    this.#handshakes = new Handshakes(parts.certificates, 'http/1.1');
    this.#acceptor = new Acceptor({
      ...parts,
      exemptsProxies: true,
      take: (socket, origin) => this.#take(socket, origin),
      refused,
    });
  }

  /** Its port; where the config leaves it open, known after `listen`. */
  get port(): number {
    return this.#acceptor.port;
  }

  /** Begins to take connections. Rejects with an Error that says which address cannot be had and why. */
  async listen(): Promise<void> {
    await this.#acceptor.listen();
    // The sockets are the acceptor's; this makes Node watch how long requests take.
    this.#server.emit('listening');
  }

  /** Takes no more connections, and closes those that wait for a next request. */
  close(): void {
    this.#acceptor.close();
    this.#handshakes.close();
    this.#server.close(() => {});
  }

  /** Closes what is left; WebSockets belong to whoever has accepted them. */
  destroy(): void {
    this.#server.closeAllConnections();
  }

  #take(socket: Socket, origin: Origin): void {
    const isCounted = !this.#parts.proxies.has(origin.address);
    if (this.#parts.config.type === 'http') return this.#serve(socket, { origin, isCounted });
    this.#handshakes.begin(socket, (secure) => {
      if (secure) this.#serve(secure, { origin: { ...origin, secure: true }, isCounted });
      else if (isCounted) this.#parts.limits.leave(origin.address);
    });
  }

  #serve(socket: Socket, line: Line): void {
    this.#lines.set(socket, line);
    socket.once('close', () => {
      if (line.isCounted) this.#parts.limits.leave(line.origin.address);
    });
    this.#server.emit('connection', socket);
    socket.resume();
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#lines.get(message.socket)!.response = response;
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('X-Frame-Options', 'DENY');
    try {
      const target = readTarget(message.url ?? '');
      const client = this.#clientOf(message);
      // RFC 9112 section 6.1: where a body ends that is coded otherwise, only the sender knows.
      if ((message.headers['transfer-encoding'] ?? 'chunked').toLowerCase() !== 'chunked')
        throw new HttpError(501, 'Not Implemented');
      const request = new CheckedRequest(message, target, { address: client.address, secure: client.secure === true });
      await this.#handle(message, target, client)(request, response);
    } catch (error) {
      this.#fail(message, response, error);
    }
  }

  /** What answers a request; throws HttpError where nothing does. */
  #handle(message: IncomingMessage, target: Target, client: Origin): HttpHandler {
    const { http, bosh, health, metrics, site } = this.#parts;
    const { path } = target;
    const route = this.#serves.has('web') ? site.find(target.authority ?? message.headers.host, path) : undefined;
    if (route === undefined || route === 'elsewhere' || !route.isLong) this.#hurry(message);
    if (this.#isAt('websocket', path, http.websocket)) throw new HttpError(426, 'Upgrade Required');
    if (this.#isAt('bosh', path, http.bosh)) return (_request, response) => bosh.serve(message, response, client);
    if (this.#isAt('health', path, http.health)) return only(['GET', 'HEAD'], message, health);
    if (this.#isAt('metrics', path, http.metrics)) return only(['GET', 'HEAD'], message, metrics);
    if (route === 'elsewhere') throw new HttpError(421, 'Misdirected Request');
    if (!route) throw new HttpError(404, 'Not Found');
    return only(route.methods, message, route.handler);
  }

  /** A request has to be whole in time. */
  #hurry(message: IncomingMessage): void {
    if (message.complete) return;
    const { socket } = message;
    const tooLate = () => this.#refuseUnread({ code: 'ERR_HTTP_REQUEST_TIMEOUT' } as NodeJS.ErrnoException, socket);
    const clock = setTimeout(tooLate, this.#parts.http.requestTimeout).unref();
    const stop = () => clearTimeout(clock);
    message.once('end', stop).once('close', stop);
  }

  #upgrade(message: IncomingMessage, socket: Socket, head: Buffer): void {
    try {
      const { path } = readTarget(message.url ?? '');
      if (!this.#isAt('websocket', path, this.#parts.http.websocket)) throw new HttpError(404, 'Not Found');
      const client = this.#clientOf(message);
      const line = this.#lines.get(socket)!;
      // A connection of a trusted proxy is not counted; the client behind it is.
      if (!line.isCounted && this.#parts.limits.enter(client.address) !== undefined)
        throw new HttpError(429, 'Too Many Requests');
      line.isCounted = false;
      if (head.length > 0) socket.unshift(head);
      this.#parts.websocket.take(message, socket, client);
    } catch (error) {
      const refusal = error instanceof HttpError ? error : new HttpError(400, 'Bad Request');
      this.#report(socket, refusal);
      refuseUpgrade(socket, refusal);
    }
  }

  /** What is not even a request. Node would answer it so by itself, and tell nobody. */
  #refuseUnread({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
    const { response } = this.#lines.get(socket) ?? {};
    // In the middle of a response it would be read as a part of that.
    const isAnswering = response?.headersSent === true && !response.writableFinished;
    if (code === 'ECONNRESET' || !socket.writable || isAnswering) return void socket.destroy();
    const refusal = new HttpError(...(UNREAD.get(code) ?? ([400, 'Bad Request'] as const)));
    this.#report(socket, refusal);
    refuseUpgrade(socket, refusal);
  }

  /** A line about what breaks the rules of HTTP or is beyond its limits. Asking for what there is not is nothing of that kind. */
  #report(socket: Socket, { status }: HttpError): void {
    if (!NOTEWORTHY.has(status)) return;
    this.#parts.limits.report('refused a request', { address: this.#lines.get(socket)?.origin.address, status });
  }

  #isAt(service: string, path: string, at: string): boolean {
    return path === at && this.#serves.has(service);
  }

  #clientOf(message: IncomingMessage): Origin {
    if (message.rawHeaders.length > 2 * MAX_HEADERS) throw new HttpError(431, 'Request Header Fields Too Large');
    if (hasHostTwice(message.rawHeaders)) throw new HttpError(400, 'Bad Request');
    const { origin } = this.#lines.get(message.socket)!;
    const client = findClient(message.headers, origin, this.#parts.proxies);
    if (client) return client;
    this.#parts.limits.report('a proxy passed on forged or broken headers about its client', { address: origin.address });
    throw new HttpError(400, 'Bad Request');
  }

  #fail(message: IncomingMessage, response: ServerResponse, error: unknown): void {
    const refusal = error instanceof HttpError ? error : undefined;
    if (!refusal && !message.destroyed) this.#parts.log.error('a request failed', { method: message.method, error });
    if (refusal) this.#report(message.socket, refusal);
    if (response.headersSent) return void response.destroy();
    const { status, message: text } = refusal ?? new HttpError(500, 'Internal Server Error');
    for (const name of response.getHeaderNames()) if (name.startsWith('content-') || name === 'etag') response.removeHeader(name);
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    response.setHeader('Cache-Control', 'no-store');
    if (status === 426) response.setHeader('Upgrade', 'websocket');
    // What is left of a body is not read, so the connection can serve nothing more.
    if (!message.complete) response.setHeader('Connection', 'close');
    response.writeHead(status).end(`${text}\n`);
  }
}

/** The handler, where the method is one of these; OPTIONS tells which they are (RFC 9110 section 9.3.7). */
function only(methods: readonly string[], message: IncomingMessage, handler: HttpHandler): HttpHandler {
  if (methods.includes(message.method ?? '')) return handler;
  return (_request, response) => {
    response.setHeader('Allow', [...methods, 'OPTIONS'].join(', '));
    if (message.method !== 'OPTIONS') throw new HttpError(405, 'Method Not Allowed');
    response.writeHead(204).end();
  };
}

/** RFC 9112 section 3.2; Node takes the first one, and a proxy in front of us may have taken the other. */
function hasHostTwice(raw: readonly string[]): boolean {
  let hosts = 0;
  for (let i = 0; i < raw.length; i += 2) if (raw[i]!.length === 4 && raw[i]!.toLowerCase() === 'host') hosts++;
  return hosts > 1;
}

function refused(_reason: Refusal): string {
  return 'HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: 60\r\n\r\n';
}

/** Answers an upgrade that is not to be; the request has no response object. */
export function refuseUpgrade(socket: Socket, { status, message }: HttpError, headers = ''): void {
  const body = `${message}\n`;
  const head = `HTTP/1.1 ${status} ${message}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n`;
  socket.on('error', () => {});
  socket.end(`${head}X-Content-Type-Options: nosniff\r\n${headers}\r\n${body}`, 'latin1', () => socket.destroy());
}
