import { type Jid, type Log, type Maybe, StanzaError } from '#core';

/** What an InStep works with. */
export interface InStepParts<Side> {
  readonly log: Log;
  /** Brings the other side into step with this one, which has changed. */
  follow(username: string, side: Side): Promise<void>;
}

/**
 * Keeps things of each account in step that can be changed on several sides. What follows from a change is done after it, for one account
 * one thing at a time; of several changes before that the last one counts.
 */
export class InStep<Side> {
  readonly #parts: InStepParts<Side>;
  readonly #changed = new Map<string, Side>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #own = new Set<string>();
  #isStopped = false;

  constructor(parts: InStepParts<Side>) {
    this.#parts = parts;
  }

  /** Takes note of a change. */
  note(username: string, side: Side): void {
    if (this.#isStopped) return;
    this.#changed.set(username, side);
    if (!this.#running.has(username)) this.#running.set(username, this.#run(username));
  }

  /** Whether there is a change that nothing was done about yet. */
  isBehind(username: string): boolean {
    return this.#changed.has(username);
  }

  /** Does something to the other side that is not to be followed itself. */
  async ownWork(username: string, work: () => Maybe<void>): Promise<void> {
    this.#own.add(username);
    try {
      await work();
    } finally {
      this.#own.delete(username);
    }
  }

  /** Whether what is done to an account now is such work; `by` is the client that does it, if it is one. */
  isOwn(username: string, by: Jid | undefined): boolean {
    return by === undefined && this.#own.has(username);
  }

  /** The account is gone. */
  forget(username: string): void {
    this.#changed.delete(username);
  }

  /** Finishes what has begun, and begins nothing more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#changed.clear();
    await Promise.all(this.#running.values());
  }

  async #run(username: string): Promise<void> {
    for (let side = this.#changed.get(username); side !== undefined; side = this.#changed.get(username)) {
      this.#changed.delete(username);
      try {
        await this.#parts.follow(username, side);
      } catch (error) {
        this.#report(username, error);
      }
    }
    this.#running.delete(username);
  }

  #report(username: string, error: unknown): void {
    const { log } = this.#parts;
    // A limit: what is on one side does not fit on the other.
    if (error instanceof StanzaError) log.info('sides are not in step', { username, reason: error.message });
    else log.error('sides are not in step', { username, error });
  }
}
