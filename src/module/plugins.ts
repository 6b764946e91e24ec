import { existsSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, isAbsolute } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigError, throwAll } from '../config/errors.ts';
import type { RawConfig } from '../config/load.ts';
import { locate } from '../config/yaml.ts';
import { builtin } from './builtin.ts';
import type { AnyModule } from './module.ts';
import { findPackage } from './packages.ts';
import { initialize, resolve } from './plugin-hooks.ts';

const CORE = new URL('../index.js', import.meta.url);
const HERE = dirname(fileURLToPath(import.meta.url));
const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;
const MAX_NAME = 32;
/** The prefixes of the core's own tables. */
const RESERVED: ReadonlySet<string> = new Set(['core', 'parlance', 'knex']);

let isPrepared = false;

/**
 * The modules a config can name: those that come with the server, and its plugins, which are imported here (XEPs, options and
 * stores as they declare them). New code of a plugin that was imported before means a new process. Throws ConfigError or
 * ConfigErrors with the line of each plugin that cannot be loaded or is no module.
 */
export async function loadModules(raw: Pick<RawConfig, 'file' | 'plugins' | 'yaml'>): Promise<ReadonlyMap<string, AnyModule>> {
  const modules = new Map(builtin);
  const problems: ConfigError[] = [];
  if (raw.plugins.size > 0) leadToCore();
  for (const [name, from] of raw.plugins) {
    try {
      modules.set(name, await loadPlugin(name, from, dirname(raw.file)));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(locate(error, raw.file, raw.yaml));
    }
  }
  throwAll(problems);
  return modules;
}

async function loadPlugin(name: string, from: string, folder: string): Promise<AnyModule> {
  const refuse = (problem: string) => new ConfigError(['plugins', name], problem);
  if (builtin.has(name) || RESERVED.has(name))
    throw refuse('a module of this name comes with the server; give the plugin another name');
  const file = isAbsolute(from) ? from : findPackage(from, [folder, HERE]);
  if (file === undefined)
    throw refuse(`no package ${from} is installed for ${folder} or for the server; a file begins with ./ or /`);
  if (!existsSync(file)) throw refuse(`there is no file ${file}`);
  const exported = unwrap(await importFile(file, refuse));
  const problem = findProblem(exported, name);
  if (problem !== undefined) throw refuse(`${file} ${problem}`);
  return exported as AnyModule;
}

async function importFile(file: string, refuse: (problem: string) => ConfigError): Promise<unknown> {
  try {
    return await import(pathToFileURL(file).href);
  } catch (error) {
    const [first] = (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).split('\n');
    throw refuse(`${file} cannot be loaded: ${first}`);
  }
}

/** The default export; of a CommonJS file compiled from an ES module, the default export within. */
function unwrap(namespace: unknown): unknown {
  const inner = read(namespace, 'default');
  return read(inner, '__esModule') === true ? read(inner, 'default') : inner;
}

/** What keeps this from being a module of this name; undefined when nothing does. */
function findProblem(exported: unknown, name: string): string | undefined {
  if (typeof exported !== 'object' || exported === null)
    return 'has no module as its default export (export default defineModule({ ... }))';
  const found = read(exported, 'name');
  if (typeof found !== 'string' || !NAME.test(found) || found.length > MAX_NAME) {
    return `exports a module without a proper name (small letters, digits and -, at most ${MAX_NAME})`;
  }
  if (found !== name) return `exports the module ${found}; name it so under plugins`;
  for (const [key, isFine, expected] of SHAPE) {
    if (!isFine(read(exported, key))) return `exports a module whose ${key} is not ${expected}`;
  }
  return undefined;
}

type Check = (value: unknown) => boolean;

const optional =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const isText: Check = (value) => typeof value === 'string' && value !== '';
const isFunction: Check = (value) => typeof value === 'function';
const isSchema: Check = (value) => ['parse', 'describe', 'jsonSchema'].every((method) => isFunction(read(value, method)));
const isRef: Check = (value) => isText(read(value, 'name'));
const isXep: Check = (value) => Number.isSafeInteger(read(value, 'xep')) && isText(read(value, 'version'));
const isMigration: Check = (value) => isText(read(value, 'id')) && isFunction(read(value, 'up'));
const isStores: Check = (value) =>
  typeof value === 'object' &&
  value !== null &&
  Object.entries(value).every(
    ([name, spec]) => /^[a-z][a-zA-Z0-9]{0,31}$/.test(name) && ['map', 'archive', 'item'].includes(String(read(spec, 'kind'))),
  );

const SHAPE: readonly (readonly [string, Check, string])[] = [
  ['doc', isText, 'a text'],
  ['config', isSchema, 'made by option.object'],
  ['setup', isFunction, 'a function'],
  ['xeps', optional(listOf(isXep)), 'a list of { xep, version }'],
  ['needs', optional(listOf(isRef)), 'a list of modules'],
  ['wants', optional(listOf(isRef)), 'a list of modules'],
  ['features', optional(listOf(isText)), 'a list of texts'],
  ['stores', optional(isStores), 'an object of mapStore(), archiveStore() and itemStore()'],
  ['migrations', optional(listOf(isMigration)), 'a list of { id, up }'],
];

function read(holder: unknown, key: string): unknown {
  return typeof holder === 'object' && holder !== null ? Reflect.get(holder, key) : undefined;
}

interface SyncHooks {
  registerHooks(hooks: { resolve: typeof resolve }): unknown;
}

/** From here on `parlance` leads to this server, in this thread where Node can do that, else in the thread it has for it. */
function leadToCore(): void {
  if (isPrepared) return;
  isPrepared = true;
  const data = { core: CORE.href };
  if (isFunction(Reflect.get(nodeModule, 'registerHooks'))) {
    initialize(data);
    (nodeModule as unknown as SyncHooks).registerHooks({ resolve });
  } else nodeModule.register('./plugin-hooks.js', import.meta.url, { data });
}
