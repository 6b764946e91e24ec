import assert from 'node:assert/strict';
import avatars from '../../../modules/avatars/index.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import pep from '../../../modules/pep/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import { infoOf, payloadOf, subscribe } from '../../support/answers.ts';
import {
  cardOf,
  DATA,
  dataItem,
  itemsOf,
  listen,
  METADATA,
  metadataItem,
  NO_AVATAR,
  notified,
  PUBSUB,
  payloadless,
  photo,
  png,
  publish,
  publishAvatar,
  setCard,
  sidesOf,
  type TestPicture,
} from '../../support/avatar-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const MODULES = [avatars, caps, disco, pep, presence, roster, vcard];
const A = png(64, 48);
const B = png(32, 32, { seed: 1 });

const both = ({ hash }: { hash: string }) => ({ card: [hash], data: [hash], metadata: [hash] });
const configure = (node: string, access: string) =>
  `<iq type='set'><pubsub xmlns='${PUBSUB}#owner'><configure node='${node}'><x xmlns='jabber:x:data' type='submit'>` +
  `<field var='FORM_TYPE'><value>${PUBSUB}#node_config</value></field>` +
  `<field var='pubsub#access_model'><value>${access}</value></field></x></configure></pubsub></iq>`;

describe('avatars', () => {
  let host: TestHost;
  let juliet: Probe;
  beforeEach(async () => {
    host = await startHost(MODULES, { modules: { vcard: { maxPhotoBytes: 4096 }, pep: { maxPayload: 16_384 } } });
    juliet = await host.online('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  it('are announced by the account (XEP-0398 section 2), and not by guests', async () => {
    const question = (to: string) => `<iq type='get' to='${to}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;
    const own = infoOf(payloadOf(await juliet.ask(question('juliet@example.org'))));
    assert(own.features.includes('urn:xmpp:pep-vcard-conversion:0'));
    const guest = await host.loginAsGuest();
    const theirs = infoOf(payloadOf(await guest.ask(question(guest.session.jid.bare))));
    assert(!theirs.features.includes('urn:xmpp:pep-vcard-conversion:0'));
  });

  describe('from the nodes to the vCard (XEP-0398 section 3.1)', () => {
    it('go with the metadata, and leave the rest of the vCard alone', async () => {
      await setCard(juliet, '<FN>Juliet</FN><NICKNAME>J</NICKNAME>');
      payloadless(await juliet.ask(publish(DATA, dataItem(A), 'open')));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, []);
      payloadless(await juliet.ask(publish(METADATA, metadataItem(A), 'open')));
      await settle();
      assert.deepEqual(await sidesOf(juliet), both(A));
      const card = await cardOf(juliet);
      assert.equal(card.getChildText('FN'), 'Juliet');
      assert.equal(card.getChild('PHOTO')?.getChildText('TYPE'), 'image/png');
    });

    it('take the format that is not elsewhere', async () => {
      payloadless(await juliet.ask(publish(DATA, dataItem(A), 'open')));
      const elsewhere = `<info id='${B.hash}' bytes='1' type='image/gif' url='http://avatars.example.org/happy.gif'/>`;
      const item = `<item id='${A.hash}'><metadata xmlns='${METADATA}'>${elsewhere}<info id='${A.hash}' bytes='1' type='image/png'/></metadata></item>`;
      payloadless(await juliet.ask(publish(METADATA, item)));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, [A.hash]);
    });

    it('are not there when they are elsewhere only', async () => {
      await publishAvatar(juliet, A);
      const item = `<item id='${B.hash}'><metadata xmlns='${METADATA}'><info id='${B.hash}' bytes='1' type='image/gif' url='http://example.org/x.gif'/></metadata></item>`;
      payloadless(await juliet.ask(publish(METADATA, item)));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, []);
    });

    it('are only for everybody when their owner lets everybody see them (section 7)', async () => {
      await publishAvatar(juliet, A, 'presence');
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, []);
      payloadless(await juliet.ask(configure(DATA, 'open')));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, [A.hash]);
      payloadless(await juliet.ask(configure(DATA, 'whitelist')));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, []);
    });

    it('go with the avatar', async () => {
      await setCard(juliet, '<FN>Juliet</FN>');
      for (const end of [
        publish(METADATA, NO_AVATAR),
        `<iq type='set'><pubsub xmlns='${PUBSUB}'><retract node='${METADATA}'><item id='${A.hash}'/></retract></pubsub></iq>`,
        `<iq type='set'><pubsub xmlns='${PUBSUB}#owner'><purge node='${METADATA}'/></pubsub></iq>`,
        `<iq type='set'><pubsub xmlns='${PUBSUB}#owner'><delete node='${METADATA}'/></pubsub></iq>`,
      ]) {
        await publishAvatar(juliet, A);
        await settle();
        assert.deepEqual((await sidesOf(juliet)).card, [A.hash], end);
        payloadless(await juliet.ask(end));
        await settle();
        assert.deepEqual((await sidesOf(juliet)).card, [], end);
      }
      assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
    });

    it('are not copied when they are too big for a vCard, and stay an avatar', async () => {
      await publishAvatar(juliet, A);
      const big = png(64, 64, { bytes: 6000 });
      await publishAvatar(juliet, big);
      await settle();
      assert.deepEqual(await sidesOf(juliet), { card: [], data: [big.hash], metadata: [big.hash] });
    });

    it('wait for the data, when a client has it the wrong way round', async () => {
      payloadless(await juliet.ask(publish(METADATA, metadataItem(A), 'open')));
      await settle();
      assert.deepEqual((await sidesOf(juliet)).card, []);
      payloadless(await juliet.ask(publish(DATA, dataItem(A), 'open')));
      await settle();
      assert.deepEqual(await sidesOf(juliet), both(A));
    });
  });

  describe('from the vCard to the nodes (XEP-0398 section 3.2)', () => {
    it('are published with their size, and both nodes are open to all who see the vCard', async () => {
      const romeo = await host.online('romeo');
      await setCard(juliet, `<FN>Juliet</FN>${photo(A.base64)}`);
      await settle();
      assert.deepEqual(await sidesOf(juliet), both(A));
      const [item] = await itemsOf(romeo, METADATA, 'juliet@example.org');
      assert.deepEqual(
        { ...item?.getChild('metadata', METADATA)?.getChild('info')?.attrs },
        { id: A.hash, bytes: String(A.bytes), type: 'image/png', width: '64', height: '48' },
      );
      const [data] = await itemsOf(romeo, DATA, 'juliet@example.org');
      assert.equal(data?.getChildText('data', DATA), A.base64);
    });

    it('are disabled when the picture goes, and it is seen no more', async () => {
      await setCard(juliet, `<FN>Juliet</FN>${photo(A.base64)}`);
      await settle();
      await setCard(juliet, '<FN>Juliet</FN>');
      await settle();
      assert.deepEqual(await sidesOf(juliet), { card: [], data: [], metadata: [] });
      await publishAvatar(juliet, B);
      await settle();
      await setCard(juliet, '');
      await settle();
      assert.deepEqual(await sidesOf(juliet), { card: [], data: [], metadata: [] });
    });

    it('stay when a vCard is set that had none, since its client did not see them', async () => {
      await publishAvatar(juliet, A, 'presence');
      await setCard(juliet, '<FN>Juliet</FN>');
      await settle();
      assert.deepEqual(await sidesOf(juliet), { card: [], data: [A.hash], metadata: [A.hash] });
    });

    it('do not change who sees the nodes', async () => {
      const romeo = await host.online('romeo');
      await publishAvatar(juliet, A, 'presence');
      await settle();
      await setCard(juliet, photo(B.base64));
      await settle();
      assert.deepEqual(await sidesOf(juliet), both(B));
      assert.deepEqual(await itemsOf(romeo, DATA, 'juliet@example.org'), []);
    });

    it('are left when the picture is too big for a node', async () => {
      await host.stop();
      host = await startHost(MODULES, { modules: { vcard: { maxPhotoBytes: 4096 }, pep: { maxPayload: 1024 } } });
      juliet = await host.online('juliet');
      const big = png(9, 9, { bytes: 2000 });
      await setCard(juliet, photo(A.base64));
      await settle();
      await setCard(juliet, photo(big.base64));
      await settle();
      assert.deepEqual(await sidesOf(juliet), { card: [big.hash], data: [], metadata: [] });
    });
  });

  describe('are told of once', () => {
    let garden: Probe;
    let romeo: Probe;
    beforeEach(async () => {
      garden = await host.login('juliet', 'garden');
      romeo = await host.online('romeo', 'orchard');
      await subscribe(romeo, juliet);
      await listen(garden, METADATA);
      await listen(romeo, METADATA);
    });

    it('whether they come by a vCard or by a node', async () => {
      await setCard(juliet, photo(A.base64));
      await settle();
      for (const probe of [garden, romeo]) assert.deepEqual(notified(probe), [`${METADATA} ${A.hash}`]);
      await publishAvatar(juliet, B);
      await settle();
      for (const probe of [garden, romeo]) assert.deepEqual(notified(probe), [`${METADATA} ${B.hash}`]);
      await setCard(juliet, '<FN>J</FN>');
      await settle();
      for (const probe of [garden, romeo]) assert.deepEqual(notified(probe), [`${METADATA} disabled`]);
    });

    it('and not again when the same picture is set again', async () => {
      await setCard(juliet, photo(A.base64));
      await settle();
      for (const probe of [garden, romeo]) probe.take();
      await setCard(juliet, `<FN>Juliet</FN>${photo(A.base64.replace(/(.{10})/g, '$1\n '), 'image/gif')}`);
      await settle();
      for (const probe of [garden, romeo]) assert.deepEqual(notified(probe), []);
      assert.equal((await cardOf(juliet)).getChildText('FN'), 'Juliet');
    });
  });

  describe('in quick succession', () => {
    const many = Array.from({ length: 12 }, (_, i) => png(i + 1, i + 1, { seed: i }));
    const set = ({ base64 }: { base64: string }, i: number) =>
      juliet.send(`<iq type='set' id='v${i}'><vCard xmlns='vcard-temp'><FN>${i}</FN>${photo(base64)}</vCard></iq>`);
    const announce = (picture: TestPicture, i: number) => {
      juliet.send(publish(DATA, dataItem(picture), 'open').replace('<iq', `<iq id='d${i}'`));
      juliet.send(publish(METADATA, metadataItem(picture), 'open').replace('<iq', `<iq id='m${i}'`));
    };

    for (const [where, change] of Object.entries({ 'at the nodes': announce, 'in the vCard': set })) {
      it(`${where} end with the last one on both sides`, async () => {
        many.forEach(change);
        await settle();
        await settle();
        assert.deepEqual(await sidesOf(juliet), both(many[11]!));
      });
    }

    it('on both sides at once end with the same one on both', async () => {
      for (const [i, picture] of many.entries()) i % 3 === 0 ? set(picture, i) : announce(picture, i);
      await settle();
      await settle();
      const sides = await sidesOf(juliet);
      assert.deepEqual(sides, both({ hash: sides.card[0]! }));
      assert.equal((await cardOf(juliet)).getChildText('FN'), '9');
    });

    it('of two clients at once are the same on both sides', async () => {
      const garden = await host.online('juliet', 'garden');
      for (let round = 0; round < 20; round++) {
        const [one, two] = [png(1, 1, { seed: round }), png(2, 2, { seed: round })];
        const nodes = (async () => {
          await garden.ask(publish(DATA, dataItem(one), 'open'));
          for (let i = 0; i < round % 7; i++) await new Promise((resolve) => setImmediate(resolve));
          await garden.ask(publish(METADATA, metadataItem(one), 'open'));
        })();
        for (let i = 0; i < round % 5; i++) await Promise.resolve();
        await Promise.all([nodes, setCard(juliet, photo(two.base64))]);
        await settle();
        const sides = await sidesOf(juliet);
        assert.deepEqual(sides, both({ hash: sides.card[0]! }), `round ${round}`);
        assert([one.hash, two.hash].includes(sides.card[0]!));
      }
    });
  });
});
