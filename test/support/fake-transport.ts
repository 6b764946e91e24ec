import { type Element, parse } from 'ltx';
import type { TlsInfo, Transport, TransportHandler } from '../../src/net/transport.ts';

/** A transport without a network: what is sent is collected, what is fed arrives at once. */
export class FakeTransport implements Transport {
  readonly kind: Transport['kind'];
  readonly framed: boolean;
  readonly remoteAddress: string = '192.0.2.1';
  readonly remotePort = 40_000;
  tls: TlsInfo | undefined = undefined;
  secure = true;
  loopback = false;
  queued = 0;
  pendingBytes = 0;
  handler: TransportHandler = { data() {}, closed() {} };
  isPaused = false;
  isEnded = false;
  startedTls = 0;
  /** Called for each element or piece that was sent. */
  onSend: (text: string) => void = (text) => void this.sent.push(text);
  readonly sent: string[] = [];

  constructor(kind: Transport['kind'] = 'websocket') {
    this.kind = kind;
    this.framed = kind !== 'tcp';
  }

  send(wire: string): void {
    this.onSend(Buffer.from(wire, 'latin1').toString());
  }

  /** Lets bytes arrive. */
  feed(text: string | Buffer): void {
    this.handler.data(Buffer.from(text));
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  startTls(): void {
    this.startedTls++;
    this.secure = true;
  }

  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (this.isEnded) return;
    this.isEnded = true;
    this.handler.closed();
  }
}

/** Reads XML as the tree a client would see. */
export function read(text: string): Element {
  return parse(text);
}
