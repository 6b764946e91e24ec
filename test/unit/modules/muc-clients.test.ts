// Several clients of one account in a room, under one nick or several (XEP-0045 section 7.2.9).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { bodies, change, codesIn, errorIn, itemIn, join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';

describe('muc: clients of one account', () => {
  let scene: RoomScene;
  let room: Room;
  let keeper: Probe;
  let witness: Probe;
  let desk: Probe;
  let phone: Probe;

  beforeEach(async () => {
    scene = await RoomScene.start();
    room = await scene.room();
    keeper = await scene.client('keeper');
    witness = await scene.client('witness');
    desk = await scene.client('romeo', 'desk');
    phone = await scene.client('romeo', 'phone');
    for (const probe of [keeper, witness, desk, phone]) await scene.enter(probe, { nick: probe.session.jid.local });
    await scene.hush(keeper, witness, desk, phone);
  });
  afterEach(() => scene.stop());

  const all = (): readonly Probe[] => [keeper, witness, desk, phone];
  const sends = async (probe: Probe, stanza: string): Promise<void> => {
    probe.send(stanza);
    await settle();
  };
  const leave = (probe: Probe, nick = 'romeo'): Promise<void> =>
    sends(probe, `<presence type='unavailable' to='${LOUNGE}/${nick}'/>`);
  /** What a presence says: from which nick, of which type, with which codes. */
  const brief = ({ attrs, ...rest }: Element, stanza = { attrs, ...rest } as Element): string =>
    [String(attrs['from']).slice(LOUNGE.length + 1), attrs['type'] ?? 'available', ...codesIn(stanza)].join(' ');
  const presences = (probe: Probe): string[] =>
    probe
      .take()
      .filter(({ name }) => name === 'presence')
      .map((stanza) => brief(stanza, stanza));

  it('share a nick: others see one, and each is told of itself', async () => {
    const late = await scene.client('late');
    const told = await scene.enter(late);
    const shown = told.filter(({ name, attrs }) => name === 'presence' && attrs['from'] === `${LOUNGE}/romeo`);
    assert.equal(shown.length, 1);
    await leave(late, 'late');
    await scene.hush(...all());
    const again = await scene.enter(phone);
    assert.deepEqual(codesIn(again.findLast(({ name }) => name === 'presence')), ['110', '170']);
    const items = await keeper.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`);
    assert.equal(items.getChild('query')?.getChildren('item').length, 3);
  });

  it('hear everything, and may each speak', async () => {
    await sends(desk, say('from the desk'));
    await sends(phone, say('from the phone'));
    for (const probe of all()) assert.deepEqual(bodies(probe.take()), ['from the desk', 'from the phone']);
  });

  it('all get private messages to their nick, each once', async () => {
    await sends(witness, `<message type='chat' to='${LOUNGE}/romeo' id='p1'><body>Psst</body></message>`);
    for (const probe of [desk, phone]) {
      const got = probe.take();
      assert.deepEqual(
        got.map(({ attrs }) => [attrs['from'], attrs['to'], attrs['id']]),
        [[`${LOUNGE}/witness`, probe.jid, 'p1']],
      );
    }
    assert.deepEqual(witness.take().map(String), []);
    await sends(desk, `<message type='chat' to='${LOUNGE}/romeo'><body>Note</body></message>`);
    assert.equal(phone.take().length, 1);
  });

  it('leave one by one: others see the nick as long as one of them is there', async () => {
    await leave(desk);
    assert.deepEqual(presences(desk), ['romeo unavailable 110']);
    for (const probe of [keeper, witness, phone]) {
      for (const seen of presences(probe)) assert.match(seen, /^romeo available/);
    }
    assert.equal(room.occupants.named('romeo').length, 1);
    await sends(phone, say('still here'));
    await sends(desk, say('not any more'));
    assert.deepEqual(desk.take().map(errorIn), ['not-acceptable/modify']);
    assert.deepEqual(bodies(witness.take()), ['still here']);
    await leave(phone);
    assert.deepEqual(presences(witness), ['romeo unavailable']);
    assert.equal(room.occupants.named('romeo').length, 0);
  });

  it('vanish one by one, too', async () => {
    desk.drop();
    await settle();
    for (const seen of presences(witness)) assert.match(seen, /^romeo available/);
    phone.drop();
    await settle();
    assert.deepEqual(presences(witness), ['romeo unavailable']);
  });

  it('are shown out together when their nick is (section 8.2)', async () => {
    assert.equal(errorIn(await keeper.ask(change("<item nick='romeo' role='none'/>"))), undefined);
    await settle();
    for (const probe of [desk, phone]) {
      const own = presences(probe).filter((seen) => seen.includes('110'));
      assert.equal(own.at(-1), 'romeo unavailable 110 307');
      assert.equal(own.filter((seen) => seen.includes('unavailable')).length, 1);
    }
    const seen = presences(witness);
    assert.equal(seen.at(-1), 'romeo unavailable 307');
    assert.equal(seen.filter((each) => each.includes('unavailable')).length, 1);
    assert.equal(room.occupants.named('romeo').length, 0);
  });

  it('are banned together (section 9.1)', async () => {
    await keeper.ask(change("<item jid='romeo@example.org' affiliation='outcast'/>"));
    await settle();
    for (const probe of [desk, phone]) assert(presences(probe).includes('romeo unavailable 110 301'));
    assert.equal(presences(witness).filter((each) => each.includes('unavailable')).length, 1);
    for (const probe of [desk, phone]) assert.equal(errorIn((await scene.enter(probe))[0]), 'forbidden/auth');
  });

  it('gain and lose a role together (sections 8.3 and 9.6)', async () => {
    for (const role of ['visitor', 'participant', 'moderator']) {
      assert.equal(errorIn(await keeper.ask(change(`<item nick='romeo' role='${role}'/>`))), undefined);
      await settle();
      assert.deepEqual(
        room.occupants.named('romeo').map((occupant) => occupant.role),
        [role, role],
      );
      for (const probe of [desk, phone]) {
        const own = probe.take().filter((stanza) => codesIn(stanza).includes('110'));
        assert.equal(itemIn(own.at(-1))['role'], role);
      }
    }
  });

  it('have one affiliation', async () => {
    await keeper.ask(change("<item jid='romeo@example.org' affiliation='admin'/>"));
    await settle();
    for (const probe of [desk, phone]) {
      const own = probe.take().filter((stanza) => codesIn(stanza).includes('110'));
      assert.deepEqual([itemIn(own.at(-1))['affiliation'], itemIn(own.at(-1))['role']], ['admin', 'moderator']);
    }
  });

  it('part when one of them changes its nick (section 7.6): the old one is still there', async () => {
    await sends(desk, `<presence to='${LOUNGE}/Montague'/>`);
    assert.deepEqual([room.occupants.named('romeo').length, room.occupants.named('Montague').length], [1, 1]);
    const own = presences(desk);
    assert.deepEqual(own.slice(0, 2), ['romeo unavailable 110 303', 'Montague available 110']);
    // Whoever watches ends up with both nicks there.
    const shown = new Set(['romeo']);
    for (const stanza of witness.take().filter(({ name }) => name === 'presence')) {
      const nick = String(stanza.attrs['from']).slice(LOUNGE.length + 1);
      if (stanza.attrs['type'] === 'unavailable') shown.delete(nick);
      else shown.add(nick);
    }
    assert.deepEqual([...shown].sort(), ['Montague', 'romeo']);
    await sends(witness, `<message type='chat' to='${LOUNGE}/romeo'><body>to the phone</body></message>`);
    assert.deepEqual([desk.take().length, phone.take().filter(({ name }) => name === 'message').length], [0, 1]);
    await scene.hush(...all());
    // And meet again.
    await sends(phone, `<presence to='${LOUNGE}/Montague'/>`);
    assert.equal(room.occupants.named('Montague').length, 2);
    assert(presences(witness).includes('romeo unavailable 303'));
  });

  it('may have different nicks, and are shown out by them one by one', async () => {
    await sends(desk, `<presence to='${LOUNGE}/Montague'/>`);
    await scene.hush(...all());
    await keeper.ask(change("<item nick='romeo' role='none'/>"));
    await settle();
    assert.deepEqual(presences(phone), ['romeo unavailable 110 307']);
    assert.deepEqual(presences(desk), ['romeo unavailable 307']);
    assert.equal(room.occupants.ofAccount('romeo@example.org').length, 1);
  });

  it('say themselves when they are away, and others see the nick as the one says who came last to say so', async () => {
    await sends(phone, `<presence to='${LOUNGE}/romeo'><show>away</show></presence>`);
    const [seen] = witness.take();
    assert.deepEqual([seen?.attrs['from'], seen?.getChildText('show')], [`${LOUNGE}/romeo`, 'away']);
  });

  it('that come again are told everything again, and others nothing new is wrong (section 17.3)', async () => {
    await sends(desk, say('Hail'));
    await scene.hush(...all());
    const told = await scene.enter(desk);
    const names = told.filter(({ name }) => name === 'presence').map((stanza) => brief(stanza, stanza));
    assert.deepEqual(names.sort(), ['keeper available', 'romeo available 110 170', 'witness available']);
    assert.deepEqual(bodies(told), ['Hail']);
    assert.equal(told.at(-1)?.getChild('subject') !== undefined, true);
    assert.equal(room.occupants.size, 4);
    for (const seen of presences(witness)) assert.match(seen, /^romeo available/);
  });

  it('enter at once, however many, and there is one nick', async () => {
    const probes = [];
    for (let i = 0; i < 8; i++) probes.push(await scene.client('juliet', `r${i}`));
    for (const probe of probes) probe.send(join(`${LOUNGE}/juliet`));
    await settle();
    assert.equal(room.occupants.named('juliet').length, 8);
    assert.equal(room.occupants.people, 4);
    await scene.hush(...probes, ...all());
    await sends(witness, say('to all of you'));
    for (const probe of probes) assert.deepEqual(bodies(probe.take()), ['to all of you']);
    for (const probe of probes) probe.drop();
    await settle();
    assert.equal(presences(keeper).filter((seen) => seen === 'juliet unavailable').length, 1);
  });

  it('do not have two spellings of one nick at once, of which one would be left behind', async () => {
    for (const nick of ['ROMEO', 'Rоmeo']) {
      const tablet = await scene.client('romeo', `tablet ${nick}`);
      const told = await scene.enter(tablet, { nick });
      const nicks = new Set(
        [...room.occupants].map((occupant) => occupant.nick).filter((each) => !['keeper', 'witness'].includes(each)),
      );
      assert.deepEqual([...nicks], ['romeo'], String(told));
      await scene.hush(...all());
      await sends(desk, `<presence to='${LOUNGE}/${nick}'/>`);
      assert.deepEqual(desk.take().map(errorIn), ['conflict/cancel']);
      await leave(tablet, nick);
      await scene.hush(...all());
    }
    // Whoever is alone may spell it otherwise.
    await leave(phone);
    await scene.hush(...all());
    await sends(desk, `<presence to='${LOUNGE}/Romeo'/>`);
    assert.deepEqual(presences(witness), ['romeo unavailable 303', 'Romeo available']);
  });

  it('do not take over the nick of another account by being many', async () => {
    const mallory = await scene.client('mallory');
    for (const nick of ['romeo', 'ROMEO', 'rоmeo']) {
      assert.equal(errorIn((await scene.enter(mallory, { nick }))[0]), 'conflict/cancel');
    }
    await leave(desk);
    assert.equal(errorIn((await scene.enter(mallory, { nick: 'romeo' }))[0]), 'conflict/cancel');
    await leave(phone);
    assert.equal(errorIn((await scene.enter(mallory, { nick: 'romeo' }))[0]), undefined);
  });
});
