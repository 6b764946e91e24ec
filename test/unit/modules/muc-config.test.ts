// The configuration of a room, filled in as it should be and as it should not (XEP-0045 sections 10.1 and 10.2).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { CONFIG, codesIn, configure, errorIn, itemIn, join, LOUNGE, OWNER, RoomScene } from '../../support/room-scene.ts';

const DATA = 'jabber:x:data';
const own = (name: string): string => `{parlance:rooms:1}${name}`;

describe('muc: configuration', () => {
  let scene: RoomScene;
  let room: Room;
  let keeper: Probe;
  let carol: Probe;

  beforeEach(async () => {
    scene = await RoomScene.start();
    room = await scene.room();
    keeper = await scene.client('keeper');
    carol = await scene.client('carol');
    await scene.enter(keeper);
    await scene.enter(carol);
    await scene.hush(keeper, carol);
  });
  afterEach(() => scene.stop());

  const submit = (x: string): Promise<Element> =>
    keeper.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='${OWNER}'>${x}</query></iq>`);
  const state = (): unknown => [room.settings, [...room.members], room.isLocked, room.version];

  /** Is refused, changes nothing, and nobody hears of it. */
  async function expectRefusal(iq: Promise<Element>, error: string, name: string): Promise<void> {
    const before = state();
    assert.equal(errorIn(await iq), error, name);
    assert.deepEqual(state(), before, name);
    await carol.quiet();
  }

  const long = 'n'.repeat(5000);
  for (const [field, ...values] of [
    ['moderatedroom', 'yes', '', 'TRUE', '2', 'moderated'],
    ['membersonly', 'on', '-1', ' '],
    ['publicroom', 'null'],
    ['persistentroom', '<b/>'.replace(/</g, '&lt;')],
    ['changesubject', 'x'],
    ['allowinvites', 'x'],
    ['enablelogging', 'x'],
    ['passwordprotectedroom', 'x'],
    ['allowpm', 'everyone', '', 'visitors', 'Anyone'],
    ['whois', 'nobody', '', 'everyone'],
    ['maxusers', '-1', '1.5', '1e3', 'many', '99999999999999999999', '٣'],
    ['presencebroadcast', 'emperor', 'none', 'Moderator'],
    ['getmemberlist', 'emperor'],
    ['muc#maxhistoryfetch', '-1', '1.5', 'all', '99999999999999999999'],
    ['roomname', long],
    ['roomdesc', long],
    ['lang', long],
    ['roomsecret', long],
    ['pubsub', long],
    ['roomadmins', '@', '@@@', 'a b@c'],
    ['roomowners', '@', '/'],
    [own('who_may_speak'), 'emperor', ''],
    [own('registration'), 'maybe'],
    [own('attributes'), long],
    [own('fixed_nicks'), 'perhaps'],
  ] as const) {
    it(`refuses values that cannot be, and everything with them: ${field}`, async () => {
      for (const value of values) {
        const name = `${field} = ${value.slice(0, 20)}`;
        await expectRefusal(keeper.ask(configure({ [field]: value })), 'not-acceptable/modify', name);
        // Nor does what is right beside it hold, be it before or behind.
        const right = { 'muc#roomconfig_roomname': 'Cave', 'muc#roomconfig_roomadmins': 'carol@example.org' };
        const wrong = /[#{]/.test(field) ? field : `muc#roomconfig_${field}`;
        await expectRefusal(keeper.ask(configure({ ...right, [wrong]: value })), 'not-acceptable/modify', name);
        await expectRefusal(keeper.ask(configure({ [wrong]: value, ...right, [wrong]: value })), 'not-acceptable/modify', name);
      }
    });
  }

  it('refuses a password that is wanted and not there (section 10.1.3)', async () => {
    for (const fields of [
      { passwordprotectedroom: '1' },
      { passwordprotectedroom: 'true' },
      { passwordprotectedroom: '1', roomsecret: '' },
      { passwordprotectedroom: '1', roomsecret: [] },
    ]) {
      await expectRefusal(keeper.ask(configure(fields)), 'not-acceptable/modify', JSON.stringify(fields));
    }
  });

  it('knows what belongs to a password', async () => {
    const passwordAfter = async (fields: Record<string, string>): Promise<string | undefined> => {
      assert.equal(errorIn(await keeper.ask(configure(fields))), undefined);
      return room.settings.password;
    };
    assert.equal(await passwordAfter({ roomsecret: 'not wanted' }), undefined);
    assert.equal(await passwordAfter({ passwordprotectedroom: '1', roomsecret: 'sesame' }), 'sesame');
    assert.equal(await passwordAfter({ roomname: 'Cave' }), 'sesame');
    assert.equal(await passwordAfter({ passwordprotectedroom: '1' }), 'sesame');
    assert.equal(await passwordAfter({ passwordprotectedroom: '0', roomsecret: 'sesame' }), undefined);
  });

  for (const [name, x, error] of [
    ['no form', '', 'bad-request/modify'],
    ['something else', "<x xmlns='urn:example:x'/>", 'bad-request/modify'],
    ['a form of another type', `<x xmlns='${DATA}' type='form'/>`, 'bad-request/modify'],
    ['a result', `<x xmlns='${DATA}' type='result'/>`, 'bad-request/modify'],
    ['a form without a type', `<x xmlns='${DATA}'/>`, 'bad-request/modify'],
    ['a form of an unknown type', `<x xmlns='${DATA}' type='send'/>`, 'bad-request/modify'],
    ['a destruction at no address', "<destroy jid='@@'/>", 'jid-malformed/modify'],
  ] as const) {
    it(`refuses ${name}`, () => expectRefusal(submit(x), error, name));
  }

  it('refuses a form that means something else (XEP-0068)', async () => {
    for (const type of ['http://jabber.org/protocol/muc#register', `${CONFIG}x`, '']) {
      await expectRefusal(keeper.ask(configure({ roomname: 'Cave' }, { type })), 'bad-request/modify', type);
    }
  });

  it('leaves all as it is when the form is cancelled (section 10.2)', async () => {
    const before = state();
    const form = configure({ roomname: 'Cave', membersonly: '1' }).replace("type='submit'", "type='cancel'");
    assert.equal(errorIn(await keeper.ask(form)), undefined);
    assert.deepEqual(state(), before);
    await carol.quiet();
  });

  it('overlooks fields that it does not know, and those without a name', async () => {
    const before = state();
    for (const name of ['roomfunctions', '{urn:example}field', 'muc#__proto__', '#constructor', 'muc#roomconfig_']) {
      assert.equal(errorIn(await keeper.ask(configure({ [name]: 'x' }))), undefined, name);
    }
    const odd = "<field/><field var=''/><field var='__proto__'><value>1</value></field><reported/><item/>";
    assert.equal(errorIn(await submit(`<x xmlns='${DATA}' type='submit'>${odd}</x>`)), undefined);
    assert.deepEqual(state(), before);
    await carol.quiet();
  });

  it('is the same when it is sent back as it is, and nobody is told', async () => {
    await keeper.ask(
      configure({ roomname: 'Cave &lt;&amp;&gt;', passwordprotectedroom: '1', roomsecret: ' a b ', maxusers: '30', lang: 'de' }),
    );
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('admin@example.org'), affiliation: 'admin' }]);
    const form = (await keeper.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='${OWNER}'/></iq>`))
      .getChild('query')!
      .getChild('x')!;
    form.attrs['type'] = 'submit';
    assert.deepEqual([room.settings.name, room.settings.password, room.settings.lang], ['Cave <&>', ' a b ', 'de']);
    await scene.hush(keeper, carol);
    const before = state();
    assert.equal(errorIn(await submit(String(form))), undefined);
    assert.deepEqual(state(), before);
    await carol.quiet();
  });

  it('keeps what two forms say that come at once, each of other fields', async () => {
    const phone = await scene.client('keeper', 'phone');
    const answers = await Promise.all([
      keeper.ask(
        configure({ roomname: 'Cave', passwordprotectedroom: '1', roomsecret: 'sesame', [own('who_may_speak')]: 'members' }),
      ),
      phone.ask(configure({ roomdesc: 'Damp', whois: 'anyone', [own('registration')]: 'closed' })),
    ]);
    assert.deepEqual(answers.map(errorIn), [undefined, undefined]);
    const { name, description, password, whois, extras } = room.settings;
    assert.deepEqual([name, description, password, whois], ['Cave', 'Damp', 'sesame', 'anyone']);
    assert.deepEqual(extras, { [own('who_may_speak')]: ['members'], [own('registration')]: ['closed'] });
    await settle();
    const notices = carol.take().filter((stanza) => stanza.name === 'message');
    assert.deepEqual(notices.map(codesIn), [['104'], ['104', '172']]);
  });

  it('refuses a form that makes no sense any more when it is its turn', async () => {
    await keeper.ask(configure({ passwordprotectedroom: '1', roomsecret: 'sesame' }));
    const phone = await scene.client('keeper', 'phone');
    const answers = await Promise.all([
      keeper.ask(configure({ passwordprotectedroom: '0' })),
      phone.ask(configure({ passwordprotectedroom: '1' })),
    ]);
    assert.deepEqual(answers.map(errorIn), [undefined, 'not-acceptable/modify']);
    assert.equal(room.settings.password, undefined);
  });

  it('is not stored for a room that has been destroyed meanwhile', async () => {
    const [destroyed, configured] = await Promise.allSettled([
      scene.rooms.destroy(room),
      scene.rooms.configure(room, room.settings),
    ]);
    assert.equal(destroyed.status, 'fulfilled');
    assert.equal(configured.status, 'rejected');
    await assert.rejects(Promise.resolve(scene.rooms.find(room.jid)), { condition: 'gone' });
  });

  it('is shown with the fields of section 16.5.3, each with what holds', async () => {
    const form = (await keeper.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='${OWNER}'/></iq>`))
      .getChild('query')!
      .getChild('x')!;
    const fields = new Map(form.getChildren('field').map((field) => [field.attrs['var'], field.getChildText('value')]));
    assert.equal(fields.get('FORM_TYPE'), CONFIG);
    for (const [name, value] of [
      ['moderatedroom', '0'],
      ['whois', 'moderators'],
      ['publicroom', '1'],
      ['roomowners', 'keeper@example.org'],
    ]) {
      assert.equal(fields.get(`muc#roomconfig_${name}`), value);
    }
  });

  for (const [name, fields, codes] of [
    ['addresses are shown to all', { whois: 'anyone' }, ['172']],
    ['messages are not kept any more', { enablelogging: '0' }, ['171']],
    ['the name is another', { roomname: 'Cave' }, ['104']],
    ['the room is moderated', { moderatedroom: '1' }, ['104']],
    ['the room has a password', { passwordprotectedroom: '1', roomsecret: 'sesame' }, ['104']],
    ['two of these', { whois: 'anyone', roomname: 'Cave' }, ['104', '172']],
  ] as const) {
    it(`tells everybody what it means for them (section 10.2.1): ${name}`, async () => {
      assert.equal(errorIn(await keeper.ask(configure(fields))), undefined);
      await settle();
      const notices = carol.take().filter((stanza) => stanza.name === 'message');
      assert.equal(notices.length, 1);
      assert.deepEqual([notices[0]?.attrs['from'], notices[0]?.attrs['type']], [LOUNGE, 'groupchat']);
      assert.deepEqual(codesIn(notices[0]), codes);
      assert.doesNotMatch(String(notices[0]), /sesame|keeper@/);
    });
  }

  it('and the other way round', async () => {
    await scene.rooms.configure(room, { ...room.settings, whois: 'anyone', isArchived: false });
    await scene.hush(carol);
    await keeper.ask(configure({ whois: 'moderators', enablelogging: '1' }));
    await settle();
    assert.deepEqual(codesIn(carol.take().find((stanza) => stanza.name === 'message')), ['170', '173']);
  });

  it('shows those out who are no members when the room becomes theirs (section 10.2)', async () => {
    const nurse = await scene.client('nurse');
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('nurse@example.org'), affiliation: 'member' }]);
    await scene.enter(nurse);
    await scene.hush(keeper, carol, nurse);
    await keeper.ask(configure({ membersonly: '1' }));
    await settle();
    const [out] = carol.take();
    assert.equal(out?.attrs['type'], 'unavailable');
    assert.deepEqual(codesIn(out), ['110', '322']);
    const seen = nurse.take().filter((stanza) => stanza.name === 'presence');
    assert.deepEqual(seen.map(codesIn), [['322']]);
    assert.deepEqual([...room.occupants].map(({ nick }) => nick).sort(), ['keeper', 'nurse']);
    assert.equal(errorIn((await scene.enter(carol))[0]), 'registration-required/auth');
  });

  it('takes and gives voice when the room becomes moderated and is no longer (section 5.1.2)', async () => {
    for (const [value, role] of [
      ['1', 'visitor'],
      ['0', 'participant'],
    ] as const) {
      await keeper.ask(configure({ moderatedroom: value }));
      await settle();
      const changed = carol.take().filter((stanza) => stanza.name === 'presence');
      assert.deepEqual(
        changed.map((stanza) => itemIn(stanza)['role']),
        [role],
      );
      assert.equal(room.occupants.named('keeper')[0]?.role, 'moderator');
    }
  });

  it('keeps nobody out who is in when there is room for fewer, but those who come', async () => {
    await keeper.ask(configure({ maxusers: '1' }));
    assert.equal(room.occupants.size, 2);
    const nurse = await scene.client('nurse');
    assert.equal(errorIn((await scene.enter(nurse))[0]), 'service-unavailable/wait');
    // Admins and owners find room (section 7.2.9).
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('nurse@example.org'), affiliation: 'admin' }]);
    assert.equal(errorIn((await scene.enter(nurse))[0]), undefined);
  });

  describe('of a room that is new', () => {
    const CAVE = 'cave@conference.example.org';
    let locked: RoomScene;
    let maker: Probe;

    beforeEach(async () => {
      locked = await RoomScene.start({ muc: { lock: true } });
      maker = await locked.client('maker');
      const told = await locked.enter(maker, { room: CAVE });
      assert.deepEqual(codesIn(told[0]), ['110', '170', '201']);
    });
    afterEach(() => locked.stop());

    const other = (): Promise<Probe> => locked.client('other');

    it('keeps others out until it is there (section 10.1.1), whatever they want', async () => {
      const stranger = await other();
      assert.equal(errorIn((await locked.enter(stranger, { room: CAVE }))[0]), 'item-not-found/cancel');
      for (const iq of [
        `<iq type='get' to='${CAVE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
        `<iq type='get' to='${CAVE}'><query xmlns='${OWNER}'/></iq>`,
        `<iq type='set' to='${CAVE}'><query xmlns='urn:xmpp:mam:2'/></iq>`,
        `<iq type='get' to='${CAVE}'><query xmlns='jabber:iq:register'/></iq>`,
      ]) {
        assert.match(errorIn(await stranger.ask(iq)) ?? '', /^(item-not-found\/cancel|forbidden\/auth)$/, iq);
      }
      await maker.quiet();
    });

    it('tells nobody of changes when it is submitted (section 10.1)', async () => {
      await locked.hush(maker);
      assert.equal(errorIn(await maker.ask(configure({ roomname: 'Cave', whois: 'anyone' }, { room: CAVE }))), undefined);
      await maker.quiet();
    });

    it('lets them in once it is submitted, empty or not (sections 10.1.2 and 10.1.3)', async () => {
      assert.equal(errorIn(await maker.ask(configure({}, { room: CAVE }))), undefined);
      assert.equal(errorIn((await locked.enter(await other(), { room: CAVE }))[0]), undefined);
    });

    it('keeps them out while it is wrong', async () => {
      assert.equal(errorIn(await maker.ask(configure({ passwordprotectedroom: '1' }, { room: CAVE }))), 'not-acceptable/modify');
      assert.equal(errorIn((await locked.enter(await other(), { room: CAVE }))[0]), 'item-not-found/cancel');
    });

    it('ends the room when it is cancelled, and when its maker goes', async () => {
      const cancel = `<iq type='set' to='${CAVE}'><query xmlns='${OWNER}'><x xmlns='${DATA}' type='cancel'/></query></iq>`;
      assert.equal(errorIn(await maker.ask(cancel)), undefined);
      await settle();
      const [end] = maker.take();
      assert.equal(end?.attrs['type'], 'unavailable');
      assert.notEqual(end?.getChild('x')?.getChild('destroy'), undefined);
      // It never was: the next one makes it again.
      const stranger = await other();
      assert.deepEqual(codesIn((await locked.enter(stranger, { room: CAVE }))[0]), ['110', '170', '201']);
      stranger.send(`<presence type='unavailable' to='${CAVE}/other'/>`);
      await locked.hush(stranger);
      assert.deepEqual(codesIn((await locked.enter(maker, { room: CAVE }))[0]), ['110', '170', '201']);
      maker.drop();
      await settle();
      stranger.send(join(`${CAVE}/other`));
      await settle();
      assert.deepEqual(codesIn(stranger.take()[0]), ['110', '170', '201']);
    });
  });
});
