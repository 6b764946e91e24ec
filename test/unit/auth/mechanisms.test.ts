import assert from 'node:assert/strict';
import type { Accounts } from '../../../src/auth/accounts.ts';
import { anonymous } from '../../../src/auth/anonymous.ts';
import { addressesIn, external } from '../../../src/auth/external.ts';
import { createMechanisms } from '../../../src/auth/mechanisms.ts';
import { plain } from '../../../src/auth/plain.ts';
import type { SaslContext } from '../../../src/auth/sasl.ts';
import { type Guard, Throttle } from '../../../src/auth/throttle.ts';
import { authentication } from '../../../src/config/sections/limits.ts';
import { silent } from '../../../src/log.ts';
import { der, oid, sequence, TAG } from '../../../src/net/der.ts';
import type { TlsInfo } from '../../../src/net/transport.ts';
import { SaslError } from '../../../src/stanza/errors.ts';

const open: Guard = { check() {}, failed() {}, succeeded() {} };
const accounts = {
  verify: async (username: string, password: string) => username === 'juliet' && password === 'pass,word',
  exists: async (username: string) => username === 'juliet',
} as Partial<Accounts> as Accounts;

function context(change: Partial<SaslContext> = {}): SaslContext {
  return { domain: 'example.org', accounts, tls: undefined, remoteAddress: '192.0.2.1', offered: [], bindings: [], ...change };
}

async function outcome(step: () => unknown): Promise<string> {
  try {
    const result = (await step()) as { username?: string };
    return result.username ?? 'challenge';
  } catch (error) {
    assert(error instanceof SaslError, String(error));
    return error.condition;
  }
}

describe('PLAIN (RFC 4616)', () => {
  const mechanism = plain({ strength: 1, guard: open, isOpenOnLoopback: false });
  const login = (text: string | Buffer) => outcome(() => mechanism.start(context()).step(Buffer.from(text as string)));

  for (const [message, wanted] of [
    ['\0juliet\0pass,word', 'juliet'],
    ['\0JULIET\0pass,word', 'juliet'],
    ['juliet\0juliet\0pass,word', 'juliet'],
    ['juliet@example.org\0juliet\0pass,word', 'juliet'],
    ['romeo\0juliet\0pass,word', 'invalid-authzid'],
    ['juliet@example.com\0juliet\0pass,word', 'invalid-authzid'],
    ['\0juliet\0wrong', 'not-authorized'],
    ['\0nobody\0pass,word', 'not-authorized'],
    ['\0jul iet\0pass,word', 'not-authorized'],
    ['\0juliet\0', 'malformed-request'],
    ['\0\0pass,word', 'malformed-request'],
    ['juliet\0pass,word', 'malformed-request'],
    ['\0juliet\0pass,word\0', 'malformed-request'],
    ['', 'malformed-request'],
  ] as const) {
    it(`${JSON.stringify(message)} gives ${wanted}`, async () => assert.equal(await login(message), wanted));
  }

  it('refuses what is no UTF-8', async () => {
    assert.equal(await login(Buffer.from([0, 0x61, 0, 0xff])), 'malformed-request');
  });

  it('is never offered in the clear, but on this machine where the config says so', () => {
    const where = { tls: undefined, domain: 'example.org' };
    assert.equal(mechanism.isOffered({ ...where, secure: false, loopback: true }), false);
    assert.equal(mechanism.isOffered({ ...where, secure: true, loopback: false }), true);
    const lax = plain({ strength: 1, guard: open, isOpenOnLoopback: true });
    assert.equal(lax.isOffered({ ...where, secure: false, loopback: true }), true);
    assert.equal(lax.isOffered({ ...where, secure: false, loopback: false }), false);
  });
});

describe('ANONYMOUS (RFC 4505)', () => {
  it('gives everybody another name', async () => {
    const names = new Set<string>();
    for (let i = 0; i < 5; i++) names.add(await outcome(() => anonymous(1).start(context()).step(Buffer.from('trace'))));
    assert.equal(names.size, 5);
    for (const name of names) assert.match(name, /^[0-9a-f]{32}$/);
  });
});

describe('EXTERNAL (XEP-0178)', () => {
  const xmppAddr = (address: string) => der(0xa0, oid('1.3.6.1.5.5.7.8.5'), der(0xa0, der(TAG.utf8, Buffer.from(address))));
  /** As much of a certificate as is looked at. */
  const certificate = (...names: readonly Buffer[]) => {
    const extension = sequence(oid('2.5.29.17'), der(TAG.octets, sequence(...names)));
    return sequence(sequence(der(TAG.integer, Buffer.from([1])), der(0xa3, sequence(extension))));
  };
  const withCertificate = (raw: Buffer, authorized = true): TlsInfo => ({
    protocol: 'TLSv1.3',
    cipher: '',
    alpn: undefined,
    servername: undefined,
    exporter: () => undefined,
    serverEndPoint: () => undefined,
    peerCertificate: () => ({ certificate: { raw } as never, authorized }),
  });
  const login = (tls: TlsInfo, text = '') => outcome(() => external(1).start(context({ tls })).step(Buffer.from(text)));
  const where = { domain: 'example.org', secure: true, loopback: false };
  const juliet = withCertificate(certificate(xmppAddr('juliet@example.org')));

  it('lets in whom the certificate names', async () => {
    assert.equal(external(1).isOffered({ ...where, tls: juliet }), true);
    assert.equal(await login(juliet), 'juliet');
    assert.equal(await login(juliet, 'juliet@example.org'), 'juliet');
    assert.equal(await login(juliet, 'romeo@example.org'), 'invalid-authzid');
  });

  it('wants to be told which of several is meant', async () => {
    const both = withCertificate(certificate(xmppAddr('juliet@example.org'), xmppAddr('romeo@example.org')));
    assert.equal(await login(both), 'invalid-authzid');
    const twice = withCertificate(certificate(xmppAddr('juliet@example.org'), xmppAddr('Juliet@Example.Org')));
    assert.equal(await login(twice), 'juliet');
    assert.equal(await login(both, 'juliet@example.org'), 'juliet');
  });

  it('is not offered, and not taken, without a certificate that counts here', async () => {
    for (const tls of [
      withCertificate(certificate(xmppAddr('juliet@example.org')), false),
      withCertificate(certificate(xmppAddr('juliet@elsewhere.example'))),
      withCertificate(certificate(xmppAddr('example.org'))),
      withCertificate(certificate(der(0x82, Buffer.from('example.org')))),
      withCertificate(certificate()),
      withCertificate(Buffer.from('junk')),
    ]) {
      assert.equal(external(1).isOffered({ ...where, tls }), false);
      assert.equal(await login(tls), 'not-authorized');
    }
  });

  it('reads no address out of half a certificate', () => {
    const whole = certificate(xmppAddr('juliet@example.org'));
    for (let i = 0; i < whole.length; i++) assert.deepEqual(addressesIn(whole.subarray(0, i), 'example.org'), []);
  });

  it('does not let in whom no account belongs to', async () => {
    assert.equal(await login(withCertificate(certificate(xmppAddr('ghost@example.org')))), 'not-authorized');
  });
});

describe('the mechanisms of a host', () => {
  it('are those that its config names, from strong to weak', () => {
    const config = authentication.parse({ anonymous: true }, 'authentication');
    const sorted = [...createMechanisms(config, open)].sort((a, b) => b.strength - a.strength).map(({ name }) => name);
    assert.deepEqual(sorted, [
      ...['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-512', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'],
      ...['PLAIN', 'ANONYMOUS'],
    ]);
    const few = authentication.parse({ mechanisms: ['SCRAM-SHA-256'] }, 'authentication');
    assert.deepEqual(
      createMechanisms(few, open).map(({ name }) => name),
      ['SCRAM-SHA-256'],
    );
  });
});

describe('the limit on guessing', () => {
  let now = 0;
  const make = (change = {}) =>
    new Throttle({ perAccount: 3, perAddress: 5, period: 1000, exemptLoopback: false, ...change }, () => now);
  const isLetIn = (guard: Guard, username: string, address: string) => {
    try {
      guard.check(username, address);
      return true;
    } catch (error) {
      assert.equal((error as SaslError).condition, 'temporary-auth-failure');
      return false;
    }
  };
  const fail = (guard: Guard, times: number, username: string, address: string) => {
    for (let i = 0; i < times; i++) guard.failed(username, address);
  };

  beforeEach(() => {
    now = 0;
  });

  it('puts an address off for one account, and lets others log in to it', () => {
    const guard = make().guard('h', silent);
    fail(guard, 3, 'juliet', '192.0.2.1');
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.1'), false);
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.2'), true);
    assert.equal(isLetIn(guard, 'romeo', '192.0.2.1'), true);
  });

  it('puts an address off for all accounts after more', () => {
    const guard = make().guard('h', silent);
    for (let i = 0; i < 5; i++) guard.failed(`user${i}`, '192.0.2.1');
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.1'), false);
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.2'), true);
  });

  it('counts a /64 as one address', () => {
    const guard = make().guard('h', silent);
    for (let i = 1; i <= 3; i++) guard.failed('juliet', `2001:db8::${i}`);
    assert.equal(isLetIn(guard, 'juliet', '2001:db8::ffff'), false);
    assert.equal(isLetIn(guard, 'juliet', '2001:db8:0:1::1'), true);
  });

  it('forgets after a while, and after a success', () => {
    const guard = make().guard('h', silent);
    fail(guard, 3, 'juliet', '192.0.2.1');
    now = 1001;
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.1'), true);
    fail(guard, 2, 'juliet', '192.0.2.1');
    guard.succeeded('juliet', '192.0.2.1');
    fail(guard, 2, 'juliet', '192.0.2.1');
    assert.equal(isLetIn(guard, 'juliet', '192.0.2.1'), true);
  });

  it('does not let one host answer for another', () => {
    const throttle = make({ perAddress: 100 });
    fail(throttle.guard('a', silent), 3, 'juliet', '192.0.2.1');
    assert.equal(isLetIn(throttle.guard('b', silent), 'juliet', '192.0.2.1'), true);
  });

  it('spares this machine where the config says so', () => {
    const guard = make({ exemptLoopback: true }).guard('h', silent);
    fail(guard, 50, 'juliet', '127.0.0.1');
    assert.equal(isLetIn(guard, 'juliet', '127.0.0.1'), true);
  });

  it('remembers no more than it may, however many addresses there are', () => {
    const throttle = make();
    const guard = throttle.guard('h', silent);
    for (let i = 0; i < 60_000; i++) guard.failed('juliet', `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    assert.equal(throttle.size, 50_000);
  });
});
