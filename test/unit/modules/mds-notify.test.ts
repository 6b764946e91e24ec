import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { hashLegacy } from '../../../modules/caps/hash.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import mds from '../../../modules/mds/index.ts';
import { defineModule, firstIdAt, type ModuleContext, option, sortableId } from '../../../src/index.ts';
import type { StoreSpecs } from '../../../src/storage/storage.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:mds:displayed:0';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const NS_INFO = 'http://jabber.org/protocol/disco#info';
const JULIET = 'juliet@example.org';

type Keeper = ModuleContext<unknown, StoreSpecs>['slots'];

/** What keeps sessions over a restart. */
let keeper: Keeper | undefined;
const sessions = defineModule({
  name: 'sessions',
  doc: '',
  config: option.object({}),
  setup({ slots }) {
    keeper = slots;
  },
});

/** The features of a client; `ver` is their hash (XEP-0115). */
interface Client {
  readonly features: readonly string[];
  readonly ver: string;
}

const client = (...features: string[]): Client => {
  const all = [NS_INFO, ...features];
  return {
    features: all,
    ver: hashLegacy({ identities: [{ category: 'client', type: 'pc', name: 'Test' }], features: all, forms: [] }),
  };
};
const INTERESTED = client(`${NS}+notify`);
const OTHER = client('urn:xmpp:ping', 'urn:other+notify');

const presence = ({ ver }: Pick<Client, 'ver'>, hash = " hash='sha-1'") =>
  `<presence><c xmlns='http://jabber.org/protocol/caps'${hash} node='https://client.example' ver='${ver}'/></presence>`;
const publish = (chat: string, id: string) =>
  `<iq type='set'><pubsub xmlns='${PUBSUB}'><publish node='${NS}'><item id='${chat}'><displayed xmlns='${NS}'>` +
  `<stanza-id xmlns='urn:xmpp:sid:0' by='${JULIET}' id='${id}'/></displayed></item></publish></pubsub></iq>`;
const retract = (chat: string, notify = '') =>
  `<iq type='set'><pubsub xmlns='${PUBSUB}'><retract node='${NS}' ${notify}><item id='${chat}'/></retract></pubsub></iq>`;

/** Answers a question for disco#info, whatever was asked. */
function answer(probe: Probe, question: Element, { features }: Pick<Client, 'features'>, more = ''): void {
  const list = features.map((feature) => `<feature var='${feature}'/>`).join('');
  probe.send(
    `<iq type='result' id='${question.attrs['id']}' to='${question.attrs['from']}'><query xmlns='${NS_INFO}'>` +
      `<identity category='client' type='pc' name='Test'/>${list}${more}</query></iq>`,
  );
}

/** The question, which fails the test when it is another. */
async function question(probe: Probe, ver: string): Promise<Element> {
  const iq = await probe.receive('iq');
  assert.deepEqual([iq.attrs['type'], iq.attrs['from']], ['get', 'example.org']);
  assert.equal(iq.getChild('query', NS_INFO)?.attrs['node'], `https://client.example#${ver}`);
  return iq;
}

async function announce(probe: Probe, what: Client): Promise<void> {
  probe.send(presence(what));
  answer(probe, await question(probe, what.ver), what);
  await settle();
}

/** What a notification says: the chat, and the id or that it was retracted. */
function eventOf(message: Element): string {
  assert.deepEqual([message.name, message.attrs['type'], message.attrs['from']], ['message', 'headline', JULIET]);
  assert.notEqual(message.attrs['id'] ?? '', '');
  const items = message.getChild('event', `${PUBSUB}#event`)?.getChild('items');
  assert.equal(items?.attrs['node'], NS);
  const [item] = items.getChildElements();
  const id = item?.getChild('displayed', NS)?.getChild('stanza-id', 'urn:xmpp:sid:0')?.attrs['id'];
  return `${item?.name} ${item?.attrs['id']} ${id ?? ''}`.trim();
}

describe('mds: notifications', () => {
  let host: TestHost;
  let one: Probe;
  let two: Probe;
  beforeEach(async () => {
    host = await startHost([disco, caps, mds, sessions]);
    one = await host.online('juliet', 'one');
    two = await host.online('juliet', 'two');
  });
  afterEach(() => host.stop());

  it('go to all clients that are interested, the one that publishes among them (XEP-0163 section 4)', async () => {
    await announce(one, INTERESTED);
    two.send(presence(INTERESTED));
    const three = await host.online('juliet', 'three');
    await announce(three, OTHER);
    const id = sortableId();
    await one.ask(publish('romeo@example.net', id));
    for (const probe of [one, two]) {
      const message = await probe.receive('message');
      assert.equal(message.attrs['to'], probe.jid);
      assert.equal(eventOf(message), `item romeo@example.net ${id}`);
    }
    await three.quiet();
  });

  it('do not go to others, whatever they announce', async () => {
    const tybalt = await host.online('tybalt');
    await announce(tybalt, INTERESTED);
    await one.ask(publish('romeo@example.net', sortableId()));
    await tybalt.quiet();
  });

  it('are not sent for what changes nothing', async () => {
    await announce(two, INTERESTED);
    const id = sortableId();
    await one.ask(publish('romeo@example.net', id));
    assert.equal(eventOf(await two.receive()), `item romeo@example.net ${id}`);
    for (const same of [id, firstIdAt(1000)]) await one.ask(publish('romeo@example.net', same));
    await two.quiet();
  });

  it('tell of a retraction when that is wanted (XEP-0060 section 7.2.2.1)', async () => {
    for (const chat of ['a@x.example', 'b@x.example', 'c@x.example']) await one.ask(publish(chat, sortableId()));
    await announce(two, INTERESTED);
    await one.ask(retract('a@x.example'));
    await one.ask(retract('b@x.example', "notify='false'"));
    await one.ask(retract('c@x.example', "notify='true'"));
    assert.equal(eventOf(await two.receive()), 'retract c@x.example');
    await two.quiet();
  });

  it('are not sent at log-in: clients fetch what there is (XEP-0490 section 4.4)', async () => {
    await one.ask(publish('romeo@example.net', sortableId()));
    await announce(two, INTERESTED);
    await two.quiet();
  });

  it('reach a client that is still being asked, since it has fetched what was there before', async () => {
    two.send(presence(INTERESTED));
    const asked = await question(two, INTERESTED.ver);
    const ids = [sortableId(), sortableId()];
    for (const id of ids) await one.ask(publish('romeo@example.net', id));
    await two.quiet();
    answer(two, asked, INTERESTED);
    for (const id of ids) assert.equal(eventOf(await two.receive()), `item romeo@example.net ${id}`);
  });

  it('end with unavailable presence, and begin again', async () => {
    await announce(two, INTERESTED);
    two.send("<presence type='unavailable'/>");
    await one.ask(publish('romeo@example.net', sortableId()));
    await two.quiet();
    two.send(presence(INTERESTED));
    const id = sortableId();
    await one.ask(publish('romeo@example.net', id));
    assert.equal(eventOf(await two.receive()), `item romeo@example.net ${id}`);
  });
});

describe('mds: who is interested', () => {
  let host: TestHost;
  let one: Probe;
  let two: Probe;
  beforeEach(async () => {
    host = await startHost([disco, caps, mds, sessions]);
    one = await host.online('juliet', 'one');
    two = await host.online('juliet', 'two');
  });
  afterEach(() => host.stop());

  /** Whether a client is told of a publication by another. */
  async function isTold(probe: Probe): Promise<boolean> {
    const publisher = probe === one ? two : one;
    await publisher.ask(publish('romeo@example.net', sortableId()));
    await settle();
    return probe.take().some(({ name }) => name === 'message');
  }

  it('is asked once for each verification string (XEP-0115 section 5.4)', async () => {
    await announce(one, INTERESTED);
    two.send(presence(INTERESTED));
    one.send(presence(INTERESTED));
    await two.quiet();
    await one.quiet();
    assert(await isTold(two));
    assert(await isTold(one));
  });

  it('is not asked of clients that announce nothing', async () => {
    one.send('<presence/>');
    one.send("<presence><c xmlns='http://jabber.org/protocol/caps' ver='x'/></presence>");
    one.send(presence({ ver: 'x'.repeat(600) }));
    await one.quiet();
    assert(!(await isTold(one)));
  });

  it('is asked again when a client announces something else', async () => {
    await announce(one, INTERESTED);
    await announce(one, OTHER);
    assert(!(await isTold(one)));
    one.send(presence(INTERESTED));
    assert(await isTold(one));
    one.send('<presence><show>away</show></presence>');
    assert(await isTold(one));
  });

  it('is what was said last, and one question at a time is asked', async () => {
    one.send(presence(OTHER));
    const first = await question(one, OTHER.ver);
    one.send(presence({ ver: 'never asked for' }));
    one.send(presence(INTERESTED));
    await one.quiet();
    answer(one, first, OTHER);
    answer(one, await question(one, INTERESTED.ver), INTERESTED);
    await settle();
    assert(await isTold(one));
  });

  it('does not hold for others when the answer does not fit its hash', async () => {
    one.send(presence(OTHER));
    answer(one, await question(one, OTHER.ver), INTERESTED);
    await settle();
    assert(await isTold(one));
    two.send(presence(OTHER));
    answer(two, await question(two, OTHER.ver), OTHER);
    await settle();
    assert(!(await isTold(two)));
  });

  it('does not hold for others when the answer says a thing twice', async () => {
    const features = [...INTERESTED.features, 'urn:twice', 'urn:twice'];
    const ver = hashLegacy({ identities: [{ category: 'client', type: 'pc', name: 'Test' }], features, forms: [] });
    one.send(presence({ ver }));
    answer(one, await question(one, ver), { features });
    two.send(presence({ ver }));
    await question(two, ver);
    assert(await isTold(one));
  });

  for (const hash of ['', " hash='md5'"]) {
    it(`holds for the one client that was asked when there is no hash to verify (${hash})`, async () => {
      one.send(presence(INTERESTED, hash));
      answer(one, await question(one, INTERESTED.ver), INTERESTED);
      await settle();
      assert(await isTold(one));
      two.send(presence(INTERESTED, hash));
      await question(two, INTERESTED.ver);
    });
  }

  it('verifies forms, and ignores those that have no hidden type', async () => {
    const form = (attrs: string) =>
      `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' ${attrs}><value>urn:x</value></field><field var='a'><value>1</value></field></x>`;
    one.send(presence(INTERESTED));
    answer(one, await question(one, INTERESTED.ver), INTERESTED, form(''));
    await settle();
    two.send(presence(INTERESTED));
    assert(await isTold(two));
    const three = await host.online('juliet', 'three');
    three.send(presence({ ver: 'x' }));
    answer(three, await question(three, 'x'), INTERESTED, form("type='hidden'") + form("type='hidden'"));
    assert(await isTold(three));
  });

  it('is not known of a client that answers with an error or nonsense, and asked again with its next presence', async () => {
    one.send(presence(INTERESTED));
    const first = await question(one, INTERESTED.ver);
    one.send(`<iq type='error' id='${first.attrs['id']}' to='example.org'><error type='cancel'/></iq>`);
    await settle();
    assert(!(await isTold(one)));
    one.send(presence(INTERESTED));
    const second = await question(one, INTERESTED.ver);
    one.send(`<iq type='result' id='${second.attrs['id']}' to='example.org'><query xmlns='urn:nonsense'/></iq>`);
    await settle();
    assert(!(await isTold(one)));
  });

  it('is kept with a session over a restart of the server (XEP-0198)', async () => {
    await announce(one, INTERESTED);
    assert(keeper);
    const saved: unknown = JSON.parse(JSON.stringify(keeper.save(one.session)));
    keeper.restore(two.session, saved as ReturnType<Keeper['save']>);
    assert(await isTold(two));
  });

  it('is not believed of a client by what another one answers', async () => {
    one.send(presence(OTHER));
    const asked = await question(one, OTHER.ver);
    answer(two, asked, INTERESTED);
    answer(one, asked, OTHER);
    await settle();
    assert(!(await isTold(one)));
  });
});
