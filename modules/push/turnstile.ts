/** How many may be inside at once. */
export interface TurnstileLimits {
  /** Of one kind. */
  readonly each: number;
  /** Of all kinds together. */
  readonly all: number;
}

/** Lets so many in at once; the others wait, each kind in the order they came, and the kinds in turn: none waits for one that is slow. */
export class Turnstile {
  readonly #limits: TurnstileLimits;
  /** How many are inside, by kind. */
  readonly #inside = new Map<string, number>();
  #all = 0;
  /** Those who wait, by kind; the kind whose turn it is comes first. */
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(limits: TurnstileLimits) {
    this.#limits = limits;
  }

  /** Resolves when there is room. Whoever has entered leaves. */
  enter(kind: string): Promise<void> {
    if (this.#hasRoom(kind)) {
      this.#admit(kind);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const before = this.#waiting.get(kind);
      if (before) before.push(resolve);
      else this.#waiting.set(kind, [resolve]);
    });
  }

  /** Makes room for the next one, in another turn of the event loop: where all fail at once nobody else waits for them. */
  leave(kind: string): void {
    const left = this.#inside.get(kind)! - 1;
    if (left > 0) this.#inside.set(kind, left);
    else this.#inside.delete(kind);
    this.#all--;
    if (this.#waiting.size > 0) setImmediate(() => this.#admitNext());
  }

  #hasRoom(kind: string): boolean {
    return this.#all < this.#limits.all && (this.#inside.get(kind) ?? 0) < this.#limits.each;
  }

  #admit(kind: string): void {
    this.#all++;
    this.#inside.set(kind, (this.#inside.get(kind) ?? 0) + 1);
  }

  #admitNext(): void {
    for (const [kind, waiting] of this.#waiting) {
      if (!this.#hasRoom(kind)) continue;
      this.#waiting.delete(kind);
      this.#admit(kind);
      waiting.shift()!();
      if (waiting.length > 0) this.#waiting.set(kind, waiting);
      return;
    }
  }
}
