import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import caps from '../../../modules/caps/index.ts';
import disco from '../../../modules/disco/index.ts';
import inbox from '../../../modules/inbox/index.ts';
import type { Stored } from '../../../modules/mam/index.ts';
import { TAG } from '../../../modules/mam/index.ts';
import mds from '../../../modules/mds/index.ts';
import { type ArchiveStore, archiveStore, defineModule, option, Signal, Stanza, sortableId, xml } from '../../../src/index.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:inbox:1';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_RSM = 'http://jabber.org/protocol/rsm';
const ROMEO = 'romeo@example.net';
const NURSE = 'nurse@example.net';
const TYBALT = 'tybalt@example.net';
const RECEIVED = TAG.conversation;
const SENT = TAG.conversation | TAG.outgoing;

let messages: ArchiveStore;
let stored: Signal<Stored>;
/** What was asked of the archive. */
let reads = 0;

/** An archive into which a test writes. */
const archive = defineModule({
  name: 'mam',
  doc: '',
  config: option.object({}),
  stores: { messages: archiveStore() },
  setup({ stores }) {
    messages = stores.messages;
    stored = new Signal('stored', (_, error) => assert.fail(String(error)));
    reads = 0;
    for (const name of ['query', 'count'] as const) {
      const read = messages[name].bind(messages) as (owner: string, filter: object) => Promise<never>;
      Object.assign(messages, {
        [name]: (owner: string, filter: object) => {
          reads++;
          return read(owner, filter);
        },
      });
    }
    return { messages, stored, find: async () => undefined };
  },
});

/** Puts a message into the archive of Juliet; returns its id. */
async function put(chat: string, body: string, tag: number = RECEIVED, id = sortableId()): Promise<string> {
  const stanza = `<message xmlns='jabber:client' from='${chat}/x' to='juliet@example.org' type='chat'><body>${body}</body></message>`;
  await messages.append('juliet', { id, with: chat, tag, stanza });
  stored.emit({ owner: 'juliet', id, with: chat, tag, stanza: Stanza.of(xml('message')) });
  return id;
}

interface Answer {
  /** `jid unread text`, in the order in which they came. */
  readonly entries: readonly string[];
  readonly messages: readonly Element[];
  readonly fin: Element;
  /** `total unread all-unread` */
  readonly totals: string;
}

const request = (attrs = '', inner = '') => `<iq type='get'><inbox xmlns='${NS}' ${attrs}>${inner}</inbox></iq>`;
const rsm = (inner: string) => `<set xmlns='${NS_RSM}'>${inner}</set>`;

async function look(probe: Probe, attrs = '', inner = ''): Promise<Answer> {
  const fin = payloadOf(await probe.ask(request(attrs, inner)));
  assert.deepEqual([fin.name, fin.getNS()], ['fin', NS]);
  const found = probe.take();
  const entries = found.map((message) => {
    assert.deepEqual([message.name, message.attrs['from']], ['message', 'juliet@example.org']);
    const { jid, unread } = message.getChild('entry', NS)!.attrs;
    return `${jid} ${unread} ${bodyOf(message) ?? ''}`.trim();
  });
  const { total, unread, 'all-unread': sum } = fin.attrs;
  return { entries, messages: found, fin, totals: `${total} ${unread} ${sum}` };
}

function bodyOf(message: Element): string | null | undefined {
  const forwarded = message.getChild('result', NS_MAM)?.getChild('forwarded', 'urn:xmpp:forward:0');
  return forwarded?.getChild('message', 'jabber:client')?.getChildText('body');
}

async function display(probe: Probe, chat: string, id: string, by = 'juliet@example.org'): Promise<void> {
  const mark = `<displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${id}'/></displayed>`;
  const publish = `<publish node='urn:xmpp:mds:displayed:0'><item id='${chat}'>${mark}</item></publish>`;
  payloadOf(await probe.ask(`<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'>${publish}</pubsub></iq>`));
}

describe('inbox', () => {
  let host: TestHost;
  let juliet: Probe;
  beforeEach(async () => {
    host = await startHost([archive, disco, caps, mds, inbox], {
      modules: { inbox: { maxPage: 3, maxUnread: 5, maxConversations: 10 } },
    });
    juliet = await host.online('juliet');
  });
  afterEach(() => host.stop());

  it('is empty when nothing was said', async () => {
    const { entries, fin, totals } = await look(juliet);
    assert.deepEqual([entries, totals], [[], '0 0 0']);
    assert.equal(fin.getChild('set', NS_RSM)?.getChildText('count'), '0');
  });

  it('is a feature of the account (XEP-0430 section 2.1)', async () => {
    const query = "<iq type='get' to='juliet@example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    assert(infoOf(payloadOf(await juliet.ask(query))).features.includes(NS));
  });

  it('shows conversations, the newest activity first, with their last messages (section 3.1)', async () => {
    await put(ROMEO, 'one');
    await put(NURSE, 'two', SENT);
    const id = await put(ROMEO, 'three &amp; four');
    const { entries, messages: found, totals } = await look(juliet);
    assert.deepEqual(entries, [`${ROMEO} 2 three & four`, `${NURSE} 0 two`]);
    assert.equal(totals, '2 1 2');
    const [message] = found;
    assert.equal(message!.attrs['to'], juliet.jid);
    assert.deepEqual(
      message!.getChildElements().map(({ name }) => name),
      ['entry', 'result'],
    );
    assert.equal(message!.getChild('entry')?.attrs['id'], id);
    const result = message!.getChild('result', NS_MAM)!;
    assert.deepEqual([result.attrs['id'], result.attrs['queryid']], [id, 'ask-1']);
    const stamp = result.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp'];
    assert.match(stamp, /^\d{4}-\d\d-\d\dT/);
  });

  it('answers under the address of the account, and not about others', async () => {
    await put(ROMEO, 'one');
    const own = await juliet.ask(`<iq type='get' to='juliet@example.org'><inbox xmlns='${NS}'/></iq>`);
    assert.equal(payloadOf(own).attrs['total'], '1');
    const tybalt = await host.online('tybalt');
    for (const to of ['juliet@example.org', 'nobody@example.org', 'example.org']) {
      const reply = await tybalt.ask(`<iq type='get' to='${to}'><inbox xmlns='${NS}'/></iq>`);
      assert.equal(conditionOf(reply), 'service-unavailable');
    }
    assert.equal(payloadOf(await tybalt.ask(request())).attrs['total'], '0');
  });

  it('shows only the unread ones, and no messages, to whom wants that', async () => {
    await put(ROMEO, 'one');
    await put(NURSE, 'two', SENT);
    const unread = await look(juliet, "unread-only='true'");
    assert.deepEqual([unread.entries, unread.totals], [[`${ROMEO} 1 one`], '2 1 1']);
    assert.equal(unread.fin.getChild('set', NS_RSM)?.getChildText('count'), '1');
    const short = await look(juliet, "messages='0' unread-only='0'");
    assert.deepEqual(short.entries, [`${NURSE} 0`, `${ROMEO} 1`]);
    assert(short.messages.every((message) => !message.getChild('result')));
  });

  for (const attrs of ["messages='perhaps'", "unread-only=''"]) {
    it(`refuses ${attrs}`, async () => {
      assert.equal(conditionOf(await juliet.ask(request(attrs))), 'bad-request');
    });
  }

  it('counts as unread what was received and is behind what was displayed (section 4, XEP-0490 section 5.1)', async () => {
    const ids = [await put(ROMEO, '1'), await put(ROMEO, '2'), await put(ROMEO, '3', SENT), await put(ROMEO, '4')];
    const counts = async () => (await look(juliet, "messages='false'")).entries;
    assert.deepEqual(await counts(), [`${ROMEO} 3`]);
    await display(juliet, ROMEO, ids[0]!);
    assert.deepEqual(await counts(), [`${ROMEO} 2`]);
    await display(juliet, ROMEO, ids[2]!);
    assert.deepEqual(await counts(), [`${ROMEO} 1`]);
    await display(juliet, ROMEO, ids[3]!);
    assert.deepEqual(await counts(), [`${ROMEO} 0`]);
    await put(ROMEO, '5', SENT);
    await put(ROMEO, '6');
    assert.deepEqual(await counts(), [`${ROMEO} 1`]);
  });

  it('counts neither receipts nor markers, retracted messages, or what is said in rooms', async () => {
    await put(ROMEO, '1');
    const receipt = await put(ROMEO, '', 0);
    await put(ROMEO, '', TAG.tombstone);
    await put(NURSE, '', 0);
    await put('room@example.net', 'hi', RECEIVED | TAG.groupchat);
    const { entries, messages: found, totals } = await look(juliet);
    assert.deepEqual([entries, totals], [['room@example.net 0 hi', `${ROMEO} 1 1`], '2 1 1']);
    // The last id is that of the conversation, whatever is behind it.
    assert(found[1]!.getChild('entry')?.attrs['id'] > receipt);
  });

  it('counts to a limit', async () => {
    for (let i = 0; i < 8; i++) await put(ROMEO, `${i}`);
    assert.deepEqual((await look(juliet)).entries, [`${ROMEO} 5 7`]);
    await put(ROMEO, '8');
    assert.deepEqual((await look(juliet)).entries, [`${ROMEO} 5 8`]);
  });

  it('is read from the archive once; what comes then is counted', async () => {
    await put(ROMEO, '1');
    await look(juliet, "messages='0'");
    const before = reads;
    await put(ROMEO, '2');
    await put(ROMEO, '3', SENT);
    assert.deepEqual((await look(juliet, "messages='0'")).entries, [`${ROMEO} 2`]);
    assert.equal(reads, before);
    await put(TYBALT, '4');
    assert.deepEqual((await look(juliet, "messages='0'")).entries, [`${TYBALT} 1`, `${ROMEO} 2`]);
  });

  it('is right when messages become durable in another order than they came', async () => {
    await put(ROMEO, '1');
    await look(juliet);
    const [early, late] = [sortableId(), sortableId()];
    await put(ROMEO, 'late', RECEIVED, late);
    await put(ROMEO, 'early', RECEIVED, early);
    assert.deepEqual((await look(juliet)).entries, [`${ROMEO} 3 late`]);
    // Told of a message that was there when it was looked at.
    stored.emit({ owner: 'juliet', id: late, with: ROMEO, tag: RECEIVED, stanza: Stanza.of(xml('message')) });
    assert.deepEqual((await look(juliet)).entries, [`${ROMEO} 3 late`]);
  });

  it('is right about what comes while it is being read', async () => {
    for (const chat of [ROMEO, NURSE, TYBALT]) await put(chat, '1');
    juliet.send(request().replace('<iq', "<iq id='first'"));
    await Promise.all([put(ROMEO, '2'), put(NURSE, '2'), put('new@example.net', '2')]);
    await settle();
    juliet.take();
    assert.equal((await look(juliet)).totals, '4 4 6');
  });

  it('notices when a message has been retracted, or taken out of the archive', async () => {
    await put(ROMEO, '1');
    const id = await put(ROMEO, '2');
    const only = await put(NURSE, '3');
    await look(juliet);
    await messages.replace('juliet', { id, tag: TAG.tombstone, stanza: "<message xmlns='jabber:client'/>" });
    stored.emit({ owner: 'juliet', id, with: ROMEO, tag: TAG.tombstone, stanza: Stanza.of(xml('message')) });
    assert.deepEqual((await look(juliet)).entries, [`${NURSE} 1 3`, `${ROMEO} 1 1`]);
    await messages.remove('juliet', { ids: [only] });
    await look(juliet);
    assert.deepEqual((await look(juliet)).entries, [`${ROMEO} 1 1`]);
  });

  it('gives pages, and goes on from where the last ended though others have moved up (XEP-0059)', async () => {
    const chats = ['a@x.example', 'b@x.example', 'c@x.example', 'd@x.example', 'e@x.example'];
    for (const chat of chats) await put(chat, '1');
    const page = async (inner: string) => {
      const { entries, fin } = await look(juliet, "messages='0'", rsm(inner));
      const set = fin.getChild('set', NS_RSM)!;
      assert.equal(set.getChildText('count'), '5');
      return {
        text: entries.map((entry) => entry[0]).join(''),
        first: set.getChildText('first'),
        last: set.getChildText('last'),
      };
    };
    const one = await page('<max>2</max>');
    assert.equal(one.text, 'ed');
    await put('a@x.example', '2');
    const two = await page(`<max>2</max><after>${one.last}</after>`);
    assert.equal(two.text, 'cb');
    assert.equal((await page(`<max>2</max><after>${two.last}</after>`)).text, '');
    assert.equal((await page(`<max>2</max><before>${two.first}</before>`)).text, 'ed');
    assert.equal((await page(`<max>9</max><before>${one.first}</before>`)).text, 'a');
    assert.equal((await page('<max>2</max><before/>')).text, 'cb');
    assert.equal((await page('<max>2</max><index>4</index>')).text, 'b');
    assert.equal((await page('<max>2</max><index>9</index>')).text, '');
    assert.equal((await page('<max>0</max>')).text, '');
    assert.equal((await page('<max>100</max>')).text, 'aed');
    for (const inner of ['<after>nonsense</after>', '<before>nonsense</before>']) {
      assert.equal(conditionOf(await juliet.ask(request('', rsm(inner)))), 'item-not-found');
    }
    assert.equal(conditionOf(await juliet.ask(request('', rsm('<max>many</max>')))), 'bad-request');
  });

  it('leaves out what is too much for one answer, and goes on from there in either direction', async () => {
    const text = 'x'.repeat(300_000);
    for (const chat of ['a@x.example', 'b@x.example', 'c@x.example']) await put(chat, text);
    const letters = ({ entries }: Answer) => entries.map((entry) => entry[0]).join('');
    const first = await look(juliet);
    assert.equal(letters(first), 'c');
    const last = first.fin.getChild('set', NS_RSM)!.getChildText('last');
    assert.equal(letters(await look(juliet, '', rsm(`<after>${last}</after>`))), 'b');
    assert.equal(letters(await look(juliet, '', rsm('<before/>'))), 'a');
    assert.equal(letters(await look(juliet, "messages='0'")), 'cba');
  });

  it('shows the newest so many conversations, and those that come back', async () => {
    for (let i = 0; i < 9; i++) await put(`${i}@x.example`, '1');
    await look(juliet);
    for (let i = 10; i < 16; i++) await put(`${i}@x.example`, '1');
    const { totals } = await look(juliet, "messages='0'", rsm('<max>0</max>'));
    assert.equal(totals, '12 12 12');
    await put('0@x.example', '2');
    assert.equal((await look(juliet, "messages='0'", rsm('<max>1</max>'))).entries[0], '0@x.example 2');
  });

  it('survives a flood of strangers between two looks', async () => {
    await put(ROMEO, '1');
    await look(juliet);
    for (let i = 0; i < 30; i++) await put(`stranger${i}@x.example`, 'buy');
    await put(ROMEO, '2');
    assert.equal((await look(juliet, "messages='0'", rsm('<max>1</max>'))).entries[0], `${ROMEO} 2`);
  });

  it('writes addresses and ids so that they stay what they are', async () => {
    const chat = `d'artagnan&co@example.net`;
    const escaped = "d'artagnan&amp;co@example.net".replaceAll("'", '&apos;');
    const id = sortableId();
    await messages.append('juliet', {
      id,
      with: chat,
      tag: RECEIVED,
      stanza: `<message xmlns='jabber:client' from='${escaped}'><body>é</body></message>`,
    });
    const reply = await juliet.ask(`<iq type='get'><inbox xmlns='${NS}'/></iq>`);
    assert.equal(payloadOf(reply).attrs['total'], '1');
    const [message] = juliet.take();
    assert.equal(message!.getChild('entry')?.attrs['jid'], chat);
    assert.equal(bodyOf(message!), 'é');
    juliet.send(`<iq type='get' id='&lt;&apos;&quot;'><inbox xmlns='${NS}'/></iq>`);
    assert.equal((await juliet.receive('message')).getChild('result')?.attrs['queryid'], `<'"`);
    juliet.send(`<iq type='get' id='${'x'.repeat(1000)}'><inbox xmlns='${NS}'/></iq>`);
    await juliet.receive('iq');
    assert.equal((await juliet.receive('message')).getChild('result')?.attrs['queryid'], undefined);
  });

  it('leaves nothing to the next account of the same name', async () => {
    await put(ROMEO, '1');
    await look(juliet);
    await host.host.accounts.delete('juliet');
    const next = await host.online('juliet');
    assert.equal((await look(next)).totals, '0 0 0');
  });
});
