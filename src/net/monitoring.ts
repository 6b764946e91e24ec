import { createHash, timingSafeEqual } from 'node:crypto';
import { HttpError, type HttpHandler } from './http.ts';

/** Time a check of health may take before it counts as failed. */
const HEALTH_TIMEOUT = 5000;

/** How the server is. What else it says is shown to whoever asks, so it holds no internals. */
export interface HealthReport {
  readonly ok: boolean;
  readonly [detail: string]: unknown;
}

/**
 * Answers 200 while `check` says ok and 503 otherwise, also when it fails or takes too long; with the report as JSON. Anybody may
 * ask, and a check costs work elsewhere: those who ask while one is under way share its answer.
 */
export function serveHealth(check: () => HealthReport | Promise<HealthReport>): HttpHandler {
  let running: Promise<HealthReport> | undefined;
  const begin = async () => {
    try {
      return await inTime(check);
    } catch {
      return { ok: false };
    } finally {
      running = undefined;
    }
  };
  return async (_request, response) => {
    const report = await (running ??= begin());
    const body = `${JSON.stringify(report)}\n`;
    response.writeHead(report.ok ? 200 : 503, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(body);
  };
}

async function inTime(check: () => HealthReport | Promise<HealthReport>): Promise<HealthReport> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<HealthReport>((resolve) => {
    timer = setTimeout(resolve, HEALTH_TIMEOUT, { ok: false });
  });
  try {
    return await Promise.race([check(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where figures come from. */
export interface MetricsSource {
  readonly contentType: string;
  render(): Promise<string>;
}

/** Answers with the figures whoever sends one of the tokens (RFC 6750 section 2.1); everybody, when there are none. */
export function serveMetrics(source: MetricsSource, tokens: readonly string[]): HttpHandler {
  const digests = tokens.map(digest);
  return async (request, response) => {
    if (digests.length > 0 && !knows(digests, request.headers.authorization)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      throw new HttpError(401, 'Unauthorized');
    }
    const text = await source.render();
    response.writeHead(200, { 'Content-Type': source.contentType, 'Cache-Control': 'no-store' }).end(text);
  };
}

/** All tokens are compared, each in the same time, however much of it fits. */
function knows(digests: readonly Buffer[], authorization: string | undefined): boolean {
  const token = /^Bearer +([\w.~+/=-]{1,4096})$/i.exec(authorization ?? '')?.[1];
  const given = digest(token ?? '');
  let isKnown = false;
  for (const each of digests) isKnown = timingSafeEqual(each, given) || isKnown;
  return token !== undefined && isKnown;
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
