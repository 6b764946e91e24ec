import assert from 'node:assert/strict';
import { Backlog } from '../../../modules/offline/backlog.ts';
import { Box } from '../../../modules/offline/box.ts';
import { Mark, Marks, type StoredMark } from '../../../modules/offline/mark.ts';
import { makeIdSource } from '../../../src/ids.ts';
import { type ArchiveStore, archiveStore, type MapStore, sortableId } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { settle } from '../../support/probe.ts';

/** Keeps marks as a database would: what is written is a copy. */
class Shelf {
  readonly rows = new Map<string, string>();
  writes = 0;
  isBroken = false;
  #gate: Promise<void> | undefined = undefined;
  #open = () => {};

  get store(): MapStore<StoredMark> {
    const get = async (owner: string) => {
      await this.#wait();
      const row = this.rows.get(owner);
      return row === undefined ? undefined : (JSON.parse(row) as StoredMark);
    };
    const update = async (owner: string, changes: ReadonlyMap<string, StoredMark | undefined>) => {
      const [value] = changes.values();
      const row = JSON.stringify(value);
      await this.#wait();
      this.writes++;
      this.rows.set(owner, row);
    };
    const never = () => Promise.reject(new Error('not part of this test'));
    return { get, update, entries: never, insert: never, clear: never, owners: never, scan: never };
  }

  hold(): void {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  release(): void {
    this.isBroken = false;
    this.#open();
    this.#gate = undefined;
  }

  async #wait(): Promise<void> {
    await this.#gate;
    if (this.isBroken) throw new Error('the disk is full');
  }
}

const ids = (count: number): string[] => Array.from({ length: count }, () => sortableId());

describe('offline: which archived messages have been delivered', () => {
  let shelf: Shelf;
  let mark: Mark;
  let dirtied = 0;

  const load = async () => {
    mark = new Mark('juliet', shelf.store, () => dirtied++);
    await mark.load();
  };
  /** Those of these that wait. */
  const waiting = (all: readonly string[]) => all.filter((id) => !mark.isSettled(id)).map((id) => all.indexOf(id));

  beforeEach(async () => {
    shelf = new Shelf();
    dirtied = 0;
    await load();
    mark.clear(false);
  });

  it('all that has not arrived waits', () => {
    const all = ids(3);
    for (const id of all) mark.waits(id);
    assert.deepEqual(waiting(all), [0, 1, 2]);
    assert.equal(mark.hasBacklog, true);
  });

  it('nothing waits while nothing comes', () => {
    assert.equal(mark.hasBacklog, false);
    assert.equal(dirtied, 0);
  });

  it('what arrives at once costs one number, however much it is', async () => {
    for (const id of ids(1000)) mark.arrived(id);
    await mark.save();
    assert(shelf.rows.get('juliet')!.length < 200);
    assert.equal(mark.hasBacklog, false);
  });

  it('what is given waits for nobody, and when it is returned for the next', () => {
    const all = ids(3);
    for (const id of all) mark.given(id);
    assert.deepEqual(waiting(all), []);
    assert.equal(mark.hasBacklog, false);
    mark.returned(all[1]!);
    assert.deepEqual(waiting(all), [1]);
    assert.equal(mark.hasBacklog, true);
  });

  it('given to two it waits when both have returned it, and not when one has it', () => {
    const all = ids(2);
    for (const id of [...all, ...all]) mark.given(id);
    mark.returned(all[0]!);
    assert.deepEqual(waiting(all), []);
    mark.returned(all[0]!);
    mark.arrived(all[1]!);
    mark.returned(all[1]!);
    assert.deepEqual(waiting(all), [0]);
  });

  it('arrived with one it does not wait for another that is given it in the same breath', () => {
    const all = ids(1);
    mark.arrived(all[0]!);
    mark.given(all[0]!);
    mark.returned(all[0]!);
    assert.deepEqual(waiting(all), []);
    assert.equal(mark.hasBacklog, false);
  });

  it('what arrives out of order leaves the others waiting', () => {
    const all = ids(5);
    for (const id of all) mark.given(id);
    for (const i of [4, 1, 3]) mark.arrived(all[i]!);
    mark.returned(all[2]!);
    mark.returned(all[0]!);
    assert.deepEqual(waiting(all), [0, 2]);
    assert.deepEqual(mark.missed(undefined), [all[0], all[2]]);
    assert.deepEqual(mark.missed(all[0]), [all[2]]);
  });

  it('what is on its way to clients is given by nobody else meanwhile, and waits when nobody got it', () => {
    const all = ids(4);
    for (const id of all) mark.coming(id);
    assert.deepEqual(waiting(all), []);
    mark.waits(all[0]!);
    mark.given(all[1]!);
    mark.arrived(all[2]!);
    assert.deepEqual(waiting(all), [0]);
    mark.returned(all[1]!);
    assert.deepEqual(waiting(all), [0, 1]);
  });

  it('what has been on its way for too long waits: it has got lost there', () => {
    const id = makeIdSource(() => Date.now() - 60_000)();
    mark.coming(id);
    assert.equal(mark.isSettled(id), false);
  });

  it('of what is on its way only so much is remembered', () => {
    for (const id of ids(10_000)) mark.coming(id);
    const [last] = ids(1);
    mark.coming(last!);
    assert.equal(mark.isSettled(last!), true);
  });

  it('one that was still being stored when all seemed to be delivered is not lost', async () => {
    const [early, late, given] = ids(3) as [string, string, string];
    mark.arrived(given);
    mark.waits(early);
    mark.given(late);
    assert.deepEqual(waiting([early, late, given]), [0]);
    await mark.save();
    await load();
    assert.deepEqual(waiting([early, late, given]), [0, 1]);
  });

  it('also after a crash: that it is not delivered is noted', async () => {
    const [late, given] = ids(2) as [string, string];
    mark.arrived(given);
    await mark.save();
    mark.given(late);
    await mark.save();
    await load();
    assert.deepEqual(waiting([late, given]), [0]);
  });

  it('what is returned twice, or was never given, changes nothing', () => {
    const all = ids(2);
    mark.returned(all[0]!);
    mark.given(all[1]!);
    mark.arrived(all[1]!);
    mark.returned(all[1]!);
    mark.returned(all[1]!);
    assert.deepEqual(waiting([all[1]!]), []);
    assert.equal(mark.hasBacklog, false);
  });

  it('who has read the archive to its end needs not be given what nobody was given', () => {
    const all = ids(4);
    mark.given(all[0]!);
    for (const id of all.slice(1)) mark.waits(id);
    mark.readBetween(all[0]!, all[3]!, []);
    assert.deepEqual(waiting(all), []);
    mark.returned(all[0]!);
    assert.deepEqual(waiting(all), [0]);
  });

  it('is kept over a restart, and what was given and not confirmed waits again', async () => {
    const all = ids(6);
    for (const id of all) mark.given(id);
    for (const i of [0, 2, 4]) mark.arrived(all[i]!);
    await mark.save();
    await load();
    assert.deepEqual(waiting(all), [1, 3, 5]);
  });

  it('over a restart, what a client may still confirm waits for nobody else, once more for each client', async () => {
    const all = ids(3);
    for (const id of [...all, ...all]) mark.given(id);
    mark.arrived(all[2]!);
    await mark.save();
    await load();
    for (const id of [...all, ...all]) mark.givenBefore(id);
    assert.deepEqual(waiting(all), []);
    for (const id of all) mark.returned(id);
    assert.deepEqual(waiting(all), []);
    for (const id of all) mark.returned(id);
    assert.deepEqual(waiting(all), [0, 1]);
  });

  it('is loaded when it is needed, and changes come in their order', async () => {
    shelf.hold();
    const fresh = new Mark('juliet', shelf.store, () => dirtied++);
    const all = ids(3);
    for (const id of all) fresh.given(id);
    fresh.arrived(all[1]!);
    fresh.returned(all[2]!);
    assert.equal(fresh.hasBacklog, true);
    assert.equal(fresh.isBusy, true);
    shelf.release();
    await fresh.load();
    assert.deepEqual(
      all.map((id) => fresh.isSettled(id)),
      [true, true, false],
    );
  });

  it('is durable when `save` says so, also when it has not been loaded yet', async () => {
    const id = sortableId();
    shelf.hold();
    const fresh = new Mark('juliet', shelf.store, () => dirtied++);
    fresh.arrived(id);
    const saved = fresh.save();
    shelf.release();
    await saved;
    await load();
    assert.deepEqual(waiting([id]), []);
  });

  it('is written once for all who ask at once, and again for what has changed meanwhile', async () => {
    const all = ids(3);
    shelf.hold();
    mark.arrived(all[0]!);
    const first = mark.save();
    mark.arrived(all[1]!);
    const others = [mark.save(), mark.save(), mark.save()];
    mark.arrived(all[2]!);
    shelf.release();
    await Promise.all([first, ...others]);
    assert.equal(shelf.writes, 2);
    await load();
    assert.deepEqual(waiting(all), []);
  });

  it('is still to be saved when it could not be written, and says so to each who asked', async () => {
    const id = sortableId();
    shelf.isBroken = true;
    mark.arrived(id);
    await assert.rejects(mark.save(), /full/);
    await assert.rejects(mark.save(), /full/);
    assert.equal(mark.isBusy, true);
    shelf.release();
    await mark.save();
    await load();
    assert.deepEqual(waiting([id]), []);
  });

  it('cannot be read: then nothing is known, and it is tried again', async () => {
    shelf.isBroken = true;
    const fresh = new Mark('juliet', shelf.store, () => dirtied++);
    const id = sortableId();
    fresh.arrived(id);
    await assert.rejects(fresh.load(), /full/);
    shelf.release();
    await fresh.load();
    assert.equal(fresh.isSettled(id), true);
  });

  it('of very many exceptions some are forgotten, and come again; none is lost', async () => {
    const all = ids(3000);
    for (const id of all) mark.given(id);
    for (let i = 0; i < all.length; i += 2) mark.arrived(all[i]!);
    await mark.save();
    assert(shelf.rows.get('juliet')!.length < 50_000);
    await load();
    const waits = new Set(waiting(all));
    for (let i = 1; i < all.length; i += 2) assert(waits.has(i));
    assert(!waits.has(0) && !waits.has(500) && !waits.has(998));
  });

  for (let seed = 1; seed <= 30; seed++) {
    it(`does what a list of all messages would do (seed ${seed})`, async () => {
      const random = makeRandom(seed);
      const holders = new Map<string, number>();
      const done = new Set<string>();
      const pick = () => [...holders.keys()][Math.floor(random() * holders.size)]!;
      for (let i = 0; i < 300; i++) {
        const dice = random();
        const id = dice < 0.35 || holders.size === 0 ? sortableId() : pick();
        if (!holders.has(id)) {
          const clients = Math.floor(random() * 3);
          holders.set(id, clients);
          if (clients === 0) mark.waits(id);
          for (let each = 0; each < clients; each++) mark.given(id);
        } else if (dice < 0.6 && holders.get(id)! > 0) {
          mark.arrived(id);
          done.add(id);
        } else if (dice < 0.85 && holders.get(id)! > 0) {
          mark.returned(id);
          holders.set(id, holders.get(id)! - 1);
        } else if (dice < 0.9) await mark.save();
        else if (dice < 0.93) {
          // The server is stopped in order, and started again: nobody has anything any more that is not confirmed.
          await mark.save();
          await load();
          for (const each of holders.keys()) holders.set(each, 0);
        }
        for (const [each, count] of holders) assert.equal(mark.isSettled(each), done.has(each) || count > 0, `step ${i}`);
      }
    });
  }
});

describe('offline: what is kept for one account', () => {
  it('is not given once more to who reads it in the moment in which it arrives elsewhere', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const { messages } = await storage.open('example.org', 'box', { messages: archiveStore() });
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    // What was read takes some time until it is here.
    const query: ArchiveStore['query'] = async (owner, filter) => {
      const page = await messages.query(owner, filter);
      if (filter.max !== undefined) await gate;
      return page;
    };
    const backlog = new Backlog(new Mark('juliet', new Shelf().store, () => {}), undefined);
    const slow = new Proxy(messages, {
      get: (target, name) => (name === 'query' ? query : Reflect.get(target, name, target).bind(target)),
    });
    const box = new Box('juliet', { messages: slow, maxMessages: 10, maxBytes: 10_000, keepFor: 0, backlogOf: () => backlog });
    const items = ids(2).map((id) => ({ id, with: 'romeo@example.org', stanza: `<message id='${id}'/>`, isArchived: false }));
    for (const item of items) await messages.append('juliet', item);
    const [first] = items;
    box.hand(first!);
    box.given(first!.id);
    box.landed(first!.id);
    const reading = box.read(undefined, 10);
    await settle();
    await box.settleOne(first!.id, true);
    open();
    assert.deepEqual(
      (await reading).items.map(({ id }) => items.findIndex((item) => item.id === id)),
      [1],
    );
    assert.deepEqual((await box.read(undefined, 10)).items.length, 1);
    await storage.close();
  });
});

describe('offline: the marks in use', () => {
  it('are saved together, and those that fail are tried again', async () => {
    const shelf = new Shelf();
    const marks = new Marks(shelf.store);
    const all = ids(2);
    marks.get('romeo').arrived(all[0]!);
    marks.get('juliet').arrived(all[1]!);
    await settle();
    shelf.isBroken = true;
    await assert.rejects(marks.save(), /full/);
    assert.equal(shelf.rows.size, 0);
    shelf.release();
    await marks.save();
    assert.deepEqual([...shelf.rows.keys()].sort(), ['juliet', 'romeo']);
    await marks.save();
    assert.equal(shelf.writes, 2);
  });

  it('are forgotten when there are too many, but not those at work', async () => {
    const shelf = new Shelf();
    const marks = new Marks(shelf.store, 3);
    const busy = marks.get('busy');
    busy.given(sortableId());
    await busy.load();
    for (const name of ['a', 'b', 'c', 'd', 'e']) marks.get(name);
    assert.equal(marks.get('busy'), busy);
  });

  it('of a deleted account are not written any more', async () => {
    const shelf = new Shelf();
    const marks = new Marks(shelf.store);
    const mark = marks.get('juliet');
    mark.arrived(sortableId());
    await settle();
    marks.drop('juliet');
    await marks.save();
    assert.equal(shelf.rows.size, 0);
    assert.notEqual(marks.get('juliet'), mark);
  });
});

/** Numbers from 0 to 1, the same for the same seed. */
function makeRandom(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
