import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { createSelfSigned } from './self-signed.ts';

const DAY = 86_400_000;
/** A certificate of our own making is replaced when it has less than this left. */
const RENEW_BEFORE = 30 * DAY;

/** Where a certificate and its key are. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate that was read and found to fit its key. */
export interface LoadedCertificate {
  readonly files: CertificateFiles;
  /** What was read: the chain and the key, PEM. */
  readonly chain: string;
  readonly key: string;
  readonly leaf: X509Certificate;
}

/**
 * Looks for the certificate of a host as certbot and people lay them out: <host>/fullchain.pem with privkey.pem, or <host>.pem or
 * .crt with <host>.key. One of a domain above serves as well when it is valid for the host (*.example.org). Undefined when there is none.
 */
export async function findCertificate(folder: string, domain: string): Promise<CertificateFiles | undefined> {
  for (const name of namesAbove(domain)) {
    for (const files of layouts(folder, name)) {
      if (!(await exists(files.cert)) || !(await exists(files.key))) continue;
      if (name === domain || (await covers(files.cert, domain))) return files;
    }
  }
  return undefined;
}

/** The domain itself and what is above it, but for top-level domains. */
export function namesAbove(domain: string): readonly string[] {
  if (isIP(domain) !== 0 || domain.startsWith('[')) return [domain];
  const labels = domain.split('.');
  return labels.slice(0, Math.max(1, labels.length - 1)).map((_, i) => labels.slice(i).join('.'));
}

function layouts(folder: string, name: string): readonly CertificateFiles[] {
  return [
    { cert: join(folder, name, 'fullchain.pem'), key: join(folder, name, 'privkey.pem') },
    { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) },
    { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) },
  ];
}

async function covers(file: string, domain: string): Promise<boolean> {
  try {
    return isFor(new X509Certificate(await readFile(file)), domain);
  } catch {
    return false;
  }
}

/** Whether a certificate is valid for this domain (RFC 9525: by its alternative names, never by its common name). */
export function isFor(certificate: X509Certificate, domain: string): boolean {
  const host = domain.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  return certificate.checkHost(host, { subject: 'never' }) !== undefined;
}

/** Reads a certificate and its key. Throws an Error that says which file is wrong and how. */
export async function loadCertificate(files: CertificateFiles): Promise<LoadedCertificate> {
  const [chain, key] = await Promise.all([read(files.cert), read(files.key)]);
  const leaf = parse(files.cert, 'a certificate in PEM form', () => new X509Certificate(chain));
  const privateKey: KeyObject = parse(files.key, 'a private key in PEM form without a passphrase', () => createPrivateKey(key));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new Error(`${files.key} is not the key of the certificate in ${files.cert}: their public keys differ`);
  }
  return { files, chain, key, leaf };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`);
  }
}

function parse<T>(file: string, expected: string, make: () => T): T {
  try {
    return make();
  } catch {
    throw new Error(`${file}: expected ${expected}`);
  }
}

/** What changes when either file does; undefined when one of them is missing. */
export async function stampOf({ cert, key }: CertificateFiles): Promise<string | undefined> {
  const stats = await Promise.all([cert, key].map((file) => stat(file, { bigint: true }).catch(() => undefined)));
  if (stats.includes(undefined)) return undefined;
  return [cert, ...stats.map((each) => `${each!.ino}:${each!.size}:${each!.mtimeNs}`)].join(' ');
}

/**
 * The certificate that the server made for this domain, in `folder`: made when there is none yet, and again when it is broken or
 * near its end. Only the server's user can read the key.
 */
export async function keepSelfSigned(folder: string, domain: string, now: number): Promise<CertificateFiles> {
  const name = domain.replaceAll(/[^\w.-]/g, '_');
  const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  if (await isGood(files, domain, now)) return files;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { certificate, key } = createSelfSigned(domain, now);
  await replace(files.key, key);
  await replace(files.cert, certificate);
  return files;
}

async function isGood(files: CertificateFiles, domain: string, now: number): Promise<boolean> {
  try {
    const { leaf } = await loadCertificate(files);
    return isFor(leaf, domain) && Date.parse(leaf.validTo) - now > RENEW_BEFORE;
  } catch {
    return false;
  }
}

async function replace(file: string, text: string): Promise<void> {
  const draft = `${file}.new`;
  await writeFile(draft, text, { mode: 0o600 });
  await rename(draft, file);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
