import assert from 'node:assert/strict';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:roster';
const GET = `<iq type='get'><query xmlns='${NS}'/></iq>`;
const set = (items: string) => `<iq type='set'><query xmlns='${NS}'>${items}</query></iq>`;
const itemsOf = async (probe: Probe) =>
  payloadOf(await probe.ask(GET))
    .getChildren('item')
    .map(String);

describe('roster (RFC 6121 section 2)', () => {
  let host: TestHost;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence]);
    juliet = await host.login('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  it('is empty at first', async () => {
    assert.equal(String(payloadOf(await juliet.ask(GET))), `<query xmlns="${NS}"/>`);
  });

  it('keeps names and groups as they were given (section 2.3)', async () => {
    await juliet.ask(set("<item jid='Romeo@Example.NET' name='R&amp;J'><group>Friends</group><group>Élite</group></item>"));
    assert.deepEqual(await itemsOf(juliet), [
      '<item jid="romeo@example.net" name="R&amp;J" subscription="none"><group>Friends</group><group>Élite</group></item>',
    ]);
  });

  it('replaces an item as a whole (section 2.4.1)', async () => {
    await juliet.ask(set("<item jid='romeo@example.net' name='Romeo'><group>Friends</group></item>"));
    await juliet.ask(set("<item jid='romeo@example.net' name=''/>"));
    assert.deepEqual(await itemsOf(juliet), ['<item jid="romeo@example.net" subscription="none"/>']);
  });

  it('lets clients set neither subscription nor ask nor approval (section 2.1.2)', async () => {
    await juliet.ask(set("<item jid='romeo@example.net' subscription='both' ask='subscribe' approved='true'/>"));
    assert.deepEqual(await itemsOf(juliet), ['<item jid="romeo@example.net" subscription="none"/>']);
  });

  it('pushes a change to all clients that have asked for the roster, and only to them (section 2.1.6)', async () => {
    const garden = await host.login('juliet', 'garden');
    const hall = await host.login('juliet', 'hall');
    const romeo = await host.login('romeo');
    for (const probe of [juliet, garden, romeo]) await probe.ask(GET);
    assert.equal((await garden.ask(set("<item jid='nurse@example.org' name='Nurse'/>"))).attrs['type'], 'result');
    for (const probe of [juliet, garden]) {
      const { attrs, children } = await probe.receive('iq');
      assert.deepEqual([attrs['type'], attrs['to'], attrs['from']], ['set', probe.jid, undefined]);
      assert.match(String(children), /<item jid="nurse@example.org" name="Nurse" subscription="none"\/>/);
    }
    await hall.quiet();
    await romeo.quiet();
  });

  it('removes an item, and says so to all (section 2.5)', async () => {
    await juliet.ask(set("<item jid='nurse@example.org'/>"));
    await juliet.ask(GET);
    await juliet.ask(set("<item jid='nurse@example.org' subscription='remove'/>"));
    assert.match(String(await juliet.receive('iq')), /<item jid="nurse@example.org" subscription="remove"\/>/);
    assert.deepEqual(await itemsOf(juliet), []);
  });

  it('can remove only what is there (section 2.5.3)', async () => {
    assert.equal(conditionOf(await juliet.ask(set("<item jid='a@b' subscription='remove'/>"))), 'item-not-found');
  });

  it('answers when a change is durable, and pushes it then', async () => {
    const slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    const other = await startHost([roster], { storage: slow.storage });
    const probe = await other.login('juliet');
    await probe.ask(GET);
    slow.hold();
    probe.send(`<iq id='1' type='set'><query xmlns='${NS}'><item jid='nurse@example.org'/></query></iq>`);
    await probe.quiet();
    slow.release();
    await settle();
    assert.deepEqual(
      probe.take().map(({ attrs }) => attrs['type']),
      ['set', 'result'],
    );
    await other.stop();
  });

  it('shows nothing of a change that could not be written', async () => {
    const slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    const other = await startHost([roster], { storage: slow.storage, log: silent });
    const probe = await other.login('juliet');
    await probe.ask(GET);
    slow.fail();
    assert.equal(conditionOf(await probe.ask(set("<item jid='nurse@example.org'/>"))), 'internal-server-error');
    slow.release();
    assert.deepEqual(await itemsOf(probe), []);
    await probe.quiet();
    await other.stop();
  });

  it('keeps all of many changes made at once by several clients', async () => {
    const garden = await host.login('juliet', 'garden');
    for (let i = 0; i < 40; i++)
      (i % 2 ? juliet : garden).send(set(`<item jid='c${i}@example.net'/>`).replace('<iq', `<iq id='${i}'`));
    await settle();
    assert.equal((await itemsOf(juliet)).length, 40);
    for (const probe of [juliet, garden]) assert.equal(probe.take().filter(({ attrs }) => attrs['type'] === 'result').length, 20);
  });

  it('is gone with its account, and whoever takes the name starts with an empty one', async () => {
    await juliet.ask(set("<item jid='romeo@example.net'/>"));
    await host.host.accounts.delete('juliet');
    juliet.drop();
    await settle();
    const next = await host.login('juliet');
    assert.deepEqual(await itemsOf(next), []);
  });

  it('leaves nothing behind of a change that was under way when its account was deleted', async () => {
    const slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    const other = await startHost([roster], { storage: slow.storage });
    const probe = await other.login('juliet');
    await probe.ask(GET);
    slow.hold();
    probe.send(`<iq id='1' type='set'><query xmlns='${NS}'><item jid='nurse@example.org'/></query></iq>`);
    await settle();
    await other.host.accounts.delete('juliet');
    slow.release();
    await settle();
    const next = await other.login('juliet');
    assert.deepEqual(await itemsOf(next), []);
    await other.stop();
  });
});

describe('roster: what is refused', () => {
  let host: TestHost;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence], {
      modules: { roster: { maxContacts: 3, maxGroups: 2, maxNameBytes: 64 } },
    });
    juliet = await host.login('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  const long = 'é'.repeat(33);
  const SETS: readonly (readonly [string, string, string])[] = [
    ['no item', '', 'bad-request'],
    ['two items', "<item jid='a@example.net'/><item jid='b@example.net'/>", 'bad-request'],
    ['no jid', "<item name='x'/>", 'bad-request'],
    ['an empty jid', "<item jid=''/>", 'jid-malformed'],
    ['a malformed jid', "<item jid='a@b@c'/>", 'jid-malformed'],
    ['a jid of nothing but an at sign', "<item jid='@example.net'/>", 'jid-malformed'],
    ['a jid with a forbidden character', "<item jid='a&amp;b@example.net'/>", 'jid-malformed'],
    ['a full jid', "<item jid='a@example.net/home'/>", 'bad-request'],
    ['an address that is too long', `<item jid='${'a'.repeat(1020)}@example.net'/>`, 'not-acceptable'],
    ['oneself', "<item jid='juliet@example.org'/>", 'not-allowed'],
    ['a name that is too long', `<item jid='a@example.net' name='${long}'/>`, 'not-acceptable'],
    ['an empty group', "<item jid='a@example.net'><group/></item>", 'not-acceptable'],
    ['a group that is too long', `<item jid='a@example.net'><group>${long}</group></item>`, 'not-acceptable'],
    ['a group twice', "<item jid='a@example.net'><group>x</group><group>x</group></item>", 'bad-request'],
    ['too many groups', "<item jid='a@example.net'><group>x</group><group>y</group><group>z</group></item>", 'not-acceptable'],
    ['the removal of a full jid', "<item jid='a@example.net/x' subscription='remove'/>", 'bad-request'],
  ];
  for (const [name, items, condition] of SETS) {
    it(`${name}: ${condition} (RFC 6121 section 2.3.3)`, async () => {
      assert.equal(conditionOf(await juliet.ask(set(items))), condition);
      assert.deepEqual(await itemsOf(juliet), []);
    });
  }

  it('names that are properties of every object are names like others', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) {
      await juliet.ask(set(`<item jid='${name}@example.net' name='${name}'><group>${name}</group></item>`));
    }
    const found = (await itemsOf(juliet)).join('');
    for (const name of ['__proto__', 'constructor'])
      assert.match(found, new RegExp(`name="${name}"[^>]*><group>${name}</group>`));
  });

  it('more contacts than allowed; those that are there can still be edited and removed', async () => {
    for (const name of ['a', 'b', 'c']) await juliet.ask(set(`<item jid='${name}@example.net'/>`));
    assert.equal(conditionOf(await juliet.ask(set("<item jid='d@example.net'/>"))), 'resource-constraint');
    assert.equal((await juliet.ask(set("<item jid='a@example.net' name='A'/>"))).attrs['type'], 'result');
    assert.equal((await juliet.ask(set("<item jid='b@example.net' subscription='remove'/>"))).attrs['type'], 'result');
    assert.equal((await juliet.ask(set("<item jid='d@example.net'/>"))).attrs['type'], 'result');
  });

  it('more contacts than allowed also when they are asked for their presence', async () => {
    for (const name of ['a', 'b', 'c']) await juliet.ask(set(`<item jid='${name}@example.net'/>`));
    juliet.send("<presence type='subscribe' to='d@example.net'/>");
    assert.equal(conditionOf(await juliet.receive('presence')), 'resource-constraint');
  });

  describe('to others', () => {
    const ITEM = "<item jid='tybalt@example.org'/>";
    for (const type of ['get', 'set']) {
      for (const whose of ['juliet', 'nobody']) {
        it(`${type} of the roster of ${whose === 'nobody' ? 'an account that does not exist' : 'another account'}`, async () => {
          const tybalt = await host.online('tybalt');
          const there = new Elsewhere(host, 'elsewhere.example');
          const query = `<query xmlns='${NS}'>${type === 'set' ? ITEM : ''}</query>`;
          assert.equal(conditionOf(await tybalt.ask(`<iq type='${type}' to='${whose}@example.org'>${query}</iq>`)), 'forbidden');
          await there.send(`<iq type='${type}' id='1' from='x@elsewhere.example/y' to='${whose}@example.org'>${query}</iq>`);
          assert.equal(conditionOf((await there.take())[0]!), 'forbidden');
        });
      }
    }

    it('what looks like a push is not let through to any client (section 2.1.6)', async () => {
      const garden = await host.login('juliet', 'garden');
      const tybalt = await host.online('tybalt');
      const there = new Elsewhere(host, 'elsewhere.example');
      const push = `to='juliet@example.org/balcony'><query xmlns='${NS}'>${ITEM}</query></iq>`;
      assert.equal(conditionOf(await tybalt.ask(`<iq type='set' ${push}`)), 'forbidden');
      assert.equal(conditionOf(await garden.ask(`<iq type='set' ${push}`)), 'forbidden');
      for (const from of ['x@elsewhere.example', 'elsewhere.example'])
        await there.send(`<iq type='set' id='1' from='${from}' ${push}`);
      assert.equal((await there.take()).length, 2);
      await juliet.quiet();
    });
  });
});
