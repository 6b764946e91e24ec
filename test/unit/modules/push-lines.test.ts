import assert from 'node:assert/strict';
import csi from '../../../modules/csi/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import sm from '../../../modules/sm/index.ts';
import type { AnyModule } from '../../../src/module/module.ts';
import { settle } from '../../support/probe.ts';
import { assertResult, enable, nodeOf, PushScene, summaryOf } from '../../support/push-scene.ts';
import { SmClient } from '../../support/sm-client.ts';

let scene: PushScene;
let juliet: SmClient;

async function start(modules: readonly AnyModule[], config: object = {}): Promise<void> {
  scene = await PushScene.open(modules, config);
  juliet = await SmClient.online(scene.host, 'juliet', { resource: 'phone' });
  assertResult(await juliet.ask(enable('n')));
  juliet.ack();
  await settle();
}

const KEEPERS: readonly (readonly [name: string, modules: readonly AnyModule[]])[] = [
  ['an archive', [mam, sm, csi]],
  ['an archive and offline storage', [mam, offline, sm, csi]],
  ['offline storage', [offline, sm, csi]],
];

for (const [name, modules] of KEEPERS) {
  describe(`push: clients that may come back (XEP-0198), with ${name}`, () => {
    beforeEach(() => start(modules));
    afterEach(() => scene.stop());

    it('are notified while they have no line, once for each message', async () => {
      juliet.cut();
      await settle();
      for (const count of [1, 2]) {
        await scene.write('Wherefore?');
        assert.equal(summaryOf(await scene.app.receive())['message-count'], String(count));
        await scene.app.quiet();
      }
    });

    it('are not notified again when their session has ended', async () => {
      juliet.cut();
      await scene.write('Wherefore?');
      await scene.app.receive();
      juliet.session.close();
      await scene.app.quiet();
    });

    it('are not notified once they are back', async () => {
      juliet.cut();
      await scene.write('one');
      await scene.app.receive();
      await juliet.resume();
      await scene.write('two');
      assert.deepEqual(await juliet.bodies(), ['one', 'two']);
      juliet.ack();
      await scene.app.quiet();
      juliet.cut();
      await looked();
      await scene.app.quiet();
    });

    it('are notified of what was written to a dead line', async () => {
      await scene.write('one');
      juliet.ack();
      await scene.write('two');
      await scene.write('three');
      await scene.app.quiet();
      juliet.cut();
      assert.equal(summaryOf(await scene.app.receive())['message-count'], '2');
      await looked();
      await scene.app.quiet();
      juliet.session.close();
      await scene.app.quiet();
    });

    it('are notified of it when they go without a word', async () => {
      await scene.write('one');
      juliet.leave();
      await scene.app.receive();
      await scene.app.quiet();
    });

    it('are not notified again of what they get when they come', async () => {
      juliet.leave();
      await scene.write('one');
      await scene.app.receive();
      const again = await SmClient.managed(scene.host, 'juliet', { resource: 'phone' });
      again.send('<presence/>');
      await settle();
      again.cut();
      await looked();
      await scene.app.quiet();
    });

    it('are not notified of it when somebody has taken their place', async () => {
      await scene.write('one');
      const again = await SmClient.online(scene.host, 'juliet', { resource: 'phone' });
      await looked();
      await scene.app.quiet();
      assert.equal(again.isConnected, true);
    });

    it('are not notified of what nobody has to be woken for', async () => {
      juliet.cut();
      scene.romeo.send(
        `<message to='${juliet.jid}' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>`,
      );
      scene.romeo.send(`<message to='${juliet.jid}' type='chat'><received xmlns='urn:xmpp:receipts' id='x'/></message>`);
      scene.romeo.send(`<message to='${juliet.jid}' type='groupchat'><body>x</body></message>`);
      await scene.app.quiet();
    });

    it('others that are gone are not notified of it', async () => {
      const desk = await scene.host.online('juliet', 'desk');
      assertResult(await desk.ask(enable('desk')));
      await scene.write('one');
      desk.leave();
      await settle();
      juliet.cut();
      assert.equal(nodeOf(await scene.app.receive()), 'n');
      await scene.app.quiet();
    });
  });
}

describe('push: with offline storage and no archive', () => {
  beforeEach(() => start([offline, sm]));
  afterEach(() => scene.stop());

  it('who is gone is notified of what is kept', async () => {
    juliet.leave();
    await scene.write('kept');
    await scene.app.receive();
    await scene.write('kept until it is delivered', `<no-permanent-store xmlns='urn:xmpp:hints'/>`);
    await scene.app.receive();
    await scene.write('not kept', `<no-store xmlns='urn:xmpp:hints'/>`);
    await scene.app.quiet();
  });

  it('who is gone is not notified of what another client was given, and nobody keeps', async () => {
    juliet.leave();
    await scene.host.online('juliet', 'desk');
    await scene.write('for the desk');
    await scene.app.quiet();
  });
});

describe('push: with nothing that keeps messages', () => {
  beforeEach(async () => {
    scene = await PushScene.open([]);
  });
  afterEach(() => scene.stop());

  it('who is gone is not woken up for nothing', async () => {
    await scene.registered();
    await scene.write('Wherefore?');
    await scene.app.quiet();
  });
});

/** It was looked for lost lines after this was called: the line of a client that broke only then was found. */
async function looked(): Promise<void> {
  const nurse = await SmClient.online(scene.host, 'nurse');
  assertResult(await nurse.ask(enable('nurse')));
  nurse.ack();
  await scene.write('Madam!', '', nurse.jid);
  nurse.cut();
  assert.equal(nodeOf(await scene.app.receive()), 'nurse');
}
