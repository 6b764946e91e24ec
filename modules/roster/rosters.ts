import type { Maybe } from '#core';
import type { Roster } from './roster.ts';

/** How many are looked at for one to forget, each time another one is loaded. */
const LOOKS = 8;

/** The rosters that are in memory: one for each account that is online, and some of others. */
export class Rosters {
  readonly #loaded = new Map<string, Maybe<Roster>>();
  readonly #load: (username: string) => Promise<Roster>;
  readonly #isOnline: (username: string) => boolean;
  readonly #max: number;

  /** Beyond `max`, those of accounts that are not online are forgotten. */
  constructor(max: number, load: (username: string) => Promise<Roster>, isOnline: (username: string) => boolean) {
    this.#max = max;
    this.#load = load;
    this.#isOnline = isOnline;
  }

  /** The roster of a local account; at once when it is in memory. One that does not exist has an empty one. */
  get(username: string): Maybe<Roster> {
    const found = this.#loaded.get(username);
    if (found !== undefined) return found;
    const loading = this.#load(username).then(
      (roster) => {
        if (this.#loaded.get(username) === loading) this.#loaded.set(username, roster);
        return roster;
      },
      (error: unknown) => {
        if (this.#loaded.get(username) === loading) this.#loaded.delete(username);
        throw error;
      },
    );
    this.#loaded.set(username, loading);
    if (this.#loaded.size > this.#max) this.#forgetSome();
    return loading;
  }

  /** The usernames of those in memory. */
  get loaded(): readonly string[] {
    return [...this.#loaded.keys()];
  }

  /** The roster of an account where it is in memory, or on its way there. */
  peek(username: string): Maybe<Roster> | undefined {
    return this.#loaded.get(username);
  }

  /** Forgets the roster of a deleted account. */
  drop(username: string): void {
    const found = this.#loaded.get(username);
    this.#loaded.delete(username);
    if (found instanceof Promise) found.then((roster) => roster.end()).catch(() => {});
    else found?.end();
  }

  /** What is being loaded or edited stays: a roster has one writer. What stays goes to the end, so that others come first next time. */
  #forgetSome(): void {
    let looks = LOOKS;
    for (const [username, roster] of this.#loaded) {
      if (looks-- === 0 || this.#loaded.size <= this.#max) return;
      this.#loaded.delete(username);
      const isNeeded = roster instanceof Promise || roster.isBusy || this.#isOnline(username);
      if (isNeeded) this.#loaded.set(username, roster);
    }
  }
}
