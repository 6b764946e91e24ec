import assert from 'node:assert/strict';
import type { Plan } from '../../../modules/muc-announcements/index.ts';
import { showTime } from '../../../modules/muc-announcements/zone.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { FakeClock, lasting, outcome, ROOM, run, type Scene, startScene } from '../../support/announcements-scene.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { settle } from '../../support/probe.ts';

const NS = 'parlance:announcements:1';
const MINUTE = 60_000;
/** What was missed is seen to a little after the start. */
const HEAD_START = 5000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const ANNOUNCE = '{parlance:rooms:1}who_may_announce';
const ZONE = '{parlance:rooms:1}time_zone';

describe('planned announcements', () => {
  let scene: Scene;

  beforeEach(async () => {
    scene = await startScene({
      modules: { 'muc-announcements': { maxPerRoom: 4, maxPerAccount: 6, maxBytes: 200, maxLate: '1h' } },
    });
  });
  afterEach(() => scene.stop());

  const inMinutes = (minutes: number) => new Date(Math.ceil(scene.clock.time / MINUTE + minutes) * MINUTE).toISOString();
  const lunch = (): Plan => ({ text: 'Lunch', when: { every: 'once', at: inMinutes(5) } });

  it('are said by the room to everybody at their time, and kept', async () => {
    const room = await scene.create();
    const juliet = await scene.enter('juliet', 'Juliet');
    juliet.take();
    await scene.api.schedule(room, { ...lunch(), title: 'Noon' }, undefined);
    await scene.clock.pass(4 * MINUTE);
    await juliet.quiet();
    await scene.clock.pass(3 * MINUTE);
    const message = await juliet.receive('message');
    assert.deepEqual([message.attrs['from'], message.attrs['type']], [ROOM, 'groupchat']);
    assert.equal(message.getChildText('body'), 'Noon\nLunch');
    assert(message.getChild('announcement', NS));
    assert.equal(message.getChild('stanza-id')?.attrs['id'], (await scene.kept())[0]![0]);
    await scene.clock.pass(DAY);
    await juliet.quiet();
    assert.deepEqual(await scene.api.list(room, undefined), []);
  });

  it('come again and again, by the clock of the room', async () => {
    const room = await scene.create();
    await scene.rooms.configure(room, { ...room.settings, extras: { [ZONE]: ['America/New_York'] } });
    const { due } = await scene.api.schedule(room, { text: 'Up!', when: { every: 'day', time: '07:30' } }, undefined);
    assert.match(showTime('America/New_York', due), / 07:30$/);
    for (let day = 0; day < 3; day++) await scene.clock.pass(DAY);
    assert.deepEqual(await scene.texts(), ['Up!', 'Up!', 'Up!']);
  });

  it('are reckoned anew when the room gets another time zone', async () => {
    const room = await scene.create();
    const daily = await scene.api.schedule(room, { text: 'Up!', when: { every: 'day', time: '07:30' } }, undefined);
    const hourly = await scene.api.schedule(room, { text: 'Still', when: { every: 'hours', count: 30 } }, undefined);
    await scene.rooms.configure(room, { ...room.settings, extras: { [ZONE]: ['Asia/Kathmandu'] } });
    await settle();
    const now = new Map((await scene.api.list(room, undefined)).map(({ id, due }) => [id, due]));
    assert.match(showTime('Asia/Kathmandu', now.get(daily.id)!), / 07:30$/);
    assert.notEqual(now.get(daily.id), daily.due);
    assert.equal(now.get(hourly.id), hourly.due);
  });

  it('can be changed and cancelled until then', async () => {
    const room = await scene.create();
    const first = await scene.api.schedule(room, lunch(), undefined);
    const second = await scene.api.schedule(room, lunch(), undefined);
    const changed = await scene.api.edit(
      room,
      first.id,
      { text: 'Supper', when: { every: 'once', at: inMinutes(10) } },
      undefined,
    );
    assert.equal(changed.id, first.id);
    await scene.api.cancel(room, second.id, undefined);
    await scene.clock.pass(7 * MINUTE);
    assert.deepEqual(await scene.texts(), []);
    await scene.clock.pass(7 * MINUTE);
    assert.deepEqual(await scene.texts(), ['Supper']);
    for (const id of [first.id, 'x', '__proto__', '']) {
      await assert.rejects(scene.api.cancel(room, id, undefined), { condition: 'item-not-found' });
      await assert.rejects(scene.api.edit(room, id, lunch(), undefined), { condition: 'item-not-found' });
    }
  });

  it('belong to who has made them; admins may change those of others', async () => {
    const room = await scene.create();
    await scene.rooms.configure(room, { ...room.settings, extras: { [ANNOUNCE]: ['members'] } });
    const people = ['romeo', 'juliet', 'paris', 'tybalt'] as const;
    const [romeo, juliet, paris, tybalt] = people.map((name) => scene.host.jid(`${name}@example.org/x`));
    const member = 'member' as const;
    await scene.rooms.affiliate(
      room,
      undefined,
      [juliet!, paris!].map((jid) => ({ jid: jid.bareJid, affiliation: member })),
    );
    const made = await scene.api.schedule(room, lunch(), juliet);
    assert.equal(made.by, 'juliet@example.org');
    const forbidden = { condition: 'forbidden' };
    await assert.rejects(scene.api.edit(room, made.id, lunch(), paris), forbidden);
    await assert.rejects(scene.api.cancel(room, made.id, paris), forbidden);
    for (const by of [tybalt]) {
      await assert.rejects(scene.api.list(room, by), forbidden);
      await assert.rejects(scene.api.schedule(room, lunch(), by), forbidden);
      await assert.rejects(scene.api.edit(room, made.id, lunch(), by), forbidden);
      await assert.rejects(scene.api.cancel(room, made.id, by), forbidden);
    }
    // What it is in another room counts for nothing here.
    const other = await scene.create('garden');
    await assert.rejects(scene.api.cancel(other, made.id, romeo), { condition: 'item-not-found' });
    const edited = await scene.api.edit(room, made.id, { ...lunch(), text: 'Soup' }, romeo);
    assert.equal(edited.by, 'juliet@example.org');
    await scene.api.cancel(room, made.id, juliet);
  });

  it('are as many as a room and an account may have', async () => {
    const room = await scene.create();
    const romeo = scene.host.jid('romeo@example.org');
    const all = await Promise.allSettled(Array.from({ length: 30 }, () => scene.api.schedule(room, lunch(), romeo)));
    assert.equal(all.filter(({ status }) => status === 'fulfilled').length, 4);
    const others = await Promise.all(['a', 'b', 'c'].map((name) => scene.create(name)));
    const more = await Promise.allSettled(others.flatMap((other) => [1, 2].map(() => scene.api.schedule(other, lunch(), romeo))));
    const refused = more.filter((each) => each.status === 'rejected');
    assert.equal(refused.length, 4);
    assert(refused.every(({ reason }) => reason.condition === 'resource-constraint'));
    // What is over makes room for more.
    await scene.clock.pass(10 * MINUTE);
    await scene.api.schedule(room, lunch(), romeo);
    assert.equal((await scene.texts()).length, 4);
  });

  it('end with the room, and with the account they lose their name', async () => {
    const room = await scene.create();
    const garden = await scene.create('garden');
    await scene.host.host.accounts.create('romeo', 'secret');
    for (const each of [room, garden]) await scene.api.schedule(each, lunch(), scene.host.jid('romeo@example.org'));
    await scene.rooms.destroy(room);
    await assert.rejects(scene.api.schedule(room, lunch(), undefined), { condition: 'item-not-found' });
    await scene.host.host.accounts.delete('romeo');
    const [left] = await scene.api.list(garden, undefined);
    assert.equal(left?.by, '');
    await scene.clock.pass(10 * MINUTE);
    assert.deepEqual([await scene.texts(), await scene.texts('garden@conference.example.org')], [[], ['Lunch']]);
  });

  describe('by commands', () => {
    it('are planned, listed, changed and cancelled with any client', async () => {
      await scene.create();
      const romeo = await scene.enter('romeo', 'Romeo');
      assert.equal(outcome(await run(romeo, ROOM, `${NS}#list`)), 'Nothing is planned.');
      const week = { text: ['Clean', 'up'], every: 'week' };
      const made = await run(romeo, ROOM, `${NS}#schedule`, week, { days: ['monday', 'friday'], time: '17:00' });
      assert.match(String(outcome(made)), /^It is planned. Every week on monday, friday, next on .* 17:00 \(UTC\)\.$/);
      const [{ id = '' } = {}] = await scene.api.list(await scene.room(), undefined);
      assert.deepEqual(outcome(await run(romeo, ROOM, `${NS}#list`)), ['Clean\nup']);
      const month = [{ id }, { text: 'Pay', every: 'month' }, { day: '31', time: '08:00' }];
      assert.match(String(outcome(await run(romeo, ROOM, `${NS}#edit`, ...month))), /Every month on day 31/);
      assert.equal(outcome(await run(romeo, ROOM, `${NS}#cancel`, { id })), 'It will not be announced.');
      assert.equal(outcome(await run(romeo, ROOM, `${NS}#cancel`)), 'Nothing is planned.');
    });

    it('are refused where the answers cannot be', async () => {
      await scene.create();
      const romeo = await scene.enter('romeo', 'Romeo');
      const fails = async (condition: string, ...pages: Parameters<typeof run>[3][]) =>
        assert.equal(outcome(await run(romeo, ROOM, `${NS}#schedule`, ...pages)), condition, JSON.stringify(pages).slice(0, 200));
      await fails('not-acceptable', {});
      await fails('not-acceptable', { text: ' ', every: 'once' });
      await fails('not-acceptable', { text: 'x', every: 'sometimes' });
      await fails('not-acceptable', { text: 'x', every: 'constructor' });
      await fails('not-acceptable', { text: 'x', every: 'once' }, {});
      await fails('not-acceptable', { text: 'x', every: 'once' }, { at: '1999-12-31 23:59' });
      await fails('not-acceptable', { text: 'x', every: 'minutes' }, { count: '-5' });
      await fails('not-acceptable', { text: 'x', every: 'minutes' }, { count: '1' });
      await fails('not-acceptable', { text: 'x', every: 'hours' }, { count: '9'.repeat(400) });
      await fails('not-acceptable', { text: 'x', every: 'week' }, { days: 'someday', time: '12:00' });
      await fails('not-acceptable', { text: 'x', every: 'month' }, { day: '0', time: '12:00' });
      await fails('policy-violation', { text: 'x'.repeat(201), every: 'day' }, { time: '12:00' });
      await scene.api.schedule(await scene.room(), lunch(), undefined);
      assert.equal(outcome(await run(romeo, ROOM, `${NS}#cancel`, { id: 'x' })), 'item-not-found');
    });

    it('are for those whom the room allows, and the host’s for its admins', async () => {
      await scene.create();
      const juliet = await scene.enter('juliet', 'Juliet');
      const nodes = ['schedule', 'list', 'edit', 'cancel'];
      for (const node of nodes) assert.equal(outcome(await run(juliet, ROOM, `${NS}#${node}`)), 'forbidden');
      for (const node of ['now', ...nodes]) assert.equal(outcome(await run(juliet, 'example.org', `${NS}#${node}`)), 'forbidden');
      const query = `<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>`;
      const items = payloadOf(await juliet.ask(`<iq type='get' to='${ROOM}'>${query}</iq>`)).getChildren('item');
      assert.deepEqual(
        items.map(({ attrs }) => attrs['node']),
        ['parlance:pins:1#list'],
      );
      // A form that was opened by right is of no use when the right is gone.
      const romeo = await scene.enter('romeo', 'Romeo');
      const room = await scene.room();
      const begun = payloadOf(
        await romeo.ask(
          `<iq type='set' to='${ROOM}'><command xmlns='http://jabber.org/protocol/commands' node='${NS}#schedule'/></iq>`,
        ),
      );
      await scene.rooms.affiliate(room, undefined, [
        { jid: scene.host.jid('paris@example.org'), affiliation: 'owner' },
        { jid: scene.host.jid('romeo@example.org'), affiliation: 'none' },
      ]);
      const next = await romeo.ask(
        `<iq type='set' to='${ROOM}'><command xmlns='http://jabber.org/protocol/commands' node='${NS}#schedule' sessionid='${begun.attrs['sessionid']}'><x xmlns='jabber:x:data' type='submit'/></command></iq>`,
      );
      assert.equal(conditionOf(next), 'forbidden');
    });

    it('show the field of the time zone, which has to be one', async () => {
      await scene.create();
      const romeo = await scene.enter('romeo', 'Romeo');
      const set = (zone: string) =>
        romeo.ask(
          `<iq type='set' to='${ROOM}'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='${ZONE}'><value>${zone}</value></field></x></query></iq>`,
        );
      for (const zone of ['Mars/Olympus', '', '../x', 'A'.repeat(5000)])
        assert.equal(conditionOf(await set(zone)), 'not-acceptable');
      assert.equal((await set('Europe/Berlin')).attrs['type'], 'result');
      assert.equal(scene.api.zoneOf(await scene.room()), 'Europe/Berlin');
    });
  });
});

describe('planned announcements: restarts', () => {
  const soon = (clock: FakeClock, minutes: number) => new Date(Math.ceil(clock.time / MINUTE + minutes) * MINUTE).toISOString();

  /** Plans something, stops, and goes on after so many milliseconds. */
  async function sleep(plan: (clock: FakeClock) => Plan, milliseconds: number): Promise<Scene> {
    const storage = await openStorage({ type: 'memory' }, silent);
    const clock = new FakeClock();
    const first = await startScene({ storage: lasting(storage), clock });
    await first.api.schedule(await first.create(), plan(clock), undefined);
    await first.stop();
    assert.deepEqual(clock.waiting, []);
    clock.time += milliseconds;
    const second = await startScene({ storage, clock });
    await clock.pass(HEAD_START);
    return second;
  }

  it('say once what was missed, if it is not too late, and go on', async () => {
    const every = (clock: FakeClock): Plan => ({ text: 'Tea', when: { every: 'minutes', count: 10, from: soon(clock, 5) } });
    const scene = await sleep(every, 50 * MINUTE);
    assert.deepEqual(await scene.texts(), ['Tea']);
    await scene.clock.pass(10 * MINUTE);
    assert.deepEqual(await scene.texts(), ['Tea', 'Tea']);
    await scene.stop();
  });

  it('do not say what was missed long ago', async () => {
    const once = (clock: FakeClock): Plan => ({ text: 'Tea', when: { every: 'once', at: soon(clock, 5) } });
    const scene = await sleep(once, 2 * HOUR);
    assert.deepEqual(await scene.texts(), []);
    assert.deepEqual(await scene.api.list(await scene.room(), undefined), []);
    await scene.stop();
  });

  it('wake no room before its time', async () => {
    const scene = await sleep((clock) => ({ text: 'Tea', when: { every: 'once', at: soon(clock, 90) } }), 10 * MINUTE);
    assert.deepEqual([...scene.rooms.open()], []);
    await scene.clock.pass(90 * MINUTE);
    assert.deepEqual(
      [...scene.rooms.open()].map(({ jid }) => jid.bare),
      [ROOM],
    );
    assert.deepEqual(await scene.texts(), ['Tea']);
    await scene.stop();
  });

  it('forget what was planned in a temporary room that the server took with it', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const clock = new FakeClock();
    const first = await startScene({ storage: lasting(storage), clock });
    const room = await first.create('lounge', { isPersistent: false });
    await first.api.schedule(room, { text: 'Tea', when: { every: 'day', time: '12:00' } }, undefined);
    await first.stop();
    const second = await startScene({ storage, clock });
    assert.equal(await second.rooms.find(second.host.jid(ROOM)), undefined);
    const next = await second.create();
    await settle();
    assert.deepEqual(await second.api.list(next, undefined), []);
    await clock.pass(2 * DAY);
    assert.deepEqual(await second.texts(), []);
    await second.stop();
  });
});
