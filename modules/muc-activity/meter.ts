// XEP-0502 section 6: how much is said in a room, by counters of which there is one for each of the last hours.

/** Hours that are looked at. Nothing that is older than 72 hours may be (section 5). */
const HOURS = 24;
const HOUR = 3_600_000;

/** A meter as it is kept. */
export interface Reading {
  /** The hour of the first counter, since the epoch; each counter after it stands for the hour before. */
  readonly hour: number;
  readonly counts: readonly number[];
  /** The hour in which it was begun. */
  readonly since: number;
}

/** Counts what is said in a room. Costs the same however much that is. */
export class Meter {
  #hour: number;
  readonly #counts: number[];
  readonly #since: number;

  /** One that has been kept, or a new one. */
  constructor(now: number, { hour, counts, since }: Reading = { hour: hourOf(now), counts: [], since: hourOf(now) }) {
    this.#hour = hour;
    this.#counts = Array.from({ length: HOURS + 1 }, (_, i) => counts[i] ?? 0);
    this.#since = since;
  }

  get reading(): Reading {
    return { hour: this.#hour, counts: this.#counts, since: this.#since };
  }

  /** Something is said. */
  count(now: number): void {
    this.#shift(now);
    this.#counts[0]!++;
  }

  /** Messages in an hour; undefined before a whole one has been counted. The hour that is not over is left out. */
  rate(now: number): number | undefined {
    this.#shift(now);
    const hours = Math.min(this.#hour - this.#since, HOURS);
    if (hours < 1) return undefined;
    return this.#counts.slice(1, hours + 1).reduce((sum, count) => sum + count, 0) / hours;
  }

  #shift(now: number): void {
    // A clock that is put back moves nothing.
    const passed = Math.min(hourOf(now) - this.#hour, HOURS + 1);
    if (passed <= 0) return;
    this.#counts.copyWithin(passed, 0);
    this.#counts.fill(0, 0, passed);
    this.#hour = hourOf(now);
  }
}

function hourOf(time: number): number {
  return Math.floor(time / HOUR);
}
