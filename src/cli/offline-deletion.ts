import { C2sServer } from '../c2s/c2s-server.ts';
import type { ServerConfig } from '../config/server-config.ts';
import type { Host } from '../host/host.ts';
import type { Jid } from '../jid.ts';
import { silent } from '../log.ts';
import { Metrics } from '../metrics.ts';
import type { AnyModule } from '../module/module.ts';
import { HttpSite } from '../net/http-routes.ts';
import { moduleFolder } from '../server/folders.ts';
import { routeBetween } from '../server/host-router.ts';
import { limitsOf } from '../server/limits.ts';
import type { CoreLogin } from '../server/login.ts';
import { ServedHost } from '../server/served-host.ts';
import type { Storage } from '../storage/storage.ts';
import { Traffic } from '../traffic.ts';

/** What a deletion without a server works with. */
export interface OfflineDeletionParts {
  readonly config: ServerConfig;
  readonly modules: ReadonlyMap<string, AnyModule>;
  readonly storage: Storage;
  readonly login: CoreLogin;
}

/**
 * Deletes an account while no server runs: with all hosts and their modules, but without clients, since modules take leave of an account
 * (hook `accountDeleting`) and its contacts may be on any of the hosts. True when there was one.
 */
export async function deleteOffline(jid: Jid, { config, modules, storage, login }: OfflineDeletionParts): Promise<boolean> {
  const hosts = new Map<string, Host>();
  const limits = limitsOf(config.limits);
  const c2s = new C2sServer({ hosts, limits, traffic: new Traffic(), log: silent, hasCertificate: () => false });
  const metrics = new Metrics();
  const router = routeBetween(hosts, silent);
  const services = {
    c2s,
    storage,
    metrics,
    http: new HttpSite(config.hosts.keys()),
    endpoints: config.http,
    folder: moduleFolder.bind(undefined, config.data),
  };
  const served: ServedHost[] = [];
  try {
    for (const each of config.hosts.values()) {
      const host = await ServedHost.create(each, { c2s, router, services, login, log: silent });
      served.push(host);
      await host.start(modules);
      hosts.set(each.domain, host.host);
    }
    return (await hosts.get(jid.domain)?.accounts.delete(jid.local)) ?? false;
  } finally {
    for (const host of served.reverse()) await host.stop();
    c2s.stop();
    metrics.close();
  }
}
