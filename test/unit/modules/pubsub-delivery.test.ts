// Who hears of what: by access, by options, by presence, and when they come.
import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { subscribe as befriend } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import {
  affiliate,
  ask,
  configure,
  create,
  get,
  idsOf,
  news,
  newsIn,
  PUBSUB,
  PubSubScene,
  publication,
  publish,
  refusalOf,
  SERVICE,
  set,
  setOptions,
  subscribe,
} from '../../support/pubsub-scene.ts';

const HOUR = 3_600_000;

describe('pubsub: delivery', () => {
  let scene: PubSubScene;
  let owner: Probe;
  let ann: Probe;
  let bob: Probe;

  beforeEach(async () => {
    scene = await PubSubScene.open();
    [owner, ann, bob] = (await scene.clients('owner', 'ann', 'bob')) as [Probe, Probe, Probe];
  });
  afterEach(() => scene.stop());

  const subscriptionsOf = async (probe: Probe): Promise<readonly string[]> =>
    (await get(probe, '<subscriptions/>'))
      .getChild('pubsub')!
      .getChild('subscriptions')!
      .getChildElements()
      .map(({ attrs }) => `${attrs['node']}: ${attrs['subscription']}`);

  async function say(probe: Probe, presence: string): Promise<void> {
    probe.send(presence);
    await settle();
  }

  describe('of the last item', () => {
    beforeEach(async () => {
      await create(owner, 'news');
      await publish(owner, 'news', 'i1', 'i2');
    });

    it('is once for who subscribes', async () => {
      await subscribe(ann, 'news');
      assert.deepEqual(await news(ann), ['*i2']);
      await subscribe(ann, 'news');
      await setOptions(ann, 'news', { deliver: '1' });
      await subscribe(ann, 'news', { deliver: '1' });
      assert.deepEqual(await news(ann), []);
    });

    it('is for everybody who subscribes while others publish, and each then hears all that follows', async () => {
      const names = Array.from({ length: 20 }, (_, i) => `s${i}`);
      const subscribers = await scene.clients(...names);
      const publishers = await Promise.all([1, 2, 3].map((i) => scene.host.login('owner', `p${i}`)));
      await Promise.all([
        ...publishers.map((probe, i) => publish(probe, 'news', ...names.map((name) => `${i}${name}`))),
        ...subscribers.map((probe) => set(probe, `<subscribe node='news' jid='${probe.jid}'/>`)),
      ]);
      const all = await idsOf(owner, 'news');
      for (const subscriber of subscribers) {
        const [first, ...rest] = await news(subscriber);
        assert.match(first!, /^\*/);
        const at = all.indexOf(first!.slice(1));
        assert.deepEqual(
          rest,
          all.slice(at + 1).map((id) => `+${id}`),
          'nothing is missing, and nothing comes twice',
        );
      }
    });

    it('is once for each client that comes online', async () => {
      await subscribe(ann, 'news', undefined, 'ann@example.org');
      ann.take();
      const phone = await scene.host.login('ann', 'phone');
      await subscribe(phone, 'news');
      phone.take();
      await say(phone, '<presence/>');
      assert.deepEqual(await news(phone), ['*i2'], 'by two subscriptions, and yet once');
      await say(phone, '<presence><show>away</show></presence>');
      await say(phone, '<presence/>');
      assert.deepEqual(await news(phone), []);
      assert.deepEqual(await news(ann), []);
      await say(phone, "<presence type='unavailable'/>");
      await say(phone, '<presence/>');
      assert.deepEqual(await news(phone), ['*i2']);
    });

    it('is only for those who want to hear, and may', async () => {
      await subscribe(ann, 'news', { deliver: '0' });
      assert.deepEqual(await news(ann), []);
      await subscribe(bob, 'news', { 'show-values': 'dnd' });
      assert.deepEqual(await news(bob), []);
      await say(ann, "<presence type='unavailable'/>");
      await say(ann, '<presence/>');
      assert.deepEqual(await news(ann), []);
      await say(bob, "<presence type='unavailable'/>");
      await say(bob, '<presence><show>dnd</show></presence>');
      assert.deepEqual(await news(bob), ['*i2']);
      await configure(owner, 'news', { access_model: 'whitelist' });
      await say(bob, "<presence type='unavailable'/>");
      await say(bob, '<presence><show>dnd</show></presence>');
      assert.deepEqual(await news(bob), []);
    });

    for (const [value, onSubscribing, onComing] of [
      ['never', [], []],
      ['on_sub', ['*i2'], []],
      ['on_sub_and_presence', ['*i2'], ['*i2']],
    ] as const) {
      it(`is as the node says: ${value}`, async () => {
        await configure(owner, 'news', { send_last_published_item: value });
        await subscribe(ann, 'news');
        assert.deepEqual(await news(ann), onSubscribing);
        await say(ann, "<presence type='unavailable'/>");
        await say(ann, '<presence/>');
        assert.deepEqual(await news(ann), onComing);
      });
    }

    it('is of the one before when the last one is removed, and of none when all are', async () => {
      await set(owner, "<retract node='news'><item id='i2'/></retract>");
      await subscribe(ann, 'news');
      assert.deepEqual(await news(ann), ['*i1']);
      await set(owner, "<retract node='news'><item id='i1'/></retract>");
      await subscribe(bob, 'news');
      assert.deepEqual(await news(bob), []);
    });

    it('has the time of its publication', async () => {
      await subscribe(ann, 'news');
      const stamp = ann.take()[0]!.getChild('delay', 'urn:xmpp:delay')!.attrs['stamp'];
      assert.ok(Date.parse(stamp) <= Date.now());
    });

    it('is there when it is long', async () => {
      await set(owner, publication('news', 'long', `<e xmlns='urn:example'>${'x'.repeat(50_000)}</e>`));
      await subscribe(ann, 'news');
      assert.deepEqual(await news(ann), ['*long']);
    });
  });

  describe('by options', () => {
    beforeEach(() => create(owner, 'news', { send_last_published_item: 'never' }));

    it('is to those whose show is one of these', async () => {
      await subscribe(ann, 'news', { 'show-values': ['online', 'chat'] });
      const heard: string[] = [];
      for (const show of ['', 'chat', 'away', 'xa', 'dnd']) {
        await say(ann, `<presence>${show && `<show>${show}</show>`}</presence>`);
        await publish(owner, 'news', show || 'online');
        heard.push(...(await news(ann)));
      }
      assert.deepEqual(heard, ['+online', '+chat']);
      await say(ann, "<presence type='unavailable'/>");
      await publish(owner, 'news', 'offline');
      assert.deepEqual(await news(ann), []);
    });

    it('is to an account one of whose clients is so', async () => {
      await subscribe(ann, 'news', { 'show-values': 'away' }, 'ann@example.org');
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await news(ann), []);
      const phone = await scene.host.login('ann', 'phone');
      await say(phone, '<presence><show>away</show></presence>');
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(phone), ['+i2']);
    });

    it('ends when it is said to, as if it had never been', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() });
      try {
        const until = new Date(Date.now() + HOUR).toISOString();
        await subscribe(ann, 'news', { expire: until });
        await publish(owner, 'news', 'i1');
        assert.deepEqual(await news(ann), ['+i1']);
        mock.timers.tick(HOUR + 1);
        await publish(owner, 'news', 'i2');
        assert.deepEqual(await news(ann), []);
        assert.deepEqual(await subscriptionsOf(ann), []);
        const list = await get(owner, "<subscriptions node='news'/>", '#owner');
        assert.deepEqual(list.getChild('pubsub')!.getChild('subscriptions')!.getChildElements(), []);
        const gone = await ask(ann, 'set', `<unsubscribe node='news' jid='${ann.jid}'/>`);
        assert.equal(refusalOf(gone), 'unexpected-request, not-subscribed');
        // They may come again.
        await subscribe(ann, 'news');
        await publish(owner, 'news', 'i3');
        assert.deepEqual(await news(ann), ['+i3']);
        assert.deepEqual(await subscriptionsOf(ann), ['news: subscribed']);
      } finally {
        mock.timers.reset();
      }
    });

    it('can be renewed, and never ended by a time that is over', async () => {
      await subscribe(ann, 'news', { expire: new Date(Date.now() + HOUR).toISOString() });
      await setOptions(ann, 'news', { expire: new Date(Date.now() + 2 * HOUR).toISOString() });
      await setOptions(ann, 'news', { expire: [] });
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await news(ann), ['+i1']);
      await setOptions(ann, 'news', { expire: '2001-01-01T00:00:00Z' });
      assert.deepEqual(await subscriptionsOf(ann), []);
    });
  });

  describe('by presence', () => {
    it('is to those who are online only, where the node says so', async () => {
      await create(owner, 'news', { presence_based_delivery: '1', notification_type: 'normal' });
      await subscribe(ann, 'news', undefined, 'ann@example.org');
      await subscribe(bob, 'news');
      await publish(owner, 'news', 'i1');
      assert.deepEqual([await news(ann), await news(bob)], [['+i1'], ['+i1']]);
      await say(bob, "<presence type='unavailable'/>");
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(bob), []);
      assert.deepEqual(await news(ann), ['+i2']);
    });

    it('is to those who see that of the owner, where the node says so', async () => {
      await create(owner, 'news', { access_model: 'presence' });
      assert.equal(refusalOf(await ask(ann, 'get', "<items node='news'/>")), 'not-authorized, presence-subscription-required');
      await befriend(ann, owner);
      await subscribe(ann, 'news');
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await news(ann), ['+i1']);
      assert.deepEqual(await idsOf(ann, 'news'), ['i1']);
      // And no longer than they do.
      await say(owner, "<presence to='ann@example.org' type='unsubscribed'/>");
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(ann), []);
      assert.equal(refusalOf(await ask(ann, 'get', "<items node='news'/>")), 'not-authorized, presence-subscription-required');
    });

    it('is to those in certain groups of the owner', async () => {
      const put = (...groups: readonly string[]) =>
        owner.ask(
          `<iq type='set'><query xmlns='jabber:iq:roster'><item jid='ann@example.org'>${groups.map((group) => `<group>${group}</group>`).join('')}</item></query></iq>`,
        );
      await create(owner, 'news', { access_model: 'roster', roster_groups_allowed: ['friends', 'courtiers'] });
      await befriend(ann, owner);
      await put('enemies');
      assert.equal(
        refusalOf(await ask(ann, 'set', `<subscribe node='news' jid='${ann.jid}'/>`)),
        'not-authorized, not-in-roster-group',
      );
      await put('enemies', 'courtiers');
      await subscribe(ann, 'news');
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await news(ann), ['+i1']);
      await put();
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(ann), []);
      assert.equal(refusalOf(await ask(ann, 'get', "<items node='news'/>")), 'not-authorized, not-in-roster-group');
    });
  });

  describe('by access', () => {
    it('is to members of a whitelist, as long as they are', async () => {
      await create(owner, 'news');
      await subscribe(ann, 'news');
      await subscribe(bob, 'news');
      await affiliate(owner, 'news', 'ann@example.org', 'member');
      await configure(owner, 'news', { access_model: 'whitelist' });
      await publish(owner, 'news', 'i1');
      assert.deepEqual([await news(ann), await news(bob)], [['+i1'], []]);
      await affiliate(owner, 'news', 'ann@example.org', 'none');
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(ann), []);
      for (const request of ["<items node='news'/>", "<items node='news'><item id='i1'/></items>"])
        assert.equal(refusalOf(await ask(ann, 'get', request)), 'not-allowed, closed-node');
    });

    it('is not to outcasts, who are told so', async () => {
      await create(owner, 'news');
      await subscribe(ann, 'news');
      await affiliate(owner, 'news', 'ann@example.org', 'outcast');
      assert.deepEqual(await news(ann), ['subscription']);
      await publish(owner, 'news', 'i1');
      assert.deepEqual(await news(ann), []);
      // That they may come back does not mean that they have.
      await affiliate(owner, 'news', 'ann@example.org', 'none');
      await publish(owner, 'news', 'i2');
      assert.deepEqual(await news(ann), []);
    });

    it('tells owners of who comes and goes, where the node says so', async () => {
      await create(owner, 'news', { notify_sub: '1' });
      await subscribe(ann, 'news');
      await set(ann, `<unsubscribe node='news' jid='${ann.jid}'/>`);
      const states = owner.take().map((message) => message.getChild('event')!.getChild('subscription')!.attrs);
      assert.deepEqual(
        states.map((attrs) => `${attrs['jid']} ${attrs['subscription']}`),
        [`${ann.jid} subscribed`, `${ann.jid} none`],
      );
    });
  });

  describe('to other servers', () => {
    it('is as to clients here, and nobody makes nodes from there', async () => {
      const elsewhere = new Elsewhere(scene.host, 'remote.example');
      const request = (inner: string, ns = '') =>
        elsewhere.send(
          `<iq type='set' id='r' from='romeo@remote.example/r' to='${SERVICE}'><pubsub xmlns='${PUBSUB}${ns}'>${inner}</pubsub></iq>`,
        );
      await create(owner, 'news', { presence_based_delivery: '1' });
      await request("<subscribe node='news' jid='romeo@remote.example'/>");
      assert.equal((await elsewhere.take())[0]!.attrs['type'], 'result');
      await publish(owner, 'news', 'i1');
      assert.deepEqual(newsIn(await elsewhere.take()), ['+i1']);
      for (const inner of ["<create node='mine'/>", '<create/>']) {
        await request(inner);
        assert.equal(refusalOf((await elsewhere.take())[0]!), 'forbidden');
      }
      // Example 107: it is not made by publishing either.
      await request(publication('mine', 'i1'));
      assert.equal(refusalOf((await elsewhere.take())[0]!), 'item-not-found');
      // Nobody speaks for others.
      await request("<subscribe node='news' jid='juliet@remote.example'/>");
      assert.equal(refusalOf((await elsewhere.take())[0]!), 'bad-request, invalid-jid');
      await request(
        "<subscriptions node='news'><subscription jid='ann@example.org' subscription='none'/></subscriptions>",
        '#owner',
      );
      assert.equal(refusalOf((await elsewhere.take())[0]!), 'forbidden');
    });

    it('comes to nothing where errors come back', async () => {
      const elsewhere = new Elsewhere(scene.host, 'remote.example');
      await elsewhere.send(
        `<message type='error' from='romeo@remote.example' to='${SERVICE}'><x xmlns='jabber:x:data' type='submit'/><error type='cancel'/></message>`,
      );
      await elsewhere.send(`<presence type='subscribe' from='romeo@remote.example' to='${SERVICE}'/>`);
      assert.deepEqual(await elsewhere.take(), []);
    });
  });

  it('makes nodes for whom the config lets', async () => {
    await scene.stop();
    for (const [create, name, expected] of [
      ['admins', 'owner', 'forbidden'],
      ['admins', 'root', undefined],
      ['local', 'owner', undefined],
    ] as const) {
      scene = await PubSubScene.open({ create }, { settings: { admins: ['root@example.org'] } });
      const probe = await scene.host.online(name, 'r');
      const answer = await ask(probe, 'set', "<create node='n'/>");
      assert.equal(answer.attrs['type'] === 'error' ? refusalOf(answer) : undefined, expected);
      if (expected) assert.equal(refusalOf(await ask(probe, 'set', publication('n', 'i'))), 'item-not-found');
      const guest = await scene.host.loginAsGuest();
      assert.equal(refusalOf(await ask(guest, 'set', '<create/>')), 'forbidden');
      if (create !== 'local') await scene.stop();
    }
  });

  it('makes as many nodes as there may be', async () => {
    await scene.stop();
    scene = await PubSubScene.open({ maxNodes: 3 });
    const probe = await scene.host.online('owner', 'r');
    await publish(probe, 'n0', 'i');
    await create(probe, 'n1');
    await create(probe, 'n2');
    assert.equal(refusalOf(await ask(probe, 'set', '<create/>')), 'resource-constraint');
    assert.equal(refusalOf(await ask(probe, 'set', publication('n3', 'i'))), 'resource-constraint');
    await set(probe, "<delete node='n1'/>", '#owner');
    await publish(probe, 'n3', 'i');
  });
});
