import type { Jid } from '#core';

/** The addresses that one user has blocked. Never changes. */
export class BlockList {
  readonly #addresses: ReadonlySet<string>;

  constructor(addresses: Iterable<string>) {
    this.#addresses = new Set(addresses);
  }

  get size(): number {
    return this.#addresses.size;
  }

  /** The addresses, as text. */
  get addresses(): Iterable<string> {
    return this.#addresses;
  }

  /** Whether this very address is in it. */
  has(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** Whether an entity is meant by one of the addresses: itself, its bare JID, or its domain (XEP-0191 section 5). */
  covers({ full, bare, domain }: Jid): boolean {
    const addresses = this.#addresses;
    return addresses.has(full) || addresses.has(bare) || addresses.has(domain);
  }

  /** The list with these addresses, and without those. */
  changed(added: Iterable<string>, removed: ReadonlySet<string>): BlockList {
    const addresses = [...this.#addresses, ...added].filter((address) => !removed.has(address));
    return addresses.length === 0 ? NOBODY : new BlockList(addresses);
  }
}

/** Blocks nobody: what most users have. */
export const NOBODY = new BlockList([]);
