import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { CertificateStore } from './certificates.ts';
import { notePresented } from './tls-info.ts';

/** What a client may be spoken to in, by ALPN (RFC 7301). One that asks for something else is refused: it is not meant for us. */
export type Alpn = 'xmpp-client' | 'http/1.1';

/**
 * Begins TLS as a server on a connection; the one way in which it is begun, for STARTTLS, direct TLS and https. Whoever calls it
 * listens to `secure`, `error` and `close` at once. `name` stands in for a client that asks for no name. Undefined when there is no
 * certificate at all. The caller has thrown away whatever came in the clear.
 */
export function openTls(
  socket: Socket,
  certificates: CertificateStore,
  alpn: Alpn,
  name: string | undefined,
): TLSSocket | undefined {
  const secureContext = certificates.contextFor(name);
  if (!secureContext) return undefined;
  const secure: TLSSocket = new TLSSocket(socket, {
    isServer: true,
    secureContext,
    SNICallback: (asked, done) => {
      const context = certificates.contextAsked(asked);
      if (context) notePresented(secure, context);
      done(null, context);
    },
    ALPNProtocols: [alpn],
    // Asked for, not insisted on: whether it is worth anything is decided where it is used (TlsInfo.peerCertificate).
    requestCert: certificates.asksClients,
    rejectUnauthorized: false,
  });
  notePresented(secure, secureContext);
  return secure;
}

/** Time a client may take for its handshake. */
const HANDSHAKE_TIMEOUT = 10_000;

/** Handshakes of TLS from the first byte. One that fails, or takes too long, is closed and forgotten: it never was a client. */
export class Handshakes {
  readonly #certificates: CertificateStore;
  readonly #alpn: Alpn;
  readonly #sockets = new Set<Socket>();

  constructor(certificates: CertificateStore, alpn: Alpn) {
    this.#certificates = certificates;
    this.#alpn = alpn;
  }

  /** Shakes hands; tells the socket under TLS, or undefined when there is none to be. Told once. */
  begin(plain: Socket, done: (socket: TLSSocket | undefined) => void): void {
    const socket = openTls(plain, this.#certificates, this.#alpn, undefined);
    if (!socket) {
      plain.on('error', ignore).destroy();
      return done(undefined);
    }
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_TIMEOUT);
    const finish = (result: TLSSocket | undefined) => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
      socket.off('error', ignore).off('close', fail).off('secure', succeed);
      done(result);
    };
    const fail = () => finish(undefined);
    const succeed = () => finish(socket);
    this.#sockets.add(socket);
    socket.on('error', ignore).on('close', fail).on('secure', succeed);
  }

  /** Closes those that are under way. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

function ignore(): void {}
