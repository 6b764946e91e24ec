import type { Maybe } from './hooks.ts';

/** What is kept of one account. */
export interface Kept {
  /** How much it holds. */
  readonly size: number;
  /** Whether something is under way with it. */
  readonly isBusy: boolean;
}

/** What an account costs besides what it holds. */
const OVERHEAD = 8;

/** What is in memory of the accounts that were used lately, bounded by how much they hold together. What is busy is never forgotten. */
export class Shelf<T extends Kept> {
  readonly #accounts = new Map<string, { readonly value: Maybe<T>; readonly weight: number }>();
  readonly #load: (username: string) => Promise<T>;
  readonly #max: number;
  #weight = 0;

  constructor(max: number, load: (username: string) => Promise<T>) {
    this.#max = max;
    this.#load = load;
  }

  /** At once when it is in memory. */
  get(username: string): Maybe<T> {
    const found = this.#accounts.get(username);
    if (!found) return this.#fetch(username);
    const { value } = found;
    // Weighed again, since it may have grown.
    if (!(value instanceof Promise)) this.#put(username, value, value.size + OVERHEAD);
    return value;
  }

  /** What is in memory; undefined when there is nothing, or it is still being loaded. */
  peek(username: string): T | undefined {
    const value = this.#accounts.get(username)?.value;
    return value instanceof Promise ? undefined : value;
  }

  /** Takes note that it has grown. */
  weigh(username: string, value: T): void {
    if (this.#accounts.get(username)?.value !== value) return;
    this.#put(username, value, value.size + OVERHEAD);
    this.#forget();
  }

  /** Forgets an account; returns what was kept of it. */
  drop(username: string): Maybe<T> | undefined {
    const value = this.#accounts.get(username)?.value;
    this.#remove(username);
    return value;
  }

  #fetch(username: string): Promise<T> {
    const loading: Promise<T> = this.#load(username).then(
      (value) => {
        if (this.#accounts.get(username)?.value === loading) this.#put(username, value, value.size + OVERHEAD);
        this.#forget();
        return value;
      },
      (error: unknown) => {
        if (this.#accounts.get(username)?.value === loading) this.#remove(username);
        throw error;
      },
    );
    this.#put(username, loading, OVERHEAD);
    return loading;
  }

  /** Puts it behind all others, which are forgotten sooner. */
  #put(username: string, value: Maybe<T>, weight: number): void {
    this.#remove(username);
    this.#accounts.set(username, { value, weight });
    this.#weight += weight;
  }

  #remove(username: string): void {
    this.#weight -= this.#accounts.get(username)?.weight ?? 0;
    this.#accounts.delete(username);
  }

  #forget(): void {
    for (const [username, { value }] of this.#accounts) {
      if (this.#weight <= this.#max) return;
      if (!(value instanceof Promise) && !value.isBusy) this.#remove(username);
    }
  }
}
