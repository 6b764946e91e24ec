import assert from 'node:assert/strict';
import { firstIdAt, sortableId, timeOf } from '../../src/ids.ts';
import { silent } from '../../src/log.ts';
import { openStorage } from '../../src/storage/open.ts';
import { type ArchiveFilter, type ArchiveItem, mapStore, type Storage, StorageError } from '../../src/storage/storage.ts';
import { ENGINES, Subject, specs } from './storage-subject.ts';

// What every database promises. PostgreSQL takes part where PARLANCE_TEST_POSTGRES names one.

const AWKWARD = [
  '',
  ' ',
  "'; DROP TABLE x; --",
  '"',
  '%_\\',
  '__proto__',
  'constructor',
  'ü',
  '🙂',
  '\u{10ffff}',
  'a\nb',
  '?',
  '$1',
  'x'.repeat(3000),
];
/** The id of the n-th item, made at this time. */
const idOf = (n: number): string => firstIdAt(n * 10);
const item = (n: number, other = 'a@b'): ArchiveItem => ({ id: idOf(n), with: other, stanza: `<m n='${n}'/>` });

for (const engine of ENGINES) {
  describe(`storage on ${engine.name} (contract)`, () => {
    const about = Subject.inSuite(engine);

    describe('a map', () => describeMap(about));
    describe('an archive', () => describeArchive(about));
    describe('the whole', () => describeWhole(about));
    if (engine.isKept) describe('opened again', () => describeReopened(about));
  });
}

function describeMap(about: Subject): void {
  it('keeps values by owner and key', async () => {
    const { notes } = await about.open();
    assert.equal(await notes.get('juliet', 'a'), undefined);
    await notes.update('juliet', new Map([['a', { text: 'one' }]]));
    await notes.update('romeo', new Map([['a', { text: 'two' }]]));
    assert.deepEqual(await notes.get('juliet', 'a'), { text: 'one' });
    assert.deepEqual(await notes.get('romeo', 'a'), { text: 'two' });
    await notes.update('juliet', new Map([['a', { text: 'three' }]]));
    assert.deepEqual(await notes.get('juliet', 'a'), { text: 'three' });
  });

  it('does not mix hosts', async () => {
    const { notes } = await about.open();
    await notes.update('juliet', new Map([['a', { text: 'one' }]]));
    const other = await about.storage.open('other.example', 'contract', specs);
    assert.equal(await other.notes.get('juliet', 'a'), undefined);
  });

  it('gives the entries of an owner in the order of their keys, which is that of their bytes', async () => {
    const { notes } = await about.open();
    const keys = ['b', 'a', 'B', 'ä', 'Z', 'a1', '🙂', '\uffdd', '_'];
    await notes.update('juliet', new Map(keys.map((key) => [key, { text: key }])));
    const sorted = [...keys].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    assert.deepEqual([...(await notes.entries('juliet')).keys()], sorted);
    assert.equal((await notes.entries('nobody')).size, 0);
  });

  it('deletes what is set to undefined, and everything when cleared', async () => {
    const { notes } = await about.open();
    await notes.update(
      'juliet',
      new Map([
        ['a', { text: '1' }],
        ['b', { text: '2' }],
        ['c', { text: '3' }],
      ]),
    );
    await notes.update(
      'juliet',
      new Map([
        ['a', undefined],
        ['b', { text: '4' }],
        ['nothing', undefined],
      ]),
    );
    assert.deepEqual(
      [...(await notes.entries('juliet'))],
      [
        ['b', { text: '4' }],
        ['c', { text: '3' }],
      ],
    );
    await notes.clear('juliet');
    assert.equal((await notes.entries('juliet')).size, 0);
    await notes.update('juliet', new Map());
  });

  it('keeps awkward names and values as they are', async () => {
    const { notes } = await about.open();
    for (const name of AWKWARD) {
      await notes.update(`o${name}`, new Map([[name, { text: `${name}\0\ud800` }]]));
      assert.deepEqual(await notes.get(`o${name}`, name), { text: `${name}\0\ud800` });
      assert.deepEqual([...(await notes.entries(`o${name}`)).keys()], [name]);
    }
  });

  it('refuses names that no database keeps, and goes on', async () => {
    const { notes } = await about.open();
    for (const name of ['a\0b', '\ud800', 'x\udc00']) {
      await assert.rejects(notes.update('juliet', new Map([[name, { text: '' }]])), StorageError);
      await assert.rejects(notes.get(name, 'a'), StorageError);
    }
    await notes.update('juliet', new Map([['fine', { text: '' }]]));
  });

  it('keeps a megabyte', async () => {
    const { notes } = await about.open();
    const text = 'é'.repeat(1 << 20);
    await notes.update('juliet', new Map([['big', { text }]]));
    assert.equal((await notes.get('juliet', 'big'))!.text === text, true);
  });

  it('lists owners, a page at a time', async () => {
    const { notes } = await about.open();
    for (const owner of ['c', 'a', '', 'b', 'd'])
      await notes.update(
        owner,
        new Map([
          ['x', { text: '' }],
          ['y', { text: '' }],
        ]),
      );
    assert.deepEqual(await notes.owners(), ['', 'a', 'b', 'c', 'd']);
    assert.deepEqual(await notes.owners('', 1), ['a']);
    assert.deepEqual(await notes.owners('a', 2), ['b', 'c']);
    assert.deepEqual(await notes.owners('d'), []);
  });

  it('gives what all owners have under a key, a page at a time', async () => {
    const { notes } = await about.open();
    const other = await about.storage.open('other.example', 'contract', specs);
    await other.notes.update('b', new Map([['x', { text: 'elsewhere' }]]));
    for (const owner of ['c', 'a', '', 'b', 'd', '🙂', '\uffdd']) {
      const keys = owner === 'b' ? ['a', 'z'] : ['a', 'x', 'z'];
      await notes.update(owner, new Map(keys.map((key) => [key, { text: `${owner}/${key}` }])));
    }
    const scan = async (...of: Parameters<typeof notes.scan>) =>
      (await notes.scan(...of)).map(([owner, { text }]) => [owner, text]);
    const having = ['', 'a', 'c', 'd', '\uffdd', '🙂'].map((owner) => [owner, `${owner}/x`]);
    assert.deepEqual(await scan('x'), having);
    assert.deepEqual(await scan('x', undefined, 2), having.slice(0, 2));
    assert.deepEqual(await scan('x', '', 2), having.slice(1, 3));
    assert.deepEqual(await scan('x', 'a', 2), having.slice(2, 4));
    assert.deepEqual(await scan('x', 'b', 1), having.slice(2, 3));
    assert.deepEqual(await scan('x', 'bb', Number.MAX_SAFE_INTEGER), having.slice(2));
    assert.deepEqual(await scan('x', '🙂'), []);
    assert.deepEqual(await scan('x', undefined, 0), []);
    assert.deepEqual(await scan('x', undefined, -1), []);
    assert.deepEqual(await scan('nothing'), []);
    assert.deepEqual(await scan('a', 'a', 1), [['b', 'b/a']]);
    await notes.update('a', new Map([['x', undefined]]));
    await notes.clear('c');
    assert.deepEqual(await scan('x', undefined, 2), [having[0], having[3]]);
  });

  it('scans for awkward keys behind awkward owners, and refuses what no database keeps', async () => {
    const { notes } = await about.open();
    for (const name of AWKWARD) await notes.update(`o${name}`, new Map([[name, { text: name }]]));
    for (const name of AWKWARD) {
      assert.deepEqual(await notes.scan(name), [[`o${name}`, { text: name }]]);
      assert.deepEqual(await notes.scan(name, `o${name}`), []);
    }
    for (const name of ['a\0b', '\ud800', 'x\udc00']) {
      await assert.rejects(notes.scan(name), StorageError);
      await assert.rejects(notes.scan('a', name), StorageError);
    }
  });

  it('scans a thousand owners where nothing is said of a page, and sees what is written', async () => {
    const { notes } = await about.open();
    const owners = Array.from({ length: 1001 }, (_, i) => `o${String(i).padStart(4, '0')}`);
    await Promise.all(owners.map((owner) => notes.update(owner, new Map([['x', { text: owner }]]))));
    const first = await notes.scan('x');
    assert.deepEqual(
      first.map(([owner]) => owner),
      owners.slice(0, 1000),
    );
    assert.deepEqual(await notes.scan('x', first.at(-1)![0]), [['o1000', { text: 'o1000' }]]);
  });

  it('brings old values up when they are read', async () => {
    const { notes } = await about.open();
    await notes.update('juliet', new Map([['a', { text: 'old' }]]));
    const upgrade = (value: unknown, from: number) => ({ words: [`${(value as { text: string }).text} ${from}`] });
    const newer = await about.storage.open(about.host, 'contract', {
      notes: mapStore<{ words: string[] }>({ version: 2, upgrade }),
    });
    assert.deepEqual(await newer.notes.get('juliet', 'a'), { words: ['old 1'] });
    assert.deepEqual(await newer.notes.scan('a'), [['juliet', { words: ['old 1'] }]]);
    await newer.notes.update('juliet', new Map([['b', { words: ['new'] }]]));
    await assert.rejects(notes.get('juliet', 'b'), { reason: 'outdated' });
    await assert.rejects(notes.scan('b'), { reason: 'outdated' });
  });

  it('takes many writes at once, each in its turn', async () => {
    const { notes } = await about.open();
    await Promise.all(
      Array.from({ length: 500 }, (_, i) => notes.update('juliet', new Map([[`k${i % 50}`, { text: String(i) }]]))),
    );
    const entries = await notes.entries('juliet');
    assert.equal(entries.size, 50);
    for (let i = 0; i < 50; i++) assert.equal(entries.get(`k${i}`)!.text, String(450 + i));
  });
}

function describeArchive(about: Subject): void {
  it('gives pages in ascending order, from either end', async () => {
    const { log } = await about.open();
    for (let n = 1; n <= 5; n++) await log.append('juliet', item(n));
    const ids = async (filter: Parameters<typeof log.query>[1]) => {
      const page = await log.query('juliet', filter);
      return [page.items.map(({ id }) => timeOf(id)! / 10), page.complete] as const;
    };
    assert.deepEqual(await ids({}), [[1, 2, 3, 4, 5], true]);
    assert.deepEqual(await ids({ max: 2 }), [[1, 2], false]);
    assert.deepEqual(await ids({ max: 5 }), [[1, 2, 3, 4, 5], true]);
    assert.deepEqual(await ids({ max: 2, last: true }), [[4, 5], false]);
    assert.deepEqual(await ids({ max: 2, after: idOf(2) }), [[3, 4], false]);
    assert.deepEqual(await ids({ max: 3, after: idOf(2) }), [[3, 4, 5], true]);
    assert.deepEqual(await ids({ max: 2, before: idOf(4), last: true }), [[2, 3], false]);
    assert.deepEqual(await ids({ after: idOf(1), before: idOf(4) }), [[2, 3], true]);
    assert.deepEqual(await ids({ start: 20, end: 40 }), [[2, 3, 4], true]);
    assert.deepEqual(await ids({ ids: [idOf(5), idOf(1), 'nothing'] }), [[1, 5], true]);
    assert.deepEqual(await ids({ ids: [] }), [[], true]);
    assert.deepEqual(await ids({ max: 0 }), [[], false]);
    assert.deepEqual((await log.query('nobody', {})).items, []);
  });

  it('gives back what was put in', async () => {
    const { log } = await about.open();
    const written = { id: sortableId(), with: 'ü@b', resource: 'é/🙂', tag: 2 ** 31 - 1, stanza: '<m>é 🙂 \' " \\</m>' };
    await log.append('juliet', written);
    assert.deepEqual((await log.query('juliet', {})).items, [written]);
  });

  it('finds what concerns somebody', async () => {
    const { log } = await about.open();
    for (let n = 1; n <= 6; n++) await log.append('juliet', item(n, n % 2 ? 'odd@b' : 'even@b'));
    const page = await log.query('juliet', { with: 'odd@b', max: 2, last: true });
    assert.deepEqual(
      page.items.map(({ id }) => timeOf(id)),
      [30, 50],
    );
    assert.equal(page.complete, false);
    assert.equal(await log.count('juliet', { with: 'even@b' }), 3);
    assert.equal(await log.count('juliet', {}), 6);
  });

  it('finds by resource, tag and time, alone and together', async () => {
    const { log } = await about.open();
    for (let n = 1; n <= 8; n++) await log.append('juliet', { ...item(n), resource: n % 2 ? 'odd' : '', tag: n });
    const found = async (filter: ArchiveFilter) => (await log.query('juliet', filter)).items.map(({ id }) => timeOf(id)! / 10);
    assert.deepEqual(await found({ resource: 'odd' }), [1, 3, 5, 7]);
    assert.deepEqual(await found({ resource: '' }), [2, 4, 6, 8]);
    assert.deepEqual(await found({ tag: { mask: 6, value: 2 } }), [2, 3]);
    assert.deepEqual(await found({ tag: { mask: 4, value: 4 }, resource: 'odd', with: 'a@b' }), [5, 7]);
    assert.deepEqual(await found({ start: 21, end: 59 }), [3, 4, 5]);
    assert.deepEqual(await found({ start: 20, end: 60, after: idOf(2), before: idOf(5) }), [3, 4]);
    assert.deepEqual(await found({ start: 60, end: 20 }), []);
    assert.deepEqual(await found({ start: -1, end: 2 ** 50 }), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(await log.count('juliet', { max: 3 }), 3);
    assert.equal(await log.count('juliet', { max: 30, end: 40 }), 4);
  });

  it('replaces what is there and nothing else', async () => {
    const { log } = await about.open();
    await log.append('juliet', item(1));
    assert.equal(await log.replace('juliet', { id: idOf(1), tag: 5, stanza: '<gone/>' }), true);
    assert.equal(await log.replace('juliet', { id: idOf(2), tag: 5, stanza: '<gone/>' }), false);
    assert.equal(await log.replace('romeo', { id: idOf(1), tag: 5, stanza: '<gone/>' }), false);
    assert.deepEqual((await log.query('juliet', {})).items, [
      { id: idOf(1), with: 'a@b', resource: '', tag: 5, stanza: '<gone/>' },
    ]);
  });

  it('names the owners, and whom their items concern', async () => {
    const { log } = await about.open();
    for (const owner of ['c', 'a', 'b']) for (let n = 1; n <= 4; n++) await log.append(owner, item(n, `${n % 3}@${owner}`));
    assert.deepEqual(await log.owners(), ['a', 'b', 'c']);
    assert.deepEqual(await log.owners('a', 1), ['b']);
    assert.deepEqual(await log.owners('c'), []);
    assert.deepEqual(await log.parties('a'), ['0@a', '1@a', '2@a']);
    assert.deepEqual(await log.parties('a', '0@a', 1), ['1@a']);
    assert.deepEqual(await log.parties('nobody'), []);
  });

  it('refuses an id that does not tell its time', async () => {
    const { log } = await about.open();
    for (const id of ['', 'x', 'id00001', '123e4567-e89b-42d3-a456-426614174000'])
      await assert.rejects(log.append('juliet', { ...item(1), id }), { reason: 'refused' });
  });

  it('removes the first so many', async () => {
    const { log } = await about.open();
    for (let n = 1; n <= 5; n++) await log.append('juliet', item(n));
    assert.equal(await log.remove('juliet', { end: 40, max: 3 }), 3);
    assert.equal(await log.remove('juliet', { end: 40, max: 3 }), 1);
    assert.equal(await log.remove('juliet', { max: 0 }), 0);
    assert.deepEqual(
      (await log.query('juliet', {})).items.map(({ id }) => timeOf(id)),
      [50],
    );
  });

  it('removes what matches, and says how much it was', async () => {
    const { log } = await about.open();
    for (let n = 1; n <= 4; n++) await log.append('juliet', item(n));
    assert.equal(await log.remove('juliet', { ids: [idOf(2), idOf(9)] }), 1);
    assert.equal(await log.remove('juliet', { end: 30 }), 2);
    assert.equal(await log.count('juliet', {}), 1);
    assert.equal(await log.remove('juliet', {}), 1);
  });

  it('refuses the same id twice, and harms nobody who writes at the same time', async () => {
    const { log } = await about.open();
    await log.append('juliet', item(1));
    const results = await Promise.allSettled([
      log.append('juliet', item(2)),
      log.append('juliet', item(1)),
      log.append('juliet', item(3)),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal((results[1] as PromiseRejectedResult).reason.reason, 'refused');
    assert.equal(await log.count('juliet', {}), 3);
  });
}

function describeWhole(about: Subject): void {
  it('erases an owner from every store of a host', async () => {
    const { notes, log } = await about.open();
    const second = await about.storage.open(about.host, 'contract_two', { more: mapStore<number>() });
    for (const owner of ['juliet', 'romeo']) {
      await notes.update(owner, new Map([['a', { text: '' }]]));
      await log.append(owner, item(1));
      await second.more.update(owner, new Map([['n', 1]]));
    }
    await about.storage.erase(about.host, 'juliet');
    assert.deepEqual(
      [(await notes.entries('juliet')).size, await log.count('juliet', {}), (await second.more.entries('juliet')).size],
      [0, 0, 0],
    );
    assert.deepEqual(
      [(await notes.entries('romeo')).size, await log.count('romeo', {}), (await second.more.entries('romeo')).size],
      [1, 1, 1],
    );
  });

  it('applies migrations once and in order, and begins an interrupted one anew', async () => {
    const module = `m${sortableId().replaceAll('-', '')}`;
    const ran: string[] = [];
    const one = { id: '1', up: async () => void ran.push('1') };
    let fails = true;
    const two = {
      id: '2',
      up: async (sql: Storage['sql']) => {
        ran.push('2');
        await sql.schema.createTable(module, (table) => void table.text('x'));
        if (fails) throw new Error('the power is gone');
      },
    };
    await about.storage.migrate(module, [one]);
    await about.storage.migrate(module, [one]);
    assert.deepEqual(ran, ['1']);
    await assert.rejects(about.storage.migrate(module, [one, two]));
    assert.equal(await about.storage.sql.schema.hasTable(module), false);
    fails = false;
    await about.storage.migrate(module, [one, two]);
    assert.deepEqual(ran, ['1', '2', '2']);
    assert.equal(await about.storage.sql.schema.hasTable(module), true);
    await about.storage.sql.schema.dropTable(module);
    await assert.rejects(about.storage.migrate(module, [one]), { reason: 'outdated' });
  });

  it('refuses a store whose name is no name', async () => {
    await assert.rejects(about.storage.open(about.host, 'x"; --', { a: mapStore() }), StorageError);
  });

  it('answers a ping, and counts what it does', async () => {
    const { writes, reads } = about.storage.stats;
    const { notes } = await about.open();
    await notes.update('juliet', new Map([['a', { text: '' }]]));
    await notes.get('juliet', 'a');
    await about.storage.ping();
    assert.equal(about.storage.stats.writes > writes, true);
    assert.equal(about.storage.stats.reads > reads, true);
    assert.deepEqual([about.storage.stats.queued, about.storage.stats.queuedBytes], [0, 0]);
  });
  it('takes nothing more once it is closed, and finishes what it has taken', async () => {
    const own = await openStorage(about.engine.config(about.folder), silent);
    const { notes } = await about.open(own);
    const write = notes.update('juliet', new Map([['a', { text: 'last' }]]));
    await own.close();
    await write;
    await assert.rejects(notes.update('juliet', new Map([['b', { text: '' }]])));
    await assert.rejects(notes.get('juliet', 'a'));
  });
}

function describeReopened(about: Subject): void {
  it('finds everything again when it is opened anew', async () => {
    const first = await openStorage(about.engine.config(about.folder), silent);
    const stores = await about.open(first);
    await stores.notes.update('juliet', new Map([['a', { text: 'kept' }]]));
    await stores.log.append('juliet', item(7));
    await first.close();
    const second = await openStorage(about.engine.config(about.folder), silent);
    const again = await about.open(second);
    assert.deepEqual(await again.notes.get('juliet', 'a'), { text: 'kept' });
    assert.equal(await again.log.count('juliet', {}), 1);
    await second.close();
  });

  it('refuses a database of a newer version', async () => {
    await about.storage.sql('parlance_migrations').insert({ module: 'parlance', id: '999', applied: 0 });
    await assert.rejects(openStorage(about.engine.config(about.folder), silent), { reason: 'outdated' });
    await about.storage.sql('parlance_migrations').where({ id: '999' }).delete();
  });
}
