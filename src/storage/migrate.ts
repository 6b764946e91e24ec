import type { Knex } from 'knex';
import type { Engine } from './engine.ts';
import { type Migration, StorageError } from './storage.ts';

/** The versions of the tables that the core itself makes; a database that names another was made by a newer Parlance. */
const SCHEMA: readonly Migration[] = [
  { id: '1', up: async () => {} },
  { id: '2', up: keepTimesInIds },
];
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
  await migrate(engine, CORE, SCHEMA);
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

/** Archives had a column for the time, which is in their items' ids; and had none for the resource and the tag. */
async function keepTimesInIds(sql: Knex): Promise<void> {
  const tables: readonly { readonly name: string }[] = await sql('parlance_stores').select('name');
  for (const { name } of tables) {
    if (!(await sql.schema.hasColumn(name, 'stamp'))) continue;
    await sql.schema.alterTable(name, (table) => {
      table.text('resource').notNullable().defaultTo('');
      table.integer('tag').notNullable().defaultTo(0);
    });
    await sql.raw('ALTER TABLE ?? DROP COLUMN stamp', [name]);
  }
}
