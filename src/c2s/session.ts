import type { Maybe } from '../hooks.ts';
import type { Host } from '../host/host.ts';
import { Jid, JidError } from '../jid.ts';
import type { Resource } from '../router/router.ts';
import { Envelope, type Origin } from '../stanza/envelope.ts';
import { StanzaError, StreamError } from '../stanza/errors.ts';
import { errorOf } from '../stanza/reply.ts';
import { StorageError } from '../storage/storage.ts';
import type { Stanza } from '../xml/stanza.ts';
import type { C2sServer } from './c2s-server.ts';
import type { C2sStream } from './stream.ts';

/** What keeps a session alive while its line is broken, and notes what its client has not confirmed (XEP-0198). */
export interface Keeper {
  /** A stanza is about to be written. */
  sent(stanza: Stanza): void;
  /** The line has ended without a goodbye. True when the session is kept; otherwise it ends now. */
  keeps(): boolean;
  /** The session has ended; nobody will confirm anything any more. */
  ended(): void;
}

/** What of one client may be on its way to the disk at once: stanzas, and bytes. */
const MOST_AT_ONCE = 64;
const MOST_BYTES_AT_ONCE = 262_144;

/** What a session is made of. */
export interface SessionParts {
  readonly host: Host;
  readonly jid: Jid;
  readonly server: C2sServer;
  /** Whether its name is for this session alone and there is no account behind it (XEP-0175). */
  readonly isAnonymous: boolean;
}

/** One bound client. Modules keep their own state about it in slots, not in fields. */
export class Session implements Resource {
  readonly jid: Jid;
  readonly host: Host;
  readonly server: C2sServer;
  readonly isAnonymous: boolean;
  priority: number | undefined = undefined;
  presence: Stanza | undefined = undefined;
  carbons = false;
  /** The modules' state, by slot; made when the first is asked for. */
  slots: unknown[] | undefined = undefined;
  /** Who keeps it when its line breaks; undefined when nobody does. */
  keeper: Keeper | undefined = undefined;
  /** Since when it has been without a line, in milliseconds of performance.now(); undefined while it has one. */
  waitingSince: number | undefined = undefined;
  /** How many stanzas of its client have been dealt with, in the order they came: whatever they are to change is durable. */
  handled = 0;
  #stream: C2sStream | undefined = undefined;
  #inHand: Promise<void> | undefined = undefined;
  #owed: (() => Promise<unknown> | undefined) | undefined = undefined;
  #handCount = 0;
  #handBytes = 0;
  #finished: C2sStream | undefined = undefined;
  #closed = false;

  constructor({ host, jid, server, isAnonymous }: SessionParts) {
    this.host = host;
    this.jid = jid;
    this.server = server;
    this.isAnonymous = isAnonymous;
  }

  /** The stream it speaks through; undefined while its line is broken. */
  get stream(): C2sStream | undefined {
    return this.#stream;
  }

  /** True once `sessionClosed` has been told. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Whether its stream was closed from both sides (RFC 6120 section 4.4): its client reads on until there is nothing more to come. False
   * again when the line has broken since.
   */
  get isFinished(): boolean {
    return this.#finished !== undefined;
  }

  /** Bytes that were written and have not left yet. */
  get queued(): number {
    return this.#stream?.transport.queued ?? 0;
  }

  /** Resolves when all that its client has sent so far has been dealt with; undefined when it has. Never rejects. */
  get inHand(): Promise<void> | undefined {
    return this.#inHand;
  }

  /**
   * What is to be done before the client is answered the next time: then an answer tells it that what it has said before is durable, too.
   * It is begun when the client asks, and not at all when others have done it meanwhile. `begin` must not reject.
   */
  owe(begin: () => Promise<unknown> | undefined): void {
    this.#owed = begin;
  }

  /** Speaks through this stream from now on. */
  attach(stream: C2sStream): void {
    this.#stream = stream;
    this.waitingSince = undefined;
    stream.bound(this);
  }

  /** Lets go of its stream, which may then end without ending the session. */
  detach(): C2sStream | undefined {
    const stream = this.#stream;
    this.#stream = undefined;
    this.waitingSince ??= performance.now();
    return stream;
  }

  /** Its stream is being closed as it should. */
  finish(stream: C2sStream): void {
    if (this.#stream === stream) this.#finished = stream;
  }

  /** The line of its stream has broken: whatever had not left never will. */
  broken(stream: C2sStream): void {
    if (this.#finished === stream) this.#finished = undefined;
  }

  /** Its stream has ended; `isFinal` when both sides know that the session is over. */
  lineEnded(stream: C2sStream, isFinal: boolean): void {
    if (this.#stream !== stream) return;
    this.detach();
    if (!isFinal && !this.#closed && this.keeper?.keeps()) return;
    this.close();
  }

  /**
   * Takes a stanza from the client and carries it as far as it goes. A promise only where something has to be waited for.
   * Rejects (or throws) only with StreamError: what refuses the stanza is answered here.
   */
  receive(stanza: Stanza): Maybe<void> {
    // Only messages are taken while others are still being stored; everything else may depend on them (RFC 6120 section 10.1).
    const before = this.#inHand;
    if (stanza.name !== 'message' && (before || this.#owed)) {
      const owed = this.#owed?.();
      this.#owed = undefined;
      const wait = before && owed ? before.then(() => owed) : (before ?? owed);
      if (wait) return wait.then(() => this.receive(stanza));
    }
    this.server.traffic.received.add(stanza.name);
    let env: Envelope | undefined;
    try {
      env = this.#address(stanza);
      if (before) env.wait(before);
      const pending = this.#carry(env);
      if (pending) return this.#await(env, pending);
    } catch (error) {
      this.#refuse(env ?? new Envelope(stanza, this.jid, this.jid.bareJid, this), error);
    }
    if (before) return this.#queue(stanza, before);
    this.handled++;
  }

  send(stanza: Stanza): void {
    const { outgoing } = this.host.hooks;
    if (outgoing.size > 0) return this.#sendThroughHooks(stanza);
    this.#write(stanza);
  }

  /** Writes past the hooks: for a module that held a stanza back in `outgoing`. */
  write(stanza: Stanza): void {
    this.#write(stanza);
  }

  replace(): void {
    const stream = this.#stream;
    if (stream) stream.close(new StreamError('conflict', { text: 'Replaced by a new connection' }));
    else this.close();
  }

  /** Ends the session. Told once to those who listen. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.host.router.unbind(this);
    this.host.signals.sessionClosed.emit(this);
    this.keeper?.ended();
  }

  /** Everything has been dealt with. */
  #rest(): void {
    this.#inHand = undefined;
    this.#handCount = 0;
    this.#handBytes = 0;
  }

  /** Waits for a stanza. Those that are only being stored hold nobody up, unless there are too many of them. */
  #await(env: Envelope, pending: Promise<void>): Promise<void> | undefined {
    const done = pending.catch((error: unknown) => this.#refuse(env, error));
    const room = this.#queue(env.stanza, done);
    return env.isBeingStored ? room : done;
  }

  /** One more is dealt with once this has resolved, and what came before it. Returns what to wait for until there is room for more. */
  #queue({ size }: Stanza, done: Promise<void>): Promise<void> | undefined {
    this.#handCount++;
    this.#handBytes += size;
    const isFull = this.#handCount >= MOST_AT_ONCE || this.#handBytes >= MOST_BYTES_AT_ONCE;
    const all = this.#follow(done);
    return isFull ? all : undefined;
  }

  /** Counts one more stanza once this has resolved, and all that came before it is counted: then the result resolves. */
  #follow(done: Promise<void>): Promise<void> {
    const before = this.#inHand;
    const end = (): void => {
      this.handled++;
      if (this.#inHand === all) this.#rest();
    };
    // A StreamError is for whoever waits for `done`: only hooks throw one, and then the line is paused.
    const all: Promise<void> = (before ? before.then(() => done) : done).then(end, end);
    this.#inHand = all;
    return all;
  }

  /** Stamps the sender and reads the addressee (RFC 6120 section 8.1.2.1). */
  #address(stanza: Stanza): Envelope {
    const { from } = stanza;
    if (from !== undefined && from !== this.jid.full && from !== this.jid.bare && !this.#isSelf(from)) {
      throw new StreamError('invalid-from');
    }
    if (stanza.name === 'iq') checkIq(stanza);
    const { full, bareJid } = this.jid;
    if (stanza.to === undefined) return new Envelope(stanza.addressed(full, undefined), this.jid, bareJid, this);
    const to = readAddress(stanza.to);
    return new Envelope(stanza.addressed(full, to.full), this.jid, to, this);
  }

  /** Another resource of the account is overridden (RFC 6120 section 8.1.2.1): Converse writes its new one after it has resumed. */
  #isSelf(from: string): boolean {
    return Jid.tryParse(from)?.bare === this.jid.bare;
  }

  #carry(env: Envelope): Maybe<void> {
    if (env.stanza.name !== 'presence' || env.stanza.to !== undefined) return this.host.accept(env);
    const before = this.priority;
    // What is being stored for an account that nobody takes messages for is kept, and given with what is kept already, in order.
    const underway = before === undefined || before < 0 ? this.host.underway(this.jid.bare) : undefined;
    if (underway) return underway.then(() => this.#carry(env));
    if (!this.#setPresence(env.stanza)) return this.host.accept(env);
    const pending = this.host.accept(env);
    if (pending) return pending.then(() => this.#announceAvailability(before));
    this.#announceAvailability(before);
  }

  /** Keeps what the client says of itself (RFC 6121 sections 4.2 and 4.5). False when it says nothing about availability. */
  #setPresence(presence: Stanza): boolean {
    if (presence.type === undefined) {
      this.priority = readPriority(presence);
      this.presence = presence;
      return true;
    }
    if (presence.type === 'unavailable') {
      this.priority = undefined;
      this.presence = undefined;
    }
    return false;
  }

  #announceAvailability(before: number | undefined): void {
    const now = this.priority;
    if (this.#closed || now === undefined) return;
    if (before === undefined || (before < 0 && now >= 0)) this.host.signals.sessionAvailable.emit(this);
  }

  #sendThroughHooks(stanza: Stanza): void {
    const out = { session: this, stanza };
    try {
      const verdict = this.host.hooks.outgoing.run(out);
      if (verdict === true) return;
      if (verdict instanceof Promise) throw new Error('a handler of `outgoing` returned a promise');
      this.#write(out.stanza);
    } catch (error) {
      this.host.log.error('a stanza was lost to a handler of outgoing', { session: this.jid.full, error });
    }
  }

  #write(stanza: Stanza): void {
    this.server.traffic.delivered.add(stanza.name);
    if (this.keeper) this.keeper.sent(stanza);
    else if (stanza.keptAs !== undefined) this.host.signals.messageArrived.emit({ session: this, id: stanza.keptAs });
    this.#stream?.sendStanza(stanza);
  }

  #refuse(env: Envelope, error: unknown): void {
    if (error instanceof StreamError) throw error;
    const { traffic } = this.server;
    traffic.refused++;
    let refusal: StanzaError;
    if (error instanceof StanzaError) refusal = error;
    else if (error instanceof StorageError) refusal = this.#notStored(error);
    else {
      traffic.faults++;
      this.host.log.error('a stanza failed', { session: this.jid.full, kind: env.stanza.name, error });
      refusal = new StanzaError('internal-server-error');
    }
    const reply = errorOf(env, refusal);
    if (reply) this.send(reply);
  }

  /** What its client is told when the database fails. */
  #notStored(error: StorageError): StanzaError {
    this.server.traffic.faults++;
    this.host.log.error('something could not be stored', { session: this.jid.full, reason: error.reason, error: error.message });
    if (error.reason === 'full') return new StanzaError('resource-constraint', { text: 'The server has no room left' });
    return new StanzaError('internal-server-error', { type: 'wait', text: 'The server cannot store anything at the moment' });
  }
}

/** Whether this is a client connected here, whose stream can be looked at. */
export function isSession(origin: Origin): origin is Session {
  return origin instanceof Session;
}

function readAddress(text: string): Jid {
  try {
    return Jid.parse(text);
  } catch (error) {
    if (error instanceof JidError) throw new StanzaError('jid-malformed');
    throw error;
  }
}

/** RFC 6120 section 8.2.3: an id, a known type, and exactly one child to ask, at most one to answer. */
function checkIq(iq: Stanza): void {
  const { id, type, childCount } = iq;
  const asks = type === 'get' || type === 'set';
  if (!asks && type !== 'result' && type !== 'error') throw new StanzaError('bad-request', { text: 'Unknown type of IQ' });
  if (id === undefined || id === '') throw new StanzaError('bad-request', { text: 'An IQ needs an id' });
  if (asks && childCount !== 1) throw new StanzaError('bad-request', { text: 'A request needs exactly one child' });
  if (type === 'result' && childCount > 1) throw new StanzaError('bad-request', { text: 'A result has at most one child' });
}

/** RFC 6121 section 4.7.2.3: an integer between -128 and +127, 0 when not said. */
function readPriority(presence: Stanza): number {
  const text = presence.text('priority');
  if (text === undefined) return 0;
  const trimmed = text.trim();
  const value = Number(trimmed);
  if (!/^[+-]?\d{1,4}$/.test(trimmed) || value < -128 || value > 127) {
    throw new StanzaError('bad-request', { text: 'A priority is an integer between -128 and 127' });
  }
  return value;
}
