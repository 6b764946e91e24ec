import assert from 'node:assert/strict';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import mds, { type DisplayedChat, type MdsApi } from '../../../modules/mds/index.ts';
import { defineModule, firstIdAt, option, sortableId } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import type { Probe } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:mds:displayed:0';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const OPTIONS = `${PUBSUB}#publish-options`;
const JULIET = 'juliet@example.org';

interface Listed {
  readonly chat: string;
  readonly by: string;
  readonly id: string;
}

const displayed = (id: string, by = JULIET) =>
  `<displayed xmlns='${NS}'><stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${id}'/></displayed>`;
const item = (chat: string, inner: string) => `<item id='${chat}'>${inner}</item>`;
const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;
const options = (fields: string, type = OPTIONS) =>
  `<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${type}</value></field>${fields}</x></publish-options>`;
const request = (type: 'get' | 'set', inner: string, to = '') =>
  `<iq type='${type}' ${to && `to='${to}'`}><pubsub xmlns='${PUBSUB}'>${inner}</pubsub></iq>`;
const publish = (items: string, more = '', node = NS) => request('set', `<publish node='${node}'>${items}</publish>${more}`);
const retract = (inner: string, attrs = `node='${NS}'`) => request('set', `<retract ${attrs}>${inner}</retract>`);

async function mark(probe: Probe, chat: string, id: string, by?: string): Promise<void> {
  const reply = await probe.ask(publish(item(chat, displayed(id, by))));
  assert.equal(reply.attrs['type'], 'result', String(reply));
}

async function list(probe: Probe, inner = '', attrs = '', more = ''): Promise<readonly Listed[]> {
  const pubsub = payloadOf(await probe.ask(request('get', `<items node='${NS}' ${attrs}>${inner}</items>${more}`)));
  assert.equal(pubsub.getNS(), PUBSUB);
  const items = pubsub.getChild('items');
  assert.equal(items?.attrs['node'], NS);
  return (items?.getChildren('item') ?? []).map((each) => {
    const stanzaId = each.getChild('displayed', NS)?.getChild('stanza-id', 'urn:xmpp:sid:0');
    return { chat: each.attrs['id'], by: stanzaId?.attrs['by'], id: stanzaId?.attrs['id'] };
  });
}

/** The pubsub-specific condition of an error. */
function detailOf(reply: { getChild(name: string): unknown }): string {
  const error = reply.getChild('error') as unknown as {
    getChildElements(): { name: string; attrs: Record<string, string>; getNS(): string }[];
  };
  const extra = error.getChildElements().find((child) => child.getNS() === `${PUBSUB}#errors`);
  return extra ? `${extra.name}${extra.attrs['feature'] ? ` ${extra.attrs['feature']}` : ''}` : '';
}

describe('mds: the node', () => {
  let host: TestHost;
  let juliet: Probe;
  beforeEach(async () => {
    host = await startHost([disco, caps, mds], { modules: { mds: { maxChats: 100 } } });
    juliet = await host.online('juliet');
  });
  afterEach(() => host.stop());

  it('keeps what is published, and gives it back to all clients of the account (XEP-0490 sections 4.2 and 4.4)', async () => {
    const [one, two] = [sortableId(), sortableId()];
    const reply = await juliet.ask(publish(item('romeo@example.net', displayed(one))));
    assert.equal(payloadOf(reply).getChild('publish')?.getChild('item')?.attrs['id'], 'romeo@example.net');
    await mark(juliet, 'room@conference.example.net', 'what the room says', 'room@conference.example.net');
    await mark(juliet, 'room@conference.example.net/nick', two);
    const other = await host.online('juliet', 'other');
    assert.deepEqual(await list(other), [
      { chat: 'romeo@example.net', by: JULIET, id: one },
      { chat: 'room@conference.example.net', by: 'room@conference.example.net', id: 'what the room says' },
      { chat: 'room@conference.example.net/nick', by: JULIET, id: two },
    ]);
  });

  it('is there before anything was published, and empty', async () => {
    assert.deepEqual(await list(juliet), []);
  });

  it('answers under the address of the account, too', async () => {
    await mark(juliet, 'romeo@example.net', sortableId());
    const reply = await juliet.ask(request('get', `<items node='${NS}'/>`, JULIET));
    assert.equal(reply.attrs['from'], JULIET);
    assert.equal(payloadOf(reply).getChild('items')?.getChildren('item').length, 1);
  });

  it('takes all spellings of an address for one chat, and of the own address for the own one', async () => {
    const [one, two] = [sortableId(), sortableId()];
    await mark(juliet, 'Romeo@EXAMPLE.net', one, 'Juliet@Example.ORG');
    await mark(juliet, 'romeo@example.net', two);
    assert.deepEqual(await list(juliet), [{ chat: 'romeo@example.net', by: JULIET, id: two }]);
    assert.equal((await list(juliet, "<item id='ROMEO@example.net'/>")).length, 1);
  });

  it('gives single items, and leaves out those that are not there (XEP-0060 sections 6.5.8 and 6.5.9.12)', async () => {
    for (const chat of ['a@x.example', 'b@x.example', 'c@x.example']) await mark(juliet, chat, sortableId());
    const found = await list(
      juliet,
      "<item id='c@x.example'/><item id='nobody@x.example'/><item id='@@'/><item/><item id='c@x.example'/>",
    );
    assert.deepEqual(
      found.map(({ chat }) => chat),
      ['c@x.example'],
    );
    assert.deepEqual(await list(juliet, "<item id='nobody@x.example'/>"), []);
  });

  it('gives the most recent items, in the order of their publication (XEP-0060 sections 6.5.7 and 13.1)', async () => {
    for (const chat of ['c@x.example', 'a@x.example', 'b@x.example', 'c@x.example']) await mark(juliet, chat, sortableId());
    const chats = async (attrs: string) => (await list(juliet, '', attrs)).map(({ chat }) => chat);
    assert.deepEqual(await chats(''), ['a@x.example', 'b@x.example', 'c@x.example']);
    assert.deepEqual(await chats("max_items='2'"), ['b@x.example', 'c@x.example']);
    assert.deepEqual(await chats("max_items='9'"), ['a@x.example', 'b@x.example', 'c@x.example']);
    assert.equal(conditionOf(await juliet.ask(request('get', `<items node='${NS}' max_items='-1'/>`))), 'bad-request');
  });

  it('gives pages (XEP-0059)', async () => {
    for (const chat of ['a@x.example', 'b@x.example', 'c@x.example']) await mark(juliet, chat, sortableId());
    const page = async (inner: string) => {
      const set = `<set xmlns='http://jabber.org/protocol/rsm'>${inner}</set>`;
      const pubsub = payloadOf(await juliet.ask(request('get', `<items node='${NS}'/>${set}`)));
      const found = pubsub
        .getChild('items')!
        .getChildren('item')
        .map(({ attrs }) => String(attrs['id'])[0]);
      const rsm = pubsub.getChild('set', 'http://jabber.org/protocol/rsm')!;
      return `${found.join('')} ${rsm.getChildText('first') ?? ''} ${rsm.getChildText('last') ?? ''} ${rsm.getChildText('count')}`;
    };
    assert.equal(await page('<max>2</max>'), 'ab a@x.example b@x.example 3');
    assert.equal(await page('<max>2</max><after>b@x.example</after>'), 'c c@x.example c@x.example 3');
    assert.equal(await page('<max>2</max><before/>'), 'bc b@x.example c@x.example 3');
    assert.equal(await page('<max>1</max><before>b@x.example</before>'), 'a a@x.example a@x.example 3');
    assert.equal(await page('<max>1</max><index>1</index>'), 'b b@x.example b@x.example 3');
    assert.equal(await page('<max>0</max>'), '   3');
    assert.equal(await page('<max>2</max><after>c@x.example</after>'), '   3');
    const lost = `<items node='${NS}'/><set xmlns='http://jabber.org/protocol/rsm'><after>z@x.example</after></set>`;
    assert.equal(conditionOf(await juliet.ask(request('get', lost))), 'item-not-found');
  });

  it('takes away what is retracted', async () => {
    await mark(juliet, 'romeo@example.net', sortableId());
    const reply = await juliet.ask(retract("<item id='Romeo@example.net'/>"));
    assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
    assert.deepEqual(await list(juliet), []);
    for (const id of ['romeo@example.net', '@@']) {
      assert.equal(conditionOf(await juliet.ask(retract(`<item id='${id}'/>`))), 'item-not-found');
    }
  });

  it('is found by what clients look for on the account, but not taken for all of PEP', async () => {
    const query = "<iq type='get' to='juliet@example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    const { identities, features } = infoOf(payloadOf(await juliet.ask(query)));
    for (const feature of ['urn:xmpp:mds:server-assist:0', OPTIONS, `${PUBSUB}#persistent-items`, `${PUBSUB}#config-node-max`]) {
      assert(features.includes(feature), feature);
    }
    assert(!features.includes(`${PUBSUB}#publish`) && !identities.includes('pubsub/pep'));
  });

  const xep = [
    ['pubsub#persist_items', 'true'],
    ['pubsub#max_items', 'max'],
    ['pubsub#send_last_published_item', 'never'],
    ['pubsub#access_model', 'whitelist'],
  ] as const;

  it('takes the options that clients have to send (XEP-0490 section 4.2)', async () => {
    const fields = xep.map(([name, value]) => field(name, value)).join('');
    const reply = await juliet.ask(publish(item('romeo@example.net', displayed(sortableId())), options(fields)));
    assert.equal(reply.attrs['type'], 'result');
    const enough = options(field('pubsub#max_items', '100') + field('pubsub#persist_items', '1'));
    assert.equal((await juliet.ask(publish(item('a@x.example', displayed(sortableId())), enough))).attrs['type'], 'result');
    assert.equal((await list(juliet)).length, 2);
  });

  for (const [name, value] of [
    ['pubsub#access_model', 'open'],
    ['pubsub#access_model', 'presence'],
    ['pubsub#persist_items', 'false'],
    ['pubsub#max_items', '1'],
    ['pubsub#max_items', '-1'],
    ['pubsub#send_last_published_item', 'on_sub_and_presence'],
    ['pubsub#made_up', 'true'],
    ['__proto__', 'true'],
  ] as const) {
    it(`refuses the option ${name} = ${value} (XEP-0060 section 7.1.5)`, async () => {
      const reply = await juliet.ask(publish(item('romeo@example.net', displayed(sortableId())), options(field(name, value))));
      assert.deepEqual([conditionOf(reply), detailOf(reply)], ['conflict', 'precondition-not-met']);
      assert.deepEqual(await list(juliet), []);
    });
  }

  const id = '0190d0a0-0000-7000-8000-000000000000';
  const sid = `<stanza-id xmlns='urn:xmpp:sid:0' by='${JULIET}' id='${id}'/>`;
  const long = 'x'.repeat(1100);
  for (const [what, iq, condition, detail] of [
    ['no item', publish(''), 'bad-request', 'item-required'],
    ['two items', publish(item('a@x.example', displayed(id)) + item('b@x.example', displayed(id))), 'bad-request', ''],
    ['an item without an id', publish(`<item>${displayed(id)}</item>`), 'bad-request', 'invalid-payload'],
    ['an id that is no address', publish(item('@@', displayed(id))), 'bad-request', 'invalid-payload'],
    ['an item without a payload', publish(item('a@x.example', '')), 'bad-request', 'payload-required'],
    [
      'a payload that is another',
      publish(item('a@x.example', "<displayed xmlns='urn:other'/>")),
      'bad-request',
      'invalid-payload',
    ],
    ['two payloads', publish(item('a@x.example', displayed(id) + displayed(id))), 'bad-request', 'invalid-payload'],
    ['no stanza-id', publish(item('a@x.example', `<displayed xmlns='${NS}'/>`)), 'bad-request', 'invalid-payload'],
    [
      'two stanza-ids',
      publish(item('a@x.example', `<displayed xmlns='${NS}'>${sid}${sid}</displayed>`)),
      'bad-request',
      'invalid-payload',
    ],
    ['an empty id', publish(item('a@x.example', displayed(''))), 'bad-request', 'invalid-payload'],
    ['nobody who gave the id', publish(item('a@x.example', displayed(id, ''))), 'bad-request', 'invalid-payload'],
    ['a very long id', publish(item('a@x.example', displayed(long))), 'not-acceptable', 'payload-too-big'],
    ['a very long giver', publish(item('a@x.example', displayed(id, long))), 'not-acceptable', 'payload-too-big'],
    [
      'a very long address',
      publish(item(`${'a'.repeat(600)}@x.example/${'b'.repeat(600)}`, displayed(id))),
      'not-acceptable',
      'payload-too-big',
    ],
    [
      'another node',
      publish(item('current', "<x xmlns='urn:x'/>"), '', 'urn:other'),
      'feature-not-implemented',
      'unsupported publish',
    ],
    ['no node', request('set', '<publish/>'), 'bad-request', 'nodeid-required'],
    ['options without a form', publish(item('a@x.example', displayed(id)), '<publish-options/>'), 'bad-request', ''],
    ['options of another type', publish(item('a@x.example', displayed(id)), options('', 'urn:other')), 'bad-request', ''],
    ['to retract nothing', retract(''), 'bad-request', 'item-required'],
    ['to retract what has no id', retract('<item/>'), 'bad-request', 'item-required'],
    ['to retract at no node', retract("<item id='a@x.example'/>", ''), 'bad-request', 'nodeid-required'],
    ['to retract at another node', retract("<item id='a@x.example'/>", "node='urn:other'"), 'item-not-found', ''],
    ['items of another node', request('get', "<items node='urn:other'/>"), 'item-not-found', ''],
    ['items of no node', request('get', '<items/>'), 'bad-request', 'nodeid-required'],
    ['to make a node', request('set', `<create node='${NS}'/>`), 'feature-not-implemented', 'unsupported create-nodes'],
    ['to subscribe', request('set', `<subscribe node='${NS}'/>`), 'feature-not-implemented', 'unsupported subscribe'],
    ['subscriptions', request('get', '<subscriptions/>'), 'feature-not-implemented', 'unsupported retrieve-subscriptions'],
    ['nothing at all', request('get', ''), 'bad-request', ''],
    ['what there is not', request('set', '<constructor/>'), 'bad-request', ''],
  ] as const) {
    it(`refuses ${what}: ${condition} ${detail}`, async () => {
      const reply = await juliet.ask(iq);
      assert.deepEqual([conditionOf(reply), detailOf(reply)], [condition, detail]);
      assert.deepEqual(await list(juliet), []);
    });
  }

  it('is closed to others, whether there is such an account or not', async () => {
    await mark(juliet, 'romeo@example.net', sortableId());
    const tybalt = await host.online('tybalt');
    for (const to of [JULIET, 'nobody@example.org']) {
      const asked = await tybalt.ask(request('get', `<items node='${NS}'/>`, to));
      assert.deepEqual([conditionOf(asked), detailOf(asked)], ['not-allowed', 'closed-node']);
      for (const inner of [`<publish node='${NS}'>${item('a@x.example', displayed(id))}</publish>`, `<retract node='${NS}'/>`]) {
        assert.equal(conditionOf(await tybalt.ask(request('set', inner, to))), 'forbidden');
      }
      assert.equal(conditionOf(await tybalt.ask(request('get', "<items node='urn:other'/>", to))), 'service-unavailable');
    }
    assert.equal((await list(juliet)).length, 1);
  });

  it('forgets what was not marked for the longest time when there is no room (XEP-0060 section 7.1.2.5)', async () => {
    for (let i = 0; i < 100; i++) await mark(juliet, `${i}@x.example`, sortableId());
    await mark(juliet, '0@x.example', sortableId());
    await mark(juliet, 'new@x.example', sortableId());
    const chats = (await list(juliet)).map(({ chat }) => chat);
    assert.equal(chats.length, 100);
    assert(!chats.includes('1@x.example') && chats.includes('0@x.example') && chats.includes('new@x.example'));
  });

  it('leaves nothing to the next account of the same name', async () => {
    await mark(juliet, 'romeo@example.net', sortableId());
    await host.host.accounts.delete('juliet');
    const next = await host.online('juliet');
    assert.deepEqual(await list(next), []);
  });
});

describe('mds: the displayed state', () => {
  let host: TestHost;
  let juliet: Probe;
  let slow: SlowWrites;
  let api: MdsApi;
  const changes: DisplayedChat[] = [];
  const reader = defineModule({
    name: 'reader',
    doc: '',
    needs: [mds],
    config: option.object({}),
    setup({ use, on }) {
      api = use(mds);
      on(api.changed, (change) => void changes.push(change));
    },
  });
  beforeEach(async () => {
    changes.length = 0;
    slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    host = await startHost([disco, caps, mds, reader], { storage: slow.storage });
    juliet = await host.online('juliet');
  });
  afterEach(() => host.stop());

  it('is told to other modules, and at once when it is in memory', async () => {
    const id = sortableId();
    assert.equal(await api.displayed('juliet', 'romeo@example.net'), undefined);
    await mark(juliet, 'romeo@example.net', id);
    assert.equal(api.displayed('juliet', 'romeo@example.net'), id);
    assert.deepEqual(changes, [{ username: 'juliet', chat: 'romeo@example.net', id }]);
    await juliet.ask(retract("<item id='romeo@example.net'/>"));
    assert.equal(api.displayed('juliet', 'romeo@example.net'), undefined);
    assert.deepEqual(changes.slice(1), [{ username: 'juliet', chat: 'romeo@example.net', id: undefined }]);
  });

  it('only moves forward (XEP-0490 section 5.1): an older id succeeds, and changes nothing', async () => {
    const [old, recent] = [sortableId(), sortableId()];
    await mark(juliet, 'romeo@example.net', recent);
    await mark(juliet, 'romeo@example.net', old);
    await mark(juliet, 'romeo@example.net', recent);
    assert.deepEqual(await list(juliet), [{ chat: 'romeo@example.net', by: JULIET, id: recent }]);
    assert.equal(changes.length, 1);
  });

  it('takes ids of others as they come, since nothing is known of their order', async () => {
    const room = 'room@conference.example.net';
    for (const id of ['b', 'a', sortableId()]) await mark(juliet, room, id, room);
    const old = firstIdAt(1000);
    await mark(juliet, room, old, room);
    assert.deepEqual(await list(juliet), [{ chat: room, by: room, id: old }]);
    assert.equal(api.displayed('juliet', room), undefined);
  });

  it('takes an id of the own archive that looks like none of ours, or is from the future, for one of others', async () => {
    const future = firstIdAt(Date.now() + 3_600_000);
    const now = sortableId();
    await mark(juliet, 'romeo@example.net', future);
    assert.equal(api.displayed('juliet', 'romeo@example.net'), undefined);
    await mark(juliet, 'romeo@example.net', now);
    assert.equal(api.displayed('juliet', 'romeo@example.net'), now);
    await mark(juliet, 'romeo@example.net', 'from another server');
    assert.equal(api.displayed('juliet', 'romeo@example.net'), undefined);
  });

  it('is not shown to anybody before it is durable', async () => {
    const id = sortableId();
    await list(juliet);
    slow.hold();
    juliet.send(publish(item('romeo@example.net', displayed(id))).replace('<iq', "<iq id='p1'"));
    await juliet.quiet();
    assert.equal(api.displayed('juliet', 'romeo@example.net'), undefined);
    slow.release();
    assert.equal((await juliet.receive('iq')).attrs['type'], 'result');
    assert.equal(api.displayed('juliet', 'romeo@example.net'), id);
  });

  it('is decided in the order in which clients of the account publish', async () => {
    const ids = [sortableId(), sortableId(), sortableId()] as const;
    const other = await host.online('juliet', 'other');
    await list(juliet);
    slow.hold();
    const replies = [
      juliet.ask(publish(item('romeo@example.net', displayed(ids[1])))),
      other.ask(publish(item('romeo@example.net', displayed(ids[0])))),
    ];
    await other.quiet();
    slow.release();
    for (const reply of await Promise.all(replies)) assert.equal(reply.attrs['type'], 'result');
    assert.equal(api.displayed('juliet', 'romeo@example.net'), ids[1]);
    assert.equal(changes.length, 1);
  });

  it('stays as it was when the disk fails, and can be published again', async () => {
    const id = sortableId();
    await list(juliet);
    slow.fail();
    const failing = await juliet.ask(publish(item('romeo@example.net', displayed(id))));
    assert.equal(conditionOf(failing), 'internal-server-error');
    assert.equal(api.displayed('juliet', 'romeo@example.net'), undefined);
    slow.release();
    await mark(juliet, 'romeo@example.net', id);
    assert.equal(api.displayed('juliet', 'romeo@example.net'), id);
    assert.equal(host.faults.splice(0).length, 1);
  });
});
