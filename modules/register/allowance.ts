interface Account {
  spent: number;
  /** Milliseconds since the epoch; what was spent counts until then. */
  until: number;
}

/**
 * How much each name (a group of addresses, a user) may spend within a period. Remembers so many names and no more; beyond that
 * the one that began first is forgotten.
 */
export class Allowance {
  readonly #accounts = new Map<string, Account>();
  readonly #maxNames: number;
  #limit = 0;
  #period = 0;

  constructor(maxNames = 50_000) {
    this.#maxNames = maxNames;
  }

  /** Sets what one name may spend within a period of so many milliseconds. What was spent already counts. */
  configure(limit: number, period: number): this {
    this.#limit = limit;
    this.#period = period;
    return this;
  }

  /** Spends if there is enough left; false when there is not. */
  spend(name: string, cost: number, now = Date.now()): boolean {
    let account = this.#accounts.get(name);
    if (account && account.until <= now) {
      this.#accounts.delete(name);
      account = undefined;
    }
    if ((account?.spent ?? 0) + cost > this.#limit) return false;
    if (account) account.spent += cost;
    else this.#begin(name, { spent: cost, until: now + this.#period });
    return true;
  }

  /** Gives back what was spent for nothing. */
  giveBack(name: string, cost: number): void {
    const account = this.#accounts.get(name);
    if (account) account.spent = Math.max(0, account.spent - cost);
  }

  /** How many names are remembered. */
  get size(): number {
    return this.#accounts.size;
  }

  #begin(name: string, account: Account): void {
    if (this.#accounts.size >= this.#maxNames) this.#accounts.delete(this.#accounts.keys().next().value!);
    this.#accounts.set(name, account);
  }
}
