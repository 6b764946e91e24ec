import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silent } from '../../../src/log.ts';
import { Batches } from '../../../src/storage/batches.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { SqliteMemory } from '../../../src/storage/sqlite.ts';
import { SqliteConnection } from '../../../src/storage/sqlite-connection.ts';
import { mapStore, StorageError } from '../../../src/storage/storage.ts';
import { SqlMapStore } from '../../../src/storage/stores.ts';

const specs = { notes: mapStore<{ text: string }>() };

describe('SQLite', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-sqlite-'));
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  const file = () => join(folder, 'data', 'test.sqlite');

  it('lets nobody else read its file', async () => {
    const storage = await openStorage({ type: 'sqlite', file: file() }, silent);
    assert.equal((await stat(file())).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'data'))).mode & 0o777, 0o700);
    await storage.close();
  });

  it('says what is wrong when the file cannot be opened', async () => {
    await assert.rejects(openStorage({ type: 'sqlite', file: '/dev/null/x.sqlite' }, silent), { reason: 'unavailable' });
  });

  it('shares one commit among all who write in a turn', async () => {
    const storage = await openStorage({ type: 'sqlite', file: file() }, silent);
    const { notes } = await storage.open('h', 'contract', specs);
    const before = storage.stats.commits;
    await Promise.all(Array.from({ length: 1000 }, (_, i) => notes.update(`o${i}`, new Map([['a', { text: '' }]]))));
    assert.equal(storage.stats.commits - before, 1);
    await storage.close();
  });

  it('goes from owner to owner in a scan, and reads nothing of what lies between them', async () => {
    const engine = new SqliteMemory(silent);
    const columns = ['host', 'owner', 'key', 'version', 'value'];
    await engine.makeTable('t', columns, ['host', 'owner', 'key']);
    const read = engine.read.bind(engine);
    let plan: readonly string[] = [];
    engine.read = async ({ sql, values }) => {
      plan = (await read({ sql: `EXPLAIN QUERY PLAN ${sql}`, values })).map((row) => String(row['detail']));
      return [];
    };
    await new SqlMapStore(engine, 't', 'h', mapStore<number>()).scan('x', 'o');
    const used = plan.filter((step) => step.startsWith('SEARCH') || / t\b/.test(step)).map((step) => /\(.*\)/.exec(step)?.[0]);
    assert.deepEqual(used, [
      '(host=? AND owner>?)',
      '(host=? AND owner>?)',
      '(host=? AND owner=? AND key=?)',
      '(host=? AND owner=? AND key=?)',
    ]);
    await engine.close();
  });

  it('tells writers that there is no room, keeps serving readers, and heals when there is some', () => {
    const connection = new SqliteConnection(join(folder, 'full.sqlite'));
    connection.db.exec('CREATE TABLE t (x text)');
    const put = (size: number) => [{ sql: 'INSERT INTO t (x) VALUES (?)', values: ['x'.repeat(size)] }];
    connection.db.pragma('max_page_count = 10');
    const [small, big] = connection.commit([put(10), put(100_000)]);
    assert.deepEqual(
      [small, big].map((outcome) => 'code' in outcome! && outcome.code),
      ['SQLITE_FULL', 'SQLITE_FULL'],
    );
    assert.deepEqual(connection.prepare('SELECT count(*) AS n FROM t').all(), [{ n: 0 }]);
    connection.db.pragma('max_page_count = 1000');
    assert.deepEqual(connection.commit([put(10), put(100_000)]), [[1], [1]]);
    connection.db.close();
  });
});

describe('writes in batches', () => {
  const statement = (text: string) => [{ sql: '', values: [text] }];

  it('go one batch at a time, and what comes meanwhile makes the next', async () => {
    const sizes: number[] = [];
    let release: () => void = () => {};
    const batches = new Batches(async (batch) => {
      sizes.push(batch.length);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return batch.map(() => [1]);
    });
    const first = batches.write(statement('a'));
    await new Promise((resolve) => setImmediate(resolve));
    const rest = [batches.write(statement('b')), batches.write(statement('c'))];
    release();
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    release();
    await Promise.all(rest);
    assert.deepEqual(sizes, [1, 2]);
  });

  it('wait before they are queued when too much waits already', async () => {
    let release: () => void = () => {};
    let began = 0;
    const batches = new Batches(async (batch) => {
      began += batch.length;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return batch.map(() => [1]);
    });
    const megabyte = 'x'.repeat(1 << 20);
    const writes = Array.from({ length: 100 }, () => batches.write(statement(megabyte)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(began < 70, true);
    assert.equal(batches.counters.queuedBytes < 70 << 20, true);
    const all = Promise.all(writes);
    let isDone = false;
    void all.then(() => {
      isDone = true;
    });
    while (!isDone) {
      release();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(began, 100);
  });

  it('fail alone, or together when the disk is gone, and go on after', async () => {
    let isGone = true;
    const batches = new Batches(async (batch) => batch.map(() => (isGone ? new StorageError('full', 'no room') : [1])));
    const results = await Promise.allSettled([batches.write(statement('a')), batches.write(statement('b'))]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    isGone = false;
    await batches.write(statement('c'));
    assert.deepEqual([batches.counters.failures, batches.counters.writes, batches.counters.queued], [2, 1, 0]);
  });
});
