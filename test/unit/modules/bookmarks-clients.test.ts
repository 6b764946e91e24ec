// Clients of several kinds at once, and what an account had before.
import assert from 'node:assert/strict';
import { Seen } from '../../../modules/bookmarks/seen.ts';
import privateStorage from '../../../modules/private/index.ts';
import { conditionOf, subscribe } from '../../support/answers.ts';
import {
  ask,
  BOOKMARK_MODULES,
  client,
  conference,
  items,
  NATIVE,
  native,
  newsIn,
  nextNews,
  OLD,
  OTHER_ROOM,
  publish,
  ROOM,
  readNode,
  readPrivate,
  resultOf,
  retract,
  seenByOthers,
  seenNatively,
  startBookmarks,
  told,
  writeNode,
  writePrivate,
} from '../../support/bookmark-scene.ts';
import { answer, info, kindOf, legacy, question } from '../../support/caps-scene.ts';
import type { Probe } from '../../support/probe.ts';
import { settle } from '../../support/probe.ts';
import { Disk } from '../../support/sm-client.ts';
import type { TestHost } from '../../support/start-host.ts';

const URL = "<url name='Works' url='http://the-tech.mit.edu/Shakespeare/'/>";

describe('bookmarks: who is told', () => {
  let host: TestHost;
  let newer: Probe;
  let older: Probe;
  beforeEach(async () => {
    host = await startBookmarks();
    newer = await client(host, 'juliet/newer', NATIVE);
    older = await client(host, 'juliet/older', OLD);
  });
  afterEach(() => host.stop());

  it('of what a newer client does: newer ones of the item, older ones of all there is', async () => {
    await publish(newer, ROOM);
    const message = await older.receive('message');
    assert.deepEqual([message.attrs['from'], message.attrs['type']], ['juliet@example.org', 'headline']);
    assert.deepEqual(newsIn(message), [`[${ROOM}]`]);
    await publish(newer, OTHER_ROOM);
    assert.deepEqual(await nextNews(older), [`[${ROOM} ${OTHER_ROOM}]`]);
    await retract(newer, ROOM);
    assert.deepEqual(await nextNews(older), [`[${OTHER_ROOM}]`]);
    assert.deepEqual(await told(newer), [`+${ROOM}`, `+${OTHER_ROOM}`, `-${ROOM}`]);
  });

  for (const [way, write] of Object.entries({ private: writePrivate, node: writeNode })) {
    it(`of what an older client writes to the ${way}`, async () => {
      const third = await client(host, 'juliet/third', OLD);
      await write(older, conference(ROOM), conference(OTHER_ROOM));
      for (const probe of [older, third]) assert.deepEqual(await nextNews(probe), [`[${ROOM} ${OTHER_ROOM}]`]);
      await write(older, conference(OTHER_ROOM));
      for (const probe of [older, third]) assert.deepEqual(await nextNews(probe), [`[${OTHER_ROOM}]`]);
      assert.deepEqual(await told(newer), [`+${ROOM}`, `+${OTHER_ROOM}`, `-${ROOM}`]);
    });

    it(`of other things that are written to the ${way}: only clients that know them`, async () => {
      await write(older, URL);
      assert.deepEqual(await nextNews(older), ['[http://the-tech.mit.edu/Shakespeare/]']);
      await write(older, URL);
      assert.deepEqual([await told(older), await told(newer)], [[], []]);
    });
  }

  it('when all bookmarks go at once', async () => {
    await publish(newer, ROOM);
    await nextNews(older);
    resultOf(await ask(newer, 'set', `<delete node='${NATIVE}'/>`, { at: '#owner' }));
    assert.deepEqual(await nextNews(older), ['[]']);
  });

  it('only clients that want to be told', async () => {
    const quiet = await client(host, 'juliet/quiet');
    const romeo = await client(host, 'romeo/orchard', NATIVE, OLD);
    await subscribe(romeo, newer);
    romeo.take();
    await publish(newer, ROOM);
    await writePrivate(older, conference(ROOM, "name='A'"));
    await nextNews(older);
    assert.deepEqual([await told(quiet), await told(romeo)], [[], []]);
  });

  it('also a client that is just being asked what it wants', async () => {
    const kind = kindOf(`${OLD}+notify`, 'urn:late');
    const late = await host.login('juliet', 'late');
    late.send(`<presence>${legacy(kind.ver)}</presence>`);
    const asked = await question(late, `https://client.example#${kind.ver}`);
    await publish(newer, ROOM);
    assert.deepEqual(await nextNews(older), [`[${ROOM}]`]);
    assert.deepEqual(await told(late), []);
    await answer(late, asked, info(kind));
    assert.deepEqual(await nextNews(late), [`[${ROOM}]`]);
  });
});

describe('bookmarks: clients that write at once', () => {
  let host: TestHost;
  let newer: Probe;
  let older: Probe;
  const [A, B, C, D] = ['a', 'b', 'c', 'd'].map((name) => `${name}@conference.example.org`) as [string, string, string, string];
  beforeEach(async () => {
    host = await startBookmarks();
    newer = await client(host, 'juliet/newer', NATIVE);
    older = await host.online('juliet', 'older');
    await writePrivate(older, conference(A), conference(B));
  });
  afterEach(() => host.stop());

  it('do not remove what they have never heard of', async () => {
    await readPrivate(older);
    await publish(newer, C);
    await writePrivate(older, conference(A), conference(B), conference(D));
    assert.deepEqual(await seenNatively(newer), [A, B, C, D]);
    // Nor the next time.
    await writePrivate(older, conference(A), conference(D));
    assert.deepEqual(await seenNatively(newer), [A, C, D]);
    // Once it knows, it means it.
    assert.deepEqual((await readPrivate(older)).length, 3);
    await writePrivate(older, conference(A));
    assert.deepEqual(await seenNatively(newer), [A]);
  });

  it('do not bring back what another one has removed, unless they change it', async () => {
    await readPrivate(older);
    await retract(newer, A);
    await writePrivate(older, conference(A), conference(B), conference(C));
    assert.deepEqual(await seenNatively(newer), [B, C]);
    await writePrivate(older, conference(A, "name='Again'"), conference(B), conference(C));
    assert.deepEqual(await seenNatively(newer), [`${A} Again`, B, C]);
  });

  it('do not undo what another one has changed', async () => {
    await readPrivate(older);
    const extensions = "<extensions><x xmlns='urn:x'/></extensions>";
    await publish(newer, A, native("name='New' autojoin='true'", `<nick>JC</nick>${extensions}`));
    await writePrivate(older, conference(A), conference(B, "name='Old'"));
    assert.deepEqual(await seenNatively(newer), [`${A} New autojoin nick=JC extensions=<x xmlns="urn:x"/>`, `${B} Old`]);
  });

  it('change extensions and the rest apart from each other', async () => {
    const one = "<extensions><x xmlns='urn:x'>1</x></extensions>";
    await publish(newer, A, native("name='One'", one));
    await readPrivate(older);
    await publish(newer, A, native("name='One'", one.replace('1', '2')));
    // It knows the extension, and writes back what it has read.
    await writePrivate(older, conference(A, "name='Two'", one), conference(B));
    assert.deepEqual(await seenNatively(newer), [`${A} Two extensions=<x xmlns="urn:x">2</x>`, B]);
  });

  it('replace all of it when they have never asked', async () => {
    const blind = await host.online('juliet', 'blind');
    await publish(newer, C);
    await writePrivate(blind, conference(D));
    assert.deepEqual(await seenNatively(newer), [D]);
  });

  it('end equal, whatever they do, and nothing is lost', async () => {
    const [third, fourth] = [await client(host, 'juliet/third', OLD), await client(host, 'juliet/fourth', OLD)];
    for (const probe of [older, third, fourth]) await readPrivate(probe);
    const list = [conference(A), conference(B)];
    await Promise.all([
      ...[1, 2, 3, 4].map((i) => publish(newer, `new${i}@x`)),
      writePrivate(older, ...list, conference('old1@x')),
      writeNode(third, ...list, conference('old2@x')),
      writeNode(fourth, conference(A), conference('old3@x')),
    ]);
    const there = await seenNatively(newer);
    assert.deepEqual(there, [A, 'new1@x', 'new2@x', 'new3@x', 'new4@x', 'old1@x', 'old2@x', 'old3@x']);
    assert.deepEqual(await seenByOthers(older), there);
    await listed(third, there);
    await listed(fourth, there);
  });

  it('are told when there is something else than they have written', async () => {
    const third = await client(host, 'juliet/third', OLD);
    await readNode(third);
    // Both are on their way at the same time.
    const writing = writeNode(third, conference(A), conference(B), conference(D));
    await publish(newer, C);
    await writing;
    await listed(third, [A, B, C, D]);
    // What it wrote before it could know of it is no wish to remove it.
    await writeNode(third, conference(A), conference(B), conference(D));
    await listed(third, [A, B, C, D]);
    assert.deepEqual(await seenNatively(newer), [A, B, C, D]);
  });

  it('may both remove the same one', async () => {
    await Promise.all([
      retract(newer, A).catch(() => {}),
      writePrivate(older, conference(B)),
      writePrivate(older, conference(B)),
    ]);
    assert.deepEqual([await seenNatively(newer), await seenByOthers(older)], [[B], [B]]);
  });

  /** Resolves once a client has been told that there is exactly this. */
  async function listed(probe: Probe, rooms: readonly string[]): Promise<void> {
    for (;;) {
      const [list] = await nextNews(probe);
      if (list?.slice(1, -1).split(' ').sort().join() === rooms.join()) return;
    }
  }
});

describe('bookmarks: what a client has seen', () => {
  const digest = (core: string) => ({ core, extensions: undefined, extra: undefined });
  const versions = (...cores: readonly string[]) => new Map(cores.map((core) => [ROOM, digest(core)]));

  it('is for a while also what it was told of just now, and what it had seen before that', () => {
    let now = 1000;
    const seen = new Seen(versions('1'), () => now);
    const has = () => ['1', '2', '3'].filter((core) => seen.has(ROOM, 'core', digest(core)));
    assert.deepEqual([has(), seen.knows(ROOM), seen.knows(OTHER_ROOM)], [['1'], true, false]);
    seen.tell(versions('2'));
    assert.deepEqual(has(), ['1', '2']);
    now += 1000;
    seen.tell(versions('3'));
    assert.deepEqual(has(), ['1', '3']);
    now += 5000;
    assert.deepEqual(has(), ['3']);
    seen.tell(new Map());
    assert.deepEqual([has(), seen.knows(ROOM)], [['3'], false]);
    seen.show(versions('1'));
    assert.deepEqual([has(), seen.knows(ROOM)], [['1'], true]);
  });

  it('lasts over a restart of the server with its session', () => {
    const seen = new Seen(versions('1'));
    const again = new Seen(new Map(JSON.parse(JSON.stringify([...seen.shown]))));
    assert.deepEqual(
      [again.has(ROOM, 'core', digest('1')), again.has(ROOM, 'extra', digest('1')), again.knows(ROOM)],
      [true, true, true],
    );
  });
});

describe('bookmarks: what was there before', () => {
  let disk: Disk;
  let host: TestHost | undefined;
  const before = BOOKMARK_MODULES.filter(({ name }) => name !== 'bookmarks');
  beforeEach(async () => {
    disk = await Disk.create();
  });
  afterEach(async () => {
    await host?.stop();
    host = undefined;
    await disk.close();
  });

  /** Starts the server anew, with or without bookmarks. */
  async function restart(modules = BOOKMARK_MODULES): Promise<Probe> {
    await host?.stop();
    host = await startBookmarks({ storage: disk.mount() }, modules);
    return host.login('juliet', 'r');
  }

  it('in private storage is taken over once, before its client can ask', async () => {
    await writePrivate(await restart(before), conference(ROOM, "name='A'", '<nick>JC</nick>'), URL, conference('@@'));
    const juliet = await restart();
    assert.deepEqual(await seenNatively(juliet), [`${ROOM} A nick=JC`]);
    assert.equal((await seenByOthers(juliet)).length, 3);
    await retract(juliet, ROOM);
    const later = await restart();
    assert.deepEqual(await seenNatively(later), []);
    assert.equal((await seenByOthers(later)).length, 2);
  });

  it('in the node of the older specification is taken over too, and the node ends', async () => {
    const first = await restart(before);
    await writeNode(first, conference(ROOM, "name='A'"), URL);
    await writePrivate(first, conference(OTHER_ROOM));
    const juliet = await restart();
    assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM, `${ROOM} A`]);
    assert.equal((await seenByOthers(juliet)).length, 3);
    await writePrivate(juliet);
    const later = await restart();
    assert.deepEqual([await seenNatively(later), await seenByOthers(later)], [[], []]);
    const romeo = await host!.online('romeo');
    assert.equal(conditionOf(await ask(romeo, 'get', `<items node='${OLD}'/>`, { to: 'juliet@example.org' })), 'item-not-found');
  });

  it('does not take the place of what is there', async () => {
    const first = await restart(before);
    // In a node that was made as any other: with one item, and for contacts to read.
    await publish(first, ROOM, native("name='New'"));
    await writePrivate(first, conference(ROOM, "name='Old'"), conference(OTHER_ROOM));
    const juliet = await restart();
    assert.deepEqual(await seenNatively(juliet), [OTHER_ROOM, `${ROOM} New`]);
    assert.deepEqual(await seenByOthers(juliet), [OTHER_ROOM, `${ROOM} New`]);
    juliet.send('<presence/>');
    const romeo = await host!.online('romeo');
    await subscribe(romeo, juliet);
    const reply = await ask(romeo, 'get', `<items node='${NATIVE}'/>`, { to: 'juliet@example.org' });
    assert.equal(conditionOf(reply), 'not-allowed');
  });

  it('is there after a restart as it was', async () => {
    const juliet = await restart();
    await publish(juliet, ROOM, native("name='A'", '<nick>JC</nick>'));
    await writePrivate(juliet, ...(await readPrivate(juliet)).map(String), conference(OTHER_ROOM), URL);
    const there = [await seenNatively(juliet), await seenByOthers(juliet)];
    const later = await restart();
    assert.deepEqual([await seenNatively(later), await seenByOthers(later)], there);
  });

  it('goes with its account', async () => {
    const juliet = await restart();
    await writePrivate(juliet, conference(ROOM), URL);
    await host!.host.accounts.delete('juliet');
    await settle();
    const another = await host!.login('juliet', 'r');
    assert.deepEqual([await seenNatively(another), await seenByOthers(another)], [[], []]);
  });

  it('can be read without private storage: older clients have their node', async () => {
    const juliet = await restart(BOOKMARK_MODULES.filter(({ name }) => name !== privateStorage.name));
    await writeNode(juliet, conference(ROOM));
    assert.deepEqual([await seenNatively(juliet), (await readNode(juliet)).length], [[ROOM], 1]);
    const answer = await ask(
      juliet,
      'set',
      `<publish node='${OLD}'><item><storage xmlns='${OLD}'>${URL}</storage></item></publish>`,
    );
    assert.equal(conditionOf(answer), 'not-acceptable');
    assert.deepEqual(await seenNatively(juliet), [ROOM]);
  });

  it('is nobody else’s business, whoever has made the node and without a word about that', async () => {
    const juliet = await restart();
    juliet.send('<presence/>');
    const romeo = await client(host!, 'romeo/orchard', NATIVE, OLD);
    await subscribe(romeo, juliet);
    await publish(juliet, ROOM);
    await writePrivate(juliet, conference(ROOM), conference(OTHER_ROOM));
    assert.deepEqual(await told(romeo), []);
    const to = 'juliet@example.org';
    for (const node of [NATIVE, OLD]) {
      assert.match(String(conditionOf(await ask(romeo, 'get', `<items node='${node}'/>`, { to }))), /not-allowed|item-not-found/);
      const subscription = `<subscribe node='${node}' jid='${romeo.session.jid.bare}'/>`;
      assert.match(String(conditionOf(await ask(romeo, 'set', subscription, { to }))), /not-allowed|item-not-found/);
      const item = `<publish node='${node}'><item id='x@y'>${native()}</item></publish>`;
      assert.match(String(conditionOf(await ask(romeo, 'set', item, { to }))), /forbidden|item-not-found/);
    }
    const list = await romeo.ask(`<iq type='get' to='${to}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
    assert.deepEqual(
      list
        .getChild('query')!
        .getChildElements()
        .filter(({ attrs }) => attrs['node'] !== undefined),
      [],
    );
    assert.equal((await items(juliet)).size, 2);
  });
});
