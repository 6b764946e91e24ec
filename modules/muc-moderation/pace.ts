const MINUTE = 60_000;
/** Entries beyond which those are looked for that say nothing any more. */
const FEW = 256;

/** How often something may be done: so many times a minute, and `burst` times at once. 0 a minute: as often as anybody likes. */
export interface Rate {
  readonly perMinute: number;
  readonly burst: number;
}

/**
 * Counts what several do of one thing. One number is kept of each: the time at which all that they have done would be done if they had kept
 * the pace. Whoever is not ahead of it is forgotten.
 */
export class Pace {
  readonly #until = new Map<string, number>();
  #enough = FEW;

  /** How many are remembered. */
  get size(): number {
    return this.#until.size;
  }

  /** Counts something done at `now` (milliseconds that never go back), `cost` times; or returns the milliseconds to wait until it may be. */
  take(who: string, { perMinute, burst }: Rate, now: number, cost = 1): number {
    if (perMinute === 0) return 0;
    const each = MINUTE / perMinute;
    const until = Math.max(this.#until.get(who) ?? 0, now) + each * cost;
    const wait = until - now - each * Math.max(burst, cost);
    if (wait > 0) return wait;
    if (this.#until.size >= this.#enough && !this.#until.has(who)) this.#forget(now);
    this.#until.set(who, until);
    return 0;
  }

  #forget(now: number): void {
    for (const [who, until] of this.#until) if (until <= now) this.#until.delete(who);
    // Not again before there are twice as many: looking at all costs as much as there are.
    this.#enough = Math.max(FEW, this.#until.size * 2);
  }
}
