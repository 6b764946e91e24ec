import { timeOf } from '../ids.ts';
import type { Engine, Row, Statement, Value } from './engine.ts';
import { type ItemFilter, type ItemPage, type ItemStore, type ItemStoreSpec, type NodeItem, StorageError } from './storage.ts';
import { checkText } from './stores.ts';

const COLUMNS = ['id', 'at', '"by"', 'value'] as const;
type Column = (typeof COLUMNS)[number];

/**
 * The indexes besides the key (host, owner, node, id). Each has an expression in it that only its own queries use, since a database
 * that takes no hints goes by averages: where most nodes have one item, it would as soon look for an id by walking along all of the
 * node, or for the last item by sorting them all.
 */
export const ITEM_INDEXES = {
  at: "(host || ''), owner, node, at",
  id: "host, (owner || ''), id, node",
} as const;
const OF_OWNER = "host || '' = ? AND owner = ?";
const IN_NODE = `${OF_OWNER} AND node = ?`;
const WITH_ID = 'host = ? AND owner = ? AND node = ? AND id =';
const IN_ALL_NODES = "host = ? AND owner || '' = ? AND id = ?";

type ItemStatement = 'put' | 'trim' | 'pick' | 'latest' | 'find';

/** An ItemStore in one table, for one host. */
export class SqlItemStore implements ItemStore {
  readonly #engine: Engine;
  readonly #table: string;
  /** The table, to be looked at in the order of places. */
  readonly #byPlace: string;
  readonly #host: string;
  readonly #isFoundById: boolean;
  readonly #sql: Readonly<Record<ItemStatement, string>>;

  constructor(engine: Engine, table: string, host: string, { isFoundById = false }: Omit<ItemStoreSpec, 'kind'>) {
    this.#engine = engine;
    this.#table = `"${table}"`;
    this.#byPlace = this.#table + engine.useIndex(`${table}_at`);
    this.#host = host;
    this.#isFoundById = isFoundById;
    const columns = COLUMNS.join(', ');
    const byId = this.#table + engine.useIndex(`${table}_id`);
    const firstToKeep = `SELECT at FROM ${this.#byPlace} WHERE ${IN_NODE} ORDER BY at DESC LIMIT 1 OFFSET ?`;
    this.#sql = {
      put:
        `INSERT INTO "${table}" (host, owner, node, ${columns}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (host, owner, node, id) ` +
        'DO UPDATE SET at = excluded.at, "by" = excluded."by", value = excluded.value',
      trim: `DELETE FROM ${this.#byPlace} WHERE ${IN_NODE} AND at <= (${firstToKeep})`,
      pick: `DELETE FROM "${table}" WHERE ${WITH_ID} ?`,
      latest: latestFrom(this.#byPlace),
      find: `SELECT node, ${columns} FROM ${byId} WHERE ${IN_ALL_NODES}`,
    };
  }

  async put(owner: string, node: string, items: readonly NodeItem[], keep?: number): Promise<void> {
    const place = this.#place(owner, node);
    const statements: Statement[] = [];
    for (const { id, at, by, value } of items) {
      if (timeOf(at) === undefined) throw new StorageError('refused', 'an item needs a place that tells its time');
      for (const text of [id, by, value]) checkText(text, 'an item');
      statements.push({ sql: this.#sql.put, values: [...place, id, at, by, value] });
    }
    if (keep !== undefined) statements.push({ sql: this.#sql.trim, values: [...place, ...place, Math.max(0, keep)] });
    if (statements.length > 0) await this.#engine.write(statements);
  }

  async query(owner: string, node: string, filter: ItemFilter): Promise<ItemPage> {
    const { max, last } = filter;
    if (max !== undefined && max <= 0) {
      return { items: [], complete: (await this.count(owner, node, { ...filter, max: 1 })) === 0 };
    }
    // One more than asked for tells whether there is more.
    const rows = await this.#engine.read(this.#select(COLUMNS, this.#place(owner, node), filter, 1));
    const items = rows.slice(0, max).map(toNodeItem);
    return { items: last ? items.reverse() : items, complete: max === undefined || rows.length <= max };
  }

  async count(owner: string, node: string, filter: ItemFilter): Promise<number> {
    const { sql, values } = this.#select(['at'], this.#place(owner, node), filter);
    const [row] = await this.#engine.read({ sql: `SELECT count(*) AS n FROM (${sql}) AS found`, values });
    return Number(row?.['n'] ?? 0);
  }

  async remove(owner: string, node: string, filter: ItemFilter): Promise<number> {
    const statements = this.#delete(this.#place(owner, node), filter);
    const changes = statements.length === 0 ? [] : await this.#engine.write(statements);
    return changes.reduce((sum, each) => sum + each, 0);
  }

  async latest(owner: string): Promise<ReadonlyMap<string, NodeItem>> {
    checkText(owner, 'an owner');
    // Twice to step from node to node, and once for each column.
    const values = Array.from({ length: 2 + COLUMNS.length }, () => [this.#host, owner]).flat();
    return byNode(await this.#engine.read({ sql: this.#sql.latest, values }));
  }

  async find(owner: string, id: string): Promise<ReadonlyMap<string, NodeItem>> {
    if (!this.#isFoundById) throw new StorageError('refused', `${this.#table} was not declared with isFoundById`);
    checkText(owner, 'an owner');
    checkText(id, 'an item');
    return byNode(await this.#engine.read({ sql: this.#sql.find, values: [this.#host, owner, id] }));
  }

  #place(owner: string, node: string): readonly Value[] {
    checkText(owner, 'an owner');
    checkText(node, 'a node');
    return [this.#host, owner, node];
  }

  #delete(place: readonly Value[], filter: ItemFilter): readonly Statement[] {
    const { ids, max, last } = filter;
    const bounds = boundsOf(filter);
    if (max !== undefined) {
      const page = this.#select(['at'], place, filter);
      // Places of others lie between those of named ones, so that the ends of the page say enough only where nobody is named.
      const which = ids ? `IN (${page.sql})` : `${last ? '>= (SELECT min' : '<= (SELECT max'}(at) FROM (${page.sql}) AS page)`;
      const sql = `DELETE FROM ${this.#byPlace} WHERE ${IN_NODE}${bounds.sql} AND at ${which}`;
      return [{ sql, values: [...place, ...bounds.values, ...page.values] }];
    }
    const sql = ids ? this.#sql.pick : `DELETE FROM ${this.#byPlace} WHERE ${IN_NODE}`;
    const ofEach = ids ? distinct(ids).map((id) => [...place, id]) : [place];
    return ofEach.map((values) => ({ sql: sql + bounds.sql, values: [...values, ...bounds.values] }));
  }

  /** What matches, in the order of the filter, and `more` than it wants. */
  #select(columns: readonly Column[], place: readonly Value[], filter: ItemFilter, more = 0): Statement {
    const { ids, max, last } = filter;
    const bounds = boundsOf(filter);
    const from = ids
      ? this.#selectNamed(columns, place, ids)
      : { sql: `SELECT ${columns.join(', ')} FROM ${this.#byPlace} WHERE ${IN_NODE}`, values: place };
    const sql = `${from.sql}${bounds.sql} ORDER BY at ${last ? 'DESC' : 'ASC'}${max === undefined ? '' : ' LIMIT ?'}`;
    const values = [...from.values, ...bounds.values];
    return { sql, values: max === undefined ? values : [...values, Math.max(0, max) + more] };
  }

  /** One look-up for each id and column, as in latestFrom. */
  #selectNamed(columns: readonly Column[], place: readonly Value[], ids: readonly string[]): Statement {
    const lookUp = (column: Column) => `(SELECT ${column} FROM ${this.#table} WHERE ${WITH_ID} named.value) AS ${column}`;
    return {
      sql:
        `WITH found AS MATERIALIZED (SELECT ${columns.map(lookUp).join(', ')} FROM ${this.#engine.rowsOf('named')}) ` +
        `SELECT ${columns.join(', ')} FROM found WHERE at IS NOT NULL`,
      values: [...columns.flatMap(() => place), distinct(ids)],
    };
  }
}

function distinct(ids: readonly string[]): readonly string[] {
  for (const id of ids) checkText(id, 'a filter');
  return [...new Set(ids)];
}

function boundsOf({ after, before }: ItemFilter): { readonly sql: string; readonly values: readonly string[] } {
  const values: string[] = [];
  for (const bound of [after, before]) {
    if (bound === undefined) continue;
    checkText(bound, 'a filter');
    values.push(bound);
  }
  return { sql: `${after === undefined ? '' : ' AND at > ?'}${before === undefined ? '' : ' AND at < ?'}`, values };
}

/**
 * The last item of each node: one step to the next node, whatever lies between, and one to its end for each column. A join would
 * leave it to the database to read all that the owner has instead.
 */
function latestFrom(byPlace: string): string {
  const ofOwner = `FROM ${byPlace} WHERE ${OF_OWNER}`;
  const next = (behind: string) => `(SELECT node ${ofOwner}${behind} ORDER BY node LIMIT 1)`;
  const last = (column: string) => `(SELECT ${column} ${ofOwner} AND node = passed.node ORDER BY at DESC LIMIT 1) AS ${column}`;
  return (
    `WITH RECURSIVE passed (node) AS (SELECT ${next('')} UNION ALL ` +
    `SELECT ${next(' AND node > passed.node')} FROM passed WHERE node IS NOT NULL) ` +
    `SELECT node, ${COLUMNS.map(last).join(', ')} FROM passed WHERE node IS NOT NULL`
  );
}

function byNode(rows: readonly Row[]): ReadonlyMap<string, NodeItem> {
  return new Map(rows.map((row) => [String(row['node']), toNodeItem(row)]));
}

function toNodeItem(row: Row): NodeItem {
  return { id: String(row['id']), at: String(row['at']), by: String(row['by']), value: String(row['value']) };
}
