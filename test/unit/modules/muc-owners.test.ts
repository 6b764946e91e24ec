// A room has an owner at all times (XEP-0045 sections 10 and 10.3 to 10.8), and whole domains may be kept out (section 9.2).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { change, codesIn, configure, errorIn, itemIn, join, LOUNGE, list, RoomScene, say } from '../../support/room-scene.ts';
import { SlowWrites } from '../../support/slow-writes.ts';

describe('muc: owners', () => {
  let scene: RoomScene;
  let maps: SlowWrites;
  let room: Room;
  let keeper: Probe;
  let second: Probe;

  beforeEach(async () => {
    maps = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    scene = await RoomScene.start({ storage: maps.storage });
    room = await scene.room();
    keeper = await scene.client('keeper');
    second = await scene.client('second');
  });
  afterEach(() => scene.stop());

  const owners = (): string[] => room.affiliated('owner').map(([bare]) => bare);
  const make = (username: string, affiliation: string): string =>
    change(`<item jid='${username}@example.org' affiliation='${affiliation}'/>`);

  describe('the last one', () => {
    for (const affiliation of ['admin', 'member', 'none', 'outcast']) {
      it(`does not make itself ${affiliation}`, async () => {
        assert.equal(errorIn(await keeper.ask(make('keeper', affiliation))), 'conflict/cancel');
        assert.deepEqual(owners(), ['keeper@example.org']);
      });
    }

    it('does not go by a form that names others, or nobody', async () => {
      assert.equal(errorIn(await keeper.ask(configure({ roomowners: [] }))), undefined);
      assert.deepEqual(owners(), ['keeper@example.org']);
      // Naming another one in its place is a choice.
      assert.equal(errorIn(await keeper.ask(configure({ roomowners: 'second@example.org' }))), undefined);
      assert.deepEqual(owners(), ['second@example.org']);
      assert.equal(errorIn(await keeper.ask(configure({ roomname: 'Cave' }))), 'forbidden/auth');
    });

    it('does not go by naming another one in vain', async () => {
      const both = "<item jid='keeper@example.org' affiliation='none'/><item jid='second@example.org' affiliation='admin'/>";
      assert.equal(errorIn(await keeper.ask(change(both))), 'conflict/cancel');
      assert.deepEqual(owners(), ['keeper@example.org']);
      assert.equal(room.affiliationOf(second.session.jid), 'none');
    });

    it('may hand the room over', async () => {
      const both = "<item jid='keeper@example.org' affiliation='none'/><item jid='second@example.org' affiliation='owner'/>";
      assert.equal(errorIn(await keeper.ask(change(both))), undefined);
      assert.deepEqual(owners(), ['second@example.org']);
    });

    it('is one also when it has left (section 10)', async () => {
      await scene.enter(keeper);
      keeper.send(`<presence type='unavailable' to='${LOUNGE}/keeper'/>`);
      await scene.hush(keeper);
      assert.deepEqual(owners(), ['keeper@example.org']);
      keeper.drop();
      await settle();
      assert.deepEqual(owners(), ['keeper@example.org']);
    });

    it('may go when its account does, and then those who administer the host look after the room', async () => {
      await scene.host.host.accounts.delete('keeper');
      assert.deepEqual(owners(), []);
      assert.equal(errorIn(await second.ask(make('second', 'owner'))), 'forbidden/auth');
    });
  });

  describe('two', () => {
    beforeEach(async () => {
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('second@example.org'), affiliation: 'owner' }]);
    });

    it('may each take the other one out, or go', async () => {
      assert.equal(errorIn(await second.ask(make('keeper', 'none'))), undefined);
      assert.deepEqual(owners(), ['second@example.org']);
      assert.equal(errorIn(await second.ask(make('second', 'none'))), 'conflict/cancel');
      assert.equal(errorIn(await keeper.ask(make('second', 'none'))), 'forbidden/auth');
    });

    for (const how of ['one after the other', 'while the first is being stored'] as const) {
      it(`do not take each other out both: ${how}`, async () => {
        if (how !== 'one after the other') maps.hold();
        const answers = Promise.all([keeper.ask(make('second', 'none')), second.ask(make('keeper', 'none'))]);
        await settle();
        maps.release();
        const errors = (await answers).map(errorIn);
        assert.equal(errors.filter((error) => error === undefined).length, 1, String(errors));
        assert.equal(owners().length, 1);
      });

      it(`do not both go: ${how}`, async () => {
        if (how !== 'one after the other') maps.hold();
        const answers = Promise.all([keeper.ask(make('keeper', 'member')), second.ask(make('second', 'member'))]);
        await settle();
        maps.release();
        const errors = (await answers).map(errorIn).filter((error) => error !== undefined);
        assert.deepEqual(errors, ['conflict/cancel']);
        assert.equal(owners().length, 1);
      });
    }

    it('are both owners still when what takes one of them out cannot be stored', async () => {
      maps.fail();
      assert.match(errorIn(await keeper.ask(make('second', 'none'))) ?? '', /^internal-server-error/);
      maps.release();
      assert.deepEqual(owners().sort(), ['keeper@example.org', 'second@example.org']);
      assert.equal(errorIn(await second.ask(configure({ roomname: 'Cave' }))), undefined);
      scene.host.faults.length = 0;
    });
  });

  describe('domains', () => {
    const ban = (jid: string): Promise<Element> => keeper.ask(change(`<item jid='${jid}' affiliation='outcast'/>`));
    const lift = (jid: string): Promise<Element> => keeper.ask(change(`<item jid='${jid}' affiliation='none'/>`));

    it('that are banned are shown out and kept out, but for those who are more by themselves', async () => {
      const [carol, nurse] = [await scene.client('carol'), await scene.client('nurse')];
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('nurse@example.org'), affiliation: 'member' }]);
      const far = new Elsewhere(scene.host, 'far.example');
      for (const probe of [keeper, carol, nurse]) await scene.enter(probe);
      await far.send(join(`${LOUNGE}/farmer`).replace('<presence', "<presence from='farmer@far.example/f'"));
      await far.take();
      await scene.hush(keeper, carol, nurse);

      assert.equal(errorIn(await ban('example.org')), undefined);
      await settle();
      assert.deepEqual([...room.occupants].map(({ nick }) => nick).sort(), ['farmer', 'keeper', 'nurse']);
      assert.deepEqual(carol.take().map(codesIn), [['110', '301']]);
      assert.deepEqual(
        nurse
          .take()
          .filter(({ name }) => name === 'presence')
          .map(codesIn),
        [['301']],
      );
      assert.equal(errorIn((await scene.enter(carol))[0]), 'forbidden/auth');
      await scene.hush(keeper, nurse);
      await far.take();

      assert.equal(errorIn(await ban('far.example')), undefined);
      const out = (await far.take()).filter(({ attrs }) => attrs['type'] === 'unavailable');
      assert.deepEqual(out.map(codesIn), [['110', '301']]);
      await far.send(join(`${LOUNGE}/farmer`).replace('<presence', "<presence from='farmer@far.example/f'"));
      assert.equal(errorIn((await far.take())[0]), 'forbidden/auth');
      const banned = await keeper.ask(list("affiliation='outcast'"));
      const items = banned.getChild('query')!.getChildren('item');
      assert.deepEqual(items.map(({ attrs }) => attrs['jid']).sort(), ['example.org', 'far.example']);

      assert.equal(errorIn(await lift('example.org')), undefined);
      assert.equal(errorIn((await scene.enter(carol))[0]), undefined);
    });

    it('of an owner or admin may be banned, and they are what they are', async () => {
      assert.equal(errorIn(await ban('example.org')), undefined);
      assert.equal(errorIn(await keeper.ask(configure({ roomname: 'Cave' }))), undefined);
      assert.equal(errorIn((await scene.enter(keeper))[0]), undefined);
    });

    it('that only end in the same letters are others', async () => {
      const far = new Elsewhere(scene.host, 'notfar.example');
      await ban('far.example');
      await ban('example');
      await far.send(join(`${LOUNGE}/farmer`).replace('<presence', "<presence from='farmer@notfar.example/f'"));
      assert.equal(itemIn((await far.take())[0])['role'], 'participant');
    });

    it('are named as people are, whatever the case, and with a resource it is the account that is banned', async () => {
      const carol = await scene.client('carol');
      await scene.enter(carol);
      assert.equal(errorIn(await ban('CAROL@Example.ORG/some/where')), undefined);
      await settle();
      assert.equal(room.affiliationOf(carol.session.jid), 'outcast');
      assert.equal(room.occupants.size, 0);
    });

    it('may be members', async () => {
      await scene.rooms.configure(room, { ...room.settings, isMembersOnly: true });
      assert.equal(errorIn((await scene.enter(second))[0]), 'registration-required/auth');
      await keeper.ask(change("<item jid='example.org' affiliation='member'/>"));
      assert.equal(itemIn((await scene.enter(second))[0])['affiliation'], 'member');
      second.send(say('Hail'));
      await settle();
      assert.equal(second.take().length, 1);
      // And are none any more.
      await lift('example.org');
      await settle();
      assert.deepEqual(second.take().map(codesIn), [['110', '321']]);
    });
  });
});
