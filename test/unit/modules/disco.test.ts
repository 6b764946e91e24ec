import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import disco from '../../../modules/disco/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { defineModule, option, writeForm } from '../../../src/index.ts';
import { conditionOf, infoOf, payloadOf, subscribe } from '../../support/answers.ts';
import type { Probe } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';

const sample = defineModule({
  name: 'sample',
  doc: 'Registers a bit of everything.',
  features: ['urn:sample', 'urn:another'],
  config: option.object({}),
  setup({ disco: registry }) {
    registry.identity('server', { category: 'pubsub', type: 'service' });
    registry.identity('account', { category: 'pubsub', type: 'pep' });
    registry.feature('account', 'urn:sample:account');
    registry.feature('registered', 'urn:sample:registered');
    registry.extend({
      forms: ({ node }) => (node ? [] : [writeForm('result', 'urn:form', [{ name: 'b', values: ['2'] }])]),
      items: ({ to, node }) => (to.local === '' && !node ? [{ jid: 'rooms.example.org', name: 'Rooms' }] : []),
    });
    registry.extend({
      forms: async () => [writeForm('result', 'urn:form', [{ name: 'a', values: ['1'] }])],
      node: async ({ node }) =>
        node === 'urn:node' ? { identities: [{ category: 'automation', type: 'command-list' }], features: ['urn:x'] } : undefined,
    });
  },
});

describe('disco', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await startHost([disco, roster, presence, sample], {
      modules: { disco: { name: 'Verona', items: [{ jid: 'news.example.net' }] } },
    });
  });
  afterEach(() => host.stop());

  it('says of an anonymous client that it is one, to itself and to everybody, and of others that they are registered (XEP-0175)', async () => {
    const ask = async (probe: Probe, to = probe.session.jid.bare) =>
      infoOf(payloadOf(await probe.ask(`<iq type='get' to='${to}'><query xmlns='${NS_INFO}'/></iq>`))).identities;
    const guest = await host.loginAsGuest();
    const juliet = await host.login('juliet');
    assert.deepEqual(await ask(guest), ['account/anonymous', 'pubsub/pep']);
    assert.deepEqual(await ask(juliet), ['account/registered', 'pubsub/pep']);
    assert.deepEqual(await ask(juliet, guest.session.jid.bare), ['account/anonymous', 'pubsub/pep']);
    const node = `<iq type='get' to='${guest.session.jid.bare}'><query xmlns='${NS_INFO}' node='urn:node'/></iq>`;
    assert.equal(conditionOf(await juliet.ask(node)), 'service-unavailable');
  });

  it('shows no anonymous client what only registered accounts can use', async () => {
    const ask = async (probe: Probe) =>
      infoOf(payloadOf(await probe.ask(`<iq type='get'><query xmlns='${NS_INFO}'/></iq>`))).features;
    const everybody = [NS_INFO, NS_ITEMS, 'urn:sample:account'];
    assert.deepEqual(await ask(await host.loginAsGuest()), everybody);
    assert.deepEqual(await ask(await host.login('juliet')), [...everybody, 'urn:sample:registered']);
    const query = await (await host.login('romeo')).ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`);
    assert(!infoOf(payloadOf(query)).features.some((feature) => feature.startsWith('urn:sample:')));
  });

  it('says what the host is and supports (XEP-0030 section 3.1)', async () => {
    const juliet = await host.online('juliet');
    const query = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`));
    const [first] = query.getChildren('identity');
    assert.deepEqual([first?.attrs['category'], first?.attrs['type'], first?.attrs['name']], ['server', 'im', 'Verona']);
    assert.deepEqual(identitiesOf(query), ['server/im', 'pubsub/service']);
    for (const feature of [NS_INFO, NS_ITEMS, 'urn:sample', 'urn:another']) assert(featuresOf(query).includes(feature), feature);
  });

  it('shows forms of one FORM_TYPE as one (XEP-0115 section 5.4)', async () => {
    const juliet = await host.online('juliet');
    const query = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`));
    const forms = query.getChildren('x', 'jabber:x:data');
    assert.equal(forms.length, 1);
    assert.deepEqual(
      forms[0]!
        .getChildren('field')
        .map(({ attrs }) => attrs['var'])
        .sort(),
      ['FORM_TYPE', 'a', 'b'],
    );
  });

  it('lists the services of the host and the configured ones', async () => {
    const juliet = await host.online('juliet');
    const query = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_ITEMS}'/></iq>`));
    assert.deepEqual(jids(query), ['news.example.net', 'rooms.example.org']);
  });

  it('answers for a node and gives the node back; an unknown one is item-not-found', async () => {
    const juliet = await host.online('juliet');
    const known = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}' node='urn:node'/></iq>`));
    assert.equal(known.attrs['node'], 'urn:node');
    assert.deepEqual([identitiesOf(known), featuresOf(known)], [['automation/command-list'], ['urn:x']]);
    const empty = payloadOf(
      await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_ITEMS}' node='urn:node'/></iq>`),
    );
    assert.deepEqual([empty.attrs['node'], jids(empty)], ['urn:node', []]);
    for (const xmlns of [NS_INFO, NS_ITEMS]) {
      for (const to of ["to='example.org'", '']) {
        const unknown = await juliet.ask(`<iq type='get' ${to}><query xmlns='${xmlns}' node='__proto__'/></iq>`);
        assert.equal(conditionOf(unknown), 'item-not-found');
      }
    }
  });

  it('answers for the own account, with and without an address, and shows its own clients', async () => {
    const balcony = await host.online('juliet', 'balcony');
    await host.login('juliet', 'silent');
    for (const to of ['', "to='juliet@example.org'"]) {
      const info = payloadOf(await balcony.ask(`<iq type='get' ${to}><query xmlns='${NS_INFO}'/></iq>`));
      assert.deepEqual(identitiesOf(info), ['account/registered', 'pubsub/pep']);
      assert(featuresOf(info).includes('urn:sample:account'));
      assert(!featuresOf(info).includes('urn:sample'));
      const items = payloadOf(await balcony.ask(`<iq type='get' ${to}><query xmlns='${NS_ITEMS}'/></iq>`));
      assert.deepEqual(jids(items), ['juliet@example.org/balcony']);
    }
  });

  it('tells strangers nothing about an account, not even whether there is one (XEP-0030 section 8)', async () => {
    await host.online('juliet', 'balcony');
    const tybalt = await host.online('tybalt');
    for (const to of ['juliet@example.org', 'nobody@example.org']) {
      for (const node of ['', " node='urn:node'"]) {
        const info = await tybalt.ask(`<iq type='get' to='${to}'><query xmlns='${NS_INFO}'${node}/></iq>`);
        assert.equal(conditionOf(info), 'service-unavailable');
        const items = await tybalt.ask(`<iq type='get' to='${to}'><query xmlns='${NS_ITEMS}'${node}/></iq>`);
        assert.equal(items.attrs['type'], 'result');
        assert.deepEqual(jids(payloadOf(items)), []);
      }
    }
  });

  it('shows an account and its available clients to those it shares presence with', async () => {
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    const info = payloadOf(await romeo.ask(`<iq type='get' to='juliet@example.org'><query xmlns='${NS_INFO}'/></iq>`));
    assert.deepEqual(identitiesOf(info), ['account/registered', 'pubsub/pep']);
    const items = payloadOf(await romeo.ask(`<iq type='get' to='juliet@example.org'><query xmlns='${NS_ITEMS}'/></iq>`));
    assert.deepEqual(jids(items), ['juliet@example.org/balcony']);
    // It was not the other way round: juliet has not subscribed to romeo.
    const back = await juliet.ask(`<iq type='get' to='romeo@example.org'><query xmlns='${NS_INFO}'/></iq>`);
    assert.equal(conditionOf(back), 'service-unavailable');
  });

  it('leaves questions for clients to them', async () => {
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    romeo.send(`<iq id='d' type='get' to='juliet@example.org/balcony'><query xmlns='${NS_ITEMS}'/></iq>`);
    assert.equal((await juliet.receive('iq')).attrs['id'], 'd');
  });

  it('cannot be asked to change anything', async () => {
    const juliet = await host.online('juliet');
    for (const to of ['', "to='example.org'"]) {
      const reply = await juliet.ask(`<iq type='set' ${to}><query xmlns='${NS_ITEMS}'/></iq>`);
      assert.equal(conditionOf(reply), 'service-unavailable');
    }
  });

  it('forgets what a module has registered when it stops', async () => {
    const juliet = await host.online('juliet');
    await host.modules.apply([{ module: disco, config: disco.config.parse({}, 'x') }]);
    const query = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS_INFO}'/></iq>`));
    assert.deepEqual(identitiesOf(query), ['server/im']);
    assert.deepEqual(featuresOf(query), [NS_INFO, NS_ITEMS]);
    assert.deepEqual(query.getChildren('x'), []);
  });
});

function identitiesOf(query: Element): readonly string[] {
  return infoOf(query).identities;
}

function featuresOf(query: Element): readonly string[] {
  return infoOf(query).features;
}

function jids(query: Element): string[] {
  return query.getChildren('item').map(({ attrs }) => String(attrs['jid']));
}
