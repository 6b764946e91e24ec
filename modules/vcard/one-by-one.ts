/** Does what concerns the same account one after the other, and what concerns others meanwhile. */
export class OneByOne {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Begins once all that was asked for before under this key is done, whatever has come of it. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const done = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled: Promise<unknown> = done
      .catch(() => {})
      .finally(() => {
        if (this.#last.get(key) === settled) this.#last.delete(key);
      });
    this.#last.set(key, settled);
    return done;
  }
}
