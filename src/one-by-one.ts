/** Does what concerns the same thing one after the other, and what concerns others meanwhile. */
export class OneByOne {
  readonly #last = new Map<string, Promise<void>>();

  /**
   * Begins `work` once all that was asked for before under this key has ended, however it has. Resolves or rejects as `work` does; what is
   * thrown holds up nobody behind it.
   */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const done = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled: Promise<void> = done.then(ignore, ignore).then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
    this.#last.set(key, settled);
    return done;
  }

  /** Resolves once nothing is being done. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }
}

function ignore(): void {}
