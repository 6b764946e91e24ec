import assert from 'node:assert/strict';
import offline from '../../../modules/offline/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf } from '../../support/answers.ts';
import { chat, OfflineScene } from '../../support/offline-scene.ts';
import { settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';

const NS_DELAY = 'urn:xmpp:delay';

describe('offline: what is kept', () => {
  let scene: OfflineScene;
  afterEach(() => scene.host.stop());

  it('a message for who is offline, until the first presence, with the time it came (XEP-0160 section 2)', async () => {
    scene = await OfflineScene.open();
    const before = Date.now();
    scene.romeo.send(
      "<message to='juliet@example.org' type='chat'><body>O blessed &amp; night</body><x xmlns='urn:x' a='&apos;'/></message>",
    );
    await scene.romeo.quiet();
    const juliet = await scene.host.login('juliet', 'balcony');
    await juliet.quiet();
    juliet.send('<presence/>');
    const message = await juliet.receive('message');
    assert.deepEqual(
      [message.attrs['from'], message.attrs['to'], message.attrs['type']],
      [scene.romeo.jid, 'juliet@example.org', 'chat'],
    );
    assert.equal(message.getChildText('body'), 'O blessed & night');
    assert.equal(message.getChild('x', 'urn:x')?.attrs['a'], "'");
    const delay = message.getChild('delay', NS_DELAY)!;
    assert.equal(delay.attrs['from'], 'example.org');
    const stamp = Date.parse(delay.attrs['stamp']);
    assert(stamp >= before && stamp <= Date.now());
    assert.match(delay.attrs['stamp'], /Z$/);
  });

  for (const [what, xml] of [
    ['no type', '<message %><body>hi</body></message>'],
    ['type normal', "<message type='normal' %><body>hi</body></message>"],
    ['a type nobody knows', "<message type='x' %><body>hi</body></message>"],
    ['type chat', "<message type='chat' %><body>hi</body></message>"],
    [
      'a chat state beside a text',
      "<message type='chat' %><body>hi</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    ],
    ['a payload and no text', "<message %><received xmlns='urn:xmpp:receipts' id='1'/></message>"],
    ['a hint not to keep it for good', "<message %><body>hi</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>"],
    [
      'a hint to keep it',
      "<message type='chat' %><gone xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='urn:xmpp:hints'/></message>",
    ],
    ['the address of a client that is gone', "<message type='chat' to='juliet@example.org/gone'><body>hi</body></message>"],
  ] as const) {
    it(`is a message with ${what} (XEP-0160 section 3)`, async () => {
      scene = await OfflineScene.open();
      scene.romeo.send(xml.replace('%', "to='juliet@example.org'"));
      await scene.romeo.quiet();
      const juliet = await scene.host.login('juliet');
      juliet.send('<presence/>');
      assert((await juliet.receive('message')).getChild('delay', NS_DELAY));
    });
  }

  for (const [what, xml] of [
    ['chat states alone', "<message type='chat' %><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"],
    [
      'a chat state and its thread',
      "<message type='chat' %><thread>t</thread><paused xmlns='http://jabber.org/protocol/chatstates'/></message>",
    ],
    ['nothing in it', "<message type='chat' %/>"],
    ['a hint not to store it, and no text', "<message %><x xmlns='urn:x'/><no-store xmlns='urn:xmpp:hints'/></message>"],
    ['type headline', "<message type='headline' %><body>news</body></message>"],
    ['type error', "<message type='error' %><body>hi</body><error type='cancel'/></message>"],
  ] as const) {
    it(`is no message with ${what}, and nobody is told`, async () => {
      scene = await OfflineScene.open();
      scene.romeo.send(xml.replace('%', "to='juliet@example.org'"));
      await scene.romeo.quiet();
      assert.deepEqual((await scene.arrive()).bodies, []);
    });
  }

  for (const [what, xml] of [
    ['type groupchat', "<message type='groupchat' %><body>hi</body></message>"],
    ['a hint not to store it, and a text', "<message %><body>hi</body><no-store xmlns='urn:xmpp:hints'/></message>"],
  ] as const) {
    it(`is no message with ${what}, and the sender is told`, async () => {
      scene = await OfflineScene.open();
      scene.romeo.send(xml.replace('%', "to='juliet@example.org'"));
      assert.equal(conditionOf(await scene.romeo.receive('message')), 'service-unavailable');
      assert.deepEqual((await scene.arrive()).bodies, []);
    });
  }

  it('nothing for accounts that do not exist', async () => {
    scene = await OfflineScene.open();
    scene.romeo.send(chat('hi', 'nobody@example.org'));
    assert.equal(conditionOf(await scene.romeo.receive('message')), 'service-unavailable');
    await scene.host.host.accounts.create('nobody', 'secret');
    const nobody = await scene.host.online('nobody');
    await nobody.quiet();
  });

  it('no delay that somebody else has written in our name (XEP-0203 section 6)', async () => {
    scene = await OfflineScene.open();
    const delay = (from: string) => `<delay xmlns='${NS_DELAY}' from='${from}' stamp='2002-09-10T23:08:25Z'/>`;
    scene.romeo.send(
      `<message to='juliet@example.org'><body>hi</body>${delay('example.org')}${delay('romeo@example.org')}</message>`,
    );
    await settle();
    const juliet = await scene.host.login('juliet');
    juliet.send('<presence/>');
    const stamps = (await juliet.receive('message'))
      .getChildren('delay', NS_DELAY)
      .map(({ attrs }) => [attrs['from'], attrs['stamp'].slice(0, 4)]);
    assert.deepEqual(stamps, [
      ['romeo@example.org', '2002'],
      ['example.org', String(new Date().getUTCFullYear())],
    ]);
  });

  it('so many messages and no more: the sender is told (XEP-0160 section 2)', async () => {
    scene = await OfflineScene.open({ maxMessages: 3 });
    for (const body of ['1', '2', '3', '4']) scene.romeo.send(chat(body));
    const reply = await scene.romeo.receive('message');
    assert.deepEqual([conditionOf(reply), reply.attrs['id']], ['service-unavailable', '4']);
    const { juliet, bodies } = await scene.arrive();
    assert.deepEqual(bodies, ['1', '2', '3']);
    juliet.leave();
    scene.romeo.send(chat('5'));
    await scene.romeo.quiet();
    assert.deepEqual((await scene.arrive()).bodies, ['5']);
  });

  it('so many messages also when many senders write at once', async () => {
    scene = await OfflineScene.open({ maxMessages: 3 });
    const senders = await Promise.all(Array.from({ length: 8 }, (_, i) => scene.host.login(`sender${i}`)));
    for (const sender of senders) sender.send(chat('hi'));
    await settle();
    assert.equal(senders.filter((sender) => sender.take().length === 1).length, 5);
    assert.equal((await scene.arrive()).bodies.length, 3);
  });

  it('so many bytes and no more', async () => {
    scene = await OfflineScene.open({ maxBytes: '16KiB' });
    scene.romeo.send(chat('x'.repeat(9000)));
    scene.romeo.send(chat('y'.repeat(9000)));
    assert.equal(conditionOf(await scene.romeo.receive('message')), 'service-unavailable');
    scene.romeo.send(chat('small'));
    await scene.romeo.quiet();
    assert.equal((await scene.arrive()).bodies.length, 2);
  });

  it('nothing that is too old', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const { messages } = await storage.open('example.org', 'offline', { messages: offline.stores!.messages });
    const old = {
      with: 'romeo@example.org',
      stamp: Date.now() - 7_200_000,
      stanza: "<message xmlns='jabber:client'><body>old</body></message>",
    };
    await messages.append('juliet', { ...old, id: '00000000-0000-7000-8000-000000000000' });
    scene = await OfflineScene.open({ keepFor: '1h' }, { storage });
    scene.romeo.send(chat('new'));
    await settle();
    assert.deepEqual((await scene.arrive()).bodies, ['new']);
    assert.equal(await messages.count('juliet', {}), 0);
  });

  it('nothing once the account is gone', async () => {
    scene = await OfflineScene.open();
    scene.romeo.send(chat('for the first juliet'));
    await settle();
    await scene.host.host.accounts.delete('juliet');
    await scene.host.host.accounts.create('juliet', 'secret');
    assert.deepEqual((await scene.arrive()).bodies, []);
  });

  it('and a sender waits until it is durable', async () => {
    const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await OfflineScene.open({}, { storage: slow.storage });
    const isPaused = () => scene.romeo.transport.isPaused;
    slow.hold();
    scene.romeo.send(chat('hi'));
    await settle();
    assert(isPaused());
    slow.release();
    await settle();
    assert(!isPaused());
    await scene.romeo.quiet();
  });

  it('and a sender is told when it could not be written', async () => {
    const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await OfflineScene.open({}, { storage: slow.storage, log: silent });
    slow.fail();
    scene.romeo.send(chat('hi'));
    assert.equal(conditionOf(await scene.romeo.receive('message')), 'resource-constraint');
    slow.release();
    scene.romeo.send(chat('again'));
    await scene.romeo.quiet();
    assert.deepEqual((await scene.arrive()).bodies, ['again']);
  });
});
