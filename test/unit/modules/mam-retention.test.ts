import assert from 'node:assert/strict';
import { purge, type RetentionParts } from '../../../modules/mam/retention.ts';
import { makeIdSource, timeOf } from '../../../src/ids.ts';
import { type Log, silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type ArchiveFilter, type ArchiveStore, archiveStore, type Storage, StorageError } from '../../../src/storage/storage.ts';

const NOW = Date.parse('2026-03-01T00:00:00Z');
const DAY = 86_400_000;

describe('mam: how long messages are kept (XEP-0313 section 3.2)', () => {
  let storage: Storage;
  let messages: ArchiveStore;

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    ({ messages } = await storage.open('example.org', 'mam', { messages: archiveStore() }));
  });
  afterEach(() => storage.close());

  /** Fills an archive with messages of these times, oldest first. */
  async function fill(owner: string, times: readonly number[]): Promise<void> {
    let now = 0;
    const next = makeIdSource(() => now);
    for (now of times) await messages.append(owner, { id: next(), with: 'romeo@example.net', stanza: '<message/>' });
  }
  const days = (...ago: readonly number[]) => ago.map((day) => NOW - day * DAY);
  const everyMinute = (count: number) => Array.from({ length: count }, (_, i) => NOW - (count - i) * 60_000);

  async function left(owner: string): Promise<readonly number[]> {
    return (await messages.query(owner, {})).items.map(({ id }) => (NOW - timeOf(id)!) / DAY);
  }
  const count = (owner: string) => messages.count(owner, {});

  const run = (changes: Partial<RetentionParts>) =>
    purge({
      messages,
      keepForOf: async () => 0,
      maxItems: 0,
      log: silent,
      stopping: new AbortController().signal,
      now: () => NOW,
      ...changes,
    });

  /** The archive, with something done around each removal. */
  function watched(onRemove: (filter: ArchiveFilter) => Promise<number>): ArchiveStore {
    return {
      append: (owner, item) => messages.append(owner, item),
      query: (owner, filter) => messages.query(owner, filter),
      count: (owner, filter) => messages.count(owner, filter),
      remove: (_owner, filter) => onRemove(filter),
      replace: (owner, item) => messages.replace(owner, item),
      parties: (owner, after, max) => messages.parties(owner, after, max),
      owners: (after, max) => messages.owners(after, max),
    };
  }

  it('is for ever, unless somebody says otherwise', async () => {
    await fill('juliet', days(20_000, 1));
    assert.equal(await run({}), 0);
    assert.deepEqual(await left('juliet'), [20_000, 1]);
  });

  it('is what holds for each account, to the millisecond', async () => {
    for (const owner of ['juliet', 'nurse', 'romeo']) await fill(owner, days(30, 10 + 1 / DAY, 10, 3, 0));
    const keepFor = new Map([
      ['juliet', 10 * DAY],
      ['romeo', 2 * DAY],
    ]);
    assert.equal(await run({ keepForOf: async (owner) => keepFor.get(owner) ?? 0 }), 6);
    assert.deepEqual(await left('juliet'), [10, 3, 0]);
    assert.deepEqual(await left('nurse'), [30, 10 + 1 / DAY, 10, 3, 0]);
    assert.deepEqual(await left('romeo'), [0]);
  });

  it('may end with nothing left, and then goes on to others', async () => {
    await fill('juliet', days(9, 8));
    await fill('romeo', days(9, 1));
    await run({ keepForOf: async () => 5 * DAY });
    assert.deepEqual(await messages.owners(), ['romeo']);
    assert.deepEqual(await left('romeo'), [1]);
  });

  it('is cut to so many messages for each account, the newest', async () => {
    await fill('juliet', days(5, 4, 3, 2, 1));
    await fill('romeo', days(2, 1));
    await fill('nurse', days(3, 2, 1));
    assert.equal(await run({ maxItems: 3 }), 2);
    assert.deepEqual(await left('juliet'), [3, 2, 1]);
    assert.deepEqual(await left('romeo'), [2, 1]);
    assert.deepEqual(await left('nurse'), [3, 2, 1]);
    await run({ maxItems: 1 });
    assert.deepEqual(await left('juliet'), [1]);
  });

  it('heeds both limits, whichever comes first', async () => {
    await fill('juliet', days(9, 8, 2, 1));
    await fill('romeo', days(4, 3, 2, 1));
    await run({ keepForOf: async () => 5 * DAY, maxItems: 3 });
    assert.deepEqual(await left('juliet'), [2, 1]);
    assert.deepEqual(await left('romeo'), [3, 2, 1]);
  });

  it('counts big archives in slices, however their times lie', async () => {
    // More than a slice within one millisecond cannot be split; the rest lies around it.
    const burst = Array.from({ length: 6000 }, () => NOW - DAY);
    await fill('juliet', [...days(9, 8), ...burst, ...everyMinute(500)]);
    let longest = 0;
    const store = watched((filter) => messages.remove('juliet', filter));
    store.count = async (owner, filter) => {
      const found = await messages.count(owner, filter);
      if (filter.start !== filter.end) longest = Math.max(longest, found);
      return found;
    };
    assert.equal(await run({ messages: store, maxItems: 6400 }), 102);
    assert.equal(await count('juliet'), 6400);
    assert.equal(longest, 5000);
  });

  it('removes in batches, each the oldest of what is left, and others have their turn between them', async () => {
    await fill('juliet', everyMinute(1234));
    const batches: number[] = [];
    let turns = 0;
    let isOver = false;
    const others = (): void => {
      turns++;
      if (!isOver) setImmediate(others);
    };
    const store = watched(async (filter) => {
      const first = (await messages.query('juliet', { max: 1 })).items[0]!.id;
      const removed = await messages.remove('juliet', filter);
      assert.equal(await messages.count('juliet', { ids: [first] }), 0);
      batches.push(removed, turns);
      return removed;
    });
    others();
    assert.equal(await run({ messages: store, maxItems: 100 }), 1134);
    isOver = true;
    const [first, before, second, between, third, after] = batches;
    assert.deepEqual([first, second, third, batches.length], [500, 500, 134, 6]);
    assert.ok(before! < between! && between! < after!);
  });

  it('writes nothing where there is nothing to remove', async () => {
    await fill('juliet', days(1));
    const store = watched(() => assert.fail('nothing is to be removed'));
    assert.equal(await run({ messages: store, keepForOf: async () => 2 * DAY, maxItems: 10 }), 0);
  });

  it('leaves what has come since it began counting', async () => {
    await fill('juliet', days(3, 2, 1));
    const store = watched(async (filter) => {
      await fill('juliet', [NOW + 1]);
      return messages.remove('juliet', filter);
    });
    await run({ messages: store, maxItems: 2 });
    assert.deepEqual(await left('juliet'), [2, 1, -1 / DAY]);
  });

  it('takes nothing from whoever gets the name of an account that is deleted meanwhile', async () => {
    await fill('juliet', days(3, 2, 1));
    const store = watched(async (filter) => {
      await storage.erase('example.org', 'juliet');
      await fill('juliet', [NOW]);
      return messages.remove('juliet', filter);
    });
    assert.equal(await run({ messages: store, maxItems: 1 }), 0);
    assert.deepEqual(await left('juliet'), [0]);
  });

  it('goes through more accounts than are looked up at once', async () => {
    const owners = Array.from({ length: 250 }, (_, i) => `user${String(i).padStart(3, '0')}`);
    for (const owner of owners) await fill(owner, days(9, 1));
    assert.equal(await run({ keepForOf: async () => 5 * DAY }), 250);
    assert.equal((await messages.owners()).length, 250);
  });

  it('stops between two batches when it has to, and the next run goes on', async () => {
    for (const owner of ['juliet', 'romeo']) await fill(owner, everyMinute(1100));
    const stop = new AbortController();
    const store = watched((filter) => {
      stop.abort();
      return messages.remove('juliet', filter);
    });
    assert.equal(await run({ messages: store, stopping: stop.signal, keepForOf: async () => 1 }), 500);
    assert.deepEqual([await count('juliet'), await count('romeo')], [600, 1100]);
    assert.equal(await run({ stopping: stop.signal, keepForOf: async () => 1 }), 0);
    assert.equal(await run({ keepForOf: async () => 1 }), 1700);
  });

  it('does not stop halfway through a count', async () => {
    await fill('juliet', days(3, 2, 1));
    const stop = new AbortController();
    const store = watched(() => assert.fail('nothing is to be removed'));
    store.count = async (owner, filter) => {
      stop.abort();
      return messages.count(owner, filter);
    };
    assert.equal(await run({ messages: store, stopping: stop.signal, maxItems: 1 }), 0);
  });

  it('passes on what the database fails with, and the next run begins anew', async () => {
    await fill('juliet', days(9));
    const store = watched(() => Promise.reject(new StorageError('full', 'the disk is full')));
    await assert.rejects(run({ messages: store, keepForOf: async () => DAY }), { name: 'StorageError' });
    assert.equal(await run({ keepForOf: async () => DAY }), 1);
  });

  it('says how far it is when it takes long, and nothing when there was nothing to do', async () => {
    const lines: unknown[] = [];
    const log: Log = { ...silent, info: (text, detail) => void lines.push([text, detail]) };
    await fill('juliet', days(1));
    await run({ log, keepForOf: async () => 5 * DAY });
    assert.deepEqual(lines, []);
    for (const owner of ['nurse', 'romeo']) await fill(owner, days(9));
    let now = NOW;
    const slowly = async () => {
      now += 6000;
      return 5 * DAY;
    };
    await run({ log, keepForOf: slowly, now: () => now });
    assert.deepEqual(lines, [
      ['removing old messages from archives', { removed: 1, accounts: 1 }],
      ['removed old messages from archives', { removed: 2, accounts: 3, seconds: 18 }],
    ]);
  });
});
