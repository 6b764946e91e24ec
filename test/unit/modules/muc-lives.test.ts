// How rooms begin, sleep, wake and end (XEP-0045 sections 3.2, 10.1 and 10.9), also when several want that at once.
import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Element } from 'ltx';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import {
  bodies,
  change,
  codesIn,
  configure,
  errorIn,
  itemIn,
  join,
  list,
  OWNER,
  ownIn,
  RoomScene,
  SERVICE,
  say,
} from '../../support/room-scene.ts';
import { SlowWrites } from '../../support/slow-writes.ts';

const CAVE = `cave@${SERVICE}`;
const DAY = 86_400_000;

describe('muc: lives of rooms', () => {
  let scene: RoomScene;
  let maps: SlowWrites;
  let romeo: Probe;
  let juliet: Probe;

  async function start(muc: Readonly<Record<string, unknown>> = {}): Promise<void> {
    maps = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    scene = await RoomScene.start({ muc, storage: maps.storage });
    romeo = await scene.client('romeo');
    juliet = await scene.client('juliet');
  }

  afterEach(() => scene.stop());

  const enter = (probe: Probe, nick?: string): Promise<Element[]> => scene.enter(probe, { room: CAVE, ...(nick && { nick }) });
  const leave = async (probe: Probe): Promise<void> => {
    probe.send(`<presence type='unavailable' to='${CAVE}/x'/>`);
    await scene.hush(probe);
  };
  const destroy = (inner = ''): string => `<iq type='set' to='${CAVE}'><query xmlns='${OWNER}'><destroy ${inner}/></query></iq>`;
  const find = () => scene.rooms.find(scene.host.jid(CAVE));

  describe('are made once', () => {
    for (const lock of [false, true]) {
      for (const how of ['at once', 'while it is being stored'] as const) {
        it(`by two clients ${how}${lock ? ', and locked for the second' : ''}`, async () => {
          await start({ lock });
          if (how !== 'at once') maps.hold();
          romeo.send(join(`${CAVE}/romeo`));
          juliet.send(join(`${CAVE}/juliet`));
          await settle();
          maps.release();
          await settle();
          const [first, second] = [romeo.take(), juliet.take()];
          assert.deepEqual(
            [codesIn(ownIn(first)), itemIn(ownIn(first))['affiliation']],
            [['110', '170', '201'], 'owner'],
            String(first),
          );
          const room = (await find())!;
          assert.deepEqual(
            room.affiliated('owner').map(([bare]) => bare),
            ['romeo@example.org'],
          );
          if (lock) {
            assert.deepEqual(second.map(errorIn), ['item-not-found/cancel']);
          } else {
            assert.deepEqual(
              [codesIn(ownIn(second)), itemIn(ownIn(second))['affiliation']],
              [['110', '170'], 'none'],
              String(second),
            );
            await scene.hush(romeo, juliet);
            romeo.send(say('Hail', { room: CAVE }));
            await settle();
            assert.deepEqual(bodies(juliet.take()), ['Hail']);
          }
        });
      }
    }

    it('by a client that asks twice before it is there', async () => {
      await start({ lock: true });
      maps.hold();
      romeo.send(join(`${CAVE}/romeo`));
      romeo.send(join(`${CAVE}/romeo`));
      await settle();
      maps.release();
      await settle();
      const told = romeo.take();
      assert.deepEqual(told.map(errorIn).filter(Boolean), []);
      assert.deepEqual(codesIn(ownIn(told)), ['110', '170', '201']);
      assert.equal((await find())?.occupants.size, 1);
    });

    it('by nobody when it cannot be stored, and then by the next one', async () => {
      await start();
      maps.fail();
      romeo.send(join(`${CAVE}/romeo`));
      await settle();
      assert.match(errorIn(romeo.take()[0]) ?? '', /^internal-server-error/);
      maps.release();
      scene.host.faults.length = 0;
      assert.equal(await find(), undefined);
      assert.deepEqual(codesIn(ownIn(await enter(juliet))), ['110', '170', '201']);
    });

    it('under whatever spelling of the same name', async () => {
      await start();
      await enter(romeo);
      const told = await scene.enter(juliet, { room: `CAVE@Conference.Example.ORG` });
      assert.deepEqual([codesIn(ownIn(told)), ownIn(told)?.attrs['from']], [['110', '170'], `${CAVE}/juliet`]);
    });

    it('by those who may (section 10.1.1), and nobody else', async () => {
      await start({ create: 'admins' });
      assert.deepEqual((await enter(romeo)).map(errorIn), ['not-allowed/cancel']);
      assert.equal(await find(), undefined);
      await scene.room({ name: 'cave' });
      assert.deepEqual(codesIn(ownIn(await enter(romeo))), ['110', '170']);
    });
  });

  describe('end', () => {
    it('for each who is in it with one notice, that tells where to go (section 10.9)', async () => {
      await start();
      await enter(romeo);
      await enter(juliet);
      await scene.hush(romeo, juliet);
      const inner = "jid='heath@conference.example.org'><password>sesame</password><reason>Rain</reason></destroy";
      const iq = destroy().replace('<destroy />', `<destroy ${inner}>`);
      assert.equal(errorIn(await romeo.ask(iq)), undefined);
      await settle();
      for (const probe of [romeo, juliet]) {
        const [end, ...more] = probe.take();
        assert.deepEqual(more.map(String), []);
        assert.deepEqual([end?.attrs['type'], end?.attrs['from']], ['unavailable', `${CAVE}/${probe.session.jid.local}`]);
        assert.deepEqual([itemIn(end)['role'], itemIn(end)['affiliation']], ['none', 'none']);
        const element = end!.getChild('x')!.getChild('destroy')!;
        assert.equal(element.attrs['jid'], 'heath@conference.example.org');
        assert.deepEqual([element.getChildText('password'), element.getChildText('reason')], ['sesame', 'Rain']);
      }
    });

    it('and are gone for a while, with word of where they went', async () => {
      mock.timers.enable({ apis: ['Date'], now: Date.now() });
      try {
        await start({ keepNames: '3d' });
        await enter(romeo);
        await romeo.ask(destroy("jid='heath@conference.example.org'"));
        await scene.hush(romeo);
        for (const probe of [romeo, juliet]) {
          const [refused] = await enter(probe);
          assert.equal(errorIn(refused), 'gone/cancel');
          assert.equal(refused?.getChild('error')?.getChildText('gone'), 'xmpp:heath@conference.example.org?join');
        }
        for (const stanza of [
          say('Hail', { room: CAVE }),
          `<iq type='get' id='i1' to='${CAVE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
          configure({}, { room: CAVE }).replace('<iq', "<iq id='i2'"),
        ]) {
          romeo.send(stanza);
          await settle();
          assert.equal(errorIn(romeo.take()[0]), 'gone/cancel', stanza);
        }
        mock.timers.tick(3 * DAY - 1000);
        assert.equal(errorIn((await enter(juliet))[0]), 'gone/cancel');
        mock.timers.tick(2000);
        assert.deepEqual(codesIn(ownIn(await enter(juliet))), ['110', '170', '201']);
        assert.deepEqual(
          (await find())?.affiliated('owner').map(([bare]) => bare),
          ['juliet@example.org'],
        );
      } finally {
        mock.timers.reset();
      }
    });

    it('and are free at once where names are not kept, with nothing of what was', async () => {
      await start({ keepNames: '0s' });
      await enter(romeo);
      romeo.send(say('Secret', { room: CAVE }));
      await settle();
      await romeo.ask(change("<item jid='juliet@example.org' affiliation='outcast'/>", CAVE));
      await romeo.ask(destroy());
      await scene.hush(romeo);
      const told = await enter(juliet);
      assert.deepEqual(codesIn(ownIn(told)), ['110', '170', '201']);
      assert.doesNotMatch(told.join(''), /Secret/);
      await juliet.ask(`<iq type='set' to='${CAVE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      assert.deepEqual(juliet.take().map(String), []);
      const owners = await juliet.ask(list("affiliation='owner'", CAVE));
      assert.doesNotMatch(String(owners), /romeo/);
    });

    it('for whoever comes while they do: it is gone, or made anew, and never half of it', async () => {
      for (const keepNames of ['30d', '0s']) {
        await start({ keepNames });
        await enter(romeo);
        await scene.hush(romeo);
        maps.hold();
        const answer = romeo.ask(destroy());
        await settle();
        juliet.send(join(`${CAVE}/juliet`));
        romeo.send(say('Hail', { room: CAVE }));
        await settle();
        maps.release();
        assert.equal(errorIn(await answer), undefined);
        await settle();
        const told = juliet.take();
        if (keepNames === '0s') assert.deepEqual(codesIn(ownIn(told)), ['110', '170', '201'], String(told));
        else assert.deepEqual(told.map(errorIn), ['gone/cancel'], String(told));
        assert.deepEqual(bodies(told), []);
        const end = romeo.take().find(({ attrs }) => attrs['type'] === 'unavailable');
        assert.notEqual(end?.getChild('x')?.getChild('destroy'), undefined);
        if (keepNames !== '0s') await scene.stop();
      }
    });

    it('once, when two owners end them', async () => {
      await start();
      const phone = await scene.client('romeo', 'phone');
      await enter(romeo);
      const answers = (await Promise.all([romeo.ask(destroy()), phone.ask(destroy())])).map(errorIn);
      assert.equal(answers.filter((error) => error === undefined).length >= 1, true);
      for (const error of answers) assert.match(error ?? 'gone', /^(gone|item-not-found)/);
      await settle();
      assert.equal(romeo.take().filter(({ attrs }) => attrs['type'] === 'unavailable').length, 1);
    });

    it('not when that cannot be stored', async () => {
      await start();
      await enter(romeo);
      await enter(juliet);
      await scene.hush(romeo, juliet);
      maps.fail();
      assert.match(errorIn(await romeo.ask(destroy())) ?? '', /^internal-server-error/);
      maps.release();
      scene.host.faults.length = 0;
      await juliet.quiet();
      juliet.send(say('Hail', { room: CAVE }));
      await settle();
      assert.deepEqual(bodies(romeo.take()), ['Hail']);
      assert.equal(errorIn(await romeo.ask(configure({ roomname: 'Cave' }, { room: CAVE }))), undefined);
    });
  });

  describe('that are temporary', () => {
    beforeEach(async () => {
      await start({ defaults: { persistent: false } });
      await enter(romeo);
      await romeo.ask(configure({ roomname: 'Cave' }, { room: CAVE }));
    });

    it('end when the last one goes, and leave no trace (section 4.2)', async () => {
      await enter(juliet);
      await leave(romeo);
      assert.notEqual(await find(), undefined);
      await leave(juliet);
      assert.equal(await find(), undefined);
      const told = await enter(juliet);
      assert.deepEqual([codesIn(ownIn(told)), itemIn(ownIn(told))['affiliation']], [['110', '170', '201'], 'owner']);
    });

    it('end also when the last one vanishes or is shown out', async () => {
      romeo.drop();
      await settle();
      assert.equal(await find(), undefined);
      await enter(juliet);
      const room = (await find())!;
      await scene.rooms.configure(room, { ...room.settings, isMembersOnly: true });
      await scene.rooms.affiliate(room, undefined, [
        { jid: scene.host.jid('other@example.org'), affiliation: 'owner' },
        { jid: scene.host.jid('juliet@example.org'), affiliation: 'none' },
      ]);
      await settle();
      assert.equal(room.occupants.size, 0);
      assert.equal(await find(), undefined);
    });

    it('go on for whoever comes in the moment the last one goes', async () => {
      for (let i = 0; i < 5; i++) {
        romeo.send(`<presence type='unavailable' to='${CAVE}/romeo'/>`);
        juliet.send(join(`${CAVE}/juliet`));
        await settle();
        const told = juliet.take();
        assert.equal(itemIn(ownIn(told))['role'] !== undefined, true, String(told));
        assert.equal((await find())?.occupants.size, 1);
        juliet.send(`<presence type='unavailable' to='${CAVE}/juliet'/>`);
        romeo.send(join(`${CAVE}/romeo`));
        await settle();
        assert.equal(itemIn(ownIn(romeo.take()))['role'] !== undefined, true);
        await scene.hush(juliet);
      }
    });

    it('stay when they are made persistent', async () => {
      await romeo.ask(configure({ persistentroom: '1' }, { room: CAVE }));
      await leave(romeo);
      assert.notEqual(await find(), undefined);
    });
  });

  describe('that nobody is in', () => {
    it('sleep, and wake with all that they were', async () => {
      await start({ maxIdle: 0 });
      await enter(romeo);
      await romeo.ask(
        configure({ roomname: 'Cave', moderatedroom: '1', passwordprotectedroom: '1', roomsecret: 'sesame' }, { room: CAVE }),
      );
      await romeo.ask(change("<item jid='juliet@example.org' affiliation='member' nick='Juliet'/>", CAVE));
      await romeo.ask(change("<item jid='mallory@example.org' affiliation='outcast'/>", CAVE));
      romeo.send(`<message type='groupchat' to='${CAVE}'><subject>Spells</subject></message>`);
      romeo.send(say('Hail', { room: CAVE }));
      await settle();
      const before = (await find())!;
      const kept = [
        before.settings,
        [...before.members].sort(),
        before.version,
        before.subject,
        before.occupantId('juliet@example.org'),
      ];
      await leave(romeo);
      assert.deepEqual([...scene.rooms.open()], []);
      const told = await scene.enter(juliet, { room: CAVE, nick: 'Juliet', x: '<password>sesame</password>' });
      const after = (await find())!;
      assert.notEqual(after, before);
      const found = [
        after.settings,
        [...after.members].sort(),
        after.version,
        after.subject,
        after.occupantId('juliet@example.org'),
      ];
      assert.deepEqual(found, kept);
      assert.deepEqual(bodies(told), ['Hail']);
      assert.equal(told.at(-1)?.getChildText('subject'), 'Spells');
      assert.equal(itemIn(ownIn(told))['affiliation'], 'member');
      assert.equal(errorIn((await enter(await scene.client('mallory')))[0]), 'forbidden/auth');
    });

    it('wake for whatever is asked of them, and sleep again', async () => {
      await start({ maxIdle: 0 });
      await enter(romeo);
      await leave(romeo);
      for (const [iq, error] of [
        [configure({ roomname: 'Cave' }, { room: CAVE }), undefined],
        [change("<item jid='juliet@example.org' affiliation='admin'/>", CAVE), undefined],
        [list("affiliation='admin'", CAVE), undefined],
        [`<iq type='set' to='${CAVE}'><query xmlns='urn:xmpp:mam:2'/></iq>`, undefined],
        [`<iq type='get' to='${CAVE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, undefined],
        [change("<item nick='juliet' role='none'/>", CAVE), 'item-not-found/cancel'],
        [configure({ moderatedroom: 'x' }, { room: CAVE }), 'not-acceptable/modify'],
      ] as const) {
        assert.equal(errorIn(await romeo.ask(iq)), error, iq);
        await settle();
        assert.deepEqual([...scene.rooms.open()], [], iq);
      }
      romeo.send(say('Hail', { room: CAVE }));
      await settle();
      assert.equal(errorIn(romeo.take()[0]), 'not-acceptable/modify');
    });

    it('wake once for many who come at once', async () => {
      await start({ maxIdle: 0 });
      await enter(romeo);
      await leave(romeo);
      const probes = [romeo, juliet];
      for (let i = 0; i < 10; i++) probes.push(await scene.client(`guest${i}`));
      for (const probe of probes) probe.send(join(`${CAVE}/${probe.session.jid.local}`));
      await settle();
      assert.equal([...scene.rooms.open()].length, 1);
      assert.equal((await find())?.occupants.size, 12);
      await scene.hush(...probes);
      juliet.send(say('Hail', { room: CAVE }));
      await settle();
      for (const probe of probes) assert.deepEqual(bodies(probe.take()), ['Hail']);
    });

    it('sleep for nobody who has only asked: not while something is being stored', async () => {
      await start({ maxIdle: 0 });
      await enter(romeo);
      maps.hold();
      const answer = romeo.ask(configure({ roomname: 'Cave' }, { room: CAVE }));
      await leave(romeo);
      maps.release();
      assert.equal(errorIn(await answer), undefined);
      assert.equal((await find())?.settings.name, 'Cave');
    });
  });

  describe('outlive a reload', () => {
    it('with those who are in them, and with the limits that hold now', async () => {
      await start();
      await enter(romeo);
      await enter(juliet);
      await scene.hush(romeo, juliet);
      const before = await find();
      await scene.reload({ maxHistory: 1, create: 'admins' });
      assert.equal(await find(), before);
      await romeo.quiet();
      for (const body of ['one', 'two']) juliet.send(say(body, { room: CAVE }));
      await settle();
      assert.deepEqual(bodies(romeo.take()), ['one', 'two']);
      juliet.take();
      assert.equal(
        (await romeo.ask(`<iq type='get' to='${CAVE}/romeo'><ping xmlns='urn:xmpp:ping'/></iq>`)).attrs['type'],
        'result',
      );
      await romeo.ask(`<iq type='set' to='${CAVE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      assert.equal(romeo.take().length, 2);
      const nurse = await scene.client('nurse');
      assert.deepEqual(bodies(await enter(nurse)), ['two']);
      assert.deepEqual((await scene.enter(nurse, { room: `heath@${SERVICE}` })).map(errorIn), ['not-allowed/cancel']);
      await scene.hush(romeo, juliet);
      juliet.drop();
      await settle();
      assert.deepEqual(
        romeo.take().map(({ attrs }) => [attrs['from'], attrs['type']]),
        [[`${CAVE}/juliet`, 'unavailable']],
      );
    });

    it('several times', async () => {
      await start();
      await enter(romeo);
      for (let i = 1; i < 5; i++) await scene.reload({ maxHistory: i });
      await enter(juliet);
      await scene.hush(romeo, juliet);
      juliet.send(say('Hail', { room: CAVE }));
      await settle();
      assert.deepEqual(bodies(romeo.take()), ['Hail']);
      assert.deepEqual(bodies(juliet.take()), ['Hail']);
    });
  });
});
