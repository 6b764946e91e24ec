import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { Answerable } from '../../../modules/carbons/answerable.ts';
import carbons from '../../../modules/carbons/index.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:carbons:2';
const ENABLE = `<iq type='set'><enable xmlns='${NS}'/></iq>`;
const ROMEO = 'romeo@example.net/hall';
const MUC = "xmlns='http://jabber.org/protocol/muc#user'";

let host: TestHost;
let far: Elsewhere;
let balcony: Probe;
let garden: Probe;

/** What a message of this kind is for the other client: the directions in which it is copied. */
async function copies(attrs: string, inner: string, peer = ROMEO): Promise<readonly string[]> {
  balcony.send(`<message to='${peer}' ${attrs}>${inner}</message>`);
  await settle();
  await far.send(`<message from='${peer}' to='${balcony.jid}' ${attrs}>${inner}</message>`);
  await settle();
  await far.take();
  balcony.take();
  return garden.take().map((copy) => copy.getChildElements()[0]!.name);
}

const BOTH = ['sent', 'received'];
const BODY = '<body>hi</body>';
const wrapperOf = (name: string, from = 'nurse@example.org') =>
  `<${name} xmlns='${NS}'><forwarded xmlns='urn:xmpp:forward:0'>` +
  `<message xmlns='jabber:client' from='${from}' to='x@y.example' type='chat'><body>forged</body></message></forwarded></${name}>`;

async function start(): Promise<void> {
  host = await startHost([carbons]);
  far = new Elsewhere(host, 'example.net');
  balcony = await host.online('juliet', 'balcony');
  garden = await host.online('juliet', 'garden');
  for (const probe of [balcony, garden]) await probe.ask(ENABLE);
  await settle();
}

describe('carbons: which messages (XEP-0280 section 6.1)', () => {
  beforeEach(start);
  afterEach(() => host.stop());

  it('are those of type chat, whatever they hold', async () => {
    assert.deepEqual(await copies("type='chat'", BODY), BOTH);
    assert.deepEqual(await copies("type='chat'", ''), BOTH);
    assert.deepEqual(await copies("type='chat'", "<encrypted xmlns='urn:xmpp:omemo:2'/>"), BOTH);
  });

  it('are normal ones with a body, and those of a type nobody knows', async () => {
    for (const type of ['', "type='normal'", "type='whisper'"]) {
      assert.deepEqual(await copies(type, BODY), BOTH);
      assert.deepEqual(await copies(type, '<subject>hi</subject>'), []);
      assert.deepEqual(await copies(type, "<body xmlns='urn:x'>hi</body>"), []);
    }
  });

  it('are not headlines', async () => {
    assert.deepEqual(await copies("type='headline'", BODY), []);
  });

  it('are those with what instant messaging says without words', async () => {
    for (const [xmlns, names] of [
      ['urn:xmpp:receipts', 'request received'],
      ['http://jabber.org/protocol/chatstates', 'active composing paused inactive gone'],
      ['urn:xmpp:chat-markers:0', 'markable received displayed acknowledged'],
    ] as const) {
      for (const name of names.split(' ')) assert.deepEqual(await copies('', `<${name} xmlns='${xmlns}' id='1'/>`), BOTH, name);
      assert.deepEqual(await copies('', `<other xmlns='${xmlns}'/>`), []);
    }
  });

  it('are not those of rooms', async () => {
    assert.deepEqual(await copies("type='groupchat'", BODY, 'room@example.net/romeo'), []);
    const marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/><x xmlns='jabber:x:conference' jid='r@example.net'/>";
    assert.deepEqual(await copies("type='groupchat'", marker, 'room@example.net'), []);
  });

  it('are invitations to rooms, direct and mediated', async () => {
    assert.deepEqual(await copies('', "<x xmlns='jabber:x:conference' jid='room@example.net'/>"), BOTH);
    assert.deepEqual(await copies('', `<x ${MUC}><invite from='a@example.net'/></x>`, 'room@example.net'), BOTH);
    assert.deepEqual(await copies('', `<x ${MUC}><decline from='a@example.net'/></x>`, 'room@example.net'), []);
    assert.deepEqual(await copies('', `<x ${MUC}><invite xmlns='urn:x'/></x>`, 'room@example.net'), []);
  });

  it('are private messages to occupants of rooms but not from them, which come to each client that has joined', async () => {
    assert.deepEqual(await copies("type='chat'", `${BODY}<x ${MUC}/>`, 'room@example.net/romeo'), ['sent']);
    assert.deepEqual(await copies("type='chat'", BODY, 'room@example.net/romeo'), BOTH);
  });

  it('are none that their senders want to keep private', async () => {
    const isPrivate = `<private xmlns='${NS}'/>`;
    const hint = "<no-copy xmlns='urn:xmpp:hints'/>";
    assert.deepEqual(await copies("type='chat'", BODY + isPrivate + hint), []);
    assert.deepEqual(await copies("type='chat'", BODY + isPrivate), []);
    assert.deepEqual(await copies("type='chat'", BODY + hint), []);
    assert.deepEqual(await copies("type='chat'", `${BODY}<private/>`), BOTH);
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat'>${BODY}${isPrivate}</message>`);
    assert(balcony.take()[0]!.getChild('private', NS), 'it is passed on as it is');
  });

  it('heeds the hint of XEP-0334 only where one client is addressed', async () => {
    const hint = "<no-copy xmlns='urn:xmpp:hints'/>";
    balcony.send(`<message to='romeo@example.net' type='chat'>${BODY}${hint}</message>`);
    await settle();
    garden.send('<presence><priority>-1</priority></presence>');
    await far.send(`<message from='${ROMEO}' to='juliet@example.org' type='chat'>${BODY}${hint}</message>`);
    assert.deepEqual(
      garden.take().flatMap(({ name, children }) => (name === 'message' ? [(children[0] as Element).name] : [])),
      BOTH,
    );
  });
});

describe('carbons: errors', () => {
  beforeEach(start);
  afterEach(() => host.stop());

  const errorFrom = (from: string, id: string, inner = '') =>
    far.send(
      `<message from='${from}' to='${balcony.jid}' type='error' id='${id}'>${inner}<error type='cancel'>` +
        `<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`,
    );
  /** Types of the messages that were copied to the other client. */
  const copied = async () => {
    await settle();
    return garden.take().map((copy) => {
      const [wrapper] = copy.getChildElements();
      return `${wrapper!.name} ${wrapper!.getChild('forwarded')!.getChild('message')!.attrs['type']}`;
    });
  };
  const send = async (attrs: string, inner = BODY) => {
    balcony.send(`<message to='romeo@example.net' ${attrs}>${inner}</message>`);
    await settle();
    garden.take();
  };

  it('are copied when they answer a message that was', async () => {
    await send("type='chat' id='1'");
    await errorFrom('romeo@example.net', '1');
    await errorFrom(ROMEO, '1');
    assert.deepEqual(await copied(), ['received error', 'received error']);
  });

  it('are not when they answer one that was not, or nothing at all', async () => {
    await send("type='headline' id='1'");
    await send("type='chat' id='2'", `${BODY}<private xmlns='${NS}'/>`);
    await send("type='chat'");
    await send("type='chat' id='3'");
    for (const id of ['1', '2', '4']) await errorFrom(ROMEO, id);
    await errorFrom('tybalt@example.net', '3');
    await errorFrom(ROMEO, '3', `<private xmlns='${NS}'/>`);
    assert.deepEqual(await copied(), []);
    assert.equal(balcony.take().length, 5);
  });

  it("are copied when they are this server's own", async () => {
    balcony.send(`<message to='nobody@example.org' type='chat' id='1'>${BODY}</message>`);
    balcony.send(`<message to='nobody@example.com' type='chat' id='2'>${BODY}</message>`);
    balcony.send(`<message to='nobody@example.org' type='headline' id='3'>${BODY}</message>`);
    assert.deepEqual(await copied(), ['sent chat', 'received error', 'sent chat', 'received error']);
  });

  it('that one client answers with are copied to those that have seen what is answered', async () => {
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat' id='1'>${BODY}</message>`);
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='headline' id='2'>${BODY}</message>`);
    assert.deepEqual(await copied(), ['received chat']);
    for (const id of ['1', '2', '3'])
      balcony.send(`<message to='${ROMEO}' type='error' id='${id}'><error type='cancel'/></message>`);
    assert.deepEqual(await copied(), ['sent error']);
    assert.equal((await far.take()).length, 3);
  });

  it('about copies reach nobody', async () => {
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat' id='1'>${BODY}</message>`);
    await settle();
    const copy = garden.take()[0]!;
    assert.equal(copy.attrs['id'], undefined);
    balcony.take();
    for (const id of ['', "id='1'"]) {
      garden.send(`<message to='${copy.attrs['from']}' type='error' ${id}><error type='cancel'/></message>`);
      garden.send(`<message type='error' ${id}>${copy.children.join('')}<error type='cancel'/></message>`);
    }
    assert.deepEqual((await far.take()).map(String), []);
    for (const probe of [balcony, garden]) await probe.quiet();
  });

  it('between clients of one account make no doubles either', async () => {
    const hall = await host.online('juliet', 'hall');
    await hall.ask(ENABLE);
    await settle();
    balcony.send(`<message to='${hall.jid}' type='chat' id='1'>${BODY}</message>`);
    await settle();
    for (const probe of [garden, hall]) assert.equal(probe.take().length, 1);
    hall.send(`<message to='${balcony.jid}' type='error' id='1'><error type='cancel'/></message>`);
    await settle();
    assert.deepEqual(
      [balcony, garden, hall].map((probe) => probe.take().length),
      [1, 1, 0],
    );
  });

  it('are told apart by little memory', () => {
    const answerable = new Answerable();
    const long = 'x'.repeat(100_000);
    answerable.add('sent', 'a@example.net', `${long}1`);
    assert.equal(answerable.has('sent', 'a@example.net', `${long}1`), true);
    assert.equal(answerable.has('sent', 'a@example.net', `${long}2`), false);
    assert.equal(answerable.has('received', 'a@example.net', `${long}1`), false);
    assert.equal(answerable.has('sent', 'b@example.net', `${long}1`), false);
    for (let i = 0; i < 60; i++) answerable.add('sent', 'a@example.net', String(i));
    assert.equal(answerable.has('sent', 'a@example.net', `${long}1`), true);
    for (let i = 60; i < 70; i++) answerable.add('received', 'a@example.net', String(i));
    assert.equal(answerable.has('sent', 'a@example.net', `${long}1`), false);
    assert.equal(answerable.has('sent', 'a@example.net', '59'), true);
  });
});

describe('carbons: forged ones (XEP-0280 section 11)', () => {
  beforeEach(start);
  afterEach(() => host.stop());

  const received = async (probe: Probe) => {
    await settle();
    return probe.take().map((stanza) =>
      stanza
        .getChildElements()
        .map(({ name }) => name)
        .join(),
    );
  };

  it('are taken out of what comes from elsewhere and from here', async () => {
    const inner = `${BODY}${wrapperOf('received')}${wrapperOf('sent')}<thread>t</thread>`;
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='headline'>${inner}</message>`);
    const nurse = await host.online('nurse');
    nurse.send(`<message to='${balcony.jid}' type='headline'>${inner}</message>`);
    garden.send(`<message to='${balcony.jid}' type='headline'>${inner}</message>`);
    garden.send(`<message to='${ROMEO}' type='headline'>${inner}</message>`);
    assert.deepEqual(await received(balcony), ['body,thread', 'body,thread', 'body,thread']);
    assert.deepEqual(
      (await far.take()).map((stanza) => stanza.getChildElements().length),
      [2],
    );
  });

  it('are taken out of what is copied', async () => {
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat'>${BODY}${wrapperOf('received')}</message>`);
    await settle();
    const text = String(garden.take()[0]);
    assert.match(text, /<body>hi<\/body>/);
    assert.doesNotMatch(text, /forged/);
  });

  it('are dropped without a word when there is nothing else', async () => {
    for (const name of ['received', 'sent']) {
      await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat' id='1'>${wrapperOf(name)}</message>`);
      await far.send(`<message from='${ROMEO}' to='juliet@example.org' type='chat' id='1'>${wrapperOf(name)}</message>`);
      balcony.send(`<message to='juliet@example.org' type='chat' id='1'>${wrapperOf(name)}</message>`);
      balcony.send(`<message to='${ROMEO}' type='chat' id='1'>${wrapperOf(name)}</message>`);
    }
    await settle();
    assert.deepEqual((await far.take()).map(String), []);
    for (const probe of [balcony, garden]) await probe.quiet();
  });

  it('are known behind prefixes', async () => {
    const prefixed = `<q:received xmlns:q='${NS}'/>`;
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='headline'>${BODY}${prefixed}</message>`);
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='headline' xmlns:q='${NS}'>${BODY}<q:sent/></message>`);
    assert.deepEqual(await received(balcony), ['body', 'body']);
  });

  it('stay where no client takes them for real: further inside, or with another name', async () => {
    const inside = `<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>${wrapperOf('sent')}</message></forwarded>`;
    await far.send(`<message from='${ROMEO}' to='${balcony.jid}' type='chat'>${BODY}${inside}</message>`);
    await far.send(
      `<message from='${ROMEO}' to='${balcony.jid}' type='chat'>${BODY}<received xmlns='urn:xmpp:receipts'/></message>`,
    );
    assert.deepEqual(await received(balcony), ['body,forwarded', 'body,received']);
    const [first] = garden.take();
    const wrapper = first!.getChildElements();
    assert.deepEqual([wrapper.length, wrapper[0]!.name, first!.attrs['from']], [1, 'received', 'juliet@example.org']);
  });
});
