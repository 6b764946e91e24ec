import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { TAG } from '../../../modules/mam/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { xml } from '../../../src/xml/element.ts';
import { Stanza } from '../../../src/xml/stanza.ts';
import { lasting, outcome, ROOM, run, type Scene, startScene } from '../../support/announcements-scene.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';

const NS = 'parlance:pins:1';

describe('pinned messages', () => {
  let scene: Scene;
  let romeo: Probe;

  beforeEach(async () => {
    scene = await startScene({ modules: { muc: { lock: false, keepNames: 0 }, 'muc-announcements': { maxPins: 3 } } });
    await scene.create();
    romeo = await scene.enter('romeo', 'Romeo');
    romeo.take();
  });
  afterEach(() => scene.stop());

  /** Somebody says something; its id in the archive. */
  async function say(probe: Probe, text: string, more = ''): Promise<string> {
    probe.send(`<message type='groupchat' to='${ROOM}'><body>${text}</body>${more}</message>`);
    await settle();
    probe.take();
    return (await scene.kept()).at(-1)![0];
  }

  const pin = (probe: Probe, id: string, name = 'pin') =>
    probe.ask(`<iq type='set' to='${ROOM}'><${name} xmlns='${NS}' id='${id}'/></iq>`);
  const pins = (probe: Probe) => probe.ask(`<iq type='get' to='${ROOM}'><pins xmlns='${NS}'/></iq>`);
  const show = (reply: Element) =>
    payloadOf(reply)
      .getChildren('pin')
      .map((each) => `${each.attrs['by']} ${each.attrs['nick']}: ${each.getChildText('body')}`);
  const bodies = (probe: Probe) =>
    probe
      .take()
      .filter(({ name }) => name === 'message')
      .map((message) => message.getChildText('body') ?? `(${message.getChildText('subject')})`);

  it('are told to everybody, found by a query, and taken off', async () => {
    const juliet = await scene.enter('juliet', 'Juliet');
    const first = await say(juliet, 'One');
    const second = await say(romeo, 'Two');
    juliet.take();
    for (const id of [first, second]) assert.equal((await pin(romeo, id)).attrs['type'], 'result');
    const told = juliet.take()[0]!;
    assert.equal(told.attrs['from'], ROOM);
    assert.equal(told.getChildText('body'), 'Pinned by Romeo: a message of Juliet');
    assert.deepEqual(told.getChild('pinned', NS)?.attrs, { xmlns: NS, id: first, by: 'Romeo' });
    assert.deepEqual(told.getChild('reply')?.attrs, { xmlns: 'urn:xmpp:reply:0', to: `${ROOM}/Juliet`, id: first });
    assert.deepEqual(show(await pins(juliet)), ['Romeo Romeo: Two', 'Romeo Juliet: One']);
    assert.equal((await pin(romeo, first, 'unpin')).attrs['type'], 'result');
    assert.deepEqual(bodies(juliet), ['Unpinned by Romeo: a message of Juliet']);
    assert.deepEqual(show(await pins(juliet)), ['Romeo Romeo: Two']);
    assert.equal(conditionOf(await pin(romeo, first, 'unpin')), 'item-not-found');
  });

  it('are pinned once, and no more than the room holds, also by those who hurry', async () => {
    const ids: string[] = [];
    for (const text of ['a', 'b', 'c', 'd', 'e']) ids.push(await say(romeo, text));
    const replies = await Promise.all([ids[0]!, ids[0]!, ...ids].map((id) => pin(romeo, id)));
    const conditions = replies.map((reply) => (reply.attrs['type'] === 'error' ? conditionOf(reply) : 'ok'));
    assert.deepEqual(conditions, ['ok', 'ok', 'ok', 'ok', 'ok', 'resource-constraint', 'resource-constraint']);
    assert.deepEqual(show(await pins(romeo)), ['Romeo Romeo: c', 'Romeo Romeo: b', 'Romeo Romeo: a']);
    await settle();
    assert.equal(bodies(romeo).length, 3);
  });

  it('are pinned by those whom the room allows, and read by those who may read the archive', async () => {
    const id = await say(romeo, 'Hello');
    const juliet = await scene.enter('juliet', 'Juliet');
    const stranger = await scene.host.online('tybalt');
    for (const probe of [juliet, stranger]) {
      assert.equal(conditionOf(await pin(probe, id)), 'forbidden');
      assert.equal(conditionOf(await pin(probe, id, 'unpin')), 'forbidden');
      assert.equal(outcome(await run(probe, ROOM, `${NS}#pin`)), 'forbidden');
      assert.equal(outcome(await run(probe, ROOM, `${NS}#unpin`)), 'forbidden');
    }
    await pin(romeo, id);
    assert.deepEqual(show(await pins(stranger)), ['Romeo Romeo: Hello']);
    const room = await scene.room();
    await scene.rooms.configure(room, {
      ...room.settings,
      isMembersOnly: true,
      extras: { '{parlance:rooms:1}who_may_pin': ['participants'] },
    });
    assert.equal(conditionOf(await pins(stranger)), 'forbidden');
    assert.equal(outcome(await run(stranger, ROOM, `${NS}#list`)), 'forbidden');
    assert.equal(conditionOf(await pin(stranger, id)), 'forbidden');
  });

  it('are not changed so often that everybody is flooded with it', async () => {
    const id = await say(romeo, 'Hello');
    const replies: string[] = [];
    for (let i = 0; i < 15; i++) {
      for (const name of ['pin', 'unpin']) {
        const reply = await pin(romeo, id, name);
        replies.push(reply.attrs['type'] === 'error' ? conditionOf(reply)! : 'ok');
      }
    }
    assert.deepEqual(replies.slice(0, 20), Array(20).fill('ok'));
    assert.deepEqual(new Set(replies.slice(20)), new Set(['resource-constraint', 'item-not-found']));
    assert.equal(bodies(romeo).length, 20);
    // The host itself is not held back.
    await scene.api.pin(await scene.room(), id, undefined);
  });

  it('are messages of this room: nothing else can be pinned', async () => {
    romeo.send(`<message type='groupchat' to='${ROOM}'><subject>Topic</subject></message>`);
    await settle();
    const subject = (await scene.kept()).at(-1)![0];
    const other = await scene.create('garden');
    await scene.rooms.speak(other, Stanza.of(xml('message', { type: 'groupchat' }, xml('body', {}, 'x'))));
    const elsewhere = (await scene.kept('garden@conference.example.org'))[0]![0];
    const never = '01890000-0000-7000-8000-000000000000';
    for (const id of [subject, elsewhere, never, 'x', "' or 1=1 --", '__proto__', 'a'.repeat(10_000)]) {
      assert.equal(conditionOf(await pin(romeo, id.replaceAll("'", '&apos;'))), 'item-not-found', id.slice(0, 40));
    }
    for (const inner of ['<pin', '<unpin']) {
      assert.equal(conditionOf(await romeo.ask(`<iq type='set' to='${ROOM}'>${inner} xmlns='${NS}'/></iq>`)), 'bad-request');
    }
    assert.deepEqual(show(await pins(romeo)), []);
  });

  it('keep a copy that outlives the archive, cut off where it is long', async () => {
    const id = await say(romeo, `${'x'.repeat(1999)}🙂${'y'.repeat(5000)}`);
    await pin(romeo, id);
    await scene.rooms.messages.remove(ROOM, { ids: [id] });
    const [shown] = show(await pins(romeo));
    assert.equal(shown, `Romeo Romeo: ${'x'.repeat(1999)}…`);
  });

  it('are dropped once the message is retracted', async () => {
    const id = await say(romeo, 'Secret');
    const other = await say(romeo, 'Open');
    await pin(romeo, id);
    await pin(romeo, other);
    const [item] = (await scene.rooms.messages.query(ROOM, { ids: [id] })).items;
    const stanza =
      "<message xmlns='jabber:client' type='groupchat'><retracted xmlns='urn:xmpp:message-retract:1' id='r'/></message>";
    await scene.rooms.messages.replace(ROOM, { id, tag: item!.tag | TAG.tombstone, stanza });
    assert.deepEqual(show(await pins(romeo)), ['Romeo Romeo: Open']);
    assert.equal(conditionOf(await pin(romeo, id)), 'item-not-found');
    // Nor does anything that was said about it.
    assert(!(await scene.texts()).join().includes('Secret'));
  });

  it('are shown to whoever comes in, behind the subject and before what is said then', async () => {
    const ids = [await say(romeo, 'One'), await say(romeo, 'Two')];
    for (const id of ids) await pin(romeo, id);
    const juliet = await scene.enter('juliet', 'Juliet', "<history maxstanzas='2'/>");
    const messages = juliet.take().filter(({ name }) => name === 'message');
    const shown = messages.slice(-2);
    assert.equal(messages.at(-3)?.getChildText('subject'), '');
    assert.deepEqual(
      shown.map((each) => each.getChildText('body')),
      ['Pinned by Romeo: Romeo: One', 'Pinned by Romeo: Romeo: Two'],
    );
    for (const [i, each] of shown.entries()) {
      assert.equal(each.attrs['from'], ROOM);
      assert(each.getChild('delay', 'urn:xmpp:delay'));
      assert.equal(each.getChild('pinned', NS)?.attrs['id'], ids[i]);
      assert.equal(each.getChild('reply')?.attrs['id'], ids[i]);
    }
    // They are not kept by the room as something that was said.
    assert.equal((await scene.texts()).filter((text) => text.includes('One')).length, 1);
    // Who says again that it is there is not shown them again.
    juliet.send(
      `<presence to='${ROOM}/Juliet'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>`,
    );
    await settle();
    assert.deepEqual(bodies(juliet), ['()']);
  });

  it('are not shown to who wants no history, or has seen them, or where the room does not want it', async () => {
    await pin(romeo, await say(romeo, 'One'));
    const seen = new Date(Date.now() + 1000).toISOString();
    const wishes = ["maxstanzas='0'", "maxchars='0'", `since='${seen}'`];
    for (const [i, wish] of wishes.entries()) {
      const probe = await scene.enter(`guest${i}`, `Guest${i}`, `<history ${wish}/>`);
      assert(!bodies(probe).some((body) => body.startsWith('Pinned by Romeo: Romeo')), wish);
    }
    for (const [i, wish] of [
      "since='1970-01-01T00:00:00Z'",
      "seconds='3600'",
      "since='x' seconds='-1' maxstanzas='x'",
    ].entries()) {
      const probe = await scene.enter(`friend${i}`, `Friend${i}`, `<history ${wish}/>`);
      assert.equal(bodies(probe).at(-1), 'Pinned by Romeo: Romeo: One', wish);
    }
    const room = await scene.room();
    await scene.rooms.configure(room, { ...room.settings, extras: { '{parlance:rooms:1}show_pins': ['0'] } });
    assert.equal(bodies(await scene.enter('paris', 'Paris')).at(-1), '()');
  });

  it('can be listed, pinned and taken off with any client, by commands', async () => {
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#list`)), 'Nothing is pinned.');
    const id = await say(romeo, 'Bring &lt;wine&gt;');
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#pin`, { message: id })), 'The message is pinned.');
    assert.deepEqual(outcome(await run(romeo, ROOM, `${NS}#list`)), ['Romeo: Bring <wine>']);
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#unpin`, { message: id })), 'The message is not pinned any more.');
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#pin`, { message: '', id: ` ${id} ` })), 'The message is pinned.');
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#pin`, {})), 'not-acceptable');
    assert.equal(outcome(await run(romeo, ROOM, `${NS}#pin`, { message: 'x' })), 'not-acceptable');
    assert.equal(
      outcome(await run(romeo, ROOM, `${NS}#unpin`, { message: '01890000-0000-7000-8000-000000000000' })),
      'item-not-found',
    );
  });

  it('end with the room, and are not those of the next one', async () => {
    await pin(romeo, await say(romeo, 'Old'));
    await scene.rooms.destroy(await scene.room());
    await settle();
    const next = await scene.create();
    assert.deepEqual(await scene.api.pins(next), []);
  });

  it('say whose they are when other modules set them for the host', async () => {
    const id = await say(romeo, 'Hi');
    const made = await scene.api.pin(await scene.room(), id, undefined);
    assert.equal(made.by, '');
    assert.deepEqual(bodies(romeo), ['Pinned by an admin: a message of Romeo']);
  });
});

describe('pinned messages: storage', () => {
  it('last over a restart, and hold only once they are stored', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const slow = new SlowWrites(lasting(storage));
    const first = await startScene({ storage: slow.storage });
    const room = await first.create();
    const romeo = await first.enter('romeo', 'Romeo');
    romeo.send(`<message type='groupchat' to='${ROOM}'><body>Kept</body></message>`);
    await settle();
    const [id] = (await first.kept())[0]!;
    slow.fail();
    await assert.rejects(first.api.pin(room, id, undefined), /disk is full/);
    slow.release();
    assert.deepEqual(await first.api.pins(room), []);
    await first.api.pin(room, id, undefined);
    await first.stop();
    const second = await startScene({ storage });
    const [pin] = await second.api.pins(await second.room());
    assert.deepEqual([pin?.id, pin?.text, pin?.nick], [id, 'Kept', 'Romeo']);
    await second.stop();
  });
});
