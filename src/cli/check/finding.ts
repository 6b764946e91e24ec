import type { ServerConfig } from '../../config/server-config.ts';
import type { AnyModule } from '../../module/module.ts';
import type { Running } from '../run-file.ts';
import type { Status } from '../running.ts';

/** How good or bad: `warn` works, but not as it should; `fail` does not work. */
export type Level = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Finding {
  readonly area: string;
  /** What it is about: a host, a file, an address. */
  readonly subject: string;
  readonly level: Level;
  readonly text: string;
  /** How to mend it; for whatever is not ok. */
  readonly fix?: string;
}

/** Collects what one area finds. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #area: string;

  constructor(area: string) {
    this.#area = area;
  }

  ok(subject: string, text: string): void {
    this.all.push({ area: this.#area, subject, level: 'ok', text });
  }

  warn(subject: string, text: string, fix: string): void {
    this.all.push({ area: this.#area, subject, level: 'warn', text, fix });
  }

  fail(subject: string, text: string, fix: string): void {
    this.all.push({ area: this.#area, subject, level: 'fail', text, fix });
  }
}

/** The part of a DNS resolver that is asked; rejects with an error whose `code` says why (node:dns). */
export interface Names {
  resolveSrv(name: string): Promise<readonly { readonly name: string; readonly port: number }[]>;
  resolve4(name: string): Promise<readonly string[]>;
  resolve6(name: string): Promise<readonly string[]>;
  resolveCname(name: string): Promise<readonly string[]>;
  resolveTxt(name: string): Promise<readonly (readonly string[])[]>;
}

/** What all checks are given. */
export interface CheckContext {
  readonly config: ServerConfig;
  readonly modules: ReadonlyMap<string, AnyModule>;
  /** The server that runs on the same data, if any, and where it listens. */
  readonly running: (Running & Pick<Status, 'listeners'>) | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Undefined: nothing is asked of the network. */
  readonly network: { readonly names: Names; readonly fetch: typeof fetch } | undefined;
}

/** The code of a system's error ('ENOENT'), or its text. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error.cause === undefined ? error.message : codeOf(error.cause);
}

/** Whether a domain can only be meant for this machine or for trying things out (RFC 6761, RFC 6762): nothing is published for it. */
export function isLocalName(domain: string): boolean {
  return (
    !domain.includes('.') ||
    /(^|\.)(localhost|local|test|invalid|internal|lan|home\.arpa)$/.test(domain) ||
    /^[\d.]+$|^\[/.test(domain)
  );
}
