import { type CheckContext, codeOf, Findings, isLocalName } from './finding.ts';

const PATIENCE = 8000;
const MAX_BODY = 65_536;
const WEBSOCKET = 'urn:xmpp:alt-connections:websocket';

/** Whether web clients find every host that can be reached from elsewhere (XEP-0156), as a browser would look for it. */
export async function checkWeb({ config, network }: Pick<CheckContext, 'config' | 'network'>): Promise<Findings> {
  const findings = new Findings('web');
  if (!network) return findings;
  const hosts = [...config.hosts.values()].filter(({ domain, modules }) => !isLocalName(domain) && modules.has('host-meta'));
  await Promise.all(hosts.map(({ domain }) => checkHostMeta(findings, domain, network.fetch)));
  return findings;
}

async function checkHostMeta(findings: Findings, domain: string, get: typeof fetch): Promise<void> {
  const url = `https://${domain}/.well-known/host-meta.json`;
  const proxy = 'Let the web server of this domain pass /.well-known/host-meta and host-meta.json on to the HTTP listener.';
  try {
    const response = await get(url, { signal: AbortSignal.timeout(PATIENCE), redirect: 'follow' });
    if (response.status !== 200) return findings.warn(url, `is answered with ${response.status}`, proxy);
    const links = readLinks(await readText(response));
    if (!links) return findings.warn(url, 'is answered with something else than links', proxy);
    const websocket = links.find(({ rel }) => rel === WEBSOCKET)?.href;
    if (websocket === undefined)
      return findings.warn(url, 'names no WebSocket', 'Let a listener serve websocket, or name it in the options of host-meta.');
    if (!websocket.startsWith('wss://'))
      return findings.warn(
        url,
        `names ${websocket}, which is not encrypted`,
        'Name a wss:// address in the options of host-meta.',
      );
    if (response.headers.get('access-control-allow-origin') !== '*') {
      return findings.warn(
        url,
        'may not be read by web pages of other origins',
        'Let the header Access-Control-Allow-Origin: * pass.',
      );
    }
    findings.ok(url, websocket);
  } catch (error) {
    findings.warn(url, `cannot be fetched (${codeOf(error)})`, `${proxy} Its certificate has to be good for ${domain}.`);
  }
}

async function readText(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_BODY) break;
  }
  return text;
}

function readLinks(text: string): readonly { readonly rel: string; readonly href: string }[] | undefined {
  try {
    const { links } = JSON.parse(text) as { readonly links?: unknown };
    if (!Array.isArray(links)) return undefined;
    return links.filter((link: unknown): link is { rel: string; href: string } => isLink(link));
  } catch {
    return undefined;
  }
}

function isLink(link: unknown): boolean {
  return (
    typeof link === 'object' &&
    link !== null &&
    typeof Reflect.get(link, 'rel') === 'string' &&
    typeof Reflect.get(link, 'href') === 'string'
  );
}
