// Who hears of what an account publishes, and how often; what becomes of it.
import assert from 'node:assert/strict';
import { NODE_STORES } from '../../../modules/pubsub/index.ts';
import sm from '../../../modules/sm/index.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { conditionOf, infoOf, payloadOf, subscribe } from '../../support/answers.ts';
import { info, legacy } from '../../support/caps-scene.ts';
import { ask, configure, idsAt, interestedIn, listen, PEP_MODULES, publish, set, told } from '../../support/pep-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { form, PUBSUB, refusalOf } from '../../support/pubsub-scene.ts';
import { Disk, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const JULIET = 'juliet@example.org';
const ROMEO = 'romeo@example.org';
const CONTACTS = 500;

const items = (node: string) => `<items node='${node}'/>`;
const block = (jid: string) => `<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='${jid}'/></block></iq>`;
const unblock = (jid: string) => `<iq type='set'><unblock xmlns='urn:xmpp:blocking'><item jid='${jid}'/></unblock></iq>`;

describe('pep: who hears', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;

  beforeEach(async () => {
    host = await startHost(PEP_MODULES);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
  });
  afterEach(() => host.stop());

  it('is each of five hundred contacts once, and of no other account', async () => {
    const kind = interestedIn('tune');
    const contacts: Probe[] = [];
    for (let i = 0; i < CONTACTS; i++) {
      const contact = await host.login(`contact${i}`, 'r');
      contacts.push(contact);
      contact.send(`<presence to='${JULIET}' type='subscribe'/>`);
      juliet.send(`<presence to='contact${i}@example.org' type='subscribed'/>`);
      contact.send(`<presence>${legacy(kind.ver)}</presence>`);
      // Whoever is the first to have it is asked what is behind it.
      if (i === 0) await listen(contact, 'tune');
    }
    const stranger = await host.online('stranger');
    await listen(stranger, 'tune');
    await settle();
    for (const each of [juliet, ...contacts]) each.take();
    await publish(juliet, 'tune', 'i1');
    for (const contact of contacts) assert.deepEqual(await told(contact), ['juliet tune +i1']);
    assert.deepEqual([await told(juliet), await told(stranger)], [[], []]);
  });

  it('is each of the own clients that wants to, the one that publishes among them, whatever the node is', async () => {
    const [phone, other] = [await host.login('juliet', 'phone'), await host.login('juliet', 'other')];
    await listen(juliet, 'private', 'tune');
    await listen(phone, 'private');
    await listen(other);
    await publish(juliet, 'private', 'i1', { access_model: 'whitelist' });
    assert.deepEqual([await told(juliet), await told(phone)], [['juliet private +i1'], ['juliet private +i1']]);
    phone.send("<presence type='unavailable'/>");
    await publish(juliet, 'private', 'i2', { access_model: 'whitelist' });
    assert.deepEqual([await told(juliet), await told(phone), await told(other)], [['juliet private +i2'], [], []]);
  });

  it('is a contact who may read, in each way that there is', async () => {
    await subscribe(romeo, juliet);
    await listen(romeo, 'tune');
    const put = (...groups: readonly string[]) =>
      juliet.ask(
        `<iq type='set'><query xmlns='jabber:iq:roster'><item jid='${ROMEO}'>${groups.map((each) => `<group>${each}</group>`).join('')}</item></query></iq>`,
      );
    const heard: boolean[] = [];
    const hears = async () => {
      await publish(juliet, 'tune', `i${heard.length}`);
      heard.push((await told(romeo)).length === 1);
    };
    await hears();
    await configure(juliet, 'tune', { access_model: 'roster', roster_groups_allowed: ['Friends'] });
    await hears();
    await put('Friends');
    await hears();
    await put('Servants');
    await hears();
    await configure(juliet, 'tune', { access_model: 'whitelist' });
    await hears();
    await set(juliet, `<affiliations node='tune'><affiliation jid='${ROMEO}' affiliation='member'/></affiliations>`, {
      ns: '#owner',
    });
    await hears();
    juliet.send(`<presence to='${ROMEO}' type='unsubscribed'/>`);
    await hears();
    assert.deepEqual(heard, [true, false, true, false, false, true, false]);
  });

  it('is nobody whom the account has blocked, or who has blocked it; and they do not read', async () => {
    await publish(juliet, 'open', 'i0', { access_model: 'open' });
    await subscribe(romeo, juliet);
    await listen(romeo, 'open', 'tune');
    await set(romeo, `<subscribe node='open' jid='${ROMEO}'/>`, { to: JULIET });
    await told(romeo);
    for (const [who, [hide, show]] of [
      [juliet, [block(ROMEO), unblock(ROMEO)]],
      [romeo, [block(JULIET), unblock(JULIET)]],
    ] as const) {
      await who.ask(hide);
      await publish(juliet, 'tune', 'i1');
      await publish(juliet, 'open', 'i1', { access_model: 'open' });
      assert.deepEqual(await told(romeo), []);
      const refused = await ask(romeo, 'get', items('open'), { to: JULIET });
      assert.equal(conditionOf(refused), who === juliet ? 'service-unavailable' : 'not-acceptable');
      // Not by coming online either.
      romeo.send("<presence type='unavailable'/>");
      assert.deepEqual(await listen(romeo, 'open', 'tune'), []);
      await who.ask(show);
      await publish(juliet, 'tune', 'i2');
      assert.deepEqual(await told(romeo), ['juliet tune +i2']);
      await publish(juliet, 'open', 'i2', { access_model: 'open' });
      assert.deepEqual(await told(romeo), ['juliet open +i2'], 'once, though there are two reasons');
      assert.deepEqual(await idsAt(romeo, JULIET, 'open'), ['i2']);
    }
  });

  it('is told nothing of errors that come back, and the account is told nothing either (XEP-0163 section 4.3.1)', async () => {
    await subscribe(romeo, juliet);
    await listen(romeo, 'tune');
    await publish(juliet, 'tune', 'i1');
    await settle();
    const [message] = romeo.take();
    romeo.send(
      `<message type='error' id='${message!.attrs['id']}' to='${message!.attrs['from']}'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
    await juliet.quiet();
    await romeo.quiet();
  });
});

describe('pep: last items', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;

  beforeEach(async () => {
    host = await startHost(PEP_MODULES);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
    await publish(juliet, 'tune', 't1');
    await publish(juliet, 'tune', 't2');
    await publish(juliet, 'mood', 'm1');
    await publish(juliet, 'quiet', 'q1', { send_last_published_item: 'never' });
    await publish(juliet, 'secret', 's1', { access_model: 'whitelist' });
  });
  afterEach(() => host.stop());

  const ALL = ['mood', 'quiet', 'secret', 'tune'];

  it('come once to who comes online: those that they may read, and want', async () => {
    await subscribe(romeo, juliet);
    romeo.send("<presence type='unavailable'/>");
    assert.deepEqual([...(await listen(romeo, ...ALL))].sort(), ['juliet mood *m1', 'juliet tune *t2']);
    // Other presence is no news.
    assert.deepEqual(await listen(romeo, ...ALL), []);
    romeo.send(`<presence><show>away</show>${legacy(interestedIn(...ALL).ver)}</presence>`);
    assert.deepEqual(await told(romeo), []);
    const phone = await host.login('romeo', 'phone');
    assert.deepEqual(await listen(phone, 'mood'), ['juliet mood *m1']);
    assert.deepEqual(await told(romeo), []);
  });

  it('come to the own clients, of everything', async () => {
    const phone = await host.login('juliet', 'phone');
    const expected = ['juliet mood *m1', 'juliet secret *s1', 'juliet tune *t2'];
    assert.deepEqual([...(await listen(phone, ...ALL))].sort(), expected);
  });

  it('come only of what is new when a client changes what it is interested in', async () => {
    await subscribe(romeo, juliet);
    assert.deepEqual(await listen(romeo, 'tune'), ['juliet tune *t2']);
    assert.deepEqual(await listen(romeo, 'tune', 'mood'), ['juliet mood *m1']);
    assert.deepEqual(await listen(romeo, 'mood'), []);
    await publish(juliet, 'tune', 't3');
    assert.deepEqual(await told(romeo), [], 'of what it is not interested in any more it hears nothing');
    assert.deepEqual(await listen(romeo, 'mood', 'tune'), ['juliet tune *t3']);
    // One that says nothing more is interested in what it has said last.
    romeo.send('<presence/>');
    assert.deepEqual(await told(romeo), []);
    await publish(juliet, 'mood', 'm2');
    assert.deepEqual(await told(romeo), ['juliet mood +m2']);
  });

  it('come to who may see the presence from now on', async () => {
    await listen(romeo, 'tune', 'secret');
    assert.deepEqual(await told(romeo), []);
    romeo.send(`<presence to='${JULIET}' type='subscribe'/>`);
    await settle();
    assert.deepEqual(await told(romeo), []);
    juliet.send(`<presence to='${ROMEO}' type='subscribed'/>`);
    assert.deepEqual(await told(romeo), ['juliet tune *t2']);
    assert.deepEqual(await listen(romeo, 'tune', 'secret'), []);
  });

  it('come when what a client wants becomes known late, with what was published meanwhile, once', async () => {
    await subscribe(romeo, juliet);
    romeo.send("<presence type='unavailable'/>");
    const kind = interestedIn('tune', 'urn:late');
    romeo.send(`<presence>${legacy(kind.ver)}</presence>`);
    await settle();
    const question = romeo.take().find(({ name }) => name === 'iq')!;
    await publish(juliet, 'tune', 't3');
    assert.deepEqual(await told(romeo), []);
    romeo.send(`<iq type='result' id='${question.attrs['id']}' to='example.org'>${info(kind)}</iq>`);
    assert.deepEqual(await told(romeo), ['juliet tune *t3']);
  });

  it('come to nobody when there is none, or no node', async () => {
    await set(juliet, "<purge node='mood'/>", { ns: '#owner' });
    await set(juliet, "<delete node='tune'/>", { ns: '#owner' });
    await subscribe(romeo, juliet);
    assert.deepEqual(await listen(romeo, ...ALL), []);
  });
});

describe('pep: what becomes of it', () => {
  let disk: Disk;
  let host: TestHost;

  async function start(): Promise<void> {
    host = await startHost(PEP_MODULES, { storage: disk.mount() });
    for (const name of ['juliet', 'romeo']) await host.host.accounts.create(name, 'secret');
  }

  beforeEach(async () => {
    disk = await Disk.create();
    await start();
  });
  afterEach(async () => {
    await host.stop();
    await disk.close();
  });

  it('is there after a restart: items, who may read them, and who has subscribed', async () => {
    let juliet = await host.online('juliet', 'balcony');
    let romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    for (const id of ['i1', 'i2', 'i3']) await publish(juliet, 'keys', id, { access_model: 'open', max_items: '2' });
    await publish(juliet, 'secret', 's1', { access_model: 'whitelist' });
    await publish(juliet, 'fleeting', 'f1', { persist_items: '0' });
    await set(romeo, `<subscribe node='keys' jid='${ROMEO}'/>`, { to: JULIET });
    await host.stop();
    await start();
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
    assert.deepEqual(await idsAt(romeo, JULIET, 'keys'), ['i2', 'i3']);
    assert.deepEqual(await idsAt(juliet, JULIET, 'secret'), ['s1']);
    assert.equal(refusalOf(await ask(romeo, 'get', items('secret'), { to: JULIET })), 'not-allowed, closed-node');
    assert.deepEqual(await listen(romeo, 'keys', 'secret'), ['juliet keys *i3']);
    await publish(juliet, 'keys', 'i4');
    assert.deepEqual(await told(romeo), ['juliet keys +i4', 'juliet keys -i2']);
  });

  it('is gone with the account, and so is what it was to the nodes of others', async () => {
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    await publish(juliet, 'keys', 'i1', { access_model: 'open' });
    await publish(romeo, 'secret', 's1', { access_model: 'whitelist' });
    await publish(romeo, 'open', 'o1', { access_model: 'open' });
    const member = `<affiliations node='secret'><affiliation jid='${JULIET}' affiliation='member'/></affiliations>`;
    await set(romeo, member, { ns: '#owner' });
    for (const node of ['secret', 'open']) await set(juliet, `<subscribe node='${node}' jid='${JULIET}'/>`, { to: ROMEO });
    await set(romeo, `<subscribe node='keys' jid='${ROMEO}'/>`, { to: JULIET });
    await host.host.accounts.delete('juliet');
    await host.stop();
    assert.deepEqual(await left(disk.mount(), 'juliet'), { nodes: 0, items: 0, members: 0 });
    await start();
    const again = await host.online('juliet', 'somebody-else');
    assert.equal(conditionOf(await ask(again, 'get', items('keys'))), 'item-not-found');
    assert.equal(refusalOf(await ask(again, 'get', items('secret'), { to: ROMEO })), 'not-allowed, closed-node');
    assert.deepEqual(
      payloadOf(await ask(again, 'get', '<subscriptions/>', { to: ROMEO })).getChild('subscriptions')!.children,
      [],
    );
    const late = await host.online('romeo', 'orchard');
    await publish(late, 'open', 'o2');
    assert.deepEqual(await told(again), []);
  });

  it('is not there for guests, who may look at what is for everybody', async () => {
    const juliet = await host.online('juliet', 'balcony');
    await publish(juliet, 'keys', 'i1', { access_model: 'open' });
    const guest = await host.loginAsGuest();
    const { bare } = guest.session.jid;
    const refused = [
      await ask(guest, 'set', "<publish node='keys'><item id='i1'><e xmlns='urn:example'/></item></publish>"),
      await ask(guest, 'set', "<create node='keys'/>"),
      await ask(guest, 'get', items('keys')),
      await ask(juliet, 'get', items('keys'), { to: bare }),
    ];
    assert.deepEqual(refused.map(conditionOf), Array(4).fill('service-unavailable'));
    const own = infoOf(
      payloadOf(await guest.ask(`<iq type='get' to='${bare}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`)),
    );
    assert(!own.features.some((feature) => feature.startsWith(PUBSUB)), String(own.features));
    assert.deepEqual(await idsAt(guest, JULIET, 'keys'), ['i1']);
    assert.equal(
      conditionOf(await ask(guest, 'set', `<subscribe node='keys' jid='${guest.jid}'/>`, { to: JULIET })),
      'forbidden',
    );
    assert.deepEqual(await listen(guest, 'keys'), []);
    await publish(juliet, 'keys', 'i2');
    assert.deepEqual(await told(guest), []);
  });

  it('is configured anew by sending back the whole form with one value changed, as clients do', async () => {
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    await publish(juliet, 'keys', 'i1', { max_items: '5' });
    const again = { access_model: 'open', max_items: 'max' };
    const options = `<publish-options>${form('publish-options', again)}</publish-options>`;
    const wish = `<publish node='keys'><item id='i2'><e xmlns='urn:example'/></item></publish>${options}`;
    assert.equal(refusalOf(await ask(juliet, 'set', wish)), 'conflict, precondition-not-met');
    assert.deepEqual(await idsAt(juliet, JULIET, 'keys'), ['i1']);
    const shown = payloadOf(await ask(juliet, 'get', "<configure node='keys'/>", { ns: '#owner' }));
    const filled = String(shown.getChild('configure')!.getChild('x'))
      .replace(/type="form"/, 'type="submit"')
      .replace(/(<field [^>]*var="pubsub#access_model"[^>]*>.*?)<value>presence<\/value>/, '$1<value>open</value>')
      .replace(/(<field [^>]*var="pubsub#max_items"[^>]*>.*?)<value>5<\/value>/, '$1<value>max</value>');
    await set(juliet, `<configure node='keys'>${filled}</configure>`, { ns: '#owner' });
    await set(juliet, wish);
    assert.deepEqual(await idsAt(romeo, JULIET, 'keys'), ['i1', 'i2']);
  });
});

describe('pep: sessions that are resumed', () => {
  let disk: Disk;
  let host: TestHost;
  let juliet: Probe;
  let romeo: SmClient;

  async function start(): Promise<void> {
    host = await startHost([...PEP_MODULES, sm], { storage: disk.mount() });
    for (const name of ['juliet', 'romeo']) await host.host.accounts.create(name, 'secret');
    juliet = await host.online('juliet', 'balcony');
  }

  beforeEach(async () => {
    disk = await Disk.create();
    await start();
    await subscribe(await host.online('romeo', 'setup'), juliet);
    await publish(juliet, 'tune', 't1');
    romeo = await SmClient.managed(host, 'romeo', { resource: 'orchard' });
    assert.deepEqual(await listen(romeo, 'tune'), ['juliet tune *t1']);
    romeo.ack();
  });
  afterEach(async () => {
    await host.stop();
    await disk.close();
  });

  it('have what was published meanwhile, and hear of what is published then, but of nothing twice', async () => {
    romeo.cut();
    await publish(juliet, 'tune', 't2');
    assert.equal((await romeo.resume()).name, 'resumed');
    // It comes late, and says when it was sent (XEP-0198 section 5).
    assert.deepEqual(await told(romeo), ['juliet tune *t2']);
    await publish(juliet, 'tune', 't3');
    assert.deepEqual(await told(romeo), ['juliet tune +t3']);
    assert.deepEqual(await listen(romeo, 'tune'), []);
    assert.deepEqual(await listen(romeo, 'tune', 'mood'), []);
  });

  it('do so after a restart of the server too', async () => {
    romeo.cut();
    await settle();
    await host.stop();
    await start();
    romeo.host = host;
    assert.equal((await romeo.resume()).name, 'resumed');
    assert.deepEqual(await told(romeo), []);
    await publish(juliet, 'tune', 't2');
    assert.deepEqual(await told(romeo), ['juliet tune +t2']);
    await publish(juliet, 'mood', 'm1');
    assert.deepEqual(await listen(romeo, 'tune', 'mood'), ['juliet mood *m1']);
  });

  it('are no more when they have ended: nothing is kept for them', async () => {
    romeo.leave();
    await settle();
    await publish(juliet, 'tune', 't2');
    const again = await SmClient.managed(host, 'romeo', { resource: 'orchard' });
    await settle();
    assert.deepEqual(again.take().map(String), []);
    assert.deepEqual(await listen(again, 'tune'), ['juliet tune *t2']);
  });
});

/** How much is kept of an account. */
async function left(storage: Storage, owner: string): Promise<Readonly<Record<string, number>>> {
  const stores = await storage.open('example.org', 'pep', NODE_STORES);
  const names = ['keys', 'open', 'secret'];
  const sum = async (store: typeof stores.items) =>
    (await Promise.all(names.map((node) => store.count(owner, node, {})))).reduce((total, count) => total + count);
  const nodes = [...(await stores.nodes.entries(owner))].length;
  return { nodes, items: await sum(stores.items), members: await sum(stores.members) };
}
