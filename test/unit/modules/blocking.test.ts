import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../../modules/blocking/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, payloadOf, subscribe } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:blocking';
const LIST = `<iq type='get'><blocklist xmlns='${NS}'/></iq>`;
const items = (jids: readonly string[]) => jids.map((jid) => `<item jid='${jid}'/>`).join('');
const block = (...jids: readonly string[]) => `<iq type='set'><block xmlns='${NS}'>${items(jids)}</block></iq>`;
const unblock = (...jids: readonly string[]) => `<iq type='set'><unblock xmlns='${NS}'>${items(jids)}</unblock></iq>`;
const listOf = async (probe: Probe) =>
  payloadOf(await probe.ask(LIST))
    .getChildren('item')
    .map(({ attrs }) => String(attrs['jid']));

const brief = ({ attrs }: Element) => `${attrs['from']} ${attrs['type'] ?? 'available'}`;
const heard = async (probe: Probe) => {
  await settle();
  return probe.take().map(brief);
};

describe('blocking: the list (XEP-0191 section 3)', () => {
  let host: TestHost;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence, blocking], { modules: { blocking: { maxItems: 3 } } });
    juliet = await host.online('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  it('is empty at first', async () => {
    assert.equal(String(payloadOf(await juliet.ask(LIST))), `<blocklist xmlns="${NS}"/>`);
  });

  it('holds addresses of every form, prepared, each once', async () => {
    await juliet.ask(block('Romeo@Example.NET', 'romeo@example.net', 'tybalt@example.net/Street'));
    await juliet.ask(block('EXAMPLE.com', 'romeo@example.net'));
    assert.deepEqual((await listOf(juliet)).sort(), ['example.com', 'romeo@example.net', 'tybalt@example.net/Street']);
  });

  it('loses what is unblocked, and all of it when nothing is named', async () => {
    await juliet.ask(block('a@example.net', 'b@example.net', 'c@example.net'));
    await juliet.ask(unblock('b@example.net', 'x@example.net'));
    assert.deepEqual((await listOf(juliet)).sort(), ['a@example.net', 'c@example.net']);
    assert.equal((await juliet.ask(unblock())).attrs['type'], 'result');
    assert.deepEqual(await listOf(juliet), []);
  });

  it('is pushed to the clients that have asked for it, and only to them', async () => {
    const garden = await host.online('juliet', 'garden');
    const hall = await host.online('juliet', 'hall');
    for (const probe of [juliet, garden]) await probe.ask(LIST);
    for (const probe of [juliet, garden, hall]) probe.take();
    await garden.ask(block('a@example.net', 'b@example.net'));
    await garden.ask(block('b@example.net')); // nothing new
    await garden.ask(unblock('a@example.net'));
    await garden.ask(unblock());
    for (const probe of [juliet, garden]) {
      const pushes = [await probe.receive('iq'), await probe.receive('iq'), await probe.receive('iq')];
      for (const { attrs } of pushes)
        assert.deepEqual([attrs['type'], attrs['to'], attrs['from']], ['set', probe.jid, undefined]);
      assert.deepEqual(
        pushes.map(({ children }) => children.join()),
        [
          `<block xmlns="${NS}"><item jid="a@example.net"/><item jid="b@example.net"/></block>`,
          `<unblock xmlns="${NS}"><item jid="a@example.net"/></unblock>`,
          `<unblock xmlns="${NS}"/>`,
        ],
      );
      await probe.quiet();
    }
    await hall.quiet();
  });

  const REFUSED: readonly (readonly [string, string, string])[] = [
    ['nothing to block', block(), 'bad-request'],
    ['an item without an address', `<iq type='set'><block xmlns='${NS}'><item/></block></iq>`, 'bad-request'],
    ['something else to block', `<iq type='set'><block xmlns='${NS}'><user jid='a@example.net'/></block></iq>`, 'bad-request'],
    ['an empty address', block(''), 'jid-malformed'],
    ['a malformed address', block('a@b@c'), 'jid-malformed'],
    ['one malformed address of two', block('a@example.net', '@'), 'jid-malformed'],
    ['an address that is too long', block(`a@example.net/${'x'.repeat(1020)}`), 'not-acceptable'],
    [
      'more addresses than allowed',
      block('a@example.net', 'b@example.net', 'c@example.net', 'd@example.net'),
      'resource-constraint',
    ],
    ['a malformed address to unblock', unblock('@'), 'jid-malformed'],
    ['to ask for what one sets', `<iq type='get'><block xmlns='${NS}'>${items(['a@b'])}</block></iq>`, 'service-unavailable'],
    ['to set what one asks for', `<iq type='set'><blocklist xmlns='${NS}'/></iq>`, 'service-unavailable'],
  ];
  for (const [name, iq, condition] of REFUSED) {
    it(`refuses ${name}, all or nothing`, async () => {
      assert.equal(conditionOf(await juliet.ask(iq)), condition);
      assert.deepEqual(await listOf(juliet), []);
    });
  }

  it('is full at some point, across requests', async () => {
    await juliet.ask(block('a@example.net', 'b@example.net'));
    assert.equal(conditionOf(await juliet.ask(block('c@example.net', 'd@example.net'))), 'resource-constraint');
    assert.equal((await juliet.ask(block('b@example.net', 'c@example.net'))).attrs['type'], 'result');
  });

  it('is nobody else’s business', async () => {
    const romeo = await host.online('romeo');
    for (const [name, type] of [
      ['blocklist', 'get'],
      ['block', 'set'],
      ['unblock', 'set'],
    ]) {
      const iq = `<iq type='${type}' to='juliet@example.org'><${name} xmlns='${NS}'>${items(['a@b'])}</${name}></iq>`;
      assert.equal(conditionOf(await romeo.ask(iq)), 'service-unavailable');
    }
  });

  it('is on disk before the result and the pushes', async () => {
    const slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    const other = await startHost([blocking], { storage: slow.storage });
    const probe = await other.login('juliet');
    await probe.ask(LIST);
    slow.hold();
    probe.send(block('a@example.net').replace('<iq', "<iq id='1'"));
    await probe.quiet();
    slow.release();
    await settle();
    assert.equal(probe.take().length, 2);
    await other.stop();
  });

  it('outlives the server, and is gone with the account', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const before = await startHost([blocking], { storage });
    await (await before.login('juliet')).ask(block('romeo@example.net'));
    await before.modules.stop();
    const next = await startHost([blocking], { storage });
    const again = await next.login('juliet');
    assert.deepEqual(await listOf(again), ['romeo@example.net']);
    await next.host.accounts.delete('juliet');
    again.drop();
    assert.deepEqual(await listOf(await next.login('juliet')), []);
    await next.stop();
  });

  it('survives changes by several clients at once', async () => {
    const garden = await host.online('juliet', 'garden');
    await Promise.all([
      juliet.ask(block('a@example.net')),
      garden.ask(block('b@example.net')),
      juliet.ask(block('c@example.net')),
    ]);
    assert.deepEqual((await listOf(juliet)).sort(), ['a@example.net', 'b@example.net', 'c@example.net']);
  });
});

describe('blocking: presence (XEP-0191 sections 3.3 and 3.4)', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence, blocking]);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
  });
  afterEach(() => host.stop());

  for (const address of ['romeo@example.org', 'example.org']) {
    describe(`by ${address}`, () => {
      it('shows a subscriber that the user has gone, from each client', async () => {
        await subscribe(romeo, juliet);
        await host.online('juliet', 'garden');
        await host.login('juliet', 'hall');
        romeo.take();
        await juliet.ask(block(address));
        assert.deepEqual(await heard(romeo), ['juliet@example.org/balcony unavailable', 'juliet@example.org/garden unavailable']);
      });

      it('tells nothing to who has no subscription', async () => {
        await subscribe(juliet, romeo);
        await juliet.ask(block(address));
        await juliet.ask(unblock(address));
        assert(!(await heard(romeo)).some((line) => line.startsWith('juliet')));
      });

      it('keeps from a subscriber that the user comes, changes and goes', async () => {
        await subscribe(romeo, juliet);
        await juliet.ask(block(address));
        romeo.take();
        const garden = await host.online('juliet', 'garden');
        garden.send('<presence><show>away</show></presence>');
        garden.send("<presence type='unavailable'/>");
        juliet.drop();
        await settle();
        await romeo.quiet();
        const street = await host.login('romeo', 'street');
        street.send('<presence/>');
        assert(!(await heard(street)).some((line) => line.startsWith('juliet')));
      });

      it('shows a subscriber the user’s presence when it ends, and the user theirs', async () => {
        await subscribe(romeo, juliet);
        await subscribe(juliet, romeo);
        await juliet.ask(block(address));
        juliet.send('<presence><show>dnd</show></presence>');
        await settle();
        juliet.take();
        romeo.take();
        await juliet.ask(unblock(address));
        assert.deepEqual(await heard(romeo), ['juliet@example.org/balcony available']);
        assert.deepEqual(await heard(juliet), ['romeo@example.org/orchard available']);
      });
    });
  }

  it('shows nothing to who is still meant by another address', async () => {
    await subscribe(romeo, juliet);
    await juliet.ask(block('romeo@example.org', 'example.org'));
    romeo.take();
    await juliet.ask(unblock('romeo@example.org'));
    await romeo.quiet();
    await juliet.ask(unblock('example.org'));
    assert.deepEqual(await heard(romeo), ['juliet@example.org/balcony available']);
  });

  it('leaves subscriptions as they are: blocking is polite (section 4)', async () => {
    await subscribe(romeo, juliet);
    await juliet.ask(block('romeo@example.org'));
    const roster = await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    assert.match(String(roster), /jid="romeo@example.org" subscription="from"/);
  });

  it('leaves the rooms that are blocked, and lets no more be said to them', async () => {
    const there = new Elsewhere(host, 'rooms.example');
    juliet.send("<presence to='verona@rooms.example/juliet'/>");
    juliet.send("<presence to='padua@rooms.example/juliet'/>");
    await there.take();
    await juliet.ask(block('verona@rooms.example'));
    assert.deepEqual(
      (await there.take()).map(({ attrs }) => `${attrs['to']} ${attrs['type']}`),
      ['verona@rooms.example/juliet unavailable'],
    );
    juliet.drop();
    assert.deepEqual(
      (await there.take()).map(({ attrs }) => `${attrs['to']} ${attrs['type']}`),
      ['padua@rooms.example/juliet unavailable'],
    );
  });

  it('keeps back the requests of strangers that came before', async () => {
    await host.host.accounts.create('tybalt', 'secret');
    const tybalt = await host.login('tybalt');
    tybalt.send("<presence type='subscribe' to='juliet@example.org'/>");
    await settle();
    await juliet.ask(block('tybalt@example.org'));
    const garden = await host.login('juliet', 'garden');
    garden.send('<presence/>');
    assert(!(await heard(garden)).some((line) => line.startsWith('tybalt')));
  });

  it('works without presence', async () => {
    const other = await startHost([blocking]);
    const probe = await other.login('juliet');
    assert.equal((await probe.ask(block('romeo@example.org'))).attrs['type'], 'result');
    await other.stop();
  });
});
