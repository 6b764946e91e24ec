import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type Database from 'better-sqlite3';
import knex, { type Knex } from 'knex';
import BetterSqlite from 'knex/lib/dialects/better-sqlite3/index.js';
import type { Log } from '../log.ts';
import { Batches, type Outcome, type Pending } from './batches.ts';
import { Counters, type Engine, type Row, type Statement } from './engine.ts';
import { knexLog } from './knex-log.ts';
import { packWrites, unpackOutcomes } from './packing.ts';
import { bindable, SqliteConnection, type SqliteOutcome } from './sqlite-connection.ts';
import type { WriterReply, WriterRequest } from './sqlite-writer.ts';
import { StorageError } from './storage.ts';

/** What both kinds of SQLite share: reads on this thread, and knex on a connection we have made. */
abstract class Sqlite implements Engine {
  readonly knex: Knex;
  abstract readonly stats: Counters;
  abstract readonly stages: boolean;
  /** For reads. */
  protected readonly connection: SqliteConnection;

  constructor(connection: SqliteConnection, log: Log, forKnex = connection) {
    this.connection = connection;
    this.knex = openKnex(forKnex.db, log);
  }

  abstract write(statements: readonly Statement[]): Promise<readonly number[]>;
  abstract close(): Promise<void>;

  isIn(column: string): string {
    return `${column} IN (SELECT value FROM json_each(?))`;
  }

  rowsOf(name: string): string {
    return `json_each(?) AS ${name}`;
  }

  useIndex(name: string): string {
    return ` INDEXED BY "${name}"`;
  }

  async makeTable(name: string, columns: readonly string[], key: readonly string[]): Promise<void> {
    await this.knex.raw(
      `CREATE TABLE IF NOT EXISTS "${name}" (${columns.join(', ')}, PRIMARY KEY (${key.join(', ')})) WITHOUT ROWID`,
    );
  }

  async read({ sql, values }: Statement): Promise<readonly Row[]> {
    const since = performance.now();
    try {
      return this.connection.prepare(sql).all(...bindable(values)) as Row[];
    } catch (error) {
      throw new StorageError('unavailable', `SQLite: ${error instanceof Error ? error.message : String(error)}`, error);
    } finally {
      this.stats.read(since);
    }
  }

  async exclusively<T>(work: (trx: Knex) => Promise<T>): Promise<T> {
    await this.knex.raw('CREATE TABLE IF NOT EXISTS parlance_lock (id INTEGER PRIMARY KEY)');
    return this.knex.transaction(async (trx) => {
      // A write has to be the first of all, since it takes the lock and waits for whoever has it. Behind a read it could not wait:
      // what was read would be of the past (SQLITE_BUSY_SNAPSHOT).
      await trx.raw('DELETE FROM parlance_lock');
      return work(trx);
    });
  }
}

/** SQLite in a file: written by a thread of its own. */
export class SqliteFile extends Sqlite {
  readonly stages = true;
  readonly stats: Counters;
  readonly #file: string;
  readonly #forKnex: SqliteConnection;
  readonly #log: Log;
  readonly #batches: Batches;
  #writer: Writer | undefined = undefined;

  constructor(file: string, log: Log) {
    // knex has one of its own: what it does in a transaction is nobody else's to read before it is committed.
    const connection = openFile(file);
    const forKnex = new SqliteConnection(file);
    super(connection, log, forKnex);
    this.#forKnex = forKnex;
    this.#file = file;
    this.#log = log;
    this.#batches = new Batches((batch) => this.#commit(batch));
    this.stats = this.#batches.counters;
  }

  write(statements: readonly Statement[]): Promise<readonly number[]> {
    return this.#batches.write(statements);
  }

  async close(): Promise<void> {
    await this.#batches.close();
    await this.knex.destroy();
    this.#forKnex.db.close();
    this.connection.db.close();
    await this.#writer?.close();
  }

  async #commit(batch: readonly Pending[]): Promise<readonly Outcome[]> {
    try {
      // One that died while it had nothing to do is replaced; it would never answer.
      if (!this.#writer || this.#writer.hasEnded) this.#writer = new Writer(this.#file);
      const outcomes = await this.#writer.commit(batch.map(({ statements }) => statements));
      return outcomes.map(toOutcome);
    } catch (error) {
      // The thread is gone; the next batch gets another. Whether this one was written nobody knows, so it is not acknowledged.
      this.#log.error('the thread that writes to SQLite has failed', { error });
      this.#writer = undefined;
      const failure = new StorageError('unavailable', 'the thread that writes to SQLite has failed', error);
      return batch.map(() => failure);
    }
  }
}

/** SQLite in memory: nothing is kept. For tests. */
export class SqliteMemory extends Sqlite {
  readonly stages = false;
  readonly stats = new Counters();

  constructor(log: Log) {
    super(new SqliteConnection(':memory:'), log);
  }

  async write(statements: readonly Statement[]): Promise<readonly number[]> {
    const outcome = toOutcome(this.connection.commit([statements])[0]!);
    this.stats.commits++;
    if (outcome instanceof StorageError) {
      this.stats.failures++;
      throw outcome;
    }
    this.stats.writes++;
    return outcome;
  }

  async close(): Promise<void> {
    await this.knex.destroy();
    this.connection.db.close();
  }
}

/** The writing thread, seen from here: one batch at a time. */
class Writer {
  hasEnded = false;
  readonly #worker: Worker;
  #answer: { resolve(reply: WriterReply): void; reject(error: Error): void } | undefined = undefined;

  constructor(file: string) {
    this.#worker = new Worker(new URL('./sqlite-writer.js', import.meta.url), { workerData: { file } });
    this.#worker.on('message', (reply: WriterReply) => this.#answer?.resolve(reply));
    this.#worker.on('error', (error: Error) => this.#answer?.reject(error));
    this.#worker.on('exit', () => {
      this.hasEnded = true;
      this.#answer?.reject(new Error('the thread has ended'));
    });
    // What waits for a commit keeps the process alive, an idle thread does not.
    this.#worker.unref();
  }

  async commit(writes: readonly (readonly Statement[])[]): Promise<readonly SqliteOutcome[]> {
    const reply = await this.#ask(packWrites(writes));
    return reply === 'closed' ? [] : unpackOutcomes(reply, writes);
  }

  async close(): Promise<void> {
    if (this.hasEnded) return;
    await this.#ask('close').catch(() => undefined);
    await this.#worker.terminate();
  }

  async #ask(request: WriterRequest): Promise<WriterReply> {
    this.#worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        this.#answer = { resolve, reject };
        this.#worker.postMessage(request);
      });
    } finally {
      this.#answer = undefined;
      this.#worker.unref();
    }
  }
}

function toOutcome(outcome: SqliteOutcome): Outcome {
  if ('code' in outcome) {
    const { code, message } = outcome;
    const reason = code === 'SQLITE_FULL' ? 'full' : code.startsWith('SQLITE_CONSTRAINT') ? 'refused' : 'unavailable';
    return new StorageError(reason, `SQLite: ${message} (${code})`);
  }
  return outcome;
}

/** Only the server's user may read it, or what SQLite puts beside it. */
function openFile(file: string): SqliteConnection {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    closeSync(openSync(file, 'a', 0o600));
    chmodSync(file, 0o600);
    return new SqliteConnection(file);
  } catch (error) {
    throw new StorageError(
      'unavailable',
      `${file} cannot be opened: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}

/** knex on a connection that is ours to close: in memory there can be no second one. */
function openKnex(db: Database.Database, log: Log): Knex {
  class Client extends BetterSqlite {
    override async acquireRawConnection(): Promise<Database.Database> {
      return db;
    }

    override async destroyRawConnection(): Promise<void> {}
  }
  return knex({
    client: Client,
    connection: { filename: '' },
    useNullAsDefault: true,
    pool: { min: 1, max: 1 },
    log: knexLog(log),
  });
}
