// A room whose storage is slow, or fails: nobody is told what is not stored, and whoever wanted it hears that it is not.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room, Saying } from '../../../modules/muc/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, change, configure, errorIn, LOUNGE, list, RoomScene, say, USER } from '../../support/room-scene.ts';
import { SlowStorage } from '../../support/slow-storage.ts';
import { SlowWrites } from '../../support/slow-writes.ts';

describe('muc: storage', () => {
  let scene: RoomScene;
  let maps: SlowWrites;
  let archives: SlowStorage;
  let room: Room;
  let keeper: Probe;
  let carol: Probe;
  let dave: Probe;

  beforeEach(async () => {
    maps = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    archives = new SlowStorage(maps.storage);
    scene = await RoomScene.start({ storage: archives.storage });
    room = await scene.room({ people: { nurse: 'member' } });
    [keeper, carol, dave] = [await scene.client('keeper'), await scene.client('carol'), await scene.client('dave')];
    for (const probe of [keeper, carol, dave]) await scene.enter(probe);
    await scene.hush(keeper, carol, dave);
  });
  afterEach(async () => {
    maps.release();
    archives.release();
    // That the disk is full is logged.
    scene.host.faults.length = 0;
    await scene.stop();
  });

  const state = (): unknown => [
    room.settings,
    [...room.members].sort(),
    room.version,
    room.subject,
    [...room.occupants].map(({ nick, role }) => [nick, role]),
  ];

  describe('that is slow', () => {
    it('lets nobody see what is said before it is kept, and then all, in one order', async () => {
      archives.hold();
      for (const [probe, body] of [
        [carol, 'one'],
        [dave, 'two'],
        [carol, 'three'],
        [keeper, 'four'],
      ] as const) {
        probe.send(say(body));
        await settle();
      }
      for (const probe of [keeper, carol, dave]) await probe.quiet();
      archives.release();
      await settle();
      for (const probe of [keeper, carol, dave]) assert.deepEqual(bodies(probe.take()), ['one', 'two', 'three', 'four']);
    });

    it('keeps private messages in their place among what one client says', async () => {
      archives.hold();
      carol.send(say('one'));
      carol.send(`<message type='chat' to='${LOUNGE}/dave'><body>between</body></message>`);
      carol.send(say('two'));
      await settle();
      await dave.quiet();
      archives.release();
      await settle();
      const texts = dave.take().map((message) => message.getChildText('body'));
      assert.deepEqual(texts, ['one', 'between', 'two']);
    });

    it('lets nobody see a subject, a change of a list or of the configuration before it is kept', async () => {
      for (const [send, isSeen] of [
        [() => keeper.send(`<message type='groupchat' to='${LOUNGE}'><subject>Spells</subject></message>`), /Spells/],
        [
          () => keeper.send(change("<item jid='carol@example.org' affiliation='member'/>").replace('<iq', "<iq id='c1'")),
          /affiliation="member"/,
        ],
        [
          () => keeper.send(change("<item jid='dave@example.org' affiliation='outcast'/>").replace('<iq', "<iq id='c2'")),
          /unavailable/,
        ],
        [() => keeper.send(configure({ whois: 'anyone' }).replace('<iq', "<iq id='c3'")), /172/],
      ] as const) {
        maps.hold();
        send();
        await settle();
        for (const probe of [keeper, carol]) assert.deepEqual(probe.take().map(String), []);
        maps.release();
        await settle();
        assert.match(carol.take().join(''), isSeen);
        await scene.hush(keeper, dave);
      }
    });

    it('shows a new subject to those who come in only once it is one', async () => {
      maps.hold();
      keeper.send(`<message type='groupchat' to='${LOUNGE}'><subject>Spells</subject></message>`);
      await settle();
      const nurse = await scene.client('nurse');
      nurse.send(`<presence to='${LOUNGE}/nurse'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
      await settle();
      assert.doesNotMatch(nurse.take().join(''), /Spells/);
      maps.release();
      await settle();
      assert.match(nurse.take().join(''), /Spells/);
    });

    it('keeps changes of the same list apart, and both hold', async () => {
      maps.hold();
      const answers = Promise.all([
        keeper.ask(change("<item jid='a@example.net' affiliation='member'/>")),
        (await scene.client('keeper', 'phone')).ask(change("<item jid='b@example.net' affiliation='outcast'/>")),
      ]);
      await settle();
      maps.release();
      for (const answer of await answers) assert.equal(errorIn(answer), undefined);
      assert.equal(room.affiliationOf(scene.host.jid('a@example.net')), 'member');
      assert.equal(room.affiliationOf(scene.host.jid('b@example.net')), 'outcast');
      assert.equal(room.version, 3);
    });
  });

  describe('that fails', () => {
    /** Whoever asks is told that it is not so; nothing has changed, for nobody and in no list, and the next try succeeds. */
    async function expectFailure(probe: Probe, iq: string, others: readonly Probe[]): Promise<void> {
      const before = state();
      maps.fail();
      const answer = await probe.ask(iq);
      assert.notEqual(errorIn(answer), undefined, iq);
      maps.release();
      assert.deepEqual(state(), before, iq);
      await settle();
      for (const other of others) assert.deepEqual(other.take().map(String), [], iq);
      assert.equal(errorIn(await probe.ask(iq)), undefined, iq);
      assert.notDeepEqual(state(), before, iq);
      await scene.hush(...others);
    }

    for (const [name, iq] of [
      ['a ban', change("<item jid='carol@example.org' affiliation='outcast'/>")],
      ['a member more', change("<item jid='carol@example.org' affiliation='member' nick='Carol'/>")],
      ['a member less', change("<item jid='nurse@example.org' affiliation='none'/>")],
      ['an admin more', change("<item jid='carol@example.org' affiliation='admin'/>")],
      ['an owner more', change("<item jid='carol@example.org' affiliation='owner'/>")],
      [
        'several at once',
        change("<item jid='a@b.example' affiliation='member'/><item jid='nurse@example.org' affiliation='outcast'/>"),
      ],
      ['a configuration', configure({ roomname: 'Cave', membersonly: '1', whois: 'anyone' })],
      ['a configuration with people in it', configure({ roomname: 'Cave', roomadmins: 'carol@example.org' })],
    ] as const) {
      it(`refuses ${name}`, () => expectFailure(keeper, iq, [carol, dave]));
    }

    it('refuses a registration', async () => {
      const nick = "<field var='muc#register_roomnick'><value>Carol</value></field>";
      const form = `<x xmlns='jabber:x:data' type='submit'>${nick}</x>`;
      const iq = `<iq type='set' to='${LOUNGE}'><query xmlns='jabber:iq:register'>${form}</query></iq>`;
      await expectFailure(carol, iq, [keeper, dave]);
    });

    it('refuses an invitation that makes a member, and invites nobody', async () => {
      await scene.rooms.configure(room, { ...room.settings, isMembersOnly: true });
      const guest = await scene.client('guest');
      await scene.hush(keeper, guest);
      const invite = `<message to='${LOUNGE}'><x xmlns='${USER}'><invite to='guest@example.org'/></x></message>`;
      maps.fail();
      keeper.send(invite);
      await settle();
      assert.notEqual(errorIn(keeper.take()[0]), undefined);
      await guest.quiet();
      assert.equal(room.affiliationOf(guest.session.jid), 'none');
      maps.release();
      keeper.send(invite);
      await settle();
      assert.equal(guest.take().length, 1);
      assert.equal(room.affiliationOf(guest.session.jid), 'member');
    });

    it('refuses what is said, shows it to nobody, and keeps nothing of it', async () => {
      carol.send(say('before'));
      await settle();
      archives.fail();
      carol.send(say('lost'));
      dave.send(say('lost too'));
      await settle();
      const errors = [...carol.take(), ...dave.take()].map(errorIn).filter(Boolean);
      assert.equal(errors.length, 2);
      archives.release();
      dave.send(say('after'));
      await settle();
      assert.deepEqual(bodies(keeper.take()), ['before', 'after']);
      assert.deepEqual(bodies(carol.take()), ['after']);
      const late = await scene.client('late');
      assert.deepEqual(bodies(await scene.enter(late)), ['before', 'after']);
      await late.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      assert.doesNotMatch(late.take().join(''), /lost/);
    });

    it('refuses what is said and is on its way, each for itself', async () => {
      archives.hold();
      for (const body of ['one', 'two', 'three']) carol.send(say(body));
      await settle();
      archives.fail();
      await settle();
      const refused = carol.take().map((stanza) => [errorIn(stanza) !== undefined, stanza.attrs['id']]);
      assert.deepEqual(refused, [
        [true, 'one'],
        [true, 'two'],
        [true, 'three'],
      ]);
      await dave.quiet();
    });

    it('lets nothing overtake what was said before what is refused', async () => {
      const gates = new Map(['one', 'two', 'three'].map((body) => [body, gate()]));
      const waits = ({ env }: Saying): void => env.wait(gates.get(env.stanza.text('body') ?? '')!.opened);
      scene.rooms.hooks.saying.add(waits, 400, 'test');
      carol.send(say('one'));
      dave.send(say('two'));
      keeper.send(say('three'));
      await settle();
      gates.get('two')!.fail(new Error('this one is not kept'));
      gates.get('three')!.open();
      await settle();
      assert.deepEqual(bodies(carol.take()), []);
      gates.get('one')!.open();
      await settle();
      assert.deepEqual(bodies(carol.take()), ['one', 'three']);
      assert.deepEqual(bodies(keeper.take()), ['one', 'three']);
      assert.equal(dave.take().filter(errorIn).length, 1);
    });

    it('leaves the subject as the last one that was shown', async () => {
      scene.assign(room, 'carol', 'moderator');
      await scene.hush(keeper, carol, dave);
      const { opened, open } = gate();
      const waits = ({ env }: Saying): void => (env.stanza.text('subject') === 'one' ? env.wait(opened) : undefined);
      scene.rooms.hooks.saying.add(waits, 400, 'test');
      carol.send(`<message type='groupchat' to='${LOUNGE}'><subject>one</subject></message>`);
      keeper.send(`<message type='groupchat' to='${LOUNGE}'><subject>two</subject></message>`);
      await settle();
      open();
      await settle();
      const shown = dave.take().map((message) => message.getChildText('subject'));
      assert.deepEqual(shown, ['one', 'two']);
      assert.equal(room.subject?.text, 'two');
    });

    for (const [name, break_] of [
      ['the archive', () => archives.fail()],
      ['the room', () => maps.fail()],
    ] as const) {
      it(`refuses a subject that ${name} does not keep, and then it is none`, async () => {
        keeper.send(`<message type='groupchat' to='${LOUNGE}'><subject>Old</subject></message>`);
        await scene.hush(keeper, carol);
        break_();
        keeper.send(`<message type='groupchat' to='${LOUNGE}'><subject>New</subject></message>`);
        await settle();
        assert.notEqual(errorIn(keeper.take()[0]), undefined);
        await carol.quiet();
        archives.release();
        maps.release();
        assert.equal(room.subject?.text, 'Old');
        const late = await scene.client('late');
        const told: Element[] = await scene.enter(late);
        assert.equal(told.at(-1)?.getChildText('subject'), 'Old');
      });
    }

    it('leaves a list as it is when two changes of the same person fail together', async () => {
      const phone = await scene.client('keeper', 'phone');
      maps.hold();
      const answers = Promise.all([
        keeper.ask(change("<item jid='a@b.example' affiliation='member'/>")),
        phone.ask(change("<item jid='a@b.example' affiliation='outcast'/>")),
      ]);
      await settle();
      maps.fail();
      for (const answer of await answers) assert.notEqual(errorIn(answer), undefined);
      maps.release();
      assert.equal(room.affiliationOf(scene.host.jid('a@b.example')), 'none');
      assert.equal(room.version, 1);
      const listed = await keeper.ask(list("affiliation='outcast'"));
      assert.deepEqual(listed.getChild('query')?.children, []);
    });
  });
});

/** A promise that a test fulfils. */
function gate(): { readonly opened: Promise<void>; open(): void; fail(error: Error): void } {
  let open: () => void = () => {};
  let fail: (error: Error) => void = () => {};
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve;
    fail = reject;
  });
  return { opened, open: () => open(), fail: (error) => fail(error) };
}
