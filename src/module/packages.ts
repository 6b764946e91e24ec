import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;
/** What `import` asks a package for, of Node's conditions. */
const CONDITIONS: ReadonlySet<string> = new Set(['node', 'import', 'module-sync', 'default']);

/**
 * The file that `import` of an installed package leads to, looked for from these folders upwards; undefined when there is none.
 * Node itself can only say so for the file that asks, and the one who asks here is a config.
 */
export function findPackage(name: string, folders: readonly string[]): string | undefined {
  for (const folder of folders) {
    const found = NAME.test(name) ? findEntry(name, folder) : requireFrom(name, folder);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findEntry(name: string, folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const home = join(at, 'node_modules', ...name.split('/'));
    if (existsSync(join(home, 'package.json'))) return readEntry(home);
    if (at === dirname(at)) return undefined;
  }
}

function readEntry(home: string): string | undefined {
  const { exports, main } = readAbout(home);
  const entry = exports === undefined ? undefined : choose(dot(exports));
  if (entry !== undefined) return join(home, entry);
  if (exports !== undefined) return undefined;
  return requireFrom(join(home, typeof main === 'string' ? main : 'index.js'), home);
}

function readAbout(home: string): { readonly exports?: unknown; readonly main?: unknown } {
  try {
    return JSON.parse(readFileSync(join(home, 'package.json'), 'utf8')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** `exports` may stand for '.' itself. */
function dot(exports: unknown): unknown {
  if (typeof exports !== 'object' || exports === null || Array.isArray(exports)) return exports;
  return '.' in exports ? exports['.'] : exports;
}

function choose(target: unknown): string | undefined {
  if (typeof target === 'string') return target.startsWith('./') ? target : undefined;
  if (Array.isArray(target)) return target.map(choose).find((each) => each !== undefined);
  if (typeof target !== 'object' || target === null) return undefined;
  for (const [condition, each] of Object.entries(target)) {
    const chosen = CONDITIONS.has(condition) ? choose(each) : undefined;
    if (chosen !== undefined) return chosen;
  }
  return undefined;
}

/** A file within a package, or one without its ending. */
function requireFrom(name: string, folder: string): string | undefined {
  try {
    return createRequire(join(folder, 'config')).resolve(name);
  } catch {
    return undefined;
  }
}
