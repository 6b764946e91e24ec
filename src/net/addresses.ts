import { BlockList, isIPv4, isIPv6 } from 'node:net';
import ipaddr from 'ipaddr.js';

/** Where a connection comes from. */
export interface Origin {
  /** An IP address as `plainAddress` writes it. */
  readonly address: string;
  readonly port: number;
  /** True when a trusted proxy says that it speaks TLS with the client. */
  readonly secure?: boolean;
  /** True when a proxy has answered for it and asks us anew: TLS on this line is the proxy's and not the client's. */
  readonly isProxied?: boolean;
  /** True when it comes through a proxy that is not trusted: the address is the proxy's then, and proves nothing. */
  readonly isHidden?: boolean;
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;

/** An address of a socket without what only says how it was reached: IPv4 as IPv4, no zone. */
export function plainAddress(address: string): string {
  const mapped = MAPPED.exec(address);
  if (mapped) return mapped[1]!;
  const zone = address.indexOf('%');
  return zone < 0 ? address : address.slice(0, zone);
}

/** An IP address that somebody wrote, in its shortest form; undefined for what is none. */
export function readAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  if (!isIPv6(text) || text.includes('%')) return undefined;
  return ipaddr.process(text).toString();
}

/** Whether it is an address of this machine alone (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

/** What counts as one address in limits: an IPv4 address, or the /64 of an IPv6 one, which one customer has to himself. */
export function neighbourhood(address: string): string {
  if (!isIPv6(address)) return address;
  const bytes = ipaddr.parse(address).toByteArray();
  return `${Buffer.from(bytes.slice(0, 8)).toString('hex')}/64`;
}

/** Addresses that are believed when they say whom they speak for. */
export class TrustedProxies {
  readonly #list = new BlockList();
  readonly #isEmpty: boolean;

  /** `ranges` are written with their length, as config/sections/listening.ts yields them. */
  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const [network = '', length = ''] = range.split('/');
      this.#list.addSubnet(network, Number(length), isIPv6(network) ? 'ipv6' : 'ipv4');
    }
  }

  /** Whether this is one of them. */
  has(address: string): boolean {
    return !this.#isEmpty && this.#list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  }
}
