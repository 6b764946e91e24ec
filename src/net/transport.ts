import type { PeerCertificate } from 'node:tls';

/** What a transport tells the one who uses it. Set `transport.handler` in the same tick the transport is accepted. */
export interface TransportHandler {
  /**
   * Bytes from the peer. On a stream (`framed` false) any chunk; framed, exactly one whole message.
   * The buffer is only valid during the call: who keeps bytes longer copies them.
   */
  data(chunk: Buffer): void;
  /** Framed: bytes of the peer that are no message and still cost work, such as pings. */
  overhead?(bytes: number): void;
  /** The line is gone, cleanly or with an error. Told once, and nothing comes after it. */
  closed(error?: Error): void;
}

/** What TLS has agreed on. */
export interface TlsInfo {
  /** 'TLSv1.2' or 'TLSv1.3'. */
  readonly protocol: string;
  readonly cipher: string;
  /** The ALPN protocol chosen, if any (XEP-0368). */
  readonly alpn: string | undefined;
  /** The name the client asked for (SNI). */
  readonly servername: string | undefined;
  /** Keying material of RFC 9266 (label EXPORTER-Channel-Binding, 32 bytes), or undefined below TLS 1.3. */
  exporter(): Buffer | undefined;
  /** The hash of our own certificate as RFC 5929 section 4.1 (tls-server-end-point) defines it. */
  serverEndPoint(): Buffer | undefined;
  /** The client's certificate and whether a trusted CA vouches for it; undefined when it sent none. */
  peerCertificate(): { readonly certificate: PeerCertificate; readonly authorized: boolean } | undefined;
}

/** Bytes in and out. Knows nothing of XMPP. */
export interface Transport {
  readonly kind: 'tcp' | 'websocket' | 'bosh';
  /** True where every message is one element with its own namespace declarations (RFC 7395, XEP-0206). */
  readonly framed: boolean;
  /** The client's address: from PROXY protocol or a trusted proxy's header where there is one. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** TLS that ends here, or undefined. */
  readonly tls: TlsInfo | undefined;
  /** True under TLS, and behind a trusted proxy that says the client's side is encrypted. */
  readonly secure: boolean;
  /** True when the connection comes from a loopback address. */
  readonly loopback: boolean;
  handler: TransportHandler;
  /**
   * Queues bytes; all that is queued in one turn of the event loop leaves in one write. Framed, one call is one message.
   * `wire` is a byte string (src/xml/wire.ts): every UTF-16 unit of it is one byte, so it is written with the encoding 'latin1'
   * and never as UTF-8. Strings join for nothing and live on the heap, where small buffers would each cost a call and an object.
   * Never throws.
   */
  send(wire: string): void;
  /**
   * Framed: the longest message that is taken from now on; one that is longer ends the connection. Transports begin with what is
   * allowed before login. Others have no such method, since their chunks have no bounds.
   */
  limitMessages?(maxBytes: number): void;
  /** Framed: bytes that are held of a message that is not complete. Others hand on what they have. */
  readonly pendingBytes?: number;
  /** Bytes that were sent and that the kernel has not taken yet. */
  readonly queued: number;
  /** No `data` until resumed. */
  pause(): void;
  resume(): void;
  /**
   * Starts TLS on an accepted TCP connection; throws on any other. Bytes that came before are thrown away by the caller.
   * A client that asks for no name (SNI) is shown the certificate of `domain`.
   */
  startTls(domain?: string): void;
  /** Sends what is queued, then closes; destroyed if the peer does not follow within `graceMs`. */
  end(graceMs?: number): void;
  /** Closes at once. */
  destroy(): void;
}

/** Called for each new connection, before any of its bytes are read. */
export type Accept = (transport: Transport) => void;
