import assert from 'node:assert/strict';
import { Pace } from '../../../modules/muc-moderation/pace.ts';
import { ModerationScene, retract } from '../../support/moderation-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, configure, errorIn, join, LOUNGE, OWNER, say } from '../../support/room-scene.ts';

const WAIT = 'policy-violation/wait';
const DURATION = 'muc#roomconfig_slow_mode_duration';

describe('muc-moderation: the pace', () => {
  it('lets through a burst, and then so many a minute', () => {
    const pace = new Pace();
    const rate = { perMinute: 60, burst: 3 };
    assert.deepEqual(
      [0, 0, 0, 0].map((now) => pace.take('a', rate, now)),
      [0, 0, 0, 1000],
    );
    assert.equal(pace.take('b', rate, 0), 0, 'another one is not concerned');
    assert.equal(pace.take('a', rate, 999), 1);
    assert.equal(pace.take('a', rate, 1000), 0);
    assert.equal(pace.take('a', rate, 1000), 1000, 'what was refused does not count');
    assert.deepEqual(
      [10_000, 10_000, 10_000, 10_000].map((now) => pace.take('a', rate, now)),
      [0, 0, 0, 1000],
      'nobody saves up more than a burst',
    );
  });

  it('counts several at once, and nothing without a limit', () => {
    const pace = new Pace();
    assert.equal(pace.take('a', { perMinute: 60, burst: 10 }, 0, 8), 0);
    assert.equal(pace.take('a', { perMinute: 60, burst: 10 }, 0, 3), 1000);
    assert.equal(pace.take('a', { perMinute: 60, burst: 10 }, 0, 2), 0);
    for (let i = 0; i < 1000; i++) assert.equal(pace.take('b', { perMinute: 0, burst: 1 }, 0), 0);
  });

  it('forgets those who have nothing to wait for', () => {
    const pace = new Pace();
    const rate = { perMinute: 60, burst: 1 };
    for (let i = 0; i < 10_000; i++) pace.take(`somebody ${i}`, rate, i * 1000);
    assert(pace.size < 600, String(pace.size));
  });
});

describe('muc-moderation: slow mode', () => {
  let scene: ModerationScene;
  let romeo: Probe;

  beforeEach(async () => {
    scene = await ModerationScene.start({ plan: { people: { admin: 'admin', member: 'member' } } });
    romeo = await scene.enter('romeo');
  });
  afterEach(() => scene.stop());

  const setDuration = (value: string, probe = scene.keeper) => probe.ask(configure({ slow_mode_duration: value }));
  const speak = async (probe: Probe, body: string): Promise<string | undefined> => {
    await scene.scene.hush(probe);
    probe.send(say(body));
    await settle();
    return probe.take().map((stanza) => errorIn(stanza) ?? stanza.getChildText('body') ?? '')[0];
  };

  it('is chosen by a whole number of seconds (section 4.1), and told in disco#info (section 4.2)', async () => {
    const form = await scene.keeper.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='${OWNER}'/></iq>`);
    const fields = form.getChild('query')!.getChild('x', 'jabber:x:data')!.getChildren('field');
    const field = fields.find(({ attrs }) => attrs['var'] === DURATION)!;
    assert.equal(field.attrs['type'], 'text-single');
    assert.equal(field.getChildText('value'), '0');
    const validate = field.getChild('validate', 'http://jabber.org/protocol/xdata-validate')!;
    assert.equal(validate.attrs['datatype'], 'xs:integer');
    assert.deepEqual(validate.getChild('range')?.attrs, { min: '0', max: '86400' });
    await scene.scene.hush(romeo);
    assert.equal((await setDuration('20')).attrs['type'], 'result');
    assert.match(String(await romeo.receive('message')), /status code="104"/);
    const info = await romeo.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    const told = info.getChild('query')!.getChild('x', 'jabber:x:data')!.getChildren('field');
    const duration = told.find(({ attrs }) => attrs['var'] === 'muc#roominfo_slow_mode_duration')!;
    assert.equal(duration.attrs['type'], 'text-single');
    assert.equal(duration.getChildText('value'), '20');
  });

  it('takes nothing else', async () => {
    for (const wrong of ['-1', '1.5', 'ten', '', '86401', '99999999999999999999', '0x10', '1e3']) {
      assert.equal(errorIn(await setDuration(wrong)), 'not-acceptable/modify', wrong);
    }
    assert.equal(errorIn(await setDuration('5', romeo)), 'forbidden/auth');
    assert.equal(errorIn(await setDuration('5', await scene.scene.client('admin'))), 'forbidden/auth');
  });

  it('refuses a second message of the same account (sections 5 and 7), and says for how long', async () => {
    await setDuration('3600');
    const phone = await scene.scene.client('romeo', 'phone');
    await scene.scene.enter(phone, { nick: 'another' });
    assert.equal(await speak(romeo, 'one'), 'one');
    assert.equal(await speak(romeo, 'two'), WAIT);
    assert.equal(await speak(phone, 'three'), WAIT);
    await scene.scene.hush(romeo);
    romeo.send(say('four'));
    assert.match(String((await romeo.receive('message')).getChild('error')?.getChildText('text')), /3600 seconds/);
    const other = await scene.enter('juliet');
    assert.equal(await speak(other, 'mine'), 'mine');
    assert.deepEqual(bodies(await scene.archive()), ['one', 'mine']);
  });

  it('counts only text, and lets moderators speak', async () => {
    await setDuration('3600');
    romeo.send(`<message type='groupchat' to='${LOUNGE}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
    assert.equal(await speak(romeo, 'one'), 'one');
    romeo.send(`<message type='groupchat' to='${LOUNGE}'><active xmlns='http://jabber.org/protocol/chatstates'/></message>`);
    assert.equal(errorIn(await romeo.receive('message')), undefined);
    const admin = await scene.enter('admin');
    scene.scene.assign(scene.room, 'romeo', 'moderator');
    for (const probe of [scene.keeper, admin, romeo]) {
      assert.equal(await speak(probe, 'a'), 'a');
      assert.equal(await speak(probe, 'b'), 'b');
    }
    const member = await scene.enter('member');
    assert.equal(await speak(member, 'a'), 'a');
    assert.equal(await speak(member, 'b'), WAIT);
  });

  it('does not count what is refused for another reason', async () => {
    await setDuration('3600');
    const id = await scene.say(scene.keeper, 'hello');
    await scene.scene.hush(romeo);
    romeo.send(retract(id).replace('</message>', '<body>gone</body></message>'));
    assert.equal(errorIn(await romeo.receive('message')), 'forbidden/auth');
    assert.equal(await speak(romeo, 'one'), 'one');
  });

  it('holds in its room only, and ends when it is switched off', async () => {
    await scene.scene.room({ name: 'cellar' });
    const cellar = 'cellar@conference.example.org';
    await scene.scene.enter(romeo, { room: cellar });
    await setDuration('3600');
    assert.equal(await speak(romeo, 'one'), 'one');
    romeo.send(say('elsewhere', { room: cellar }));
    assert.equal(errorIn(await romeo.receive('message')), undefined);
    assert.equal(await speak(romeo, 'two'), WAIT);
    await setDuration('0');
    assert.equal(await speak(romeo, 'two'), 'two');
  });
});

describe('muc-moderation: limits', () => {
  const rate = (burst: number) => ({ perMinute: 1, burst });
  let scene: ModerationScene;

  async function start(limits: object): Promise<Probe> {
    scene = await ModerationScene.start({ moderation: { limits } });
    return scene.enter('romeo');
  }
  afterEach(() => scene.stop());

  /** What comes back for each: the condition, or nothing. */
  async function each(probe: Probe, stanzas: readonly string[]): Promise<(string | undefined)[]> {
    const answers: (string | undefined)[] = [];
    for (const stanza of stanzas) {
      await scene.scene.hush(probe);
      probe.send(stanza);
      await settle();
      answers.push(
        probe
          .take()
          .map(errorIn)
          .find((error) => error !== undefined),
      );
    }
    return answers;
  }
  const texts = (count: number) => Array.from({ length: count }, (_, i) => say(`text ${i}`));

  it('of messages: of one account in one room, to single occupants too; moderators speak as they like', async () => {
    const romeo = await start({ messages: rate(3) });
    const juliet = await scene.enter('juliet');
    const whisper = `<message type='chat' to='${LOUNGE}/juliet'><body>psst</body></message>`;
    assert.deepEqual(await each(romeo, [...texts(2), whisper, whisper, ...texts(1)]), [
      undefined,
      undefined,
      undefined,
      WAIT,
      WAIT,
    ]);
    assert.deepEqual(await each(juliet, texts(1)), [undefined]);
    assert.deepEqual(await each(scene.keeper, texts(6)), Array(6).fill(undefined));
    const phone = await scene.scene.client('romeo', 'phone');
    await scene.scene.enter(phone);
    assert.deepEqual(await each(phone, texts(1)), [WAIT]);
  });

  it('of messages: of all in one room together', async () => {
    const romeo = await start({ roomMessages: rate(3) });
    const juliet = await scene.enter('juliet');
    assert.deepEqual(await each(romeo, texts(2)), [undefined, undefined]);
    assert.deepEqual(await each(juliet, texts(2)), [undefined, 'resource-constraint/wait']);
    assert.deepEqual(await each(scene.keeper, texts(3)), Array(3).fill(undefined));
  });

  it('of changes of the subject', async () => {
    const romeo = await start({ subjects: rate(2) });
    await scene.keeper.ask(configure({ changesubject: '1' }));
    const subjects = [1, 2, 3].map((i) => `<message type='groupchat' to='${LOUNGE}'><subject>${i}</subject></message>`);
    assert.deepEqual(await each(romeo, subjects), [undefined, undefined, WAIT]);
    assert.equal(scene.room.subject?.text, '2');
  });

  it('of changes of nick, for moderators too', async () => {
    const romeo = await start({ nicks: rate(2) });
    for (const probe of [romeo, scene.keeper]) {
      const nicks = [1, 2, 3].map((i) => `<presence to='${LOUNGE}/${probe.session.jid.local}${i}'/>`);
      assert.deepEqual(await each(probe, nicks), [undefined, undefined, WAIT]);
      assert.equal(scene.room.occupants.of(probe.session.jid)?.nick, `${probe.session.jid.local}2`);
    }
  });

  it('of presences', async () => {
    const romeo = await start({ presence: rate(2) });
    const shows = [1, 2, 3].map((i) => `<presence to='${LOUNGE}/romeo'><status>${i}</status></presence>`);
    await scene.scene.hush(scene.keeper);
    assert.deepEqual(await each(romeo, shows), [undefined, undefined, WAIT]);
    const told = scene.keeper.take().map((presence) => presence.getChildText('status'));
    assert.deepEqual(told, ['1', '2']);
  });

  it('of entries, and of being told everything again', async () => {
    const romeo = await start({ entries: rate(3) });
    const again = join(`${LOUNGE}/romeo`);
    assert.deepEqual(await each(romeo, [again, again, again]), [undefined, undefined, WAIT]);
    romeo.send(`<presence to='${LOUNGE}/romeo' type='unavailable'/>`);
    assert.deepEqual(await each(romeo, [again]), [WAIT]);
  });

  it('of invitations, which are counted by people', async () => {
    const romeo = await start({ invites: rate(5) });
    for (let i = 0; i < 6; i++) await scene.scene.client(`guest${i}`);
    const invite = (count: number) => {
      const invites = Array.from({ length: count }, (_, i) => `<invite to='guest${i}@example.org'/>`);
      return `<message to='${LOUNGE}'><x xmlns='http://jabber.org/protocol/muc#user'>${invites.join('')}</x></message>`;
    };
    assert.deepEqual(await each(romeo, [invite(4), invite(2), invite(1), invite(1)]), [undefined, WAIT, undefined, WAIT]);
    assert.deepEqual(await each(scene.keeper, [invite(6), invite(6)]), [undefined, undefined]);
  });

  it('are met by nobody who only talks', async () => {
    const romeo = await start({});
    assert.deepEqual(await each(romeo, texts(30)), Array(30).fill(undefined));
  });
});
