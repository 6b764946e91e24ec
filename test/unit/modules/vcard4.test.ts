import assert from 'node:assert/strict';
import avatars from '../../../modules/avatars/index.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import pep from '../../../modules/pep/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import vcard4 from '../../../modules/vcard4/index.ts';
import { conditionOf, infoOf, payloadOf, subscribe } from '../../support/answers.ts';
import {
  cardOf,
  DATA,
  itemsOf,
  listen,
  PUBSUB,
  payloadless,
  photo,
  png,
  publish,
  publishAvatar,
  setCard,
  sidesOf,
} from '../../support/avatar-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { Disk } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const MODULES = [avatars, caps, disco, pep, presence, roster, vcard, vcard4];
const NODE = 'urn:xmpp:vcard4';
const NS = 'urn:ietf:params:xml:ns:vcard-4.0';

const item = (inner: string, id = '') => `<item${id && ` id='${id}'`}><vcard xmlns='${NS}'>${inner}</vcard></item>`;
const fn = (name: string) => `<fn><text>${name}</text></fn>`;
const retract = (id: string) =>
  `<iq type='set'><pubsub xmlns='${PUBSUB}'><retract node='${NODE}'><item id='${id}'/></retract></pubsub></iq>`;

/** What the only item says: the texts of a property. */
async function said(probe: Probe, name: string, to = ''): Promise<readonly string[] | undefined> {
  const [found, second] = await itemsOf(probe, NODE, to);
  assert.equal(second, undefined);
  return found
    ?.getChild('vcard', NS)
    ?.getChildren(name)
    .map((child) =>
      child
        .getChildElements()
        .map((each) => each.getText())
        .join(),
    );
}

describe('vcard4', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;
  beforeEach(async () => {
    host = await startHost(MODULES);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
  });
  afterEach(() => host.stop());

  const publishCard = async (inner: string, access?: string, id?: string) => {
    payloadless(await juliet.ask(publish(NODE, item(inner, id), access)));
    await settle();
  };
  const setOlder = async (inner: string) => {
    await setCard(juliet, inner);
    await settle();
  };

  it('is announced (XEP-0292 section 7)', async () => {
    const iq = "<iq type='get' to='juliet@example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    assert(infoOf(payloadOf(await juliet.ask(iq))).features.includes(NS));
  });

  it('comes from the older vCard, for everybody to see', async () => {
    await setOlder('<FN>Juliet</FN><TEL><HOME/><NUMBER>+39</NUMBER></TEL><MAILER>x</MAILER>');
    assert.deepEqual(await said(romeo, 'fn', 'juliet@example.org'), ['Juliet']);
    const [found] = await itemsOf(romeo, NODE, 'juliet@example.org');
    assert.equal(found?.attrs['id'], 'current');
    assert.equal(found?.getChild('vcard')?.getChild('tel')?.getChildText('uri'), 'tel:+39');
    await setOlder('<FN>Juliet C</FN>');
    assert.deepEqual([await said(juliet, 'fn'), await said(juliet, 'tel')], [['Juliet C'], []]);
    await setOlder('');
    assert.deepEqual(await itemsOf(juliet, NODE), []);
  });

  it('goes into the older vCard, where it leaves what vCard4 has no place for', async () => {
    await setOlder('<FN>Juliet</FN><MAILER>x</MAILER>');
    await publishCard(`${fn('J')}<gender><sex>F</sex></gender>`, undefined, 'other');
    const card = await cardOf(juliet);
    assert.deepEqual([card.getChildText('FN'), card.getChildText('MAILER')], ['J', 'x']);
    await setOlder('<FN>Jules</FN><MAILER>x</MAILER>');
    const [found] = await itemsOf(juliet, NODE);
    assert.equal(found?.attrs['id'], 'other');
    assert.deepEqual([await said(juliet, 'fn'), await said(juliet, 'gender')], [['Jules'], ['F']]);
    payloadless(await juliet.ask(retract('other')));
    await settle();
    assert.deepEqual((await cardOf(juliet)).getChildElements().map(String), ['<MAILER>x</MAILER>']);
  });

  it('stays where it is when not everybody may see it', async () => {
    await setOlder('<FN>Juliet</FN>');
    payloadless(
      await juliet.ask(
        `<iq type='set'><pubsub xmlns='${PUBSUB}#owner'><configure node='${NODE}'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>whitelist</value></field></x></configure></pubsub></iq>`,
      ),
    );
    await publishCard(`${fn('Secret')}<tel><uri>tel:+39</uri></tel>`);
    const card = await cardOf(juliet);
    assert.deepEqual([card.getChildText('FN'), card.getChild('TEL')], ['Juliet', undefined]);
    assert.deepEqual(await itemsOf(romeo, NODE, 'juliet@example.org'), []);
    payloadless(await juliet.ask(`<iq type='set'><pubsub xmlns='${PUBSUB}#owner'><delete node='${NODE}'/></pubsub></iq>`));
    await settle();
    assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
  });

  it('is as the config says where nobody says who sees it', async () => {
    await host.stop();
    host = await startHost(MODULES, { modules: { vcard4: { access: 'presence' } } });
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
    await setOlder('<FN>Juliet</FN>');
    assert.deepEqual(await said(juliet, 'fn'), ['Juliet']);
    assert.deepEqual(await itemsOf(romeo, NODE, 'juliet@example.org'), []);
    await publishCard(fn('Secret'));
    assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
  });

  it('is told of once, and is fetched then (section 4.2.2)', async () => {
    await subscribe(romeo, juliet);
    await listen(romeo, NODE);
    for (const change of [() => setOlder('<FN>J</FN>'), () => publishCard(fn('Juliet')), () => publishCard(fn('Jules'))]) {
      await change();
      const events = romeo
        .take()
        .flatMap((each) => each.getChild('event', `${PUBSUB}#event`)?.getChild('items')?.getChildren('item') ?? []);
      assert.deepEqual(
        events.map((each) => each.children),
        [[]],
      );
    }
    await setOlder('<FN>Jules</FN>');
    await romeo.quiet();
  });

  it('and avatars keep their own', async () => {
    const picture = png(64, 64);
    await publishAvatar(juliet, picture);
    await settle();
    assert.deepEqual(await itemsOf(juliet, NODE), []);
    await publishCard(fn('Juliet'));
    const all = { card: [picture.hash], data: [picture.hash], metadata: [picture.hash] };
    assert.deepEqual(await sidesOf(juliet), all);
    await setOlder(`<FN>Jules</FN>${photo(picture.base64)}`);
    assert.deepEqual(await said(juliet, 'photo'), [`data:image/png;base64,${picture.base64}`]);
    await publishCard(fn('J'));
    assert.deepEqual(await sidesOf(juliet), all);
    const other = png(1, 1);
    await publishCard(`${fn('J')}<photo><uri>data:image/png;base64,${other.base64}</uri></photo>`);
    await settle();
    assert.deepEqual(await sidesOf(juliet), { card: [other.hash], data: [other.hash], metadata: [other.hash] });
    await publishAvatar(juliet, picture);
    await settle();
    assert.deepEqual(await said(juliet, 'photo'), [`data:image/png;base64,${picture.base64}`]);
    assert.equal((await itemsOf(juliet, DATA)).length, 1);
  });

  it('ends with what was set last, in both forms', async () => {
    for (let i = 0; i < 20; i++) {
      if (i % 2) juliet.send(publish(NODE, item(fn(`J${i}`))).replace('<iq', `<iq id='n${i}'`));
      else juliet.send(`<iq type='set' id='v${i}'><vCard xmlns='vcard-temp'><FN>J${i}</FN><MAILER>${i}</MAILER></vCard></iq>`);
    }
    await settle();
    await settle();
    const card = await cardOf(juliet);
    assert.deepEqual([card.getChildText('FN'), await said(juliet, 'fn')], ['J19', ['J19']]);
    assert.equal(card.getChildText('MAILER'), '18');
  });

  it('of other kinds, and too big ones, change nothing', async () => {
    await setOlder('<FN>Juliet</FN>');
    for (const payload of ["<x xmlns='urn:x'/>", `<vcard xmlns='urn:x'>${fn('X')}</vcard>`]) {
      payloadless(await juliet.ask(publish(NODE, `<item id='current'>${payload}</item>`)));
      await settle();
      assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
    }
    // More than the older one may have.
    await publishCard(`${fn('Big')}<note><text>${'x'.repeat(140_000)}</text></note>`);
    assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
    const foreign = publish(NODE, item(fn('X'))).replace('<iq', "<iq to='juliet@example.org'");
    assert.equal(conditionOf(await romeo.ask(foreign)), 'forbidden');
  });

  it('of guests there is none', async () => {
    const guest = await host.loginAsGuest();
    await setCard(guest, '<FN>Guest</FN>');
    await guest.quiet();
    assert.deepEqual(await itemsOf(romeo, NODE, guest.session.jid.bare), []);
  });
});

describe('vcard4 over a restart', () => {
  it('is what was set, with the module and before it', async () => {
    const disk = await Disk.create();
    const start = (modules = MODULES) => startHost(modules, { storage: disk.mount() });
    let host = await start(MODULES.filter((module) => module !== vcard4));
    const before = { juliet: await host.online('juliet'), romeo: await host.online('romeo') };
    await setCard(before.juliet, '<FN>Juliet</FN>');
    payloadless(await before.romeo.ask(publish(NODE, item(fn('Romeo')), 'open')));
    await settle();
    await host.stop();
    for (let round = 0; round < 2; round++) {
      host = await start();
      const [juliet, romeo] = [await host.online('juliet'), await host.online('romeo')];
      await settle();
      assert.deepEqual(await said(juliet, 'fn'), ['Juliet']);
      assert.equal((await cardOf(romeo)).getChildText('FN'), 'Romeo');
      await host.stop();
    }
    await disk.close();
  });
});
