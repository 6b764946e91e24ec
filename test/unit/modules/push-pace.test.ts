import assert from 'node:assert/strict';
import mam from '../../../modules/mam/index.ts';
import { Jid, readStanza, type StanzaCondition } from '../../../src/index.ts';
import { settle } from '../../support/probe.ts';
import { AppServer, assertResult, enable, nodeOf, PushScene, summaryOf } from '../../support/push-scene.ts';
import { Disk } from '../../support/sm-client.ts';

const PROPOSE = `<propose xmlns='urn:xmpp:jingle-message:0' id='c'/><store xmlns='urn:xmpp:hints'/>`;

let scene: PushScene;
/** Of a test that restarts the server. */
let disk: Disk | undefined;

/** A host where juliet's client has registered, and has gone. */
async function start(config: object = {}): Promise<void> {
  scene = await PushScene.open([mam], { includeBody: true, ...config });
  await scene.registered();
}

const bodyOf = (iq: Parameters<typeof summaryOf>[0]) => summaryOf(iq)['last-message-body'];
/** How many registrations of juliet are stored. */
async function stored(): Promise<number> {
  const stores = await scene.host.storage.open('example.org', 'push', { registrations: { kind: 'map', version: 1 } });
  return (await stores.registrations.entries('juliet')).size;
}

/** Waits until the newest is told; what comes before is the one before. */
async function toldAfter(before: string, newest: string): Promise<void> {
  for (;;) {
    const body = bodyOf(await scene.app.receive());
    if (body === newest) return;
    assert.equal(body, before);
  }
}

const call = async () => {
  scene.romeo.send(`<message type='chat' to='juliet@example.org'>${PROPOSE}</message>`);
  await settle();
};

describe('push: floods', () => {
  afterEach(async () => {
    await scene.stop();
    await disk?.close();
    disk = undefined;
  });

  it('of a registration one notification is under way, and the newest is told next', async () => {
    await start();
    scene.app.answers = 'nothing';
    for (let i = 1; i <= 50; i++) await scene.write(`${i}`);
    const first = await scene.app.receive();
    assert.equal(bodyOf(first), '1');
    await scene.app.quiet();
    scene.app.answer(first);
    const next = await scene.app.receive();
    assert.deepEqual(summaryOf(next), { 'message-count': '50', 'last-message-body': '50' });
    scene.app.answer(next);
    await scene.app.quiet();
  });

  it('registrations do not wait for one another', async () => {
    await start();
    await scene.registered('other', 'tablet');
    scene.app.answers = 'nothing';
    await scene.write('one');
    assert.deepEqual([nodeOf(await scene.app.receive()), nodeOf(await scene.app.receive())], ['node', 'other']);
  });

  it('the next waits for its turn, and what came meanwhile is told together', async () => {
    await start({ interval: '400ms' });
    for (let i = 1; i <= 5; i++) await scene.write(`${i}`);
    assert.equal(bodyOf(await scene.app.receive()), '1');
    assert.deepEqual(summaryOf(await scene.app.receive()), { 'message-count': '5', 'last-message-body': '5' });
    await scene.app.quiet();
  });

  it('a call does not wait for messages, but for calls', async () => {
    await start({ interval: '1h' });
    await scene.write('one');
    await scene.app.receive();
    await scene.write('two');
    await scene.app.quiet();
    await call();
    assert.equal(summaryOf(await scene.app.receive())['message-count'], '3');
    await call();
    await scene.write('three');
    await scene.app.quiet();
  });

  it('a call does not wait the longer since a message has come after it', async () => {
    await start({ interval: '1h' });
    scene.app.answers = 'nothing';
    await scene.write('one');
    const first = await scene.app.receive();
    await call();
    await scene.write('two');
    scene.app.answer(first);
    assert.equal(bodyOf(await scene.app.receive()), 'two');
  });

  it('what a client was given is not told when it has gone again', async () => {
    await start({ interval: '400ms' });
    await scene.registered('marker', 'marker');
    await scene.write('one');
    await scene.app.receive();
    await scene.app.receive();
    const phone = await scene.host.online('juliet', 'phone');
    await scene.write('two');
    phone.leave();
    assert.equal(nodeOf(await scene.app.receive()), 'marker');
    await scene.app.quiet();
  });

  it('what waited for its turn is not told to a client that has come, gone for good, or taken it back', async () => {
    await start({ interval: '400ms' });
    await scene.registered('marker', 'marker');
    await scene.write('one');
    await scene.app.receive();
    await scene.app.receive();
    await scene.write('two');
    const phone = await scene.host.login('juliet', 'phone');
    assert.equal(nodeOf(await scene.app.receive()), 'marker');
    await scene.app.quiet();
    phone.leave();
    await scene.host.host.accounts.delete('juliet');
    await scene.write('three');
    await scene.app.quiet();
  });
});

describe('push: a service that says nothing', () => {
  afterEach(() => scene.stop());

  it('keeps no other waiting, nor takes up all that the host may ask', async () => {
    await start({ maxPerAccount: 100, answerWithin: '10m' });
    const far = new AppServer(scene.host, 'push.example.net');
    const phones = await Promise.all(Array.from({ length: 11 }, (_, i) => scene.host.login(`user${i}`, 'phone')));
    for (const phone of phones) {
      for (let i = 0; i < 99; i++) phone.send(enable(`${i}`).replace('<iq', `<iq id='${i}'`));
      assertResult(await phone.ask(enable('far', '', 'push.example.net')));
      phone.leave();
    }
    await settle();
    scene.app.answers = 'nothing';
    for (let i = 0; i < 11; i++) scene.api.notify(`user${i}`, { from: Jid.parse('verona@rooms.example.org/nurse') });
    for (let i = 0; i < 11; i++) assert.equal(nodeOf(await far.receive()), 'far');
    await settle();
    const [first, ...others] = scene.app.take();
    assert.equal(others.length, 999, 'no more are under way at once');
    scene.app.answer(first!, 'gone');
    assert.equal((await scene.app.receive()).attrs['type'], 'set', 'the next one');
    await scene.app.quiet();
  });

  it('is not waited for when the module is stopped, and what it says then changes nothing', async () => {
    await start({ maxErrors: 1 });
    scene.app.answers = 'nothing';
    await scene.write('one');
    const before = await scene.app.receive();
    await scene.host.modules.restart('push');
    const again = await scene.app.receive();
    assert.equal(bodyOf(again), 'one', 'nobody knows whether it was taken');
    scene.app.answer(before, 'gone');
    await settle();
    assert.equal(await stored(), 1);
    scene.app.answer(again);
    await scene.write('two');
    assert.equal(bodyOf(await scene.app.receive()), 'two');
  });
});

describe('push: services that fail (XEP-0357 section 7.1)', () => {
  afterEach(async () => {
    await scene.stop();
    await disk?.close();
    disk = undefined;
  });
  const REFUSALS: readonly StanzaCondition[] = ['item-not-found', 'gone', 'forbidden', 'not-acceptable', 'service-unavailable'];

  for (const condition of REFUSALS) {
    it(`${condition}: after so many in a row the registration is erased`, async () => {
      await start({ maxErrors: 2, retryAfter: '10ms' });
      scene.app.answers = condition;
      await scene.write('one');
      assert.equal(bodyOf(await scene.app.receive()), 'one');
      await scene.write('two');
      assert.equal(bodyOf(await scene.app.receive()), 'two');
      await settle();
      assert.equal(await stored(), 0);
      await scene.write('three');
      await scene.app.quiet();
      await scene.registered();
      scene.app.answers = 'result';
      await scene.write('four');
      assert.equal(bodyOf(await scene.app.receive()), 'four');
    });
  }

  it('the count is of those in a row, and lasts over a restart', async () => {
    disk = await Disk.create();
    const config = { includeBody: true, maxErrors: 2, retryAfter: '10ms' };
    scene = await PushScene.open([mam], config, { storage: disk.mount() });
    await scene.registered();
    for (const answer of ['gone', 'result', 'gone'] as const) {
      scene.app.answers = answer;
      await scene.write(answer);
      await scene.app.receive();
      await settle();
    }
    await scene.stop();
    scene = await PushScene.open([mam], config, { storage: disk.mount() });
    await scene.host.host.accounts.create('juliet', 'secret');
    scene.app.answers = 'gone';
    assert.equal(await stored(), 1);
    await scene.write('the second');
    await scene.app.receive();
    await settle();
    assert.equal(await stored(), 0);
    await scene.write('nobody is told');
    await scene.app.quiet();
  });

  it('enabling it once more begins anew', async () => {
    await start({ maxErrors: 2, retryAfter: '1h' });
    for (let i = 0; i < 4; i++) {
      scene.app.answers = 'gone';
      await scene.write(`${i}`);
      assert.equal(bodyOf(await scene.app.receive()), `${i}`);
      await scene.registered();
    }
  });

  for (const condition of ['internal-server-error', 'resource-constraint', 'remote-server-timeout'] as const) {
    it(`${condition}: is tried again later, however often`, async () => {
      await start({ maxErrors: 1, retryAfter: '10ms' });
      scene.app.answers = condition;
      await scene.write('one');
      for (let i = 0; i < 3; i++) assert.equal(bodyOf(await scene.app.receive()), 'one');
      await scene.write('two');
      await toldAfter('one', 'two');
      scene.app.answers = 'result';
      assert.equal(bodyOf(await scene.app.receive()), 'two');
    });
  }

  it('silence: is tried again, with what is newest', async () => {
    await start({ answerWithin: '10ms', retryAfter: '10ms' });
    scene.app.answers = 'nothing';
    await scene.write('one');
    await scene.app.receive();
    await scene.write('two');
    await toldAfter('one', 'two');
    scene.app.answers = 'result';
    assert.equal(bodyOf(await scene.app.receive()), 'two');
  });

  it('silence for too long: the registration is erased', async () => {
    await start({ answerWithin: '10ms', retryAfter: '10ms', giveUpAfter: '10ms' });
    scene.app.answers = 'nothing';
    await scene.write('one');
    while ((await stored()) > 0) await settle();
    // It was tried once more at least.
    assert.equal(bodyOf(await scene.app.receive()), 'one');
    assert.equal(bodyOf(await scene.app.receive()), 'one');
    scene.app.answers = 'result';
    await scene.write('two');
    assert.equal(scene.app.take().map(bodyOf).includes('two'), false);
  });

  it('a domain that cannot be reached is tried again', async () => {
    await start({ retryAfter: '10ms', maxErrors: 1 });
    const juliet = await scene.host.online('juliet', 'tablet');
    assertResult(await juliet.ask(enable('far', '', 'push.example.net')));
    juliet.leave();
    await scene.write('one');
    await scene.app.receive();
    const far = new AppServer(scene.host, 'push.example.net');
    assert.equal(bodyOf(await far.receive()), 'one');
  });

  it('answers of others, or to other questions, are none', async () => {
    await start({ maxErrors: 1 });
    scene.app.answers = 'nothing';
    await scene.write('one');
    const iq = await scene.app.receive();
    for (const from of ['push.example.net', 'romeo@example.org/orchard', 'push.example.org/x']) {
      scene.app.answer(iq, 'gone', Jid.parse(from));
    }
    const other = readStanza(`<iq xmlns='jabber:client' type='set' id='push-other' from='example.org'/>`);
    scene.app.answer(other.element, 'gone');
    await settle();
    scene.app.answer(iq);
    await scene.write('two');
    assert.equal(bodyOf(await scene.app.receive()), 'two');
  });

  it('an error that says nothing counts as a refusal', async () => {
    await start({ maxErrors: 1 });
    scene.app.answers = 'nothing';
    await scene.write('one');
    const { attrs } = await scene.app.receive();
    await scene.app.send(readStanza(`<iq xmlns='jabber:client' type='error' id='${attrs['id']}' to='example.org'/>`).element);
    await scene.write('two');
    await scene.app.quiet();
  });
});

describe('push: what other modules tell', () => {
  afterEach(async () => {
    await scene.stop();
    await disk?.close();
    disk = undefined;
  });
  const room = Jid.parse('verona@rooms.example.org/nurse');

  it('comes as they say it', async () => {
    await start({ includeSender: true });
    const stanza = readStanza(`<message xmlns='jabber:client' type='groupchat'><body>Hear!</body></message>`);
    scene.api.notify('juliet', { from: room, stanza, count: 7 });
    assert.deepEqual(summaryOf(await scene.app.receive()), {
      'message-count': '7',
      'last-message-sender': room.full,
      'last-message-body': 'Hear!',
    });
    scene.api.notify('juliet', { from: room });
    assert.equal(summaryOf(await scene.app.receive())['message-count'], '1');
  });

  it('a mention does not wait for its turn', async () => {
    await start({ interval: '1h' });
    scene.api.notify('juliet', { from: room });
    await scene.app.receive();
    scene.api.notify('juliet', { from: room });
    await scene.app.quiet();
    scene.api.notify('juliet', { from: room, isMention: true });
    await scene.app.receive();
    await scene.app.quiet();
  });

  it('is not for clients that are connected, nor for accounts that have not asked', async () => {
    await start();
    await scene.host.login('juliet', 'phone');
    for (const username of ['juliet', 'romeo', 'nobody']) scene.api.notify(username, { from: room });
    await scene.app.quiet();
  });
});
