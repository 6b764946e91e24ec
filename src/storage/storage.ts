import type { Knex } from 'knex';

/**
 * Many small values per owner: rosters, block lists, vCards. Values are JSON.
 * Every promise of a write resolves once the write is durable (committed with fsync), never before.
 */
export interface MapStore<T> {
  /** The value, or undefined when there is none. */
  get(owner: string, key: string): Promise<T | undefined>;
  /** All values of an owner, ordered by key. */
  entries(owner: string): Promise<ReadonlyMap<string, T>>;
  /** Writes all changes or none; undefined deletes. */
  update(owner: string, changes: ReadonlyMap<string, T | undefined>): Promise<void>;
  /** Writes a value unless there is one already. True when it was written; of all who try at once, in whatever process, one is. */
  insert(owner: string, key: string, value: T): Promise<boolean>;
  /** Deletes all values of an owner. */
  clear(owner: string): Promise<void>;
  /** Owners that have any value, ascending from behind `after`, at most `max` (1000). */
  owners(after?: string, max?: number): Promise<readonly string[]>;
  /**
   * The values under this key of all owners that have one, ascending by owner from behind `after`, at most `max` (1000). What a page
   * costs depends on how many owners are passed, and not on how much else they have.
   */
  scan(key: string, after?: string, max?: number): Promise<readonly (readonly [owner: string, value: T])[]>;
}

/** One entry of an ArchiveStore. */
export interface ArchiveItem {
  /**
   * Made by the caller before the write, as `sortableId` makes them (UUIDs of version 7): unique per owner, greater than that of any
   * earlier item, and the time of the item is in it (`timeOf`).
   */
  readonly id: string;
  /** The other party's bare JID; what `with` filters on. */
  readonly with: string;
  /** Its resource; '' (the default) when it has none, or when that does not matter. */
  readonly resource?: string;
  /** Bits of the module's own, to filter on: an integer from 0 (the default) to 2^31 - 1. */
  readonly tag?: number;
  /** The stanza as XML. */
  readonly stanza: string;
}

/** Which items of an owner's archive are meant; every field given narrows the choice. */
export interface ArchiveFilter {
  readonly with?: string;
  readonly resource?: string;
  /** Only items of which these bits of the tag have this value. */
  readonly tag?: { readonly mask: number; readonly value: number };
  /** Milliseconds since the epoch, inclusive. */
  readonly start?: number;
  readonly end?: number;
  /** Only items whose id sorts before, after this one (exclusive). */
  readonly before?: string;
  readonly after?: string;
  /** Exactly these ids. */
  readonly ids?: readonly string[];
  /** At most this many items. */
  readonly max?: number;
  /** Take the last `max` items instead of the first. The page itself is always in ascending order. */
  readonly last?: boolean;
}

/** A page of an archive, ascending by id. */
export interface ArchivePage {
  readonly items: readonly Required<ArchiveItem>[];
  /** True when no item matching the filter lies beyond this page in its direction. */
  readonly complete: boolean;
}

/**
 * A growing, ordered log per owner: offline messages, archives, room history. Writes resolve once durable. What a page costs depends
 * on its length and not on that of the archive, whatever the filter says of ids, times or the other party.
 */
export interface ArchiveStore {
  /** Adds an item. Rejects with StorageError `refused` for an id that is none of ours, or is there already. */
  append(owner: string, item: ArchiveItem): Promise<void>;
  query(owner: string, filter: ArchiveFilter): Promise<ArchivePage>;
  /** How many items match; where `max` is given it is not counted further than that. */
  count(owner: string, filter: ArchiveFilter): Promise<number>;
  /** Deletes what matches, where `max` is given the first so many, and returns how many there were (`last` is not looked at). */
  remove(owner: string, filter: ArchiveFilter): Promise<number>;
  /** Puts another tag and stanza in the place of an item's. True when the item is there. */
  replace(owner: string, item: Pick<Required<ArchiveItem>, 'id' | 'tag' | 'stanza'>): Promise<boolean>;
  /** The other parties of an owner's items (values of `with`), ascending from behind `after`, at most `max` (1000). */
  parties(owner: string, after?: string, max?: number): Promise<readonly string[]>;
  /** Owners that have any item, ascending from behind `after`, at most `max` (1000). */
  owners(after?: string, max?: number): Promise<readonly string[]>;
}

/** One item of a node. */
export interface NodeItem {
  /** Unique in its node. */
  readonly id: string;
  /** Its place among the others, which is also the time it was put there: as `sortableId` makes them, unique per node. */
  readonly at: string;
  /** Who has put it there: whatever the module wants to know of that. */
  readonly by: string;
  readonly value: string;
}

/** Which items of a node are meant; every field given narrows the choice. */
export interface ItemFilter {
  /** Exactly these ids. */
  readonly ids?: readonly string[];
  /** Only items whose place is behind, before this one (exclusive). */
  readonly after?: string;
  readonly before?: string;
  /** At most this many items. */
  readonly max?: number;
  /** The last `max` instead of the first. The page itself is always in ascending order of place. */
  readonly last?: boolean;
}

/** A page of a node, ascending by place. */
export interface ItemPage {
  readonly items: readonly NodeItem[];
  /** True when no item matching the filter lies beyond this page in its direction. */
  readonly complete: boolean;
}

/**
 * Items that are known by an id of somebody's own choice and have an order, in the nodes of an owner: what PubSub keeps (XEP-0060).
 * Nodes and ids are any text. Writes resolve once durable. What a page costs depends on its length and not on that of its node.
 */
export interface ItemStore {
  /**
   * Puts items at their places, each instead of one with the same id, and removes the first beyond `keep`, where that is given. All
   * or nothing; resolves once durable. Rejects with StorageError `refused` for a place that is none of ours, or is another item's.
   */
  put(owner: string, node: string, items: readonly NodeItem[], keep?: number): Promise<void>;
  query(owner: string, node: string, filter: ItemFilter): Promise<ItemPage>;
  /** How many match; where `max` is given it is not counted further. */
  count(owner: string, node: string, filter: ItemFilter): Promise<number>;
  /** Deletes what matches; an empty filter deletes all of the node. Returns how many there were. */
  remove(owner: string, node: string, filter: ItemFilter): Promise<number>;
  /** The last item of each node of an owner, by node. */
  latest(owner: string): Promise<ReadonlyMap<string, NodeItem>>;
  /** The items with this id in all nodes of an owner, by node; only for stores declared with `isFoundById`. */
  find(owner: string, id: string): Promise<ReadonlyMap<string, NodeItem>>;
}

/** How a module declares a MapStore. Raise `version` when T changes; `upgrade` then brings old values up when they are read. */
export interface MapStoreSpec<T> {
  readonly kind: 'map';
  readonly version: number;
  readonly upgrade?: (value: unknown, from: number) => T;
  /** Never set; carries the type. */
  readonly type?: T;
}

/** How a module declares an ArchiveStore. */
export interface ArchiveStoreSpec {
  readonly kind: 'archive';
  /** Items are added by many owners all the time and stay: new ones may be put together first, where that makes writing cheaper. */
  readonly isBusy?: boolean;
}

/** How a module declares an ItemStore. */
export interface ItemStoreSpec {
  readonly kind: 'item';
  /** Items are looked for by their id in all nodes of an owner too (`find`); that takes an index more. */
  readonly isFoundById?: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: a spec of any value type
export type StoreSpec = MapStoreSpec<any> | ArchiveStoreSpec | ItemStoreSpec;
/** The stores of a module by name; the core makes the table `<module>_<store>` for each. */
export type StoreSpecs = Readonly<Record<string, StoreSpec>>;
/** The opened form of StoreSpecs, typed. */
export type Stores<S> = {
  readonly [K in keyof S]: S[K] extends MapStoreSpec<infer T>
    ? MapStore<T>
    : S[K] extends ArchiveStoreSpec
      ? ArchiveStore
      : S[K] extends ItemStoreSpec
        ? ItemStore
        : never;
};

/** Declares a MapStore of T. */
export function mapStore<T>(spec: Partial<Omit<MapStoreSpec<T>, 'kind'>> = {}): MapStoreSpec<T> {
  return { kind: 'map', version: 1, ...spec };
}

/** Declares an ArchiveStore. */
export function archiveStore(spec: Omit<ArchiveStoreSpec, 'kind'> = {}): ArchiveStoreSpec {
  return { kind: 'archive', ...spec };
}

/** Declares an ItemStore. */
export function itemStore(spec: Omit<ItemStoreSpec, 'kind'> = {}): ItemStoreSpec {
  return { kind: 'item', ...spec };
}

/** A change of schema that a module brings for its own tables; applied once, never edited after a release. */
export interface Migration {
  readonly id: string;
  up(sql: Knex): Promise<void>;
}

/** What a database does not do, and whether it may do it later. Shown to operators, never to peers. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  /**
   * refused: it will never take this (a NUL in a key, the same id twice). full: there is no room on the disk.
   * unavailable: it cannot be reached, or is failing. outdated: it was made by a newer version of Parlance.
   */
  readonly reason: 'refused' | 'full' | 'unavailable' | 'outdated';

  constructor(reason: StorageError['reason'], text: string, cause?: unknown) {
    super(text, cause === undefined ? {} : { cause });
    this.reason = reason;
  }
}

/** How a database has been doing since it was opened. */
export interface StorageStats {
  /** Queries answered, and the seconds they took together. */
  readonly reads: number;
  readonly readSeconds: number;
  /** Writes that are durable, and those that failed. */
  readonly writes: number;
  readonly failures: number;
  /** Transactions that made them so, and the seconds from the first byte to the sync, together. */
  readonly commits: number;
  readonly commitSeconds: number;
  /** Writes that wait for their commit now, and their size. */
  readonly queued: number;
  readonly queuedBytes: number;
}

/** The database behind every store. What it rejects with is a StorageError. */
export interface Storage {
  /** Makes what tables are missing and returns the stores, bound to this host. Names are `<module>_<store>`. */
  open<S extends StoreSpecs>(host: string, module: string, specs: S): Promise<Stores<S>>;
  /** Applies the migrations of one module that are not applied yet, in order. Resumes if interrupted. */
  migrate(module: string, migrations: readonly Migration[]): Promise<void>;
  /** Deletes everything every store holds for this owner on this host, in one transaction. */
  erase(host: string, owner: string): Promise<void>;
  /** The query builder, for modules with migrations of their own. */
  readonly sql: Knex;
  readonly stats: StorageStats;
  /** Resolves when a trivial query was answered; rejects when the database is out of reach. */
  ping(): Promise<void>;
  /** Waits for writes under way, then closes. */
  close(): Promise<void>;
}
