import { isLoopback } from '../../net/addresses.ts';
import { type CheckContext, Findings, isLocalName } from './finding.ts';

/** Without these, clients are not at home. */
const BASIC = ['roster', 'presence', 'disco', 'ping', 'offline', 'blocking'] as const;

/** What the config says of every host, where it is valid and yet not what one wants. */
export function checkHosts({ config }: Pick<CheckContext, 'config'>): Findings {
  const findings = new Findings('hosts');
  const isPublic = config.listeners.some(({ addresses }) => !addresses.every(isLoopback));
  for (const [domain, host] of config.hosts) {
    const { modules, authentication } = host;
    const before = findings.all.length;
    const missing = BASIC.filter((name) => !modules.has(name));
    if (missing.length > 0)
      findings.warn(domain, `without ${missing.join(', ')} clients lack what they expect`, 'Name them under modules.');
    if (isPublic && !isLocalName(domain)) {
      if (modules.has('register') && !modules.has('contact-addresses')) {
        findings.warn(
          domain,
          'strangers can register, and nobody finds whom to tell about abuse',
          'Switch on contact-addresses with an abuse address (XEP-0157).',
        );
      }
      if (!modules.has('host-meta'))
        findings.warn(domain, 'web clients do not find this host', 'Switch on host-meta (XEP-0156).');
      if (host.admins.length === 0)
        findings.warn(domain, 'nobody may administer it from a client', 'Name somebody under admins.');
    }
    if (
      isPublic &&
      (!authentication.requireEncryption || authentication.trustLoopback || authentication.plainWithoutTlsOnLoopback)
    ) {
      const fix = 'Leave requireEncryption, trustLoopback and plainWithoutTlsOnLoopback out of authentication.';
      findings.warn(domain, 'clients may log in without TLS, at least from this machine', fix);
    }
    if (findings.all.length === before) findings.ok(domain, `${modules.size} modules`);
  }
  return findings;
}
