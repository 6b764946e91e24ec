import type { Maybe } from '../hooks.ts';
import type { Host } from '../host/host.ts';
import { Jid, JidError } from '../jid.ts';
import type { Resource } from '../router/router.ts';
import { Envelope, type Origin } from '../stanza/envelope.ts';
import { StanzaError, StreamError } from '../stanza/errors.ts';
import { errorOf } from '../stanza/reply.ts';
import type { Traffic } from '../traffic.ts';
import type { Stanza } from '../xml/stanza.ts';
import type { C2sStream } from './stream.ts';

/** One bound client. Modules keep their own state about it in slots, not in fields. */
export class Session implements Resource {
  readonly jid: Jid;
  readonly host: Host;
  priority: number | undefined = undefined;
  presence: Stanza | undefined = undefined;
  carbons = false;
  /** The modules' state, by slot; made when the first is asked for. */
  slots: unknown[] | undefined = undefined;
  /** The end of what an anonymous client has sent last, where it has to be waited for: nothing of it may be stored afterwards. */
  unfinished: Promise<void> | undefined = undefined;
  /** The stream it speaks through. */
  readonly stream: C2sStream;
  readonly #traffic: Traffic;
  #closed = false;

  constructor(stream: C2sStream, host: Host, jid: Jid, traffic: Traffic) {
    this.stream = stream;
    this.host = host;
    this.jid = jid;
    this.#traffic = traffic;
  }

  /** True once `sessionClosed` has been told. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Takes a stanza from the client and carries it as far as it goes. A promise only where something has to be waited for.
   * Rejects (or throws) only with StreamError: what refuses the stanza is answered here.
   */
  receive(stanza: Stanza): Maybe<void> {
    this.#traffic.received.add(stanza.name);
    let env: Envelope | undefined;
    try {
      env = this.#address(stanza);
      const pending = this.#carry(env)?.catch((error: unknown) => this.#refuse(env!, error));
      if (pending && this.stream.isAnonymous) this.unfinished = pending;
      return pending;
    } catch (error) {
      this.#refuse(env ?? new Envelope(stanza, this.jid, this.jid.bareJid, this), error);
    }
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
    this.stream.close(new StreamError('conflict', { text: 'Replaced by a new connection' }));
  }

  /** Ends the session once its stream is gone. Told once to those who listen. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.host.router.unbind(this);
    this.host.signals.sessionClosed.emit(this);
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

  #isSelf(from: string): boolean {
    const jid = Jid.tryParse(from);
    return jid !== undefined && (jid.full === this.jid.full || jid.full === this.jid.bare);
  }

  #carry(env: Envelope): Maybe<void> {
    if (env.stanza.name !== 'presence' || env.stanza.to !== undefined) return this.host.accept(env);
    const before = this.priority;
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
    this.#traffic.delivered.add(stanza.name);
    this.stream.sendStanza(stanza);
  }

  #refuse(env: Envelope, error: unknown): void {
    if (error instanceof StreamError) throw error;
    this.#traffic.refused++;
    let refusal: StanzaError;
    if (error instanceof StanzaError) refusal = error;
    else {
      this.#traffic.faults++;
      this.host.log.error('a stanza failed', { session: this.jid.full, kind: env.stanza.name, error });
      refusal = new StanzaError('internal-server-error');
    }
    const reply = errorOf(env, refusal);
    if (reply) this.send(reply);
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
