import type { Maybe } from '../hooks.ts';
import type { Host } from '../host/host.ts';
import type { Transport, TransportHandler } from '../net/transport.ts';
import { type StreamCondition, StreamError } from '../stanza/errors.ts';
import type { Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { parseMessage, Splitter, type SplitterHandler, type StreamHeader, XmlError } from '../xml/splitter.ts';
import type { Stanza } from '../xml/stanza.ts';
import { toWire } from '../xml/wire.ts';
import type { C2sServer } from './c2s-server.ts';
import { NS_CLIENT, NS_FRAMING, NS_STREAM, readHeader, writeFooter, writeHeader } from './header.ts';
import { type Negotiation, negotiate, offerFeatures } from './negotiation.ts';
import { ByteBudget, currentTurn } from './pace.ts';
import { reportBroken, reportCut, reportError } from './reports.ts';
import type { Session } from './session.ts';

/** Bytes that may wait for a client that has not logged in: some times what is said until then. */
const QUEUE_BYTES_BEFORE_LOGIN = 65_536;

/** Errors that end the stream but not what it was for: the client may go on with its session over another one (XEP-0198 section 7). */
const RESUMABLE: ReadonlySet<StreamCondition> = new Set(['connection-timeout', 'reset', 'see-other-host', 'system-shutdown']);

/**
 * One client's stream (RFC 6120 section 4, framed as RFC 7395 where the transport is): opened, negotiated, restarted, closed.
 * It reads stanzas in order: while one waits for a promise the next is not read, and the line is paused (RFC 6120 section 10.1).
 */
export class C2sStream implements TransportHandler, SplitterHandler {
  readonly transport: Transport;
  readonly server: C2sServer;
  /** The host that the client addresses; undefined until its header was read. */
  host: Host | undefined = undefined;
  /** The prepared username, once authenticated. */
  username: string | undefined = undefined;
  /** Whether that name is for this stream alone and there is no account behind it (XEP-0175). */
  isAnonymous = false;
  /** Once bound. */
  session: Session | undefined = undefined;
  /** The `xml:lang` of its header. */
  lang: string | undefined = undefined;
  negotiation: Negotiation | undefined = { exchange: undefined, mechanism: '', failures: 0, attempts: 0, offered: [] };
  /** When it was accepted, and when it last sent anything: milliseconds of performance.now(), as of the last sweep. */
  readonly acceptedAt: number;
  activeAt: number;
  /** Since when an unfinished stanza has been waiting for its end, as seen by the sweep; 0 when none is. */
  unfinishedSince = 0;
  /** When the last keepalive was sent. */
  keptAliveAt = 0;

  readonly #splitter: Splitter | undefined;
  readonly #budget: ByteBudget | undefined;
  #queue: Buffer[] | undefined = undefined;
  #isOpen = false; // our header is out
  #isClosing = false; // our footer is out
  #isWaiting = false;
  #turn = -1;
  #inTurn = 0;

  constructor(transport: Transport, server: C2sServer) {
    this.transport = transport;
    this.server = server;
    this.acceptedAt = this.activeAt = server.now;
    const { limits } = server;
    this.#splitter = transport.framed ? undefined : new Splitter(this, limits.beforeLogin);
    this.#budget = limits.bytesPerSecond > 0 ? new ByteBudget(limits.bytesPerSecond, limits.burstBytes) : undefined;
    transport.handler = this;
  }

  // ---- TransportHandler

  data(chunk: Buffer): void {
    // After our footer the peer may still finish its side (RFC 6120 section 4.4), but nobody reads what it says.
    if (this.#isClosing) return;
    this.activeAt = this.server.now;
    try {
      if (this.#splitter) this.#splitter.write(chunk);
      else this.#takeMessage(chunk);
    } catch (error) {
      this.#fail(error);
    }
    if (this.#budget) this.#slowDown(this.#budget, chunk.length);
  }

  overhead(bytes: number): void {
    if (this.#budget) this.#slowDown(this.#budget, bytes);
  }

  closed(error?: Error): void {
    if (error) reportBroken(this, error);
    this.#isClosing = true;
    this.#queue = undefined;
    this.negotiation = undefined;
    this.server.forget(this);
    if (error) this.session?.broken(this);
    this.session?.lineEnded(this, false);
  }

  // ---- SplitterHandler

  header(header: StreamHeader): void {
    if (header.name !== 'stream') throw new StreamError('bad-format');
    if (header.xmlns !== NS_STREAM) throw new StreamError('invalid-namespace');
    if (header.prefix !== 'stream') throw new StreamError('bad-namespace-prefix');
    if (header.defaultNS !== NS_CLIENT) throw new StreamError('invalid-namespace');
    this.#open(header.attrs);
  }

  stanza(stanza: Stanza): void {
    this.unfinishedSince = 0;
    const pending = this.#take(stanza);
    const hasHadItsTurn = this.#hasHadItsTurn();
    if (pending) this.#wait(pending);
    else if (hasHadItsTurn) this.#yieldTurn();
  }

  footer(): void {
    this.close();
  }

  // ---- What others use

  /** Bytes of an unfinished stanza that are held. */
  get pendingBytes(): number {
    return this.#splitter?.pendingBytes ?? this.transport.pendingBytes ?? 0;
  }

  /** Whether it is us whom the client waits for. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Writes a stanza. A reader too slow for what it is sent is closed (its unread bytes would be paid for by everybody). */
  sendStanza(stanza: Stanza): void {
    if (this.#isClosing) return;
    const { transport } = this;
    transport.send(stanza.wire(transport.framed));
    this.#checkQueue();
  }

  /** Writes an element that is not a stanza, such as SASL's. */
  sendElement(element: Element): void {
    if (this.#isClosing) return;
    this.transport.send(toWire(serialize(element)));
    this.#checkQueue();
  }

  /** Says what can be done next (RFC 6120 section 4.3.2). */
  sendFeatures(): Maybe<void> {
    return offerFeatures(this);
  }

  /** Expects a new header (RFC 6120 section 4.3.3), after SASL succeeded. */
  restart(): void {
    // What was begun before TLS, or for another domain, is not finished after it (RFC 6120 section 5.4.3.3).
    if (this.negotiation) this.negotiation.exchange = undefined;
    this.#isOpen = false;
    this.#splitter?.reset();
  }

  /** Starts TLS. What came in the clear behind the request is thrown away with the old stream (RFC 6120 section 5.4.3.3). */
  startTls(): void {
    if (this.#isClosing) return;
    this.restart();
    this.#splitter?.discard();
    this.transport.startTls(this.host?.domain);
  }

  /** Marks the client as authenticated; the larger limits hold from here on. */
  authenticate(username: string, isAnonymous = false): void {
    this.username = username;
    this.isAnonymous = isAnonymous;
    this.#splitter?.setLimits(this.server.limits.afterLogin);
    this.transport.limitMessages?.(this.server.limits.afterLogin.maxBytes);
  }

  /** Marks the client as bound; nothing is left to negotiate. Called by the session. */
  bound(session: Session): void {
    this.session = session;
    this.negotiation = undefined;
  }

  /** Cuts the line, over which nothing would arrive any more. */
  cut(reason: string): void {
    if (!this.#isClosing) this.#giveUpOn(reason);
  }

  /** Ends the stream, with an error or without (RFC 6120 section 4.4); what is queued still leaves. */
  close(error?: StreamError): void {
    if (this.#isClosing) return;
    const { framed } = this.transport;
    let text = this.#isOpen ? '' : writeHeader(framed, this.host?.domain, undefined);
    if (error) {
      reportError(this, error);
      this.#write(text);
      text = '';
      this.#write(serialize(error.toElement(framed)));
    }
    this.#write(text);
    this.#write(writeFooter(framed));
    this.#isClosing = true;
    this.#queue = undefined;
    // First, since a transport that has nothing left to say may tell at once that it is closed.
    if (!error) this.session?.finish(this);
    this.session?.lineEnded(this, error === undefined || !RESUMABLE.has(error.condition));
    this.transport.end();
  }

  // ---- Reading

  #take(stanza: Stanza): Maybe<void> {
    const { session } = this;
    const changing = this.host?.changing;
    if (changing) return changing.then(() => this.#take(stanza));
    if (session && stanza.xmlns === NS_CLIENT && isStanza(stanza.name)) return session.receive(stanza);
    return negotiate(this, stanza);
  }

  #takeMessage(bytes: Buffer): void {
    if (this.#isWaiting) {
      (this.#queue ??= []).push(Buffer.from(bytes));
      return;
    }
    const { limits } = this.server;
    const element = parseMessage(bytes, this.username === undefined ? limits.beforeLogin : limits.afterLogin);
    if (element.xmlns === NS_FRAMING) return this.#takeFraming(element);
    if (!this.#isOpen) throw new StreamError('bad-format');
    this.stanza(element);
  }

  #takeFraming(element: Stanza): void {
    if (element.name === 'close') return this.close();
    if (element.name !== 'open') throw new StreamError('unsupported-stanza-type');
    this.#open(new Map(Object.entries(element.element.attrs as Record<string, string>)));
  }

  #open(attrs: ReadonlyMap<string, string>): void {
    if (this.#isOpen) throw new StreamError('bad-format');
    const header = readHeader(attrs);
    const host = this.server.hosts.get(header.domain);
    if (this.username !== undefined && host !== this.host) throw new StreamError('host-unknown');
    this.lang = header.lang;
    if (!host) {
      this.#write(writeHeader(this.transport.framed, header.domain, header.from));
      this.#isOpen = true;
      throw new StreamError('host-unknown');
    }
    this.host = host;
    this.#write(writeHeader(this.transport.framed, host.domain, header.from));
    this.#isOpen = true;
    const pending = this.sendFeatures();
    if (pending) this.#wait(pending);
  }

  // ---- Waiting

  #wait(pending: Promise<void>): void {
    this.#isWaiting = true;
    this.#splitter?.pause();
    this.transport.pause();
    pending.then(
      () => this.#resumeInTurn(),
      (error: unknown) => {
        this.#isWaiting = false;
        this.#fail(error);
      },
    );
  }

  #hasHadItsTurn(): boolean {
    const turn = currentTurn();
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#inTurn = 0;
    }
    return ++this.#inTurn >= this.server.limits.stanzasPerTurn;
  }

  #yieldTurn(): void {
    this.#isWaiting = true;
    this.#splitter?.pause();
    this.transport.pause();
    setImmediate(() => this.#resume());
  }

  /** What is refused after a promise that was settled already takes no time, and must not take the others' turns either. */
  #resumeInTurn(): void {
    if (this.#inTurn >= this.server.limits.stanzasPerTurn && this.#turn === currentTurn()) setImmediate(() => this.#resume());
    else this.#resume();
  }

  #resume(): void {
    this.#isWaiting = false;
    if (this.#isClosing) return;
    try {
      if (this.#splitter) this.#splitter.resume();
      else this.#takeQueued();
    } catch (error) {
      this.#fail(error);
    }
    // What was spent while it waited for something else is still owed.
    if (this.#budget) this.#slowDown(this.#budget, 0);
    if (!this.#isWaiting && !this.#isClosing) this.transport.resume();
  }

  #takeQueued(): void {
    const queue = this.#queue;
    if (!queue) return;
    this.#queue = undefined;
    let i = 0;
    for (; i < queue.length && !this.#isWaiting && !this.#isClosing; i++) this.#takeMessage(queue[i]!);
    if (i < queue.length && !this.#isClosing) this.#queue = [...queue.slice(i), ...(this.#queue ?? [])];
  }

  #slowDown(budget: ByteBudget, bytes: number): void {
    const milliseconds = budget.spend(bytes);
    if (milliseconds <= 0 || this.#isWaiting || this.#isClosing) return;
    this.#wait(new Promise((resolve) => setTimeout(resolve, milliseconds).unref()));
  }

  // ---- Ending

  #fail(error: unknown): void {
    if (error instanceof StreamError) return this.close(error);
    if (error instanceof XmlError) return this.close(new StreamError(error.condition, { text: error.message }));
    this.server.traffic.faults++;
    this.server.log.error('a stream failed', { address: this.transport.remoteAddress, error });
    this.close(new StreamError('internal-server-error'));
  }

  /** Strangers are sent little, so little may wait for them. */
  #checkQueue(): void {
    const { queueBytes } = this.server.limits;
    const most = this.session === undefined ? Math.min(queueBytes, QUEUE_BYTES_BEFORE_LOGIN) : queueBytes;
    if (this.transport.queued > most) this.#giveUpOn('The client does not read what it is sent');
  }

  #giveUpOn(reason: string): void {
    reportCut(this, reason);
    this.#isClosing = true;
    this.transport.destroy();
    this.session?.lineEnded(this, false);
  }

  #write(text: string): void {
    if (text !== '') this.transport.send(toWire(text));
  }
}

function isStanza(name: string): boolean {
  return name === 'message' || name === 'presence' || name === 'iq';
}
