import type { Counter, Metrics } from '../metrics.ts';
import { beginExchange, type SaslExchange, type SaslMechanism, type SaslStep } from './sasl.ts';

/** The same mechanism, whose attempts are counted by their outcome (`xmpp_logins_total`). */
export function countLogins(mechanism: SaslMechanism, metrics: Metrics): SaslMechanism {
  const counter = metrics.counter('xmpp_logins_total', 'Attempts to log in, by mechanism and outcome.', ['mechanism', 'outcome']);
  const { name, strength } = mechanism;
  return {
    name,
    strength,
    isOffered: (context) => mechanism.isOffered(context),
    start: (context) => new CountedExchange(mechanism.start(context), (outcome) => count(counter, name, outcome)),
  };
}

function count(counter: Counter, mechanism: string, outcome: 'ok' | 'failed'): void {
  counter.inc({ mechanism, outcome });
}

class CountedExchange implements SaslExchange {
  readonly #exchange: SaslExchange;
  readonly #count: (outcome: 'ok' | 'failed') => void;

  constructor(exchange: SaslExchange, count: (outcome: 'ok' | 'failed') => void) {
    this.#exchange = exchange;
    this.#count = count;
  }

  step(data: Buffer): SaslStep | Promise<SaslStep> {
    return this.#watch(() => this.#exchange.step(data));
  }

  begin(): SaslStep | Promise<SaslStep> {
    return this.#watch(() => beginExchange(this.#exchange));
  }

  #watch(step: () => SaslStep | Promise<SaslStep>): SaslStep | Promise<SaslStep> {
    try {
      const next = step();
      return next instanceof Promise
        ? next.then(
            (step) => this.#note(step),
            (error: unknown) => this.#fail(error),
          )
        : this.#note(next);
    } catch (error) {
      return this.#fail(error);
    }
  }

  #note(step: SaslStep): SaslStep {
    if ('username' in step) this.#count('ok');
    return step;
  }

  #fail(error: unknown): never {
    this.#count('failed');
    throw error;
  }
}
