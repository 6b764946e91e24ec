// Fair turns: what one connection may do before the others get theirs, and how many bytes it may send in the long run.

let turn = 0;
let isScheduled = false;

/** The number of the event loop's present turn. Two stanzas with the same number were handled in one turn. */
export function currentTurn(): number {
  if (!isScheduled) {
    isScheduled = true;
    setImmediate(advance);
  }
  return turn;
}

function advance(): void {
  turn++;
  isScheduled = false;
}

/** A token bucket over bytes. `rate` is in bytes per second (0: unlimited), `burst` in bytes. */
export class ByteBudget {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(rate: number, burst: number, now = performance.now()) {
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Spends bytes; returns how many milliseconds the sender has to wait before it may send more, 0 while within its budget. */
  spend(bytes: number, now = performance.now()): number {
    if (this.#rate === 0) return 0;
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#rate) / 1000) - bytes;
    this.#at = now;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1000) / this.#rate);
  }
}
