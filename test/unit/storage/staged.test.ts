import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sortableId, timeOf } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import {
  type ArchiveFilter,
  type ArchiveItem,
  type ArchiveStore,
  archiveStore,
  type Storage,
} from '../../../src/storage/storage.ts';
import { makeRandom, type SeededRandom } from '../../support/random.ts';

// A store that puts new items together first is to be told apart by nobody from one that does not.

const specs = { busy: archiveStore({ isBusy: true }), plain: archiveStore() };
const OWNERS = ['a', 'b', 'ü'];
const PARTIES = ['x@example.org', 'y@example.org', 'é@example.org', '\u{1f642}@example.org', '\uff5e@example.org'];

describe('an archive whose newest items are not sorted in yet', () => {
  let folder: string;
  let storage: Storage;
  let stores: Readonly<Record<keyof typeof specs, ArchiveStore>>;

  const open = async (): Promise<void> => {
    storage = await openStorage({ type: 'sqlite', file: join(folder, 'test.sqlite') }, silent);
    stores = await storage.open('example.org', 'staged', specs);
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-staged-'));
    await open();
  });
  afterEach(async () => {
    await storage.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Does it to both, and compares what comes of it. */
  async function both<T>(act: (store: ArchiveStore) => Promise<T>): Promise<T> {
    const settle = (store: ArchiveStore) => act(store).catch((error: Error) => ({ failed: error.name }) as never);
    const [busy, plain] = [await settle(stores.busy), await settle(stores.plain)];
    assert.deepEqual(busy, plain);
    return busy;
  }

  for (let seed = 1; seed <= 12; seed++) {
    it(`answers as any other, whatever is done (${seed})`, async () => {
      const random = makeRandom(seed);
      const ids: string[] = [];
      const append = () => {
        const item = itemOf(random);
        ids.push(item.id);
        const owner = random.pick(OWNERS);
        return both((store) => store.append(owner, item));
      };
      for (let i = 0; i < 150; i++) {
        const owner = random.pick(OWNERS);
        const filter = filterOf(random, ids);
        const after = random.pick([undefined, ...OWNERS, ...PARTIES]);
        const max = random.pick([1, 3, undefined]);
        const id = random.pick([...ids, 'none']);
        const few = random.below(5) === 0;
        switch (random.below(12)) {
          case 0:
            await both((store) => store.query(owner, filter));
            break;
          case 1:
            await both((store) => store.count(owner, filter));
            break;
          case 2:
            await both((store) => store.parties(owner, after, max));
            break;
          case 3:
            await both((store) => store.owners(after, max));
            break;
          case 4:
            if (few) await both((store) => store.remove(owner, { ...filter, max: 3 }));
            break;
          case 5:
            await both((store) => store.replace(owner, { id, tag: 8, stanza: '<gone/>' }));
            break;
          case 6:
            if (few) {
              await storage.close();
              await open();
            }
            break;
          default:
            await append();
        }
      }
      for (const owner of OWNERS) await both((store) => store.query(owner, {}));
    });
  }

  it('finds what an earlier process has left, after a crash too', async () => {
    for (let i = 0; i < 10; i++) await both((store) => Promise.resolve(store.append('a', { id: `${i}`, with: 'x', stanza: '' })));
    const items = Array.from({ length: 10 }, () => ({ id: sortableId(), with: 'x@b', stanza: '<m/>' }));
    for (const item of items) await stores.busy.append('a', item);
    // The first one goes on, as if it had been killed and did not know it.
    const again = await openStorage({ type: 'sqlite', file: join(folder, 'test.sqlite') }, silent);
    const { busy } = await again.open('example.org', 'staged', specs);
    const expected = items.map(({ id }) => id);
    assert.deepEqual(
      (await busy.query('a', {})).items.map(({ id }) => id),
      expected,
    );
    await again.close();
    assert.deepEqual(
      (await stores.busy.query('a', {})).items.map(({ id }) => id),
      expected,
    );
    assert.equal(await stores.busy.count('a', {}), 10);
  });

  it('loses everything of an owner who is erased', async () => {
    for (const owner of ['a', 'b']) await stores.busy.append(owner, { id: sortableId(), with: 'x@b', stanza: '<m/>' });
    await storage.erase('example.org', 'a');
    assert.deepEqual([await stores.busy.count('a', {}), await stores.busy.count('b', {})], [0, 1]);
    await storage.close();
    await open();
    assert.deepEqual([await stores.busy.count('a', {}), await stores.busy.count('b', {})], [0, 1]);
  });

  it('sorts in while others write and read, and shows each item once all the time', async () => {
    const written: string[] = [];
    for (let round = 0; round < 60; round++) {
      const items = Array.from({ length: 400 }, () => ({ id: sortableId(), with: 'x@b', stanza: `<m>${'x'.repeat(900)}</m>` }));
      await Promise.all(items.map((item) => stores.busy.append('a', item)));
      written.push(...items.map(({ id }) => id));
      const page = await stores.busy.query('a', { last: true, max: 500 });
      assert.deepEqual(
        page.items.map(({ id }) => id),
        written.slice(-500),
      );
      assert.equal(await stores.busy.count('a', {}), written.length);
    }
  });
});

type Random = SeededRandom;

function itemOf(random: Random): ArchiveItem {
  return {
    id: sortableId(),
    with: random.pick(PARTIES),
    resource: random.pick(['', 'r']),
    tag: random.below(8),
    stanza: `<m n='${random.below(1000)}'/>`,
  };
}

function filterOf(random: Random, ids: readonly string[]): ArchiveFilter {
  const id = () => random.pick(ids.length > 0 ? ids : ['none']);
  const maybe = <T>(value: () => T, one: number): T | undefined => (random.below(one) === 0 ? value() : undefined);
  const all = {
    with: maybe(() => random.pick(PARTIES), 3),
    resource: maybe(() => random.pick(['', 'r']), 5),
    tag: maybe(() => ({ mask: 3, value: random.below(4) }), 4),
    before: maybe(id, 4),
    after: maybe(id, 4),
    start: maybe(() => timeOf(id()) ?? 0, 6),
    end: maybe(() => timeOf(id()) ?? 0, 6),
    ids: maybe(() => [id(), id(), 'none'], 8),
    max: maybe(() => random.below(6), 2),
    last: maybe(() => true, 3),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
