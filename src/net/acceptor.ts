import { createServer, type Server, type Socket } from 'node:net';
import type { Log } from '../log.ts';
import type { AddressLimits, Refusal } from './address-limits.ts';
import { type Origin, plainAddress, type TrustedProxies } from './addresses.ts';
import { readProxyHeader } from './proxy-protocol.ts';

/** Connections that may wait for us to take them. */
const BACKLOG = 2048;

/** What an acceptor is made of. */
export interface AcceptorParts {
  /** As in the config (sections/listening.ts). */
  readonly config: { readonly port: number; readonly addresses: readonly string[]; readonly proxyProtocol: boolean };
  readonly limits: AddressLimits;
  readonly proxies: TrustedProxies;
  readonly log: Log;
  /** Takes a paused socket, which may hold bytes already; whoever takes it says `limits.leave(origin.address)` when it is gone. */
  take(socket: Socket, origin: Origin): void;
  /** What is written to a connection that is refused, before it is closed: a byte string. */
  refused?(reason: Refusal): string;
  /** Connections of trusted proxies are not counted, since they carry those of many clients: HTTP counts by itself. */
  readonly exemptsProxies?: boolean;
}

/** Accepts TCP connections on some addresses and one port, within the limits of each address. */
export class Acceptor {
  readonly #parts: AcceptorParts;
  readonly #servers: Server[] = [];
  /** Those that have not said yet whom they speak for. */
  readonly #arriving = new Set<Socket>();
  #port = 0;

  constructor(parts: AcceptorParts) {
    this.#parts = parts;
  }

  /** The port; where the config leaves it open, known after `listen`. */
  get port(): number {
    return this.#port;
  }

  /**
   * Listens on all addresses. Rejects, with nothing left open, when one of them cannot be had; but IPv6 addresses are left out,
   * with a warning, on a machine that has no IPv6.
   */
  async listen(): Promise<void> {
    const { addresses, port } = this.#parts.config;
    this.#port = port;
    try {
      for (const address of addresses) await this.#listenOn(address);
      if (this.#servers.length === 0) throw new Error(`none of the addresses ${addresses.join(', ')} can be listened on`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Accepts no more. What was handed on stays. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
    for (const socket of this.#arriving) socket.destroy();
  }

  async #listenOn(address: string): Promise<void> {
    const isIPv6 = address.includes(':');
    // Half-open, so that what is queued can leave when the peer has finished; paused, since who takes it may want another socket.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => this.#accept(socket));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host: address, port: this.#port, ipv6Only: isIPv6, backlog: BACKLOG }, resolve);
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (!isIPv6 || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL') || this.#parts.config.addresses.length === 1) {
        throw new Error(explain(code, address, this.#port), { cause: error });
      }
      this.#parts.log.warn('this machine cannot listen on an address; it is left out', { address, code });
      return;
    }
    server
      .removeAllListeners('error')
      .on('error', (error) => this.#parts.limits.report('connections cannot be accepted', { error }));
    this.#servers.push(server);
    const bound = server.address();
    if (bound && typeof bound === 'object') this.#port = bound.port;
  }

  #accept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined || remotePort === undefined) return void socket.destroy(); // gone already
    const peer = { address: plainAddress(remoteAddress), port: remotePort };
    if (!this.#parts.config.proxyProtocol) return this.#admit(socket, peer);
    const { proxies, limits } = this.#parts;
    if (!proxies.has(peer.address)) {
      limits.report('a connection without PROXY protocol from an address that is no trusted proxy', { address: peer.address });
      return void socket.destroy();
    }
    const forget = () => void this.#arriving.delete(socket);
    this.#arriving.add(socket);
    socket.once('close', forget);
    readProxyHeader(socket, (result) => {
      forget();
      socket.off('close', forget);
      if (result instanceof Error) {
        limits.report('a proxy sent no good PROXY header', { address: peer.address, reason: result.message });
        socket.destroy();
      } else this.#admit(socket, result.origin ?? peer);
    });
  }

  #admit(socket: Socket, origin: Origin): void {
    const { limits, refused, proxies, exemptsProxies } = this.#parts;
    const refusal = exemptsProxies && proxies.has(origin.address) ? undefined : limits.enter(origin.address);
    if (refusal === undefined) return this.#parts.take(socket, origin);
    const text = refused?.(refusal) ?? '';
    socket.on('error', ignore);
    if (text === '') socket.destroy();
    else socket.end(text, 'latin1', () => socket.destroy());
  }
}

function ignore(): void {}

function explain(code: string | undefined, address: string, port: number): string {
  const place = `${address} port ${port}`;
  if (code === 'EADDRINUSE') return `${place} is in use by another program`;
  if (code === 'EACCES') return `${place} may not be used by this user (ports below 1024 belong to root)`;
  if (code === 'EADDRNOTAVAIL') return `${address} is no address of this machine`;
  return `cannot listen on ${place}: ${code ?? 'unknown error'}`;
}
