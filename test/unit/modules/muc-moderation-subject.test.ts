// A subject that is retracted (XEP-0424, XEP-0425) is not what the room talks about any more.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { idIn, ModerationScene, moderate, retract } from '../../support/moderation-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, errorIn, LOUNGE, say } from '../../support/room-scene.ts';
import { SlowStorage } from '../../support/slow-storage.ts';

describe('muc-moderation: subjects', () => {
  let scene: ModerationScene;
  let archives: SlowStorage;
  let romeo: Probe;
  let juliet: Probe;

  beforeEach(async () => {
    archives = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await ModerationScene.start({ storage: archives.storage, plan: { settings: { mayOccupantsChangeSubject: true } } });
    romeo = await scene.enter('romeo');
    juliet = await scene.enter('juliet');
    await scene.scene.hush(romeo);
  });
  afterEach(() => scene.stop());

  const subject = (text: string): string => `<message type='groupchat' to='${LOUNGE}'><subject>${text}</subject></message>`;
  const subjectsIn = (stanzas: readonly Element[]): string[] => stanzas.flatMap((each) => each.getChildText('subject') ?? []);

  /** Sets a subject; its id in the archive. */
  async function set(probe: Probe, text: string): Promise<string> {
    await scene.scene.hush(probe);
    probe.send(subject(text));
    const id = idIn(await probe.receive('message'));
    await scene.scene.hush(juliet, romeo);
    return id;
  }

  /** What somebody is told the room talks about who comes in. */
  async function shown(): Promise<[from: string, text: string]> {
    const nurse = await scene.scene.client('nurse');
    const told = await scene.scene.enter(nurse);
    nurse.send(`<presence type='unavailable' to='${LOUNGE}/nurse'/>`);
    await scene.scene.hush(nurse, romeo, juliet);
    const message = told.at(-1)!;
    return [String(message.attrs['from']), String(message.getChildText('subject'))];
  }

  it('that a moderator retracts are shown to nobody who comes, and those who are there are told', async () => {
    const id = await set(romeo, 'Insults');
    assert.deepEqual(await shown(), [`${LOUNGE}/romeo`, 'Insults']);
    assert.equal(errorIn(await scene.keeper.ask(moderate(id))), undefined);
    await settle();
    const told = juliet.take();
    assert.deepEqual(
      told.map((message) => [message.attrs['from'], message.getChild('subject') !== undefined]),
      [
        [LOUNGE, false],
        [LOUNGE, true],
      ],
    );
    assert.deepEqual(subjectsIn(told), ['']);
    assert.deepEqual(await shown(), [LOUNGE, '']);
    const info = `<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;
    assert.doesNotMatch(String(await juliet.ask(info)), /Insults/);
    assert.doesNotMatch((await scene.archive()).join(''), /Insults/);
  });

  it('that are taken back by whoever has set them, too', async () => {
    const id = await set(romeo, 'Insults');
    romeo.send(retract(id));
    await settle();
    assert.deepEqual(subjectsIn(juliet.take()), ['']);
    assert.deepEqual(await shown(), [LOUNGE, '']);
  });

  it('that others set afterwards stay', async () => {
    const id = await set(romeo, 'Insults');
    await set(juliet, 'Love');
    assert.equal(errorIn(await scene.keeper.ask(moderate(id))), undefined);
    await settle();
    assert.deepEqual(subjectsIn(juliet.take()), []);
    assert.deepEqual(await shown(), [`${LOUNGE}/juliet`, 'Love']);
  });

  it('that others set while it is retracted stay, and all see the same in one order', async () => {
    const id = await set(romeo, 'Insults');
    archives.hold();
    const answer = scene.keeper.ask(moderate(id));
    await settle();
    juliet.send(subject('Love'));
    juliet.send(say('there'));
    await settle();
    archives.release();
    assert.equal(errorIn(await answer), undefined);
    await settle();
    const [seen, other] = [juliet.take(), romeo.take()];
    assert.deepEqual(subjectsIn(seen), ['Love']);
    assert.deepEqual(subjectsIn(other), subjectsIn(seen));
    assert.deepEqual(bodies(other), ['there']);
    assert.deepEqual(await shown(), [`${LOUNGE}/juliet`, 'Love']);
  });

  it('stay when something else is retracted', async () => {
    await set(romeo, 'Love');
    const id = await scene.say(romeo, 'Insults');
    await scene.scene.hush(juliet);
    assert.equal(errorIn(await scene.keeper.ask(moderate(id))), undefined);
    assert.deepEqual(await shown(), [`${LOUNGE}/romeo`, 'Love']);
  });

  it('are told to other modules, as all that is retracted is', async () => {
    const told: string[] = [];
    scene.scene.rooms.signals.retracted.add(({ room, id }) => void told.push(`${room.jid.bare} ${id}`));
    const ids = [await set(romeo, 'Insults'), await scene.say(romeo, 'more')];
    for (const id of ids) await scene.keeper.ask(moderate(id));
    // Once is enough.
    await scene.keeper.ask(moderate(ids[0]!));
    assert.deepEqual(
      told,
      ids.map((id) => `${LOUNGE} ${id}`),
    );
    const gone = { id: ids[0]!.replace(/^0/, '1'), tag: 0, stanza: '<message/>' };
    assert.equal(await scene.scene.rooms.bury(scene.room, gone), false);
    assert.equal(told.length, 2);
  });
});
