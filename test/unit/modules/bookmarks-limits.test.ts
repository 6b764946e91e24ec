// Many bookmarks, large ones, and a disk that fails.
import assert from 'node:assert/strict';
import { Announcer } from '../../../modules/bookmarks/announcer.ts';
import pep, { type PepApi } from '../../../modules/pep/index.ts';
import { defineModule, option } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf } from '../../support/answers.ts';
import {
  BOOKMARK_MODULES,
  client,
  conference,
  items,
  NATIVE,
  native,
  nextNews,
  OLD,
  OTHER_ROOM,
  publish,
  ROOM,
  readPrivate,
  seenByOthers,
  seenNatively,
  startBookmarks,
  told,
  tryPrivate,
  writePrivate,
} from '../../support/bookmark-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import type { HostOptions, TestHost } from '../../support/start-host.ts';

const MANY = 1000;
const url = (length: number) => `<url url='https://example.org/${'x'.repeat(length)}'/>`;

let nodes: PepApi | undefined;
/** Gives the test what other modules get. */
const insider = defineModule({
  name: 'insider',
  doc: '',
  needs: [pep],
  config: option.object({}),
  setup({ use }) {
    nodes = use(pep);
  },
});

describe('bookmarks: limits', () => {
  let host: TestHost;
  let juliet: Probe;
  async function start(options: HostOptions = {}): Promise<void> {
    host = await startBookmarks(options, [...BOOKMARK_MODULES, insider]);
    juliet = await host.online('juliet', 'balcony');
  }
  afterEach(() => host.stop());

  const many = (count: number, attrs = '') =>
    Array.from({ length: count }, (_, i) => conference(`room${i}@conference.example.org`, attrs, '<nick>JC</nick>'));

  it(`${MANY} bookmarks are written, changed and removed by one list, and told of together`, async () => {
    await start();
    const [newer, older] = [await client(host, 'juliet/newer', NATIVE), await client(host, 'juliet/older', OLD)];
    juliet.take();
    await writePrivate(juliet, ...many(MANY));
    assert.deepEqual([(await items(juliet)).size, (await readPrivate(juliet)).length], [MANY, MANY]);
    const [list] = await nextNews(older);
    assert.equal(list?.split(' ').length, MANY);
    assert.equal((await told(newer)).length, MANY);
    await writePrivate(juliet, ...many(MANY));
    assert.deepEqual([await told(newer), await told(older)], [[], []]);
    await writePrivate(juliet, ...many(MANY - 2), conference('room998@conference.example.org', "name='A'", '<nick>JC</nick>'));
    assert.deepEqual(await told(newer), ['+room998@conference.example.org', '-room999@conference.example.org']);
    await writePrivate(juliet);
    assert.deepEqual([(await items(juliet)).size, (await readPrivate(juliet)).length], [0, 0]);
  });

  it('a list shows no more than a client takes, and what is not shown is neither changed nor removed', async () => {
    await start();
    const note = `<note xmlns='urn:note'>${'x'.repeat(100_000)}</note>`;
    const large = native("name='A'", `<extensions>${note}</extensions>`);
    for (let i = 0; i < 20; i++) await nodes!.publish('juliet', NATIVE, { id: `room${i}@x`, value: large });
    const list = await readPrivate(juliet);
    assert(list.length > 5 && list.length < 20, String(list.length));
    // As a client that keeps no extensions writes it.
    const plain = list.map(({ attrs }) => conference(String(attrs['jid']), "name='A'"));
    await writePrivate(juliet, ...plain, conference('room19@x', "name='B'"));
    const all = await nodes!.items('juliet', NATIVE);
    assert.equal(all.length, 20);
    const last = all.find(({ id }) => id === 'room19@x')!.value;
    assert(last.startsWith(`<conference xmlns='${NATIVE}' name='B'>`), last.slice(0, 100));
    assert(last.length > 100_000);
    await writePrivate(juliet);
    assert.equal((await nodes!.items('juliet', NATIVE)).length, 20 - list.length);
  });

  it('private storage has room for what it keeps itself, however many bookmarks there are', async () => {
    await start({ modules: { private: { maxBytes: '1KiB', maxItems: 1 } } });
    await writePrivate(juliet, ...many(100), url(100));
    assert.equal((await readPrivate(juliet)).length, 101);
    const refused = await tryPrivate(juliet, conference(ROOM), url(1100));
    assert.equal(conditionOf(refused), 'resource-constraint');
    assert.equal((await items(juliet)).size, 100);
    const other = await juliet.ask("<iq type='set'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>1</a></query></iq>");
    assert.equal(conditionOf(other), 'resource-constraint');
    await writePrivate(juliet, conference(ROOM));
    assert.deepEqual(await seenNatively(juliet), [ROOM]);
  });

  it('many changes are told together', async () => {
    let turn = Promise.resolve();
    const told: string[] = [];
    const announced: (() => void)[] = [];
    const stopping = new AbortController();
    const announcer = new Announcer({
      inTurn: (_, work) => (turn = turn.then(work)),
      announce: (username) => {
        told.push(username);
        return new Promise((resolve) => void announced.push(resolve));
      },
      failed: assert.fail,
      stopping: stopping.signal,
    });
    for (let i = 0; i < 10; i++) announcer.note('juliet');
    await settle();
    assert.deepEqual(told, ['juliet']);
    for (let i = 0; i < 10; i++) announcer.note('juliet');
    await settle();
    assert.deepEqual(told, ['juliet']);
    announced.pop()!();
    while (told.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    announced.pop()!();
    await settle();
    assert.deepEqual(told, ['juliet', 'juliet']);
    stopping.abort();
  });
});

describe('bookmarks: a disk that fails', () => {
  let disk: SlowWrites;
  let host: TestHost;
  let juliet: Probe;
  beforeEach(async () => {
    disk = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    host = await startBookmarks({ storage: disk.storage, log: silent });
    juliet = await host.online('juliet', 'balcony');
    await writePrivate(juliet, conference(ROOM), url(1));
    await readPrivate(juliet);
  });
  afterEach(() => host.stop());

  it('in the middle of a list: what is written is seen by all, and the rest can be written again', async () => {
    let left = 2;
    disk.fail(({ store, does }) => store === 'items' && does === 'put' && left-- <= 0);
    const list = ['a@x', 'b@x', 'c@x', 'd@x'].map((room) => conference(room));
    assert.equal(conditionOf(await tryPrivate(juliet, ...list)), 'internal-server-error');
    const there = await seenNatively(juliet);
    assert.deepEqual(there, ['a@x', 'b@x', ROOM]);
    assert.deepEqual((await seenByOthers(juliet)).length, 4);
    disk.release();
    await writePrivate(juliet, ...list);
    assert.deepEqual(await seenNatively(juliet), ['a@x', 'b@x', 'c@x', 'd@x']);
    assert.deepEqual(await seenByOthers(juliet), ['a@x', 'b@x', 'c@x', 'd@x']);
  });

  it('when something is removed, or what is kept beside', async () => {
    disk.fail(({ does }) => does === 'remove');
    assert.equal(conditionOf(await tryPrivate(juliet, url(1))), 'internal-server-error');
    assert.deepEqual(await seenNatively(juliet), [ROOM]);
    disk.fail(({ store, does }) => store === 'items' && does === 'update');
    assert.equal(conditionOf(await tryPrivate(juliet, conference(OTHER_ROOM), url(2))), 'internal-server-error');
    disk.release();
    assert.equal((await seenByOthers(juliet)).length, 2);
    await writePrivate(juliet, conference(OTHER_ROOM), url(2));
    assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM]);
    // The next ones are not held up by what failed.
    await publish(juliet, ROOM);
    assert.equal((await seenByOthers(juliet)).length, 3);
  });
});
