import type { Knex } from 'knex';
import type { Engine } from './engine.ts';
import { type Migration, StorageError } from './storage.ts';

/** The version of the tables that the core itself makes; a database that names a higher one was made by a newer Parlance. */
const SCHEMA_VERSION = 1;
/** The core's own entry among the modules. */
const CORE = 'parlance';

/** Makes the table of what has been applied, and checks that this program knows the schema. Throws StorageError `outdated`. */
export async function prepareSchema(engine: Engine): Promise<void> {
  await engine.makeTable(
    'parlance_migrations',
    ['module text NOT NULL', 'id text NOT NULL', 'applied bigint NOT NULL'],
    ['module', 'id'],
  );
  await engine.makeTable('parlance_stores', ['name text NOT NULL'], ['name']);
  await migrate(engine, CORE, [{ id: String(SCHEMA_VERSION), up: async () => {} }]);
}

/**
 * Applies what is missing, in order, each in a transaction together with its record: an interrupted one is begun anew, and of two
 * processes one waits for the other. Throws StorageError `outdated` when more was applied than is known here.
 */
export async function migrate(engine: Engine, module: string, migrations: readonly Migration[]): Promise<void> {
  const known = new Set(migrations.map(({ id }) => id));
  for (const id of await applied(engine.knex, module)) {
    if (known.has(id)) continue;
    throw new StorageError(
      'outdated',
      `the database was made by a newer version of Parlance: it has the migration ${id} of ${module}`,
    );
  }
  for (const { id, up } of migrations) {
    if ((await applied(engine.knex, module)).has(id)) continue;
    await engine.exclusively(async (trx) => {
      if ((await applied(trx, module)).has(id)) return;
      await up(trx);
      await trx('parlance_migrations').insert({ module, id, applied: Date.now() });
    });
  }
}

async function applied(sql: Knex, module: string): Promise<ReadonlySet<string>> {
  const rows: readonly { readonly id: string }[] = await sql('parlance_migrations').where({ module }).select('id');
  return new Set(rows.map(({ id }) => id));
}
