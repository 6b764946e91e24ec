import assert from 'node:assert/strict';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import sm from '../../../modules/sm/index.ts';
import { settle } from '../../support/probe.ts';
import { assertResult, disable, enable, nodeOf, PushScene, summaryOf } from '../../support/push-scene.ts';
import { Disk, SmClient } from '../../support/sm-client.ts';

let scene: PushScene;
let disk: Disk;

async function start(config: object = {}): Promise<void> {
  const options = { includeBody: true, ...config };
  scene = await PushScene.open([mam, offline, sm], options, { storage: disk.mount() });
  await scene.host.host.accounts.create('juliet', 'secret');
}

/** Stops the server and starts it again. What was notified until then is not looked at any more. */
async function restart(config: object = {}): Promise<void> {
  await scene.stop();
  await start(config);
}

const bodyOf = (iq: Parameters<typeof summaryOf>[0]) => summaryOf(iq)['last-message-body'];

describe('push: a restart of the server', () => {
  beforeEach(async () => {
    disk = await Disk.create();
  });
  afterEach(async () => {
    await scene.stop();
    await disk.close();
  });

  it('does not lose what waits for its turn, of which the newest is told', async () => {
    await start({ interval: '1h' });
    await scene.registered();
    for (const body of ['one', 'two', 'three']) await scene.write(body);
    assert.equal(bodyOf(await scene.app.receive()), 'one');
    await scene.app.quiet();
    await restart();
    assert.equal(bodyOf(await scene.app.receive()), 'three');
    await scene.app.quiet();
    await restart();
    await scene.app.quiet();
  });

  it('does not lose what a service has not taken', async () => {
    await start({ retryAfter: '1h' });
    await scene.registered();
    scene.app.answers = 'remote-server-timeout';
    await scene.write('one');
    await scene.app.receive();
    await settle();
    await restart();
    assert.equal(bodyOf(await scene.app.receive()), 'one');
    await scene.app.quiet();
  });

  it('does not tell what was taken, or refused', async () => {
    await start();
    await scene.registered();
    for (const answer of ['result', 'gone'] as const) {
      scene.app.answers = answer;
      await scene.write(answer);
      await scene.app.receive();
      await settle();
    }
    await restart();
    await scene.app.quiet();
  });

  it('does not tell it to who has taken that back, or is gone', async () => {
    await start({ interval: '1h' });
    await scene.registered('a');
    await scene.registered('b');
    await scene.write('one');
    assert.deepEqual([nodeOf(await scene.app.receive()), nodeOf(await scene.app.receive())], ['a', 'b']);
    await scene.write('two');
    const desk = await scene.host.online('juliet', 'desk');
    assertResult(await desk.ask(disable('a')));
    await restart();
    assert.equal(nodeOf(await scene.app.receive()), 'b');
    await scene.app.quiet();
    await scene.host.host.accounts.delete('juliet');
    await restart();
    await scene.app.quiet();
  });

  /** juliet's phone, which is there and has registered. */
  async function phone(): Promise<SmClient> {
    const juliet = await SmClient.online(scene.host, 'juliet', { resource: 'phone' });
    assertResult(await juliet.ask(enable('n')));
    juliet.ack();
    await settle();
    return juliet;
  }

  it('lets those be told who have not confirmed what they were given, and do not come', async () => {
    await start();
    const juliet = await phone();
    await scene.write('one');
    juliet.ack();
    for (const body of ['two', 'three']) await scene.write(body);
    await restart();
    assert.equal(bodyOf(await scene.app.receive()), 'three');
    await scene.app.quiet();
  });

  it('does not let those be told who come at once, or have confirmed everything', async () => {
    await start({ lookEvery: '200ms' });
    const juliet = await phone();
    const nurse = await SmClient.online(scene.host, 'nurse', { resource: 'phone' });
    assertResult(await nurse.ask(enable('nurse')));
    await scene.write('Madam!', '', nurse.jid);
    nurse.ack();
    await scene.write('one');
    const quiet = scene.app;
    await restart({ lookEvery: '200ms' });
    juliet.host = scene.host;
    assert.equal((await juliet.resume()).name, 'resumed');
    juliet.ack();
    await settle();
    // It was looked for lost lines after this one broke.
    const marker = await SmClient.online(scene.host, 'marker');
    assertResult(await marker.ask(enable('marker')));
    marker.ack();
    await scene.write('Hear!', '', marker.jid);
    marker.cut();
    assert.equal(nodeOf(await scene.app.receive()), 'marker');
    await scene.app.quiet();
    await quiet.quiet();
  });
});
