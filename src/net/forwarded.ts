// Whom a reverse proxy speaks for, by its headers: Forwarded (RFC 7239), or X-Forwarded-For and X-Forwarded-Proto.
import type { IncomingHttpHeaders } from 'node:http';
import { type Origin, readAddress, type TrustedProxies } from './addresses.ts';

const MAX_LENGTH = 4096;
const MAX_HOPS = 32;

/** One hop: who has sent the request to the proxy that wrote this, and how. */
interface Hop {
  /** Undefined when the proxy does not say (`unknown`, or a name it has made up). */
  readonly address: string | undefined;
  readonly port: number;
  readonly isSecure: boolean;
}

/**
 * Where a request comes from. The headers are only believed from trusted proxies: the client is the right-most hop that is none of
 * them. Undefined when a trusted proxy passes on headers that are malformed or contradict each other; somebody is forging then.
 */
export function findClient(headers: IncomingHttpHeaders, peer: Origin, proxies: TrustedProxies): Origin | undefined {
  const forwarded = single(headers['forwarded']);
  const addresses = single(headers['x-forwarded-for']);
  if (forwarded === undefined && addresses === undefined) return peer;
  if (!proxies.has(peer.address)) return { ...peer, isHidden: true };
  const byStandard = forwarded === undefined ? undefined : parseForwarded(forwarded);
  const byCustom = addresses === undefined ? undefined : parseCustom(addresses, single(headers['x-forwarded-proto']));
  const clients: Origin[] = [];
  for (const hops of [byStandard, byCustom]) {
    if (hops === 'malformed') return undefined;
    if (hops) clients.push(pickClient(hops, peer, proxies));
  }
  const [client, other] = clients;
  if (other && (client?.address !== other.address || client.secure !== other.secure)) return undefined;
  return client;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(',') : value;
}

function pickClient(hops: readonly Hop[], peer: Origin, proxies: TrustedProxies): Origin {
  let client = peer;
  for (const { address, port, isSecure } of hops.toReversed()) {
    if (address === undefined) return { ...client, secure: isSecure, isProxied: true, isHidden: true };
    client = { address, port, secure: isSecure, isProxied: true };
    if (!proxies.has(address)) return client;
  }
  return client;
}

/** X-Forwarded-For is a list of addresses, X-Forwarded-Proto one word for all of them or one for each. */
function parseCustom(addresses: string, protocols: string | undefined): readonly Hop[] | 'malformed' {
  const parts = split(addresses);
  const words = protocols === undefined ? [] : split(protocols);
  if (!parts || !words || (words.length > 1 && words.length !== parts.length)) return 'malformed';
  const hops: Hop[] = [];
  for (const [i, part] of parts.entries()) {
    const node = parseNode(part);
    if (!node) return 'malformed';
    const word = words.length > 1 ? words[i] : words[0];
    hops.push({ ...node, isSecure: word?.toLowerCase() === 'https' });
  }
  return hops;
}

function split(list: string): readonly string[] | undefined {
  if (list.length > MAX_LENGTH) return undefined;
  const parts = list.split(',').map((part) => part.trim());
  return parts.length <= MAX_HOPS ? parts : undefined;
}

/** `token=value`, the value as a token or in quotes; then what separates it from the next (RFC 7239 section 4). */
const PAIR =
  /[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})=(?:([!#$%&'*+.^_`|~0-9A-Za-z:[\]-]{1,255})|"((?:[^"\\]|\\.){0,255})")[ \t]*([;,]|$)/y;

function parseForwarded(text: string): readonly Hop[] | 'malformed' {
  if (text.length > MAX_LENGTH) return 'malformed';
  const hops: Hop[] = [];
  let pairs = new Map<string, string>();
  PAIR.lastIndex = 0;
  for (;;) {
    const match = PAIR.exec(text);
    if (!match) return 'malformed';
    const [, name = '', token, quoted, separator] = match;
    const key = name.toLowerCase();
    if (pairs.has(key)) return 'malformed';
    pairs.set(key, token ?? quoted!.replace(/\\(.)/g, '$1'));
    if (separator === ';') continue;
    const hop = readHop(pairs);
    if (!hop || hops.push(hop) > MAX_HOPS) return 'malformed';
    if (separator === '') return hops;
    pairs = new Map();
  }
}

function readHop(pairs: ReadonlyMap<string, string>): Hop | undefined {
  const node = parseNode(pairs.get('for') ?? 'unknown');
  return node && { ...node, isSecure: pairs.get('proto')?.toLowerCase() === 'https' };
}

/** RFC 7239 section 6, and what X-Forwarded-For holds: an address with or without a port, or none that may be known. */
function parseNode(text: string): { readonly address: string | undefined; readonly port: number } | undefined {
  if (/^unknown$/i.test(text) || /^_[\w.-]{1,100}$/.test(text)) return { address: undefined, port: 0 };
  const whole = readAddress(text);
  if (whole !== undefined) return { address: whole, port: 0 };
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(\d{1,5}|_[\w.-]{1,100}))?$/.exec(text);
  const address = match && readAddress(match[1] ?? match[2] ?? '');
  if (!match || address === undefined || address === null) return undefined;
  if (match[2] !== undefined && address.includes(':')) return undefined;
  const port = match[3] === undefined || match[3].startsWith('_') ? 0 : Number(match[3]);
  return port > 65_535 ? undefined : { address, port };
}
