import assert from 'node:assert/strict';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { lasting, MortalStorage, outcome, ROOM, run, type Scene, startScene } from '../../support/announcements-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';

const NS = 'parlance:announcements:1';
const MINUTE = 60_000;
const HIDDEN = 'hidden@conference.example.org';

describe('announcements to many', () => {
  let scene: Scene;

  beforeEach(async () => {
    scene = await startScene({ modules: { announce: { maxBytes: 100 }, 'muc-announcements': { maxPerRoom: 3 } } });
    await scene.create();
    await scene.create('hidden', { isPublic: false });
  });
  afterEach(() => scene.stop());

  const bodies = (probe: Probe) => probe.take().map((stanza) => stanza.getChildText('body'));
  const done = async () => {
    await scene.clock.pass(0);
    await settle();
  };

  it('are said in all rooms, or only in public ones', async () => {
    await scene.api.announce({ text: 'All' }, 'rooms', undefined);
    await scene.api.announce({ text: 'Public', title: 'News' }, 'public-rooms', undefined);
    await done();
    assert.deepEqual(await scene.texts(), ['All', 'News\nPublic']);
    assert.deepEqual(await scene.texts(HIDDEN), ['All']);
  });

  it('reach people in rooms that keep nothing, and no locked or destroyed ones', async () => {
    const quiet = await scene.create('quiet', { isArchived: false });
    const locked = await scene.create('locked');
    locked.isLocked = true;
    const gone = await scene.create('gone');
    await scene.rooms.destroy(gone);
    const juliet = await scene.host.online('juliet');
    juliet.send(`<presence to='${quiet.jid.bare}/J'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
    await settle();
    juliet.take();
    await scene.api.announce({ text: 'All' }, 'rooms', undefined);
    await done();
    assert.deepEqual(bodies(juliet), ['All']);
    assert.deepEqual(
      [await scene.texts(quiet.jid.bare), await scene.texts(locked.jid.bare), await scene.texts(gone.jid.bare)],
      [[], [], []],
    );
  });

  it('reach rooms that sleep, are hidden, and in which nothing was ever said', async () => {
    await scene.stop();
    scene = await startScene({ modules: { muc: { maxIdle: 2 } } });
    const names = Array.from({ length: 80 }, (_, i) => `r${i}`);
    for (const name of names) await scene.create(name, { isPublic: false });
    assert([...scene.rooms.open()].length < 10);
    const gone = await scene.create('r1x', { isPublic: false });
    await scene.rooms.destroy(gone);
    await scene.api.announce({ text: 'All' }, 'rooms', undefined);
    for (let i = 0; i < 10; i++) await done();
    for (const name of names) assert.deepEqual(await scene.texts(`${name}@conference.example.org`), ['All'], name);
    // Whoever comes there later is told.
    const juliet = await scene.host.online('juliet');
    juliet.send("<presence to='r7@conference.example.org/J'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    await settle();
    assert.deepEqual(bodies(juliet).filter(Boolean), ['All']);
  });

  it('reach all rooms of a large service, and each once', async () => {
    const names = Array.from({ length: 300 }, (_, i) => `r${i}é`);
    for (const name of names) await scene.create(name, { isPublic: name.includes('7') });
    await scene.api.announce({ text: 'All' }, 'rooms', undefined);
    for (let i = 0; i < 20; i++) await done();
    for (const name of names) assert.deepEqual(await scene.texts(`${name}@conference.example.org`), ['All'], name);
  });

  it('are sent to everybody who is online, or to all accounts', async () => {
    const juliet = await scene.host.online('juliet');
    await scene.host.host.accounts.create('tybalt', 'secret');
    await scene.api.announce({ text: 'Now', title: 'News' }, 'online', undefined);
    await scene.api.announce({ text: 'Ever' }, 'accounts', undefined);
    await done();
    const [now, ever] = juliet.take();
    assert.deepEqual([now?.attrs['type'], now?.getChildText('subject'), now?.getChildText('body')], ['headline', 'News', 'Now']);
    assert.deepEqual([ever?.attrs['type'], ever?.attrs['from'], ever?.getChildText('body')], ['normal', 'example.org', 'Ever']);
    assert.deepEqual(await scene.mail('tybalt'), ['Ever']);
  });

  it('are planned by the host, once or again and again', async () => {
    const when = { every: 'minutes', count: 10 } as const;
    const plan = await scene.api.schedule(undefined, { text: 'Tick', when, to: 'public-rooms' }, undefined);
    for (let i = 0; i < 3; i++) await scene.clock.pass(10 * MINUTE);
    assert.deepEqual(await scene.texts(), ['Tick', 'Tick', 'Tick']);
    assert.deepEqual(await scene.texts(HIDDEN), []);
    await scene.api.edit(undefined, plan.id, { text: 'Tock', when, to: 'rooms' }, undefined);
    await scene.clock.pass(10 * MINUTE);
    assert.deepEqual(await scene.texts(HIDDEN), ['Tock']);
    await scene.api.cancel(undefined, plan.id, undefined);
    await scene.clock.pass(60 * MINUTE);
    assert.deepEqual(await scene.texts(HIDDEN), ['Tock']);
  });

  it('are made and planned by admins, with commands of the host', async () => {
    const admin = await scene.host.online('admin');
    const now = await run(admin, 'example.org', `${NS}#now`, { to: 'rooms', text: ['Down', 'soon'] });
    assert.equal(outcome(now), 'The announcement is being made.');
    await done();
    assert.deepEqual(await scene.texts(HIDDEN), ['Down\nsoon']);
    const plan = await run(
      admin,
      'example.org',
      `${NS}#schedule`,
      { to: 'online', text: 'Tick', every: 'day' },
      { time: '06:00' },
    );
    assert.match(String(outcome(plan)), /Everybody who is online. Every day, next on .* 06:00 \(UTC\)/);
    assert.deepEqual(outcome(await run(admin, 'example.org', `${NS}#list`)), ['Tick']);
    const [{ id = '' } = {}] = await scene.api.list(undefined, undefined);
    assert.equal(outcome(await run(admin, 'example.org', `${NS}#cancel`, { id })), 'It will not be announced.');
  });

  it('are refused to others, for nobody, without a text, or when they are too long', async () => {
    const romeo = scene.host.jid('romeo@example.org/x');
    const when = { every: 'day', time: '12:00' } as const;
    const forbidden = { condition: 'forbidden' };
    await assert.rejects(scene.api.announce({ text: 'x' }, 'rooms', romeo), forbidden);
    await assert.rejects(scene.api.schedule(undefined, { text: 'x', when, to: 'rooms' }, romeo), forbidden);
    await assert.rejects(scene.api.list(undefined, romeo), forbidden);
    await assert.rejects(scene.api.cancel(undefined, 'x', romeo), forbidden);
    await assert.rejects(scene.api.edit(undefined, 'x', { text: 'x', when, to: 'rooms' }, romeo), forbidden);
    await assert.rejects(scene.api.schedule(undefined, { text: 'x', when }, undefined), { condition: 'not-acceptable' });
    await assert.rejects(scene.api.announce({ text: ' ' }, 'rooms', undefined), { condition: 'not-acceptable' });
    // Where the module of announcements has a limit of its own, it is known before.
    for (const to of ['online', 'accounts'] as const) {
      await assert.rejects(scene.api.announce({ text: 'x'.repeat(101) }, to, undefined), { condition: 'policy-violation' });
    }
    await scene.api.announce({ text: 'x'.repeat(101) }, 'rooms', undefined);
    const admin = await scene.host.online('admin');
    for (const answers of [
      {},
      { to: 'everyone', text: 'x' },
      { to: '__proto__', text: 'x' },
      { to: 'rooms', text: '' },
      { text: 'x' },
    ]) {
      assert.equal(outcome(await run(admin, 'example.org', `${NS}#now`, answers)), 'not-acceptable', JSON.stringify(answers));
    }
    await done();
  });

  it('are no flood: only so many wait', async () => {
    const all = await Promise.allSettled(Array.from({ length: 10 }, () => scene.api.announce({ text: 'x' }, 'rooms', undefined)));
    const refused = all.filter((each) => each.status === 'rejected');
    assert.equal(refused.length, 7);
    assert(refused.every(({ reason }) => reason.condition === 'resource-constraint'));
    await done();
    assert.equal((await scene.texts()).length, 3);
  });

  it('go on where a server that was stopped has stopped', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const first = await startScene({ storage: lasting(storage) });
    for (let i = 0; i < 100; i++) await first.create(`r${i}`);
    await first.api.announce({ text: 'All' }, 'rooms', undefined);
    await first.stop();
    const second = await startScene({ storage, clock: first.clock });
    await second.clock.pass(MINUTE);
    for (let i = 0; i < 100; i++) assert.deepEqual(await second.texts(`r${i}@conference.example.org`), ['All'], `r${i}`);
    await second.stop();
  });

  it('are tried again when they cannot be stored', async () => {
    const mortal = new MortalStorage(await openStorage({ type: 'memory' }, silent));
    const flaky = await startScene({ storage: mortal.storage });
    await flaky.create();
    await flaky.create('hidden');
    mortal.failAt(3);
    await flaky.api.announce({ text: 'All' }, 'rooms', undefined);
    await flaky.clock.pass(10);
    const said = async () => [...(await flaky.texts()), ...(await flaky.texts(HIDDEN))];
    assert.deepEqual(await said(), ['All']);
    await flaky.clock.pass(2 * MINUTE);
    assert.deepEqual(await said(), ['All', 'All']);
    assert.equal((await flaky.texts(ROOM)).length, 1);
    await flaky.stop();
  });
});
