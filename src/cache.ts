import type { Maybe } from './hooks.ts';

/** Keeps the last `max` values a loader produced. A hit is synchronous; a miss is a promise shared by all who ask. */
export class Cache<T> {
  readonly #values = new Map<string, Maybe<T>>();
  readonly #load: (key: string) => Promise<T>;
  readonly #max: number;

  constructor(max: number, load: (key: string) => Promise<T>) {
    this.#max = max;
    this.#load = load;
  }

  /** The value; a failed load rejects for those who asked, and is tried again by the next. */
  get(key: string): Maybe<T> {
    const found = this.#values.get(key);
    if (found !== undefined) return found;
    const loading = this.#load(key).then(
      (value) => {
        if (this.#values.get(key) === loading) this.#values.set(key, value);
        return value;
      },
      (error: unknown) => {
        if (this.#values.get(key) === loading) this.#values.delete(key);
        throw error;
      },
    );
    this.#put(key, loading);
    return loading;
  }

  /** Puts a value that is known to be stored. */
  set(key: string, value: T): void {
    this.#put(key, value);
  }

  /** Forgets a value, so that the next `get` loads it. */
  drop(key: string): void {
    this.#values.delete(key);
  }

  #put(key: string, value: Maybe<T>): void {
    if (this.#values.size >= this.#max && !this.#values.has(key)) this.#values.delete(this.#values.keys().next().value!);
    this.#values.set(key, value);
  }
}
