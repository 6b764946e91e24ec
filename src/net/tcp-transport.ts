import { Socket, type SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isLoopback, type Origin } from './addresses.ts';
import type { CertificateStore } from './certificates.ts';
import { flushSoon } from './flush.ts';
import { openTls } from './tls.ts';
import { SocketTlsInfo } from './tls-info.ts';
import type { TlsInfo, Transport, TransportHandler } from './transport.ts';

/** Time a peer has to close its side, unless `end` is told another. */
const GRACE = 5000;

/** Hears nothing; there until the one who accepts has set its own. */
export const nobody: TransportHandler = { data() {}, closed() {} };

/** All plain sockets read into this one buffer, one after the other: what is read is only valid during the call that hands it on. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** What a socket of Node keeps of the system's; where it is missing, bytes come as events. */
interface Handled {
  _handle?: object | null;
}

/** The transport of a socket, so that its listeners are the same functions for all. */
const OWNER = Symbol('owner');
interface Owned {
  [OWNER]?: TcpTransport;
}

/** Listeners of all sockets; they are set where the private members are known. */
let taken: (this: Owned, chunk: Buffer) => void;
let ended: (this: Owned) => void;
let failed: (this: Owned, error: Error) => void;
let closed: (this: Owned) => void;

/** What a transport needs of the one who accepts it. */
export interface TcpParts {
  /** For STARTTLS; without them it cannot be started. */
  readonly certificates: CertificateStore | undefined;
  /** Told once, after the handler. */
  onClose(transport: TcpTransport): void;
}

/**
 * A TCP connection of a client, in the clear or under TLS. A plain one reads into a buffer that all share, which saves an
 * allocation of up to 64 KiB for each read, and all write strings, which need no buffer.
 */
export class TcpTransport implements Transport {
  readonly kind = 'tcp';
  readonly framed = false;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly loopback: boolean;
  /** What a trusted proxy says. */
  readonly #isSecureElsewhere: boolean;
  handler: TransportHandler = nobody;
  readonly #parts: TcpParts;
  #socket: Socket;
  #tls: SocketTlsInfo | undefined = undefined;
  #out = '';
  #isPaused = false;
  #isEnding = false;
  #isClosed = false;
  #error: Error | undefined = undefined;
  #grace: NodeJS.Timeout | undefined = undefined;

  /**
   * Takes over a paused socket; a TLSSocket whose handshake is over makes a transport under TLS. Reading begins by itself, with
   * what the socket holds already.
   */
  constructor(socket: Socket, origin: Origin, parts: TcpParts) {
    this.remoteAddress = origin.address;
    this.remotePort = origin.port;
    this.loopback = isLoopback(origin.address) && origin.isHidden !== true;
    this.#isSecureElsewhere = origin.secure === true;
    this.#parts = parts;
    this.#socket = socket;
    if (socket instanceof TLSSocket) this.#adoptSecure(socket, origin.isProxied !== true);
    else this.#adoptPlain(socket);
  }

  get tls(): TlsInfo | undefined {
    return this.#tls;
  }

  get secure(): boolean {
    return this.#isSecureElsewhere || this.#tls !== undefined;
  }

  get queued(): number {
    return this.#out.length + this.#socket.writableLength;
  }

  send(wire: string): void {
    if (this.#isEnding || this.#isClosed || wire === '') return;
    if (this.#out === '') flushSoon(this);
    this.#out += wire;
  }

  /** Writes what was sent in this turn. */
  flush(): void {
    const out = this.#out;
    if (out === '') return;
    this.#out = '';
    this.#socket.write(out, 'latin1');
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#socket.resume();
  }

  startTls(domain?: string): void {
    if (this.#tls || this.#isEnding || this.#isClosed) throw new Error('TLS cannot begin here');
    const { certificates } = this.#parts;
    const plain = this.#socket;
    this.flush();
    // What was read in the clear must not pass for what comes under TLS (RFC 6120 section 5.4.3.3).
    while (plain.readableLength > 0) plain.read();
    const secure = certificates && openTls(plain, certificates, 'xmpp-client', domain);
    if (!secure) throw new Error('There is no certificate');
    plain.off('data', taken).off('end', ended);
    this.#adoptSecure(secure, true);
    if (this.#isPaused) secure.pause();
  }

  end(graceMs: number = GRACE): void {
    if (this.#isEnding || this.#isClosed) return;
    this.flush();
    this.#isEnding = true;
    this.#socket.end();
    this.#socket.resume(); // nobody hears it any more, but the peer's end has to be seen
    this.#grace = setTimeout(destroy, graceMs, this.#socket).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #adoptSecure(socket: TLSSocket, isWithClient: boolean): void {
    if (isWithClient) this.#tls = new SocketTlsInfo(socket, this.#parts.certificates?.hasAuthorities ?? false);
    this.#listen(socket);
    socket.on('data', taken);
  }

  /** Gives the connection another socket, one that reads into the shared buffer: net.Server makes none of that kind. */
  #adoptPlain(accepted: Socket): void {
    const { _handle } = accepted as Handled;
    const handle = accepted.writableLength === 0 ? _handle : undefined; // what is still written needs the socket it was given to
    const early: Buffer | null = accepted.readableLength > 0 ? accepted.read() : null;
    let socket = accepted;
    if (handle) {
      (accepted as Handled)._handle = null;
      accepted.destroy();
      const callback = (length: number): boolean => this.#take(shared.subarray(0, length));
      const options = { handle, allowHalfOpen: true, onread: { buffer: shared, callback } };
      socket = new Socket(options as SocketConstructorOpts);
    }
    this.#listen(socket);
    if (early) socket.unshift(early);
    if (early || !handle) socket.on('data', taken);
  }

  #listen(socket: Socket): void {
    this.#socket = socket;
    (socket as Owned)[OWNER] = this;
    socket.on('end', ended).on('error', failed).on('close', closed);
  }

  /** Whether more may be read. */
  #take(chunk: Buffer): boolean {
    if (this.#isEnding) return true;
    this.handler.data(chunk);
    return !this.#isPaused || this.#isEnding || this.#socket instanceof TLSSocket;
  }

  #closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#out = '';
    clearTimeout(this.#grace);
    const { handler } = this;
    this.handler = nobody;
    try {
      handler.closed(this.#error);
    } finally {
      this.#parts.onClose(this);
    }
  }

  static {
    taken = function (this: Owned, chunk: Buffer): void {
      this[OWNER]!.#take(chunk);
    };
    // The peer has closed its side; what is queued still leaves.
    ended = function (this: Owned): void {
      this[OWNER]!.end();
    };
    failed = function (this: Owned, error: Error): void {
      this[OWNER]!.#error ??= error;
    };
    closed = function (this: Owned): void {
      const owner = this[OWNER]!;
      if (owner.#socket === this) owner.#closed();
    };
  }
}

function destroy(socket: Socket): void {
  socket.destroy();
}
