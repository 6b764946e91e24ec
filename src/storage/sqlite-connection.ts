import Database from 'better-sqlite3';
import type { Statement } from './engine.ts';

/** How a write in SQLite ended, in a form that passes between threads. */
export type SqliteOutcome = readonly number[] | { readonly code: string; readonly message: string };

const MAX_STATEMENTS = 500;

/** A connection with its prepared statements. */
export class SqliteConnection {
  readonly db: Database.Database;
  readonly #prepared = new Map<string, Database.Statement>();

  /** Opens a file, or ':memory:'. Throws SqliteError. */
  constructor(file: string) {
    this.db = new Database(file);
    this.db.pragma('busy_timeout = 10000');
    this.db.pragma('foreign_keys = ON');
    this.db.pragma('journal_mode = WAL');
    // In WAL mode only FULL syncs each commit: what is acknowledged survives power loss too.
    this.db.pragma('synchronous = FULL');
    // A commit that does not fit in the cache is written twice, and so is what is copied from the log into the file too often.
    this.db.pragma('cache_size = -32768');
    this.db.pragma('wal_autocheckpoint = 16384');
  }

  /** The statement, prepared once. */
  prepare(sql: string): Database.Statement {
    let statement = this.#prepared.get(sql);
    if (!statement) {
      if (this.#prepared.size >= MAX_STATEMENTS) this.#prepared.clear();
      this.#prepared.set(sql, (statement = this.db.prepare(sql)));
    }
    return statement;
  }

  /**
   * Does the writes in one transaction. When one of them cannot be done it fails alone: they are done again, each within a
   * savepoint, and still share one commit. Never throws.
   */
  commit(writes: readonly (readonly Statement[])[]): readonly SqliteOutcome[] {
    try {
      return this.#inTransaction(() => writes.map((statements) => this.#run(statements)));
    } catch (error) {
      if (writes.length === 1 || isStorageWide(error)) return writes.map(() => describe(error));
    }
    try {
      return this.#inTransaction(() => writes.map((statements) => this.#attempt(statements)));
    } catch (error) {
      return writes.map(() => describe(error));
    }
  }

  #attempt(statements: readonly Statement[]): SqliteOutcome {
    this.prepare('SAVEPOINT attempt').run();
    try {
      const changes = this.#run(statements);
      this.prepare('RELEASE attempt').run();
      return changes;
    } catch (error) {
      if (isStorageWide(error)) throw error;
      this.prepare('ROLLBACK TO attempt').run();
      this.prepare('RELEASE attempt').run();
      return describe(error);
    }
  }

  #inTransaction<T>(work: () => T): T {
    this.prepare('BEGIN IMMEDIATE').run();
    try {
      const result = work();
      this.prepare('COMMIT').run();
      return result;
    } catch (error) {
      if (this.db.inTransaction) this.prepare('ROLLBACK').run();
      throw error;
    }
  }

  #run(statements: readonly Statement[]): readonly number[] {
    return statements.map(({ sql, values }) => this.prepare(sql).run(...bindable(values)).changes);
  }
}

/** A list goes in as JSON, for json_each. */
export function bindable(values: Statement['values']): readonly (string | number | null)[] {
  return values.map((value) => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value));
}

/** No room, no disk, no lock: the next write would fare no better. */
function isStorageWide(error: unknown): boolean {
  return /^SQLITE_(FULL|IOERR|BUSY|LOCKED|CANTOPEN|READONLY|CORRUPT|NOTADB|NOMEM)/.test(describe(error).code);
}

function describe(error: unknown): { readonly code: string; readonly message: string } {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'error';
  return { code, message: error instanceof Error ? error.message : String(error) };
}
