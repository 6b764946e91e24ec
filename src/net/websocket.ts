// WebSocket for XMPP (RFC 6455, RFC 7395). Handshake and frames are our own: the usual package costs more per message than all the
// rest of its way through the server, and cannot be told to take less before login than after it.
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Origin } from './addresses.ts';
import type { CertificateStore } from './certificates.ts';
import { HttpError } from './http.ts';
import { isAllowedOrigin } from './origins.ts';
import { TcpTransport } from './tcp-transport.ts';
import type { Accept } from './transport.ts';
import { type WebSocketKeeper, WebSocketTransport } from './websocket-transport.ts';

/** RFC 6455 section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const PROTOCOL = 'xmpp';
/** Before proxies give up on a silent connection, which many do after a minute. */
const PING_EVERY = 45_000;
const SWEEP_EVERY = 5000;

/** What a WebSocket endpoint is made of. Options are read when they are used, so that they may change while it runs. */
export interface WebSocketParts {
  readonly accept: Accept;
  /** Web pages that may connect, by their origins; '*' is all. */
  readonly origins: readonly string[];
  /** The longest message before login; `limitMessages` of the transport sets another. */
  readonly maxBytes: number;
  /** Told where a client came from, once it is gone. */
  leave(address: string): void;
  /** Milliseconds of silence after which a client is asked whether it is still there; 0 for never. */
  readonly pingEvery?: number;
  readonly certificates?: CertificateStore;
}

/** Takes WebSocket connections of clients, and finds out which of them are dead. */
export class WebSocketEndpoint implements WebSocketKeeper {
  now = performance.now();
  readonly certificates: CertificateStore | undefined;
  readonly #parts: WebSocketParts;
  readonly #transports = new Set<WebSocketTransport>();
  readonly #pingEvery: number;
  readonly #sweeper: NodeJS.Timeout;

  constructor(parts: WebSocketParts) {
    this.#parts = parts;
    this.certificates = parts.certificates;
    this.#pingEvery = parts.pingEvery ?? PING_EVERY;
    this.#sweeper = setInterval(() => this.sweep(performance.now()), SWEEP_EVERY).unref();
  }

  /** WebSockets that are open. */
  get open(): number {
    return this.#transports.size;
  }

  /**
   * Takes over the socket of an upgrade request; whatever followed the request has to be in it. Throws HttpError, without having
   * written anything, when there is to be no WebSocket.
   */
  take(request: IncomingMessage, socket: Socket, client: Origin): void {
    const key = this.#check(request);
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64');
    socket.setTimeout(0); // what HTTP has set; from here on it is pings that find dead clients
    const tcp = new TcpTransport(socket, client, this);
    tcp.send(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n`,
    );
    tcp.send(`Sec-WebSocket-Protocol: ${PROTOCOL}\r\n\r\n`);
    const transport = new WebSocketTransport(tcp, this, this.#parts.maxBytes);
    this.#transports.add(transport);
    this.#parts.accept(transport);
  }

  /** Stops watching; call when no client is left. */
  close(): void {
    clearInterval(this.#sweeper);
  }

  /** Asks silent clients whether they are there, and closes those that did not answer. */
  sweep(now: number): void {
    this.now = now;
    if (this.#pingEvery === 0) return;
    for (const transport of this.#transports) this.#watch(transport, now);
  }

  /** For its transports: a line is gone. */
  onClose(tcp: TcpTransport): void {
    this.#parts.leave(tcp.remoteAddress);
  }

  forget(transport: WebSocketTransport): void {
    this.#transports.delete(transport);
  }

  #watch(transport: WebSocketTransport, now: number): void {
    if (transport.isPaused) transport.heardAt = now;
    if (now - transport.heardAt <= this.#pingEvery) return;
    if (transport.pingedAt <= transport.heardAt) transport.ping();
    else if (now - transport.pingedAt > this.#pingEvery) transport.destroy();
  }

  #check({ method, headers }: IncomingMessage): string {
    if (!isAllowedOrigin(headers, this.#parts.origins)) throw new HttpError(403, 'Forbidden');
    const key = headers['sec-websocket-key'] ?? '';
    const isWebSocket = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket' && /^[A-Za-z0-9+/]{22}==$/.test(key);
    if (!isWebSocket) throw new HttpError(400, 'Bad Request');
    if (headers['sec-websocket-version'] !== '13') throw new HttpError(426, 'Upgrade Required');
    // RFC 7395 section 3.1: without the subprotocol it is no XMPP.
    const protocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((protocol) => protocol.trim());
    if (!protocols.includes(PROTOCOL)) throw new HttpError(400, 'Bad Request: the subprotocol xmpp is missing');
    return key;
  }
}
