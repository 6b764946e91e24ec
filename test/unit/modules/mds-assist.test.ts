import assert from 'node:assert/strict';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import { Chats, type StoredMark } from '../../../modules/mds/chats.ts';
import mds, { type MdsApi } from '../../../modules/mds/index.ts';
import { type AnyModule, defineModule, type MapStore, mapStore, option, Priority, sortableId } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { Shelf } from '../../../src/shelf.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { conditionOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowWrites } from '../../support/slow-writes.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:mds:displayed:0';
const MARKERS = 'urn:xmpp:chat-markers:0';
const JULIET = 'juliet@example.org';
const ROMEO = 'romeo@example.org';

const displayed = (id: string, by = JULIET) =>
  `<displayed xmlns='${NS}'><stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${id}'/></displayed>`;
const marker = (id: string) => `<displayed xmlns='${MARKERS}' id='${id}'/>`;

/** An archive that knows some messages: `owner other id` by the archive's id. */
const known = new Map<string, string>();
let finds = 0;
const archive = defineModule({
  name: 'mam',
  doc: '',
  config: option.object({}),
  setup: () => ({
    async find(owner: string, other: string, id: string) {
      finds++;
      await settle();
      return known.get(`${owner} ${other} ${id}`);
    },
  }),
});

let api: MdsApi;
/** What stanzas look like when they are recorded and copied. */
const recorded: string[] = [];
const reader = defineModule({
  name: 'reader',
  doc: '',
  needs: [mds],
  config: option.object({}),
  setup({ hooks, on, use }) {
    api = use(mds);
    const record = ({ stanza }: { stanza: { element: object } }): void => void recorded.push(String(stanza.element));
    on(hooks.messageSent, record, Priority.record);
    on(hooks.messageReceived, record, Priority.record);
  },
});

describe('mds: server assist', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;
  let slow: SlowWrites;
  const start = async (modules: readonly AnyModule[]) => {
    known.clear();
    recorded.length = 0;
    slow = new SlowWrites(await openStorage({ type: 'memory' }, silent));
    host = await startHost(modules, { storage: slow.storage });
    juliet = await host.online('juliet');
    romeo = await host.online('romeo');
  };
  beforeEach(() => start([disco, caps, mds, reader]));
  afterEach(() => host.stop());

  it('publishes what a message says, and takes it out before anybody sees or keeps it (XEP-0490 section 4.5.3)', async () => {
    const id = sortableId();
    juliet.send(`<message to='${ROMEO}'>${marker('m1')}${displayed(id)}</message>`);
    const message = await romeo.receive('message');
    assert.deepEqual(
      message.getChildElements().map(({ attrs }) => attrs['xmlns']),
      [MARKERS],
    );
    assert.equal(api.displayed('juliet', ROMEO), id);
    assert.equal(recorded.length, 2);
    for (const text of recorded) assert(!text.includes(NS), text);
  });

  it('takes the address as the chat: of a room, of an occupant, of nobody else', async () => {
    const id = sortableId();
    for (const [to, chat] of [
      ['room@CONFERENCE.example.net', 'room@conference.example.net'],
      ['room@conference.example.net/Nick', 'room@conference.example.net/Nick'],
    ]) {
      juliet.send(`<message to='${to}' type='groupchat'>${displayed(id)}<body>hi</body></message>`);
      await settle();
      assert.equal(await api.displayed('juliet', chat!), id);
    }
    juliet.send(`<message>${displayed(id)}<body>a note to myself</body></message>`);
    await settle();
    assert.equal(await api.displayed('juliet', JULIET), id);
    juliet.take();
  });

  it('lets the message go on once the mark is durable', async () => {
    await api.displayed('juliet', ROMEO);
    slow.hold();
    juliet.send(`<message to='${ROMEO}'>${marker('m1')}${displayed(sortableId())}</message>`);
    await romeo.quiet();
    slow.release();
    await romeo.receive('message');
  });

  it('refuses the message when the mark cannot be kept', async () => {
    await api.displayed('juliet', ROMEO);
    slow.fail();
    juliet.send(`<message to='${ROMEO}' id='m2'>${marker('m1')}${displayed(sortableId())}</message>`);
    assert.equal(conditionOf(await juliet.receive('message')), 'internal-server-error');
    await romeo.quiet();
    slow.release();
    assert.equal(host.faults.splice(0).length, 1);
  });

  for (const [what, element] of [
    ['without an id', `<displayed xmlns='${NS}'/>`],
    ['with two ids', `<displayed xmlns='${NS}'>${"<stanza-id xmlns='urn:xmpp:sid:0' by='a' id='b'/>".repeat(2)}</displayed>`],
    ['that is there twice', displayed(sortableId()).repeat(2)],
    ['with a very long id', displayed('x'.repeat(2000))],
  ] as const) {
    it(`takes out an element ${what}, and processes the message as if it had not been there`, async () => {
      juliet.send(`<message to='${ROMEO}'>${element}<body>hi</body></message>`);
      const message = await romeo.receive('message');
      assert.deepEqual(
        message.getChildElements().map(({ name }) => name),
        ['body'],
      );
      assert.equal(await api.displayed('juliet', ROMEO), undefined);
      await juliet.quiet();
    });
  }

  it('takes nothing from an error, which gives back the words of others', async () => {
    juliet.send(`<message to='${romeo.jid}' type='error' id='x'>${displayed(sortableId())}<error type='cancel'/></message>`);
    assert(!String(await romeo.receive('message')).includes(NS));
    assert.equal(await api.displayed('juliet', romeo.jid), undefined);
  });

  it('never lets what others say reach a client (section 7)', async () => {
    const { router } = host.host;
    const { Stanza, xml } = await import('../../../src/index.ts');
    const stranger = host.jid('tybalt@example.net/x');
    const forged = xml(
      'message',
      {},
      xml('body', {}, 'hi'),
      xml('displayed', NS, xml('stanza-id', { xmlns: 'urn:xmpp:sid:0', by: JULIET, id: 'x' })),
    );
    router.send(Stanza.of(forged), stranger, juliet.session.jid);
    const message = await juliet.receive('message');
    assert.equal(message.getChildText('body'), 'hi');
    assert(!String(message).includes(NS), String(message));
    assert.equal(await api.displayed('juliet', 'tybalt@example.net/x'), undefined);
  });
});

describe('mds: displayed markers', () => {
  let host: TestHost;
  let juliet: Probe;
  let romeo: Probe;
  beforeEach(async () => {
    known.clear();
    host = await startHost([archive, disco, caps, mds, reader]);
    juliet = await host.online('juliet');
    romeo = await host.online('romeo');
  });
  afterEach(() => host.stop());

  const send = async (to: string, inner: string, type = 'chat') => {
    juliet.send(`<message to='${to}' type='${type}'>${inner}</message>`);
    for (let i = 0; i < 20; i++) await settle();
    romeo.take();
    juliet.take();
  };

  it('for a contact mark the chat by the id that the archive has given to the message (XEP-0333)', async () => {
    const id = sortableId();
    known.set(`juliet ${ROMEO} m1`, id);
    await send(`${ROMEO}/orchard`, marker('m1'));
    assert.equal(await api.displayed('juliet', ROMEO), id);
  });

  it('do not move backwards, nor to a message that is not there (XEP-0333 section 5)', async () => {
    const [old, recent] = [sortableId(), sortableId()];
    known.set(`juliet ${ROMEO} m1`, old).set(`juliet ${ROMEO} m2`, recent).set('juliet other@example.net m3', sortableId());
    for (const id of ['m2', 'm1', 'm3', '']) await send(ROMEO, marker(id));
    assert.equal(await api.displayed('juliet', ROMEO), recent);
  });

  it('say nothing about rooms and their occupants', async () => {
    const room = 'room@example.net';
    known.set(`juliet ${room} m1`, sortableId());
    await send(room, marker('m1'), 'groupchat');
    await send(`${room}/nick`, `${marker('m1')}<x xmlns='http://jabber.org/protocol/muc#user'/>`);
    assert.equal(await api.displayed('juliet', room), undefined);
    // By its mark it is known to be a room.
    await send(room, displayed('what the room says', room), 'groupchat');
    await send(`${room}/nick`, marker('m1'));
    assert.equal(await api.displayed('juliet', room), undefined);
  });

  it('that come in a flood do not make an archive be searched for each', async () => {
    finds = 0;
    const marks = Array.from({ length: 100 }, (_, i) => `<message to='${ROMEO}' type='chat'>${marker(`m${i}`)}</message>`);
    for (const message of marks) juliet.send(message);
    for (let i = 0; i < 20; i++) await settle();
    assert(finds < 20, `${finds} searches`);
    const id = sortableId();
    known.set(`juliet ${ROMEO} last`, id);
    await send(ROMEO, marker('last'));
    assert.equal(await api.displayed('juliet', ROMEO), id);
  });

  it('are not looked up for what somebody else sends', async () => {
    known.set(`juliet ${ROMEO} m1`, sortableId()).set('romeo juliet@example.org m1', sortableId());
    romeo.send(`<message to='${JULIET}' type='chat'>${marker('m1')}</message>`);
    await juliet.receive('message');
    await settle();
    await settle();
    assert.equal(await api.displayed('juliet', ROMEO), undefined);
    assert.equal(await api.displayed('romeo', JULIET), known.get('romeo juliet@example.org m1'));
  });
});

describe('mds: the chats in memory', () => {
  let store: MapStore<StoredMark>;
  let shelf: Shelf<Chats>;
  let loads = 0;
  let storage: Storage;
  afterEach(() => storage.close());
  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    store = (await storage.open('example.org', 'mds', { marks: mapStore<StoredMark>() })).marks;
    loads = 0;
    shelf = makeShelf();
  });

  const makeShelf = () =>
    new Shelf(40, (username) => {
      loads++;
      return Chats.load(username, { store, domain: 'example.org', max: 10 });
    });
  const mark = async (username: string, chat: string) => {
    const chats = await shelf.get(username);
    await chats.publish(chat, { by: `${username}@example.org`, id: sortableId() });
  };

  it('are those of the accounts that were used lately', async () => {
    await mark('a', 'x@x.example');
    await mark('b', 'x@x.example');
    await shelf.get('a');
    assert.equal(loads, 2);
    for (const other of ['c', 'd', 'e']) await shelf.get(other);
    assert.equal((await shelf.get('a')).size, 1);
    assert.equal(loads, 5);
    await shelf.get('b');
    assert.equal(loads, 6);
  });

  it('are never forgotten while they are being changed', async () => {
    const chats = await shelf.get('a');
    const pending = chats.publish('x@x.example', { by: 'a@example.org', id: sortableId() });
    for (const other of ['b', 'c', 'd', 'e', 'f']) await shelf.get(other);
    await pending;
    assert.equal(chats.size, 1);
  });

  it('keep the order of publication over a restart', async () => {
    for (const chat of ['c@x.example', 'a@x.example', 'b@x.example', 'c@x.example']) await mark('a', chat);
    const again = await makeShelf().get('a');
    assert.deepEqual(
      [...again.all()].map(([chat]) => chat),
      ['a@x.example', 'b@x.example', 'c@x.example'],
    );
    await again.publish('a@x.example', { by: 'a@example.org', id: sortableId() });
    const third = await makeShelf().get('a');
    assert.equal([...third.all()].at(-1)![0], 'a@x.example');
  });

  it('of a deleted account leave nothing behind, not even what was being written', async () => {
    const chats = await shelf.get('a');
    const pending = chats.publish('x@x.example', { by: 'a@example.org', id: sortableId() });
    (await shelf.drop('a'))?.end();
    assert.equal(await pending, false);
    assert.equal((await store.entries('a')).size, 0);
  });
});
