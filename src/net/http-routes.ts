import { isIP } from 'node:net';
import { asciiDomain, prepareDomainName } from '../precis/domain.ts';
import type { HttpHandler } from './http.ts';

/** What is served at a path, and by which methods. */
export interface HttpRoute {
  readonly handler: HttpHandler;
  readonly methods: readonly string[];
  /** Its requests may take as long as they go on. */
  readonly isLong?: boolean;
}

/** How a route differs from those that are only read. */
export interface HttpRouteOptions {
  /** GET and HEAD where it is left out. */
  readonly methods?: readonly string[];
  /** Requests may take longer than others may (`http.requestTimeout`): the handler sees to it that they go on. */
  readonly isLong?: boolean;
}

const READING = ['GET', 'HEAD'] as const;

/** What modules serve over HTTP: routes of single hosts, and of all of them. */
export class HttpSite {
  /** The domains that are served, with A-labels; the first one stands in where no host is named. */
  #domains: readonly string[];
  readonly #routes = new Map<string, Map<string, HttpRoute>>();

  constructor(domains: Iterable<string>) {
    this.#domains = [...domains].map(asciiDomain);
  }

  /** Other domains, after a reload. */
  serve(domains: Iterable<string>): void {
    this.#domains = [...domains].map(asciiDomain);
  }

  /**
   * Adds a route of one host, or of all; returns what takes it back. It serves its path and what is below it, unless there is a
   * longer route. Throws when there is one for this host and path already.
   */
  add(host: string | undefined, path: string, handler: HttpHandler, options: HttpRouteOptions = {}): () => void {
    const { methods = READING, isLong = false } = options;
    const key = host === undefined ? '' : asciiDomain(host);
    let routes = this.#routes.get(key);
    if (!routes) this.#routes.set(key, (routes = new Map()));
    if (routes.has(path)) throw new Error(`two modules serve ${path} over HTTP`);
    const route = { handler, methods, isLong };
    routes.set(path, route);
    return () => {
      if (this.#routes.get(key)?.get(path) === route) this.#routes.get(key)?.delete(path);
    };
  }

  /**
   * The longest route for a path. `authority` is the Host header: a domain of ours or a name below one means that host; an address,
   * `localhost` or nothing means the first. 'elsewhere' when it names somebody else; undefined when there is nothing at this path.
   */
  find(authority: string | undefined, path: string): HttpRoute | 'elsewhere' | undefined {
    const host = this.#hostOf(authority);
    const route = longest(path, this.#routes.get(''), host === undefined ? undefined : this.#routes.get(host));
    return route ?? (host === undefined ? 'elsewhere' : undefined);
  }

  #hostOf(authority: string | undefined): string | undefined {
    const name = nameOf(authority ?? '');
    if (name === undefined) return undefined;
    for (let rest = name; rest !== ''; rest = rest.includes('.') ? rest.slice(rest.indexOf('.') + 1) : '') {
      if (this.#domains.includes(rest)) return rest;
    }
    const isNobody = name === '' || name === 'localhost' || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
    return isNobody ? this.#domains[0] : undefined;
  }
}

/** The host of a Host header (RFC 9110 section 7.2) without its port; undefined for what is malformed. */
function nameOf(authority: string): string | undefined {
  if (authority === '') return '';
  const match = /^(\[[0-9A-Fa-f:.]{2,45}\]|[^[\]:/@?#\s]{1,255})(?::\d{0,5})?$/.exec(authority);
  const name = match && prepareDomainName(match[1]!);
  return name === null || name === undefined ? undefined : asciiDomain(name);
}

function longest(path: string, ...tables: readonly (ReadonlyMap<string, HttpRoute> | undefined)[]): HttpRoute | undefined {
  let best: HttpRoute | undefined;
  let length = -1;
  for (const table of tables) {
    for (const [prefix, route] of table ?? []) {
      if (prefix.length < length || !isBelow(path, prefix)) continue;
      best = route;
      length = prefix.length;
    }
  }
  return best;
}

function isBelow(path: string, prefix: string): boolean {
  if (!path.startsWith(prefix)) return false;
  return path.length === prefix.length || prefix.endsWith('/') || path.charCodeAt(prefix.length) === 47;
}
