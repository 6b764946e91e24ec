import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// RFC 6121 section 2.6: a client that comes back is told what has changed, and nothing else.

const NS = 'jabber:iq:roster';

describe('roster versions (RFC 6121 section 2.6)', () => {
  let host: TestHost;
  let garden: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence]);
    garden = await host.login('juliet', 'garden');
    for (const name of ['a', 'b', 'c', 'd', 'e']) await edit(`<item jid='${name}@example.net'/>`);
  });
  afterEach(() => host.stop());

  async function edit(item: string): Promise<void> {
    const answer = await garden.ask(`<iq type='set'><query xmlns='${NS}'>${item}</query></iq>`);
    assert.equal(answer.attrs['type'], 'result');
  }

  async function fetch(probe: Probe, ver: string | undefined): Promise<{ query: Element | undefined; pushes: Element[] }> {
    const answer = await probe.ask(`<iq type='get'><query xmlns='${NS}'${ver === undefined ? '' : ` ver='${ver}'`}/></iq>`);
    assert.equal(answer.attrs['type'], 'result');
    await settle();
    return { query: answer.getChild('query'), pushes: probe.take().map((iq) => iq.getChild('query', NS)!) };
  }

  /** What a client knows that was here until now. */
  async function version(): Promise<string> {
    const { query } = await fetch(garden, '');
    return query!.attrs['ver'];
  }

  const itemsOf = (query: Element | undefined) =>
    query!.getChildren('item').map(({ attrs }) => `${attrs['jid']} ${attrs['subscription']}`);

  const allOf = (query: Element | undefined) => query!.getChildElements().map(String).sort();

  it('are announced in the stream features, and so is pre-approval (sections 2.6.1 and 3.4)', async () => {
    const { transport } = host.connect();
    assert.doesNotMatch(transport.sent.join(''), /rosterver/);
    const features: Element[] = [];
    await host.host.hooks.streamFeatures.run({ stream: garden.session.stream!, features });
    assert.deepEqual(features.map(String), [
      '<sub xmlns="urn:xmpp:features:pre-approval"/>',
      '<ver xmlns="urn:xmpp:features:rosterver"/>',
    ]);
  });

  it('begin with an empty one, which gets everything and a version (section 2.6.2)', async () => {
    const { query } = await fetch(garden, '');
    assert.equal(query!.getChildren('item').length, 5);
    assert(query!.attrs['ver'].length > 0);
  });

  it('are not mentioned in the result for a client that has not mentioned them', async () => {
    const { query } = await fetch(garden, undefined);
    assert.equal(query!.attrs['ver'], undefined);
  });

  it('get an empty result when nothing has changed, and no push (section 2.6.3)', async () => {
    const known = await version();
    const { query, pushes } = await fetch(await host.login('juliet', 'balcony'), known);
    assert.deepEqual([query, pushes], [undefined, []]);
  });

  it('get a push for each item that has changed, as it is now, in the order of the changes', async () => {
    const known = await version();
    await edit("<item jid='d@example.net' name='old'/>");
    await edit("<item jid='b@example.net' name='B'/>");
    await edit("<item jid='f@example.net'/>");
    await edit("<item jid='d@example.net' name='new'/>");
    await edit("<item jid='a@example.net' subscription='remove'/>");
    const { query, pushes } = await fetch(await host.login('juliet', 'balcony'), known);
    assert.equal(query, undefined);
    assert.deepEqual(
      pushes.map((push) => push.getChildElements().join()),
      [
        '<item jid="b@example.net" name="B" subscription="none"/>',
        '<item jid="f@example.net" subscription="none"/>',
        '<item jid="d@example.net" name="new" subscription="none"/>',
        '<item jid="a@example.net" subscription="remove"/>',
      ],
    );
    const versions = pushes.map(({ attrs }) => attrs['ver']);
    assert.equal(new Set(versions).size, 4);
    assert.equal(versions.at(-1), await version());
  });

  it('can be resumed at each push', async () => {
    const known = await version();
    for (const name of ['a', 'b', 'c']) await edit(`<item jid='${name}@example.net' name='x'/>`);
    const { pushes } = await fetch(await host.login('juliet', 'balcony'), known);
    const rest = await fetch(await host.login('juliet', 'hall'), pushes[1]!.attrs['ver']);
    assert.deepEqual(rest.pushes.map(itemsOf), [['c@example.net none']]);
  });

  it('rise with every push that a client gets while it is here', async () => {
    const known = await version();
    const balcony = await host.login('juliet', 'balcony');
    await fetch(balcony, known);
    await edit("<item jid='a@example.net' name='A'/>");
    const push = (await balcony.receive('iq')).getChild('query')!;
    const { query, pushes } = await fetch(await host.login('juliet', 'hall'), push.attrs['ver']);
    assert.deepEqual([query, pushes], [undefined, []]);
  });

  it('do not lose or turn around a change that comes while a client is told of earlier ones', async () => {
    const known = await version();
    await edit("<item jid='a@example.net' name='first'/>");
    const balcony = await host.login('juliet', 'balcony');
    balcony.send(`<iq type='get' id='1'><query xmlns='${NS}' ver='${known}'/></iq>`);
    garden.send(`<iq type='set' id='2'><query xmlns='${NS}'><item jid='b@example.net' name='second'/></query></iq>`);
    await settle();
    const [result, ...pushes] = balcony.take();
    assert.equal(result!.attrs['type'], 'result');
    assert.deepEqual(
      pushes.map((iq) => iq.getChild('query')!.getChild('item')!.attrs['name']),
      ['first', 'second'],
    );
  });

  it('do not rise when a stranger asks for presence, which clients do not see in the roster', async () => {
    const known = await version();
    const romeo = await host.login('romeo');
    romeo.send("<presence type='subscribe' to='juliet@example.org'/>");
    await settle();
    assert.equal(await version(), known);
    assert.equal((await fetch(garden, undefined)).query!.getChildren('item').length, 5);
  });

  it('rise with subscriptions', async () => {
    const known = await version();
    garden.send("<presence type='subscribe' to='a@example.net'/>");
    await settle();
    const { pushes } = await fetch(await host.login('juliet', 'balcony'), known);
    assert.equal(String(pushes[0]!.getChild('item')), '<item jid="a@example.net" subscription="none" ask="subscribe"/>');
  });

  const UNKNOWN = ['0', '1', '-1', '0-0', '0-1', 'x-1', '1e1', 'NaN', '&apos;; DROP TABLE x', '__proto__', '9'.repeat(1000)];
  for (const ver of UNKNOWN) {
    it(`that are none of ours get everything: ${ver.slice(0, 20)}`, async () => {
      assert.equal(itemsOf((await fetch(garden, ver)).query).length, 5);
    });
  }

  it('from the future get everything', async () => {
    const [epoch, revision] = (await version()).split('-');
    for (const ver of [
      `${epoch}-${Number(revision) + 1}`,
      `${epoch}-0x1`,
      `${epoch}-1.0`,
      `${epoch}-`,
      `${epoch}- 1`,
      `${epoch}-01`,
    ]) {
      assert.equal((await fetch(garden, ver)).query?.getChildren('item').length, 5, ver);
    }
  });

  it('so old that removals since then are forgotten get everything', async () => {
    const known = await version();
    for (let i = 0; i < 101; i++) {
      await edit(`<item jid='x${i}@example.net'/>`);
      await edit(`<item jid='x${i}@example.net' subscription='remove'/>`);
    }
    const recent = await version();
    await edit("<item jid='a@example.net' name='A'/>");
    assert.equal(itemsOf((await fetch(garden, known)).query).length, 5);
    assert.equal((await fetch(garden, recent)).query, undefined);
  });

  it('get everything when that is shorter than the changes', async () => {
    const known = await version();
    for (const name of ['a', 'b', 'c']) await edit(`<item jid='${name}@example.net' subscription='remove'/>`);
    assert.deepEqual(itemsOf((await fetch(garden, known)).query), ['d@example.net none', 'e@example.net none']);
  });

  it('of a deleted account are not those of the next one of that name', async () => {
    const known = await version();
    await host.host.accounts.delete('juliet');
    garden.drop();
    await settle();
    garden = await host.login('juliet');
    assert.deepEqual(itemsOf((await fetch(garden, known)).query), []);
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) await edit(`<item jid='${name}@example.com'/>`);
    assert.equal((await fetch(garden, known)).query!.getChildren('item').length, 6);
  });

  it('and rosters outlive the server', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const before = await startHost([roster, presence], { storage });
    garden = await before.login('juliet', 'garden');
    await edit("<item jid='romeo@example.net' name='Romeo'><group>Friends</group></item>");
    await edit("<item jid='nurse@example.org'/>");
    await edit("<item jid='tybalt@example.org'/>");
    garden.send("<presence type='subscribe' to='romeo@example.net'/>");
    garden.send("<presence type='subscribed' to='nurse@example.org'/>");
    await settle();
    const known = await version();
    await edit("<item jid='tybalt@example.org' subscription='remove'/>");
    const whole = allOf((await fetch(garden, '')).query);
    await before.modules.stop();

    const next = await startHost([roster, presence], { storage });
    const juliet = await next.login('juliet', 'garden');
    assert.deepEqual((await fetch(juliet, known)).pushes.map(itemsOf), [['tybalt@example.org remove']]);
    assert.deepEqual(allOf((await fetch(juliet, '')).query), whole);
    assert.match(whole.join(), /approved="true".*ask="subscribe"/s);
    await next.stop();
  });
});
