import type { StorageConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';
import type { Engine } from './engine.ts';
import { ITEM_INDEXES, SqlItemStore } from './item-store.ts';
import { migrate, prepareSchema } from './migrate.ts';
import { Postgres } from './postgres.ts';
import { SqliteFile, SqliteMemory } from './sqlite.ts';
import { StagedArchiveStore, Staging } from './staged.ts';
import {
  type ArchiveStore,
  type ArchiveStoreSpec,
  type Migration,
  type Storage,
  StorageError,
  type StorageStats,
  type StoreSpec,
  type StoreSpecs,
  type Stores,
} from './storage.ts';
import { checkText, SqlArchiveStore, SqlMapStore } from './stores.ts';

/** Names of tables go into SQL as they are. */
const NAME = /^[a-z][a-z0-9_]{0,60}$/;

/** Opens the database that a config names. Rejects with StorageError when it cannot be reached or is of a newer version. */
export async function openStorage(config: StorageConfig, log: Log): Promise<Storage> {
  const engine = openEngine(config, log);
  try {
    await prepareSchema(engine);
  } catch (error) {
    await engine.close().catch(() => undefined);
    if (error instanceof StorageError) throw error;
    throw new StorageError(
      'unavailable',
      `the storage cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  return new SqlStorage(engine);
}

function openEngine(config: StorageConfig, log: Log): Engine {
  switch (config.type) {
    case 'sqlite':
      return new SqliteFile(config.file, log);
    case 'postgresql':
      return new Postgres({ ...config, url: config.url?.reveal(), password: config.password?.reveal() }, log);
    case 'memory':
      return new SqliteMemory(log);
  }
}

/** The stores of all modules in one database. */
class SqlStorage implements Storage {
  readonly #engine: Engine;
  readonly #tables = new Set<string>();
  readonly #stagings = new Map<string, Promise<Staging>>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get sql(): Storage['sql'] {
    return this.#engine.knex;
  }

  get stats(): StorageStats {
    return this.#engine.stats;
  }

  async open<S extends StoreSpecs>(host: string, module: string, specs: S): Promise<Stores<S>> {
    const stores: Record<string, unknown> = {};
    for (const [name, spec] of Object.entries(specs)) {
      const table = `${module}_${name}`.toLowerCase();
      await this.#make(table, spec);
      stores[name] = await this.#openStore(table, host, spec);
    }
    return stores as Stores<S>;
  }

  migrate(module: string, migrations: readonly Migration[]): Promise<void> {
    return migrate(this.#engine, module, migrations);
  }

  #openStore(table: string, host: string, spec: StoreSpec): unknown {
    switch (spec.kind) {
      case 'map':
        return new SqlMapStore(this.#engine, table, host, spec);
      case 'archive':
        return this.#openArchive(table, host, spec);
      case 'item':
        return new SqlItemStore(this.#engine, table, host, spec);
    }
  }

  async #openArchive(table: string, host: string, { isBusy = false }: ArchiveStoreSpec): Promise<ArchiveStore> {
    const sorted = new SqlArchiveStore(this.#engine, table, host);
    if (!isBusy || !this.#engine.stages) return sorted;
    let staging = this.#stagings.get(table);
    if (!staging) {
      this.#stagings.set(table, (staging = Staging.open(this.#engine, table)));
      await this.#register((await staging).table);
    }
    return new StagedArchiveStore(sorted, await staging, host);
  }

  async erase(host: string, owner: string): Promise<void> {
    checkText(owner, 'an owner');
    const rows = await this.#engine.read({ sql: 'SELECT name FROM parlance_stores', values: [] });
    const tables = rows.map((row) => String(row['name'])).filter((name) => NAME.test(name));
    if (tables.length === 0) return;
    await this.#engine.write(
      tables.map((table) => ({ sql: `DELETE FROM "${table}" WHERE host = ? AND owner = ?`, values: [host, owner] })),
    );
    for (const staging of this.#stagings.values()) (await staging).drop(host, owner);
  }

  async ping(): Promise<void> {
    await this.#engine.read({ sql: 'SELECT 1 AS one', values: [] });
  }

  async close(): Promise<void> {
    for (const staging of this.#stagings.values()) await (await staging.catch(() => undefined))?.close();
    await this.#engine.close();
  }

  async #make(table: string, spec: StoreSpec): Promise<void> {
    if (this.#tables.has(table)) return;
    if (!NAME.test(table)) throw new StorageError('refused', `${table} cannot be the name of a table`);
    const { columns, key, indexes } = shapeOf(spec);
    await this.#engine.makeTable(table, ['host text NOT NULL', 'owner text NOT NULL', ...columns], ['host', 'owner', ...key]);
    for (const { name, isUnique, on } of indexes) {
      const index = `${isUnique ? 'UNIQUE ' : ''}INDEX IF NOT EXISTS "${table}_${name}"`;
      await this.#engine.knex.raw(`CREATE ${index} ON "${table}" (${on})`);
    }
    await this.#register(table);
    this.#tables.add(table);
  }

  /** What is in a registered table is erased with its owner. */
  async #register(table: string): Promise<void> {
    const sql = 'INSERT INTO parlance_stores (name) VALUES (?) ON CONFLICT (name) DO NOTHING';
    await this.#engine.write([{ sql, values: [table] }]);
  }
}

/** What a table has besides host and owner, with which its key begins. */
interface Shape {
  readonly columns: readonly string[];
  readonly key: readonly string[];
  readonly indexes: readonly { readonly name: string; readonly isUnique?: boolean; readonly on: string }[];
}

function shapeOf(spec: StoreSpec): Shape {
  switch (spec.kind) {
    case 'map':
      return { columns: ['key text NOT NULL', 'version integer NOT NULL', 'value text NOT NULL'], key: ['key'], indexes: [] };
    case 'archive': {
      const texts = ['id text NOT NULL', '"with" text NOT NULL', 'resource text NOT NULL'];
      const columns = [...texts, 'tag integer NOT NULL', 'stanza text NOT NULL'];
      return { columns, key: ['id'], indexes: [{ name: 'with', on: 'host, owner, "with", id' }] };
    }
    case 'item': {
      const columns = ['node', 'id', 'at', '"by"', 'value'].map((column) => `${column} text NOT NULL`);
      const byPlace = { name: 'at', isUnique: true, on: ITEM_INDEXES.at };
      const byId = { name: 'id', on: ITEM_INDEXES.id };
      return { columns, key: ['node', 'id'], indexes: spec.isFoundById ? [byPlace, byId] : [byPlace] };
    }
  }
}
