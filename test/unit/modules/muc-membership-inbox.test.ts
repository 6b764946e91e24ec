import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import inbox from '../../../modules/inbox/index.ts';
import { TAG } from '../../../modules/mam/index.ts';
import mds from '../../../modules/mds/index.ts';
import type { Room } from '../../../modules/muc/index.ts';
import mucMembership from '../../../modules/muc-membership/index.ts';
import { sortableId } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { ArchiveStore } from '../../../src/storage/storage.ts';
import { payloadOf } from '../../support/answers.ts';
import type { Probe } from '../../support/probe.ts';
import { settle } from '../../support/probe.ts';
import { change, configure, LOUNGE, OWNER, RoomScene, say } from '../../support/room-scene.ts';

const NS = 'urn:xmpp:inbox:1';
const NS_MAM = 'urn:xmpp:mam:2';
const JULIET = 'juliet@example.org';

interface Inbox {
  /** `jid unread text`, in the order in which they came. */
  readonly entries: readonly string[];
  /** The id of the last item, and that of the last instant message, of the first entry. */
  readonly ids: readonly (string | undefined)[];
  /** `total unread all-unread` */
  readonly totals: string;
}

async function look(probe: Probe, attrs = ''): Promise<Inbox> {
  const fin = payloadOf(await probe.ask(`<iq type='get'><inbox xmlns='${NS}' ${attrs}/></iq>`));
  const found = probe.take().filter((stanza) => stanza.getChild('entry', NS));
  const entries = found.map((message) => {
    const { jid, unread } = message.getChild('entry', NS)!.attrs;
    return `${jid} ${unread} ${resultIn(message)?.getChildText('body') ?? ''}`.trim();
  });
  const [first] = found;
  const ids = [first?.getChild('entry', NS)?.attrs['id'], first?.getChild('result', NS_MAM)?.attrs['id']];
  return { entries, ids, totals: `${fin.attrs['total']} ${fin.attrs['unread']} ${fin.attrs['all-unread']}` };
}

function resultIn(message: Element): Element | undefined {
  return message.getChild('result', NS_MAM)?.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message', 'jabber:client');
}

/** What a room has put on what was said last. */
function idIn(stanzas: readonly Element[]): string {
  const ids = stanzas.flatMap((stanza) => stanza.getChild('stanza-id', 'urn:xmpp:sid:0')?.attrs['id'] ?? []);
  return String(ids.at(-1));
}

const marker = (id: string, name = 'displayed') =>
  `<message type='groupchat' to='${LOUNGE}'><${name} xmlns='urn:xmpp:chat-markers:0' id='${id}'/></message>`;

function publish(id: string, { chat = LOUNGE, by = LOUNGE } = {}): string {
  const mark = `<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${id}'/></displayed>`;
  const items = `<publish node='urn:xmpp:mds:displayed:0'><item id='${chat}'>${mark}</item></publish>`;
  return `<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'>${items}</pubsub></iq>`;
}

describe('muc-membership: the inbox', () => {
  let scene: RoomScene;
  let room: Room;
  let romeo: Probe;
  let juliet: Probe;

  async function start(
    people: Record<string, 'member' | 'admin' | 'owner'> = { romeo: 'member', juliet: 'member' },
  ): Promise<void> {
    scene = await RoomScene.start({
      more: [disco, caps, mds, inbox, mucMembership],
      modules: { 'muc-membership': { maxUnread: 20 }, inbox: { maxUnread: 20 } },
    });
    room = await scene.room({ people });
    romeo = await scene.client('romeo');
    await scene.enter(romeo);
    juliet = await scene.client('juliet');
  }
  beforeEach(() => start());
  afterEach(() => scene.stop());

  async function speak(...bodies: readonly string[]): Promise<string> {
    for (const body of bodies) romeo.send(say(body));
    await settle();
    return idIn(romeo.take());
  }

  it('shows a room to its members though they are not in it, with what was said last and how much of it is unread', async () => {
    const id = await speak('one', 'two', 'three');
    assert.deepEqual(await look(juliet), { entries: [`${LOUNGE} 3 three`], ids: [id, id], totals: '1 1 3' });
  });

  it('shows it among other conversations, the newest activity first', async () => {
    await speak('one');
    romeo.send(`<message type='chat' to='${JULIET}'><body>to you</body></message>`);
    await settle();
    assert.deepEqual((await look(juliet)).entries, ['romeo@example.org 1 to you', `${LOUNGE} 1 one`]);
    await speak('two');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 2 two`, 'romeo@example.org 1 to you']);
    assert.deepEqual((await look(juliet, "messages='false'")).entries, [`${LOUNGE} 2`, 'romeo@example.org 1']);
  });

  it('shows no room in which nothing was said, and nothing to who is no member', async () => {
    await scene.room({ name: 'quiet', people: { juliet: 'admin' } });
    await speak('one');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 one`]);
    const tybalt = await scene.client('tybalt');
    await scene.enter(tybalt);
    assert.deepEqual((await look(tybalt)).entries, []);
  });

  it('shows pages of rooms and other conversations together, and the unread ones alone', async () => {
    const inPages = async (attrs = '') => {
      const found: string[] = [];
      for (let after = ''; ; ) {
        const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>2</max>${after && `<after>${after}</after>`}</set>`;
        const fin = payloadOf(await juliet.ask(`<iq type='get'><inbox xmlns='${NS}' ${attrs}>${set}</inbox></iq>`));
        const entries = juliet.take().map((message) => message.getChild('entry', NS)!.attrs);
        found.push(...entries.map(({ jid, unread }) => `${String(jid).split('@')[0]} ${unread}`));
        if (entries.length < 2) return found;
        after = fin.getChild('set')!.getChildText('last')!;
      }
    };
    for (const name of ['a', 'b', 'c']) {
      await scene.room({ name, people: { juliet: 'member' } });
      await scene.enter(romeo, { room: `${name}@conference.example.org` });
      romeo.send(say('hello', { room: `${name}@conference.example.org` }));
      await settle();
      const writer = await scene.client(`to-${name}`);
      writer.send(`<message type='chat' to='${JULIET}'><body>hello</body></message>`);
      await settle();
    }
    juliet.take();
    assert.deepEqual(await inPages(), ['to-c 1', 'c 1', 'to-b 1', 'b 1', 'to-a 1', 'a 1']);
    romeo.take();
    const room = 'b@conference.example.org';
    romeo.send(say('more', { room }));
    await settle();
    payloadOf(await juliet.ask(publish(idIn(romeo.take()), { chat: room, by: room })));
    juliet.take();
    assert.deepEqual(await inPages("unread-only='true'"), ['to-c 1', 'c 1', 'to-b 1', 'to-a 1', 'a 1']);
    assert.equal((await inPages())[0], 'b 0');
  });

  it('counts what others have said, and shows one’s own', async () => {
    await scene.enter(juliet);
    juliet.send(say('mine'));
    await settle();
    await speak('his');
    juliet.send(say('mine again'));
    await scene.hush(juliet);
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 mine again`]);
    assert.deepEqual((await look(romeo)).entries, [`${LOUNGE} 2 mine again`]);
  });

  it('counts no further than it should, also when oneself has said much', async () => {
    await speak(...Array.from({ length: 25 }, (_, i) => `r${i}`));
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 20 r24`]);
    await scene.enter(juliet);
    for (let i = 0; i < 10; i++) juliet.send(say(`j${i}`));
    await scene.hush(juliet, romeo);
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 20 j9`]);
    const last = await speak('r25');
    juliet.send(marker(last));
    for (let i = 10; i < 45; i++) juliet.send(say(`j${i}`));
    await scene.hush(juliet, romeo);
    await speak('after all that');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 after all that`]);
  });

  it('counts from the last word of who has said more than anybody would go through', async () => {
    await speak('before');
    const stanza = `<message xmlns='jabber:client' type='groupchat' from='${LOUNGE}/juliet'><body>mine</body></message>`;
    const tag = TAG.groupchat | TAG.conversation;
    const append = () => scene.rooms.messages.append(LOUNGE, { id: sortableId(), with: JULIET, resource: 'juliet', tag, stanza });
    await Promise.all(Array.from({ length: 20 * 64 }, append));
    await speak('after all that');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 after all that`]);
  });

  it('has its own unread count of what is not text for people: none', async () => {
    const id = await speak('one');
    romeo.send(`<message type='groupchat' to='${LOUNGE}'><subject>Love</subject></message>`);
    romeo.send(
      `<message type='groupchat' to='${LOUNGE}'><reactions xmlns='urn:xmpp:reactions:0' id='${id}'><reaction>+</reaction></reactions></message>`,
    );
    romeo.send(`<message type='groupchat' to='${LOUNGE}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
    await settle();
    const { entries, ids } = await look(juliet);
    assert.deepEqual(entries, [`${LOUNGE} 1 one`]);
    // The last id is that of whatever has come last (XEP-0430 section 3.1).
    assert(ids[0]! > id && ids[1] === id);
  });

  describe('displayed', () => {
    it('by a marker to the room, for all devices (XEP-0333)', async () => {
      const first = await speak('one');
      await speak('two', 'three');
      await scene.enter(juliet);
      juliet.send(marker(first));
      await scene.hush(juliet, romeo);
      const phone = await scene.client('juliet', 'phone');
      assert.deepEqual((await look(phone)).entries, [`${LOUNGE} 2 three`]);
      juliet.send(marker(await speak('four'), 'acknowledged'));
      await scene.hush(juliet, romeo);
      assert.deepEqual((await look(phone)).entries, [`${LOUNGE} 0 four`]);
    });

    it('by a published mark, which other devices are given (XEP-0490)', async () => {
      const first = await speak('one');
      await speak('two');
      payloadOf(await juliet.ask(publish(first)));
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 two`]);
      const items = await juliet.ask(
        "<iq type='get'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mds:displayed:0'/></pubsub></iq>",
      );
      assert.match(String(items), new RegExp(`by="${LOUNGE}" id="${first}"`));
    });

    it('only ever moves forward, by whatever it is said', async () => {
      const first = await speak('one');
      const second = await speak('two');
      await scene.enter(juliet);
      juliet.send(marker(second));
      await scene.hush(juliet);
      juliet.send(marker(first));
      await scene.hush(juliet);
      payloadOf(await juliet.ask(publish(first)));
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 0 two`]);
    });

    it('stays as it is for ids that are none of the room’s, or of the future', async () => {
      const first = await speak('one');
      await scene.enter(juliet);
      for (const id of ['', 'one', 'ffffffff-ffff-7fff-bfff-ffffffffffff']) juliet.send(marker(id));
      juliet.send(
        `<message type='groupchat' to='${LOUNGE}'><displayed xmlns='urn:xmpp:chat-markers:0'/><body>with no id</body></message>`,
      );
      await scene.hush(juliet);
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 with no id`]);
      payloadOf(await juliet.ask(publish('ffffffff-ffff-7fff-bfff-ffffffffffff')));
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 with no id`]);
      // What was published is replaced by what is an id of the room.
      juliet.send(marker(first));
      await scene.hush(juliet);
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 0 with no id`]);
    });

    it('is nobody else’s', async () => {
      const id = await speak('one');
      romeo.send(marker(id));
      await scene.hush(romeo);
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 one`]);
    });
  });

  it('begins to count when somebody becomes a member', async () => {
    await speak('before');
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('tybalt@example.org'), affiliation: 'member' }]);
    await settle();
    const tybalt = await scene.client('tybalt');
    assert.deepEqual((await look(tybalt)).entries, [`${LOUNGE} 0 before`]);
    await speak('after');
    assert.deepEqual((await look(tybalt)).entries, [`${LOUNGE} 1 after`]);
    // To become more than a member begins nothing.
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('tybalt@example.org'), affiliation: 'owner' }]);
    await settle();
    assert.deepEqual((await look(tybalt)).entries, [`${LOUNGE} 1 after`]);
  });

  describe('loses the room', () => {
    const keeper = async () => scene.client('keeper');

    it('when somebody is a member no more', async () => {
      await speak('one');
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 one`]);
      await (await keeper()).ask(change(`<item jid='${JULIET}' affiliation='none'/>`));
      assert.deepEqual(await look(juliet), { entries: [], ids: [undefined, undefined], totals: '0 0 0' });
    });

    it('when somebody is banned, and has it again, from then on, when they are let in again', async () => {
      await speak('one');
      await (await keeper()).ask(change(`<item jid='${JULIET}' affiliation='outcast'/>`));
      assert.deepEqual((await look(juliet)).entries, []);
      await speak('two');
      await (await keeper()).ask(change(`<item jid='${JULIET}' affiliation='member'/>`));
      await settle();
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 0 two`]);
      await speak('three');
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 three`]);
    });

    it('when the room is destroyed, and another one in its place is another one', async () => {
      await scene.stop();
      scene = await RoomScene.start({ more: [disco, caps, mds, inbox, mucMembership], muc: { keepNames: 0 } });
      room = await scene.room({ people: { romeo: 'member', juliet: 'member' } });
      romeo = await scene.client('romeo');
      juliet = await scene.client('juliet');
      await scene.enter(romeo);
      const id = await speak('one');
      payloadOf(await juliet.ask(publish(id)));
      await (await keeper()).ask(`<iq type='set' to='${LOUNGE}'><query xmlns='${OWNER}'><destroy/></query></iq>`);
      await settle();
      assert.deepEqual((await look(juliet)).entries, []);
      await scene.room({ people: { juliet: 'member' } });
      await scene.enter(romeo);
      assert.deepEqual((await look(juliet)).entries, []);
      await speak('other');
      assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 other`]);
    });

    it('when the account is deleted: who has its name later is somebody else', async () => {
      await speak('one');
      await look(juliet);
      await scene.host.host.accounts.delete('juliet');
      await settle();
      const other = await scene.host.online('juliet', 'other');
      assert.deepEqual((await look(other)).entries, []);
    });
  });

  it('shows what is there before the last message when that was retracted', async () => {
    await speak('one');
    const last = await speak('two');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 2 two`]);
    const tag = TAG.groupchat | TAG.tombstone;
    await scene.rooms.messages.replace(LOUNGE, { id: last, tag, stanza: `<message xmlns='jabber:client' type='groupchat'/>` });
    // That it is no more is found out when it is looked for.
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 2`]);
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 one`]);
  });

  it('looks again once something is retracted', async () => {
    const first = await speak('one');
    const last = await speak('two');
    await speak('three');
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 3 three`]);
    const room = (await scene.rooms.find(scene.host.jid(LOUNGE)))!;
    const tombstone = { tag: TAG.groupchat | TAG.tombstone, stanza: `<message xmlns='jabber:client' type='groupchat'/>` };
    assert.equal(await scene.rooms.bury(room, { id: first, ...tombstone }), true);
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 2 three`]);
    assert.equal(await scene.rooms.bury(room, { id: last, ...tombstone }), true);
    assert.deepEqual((await look(juliet)).entries, [`${LOUNGE} 1 three`]);
  });

  it('says of rooms that keep their members what they do (XEP-0030)', async () => {
    const info = `<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`;
    const has = async () => String(await juliet.ask(info)).includes('var="parlance:membership:1"');
    assert.equal(await has(), true);
    const keeper = await scene.client('keeper');
    await keeper.ask(configure({ enablelogging: '0' }));
    assert.equal(await has(), false);
    await keeper.ask(configure({ enablelogging: '1', persistentroom: '0' }));
    assert.equal(await has(), false);
  });
});

describe('muc-membership: what a large room costs', () => {
  const MEMBERS = 10_000;

  it('is one write for a message, and what somebody sees is counted when they look, once', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const scene = await RoomScene.start({ storage, more: [disco, caps, mds, inbox, mucMembership] });
    const people = Object.fromEntries(Array.from({ length: MEMBERS }, (_, i) => [`m${i}`, 'member'] as const));
    await scene.room({ people: { ...people, romeo: 'member' } });
    await settle();
    const romeo = await scene.client('romeo');
    await scene.enter(romeo);
    const probes = await Promise.all(['m0', 'm5000', 'm9999'].map((name) => scene.client(name)));
    for (const probe of probes) await look(probe);
    await storage.ping();
    const { writes } = storage.stats;
    for (let i = 0; i < 100; i++) romeo.send(say(`${i}`));
    await scene.hush(romeo);
    assert.equal(storage.stats.writes - writes, 100);
    for (const probe of probes) assert.deepEqual((await look(probe)).entries, [`${LOUNGE} 100 99`]);
    assert.equal(storage.stats.writes - writes, 100);
    // Who looks again while nothing is said counts nothing.
    const counts = countCalls(scene.rooms.messages, 'count');
    for (const probe of probes) assert.deepEqual((await look(probe)).entries, [`${LOUNGE} 100 99`]);
    assert.equal(counts(), 0);
    await scene.stop();
  });
});

function countCalls(store: ArchiveStore, name: 'count'): () => number {
  let calls = 0;
  const call = store[name].bind(store);
  store[name] = (...args) => {
    calls++;
    return call(...args);
  };
  return () => calls;
}

describe('muc-membership: without the others', () => {
  it('runs where there is no inbox, no displayed states and no notifications', async () => {
    const scene = await RoomScene.start({ more: [mucMembership] });
    await scene.room({ people: { romeo: 'member' } });
    const romeo = await scene.client('romeo');
    await scene.enter(romeo);
    romeo.send(say('one'));
    romeo.send(marker(sortableId()));
    await settle();
    assert.equal(romeo.take().length, 2);
    await scene.stop();
  });
});
