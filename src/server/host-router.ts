import type { Host } from '../host/host.ts';
import type { Log } from '../log.ts';
import { LocalRouter } from '../router/local-router.ts';
import { StanzaError } from '../stanza/errors.ts';

/**
 * A router for these hosts: what is for a domain that nobody here serves is the sender's host's to send on, also where a module of it
 * answers for the sender's domain. The map is read at each such stanza, so hosts may come and go.
 */
export function routeBetween(hosts: ReadonlyMap<string, Host>, log: Log): LocalRouter {
  return new LocalRouter(log, (env) => {
    const { domain } = env.from;
    const host = hosts.get(domain) ?? [...hosts.values()].find(({ subdomains }) => subdomains.has(domain));
    if (!host) throw new StanzaError('remote-server-not-found');
    return host.toRemote(env);
  });
}
