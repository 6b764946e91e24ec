import { networkInterfaces } from 'node:os';
import type { ListenerConfig } from '../../config/server-config.ts';
import { type CheckContext, codeOf, Findings, isLocalName, type Names } from './finding.ts';

const NOTHING: ReadonlySet<string> = new Set(['ENOTFOUND', 'ENODATA']);

const RESOLVER = 'See whether the resolver of this machine works, or leave the network out: --offline.';

/** A service of RFC 6120 section 3.2 or XEP-0368, as its SRV record names it. */
interface Service {
  readonly name: string;
  readonly what: string;
  readonly type: ListenerConfig['type'] | undefined;
}

const CLIENTS: Service = { name: '_xmpp-client._tcp', what: 'clients', type: 'c2s' };
const DIRECT: Service = { name: '_xmpps-client._tcp', what: 'clients, TLS from the first byte', type: 'c2s-tls' };
const SERVERS: Service = { name: '_xmpp-server._tcp', what: 'other servers', type: undefined };

type Records = readonly { readonly name: string; readonly port: number }[];

/** What the DNS says of every host that can be reached from elsewhere, compared with what this server listens on. */
export async function checkDns({ config, network }: Pick<CheckContext, 'config' | 'network'>): Promise<Findings> {
  const findings = new Findings('DNS');
  if (!network) return findings;
  for (const domain of config.hosts.keys()) {
    if (isLocalName(domain)) findings.ok(domain, 'a name for local use: nothing is looked up');
    else await new HostNames(domain, network.names, config.listeners, findings).check();
  }
  return findings;
}

class HostNames {
  readonly #domain: string;
  readonly #names: Names;
  readonly #listeners: readonly ListenerConfig[];
  readonly #findings: Findings;

  constructor(domain: string, names: Names, listeners: readonly ListenerConfig[], findings: Findings) {
    this.#domain = domain;
    this.#names = names;
    this.#listeners = listeners;
    this.#findings = findings;
  }

  async check(): Promise<void> {
    const [clients, direct, servers] = await Promise.all([CLIENTS, DIRECT, SERVERS].map((service) => this.#records(service)));
    if (clients === undefined || direct === undefined || servers === undefined) return;
    const targets = [...(await this.#checkService(CLIENTS, clients)), ...(await this.#checkService(DIRECT, direct))];
    if (clients.length === 0 && direct.length === 0) await this.#checkFallback();
    else if (!targets.some((each) => each)) {
      this.#findings.fail(
        this.#domain,
        'clients find no way to this server',
        "Let _xmpp-client._tcp lead to a name that has this machine's address.",
      );
    }
    if (servers.length > 0) await this.#checkService(SERVERS, servers);
    await this.#checkText();
  }

  /** The SRV records; undefined, with a finding, where the DNS does not answer. */
  async #records(service: Service): Promise<Records | undefined> {
    const name = `${service.name}.${this.#domain}`;
    const found = await this.#lookUp(() => this.#names.resolveSrv(name));
    if (!found) this.#findings.warn(name, 'cannot be looked up', RESOLVER);
    return found;
  }

  /** Checks what each record leads to; true for each that leads here. */
  async #checkService({ name, what, type }: Service, records: Records): Promise<readonly boolean[]> {
    const own = this.#listeners.filter((listener) => listener.type === type).map(({ port }) => port);
    const full = `${name}.${this.#domain}`;
    if (records.length === 0 && own.length > 0) {
      const example = `${full}. 3600 IN SRV 0 5 ${own[0]} ${this.#domain}.`;
      this.#findings.warn(full, `no record, so that clients have to guess (${what})`, `Publish: ${example}`);
    }
    const results: boolean[] = [];
    for (const record of records) results.push(await this.#checkTarget(full, record, type === undefined ? undefined : own));
    return results;
  }

  async #checkTarget(record: string, { name, port }: Records[number], own: readonly number[] | undefined): Promise<boolean> {
    if (name === '' || name === '.') {
      const fix = 'Remove the record, or let it name this server.';
      if (own?.length) this.#findings.warn(record, 'says that the service is not available (target ".")', fix);
      return false;
    }
    const subject = `${record} -> ${name}:${port}`;
    if ((await this.#lookUp(() => this.#names.resolveCname(name)))?.length) {
      this.#findings.warn(
        subject,
        'the target is an alias (CNAME), which RFC 2782 forbids',
        'Name a host that has A and AAAA records itself.',
      );
    }
    const isHere = await this.#checkAddresses(subject, name);
    if (own && !own.includes(port)) {
      const fix = `Correct the port in the record (here: ${own.join(', ') || 'none'}); with a port forwarded on a router or proxy all is well.`;
      this.#findings.warn(subject, `no listener of this server has port ${port}`, fix);
    }
    return isHere;
  }

  /** RFC 6120 section 3.2.2: without SRV records a client takes the domain's own addresses and port 5222. */
  async #checkFallback(): Promise<void> {
    await this.#checkAddresses(this.#domain, this.#domain);
    if (!this.#listeners.some(({ type, port }) => type === 'c2s' && port === 5222)) {
      this.#findings.fail(
        this.#domain,
        'without SRV records clients try port 5222, which is not listened on',
        'Publish SRV records, or listen on port 5222.',
      );
    }
  }

  /** Whether the name has addresses at all; a warning when none of them is this machine's. */
  async #checkAddresses(subject: string, name: string): Promise<boolean> {
    const [v4, v6] = await Promise.all([
      this.#lookUp(() => this.#names.resolve4(name)),
      this.#lookUp(() => this.#names.resolve6(name)),
    ]);
    const found = [...(v4 ?? []), ...(v6 ?? [])];
    if (found.length === 0 && (!v4 || !v6)) {
      this.#findings.warn(subject, `${name} cannot be looked up`, RESOLVER);
      return false;
    }
    if (found.length === 0) {
      this.#findings.fail(subject, `${name} has no address`, `Publish an A (and AAAA) record for ${name}.`);
      return false;
    }
    const own = new Set(Object.values(networkInterfaces()).flatMap((each = []) => each.map(({ address }) => address)));
    const foreign = found.filter((address) => !own.has(address));
    if (foreign.length === 0) this.#findings.ok(subject, found.join(', '));
    else {
      const fix = 'Right behind NAT, a proxy or in a container; otherwise correct the record.';
      this.#findings.warn(subject, `${foreign.join(', ')} is no address of this machine`, fix);
    }
    return true;
  }

  async #checkText(): Promise<void> {
    const found = await this.#lookUp(() => this.#names.resolveTxt(`_xmppconnect.${this.#domain}`));
    if (!found?.length) return;
    const fix = 'Remove the record; the module host-meta says the same in a way that cannot be forged.';
    this.#findings.warn(`_xmppconnect.${this.#domain}`, 'a TXT record that XEP-0156 has given up', fix);
  }

  /** Undefined where the DNS does not answer. */
  async #lookUp<T>(look: () => Promise<readonly T[]>): Promise<readonly T[] | undefined> {
    try {
      return await look();
    } catch (error) {
      return NOTHING.has(codeOf(error)) ? [] : undefined;
    }
  }
}
