import type { Socket } from 'node:net';
import type { ListenerConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';
import { Acceptor } from './acceptor.ts';
import type { AddressLimits, Refusal } from './address-limits.ts';
import type { Origin, TrustedProxies } from './addresses.ts';
import type { CertificateStore } from './certificates.ts';
import { TcpTransport } from './tcp-transport.ts';
import { Handshakes } from './tls.ts';
import type { Accept } from './transport.ts';

/** What a listener for streams is made of. */
export interface TcpListenerParts {
  readonly config: Extract<ListenerConfig, { readonly type: 'c2s' | 'c2s-tls' }>;
  readonly certificates: CertificateStore;
  readonly limits: AddressLimits;
  readonly proxies: TrustedProxies;
  readonly log: Log;
  readonly accept: Accept;
  /** What a refused client is told before it is closed: a byte string, such as a stream with an error (RFC 6120 section 4.9). */
  refused?(reason: Refusal): string;
}

/** Takes the connections of clients over TCP: with STARTTLS (`c2s`), or TLS from the first byte (`c2s-tls`, XEP-0368). */
export class TcpListener {
  readonly #parts: TcpListenerParts;
  readonly #acceptor: Acceptor;
  readonly #handshakes: Handshakes;
  readonly #isDirect: boolean;
  #open = 0;

  constructor(parts: TcpListenerParts) {
    this.#parts = parts;
    this.#handshakes = new Handshakes(parts.certificates, 'xmpp-client');
    this.#isDirect = parts.config.type === 'c2s-tls';
    const { config, limits, proxies, log } = parts;
    const refused = this.#isDirect || !parts.refused ? {} : { refused: (reason: Refusal) => parts.refused!(reason) };
    this.#acceptor = new Acceptor({
      config,
      limits,
      proxies,
      log,
      take: (socket, origin) => this.#take(socket, origin),
      ...refused,
    });
  }

  /** Its port; where the config leaves it open, known after `listen`. */
  get port(): number {
    return this.#acceptor.port;
  }

  /** Transports that are open. */
  get open(): number {
    return this.#open;
  }

  /** For STARTTLS of its transports. */
  get certificates(): CertificateStore {
    return this.#parts.certificates;
  }

  /** Begins to take connections. Rejects with an Error that says which address cannot be had and why. */
  listen(): Promise<void> {
    return this.#acceptor.listen();
  }

  /** Takes no more. Transports stay open; they belong to whoever has accepted them. */
  close(): void {
    this.#acceptor.close();
    this.#handshakes.close();
  }

  /** For its transports: one is gone. */
  onClose(transport: TcpTransport): void {
    this.#open--;
    this.#parts.limits.leave(transport.remoteAddress);
  }

  #take(socket: Socket, origin: Origin): void {
    if (this.#isDirect) this.#shakeHands(socket, origin);
    else this.#accept(socket, origin);
  }

  #accept(socket: Socket, origin: Origin): void {
    this.#open++;
    this.#parts.accept(new TcpTransport(socket, origin, this));
  }

  #shakeHands(plain: Socket, origin: Origin): void {
    this.#handshakes.begin(plain, (socket) => {
      if (socket) this.#accept(socket, origin);
      else this.#parts.limits.leave(origin.address);
    });
  }
}
