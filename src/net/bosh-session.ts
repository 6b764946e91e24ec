import { createHash, randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { SplitterLimits } from '../xml/splitter.ts';
import { isLoopback, type Origin } from './addresses.ts';
import {
  type BoshCondition,
  BoshError,
  type BoshRequest,
  CLOSE,
  conditionOf,
  readOpen,
  writeBody,
  writeOpen,
  writeTermination,
} from './bosh-body.ts';
import { type Arrival, RequestWindow } from './bosh-window.ts';
import { flushSoon } from './flush.ts';
import { nobody } from './tcp-transport.ts';
import type { Transport, TransportHandler } from './transport.ts';

/** The version of XEP-0124 that is spoken here. */
const VERSION = [1, 11] as const;
/** Seconds that have to lie between two empty requests that are not needed. */
const POLLING = 1;
/** Seconds a client may say that it will be away. */
const MAX_PAUSE = 120;
/** Milliseconds in which a client without an open request can still fetch the end of its session. */
const GRACE = 5000;

const EMPTY = writeBody({}, '');

/** What sessions have in common. */
export interface BoshKeeper {
  /** The longest a request is held, in seconds. */
  readonly maxWait: number;
  /** How long a client may have no request open, in milliseconds. */
  readonly inactivity: number;
  readonly maxRequests: number;
  readonly limits: SplitterLimits;
  /** Writes a response. */
  respond(response: ServerResponse, body: string, session: BoshSession): void;
  /** The session is gone. */
  forget(session: BoshSession): void;
}

/**
 * One BOSH session (XEP-0124, XEP-0206). To the core it is a framed transport: the session's creation and its restarts come as
 * <open/>, payloads as messages, its end as <close/>.
 */
export class BoshSession implements Transport {
  readonly kind = 'bosh';
  readonly framed = true;
  /** TLS belongs to single requests; nothing can be bound to it. */
  readonly tls = undefined;
  readonly sid = randomBytes(18).toString('base64url');
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly secure: boolean;
  readonly loopback: boolean;
  handler: TransportHandler = nobody;
  /** The longest message that is taken. */
  maxBytes: number;
  readonly #keeper: BoshKeeper;
  readonly #creation: BoshRequest;
  readonly #wait: number;
  readonly #hold: number;
  readonly #window: RequestWindow;
  #key: string | undefined;
  /** What the client is to be told, as byte strings. */
  #outbox = '';
  /** What the client has sent while the core does not read it. */
  #inbox: Buffer[] = [];
  #stream: ReadonlyMap<string, string> | undefined = undefined;
  #condition: BoshCondition | undefined = undefined;
  #newestAt = Number.NEGATIVE_INFINITY;
  /** Whether the last request asked for nothing and its response held nothing. */
  #wasIdle = false;
  #awayFor: number | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #isCreated = false;
  #isPaused = false;
  #isWaitingForFlush = false;
  #isEnding = false;
  #isClosed = false;

  constructor(request: BoshRequest, client: Origin, keeper: BoshKeeper) {
    this.remoteAddress = client.address;
    this.remotePort = client.port;
    this.secure = client.secure === true;
    this.loopback = isLoopback(client.address) && client.isHidden !== true;
    this.maxBytes = keeper.limits.maxBytes;
    this.#keeper = keeper;
    this.#creation = request;
    this.#wait = Math.min(request.wait ?? keeper.maxWait, keeper.maxWait);
    this.#hold = Math.min(request.hold ?? 1, keeper.maxRequests - 1);
    this.#window = new RequestWindow(request.rid, this.#hold + 1, (response, body) => keeper.respond(response, body, this));
    this.#key = request.newKey?.toLowerCase();
  }

  /** What the client wants its responses to be called (section 7.1). */
  get content(): string | undefined {
    return this.#creation.content;
  }

  /** Whether it expects status codes instead of conditions, since it has named no version (section 17.1). */
  get isLegacy(): boolean {
    return this.#creation.ver === undefined;
  }

  get queued(): number {
    return this.#outbox.length;
  }

  send(wire: string): void {
    if (this.#isEnding || this.#isClosed) return;
    if (wire.startsWith('<open ')) {
      this.#stream ??= readOpen(wire, this.#keeper.limits);
      return;
    }
    if (wire.startsWith('<close ')) return; // `end` follows
    if (wire.startsWith('<stream:error')) this.#condition = conditionOf(wire);
    if (this.#condition === undefined || this.#condition === 'remote-stream-error') this.#outbox += wire;
    this.#flushSoon();
  }

  limitMessages(maxBytes: number): void {
    this.maxBytes = maxBytes;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const inbox = this.#inbox;
    for (let next = inbox.shift(); next; next = inbox.shift()) {
      this.handler.data(next);
      if (this.#isPaused) return;
    }
    this.#flushSoon();
  }

  startTls(): void {
    throw new Error('TLS does not begin within BOSH');
  }

  end(graceMs: number = GRACE): void {
    if (this.#isEnding || this.#isClosed) return;
    this.#isEnding = true;
    this.#inbox = [];
    this.#rest(graceMs);
    this.#flushSoon();
  }

  destroy(): void {
    this.#close(writeTermination(this.#condition), EMPTY);
  }

  /** A request has come for this session, its first one or another. Throws nothing; a client that breaks the rules is sent away. */
  take(arrival: Arrival): void {
    if (this.#isClosed) return this.#keeper.respond(arrival.response, writeTermination('item-not-found'), this);
    clearTimeout(this.#timer);
    try {
      this.#window.arrive(arrival);
      for (let next = this.#window.next(); next; next = this.#window.next()) this.#handle(next);
    } catch (error) {
      if (!(error instanceof BoshError)) throw error;
      const body = writeTermination(error.condition);
      this.#keeper.respond(arrival.response, body, this);
      return this.#close(body, body, error);
    }
    this.#flushSoon();
  }

  /** Writes what there is to say, once per turn, and lets go of requests that are more than the client wants held. */
  flush(): void {
    this.#isWaitingForFlush = false;
    if (this.#isClosed) return;
    if (this.#isEnding) return this.#finish();
    const window = this.#window;
    while (window.held > 0 && !window.canCarry) this.#answer('');
    if (this.#outbox !== '' && window.held > 0) this.#answer(this.#takeOutbox());
    // While the core does not read, the client gets no response that would let it send more.
    const most = this.#wait === 0 ? 0 : this.#hold;
    if (this.#inbox.length === 0) while (window.held > most || (this.#awayFor !== undefined && window.held > 0)) this.#answer('');
    if (window.held === 0) this.#rest(this.#awayFor === undefined ? this.#keeper.inactivity : this.#awayFor * 1000);
  }

  #flushSoon(): void {
    if (this.#isWaitingForFlush) return;
    this.#isWaitingForFlush = true;
    flushSoon(this);
  }

  // ---- Requests in order

  #handle(arrival: Arrival): void {
    const { request } = arrival;
    const isFirst = request === this.#creation;
    if (!isFirst) {
      this.#checkKey(request);
      this.#checkPace(request);
    }
    this.#awayFor = request.pause;
    if (request.pause !== undefined && request.pause > MAX_PAUSE) throw new BoshError('bad-request');
    if (this.#usesAcks && !isFirst) this.#window.acknowledge(request.ack ?? request.rid - 1);
    this.#window.hold(arrival, this.#wait * 1000, () => this.#answerLate());
    if (isFirst) this.#feed(writeOpen(request));
    else if (request.isRestart) this.#feed(writeOpen({ ...request, to: request.to ?? this.#creation.to }));
    else for (const payload of request.payloads) this.#feed(payload); // XEP-0206 section 5: payloads of a restart are ignored
    if (request.isTerminate) this.#feed(CLOSE);
  }

  #feed(message: Buffer): void {
    if (this.#isEnding) return;
    if (this.#isPaused || this.#inbox.length > 0) this.#inbox.push(message);
    else if (message.length > this.maxBytes) throw new BoshError('policy-violation');
    else this.handler.data(message);
  }

  /** Section 15.4: each key has to hash to the one before. */
  #checkKey({ key, newKey }: BoshRequest): void {
    if (this.#key !== undefined) {
      const hash = createHash('sha1')
        .update(key ?? '')
        .digest('hex');
      if (key === undefined || hash !== this.#key) throw new BoshError('item-not-found');
    }
    this.#key = (newKey ?? key)?.toLowerCase();
  }

  /** Sections 11 and 12: no empty requests that only cost us work. */
  #checkPace({ payloads, pause, isTerminate, isRestart }: BoshRequest): void {
    const now = performance.now();
    const isEmpty = payloads.length === 0 && pause === undefined && !isTerminate && !isRestart;
    const isSoon = now - this.#newestAt < POLLING * 1000;
    const isPolling = this.#hold === 0 || this.#wait === 0;
    const isNeedless = isPolling ? this.#wasIdle : this.#window.unanswered >= this.#hold;
    if (isEmpty && isSoon && isNeedless) throw new BoshError('policy-violation');
    this.#newestAt = now;
    this.#wasIdle = isEmpty;
  }

  // ---- Responses

  get #usesAcks(): boolean {
    return this.#creation.ack === 1;
  }

  #takeOutbox(): string {
    const payloads = this.#outbox;
    this.#outbox = '';
    return payloads;
  }

  #answer(payloads: string): void {
    if (payloads !== '') this.#wasIdle = false;
    const attrs = this.#isCreated ? {} : this.#creationAttrs();
    const isFirst = !this.#isCreated;
    this.#isCreated = true;
    this.#window.answer((rid) => {
      const { received } = this.#window;
      const ack = this.#usesAcks && (isFirst || received > rid) ? received : undefined;
      return writeBody({ ...attrs, ack }, payloads);
    });
  }

  /** A request has waited for as long as the client wants it to. */
  #answerLate(): void {
    this.#answer(this.#window.canCarry ? this.#takeOutbox() : '');
    this.#flushSoon();
  }

  #creationAttrs(): Readonly<Record<string, string | number | undefined>> {
    const { ver } = this.#creation;
    const isOlder = ver && (ver[0] < VERSION[0] || (ver[0] === VERSION[0] && ver[1] < VERSION[1]));
    return {
      sid: this.sid,
      wait: this.#wait,
      requests: this.#hold + 1,
      hold: this.#hold,
      ver: (isOlder ? ver : VERSION).join('.'),
      polling: POLLING,
      inactivity: Math.floor(this.#keeper.inactivity / 1000),
      maxpause: MAX_PAUSE,
      from: this.#stream?.get('from'),
      'xmpp:version': this.#stream?.get('version'),
      'xmpp:restartlogic': 'true',
    };
  }

  // ---- The end

  /** Nobody has asked for anything; after a while that is the end. */
  #rest(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#close(EMPTY, EMPTY), milliseconds).unref();
  }

  /** Tells the oldest request that it is over; when there is none, the next one that comes. */
  #finish(): void {
    if (this.#window.unanswered === 0) return;
    this.#close(writeTermination(this.#condition, this.#takeOutbox()), EMPTY);
  }

  /** The oldest request gets `body`, the others `rest` (section 13). */
  #close(body: string, rest: string, error?: Error): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#window.finish(body, rest);
    this.#outbox = '';
    this.#inbox = [];
    const { handler } = this;
    this.handler = nobody;
    this.#keeper.forget(this);
    handler.closed(error);
  }
}
