import { createPrivateKey, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { domainToASCII } from 'node:url';
import { codeOf, type Findings, isLocalName } from './finding.ts';

const DAY = 86_400_000;
/** Renewal is late when less than this part of a certificate's life is left; ACME clients renew at a third. */
const LATE = 0.2;
const LEAST_RSA = 2048;

/** A certificate as its files hold it. */
export interface CertificateFiles {
  /** Where they are, for people. */
  readonly cert: string;
  readonly certPem: string;
  readonly keyPem: string;
}

/** Whether clients will accept this certificate for this domain (RFC 9525), now and in the next days. */
export function checkCertificate(findings: Findings, domain: string, files: CertificateFiles, now: number): void {
  const before = findings.all.length;
  let chain: readonly X509Certificate[];
  try {
    chain = readChain(files.certPem);
  } catch (error) {
    return findings.fail(
      domain,
      `${files.cert} holds no certificate (${codeOf(error)})`,
      'Put the certificate, then its chain, into it as PEM.',
    );
  }
  const [leaf] = chain;
  if (!leaf)
    return findings.fail(domain, `${files.cert} holds no certificate`, 'Put the certificate, then its chain, into it as PEM.');
  checkName(findings, domain, files.cert, chain);
  checkKey(findings, domain, leaf, files.keyPem);
  checkTimes(findings, domain, chain, now);
  checkChain(findings, domain, chain);
  if (findings.all.length === before) findings.ok(domain, `${files.cert}, good until ${day(Date.parse(leaf.validTo))}`);
}

function readChain(pem: string): readonly X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []).map(
    (block) => new X509Certificate(block),
  );
}

function covers(certificate: X509Certificate, domain: string): boolean {
  return certificate.checkHost(domainToASCII(domain) || domain, { subject: 'never', partialWildcards: false }) !== undefined;
}

function checkName(findings: Findings, domain: string, file: string, chain: readonly X509Certificate[]): void {
  const [leaf, ...others] = chain;
  if (covers(leaf!, domain)) return;
  if (others.some((other) => covers(other, domain))) {
    return findings.fail(domain, `${file} does not begin with the certificate of the host`, 'Put it first, then the chain.');
  }
  const names = leaf!.subjectAltName ?? 'no names';
  findings.fail(
    domain,
    `the certificate is for ${names.slice(0, 200)}`,
    `Get one whose names include ${domain} (certbot: -d ${domain}).`,
  );
}

function checkKey(findings: Findings, domain: string, leaf: X509Certificate, pem: string): void {
  try {
    if (!leaf.checkPrivateKey(createPrivateKey(pem))) {
      findings.fail(
        domain,
        'the key belongs to another certificate',
        'Put the key that the certificate was made with beside it.',
      );
    }
  } catch {
    findings.fail(
      domain,
      'the key cannot be used: no PEM, or under a passphrase',
      'Write it without passphrase: openssl pkey -in old.key -out new.key',
    );
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = leaf.publicKey;
  const bits = asymmetricKeyDetails?.modulusLength;
  if (asymmetricKeyType === 'rsa' && bits !== undefined && bits < LEAST_RSA) {
    findings.fail(domain, `a key of ${bits} bits, which clients refuse`, 'Make an EC key (P-256), or RSA of 2048 bits or more.');
  } else if (asymmetricKeyType !== 'rsa' && asymmetricKeyType !== 'ec') {
    findings.warn(domain, `a key of the kind ${asymmetricKeyType}, which many clients do not know`, 'Make an EC key (P-256).');
  }
}

function checkTimes(findings: Findings, domain: string, chain: readonly X509Certificate[], now: number): void {
  const begin = Date.parse(chain[0]!.validFrom);
  const end = Math.min(...chain.map(({ validTo }) => Date.parse(validTo)));
  const renew = 'Renew it (certbot renew, or what you use); the server takes changed files up by itself.';
  if (now < begin) findings.fail(domain, `not good before ${day(begin)}`, 'Wait, or correct the clock of this machine.');
  else if (now > end) findings.fail(domain, `expired on ${day(end)}`, renew);
  else if (end - now < Math.min((end - begin) * LATE, 14 * DAY)) {
    findings.warn(domain, `expires in ${Math.floor((end - now) / DAY)} days, and was not renewed yet`, renew);
  }
}

function checkChain(findings: Findings, domain: string, chain: readonly X509Certificate[]): void {
  for (const [i, certificate] of chain.entries()) {
    const issuer = chain[i + 1];
    if (issuer && !isIssuedBy(certificate, issuer)) {
      return findings.fail(
        domain,
        `certificate ${i + 2} of the file is not the issuer of the one before it`,
        'Use the chain as it was issued (fullchain.pem).',
      );
    }
  }
  const last = chain.at(-1)!;
  // A self-signed one need not be an authority, so that checkIssued says nothing of it.
  if (last.issuer === last.subject && last.verify(last.publicKey)) {
    const known = rootCertificates.some((root) => new X509Certificate(root).fingerprint256 === last.fingerprint256);
    if (!known && !isLocalName(domain))
      findings.warn(
        domain,
        'self-signed, so that clients warn or refuse',
        'Get one from a certificate authority, such as with certbot.',
      );
    return;
  }
  const isKnown = rootCertificates.some((root) => root.length > 0 && isIssuedBy(last, new X509Certificate(root)));
  if (isKnown) return;
  const text = `no known authority vouches for it (issuer: ${last.issuer.replaceAll('\n', ', ').slice(0, 200)})`;
  // Alone, it mostly lacks its chain, which breaks for everybody; with a chain it may be of an authority of the operator's own.
  if (chain.length === 1) findings.fail(domain, text, 'Put the whole chain into the file (fullchain.pem).');
  else findings.warn(domain, text, 'Clients have to know this authority; others are known everywhere.');
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
