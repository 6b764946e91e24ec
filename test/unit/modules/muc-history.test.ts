// What whoever comes in is told of what was said (XEP-0045 sections 7.2.13 to 7.2.15), while others go on speaking.
import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, codesIn, join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SlowStorage } from '../../support/slow-storage.ts';

const SID = 'urn:xmpp:sid:0';
const DELAY = 'urn:xmpp:delay';

describe('muc: history', () => {
  let scene: RoomScene;
  let archives: SlowStorage;
  let room: Room;
  let carol: Probe;
  let dave: Probe;

  async function start(muc: Readonly<Record<string, unknown>> = {}): Promise<void> {
    archives = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await RoomScene.start({ storage: archives.storage, muc });
    room = await scene.room();
    [carol, dave] = [await scene.client('carol'), await scene.client('dave')];
    await scene.enter(carol);
  }

  afterEach(async () => {
    archives.release();
    await scene.stop();
  });

  const speak = async (...texts: readonly string[]): Promise<void> => {
    for (const text of texts) carol.send(say(text));
    await scene.hush(carol);
  };
  /** What a new client is told for such a wish. */
  const ask = async (wish: string): Promise<string[]> => {
    const told = await scene.enter(dave, { x: wish });
    dave.send(`<presence type='unavailable' to='${LOUNGE}/dave'/>`);
    await scene.hush(dave, carol);
    return bodies(told);
  };
  const numbers = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, at) => String(from + at));

  it('comes after presence and before the subject, marked as what it is', async () => {
    await start();
    await speak('one', 'two');
    const told = await scene.enter(dave);
    const kinds = told.map((stanza) =>
      stanza.name === 'presence' ? 'presence' : stanza.getChild('subject') ? 'subject' : 'history',
    );
    assert.deepEqual(kinds, ['presence', 'presence', 'history', 'history', 'subject']);
    for (const message of told.slice(2, 4)) {
      assert.deepEqual([message.attrs['from'], message.attrs['type']], [`${LOUNGE}/carol`, 'groupchat']);
      const delays = message.getChildren('delay', DELAY);
      assert.equal(delays.length, 1);
      assert.equal(delays[0]?.attrs['from'], LOUNGE);
      assert.match(String(delays[0]?.attrs['stamp']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
      assert.equal(message.getChildren('occupant-id').length, 1);
    }
  });

  it('has the ids that the messages have in the archive (XEP-0313 section 3.3)', async () => {
    await start();
    await scene.enter(dave);
    await speak('one', 'two');
    const idsOf = (stanzas: readonly Element[]): unknown[] =>
      stanzas.filter((stanza) => stanza.getChild('body')).map((stanza) => stanza.getChild('stanza-id', SID)?.attrs['id']);
    const live = idsOf(dave.take());
    const late = await scene.client('late');
    assert.deepEqual(idsOf(await scene.enter(late)), live);
    await late.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
    assert.deepEqual(
      late.take().map((result) => result.getChild('result')?.attrs['id']),
      live,
    );
  });

  describe('as much as is wanted (section 7.2.14)', () => {
    beforeEach(async () => {
      await start({ maxHistory: 30, defaults: { history: 20 } });
      await speak(...numbers(1, 40));
    });

    for (const [wish, expected] of [
      ['', numbers(21, 40)],
      ['<history/>', numbers(21, 40)],
      ["<history maxstanzas='3'/>", numbers(38, 40)],
      ["<history maxstanzas='0'/>", []],
      ["<history maxchars='0'/>", []],
      ["<history maxchars='1'/>", []],
      ["<history seconds='0'/>", []],
      ["<history seconds='3600'/>", numbers(21, 40)],
      ["<history seconds='3600' maxstanzas='2'/>", numbers(39, 40)],
      ["<history since='2020-01-01T00:00:00Z'/>", numbers(21, 40)],
      ["<history since='2999-01-01T00:00:00Z'/>", []],
      ["<history since='2020-01-01T00:00:00+14:00' maxstanzas='1'/>", ['40']],
      // More than there is to be had, and what is no wish at all.
      ["<history maxstanzas='1000000000'/>", numbers(21, 40)],
      [`<history maxstanzas='${'9'.repeat(400)}' maxchars='${'9'.repeat(400)}' seconds='${'9'.repeat(400)}'/>`, numbers(21, 40)],
      ["<history maxstanzas='-1'/>", numbers(21, 40)],
      ["<history maxstanzas='3.5' maxchars='1e3' seconds='0x10'/>", numbers(21, 40)],
      ["<history maxstanzas='' maxchars='' seconds='' since=''/>", numbers(21, 40)],
      ["<history since='yesterday'/>", numbers(21, 40)],
      ["<history since='2020-13-45T99:99:99Z'/>", numbers(21, 40)],
      ["<history since='-271821-04-20T00:00:00Z'/>", numbers(21, 40)],
      ["<history xmlns='urn:example:x' maxstanzas='1'/>", numbers(21, 40)],
      ["<history maxstanzas='1'/><history maxstanzas='20'/>", ['40']],
    ] as const) {
      it(wish.slice(0, 60) || 'not said', async () => {
        assert.deepEqual(await ask(wish), expected);
      });
    }

    it('by characters: whole messages, as many as fit', async () => {
      const told = await scene.enter(dave);
      const size = Math.max(...told.filter((each) => each.getChild('body')).map((each) => String(each).length));
      dave.send(`<presence type='unavailable' to='${LOUNGE}/dave'/>`);
      await scene.hush(dave);
      const some = await ask(`<history maxchars='${3 * size}'/>`);
      assert(some.length >= 2 && some.length <= 8, String(some));
      assert.deepEqual(some, numbers(41 - some.length, 40));
    });

    it('and never what the room or the service does not give', async () => {
      await scene.rooms.configure(room, { ...room.settings, maxHistory: 5 });
      assert.deepEqual(await ask("<history maxstanzas='10'/>"), numbers(36, 40));
      await scene.rooms.configure(room, { ...room.settings, maxHistory: 100 });
      assert.deepEqual(await ask("<history maxstanzas='100'/>"), numbers(11, 40));
      await scene.rooms.configure(room, { ...room.settings, maxHistory: 0 });
      assert.deepEqual(await ask("<history maxstanzas='10'/>"), []);
    });
  });

  it('is none where nothing is kept', async () => {
    await start({ archive: false });
    await speak('one');
    const told = await scene.enter(dave);
    assert.deepEqual(bodies(told), []);
    assert.equal(told.flatMap(codesIn).includes('170'), false);
    assert.notEqual(told.at(-1)?.getChild('subject'), undefined);
  });

  it('has subjects in it neither old nor new', async () => {
    await start();
    scene.assign(room, 'carol', 'moderator');
    for (const text of ['one', 'two']) {
      carol.send(`<message type='groupchat' to='${LOUNGE}'><subject>${text}</subject></message>`);
      carol.send(say(text));
    }
    await scene.hush(carol);
    const told = (await scene.enter(dave)).filter(({ name }) => name === 'message');
    assert.deepEqual(
      told.map((each) => each.getChildText('body') ?? each.getChildText('subject')),
      ['one', 'two', 'two'],
    );
    const subject = told.at(-1)!;
    assert.equal(subject.attrs['from'], `${LOUNGE}/carol`);
    assert.equal(subject.getChild('delay', DELAY)?.attrs['from'], LOUNGE);
  });

  describe('meets what is being said', () => {
    beforeEach(() => start());

    /** Whatever comes when: each message once, in the order of the others, and the subject between history and the rest. */
    function expectAll(told: readonly Element[], texts: readonly string[]): void {
      assert.deepEqual(bodies(told), texts);
      const at = told.findIndex((stanza) => stanza.getChild('subject'));
      for (const [index, stanza] of told.entries()) {
        if (!stanza.getChild('body')) continue;
        assert.equal(
          stanza.getChild('delay', DELAY) !== undefined,
          index < at,
          'history is before the subject, and nothing else is',
        );
      }
    }

    it('while the history is being read', async () => {
      await speak('one', 'two');
      archives.hold();
      dave.send(join(`${LOUNGE}/dave`));
      await settle();
      for (const text of ['three', 'four']) carol.send(say(text));
      await settle();
      archives.release();
      await settle();
      const told = dave.take();
      expectAll(told, ['one', 'two', 'three', 'four']);
    });

    it('while it is being stored', async () => {
      await speak('one');
      archives.hold();
      carol.send(say('two'));
      await settle();
      dave.send(join(`${LOUNGE}/dave`));
      await settle();
      carol.send(say('three'));
      await settle();
      archives.release();
      await settle();
      expectAll(dave.take(), ['one', 'two', 'three']);
    });

    it('and is not kept', async () => {
      await speak('one');
      archives.hold();
      dave.send(join(`${LOUNGE}/dave`));
      await settle();
      const hint = "<no-permanent-store xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/>";
      carol.send(say('unkept', { more: hint }));
      carol.send(say('two'));
      await settle();
      archives.release();
      await settle();
      const told = bodies(dave.take());
      assert.deepEqual(told, ['one', 'unkept', 'two']);
      assert.deepEqual(bodies(carol.take()), ['unkept', 'two']);
    });

    it('and who comes in speaks at once', async () => {
      await speak('one');
      archives.hold();
      dave.send(join(`${LOUNGE}/dave`));
      dave.send(say('I am here'));
      await settle();
      carol.send(say('Welcome'));
      await settle();
      archives.release();
      await settle();
      const told = bodies(dave.take());
      assert.deepEqual([...told].sort(), ['I am here', 'Welcome', 'one']);
      assert.equal(told[0], 'one');
      assert.deepEqual(bodies(carol.take()), told.slice(1));
    });

    it('and who comes in goes again, or vanishes, before it has read all', async () => {
      await speak('one');
      for (const go of [() => dave.send(`<presence type='unavailable' to='${LOUNGE}/dave'/>`), () => dave.drop()]) {
        archives.hold();
        dave.send(join(`${LOUNGE}/dave`));
        await settle();
        go();
        await settle();
        archives.release();
        await settle();
        assert.deepEqual(
          [...room.occupants].map(({ nick }) => nick),
          ['carol'],
        );
        assert.equal(room.arriving.size, 0);
        carol.send(say('gone'));
        await scene.hush(carol);
        // Whoever has gone hears no more; what was its history may have come.
        assert.doesNotMatch(dave.take().join(''), /gone<\/body/);
      }
    });

    it('and who comes in is shown out meanwhile', async () => {
      await speak('one');
      archives.hold();
      dave.send(join(`${LOUNGE}/dave`));
      await settle();
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('dave@example.org'), affiliation: 'outcast' }]);
      carol.send(say('he is out'));
      await settle();
      archives.release();
      await settle();
      const told = dave.take();
      const out = told.findIndex((stanza) => codesIn(stanza).includes('301'));
      assert.notEqual(out, -1);
      assert.deepEqual(bodies(told.slice(out)), [], 'nothing of the room reaches who is banned');
    });

    it('when the history cannot be read: it comes in without', async () => {
      await speak('one');
      const { query } = scene.rooms.messages;
      scene.rooms.messages.query = () => Promise.reject(new Error('the disk is broken'));
      dave.send(join(`${LOUNGE}/dave`));
      await settle();
      scene.rooms.messages.query = query;
      scene.host.faults.length = 0;
      carol.send(say('two'));
      await settle();
      const isIn = room.occupants.named('dave').length === 1;
      assert.equal(bodies(dave.take()).includes('two'), isIn, 'in is in, and out is out');
      assert.equal(room.arriving.size, 0);
    });

    it('for many at once, in any order', async () => {
      await speak('one', 'two');
      archives.hold();
      const probes: Probe[] = [];
      for (let i = 0; i < 10; i++) {
        const probe = await scene.client(`guest${i}`);
        probes.push(probe);
        probe.send(join(`${LOUNGE}/guest${i}`));
        await settle();
        carol.send(say(`during ${i}`));
        await settle();
      }
      archives.release();
      await settle();
      carol.send(say('last'));
      await settle();
      const expected = ['one', 'two', ...probes.map((_, i) => `during ${i}`), 'last'];
      for (const probe of probes) assert.deepEqual(bodies(probe.take()), expected);
    });

    it('when the clock goes back between two messages', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 });
      try {
        await speak('one');
        archives.hold();
        dave.send(join(`${LOUNGE}/dave`));
        await settle();
        mock.timers.setTime(Date.now() - 3_600_000);
        carol.send(say('two'));
        await settle();
        archives.release();
        await settle();
        assert.deepEqual(bodies(dave.take()), ['one', 'two']);
      } finally {
        mock.timers.reset();
      }
    });
  });
});
