import type { Knex } from 'knex';
import type { StorageStats } from './storage.ts';

/** What a database takes and gives. */
export type Value = string | number | null;
/** A row by the names of its columns. */
export type Row = Readonly<Record<string, string | number | null>>;

/** A statement with its values; places are written `?`. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly (Value | readonly string[])[];
}

/** A database, as far as the stores see it. */
export interface Engine {
  /** For what is not done often: schema, migrations, queries of modules. */
  readonly knex: Knex;
  readonly stats: StorageStats;
  /** Whether it writes cheaper what is put together first (Staging). */
  readonly stages: boolean;
  /** SQL that is true when the column is in a list given as one value. */
  isIn(column: string): string;
  /** SQL for a table of one column, `value`, whose rows are a list given as one value; under this name. */
  rowsOf(name: string): string;
  /** What to write behind a table so that this index is used; '' where the database finds it by itself. */
  useIndex(name: string): string;
  /** Makes a table, unless it is there. Columns are ready SQL; `key` is the primary key. */
  makeTable(name: string, columns: readonly string[], key: readonly string[]): Promise<void>;
  read(statement: Statement): Promise<readonly Row[]>;
  /** Does all of it or nothing. Resolves once it is durable, to the number of rows that each statement has changed. */
  write(statements: readonly Statement[]): Promise<readonly number[]>;
  /** Runs work in a transaction that no other process's work of this kind overlaps. */
  exclusively<T>(work: (trx: Knex) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Figures as they are counted. */
export class Counters implements StorageStats {
  reads = 0;
  readSeconds = 0;
  writes = 0;
  failures = 0;
  commits = 0;
  commitSeconds = 0;
  queued = 0;
  queuedBytes = 0;

  /** Counts a query that began at this time of performance.now(). */
  read(since: number): void {
    this.reads++;
    this.readSeconds += (performance.now() - since) / 1000;
  }
}

/** About what a write weighs, in bytes. */
export function weigh(statements: readonly Statement[]): number {
  let bytes = 0;
  for (const { values } of statements) {
    bytes += 64;
    for (const value of values) bytes += typeof value === 'string' ? value.length : 8;
  }
  return bytes;
}
