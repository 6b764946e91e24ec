import knex, { type Knex } from 'knex';
import pg from 'pg';
import type { Log } from '../log.ts';
import { Batches, type Outcome, type Pending } from './batches.ts';
import type { Counters, Engine, Row, Statement } from './engine.ts';
import { knexLog } from './knex-log.ts';
import { StorageError } from './storage.ts';

/** How to reach a PostgreSQL server. */
export interface PostgresSettings {
  /** A whole connection string, or else the parts below. */
  readonly url: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string | undefined;
  readonly database: string;
  readonly tls: 'auto' | 'off' | 'require' | 'verify';
  /** Connections for reads; writes have one of their own. */
  readonly pool: number;
}

const INT8 = 20;
const CONNECT_TIMEOUT = 10_000;
/** Milliseconds after which a server that does not answer counts as gone; migrations may take longer. */
const QUERY_TIMEOUT = 30_000;
/** One number for all processes of Parlance: whoever holds it may change the schema. */
const SCHEMA_LOCK = 7_205_381;
/** Classes and codes of PostgreSQL's errors after which the same statement fails again (its manual, appendix A). */
const REFUSED = /^(22|23|42|54)/;
const FULL = /^53(1|2)00$/;

/** PostgreSQL: reads on a pool, writes in batches on one connection, each batch a transaction. */
export class Postgres implements Engine {
  /** It writes changes of rows, and pages only now and then. */
  readonly stages = false;
  readonly knex: Knex;
  readonly stats: Counters;
  readonly #config: pg.ClientConfig;
  readonly #pool: pg.Pool;
  readonly #batches: Batches;
  readonly #names = new Map<string, string>();
  readonly #log: Log;
  #writer: pg.Client | undefined = undefined;

  constructor(settings: PostgresSettings, log: Log) {
    this.#log = log;
    this.#config = clientConfig(settings);
    this.#pool = new pg.Pool({ ...this.#config, max: settings.pool });
    // A connection that breaks while nobody uses it is replaced; without a listener it would end the process.
    this.#pool.on('error', (error) => log.warn('a connection to PostgreSQL broke', { error }));
    this.#batches = new Batches((batch) => this.#commit(batch));
    this.stats = this.#batches.counters;
    // A migration may take longer than any query of ours.
    const { query_timeout: _, ...patient } = this.#config;
    this.knex = knex({
      client: 'pg',
      connection: patient as Knex.PgConnectionConfig,
      pool: { min: 0, max: 4 },
      log: knexLog(log),
    });
  }

  isIn(column: string): string {
    return `${column} = ANY(?::text[])`;
  }

  rowsOf(name: string): string {
    return `unnest(?::text[]) AS ${name} (value)`;
  }

  useIndex(): string {
    return '';
  }

  async makeTable(name: string, columns: readonly string[], key: readonly string[]): Promise<void> {
    // Sorted by bytes, as SQLite does, whatever the database's own order is.
    const sorted = columns.map((column) => column.replace(/ text\b/, ' text COLLATE "C"'));
    await this.exclusively((trx) =>
      trx.raw(`CREATE TABLE IF NOT EXISTS "${name}" (${sorted.join(', ')}, PRIMARY KEY (${key.join(', ')}))`),
    );
  }

  async read(statement: Statement): Promise<readonly Row[]> {
    const since = performance.now();
    try {
      return (await this.#pool.query<Row>(this.#prepare(statement))).rows;
    } catch (error) {
      throw toStorageError(error);
    } finally {
      this.stats.read(since);
    }
  }

  write(statements: readonly Statement[]): Promise<readonly number[]> {
    return this.#batches.write(statements);
  }

  async exclusively<T>(work: (trx: Knex) => Promise<T>): Promise<T> {
    return this.knex.transaction(async (trx) => {
      await trx.raw('SELECT pg_advisory_xact_lock(?)', [SCHEMA_LOCK]);
      return work(trx);
    });
  }

  async close(): Promise<void> {
    await this.#batches.close();
    await Promise.allSettled([this.#writer?.end(), this.#pool.end(), this.knex.destroy()]);
  }

  async #commit(batch: readonly Pending[]): Promise<readonly Outcome[]> {
    const all = batch.map(({ statements }) => statements);
    try {
      return await this.#transact(all);
    } catch (error) {
      const failure = toStorageError(error);
      if (failure.reason !== 'refused' || batch.length === 1) return batch.map(() => failure);
    }
    // One of them cannot be done: each in a transaction of its own, so that it fails alone.
    const outcomes: Outcome[] = [];
    for (const statements of all) {
      outcomes.push(await this.#transact([statements]).then(([changes]) => changes!, toStorageError));
    }
    return outcomes;
  }

  /** All of it or nothing. */
  async #transact(writes: readonly (readonly Statement[])[]): Promise<readonly (readonly number[])[]> {
    const client = await this.#connect();
    try {
      await client.query('BEGIN');
      const changes: (readonly number[])[] = [];
      for (let i = 0; i < writes.length; ) {
        const rows = rowsFrom(writes, i);
        if (rows.length > 1) {
          await client.query(this.#prepare(joinRows(rows)));
          for (const _ of rows) changes.push(ONE);
          i += rows.length;
        } else changes.push(await this.#run(client, writes[i++]!));
      }
      await client.query('COMMIT');
      return changes;
    } catch (error) {
      // Only a server that answers can be asked to undo it; without the connection it does so by itself.
      if (error instanceof pg.DatabaseError) await client.query('ROLLBACK').catch(() => this.#drop(client));
      else this.#drop(client);
      throw error;
    }
  }

  async #run(client: pg.Client, statements: readonly Statement[]): Promise<readonly number[]> {
    const counts: number[] = [];
    for (const statement of statements) counts.push((await client.query(this.#prepare(statement))).rowCount ?? 0);
    return counts;
  }

  async #connect(): Promise<pg.Client> {
    if (this.#writer) return this.#writer;
    const client = new pg.Client(this.#config);
    client.on('error', (error) => {
      this.#log.warn('the connection that writes to PostgreSQL broke', { error });
      this.#drop(client);
    });
    client.on('end', () => this.#drop(client));
    try {
      await client.connect();
      // Acknowledged means durable: a commit returns when its WAL is on disk.
      await client.query('SET synchronous_commit = on');
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
    this.#writer = client;
    return client;
  }

  #drop(client: pg.Client): void {
    if (this.#writer !== client) return;
    this.#writer = undefined;
    client.end().catch(() => {});
  }

  /** Named, so that each connection plans it once; places become $1, $2 and so on. */
  #prepare({ sql, values }: Statement): pg.QueryConfig {
    let text = this.#names.get(sql);
    if (text === undefined) {
      let n = 0;
      text = sql.replace(/\?/g, () => `$${++n}`);
      this.#names.set(sql, text);
    }
    return { name: nameOf(sql), text, values: [...values] };
  }
}

/** Rows added by one statement at most. */
const MOST_ROWS = 64;
const ONE: readonly number[] = [1];
/** A statement that adds one row or fails. */
const ADDS_ROW = /^INSERT INTO "\w+" \([^()]*\) VALUES (?<row>\([?, ]+\))$/;

/** The writes from here on that each add a row by the same statement: what is asked of the server in one go costs it once. */
function rowsFrom(writes: readonly (readonly Statement[])[], start: number): readonly Statement[] {
  const first = writes[start]!;
  if (first.length !== 1 || !ADDS_ROW.test(first[0]!.sql)) return first.slice(0, 1);
  const rows: Statement[] = [];
  for (let i = start; i < writes.length && rows.length < MOST_ROWS; i++) {
    const statements = writes[i]!;
    if (statements.length !== 1 || statements[0]!.sql !== first[0]!.sql) break;
    rows.push(statements[0]!);
  }
  return rows;
}

function joinRows(rows: readonly Statement[]): Statement {
  const { sql } = rows[0]!;
  const row = ADDS_ROW.exec(sql)?.groups?.['row'] ?? '';
  return { sql: sql + `, ${row}`.repeat(rows.length - 1), values: rows.flatMap(({ values }) => values) };
}

const names = new Map<string, string>();

/** A short name for a statement, the same for the whole process. */
function nameOf(sql: string): string {
  let name = names.get(sql);
  if (name === undefined) names.set(sql, (name = `p${names.size}`));
  return name;
}

function clientConfig(settings: PostgresSettings): pg.ClientConfig {
  const { url, host, port, user, password, database, tls } = settings;
  const target = url === undefined ? host : hostOf(url);
  const isLocal = target.startsWith('/') || ['localhost', '127.0.0.1', '[::1]', '::1'].includes(target);
  const mode = tls === 'auto' ? (isLocal ? 'off' : 'verify') : tls;
  const where =
    url === undefined ? { host, port, user, database, ...(password !== undefined && { password }) } : { connectionString: url };
  return {
    ...where,
    // What a URL says of TLS itself (sslmode) counts.
    ...(url?.includes('sslmode=') ? {} : { ssl: mode === 'off' ? false : { rejectUnauthorized: mode === 'verify' } }),
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    query_timeout: QUERY_TIMEOUT,
    keepAlive: true,
    application_name: 'parlance',
    types: {
      // Counts and times fit a number; pg would make text of them.
      getTypeParser: ((oid: number, format?: 'text') =>
        oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
    },
  };
}

/** The host of a URL; one without a host is for this machine. */
function hostOf(url: string): string {
  if (!URL.canParse(url)) return 'localhost';
  const { hostname, searchParams } = new URL(url);
  return searchParams.get('host') ?? (decodeURIComponent(hostname) || 'localhost');
}

function toStorageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = FULL.test(code) ? 'full' : REFUSED.test(code) ? 'refused' : 'unavailable';
  return new StorageError(reason, `PostgreSQL: ${error instanceof Error ? error.message || code : String(error)}`, error);
}
