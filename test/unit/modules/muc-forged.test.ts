// What clients say that only the room may say (XEP-0045 sections 17.3 and 7.2.14, XEP-0359 section 5, XEP-0421 section 4, XEP-0317).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Room } from '../../../modules/muc/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { answersTo, bodies, codesIn, itemIn, join, LOUNGE, meet, type RoomScene, USER } from '../../support/room-scene.ts';

const OCCUPANT = 'urn:xmpp:occupant-id:0';
const SID = 'urn:xmpp:sid:0';
const DELAY = 'urn:xmpp:delay';
const HATS = 'urn:xmpp:hats:0';

/** What mallory puts into stanzas; none of it may reach anybody. `EVIL` is in each, so that it is found wherever it turns up. */
const FORGERIES: readonly (readonly [name: string, xml: string])[] = [
  ['an item of the room', `<x xmlns='${USER}'><item affiliation='owner' role='moderator' jid='EVIL@example.org'/></x>`],
  ['a status code', `<x xmlns='${USER}'><status code='110'/><EVIL/></x>`],
  ['an invitation', `<x xmlns='${USER}'><invite from='EVIL@example.org'/></x>`],
  ['the end of the room', `<x xmlns='${USER}'><destroy jid='EVIL@${LOUNGE}'/></x>`],
  ['an item with a prefix', `<m:x xmlns:m='${USER}'><m:item affiliation='owner' jid='EVIL@example.org'/></m:x>`],
  ['two of them', `<x xmlns='${USER}'/><x xmlns='${USER}'><item jid='EVIL@example.org'/></x>`],
  ['an occupant id', `<occupant-id xmlns='${OCCUPANT}' id='EVIL'/>`],
  ['two occupant ids', `<occupant-id xmlns='${OCCUPANT}' id='EVIL'/><occupant-id xmlns='${OCCUPANT}' id='EVIL2'/>`],
  ['an occupant id with a prefix', `<o:occupant-id xmlns:o='${OCCUPANT}' id='EVIL'/>`],
  ['hats', `<hats xmlns='${HATS}'><hat title='EVIL' uri='urn:EVIL'/></hats>`],
  ['hats with a prefix', `<h:hats xmlns:h='${HATS}'><h:hat title='EVIL' uri='urn:EVIL'/></h:hats>`],
];

/** The same, of what is only forged when it is said to be the room's. */
const ROOM_FORGERIES: readonly (readonly [name: string, xml: string])[] = [
  ['an id of the archive', `<stanza-id xmlns='${SID}' id='EVIL' by='${LOUNGE}'/>`],
  ['an id of the archive in another case', `<stanza-id xmlns='${SID}' id='EVIL' by='LOUNGE@Conference.EXAMPLE.org'/>`],
  ['an id of the archive with a prefix', `<s:stanza-id xmlns:s='${SID}' id='EVIL' by='${LOUNGE}'/>`],
  [
    'two ids of the archive',
    `<stanza-id xmlns='${SID}' id='EVIL' by='${LOUNGE}'/><stanza-id xmlns='${SID}' id='EVIL2' by='${LOUNGE}'/>`,
  ],
];

/** A delay as the room puts it into its history. */
const DELAYS: readonly (readonly [name: string, xml: string])[] = [
  ['a delay', `<delay xmlns='${DELAY}' from='${LOUNGE}' stamp='1999-12-31T23:59:59Z'>EVIL</delay>`],
  ['a delay of an occupant', `<delay xmlns='${DELAY}' from='${LOUNGE}/carol' stamp='1999-12-31T23:59:59Z'>EVIL</delay>`],
  [
    'a delay in another case',
    `<delay xmlns='${DELAY}' from='Lounge@CONFERENCE.example.org' stamp='1999-12-31T23:59:59Z'>EVIL</delay>`,
  ],
];

/** What looks like it and is none: it arrives. */
const HARMLESS: readonly (readonly [name: string, xml: string])[] = [
  ['an id of its own', `<origin-id xmlns='${SID}' id='KEEP'/>`],
  ['an id of somebody else', `<stanza-id xmlns='${SID}' id='KEEP' by='other@example.net'/>`],
  ['a delay of somebody else', `<delay xmlns='${DELAY}' from='juliet@example.net' stamp='1999-12-31T23:59:59Z'>KEEP</delay>`],
  ['something deep inside', `<box xmlns='urn:example:box'><x xmlns='${USER}'><item jid='KEEP@example.org'/></x></box>`],
  ['something unknown', `<x xmlns='urn:example:x' KEEP='1'/>`],
];

describe('muc: what only the room may say', () => {
  let scene: RoomScene;
  let room: Room;
  let carol: Probe;
  let mallory: Probe;

  beforeEach(async () => {
    ({ scene, room, carol, mallory } = await meet());
  });
  afterEach(() => scene.stop());

  const idOf = (stanza: Element): string[] => stanza.getChildren('occupant-id', OCCUPANT).map(({ attrs }) => String(attrs['id']));
  const occupantId = (): string => room.occupantId('mallory@example.org');

  /** What carol, mallory and somebody who comes later see of this. */
  async function send(stanza: string): Promise<Element[]> {
    const answers = await answersTo(mallory, stanza);
    const seen = [...carol.take(), ...answers];
    const late = await scene.enter(await scene.client('late'));
    await scene.hush(carol, mallory);
    return [...seen, ...late];
  }

  const fromMallory = (stanzas: readonly Element[], name: string): Element[] =>
    stanzas.filter(({ attrs, name: own }) => own === name && attrs['from'] === `${LOUNGE}/mallory`);

  const expectClean = (stanzas: readonly Element[]): void => assert.doesNotMatch(stanzas.join('\n'), /EVIL/);

  for (const [name, xml] of [...FORGERIES, ...ROOM_FORGERIES, ...DELAYS]) {
    it(`is taken out of what is said to all, and the rest arrives: ${name}`, async () => {
      const seen = await send(`<message type='groupchat' to='${LOUNGE}' id='m1'>${xml}<body>Hail</body>${xml}</message>`);
      expectClean(seen);
      const said = fromMallory(seen, 'message');
      assert.deepEqual(bodies(said), ['Hail', 'Hail', 'Hail']);
      for (const message of said) {
        assert.deepEqual(idOf(message), [occupantId()]);
        assert.equal(message.getChildren('stanza-id', SID).length, 1);
        assert.equal(message.getChild('x', USER), undefined);
      }
      assert.deepEqual(
        said.map((message) => message.getChildren('delay', DELAY).length),
        [0, 0, 1],
      );
      // Nor is it in the archive.
      const late = await scene.client('late');
      await late.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
      const pages = late.take();
      assert.equal(pages.length, 1);
      expectClean(pages);
    });
  }

  for (const [name, xml] of FORGERIES) {
    it(`is taken out of presence: ${name}`, async () => {
      for (const stanza of [
        `<presence to='${LOUNGE}/mallory'>${xml}<show>away</show></presence>`,
        `<presence to='${LOUNGE}/malcolm'>${xml}<show>away</show></presence>`,
        `<presence to='${LOUNGE}/malcolm' type='unavailable'>${xml}<status>Bye</status></presence>`,
        join(`${LOUNGE}/mallory`).replace('</presence>', `${xml}</presence>`),
      ]) {
        const seen = await send(stanza);
        expectClean(seen);
        for (const presence of seen.filter(({ attrs, name: kind }) => kind === 'presence' && /mal/.test(attrs['from']))) {
          assert.deepEqual(idOf(presence), [occupantId()]);
          assert.equal(presence.getChildren('x', USER).length, 1);
          assert.equal(itemIn(presence)['affiliation'], 'none');
          assert.equal(codesIn(presence).includes('110'), presence.attrs['to'] === mallory.jid);
        }
        const late = await scene.client('late');
        late.send(`<presence to='${LOUNGE}/late' type='unavailable'/>`);
        await scene.hush(late, carol, mallory);
      }
    });

    it(`is taken out of private messages: ${name}`, async () => {
      mallory.send(`<message type='chat' to='${LOUNGE}/carol'>${xml}<body>Psst</body>${xml}</message>`);
      await settle();
      const [whisper, ...more] = carol.take();
      assert.deepEqual(more, []);
      expectClean([whisper!]);
      assert.equal(whisper?.getChildText('body'), 'Psst');
      assert.deepEqual(idOf(whisper!), [occupantId()]);
      // It says that it comes out of a room, and nothing else (section 7.5).
      assert.deepEqual(whisper?.getChildren('x', USER).map(String), [`<x xmlns="${USER}"/>`]);
    });
  }

  for (const [name, xml] of ROOM_FORGERIES) {
    it(`is taken out of private messages: ${name}`, async () => {
      mallory.send(`<message type='chat' to='${LOUNGE}/carol'>${xml}<body>Psst</body></message>`);
      await settle();
      const [whisper] = carol.take();
      assert.equal(whisper?.getChildText('body'), 'Psst');
      expectClean([whisper!]);
    });
  }

  for (const [name, xml] of FORGERIES) {
    it(`is taken out of a subject: ${name}`, async () => {
      scene.assign(room, 'mallory', 'moderator');
      await scene.hush(carol, mallory);
      const seen = await send(`<message type='groupchat' to='${LOUNGE}'>${xml}<subject>Spells</subject></message>`);
      expectClean(seen);
      assert.equal(room.subject?.text, 'Spells');
      assert.equal(fromMallory(seen, 'message').length, 3);
    });
  }

  for (const [name, xml] of HARMLESS) {
    it(`is told from what anybody may say: ${name}`, async () => {
      const seen = await send(`<message type='groupchat' to='${LOUNGE}' id='m1'>${xml}<body>Hail</body></message>`);
      for (const message of fromMallory(seen, 'message')) assert.match(String(message), /KEEP/);
      mallory.send(`<message type='chat' to='${LOUNGE}/carol'>${xml}<body>Psst</body></message>`);
      await settle();
      assert.match(String(carol.take()[0]), /KEEP/);
    });
  }

  it('keeps the id that the client has given (section 7.4), whatever is in it', async () => {
    for (const id of ['m1', 'the same', 'the same', '&lt;id&gt;', 'ü'.repeat(300)]) {
      mallory.send(`<message type='groupchat' to='${LOUNGE}' id='${id}'><body>Hail</body></message>`);
      await settle();
      assert.equal(carol.take()[0]?.attrs['id'], id.replace('&lt;', '<').replace('&gt;', '>'));
    }
  });

  it('is nothing that another client has in its address', async () => {
    // Whoever says that they are somebody else is no better off than anywhere.
    mallory.send(`<message type='groupchat' to='${LOUNGE}' from='${LOUNGE}/carol'><body>Hail</body></message>`);
    await settle();
    assert.deepEqual(bodies(carol.take()).length, 0);
  });
});
