import assert from 'node:assert/strict';
import { checkCertificate } from '../../../src/cli/check/certificate.ts';
import { type Finding, Findings } from '../../../src/cli/check/finding.ts';
import { createSelfSigned } from '../../../src/net/self-signed.ts';

const NOW = Date.parse('2026-06-01T12:00:00Z');
const DAY = 86_400_000;

function check(domain: string, pems: { certificate: string; key: string }, now = NOW): readonly Finding[] {
  const findings = new Findings('certificates');
  checkCertificate(findings, domain, { cert: 'cert.pem', certPem: pems.certificate, keyPem: pems.key }, now);
  return findings.all;
}

function shown(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ level, text }) => `${level}: ${text}`);
}

describe('parlance check, certificates', () => {
  it('is content with a self-signed one for local use, and says until when it is good', () => {
    assert.deepEqual(shown(check('localhost', createSelfSigned('localhost', NOW))), ['ok: cert.pem, good until 2027-06-01']);
  });

  it('warns that clients will not accept a self-signed one elsewhere', () => {
    assert.deepEqual(shown(check('example.org', createSelfSigned('example.org', NOW))), [
      'warn: self-signed, so that clients warn or refuse',
    ]);
  });

  it('compares the names as clients do: with A-labels, and a wildcard for one label only', () => {
    const wild = createSelfSigned('example.test', NOW);
    assert.match(shown(check('a.example.test', wild))[0]!, /^ok/);
    assert.match(
      shown(check('a.b.example.test', wild))[0]!,
      /^fail: the certificate is for DNS:example\.test, DNS:\*\.example\.test/,
    );
    const umlaut = createSelfSigned('xn--mnchen-3ya.test', NOW);
    assert.match(shown(check('münchen.test', umlaut))[0]!, /^ok/);
  });

  it('watches the time: not yet good, to be renewed soon, expired', () => {
    const pems = createSelfSigned('localhost', NOW);
    assert.deepEqual(shown(check('localhost', pems, NOW - 5 * DAY)), ['fail: not good before 2026-05-31']);
    assert.match(shown(check('localhost', pems, NOW + 355 * DAY))[0]!, /^warn: expires in (9|10) days, and was not renewed yet/);
    assert.deepEqual(shown(check('localhost', pems, NOW + 366 * DAY)), ['fail: expired on 2027-06-01']);
  });

  it('sees a key of another certificate, one that is none, and one under a passphrase', () => {
    const { certificate } = createSelfSigned('localhost', NOW);
    const { key } = createSelfSigned('localhost', NOW);
    assert.deepEqual(shown(check('localhost', { certificate, key })), ['fail: the key belongs to another certificate']);
    for (const wrong of ['', 'nonsense', '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n-----END ENCRYPTED PRIVATE KEY-----\n']) {
      assert.deepEqual(shown(check('localhost', { certificate, key: wrong })), [
        'fail: the key cannot be used: no PEM, or under a passphrase',
      ]);
    }
  });

  it('sees a file in the wrong order, and a chain of strangers', () => {
    const own = createSelfSigned('localhost', NOW);
    const other = createSelfSigned('elsewhere.test', NOW);
    const reversed = check('localhost', { certificate: other.certificate + own.certificate, key: other.key });
    assert.match(shown(reversed)[0]!, /does not begin with the certificate of the host/);
    const strangers = check('localhost', { certificate: own.certificate + other.certificate, key: own.key });
    assert.match(shown(strangers)[0]!, /^fail: certificate 2 of the file is not the issuer of the one before it/);
  });

  it('says how to mend files that hold no certificate', () => {
    const { key } = createSelfSigned('localhost', NOW);
    for (const certificate of ['', 'nonsense', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', key]) {
      const [finding, ...more] = check('localhost', { certificate, key });
      assert.match(shown([finding!])[0]!, /^fail: cert\.pem holds no certificate/);
      assert.equal(finding?.fix, 'Put the certificate, then its chain, into it as PEM.');
      assert.deepEqual(more, []);
    }
  });
});
