import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import disco from '../../../modules/disco/index.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { bodiesOf, OfflineScene } from '../../support/offline-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';

const NS = 'http://jabber.org/protocol/offline';

describe('offline: flexible retrieval (XEP-0013)', () => {
  let scene: OfflineScene;
  let juliet: Probe;
  beforeEach(async () => {
    scene = await OfflineScene.open({}, {}, [disco]);
    await scene.write('1', '2', '3');
    juliet = await scene.host.login('juliet', 'balcony');
  });
  afterEach(() => scene.host.stop());

  const query = (what: 'info' | 'items', to = '') =>
    `<iq type='get' ${to}><query xmlns='http://jabber.org/protocol/disco#${what}' node='${NS}'/></iq>`;
  const ask = (type: string, inner: string, to = '') => `<iq type='${type}' ${to}><offline xmlns='${NS}'>${inner}</offline></iq>`;
  const item = (action: string, node: string) => `<item action='${action}' node='${node}'/>`;

  async function headers(): Promise<readonly string[]> {
    const list = payloadOf(await juliet.ask(query('items')));
    return list.getChildren('item').map(({ attrs }) => String(attrs['node']));
  }

  it('is announced by the server (section 2.1)', async () => {
    const info = infoOf(
      payloadOf(await juliet.ask("<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")),
    );
    for (const feature of [NS, 'msgoffline']) assert(info.features.includes(feature), feature);
  });

  it('says how many messages there are (section 2.2)', async () => {
    const info = payloadOf(await juliet.ask(query('info')));
    assert.deepEqual(infoOf(info), { identities: ['automation/message-list'], features: [NS] });
    const fields = info.getChild('x', 'jabber:x:data')!.getChildren('field');
    assert.deepEqual(
      fields.map((field) => [field.attrs['var'], field.getChildText('value')]),
      [
        ['FORM_TYPE', NS],
        ['number_of_messages', '3'],
      ],
    );
  });

  it('lists their senders and ids, oldest first (section 2.3)', async () => {
    const items = payloadOf(await juliet.ask(query('items'))).getChildren('item');
    assert.deepEqual(
      items.map(({ attrs }) => [attrs['jid'], attrs['name']]),
      Array(3).fill(['juliet@example.org', scene.romeo.jid]),
    );
    const nodes = items.map(({ attrs }) => String(attrs['node']));
    assert.deepEqual(nodes, [...nodes].sort());
    assert.equal(new Set(nodes).size, 3);
  });

  it('shows single messages, then the result, and keeps them (section 2.4)', async () => {
    const [first, , third] = await headers();
    juliet.send(ask('get', item('view', third!) + item('view', first!)).replace('<iq', "<iq id='view1'"));
    const got = [await juliet.receive('message'), await juliet.receive('message'), await juliet.receive('iq')];
    assert.deepEqual(bodiesOf(got), ['1', '3']);
    assert.equal(got[0]!.getChild('offline', NS)?.getChild('item')?.attrs['node'], first);
    assert(got[0]!.getChild('delay', 'urn:xmpp:delay'));
    assert.deepEqual([got[2]!.attrs['type'], got[2]!.attrs['id'], got[2]!.children], ['result', 'view1', []]);
    assert.equal((await headers()).length, 3);
  });

  it('shows all of them (section 2.6)', async () => {
    juliet.send(ask('get', '<fetch/>').replace('<iq', "<iq id='fetch1'"));
    await settle();
    const got = juliet.take();
    assert.deepEqual(bodiesOf(got), ['1', '2', '3']);
    assert.equal(got.at(-1)?.attrs['id'], 'fetch1');
    assert.equal((await headers()).length, 3);
  });

  it('removes single messages (section 2.5)', async () => {
    const [first, second, third] = await headers();
    const reply = await juliet.ask(ask('set', item('remove', first!) + item('remove', third!)));
    assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
    assert.deepEqual(await headers(), [second]);
  });

  it('removes all of them (section 2.7), and then there is room for others', async () => {
    assert.equal((await juliet.ask(ask('set', '<purge/>'))).attrs['type'], 'result');
    assert.deepEqual(await headers(), []);
    await scene.write('4');
    assert.equal((await headers()).length, 1);
  });

  it('does nothing when one of several messages is not there', async () => {
    const [first] = await headers();
    for (const [type, action] of [
      ['get', 'view'],
      ['set', 'remove'],
    ] as const) {
      assert.equal(conditionOf(await juliet.ask(ask(type, item(action, first!) + item(action, 'nonsense')))), 'item-not-found');
    }
    assert.equal((await headers()).length, 3);
    assert.deepEqual(juliet.take(), []);
  });
});

describe('offline: flexible retrieval and others (XEP-0013)', () => {
  let scene: OfflineScene;
  let juliet: Probe;
  beforeEach(async () => {
    scene = await OfflineScene.open({}, {}, [disco]);
    await scene.write('1', '2', '3');
    juliet = await scene.host.login('juliet', 'balcony');
  });
  afterEach(() => scene.host.stop());

  const query = (what: 'info' | 'items', to = '') =>
    `<iq type='get' ${to}><query xmlns='http://jabber.org/protocol/disco#${what}' node='${NS}'/></iq>`;
  const ask = (type: string, inner: string, to = '') => `<iq type='${type}' ${to}><offline xmlns='${NS}'>${inner}</offline></iq>`;
  const item = (action: string, node: string) => `<item action='${action}' node='${node}'/>`;

  async function headers(): Promise<readonly string[]> {
    const list = payloadOf(await juliet.ask(query('items')));
    return list.getChildren('item').map(({ attrs }) => String(attrs['node']));
  }

  for (const question of ['info', 'items'] as const) {
    it(`ends plain delivery for who has asked for ${question} (section 2.2), but not for what comes later`, async () => {
      await juliet.ask(query(question));
      juliet.send('<presence/>');
      await juliet.quiet();
      await scene.write('4');
      const live = await juliet.receive('message');
      assert.deepEqual([live.getChildText('body'), live.getChild('delay', 'urn:xmpp:delay')], ['4', undefined]);
    });
  }

  it('ends plain delivery for the other clients too, as long as this one is there', async () => {
    await juliet.ask(query('info'));
    juliet.send('<presence/>');
    assert.deepEqual((await scene.arrive('chamber')).bodies, []);
    juliet.leave();
    await settle();
    const { bodies } = await scene.arrive('garden');
    assert.deepEqual(bodies, ['1', '2', '3']);
  });

  it('is for oneself only, and tells nobody which accounts there are (section 2.3)', async () => {
    const { romeo } = scene;
    for (const to of ["to='juliet@example.org'", "to='nobody@example.org'"]) {
      const asked: Element[] = [];
      for (const what of ['info', 'items'] as const) asked.push(await romeo.ask(query(what, to)));
      asked.push(await romeo.ask(ask('get', '<fetch/>', to)), await romeo.ask(ask('set', '<purge/>', to)));
      for (const reply of asked) assert.equal(conditionOf(reply), 'forbidden');
    }
    assert.equal((await headers()).length, 3);
  });

  for (const [what, type, inner] of [
    ['nothing', 'get', ''],
    ['a view that sets', 'set', item('view', 'x')],
    ['a removal that gets', 'get', item('remove', 'x')],
    ['an unknown action', 'get', item('read', 'x')],
    ['an item without an id', 'get', "<item action='view'/>"],
    ['an item without an action', 'set', "<item node='x'/>"],
    ['something else', 'set', '<burn/>'],
    ['a purge and more', 'set', '<purge/><purge/>'],
    ['a purge that gets', 'get', '<purge/>'],
    ['a fetch that sets', 'set', '<fetch/>'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      assert.equal(conditionOf(await juliet.ask(ask(type, inner))), 'bad-request');
      assert.equal((await headers()).length, 3);
    });
  }

  it('copes with thousands of ids in one request', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => item('remove', `id${i}`)).join('');
    assert.equal(conditionOf(await juliet.ask(ask('set', many))), 'item-not-found');
    assert.equal((await headers()).length, 3);
  });
});
