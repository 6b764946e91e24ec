/** Lets what is done to one thing be done one after the other. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Does it once everything that came before for this key is done, however that went. */
  take<T>(key: string, task: () => Promise<T>): Promise<T> {
    const mine = (this.#last.get(key) ?? Promise.resolve()).then(task);
    const settled: Promise<void> = mine.then(ignore, ignore).then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    });
    this.#last.set(key, settled);
    return mine;
  }

  /** Resolves once nothing is being done. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }
}

function ignore(): void {}
