// A client is replaced by another one of the same resource (RFC 6120 section 7.7.2.2), which has not entered any room yet.
import assert from 'node:assert/strict';
import type { Probe } from '../../support/probe.ts';
import { bodies, codesIn, itemIn, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';

describe('muc: a client that is replaced', () => {
  let scene: RoomScene;
  let watcher: Probe;
  let second: Probe;

  before(async () => {
    scene = await RoomScene.start();
    await scene.room();
    watcher = await scene.client('watcher');
    await scene.enter(watcher, { nick: 'Watcher' });
    await scene.enter(await scene.host.online('carol', 'desk'), { nick: 'Carol' });
    await scene.hush(watcher);
    second = await scene.host.online('carol', 'desk');
    await scene.hush();
  });

  after(() => scene.stop());

  it('has left the room for the others, and nothing of that is told to the one that came instead', () => {
    const gone = watcher.take().map(({ attrs }) => [attrs['from'], attrs['type']]);
    assert.deepEqual(gone, [[`${LOUNGE}/Carol`, 'unavailable']]);
    const told = second.take().filter(({ attrs }) => String(attrs['from']).startsWith(LOUNGE));
    assert.deepEqual(told.map(String), []);
  });

  it('the new one gets nothing of the room until it enters, and is then a new occupant', async () => {
    watcher.send(say('not for Carol'));
    await scene.hush(watcher);
    assert.deepEqual(bodies(second.take()), []);
    const told = await scene.enter(second, { nick: 'Carol' });
    const own = told.find((presence) => codesIn(presence).includes('110'));
    assert.equal(itemIn(own)['role'], 'participant');
    assert.deepEqual(codesIn(own), ['110', '170']);
  });
});
