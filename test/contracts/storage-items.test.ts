import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { firstIdAt, sortableId, timeOf } from '../../src/ids.ts';
import { silent } from '../../src/log.ts';
import { openStorage } from '../../src/storage/open.ts';
import { type ItemFilter, itemStore, type NodeItem } from '../../src/storage/storage.ts';
import { ENGINES, Subject } from './storage-subject.ts';

// What every database promises of ItemStore; the rest of the contract is in storage.test.ts.

const ODD = [
  '',
  ' ',
  "'; DROP TABLE x; --",
  '"',
  '%_\\',
  '__proto__',
  'ü',
  'u\u0308',
  '🙂',
  '\u{10ffff}',
  '\uffdd',
  'a\nb',
  '?',
  '$1',
  'null',
  'A',
  'a',
  'a ',
];
const UNKEPT = ['a\0b', '\ud800', 'x\udc00'];

const placeOf = (n: number): string => firstIdAt(n * 10);
const item = (n: number, id = `i${n}`): NodeItem => ({ id, at: placeOf(n), by: 'romeo@b', value: `<e n='${n}'/>` });
const items = (count: number): readonly NodeItem[] => Array.from({ length: count }, (_, i) => item(i + 1));

for (const engine of ENGINES) {
  describe(`items of nodes on ${engine.name} (contract)`, () => {
    const about = Subject.inSuite(engine);

    describe('one node', () => describeNode(about));
    describe('pages', () => describePages(about));
    describe('names', () => describeNames(about));
    describe('all nodes of an owner', () => describeOwner(about));
    describe('many at once', () => describeMany(about));
    if (engine.isKept) it('is found again when it is opened anew', () => reopen(about));
  });
}

/** Numbers of the items that match, as they come. */
async function numbers(about: Subject, filter: ItemFilter = {}, node = 'n'): Promise<readonly [readonly number[], boolean]> {
  const { nodes } = await about.open();
  const page = await nodes.query('juliet', node, filter);
  return [page.items.map(({ at }) => timeOf(at)! / 10), page.complete];
}

function describeNode(about: Subject): void {
  it('gives back what was put in', async () => {
    const { nodes } = await about.open();
    const written = { id: 'é 🙂', at: sortableId(), by: 'ü@b/🙂', value: '<m>é 🙂 \' " \\</m>' };
    await nodes.put('juliet', 'n', [written]);
    assert.deepEqual(await nodes.query('juliet', 'n', {}), { items: [written], complete: true });
    assert.deepEqual(await nodes.query('juliet', 'other', {}), { items: [], complete: true });
    assert.deepEqual(await nodes.query('romeo', 'n', {}), { items: [], complete: true });
    const elsewhere = await about.storage.open('other.example', 'contract', { nodes: itemStore({ isFoundById: true }) });
    assert.equal(await elsewhere.nodes.count('juliet', 'n', {}), 0);
  });

  it('puts an item instead of the one with its id, at its new place', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', items(3));
    const again = { ...item(4, 'i1'), by: 'nurse@b', value: '<new/>' };
    await nodes.put('juliet', 'n', [again]);
    assert.deepEqual(await numbers(about), [[2, 3, 4], true]);
    assert.deepEqual((await nodes.query('juliet', 'n', { ids: ['i1'] })).items, [again]);
    // The same place is as good as another.
    await nodes.put('juliet', 'n', [{ ...again, value: '<newer/>' }]);
    assert.equal((await nodes.query('juliet', 'n', { ids: ['i1'] })).items[0]!.value, '<newer/>');
  });

  it('takes the last of those with the same id in one go', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', [item(1, 'x'), item(2, 'y'), item(3, 'x')]);
    assert.deepEqual(await numbers(about), [[2, 3], true]);
  });

  it('keeps the last so many where that is asked', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', items(5), 3);
    assert.deepEqual(await numbers(about), [[3, 4, 5], true]);
    await nodes.put('juliet', 'other', items(5));
    await nodes.put('juliet', 'n', [item(6)], 3);
    assert.deepEqual(await numbers(about), [[4, 5, 6], true]);
    // One that is replaced makes no more of them.
    await nodes.put('juliet', 'n', [item(7, 'i4')], 3);
    assert.deepEqual(await numbers(about), [[5, 6, 7], true]);
    await nodes.put('juliet', 'n', [item(8)], Number.MAX_SAFE_INTEGER);
    assert.deepEqual(await numbers(about), [[5, 6, 7, 8], true]);
    await nodes.put('juliet', 'n', [], 2);
    assert.deepEqual(await numbers(about), [[7, 8], true]);
    await nodes.put('juliet', 'n', []);
    await nodes.put('juliet', 'n', [item(9)], 0);
    assert.deepEqual(await numbers(about), [[], true]);
    assert.equal(await nodes.count('juliet', 'other', {}), 5);
  });

  it('puts all of them or none', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', [item(1)]);
    // The place of the second is taken.
    await assert.rejects(nodes.put('juliet', 'n', [item(2), item(1, 'other')], 1), { reason: 'refused' });
    await assert.rejects(nodes.put('juliet', 'n', [item(2), { ...item(3), value: '\0' }]), { reason: 'refused' });
    assert.deepEqual(await numbers(about), [[1], true]);
    // What somebody else has in another node is in nobody's way.
    await Promise.all([nodes.put('juliet', 'm', [item(1)]), nodes.put('romeo', 'n', [item(1)])]);
  });

  it('refuses a place that does not tell its time', async () => {
    const { nodes } = await about.open();
    for (const at of ['', 'x', '2020-01-01T00:00:00Z', '123e4567-e89b-42d3-a456-426614174000'])
      await assert.rejects(nodes.put('juliet', 'n', [{ ...item(1), at }]), { reason: 'refused' });
  });
}

function describePages(about: Subject): void {
  it('are in ascending order, from either end', async () => {
    const { nodes } = await about.open();
    await nodes.put(
      'juliet',
      'n',
      [3, 1, 5, 2, 4].map((n) => item(n)),
    );
    assert.deepEqual(await numbers(about, {}), [[1, 2, 3, 4, 5], true]);
    assert.deepEqual(await numbers(about, { max: 2 }), [[1, 2], false]);
    assert.deepEqual(await numbers(about, { max: 5 }), [[1, 2, 3, 4, 5], true]);
    assert.deepEqual(await numbers(about, { max: 2, last: true }), [[4, 5], false]);
    assert.deepEqual(await numbers(about, { last: true }), [[1, 2, 3, 4, 5], true]);
    assert.deepEqual(await numbers(about, { max: 2, after: placeOf(2) }), [[3, 4], false]);
    assert.deepEqual(await numbers(about, { max: 3, after: placeOf(2) }), [[3, 4, 5], true]);
    assert.deepEqual(await numbers(about, { max: 2, before: placeOf(4), last: true }), [[2, 3], false]);
    assert.deepEqual(await numbers(about, { max: 3, before: placeOf(4), last: true }), [[1, 2, 3], true]);
    assert.deepEqual(await numbers(about, { after: placeOf(1), before: placeOf(4) }), [[2, 3], true]);
    assert.deepEqual(await numbers(about, { after: placeOf(5) }), [[], true]);
    assert.deepEqual(await numbers(about, { max: 0 }), [[], false]);
    assert.deepEqual(await numbers(about, { max: -1, after: placeOf(5) }), [[], true]);
  });

  it('may be of named items', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', items(5));
    assert.deepEqual(await numbers(about, { ids: ['i5', 'i1', 'nothing', 'i1'] }), [[1, 5], true]);
    assert.deepEqual(await numbers(about, { ids: [] }), [[], true]);
    const ids = ['i1', 'i2', 'i4', 'i5'];
    assert.deepEqual(await numbers(about, { ids, max: 2, last: true }), [[4, 5], false]);
    assert.deepEqual(await numbers(about, { ids, max: 2, before: placeOf(5), last: true }), [[2, 4], false]);
    assert.deepEqual(await numbers(about, { ids, after: placeOf(1), max: 3 }), [[2, 4, 5], true]);
    assert.equal(await nodes.count('juliet', 'n', { ids, after: placeOf(2) }), 2);
    assert.equal(await nodes.count('juliet', 'n', { ids, max: 3 }), 3);
  });

  it('are counted as far as is asked', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', items(5));
    assert.equal(await nodes.count('juliet', 'n', {}), 5);
    assert.equal(await nodes.count('juliet', 'n', { max: 3 }), 3);
    assert.equal(await nodes.count('juliet', 'n', { max: 0 }), 0);
    assert.equal(await nodes.count('juliet', 'n', { after: placeOf(1), before: placeOf(4) }), 2);
    assert.equal(await nodes.count('juliet', 'm', {}), 0);
  });

  it('can be removed', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', items(10));
    await nodes.put('juliet', 'm', items(10));
    assert.equal(await nodes.remove('juliet', 'n', { ids: [] }), 0);
    assert.equal(await nodes.remove('juliet', 'n', { ids: ['i2', 'nothing', 'i2'] }), 1);
    assert.equal(await nodes.remove('juliet', 'n', { max: 0 }), 0);
    assert.equal(await nodes.remove('juliet', 'n', { max: 2 }), 2);
    assert.deepEqual(await numbers(about), [[4, 5, 6, 7, 8, 9, 10], true]);
    assert.equal(await nodes.remove('juliet', 'n', { max: 1, last: true }), 1);
    assert.equal(await nodes.remove('juliet', 'n', { before: placeOf(5) }), 1);
    assert.equal(await nodes.remove('juliet', 'n', { ids: ['i5', 'i7', 'i8'], after: placeOf(5), max: 1 }), 1);
    assert.equal(await nodes.remove('juliet', 'n', { ids: ['i5', 'i8'], after: placeOf(5) }), 1);
    assert.deepEqual(await numbers(about), [[5, 6, 9], true]);
    assert.equal(await nodes.remove('juliet', 'n', {}), 3);
    assert.equal(await nodes.remove('juliet', 'n', {}), 0);
    assert.equal(await nodes.count('juliet', 'm', {}), 10);
  });
}

function describeNames(about: Subject): void {
  it('are kept as they are, however odd', async () => {
    const { nodes } = await about.open();
    await nodes.put(
      'juliet',
      'n',
      ODD.map((id, i) => item(i + 1, id)),
    );
    assert.deepEqual(
      (await nodes.query('juliet', 'n', {})).items.map(({ id }) => id),
      ODD,
    );
    for (const [i, name] of ODD.entries()) {
      assert.deepEqual(await numbers(about, { ids: [name] }), [[i + 1], true]);
      await nodes.put(`o${name}`, name, [item(1, name)]);
      assert.deepEqual((await nodes.query(`o${name}`, name, { ids: [name] })).items, [item(1, name)]);
      assert.deepEqual([...(await nodes.find(`o${name}`, name))], [[name, item(1, name)]]);
      assert.deepEqual([...(await nodes.latest(`o${name}`))], [[name, item(1, name)]]);
    }
    for (const name of ODD) assert.equal(await nodes.remove('juliet', 'n', { ids: [name] }), 1);
  });

  it('may be as long as those of other things in XMPP', async () => {
    const { nodes } = await about.open();
    // What no database can make shorter.
    const long = (seed: string) =>
      Array.from({ length: 32 }, (_, i) => createHash('sha256').update(`${seed}${i}`).digest('base64'))
        .join('')
        .slice(0, 1023);
    await nodes.put('juliet', long('node'), [item(1, long('id'))]);
    assert.deepEqual([...(await nodes.latest('juliet'))], [[long('node'), item(1, long('id'))]]);
  });

  it('that no database keeps are refused everywhere, and harm nobody', async () => {
    const { nodes } = await about.open();
    const refused = { reason: 'refused' };
    for (const name of UNKEPT) {
      await assert.rejects(nodes.put(name, 'n', [item(1)]), refused);
      await assert.rejects(nodes.put('juliet', name, [item(1)]), refused);
      await assert.rejects(nodes.put('juliet', 'n', [item(1, name)]), refused);
      await assert.rejects(nodes.put('juliet', 'n', [{ ...item(1), by: name }]), refused);
      await assert.rejects(nodes.query('juliet', name, {}), refused);
      await assert.rejects(nodes.query('juliet', 'n', { ids: ['a', name] }), refused);
      await assert.rejects(nodes.query('juliet', 'n', { after: name }), refused);
      await assert.rejects(nodes.count('juliet', 'n', { before: name }), refused);
      await assert.rejects(nodes.remove(name, 'n', {}), refused);
      await assert.rejects(nodes.remove('juliet', 'n', { ids: [name] }), refused);
      await assert.rejects(nodes.latest(name), refused);
      await assert.rejects(nodes.find('juliet', name), refused);
    }
    await nodes.put('juliet', 'n', [item(1)]);
  });
}

function describeOwner(about: Subject): void {
  it('have a last item each', async () => {
    const { nodes } = await about.open();
    assert.deepEqual(await nodes.latest('juliet'), new Map());
    for (const [i, node] of ODD.entries()) await nodes.put('juliet', node, items(i + 1));
    await nodes.put('romeo', 'other', items(3));
    const sorted = [...ODD].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
    assert.deepEqual(
      [...(await nodes.latest('juliet'))],
      sorted.map((node) => [node, item(ODD.indexOf(node) + 1)]),
    );
    await nodes.remove('juliet', '', {});
    await nodes.put('juliet', 'A', [item(100, 'i1')]);
    const latest = await nodes.latest('juliet');
    assert.equal(latest.size, ODD.length - 1);
    assert.deepEqual(latest.get('A'), item(100, 'i1'));
  });

  it('are searched for an id where the store is declared so', async () => {
    const { nodes, plain } = await about.open();
    await nodes.put('juliet', 'a', [item(1, 'x'), item(2, 'y')]);
    await nodes.put('juliet', 'b', [item(3, 'x')]);
    await nodes.put('juliet', 'c', [item(4, 'X')]);
    await nodes.put('romeo', 'a', [item(5, 'x')]);
    assert.deepEqual(
      await nodes.find('juliet', 'x'),
      new Map([
        ['a', item(1, 'x')],
        ['b', item(3, 'x')],
      ]),
    );
    assert.deepEqual(await nodes.find('juliet', 'z'), new Map());
    await plain.put('juliet', 'a', [item(1, 'x')]);
    await assert.rejects(plain.find('juliet', 'x'), { reason: 'refused' });
  });

  it('are erased with it, and nobody else’s', async () => {
    const { nodes, plain } = await about.open();
    for (const store of [nodes, plain]) for (const owner of ['juliet', 'romeo']) await store.put(owner, 'n', items(2));
    await about.storage.erase(about.host, 'juliet');
    const left = [nodes, plain].flatMap((store) => ['juliet', 'romeo'].map((owner) => store.count(owner, 'n', {})));
    assert.deepEqual(await Promise.all(left), [0, 2, 0, 2]);
  });
}

function describeMany(about: Subject): void {
  it('puts those of one turn in theirs', async () => {
    const { nodes } = await about.open();
    await Promise.all([nodes.put('juliet', 'n', [item(1, 'x')]), nodes.put('juliet', 'n', [item(2, 'x')])]);
    assert.deepEqual(await numbers(about), [[2], true]);
    await Promise.all(Array.from({ length: 200 }, (_, i) => nodes.put('juliet', 'n', [item(i + 10, `k${i % 50}`)], 20)));
    assert.deepEqual(await numbers(about), [Array.from({ length: 20 }, (_, i) => i + 190), true]);
  });

  it('fails alone beside those that can be done', async () => {
    const { nodes } = await about.open();
    await nodes.put('juliet', 'n', [item(1)]);
    const results = await Promise.allSettled([
      nodes.put('juliet', 'n', [item(2)]),
      nodes.put('juliet', 'n', [item(3), item(1, 'other')]),
      nodes.put('juliet', 'n', [item(4)], 2),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await numbers(about), [[2, 4], true]);
  });

  it('pages through ten thousand in both directions', async () => {
    const { nodes } = await about.open();
    const all = items(10_000);
    for (let i = 0; i < all.length; i += 1000) await nodes.put('juliet', 'n', all.slice(i, i + 1000));
    await nodes.put('juliet', 'm', [item(1)]);
    assert.equal(await nodes.count('juliet', 'n', {}), 10_000);
    const forth: NodeItem[] = [];
    for (let isDone = false, after = ''; !isDone; after = forth.at(-1)!.at) {
      const page = await nodes.query('juliet', 'n', { after, max: 700 });
      forth.push(...page.items);
      isDone = page.complete;
    }
    assert.deepEqual(forth, all);
    const back: NodeItem[] = [];
    for (let isDone = false; !isDone; ) {
      const before = back[0]?.at;
      const page = await nodes.query('juliet', 'n', { ...(before && { before }), max: 700, last: true });
      back.unshift(...page.items);
      isDone = page.complete;
    }
    assert.deepEqual(back, all);
    assert.deepEqual([...(await nodes.latest('juliet')).values()], [item(1), item(10_000)]);
    await nodes.put('juliet', 'n', [item(10_001)], 10_000);
    assert.deepEqual(await numbers(about, { max: 1 }), [[2], false]);
    assert.equal(await nodes.remove('juliet', 'n', {}), 10_000);
  });
}

async function reopen(about: Subject): Promise<void> {
  const first = await openStorage(about.engine.config(about.folder), silent);
  const { nodes, plain } = await about.open(first);
  await nodes.put('juliet', 'n', items(3));
  await plain.put('juliet', 'n', [item(1, 'x')]);
  await first.close();
  const second = await openStorage(about.engine.config(about.folder), silent);
  // A store that was declared without it can be searched as soon as it is declared with it.
  const later = await second.open(about.host, 'contract', { plain: itemStore({ isFoundById: true }) });
  assert.deepEqual([...(await later.plain.find('juliet', 'x')).keys()], ['n']);
  assert.deepEqual((await (await about.open(second)).nodes.query('juliet', 'n', {})).items, items(3));
  await second.close();
}
