import type { ServerConfig } from '../config/server-config.ts';
import type { ListenerInfo } from '../server/listeners.ts';

/** What somebody who has just started the server wants to know, as lines of a name and a value. */
export function describeStart(config: ServerConfig, listeners: readonly ListenerInfo[]): readonly (readonly [string, string])[] {
  const domains = [...config.hosts.keys()];
  const [first = 'example.org'] = domains;
  const web = domains.flatMap((domain) => findWebClient(config, domain, listeners));
  const ports = (type: ListenerInfo['type']) => [
    ...new Set(listeners.filter((each) => each.type === type).map(({ port }) => port)),
  ];
  const clients = [
    ...ports('c2s').map((port) => `port ${port} (STARTTLS)`),
    ...ports('c2s-tls').map((port) => `port ${port} (TLS)`),
  ];
  const endpoint = (what: string, scheme: string, path: string) =>
    distinct(
      listeners
        .filter(({ serve }) => serve.includes(what))
        .map((each) => `${scheme}${each.type === 'https' ? 's' : ''}://${authority(each, first)}${path}`),
    );
  const lines: (readonly [string, readonly string[]])[] = [
    ['Domains', [domains.join(', ')]],
    ['Web client', web],
    ['XMPP clients', clients.length > 0 ? [clients.join(', ')] : []],
    ['WebSocket', endpoint('websocket', 'ws', config.http.websocket)],
    ['BOSH', endpoint('bosh', 'http', config.http.bosh)],
    ['Metrics', endpoint('metrics', 'http', config.http.metrics)],
    ['Config', [config.file]],
    ['Data', [config.storage.type === 'memory' ? 'in memory only' : config.data]],
  ];
  return lines.flatMap(([name, values]) => values.map((value, i) => [i === 0 ? name : '', value] as const));
}

/** The same as a block for a terminal. */
export function formatStart(version: string, config: ServerConfig, listeners: readonly ListenerInfo[]): string {
  const lines = describeStart(config, listeners).map(([name, value]) => `  ${name.padEnd(14)}${value}`);
  const [domain = 'example.org'] = config.hosts.keys();
  const hint = `  Ctrl+C stops it. An account: npx parlance account create juliet@${domain}`;
  return `\nParlance ${version} is running.\n\n${lines.join('\n')}\n\n${hint}\n\n`;
}

function findWebClient(config: ServerConfig, domain: string, listeners: readonly ListenerInfo[]): readonly string[] {
  const section = config.hosts.get(domain)?.modules.get('webclient');
  if (section === undefined) return [];
  const path = typeof section === 'object' && section !== null && 'path' in section ? String(section.path) : '/';
  return distinct(
    listeners.filter(({ serve }) => serve.includes('web')).map((each) => `${each.type}://${authority(each, domain)}${path}`),
  );
}

/** By its name: the HTTP listener knows hosts by their names, and certificates are for names. */
function authority({ type, port }: ListenerInfo, domain: string): string {
  const standard = type === 'https' ? 443 : 80;
  return port === standard ? domain : `${domain}:${port}`;
}

function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
