// Clients that go without a word (XEP-0045 sections 7.14 and 18.3), and those that will be back (XEP-0198).
import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, codesIn, itemIn, join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SmClient } from '../../support/sm-client.ts';

const MINUTE = 60_000;

describe('muc: clients that vanish', () => {
  let scene: RoomScene;
  let room: Room;
  let witness: Probe;

  async function start(): Promise<void> {
    scene = await RoomScene.start({ more: [sm], modules: { sm: { resumeWithin: '2m' } } });
    room = await scene.room();
    witness = await scene.client('witness');
    await scene.enter(witness);
    await scene.hush(witness);
  }

  afterEach(() => scene.stop());

  const unavailable = (stanzas: readonly Element[]): string[] =>
    stanzas.filter(({ attrs }) => attrs['type'] === 'unavailable').map(({ attrs }) => String(attrs['from']));

  describe('for good', () => {
    beforeEach(() => start());

    for (const [name, go] of [
      ['by a line that breaks', (probe: Probe) => probe.drop()],
      ['by closing the stream', (probe: Probe) => probe.leave()],
      ['by a presence to nobody', (probe: Probe) => probe.send("<presence type='unavailable'/>")],
    ] as const) {
      it(`leave all the rooms they were in: ${name}`, async () => {
        const other = await scene.room({ name: 'cave' });
        const romeo = await scene.client('romeo');
        for (const address of [LOUNGE, other.jid.bare]) {
          await scene.enter(romeo, { room: address });
          await scene.enter(witness, { room: address });
        }
        await scene.hush(witness, romeo);
        go(romeo);
        await settle();
        const gone = witness.take();
        assert.deepEqual(unavailable(gone).sort(), [`${other.jid.bare}/romeo`, `${LOUNGE}/romeo`]);
        for (const stanza of gone) assert.deepEqual([itemIn(stanza)['role'], codesIn(stanza)], ['none', []]);
        assert.equal(room.occupants.named('romeo').length, 0);
        assert.equal(other.occupants.named('romeo').length, 0);
      });
    }

    it('while they enter', async () => {
      const romeo = await scene.client('romeo');
      romeo.send(join(`${LOUNGE}/romeo`));
      romeo.drop();
      await settle();
      assert.equal(room.occupants.size, 1);
      const seen = witness.take();
      assert.equal(seen.filter(({ attrs }) => attrs['type'] === undefined).length, unavailable(seen).length);
    });

    it('while they speak: what was said is said', async () => {
      const romeo = await scene.client('romeo');
      await scene.enter(romeo);
      await scene.hush(witness);
      romeo.send(say('Farewell'));
      romeo.drop();
      await settle();
      const seen = witness.take();
      assert.deepEqual(bodies(seen), ['Farewell']);
      assert.deepEqual(unavailable(seen), [`${LOUNGE}/romeo`]);
    });

    it('and whose place another one of the same name takes, who has to enter itself', async () => {
      const romeo = await scene.client('romeo', 'desk');
      await scene.enter(romeo);
      await scene.hush(witness);
      const again = await scene.host.login('romeo', 'desk');
      again.send('<presence/>');
      await settle();
      again.take();
      assert.deepEqual(unavailable(witness.take()), [`${LOUNGE}/romeo`]);
      again.send(say('Hail'));
      await settle();
      assert.equal(again.take()[0]?.attrs['type'], 'error');
    });
  });

  describe('and come back', () => {
    let romeo: SmClient;

    beforeEach(async () => {
      mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
      await start();
      romeo = await SmClient.online(scene.host, 'romeo');
      romeo.send(join(`${LOUNGE}/romeo`));
      await settle();
      romeo.take();
      romeo.ack();
      await scene.hush(witness);
    });
    afterEach(() => mock.timers.reset());

    it('are in the room all the while, and get what was said, once and in order', async () => {
      romeo.cut();
      for (const body of ['one', 'two', 'three']) witness.send(say(body));
      await settle();
      assert.equal(room.occupants.named('romeo').length, 1);
      assert.deepEqual(unavailable(witness.take()), []);
      assert.equal((await romeo.resume()).name, 'resumed');
      await settle();
      assert.deepEqual(bodies(romeo.take()), ['one', 'two', 'three']);
      romeo.send(say('I am back'));
      await settle();
      assert.deepEqual(bodies(witness.take()), ['I am back']);
    });

    it('leave when they do not within the time', async () => {
      romeo.cut();
      mock.timers.tick(2 * MINUTE - 1);
      await settle();
      await witness.quiet();
      mock.timers.tick(1);
      await settle();
      assert.deepEqual(unavailable(witness.take()), [`${LOUNGE}/romeo`]);
      assert.equal(room.occupants.size, 1);
    });

    it('find that they were shown out meanwhile', async () => {
      romeo.cut();
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('romeo@example.org'), affiliation: 'outcast' }]);
      assert.deepEqual(unavailable(witness.take()), [`${LOUNGE}/romeo`]);
      witness.send(say('Good'));
      await romeo.resume();
      await settle();
      const got = romeo.take();
      assert.deepEqual(codesIn(got.find(({ attrs }) => attrs['type'] === 'unavailable')), ['110', '301']);
      assert.deepEqual(bodies(got), []);
    });

    it('find that the room has ended meanwhile', async () => {
      romeo.cut();
      await scene.rooms.destroy(room);
      await romeo.resume();
      await settle();
      const got = romeo.take().filter(({ name }) => name === 'presence');
      assert.equal(got.length, 1);
      assert.notEqual(got[0]?.getChild('x')?.getChild('destroy'), undefined);
    });

    it('leave at once when they say goodbye', async () => {
      romeo.leave();
      await settle();
      assert.deepEqual(unavailable(witness.take()), [`${LOUNGE}/romeo`]);
    });
  });
});
