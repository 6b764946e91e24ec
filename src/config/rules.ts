// What no single option can know: rules between options.
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { ConfigError } from './errors.ts';
import type { ListenerConfig, ServerOptions } from './server-config.ts';

/** Everything that is wrong between options that are right each for itself. */
export function checkTogether(options: ServerOptions): readonly ConfigError[] {
  return [...checkHosts(options), ...checkListeners(options), ...checkLimits(options), ...checkStorage(options)];
}

function checkHosts({ hosts, authentication, tls }: ServerOptions): readonly ConfigError[] {
  const problems: ConfigError[] = [];
  if (hosts.size === 0) problems.push(new ConfigError(['hosts'], 'expected at least one domain, such as example.org: {}'));
  const canVerify = tls.clientCertificates !== 'off' && tls.clientCA !== undefined;
  const usesExternal = authentication.external || [...hosts.values()].some((host) => host.authentication.external === true);
  if (usesExternal && !canVerify) {
    problems.push(new ConfigError(['authentication', 'external'], 'wants tls.clientCertificates: optional and tls.clientCA'));
  }
  return problems;
}

function checkListeners({ listeners, metrics, trustedProxies }: ServerOptions): readonly ConfigError[] {
  const problems: ConfigError[] = [];
  const taken = new Map<string, number>();
  for (const [i, listener] of listeners.entries()) {
    for (const address of listener.port === 0 ? [] : listener.addresses) {
      const place = `${address} port ${listener.port}`;
      const other = taken.get(place);
      if (other !== undefined)
        problems.push(new ConfigError(['listeners', i, 'port'], `listeners[${other}] has ${place} already`));
      else taken.set(place, i);
    }
    if (listener.proxyProtocol && trustedProxies.length === 0) {
      problems.push(new ConfigError(['listeners', i, 'proxyProtocol'], 'wants the addresses of the proxies in trustedProxies'));
    }
    if (serves(listener, 'metrics') && metrics.tokens.length === 0 && !listener.addresses.every(isLoopback)) {
      problems.push(
        new ConfigError(['listeners', i, 'serve'], 'metrics on an address that others can reach want a token in metrics.tokens'),
      );
    }
  }
  return problems;
}

function checkLimits({ limits }: ServerOptions): readonly ConfigError[] {
  const problems: ConfigError[] = [];
  if (limits.stanzaBytesBeforeLogin > limits.stanzaBytes) {
    problems.push(new ConfigError(['limits', 'stanzaBytesBeforeLogin'], 'expected no more than limits.stanzaBytes'));
  }
  if (limits.elementsBeforeLogin > limits.elements) {
    problems.push(new ConfigError(['limits', 'elementsBeforeLogin'], 'expected no more than limits.elements'));
  }
  return problems;
}

/** The file stays in the data folder, which only the server's user may read. */
function checkStorage({ storage, data }: ServerOptions): readonly ConfigError[] {
  if (storage.type !== 'sqlite') return [];
  const leavesData = relative(data, resolve(data, storage.file)).split(sep)[0] === '..';
  if (!leavesData || isAbsolute(storage.file)) return [];
  return [new ConfigError(['storage', 'file'], 'expected a file within the folder `data`, or an absolute path')];
}

function serves(listener: ListenerConfig, what: 'metrics'): boolean {
  return 'serve' in listener && listener.serve.includes(what);
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
