import assert from 'node:assert/strict';
import { settle } from '../../support/probe.ts';
import { configure, errorIn, join, LOUNGE, RoomScene, SERVICE, say } from '../../support/room-scene.ts';

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
