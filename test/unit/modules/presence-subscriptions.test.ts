import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, payloadOf, subscribe } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:roster';
const MERCUTIO = 'mercutio@elsewhere.example';
const JULIET = 'juliet@example.org';

async function interested(host: TestHost, username: string, resource: string): Promise<Probe> {
  const probe = await host.online(username, resource);
  await probe.ask(`<iq type='get'><query xmlns='${NS}'/></iq>`);
  return probe;
}

/** Presence as its type, pushes as the item. */
function brief(stanza: Element): string {
  if (stanza.name === 'presence') return `${stanza.attrs['from']} ${stanza.attrs['type'] ?? 'available'}`;
  const { jid, subscription, ask, approved } = stanza.getChild('query')!.getChild('item')!.attrs;
  return `push ${jid} ${subscription}${ask ? ` ask=${ask}` : ''}${approved ? ` approved=${approved}` : ''}`;
}

const heard = async (probe: Probe) => {
  await settle();
  return probe.take().map(brief);
};

describe('presence subscriptions (RFC 6121 section 3)', () => {
  let host: TestHost;
  let there: Elsewhere;
  let juliet: Probe;
  let romeo: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence], {
      modules: { roster: { maxRequests: 3, maxContacts: 10 }, presence: { maxRequestBytes: 512 } },
    });
    there = new Elsewhere(host, 'elsewhere.example');
    juliet = await interested(host, 'juliet', 'balcony');
    romeo = await interested(host, 'romeo', 'orchard');
  });
  afterEach(() => host.stop());

  const arrived = async () => (await there.take()).map(({ attrs }) => `${attrs['from']} ${attrs['type'] ?? 'available'}`);
  const itemsOf = async (probe: Probe) =>
    payloadOf(await probe.ask(`<iq type='get'><query xmlns='${NS}'/></iq>`))
      .getChildren('item')
      .map(String);

  it('are asked for, granted and made mutual, with every client told in order (section 3.1)', async () => {
    romeo.send(`<presence type='subscribe' to='${JULIET}'/>`);
    assert.deepEqual(await heard(romeo), ['push juliet@example.org none ask=subscribe']);
    assert.deepEqual(await heard(juliet), ['romeo@example.org subscribe']);

    juliet.send("<presence type='subscribed' to='romeo@example.org'/>");
    assert.deepEqual(await heard(juliet), ['push romeo@example.org from']);
    assert.deepEqual(await heard(romeo), [
      'juliet@example.org subscribed',
      'push juliet@example.org to',
      'juliet@example.org/balcony available',
    ]);

    juliet.send("<presence type='subscribe' to='romeo@example.org'/>");
    await settle();
    romeo.send(`<presence type='subscribed' to='${JULIET}'/>`);
    assert.deepEqual(await heard(juliet), [
      'push romeo@example.org from ask=subscribe',
      'romeo@example.org subscribed',
      'push romeo@example.org both',
      'romeo@example.org/orchard available',
    ]);
  });

  it('come from account to account, whatever address a client has given (section 3.1.2)', async () => {
    juliet.send(`<presence type='subscribe' to='${MERCUTIO}/home' id='s1'><status>Hi</status></presence>`);
    const [stanza] = await there.take();
    const { from, to, id } = stanza!.attrs;
    assert.deepEqual([from, to, id, stanza!.getChildText('status')], [JULIET, MERCUTIO, 's1', 'Hi']);
    assert.match((await itemsOf(juliet)).join(), /jid="mercutio@elsewhere.example" subscription="none" ask="subscribe"/);
  });

  it('end when the subscriber wants no more (section 3.3)', async () => {
    await subscribe(romeo, juliet);
    romeo.send(`<presence type='unsubscribe' to='${JULIET}'/>`);
    assert.deepEqual(await heard(juliet), ['romeo@example.org unsubscribe', 'push romeo@example.org none']);
    assert.deepEqual(await heard(romeo), ['push juliet@example.org none', 'juliet@example.org/balcony unavailable']);
  });

  it('end when the contact takes them back, which is first seen to go offline (section 3.2)', async () => {
    await subscribe(romeo, juliet);
    juliet.send("<presence type='unsubscribed' to='romeo@example.org'/>");
    assert.deepEqual(await heard(juliet), ['push romeo@example.org none']);
    assert.deepEqual(await heard(romeo), [
      'juliet@example.org/balcony unavailable',
      'juliet@example.org unsubscribed',
      'push juliet@example.org none',
    ]);
  });

  it('are answered by the server when they are there already (section 3.1.3)', async () => {
    await subscribe(romeo, juliet);
    await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
    juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
    await there.take();
    juliet.take();
    await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
    assert.deepEqual(await arrived(), [`${JULIET} subscribed`]);
    await juliet.quiet();
  });

  it('of oneself are not needed (section 4.2.2)', async () => {
    for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']) {
      juliet.send(`<presence type='${type}' to='${JULIET}'/>`);
      juliet.send(`<presence type='${type}' to='${JULIET}/garden'/>`);
    }
    await juliet.quiet();
    assert.deepEqual(await itemsOf(juliet), []);
  });

  it('of another server that cannot be reached are refused to the client', async () => {
    juliet.send("<presence type='subscribe' to='x@nowhere.example'/>");
    await settle();
    const [push, error] = juliet.take();
    assert.equal(brief(push!), 'push x@nowhere.example none ask=subscribe');
    assert.equal(conditionOf(error!), 'remote-server-not-found');
  });

  it('that nobody asked for are not granted, whoever says so', async () => {
    for (const type of ['subscribed', 'unsubscribed', 'unsubscribe']) {
      for (const to of [JULIET, `${JULIET}/balcony`])
        await there.send(`<presence type='${type}' from='${MERCUTIO}' to='${to}'/>`);
    }
    await juliet.quiet();
    assert.deepEqual(await itemsOf(juliet), []);
    assert.deepEqual(await arrived(), []);
  });

  it('are not answered by clients that are not there (section 8.5.3.2.2)', async () => {
    juliet.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
    await settle();
    juliet.take();
    await there.send(`<presence type='subscribed' from='${MERCUTIO}' to='${JULIET}/gone'/>`);
    await juliet.quiet();
  });

  it('of a changed roster are on disk before the contact hears of them', async () => {
    const slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    const other = await startHost([roster, presence], { storage: slow.storage });
    const far = new Elsewhere(other, 'elsewhere.example');
    const probe = await other.online('juliet');
    slow.hold();
    probe.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
    assert.deepEqual(await far.take(), []);
    slow.release();
    assert.equal((await far.take()).length, 1);
    await other.stop();
  });

  it('asked for by both at the same time come to the same end', async () => {
    romeo.send(`<presence type='subscribe' to='${JULIET}'/>`);
    juliet.send("<presence type='subscribe' to='romeo@example.org'/>");
    await settle();
    romeo.send(`<presence type='subscribed' to='${JULIET}'/>`);
    juliet.send("<presence type='subscribed' to='romeo@example.org'/>");
    await settle();
    assert.deepEqual(await itemsOf(juliet), ['<item jid="romeo@example.org" subscription="both"/>']);
    assert.deepEqual(await itemsOf(romeo), ['<item jid="juliet@example.org" subscription="both"/>']);
  });

  it('end with the account: whoever takes its name next is a stranger to all', async () => {
    await subscribe(romeo, juliet);
    await subscribe(juliet, romeo);
    await host.host.accounts.delete('romeo');
    romeo.drop();
    await settle();
    assert.deepEqual(await itemsOf(juliet), ['<item jid="romeo@example.org" subscription="none"/>']);
    const next = await host.online('romeo');
    juliet.send('<presence><show>away</show></presence>');
    await next.quiet();
  });

  describe('requests that wait for an answer (section 3.1.3)', () => {
    const REQUEST = `<presence type='subscribe' from='${MERCUTIO}' to='nurse@example.org' id='r1'><status>It&apos;s me</status><nick xmlns='http://jabber.org/protocol/nick'>M</nick></presence>`;

    it('are given to each client that comes online, with all that came in them, until there is one', async () => {
      await host.host.accounts.create('nurse', 'secret');
      await there.send(REQUEST);
      for (const resource of ['one', 'two']) {
        const nurse = await host.login('nurse', resource);
        nurse.send('<presence/>');
        await settle();
        const request = nurse.take().find(({ attrs }) => attrs['type'] === 'subscribe')!;
        const { from, to, id } = request.attrs;
        assert.deepEqual([from, to, id], [MERCUTIO, 'nurse@example.org', 'r1']);
        assert.equal(request.getChildText('status'), "It's me");
        assert.equal(request.getChild('nick', 'http://jabber.org/protocol/nick')?.getText(), 'M');
      }
      const nurse = await host.online('nurse', 'three');
      nurse.send(`<presence type='unsubscribed' to='${MERCUTIO}'/>`);
      await settle();
      const last = await host.login('nurse', 'four');
      last.send('<presence/>');
      await settle();
      assert(!last.take().some(({ attrs }) => attrs['type'] === 'subscribe'));
    });

    it('are not in the roster, and nothing is pushed for them', async () => {
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      assert.deepEqual(await heard(juliet), [`${MERCUTIO} subscribe`]);
      assert.deepEqual(await itemsOf(juliet), []);
    });

    it('outlive the server', async () => {
      const storage = await openStorage({ type: 'memory' }, silent);
      const before = await startHost([roster, presence], { storage });
      await before.host.accounts.create('nurse', 'secret');
      await new Elsewhere(before, 'elsewhere.example').send(REQUEST);
      await before.modules.stop();
      const next = await startHost([roster, presence], { storage });
      const nurse = await next.login('nurse');
      nurse.send('<presence/>');
      await settle();
      assert(nurse.take().some(({ attrs }) => attrs['type'] === 'subscribe' && attrs['id'] === 'r1'));
      await next.stop();
    });

    it('that are too big are told without what came in them', async () => {
      await host.host.accounts.create('nurse', 'secret');
      const big = `<presence type='subscribe' from='${MERCUTIO}' to='nurse@example.org'><status>${'x'.repeat(600)}</status></presence>`;
      await there.send(big);
      const nurse = await host.login('nurse');
      nurse.send('<presence/>');
      await settle();
      const request = nurse.take().find(({ attrs }) => attrs['type'] === 'subscribe')!;
      assert.deepEqual([request.attrs['from'], request.getChildElements()], [MERCUTIO, []]);
    });

    it('are told once, however often they come', async () => {
      for (let i = 0; i < 20; i++) await there.send(`<presence type='subscribe' from='${MERCUTIO}/${i}' to='${JULIET}'/>`);
      assert.deepEqual(await heard(juliet), [`${MERCUTIO} subscribe`]);
    });

    it('are bounded: further strangers are refused, and nothing is kept of them', async () => {
      for (let i = 0; i < 10; i++) await there.send(`<presence type='subscribe' from='s${i}@elsewhere.example' to='${JULIET}'/>`);
      const refused = (await there.take()).map(conditionOf);
      assert.deepEqual(refused, Array(7).fill('resource-constraint'));
      assert.equal((await heard(juliet)).length, 3);
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence/>');
      assert.equal((await heard(garden)).filter((line) => line.endsWith(' subscribe')).length, 3);
    });

    it('leave room for others once they are answered or taken back', async () => {
      for (let i = 0; i < 3; i++) await there.send(`<presence type='subscribe' from='s${i}@elsewhere.example' to='${JULIET}'/>`);
      juliet.send("<presence type='unsubscribed' to='s0@elsewhere.example'/>");
      await there.send(`<presence type='unsubscribe' from='s1@elsewhere.example' to='${JULIET}'/>`);
      await there.take();
      for (let i = 3; i < 5; i++) await there.send(`<presence type='subscribe' from='s${i}@elsewhere.example' to='${JULIET}'/>`);
      assert.deepEqual(await arrived(), []);
    });

    it('for accounts that do not exist are dropped without a word', async () => {
      for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']) {
        await there.send(`<presence type='${type}' from='${MERCUTIO}' to='nobody@example.org'/>`);
      }
      assert.deepEqual(await arrived(), []);
      const nobody = await host.login('nobody');
      nobody.send('<presence/>');
      assert.deepEqual(await heard(nobody), [`nobody@example.org/${nobody.session.jid.resource} available`]);
    });
  });

  describe('approved beforehand (section 3.4)', () => {
    it('are granted by the server when they are asked for, and presence follows', async () => {
      juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
      assert.deepEqual(await heard(juliet), [`push ${MERCUTIO} none approved=true`]);
      assert.deepEqual(await arrived(), []);
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      assert.deepEqual(await heard(juliet), [`push ${MERCUTIO} from approved=true`]);
      assert.deepEqual(await arrived(), [`${JULIET} subscribed`, 'juliet@example.org/balcony available']);
    });

    it('are granted also when nobody is online', async () => {
      juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
      await settle();
      juliet.drop();
      await there.take();
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      assert.deepEqual(await arrived(), [`${JULIET} subscribed`]);
    });

    it('can be taken back before, without a word to the contact', async () => {
      juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
      await settle();
      juliet.send(`<presence type='unsubscribed' to='${MERCUTIO}'/>`);
      assert.deepEqual((await heard(juliet)).slice(1), [`push ${MERCUTIO} none`]);
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      assert.deepEqual(await arrived(), []);
      assert.deepEqual(await heard(juliet), [`${MERCUTIO} subscribe`]);
    });

    it('between two accounts here need one stanza of each', async () => {
      juliet.send("<presence type='subscribed' to='romeo@example.org'/>");
      await settle();
      romeo.send(`<presence type='subscribe' to='${JULIET}'/>`);
      assert.deepEqual(await heard(romeo), [
        'push juliet@example.org none ask=subscribe',
        'juliet@example.org subscribed',
        'push juliet@example.org to',
        'juliet@example.org/balcony available',
      ]);
    });
  });

  describe('of a contact that is removed from the roster (section 2.5.2)', () => {
    const remove = (jid: string) =>
      juliet.ask(`<iq type='set'><query xmlns='${NS}'><item jid='${jid}' subscription='remove'/></query></iq>`);

    it('end in both directions, and it is seen to go offline first', async () => {
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      juliet.send(`<presence type='subscribed' to='${MERCUTIO}'/>`);
      juliet.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
      await there.send(`<presence type='subscribed' from='${MERCUTIO}' to='${JULIET}'/>`);
      await there.take();
      await remove(MERCUTIO);
      assert.deepEqual(await arrived(), [`${JULIET} unsubscribe`, `${JULIET}/balcony unavailable`, `${JULIET} unsubscribed`]);
    });

    it('end also at an account here', async () => {
      await subscribe(romeo, juliet);
      await remove('romeo@example.org');
      assert.deepEqual(await heard(romeo), [
        'juliet@example.org/balcony unavailable',
        'juliet@example.org unsubscribed',
        'push juliet@example.org none',
      ]);
    });

    it('are no longer asked for', async () => {
      juliet.send(`<presence type='subscribe' to='${MERCUTIO}'/>`);
      await there.take();
      await remove(MERCUTIO);
      assert.deepEqual(await arrived(), [`${JULIET} unsubscribe`]);
    });

    it('are told nothing where there were none', async () => {
      await juliet.ask(`<iq type='set'><query xmlns='${NS}'><item jid='${MERCUTIO}'/></query></iq>`);
      await remove(MERCUTIO);
      assert.deepEqual(await arrived(), []);
    });

    it('whose request waits for an answer is refused', async () => {
      await juliet.ask(`<iq type='set'><query xmlns='${NS}'><item jid='${MERCUTIO}'/></query></iq>`);
      await there.send(`<presence type='subscribe' from='${MERCUTIO}' to='${JULIET}'/>`);
      await remove(MERCUTIO);
      assert.deepEqual(await arrived(), [`${JULIET} unsubscribed`]);
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence/>');
      assert(!(await heard(garden)).includes(`${MERCUTIO} subscribe`));
    });
  });
});
