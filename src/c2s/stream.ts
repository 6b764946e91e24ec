import type { SaslExchange } from '../auth/sasl.ts';
import type { Maybe } from '../hooks.ts';
import type { Host } from '../host/host.ts';
import type { Transport, TransportHandler } from '../net/transport.ts';
import { StreamError } from '../stanza/errors.ts';
import type { Element } from '../xml/element.ts';
import { serialize } from '../xml/serialize.ts';
import { parseMessage, Splitter, type SplitterHandler, type StreamHeader, XmlError } from '../xml/splitter.ts';
import type { Stanza } from '../xml/stanza.ts';
import { toWire } from '../xml/wire.ts';
import type { C2sServer } from './c2s-server.ts';
import { NS_CLIENT, NS_FRAMING, NS_STREAM, readHeader, writeFooter, writeHeader } from './header.ts';
import { negotiate, offerFeatures } from './negotiation.ts';
import { ByteBudget, currentTurn } from './pace.ts';
import type { Session } from './session.ts';

/** What is only needed until a client is bound. */
export interface Negotiation {
  /** The SASL exchange under way. */
  exchange: SaslExchange | undefined;
  /** Its mechanism. */
  mechanism: string;
  /** Failed attempts on this stream in which something may have been guessed, and all failed attempts. */
  failures: number;
  attempts: number;
  /** The mechanisms announced in the last features. */
  offered: readonly string[];
}

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
    if (this.#isClosing) return this.#drainAfterClose(chunk);
    this.activeAt = this.server.now;
    try {
      if (this.#splitter) this.#splitter.write(chunk);
      else this.#takeMessage(chunk);
    } catch (error) {
      this.#fail(error);
    }
    if (this.#budget) this.#slowDown(this.#budget.spend(chunk.length));
  }

  closed(): void {
    this.#isClosing = true;
    this.#queue = undefined;
    this.negotiation = undefined;
    this.server.forget(this);
    this.session?.close();
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
    const pending = this.#take(stanza);
    if (pending) this.#wait(pending);
    else if (this.#hasHadItsTurn()) this.#yieldTurn();
  }

  footer(): void {
    this.close();
  }

  // ---- What others use

  /** Bytes of an unfinished stanza that are held. */
  get pendingBytes(): number {
    return this.#splitter?.pendingBytes ?? 0;
  }

  get isClosing(): boolean {
    return this.#isClosing;
  }

  /** Writes a stanza. A reader too slow for what it is sent is closed (its unread bytes would be paid for by everybody). */
  sendStanza(stanza: Stanza): void {
    if (this.#isClosing) return;
    const { transport } = this;
    transport.send(stanza.wire(transport.framed));
    if (transport.queued > this.server.limits.queueBytes) this.#giveUpOn('The client does not read what it is sent');
  }

  /** Writes an element that is not a stanza, such as SASL's. */
  sendElement(element: Element): void {
    if (!this.#isClosing) this.transport.send(toWire(serialize(element)));
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
    this.restart();
    this.#splitter?.discard();
    this.transport.startTls(this.host?.domain);
  }

  /** Marks the client as authenticated; the larger limits hold from here on. */
  authenticate(username: string): void {
    this.username = username;
    this.#splitter?.setLimits(this.server.limits.afterLogin);
    this.transport.limitMessages?.(this.server.limits.afterLogin.maxBytes);
  }

  /** Marks the client as bound; nothing is left to negotiate. */
  bound(session: Session): void {
    this.session = session;
    this.negotiation = undefined;
  }

  /** Ends the stream, with an error or without (RFC 6120 section 4.4); what is queued still leaves. */
  close(error?: StreamError): void {
    if (this.#isClosing) return;
    const { framed } = this.transport;
    let text = this.#isOpen ? '' : writeHeader(framed, this.host?.domain, undefined);
    if (error) {
      this.#report(error);
      this.#write(text);
      text = '';
      this.#write(serialize(error.toElement(framed)));
    }
    this.#write(text);
    this.#write(writeFooter(framed));
    this.#isClosing = true;
    this.#queue = undefined;
    this.transport.end();
    this.session?.close();
  }

  // ---- Reading

  #take(stanza: Stanza): Maybe<void> {
    const { session } = this;
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
      () => this.#resume(),
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

  #resume(): void {
    this.#isWaiting = false;
    if (this.#isClosing) return;
    try {
      if (this.#splitter) this.#splitter.resume();
      else this.#takeQueued();
    } catch (error) {
      this.#fail(error);
    }
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

  #slowDown(milliseconds: number): void {
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

  /** One line for each stream that is refused something; when the server itself goes, nobody needs one for each client. */
  #report({ condition, detail }: StreamError): void {
    this.server.traffic.streamErrors++;
    if (condition === 'system-shutdown' || condition === 'see-other-host') return;
    const { remoteAddress, kind } = this.transport;
    const about = { address: remoteAddress, transport: kind, session: this.session?.jid.full, condition, reason: detail.text };
    this.server.log.info('ended a stream with an error', about);
  }

  #giveUpOn(reason: string): void {
    this.server.log.warn('closed a stream', { address: this.transport.remoteAddress, session: this.session?.jid.full, reason });
    this.#isClosing = true;
    this.transport.destroy();
    this.session?.close();
  }

  /** After our footer the peer may still finish its side (RFC 6120 section 4.4), but nobody reads what it says. */
  #drainAfterClose(_chunk: Buffer): void {}

  #write(text: string): void {
    if (text !== '') this.transport.send(toWire(text));
  }
}

function isStanza(name: string): boolean {
  return name === 'message' || name === 'presence' || name === 'iq';
}
