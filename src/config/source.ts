import { resolve } from 'node:path';

/** What a config is read against: relative paths and `{ env: NAME }` mean these. */
export interface Source {
  /** The folder of the config file. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

let current: Source | undefined;

/** The source of the check under way; the process's own folder and environment outside of `readingFrom`. */
export function currentSource(): Source {
  return current ?? { folder: process.cwd(), env: process.env };
}

/** Runs a check against a source. Checks are synchronous, so no two of them can meet here. */
export function readingFrom<T>(source: Source, check: () => T): T {
  const before = current;
  current = source;
  try {
    return check();
  } finally {
    current = before;
  }
}

/** The absolute form of a path written in the config. */
export function resolveFile(path: string, source: Source = currentSource()): string {
  return resolve(source.folder, path);
}
