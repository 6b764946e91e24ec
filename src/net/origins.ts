import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether a page may use an endpoint: it is one that the config lists (`*` is all), it is served under the very host it asks
 * (RFC 6454 section 4, but for the scheme, which a proxy may have changed), or it is no page, and names no origin.
 */
export function isAllowedOrigin({ origin, host }: IncomingHttpHeaders, origins: readonly string[]): boolean {
  if (origin === undefined || origins.includes('*') || origins.includes(origin)) return true;
  return host !== undefined && (origin === `https://${host}` || origin === `http://${host}`);
}
