import assert from 'node:assert/strict';
import { type Element, parse } from 'ltx';
import { defineModule, HANDLED, option, Priority, xml } from '../../../src/index.ts';
import { FakeTransport } from '../../support/fake-transport.ts';
import { settle } from '../../support/probe.ts';
import { roomyLimits, startHost, type TestHost } from '../../support/start-host.ts';

const OPEN =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const NS_FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';

/** What a server has sent over TCP so far: its header, and the elements behind it. */
function sent(transport: FakeTransport): { header: string; elements: Element[]; isClosed: boolean } {
  const text = transport.sent.join('');
  const header = /<stream:stream [^>]*>/.exec(text)?.[0] ?? '';
  const rest = text.slice(text.indexOf(header) + header.length);
  const isClosed = rest.endsWith('</stream:stream>');
  const inner = isClosed ? rest.slice(0, -'</stream:stream>'.length) : rest;
  return {
    header,
    elements: parse(`${header || '<x>'}${inner}${header ? '</stream:stream>' : '</x>'}`).getChildElements(),
    isClosed,
  };
}

function connect(host: TestHost, kind: 'tcp' | 'websocket' = 'tcp'): FakeTransport {
  const transport = new FakeTransport(kind);
  host.c2s.accept(transport);
  return transport;
}

function conditionOf(transport: FakeTransport): string | undefined {
  const error = sent(transport).elements.find(({ name }) => name === 'stream:error');
  return error?.getChildElements()[0]?.name;
}

describe('a stream of a client', () => {
  let host: TestHost;

  beforeEach(async () => {
    host = await startHost([]);
  });

  afterEach(() => host.stop());

  it('is answered with a header and features (RFC 6120 section 4.3)', async () => {
    const transport = connect(host);
    transport.feed(OPEN.replace('to=', "from='romeo@example.org' to="));
    await settle();
    const { header, elements } = sent(transport);
    assert.match(header, / from='example.org' to='romeo@example.org' id='[\w-]{16,}' version='1.0' xml:lang='en'/);
    assert.equal(elements[0]!.name, 'stream:features');
    assert.equal(elements[0]!.getChild('limits', 'urn:xmpp:stream-limits:0')!.getChildText('max-bytes'), '262144');
  });

  for (const [name, header, condition] of [
    ['another domain', OPEN.replace('example.org', 'elsewhere.example'), 'host-unknown'],
    ['an address that is none', OPEN.replace('example.org', '@'), 'host-unknown'],
    ['no domain', OPEN.replace("to='example.org'", ''), 'improper-addressing'],
    ['an old version', OPEN.replace("version='1.0'", ''), 'unsupported-version'],
    ['a version that is none', OPEN.replace("version='1.0'", "version='new'"), 'unsupported-version'],
    ['the wrong namespace of streams', OPEN.replace('http://etherx.jabber.org/streams', 'urn:x'), 'invalid-namespace'],
    ['the wrong default namespace', OPEN.replace('jabber:client', 'jabber:server'), 'invalid-namespace'],
    ['another prefix', OPEN.replaceAll('stream:', 's:').replace('xmlns:stream', 'xmlns:s'), 'bad-namespace-prefix'],
    ['another element', OPEN.replace('<stream:stream', '<stream:flow'), 'bad-format'],
    ['no XML', 'GET / HTTP/1.1\r\n\r\n', 'not-well-formed'],
    ['a document type', '<!DOCTYPE x>', 'restricted-xml'],
    ['another encoding', "<?xml version='1.0' encoding='latin1'?>", 'unsupported-encoding'],
  ] as const) {
    it(`with ${name} ends with ${condition}, after a header of ours`, async () => {
      const transport = connect(host);
      transport.feed(header);
      await settle();
      assert.equal(conditionOf(transport), condition);
      assert.notEqual(sent(transport).header, '');
      assert.equal(sent(transport).isClosed, true);
      assert.equal(transport.isEnded, true);
    });
  }

  it('takes a higher minor version (RFC 6120 section 4.7.5)', async () => {
    const transport = connect(host);
    transport.feed(OPEN.replace("version='1.0'", "version='1.7'"));
    await settle();
    assert.equal(conditionOf(transport), undefined);
  });

  it('is closed when the client closes it', async () => {
    const transport = connect(host);
    transport.feed(`${OPEN}</stream:stream>`);
    await settle();
    assert.equal(sent(transport).isClosed, true);
    assert.equal(conditionOf(transport), undefined);
  });

  for (const [stanza, condition] of [
    ["<message to='romeo@example.org'/>", 'not-authorized'],
    ["<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", 'not-authorized'],
    ['<presence/>', 'not-authorized'],
    ["<x xmlns='urn:x'/>", 'not-authorized'],
  ] as const) {
    it(`that sends ${stanza} before log-in ends with ${condition}`, async () => {
      const transport = connect(host);
      transport.feed(OPEN + stanza);
      await settle();
      assert.equal(conditionOf(transport), condition);
    });
  }

  it('may send less before log-in than after', async () => {
    await host.stop();
    host = await startHost([], { limits: { beforeLogin: { ...roomyLimits.beforeLogin, maxBytes: 500 } } });
    const transport = connect(host);
    transport.feed(`${OPEN}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${'A'.repeat(600)}`);
    await settle();
    assert.equal(conditionOf(transport), 'policy-violation');
    const romeo = await host.login('romeo', 'a');
    romeo.send(`<message to='romeo@example.org/a'><body>${'A'.repeat(600)}</body></message>`);
    assert.equal((await romeo.receive('message')).getChildText('body')!.length, 600);
  });

  it('offers nothing but TLS in the clear where TLS is wanted, and takes nothing else (RFC 6120 section 5)', async () => {
    const transport = new FakeTransport('tcp');
    transport.secure = false;
    host.c2s.accept(transport);
    transport.feed(OPEN);
    await settle();
    const [features] = sent(transport).elements;
    assert.notEqual(features!.getChild('starttls', 'urn:ietf:params:xml:ns:xmpp-tls')!.getChild('required'), undefined);
    assert.equal(features!.getChild('mechanisms'), undefined);
    transport.feed("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>");
    await settle();
    assert.notEqual(sent(transport).elements.at(-1)!.getChild('encryption-required'), undefined);
  });

  it('forgets what came in the clear behind STARTTLS (RFC 6120 section 5.4.3.3)', async () => {
    const transport = new FakeTransport('tcp');
    transport.secure = false;
    const stream = host.c2s.accept(transport);
    transport.feed(
      `${OPEN}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>${OPEN}<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='X'/>`,
    );
    await settle();
    assert.equal(transport.startedTls, 1);
    assert.deepEqual(
      sent(transport).elements.map(({ name }) => name),
      ['stream:features', 'proceed'],
    );
    transport.sent.length = 0;
    transport.feed(OPEN);
    await settle();
    assert.equal(sent(transport).elements[0]!.name, 'stream:features');
    assert.equal(stream.username, undefined);
  });

  it('cannot be restarted for another domain after log-in', async () => {
    const transport = connect(host);
    transport.feed(OPEN);
    await settle();
    const [stream] = host.c2s.streams;
    stream!.authenticate('romeo');
    stream!.restart();
    transport.sent.length = 0;
    transport.feed(OPEN.replace('example.org', 'other.example'));
    await settle();
    assert.equal(conditionOf(transport), 'host-unknown');
  });

  it('binds once authenticated, and not a second time', async () => {
    const transport = connect(host, 'websocket');
    const seen: Element[] = [];
    transport.onSend = (text) => void seen.push(parse(text));
    await host.host.accounts.create('romeo', 'secret');
    transport.feed(`<open xmlns='${NS_FRAMING}' to='example.org' version='1.0'/>`);
    const [stream] = host.c2s.streams;
    stream!.authenticate('romeo');
    stream!.restart();
    transport.feed(`<open xmlns='${NS_FRAMING}' to='example.org' version='1.0'/>`);
    await settle();
    assert.notEqual(seen.at(-1)!.getChild('bind', 'urn:ietf:params:xml:ns:xmpp-bind'), undefined);
    const bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>orchard</resource></bind>";
    transport.feed(`<iq xmlns='jabber:client' type='set' id='b1'>${bind}</iq>`);
    await settle();
    assert.equal(seen.at(-1)!.getChild('bind')!.getChildText('jid'), 'romeo@example.org/orchard');
    assert.deepEqual([seen.at(-1)!.attrs['id'], seen.at(-1)!.attrs['type']], ['b1', 'result']);
    transport.feed(`<iq xmlns='jabber:client' type='set' id='b2'>${bind}</iq>`);
    await settle();
    assert.equal(seen.at(-1)!.attrs['type'], 'error');
  });

  it('refuses to bind a name that cannot be prepared', async () => {
    const transport = connect(host, 'websocket');
    const seen: Element[] = [];
    transport.onSend = (text) => void seen.push(parse(text));
    transport.feed(`<open xmlns='${NS_FRAMING}' to='example.org' version='1.0'/>`);
    const [stream] = host.c2s.streams;
    stream!.authenticate('romeo');
    const bind = `<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${'x'.repeat(1024)}</resource></bind>`;
    transport.feed(`<iq xmlns='jabber:client' type='set' id='b1'>${bind}</iq>`);
    await settle();
    assert.notEqual(seen.at(-1)!.getChild('error')!.getChild('bad-request'), undefined);
  });

  it('is closed when log-in takes too long, a stanza does not end, or nothing comes', async () => {
    await host.stop();
    host = await startHost([], { limits: { loginTimeout: 1000, stanzaTimeout: 5000, idleSeconds: 100 } });
    const transport = connect(host);
    host.c2s.sweep(host.c2s.now + 1500);
    assert.equal(conditionOf(transport), 'connection-timeout');

    const romeo = await host.login('romeo');
    const { now } = host.c2s;
    host.c2s.sweep(now + 99_000);
    await romeo.quiet();
    host.c2s.sweep(now + 101_000);
    assert.notEqual((await romeo.receive('stream:error')).getChild('connection-timeout'), undefined);
  });

  it('gets a space after long silence (RFC 6120 section 4.6.1)', async () => {
    await host.stop();
    host = await startHost([], { limits: { keepalive: 1000, loginTimeout: 1e9 } });
    const transport = connect(host);
    transport.feed(OPEN);
    const [stream] = host.c2s.streams;
    stream!.authenticate('romeo');
    stream!.restart();
    transport.feed(OPEN);
    transport.feed("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    await settle();
    transport.sent.length = 0;
    host.c2s.sweep(host.c2s.now + 500);
    assert.deepEqual(transport.sent, []);
    host.c2s.sweep(host.c2s.now + 1500);
    assert.deepEqual(transport.sent, [' ']);
    host.c2s.sweep(host.c2s.now + 500);
    assert.deepEqual(transport.sent, [' ']);
  });

  it('is cut when its client does not read what it is sent', async () => {
    await host.stop();
    const warnings: string[] = [];
    const log = { debug() {}, info() {}, warn: (text: string) => void warnings.push(text), error() {}, child: () => log };
    host = await startHost([], { limits: { queueBytes: 1000 }, log });
    const romeo = await host.online('romeo', 'a');
    const juliet = await host.online('juliet', 'b');
    juliet.transport.queued = 2000;
    romeo.send("<message to='juliet@example.org/b'/>");
    await settle();
    assert.equal(juliet.transport.isEnded, true);
    assert.deepEqual(warnings, ['closed a stream']);
  });

  it('lets others have their turn while one client floods', async () => {
    await host.stop();
    host = await startHost([], { limits: { stanzasPerTurn: 10 } });
    const order: string[] = [];
    const flooder = connectBound(host, 'flooder', order);
    const other = connectBound(host, 'other', order);
    await settle();
    order.length = 0;
    flooder.feed("<iq type='get' id='f'><q xmlns='urn:q'/></iq>".repeat(50));
    other.feed("<iq type='get' id='o'><q xmlns='urn:q'/></iq>");
    await settle();
    assert.equal(order.length, 51);
    assert.equal(order.indexOf('other') <= 10, true, order.join(' '));
  });

  it('slows a client down that sends more than its budget', async () => {
    await host.stop();
    host = await startHost([], { limits: { bytesPerSecond: 1_000_000, burstBytes: 300 } });
    const transport = connect(host);
    transport.feed(OPEN);
    await settle();
    assert.equal(transport.isPaused, false);
    transport.feed(' '.repeat(1000));
    assert.equal(transport.isPaused, true);
  });

  it('is sent elsewhere when the server goes', async () => {
    const romeo = await host.login('romeo');
    host.c2s.seeOtherHost = 'other.example:5222';
    const gone = host.c2s.drain(1000);
    assert.equal((await romeo.receive('stream:error')).getChildText('see-other-host'), 'other.example:5222');
    assert.equal((await romeo.receive('close')).attrs['xmlns'], NS_FRAMING);
    await gone;
  });

  it('is told of the end of the server otherwise', async () => {
    const romeo = await host.login('romeo');
    const gone = host.c2s.drain(1000);
    assert.notEqual((await romeo.receive('stream:error')).getChild('system-shutdown'), undefined);
    await gone;
    assert.equal(host.c2s.streams.size, 0);
  });

  it('may be taken over by a module before log-in, and offers what it says', async () => {
    await host.stop();
    const door = defineModule({
      name: 'door',
      doc: 'Another way in.',
      config: option.object({}),
      setup({ hooks, on }) {
        on(hooks.streamFeatures, ({ features }) => void features.push(xml('door', 'urn:door')), Priority.serve);
        const open = ({
          stream,
          element,
        }: {
          stream: { authenticate(name: string): void; restart(): void };
          element: { xmlns: string };
        }) => {
          if (element.xmlns !== 'urn:door') return;
          stream.authenticate('romeo');
          stream.restart();
          return HANDLED;
        };
        on(hooks.streamElement, open, Priority.serve);
      },
    });
    host = await startHost([door]);
    const transport = connect(host);
    transport.feed(OPEN);
    await settle();
    assert.notEqual(sent(transport).elements[0]!.getChild('door', 'urn:door'), undefined);
    transport.feed(`<open xmlns='urn:door'/>`);
    transport.sent.length = 0;
    transport.feed(OPEN);
    await settle();
    assert.notEqual(sent(transport).elements[0]!.getChild('bind'), undefined);
  });
});

describe('a framed stream of a client (RFC 7395)', () => {
  let host: TestHost;

  beforeEach(async () => {
    host = await startHost([]);
  });

  afterEach(() => host.stop());

  function open(text = `<open xmlns='${NS_FRAMING}' to='example.org' version='1.0'/>`): {
    transport: FakeTransport;
    seen: Element[];
  } {
    const transport = connect(host, 'websocket');
    const seen: Element[] = [];
    transport.onSend = (message) => void seen.push(parse(message));
    transport.feed(text);
    return { transport, seen };
  }

  it('is opened and closed by elements of its own', async () => {
    const { transport, seen } = open();
    await settle();
    assert.deepEqual([seen[0]!.name, seen[0]!.attrs['xmlns'], seen[0]!.attrs['from']], ['open', NS_FRAMING, 'example.org']);
    assert.equal(seen[1]!.name, 'stream:features');
    assert.equal(seen[1]!.attrs['xmlns:stream'], 'http://etherx.jabber.org/streams');
    transport.feed(`<close xmlns='${NS_FRAMING}'/>`);
    assert.deepEqual([seen[2]!.name, seen[2]!.attrs['xmlns']], ['close', NS_FRAMING]);
    assert.equal(transport.isEnded, true);
  });

  for (const [message, condition] of [
    [OPEN, 'not-well-formed'],
    ['<a/><b/>', 'bad-format'],
    [' ', 'bad-format'],
    ["<message xmlns='jabber:client'/>", 'bad-format'],
    [`<shut xmlns='${NS_FRAMING}'/>`, 'unsupported-stanza-type'],
    [`<open xmlns='${NS_FRAMING}' to='elsewhere.example' version='1.0'/>`, 'host-unknown'],
  ] as const) {
    it(`ends with ${condition} at ${message.slice(0, 30)}`, async () => {
      const { seen, transport } = open(message);
      await settle();
      assert.equal(seen[0]!.name, 'open');
      assert.equal(seen.find(({ name }) => name === 'stream:error')!.getChildElements()[0]!.name, condition);
      assert.equal(seen.at(-1)!.name, 'close');
      assert.equal(transport.isEnded, true);
    });
  }

  it('ends when it is opened twice', async () => {
    const { transport, seen } = open();
    transport.feed(`<open xmlns='${NS_FRAMING}' to='example.org' version='1.0'/>`);
    await settle();
    assert.notEqual(seen.find(({ name }) => name === 'stream:error')!.getChild('bad-format'), undefined);
  });
});

/** A client over TCP that is bound; answers to it are noted by its name. */
function connectBound(host: TestHost, name: string, order: string[]): FakeTransport {
  const transport = new FakeTransport('tcp');
  const stream = host.c2s.accept(transport);
  transport.feed(OPEN);
  stream.authenticate(name);
  stream.restart();
  transport.feed(OPEN);
  transport.feed("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
  transport.onSend = () => void order.push(name);
  return transport;
}
