import assert from 'node:assert/strict';
import { type Element, parse } from 'ltx';
import { createMechanisms } from '../../../src/auth/mechanisms.ts';
import type { SaslMechanism, SaslStep } from '../../../src/auth/sasl.ts';
import { Throttle } from '../../../src/auth/throttle.ts';
import type { C2sStream } from '../../../src/c2s/stream.ts';
import { authentication } from '../../../src/config/sections/limits.ts';
import { silent } from '../../../src/log.ts';
import { SaslError } from '../../../src/stanza/errors.ts';
import type { FakeTransport } from '../../support/fake-transport.ts';
import { settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:ietf:params:xml:ns:xmpp-sasl';
const base64 = (text: string) => Buffer.from(text).toString('base64');
const RIGHT = base64('\0juliet\0secret');
const WRONG = base64('\0juliet\0wrong');

describe('the log-in of a client', () => {
  let host: TestHost;
  let transport: FakeTransport;
  let stream: C2sStream;
  let seen: Element[];

  beforeEach(async () => {
    host = await startHost([]);
    await host.host.accounts.create('juliet', 'secret');
    const throttle = new Throttle({ perAccount: 100, perAddress: 100, period: 60_000, exemptLoopback: false });
    const guard = throttle.guard('example.org', silent);
    for (const mechanism of createMechanisms(authentication.parse({}, 'authentication'), guard)) host.host.login.add(mechanism);
    connect();
  });

  afterEach(() => host.stop());

  function connect(prepare: (line: FakeTransport) => void = () => {}): void {
    seen = [];
    ({ stream, transport } = host.connect((line) => {
      line.onSend = (text) => void seen.push(parse(text));
      prepare(line);
    }));
  }

  async function say(element: string): Promise<Element> {
    transport.feed(element);
    // PLAIN is answered by a promise that takes no time here.
    await settle();
    return seen.at(-1)!;
  }

  const auth = (text: string, mechanism = 'PLAIN') => say(`<auth xmlns='${NS}' mechanism='${mechanism}'>${text}</auth>`);
  const respond = (text: string) => say(`<response xmlns='${NS}'>${text}</response>`);
  const names = () => {
    const features = seen.findLast(({ name }) => name === 'stream:features')!;
    return features
      .getChild('mechanisms', NS)
      ?.getChildren('mechanism')
      .map((mechanism) => mechanism.getText());
  };

  function mechanism(name: string, step: (data: Buffer) => SaslStep | Promise<SaslStep>): SaslMechanism {
    return { name, strength: 1, isOffered: () => true, start: () => ({ step }) };
  }

  it('is offered the mechanisms that can be used on its line, strongest first (RFC 6120 section 6.4.1)', () => {
    assert.deepEqual(names(), ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN']);
  });

  it('is not offered PLAIN in the clear, where TLS is not asked for, and cannot use it', async () => {
    await host.stop();
    host = await startHost([], { settings: { requireEncryption: false } });
    const guard = { check() {}, failed() {}, succeeded() {} };
    for (const each of createMechanisms(authentication.parse({}, 'authentication'), guard)) host.host.login.add(each);
    connect((line) => (line.secure = false));
    assert.deepEqual(names(), ['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1']);
    assert.notEqual((await auth(RIGHT)).getChild('invalid-mechanism'), undefined);
    assert.equal(stream.username, undefined);
  });

  it('succeeds, and the stream begins anew (RFC 6120 section 6.4.6)', async () => {
    const success = await auth(RIGHT);
    assert.deepEqual([success.name, success.getNS(), success.getText()], ['success', NS, '']);
    assert.equal(stream.username, 'juliet');
    const features = await say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>");
    assert.equal(features.getChild('mechanisms'), undefined);
    assert.notEqual(features.getChild('bind'), undefined);
  });

  it('may send what it has to say after an empty challenge', async () => {
    assert.equal((await auth('')).name, 'challenge');
    assert.equal((await respond(RIGHT)).name, 'success');
  });

  it('is told of additional data, also when there is none of it (RFC 6120 section 6.3.10)', async () => {
    const take = host.host.login.add(mechanism('X-DATA', () => ({ username: 'juliet', data: Buffer.from('v=1') })));
    connect();
    assert.equal((await auth('=', 'X-DATA')).getText(), base64('v=1'));
    take();
    host.host.login.add(mechanism('X-NOTHING', () => ({ username: 'juliet', data: Buffer.alloc(0) })));
    connect();
    assert.equal((await auth('=', 'X-NOTHING')).getText(), '=');
  });

  for (const [name, element, condition] of [
    ['a wrong password', `<auth xmlns='${NS}' mechanism='PLAIN'>${WRONG}</auth>`, 'not-authorized'],
    ['the name of another', `<auth xmlns='${NS}' mechanism='PLAIN'>${base64('romeo\0juliet\0secret')}</auth>`, 'invalid-authzid'],
    ['no mechanism', `<auth xmlns='${NS}'>${RIGHT}</auth>`, 'invalid-mechanism'],
    ['a mechanism nobody knows', `<auth xmlns='${NS}' mechanism='__proto__'>${RIGHT}</auth>`, 'invalid-mechanism'],
    ['a mechanism in small letters', `<auth xmlns='${NS}' mechanism='plain'>${RIGHT}</auth>`, 'invalid-mechanism'],
    ['-PLUS without TLS to bind to', `<auth xmlns='${NS}' mechanism='SCRAM-SHA-1-PLUS'>${RIGHT}</auth>`, 'invalid-mechanism'],
    ['ANONYMOUS where it is off', `<auth xmlns='${NS}' mechanism='ANONYMOUS'>=</auth>`, 'invalid-mechanism'],
    ['what is no Base64', `<auth xmlns='${NS}' mechanism='PLAIN'>????</auth>`, 'incorrect-encoding'],
    ['Base64 with a line feed', `<auth xmlns='${NS}' mechanism='PLAIN'>\n${RIGHT}</auth>`, 'incorrect-encoding'],
    ['half of Base64', `<auth xmlns='${NS}' mechanism='PLAIN'>${RIGHT.slice(0, 5)}</auth>`, 'incorrect-encoding'],
    ['padding in the middle', `<auth xmlns='${NS}' mechanism='PLAIN'>AA==AA==</auth>`, 'incorrect-encoding'],
    ['very much', `<auth xmlns='${NS}' mechanism='PLAIN'>${'A'.repeat(20_000)}</auth>`, 'malformed-request'],
    ['an answer to no question', `<response xmlns='${NS}'>${RIGHT}</response>`, 'malformed-request'],
    ['an end before the beginning', `<abort xmlns='${NS}'/>`, 'aborted'],
  ] as const) {
    it(`fails for ${name} with ${condition}, and may be tried again`, async () => {
      const failure = await say(element);
      assert.deepEqual([failure.name, failure.getChildElements()[0]!.name], ['failure', condition]);
      assert.equal(stream.username, undefined);
      assert.equal((await auth(RIGHT)).name, 'success');
    });
  }

  it('cannot begin a second exchange within the first', async () => {
    await auth('');
    assert.notEqual((await auth(RIGHT)).getChild('malformed-request'), undefined);
    assert.equal(stream.username, undefined);
    assert.notEqual((await respond(RIGHT)).getChild('malformed-request'), undefined);
  });

  for (const [name, step] of [
    [
      'at once',
      () => {
        throw new Error('the disk is gone');
      },
    ],
    ['later', () => Promise.reject(new Error('the disk is gone'))],
  ] as const) {
    it(`is told to come back when the storage fails ${name}, on a stream that goes on (RFC 6120 section 6.5)`, async () => {
      host.host.login.add(mechanism('X-BROKEN', step));
      connect();
      for (let i = 0; i < 6; i++) {
        const failure = await auth('=', 'X-BROKEN');
        assert.deepEqual(
          failure.getChildElements().map(({ name }) => name),
          ['temporary-auth-failure'],
        );
        assert.equal(String(failure).includes('disk'), false);
      }
      assert.equal(transport.isEnded, false);
      assert.equal((await auth(RIGHT)).name, 'success');
      assert.equal(host.faults.length, 6);
      for (const { error } of host.faults.splice(0) as { error: Error }[]) assert.equal(error.message, 'the disk is gone');
    });
  }

  it('may be given up (RFC 6120 section 6.4.4)', async () => {
    await auth('');
    assert.notEqual((await say(`<abort xmlns='${NS}'/>`)).getChild('aborted'), undefined);
    assert.equal((await auth(RIGHT)).name, 'success');
  });

  it('is over after five failures (RFC 6120 section 6.4.5)', async () => {
    for (let i = 0; i < 5; i++) await auth(WRONG);
    assert.equal(seen.filter(({ name }) => name === 'failure').length, 5);
    assert.notEqual(seen.find(({ name }) => name === 'stream:error')!.getChild('policy-violation'), undefined);
    assert.equal(transport.isEnded, true);
  });

  it('cannot use what was not announced on its stream, even if it is there by now', async () => {
    host.host.login.add(mechanism('X-LATER', () => ({ username: 'juliet', data: undefined })));
    assert.notEqual((await auth('=', 'X-LATER')).getChild('invalid-mechanism'), undefined);
    connect();
    assert.equal((await auth('=', 'X-LATER')).name, 'success');
  });

  for (const [name, end] of [
    ['succeeds', (resolve: (step: SaslStep) => void) => resolve({ username: 'juliet', data: undefined })],
    ['fails', (_: unknown, reject: (error: Error) => void) => reject(new SaslError('not-authorized'))],
  ] as const) {
    it(`is forgotten when it ${name} after the client has left`, async () => {
      let finish = () => {};
      const pending = new Promise<SaslStep>((resolve, reject) => (finish = () => end(resolve, reject)));
      host.host.login.add(mechanism('X-SLOW', () => pending));
      connect();
      await auth('=', 'X-SLOW');
      transport.destroy();
      const before = seen.length;
      finish();
      await settle();
      assert.equal(stream.username, undefined);
      assert.equal(seen.length, before);
    });
  }
});
