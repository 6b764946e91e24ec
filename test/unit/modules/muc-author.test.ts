// Who has said what is in a room's archive for those who may know it when they ask, and for nobody else (XEP-0313 section 6.1.2).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { isSigned, sign, signByAccount, withoutAuthor } from '../../../modules/muc/author.ts';
import type { Room } from '../../../modules/muc/index.ts';
import { sortableId } from '../../../src/ids.ts';
import { Jid } from '../../../src/jid.ts';
import { xml } from '../../../src/xml/element.ts';
import { Stanza } from '../../../src/xml/stanza.ts';
import type { Probe } from '../../support/probe.ts';
import { answersTo, LOUNGE, RoomScene, say, USER } from '../../support/room-scene.ts';

const ASK = `<iq type='set' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`;

describe("muc: authors in a room's archive", () => {
  let scene: RoomScene;
  let room: Room;
  let carol: Probe;

  beforeEach(async () => {
    scene = await RoomScene.start();
    room = await scene.room({ people: { admin: 'admin', carol: 'member' } });
    carol = await scene.client('carol', 'balcony');
    await scene.enter(carol);
    await answersTo(carol, say('Hark'));
  });
  afterEach(() => scene.stop());

  /** What is in the archive for this client. */
  async function read(probe: Probe): Promise<Element[]> {
    await scene.hush(probe);
    await probe.ask(ASK);
    return probe.take().flatMap((answer) => {
      const message = answer.getChild('result')?.getChild('forwarded')?.getChild('message');
      return message ? [message] : [];
    });
  }

  const itemsIn = (messages: readonly Element[]): unknown[] =>
    messages.map((message) => message.getChildren('x', USER).map((x) => x.getChild('item')?.attrs));
  const author = { affiliation: 'member', role: 'participant', jid: 'carol@example.org/balcony' };

  it('are shown by their full JIDs where anybody may see them, and to moderators', async () => {
    const [admin, stranger] = [await scene.client('admin'), await scene.client('stranger')];
    assert.deepEqual(itemsIn(await read(admin)), [[author]]);
    assert.deepEqual(itemsIn(await read(stranger)), [[]]);
    await scene.enter(stranger);
    assert.deepEqual(itemsIn(await read(stranger)), [[]]);
    scene.assign(room, 'stranger', 'moderator');
    assert.deepEqual(itemsIn(await read(stranger)), [[author]]);
    // What holds when somebody asks is what counts.
    scene.assign(room, 'stranger', 'participant');
    assert.deepEqual(itemsIn(await read(stranger)), [[]]);
    await scene.rooms.configure(room, { ...room.settings, whois: 'anyone' });
    assert.deepEqual(itemsIn(await read(stranger)), [[author]]);
    await scene.rooms.configure(room, { ...room.settings, whois: 'moderators' });
    assert.deepEqual(itemsIn(await read(stranger)), [[]]);
  });

  it('are in nothing else that is made from the archive', async () => {
    await scene.rooms.configure(room, { ...room.settings, whois: 'anyone' });
    await answersTo(carol, say('again'));
    const late = await scene.client('late');
    const history = (await scene.enter(late)).filter((stanza) => stanza.getChild('body'));
    assert.equal(history.length, 2);
    assert.doesNotMatch(history.join(''), /example\.org\/balcony/);
    const { items } = await scene.rooms.messages.query(LOUNGE, {});
    assert.equal(items.length, 2);
    assert.doesNotMatch(items.map(({ stanza }) => stanza).join(''), /balcony/);
    assert.deepEqual(
      items.map((item) => item.with),
      ['carol@example.org', 'carol@example.org'],
    );
  });

  it('are not what somebody says of themselves or others', async () => {
    const item = "<item affiliation='owner' role='moderator' jid='keeper@example.org/desk'/>";
    for (const more of [
      `<x xmlns='${USER}'>${item}</x>`,
      `<x xmlns="${USER}">${item}</x>`,
      `<u:x xmlns:u='${USER}'><u:item jid='keeper@example.org/desk'/></u:x>`,
    ]) {
      await answersTo(carol, say('forged', { more }));
    }
    const nested = `<a xmlns='urn:example'><x xmlns='${USER}'>${item}</x></a>`;
    await answersTo(carol, say('nested', { more: nested }));
    const shown = await read(await scene.client('admin'));
    assert.deepEqual(
      itemsIn(shown),
      Array.from({ length: 5 }, () => [author]),
    );
    const hidden = await read(await scene.client('stranger'));
    assert.deepEqual(itemsIn(hidden), [[], [], [], [], []]);
    // What is no such element of the message is left alone.
    assert.match(String(hidden[4]), /keeper@example\.org/);
    assert.doesNotMatch(hidden.slice(0, 4).join(''), /keeper@example\.org/);
  });

  it('are accounts where no more is kept, and nobody for what the room says itself', async () => {
    const stanza = `<message xmlns='jabber:client' type='groupchat' from='${LOUNGE}/old'><body>old</body></message>`;
    await scene.rooms.messages.append(LOUNGE, { id: sortableId(), with: 'carol@example.org', resource: 'old', stanza });
    await scene.rooms.speak(room, Stanza.of(xml('message', { type: 'groupchat' }, xml('body', {}, 'Welcome'))));
    const items = itemsIn(await read(await scene.client('admin')));
    assert.deepEqual(items, [[author], [{ affiliation: 'member', role: 'none', jid: 'carol@example.org' }], []]);
  });

  it('are found in a text only where they were put', () => {
    const real = Jid.parse("carol@example.org/<o'neil>&");
    const signature = { real, role: 'visitor', affiliation: 'none' } as const;
    const text = "<message xmlns='jabber:client'><body>x</body></message>";
    const signed = sign(text, signature);
    assert.equal(isSigned(text), false);
    assert.equal(isSigned(signed), true);
    assert.equal(withoutAuthor(signed), text);
    assert.equal(withoutAuthor(text), text);
    assert.equal(isSigned(signByAccount(text, 'a@b', 'none')), true);
    // Two: only the one that was put there goes.
    assert.equal(withoutAuthor(sign(signed, signature)), signed);
    for (const other of ["<message xmlns='jabber:client'/>", '', '</message>', `<x xmlns='${USER}'><item /></x></message`]) {
      assert.equal(withoutAuthor(other), other);
      assert.equal(isSigned(other), false);
    }
  });
});
