import {
  Envelope,
  errorOf,
  type Handover,
  Jid,
  type Keeper,
  type Maybe,
  nobody,
  type Router,
  type Session,
  type Stanza,
  StanzaError,
  StreamError,
  xml,
} from '#core';
import type { Unkept } from './unkept.ts';

/** The namespace of stream management (XEP-0198). */
export const NS = 'urn:xmpp:sm:3';
const NS_DELAY = 'urn:xmpp:delay';

/** So much every client may leave, however many there are. */
const FAIR_BYTES = 65_536;
/** Stanzas other than messages after which the client is asked what it has got. */
const ASK_AFTER = 10;

/** What all managed sessions of a host have in common. Replaced as a whole when the module is started anew. */
export interface Surroundings {
  readonly domain: string;
  readonly router: Router;
  /** What one session may hold that its client has not confirmed. */
  readonly maxStanzas: number;
  readonly maxBytes: number;
  /** What all together may hold. */
  readonly maxTotalBytes: number;
  /** What they do hold. */
  readonly load: { bytes: number };
  readonly unkept: Unkept;
  /** Delivers a message to others, or refuses it. */
  redeliver(message: Stanza): Maybe<void>;
  /** Notes which messages an account has got; resolves once that is durable. */
  note(username: string): Promise<unknown> | undefined;
  /** The session was given a kept message before whoever keeps it was restarted. */
  givenBefore(handover: Handover): void;
  /** The session was taken up after a restart of the server. */
  takenUp(session: Session): void;
  /** It is managed from here on. */
  began(managed: Managed): void;
  /** The session is over. */
  ended(managed: Managed): void;
  /** It waits for its client, or no longer. */
  report(text: string, managed: Managed): void;
}

/** What is kept of a session over a restart of the server. */
export interface Counts {
  readonly handled: number;
  readonly acked: number;
}

/** One session under stream management: what its client has not confirmed yet, and what happens when its line breaks. */
export class Managed implements Keeper {
  /** The SM-ID; undefined when it cannot be resumed. */
  readonly id: string | undefined;
  readonly session: Session;
  /** Milliseconds for which it waits for its client. */
  readonly patience: number;
  surroundings: Surroundings;
  /** Whoever wants to resume it; of several the last one wins. */
  claim: object | undefined = undefined;
  /** When the client was asked, in milliseconds of performance.now(); undefined while no answer is due. */
  askedAt: number | undefined = undefined;
  /** Stanzas of the client that were dealt with before stream management was enabled. */
  readonly #before: number;
  #queue: Stanza[] = [];
  /** Where the queue begins: what is before has been confirmed. */
  #head = 0;
  #bytes = 0;
  #acked = 0;
  /** How many in the queue are messages, or anything, that the client has not been asked about. */
  #unasked = 0;
  #isAskScheduled = false;
  #isFull = false;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(
    session: Session,
    parts: { id: string | undefined; patience: number; surroundings: Surroundings; counts?: Counts },
  ) {
    this.session = session;
    this.id = parts.id;
    this.patience = parts.patience;
    this.surroundings = parts.surroundings;
    this.#before = parts.counts ? 0 : session.handled;
    if (parts.counts) {
      session.handled = parts.counts.handled;
      this.#acked = parts.counts.acked;
    }
    session.keeper = this;
    parts.surroundings.began(this);
  }

  /** Stanzas of the client that have been dealt with: the `h` to tell it. */
  get handled(): number {
    return (this.session.handled - this.#before) >>> 0;
  }

  /** Stanzas that were sent: the greatest `h` the client can tell. */
  get sentCount(): number {
    return (this.#acked + this.#queue.length - this.#head) >>> 0;
  }

  /** The last `h` the client told. */
  get acked(): number {
    return this.#acked;
  }

  /** What it has not confirmed, oldest first. */
  get unconfirmed(): readonly Stanza[] {
    return this.#queue.slice(this.#head);
  }

  // ---- Keeper

  sent(stanza: Stanza): void {
    const { session } = this;
    const kept = session.stream || stanza.name !== 'message' ? stanza : this.#delayed(stanza);
    this.#queue.push(kept);
    this.#weigh(kept.size);
    const { unkept, router } = this.surroundings;
    if (stanza.keptAs !== undefined) session.host.signals.messageGiven.emit({ session, id: stanza.keptAs });
    else if (unkept.isText(stanza)) unkept.given(stanza, kept, { session, router });
    if (this.#isTooMuch()) this.#overflow();
    this.#unasked += stanza.name === 'message' ? ASK_AFTER : 1;
    if (this.#unasked >= ASK_AFTER && this.askedAt === undefined) this.#ask();
  }

  keeps(): boolean {
    if (this.id === undefined || this.#isFull) return false;
    this.wait();
    return true;
  }

  ended(): void {
    clearTimeout(this.#timer);
    this.surroundings.ended(this);
    const { session } = this;
    const lost: Stanza[] = [];
    for (const stanza of this.#queue.splice(0).slice(this.#head)) {
      if (stanza.keptAs !== undefined) session.host.signals.messageReturned.emit({ session, id: stanza.keptAs });
      else lost.push(stanza);
    }
    this.#head = 0;
    this.#weigh(-this.#bytes);
    // Whoever has taken its address first gets to know that it is bound.
    if (lost.length === 0) return;
    setImmediate(() => {
      for (const stanza of lost) this.#giveBack(stanza);
    });
  }

  // ---- What the client says

  /**
   * The client has dealt with so many. Throws StreamError when it claims more than it was sent (XEP-0198 section 6). True when there were
   * messages among them that somebody keeps.
   */
  confirm(h: number): boolean {
    const count = (h - this.#acked) >>> 0;
    if (count > this.#queue.length - this.#head) throw this.#tooHigh(h);
    this.askedAt = undefined;
    let wereKept = false;
    for (const end = this.#head + count; this.#head < end; this.#head++) {
      const stanza = this.#queue[this.#head]!;
      const { keptAs: id } = stanza;
      this.#weigh(-stanza.size);
      if (id === undefined) {
        if (stanza.name === 'message') this.surroundings.unkept.arrived(stanza);
        continue;
      }
      wereKept = true;
      this.session.host.signals.messageArrived.emit({ session: this.session, id });
    }
    this.#acked = h;
    this.#compact();
    if (this.#head === this.#queue.length) this.#unasked = 0;
    else if (this.#unasked >= ASK_AFTER) this.#ask();
    return wereKept;
  }

  /** The line is broken; the session waits for its client, and then ends. */
  wait(): void {
    this.askedAt = undefined;
    this.surroundings.report('a client is waited for', this);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.session.close(), this.patience).unref();
  }

  /** Somebody has come for it. */
  stopWaiting(): void {
    clearTimeout(this.#timer);
  }

  /** Writes once more what the client has not confirmed. */
  replay(): void {
    const { stream } = this.session;
    if (!stream) return;
    for (const stanza of this.unconfirmed) stream.sendStanza(stanza);
    this.#unasked = this.#head < this.#queue.length ? ASK_AFTER : 0;
    if (this.#unasked > 0) this.#ask();
  }

  /** Takes up what was not confirmed before the server was restarted. */
  restore(stanzas: readonly Stanza[]): void {
    const { session } = this;
    const { unkept, router } = this.surroundings;
    for (const stanza of stanzas) {
      this.#queue.push(stanza);
      this.#weigh(stanza.size);
      if (unkept.isText(stanza)) unkept.given(stanza, stanza, { session, router });
    }
    this.claimKept();
  }

  /** Tells who keeps messages what the client was given and has not confirmed. */
  claimKept(): void {
    const { session, surroundings } = this;
    for (const { keptAs: id } of this.unconfirmed) if (id !== undefined) surroundings.givenBefore({ session, id });
  }

  /** Asks at the end of what is being sent now, so that one answer covers it all. */
  #ask(): void {
    if (this.#isAskScheduled) return;
    this.#isAskScheduled = true;
    queueMicrotask(() => {
      this.#isAskScheduled = false;
      const { stream } = this.session;
      if (!stream || this.#head === this.#queue.length) return;
      this.#unasked = 0;
      this.askedAt = performance.now();
      stream.sendElement(REQUEST);
    });
  }

  /** Now and then, so that neither many confirmations nor a long queue cost more than they are worth. */
  #compact(): void {
    if (this.#head < 64 || this.#head * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#head);
    this.#head = 0;
  }

  #weigh(bytes: number): void {
    this.#bytes += bytes;
    this.surroundings.load.bytes += bytes;
  }

  /** More than one client may leave, or all together; then whoever has more than its share goes. */
  #isTooMuch(): boolean {
    const { maxStanzas, maxBytes, maxTotalBytes, load } = this.surroundings;
    if (this.#queue.length - this.#head > maxStanzas || this.#bytes > maxBytes) return true;
    return load.bytes > maxTotalBytes && this.#bytes > FAIR_BYTES;
  }

  /** A client that confirms nothing is not waited for any longer; its messages go to others, or wait. */
  #overflow(): void {
    if (this.#isFull) return;
    this.#isFull = true;
    // Whoever is just sending to this session's account has not finished.
    setImmediate(() => {
      const { stream } = this.session;
      const error = new StreamError('policy-violation', { text: 'Too many stanzas are not acknowledged' });
      if (stream) stream.close(error);
      else this.session.close();
    });
  }

  #tooHigh(h: number): StreamError {
    const count = String(this.sentCount);
    return new StreamError('undefined-condition', {
      text: `You acknowledged ${h} stanzas, but only ${count} were sent to you`,
      extra: xml('handled-count-too-high', { xmlns: NS, h: String(h), 'send-count': count }),
    });
  }

  /** When it was sent, for a client that gets it later (XEP-0203). */
  #delayed(stanza: Stanza): Stanza {
    if (stanza.has('delay', NS_DELAY)) return stanza;
    return stanza.plus('delay', NS_DELAY, { from: this.surroundings.domain, stamp: new Date().toISOString() });
  }

  /** What nobody keeps is treated as if it had been sent to a client that is not there (XEP-0198 section 5). */
  #giveBack(stanza: Stanza): void {
    const { session, surroundings } = this;
    const { type, name } = stanza;
    const isQuestion = name === 'iq' && (type === 'get' || type === 'set');
    if (!isQuestion && !(surroundings.unkept.returned(stanza) && stanza.has('body'))) return;
    const refuse = (error: unknown): void => {
      if (error instanceof StanzaError) this.#refuse(stanza, error);
      else session.host.log.error('a stanza could not be given back', { session: session.jid.full, error });
    };
    try {
      if (isQuestion) throw new StanzaError('service-unavailable');
      const pending = surroundings.redeliver(stanza);
      if (pending) pending.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }

  #refuse(stanza: Stanza, error: StanzaError): void {
    const from = Jid.tryParse(stanza.from ?? '');
    const to = Jid.tryParse(stanza.to ?? '');
    if (!from || !to) return;
    const reply = errorOf(new Envelope(stanza, from, to, nobody), error);
    if (reply) this.surroundings.router.send(reply, to, from);
  }
}

const REQUEST = xml('r', NS);
