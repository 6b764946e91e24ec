import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Accounts, ScramHash } from '../../../src/auth/accounts.ts';
import { hmac, makeKeys } from '../../../src/auth/passwords.ts';
import type { SaslContext } from '../../../src/auth/sasl.ts';
import { scram } from '../../../src/auth/scram.ts';
import type { Guard } from '../../../src/auth/throttle.ts';
import { SaslError } from '../../../src/stanza/errors.ts';

/** A whole exchange of a specification, by which password `pencil` of `user` is proven. */
interface Vector {
  readonly from: string;
  readonly hash: ScramHash;
  readonly salt: string;
  readonly first: string;
  readonly challenge: string;
  readonly withoutProof: string;
  readonly proof: string;
  readonly signature: string;
}

const VECTORS: readonly Vector[] = [
  {
    from: 'RFC 5802 section 5',
    hash: 'sha1',
    salt: 'QSXCR+Q6sek8bf92',
    first: 'n=user,r=fyko+d2lbbFgONRv9qkxdawL',
    challenge: 'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096',
    withoutProof: 'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j',
    proof: 'v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    signature: 'rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    from: 'RFC 7677 section 3',
    hash: 'sha256',
    salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
    first: 'n=user,r=rOprNGfwEbeRWgbNEkqO',
    challenge: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    withoutProof: 'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    signature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
];

describe('the keys that are kept of a password', () => {
  for (const { from, hash, salt, first, challenge, withoutProof, proof, signature } of VECTORS) {
    it(`take the proof of ${from} and sign as it says`, async () => {
      const keys = await makeKeys('pencil', Buffer.from(salt, 'base64'), 4096, hash);
      const message = `${first},${challenge},${withoutProof}`;
      const hidden = hmac(hash, keys.storedKey, message);
      const clientKey = Buffer.from(proof, 'base64').map((byte, i) => byte ^ hidden[i]!);
      assert.deepEqual(createHash(hash).update(clientKey).digest(), keys.storedKey);
      assert.equal(hmac(hash, keys.serverKey, message).toString('base64'), signature);
    });
  }
});

describe('the example of XEP-0474', () => {
  const CLIENT_NONCE = '12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6';
  const SERVER_NONCE = 'a09117a6-ac50-4f2f-93f1-93799c2bddf6';
  const FIRST = `p=tls-exporter,,n=user,r=${CLIENT_NONCE}`;
  const LAST = `c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=${CLIENT_NONCE}${SERVER_NONCE},x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3`;
  const PROOF = 'M/SIDjT+dfcxUh89jZEypRvFxB4=';

  const guard: Guard = { check() {}, failed() {}, succeeded() {} };
  const accounts = {
    exists: async () => true,
    scramKeys: async (_username: string, hash: ScramHash) => {
      return { keys: await makeKeys('pencil', Buffer.from('QSXCR+Q6sek8bf92', 'base64'), 4096, hash), known: true };
    },
  } as Partial<Accounts> as Accounts;

  function start(offered: readonly string[]) {
    const context: SaslContext = {
      domain: 'example.org',
      accounts,
      tls: {
        protocol: 'TLSv1.3',
        cipher: '',
        alpn: undefined,
        servername: undefined,
        exporter: () => Buffer.from('THIS IS FAKE CB DATA'),
        serverEndPoint: () => undefined,
        peerCertificate: () => undefined,
      },
      remoteAddress: '192.0.2.1',
      offered,
      bindings: ['tls-server-end-point', 'tls-exporter'],
    };
    return scram('sha1', true, { strength: 1, guard, nonce: () => SERVER_NONCE }).start(context);
  }

  it('is what we say, word for word', async () => {
    const exchange = start(['SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1']);
    const step = await exchange.step(Buffer.from(FIRST));
    assert('challenge' in step);
    const nonce = `${CLIENT_NONCE}${SERVER_NONCE}`;
    assert.equal(step.challenge.toString(), `r=${nonce},s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=`);
    const end = await exchange.step(Buffer.from(`${LAST},p=${PROOF}`));
    assert('username' in end);
    assert.equal(end.username, 'user');
    assert.equal(end.data!.toString(), 'v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=');
  });

  it('fails where somebody has put in the hash that the client expects for a list that is not ours', async () => {
    // The client has seen SCRAM-SHA-1-PLUS alone taken away from our list, and signs the hash of what it saw.
    const exchange = start(['SCRAM-SHA-256', 'SCRAM-SHA-1-PLUS', 'SCRAM-SHA-1']);
    await exchange.step(Buffer.from(FIRST));
    await assert.rejects(
      async () => exchange.step(Buffer.from(`${LAST},p=${PROOF}`)),
      (error) => error instanceof SaslError && error.condition === 'not-authorized',
    );
  });
});
