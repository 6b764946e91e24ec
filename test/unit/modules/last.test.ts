import assert from 'node:assert/strict';
import last from '../../../modules/last/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { conditionOf, payloadOf, subscribe } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:last';

describe('last', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await startHost([last, roster, presence]);
  });
  afterEach(() => host.stop());

  const ask = (who: Probe, to: string) => who.ask(`<iq type='get' ${to === '' ? '' : `to='${to}'`}><query xmlns='${NS}'/></iq>`);

  async function friends(): Promise<{ juliet: Probe; romeo: Probe }> {
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    return { juliet, romeo };
  }

  it('says how long the host has been running (XEP-0012 section 5)', async () => {
    const juliet = await host.online('juliet');
    const query = payloadOf(await ask(juliet, 'example.org'));
    assert.match(query.attrs['seconds'], /^\d+$/);
    assert.equal(query.getText(), '');
  });

  it('says when an account was last here, and its last words, to those who may see its presence (XEP-0012 section 3)', async () => {
    const { juliet, romeo } = await friends();
    juliet.send("<presence type='unavailable'><status>Heading Home &amp; away</status></presence>");
    juliet.leave();
    await settle();
    romeo.take();
    const query = payloadOf(await ask(romeo, 'juliet@example.org'));
    assert.match(query.attrs['seconds'], /^[0-5]$/);
    assert.equal(query.getText(), 'Heading Home & away');
  });

  it('says nothing of earlier words when the line was lost later', async () => {
    const { juliet, romeo } = await friends();
    juliet.send("<presence type='unavailable'><status>Brb</status></presence>");
    juliet.send('<presence/>');
    juliet.drop();
    await settle();
    romeo.take();
    assert.equal(payloadOf(await ask(romeo, 'juliet@example.org')).getText(), '');
  });

  it('keeps only the beginning of very long words', async () => {
    const { juliet, romeo } = await friends();
    juliet.send(`<presence type='unavailable'><status>${'x'.repeat(5000)}</status></presence>`);
    juliet.leave();
    await settle();
    romeo.take();
    assert.equal(payloadOf(await ask(romeo, 'juliet@example.org')).getText().length, 1024);
  });

  it('is zero as long as a client is connected, available or not (XEP-0012 section 3)', async () => {
    const { juliet, romeo } = await friends();
    const chamber = await host.login('juliet', 'chamber');
    juliet.leave();
    await settle();
    romeo.take();
    const query = payloadOf(await ask(romeo, 'juliet@example.org'));
    assert.deepEqual([query.attrs['seconds'], query.getText()], ['0', '']);
    for (const to of ['', 'juliet@example.org']) assert.equal(payloadOf(await ask(chamber, to)).attrs['seconds'], '0');
  });

  it('is unknown for an account that was never here', async () => {
    await host.host.accounts.create('paris', 'secret');
    const juliet = await host.online('juliet');
    assert.equal(conditionOf(await ask(juliet, 'paris@example.org')), 'forbidden');
  });

  it('is forbidden to strangers, for accounts and clients that exist and those that do not (XEP-0012 sections 3, 4 and 7)', async () => {
    const { juliet } = await friends();
    const tybalt = await host.online('tybalt');
    const errors = new Set<string>();
    for (const to of ['juliet@example.org', 'juliet@example.org/balcony', 'nobody@example.org', 'nobody@example.org/x']) {
      const reply = await ask(tybalt, to);
      assert.equal(conditionOf(reply), 'forbidden');
      errors.add(String(reply.getChild('error')));
    }
    assert.equal(errors.size, 1);
    await juliet.quiet();
    // And to those one has subscribed to, who have not subscribed to oneself.
    assert.equal(conditionOf(await ask(juliet, 'romeo@example.org')), 'forbidden');
  });

  it('is answered by clients for themselves, to those who may ask (XEP-0012 section 4)', async () => {
    const { juliet, romeo } = await friends();
    romeo.send(`<iq id='last2' type='get' to='${juliet.jid}'><query xmlns='${NS}'/></iq>`);
    assert.equal((await juliet.receive('iq')).attrs['id'], 'last2');
    const chamber = await host.online('juliet', 'chamber');
    juliet.take();
    chamber.send(`<iq id='last3' type='get' to='${juliet.jid}'><query xmlns='${NS}'/></iq>`);
    assert.equal((await juliet.receive('iq')).attrs['id'], 'last3');
  });

  it('leaves nothing behind for the next account of that name', async () => {
    const { juliet, romeo } = await friends();
    await host.host.accounts.delete('juliet');
    juliet.drop();
    await settle();
    const next = await host.online('juliet');
    await subscribe(romeo, next);
    const { farewells } = await host.storage.open('example.org', 'last', { farewells: last.stores!.farewells });
    assert.equal((await farewells.entries('juliet')).size, 0);
  });

  it('cannot be set', async () => {
    const juliet = await host.online('juliet');
    for (const to of ['', "to='example.org'"]) {
      assert.equal(
        conditionOf(await juliet.ask(`<iq type='set' ${to}><query xmlns='${NS}' seconds='0'/></iq>`)),
        'service-unavailable',
      );
    }
  });
});
