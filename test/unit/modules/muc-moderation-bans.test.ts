import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { readDuration } from '../../../modules/muc-moderation/bans.ts';
import { ModerationScene } from '../../support/moderation-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, change, codesIn, errorIn, itemIn, join, LOUNGE, USER } from '../../support/room-scene.ts';
import { Disk } from '../../support/sm-client.ts';

const HOUR = 3_600_000;
const PEOPLE = { admin: 'admin', other: 'owner', member: 'member' } as const;

describe('muc-moderation: bans and kicks', () => {
  let disk: Disk;
  let scene: ModerationScene;
  let romeo: Probe;

  async function start(): Promise<void> {
    scene = await ModerationScene.start({ plan: { people: PEOPLE }, storage: disk.mount() });
  }

  beforeEach(async () => {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() });
    disk = await Disk.create();
    await start();
    romeo = await scene.enter('romeo');
  });
  afterEach(async () => {
    mock.timers.reset();
    await scene.stop();
    await disk.close();
  });

  /** Lets time go by. */
  async function pass(milliseconds: number): Promise<void> {
    for (let left = milliseconds; left > 0; left -= HOUR) {
      mock.timers.tick(Math.min(left, HOUR));
      await settle();
    }
  }
  const affiliationOf = (who: string) => scene.room.members.get(`${who}@example.org`)?.affiliation ?? 'none';
  const ban = (who: string, duration = '', reason = '', probe = scene.keeper) =>
    scene.run(probe, 'ban', { who, duration, reason });
  async function tryToEnter(username: string): Promise<string | undefined> {
    const probe = await scene.scene.client(username);
    await scene.scene.hush(probe);
    probe.send(join(`${LOUNGE}/${username}`));
    await settle();
    return errorIn(probe.take()[0]);
  }

  it('end by themselves', async () => {
    assert.match(await ban('romeo', '2h', 'Cool down'), /^Banned until /);
    const out = await romeo.receive('presence');
    assert.deepEqual(codesIn(out), ['110', '301']);
    assert.equal(out.getChild('x', USER)?.getChild('item')?.getChildText('reason'), 'Cool down');
    await pass(2 * HOUR - 1);
    assert.equal(await tryToEnter('romeo'), 'forbidden/auth');
    await scene.scene.hush(scene.keeper);
    await pass(1);
    assert.equal(affiliationOf('romeo'), 'none');
    assert.match(scene.keeper.take().map(String).join(''), /affiliation="none"/);
    assert.equal(await tryToEnter('romeo'), undefined);
  });

  it('end also when the server was stopped in between, and when it was down by then', async () => {
    await scene.enter('juliet');
    await ban('romeo', '3h');
    await ban('juliet', '10h');
    await scene.stop();
    await pass(4 * HOUR);
    await start();
    // It was over when the server came up.
    await pass(1);
    assert.equal(affiliationOf('romeo'), 'none');
    assert.equal(affiliationOf('juliet'), 'outcast');
    await pass(6 * HOUR);
    assert.equal(affiliationOf('juliet'), 'none');
    assert.equal(await tryToEnter('juliet'), undefined);
  });

  it('last for ever without a duration', async () => {
    assert.equal(await ban('romeo'), 'Banned.');
    await pass(100 * HOUR);
    assert.equal(affiliationOf('romeo'), 'outcast');
  });

  it('make a ban for ever of one for a time, and the other way round', async () => {
    await ban('romeo', '1h');
    assert.equal(await ban('romeo@example.org'), 'Banned.');
    await pass(2 * HOUR);
    assert.equal(affiliationOf('romeo'), 'outcast');
    await ban('romeo@example.org', '1h');
    await pass(HOUR);
    assert.equal(affiliationOf('romeo'), 'none');
  });

  it('last for ever when somebody bans them again in the list of the room, also after a restart', async () => {
    await scene.enter('juliet');
    await ban('romeo', '1h');
    await ban('juliet', '1h');
    const again = "<item affiliation='outcast' jid='romeo@example.org/desk'/>";
    assert.equal(
      errorIn(await scene.keeper.ask(change(`${again}<item affiliation='member' jid='member@example.org'/>`))),
      undefined,
    );
    await settle();
    await scene.stop();
    await start();
    await pass(2 * HOUR);
    assert.deepEqual([affiliationOf('romeo'), affiliationOf('juliet')], ['outcast', 'none']);
  });

  it('stay as they are when nobody bans them again, and can be made longer and shorter', async () => {
    await ban('romeo', '1h');
    // Refused, and for somebody else.
    assert.equal(
      errorIn(await scene.keeper.ask(change("<item affiliation='outcast' jid='keeper@example.org'/>"))),
      'conflict/cancel',
    );
    await scene.keeper.ask(change("<item affiliation='outcast' jid='juliet@example.org'/>"));
    await ban('romeo@example.org', '3h');
    await pass(2 * HOUR);
    assert.equal(affiliationOf('romeo'), 'outcast');
    await pass(HOUR);
    assert.deepEqual([affiliationOf('romeo'), affiliationOf('juliet')], ['none', 'outcast']);
  });

  it('give back membership, and no more than that', async () => {
    await ban('member@example.org', '1h');
    await ban('admin@example.org', '1h', '', await scene.scene.client('other'));
    assert.deepEqual(['member', 'admin'].map(affiliationOf), ['outcast', 'outcast']);
    await pass(HOUR);
    assert.deepEqual(['member', 'admin'].map(affiliationOf), ['member', 'member']);
  });

  it('are forgotten when somebody ends them: what is decided later holds', async () => {
    await ban('romeo', '1h');
    await scene.keeper.ask(change(`<item affiliation='none' jid='romeo@example.org'/>`));
    await scene.keeper.ask(change(`<item affiliation='outcast' jid='romeo@example.org'/>`));
    await pass(2 * HOUR);
    assert.equal(affiliationOf('romeo'), 'outcast');
  });

  it('go with their room', async () => {
    await ban('romeo', '1h');
    await scene.scene.rooms.destroy(scene.room);
    await pass(2 * HOUR);
  });

  it('find people by nick, occupant id and address, also when they have gone', async () => {
    const { keeper } = scene;
    await scene.say(romeo, 'hello');
    const id = scene.room.occupantId('romeo@example.org');
    romeo.send(`<presence to='${LOUNGE}/romeo' type='unavailable'/>`);
    await scene.scene.hush(romeo, keeper);
    for (const who of [id, 'romeo', 'romeo@example.org/somewhere']) {
      assert.match(await ban(who, '1h'), /^Banned until/, who);
      assert.equal(affiliationOf('romeo'), 'outcast');
      await keeper.ask(change(`<item affiliation='none' jid='romeo@example.org'/>`));
    }
    for (const who of ['nobody', 'A'.repeat(43), 'lounge', '   x']) assert.equal(await ban(who), 'item-not-found/cancel', who);
    assert.equal(await ban(''), 'not-acceptable/modify');
  });

  it('take an occupant id before a nick that looks like it', async () => {
    const villain = await scene.scene.client('villain');
    const id = scene.room.occupantId('romeo@example.org');
    await scene.scene.enter(villain, { nick: id });
    await ban(id);
    assert.equal(affiliationOf('villain'), 'none');
    assert.equal(affiliationOf('romeo'), 'outcast');
  });

  it('are for admins and owners, within their rights', async () => {
    const helper = await scene.enter('helper');
    scene.scene.assign(scene.room, 'helper', 'moderator');
    const stranger = await scene.scene.client('stranger');
    for (const probe of [romeo, helper, stranger]) assert.equal(await ban('keeper', '1h', '', probe), 'forbidden/cancel');
    const admin = await scene.enter('admin');
    assert.equal(await ban('keeper', '1h', '', admin), 'not-allowed/cancel');
    assert.equal(await ban('admin', '1h', '', admin), 'conflict/cancel');
    await pass(2 * HOUR);
    assert.deepEqual(['keeper', 'admin'].map(affiliationOf), ['owner', 'admin']);
    assert.match(await ban('romeo', '1h', '', admin), /^Banned until/);
  });

  it('take no reason that is too long, and no duration that is none', async () => {
    assert.equal(await ban('romeo', '1h', 'x'.repeat(1025)), 'not-acceptable/modify');
    for (const wrong of ['1', 'h', '-1h', '0m', '1.5h', '1y', '9999999w', '999999w', '1h 1m', 'Infinityd']) {
      assert.equal(await ban('romeo', wrong), 'not-acceptable/modify', wrong);
    }
    assert.equal(affiliationOf('romeo'), 'none');
    assert.deepEqual(['', ' 10s ', '5m', '2 h', '7d', '4w'].map(readDuration), [
      undefined,
      10_000,
      300_000,
      7_200_000,
      604_800_000,
      2_419_200_000,
    ]);
  });

  it('kicks show somebody out with a reason, by moderators and not by others', async () => {
    const helper = await scene.enter('helper');
    scene.scene.assign(scene.room, 'helper', 'moderator');
    const kick = (probe: Probe, nick: string, reason = '') => scene.run(probe, 'kick', { nick, reason });
    for (const probe of [romeo, await scene.scene.client('admin'), await scene.scene.client('stranger')]) {
      assert.equal(await kick(probe, 'helper'), 'forbidden/cancel');
    }
    assert.equal(await kick(helper, 'keeper'), 'not-allowed/cancel');
    assert.equal(await kick(helper, 'nobody'), 'item-not-found/cancel');
    assert.equal(await kick(helper, 'romeo', 'x'.repeat(2000)), 'not-acceptable/modify');
    await scene.scene.hush(romeo);
    assert.equal(await kick(helper, 'romeo', 'Go &amp; rest'), 'romeo was shown out.');
    const out = await romeo.receive('presence');
    assert.deepEqual(codesIn(out), ['110', '307']);
    assert.equal(itemIn(out)['role'], 'none');
    assert.equal(out.getChild('x', USER)?.getChild('item')?.getChildText('reason'), 'Go & rest');
    assert.equal(await tryToEnter('romeo'), undefined);
  });
});

describe('muc-moderation: all that somebody has said', () => {
  let scene: ModerationScene;
  let romeo: Probe;

  beforeEach(async () => {
    scene = await ModerationScene.start({ plan: { people: PEOPLE } });
    romeo = await scene.enter('romeo');
  });
  afterEach(() => scene.stop());

  const retractAll = (who: string, answers: Readonly<Record<string, string>> = {}, probe = scene.keeper) =>
    scene.run(probe, 'retract-all', { who, ...answers });

  it('is retracted by one command: the last messages, each with a notice', async () => {
    const juliet = await scene.enter('juliet');
    await scene.say(juliet, 'good');
    for (const body of ['one', 'two', 'three']) await scene.say(romeo, body);
    await scene.scene.hush(juliet);
    assert.equal(await retractAll('romeo', { count: '2', reason: 'Spam' }), '2 messages were retracted.');
    assert.equal(juliet.take().filter((message) => message.getChild('retract')).length, 2);
    assert.deepEqual(bodies(await scene.archive()), ['good', 'one']);
    const id = scene.room.occupantId('romeo@example.org');
    romeo.send(`<presence to='${LOUNGE}/romeo' type='unavailable'/>`);
    await scene.scene.hush(scene.keeper);
    assert.equal(await retractAll(id), '1 message was retracted.');
    assert.equal(await retractAll(id), '0 messages were retracted.');
    const archive = await scene.archive();
    assert.deepEqual(bodies(archive), ['good']);
    assert.equal(archive.filter((message) => message.getChild('retracted')).length, 3);
  });

  it('is for moderators', async () => {
    await scene.say(scene.keeper, 'mine');
    for (const probe of [romeo, await scene.enter('member'), await scene.scene.client('stranger')]) {
      assert.equal(await retractAll('keeper', {}, probe), 'forbidden/cancel');
    }
    const helper = await scene.enter('helper');
    scene.scene.assign(scene.room, 'helper', 'moderator');
    assert.equal(await retractAll('keeper', {}, helper), 'not-allowed/cancel');
    assert.deepEqual(bodies(await scene.archive()), ['mine']);
  });

  it('is retracted within bounds', async () => {
    await scene.say(romeo, 'one');
    for (const count of ['0', '-1', '501', '1e9', 'all'])
      assert.equal(await retractAll('romeo', { count }), 'not-acceptable/modify', count);
    assert.equal(await retractAll('romeo', { reason: 'x'.repeat(2000) }), 'not-acceptable/modify');
    assert.equal(await retractAll('nobody'), 'item-not-found/cancel');
    assert.deepEqual(bodies(await scene.archive()), ['one']);
  });
});
