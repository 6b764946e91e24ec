import {
  type Element,
  Envelope,
  HANDLED,
  type Jid,
  type Log,
  type Origin,
  type Router,
  randomToken,
  Stanza,
  StanzaError,
  type Verdict,
  xml,
} from '#core';

const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/**
 * What became of a notification: it was taken; the service does not want it; or nobody knows, or it may be taken later. `stopped` when
 * this module was stopped first.
 */
export type Outcome = 'taken' | 'refused' | 'unreachable' | 'stopped';

/** Conditions that say nothing about the registration itself, of whatever type the error is. */
const PASSING: ReadonlySet<string> = new Set([
  'internal-server-error',
  'recipient-unavailable',
  'remote-server-not-found',
  'remote-server-timeout',
  'resource-constraint',
]);

interface Sent {
  readonly to: string;
  readonly timer: NodeJS.Timeout;
  readonly end: (outcome: Outcome) => void;
}

/** Takes notifications to app servers in the name of the host, and says what became of each. */
export class Courier {
  readonly #host: Jid;
  readonly #router: Router;
  readonly #log: Log;
  readonly #answerWithin: number;
  readonly #sent = new Map<string, Sent>();
  /** For services of this server that answer at once. */
  readonly #origin: Origin = { send: (stanza) => void this.#settle(stanza) };

  constructor(parts: { readonly host: Jid; readonly router: Router; readonly log: Log; readonly answerWithin: number }) {
    this.#host = parts.host;
    this.#router = parts.router;
    this.#log = parts.log;
    this.#answerWithin = parts.answerWithin;
  }

  /** Sends this to a service. Never rejects. */
  publish(to: Jid, payload: Element): Promise<Outcome> {
    // Not to be guessed: an answer in somebody else's name would have to name it.
    const id = `push-${randomToken(12)}`;
    const iq = Stanza.of(xml('iq', { type: 'set', id, from: this.#host.full, to: to.full }, payload));
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#end(id, 'unreachable'), this.#answerWithin).unref();
      this.#sent.set(id, { to: to.full, timer, end: resolve });
      this.#route(new Envelope(iq, this.#host, to, this.#origin), id);
    });
  }

  /** Takes an answer, wherever it comes from. */
  readonly take = ({ stanza, from, to }: Envelope): Verdict => {
    if (!to.isDomain || this.#sent.size === 0 || (stanza.type !== 'result' && stanza.type !== 'error')) return;
    if (this.#sent.get(stanza.id ?? '')?.to !== from.full) return;
    this.#settle(stanza);
    return HANDLED;
  };

  /** Gives up what is under way. */
  stop(): void {
    for (const id of [...this.#sent.keys()]) this.#end(id, 'stopped');
  }

  #route(env: Envelope, id: string): void {
    const fail = (error: unknown): void => {
      if (!(error instanceof StanzaError)) this.#log.error('a notification could not be sent', { to: env.to.full, error });
      this.#end(id, error instanceof StanzaError ? judge(error.type, error.condition) : 'unreachable');
    };
    try {
      const pending = this.#router.route(env);
      if (pending) pending.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  #settle(answer: Stanza): void {
    if (answer.type !== 'error') return this.#end(answer.id ?? '', 'taken');
    const error = answer.child('error');
    const condition = error?.getChildElements().find((child) => child.getNS() === NS_STANZAS && child.getName() !== 'text');
    this.#end(answer.id ?? '', judge(error?.attrs['type'], condition?.getName()));
  }

  #end(id: string, outcome: Outcome): void {
    const sent = this.#sent.get(id);
    if (!sent) return;
    this.#sent.delete(id);
    clearTimeout(sent.timer);
    sent.end(outcome);
  }
}

/** XEP-0357 section 7.1: some errors are transient. */
function judge(type: unknown, condition: string | undefined): Outcome {
  return type === 'wait' || PASSING.has(condition ?? '') ? 'unreachable' : 'refused';
}
