import assert from 'node:assert/strict';
import caps, { type CapsApi } from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { defineModule, type ModuleContext, option, StanzaError } from '../../../src/index.ts';
import type { StoreSpecs } from '../../../src/storage/storage.ts';
import { answer, info, kindOf, Listener, legacy, modern, NS_INFO, question, refuse } from '../../support/caps-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

type Keeper = ModuleContext<unknown, StoreSpecs>['slots'];

let keeper: Keeper;
/** What keeps sessions over a restart. */
const sessions = defineModule({
  name: 'sessions',
  doc: '',
  config: option.object({}),
  setup({ slots }) {
    keeper = slots;
  },
});

const PING = 'urn:xmpp:ping';
const MOOD = 'http://jabber.org/protocol/mood';
const ONE = kindOf(PING, `${MOOD}+notify`);
const OTHER = kindOf('urn:other');
const at = (ver: string) => `https://client.example#${ver}`;
const available = (...children: readonly string[]) => `<presence>${children.join('')}</presence>`;

let host: TestHost;
let api: CapsApi;
let heard: Listener;
let juliet: Probe;
let romeo: Probe;

async function begin(): Promise<void> {
  host = await startHost([disco, caps, roster, presence, sessions]);
  api = host.modules.api(caps)!;
  heard = new Listener(api);
  juliet = await host.login('juliet', 'balcony');
  romeo = await host.login('romeo', 'orchard');
}

/** Says this in presence, and takes the question out of what comes back. */
async function announce(probe: Probe, c: string, node: string) {
  probe.send(available(c));
  return question(probe, node);
}

const known = async (probe: Probe) => api.of(probe.session);

describe('caps: what a client supports', () => {
  beforeEach(begin);
  afterEach(() => host.stop());

  it('is not known of one that says nothing', async () => {
    assert.equal(api.of(juliet.session), undefined);
    juliet.send('<presence/>');
    juliet.send("<presence><c xmlns='http://jabber.org/protocol/caps' ver='x'/><c xmlns='urn:xmpp:caps'/></presence>");
    juliet.send(available(legacy('x'.repeat(600))));
    await settle();
    assert.equal(api.of(juliet.session), undefined);
    assert(!juliet.take().some(({ name }) => name === 'iq'));
    assert.deepEqual(heard.take(), []);
  });

  it('is what its disco#info lists, with the nodes it is interested in (XEP-0163 section 4.2)', async () => {
    const asked = await announce(juliet, legacy(ONE.ver), at(ONE.ver));
    const pending = api.of(juliet.session);
    assert(pending instanceof Promise);
    await answer(juliet, asked, info(ONE));
    const features = await pending;
    assert.equal(api.of(juliet.session), features);
    assert.deepEqual(
      [PING, `${MOOD}+notify`, MOOD, 'urn:other'].map((each) => features?.has(each)),
      [true, true, false, false],
    );
    assert.deepEqual([...features!.interests], [MOOD]);
    assert.deepEqual(heard.take(PING), [`balcony ${PING}`]);
  });

  it('is known at once, and one object, for all who announce the same', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    romeo.send(available(legacy(ONE.ver, { node: 'https://other.example' })));
    assert.equal(api.of(romeo.session), api.of(juliet.session));
    assert.notEqual(api.of(romeo.session), undefined);
    await settle();
    assert(!romeo.take().some(({ name }) => name === 'iq'));
    assert.deepEqual(heard.take(PING), [`balcony ${PING}`, `orchard ${PING}`]);
  });

  it('is told after the broadcast of the presence, and before sessionAvailable where it is known', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    const order: string[] = [];
    host.host.signals.sessionAvailable.add(({ jid }) => void order.push(`available ${jid.resource}`));
    api.learned.add(({ jid, session }) => {
      // What was broadcast comes back to the client itself.
      const isBroadcast = romeo.take().some(({ name }) => name === 'presence');
      order.push(`learned ${jid.resource} ${session?.priority} ${isBroadcast}`);
    });
    romeo.send(available(legacy(ONE.ver), '<priority>7</priority>'));
    await settle();
    assert.deepEqual(order, ['learned orchard 7 true', 'available orchard']);
    const garden = await host.login('juliet', 'garden');
    await answer(garden, await announce(garden, legacy(OTHER.ver), at(OTHER.ver)), info(OTHER));
    assert.deepEqual(order.slice(2), ['available garden', 'learned garden 0 false']);
  });

  it('is forgotten with unavailable presence, and known again at once', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    juliet.send("<presence type='unavailable'/>");
    assert.equal(await known(juliet), undefined);
    juliet.send(available(legacy(ONE.ver)));
    assert((await known(juliet))?.has(PING));
    await settle();
    assert.deepEqual(heard.take(PING), [`balcony ${PING}`, 'balcony -', `balcony ${PING}`]);
  });

  it('stays the same while it is not said again (XEP-0115 section 8.4), and is not told twice', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    heard.take();
    for (const more of ['<show>away</show>', legacy(ONE.ver), '<priority>3</priority>']) juliet.send(available(more));
    juliet.send(`<presence to='romeo@example.org'>${legacy(OTHER.ver)}</presence>`);
    await settle();
    assert((await known(juliet))?.has(PING));
    assert.deepEqual(heard.take(), []);
    assert(!juliet.take().some(({ name }) => name === 'iq'));
  });

  it('changes in the middle: what was said last counts, and there is one question at a time', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    heard.take();
    const first = await announce(juliet, legacy('a'), at('a'));
    for (const ver of ['b', OTHER.ver]) juliet.send(available(legacy(ver)));
    const pending = api.of(juliet.session);
    await answer(juliet, first, info(ONE));
    assert(api.of(juliet.session) instanceof Promise, 'nobody knows yet');
    assert.equal(api.known(juliet.session)?.has(PING), true);
    await answer(juliet, await question(juliet, at(OTHER.ver)), info(OTHER));
    assert((await pending)?.has('urn:other'));
    assert.deepEqual(heard.take('urn:other'), ['balcony urn:other']);
    // Back to what is known: at once, though it is still being asked about something else.
    const late = await announce(juliet, legacy('c'), at('c'));
    juliet.send(available(legacy(ONE.ver)));
    assert.equal((await known(juliet))?.has(PING), true);
    await refuse(juliet, late);
    assert.equal((await known(juliet))?.has(PING), true);
    assert.deepEqual(heard.take(PING), [`balcony ${PING}`]);
  });

  it('is not known any more of one that leaves while it is asked', async () => {
    const asked = await announce(juliet, legacy(ONE.ver), at(ONE.ver));
    const pending = api.of(juliet.session);
    juliet.send("<presence type='unavailable'/>");
    await answer(juliet, asked, info(ONE));
    assert.equal(await pending, undefined);
    await announce(romeo, legacy(OTHER.ver), at(OTHER.ver));
    romeo.leave();
    await settle();
    assert.equal(api.of(romeo.session), undefined);
    assert.deepEqual(heard.take(), []);
  });

  it('is kept with a session over a restart (XEP-0198), and shared again', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    await answer(romeo, await announce(romeo, legacy(OTHER.ver), at(OTHER.ver)), info(ONE));
    const saved = [juliet, romeo].map(({ session }) => JSON.stringify(keeper.save(session)));
    await host.stop();
    await begin();
    for (const [i, { session }] of [juliet, romeo].entries()) keeper.restore(session, JSON.parse(saved[i]!));
    for (const probe of [juliet, romeo]) assert((await known(probe))?.interests.has(MOOD));
    const garden = await host.login('juliet', 'garden');
    garden.send(available(legacy(ONE.ver)));
    assert.equal(api.of(garden.session), api.of(juliet.session));
    // What one has said without a proof is that one's only.
    const nurse = await host.login('nurse', 'chamber');
    await announce(nurse, legacy(OTHER.ver), at(OTHER.ver));
    juliet.send(available(legacy(ONE.ver)));
    await settle();
    assert.deepEqual(heard.take(PING), [`garden ${PING}`]);
  });

  it('is asked again after a restart, when it was being asked', async () => {
    await announce(juliet, legacy(ONE.ver), at(ONE.ver));
    const saved = JSON.stringify(keeper.save(juliet.session));
    await host.stop();
    await begin();
    keeper.restore(juliet.session, JSON.parse(saved));
    const pending = api.of(juliet.session);
    await answer(juliet, await question(juliet, at(ONE.ver)), info(ONE));
    assert((await pending)?.has(PING));
  });

  it('is asked again by whoever wants to know, when the line was broken', async () => {
    const { questions } = host.host;
    const ask = questions.ask.bind(questions);
    questions.ask = () => Promise.reject(new StanzaError('remote-server-timeout'));
    juliet.send(available(legacy(ONE.ver)));
    await settle();
    juliet.take();
    questions.ask = ask;
    const pending = api.of(juliet.session);
    assert.equal(api.of(juliet.session), pending);
    await answer(juliet, await question(juliet, at(ONE.ver)), info(ONE));
    assert((await pending)?.has(PING));
    assert.deepEqual(heard.take(PING), [`balcony ${PING}`]);
  });

  it('is not asked again of one that has refused, until its next presence', async () => {
    await refuse(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)));
    assert.equal(api.of(juliet.session), undefined);
    juliet.take();
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    assert((await known(juliet))?.has(PING));
  });

  it('survives a reload of the module', async () => {
    await answer(juliet, await announce(juliet, legacy(ONE.ver), at(ONE.ver)), info(ONE));
    await host.modules.restart('caps');
    api = host.modules.api(caps)!;
    assert((await known(juliet))?.has(PING));
    romeo.send(available(legacy(ONE.ver)));
    assert.equal(api.of(romeo.session), api.of(juliet.session));
  });
});

describe('caps: hashes', () => {
  beforeEach(begin);
  afterEach(() => host.stop());

  const both = (kind: typeof ONE) => modern({ 'sha-256': kind.sha256, 'sha3-256': kind.sha3 });

  it('of XEP-0390 are preferred', async () => {
    const c = legacy(OTHER.ver) + both(ONE);
    await answer(juliet, await announce(juliet, c, `urn:xmpp:caps#sha-256.${ONE.sha256}`), info(ONE));
    romeo.send(available(both(ONE)));
    assert.equal(api.of(romeo.session), api.of(juliet.session));
    const nurse = await host.login('nurse', 'chamber');
    const other = modern({ 'sha3-256': ONE.sha3, 'x.y': 'z' });
    await answer(nurse, await announce(nurse, other, `urn:xmpp:caps#sha3-256.${ONE.sha3}`), info(ONE));
    assert((await known(nurse))?.has(PING));
  });

  it('of unknown algorithms give way to one that can be verified', async () => {
    const c = modern({ 'x.y': 'z' });
    await answer(juliet, await announce(juliet, c + legacy(ONE.ver), at(ONE.ver)), info(ONE));
    await answer(romeo, await announce(romeo, c, 'urn:xmpp:caps#x.y.z'), info(ONE));
    assert((await known(romeo))?.has(PING));
    const nurse = await host.login('nurse', 'chamber');
    await announce(nurse, c, 'urn:xmpp:caps#x.y.z');
  });

  it('are asked for in another way where there is none: with all bundles of the old format', async () => {
    const c = legacy('1.0', { hash: '', ext: " ext='jingle  avatar 1.0 jingle'" });
    await answer(juliet, await announce(juliet, c, at('1.0')), info(kindOf(PING)));
    await answer(juliet, await question(juliet, at('jingle')), info(kindOf('urn:jingle')));
    assert(api.of(juliet.session) instanceof Promise);
    await answer(juliet, await question(juliet, at('avatar')), info(kindOf('urn:avatar+notify')));
    const features = await known(juliet);
    assert.deepEqual(
      [PING, 'urn:jingle', 'urn:avatar+notify'].map((each) => features?.has(each)),
      [true, true, true],
    );
    assert.deepEqual([...features!.interests], ['urn:avatar']);
    await announce(romeo, c, at('1.0'));
  });

  it('are asked for in no more than eight bundles, whatever is said', async () => {
    const c = legacy('0', { hash: '', ext: ` ext='${Array.from({ length: 100 }, (_, i) => i + 1).join(' ')}'` });
    let asked = await announce(juliet, c, at('0'));
    for (let i = 1; i <= 8; i++) {
      await answer(juliet, asked, info(ONE));
      asked = await question(juliet, at(String(i)));
    }
    await answer(juliet, asked, info(ONE));
    assert((await known(juliet))?.has(PING));
  });
});

describe('caps: hostile clients', () => {
  beforeEach(begin);
  afterEach(() => host.stop());

  const twice = kindOf('urn:twice', 'urn:twice');
  const form = (fields: string) =>
    `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>${fields}</x>`;
  const cases: readonly { readonly name: string; readonly ver: string; readonly payload: string; readonly isKnown: boolean }[] = [
    { name: 'other features than are hashed', ver: ONE.ver, payload: info(OTHER), isKnown: true },
    { name: 'one feature more', ver: ONE.ver, payload: info(ONE, "<feature var='urn:more'/>"), isKnown: true },
    { name: 'a feature twice', ver: twice.ver, payload: info(twice), isKnown: true },
    {
      name: 'a form that is not hashed',
      ver: ONE.ver,
      payload: info(ONE, form("<field var='a'><value>1</value></field>")),
      isKnown: true,
    },
    { name: 'nothing', ver: ONE.ver, payload: '', isKnown: false },
    { name: 'another thing', ver: ONE.ver, payload: "<query xmlns='urn:nonsense'/>", isKnown: false },
    { name: 'no features', ver: ONE.ver, payload: `<query xmlns='${NS_INFO}'/>`, isKnown: true },
    {
      name: 'too many features',
      ver: ONE.ver,
      payload: info({ features: Array.from({ length: 600 }, (_, i) => `f${i}`) }),
      isKnown: false,
    },
    { name: 'too long a feature', ver: ONE.ver, payload: info({ features: ['x'.repeat(40_000)] }), isKnown: false },
    {
      name: 'features without names',
      ver: ONE.ver,
      payload: `<query xmlns='${NS_INFO}'><feature/><feature/><identity/></query>`,
      isKnown: true,
    },
  ];
  for (const { name, ver, payload, isKnown } of cases) {
    it(`that answer with ${name} do not speak for others`, async () => {
      await answer(juliet, await announce(juliet, legacy(ver), at(ver)), payload);
      assert.equal((await known(juliet)) !== undefined, isKnown);
      await announce(romeo, legacy(ver), at(ver));
      assert(api.of(romeo.session) instanceof Promise);
    });
  }

  it('that answer for others are not believed', async () => {
    const asked = await announce(juliet, legacy(ONE.ver), at(ONE.ver));
    await answer(romeo, asked, info(ONE));
    assert(api.of(juliet.session) instanceof Promise);
    await refuse(juliet, asked);
    assert.equal(api.of(juliet.session), undefined);
  });

  it('that hide a feature in a form or an identity, with the hash of others, are believed for themselves only', async () => {
    // The text that is hashed (XEP-0115 section 5.1) is the same for all of these.
    const urls = kindOf('http://a.example/b', 'urn:last');
    const start = `<query xmlns='${NS_INFO}'><identity category='client' type='pc' name='Test'/>`;
    const hidden = [
      `${start}<feature var='${NS_INFO}'/><feature var='http://a.example/b'/>` +
        "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>urn:last</value></field></x></query>",
      `${start}<feature var='http://a.example/b'/><x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'>` +
        `<value>${NS_INFO}</value></field><field var='urn:last'/></x></query>`,
      `${start}<identity category='http:' type='' xml:lang='a.example' name='b'/><feature var='${NS_INFO}'/><feature var='urn:last'/></query>`,
      `<query xmlns='${NS_INFO}'><identity category='client' type='pc' name='Test&lt;http://a.example/b'/>` +
        `<feature var='${NS_INFO}'/><feature var='urn:last'/></query>`,
      `${start}<feature var='http://a.example/b&lt;${NS_INFO}'/><feature var='urn:last'/></query>`,
    ];
    for (const payload of hidden) {
      juliet.take();
      await answer(juliet, await announce(juliet, legacy(urls.ver), at(urls.ver)), payload);
      juliet.send("<presence type='unavailable'/>");
      await settle();
    }
    juliet.take();
    await answer(juliet, await announce(juliet, legacy(urls.ver), at(urls.ver)), info(urls));
    assert((await known(juliet))?.has('urn:last'));
  });

  it('that change all the time are asked one thing at a time', async () => {
    juliet.send(available(legacy('v0')));
    for (let i = 1; i < 100; i++) juliet.send(available(legacy(`v${i}`)));
    await settle();
    const asked = juliet.take().filter(({ name }) => name === 'iq');
    assert.deepEqual(
      asked.map((iq) => iq.getChild('query')?.attrs['node']),
      [at('v0')],
    );
    await answer(juliet, asked[0]!, info(ONE));
    await answer(juliet, await question(juliet, at('v99')), info(OTHER));
    assert((await known(juliet))?.has('urn:other'));
    assert.deepEqual(heard.take('urn:other'), ['balcony urn:other']);
  });
});
