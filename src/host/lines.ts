import type { Maybe } from '../hooks.ts';
import type { Envelope } from '../stanza/envelope.ts';

/** Knows which message for each account is under way, where one has to wait for something. An account for which nothing waits costs nothing. */
export class Lines {
  readonly #last = new Map<string, { readonly env: Envelope; readonly done: Promise<void> }>();

  /** Takes a message for an account, which may want to wait for the one before (Envelope.before). */
  enter(env: Envelope, take: (env: Envelope) => Maybe<void>): Maybe<void> {
    const { bare } = env.to;
    env.before = this.#last.get(bare);
    const pending = take(env);
    if (!pending) return undefined;
    const end = (): void => {
      if (this.#last.get(bare) === last) this.#last.delete(bare);
    };
    const before = env.before?.done;
    const done: Promise<void> = before
      ? pending
          .then(nothing, nothing)
          .then(() => before)
          .then(end)
      : pending.then(end, end);
    const last = { env, done };
    this.#last.set(bare, last);
    return pending;
  }

  /** Resolves when all messages for an account are done; undefined when none is under way. */
  last(bare: string): Promise<void> | undefined {
    return this.#last.get(bare)?.done;
  }
}

function nothing(): void {}
