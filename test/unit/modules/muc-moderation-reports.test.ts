import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { infoOf, payloadOf } from '../../support/answers.ts';
import { ModerationScene, moderate } from '../../support/moderation-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { LOUNGE } from '../../support/room-scene.ts';

const NS = 'urn:xmpp:reporting:1';

/** A block request with a report (section 7). */
function block(
  jid: string,
  { ids = [] as readonly string[], by = LOUNGE, text = '', reason = 'urn:xmpp:reporting:spam' } = {},
): string {
  const named = ids.map((id) => `<stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${id}'/>`).join('');
  const report = `<report xmlns='${NS}' reason='${reason}'>${named}${text === '' ? '' : `<text>${text}</text>`}</report>`;
  return `<iq type='set'><block xmlns='urn:xmpp:blocking'><item jid='${jid}'>${report}</item></block></iq>`;
}

describe('muc-moderation: reports', () => {
  let scene: ModerationScene;
  let romeo: Probe;
  let juliet: Probe;

  async function start(reports = {}): Promise<void> {
    scene = await ModerationScene.start({ modules: { blocking: { reports } }, settings: { admins: ['boss@example.org'] } });
    romeo = await scene.enter('romeo');
    juliet = await scene.enter('juliet');
  }
  beforeEach(() => start());
  afterEach(() => scene.stop());

  const atRoom = (probe = scene.keeper) => scene.run(probe, 'reports');
  const atHost = async () => scene.run(await scene.scene.client('boss'), 'parlance:reports:1#list', {}, 'example.org');
  /** Sends a report; returns what the moderator is told. */
  async function report(probe: Probe, iq: string): Promise<Element[]> {
    await scene.scene.hush(scene.keeper);
    assert.equal((await probe.ask(iq)).attrs['type'], 'result');
    await settle();
    return scene.keeper.take().filter(({ name }) => name === 'message');
  }

  it('are offered by the host (section 3)', async () => {
    const info = await romeo.ask(`<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert(infoOf(payloadOf(info)).features.includes(NS));
  });

  it('of messages of a room are told to its moderators, and kept', async () => {
    const id = await scene.say(romeo, 'Buy pills');
    const [told, ...more] = await report(juliet, block(`${LOUNGE}/romeo`, { ids: [id], text: 'Never came trouble like this.' }));
    assert.deepEqual(more, []);
    assert.equal(told!.attrs['from'], LOUNGE);
    const passed = told!.getChild('report', NS)!;
    assert.equal(passed.attrs['reason'], 'urn:xmpp:reporting:spam');
    assert.deepEqual(passed.getChild('stanza-id')?.attrs, { xmlns: 'urn:xmpp:sid:0', by: LOUNGE, id });
    assert.equal(told!.getChildText('body'), 'Somebody reports romeo for spam: Never came trouble like this.\n> Buy pills');
    assert.doesNotMatch(String(told), /juliet/, 'who reports is not told');
    await romeo.quiet();
    await scene.keeper.ask(moderate(id));
    assert.match(
      await atRoom(),
      /^\S+ lounge@conference\.example\.org\/romeo \(romeo@example\.org\) for spam: Never .* "Buy pills"$/,
    );
    assert.doesNotMatch(await atRoom(), /juliet/);
    assert.match(await atHost(), /^lounge@conference\.example\.org: \S+ juliet@example\.org reports .*romeo/);
  });

  it('block all the same', async () => {
    await report(juliet, block(`${LOUNGE}/romeo`));
    const list = await juliet.ask(`<iq type='get'><blocklist xmlns='urn:xmpp:blocking'/></iq>`);
    assert.match(String(list), /jid="lounge@conference\.example\.org\/romeo"/);
  });

  it('of an occupant without a message, and of an account by what it has said in a room', async () => {
    assert.equal((await report(juliet, block(`${LOUNGE}/romeo`, { reason: 'urn:xmpp:reporting:abuse' }))).length, 1);
    const id = await scene.say(romeo, 'Buy pills');
    const [told] = await report(juliet, block('romeo@example.org', { ids: [id] }));
    assert.match(told!.getChildText('body')!, /romeo@example\.org for spam\n> Buy pills/);
  });

  it('name no messages of others, of other rooms, or that are not there', async () => {
    const other = await scene.say(juliet, 'Secret');
    await scene.scene.room({ name: 'cellar' });
    const wrong = [other, 'x', '01a21108-7373-7481-8c96-3bf5e8fa37e9'];
    const [told] = await report(juliet, block(`${LOUNGE}/romeo`, { ids: wrong }));
    assert.equal(told!.getChild('report', NS)?.getChildren('stanza-id').length, 0);
    const id = await scene.say(romeo, 'Buy pills');
    const [again] = await report(juliet, block(`${LOUNGE}/romeo`, { ids: [id], by: 'cellar@conference.example.org' }));
    assert.equal(again!.getChild('report', NS)?.getChildren('stanza-id').length, 0);
  });

  it('of strangers to a room are not told to it: only admins of the host see them', async () => {
    const id = await scene.say(romeo, 'Inside');
    const stranger = await scene.scene.client('stranger');
    assert.deepEqual(await report(stranger, block(`${LOUNGE}/romeo`, { ids: [id], text: 'Hear me' })), []);
    assert.equal(await atRoom(), 'There are none.');
    assert.match(await atHost(), /^\S+ stranger@example\.org reports .* Hear me \[\S+\]$/);
    assert.doesNotMatch(await atHost(), /Inside/);
  });

  it('of somebody outside of rooms are kept for the admins of the host', async () => {
    assert.deepEqual(await report(juliet, block('spammer@elsewhere.example', { text: 'Pills' })), []);
    assert.match(await atHost(), /^\S+ juliet@example\.org reports spammer@elsewhere\.example for spam: Pills$/);
  });

  it('about a moderator are told to the others', async () => {
    scene.scene.assign(scene.room, 'romeo', 'moderator');
    await scene.scene.hush(romeo);
    assert.equal((await report(juliet, block(`${LOUNGE}/romeo`))).length, 1);
    await romeo.quiet();
  });

  it('are bounded: so many about a room, so many from one account, so much text', async () => {
    await scene.stop();
    await start({ max: 3 });
    for (let i = 0; i < 5; i++) await report(juliet, block(`${LOUNGE}/romeo`, { text: `report ${i} ${'x'.repeat(5000)}` }));
    const lines = (await atRoom()).split('\n');
    assert.deepEqual(
      lines.map((line) => /report \d/.exec(line)?.[0]),
      ['report 4', 'report 3', 'report 2'],
    );
    assert(lines.every((line) => line.length < 1200));
    let told = 0;
    for (let i = 0; i < 40; i++) told += (await report(juliet, block(`${LOUNGE}/romeo`))).length;
    assert.equal(told, 15, 'twenty of one account at once');
  });

  it('are taken only where one blocks for oneself', async () => {
    await scene.scene.hush(scene.keeper);
    for (const to of [LOUNGE, 'romeo@example.org', 'conference.example.org']) {
      await juliet.ask(block(`${LOUNGE}/romeo`).replace('<iq', `<iq to='${to}'`));
    }
    await juliet.ask(block(`${LOUNGE}/romeo`).replace("type='set'", "type='get'"));
    await juliet.ask(block(`${LOUNGE}/romeo`).replaceAll('block ', 'unblock ').replaceAll('/block', '/unblock'));
    await scene.keeper.quiet();
    assert.equal(await atRoom(), 'There are none.');
  });

  it('take whatever is in them', async () => {
    for (const iq of [
      block(`${LOUNGE}/romeo`, { reason: 'x y <z>'.replace('<', '&lt;') }),
      block(LOUNGE),
      block('conference.example.org'),
      block(`nowhere@conference.example.org/x`),
      block(`${LOUNGE}/romeo`, { ids: ['&apos;'], by: '@@' }),
    ]) {
      await report(juliet, iq);
    }
    assert.equal((await juliet.ask(block('@'))).attrs['type'], 'error');
    assert.equal((await atRoom(await scene.scene.client('boss'))).includes('for abuse'), true);
  });

  it('are listed for moderators and admins, and for nobody else', async () => {
    await report(juliet, block(`${LOUNGE}/romeo`));
    for (const probe of [romeo, juliet, await scene.scene.client('stranger')])
      assert.equal(await atRoom(probe), 'forbidden/cancel');
  });
});
