import {
  HANDLED,
  type Log,
  type Maybe,
  randomToken,
  type Session,
  type Stanza,
  type StanzaCondition,
  type StreamElement,
  StreamError,
  type Verdict,
  xml,
} from '#core';
import { Managed, NS, type Surroundings } from './managed.ts';

const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** Milliseconds for which an answer is held back so that it covers what is still being stored. */
const HOLD_ANSWER = 10_000;

/** A session that has ended. */
export interface Past {
  readonly username: string;
  /** How far it has come. */
  h: number;
  /** Resolves when it has come further; undefined when it has come to its end. */
  busy: Promise<void> | undefined;
}

/** What negotiation works with. */
export interface NegotiationParts {
  readonly surroundings: Surroundings;
  /** All that can be resumed, by SM-ID. */
  readonly sessions: Map<string, Managed>;
  /** Those that have ended lately. */
  readonly past: ReadonlyMap<string, Past>;
  /** Milliseconds for which a session waits at most. */
  readonly resumeWithin: number;
  readonly log: Log;
  /** A client has come back to its session. */
  resumed(session: Session): void;
}

/** Answers what clients say of stream management (XEP-0198). */
export class Negotiation {
  readonly #parts: NegotiationParts;

  constructor(parts: NegotiationParts) {
    this.#parts = parts;
  }

  /** Takes an element of a client's stream; undefined when it is none of these. */
  take({ stream, element }: StreamElement): Maybe<Verdict> {
    if (element.xmlns !== NS || stream.username === undefined) return;
    switch (element.name) {
      case 'r':
        return this.#answer(stream.session);
      case 'a':
        return this.#confirm(stream.session, element);
      case 'enable':
        return this.#enable({ stream, element });
      case 'resume':
        return this.#resume({ stream, element });
      default:
        return;
    }
  }

  /** After what is being stored now, so that the answer covers it; but not for ever (XEP-0198 section 4). */
  #answer(session: Session | undefined): Maybe<Verdict> {
    const managed = managedOf(session);
    if (!managed) return this.#refuseUnexpected(session);
    const { inHand } = managed.session;
    if (!inHand) return this.#tell(managed);
    return within(HOLD_ANSWER, inHand).then((isDone) => {
      if (!isDone) void inHand.then(() => this.#tell(managed));
      return this.#tell(managed);
    });
  }

  #tell({ session, handled }: Managed): typeof HANDLED {
    session.stream?.sendElement(xml('a', { xmlns: NS, h: String(handled) }));
    return HANDLED;
  }

  #confirm(session: Session | undefined, element: Stanza): Maybe<Verdict> {
    const managed = managedOf(session);
    if (!managed) return this.#refuseUnexpected(session);
    const h = readCount(element.element.attrs['h']);
    if (h === undefined) throw new StreamError('bad-format', { text: 'An acknowledgement needs a number h' });
    if (managed.confirm(h)) this.#note(managed.session);
    return HANDLED;
  }

  /** What the client asks after its acknowledgement is answered when that is durable: so the answer tells it that nothing comes twice. */
  #note(session: Session): void {
    const { surroundings, log } = this.#parts;
    session.owe(() =>
      surroundings.note(session.jid.local)?.catch((error: unknown) => {
        log.error('what a client has got was not noted', { session: session.jid.full, error });
      }),
    );
  }

  #enable({ stream, element }: StreamElement): Maybe<Verdict> {
    const { session } = stream;
    if (!session || session.keeper) return this.#fail({ stream, element }, 'unexpected-request');
    // What came before is not counted, but may not be done yet.
    const { inHand } = session;
    if (inHand !== undefined) return inHand.then(() => (stream.isClosing ? HANDLED : this.#enable({ stream, element })));
    const { resume, max } = element.element.attrs as Readonly<Record<string, string | undefined>>;
    const { resumeWithin, surroundings } = this.#parts;
    const isResumable = (resume === 'true' || resume === '1') && !session.isAnonymous;
    const wanted = readCount(max);
    const patience = wanted === undefined ? resumeWithin : Math.min(resumeWithin, Math.max(wanted, 1) * 1000);
    const id = isResumable ? randomToken(24) : undefined;
    const managed = new Managed(session, { id, patience, surroundings });
    if (id === undefined) stream.sendElement(xml('enabled', NS));
    else {
      this.#parts.sessions.set(id, managed);
      stream.sendElement(xml('enabled', { xmlns: NS, id, resume: 'true', max: String(Math.floor(patience / 1000)) }));
    }
    return HANDLED;
  }

  async #resume({ stream, element }: StreamElement): Promise<Verdict> {
    const { previd = '', h: text } = element.element.attrs as Readonly<Record<string, string | undefined>>;
    const h = readCount(text);
    if (stream.session) return this.#fail({ stream, element }, 'unexpected-request');
    if (h === undefined || previd === '') return this.#fail({ stream, element }, 'bad-request');
    const managed = this.#parts.sessions.get(previd);
    if (!managed || managed.session.jid.local !== stream.username || managed.session.isClosed) {
      return this.#failToResume({ stream, element }, previd);
    }
    const claim = {};
    await this.#takeOver(managed, claim);
    // In the same breath as it is attached: of all who want it the last one gets it.
    if (managed.claim !== claim || managed.session.isClosed) return this.#failToResume({ stream, element }, previd);
    if (stream.isClosing) {
      managed.wait();
      return HANDLED;
    }
    this.#attach(managed, { stream, element }, h);
    return HANDLED;
  }

  /** Takes the session from whoever has it, and waits until what came that way is done. */
  async #takeOver(managed: Managed, claim: object): Promise<void> {
    const { session } = managed;
    managed.claim = claim;
    managed.stopWaiting();
    session.detach()?.close(new StreamError('conflict', { text: 'The session was resumed over another connection' }));
    for (let busy = session.inHand; busy; busy = session.inHand) await busy;
  }

  #attach(managed: Managed, { stream }: StreamElement, h: number): void {
    const { session, id } = managed;
    try {
      if (managed.confirm(h)) this.#note(session);
    } catch (error) {
      managed.wait();
      throw error;
    }
    session.attach(stream);
    stream.sendElement(xml('resumed', { xmlns: NS, previd: id, h: String(managed.handled) }));
    managed.replay();
    // A client is active when it resumes (XEP-0352 section 5.2).
    this.#parts.resumed(session);
  }

  /** Tells the client, and nobody else, how far its session had come: so it knows what to send again. */
  async #failToResume(event: StreamElement, previd: string): Promise<Verdict> {
    const before = this.#parts.past.get(previd);
    if (!before || before.username !== event.stream.username) return this.#fail(event, 'item-not-found');
    while (before.busy) await before.busy;
    return this.#fail(event, 'item-not-found', String(before.h));
  }

  #fail({ stream }: StreamElement, condition: StanzaCondition, h?: string): typeof HANDLED {
    stream.sendElement(xml('failed', { xmlns: NS, h }, xml(condition, NS_STANZAS)));
    return HANDLED;
  }

  #refuseUnexpected(session: Session | undefined): Maybe<Verdict> {
    if (!session?.stream) return;
    session.stream.sendElement(xml('failed', NS, xml('unexpected-request', NS_STANZAS)));
    return HANDLED;
  }
}

/** The stream management of a session; undefined while it has none. */
function managedOf(session: Session | undefined): Managed | undefined {
  return session?.keeper instanceof Managed ? session.keeper : undefined;
}

/** An unsigned number of 32 bits (XEP-0198 section 12), or undefined. */
function readCount(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
  return value < 2 ** 32 ? value : undefined;
}

/** Whether it is done within this time. */
async function within(milliseconds: number, task: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<boolean>((resolve) => (timer = setTimeout(resolve, milliseconds, false)));
  try {
    return await Promise.race([task.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
