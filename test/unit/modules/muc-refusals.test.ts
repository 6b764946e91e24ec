// What whoever may not enter a room is told: clients take for a room's answer only what has a room's element (XEP-0045 section 7.2).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { type Probe, settle } from '../../support/probe.ts';
import { errorIn, join, LOUNGE, MUC, RoomScene } from '../../support/room-scene.ts';

describe('muc: refusals', () => {
  let scene: RoomScene;
  let eve: Probe;

  before(async () => {
    scene = await RoomScene.start({ muc: { create: 'admins' } });
    await scene.room({ people: { banned: 'outcast' } });
    await scene.room({ name: 'members', settings: { isMembersOnly: true } });
    await scene.room({ name: 'secret', settings: { password: 'open sesame' } });
    await scene.room({ name: 'tiny', settings: { maxUsers: 1 } });
    eve = await scene.client('eve');
    const carol = await scene.client('carol');
    await scene.enter(carol, { nick: 'Carol' });
    await scene.enter(carol, { room: 'tiny@conference.example.org', nick: 'Carol' });
  });

  after(() => scene.stop());

  const REFUSALS: readonly (readonly [what: string, who: string, address: string, error: string])[] = [
    ['the banned', 'banned', `${LOUNGE}/Banned`, 'forbidden/auth'],
    ['others than members', 'eve', 'members@conference.example.org/Eve', 'registration-required/auth'],
    ['those without the password', 'eve', 'secret@conference.example.org/Eve', 'not-authorized/auth'],
    ['more than there is room for', 'eve', 'tiny@conference.example.org/Eve', 'service-unavailable/wait'],
    ["somebody with another's nick", 'eve', `${LOUNGE}/Carol`, 'conflict/cancel'],
    ['somebody without a nick', 'eve', LOUNGE, 'jid-malformed/modify'],
    ['whoever may not make rooms', 'eve', 'new@conference.example.org/Eve', 'not-allowed/cancel'],
  ];

  for (const [what, who, address, error] of REFUSALS) {
    it(`it does not let in ${what}, and says so as a room`, async () => {
      const probe = await scene.client(who);
      const [answer, ...more] = await ask(probe, join(address));
      assert.deepEqual(more, []);
      expectRefusal(answer, address, error);
    });
  }

  it('nor does a nick change to that of another', async () => {
    await scene.enter(eve, { nick: 'Eve' });
    const [answer, ...more] = await ask(eve, `<presence id='p' to='${LOUNGE}/Carol'/>`);
    assert.deepEqual(more, []);
    expectRefusal(answer, `${LOUNGE}/Carol`, 'conflict/cancel');
    assert.equal(answer?.attrs['id'], 'p');
  });

  async function ask(probe: Probe, presence: string): Promise<readonly Element[]> {
    await settle();
    probe.take();
    probe.send(presence);
    await settle();
    return probe.take();
  }

  function expectRefusal(answer: Element | undefined, address: string, error: string): void {
    assert.equal(answer?.name, 'presence');
    assert.equal(answer.attrs['from'], address);
    assert.equal(errorIn(answer), error);
    assert.deepEqual(
      answer.getChildElements().map((child) => [child.name, child.getNS()]),
      [
        ['x', MUC],
        ['error', 'jabber:client'],
      ],
    );
  }
});
