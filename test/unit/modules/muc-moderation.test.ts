import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { infoOf, payloadOf } from '../../support/answers.ts';
import { FASTEN, idIn, MODERATE, ModerationScene, moderate, RETRACT } from '../../support/moderation-scene.ts';
import type { Probe } from '../../support/probe.ts';
import { bodies, configure, errorIn, LOUNGE } from '../../support/room-scene.ts';

const older = (id: string, reason = '') =>
  `<iq type='set' to='${LOUNGE}'><apply-to xmlns='${FASTEN}' id='${id}'><moderate xmlns='urn:xmpp:message-moderate:0'><retract xmlns='urn:xmpp:message-retract:0'/>${reason}</moderate></apply-to></iq>`;

describe('muc-moderation: retraction by moderators', () => {
  let scene: ModerationScene;
  let romeo: Probe;

  beforeEach(async () => {
    scene = await ModerationScene.start({
      plan: { people: { admin: 'admin', other: 'owner', member: 'member', outcast: 'outcast' } },
    });
    romeo = await scene.enter('romeo');
  });
  afterEach(() => scene.stop());

  const features = async () => {
    const info = `<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;
    return infoOf(payloadOf(await romeo.ask(info))).features;
  };

  it('is told to everybody by the room, and leaves a tombstone that names the moderator', async () => {
    const id = await scene.say(romeo, 'spam', 'm1');
    await scene.scene.hush(scene.keeper);
    assert.equal((await scene.keeper.ask(moderate(id, 'Off topic'))).attrs['type'], 'result');
    const keeperId = scene.room.occupantId('keeper@example.org');
    for (const probe of [romeo, scene.keeper]) {
      const told = await probe.receive('message');
      assert.equal(told.attrs['from'], LOUNGE);
      assert.equal(told.attrs['type'], 'groupchat');
      checkVerdict(told.getChild('retract', RETRACT), { id, keeperId });
      const fastened = told.getChild('apply-to', FASTEN);
      assert.equal(fastened?.attrs['id'], id);
      const verdict = fastened?.getChild('moderated', 'urn:xmpp:message-moderate:0');
      assert.equal(verdict?.attrs['by'], `${LOUNGE}/keeper`);
      assert(verdict?.getChild('retract', 'urn:xmpp:message-retract:0'));
      assert.equal(verdict?.getChildText('reason'), 'Off topic');
    }
    const [tombstone, retraction] = await scene.archive();
    const retracted = tombstone!.getChild('retracted', RETRACT);
    assert.equal(retracted?.attrs['id'], retraction!.attrs['id']);
    checkVerdict(retracted, { keeperId });
    assert.equal(tombstone!.attrs['id'], 'm1');
    assert.equal(tombstone!.getChild('occupant-id')?.attrs['id'], scene.room.occupantId('romeo@example.org'));
    assert.equal(tombstone!.getChild('body'), undefined);
    checkVerdict(retraction!.getChild('retract', RETRACT), { id, keeperId });
  });

  it('is shown to nobody who comes later', async () => {
    const id = await scene.say(romeo, 'spam');
    await scene.keeper.ask(moderate(id));
    const nurse = await scene.scene.client('nurse');
    assert.deepEqual(bodies(await scene.scene.enter(nurse)), []);
  });

  it('is understood from older clients', async () => {
    const id = await scene.say(romeo, 'spam');
    assert.equal((await scene.keeper.ask(older(id, '<reason>Off topic</reason>'))).attrs['type'], 'result');
    const [tombstone] = await scene.archive();
    checkVerdict(tombstone!.getChild('retracted', RETRACT), { keeperId: scene.room.occupantId('keeper@example.org') });
  });

  it('is offered where there is an archive', async () => {
    const wanted = [MODERATE, 'urn:xmpp:message-moderate:0', RETRACT, `${RETRACT}#tombstone`];
    const before = await features();
    assert.deepEqual(
      wanted.filter((feature) => !before.includes(feature)),
      [],
    );
    await scene.keeper.ask(configure({ enablelogging: '0' }));
    const after = await features();
    assert.deepEqual(
      wanted.filter((feature) => after.includes(feature)),
      [],
    );
  });

  it('is for moderators, and for admins who are not there', async () => {
    const id = await scene.say(romeo, 'hello');
    const member = await scene.enter('member');
    const visitor = await scene.enter('visitor');
    scene.scene.assign(scene.room, 'visitor', 'visitor');
    const others = [romeo, member, visitor, await scene.scene.client('outcast'), await scene.scene.client('stranger')];
    for (const probe of others) {
      assert.equal(errorIn(await probe.ask(moderate(id))), 'forbidden/auth', probe.jid);
      assert.equal(errorIn(await probe.ask(older(id))), 'forbidden/auth', probe.jid);
    }
    assert.deepEqual(bodies(await scene.archive()), ['hello']);
    const admin = await scene.scene.client('admin');
    assert.equal((await admin.ask(moderate(id))).attrs['type'], 'result');
    const [tombstone] = await scene.archive();
    const moderated = tombstone!.getChild('retracted')?.getChild('moderated');
    assert.equal(moderated?.attrs['by'], undefined);
    assert.equal(moderated?.getChild('occupant-id')?.attrs['id'], scene.room.occupantId('admin@example.org'));
  });

  it('spares admins and owners from those who are less', async () => {
    const admin = await scene.enter('admin');
    const helper = await scene.enter('helper');
    scene.scene.assign(scene.room, 'helper', 'moderator');
    const ofKeeper = await scene.say(scene.keeper, 'owner');
    const ofAdmin = await scene.say(admin, 'admin');
    assert.equal(errorIn(await helper.ask(moderate(ofAdmin))), 'not-allowed/cancel');
    assert.equal(errorIn(await admin.ask(moderate(ofKeeper))), 'not-allowed/cancel');
    assert.equal((await scene.keeper.ask(moderate(ofAdmin))).attrs['type'], 'result');
    assert.equal((await (await scene.scene.client('other')).ask(moderate(ofKeeper))).attrs['type'], 'result');
  });

  it('is done once: also when two do it at the same time', async () => {
    const helper = await scene.enter('helper');
    scene.scene.assign(scene.room, 'helper', 'moderator');
    const id = await scene.say(romeo, 'spam');
    await scene.scene.hush(romeo);
    const answers = await Promise.all([helper.ask(moderate(id)), scene.keeper.ask(moderate(id))]);
    assert.deepEqual(
      answers.map(({ attrs }) => String(attrs['type'])),
      ['result', 'result'],
    );
    assert.equal((await scene.keeper.ask(moderate(id))).attrs['type'], 'result');
    await scene.scene.hush();
    assert.equal(romeo.take().length, 1);
  });

  it('says of what was not said here that it is not there', async () => {
    await scene.scene.room({ name: 'cellar' });
    const cellar = 'cellar@conference.example.org';
    const keeper = scene.keeper;
    await scene.scene.enter(keeper, { room: cellar });
    const id = await scene.say(romeo, 'here');
    assert.equal(errorIn(await keeper.ask(moderate(id).replace(LOUNGE, cellar))), 'item-not-found/cancel');
    for (const wrong of ['01a21108-7373-7481-8c96-3bf5e8fa37e9', 'm1', '&apos;', 'x'.repeat(5000)]) {
      assert.equal(errorIn(await keeper.ask(moderate(wrong))), 'item-not-found/cancel', wrong);
    }
    assert.equal(errorIn(await keeper.ask(moderate(''))), 'bad-request/modify');
    assert.deepEqual(bodies(await scene.archive()), ['here']);
  });

  it('leaves what the room itself has said', async () => {
    const id = await scene.say(romeo, 'spam');
    await scene.keeper.ask(moderate(id));
    const notice = await romeo.receive('message');
    assert.equal(errorIn(await scene.keeper.ask(moderate(idIn(notice)))), 'not-allowed/cancel');
  });

  it('takes no reasons that are too long, and nothing but retraction', async () => {
    const id = await scene.say(romeo, 'hello');
    assert.equal(errorIn(await scene.keeper.ask(moderate(id, 'x'.repeat(1025)))), 'not-acceptable/modify');
    assert.equal(errorIn(await scene.keeper.ask(older(id, `<reason>${'x'.repeat(2000)}</reason>`))), 'not-acceptable/modify');
    const edit = `<iq type='set' to='${LOUNGE}'><moderate xmlns='${MODERATE}' id='${id}'><edit/></moderate></iq>`;
    assert.equal(errorIn(await scene.keeper.ask(edit)), 'feature-not-implemented/cancel');
    const unknown = `<iq type='set' to='${LOUNGE}'><apply-to xmlns='${FASTEN}' id='${id}'><edit/></apply-to></iq>`;
    assert.equal(errorIn(await scene.keeper.ask(unknown)), 'service-unavailable/cancel');
    assert.deepEqual(bodies(await scene.archive()), ['hello']);
  });

  it('writes reasons so that nothing breaks out of them', async () => {
    const id = await scene.say(romeo, 'spam');
    await scene.keeper.ask(moderate(id, '&lt;/reason&gt;&lt;body&gt;x &amp; y'));
    const told = await romeo.receive('message');
    assert.equal(told.getChild('retract')?.getChildText('reason'), '</reason><body>x & y');
    assert.equal(told.getChild('body'), undefined);
  });
});

function checkVerdict(verdict: Element | undefined, wanted: { readonly id?: string; readonly keeperId: string }): void {
  if (wanted.id !== undefined) assert.equal(verdict?.attrs['id'], wanted.id);
  const moderated = verdict?.getChild('moderated', MODERATE);
  assert.equal(moderated?.attrs['by'], `${LOUNGE}/keeper`);
  assert.equal(moderated?.getChild('occupant-id', 'urn:xmpp:occupant-id:0')?.attrs['id'], wanted.keeperId);
  assert.equal(verdict?.getChildText('reason'), 'Off topic');
}
