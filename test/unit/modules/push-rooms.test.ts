import assert from 'node:assert/strict';
import csi from '../../../modules/csi/index.ts';
import push, { type PushApi } from '../../../modules/push/index.ts';
import sm from '../../../modules/sm/index.ts';
import { defineModule, option } from '../../../src/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { AppServer, assertResult, enable, NS_PUSH, summaryOf } from '../../support/push-scene.ts';
import { join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SmClient } from '../../support/sm-client.ts';

describe('push: what is said in rooms, and written to a dead line', () => {
  let scene: RoomScene;
  let app: AppServer;
  let api: PushApi;
  let romeo: Probe;
  let juliet: SmClient;
  /** What was not given to whom, as `resource: texts`. */
  let lost: string[];
  let nurses = 0;

  /** Hands over what is lost, as those do who look after rooms. */
  const taker = defineModule({
    name: 'taker',
    doc: 'Takes the API.',
    needs: [push],
    config: option.object({}),
    setup({ on, use }) {
      api = use(push);
      on(api.lost, ({ session, messages: all }) => {
        const messages = all.filter((each) => each.has('body'));
        if (messages.length === 0) return;
        lost.push(`${session.jid.resource}: ${messages.map((each) => each.text('body')).join(' ')}`);
        api.notify(session.jid.local, { from: session.jid, stanza: messages.at(-1)!, amount: messages.length });
      });
    },
  });

  beforeEach(async () => {
    lost = [];
    const section = { interval: 0, lookEvery: '10ms', includeBody: true };
    scene = await RoomScene.start({ more: [sm, csi, push, taker], modules: { push: section } });
    app = new AppServer(scene.host, 'push.example.org');
    await scene.room();
    romeo = await scene.client('romeo');
    await scene.enter(romeo);
    juliet = await enter('juliet', 'phone');
  });
  afterEach(() => scene.stop());

  /** A client that has registered, is in the room, and has confirmed all of it. */
  async function enter(username: string, resource: string): Promise<SmClient> {
    const client = await SmClient.online(scene.host, username, { resource });
    assertResult(await client.ask(enable(username)));
    client.send(join(`${LOUNGE}/${username}`));
    await settle();
    client.ack();
    await settle();
    return client;
  }

  async function speak(...bodies: readonly string[]): Promise<void> {
    for (const body of bodies) romeo.send(say(body));
    await settle();
  }

  /** It was looked for lost lines after this was called: the line of a client that broke only then was found. */
  async function looked(): Promise<void> {
    const name = `nurse${nurses++}`;
    const nurse = await enter(name, name);
    await speak('Madam!');
    nurse.cut();
    await app.receive();
    assert.equal(lost.pop(), `${name}: Madam!`);
    await app.quiet();
  }

  it('is told when that is found, together', async () => {
    await speak('one');
    juliet.ack();
    await speak('two', 'three');
    assert.deepEqual(lost, []);
    await app.quiet();
    juliet.cut();
    assert.equal(summaryOf(await app.receive())['last-message-body'], 'three');
    await looked();
    assert.deepEqual(lost, ['phone: two three']);
  });

  it('is told when the client goes without a word about it', async () => {
    await speak('one');
    juliet.leave();
    await app.receive();
    assert.deepEqual(lost, ['phone: one']);
    await app.quiet();
  });

  it('is told also of an inactive client', async () => {
    juliet.send("<inactive xmlns='urn:xmpp:csi:0'/>");
    await speak('one');
    juliet.cut();
    await app.receive();
    assert.deepEqual(lost, ['phone: one']);
  });

  it('is not told once it is confirmed, nor what came when the line had broken, nor what was said before', async () => {
    await speak('one');
    juliet.ack();
    await settle();
    juliet.cut();
    await speak('two');
    await looked();
    const late = await SmClient.online(scene.host, 'juliet', { resource: 'late' });
    late.send(join(`${LOUNGE}/late`, "<history maxstanzas='9'/>"));
    await settle();
    assert((await late.bodies()).includes('two'), 'it is given the history');
    late.cut();
    await looked();
    assert.deepEqual(lost, []);
  });

  it('is told once, however often the line breaks', async () => {
    await speak('one');
    juliet.cut();
    await app.receive();
    await juliet.resume();
    await speak('two');
    juliet.cut();
    await app.receive();
    assert.deepEqual(lost, ['phone: one', 'phone: two']);
    lost.length = 0;
    await juliet.resume();
    juliet.ack();
    await settle();
    juliet.cut();
    await looked();
    assert.deepEqual(lost, []);
  });

  it('is not told of those who have not asked, or are back before anybody has looked', async () => {
    const tybalt = await SmClient.online(scene.host, 'tybalt', { resource: 'desk' });
    tybalt.send(join(`${LOUNGE}/tybalt`));
    await settle();
    tybalt.ack();
    await speak('one');
    tybalt.cut();
    juliet.cut();
    await juliet.resume();
    juliet.ack();
    await looked();
    assert.deepEqual(lost, []);
  });

  it('is not told again when modules are started anew', async () => {
    await speak('one');
    juliet.cut();
    await app.receive();
    await scene.host.modules.restart('push');
    await looked();
    assert.deepEqual(lost, ['phone: one']);
    await speak('two');
    assert.deepEqual(lost, ['phone: one']);
  });

  it('is announced to nobody by a word of the client itself', async () => {
    juliet.send(`<message type='groupchat' to='${juliet.jid}'><lost xmlns='${NS_PUSH}'/></message>`);
    await settle();
    await app.quiet();
  });
});
