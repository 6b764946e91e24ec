import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { domainToASCII } from 'node:url';
import type { HostConfig, ServerConfig } from '../../config/server-config.ts';
import { type CertificateFiles, findCertificate } from '../../net/certificate-files.ts';
import { checkCertificate } from './certificate.ts';
import { octal, statOf } from './files.ts';
import { type CheckContext, codeOf, Findings } from './finding.ts';

const OTHERS = 0o007;
const OTHERS_OR_GROUP_WRITE = 0o022;

/** The certificate of every host: that it is there, that clients will accept it, and that its key is safe. */
export async function checkCertificates({ config, now }: Pick<CheckContext, 'config' | 'now'>): Promise<Findings> {
  const findings = new Findings('certificates');
  for (const host of config.hosts.values()) await checkHost(findings, host, config, now);
  await checkAuthorities(findings, config);
  return findings;
}

async function checkHost(
  findings: Findings,
  { domain, certificate }: HostConfig,
  config: ServerConfig,
  now: number,
): Promise<void> {
  const ascii = domainToASCII(domain) || domain;
  const files = await locate(certificate, ascii, domain, config);
  if (!files) {
    const folder = config.tls.certificates;
    const fix = `Put ${ascii}/fullchain.pem and ${ascii}/privkey.pem there (certbot's layout), name the files under hosts.${domain}.certificate, or choose self-signed to try things out.`;
    return findings.fail(domain, `no certificate was found in ${folder}: clients cannot use TLS`, fix);
  }
  if (certificate === 'self-signed' && !(await statOf(files.cert)))
    return findings.ok(domain, 'self-signed, made at the first start');
  try {
    const [certPem, keyPem] = await Promise.all([readFile(files.cert, 'latin1'), readFile(files.key, 'latin1')]);
    checkCertificate(findings, domain, { cert: files.cert, certPem, keyPem }, now);
  } catch (error) {
    findings.fail(
      domain,
      `${files.cert} or ${files.key} cannot be read (${codeOf(error)})`,
      'Let the user of the server read both.',
    );
  }
  await checkKeyFile(findings, files.key);
}

async function locate(
  certificate: HostConfig['certificate'],
  ascii: string,
  domain: string,
  { data, tls }: ServerConfig,
): Promise<CertificateFiles | undefined> {
  if (typeof certificate !== 'string') return certificate;
  if (certificate === 'auto')
    return (await findCertificate(tls.certificates, ascii)) ?? findCertificate(tls.certificates, domain);
  const name = ascii.replaceAll(/[^\w.-]/g, '_');
  return { cert: join(data, 'certs', `${name}.pem`), key: join(data, 'certs', `${name}.key`) };
}

async function checkKeyFile(findings: Findings, file: string): Promise<void> {
  const found = await statOf(file);
  if (!found) return;
  if (found.mode & OTHERS)
    findings.fail(file, `anybody on this machine can read this key (mode ${octal(found.mode)})`, `chmod 640 ${file}`);
  else if (found.mode & OTHERS_OR_GROUP_WRITE)
    findings.warn(file, `its group may change it (mode ${octal(found.mode)})`, `chmod g-w ${file}`);
}

async function checkAuthorities(findings: Findings, { tls }: ServerConfig): Promise<void> {
  if (tls.clientCertificates === 'off' || tls.clientCA === undefined) return;
  try {
    const pem = await readFile(tls.clientCA, 'latin1');
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return findings.ok(tls.clientCA, 'authorities for client certificates');
    findings.fail(tls.clientCA, 'holds no certificates', 'Put the authorities into it as PEM.');
  } catch (error) {
    findings.fail(tls.clientCA, `cannot be read (${codeOf(error)})`, 'Let the user of the server read it.');
  }
}
