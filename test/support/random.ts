/** Numbers that look random and are the same for the same seed. */
export interface SeededRandom {
  /** An integer from 0 to n - 1. */
  below(n: number): number;
  pick<T>(values: readonly T[]): T;
}

/** A source of such numbers (mulberry32, which is in the public domain). */
export function makeRandom(seed: number): SeededRandom {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(next() * n);
  return { below, pick: (values) => values[below(values.length)]! };
}
