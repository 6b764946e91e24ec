// Nicks that are no nicks, and those that are somebody else's (XEP-0045 sections 7.2.9, 7.6, 7.10 and 17.1).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { escapeXml } from '../../../src/xml/escape.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { answersTo, change, codesIn, errorIn, itemIn, join, LOUNGE, RoomScene } from '../../support/room-scene.ts';

/** Nicks that people could take for Carol's. */
const LIKE_CAROL: readonly (readonly [name: string, nick: string])[] = [
  ['the same', 'Carol'],
  ['another case', 'cAROL'],
  ['full width', 'Ｃａｒｏｌ'],
  ['Cyrillic letters', 'Саrоl'],
  ['a Greek letter', 'Carοl'],
  ['mathematical letters', '𝐂𝐚𝐫𝐨𝐥'],
  ['a digit for a letter', 'Car0l'],
  ['a capital I for an l', 'CaroI'],
  ['a one for an l', 'Caro1'],
  ['a bar for an l', 'Caro|'],
  ['a space behind it', 'Carol '],
  ['a space before it', ' Carol'],
  ['a space that does not break', 'Carol\u00a0'],
  ['a space of no width', 'Car\u200bol'],
  ['a joiner', 'Car\u200dol'],
  ['a soft hyphen', 'Car\u00adol'],
  ['a mark of direction', 'Carol\u200f'],
  ['an override of direction', '\u202eloraC'],
  ['a selector of variants', 'Carol\ufe0f'],
  ['a combining grapheme joiner', 'Car\u034fol'],
  ['a Hangul filler', 'Carol\u3164'],
  ['an empty Braille pattern', 'Carol\u2800'],
  ['a byte order mark', '\ufeffCarol'],
  ['a tag character', 'Carol\u{e0041}'],
];

/** Nicks in which there is nothing to be seen. */
const INVISIBLE: readonly (readonly [name: string, nick: string])[] = [
  ['nothing', ''],
  ['a space', ' '],
  ['spaces', '    '],
  ['a space that does not break', '\u00a0'],
  ['an ideographic space', '\u3000'],
  ['a space of no width', '\u200b'],
  ['joiners', '\u200c\u200d'],
  ['a soft hyphen', '\u00ad'],
  ['an override of direction', '\u202e'],
  ['a selector of variants', '\ufe0f'],
  ['a Hangul filler', '\u3164'],
  ['an empty Braille pattern', '\u2800'],
  ['a byte order mark', '\ufeff'],
  ['tag characters', '\u{e0041}\u{e0042}'],
];

describe('muc: nicks', () => {
  let scene: RoomScene;
  let room: Room;
  let carol: Probe;
  let mallory: Probe;

  beforeEach(async () => {
    scene = await RoomScene.start();
    room = await scene.room();
    carol = await scene.client('carol');
    mallory = await scene.client('mallory');
    await scene.enter(carol, { nick: 'Carol' });
  });
  afterEach(() => scene.stop());

  const address = (nick: string): string => escapeXml(`${LOUNGE}/${nick}`);

  /** What mallory is answered. */
  const attempt = (presence: string): Promise<Element[]> => answersTo(mallory, presence);

  for (const [name, nick] of LIKE_CAROL) {
    it(`are not to be had when somebody has one that looks like it: ${name}`, async () => {
      const isReversed = nick.startsWith('\u202e');
      const refusals = ['conflict/cancel', 'jid-malformed/modify'];
      const [answer, ...more] = await attempt(join(address(nick)));
      // What is drawn backwards may be refused as no name at all, or be another name once the mark is gone.
      if (isReversed && errorIn(answer) === undefined) return assert.notEqual(answer?.attrs['from'], `${LOUNGE}/Carol`);
      assert(refusals.includes(errorIn(answer) ?? ''), String(answer));
      assert.deepEqual(more, []);
      assert.equal(room.occupants.size, 1);
      await carol.quiet();

      await scene.enter(mallory, { nick: 'Mallory' });
      await scene.hush(carol);
      const [second] = await attempt(`<presence to='${address(nick)}'/>`);
      assert(refusals.includes(errorIn(second) ?? ''), String(second));
      assert.equal(room.occupants.named('Mallory').length, 1);
      await carol.quiet();
    });
  }

  for (const [name, nick] of INVISIBLE) {
    it(`are refused when they cannot be seen: ${name}`, async () => {
      const [answer, ...more] = await attempt(join(address(nick)));
      assert.equal(errorIn(answer), 'jid-malformed/modify', String(answer));
      assert.deepEqual(more, []);
      assert.equal(room.occupants.size, 1);
      await carol.quiet();
    });
  }

  it('are of a length that can be shown', async () => {
    for (const [nick, isTaken] of [
      ['n'.repeat(1000), false],
      ['n'.repeat(1024), false],
      ['n'.repeat(5000), false],
      ['ü'.repeat(400), false],
      ['ü'.repeat(60), true],
    ] as const) {
      const [answer] = await attempt(join(address(nick)));
      assert.equal(errorIn(answer), isTaken ? undefined : 'jid-malformed/modify', String(answer).slice(0, 200));
    }
  });

  it('are shown as they are when they have what XML and addresses use', async () => {
    for (const nick of [
      '<b>&amp;</b>',
      `"quotes" and 'quotes'`,
      'carol@example.org/desk',
      'a/b/c',
      '__proto__',
      'constructor',
      '🙂',
      '李',
    ]) {
      await scene.enter(mallory, { nick: escapeXml(nick) });
      const [seen] = carol.take();
      assert.equal(seen?.attrs['from'], `${LOUNGE}/${nick}`);
      assert.equal(room.occupants.named(nick).length, 1, nick);
      mallory.send(`<message type='chat' to='${address(nick)}'><body>to myself</body></message>`);
      await settle();
      assert.equal(mallory.take()[0]?.getChildText('body'), 'to myself');
      mallory.send(`<presence type='unavailable' to='${LOUNGE}'/>`);
      await scene.hush(carol, mallory);
    }
  });

  it('of others who are away are kept for them (section 7.10)', async () => {
    const nurse = await scene.client('nurse');
    const form = (nick: string) =>
      `<iq type='set' to='${LOUNGE}'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>` +
      `<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>` +
      `<field var='muc#register_roomnick'><value>${nick}</value></field></x></query></iq>`;
    assert.equal(errorIn(await nurse.ask(form('Angelica'))), undefined);
    for (const nick of ['Angelica', 'angelica', 'Angeliсa', 'ＡＮＧＥＬＩＣＡ', 'Ange1ica']) {
      assert.equal(errorIn((await attempt(join(address(nick))))[0]), 'conflict/cancel', nick);
      assert.equal(errorIn(await mallory.ask(form(nick))), 'conflict/cancel', nick);
    }
    assert.equal(errorIn(await mallory.ask(form('Carol'))), 'conflict/cancel', 'of somebody who is here');
    for (const nick of ['', ' ', '\u200b', 'n'.repeat(1000)]) {
      assert.match(
        errorIn(await mallory.ask(form(nick))) ?? '',
        /^(jid-malformed|not-acceptable)\/modify$/,
        JSON.stringify(nick),
      );
    }
    assert.equal(room.affiliationOf(mallory.session.jid), 'none');
    // Nor does an admin give it to somebody else.
    const keeper = await scene.client('keeper');
    const item = "<item jid='mallory@example.org' affiliation='member' nick='angelica'/>";
    assert.equal(errorIn(await keeper.ask(change(item))), 'conflict/cancel');
    assert.equal(room.members.get('mallory@example.org'), undefined);
    const entered = await scene.enter(nurse, { nick: 'Angelica' });
    assert.deepEqual(codesIn(entered.find((stanza) => codesIn(stanza).includes('110'))), ['110', '170']);
  });

  it('are free again when their owner has gone, is banned or does not want them any more', async () => {
    const keeper = await scene.client('keeper');
    await scene.rooms.affiliate(room, undefined, [
      { jid: scene.host.jid('nurse@example.org'), affiliation: 'member', nick: 'Angelica' },
      { jid: scene.host.jid('peter@example.org'), affiliation: 'member', nick: 'Pete' },
    ]);
    await keeper.ask(change("<item jid='nurse@example.org' affiliation='outcast'/>"));
    assert.equal(errorIn(await keeper.ask(change("<item jid='peter@example.org' affiliation='member' nick=''/>"))), undefined);
    carol.send(`<presence type='unavailable' to='${LOUNGE}/Carol'/>`);
    for (const nick of ['Angelica', 'Pete', 'Carol']) {
      const answers = await attempt(join(address(nick)));
      assert.equal(
        answers.some((stanza) => itemIn(stanza)['role'] === 'participant'),
        true,
        nick,
      );
      await attempt(`<presence type='unavailable' to='${address(nick)}'/>`);
    }
  });

  it('are fixed where the room wants that (section 7.6)', async () => {
    await scene.rooms.affiliate(room, undefined, [
      { jid: scene.host.jid('nurse@example.org'), affiliation: 'member', nick: 'Angelica' },
    ]);
    await scene.rooms.configure(room, { ...room.settings, areNicksFixed: true });
    const nurse = await scene.client('nurse');
    const refused = await scene.enter(nurse, { nick: 'Nurse' });
    assert.equal(errorIn(refused[0]), 'not-acceptable/cancel');
    await scene.enter(nurse, { nick: 'Angelica' });
    nurse.send(`<presence to='${LOUNGE}/Nurse'/>`);
    await settle();
    assert.equal(errorIn(nurse.take().at(-1)), 'not-acceptable/cancel');
    assert.equal(room.occupants.named('Angelica').length, 1);
  });

  it('change in front of all: the old one goes, the new one comes (section 7.6)', async () => {
    await scene.enter(mallory, { nick: 'Mallory' });
    await scene.hush(carol);
    const own = await attempt(`<presence to='${LOUNGE}/Malcolm'><show>away</show></presence>`);
    for (const [stanzas, isOwn] of [
      [own, true],
      [carol.take(), false],
    ] as const) {
      const [gone, come] = stanzas;
      assert.equal(stanzas.length, 2);
      assert.deepEqual([gone?.attrs['from'], gone?.attrs['type']], [`${LOUNGE}/Mallory`, 'unavailable']);
      assert.equal(itemIn(gone)['nick'], 'Malcolm');
      assert.deepEqual(codesIn(gone), isOwn ? ['110', '303'] : ['303']);
      assert.deepEqual([come?.attrs['from'], come?.attrs['type']], [`${LOUNGE}/Malcolm`, undefined]);
      assert.equal(come?.getChildText('show'), 'away');
      assert.deepEqual(codesIn(come), isOwn ? ['110'] : []);
    }
    // The old one is free.
    const peter = await scene.client('peter');
    assert.equal(errorIn((await scene.enter(peter, { nick: 'Mallory' }))[0]), undefined);
  });
});
