import { firstIdAt, timeOf } from '../ids.ts';
import type { Engine, Row, Statement, Value } from './engine.ts';
import {
  type ArchiveFilter,
  type ArchiveItem,
  type ArchivePage,
  type ArchiveStore,
  type MapStore,
  type MapStoreSpec,
  StorageError,
} from './storage.ts';

/** PostgreSQL takes no NUL, and a lone surrogate has no form in UTF-8 (with the flag u, halves of pairs do not match). */
const UNKEPT = /[\0\ud800-\udfff]/u;

/** Refuses names of owners, keys and the like that not every database keeps as they are. Throws StorageError. */
export function checkText(text: string, what: string): void {
  if (UNKEPT.test(text)) throw new StorageError('refused', `${what} holds what no database keeps`);
}

type MapStatement = 'get' | 'entries' | 'put' | 'insert' | 'remove' | 'clear' | 'owners' | 'ownersAfter' | 'scan' | 'scanAfter';

/** A MapStore in one table, for one host. */
export class SqlMapStore<T> implements MapStore<T> {
  readonly #engine: Engine;
  readonly #host: string;
  readonly #spec: MapStoreSpec<T>;
  readonly #sql: Readonly<Record<MapStatement, string>>;

  constructor(engine: Engine, table: string, host: string, spec: MapStoreSpec<T>) {
    this.#engine = engine;
    this.#host = host;
    this.#spec = spec;
    const insert = `INSERT INTO "${table}" (host, owner, key, version, value) VALUES (?, ?, ?, ?, ?) ON CONFLICT (host, owner, key) DO `;
    this.#sql = {
      get: `SELECT version, value FROM "${table}" WHERE host = ? AND owner = ? AND key = ?`,
      entries: `SELECT key, version, value FROM "${table}" WHERE host = ? AND owner = ? ORDER BY key`,
      put: `${insert}UPDATE SET version = excluded.version, value = excluded.value`,
      insert: `${insert}NOTHING`,
      remove: `DELETE FROM "${table}" WHERE host = ? AND owner = ? AND key = ?`,
      clear: `DELETE FROM "${table}" WHERE host = ? AND owner = ?`,
      owners: `SELECT DISTINCT owner FROM "${table}" WHERE host = ? ORDER BY owner LIMIT ?`,
      ownersAfter: `SELECT DISTINCT owner FROM "${table}" WHERE host = ? AND owner > ? ORDER BY owner LIMIT ?`,
      scan: scanFrom(table, 'host = ?'),
      scanAfter: scanFrom(table, 'host = ? AND owner > ?'),
    };
  }

  async get(owner: string, key: string): Promise<T | undefined> {
    checkText(owner, 'an owner');
    checkText(key, 'a key');
    const [row] = await this.#read(this.#sql.get, owner, key);
    return row && this.#parse(row['version'], row['value']);
  }

  async entries(owner: string): Promise<ReadonlyMap<string, T>> {
    checkText(owner, 'an owner');
    const rows = await this.#read(this.#sql.entries, owner);
    return new Map(rows.map((row) => [String(row['key']), this.#parse(row['version'], row['value'])]));
  }

  async update(owner: string, changes: ReadonlyMap<string, T | undefined>): Promise<void> {
    checkText(owner, 'an owner');
    const statements: Statement[] = [];
    for (const [key, value] of changes) {
      checkText(key, 'a key');
      if (value === undefined) statements.push({ sql: this.#sql.remove, values: [this.#host, owner, key] });
      else statements.push({ sql: this.#sql.put, values: this.#row(owner, key, value) });
    }
    if (statements.length > 0) await this.#engine.write(statements);
  }

  async insert(owner: string, key: string, value: T): Promise<boolean> {
    checkText(owner, 'an owner');
    checkText(key, 'a key');
    const [changes] = await this.#engine.write([{ sql: this.#sql.insert, values: this.#row(owner, key, value) }]);
    return changes === 1;
  }

  async clear(owner: string): Promise<void> {
    checkText(owner, 'an owner');
    await this.#engine.write([{ sql: this.#sql.clear, values: [this.#host, owner] }]);
  }

  async owners(after?: string, max = 1000): Promise<readonly string[]> {
    if (after !== undefined) checkText(after, 'an owner');
    const rows = after === undefined ? this.#read(this.#sql.owners, max) : this.#read(this.#sql.ownersAfter, after, max);
    return (await rows).map((row) => String(row['owner']));
  }

  async scan(key: string, after?: string, max = 1000): Promise<readonly (readonly [owner: string, value: T])[]> {
    checkText(key, 'a key');
    if (after !== undefined) checkText(after, 'an owner');
    const host = this.#host;
    const page = Math.max(0, max);
    const values = [...(after === undefined ? [] : [after]), host, host, key, page, host, key, page];
    const rows = await this.#read(after === undefined ? this.#sql.scan : this.#sql.scanAfter, ...values);
    return rows.map((row) => [String(row['owner']), this.#parse(row['version'], row['value'])] as const);
  }

  #row(owner: string, key: string, value: T): readonly Value[] {
    return [this.#host, owner, key, this.#spec.version, JSON.stringify(value)];
  }

  #read(sql: string, ...values: readonly Value[]) {
    return this.#engine.read({ sql, values: [this.#host, ...values] });
  }

  /** Brings an old value up (MapStoreSpec.upgrade); one that is newer than this program is not touched. */
  #parse(version: Value | undefined, text: Value | undefined): T {
    const value: unknown = JSON.parse(String(text));
    if (version === this.#spec.version) return value as T;
    const from = Number(version);
    if (from > this.#spec.version) throw new StorageError('outdated', 'a newer version of Parlance has written this');
    return this.#spec.upgrade ? this.#spec.upgrade(value, from) : (value as T);
  }
}

/**
 * The values under one key. From each owner it is one step in the primary key to the next one, whatever lies between them, until
 * enough of them have had the key. It is a CROSS JOIN so that SQLite does not turn it round, and read all that the host has.
 */
function scanFrom(table: string, first: string): string {
  const next = (where: string) => `(SELECT owner FROM "${table}" WHERE ${where} ORDER BY owner LIMIT 1)`;
  const hasKey = `EXISTS (SELECT 1 FROM "${table}" WHERE host = ? AND owner = passed.owner AND key = ?)`;
  return (
    `WITH RECURSIVE passed (owner, found) AS (SELECT ${next(first)}, 0 UNION ALL ` +
    `SELECT ${next('host = ? AND owner > passed.owner')}, found + CASE WHEN ${hasKey} THEN 1 ELSE 0 END ` +
    `FROM passed WHERE owner IS NOT NULL AND found < CAST(? AS bigint)) ` +
    `SELECT kept.owner, kept.version, kept.value FROM passed CROSS JOIN "${table}" AS kept ` +
    `WHERE kept.host = ? AND kept.owner = passed.owner AND kept.key = ? ORDER BY kept.owner LIMIT ?`
  );
}

/** An ArchiveStore in one table, for one host. */
export class SqlArchiveStore implements ArchiveStore {
  readonly #engine: Engine;
  readonly #table: string;
  readonly #host: string;
  readonly #insert: string;

  constructor(engine: Engine, table: string, host: string) {
    this.#engine = engine;
    this.#table = table;
    this.#host = host;
    this.#insert = `INSERT INTO "${table}" (host, owner, id, "with", resource, tag, stanza) VALUES (?, ?, ?, ?, ?, ?, ?)`;
  }

  async append(owner: string, item: ArchiveItem): Promise<void> {
    const { id, with: other, resource = '', tag = 0, stanza } = item;
    if (timeOf(id) === undefined) throw new StorageError('refused', 'an item needs an id that tells its time');
    checkText(owner, 'an owner');
    checkText(other, 'an item');
    checkText(resource, 'an item');
    checkText(stanza, 'an item');
    await this.#engine.write([{ sql: this.#insert, values: [this.#host, owner, id, other, resource, tag, stanza] }]);
  }

  async query(owner: string, filter: ArchiveFilter): Promise<ArchivePage> {
    const max = filter.max ?? Number.MAX_SAFE_INTEGER - 1;
    if (max <= 0) return { items: [], complete: (await this.count(owner, { ...filter, max: 1 })) === 0 };
    const { sql: where, values } = this.#where(owner, filter);
    const order = filter.last ? 'DESC' : 'ASC';
    const sql = `SELECT id, "with", resource, tag, stanza FROM ${this.#from(filter)} WHERE ${where} ORDER BY id ${order} LIMIT ?`;
    // One more than asked for tells whether there is more.
    const rows = await this.#engine.read({ sql, values: [...values, max + 1] });
    const items = rows.slice(0, max).map(toItem);
    return { items: filter.last ? items.reverse() : items, complete: rows.length <= max };
  }

  /** As in ArchiveStore; `except` are not counted. */
  async count(owner: string, filter: ArchiveFilter, except: readonly string[] = []): Promise<number> {
    const where = this.#where(owner, filter);
    const others = except.length === 0 ? '' : ` AND NOT ${this.#engine.isIn('id')}`;
    const limited = filter.max === undefined ? '' : ' LIMIT ?';
    const sql = `SELECT count(*) AS n FROM (SELECT 1 FROM ${this.#from(filter)} WHERE ${where.sql}${others}${limited}) AS found`;
    const values = [...where.values, ...(except.length === 0 ? [] : [except])];
    const [row] = await this.#engine.read({
      sql,
      values: filter.max === undefined ? values : [...values, Math.max(0, filter.max)],
    });
    return Number(row?.['n'] ?? 0);
  }

  async remove(owner: string, filter: ArchiveFilter): Promise<number> {
    const { sql: where, values } = this.#where(owner, filter);
    const { max } = filter;
    const all = { sql: `DELETE FROM "${this.#table}" WHERE ${where}`, values };
    const some = () => ({
      sql: `DELETE FROM "${this.#table}" WHERE host = ? AND owner = ? AND id IN (SELECT id FROM "${this.#table}" WHERE ${where} ORDER BY id LIMIT ?)`,
      values: [this.#host, owner, ...values, Math.max(0, max ?? 0)],
    });
    const [changes] = await this.#engine.write([max === undefined ? all : some()]);
    return changes ?? 0;
  }

  async replace(owner: string, { id, tag, stanza }: Pick<Required<ArchiveItem>, 'id' | 'tag' | 'stanza'>): Promise<boolean> {
    for (const text of [owner, id, stanza]) checkText(text, 'an item');
    const sql = `UPDATE "${this.#table}" SET tag = ?, stanza = ? WHERE host = ? AND owner = ? AND id = ?`;
    const [changes] = await this.#engine.write([{ sql, values: [tag, stanza, this.#host, owner, id] }]);
    return changes === 1;
  }

  parties(owner: string, after?: string, max = 1000): Promise<readonly string[]> {
    checkText(owner, 'an owner');
    return this.#distinct({ column: '"with"', within: 'host = ? AND owner = ?', values: [this.#host, owner] }, after, max);
  }

  owners(after?: string, max = 1000): Promise<readonly string[]> {
    return this.#distinct({ column: 'owner', within: 'host = ?', values: [this.#host] }, after, max);
  }

  /** One look-up for each value: a DISTINCT would walk over all that is between them. */
  async #distinct(of: { column: string; within: string; values: readonly Value[] }, after: string | undefined, max: number) {
    const { column, within } = of;
    const next = (isFirst: boolean) =>
      `SELECT ${column} AS value FROM "${this.#table}" WHERE ${within}${isFirst ? '' : ` AND ${column} > ?`} ORDER BY ${column} LIMIT 1`;
    const found: string[] = [];
    if (after !== undefined) checkText(after, 'a bound');
    for (let last = after; found.length < max; ) {
      const values = last === undefined ? of.values : [...of.values, last];
      const [row] = await this.#engine.read({ sql: next(last === undefined), values });
      if (!row) break;
      found.push((last = String(row['value'])));
    }
    return found;
  }

  /** What concerns somebody is found in the index made for it: without figures of what is where, not every database would look there. */
  #from({ with: other, ids }: ArchiveFilter): string {
    const hint = other === undefined || ids !== undefined ? '' : this.#engine.useIndex(`${this.#table}_with`);
    return `"${this.#table}"${hint}`;
  }

  #where(owner: string, filter: ArchiveFilter): Statement {
    checkText(owner, 'an owner');
    const parts = ['host = ?', 'owner = ?'];
    const values: (Value | readonly string[])[] = [this.#host, owner];
    const add = (sql: string, value: Value | readonly string[] | undefined): void => {
      if (value === undefined) return;
      for (const text of typeof value === 'string' ? [value] : Array.isArray(value) ? value : []) checkText(text, 'a filter');
      parts.push(sql);
      values.push(value);
    };
    add('"with" = ?', filter.with);
    add('resource = ?', filter.resource);
    // The time is in the id, so that times are found in the same index, and no item between them is looked at.
    const { start, end, before, after } = filter;
    const from = start === undefined ? undefined : firstIdAt(start);
    const until = end === undefined ? undefined : firstIdAt(Math.floor(end) + 1);
    add('id >= ?', from);
    add('id > ?', after);
    add('id < ?', until === undefined || (before !== undefined && before < until) ? before : until);
    add(this.#engine.isIn('id'), filter.ids);
    if (filter.tag) {
      parts.push('(tag & ?) = ?');
      values.push(filter.tag.mask, filter.tag.value);
    }
    return { sql: parts.join(' AND '), values };
  }
}

/** An item as it is in its row. */
export function toItem(row: Row): Required<ArchiveItem> {
  return {
    id: String(row['id']),
    with: String(row['with']),
    resource: String(row['resource']),
    tag: Number(row['tag']),
    stanza: String(row['stanza']),
  };
}
