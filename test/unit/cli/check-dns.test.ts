import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { checkDns } from '../../../src/cli/check/dns.ts';
import type { Finding, Names } from '../../../src/cli/check/finding.ts';
import { serverOptions } from '../../../src/config/server-config.ts';

const HERE = Object.values(networkInterfaces())[0]![0]!.address;

/** A DNS with these records; what is not there is NXDOMAIN, what is a text fails with it. */
function dns(records: Readonly<Record<string, unknown>>): Names {
  const look = (type: string) => async (name: string) => {
    const found = records[`${name} ${type}`];
    if (Array.isArray(found)) return found;
    throw Object.assign(new Error('no answer'), { code: found ?? 'ENOTFOUND' });
  };
  return {
    resolveSrv: look('SRV'),
    resolve4: look('A'),
    resolve6: look('AAAA'),
    resolveCname: look('CNAME'),
    resolveTxt: look('TXT'),
  } as Names;
}

async function check(records: Readonly<Record<string, unknown>>, domain = 'example.org'): Promise<readonly Finding[]> {
  const { listeners } = serverOptions.parse({ hosts: {} }, '');
  const config = { hosts: new Map([[domain, undefined]]), listeners };
  const findings = await checkDns({ config: config as never, network: { names: dns(records), fetch } });
  return findings.all;
}

const GOOD = {
  '_xmpp-client._tcp.example.org SRV': [{ name: 'xmpp.example.org', port: 5222 }],
  '_xmpps-client._tcp.example.org SRV': [{ name: 'xmpp.example.org', port: 5223 }],
  [`xmpp.example.org ${HERE.includes(':') ? 'AAAA' : 'A'}`]: [HERE],
};

function shown(findings: readonly Finding[]): readonly string[] {
  return findings.filter(({ level }) => level !== 'ok').map(({ level, subject, text }) => `${level} ${subject}: ${text}`);
}

describe('parlance check, DNS', () => {
  it('is content with SRV records that lead to this machine and its ports', async () => {
    const findings = await check(GOOD);
    assert.deepEqual(shown(findings), []);
    assert.equal(findings.length, 2);
  });

  it('looks nothing up for names of local use', async () => {
    for (const domain of ['localhost', 'a.localhost', 'host.local', 'x.test', '127.0.0.1', '[::1]', 'intranet']) {
      assert.deepEqual(shown(await check({}, domain)), [], domain);
    }
  });

  it('says which record to publish where there is none', async () => {
    const { '_xmpps-client._tcp.example.org SRV': _, ...records } = GOOD;
    const findings = await check(records);
    assert.deepEqual(shown(findings), [
      'warn _xmpps-client._tcp.example.org: no record, so that clients have to guess (clients, TLS from the first byte)',
    ]);
    assert.equal(
      findings.find(({ level }) => level === 'warn')?.fix,
      'Publish: _xmpps-client._tcp.example.org. 3600 IN SRV 0 5 5223 example.org.',
    );
  });

  it('fails where neither SRV records nor addresses lead anywhere', async () => {
    assert.deepEqual(shown(await check({})), [
      'warn _xmpp-client._tcp.example.org: no record, so that clients have to guess (clients)',
      'warn _xmpps-client._tcp.example.org: no record, so that clients have to guess (clients, TLS from the first byte)',
      'fail example.org: example.org has no address',
    ]);
  });

  it('is told apart from a DNS that does not answer', async () => {
    const findings = await check({ ...GOOD, '_xmpp-client._tcp.example.org SRV': 'ETIMEOUT' });
    assert.deepEqual(shown(findings), ['warn _xmpp-client._tcp.example.org: cannot be looked up']);
  });

  const flaws: readonly (readonly [title: string, records: Readonly<Record<string, unknown>>, expected: RegExp])[] = [
    [
      'a target without address',
      { ...GOOD, '_xmpp-client._tcp.example.org SRV': [{ name: 'old.example.org', port: 5222 }] },
      /^fail .*old\.example\.org has no address/,
    ],
    [
      'a port nobody listens on',
      { ...GOOD, '_xmpp-client._tcp.example.org SRV': [{ name: 'xmpp.example.org', port: 5269 }] },
      /^warn .*no listener of this server has port 5269/,
    ],
    ['an alias as target', { ...GOOD, 'xmpp.example.org CNAME': ['real.example.org'] }, /^warn .*alias \(CNAME\)/],
    [
      'a service said to be unavailable',
      { ...GOOD, '_xmpps-client._tcp.example.org SRV': [{ name: '', port: 0 }] },
      /^warn .*not available/,
    ],
    [
      'an address of another machine',
      { ...GOOD, 'xmpp.example.org A': ['203.0.113.7'] },
      /^warn .*203\.0\.113\.7 is no address of this machine/,
    ],
    [
      'the TXT record of old',
      { ...GOOD, '_xmppconnect.example.org TXT': [['_xmpp-client-xbosh=https://x']] },
      /^warn _xmppconnect.*given up/,
    ],
  ];
  for (const [title, records, expected] of flaws) {
    it(`names ${title}, and how to mend it`, async () => {
      const findings = await check(records);
      assert.match(shown(findings)[0] ?? 'nothing', expected);
      for (const { level, fix } of findings) assert.equal(level !== 'ok', fix !== undefined);
    });
  }
});
