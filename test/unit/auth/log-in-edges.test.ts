import assert from 'node:assert/strict';
import { type Element, parse } from 'ltx';
import { anonymous, isGuestName } from '../../../src/auth/anonymous.ts';
import { countLogins } from '../../../src/auth/count-logins.ts';
import { createMechanisms } from '../../../src/auth/mechanisms.ts';
import { makeKeys, preparePassword } from '../../../src/auth/passwords.ts';
import type { SaslContext, SaslMechanism } from '../../../src/auth/sasl.ts';
import { type AccountRecord, StoredAccounts } from '../../../src/auth/stored-accounts.ts';
import { type Guard, Throttle } from '../../../src/auth/throttle.ts';
import type { C2sStream } from '../../../src/c2s/stream.ts';
import { authentication } from '../../../src/config/sections/limits.ts';
import { type Log, silent } from '../../../src/log.ts';
import { Metrics } from '../../../src/metrics.ts';
import type { TlsInfo } from '../../../src/net/transport.ts';
import { SaslError } from '../../../src/stanza/errors.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { mapStore, type Storage } from '../../../src/storage/storage.ts';
import { FakeTransport } from '../../support/fake-transport.ts';
import { settle } from '../../support/probe.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:ietf:params:xml:ns:xmpp-sasl';
const NS_TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const NS_CB = 'urn:xmpp:sasl-cb:0';
const open: Guard = { check() {}, failed() {}, succeeded() {} };

const tls: TlsInfo = {
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  alpn: undefined,
  servername: 'example.org',
  exporter: () => Buffer.alloc(32, 7),
  serverEndPoint: () => Buffer.alloc(32, 9),
  peerCertificate: () => undefined,
};

const header = (to = 'example.org') =>
  `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${to}' version='1.0'>`;

/** Takes two messages, and lets in as juliet whoever has sent both. */
const twoSteps: SaslMechanism = {
  name: 'X-TWO',
  strength: 1,
  isOffered: () => true,
  start: () => {
    let steps = 0;
    return { step: () => (steps++ === 0 ? { challenge: Buffer.from('go on') } : { username: 'juliet', data: undefined }) };
  },
};

describe('an exchange on a line in the clear', () => {
  let host: TestHost;
  let transport: FakeTransport;
  let stream: C2sStream;
  let other: TestHost | undefined;

  beforeEach(async () => {
    host = await startHost([], { settings: { requireEncryption: false } });
    host.host.login.add(twoSteps);
    transport = new FakeTransport('tcp');
    transport.secure = false;
    stream = host.c2s.accept(transport);
  });

  afterEach(async () => {
    await host.stop();
    await other?.stop();
    other = undefined;
  });

  it('does not outlive STARTTLS (RFC 6120 section 5.4.3.3)', async () => {
    transport.feed(`${header()}<auth xmlns='${NS}' mechanism='X-TWO'>=</auth>`);
    await settle();
    transport.feed(`<starttls xmlns='${NS_TLS}'/>`);
    await settle();
    assert.equal(transport.startedTls, 1);
    transport.sent.length = 0;
    transport.feed(`${header()}<response xmlns='${NS}'/>`);
    await settle();
    assert.match(transport.sent.join(''), /<failure[^>]*><malformed-request\/>/);
    assert.equal(stream.username, undefined);
  });

  it('does not keep another one from beginning after STARTTLS', async () => {
    transport.feed(`${header()}<auth xmlns='${NS}' mechanism='X-TWO'>=</auth>`);
    await settle();
    transport.feed(`<starttls xmlns='${NS_TLS}'/>`);
    await settle();
    transport.feed(`${header()}<auth xmlns='${NS}' mechanism='X-TWO'>=</auth><response xmlns='${NS}'/>`);
    await settle();
    assert.equal(stream.username, 'juliet');
  });

  it('does not let in to another domain that is addressed after STARTTLS', async () => {
    other = await startHost([], { domain: 'example.com', settings: { requireEncryption: false } });
    (host.c2s.hosts as Map<string, TestHost['host']>).set('example.com', other.host);
    transport.feed(`${header()}<auth xmlns='${NS}' mechanism='X-TWO'>=</auth>`);
    await settle();
    transport.feed(`<starttls xmlns='${NS_TLS}'/>`);
    await settle();
    transport.feed(`${header('example.com')}<response xmlns='${NS}'/>`);
    await settle();
    assert.equal(stream.host?.domain, 'example.com');
    assert.equal(stream.username, undefined);
  });
});

describe('what a client is told before it logs in', () => {
  let host: TestHost;

  beforeEach(async () => {
    host = await startHost([]);
  });

  afterEach(() => host.stop());

  function connect(): { say(element: string): Promise<Element>; features: Element; stream: C2sStream } {
    const seen: Element[] = [];
    const { stream, transport } = host.connect((line) => {
      line.tls = tls;
      line.onSend = (text) => void seen.push(parse(text));
    });
    const say = async (element: string) => {
      transport.feed(element);
      await settle();
      return seen.at(-1)!;
    };
    return { say, stream, features: seen.find(({ name }) => name === 'stream:features')! };
  }

  function offer(config: unknown): void {
    for (const mechanism of createMechanisms(authentication.parse(config, 'authentication'), open))
      host.host.login.add(mechanism);
  }

  it('names kinds of channel binding where something binds (XEP-0440)', () => {
    offer({});
    const types = connect()
      .features.getChild('sasl-channel-binding', NS_CB)!
      .getChildren('channel-binding')
      .map(({ attrs }) => attrs['type']);
    assert.deepEqual(types, ['tls-exporter', 'tls-server-end-point']);
  });

  it('names none where nothing does, which clients take for an attack (XEP-0440 section 4)', () => {
    offer({ mechanisms: ['SCRAM-SHA-256', 'PLAIN'] });
    assert.equal(connect().features.getChild('sasl-channel-binding', NS_CB), undefined);
  });

  it('is in an empty challenge nothing at all, which a client may read as Base64', async () => {
    offer({});
    const challenge = await connect().say(`<auth xmlns='${NS}' mechanism='PLAIN'/>`);
    assert.deepEqual([challenge.name, challenge.getText()], ['challenge', '']);
  });

  it('is to come in at once, when ANONYMOUS is asked for with nothing (XEP-0175 section 3)', async () => {
    host.host.login.add(countLogins(anonymous(1), new Metrics()));
    const { say, stream } = connect();
    assert.equal((await say(`<auth xmlns='${NS}' mechanism='ANONYMOUS'/>`)).name, 'success');
    assert.match(stream.username!, /^[0-9a-f]{32}$/);
    assert.equal(stream.isAnonymous, true);
    assert.equal(isGuestName(stream.username!), true);
  });
});

describe('accounts that change', () => {
  let storage: Storage;
  let accounts: StoredAccounts;
  let lines: string[];
  let mechanism: SaslMechanism;
  let context: SaslContext;

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    const { store } = await storage.open('example.org', 'core', { store: mapStore<AccountRecord>() });
    const erase = (username: string) => storage.erase('example.org', username);
    accounts = new StoredAccounts({
      store,
      iterations: 4096,
      secret: Buffer.alloc(32),
      erase,
      created() {},
      async deleting() {},
      deleted() {},
    });
    await accounts.create('juliet', 'pencil');
    lines = [];
    const log: Log = {
      ...silent,
      info: (text, detail) => void lines.push(`${text} ${JSON.stringify(detail)}`),
      child: () => log,
    };
    const throttle = new Throttle({ perAccount: 5, perAddress: 50, period: 60_000, exemptLoopback: false });
    const config = authentication.parse({ mechanisms: ['SCRAM-SHA-256'] }, 'authentication');
    mechanism = createMechanisms(config, throttle.guard('example.org', log))[0]!;
    const offered = ['SCRAM-SHA-256'];
    context = { domain: 'example.org', accounts, tls: undefined, remoteAddress: '192.0.2.1', offered, bindings: [] };
  });

  afterEach(() => storage.close());

  async function begin(): Promise<() => Promise<string>> {
    const client = new ScramClient({ hash: 'sha256', username: 'juliet', password: 'pencil' });
    const exchange = mechanism.start(context);
    const step = await exchange.step(client.first());
    assert('challenge' in step);
    const last = client.last(step.challenge);
    return async () => {
      try {
        const end = await exchange.step(last);
        return 'username' in end ? end.username : 'challenge';
      } catch (error) {
        assert(error instanceof SaslError, String(error));
        return error.condition;
      }
    };
  }

  it('let nobody in that was removed while somebody was logging in', async () => {
    const end = await begin();
    await accounts.delete('juliet');
    assert.equal(await end(), 'not-authorized');
  });

  it('are logged when somebody comes in, without the password', async () => {
    assert.equal(await (await begin())(), 'juliet');
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /"username":"juliet","address":"192\.0\.2\.1"/);
    assert.equal(lines[0]!.includes('pencil'), false);
  });
});

describe('a password', () => {
  for (const [name, password] of [
    ['with letters newer than SASLprep (RFC 3454 knows Unicode 3.2)', 'open sesame \u{1f511}'],
    ['that is written from right to left and ends with a digit', '\u05e9\u05dc\u05d5\u05dd1'],
    ['with both directions', 'pass\u05e9\u05dc\u05d5\u05dd'],
  ] as const) {
    it(`${name} can be used, as clients send it that prepare nothing`, async () => {
      const prepared = preparePassword(password);
      assert.equal(prepared, password);
      const salt = Buffer.alloc(16, 1);
      const keys = await makeKeys(prepared!, salt, 4096, 'sha1');
      assert.deepEqual(keys, await makeKeys(password, salt, 4096, 'sha1'));
    });
  }

  for (const password of ['pencil', 'a b', '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~', '0']) {
    it(`of ASCII is taken as it is: ${password}`, () => assert.equal(preparePassword(password), password));
  }

  for (const [name, password] of [
    ['a control character', 'a\u0000b'],
    ['a lone surrogate', 'a\ud800b'],
    ['a private letter', 'a\ue000b'],
    ['marks piled without end', `a${'\u0301'.repeat(500)}`],
  ] as const) {
    it(`with ${name} is refused`, () => assert.equal(preparePassword(password), undefined));
  }
});
