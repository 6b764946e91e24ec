import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { conditionOf, subscribe } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

/** What presence says, in one line: from, to, type, show. */
function brief(stanza: Element): string {
  const { from, to, type = 'available' } = stanza.attrs;
  const show = stanza.getChildText('show');
  return `${from} to ${to}: ${type}${show ? ` ${show}` : ''}`;
}

const heard = async (probe: Probe) => {
  await settle();
  return probe.take().map(brief).sort();
};

describe('presence (RFC 6121 section 4)', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence]);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
  });
  afterEach(() => host.stop());

  describe('when a client comes online', () => {
    it('is told to subscribers and to the own clients, the new one included (section 4.2.2)', async () => {
      await subscribe(romeo, juliet);
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence><show>away</show></presence>');
      assert.deepEqual(await heard(romeo), ['juliet@example.org/garden to romeo@example.org: available away']);
      assert.deepEqual(await heard(juliet), ['juliet@example.org/garden to juliet@example.org/balcony: available away']);
      assert.deepEqual(await heard(garden), [
        'juliet@example.org/balcony to juliet@example.org/garden: available',
        'juliet@example.org/garden to juliet@example.org/garden: available away',
      ]);
    });

    it('goes to nobody who has no subscription, whatever else is between them', async () => {
      await subscribe(juliet, romeo); // she sees him, he does not see her
      romeo.send("<presence type='subscribe' to='juliet@example.org'/>"); // and has asked
      const tybalt = await host.online('tybalt');
      await juliet.ask("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='tybalt@example.org'/></query></iq>");
      await settle();
      romeo.take();
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence/>');
      await settle();
      await romeo.quiet();
      await tybalt.quiet();
      assert.deepEqual((await heard(garden)).slice(1), [
        'juliet@example.org/garden to juliet@example.org/garden: available',
        'romeo@example.org to juliet@example.org: subscribe',
        'romeo@example.org/orchard to juliet@example.org/garden: available',
      ]);
    });

    it('learns the presence of its contacts from each of their clients (section 4.3.2)', async () => {
      await subscribe(romeo, juliet);
      const garden = await host.online('juliet', 'garden');
      garden.send('<presence><show>dnd</show><priority>-1</priority></presence>');
      await settle();
      const street = await host.login('romeo', 'street');
      street.send('<presence/>');
      assert.deepEqual((await heard(street)).slice(0, 2), [
        'juliet@example.org/balcony to romeo@example.org/street: available',
        'juliet@example.org/garden to romeo@example.org/street: available dnd',
      ]);
    });

    it('asks contacts of other servers with its full JID (section 4.3.1)', async () => {
      const there = new Elsewhere(host, 'elsewhere.example');
      juliet.send("<presence type='subscribe' to='mercutio@elsewhere.example'/>");
      await settle();
      await there.send("<presence type='subscribed' from='mercutio@elsewhere.example' to='juliet@example.org'/>");
      await there.take();
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence/>');
      assert.deepEqual((await there.take()).map(brief), ['juliet@example.org/garden to mercutio@elsewhere.example: probe']);
    });

    it('asks once more for what was asked and not answered (section 3.1.2)', async () => {
      const there = new Elsewhere(host, 'elsewhere.example');
      juliet.send("<presence type='subscribe' to='mercutio@elsewhere.example'/>");
      await there.take();
      const garden = await host.login('juliet', 'garden');
      garden.send('<presence/>');
      assert.deepEqual((await there.take()).map(brief), ['juliet@example.org to mercutio@elsewhere.example: subscribe']);
    });

    it('is announced once, and asks once, however often it says so', async () => {
      const there = new Elsewhere(host, 'elsewhere.example');
      juliet.send("<presence type='subscribe' to='mercutio@elsewhere.example'/>");
      await settle();
      for (const type of ['subscribed', 'subscribe']) {
        await there.send(`<presence type='${type}' from='mercutio@elsewhere.example' to='juliet@example.org'/>`);
      }
      juliet.send("<presence type='subscribed' to='mercutio@elsewhere.example'/>");
      await there.take();
      juliet.send('<presence><show>xa</show></presence>');
      assert.deepEqual((await there.take()).map(brief), [
        'juliet@example.org/balcony to mercutio@elsewhere.example: available xa',
      ]);
    });
  });

  describe('while it is online', () => {
    it('carries all that was in it, to all clients of a subscriber (section 4.4)', async () => {
      await subscribe(romeo, juliet);
      const street = await host.online('romeo', 'street');
      romeo.take();
      juliet.send("<presence id='p1' xml:lang='it'><status>Ciao &amp; mehr</status><x xmlns='urn:x'><y/></x></presence>");
      for (const probe of [romeo, street]) {
        const stanza = await probe.receive('presence');
        assert.equal(stanza.attrs['id'], 'p1');
        assert.equal(stanza.attrs['xml:lang'], 'it');
        assert.match(stanza.children.join(''), /<status>Ciao &amp; mehr<\/status><x xmlns="urn:x"><y\/><\/x>/);
      }
    });

    it('is told to the own clients, also those that are not to get messages', async () => {
      const garden = await host.online('juliet', 'garden');
      garden.send('<presence><priority>-5</priority></presence>');
      await settle();
      garden.take();
      juliet.take();
      juliet.send('<presence><show>chat</show></presence>');
      assert.deepEqual(await heard(garden), ['juliet@example.org/balcony to juliet@example.org/garden: available chat']);
      assert.deepEqual(await heard(juliet), ['juliet@example.org/balcony to juliet@example.org/balcony: available chat']);
    });

    it('is not told to clients that are connected and not available', async () => {
      await subscribe(romeo, juliet);
      const street = await host.login('romeo', 'street');
      const garden = await host.login('juliet', 'garden');
      juliet.send('<presence><show>chat</show></presence>');
      await settle();
      await street.quiet();
      await garden.quiet();
    });
  });

  describe('when it goes', () => {
    beforeEach(() => subscribe(romeo, juliet));

    it('is told as it was said, to subscribers and own clients (section 4.5.2)', async () => {
      const garden = await host.online('juliet', 'garden');
      romeo.take();
      juliet.take();
      garden.send("<presence type='unavailable'><status>gone</status></presence>");
      const stanza = await romeo.receive('presence');
      assert.equal(brief(stanza), 'juliet@example.org/garden to romeo@example.org: unavailable');
      assert.equal(stanza.getChildText('status'), 'gone');
      assert.deepEqual(await heard(juliet), ['juliet@example.org/garden to juliet@example.org/balcony: unavailable']);
      assert.deepEqual(await heard(garden), ['juliet@example.org/garden to juliet@example.org/garden: unavailable']);
    });

    for (const how of ['leave', 'drop'] as const) {
      it(`is told by the server when it has said nothing: ${how === 'leave' ? 'closed' : 'broken'} stream`, async () => {
        const garden = await host.online('juliet', 'garden');
        romeo.take();
        garden[how]();
        assert.deepEqual(await heard(romeo), ['juliet@example.org/garden to romeo@example.org: unavailable']);
        assert.deepEqual((await heard(juliet)).slice(-1), [
          'juliet@example.org/garden to juliet@example.org/balcony: unavailable',
        ]);
      });
    }

    it('is told once', async () => {
      juliet.send("<presence type='unavailable'/>");
      await settle();
      juliet.send("<presence type='unavailable'/>");
      juliet.drop();
      assert.equal((await heard(romeo)).length, 1);
    });

    it('is not told of a client that never was available', async () => {
      const garden = await host.login('juliet', 'garden');
      garden.send("<presence type='unavailable'/>");
      garden.drop();
      await settle();
      await romeo.quiet();
      await juliet.quiet();
    });

    it('and comes back, is online as if for the first time', async () => {
      juliet.send("<presence type='unavailable'/>");
      juliet.send('<presence/>');
      assert.deepEqual(await heard(romeo), [
        'juliet@example.org/balcony to romeo@example.org: available',
        'juliet@example.org/balcony to romeo@example.org: unavailable',
      ]);
    });

    it('leaves no trace when the line breaks before its first presence was told', async () => {
      const street = await host.login('paris', 'street');
      street.send('<presence/>');
      street.drop();
      await settle();
      await romeo.quiet();
    });

    it('is replaced by another one of the same address without a doubt about which is online', async () => {
      const again = await host.login('juliet', 'balcony');
      again.send('<presence><show>away</show></presence>');
      await settle();
      assert.deepEqual(romeo.take().map(brief), [
        'juliet@example.org/balcony to romeo@example.org: unavailable',
        'juliet@example.org/balcony to romeo@example.org: available away',
      ]);
    });
  });

  describe('probes (section 4.3.2)', () => {
    let there: Elsewhere;
    beforeEach(() => {
      there = new Elsewhere(host, 'elsewhere.example');
    });

    const probe = (from: string, to: string) => there.send(`<presence type='probe' from='${from}' to='${to}'/>`);

    async function befriend(): Promise<void> {
      await there.send("<presence type='subscribe' from='mercutio@elsewhere.example' to='juliet@example.org'/>");
      juliet.send("<presence type='subscribed' to='mercutio@elsewhere.example'/>");
      await there.take();
    }

    it('of a subscriber are answered with the last presence of each client', async () => {
      await befriend();
      const garden = await host.online('juliet', 'garden');
      garden.send('<presence><show>away</show></presence>');
      await there.take();
      await probe('mercutio@elsewhere.example/home', 'juliet@example.org');
      assert.deepEqual((await there.take()).map(brief), [
        'juliet@example.org/balcony to mercutio@elsewhere.example/home: available',
        'juliet@example.org/garden to mercutio@elsewhere.example/home: available away',
      ]);
    });

    it('of a subscriber for one client are answered for that one', async () => {
      await befriend();
      await host.online('juliet', 'garden');
      await there.take();
      await probe('mercutio@elsewhere.example', 'juliet@example.org/balcony');
      await probe('mercutio@elsewhere.example', 'juliet@example.org/gone');
      assert.deepEqual((await there.take()).map(brief), [
        'juliet@example.org/balcony to mercutio@elsewhere.example: available',
        'juliet@example.org/gone to mercutio@elsewhere.example: unavailable',
      ]);
    });

    it('of a subscriber are answered with unavailable when nobody is there', async () => {
      await befriend();
      juliet.drop();
      await there.take();
      await probe('mercutio@elsewhere.example', 'juliet@example.org');
      assert.deepEqual((await there.take()).map(brief), ['juliet@example.org to mercutio@elsewhere.example: unavailable']);
    });

    it('of anybody else get the same answer for who is online, who is offline and who does not exist', async () => {
      await host.host.accounts.create('nurse', 'secret');
      for (const name of ['juliet', 'nurse', 'nobody']) {
        for (const to of [`${name}@example.org`, `${name}@example.org/balcony`]) {
          await probe('mercutio@elsewhere.example', to);
          const answers = (await there.take()).map(brief);
          assert.deepEqual(answers, [`${name}@example.org to mercutio@elsewhere.example: unsubscribed`]);
        }
      }
    });

    it('of one whose request waits for an answer are not answered, which would refuse it', async () => {
      await there.send("<presence type='subscribe' from='mercutio@elsewhere.example' to='juliet@example.org'/>");
      await probe('mercutio@elsewhere.example', 'juliet@example.org');
      assert.deepEqual(await there.take(), []);
    });

    it('of a client are answered in the same way', async () => {
      await subscribe(romeo, juliet);
      romeo.send("<presence type='probe' to='juliet@example.org'/>");
      assert.deepEqual(await heard(romeo), ['juliet@example.org/balcony to romeo@example.org/orchard: available']);
      const tybalt = await host.online('tybalt');
      tybalt.send("<presence type='probe' to='juliet@example.org'/>");
      await tybalt.quiet();
      await juliet.quiet();
    });

    it('reach no client', async () => {
      await probe('mercutio@elsewhere.example', 'juliet@example.org/balcony');
      await juliet.quiet();
    });
  });

  describe('types that there are not (section 4.7.1)', () => {
    for (const type of ['', 'available', 'UNAVAILABLE', 'away', 'subscribe ', '__proto__', 'constructor', 'x'.repeat(5000)]) {
      for (const to of ['', " to='romeo@example.org'", " to='romeo@example.org/orchard'", " to='example.org'"]) {
        it(`"${type.slice(0, 20)}"${to} is a bad request, and goes nowhere`, async () => {
          await subscribe(romeo, juliet);
          juliet.send(`<presence type='${type}'${to}/>`);
          assert.equal(conditionOf(await juliet.receive('presence')), 'bad-request');
          await romeo.quiet();
        });
      }
    }

    it('are refused from elsewhere, too', async () => {
      const there = new Elsewhere(host, 'elsewhere.example');
      for (const to of ['romeo@example.org', 'romeo@example.org/orchard']) {
        await there.send(`<presence type='away' from='x@elsewhere.example' to='${to}'/>`);
        assert.equal(conditionOf((await there.take())[0]!), 'bad-request');
      }
      await romeo.quiet();
    });

    it('and subscription requests to nobody in particular', async () => {
      for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed']) {
        juliet.send(`<presence type='${type}'/>`);
        assert.equal(conditionOf(await juliet.receive('presence')), 'bad-request');
      }
    });
  });
});
