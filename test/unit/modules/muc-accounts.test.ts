import assert from 'node:assert/strict';
import { settle } from '../../support/probe.ts';
import { codesIn, configure, errorIn, itemIn, join, LOUNGE, RoomScene, SERVICE, say } from '../../support/room-scene.ts';

const ITEMS = `<query xmlns='http://jabber.org/protocol/disco#items'/>`;

describe('muc: accounts and rooms', () => {
  let scene: RoomScene;

  const start = async (options: Parameters<typeof RoomScene.start>[0] = {}) => {
    scene = await RoomScene.start(options);
  };
  afterEach(() => scene.stop());

  it('an account that is deleted is nothing to any room any more, and is seen going', async () => {
    await start();
    const room = await scene.room({ people: { juliet: 'member', romeo: 'owner' } });
    const juliet = await scene.client('juliet');
    const romeo = await scene.client('romeo');
    await scene.enter(juliet);
    await scene.enter(romeo);
    await scene.hush(juliet, romeo);
    assert.deepEqual([...(await scene.rooms.membershipsOf('juliet'))], [[LOUNGE, 'member']]);
    await scene.host.host.accounts.delete('juliet');
    juliet.session.close();
    await settle();
    assert.equal(room.members.has('juliet@example.org'), false);
    assert.equal((await scene.rooms.membershipsOf('juliet')).size, 0);
    assert.ok(romeo.take().some(({ attrs }) => attrs['type'] === 'unavailable' && attrs['from'] === `${LOUNGE}/juliet`));
    // Whoever gets the name next starts with nothing.
    await scene.host.host.accounts.create('juliet', 'other');
    const next = await scene.client('juliet', 'next');
    await scene.enter(next);
    assert.equal(room.affiliationOf(scene.host.jid('juliet@example.org')), 'none');
  });

  it('others are told what an account that is deleted was to the room (sections 9.4, 9.7, 10.4 and 10.7)', async () => {
    await start();
    const room = await scene.room({ people: { juliet: 'admin', absent: 'member', romeo: 'owner' } });
    const heard: unknown[] = [];
    scene.rooms.signals.affiliated.add(({ bare, before, after }) => void heard.push([bare, before, after]));
    const [juliet, romeo, stranger] = [await scene.client('juliet'), await scene.client('romeo'), await scene.client('stranger')];
    for (const probe of [juliet, romeo, stranger]) await scene.enter(probe);
    await scene.hush(juliet, romeo, stranger);
    for (const name of ['juliet', 'absent']) {
      if (name === 'absent') await scene.host.host.accounts.create(name, 'secret');
      await scene.host.host.accounts.delete(name);
    }
    await settle();
    assert.deepEqual(heard, [
      ['juliet@example.org', 'admin', 'none'],
      ['absent@example.org', 'member', 'none'],
    ]);
    // In the room: presence with what it is now, and it is no moderator by that any more.
    const [presence] = stranger.take();
    assert.deepEqual(
      [presence?.attrs['from'], itemIn(presence)],
      [`${LOUNGE}/juliet`, { affiliation: 'none', role: 'participant' }],
    );
    // Not in the room: a notice for those who may see the list of members.
    const notices = romeo.take().filter(({ name }) => name === 'message');
    assert.deepEqual(notices.map(itemIn), [{ jid: 'absent@example.org', affiliation: 'none', role: 'none' }]);
    assert.equal(room.version, 3);
  });

  it('an account that is deleted is shown out where only members are', async () => {
    await start();
    const room = await scene.room({ people: { juliet: 'owner', romeo: 'owner' }, settings: { isMembersOnly: true } });
    const lonely = await scene.room({ name: 'lonely', settings: { isMembersOnly: true, isPersistent: false } });
    await scene.rooms.affiliate(lonely, undefined, [
      { jid: scene.host.jid('juliet@example.org'), affiliation: 'owner' },
      { jid: scene.host.jid('keeper@example.org'), affiliation: 'none' },
    ]);
    const [juliet, romeo] = [await scene.client('juliet'), await scene.client('romeo')];
    await scene.enter(juliet);
    await scene.enter(romeo);
    await scene.enter(juliet, { room: `lonely@${SERVICE}` });
    await scene.hush(juliet, romeo);
    await scene.host.host.accounts.delete('juliet');
    await settle();
    const [out] = romeo.take();
    assert.deepEqual([out?.attrs['type'], codesIn(out)], ['unavailable', ['321']]);
    assert.equal(room.occupants.size, 1);
    // A temporary room that has become empty has ended, though it was the last owner that went.
    assert.equal(lonely.isGone, true);
  });

  it('a room that cannot be changed keeps a deleted account in no other', async () => {
    await start();
    const rooms = [
      await scene.room({ name: 'a', people: { juliet: 'member' } }),
      await scene.room({ name: 'b', people: { juliet: 'member' } }),
    ];
    await scene.host.host.accounts.create('juliet', 'secret');
    rooms[0]!.affiliate = () => Promise.reject(new Error('broken'));
    await scene.host.host.accounts.delete('juliet');
    assert.equal(rooms[1]!.members.has('juliet@example.org'), false);
    assert.equal(scene.host.faults.splice(0).length, 1);
  });

  it('a room of the same name as an account stays when the account is deleted', async () => {
    await start();
    const room = await scene.room({ name: 'juliet', people: { romeo: 'member' } });
    await scene.host.host.accounts.create('juliet', 'secret');
    await scene.host.host.accounts.delete('juliet');
    const stored = await scene.rooms.listed();
    assert.deepEqual(
      stored.map(([jid]) => jid),
      [`juliet@${SERVICE}`],
    );
    assert.equal(room.members.get('romeo@example.org')?.affiliation, 'member');
  });

  it('clients without an account make no rooms, and enter those that are there', async () => {
    await start();
    const guest = await scene.host.loginAsGuest();
    guest.send(join(`new@${SERVICE}/Guest`));
    assert.equal(errorIn(await guest.receive('presence')), 'not-allowed/cancel');
    await scene.room();
    guest.send(join(`${LOUNGE}/Guest`));
    assert.equal(errorIn(await guest.receive('presence')), undefined);
  });

  it('only admins make rooms where the config says so', async () => {
    await start({ muc: { create: 'admins' }, settings: { admins: ['boss@example.org'] } });
    const [romeo, boss] = [await scene.client('romeo'), await scene.client('boss')];
    romeo.send(join(`${LOUNGE}/Romeo`));
    assert.equal(errorIn(await romeo.receive('presence')), 'not-allowed/cancel');
    boss.send(join(`${LOUNGE}/Boss`));
    assert.equal(errorIn(await boss.receive('presence')), undefined);
  });

  it('an account owns so many rooms, and a client is in so many, and no more', async () => {
    await start({ muc: { maxOwned: 2, maxRoomsPerClient: 3 } });
    const romeo = await scene.client('romeo');
    for (const name of ['a', 'b']) await scene.enter(romeo, { room: `${name}@${SERVICE}` });
    romeo.send(join(`c@${SERVICE}/Romeo`));
    assert.equal(errorIn(await romeo.receive('presence')), 'resource-constraint/wait');
    for (const name of ['c', 'd']) await scene.room({ name });
    await scene.enter(romeo, { room: `c@${SERVICE}` });
    romeo.send(join(`d@${SERVICE}/Romeo`));
    assert.equal(errorIn(await romeo.receive('presence')), 'resource-constraint/wait');
    // To be where one is costs nothing, and who leaves may go somewhere else.
    assert.equal(errorIn((await scene.enter(romeo, { room: `c@${SERVICE}` }))[0]), undefined);
    romeo.send(`<presence type='unavailable' to='a@${SERVICE}/romeo'/>`);
    await scene.hush(romeo);
    await scene.enter(romeo, { room: `d@${SERVICE}` });
    romeo.send(say('here', { room: `d@${SERVICE}` }));
    await settle();
    assert.match(romeo.take().join(''), /<body>here<\/body>/);
  });

  it('the list of rooms has the public ones, in pages', async () => {
    await start();
    for (let i = 0; i < 25; i++) {
      await scene.room({ name: `room${String(i).padStart(2, '0')}`, settings: { name: `Room ${i}`, isPublic: i !== 7 } });
    }
    const romeo = await scene.client('romeo');
    const all = await romeo.ask(`<iq type='get' to='${SERVICE}'>${ITEMS}</iq>`);
    assert.equal(all.getChild('query')!.getChildren('item').length, 24);
    const seen: string[] = [];
    for (let after = ''; ; ) {
      const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>10</max>${after && `<after>${after}</after>`}</set>`;
      const page = await romeo.ask(
        `<iq type='get' to='${SERVICE}'><query xmlns='http://jabber.org/protocol/disco#items'>${set}</query></iq>`,
      );
      const items = page.getChild('query')!.getChildren('item');
      if (items.length === 0) break;
      seen.push(...items.map(({ attrs }) => String(attrs['jid'])));
      after = page.getChild('query')!.getChild('set')!.getChildText('last')!;
    }
    assert.deepEqual(
      seen,
      all
        .getChild('query')!
        .getChildren('item')
        .map(({ attrs }) => String(attrs['jid'])),
    );
    assert.ok(!seen.includes(`room07@${SERVICE}`));
  });

  it('a room that is hidden later is listed no more, and one that is destroyed neither', async () => {
    await start();
    await scene.room({ people: { romeo: 'owner' } });
    const romeo = await scene.client('romeo');
    await romeo.ask(configure({ publicroom: '0' }));
    assert.deepEqual(await scene.rooms.listed(), []);
    await romeo.ask(configure({ publicroom: '1' }));
    assert.equal((await scene.rooms.listed()).length, 1);
    const query = `<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>`;
    await romeo.ask(`<iq type='set' to='${LOUNGE}'>${query}</iq>`);
    assert.deepEqual(await scene.rooms.listed(), []);
  });

  it('rooms that nobody uses cost no memory, and are there at once when somebody comes', async () => {
    await start({ muc: { maxIdle: 10 } });
    for (let i = 0; i < 100; i++)
      await scene.room({ name: `room${i}`, people: { romeo: 'owner' }, settings: { name: `Room ${i}` } });
    assert.equal([...scene.rooms.open()].length, 10);
    const romeo = await scene.client('romeo');
    for (let i = 0; i < 100; i += 9) await scene.enter(romeo, { room: `room${i}@${SERVICE}` });
    assert.equal([...scene.rooms.open()].filter(({ occupants }) => occupants.size > 0).length, 12);
    romeo.send(say('awake', { room: `room0@${SERVICE}` }));
    await settle();
    assert.match(romeo.take().join(''), /<body>awake<\/body>/);
    romeo.leave();
    await settle();
    assert.equal([...scene.rooms.open()].length, 10);
    const juliet = await scene.client('juliet');
    const seen = await scene.enter(juliet, { room: `room0@${SERVICE}` });
    assert.match(seen.join(''), /<body>awake<\/body>.*<delay/);
  });
});
