import assert from 'node:assert/strict';
import { FakeTransport } from '../../support/fake-transport.ts';
import { settle } from '../../support/probe.ts';
import { type HostOptions, startHost, type TestHost } from '../../support/start-host.ts';

// What one client may cost the others: bytes it sends, bytes it does not read, time it takes.

const OPEN =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const BIND = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
const PING = "<iq type='get' id='p'><q xmlns='urn:q'/></iq>";
const AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>";

describe('a client that is', () => {
  let host: TestHost;
  let warnings: string[];

  beforeEach(() => {
    warnings = [];
  });
  afterEach(() => host.stop());

  async function start(limits: HostOptions['limits'], settings: HostOptions['settings'] = {}): Promise<void> {
    const log = { debug() {}, info() {}, warn: (text: string) => void warnings.push(text), error() {}, child: () => log };
    host = await startHost([], { limits: limits!, settings: settings!, log });
  }

  function connect(kind: FakeTransport['kind'] = 'tcp'): FakeTransport {
    const transport = new FakeTransport(kind);
    host.c2s.accept(transport);
    return transport;
  }

  /** Bound over TCP, with everything it was sent so far forgotten. */
  async function online(): Promise<FakeTransport> {
    const transport = connect();
    transport.feed(OPEN);
    const stream = [...host.c2s.streams].at(-1)!;
    stream.authenticate('romeo');
    stream.restart();
    transport.feed(OPEN + BIND);
    await settle();
    transport.sent.length = 0;
    return transport;
  }

  it('flooding with small stanzas is read more slowly, as one that sends large ones', async () => {
    await start({ bytesPerSecond: 1000, burstBytes: 1000, stanzasPerTurn: 10 });
    const transport = await online();
    transport.feed(PING.repeat(100));
    await settle();
    assert.equal(transport.sent.join('').match(/type='error'/g)?.length, 100);
    assert.equal(transport.isPaused, true);
  });

  it('flooding with pings of its WebSocket is read more slowly, too', async () => {
    await start({ bytesPerSecond: 1000, burstBytes: 1000 });
    const romeo = await host.login('romeo');
    romeo.transport.handler.overhead!(100);
    assert.equal(romeo.transport.isPaused, false);
    for (let i = 0; i < 20; i++) romeo.transport.handler.overhead!(100);
    assert.equal(romeo.transport.isPaused, true);
  });

  it('asking what is answered by promises leaves the others their turn as well', async () => {
    await start({ stanzasPerTurn: 10 });
    const transport = await online();
    host.host.queries.add('get', 'self', 'urn:soon', 'q', async () => {});
    transport.feed("<iq type='get' id='s'><q xmlns='urn:soon'/></iq>".repeat(50));
    const answers = () => transport.sent.join('').match(/type='result'/g)?.length ?? 0;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(answers() >= 10 && answers() <= 20, String(answers()));
    await settle();
    assert.equal(answers(), 50);
  });

  it('busy is not taken for one whose stanza does not end', async () => {
    await start({ stanzaTimeout: 5000 });
    const transport = await online();
    const { now } = host.c2s;
    transport.feed('<mess');
    for (let seconds = 1; seconds < 20; seconds++) {
      host.c2s.sweep(now + seconds * 1000);
      transport.feed('age/><mess');
    }
    assert.equal(transport.isEnded, false);
  });

  it('dribbling is closed when its stanza does not end in time', async () => {
    await start({ stanzaTimeout: 5000 });
    const transport = await online();
    const { now } = host.c2s;
    transport.feed('<message>');
    for (let seconds = 1; seconds < 20 && !transport.isEnded; seconds++) {
      host.c2s.sweep(now + seconds * 1000);
      transport.feed('x');
    }
    assert.match(transport.sent.join(''), /<connection-timeout /);
  });

  it('dribbling frames of one message is closed in time as well', async () => {
    await start({ stanzaTimeout: 5000 });
    const romeo = await host.login('romeo');
    const { now } = host.c2s;
    romeo.transport.pendingBytes = 10;
    for (let seconds = 1; seconds < 20 && !romeo.transport.isEnded; seconds++) host.c2s.sweep(now + seconds * 1000);
    assert.notEqual((await romeo.receive('stream:error')).getChild('connection-timeout'), undefined);
  });

  it('waiting for us is not blamed for what it has sent meanwhile', async () => {
    await start({ stanzaTimeout: 5000 });
    const transport = await online();
    let answer = () => {};
    host.host.queries.add('get', 'self', 'urn:slow', 'q', () => new Promise<void>((resolve) => (answer = resolve)));
    transport.feed(`<iq type='get' id='s'><q xmlns='urn:slow'/></iq>${PING}`);
    const { now } = host.c2s;
    for (let seconds = 1; seconds < 20; seconds++) host.c2s.sweep(now + seconds * 1000);
    assert.equal(transport.isEnded, false);
    answer();
    await settle();
    assert.match(transport.sent.join(''), /id='s'.*id='p'/);
  });

  it('nobody yet and does not read may leave little unread', async () => {
    await start({ queueBytes: 4 << 20 }, { requireEncryption: true });
    for (const kind of ['tcp', 'websocket'] as const) {
      const transport = connect(kind);
      transport.secure = false;
      transport.feed(
        kind === 'tcp' ? OPEN : "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>",
      );
      await settle();
      transport.queued = 60_000;
      transport.feed(AUTH);
      assert.equal(transport.isEnded, false);
      transport.queued = 70_000;
      transport.feed(AUTH);
      assert.equal(transport.isEnded, true);
    }
    assert.deepEqual(warnings, ['closed a stream', 'closed a stream']);
  });

  it('asking to log in where that is not to be, again and again, is sent away', async () => {
    await start({}, { requireEncryption: true });
    const transport = connect();
    transport.secure = false;
    transport.feed(OPEN);
    await settle();
    for (let i = 0; i < 15 && !transport.isEnded; i++) transport.feed(AUTH);
    assert.equal(transport.sent.join('').match(/<encryption-required/g)?.length, 15);
    assert.match(transport.sent.join(''), /<policy-violation .*Too many attempts/);
    assert.equal(transport.isEnded, true);
  });
});
