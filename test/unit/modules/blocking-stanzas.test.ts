import assert from 'node:assert/strict';
import blocking from '../../../modules/blocking/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// XEP-0191 section 3.3: what a blocked one tries, and what the user tries; every kind of stanza, in every form of address.

const NS = 'urn:xmpp:blocking';
const TYBALT = 'tybalt@elsewhere.example/street';
const block = (jid: string) => `<iq type='set'><block xmlns='${NS}'><item jid='${jid}'/></block></iq>`;

type Outcome = 'error' | 'silence';

/** Each kind of stanza, and what a blocked sender gets for it. */
const INBOUND: readonly (readonly [string, string, Outcome])[] = [
  ['a message', '<message ADDR><body>hi</body></message>', 'error'],
  ['a chat message', "<message ADDR type='chat'><body>hi</body></message>", 'error'],
  ['a message of an unknown type', "<message ADDR type='spam'><body>hi</body></message>", 'error'],
  ['an empty message', '<message ADDR/>', 'error'],
  ['a headline', "<message ADDR type='headline'><body>hi</body></message>", 'silence'],
  ['what a room reflects', "<message ADDR type='groupchat'><body>hi</body></message>", 'silence'],
  ['an error', "<message ADDR type='error'><error type='cancel'/></message>", 'silence'],
  ['presence', '<presence ADDR/>', 'silence'],
  ['unavailable presence', "<presence ADDR type='unavailable'/>", 'silence'],
  ['presence of an unknown type', "<presence ADDR type='spam'/>", 'silence'],
  ['a probe', "<presence ADDR type='probe'/>", 'silence'],
  ['a subscription request', "<presence ADDR type='subscribe'/>", 'silence'],
  ['an approval', "<presence ADDR type='subscribed'/>", 'silence'],
  ['the end of a subscription', "<presence ADDR type='unsubscribe'/>", 'silence'],
  ['a cancellation', "<presence ADDR type='unsubscribed'/>", 'silence'],
  ['a presence error', "<presence ADDR type='error'><error type='cancel'/></presence>", 'silence'],
  ['a question', "<iq ADDR type='get' id='1'><query xmlns='urn:q'/></iq>", 'error'],
  ['a request', "<iq ADDR type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>", 'error'],
  ['a result', "<iq ADDR type='result' id='1'/>", 'silence'],
  ['an IQ error', "<iq ADDR type='error' id='1'><error type='cancel'/></iq>", 'silence'],
];

/** Each kind of stanza that a user may send, and whether the refusal is answered. */
const OUTBOUND: readonly (readonly [string, string, Outcome])[] = [
  ['a message', '<message ADDR><body>hi</body></message>', 'error'],
  ['what goes to a room', "<message ADDR type='groupchat'><body>hi</body></message>", 'error'],
  ['a headline', "<message ADDR type='headline'><body>hi</body></message>", 'error'],
  ['an error', "<message ADDR type='error'><error type='cancel'/></message>", 'silence'],
  ['presence', '<presence ADDR/>', 'error'],
  ['unavailable presence', "<presence ADDR type='unavailable'/>", 'silence'],
  ['a probe', "<presence ADDR type='probe'/>", 'silence'],
  ['a subscription request', "<presence ADDR type='subscribe'/>", 'error'],
  ['an approval', "<presence ADDR type='subscribed'/>", 'error'],
  ['a question', "<iq ADDR type='get' id='1'><query xmlns='urn:q'/></iq>", 'error'],
  ['a request', "<iq ADDR type='set' id='1'><query xmlns='urn:q'/></iq>", 'error'],
  ['a result', "<iq ADDR type='result' id='1'/>", 'silence'],
];

describe('blocking: stanzas (XEP-0191 section 3.3)', () => {
  let host: TestHost;
  let juliet: Probe;
  let there: Elsewhere;

  beforeEach(async () => {
    host = await startHost([roster, presence, blocking]);
    there = new Elsewhere(host, 'elsewhere.example');
    juliet = await host.online('juliet', 'balcony');
    await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
  });
  afterEach(() => host.stop());

  for (const address of [TYBALT, 'tybalt@elsewhere.example', 'elsewhere.example']) {
    for (const [name, xml, outcome] of INBOUND) {
      const answer = outcome === 'error' ? 'is answered as if nobody was there' : 'gets no answer';
      it(`from a sender blocked as ${address}: ${name} is not delivered and ${answer}`, async () => {
        await juliet.ask(block(address));
        for (const to of ['juliet@example.org', 'juliet@example.org/balcony', 'juliet@example.org/gone']) {
          await there.send(xml.replace('ADDR', `from='${TYBALT}' to='${to}'`));
          const answers = await there.take();
          assert.equal(answers.length, outcome === 'error' ? 1 : 0, `${answers}`);
          for (const reply of answers) {
            assert.equal(conditionOf(reply), 'service-unavailable');
            assert.deepEqual([reply.attrs['from'], reply.attrs['to']], [to, TYBALT]);
          }
        }
        await juliet.quiet();
      });
    }

    for (const [name, xml, outcome] of OUTBOUND) {
      it(`to an address blocked as ${address}: ${name} goes nowhere`, async () => {
        await juliet.ask(block(address));
        juliet.send(xml.replace('ADDR', `to='${TYBALT}'`));
        assert.deepEqual(await there.take(), []);
        const [reply] = juliet.take();
        if (outcome === 'silence') return assert.equal(reply, undefined);
        assert.equal(conditionOf(reply!), 'not-acceptable');
        assert.equal(reply!.attrs['from'], TYBALT);
        assert.equal(reply!.getChild('error')!.attrs['type'], 'cancel');
        assert(reply!.getChild('error')!.getChild('blocked', 'urn:xmpp:blocking:errors'));
      });
    }
  }

  describe('addresses (section 5)', () => {
    const MATCHES: readonly (readonly [string, string, boolean])[] = [
      ['a@b.example/x', 'a@b.example/x', true],
      ['a@b.example/x', 'a@b.example/y', false],
      ['a@b.example/x', 'a@b.example', false],
      ['a@b.example', 'a@b.example/x', true],
      ['a@b.example', 'a@b.example', true],
      ['a@b.example', 'ab@b.example', false],
      ['a@b.example', 'b.example', false],
      ['b.example/x', 'b.example/x', true],
      ['b.example/x', 'b.example', false],
      ['b.example/x', 'a@b.example/x', false],
      ['b.example', 'b.example', true],
      ['b.example', 'b.example/x', true],
      ['b.example', 'a@b.example', true],
      ['b.example', 'a@b.example/x', true],
      ['b.example', 'a@sub.b.example', false],
      ['sub.b.example', 'a@b.example', false],
    ];
    for (const [address, sender, isBlocked] of MATCHES) {
      it(`${address} ${isBlocked ? 'means' : 'does not mean'} ${sender}`, async () => {
        for (const domain of ['b.example', 'sub.b.example']) new Elsewhere(host, domain);
        await juliet.ask(block(address));
        await there.send(`<message from='${sender}' to='juliet@example.org'><body>hi</body></message>`);
        assert.equal(juliet.take().length, isBlocked ? 0 : 1);
      });
    }
  });

  it('of others are not touched', async () => {
    await juliet.ask(block('tybalt@elsewhere.example'));
    await there.send("<message from='romeo@elsewhere.example' to='juliet@example.org'><body>hi</body></message>");
    await juliet.receive('message');
    const romeo = await host.online('romeo');
    await there.send(`<message from='${TYBALT}' to='romeo@example.org'><body>hi</body></message>`);
    await romeo.receive('message');
    romeo.send(`<message to='${TYBALT}'><body>hi</body></message>`);
    assert.equal((await there.take()).length, 1);
  });

  it('pass again once the sender is unblocked', async () => {
    await juliet.ask(block('tybalt@elsewhere.example'));
    await juliet.ask(`<iq type='set'><unblock xmlns='${NS}'/></iq>`);
    await there.send(`<message from='${TYBALT}' to='juliet@example.org'><body>hi</body></message>`);
    await juliet.receive('message');
    juliet.send(`<message to='${TYBALT}'><body>hi</body></message>`);
    assert.equal((await there.take()).length, 1);
  });

  it('between accounts of one server are blocked in both directions', async () => {
    const romeo = await host.online('romeo', 'orchard');
    await juliet.ask(block('romeo@example.org'));
    romeo.send("<message to='juliet@example.org/balcony'><body>hi</body></message>");
    assert.equal(conditionOf(await romeo.receive('message')), 'service-unavailable');
    juliet.send("<message to='romeo@example.org'><body>hi</body></message>");
    assert.equal(conditionOf(await juliet.receive('message')), 'not-acceptable');
    await romeo.quiet();
    await juliet.quiet();
  });

  it('of the own clients and of the own server are never blocked (section 4)', async () => {
    const garden = await host.online('juliet', 'garden');
    juliet.take();
    for (const address of ['juliet@example.org', 'juliet@example.org/garden', 'example.org']) await juliet.ask(block(address));
    garden.send("<message to='juliet@example.org/balcony'><body>hi</body></message>");
    assert.equal((await juliet.receive('message')).attrs['from'], garden.jid);
    garden.send('<presence><show>away</show></presence>');
    assert.equal((await juliet.receive('presence')).attrs['from'], garden.jid);
    await there.send("<message from='example.org' to='juliet@example.org'><body>maintenance at noon</body></message>");
    await juliet.receive('message');
    assert.equal(conditionOf(await juliet.ask("<iq type='get' to='example.org'><q xmlns='urn:q'/></iq>")), 'service-unavailable');
    const romeo = await host.online('romeo');
    romeo.send("<message to='juliet@example.org'><body>hi</body></message>");
    assert.equal(conditionOf(await romeo.receive('message')), 'service-unavailable');
  });

  it('are refused when the list cannot be read: a guard that fails lets nothing pass', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const other = await startHost([blocking], { storage, log: silent });
    const [nurse, romeo] = [await other.login('nurse'), await other.login('romeo')];
    await romeo.ask(`<iq type='get'><blocklist xmlns='${NS}'/></iq>`);
    await storage.close();
    romeo.send(`<message to='${nurse.jid}'><body>hi</body></message>`);
    assert.equal(conditionOf(await romeo.receive('message')), 'internal-server-error');
    await settle();
    assert.deepEqual(nurse.take(), []);
    other.c2s.stop();
    await other.modules.stop();
  });
});
