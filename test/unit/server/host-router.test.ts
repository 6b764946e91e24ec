import assert from 'node:assert/strict';
import { Host, type HostSettings } from '../../../src/host/host.ts';
import { Envelope, HANDLED, Jid, nobody, Priority, Stanza, xml } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { routeBetween } from '../../../src/server/host-router.ts';
import { FakeAccounts } from '../../support/fake-accounts.ts';

const config: HostSettings = {
  requireEncryption: true,
  trustLoopback: false,
  deliverToAll: true,
  resourceConflict: 'replace',
  resourcesPerAccount: 10,
  admins: [],
};

describe('the router of a server', () => {
  const hosts = new Map<string, Host>();
  const router = routeBetween(hosts, silent);
  const sent: string[] = [];

  before(() => {
    for (const domain of ['example.org', 'example.net']) {
      const accounts = new FakeAccounts({ deleting: async () => {}, erase: async () => {}, deleted: () => {} });
      const host = new Host(domain, { config, accounts, router, log: silent });
      hosts.set(domain, host);
      host.hooks.remote.add(
        ({ from, to }) => {
          sent.push(`${domain}: ${from.full} to ${to.full}`);
          return HANDLED;
        },
        Priority.serve,
        'test',
      );
    }
    hosts.get('example.net')!.subdomains.add('rooms.example.net');
  });

  const send = (from: string, to: string) => {
    const addresses = { from, to };
    return router.route(new Envelope(Stanza.of(xml('message', addresses)), Jid.parse(from), Jid.parse(to), nobody));
  };

  it('sends to other servers through the host of the sender', () => {
    void send('romeo@example.org/orchard', 'juliet@elsewhere.example');
    assert.deepEqual(sent.splice(0), ['example.org: romeo@example.org/orchard to juliet@elsewhere.example']);
  });

  it('sends what rooms say through the host whose module has them', () => {
    void send('lounge@rooms.example.net/Nurse', 'juliet@elsewhere.example/balcony');
    assert.deepEqual(sent.splice(0), ['example.net: lounge@rooms.example.net/Nurse to juliet@elsewhere.example/balcony']);
  });

  it('sends nothing for a domain that is nobody here', () => {
    assert.throws(() => void send('x@stranger.example', 'juliet@elsewhere.example'), /remote-server-not-found/);
  });
});
