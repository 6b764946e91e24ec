import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type { CertificateConfig, TlsConfig } from '../../../src/config/server-config.ts';
import type { Log, LogDetail } from '../../../src/log.ts';
import { AddressLimits } from '../../../src/net/address-limits.ts';
import { CertificateStore } from '../../../src/net/certificates.ts';
import type { Transport, TransportHandler } from '../../../src/net/transport.ts';

const PATIENCE = 10_000;

/** A log whose lines a test can read. */
export class LogRecorder implements Log {
  readonly lines: { level: string; text: string; detail: LogDetail }[] = [];
  debug = (text: string, detail: LogDetail = {}) => void this.lines.push({ level: 'debug', text, detail });
  info = (text: string, detail: LogDetail = {}) => void this.lines.push({ level: 'info', text, detail });
  warn = (text: string, detail: LogDetail = {}) => void this.lines.push({ level: 'warn', text, detail });
  error = (text: string, detail: LogDetail = {}) => void this.lines.push({ level: 'error', text, detail });

  child(): Log {
    return this;
  }

  /** The texts of one level. */
  texts(level: string): readonly string[] {
    return this.lines.filter((line) => line.level === level).map(({ text }) => text);
  }
}

/** A folder of its own, removed by `rm`. */
export async function makeFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'parlance-net-'));
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

/** Limits that no test meets by accident. */
export function roomyAddressLimits(log: Log): AddressLimits {
  return new AddressLimits({ connectionsPerAddress: 1000, connectionsPerMinute: 100_000, exemptLoopback: false }, log);
}

/** A certificate store in a folder; hosts are self-signed unless told otherwise. */
export function openStore(
  folder: string,
  hosts: Readonly<Record<string, CertificateConfig>> = { localhost: 'self-signed' },
  options: { tls?: Partial<TlsConfig>; log?: Log; now?: () => number } = {},
): Promise<CertificateStore> {
  return CertificateStore.open({
    tls: {
      certificates: join(folder, 'certificates'),
      minVersion: 'TLSv1.2',
      clientCertificates: 'off',
      ...options.tls,
    } as TlsConfig,
    hosts: new Map(Object.entries(hosts)),
    data: folder,
    log: options.log ?? new LogRecorder(),
    ...(options.now ? { now: options.now } : {}),
  });
}

/** Takes a transport as the core would, and notes what it is told. */
export class Recorder implements TransportHandler {
  readonly transport: Transport;
  readonly chunks: string[] = [];
  isClosed = false;
  error: Error | undefined = undefined;
  /** Called for each chunk, before anybody else hears of it. */
  onData: (text: string) => void = () => {};
  readonly #news = new EventEmitter();

  constructor(transport: Transport) {
    this.transport = transport;
    transport.handler = this;
  }

  get text(): string {
    return this.chunks.join('');
  }

  data(chunk: Buffer): void {
    assert.equal(this.isClosed, false, 'data after closed');
    this.chunks.push(chunk.toString());
    this.onData(chunk.toString());
    this.#news.emit('news');
  }

  closed(error?: Error): void {
    assert.equal(this.isClosed, false, 'closed twice');
    this.isClosed = true;
    this.error = error;
    this.#news.emit('news');
  }

  /** Resolves as soon as this is so. */
  async until(isSo: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE);
    while (!isSo()) await once(this.#news, 'news', { signal });
  }
}

/** Accepts transports; tests wait for them. */
export class Accepting {
  readonly recorders: Recorder[] = [];
  readonly #news = new EventEmitter();
  /** Called for each transport at once. */
  onAccept: (recorder: Recorder) => void = () => {};

  readonly accept = (transport: Transport): void => {
    const recorder = new Recorder(transport);
    this.recorders.push(recorder);
    this.onAccept(recorder);
    this.#news.emit('news');
  };

  /** The next that was or will be accepted. */
  async next(): Promise<Recorder> {
    const signal = AbortSignal.timeout(PATIENCE);
    while (this.recorders.length === 0) await once(this.#news, 'news', { signal });
    return this.recorders.shift()!;
  }
}

/** A client's socket that keeps what it gets. */
export class Client {
  readonly socket: Socket;
  received = '';
  isEnded = false;
  isClosed = false;
  error: Error | undefined = undefined;
  readonly #news = new EventEmitter();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#note(() => void (this.received += chunk.toString('latin1'))));
    socket.on('end', () => this.#note(() => void (this.isEnded = true)));
    socket.on('error', (error) => this.#note(() => void (this.error = error)));
    socket.on('close', () => this.#note(() => void (this.isClosed = true)));
  }

  /** Resolves as soon as this is so. */
  async until(isSo: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(PATIENCE);
    while (!isSo()) await once(this.#news, 'news', { signal });
  }

  #note(change: () => void): void {
    change();
    this.#news.emit('news');
  }
}

/** A client in the clear. */
export async function dial(port: number, host = '127.0.0.1'): Promise<Client> {
  const client = new Client(connect({ port, host, allowHalfOpen: true, noDelay: true }));
  await once(client.socket, 'connect');
  return client;
}

/** A client under TLS that trusts anybody; rejects when the handshake fails. */
export async function dialTls(port: number, options: ConnectionOptions = {}): Promise<Client & { socket: TLSSocket }> {
  const socket = connectTls({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false, ...options });
  const client = new Client(socket);
  await once(socket, 'secureConnect');
  return client as Client & { socket: TLSSocket };
}
