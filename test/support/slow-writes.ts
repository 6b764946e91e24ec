import type { ItemStore, MapStore, Storage, StoreSpecs, Stores } from '../../src/storage/storage.ts';

/** What a write is about: where it goes, by the name of its store, and what it does. */
export interface SlowWrite {
  readonly store: string;
  readonly does: 'put' | 'remove' | 'update' | 'insert';
}

/** A storage whose maps and items are written when the test wants, or not at all; reading is as ever. */
export class SlowWrites {
  readonly storage: Storage;
  #gate: Promise<void> | undefined = undefined;
  #open: () => void = () => {};
  #fails: (write: SlowWrite) => boolean = () => false;

  constructor(storage: Storage) {
    const open = async <S extends StoreSpecs>(domain: string, module: string, specs: S): Promise<Stores<S>> => {
      const stores = await storage.open(domain, module, specs);
      for (const [name, store] of Object.entries<unknown>(stores as never)) {
        if (specs[name]?.kind === 'item') this.#slowItems(name, store as ItemStore);
        if (specs[name]?.kind === 'map') this.#slowMap(name, store as MapStore<unknown>);
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

  /** These writes fail until `release`, also those that are held. */
  fail(which: (write: SlowWrite) => boolean = () => true): void {
    this.#fails = which;
    this.#open();
    this.#gate = undefined;
  }

  /** All is well again. */
  release(): void {
    this.fail(() => false);
  }

  async #wait(write: SlowWrite): Promise<void> {
    await this.#gate;
    if (this.#fails(write)) throw new Error('the disk is full');
  }

  #slowItems(name: string, store: ItemStore): void {
    const put = store.put.bind(store);
    const remove = store.remove.bind(store);
    store.put = (...args) => this.#wait({ store: name, does: 'put' }).then(() => put(...args));
    store.remove = (...args) => this.#wait({ store: name, does: 'remove' }).then(() => remove(...args));
  }

  #slowMap(name: string, store: MapStore<unknown>): void {
    const update = store.update.bind(store);
    const insert = store.insert.bind(store);
    store.update = (owner, changes) => this.#wait({ store: name, does: 'update' }).then(() => update(owner, changes));
    store.insert = (owner, key, value) => this.#wait({ store: name, does: 'insert' }).then(() => insert(owner, key, value));
  }
}
