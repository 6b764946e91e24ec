import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sortableId } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import type { Engine, Row, Statement } from '../../../src/storage/engine.ts';
import { SqlItemStore } from '../../../src/storage/item-store.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { SqliteFile } from '../../../src/storage/sqlite.ts';
import { itemStore } from '../../../src/storage/storage.ts';

/** Asks how it would be done, and does nothing. */
function explaining(engine: Engine, plan: string[]): Engine {
  const explain = async ({ sql, values }: Statement): Promise<readonly Row[]> => {
    const rows = await engine.read({ sql: `EXPLAIN QUERY PLAN ${sql}`, values });
    plan.push(...rows.map((row) => String(row['detail'])));
    return [];
  };
  const read = explain;
  const write = async (statements: readonly Statement[]) => {
    for (const statement of statements) await explain(statement);
    return [];
  };
  return Object.assign(Object.create(engine) as Engine, {
    read,
    write,
    useIndex: (name: string) => engine.useIndex(name),
    rowsOf: (name: string) => engine.rowsOf(name),
  });
}

describe('the items of nodes in SQLite', () => {
  let folder: string;
  let engine: Engine;
  const plan: string[] = [];
  let store: SqlItemStore;
  const spec = itemStore({ isFoundById: true });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-items-'));
    const file = join(folder, 'test.sqlite');
    const storage = await openStorage({ type: 'sqlite', file }, silent);
    await storage.open('h', 'm', { t: spec });
    await storage.close();
    engine = new SqliteFile(file, silent);
    store = new SqlItemStore(explaining(engine, plan), 'm_t', 'h', spec);
  });

  beforeEach(() => {
    plan.length = 0;
  });

  after(async () => {
    await engine.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The steps that look at items, in order, each with its index and by what it looks there; nothing else may be sorted or read. */
  const steps = (isNamed = false): readonly string[] => {
    const sorts = plan.filter((step) => step.includes('TEMP B-TREE'));
    if (!isNamed) assert.deepEqual(sorts, []);
    const scans = plan.filter((step) => step.startsWith('SCAN m_t'));
    assert.deepEqual(scans, []);
    return plan
      .filter((step) => step.startsWith('SEARCH m_t'))
      .map((step) => step.replace(/.*(m_t_\w+|PRIMARY KEY) (?<by>\(.*\))/, '$1 $<by>'));
  };
  // The expression is what only this index has.
  const inNode = '<expr>=? AND owner=? AND node=?';
  const withId = 'PRIMARY KEY (host=? AND owner=? AND node=? AND id=?)';

  it('takes a page from the places, wherever it is', async () => {
    await store.query('o', 'n', { max: 50 });
    assert.deepEqual(steps(), [`m_t_at (${inNode})`]);
    plan.length = 0;
    await store.query('o', 'n', { max: 50, after: 'a', before: 'b', last: true });
    assert.deepEqual(steps(), [`m_t_at (${inNode} AND at>? AND at<?)`]);
    plan.length = 0;
    await store.count('o', 'n', { after: 'a' });
    assert.deepEqual(steps(), [`m_t_at (${inNode} AND at>?)`]);
  });

  it('looks up the named ones, and only them', async () => {
    await store.query('o', 'n', { ids: ['a', 'b'], after: 'a', max: 5 });
    assert.deepEqual(steps(true), [withId, withId, withId, withId]);
    plan.length = 0;
    await store.count('o', 'n', { ids: ['a', 'b'] });
    assert.deepEqual(steps(true), [withId]);
    plan.length = 0;
    await store.remove('o', 'n', { ids: ['a', 'b', 'a'] });
    assert.deepEqual(steps(), [withId, withId]);
  });

  it('finds what to remove by the places of what is kept', async () => {
    await store.put('o', 'n', [{ id: 'a', at: sortableId(), by: '', value: '' }], 10);
    assert.deepEqual(steps(), [`m_t_at (${inNode} AND at<?)`, `m_t_at (${inNode})`]);
    plan.length = 0;
    await store.remove('o', 'n', { max: 5, last: true });
    assert.deepEqual(steps(), [`m_t_at (${inNode} AND at>?)`, `m_t_at (${inNode})`]);
    plan.length = 0;
    await store.remove('o', 'n', { max: 5, ids: ['a', 'b'] });
    assert.deepEqual(steps(true), [`m_t_at (${inNode} AND at=?)`, withId]);
  });

  it('steps from node to node, and to the end of each', async () => {
    await store.latest('o');
    const ends = Array.from({ length: 4 }, () => `m_t_at (${inNode})`);
    assert.deepEqual(steps(), ['m_t_at (<expr>=? AND owner=?)', 'm_t_at (<expr>=? AND owner=? AND node>?)', ...ends]);
  });

  it('finds an id in all nodes of an owner', async () => {
    await store.find('o', 'a');
    assert.deepEqual(steps(), ['m_t_id (host=? AND <expr>=? AND id=?)']);
  });
});
