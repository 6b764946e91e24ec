import type { Host } from '../host/host.ts';
import type { Log } from '../log.ts';
import type { Transport } from '../net/transport.ts';
import { StreamError } from '../stanza/errors.ts';
import type { Traffic } from '../traffic.ts';
import type { SplitterLimits } from '../xml/splitter.ts';
import { C2sStream } from './stream.ts';

/** What one client may do to the server. */
export interface C2sLimits {
  /** For what comes before log-in; smaller, since anybody may send it. */
  readonly beforeLogin: SplitterLimits;
  readonly afterLogin: SplitterLimits;
  /** Bytes per second one connection may send in the long run; 0 for no limit. */
  readonly bytesPerSecond: number;
  /** Bytes it may send at once. */
  readonly burstBytes: number;
  /** Stanzas of one connection handled before the other connections have their turn. */
  readonly stanzasPerTurn: number;
  /** Bytes that may wait for a client that does not read, before it is closed. */
  readonly queueBytes: number;
  /** Milliseconds from the connection to the end of binding. */
  readonly loginTimeout: number;
  /** Milliseconds an unfinished stanza may take. */
  readonly stanzaTimeout: number;
  /** Milliseconds of silence after which a space is sent (RFC 6120 section 4.6.1); 0 for never. */
  readonly keepalive: number;
  /** Seconds of silence after which a client is closed, announced by XEP-0478; 0 for never. */
  readonly idleSeconds: number;
}

const SWEEP_EVERY = 1000;
const SPACE = ' ';

/** Every client stream of this process: accepted, watched by one timer, closed. */
export class C2sServer {
  readonly hosts: ReadonlyMap<string, Host>;
  readonly traffic: Traffic;
  readonly log: Log;
  limits: C2sLimits;
  /** Milliseconds of performance.now(), as of the last sweep: streams note their times by it. */
  now = performance.now();
  /** Where clients are sent while this server drains (RFC 6120 section 4.9.3.19). */
  seeOtherHost: string | undefined = undefined;

  readonly #streams = new Set<C2sStream>();
  readonly #hasCertificate: (domain: string) => boolean;
  readonly #sweeper: NodeJS.Timeout;
  #isDraining = false;
  #onEmpty: (() => void) | undefined = undefined;

  constructor(parts: {
    hosts: ReadonlyMap<string, Host>;
    limits: C2sLimits;
    traffic: Traffic;
    log: Log;
    hasCertificate: (domain: string) => boolean;
  }) {
    this.hosts = parts.hosts;
    this.limits = parts.limits;
    this.traffic = parts.traffic;
    this.log = parts.log;
    this.#hasCertificate = parts.hasCertificate;
    this.#sweeper = setInterval(() => this.sweep(performance.now()), SWEEP_EVERY).unref();
  }

  /** Takes a new connection. */
  accept(transport: Transport): C2sStream {
    const stream = new C2sStream(transport, this);
    this.#streams.add(stream);
    if (this.#isDraining) stream.close(this.#farewell());
    return stream;
  }

  /** Open streams, bound or not. */
  get streams(): ReadonlySet<C2sStream> {
    return this.#streams;
  }

  /** Whether TLS can be offered for this host. */
  hasCertificate(domain: string): boolean {
    return this.#hasCertificate(domain);
  }

  /** A stream is gone. */
  forget(stream: C2sStream): void {
    this.#streams.delete(stream);
    if (this.#streams.size === 0) this.#onEmpty?.();
  }

  /** Looks at every stream: who is too slow to log in or to finish a stanza is closed, who is silent gets a space. */
  sweep(now: number): void {
    this.now = now;
    for (const stream of this.#streams) this.#watch(stream, now);
  }

  /** Sends every client away and takes no more; resolves when they are gone, or cuts them off after `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#isDraining = true;
    for (const stream of [...this.#streams]) stream.close(this.#farewell());
    if (this.#streams.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    for (const stream of [...this.#streams]) stream.transport.destroy();
  }

  /** Stops the timer; call after `drain`. */
  stop(): void {
    clearInterval(this.#sweeper);
  }

  #watch(stream: C2sStream, now: number): void {
    if (stream.isClosing) return;
    const { limits } = this;
    if (stream.session === undefined) {
      if (now - stream.acceptedAt > limits.loginTimeout) this.#timeOut(stream, 'Log-in took too long');
      return;
    }
    if (stream.pendingBytes === 0 || stream.isWaiting) stream.unfinishedSince = 0;
    else if (stream.unfinishedSince === 0) stream.unfinishedSince = now;
    else if (now - stream.unfinishedSince > limits.stanzaTimeout) return this.#timeOut(stream, 'A stanza took too long');
    const silence = now - stream.activeAt;
    if (limits.idleSeconds > 0 && silence > limits.idleSeconds * 1000) return this.#timeOut(stream, 'Idle');
    if (limits.keepalive > 0 && silence > limits.keepalive && stream.keptAliveAt + limits.keepalive < now) {
      stream.keptAliveAt = now;
      if (!stream.transport.framed) stream.transport.send(SPACE);
    }
  }

  #timeOut(stream: C2sStream, text: string): void {
    stream.close(new StreamError('connection-timeout', { text }));
  }

  #farewell(): StreamError {
    return this.seeOtherHost
      ? new StreamError('see-other-host', { content: this.seeOtherHost })
      : new StreamError('system-shutdown');
  }
}
