import assert from 'node:assert/strict';
import csi from '../../../modules/csi/index.ts';
import disco from '../../../modules/disco/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import { settle } from '../../support/probe.ts';
import { assertResult, enable, NS_PUSH, nodeOf, options, optionsOf, PushScene, summaryOf } from '../../support/push-scene.ts';
import { Disk } from '../../support/sm-client.ts';

const PROPOSE = `<propose xmlns='urn:xmpp:jingle-message:0' id='c'><description xmlns='urn:xmpp:jingle:apps:rtp:1' media='audio'/></propose>`;
const STORE = `<store xmlns='urn:xmpp:hints'/>`;

let scene: PushScene;
/** Of a test that restarts the server. */
let disk: Disk | undefined;

describe('push: notifications (XEP-0357 section 7)', () => {
  beforeEach(async () => {
    scene = await PushScene.open([mam, offline, disco, csi]);
  });
  afterEach(async () => {
    await scene.stop();
    await disk?.close();
    disk = undefined;
  });

  it('is announced by accounts (section 4.1), but not by those of guests, who are refused', async () => {
    for (const [probe, isAnnounced] of [
      [scene.romeo, true],
      [await scene.host.loginAsGuest(), false],
    ] as const) {
      const answer = await probe.ask(`<iq type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
      const features = answer.getChild('query')!.getChildren('feature');
      assert.equal(
        features.some(({ attrs }) => attrs['var'] === NS_PUSH),
        isAnnounced,
      );
      assert.equal((await probe.ask(enable('n'))).attrs['type'], isAnnounced ? 'result' : 'error');
    }
  });

  it('go to the app server of a client that is gone, from the host', async () => {
    await scene.registered('n1');
    await scene.write('Wherefore?');
    const iq = await scene.app.receive();
    assert.equal(iq.name, 'iq');
    assert.equal(iq.attrs['type'], 'set');
    assert.equal(iq.attrs['from'], 'example.org');
    assert.equal(iq.attrs['to'], 'push.example.org');
    assert.equal(iq.getChild('pubsub')!.attrs['xmlns'], 'http://jabber.org/protocol/pubsub');
    assert.equal(nodeOf(iq), 'n1');
    assert.equal(optionsOf(iq), undefined);
  });

  it('say how many messages wait, and neither who has written nor what', async () => {
    await scene.registered();
    await scene.write('one');
    assert.deepEqual(summaryOf(await scene.app.receive()), { 'message-count': '1' });
    await scene.write('two');
    assert.deepEqual(summaryOf(await scene.app.receive()), { 'message-count': '2' });
  });

  it('begin to count anew once somebody was there', async () => {
    await scene.registered();
    await scene.write('one');
    await scene.app.receive();
    const desk = await scene.host.online('juliet', 'desk');
    await scene.write('two');
    // Who is there may have read everything: nobody knows how many are left.
    assert.deepEqual(summaryOf(await scene.app.receive()), {});
    desk.leave();
    await settle();
    await scene.write('three');
    assert.deepEqual(summaryOf(await scene.app.receive()), { 'message-count': '1' });
  });

  it('carry the publish options that the client has given, the last ones', async () => {
    const juliet = await scene.host.online('juliet', 'phone');
    assertResult(await juliet.ask(enable('n', options({ secret: 'old' }))));
    assertResult(await juliet.ask(enable('n', options({ secret: 'a&amp;b', other: 'x' }))));
    juliet.leave();
    await scene.write('Wherefore?');
    assert.deepEqual(optionsOf(await scene.app.receive()), { secret: 'a&b', other: 'x' });
    await scene.app.quiet();
  });

  it('go to each node, also to one without a name', async () => {
    const juliet = await scene.host.online('juliet', 'phone');
    for (const node of ['a', 'b', undefined]) assertResult(await juliet.ask(enable(node)));
    juliet.leave();
    await scene.write('Wherefore?');
    const nodes = [await scene.app.receive(), await scene.app.receive(), await scene.app.receive()].map(nodeOf);
    assert.deepEqual(nodes, ['a', 'b', undefined]);
    await scene.app.quiet();
  });

  it('do not go to a client that is connected, whether it is active, inactive or not available', async () => {
    const juliet = await scene.host.login('juliet', 'phone');
    assertResult(await juliet.ask(enable('n')));
    await scene.write('unavailable');
    juliet.send('<presence/>');
    await scene.write('active');
    juliet.send("<inactive xmlns='urn:xmpp:csi:0'/>");
    await scene.write('inactive');
    await scene.app.quiet();
  });

  it('go to a client that is gone although another one is there', async () => {
    await scene.registered('n1', 'phone');
    const desk = await scene.host.online('juliet', 'desk');
    assertResult(await desk.ask(enable('n2')));
    await scene.write('Wherefore?');
    assert.equal(nodeOf(await scene.app.receive()), 'n1');
    await scene.write('Wherefore?', '', 'juliet@example.org/desk');
    assert.equal(nodeOf(await scene.app.receive()), 'n1');
    await scene.app.quiet();
  });

  it('follow a client that comes with another resource and enables its node again', async () => {
    await scene.registered('n', 'phone1');
    const again = await scene.host.online('juliet', 'phone2');
    assertResult(await again.ask(enable('n')));
    await scene.write('Wherefore?');
    await scene.app.quiet();
    again.leave();
    await scene.write('Wherefore?');
    await scene.app.receive();
    await scene.app.quiet();
  });

  it('know a client that comes again with its resource and says nothing', async () => {
    await scene.registered('n', 'phone');
    await scene.host.online('juliet', 'phone');
    await scene.write('Wherefore?');
    await scene.app.quiet();
  });

  it('tell of calls (XEP-0353, XEP-0482), and of encrypted messages', async () => {
    await scene.registered();
    const omemo = `<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>x</payload></encrypted>`;
    const invite = `<invite xmlns='urn:xmpp:call-invites:0'><external uri='tel:1'/></invite>`;
    for (const inner of [PROPOSE + STORE, invite, omemo]) {
      scene.romeo.send(`<message type='chat' to='juliet@example.org'>${inner}</message>`);
      await scene.app.receive();
    }
  });

  it('do not tell of what nobody has to be woken for', async () => {
    await scene.registered();
    const retract = `<retract xmlns='urn:xmpp:message-retract:1' id='x'/>`;
    const hints = 'urn:xmpp:hints';
    const idle = [
      `<active xmlns='http://jabber.org/protocol/chatstates'/>`,
      `<received xmlns='urn:xmpp:receipts' id='x'/>`,
      `<displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>`,
      `<reactions xmlns='urn:xmpp:reactions:0' id='x'><reaction>!</reaction></reactions>`,
      `<body>Retracted</body>${retract}`,
      `<body>typo</body><replace xmlns='urn:xmpp:message-correct:0' id='x'/>`,
      `<finish xmlns='urn:xmpp:jingle-message:0' id='c'/>${STORE}`,
      `<body>secret</body><no-store xmlns='${hints}'/>`,
      `${PROPOSE}<no-store xmlns='${hints}'/>`,
    ];
    for (const inner of idle) scene.romeo.send(`<message type='chat' to='juliet@example.org'>${inner}</message>`);
    for (const type of ['headline', 'groupchat', 'error']) {
      scene.romeo.send(`<message type='${type}' to='juliet@example.org'><body>x</body></message>`);
    }
    scene.romeo.send(`<presence to='juliet@example.org' type='subscribe'/>`);
    await scene.app.quiet();
  });

  it('do not tell of what the account says itself', async () => {
    await scene.registered();
    const desk = await scene.host.online('juliet', 'desk');
    desk.send(`<message type='chat' to='romeo@example.org'><body>to others</body></message>`);
    desk.send(`<message type='chat' to='juliet@example.org'><body>to myself</body></message>`);
    await scene.app.quiet();
  });

  it('do not tell others of what is for one account', async () => {
    await scene.registered();
    await scene.host.host.accounts.create('nurse', 'secret');
    await scene.write('for another', '', 'nurse@example.org');
    await scene.write('for nobody', '', 'nobody@example.org');
    await scene.app.quiet();
  });
});

describe('push: what app servers are told', () => {
  afterEach(async () => {
    await scene.stop();
    await disk?.close();
    disk = undefined;
  });

  it('the sender and the text, where the config lets them be told', async () => {
    scene = await PushScene.open([mam], { includeSender: true, includeBody: true });
    await scene.registered();
    await scene.write('Art &lt;thou&gt; not Romeo &amp; a Montague?');
    assert.deepEqual(summaryOf(await scene.app.receive()), {
      'message-count': '1',
      'last-message-sender': 'romeo@example.org/orchard',
      'last-message-body': 'Art <thou> not Romeo & a Montague?',
    });
    scene.romeo.send(`<message type='chat' to='juliet@example.org'>${PROPOSE}${STORE}</message>`);
    assert.equal(summaryOf(await scene.app.receive())['last-message-body'], undefined);
  });

  it('the beginning of a long text, in whole characters', async () => {
    scene = await PushScene.open([mam], { includeBody: true });
    await scene.registered();
    await scene.write('\u{1f339}'.repeat(10_000));
    const body = summaryOf(await scene.app.receive())['last-message-body']!;
    assert.equal(body, `${'\u{1f339}'.repeat(499)}…`);
    await scene.write('x'.repeat(500));
    assert.equal(summaryOf(await scene.app.receive())['last-message-body'], 'x'.repeat(500));
  });

  it('no number while nobody knows it: after a restart, until somebody was there', async () => {
    disk = await Disk.create();
    scene = await PushScene.open([mam], {}, { storage: disk.mount() });
    await scene.registered('n', 'phone');
    await scene.stop();
    scene = await PushScene.open([mam], {}, { storage: disk.mount() });
    await scene.host.host.accounts.create('juliet', 'secret');
    await scene.write('one');
    const iq = await scene.app.receive();
    assert.equal(nodeOf(iq), 'n');
    assert.deepEqual(summaryOf(iq), {});
    (await scene.host.online('juliet', 'phone')).leave();
    await scene.write('two');
    assert.deepEqual(summaryOf(await scene.app.receive()), { 'message-count': '1' });
  });
});
