/** What time it is, and a way to be woken; replaced by tests. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back after so many milliseconds; returns what takes it back. */
  wake(milliseconds: number, call: () => void): () => void;
}

/** The system's own. */
export const systemClock: Clock = {
  now: () => Date.now(),
  wake(milliseconds, call) {
    const timer = setTimeout(call, milliseconds).unref();
    return () => clearTimeout(timer);
  },
};

/** A timer runs no longer than this: setTimeout cannot do more than 2^31 milliseconds, and a clock may be put right meanwhile. */
const LONGEST = 3_600_000;
/** Keys that are seen to at once, however many are due at nine o'clock. */
const AT_ONCE = 16;

type Entry = readonly [time: number, key: string];

/** Remembers for each key when it is due, with a single timer for all, and sees to those that are. */
export class Alarm {
  readonly #clock: Clock;
  readonly #see: (key: string) => Promise<void>;
  readonly #times = new Map<string, number>();
  /** A binary heap by time. Entries that do not say what #times says are stale. */
  #heap: Entry[] = [];
  readonly #due: string[] = [];
  readonly #running = new Set<Promise<void>>();
  #cancel: (() => void) | undefined = undefined;
  /** Before it is opened it only remembers, and nobody is woken behind its stop. */
  #isOpen = false;

  /** `see` sees to a key that is due, and never rejects; the key has no time any more until `set` gives it another. */
  constructor(clock: Clock, see: (key: string) => Promise<void>) {
    this.#clock = clock;
    this.#see = see;
  }

  /** When a key is due; undefined: never. */
  set(key: string, time: number | undefined): void {
    if (this.#times.get(key) === time) return;
    if (time === undefined) this.#times.delete(key);
    else {
      this.#times.set(key, time);
      this.#push([time, key]);
    }
    if (this.#heap.length > 2 * this.#times.size + 64) this.#rebuild();
    this.#arm();
  }

  /** When a key is due. */
  get(key: string): number | undefined {
    return this.#times.get(key);
  }

  /** Begins to see to what is due. */
  open(): void {
    this.#isOpen = true;
    this.#arm();
  }

  /** Wakes nobody any more, and resolves once all that was begun is done. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#due.length = 0;
    await Promise.all(this.#running);
  }

  #arm(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dropStale();
    const first = this.#heap[0];
    if (!first || !this.#isOpen) return;
    const wait = Math.min(Math.max(first[0] - this.#clock.now(), 0), LONGEST);
    this.#cancel = this.#clock.wake(wait, () => this.#ring());
  }

  #ring(): void {
    const now = this.#clock.now();
    for (this.#dropStale(); this.#heap[0] && this.#heap[0][0] <= now; this.#dropStale()) {
      const [, key] = this.#heap[0];
      this.#times.delete(key);
      this.#due.push(key);
    }
    this.#arm();
    this.#start();
  }

  #start(): void {
    while (this.#running.size < AT_ONCE) {
      const key = this.#due.shift();
      if (key === undefined) return;
      const done = this.#see(key).finally(() => {
        this.#running.delete(done);
        this.#start();
      });
      this.#running.add(done);
    }
  }

  #dropStale(): void {
    for (let first = this.#heap[0]; first && this.#times.get(first[1]) !== first[0]; first = this.#heap[0]) this.#pop();
  }

  #rebuild(): void {
    this.#heap = [];
    for (const [key, time] of this.#times) this.#push([time, key]);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]![0] <= entry[0]) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]![0] < heap[child]![0]) child++;
      if (heap[child]![0] >= last[0]) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}
