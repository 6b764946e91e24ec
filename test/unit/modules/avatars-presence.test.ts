import assert from 'node:assert/strict';
import avatars from '../../../modules/avatars/index.ts';
import { stamp } from '../../../modules/avatars/stamp.ts';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import muc from '../../../modules/muc/index.ts';
import pep from '../../../modules/pep/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import { defineModule, type ModuleContext, option, Stanza, xml } from '../../../src/index.ts';
import type { StoreSpecs } from '../../../src/storage/storage.ts';
import { subscribe } from '../../support/answers.ts';
import {
  DATA,
  METADATA,
  NO_AVATAR,
  NS_UPDATE,
  payloadless,
  photo,
  png,
  publish,
  publishAvatar,
  saidBy,
  setCard,
  sidesOf,
} from '../../support/avatar-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { Disk } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const MODULES = [avatars, caps, disco, pep, presence, roster, vcard];
const A = png(64, 64);
const B = png(32, 32, { seed: 1 });
const X = (inner: string) => `<x xmlns='${NS_UPDATE}'>${inner}</x>`;
const EMPTY = X('<photo/>');

describe('avatars: presence', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;
  beforeEach(async () => {
    host = await startHost([...MODULES, muc]);
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
  });
  afterEach(() => host.stop());

  async function says(inner = '', attrs = ''): Promise<string | undefined> {
    juliet.send(`<presence ${attrs}>${inner}</presence>`);
    return saidBy(await romeo.receive('presence'));
  }

  it('is not touched where there has never been a picture', async () => {
    assert.equal(await says(), undefined);
    assert.equal(await says(EMPTY), '');
    assert.equal(await says(X(`<photo>${A.hash}</photo>`)), A.hash);
    assert.equal(await says(X('')), '');
  });

  it('has the hash, by the rules of XEP-0398 section 4', async () => {
    await setCard(juliet, photo(A.base64));
    await settle();
    romeo.take();
    assert.equal(await says(), A.hash);
    assert.equal(await says('<show>away</show>'), A.hash);
    assert.equal(await says(EMPTY), '');
    assert.equal(await says(X('<photo>\n</photo>')), '\n');
    assert.equal(await says(X('')), A.hash);
    assert.equal(await says(X(`<photo>${B.hash}</photo>`)), A.hash);
    assert.equal(await says(X(`<photo>${A.hash.toUpperCase()}</photo>`)), A.hash.toUpperCase());
    assert.equal(await says('<show>xa</show><status>away</status>'), A.hash);
    assert.equal(await says('', "type='unavailable'"), undefined);
  });

  it('keeps what else is in it', async () => {
    await setCard(juliet, photo(A.base64));
    await settle();
    romeo.take();
    juliet.send(
      "<presence xml:lang='it'><show>dnd</show><p:q xmlns:p='urn:p' p:a='&lt;'>ò</p:q><priority>3</priority></presence>",
    );
    const told = await romeo.receive('presence');
    assert.deepEqual([told.getChildText('show'), told.getChildText('priority'), told.attrs['xml:lang']], ['dnd', '3', 'it']);
    const other = told.getChild('q', 'urn:p');
    assert.deepEqual([other?.getText(), other?.attrs['p:a']], ['ò', '<']);
    assert.equal(saidBy(told), A.hash);
  });

  it('says it to those who come later, and to those who ask', async () => {
    await publishAvatar(juliet, A);
    await settle();
    juliet.send('<presence/>');
    await settle();
    romeo.take();
    romeo.send("<presence type='probe' to='juliet@example.org'/>");
    assert.equal(saidBy(await romeo.receive('presence')), A.hash);
    const garden = await host.login('romeo', 'garden');
    garden.send('<presence/>');
    await settle();
    const seen = garden.take().find(({ attrs }) => attrs['from'] === juliet.jid);
    assert.equal(seen && saidBy(seen), A.hash);
  });

  it('has it when sent directly, to rooms too', async () => {
    const tybalt = await host.online('tybalt', 'x');
    await publishAvatar(juliet, A);
    await settle();
    juliet.send(`<presence to='${tybalt.jid}'/>`);
    assert.equal(saidBy(await tybalt.receive('presence')), A.hash);
    juliet.take();
    juliet.send("<presence to='verona@conference.example.org/juliet'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    assert.equal(saidBy(await juliet.receive('presence')), A.hash);
  });

  it('is broadcast again at once when the picture changes, once for each client, and as its client has said it', async () => {
    const garden = await host.login('juliet', 'garden');
    garden.send(`<presence><show>away</show>${EMPTY}</presence>`);
    juliet.send('<presence><status>here</status></presence>');
    await settle();
    for (const [change, expected] of [
      [() => publishAvatar(juliet, A), A.hash],
      [() => setCard(juliet, photo(B.base64)), B.hash],
      [() => juliet.ask(publish(METADATA, NO_AVATAR)), ''],
      [() => publishAvatar(juliet, A), A.hash],
      [() => setCard(juliet, '<FN>J</FN>'), ''],
      [() => setCard(juliet, photo(B.base64)), B.hash],
    ] as const) {
      romeo.take();
      await change();
      const told = await romeo.receive('presence');
      assert.equal(saidBy(told), expected);
      assert.deepEqual([told.attrs['from'], told.getChildText('status')], [juliet.jid, 'here']);
      await romeo.quiet();
    }
  });

  it('says nothing of a picture that only contacts may see', async () => {
    await publishAvatar(juliet, A);
    await settle();
    romeo.take();
    await publishAvatar(juliet, B, undefined);
    payloadless(
      await juliet.ask(
        `<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='${DATA}'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>presence</value></field></x></configure></pubsub></iq>`,
      ),
    );
    await settle();
    const told = romeo.take().filter(({ name }) => name === 'presence');
    assert.equal(saidBy(told.at(-1)!), undefined);
    assert.equal(await says(), undefined);
    assert.equal(await says(X('')), 'no photo');
  });

  it('is broadcast only when it comes, where the server is to wait for that', async () => {
    await host.stop();
    host = await startHost(MODULES, { modules: { avatars: { renewPresence: false } } });
    juliet = await host.online('juliet', 'balcony');
    romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    await publishAvatar(juliet, A);
    await romeo.quiet();
    assert.equal(await says(), A.hash);
  });

  it('of guests is left alone', async () => {
    const guest = await host.loginAsGuest();
    guest.send(`<presence to='${romeo.jid}'>${X('')}</presence>`);
    assert.equal(saidBy(await romeo.receive('presence')), 'no photo');
  });

  it('of whoever gets the name of a deleted account says nothing of the old picture', async () => {
    await publishAvatar(juliet, A);
    await settle();
    juliet.leave();
    await settle();
    await host.host.accounts.delete('juliet');
    juliet = await host.online('juliet', 'balcony');
    await subscribe(romeo, juliet);
    romeo.take();
    assert.equal(await says(), undefined);
    assert.deepEqual((await sidesOf(juliet)).card, []);
  });
});

describe('avatars: presence over a restart', () => {
  it('is known to be the server’s word, or the client’s', async () => {
    let slots: ModuleContext<unknown, StoreSpecs>['slots'] | undefined;
    const sessions = defineModule({
      name: 'sessions',
      doc: '',
      config: option.object({}),
      setup: (ctx) => void (slots = ctx.slots),
    });
    const host = await startHost([...MODULES, sessions]);
    const [ours, theirs] = [await host.online('juliet', 'balcony'), await host.online('juliet', 'garden')];
    await setCard(ours, photo(A.base64));
    theirs.send(`<presence>${EMPTY}</presence>`);
    await settle();
    for (const { session } of [ours, theirs]) slots!.restore(session, JSON.parse(JSON.stringify(slots!.save(session))));
    await setCard(ours, photo(B.base64));
    await settle();
    assert.deepEqual(
      [ours, theirs].map(({ session }) => saidBy(session.presence!.element)),
      [B.hash, ''],
    );
    await host.stop();
  });

  it('says what it said, and what was set while the module was off', async () => {
    const disk = await Disk.create();
    const start = (modules = MODULES) => startHost(modules, { storage: disk.mount() });
    const others = MODULES.filter((module) => module !== avatars);

    let host = await start(others);
    let juliet = await host.online('juliet');
    await setCard(juliet, photo(A.base64));
    await host.online('nurse').then((nurse) => publishAvatar(nurse, B));
    await settle();
    await host.stop();

    host = await start();
    juliet = await host.login('juliet');
    juliet.send('<presence/>');
    assert.equal(saidBy(await juliet.receive('presence')), A.hash);
    await settle();
    assert.deepEqual(await sidesOf(juliet), { card: [A.hash], data: [A.hash], metadata: [A.hash] });
    const nurse = await host.online('nurse');
    await settle();
    assert.deepEqual((await sidesOf(nurse)).card, [B.hash]);
    await host.stop();

    host = await start();
    for (const [name, hash] of [
      ['juliet', A.hash],
      ['nurse', B.hash],
    ] as const) {
      const probe = await host.login(name);
      probe.send('<presence/>');
      assert.equal(saidBy(await probe.receive('presence')), hash);
      await probe.quiet();
    }
    await host.stop();
    await disk.close();
  });
});

describe('avatars: stamp', () => {
  const bare = Stanza.of(xml('presence', {}));

  it('gives the same stanza back where nothing is to be said', () => {
    assert.equal(stamp(bare, 'nothing', false), bare);
    assert.equal(stamp(bare, 'hidden', true), bare);
  });

  it('takes back what the server has said', () => {
    const stamped = stamp(bare, 'a'.repeat(40), false);
    assert(stamped.has('x', NS_UPDATE));
    assert(!stamp(stamped, 'hidden', true).has('x', NS_UPDATE));
    assert.equal(
      stamp(stamp(stamped, 'none', true), 'b', true)
        .child('x', NS_UPDATE)
        ?.getChildText('photo'),
      'b',
    );
  });
});
