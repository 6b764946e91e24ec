// What lasts: over a restart, over a disk that fails, and over the end of an account.
import assert from 'node:assert/strict';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import {
  affiliate,
  ask,
  configure,
  create,
  get,
  idsOf,
  news,
  PubSubScene,
  page,
  publication,
  publish,
  refusalOf,
  set,
  setOptions,
  subscribe,
} from '../../support/pubsub-scene.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { Disk } from '../../support/sm-client.ts';

/** All that owners see of a node. */
async function stateOf(probe: Probe, node: string): Promise<readonly string[]> {
  const parts = [
    await ask(probe, 'get', `<configure node='${node}'/>`, '#owner'),
    await ask(probe, 'get', `<affiliations node='${node}'/>`, '#owner'),
    await ask(probe, 'get', `<subscriptions node='${node}'/>`, '#owner'),
    await ask(probe, 'get', `<items node='${node}'/>`),
  ];
  return parts.map((answer) => {
    if (answer.attrs['type'] !== 'result') return refusalOf(answer);
    const entries = answer.getChild('pubsub')!.getChildElements()[0]!.getChildElements().map(String);
    // People are in no order.
    return String(answer).includes('#owner') ? entries.sort().join('') : entries.join('');
  });
}

async function listed(probe: Probe, what: 'affiliations' | 'subscriptions'): Promise<readonly string[]> {
  const list = (await get(probe, `<${what}/>`)).getChild('pubsub')!.getChild(what)!;
  return list.getChildElements().map(({ attrs }) => `${attrs['node']}: ${attrs['affiliation'] ?? attrs['subscription']}`);
}

describe('pubsub: a restart', () => {
  let disk: Disk;
  let scene: PubSubScene;
  beforeEach(async () => {
    disk = await Disk.create();
    scene = await PubSubScene.open({}, { storage: disk.mount() });
  });
  afterEach(async () => {
    await scene.stop();
    await disk.close();
  });

  async function restart(): Promise<Probe[]> {
    await scene.stop();
    scene = await PubSubScene.open({}, { storage: disk.mount() });
    return scene.clients('owner', 'ann', 'bob');
  }

  it('leaves nodes, items, affiliations, subscriptions and their options as they were', async () => {
    let [owner, ann, bob] = (await scene.clients('owner', 'ann', 'bob')) as [Probe, Probe, Probe];
    await create(owner, 'news', { title: 'News', max_items: '3', send_last_published_item: 'on_sub' });
    await publish(owner, 'news', 'i1', 'i2', 'i3', 'i4', 'i2');
    await affiliate(owner, 'news', 'ann@example.org', 'publisher');
    await affiliate(owner, 'news', 'cat@example.org', 'outcast');
    await subscribe(ann, 'news');
    await subscribe(bob, 'news');
    await setOptions(bob, 'news', { deliver: '0' });
    await create(ann, 'empty', { access_model: 'authorize' });
    await subscribe(bob, 'empty');
    await create(bob, 'given');
    await affiliate(bob, 'given', 'ann@example.org', 'owner');
    await affiliate(ann, 'given', 'bob@example.org', 'none');
    const before = [await stateOf(owner, 'news'), await stateOf(ann, 'empty'), await stateOf(ann, 'given')];
    const lists = [await listed(ann, 'affiliations'), await listed(bob, 'affiliations'), await listed(bob, 'subscriptions')];
    for (let round = 0; round < 2; round++) {
      [owner, ann, bob] = (await restart()) as [Probe, Probe, Probe];
      assert.deepEqual([await stateOf(owner, 'news'), await stateOf(ann, 'empty'), await stateOf(ann, 'given')], before);
      assert.deepEqual((await stateOf(bob, 'given'))[0], 'forbidden', 'whoever has given it away does not get it back');
      assert.deepEqual(
        [await listed(ann, 'affiliations'), await listed(bob, 'affiliations'), await listed(bob, 'subscriptions')],
        lists,
      );
    }
    assert.deepEqual(await idsOf(bob, 'news'), ['i3', 'i4', 'i2']);
    // It goes on from there.
    await publish(ann, 'news', 'i5');
    assert.deepEqual(await news(ann), ['+i5', '-i3']);
    assert.deepEqual(await news(bob), []);
    assert.equal(refusalOf(await ask(bob, 'get', "<items node='empty'/>")), 'not-authorized, not-subscribed');
    const again = await ask(bob, 'set', `<subscribe node='empty' jid='${bob.jid}'/>`);
    assert.equal(refusalOf(again), 'not-authorized, pending-subscription');
  });

  it('leaves the last item to those who come', async () => {
    const [owner, ann] = (await scene.clients('owner', 'ann')) as [Probe, Probe];
    await create(owner, 'news');
    await subscribe(ann, 'news', undefined, 'ann@example.org');
    await publish(owner, 'news', 'i1', 'i2');
    await restart();
    const phone = await scene.host.login('ann', 'phone');
    phone.send('<presence/>');
    assert.deepEqual(await news(phone), ['*i2']);
  });

  it('leaves nothing of a node that was deleted', async () => {
    let [owner, ann] = (await scene.clients('owner', 'ann')) as [Probe, Probe];
    await create(owner, 'news');
    await subscribe(ann, 'news');
    await publish(owner, 'news', 'i1');
    await set(owner, "<delete node='news'/>", '#owner');
    await create(ann, 'news');
    [owner, ann] = (await restart()) as [Probe, Probe];
    assert.deepEqual(await listed(ann, 'subscriptions'), []);
    assert.deepEqual(await listed(owner, 'affiliations'), []);
    assert.deepEqual(await idsOf(ann, 'news'), []);
    await affiliate(ann, 'news', 'bob@example.org', 'member');
    [owner, ann] = (await restart()) as [Probe, Probe];
    assert.equal((await stateOf(ann, 'news'))[2]!.includes('ann@example.org'), false, 'those of before do not come back');
  });
});

describe('pubsub: a disk', () => {
  let items: SlowWrites;
  let scene: PubSubScene;
  let owner: Probe;
  let ann: Probe;

  beforeEach(async () => {
    items = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    scene = await PubSubScene.open({}, { storage: items.storage });
    [owner, ann] = (await scene.clients('owner', 'ann')) as [Probe, Probe];
    await create(owner, 'news', { max_items: '3' });
    await subscribe(ann, 'news');
  });
  afterEach(async () => {
    items.release();
    // That the disk is full is logged.
    scene.host.faults.length = 0;
    await scene.stop();
  });

  it('that is slow: nobody hears of what is not kept, and then in order', async () => {
    const bob = await scene.host.login('owner', 'other');
    await publish(owner, 'news', 'i0');
    await news(ann);
    items.hold();
    const answers = [ask(owner, 'set', publication('news', 'i1')), ask(bob, 'set', publication('news', 'i2'))];
    await settle();
    assert.deepEqual(await news(ann), []);
    assert.equal((await page(ann, 'news', '<max>0</max>')).count, 1);
    items.release();
    await Promise.all(answers);
    assert.deepEqual(await news(ann), ['+i1', '+i2']);
    assert.equal((await page(ann, 'news', '<max>0</max>')).count, 3);
    // What was counted while others wrote makes no room for a fourth one.
    await publish(owner, 'news', 'i3');
    assert.deepEqual(await news(ann), ['+i3', '-i0']);
    assert.deepEqual(await idsOf(ann, 'news'), ['i1', 'i2', 'i3']);
  });

  for (const [whenFull, expected] of [
    ['reject', ['+i3']],
    ['retract-oldest', ['+i3', '+i4', '-i1', '+i5', '-i2', '+i6', '-i3']],
    ['discard-oldest', ['+i3', '+i4', '+i5', '+i6']],
  ] as const) {
    it(`that is slow: those who wait for their turn have the room that is left then (${whenFull})`, async () => {
      await configure(owner, 'news', { publish_node_full: whenFull });
      await publish(owner, 'news', 'i1', 'i2');
      await news(ann);
      const clients = await Promise.all(['a', 'b', 'c', 'd'].map((resource) => scene.host.login('owner', resource)));
      items.hold();
      const configuring = configure(owner, 'news', { title: 'News' });
      await settle();
      const publishing: Promise<unknown>[] = [];
      for (const [i, probe] of clients.entries()) {
        publishing.push(ask(probe, 'set', publication('news', `i${i + 3}`)));
        await settle();
      }
      items.release();
      await Promise.all([configuring, ...publishing]);
      assert.deepEqual(await news(ann), expected);
      assert.deepEqual(await idsOf(ann, 'news'), whenFull === 'reject' ? ['i1', 'i2', 'i3'] : ['i4', 'i5', 'i6']);
    });
  }

  it('that is slow: what is being removed is nobody’s last item afterwards', async () => {
    await publish(owner, 'news', 'i1', 'i2');
    await news(ann);
    items.hold();
    const retracting = set(owner, "<retract node='news'><item id='i2'/></retract>");
    await settle();
    ann.send("<presence type='unavailable'/>");
    ann.send('<presence/>');
    assert.deepEqual(await news(ann), ['*i2'], 'it is still there');
    items.release();
    await retracting;
    const bob = await scene.host.online('bob', 'r');
    await subscribe(bob, 'news');
    assert.deepEqual(await news(bob), ['*i1']);
  });

  it('that is slow: a subscriber hears what they have subscribed to once they have', async () => {
    items.hold();
    const bob = await scene.host.online('bob', 'r');
    const subscribing = ask(bob, 'set', `<subscribe node='news' jid='${bob.jid}'/>`);
    const publishing = ask(owner, 'set', publication('news', 'i1'));
    await settle();
    items.release();
    await Promise.all([subscribing, publishing]);
    assert.deepEqual(await news(bob), ['+i1']);
  });

  /** What must not have changed by what failed, and must work afterwards. */
  const FAILURES: Readonly<Record<string, readonly [request: string, at: '' | '#owner']>> = {
    'an item': [publication('news', 'i9'), ''],
    'one that puts another one out': [publication('news', 'i9'), ''],
    'one less': ["<retract node='news'><item id='i1'/></retract>", ''],
    'no items': ["<purge node='news'/>", '#owner'],
    'a node': ["<create node='other'/>", ''],
    'a node less': ["<delete node='news'/>", '#owner'],
    'a configuration': [
      "<configure node='news'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#title'><value>T</value></field></x></configure>",
      '#owner',
    ],
    'an affiliation': [
      "<affiliations node='news'><affiliation jid='bob@example.org' affiliation='owner'/></affiliations>",
      '#owner',
    ],
    'a subscription less': [
      "<subscriptions node='news'><subscription jid='ann@example.org/r' subscription='none'/></subscriptions>",
      '#owner',
    ],
  };
  for (const [name, [request, at]] of Object.entries(FAILURES)) {
    it(`that is full: ${name} cannot be written, nothing is different, and nobody hears of it`, async () => {
      await publish(owner, 'news', 'i1', 'i2');
      if (name.startsWith('one that')) await publish(owner, 'news', 'i3');
      await news(ann);
      const before = await stateOf(owner, 'news');
      items.fail();
      const answer = await ask(owner, 'set', request, at);
      assert.match(refusalOf(answer), /internal-server-error|resource-constraint/);
      assert.deepEqual(await news(ann), []);
      assert.deepEqual(await stateOf(owner, 'news'), before);
      items.release();
      assert.equal((await ask(owner, 'set', request, at)).attrs['type'], 'result');
    });
  }

  it('that is full: a subscription cannot be written', async () => {
    const bob = await scene.host.online('bob', 'r');
    items.fail();
    assert.match(
      refusalOf(await ask(bob, 'set', `<subscribe node='news' jid='${bob.jid}'/>`)),
      /internal-server-error|resource-constraint/,
    );
    items.release();
    assert.deepEqual(await listed(bob, 'subscriptions'), []);
    await publish(owner, 'news', 'i1');
    assert.deepEqual(await news(bob), []);
    await subscribe(bob, 'news');
    assert.deepEqual(await news(bob), ['*i1']);
  });

  it('that is full for some of many at once: what is told is what is kept', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => scene.host.login('owner', `c${i}`)));
    await configure(owner, 'news', { max_items: '100' });
    await publish(owner, 'news', 'first');
    let writes = 0;
    items.fail(({ store, does }) => store === 'items' && does === 'put' && ++writes % 3 === 0);
    const answers = await Promise.all(
      clients.flatMap((probe, i) => [0, 1].map((n) => ask(probe, 'set', publication('news', `i${i}-${n}`)))),
    );
    items.release();
    assert.equal(answers.filter(({ attrs }) => attrs['type'] === 'error').length, 5);
    const there = await idsOf(owner, 'news');
    assert.deepEqual(
      await news(ann),
      there.map((id) => `+${id}`),
    );
    assert.equal((await page(ann, 'news', '<max>0</max>')).count, there.length);
  });

  it('that is full in the middle of deleting a node: it is empty, and can be deleted', async () => {
    await publish(owner, 'news', 'i1');
    await news(ann);
    items.fail(({ store }) => store === 'nodes');
    assert.match(
      refusalOf(await ask(owner, 'set', "<delete node='news'/>", '#owner')),
      /internal-server-error|resource-constraint/,
    );
    assert.deepEqual(await news(ann), []);
    items.release();
    assert.deepEqual(await idsOf(owner, 'news'), []);
    assert.equal((await page(owner, 'news', '<max>0</max>')).count, 0);
    const bob = await scene.host.online('bob', 'r');
    await subscribe(bob, 'news');
    assert.deepEqual(await news(bob), [], 'no last item of what is gone');
    await set(owner, "<delete node='news'/>", '#owner');
    assert.equal(refusalOf(await ask(owner, 'get', "<items node='news'/>")), 'item-not-found');
  });
});

describe('pubsub: the end of an account', () => {
  let scene: PubSubScene;
  beforeEach(async () => {
    scene = await PubSubScene.open();
  });
  afterEach(() => scene.stop());

  it('takes what it alone has owned, and leaves nothing to whoever gets its name', async () => {
    const [gone, ann] = (await scene.clients('gone', 'ann')) as [Probe, Probe];
    await create(gone, 'own');
    await subscribe(ann, 'own');
    await create(gone, 'shared');
    await affiliate(gone, 'shared', 'ann@example.org', 'owner');
    await create(ann, 'theirs', { access_model: 'whitelist' });
    await affiliate(ann, 'theirs', 'gone@example.org', 'member');
    await subscribe(gone, 'theirs');
    await subscribe(gone, 'shared');
    ann.take();
    await scene.host.host.accounts.delete('gone');
    assert.deepEqual(await news(ann), ['delete']);
    const [again] = (await scene.clients('gone')) as [Probe];
    assert.deepEqual(await listed(again, 'affiliations'), []);
    assert.deepEqual(await listed(again, 'subscriptions'), []);
    assert.equal(refusalOf(await ask(again, 'get', "<items node='theirs'/>")), 'not-allowed, closed-node');
    assert.equal((await stateOf(again, 'shared'))[0], 'forbidden');
    assert.equal((await stateOf(ann, 'shared'))[1]!.includes('gone@example.org'), false);
    assert.equal(refusalOf(await ask(ann, 'get', "<items node='own'/>")), 'item-not-found');
    await create(again, 'own');
  });
});
