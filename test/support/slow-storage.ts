import { type ArchiveStore, type Storage, StorageError } from '../../src/storage/storage.ts';

/** A storage whose archives answer when the test wants, or not at all. */
export class SlowStorage {
  readonly storage: Storage;
  #gate: Promise<void> | undefined = undefined;
  #open: () => void = () => {};
  #isBroken = false;

  constructor(storage: Storage) {
    const wait = async () => {
      await this.#gate;
      if (this.#isBroken) throw new StorageError('full', 'the disk is full');
    };
    const slow = (store: ArchiveStore): ArchiveStore => ({
      append: (owner, item) => wait().then(() => store.append(owner, item)),
      query: (owner, filter) => (this.#gate ?? Promise.resolve()).then(() => store.query(owner, filter)),
      count: (owner, filter) => store.count(owner, filter),
      remove: (owner, filter) => store.remove(owner, filter),
      replace: (owner, item) => wait().then(() => store.replace(owner, item)),
      parties: (owner, after, max) => store.parties(owner, after, max),
      owners: (after, max) => store.owners(after, max),
    });
    this.storage = {
      open: async (domain, module, specs) => {
        const stores = await storage.open(domain, module, specs);
        const entries = Object.entries(stores).map(([name, store]) => [
          name,
          specs[name]?.kind === 'archive' ? slow(store as ArchiveStore) : store,
        ]);
        return Object.fromEntries(entries);
      },
      migrate: (module, migrations) => storage.migrate(module, migrations),
      erase: (domain, owner) => storage.erase(domain, owner),
      ping: () => storage.ping(),
      close: () => storage.close(),
      get stats() {
        return storage.stats;
      },
      get sql() {
        return storage.sql;
      },
    };
  }

  /** Nothing is answered until `release`. */
  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  /** Every write fails until `release`, also those that are held. */
  fail(): void {
    this.#isBroken = true;
    this.#open();
  }

  /** All is well again. */
  release(): void {
    this.#isBroken = false;
    this.#open();
    this.#gate = undefined;
  }
}
