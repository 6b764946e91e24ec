import { latin1 } from '../xml/wire.ts';
import { nobody, type TcpTransport } from './tcp-transport.ts';
import type { TlsInfo, Transport, TransportHandler } from './transport.ts';
import { CLOSE, closeFrame, FrameError, type FrameHandler, FrameReader, frameHead, OPCODE } from './websocket-frames.ts';

/** Time a peer has to answer a close, unless `end` is told another. */
const GRACE = 5000;
/** With more than this unread by the peer, its pings are not answered. */
const MAX_QUEUED_FOR_PONG = 64 * 1024;

/** A control frame of six bytes costs as much work as a small stanza. */
const CONTROL_COST = 64;

/** What a WebSocket needs of the one that accepted it. */
export interface WebSocketKeeper {
  /** Milliseconds; goes on from time to time. */
  readonly now: number;
  /** The WebSocket is gone. */
  forget(transport: WebSocketTransport): void;
}

/**
 * A client over WebSocket (RFC 7395): every message is one element. Frames are written as byte strings in front of their payload, so
 * that all that is sent in one turn leaves in one write, as over plain TCP.
 */
export class WebSocketTransport implements Transport, TransportHandler, FrameHandler {
  readonly kind = 'websocket';
  readonly framed = true;
  handler: TransportHandler = nobody;
  /** When anything came last, and when a ping was sent for want of it; by the keeper's clock. */
  heardAt: number;
  pingedAt = 0;
  readonly #tcp: TcpTransport;
  readonly #keeper: WebSocketKeeper;
  readonly #frames: FrameReader;
  #isPaused = false;
  #isEnding = false;
  #grace: NodeJS.Timeout | undefined = undefined;

  constructor(tcp: TcpTransport, keeper: WebSocketKeeper, maxBytes: number) {
    this.#tcp = tcp;
    this.#keeper = keeper;
    this.#frames = new FrameReader(this, maxBytes);
    this.heardAt = keeper.now;
    tcp.handler = this;
  }

  get remoteAddress(): string {
    return this.#tcp.remoteAddress;
  }

  get remotePort(): number {
    return this.#tcp.remotePort;
  }

  get tls(): TlsInfo | undefined {
    return this.#tcp.tls;
  }

  get secure(): boolean {
    return this.#tcp.secure;
  }

  get loopback(): boolean {
    return this.#tcp.loopback;
  }

  get queued(): number {
    return this.#tcp.queued;
  }

  get pendingBytes(): number {
    return this.#frames.pendingBytes;
  }

  send(wire: string): void {
    if (!this.#isEnding) this.#tcp.send(frameHead(OPCODE.text, wire.length) + wire);
  }

  limitMessages(maxBytes: number): void {
    this.#frames.maxBytes = maxBytes;
  }

  pause(): void {
    this.#isPaused = true;
    this.#frames.pause();
    this.#tcp.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#read(undefined);
    if (!this.#isPaused) this.#tcp.resume();
  }

  startTls(): void {
    throw new Error('TLS does not begin within a WebSocket');
  }

  end(graceMs: number = GRACE): void {
    this.#close(CLOSE.normal, graceMs);
  }

  destroy(): void {
    this.#tcp.destroy();
  }

  /** Whether the client is not read at present, so that its silence means nothing. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Asks whether the peer is still there. */
  ping(): void {
    this.pingedAt = this.#keeper.now;
    this.#tcp.send(frameHead(OPCODE.ping, 0));
  }

  // ---- Of the line

  data(chunk: Buffer): void {
    this.heardAt = this.#keeper.now;
    this.#read(chunk);
  }

  closed(error?: Error): void {
    clearTimeout(this.#grace);
    this.#isEnding = true;
    this.#frames.stop();
    const { handler } = this;
    this.handler = nobody;
    this.#keeper.forget(this);
    handler.closed(error);
  }

  // ---- Of the frames

  message(bytes: Buffer): void {
    if (!this.#isEnding) this.handler.data(bytes);
  }

  control(opcode: number, payload: Buffer): void {
    this.handler.overhead?.(CONTROL_COST + payload.length);
    if (opcode === OPCODE.close) return this.#answerClose(payload);
    // The frame that answers a ping holds the same (RFC 6455 section 5.5.3).
    if (opcode !== OPCODE.ping || this.#isEnding || this.#tcp.queued > MAX_QUEUED_FOR_PONG) return;
    this.#tcp.send(frameHead(OPCODE.pong, payload.length) + latin1(payload, 0, payload.length));
  }

  /** Reads what has come, or goes on with what was kept. */
  #read(chunk: Buffer | undefined): void {
    try {
      if (chunk) this.#frames.write(chunk);
      else this.#frames.resume();
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#close(error.code, GRACE);
      this.#tcp.end();
      this.closed(error); // nothing can be said any more, and who waits for it is to know
    }
  }

  /** Says goodbye and waits for the peer's, which closes the line (RFC 6455 section 7.1.1). */
  #close(code: number, graceMs: number): void {
    if (this.#isEnding) return;
    this.#tcp.send(closeFrame(code));
    this.#isEnding = true;
    if (this.#isPaused) this.resume();
    this.#grace = setTimeout(destroy, graceMs, this.#tcp).unref();
  }

  /** Section 5.5.1: the peer's code comes back, then the line is closed. */
  #answerClose(payload: Buffer): void {
    if (!this.#isEnding) {
      if (payload.length === 1) throw new FrameError(CLOSE.protocol, 'half a code');
      const code = payload.length === 0 ? CLOSE.normal : payload.readUInt16BE(0);
      if (!isCode(code)) throw new FrameError(CLOSE.protocol, 'no code');
      this.#tcp.send(closeFrame(code));
      this.#isEnding = true;
    }
    this.#frames.stop();
    this.#tcp.end();
  }
}

/** Codes that may stand in a close frame (section 7.4). */
function isCode(code: number): boolean {
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

function destroy(tcp: TcpTransport): void {
  tcp.destroy();
}
