import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import type { Accounts, ScramHash } from '../../../src/auth/accounts.ts';
import { makeKeys } from '../../../src/auth/passwords.ts';
import type { SaslContext, SaslStep } from '../../../src/auth/sasl.ts';
import { scram } from '../../../src/auth/scram.ts';
import type { Guard } from '../../../src/auth/throttle.ts';
import type { TlsInfo } from '../../../src/net/transport.ts';
import { SaslError } from '../../../src/stanza/errors.ts';
import { ScramClient } from '../../support/scram-client.ts';

const open: Guard = { check() {}, failed() {}, succeeded() {} };
const ITERATIONS = 4096;
const SALT = Buffer.from('QSXCR+Q6sek8bf92', 'base64');
const EXPORTER = Buffer.alloc(32, 7);
const END_POINT = Buffer.alloc(32, 9);

const tls: TlsInfo = {
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  alpn: undefined,
  servername: 'example.org',
  exporter: () => EXPORTER,
  serverEndPoint: () => END_POINT,
  peerCertificate: () => undefined,
};

/** One account, `user`, with one password. */
function accountsWith(password: string, salt = SALT): Accounts {
  return {
    exists: async (username: string) => username === 'user',
    scramKeys: async (username: string, hash: ScramHash) => ({
      keys: await makeKeys(username === 'user' ? password : 'nobody knows', salt, ITERATIONS, hash),
      known: username === 'user',
    }),
  } as Partial<Accounts> as Accounts;
}

function context(change: Partial<SaslContext> = {}): SaslContext {
  return {
    domain: 'example.org',
    accounts: accountsWith('pencil'),
    tls: undefined,
    remoteAddress: '192.0.2.1',
    offered: ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'],
    bindings: [],
    ...change,
  };
}

const bound = (change: Partial<SaslContext> = {}) =>
  context({ tls, bindings: ['tls-exporter', 'tls-server-end-point'], offered: ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'], ...change });

function start(about: SaslContext, hash: ScramHash = 'sha1', isPlus = false, nonce?: () => string) {
  return scram(hash, isPlus, { strength: 1, guard: open, ...(nonce && { nonce }) }).start(about);
}

async function challengeOf(step: SaslStep | Promise<SaslStep>): Promise<Buffer> {
  const settled = await step;
  assert('challenge' in settled);
  return settled.challenge;
}

async function refusal(work: () => SaslStep | Promise<SaslStep>): Promise<string> {
  try {
    await work();
  } catch (error) {
    assert(error instanceof SaslError, String(error));
    return error.condition;
  }
  return 'nothing';
}

describe('SCRAM', () => {
  it('speaks as in RFC 5802 section 5', async () => {
    const exchange = start(context(), 'sha1', false, () => '3rfcNHYJY1ZVvWVs7j');
    const challenge = await challengeOf(exchange.step(Buffer.from('n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL')));
    assert.match(challenge.toString(), /^r=fyko\+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR\+Q6sek8bf92,i=4096,h=/);
  });

  for (const [hash, name] of [
    ['sha1', 'SCRAM-SHA-1'],
    ['sha256', 'SCRAM-SHA-256'],
    ['sha512', 'SCRAM-SHA-512'],
  ] as const) {
    it(`${name} lets in who knows the password, and proves that the server knows it too`, async () => {
      assert.equal(scram(hash, false, { strength: 1, guard: open }).name, name);
      const client = new ScramClient({ hash, username: 'user', password: 'pencil' });
      const exchange = start(context(), hash);
      const challenge = await challengeOf(exchange.step(client.first()));
      const final = await exchange.step(client.last(challenge));
      assert('username' in final);
      assert.equal(final.username, 'user');
      assert.equal(client.trusts(final.data), true);
    });

    for (const [type, data] of [
      ['tls-exporter', EXPORTER],
      ['tls-server-end-point', END_POINT],
    ] as const) {
      it(`${name}-PLUS binds to ${type}`, async () => {
        const login = async (binding: Buffer) => {
          const client = new ScramClient({ hash, username: 'user', password: 'pencil', header: `p=${type},,`, binding });
          const exchange = start(bound(), hash, true);
          const challenge = await challengeOf(exchange.step(client.first()));
          return exchange.step(client.last(challenge));
        };
        const final = await login(data);
        assert.equal('username' in final && final.username, 'user');
        assert.equal(await refusal(() => login(Buffer.alloc(32, 8))), 'not-authorized');
      });
    }
  }

  it('is offered with -PLUS only where there is something to bind to', () => {
    const plus = scram('sha1', true, { strength: 1, guard: open });
    const where = { domain: 'example.org', secure: true, loopback: false };
    assert.equal(plus.isOffered({ ...where, tls }), true);
    assert.equal(plus.isOffered({ ...where, tls: undefined }), false);
    assert.equal(plus.isOffered({ ...where, tls: { ...tls, protocol: 'TLSv1.2', serverEndPoint: () => undefined } }), false);
  });

  it('says what was offered, hashed as XEP-0474 says', async () => {
    const exchange = start(bound({ offered: ['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1'] }), 'sha1', true);
    const challenge = await challengeOf(exchange.step(Buffer.from('p=tls-exporter,,n=user,r=abc')));
    // The example of XEP-0474 section 6.
    assert.match(challenge.toString(), /,h=G6k\/rBLDqgOhRRaCuuatSDFkJ08=$/);
    const hash = createHash('sha1').update('PLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-256').digest('base64');
    const other = await challengeOf(start(context()).step(Buffer.from('n,,n=user,r=abc')));
    assert.equal(other.toString().endsWith(`,h=${hash}`), true);
  });

  it('sees when somebody has taken the binding mechanisms out of the list', async () => {
    assert.equal(await refusal(() => start(bound()).step(Buffer.from('y,,n=user,r=abc'))), 'not-authorized');
    assert.equal(await refusal(() => start(context()).step(Buffer.from('y,,n=user,r=abc'))), 'nothing');
  });

  for (const [authzid, condition] of [
    ['', 'nothing'],
    ['a=user', 'nothing'],
    ['a=USER', 'nothing'],
    ['a=user@example.org', 'nothing'],
    ['a=User@Example.ORG', 'nothing'],
    ['a=other@example.org', 'invalid-authzid'],
    ['a=user@example.com', 'invalid-authzid'],
    ['a=user@example.org/res', 'invalid-authzid'],
    ['a=example.org', 'invalid-authzid'],
    ['a=admin', 'invalid-authzid'],
    ['a=user=2Cx', 'invalid-authzid'],
  ] as const) {
    it(`to act as "${authzid}" gives ${condition}`, async () => {
      assert.equal(await refusal(() => start(context()).step(Buffer.from(`n,${authzid},n=user,r=abc`))), condition);
    });
  }

  for (const [name, message, condition] of [
    ['nothing', '', 'malformed-request'],
    ['no header', 'n=user,r=abc', 'malformed-request'],
    ['an unknown flag', 'x,,n=user,r=abc', 'malformed-request'],
    ['a binding without -PLUS', 'p=tls-exporter,,n=user,r=abc', 'malformed-request'],
    ['an extension that has to be understood', 'n,,m=1,n=user,r=abc', 'malformed-request'],
    ['no name', 'n,,n=,r=abc', 'malformed-request'],
    ['no nonce', 'n,,n=user,r=', 'malformed-request'],
    ['a nonce with a space', 'n,,n=user,r=a b', 'malformed-request'],
    ['a nonce without end', `n,,n=user,r=${'a'.repeat(2000)}`, 'malformed-request'],
    ['a name with a bare =', 'n,,n=us=er,r=abc', 'malformed-request'],
    ['a name with NUL', 'n,,n=us\0er,r=abc', 'malformed-request'],
    ['a name that cannot be prepared', 'n,,n=us er,r=abc', 'not-authorized'],
    ['a name with a slash', 'n,,n=user/x,r=abc', 'not-authorized'],
    ['bytes that are no UTF-8', Buffer.from([0x6e, 0x2c, 0x2c, 0xff]), 'malformed-request'],
  ] as const) {
    it(`a first message with ${name} is ${condition}`, async () => {
      assert.equal(await refusal(() => start(context()).step(Buffer.from(message as string))), condition);
    });
  }

  it('-PLUS takes no other kind of binding than those announced, and no client that does not bind', async () => {
    for (const header of ['p=tls-unique,,', 'p=,,', 'n,,', 'y,,', 'p=__proto__,,']) {
      assert.equal(
        await refusal(() => start(bound(), 'sha1', true).step(Buffer.from(`${header}n=user,r=abc`))),
        'malformed-request',
        header,
      );
    }
  });

  for (const [name, change, condition] of [
    ['another nonce', { nonce: 'abcdef' }, 'not-authorized'],
    ['another binding', { binding: Buffer.from('y,,').toString('base64') }, 'not-authorized'],
    ['a binding that is no Base64', { binding: '!' }, 'malformed-request'],
    ['an extension that has to be understood', { extra: ',m=x' }, 'malformed-request'],
  ] as const) {
    it(`a last message with ${name} is ${condition}`, async () => {
      const client = new ScramClient({ username: 'user', password: 'pencil' });
      const exchange = start(context());
      const challenge = await challengeOf(exchange.step(client.first()));
      assert.equal(await refusal(() => exchange.step(client.last(challenge, change))), condition);
    });
  }

  it('passes over extensions that may be ignored', async () => {
    const client = new ScramClient({ username: 'user', password: 'pencil' });
    const exchange = start(context());
    const challenge = await challengeOf(exchange.step(client.first()));
    assert.equal(await refusal(() => exchange.step(client.last(challenge, { extra: ',x=y' }))), 'nothing');
  });

  it('refuses a wrong password and an unknown user alike, and tells the guard', async () => {
    const failures: string[] = [];
    const guard: Guard = { check() {}, failed: (username) => void failures.push(username), succeeded() {} };
    for (const [username, password] of [
      ['user', 'wrong'],
      ['nobody', 'pencil'],
    ] as const) {
      const client = new ScramClient({ username, password });
      const exchange = scram('sha1', false, { strength: 1, guard }).start(context());
      const challenge = await challengeOf(exchange.step(client.first()));
      assert.equal(await refusal(() => exchange.step(client.last(challenge))), 'not-authorized');
    }
    assert.deepEqual(failures, ['user', 'nobody']);
  });

  it('does no work for who has failed too often', async () => {
    const guard: Guard = {
      check() {
        throw new SaslError('temporary-auth-failure');
      },
      failed() {},
      succeeded() {},
    };
    const exchange = scram('sha1', false, { strength: 1, guard }).start(context({ accounts: {} as Accounts }));
    assert.equal(await refusal(() => exchange.step(Buffer.from('n,,n=user,r=abc'))), 'temporary-auth-failure');
  });

  it('is over after its last message', async () => {
    const client = new ScramClient({ username: 'user', password: 'pencil' });
    const exchange = start(context());
    const challenge = await challengeOf(exchange.step(client.first()));
    const last = client.last(challenge);
    await exchange.step(last);
    assert.equal(await refusal(() => exchange.step(last)), 'malformed-request');
  });

  it('throws nothing but SaslError, whatever is changed in good messages', async () => {
    const client = new ScramClient({ username: 'user', password: 'pencil', nonce: 'abcdef' });
    const spoil = fc.record({ at: fc.nat(60), byte: fc.nat(255), cut: fc.boolean() });
    const spoiled = (message: Buffer, changes: readonly { at: number; byte: number; cut: boolean }[]) => {
      const copy = Buffer.from(message);
      let end = copy.length;
      for (const { at, byte, cut } of changes) {
        if (cut) end = Math.min(end, at);
        else if (at < copy.length) copy[at] = byte;
      }
      return copy.subarray(0, end);
    };
    await fc.assert(
      fc.asyncProperty(fc.array(spoil, { maxLength: 3 }), fc.array(spoil, { maxLength: 3 }), async (first, last) => {
        const exchange = start(context());
        await refusal(async () => {
          const challenge = await challengeOf(exchange.step(spoiled(client.first(), first)));
          return exchange.step(spoiled(client.last(challenge), last));
        });
      }),
      { numRuns: 60 },
    );
  });
});
