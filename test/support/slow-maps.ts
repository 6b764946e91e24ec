import type { MapStore, Storage, StoreSpecs, Stores } from '../../src/storage/storage.ts';

/** A storage whose maps are written when the test wants, or not at all; reading is as ever. */
export class SlowMaps {
  readonly storage: Storage;
  #gate: Promise<void> | undefined = undefined;
  #open: () => void = () => {};
  #isBroken = false;

  constructor(storage: Storage) {
    const open = async <S extends StoreSpecs>(domain: string, module: string, specs: S): Promise<Stores<S>> => {
      const stores = await storage.open(domain, module, specs);
      for (const [name, store] of Object.entries<MapStore<unknown>>(stores as never)) {
        if (specs[name]?.kind === 'map') this.#slowDown(store);
      }
      return stores;
    };
    this.storage = new Proxy(storage, {
      get: (target, name) => {
        if (name === 'open') return open;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Nothing is written until `release`. */
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

  #slowDown(store: MapStore<unknown>): void {
    const write = store.update.bind(store);
    const insert = store.insert.bind(store);
    const wait = async () => {
      await this.#gate;
      if (this.#isBroken) throw new Error('the disk is full');
    };
    store.update = (owner, changes) => wait().then(() => write(owner, changes));
    store.insert = (owner, key, value) => wait().then(() => insert(owner, key, value));
  }
}
