/** Milliseconds of work before others have their turn. */
const SLICE = 4;

/**
 * Lets several long tasks together work for a short while in a turn of the event loop: however many there are, nobody else waits for long.
 * A task asks `isOver` after each piece of work, and then waits for `next`.
 */
export class Turns {
  #begun = 0;
  #last: Promise<void> = Promise.resolve();

  /** Whether it has been worked for long enough in this turn. */
  isOver(): boolean {
    return performance.now() - this.#begun > SLICE;
  }

  /** Resolves in another turn of the event loop, once those have had one who have waited for longer. */
  next(): Promise<void> {
    this.#last = this.#last.then(
      () =>
        new Promise((resolve) =>
          setImmediate(() => {
            this.#begun = performance.now();
            resolve();
          }),
        ),
    );
    return this.#last;
  }
}
