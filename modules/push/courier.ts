import { type Element, type Jid, type ModuleContext, StanzaError } from '#core';

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

/** What a courier needs of its module. */
export interface CourierParts extends Pick<ModuleContext<unknown, Record<never, never>>, 'ask' | 'stopping'> {
  /** Milliseconds that a service has for its answer. */
  readonly answerWithin: number;
}

/** Takes notifications to app servers in the name of the host, and says what became of each. */
export class Courier {
  readonly #parts: CourierParts;

  constructor(parts: CourierParts) {
    this.#parts = parts;
  }

  /** Sends this to a service. */
  async publish(to: Jid, payload: Element): Promise<Outcome> {
    const { ask, stopping, answerWithin } = this.#parts;
    const outcome = await ask(to, 'set', payload, answerWithin).then(() => 'taken' as const, judge);
    return stopping.aborted ? 'stopped' : outcome;
  }
}

/** XEP-0357 section 7.1: some errors are transient. */
function judge(error: unknown): Outcome {
  if (!(error instanceof StanzaError)) throw error;
  return error.type === 'wait' || PASSING.has(error.condition) ? 'unreachable' : 'refused';
}
