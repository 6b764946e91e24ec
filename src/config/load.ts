import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';
import { Jid } from '../jid.ts';
import { isMapping } from './composites.ts';
import { ConfigError, gather, hint, type Key, throwAll } from './errors.ts';
import { checkTogether } from './rules.ts';
import { ConfigMap, freeze, type Schema } from './schema.ts';
import { type HostConfig, type ServerConfig, type ServerOptions, type StorageConfig, serverOptions } from './server-config.ts';
import { readingFrom, type Source } from './source.ts';
import { isNamed, locate, readYaml, type YamlFile } from './yaml.ts';

/** What the config needs to know of a module. */
export interface Configurable {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: modules have sections of every type
  readonly config: Schema<any>;
}

/** A config file that has been read, and of which only `plugins` is understood. */
export interface RawConfig {
  /** Absolute. */
  readonly file: string;
  readonly root: Readonly<Record<string, unknown>>;
  readonly yaml: YamlFile;
  /** Files (absolute) and packages to import by module name, before the config can be checked. */
  readonly plugins: ReadonlyMap<string, string>;
}

/**
 * Reads a config file. Throws ConfigError or ConfigErrors when it cannot be read, is not YAML (with the lines), or names plugins
 * in a wrong way.
 */
export async function readConfigFile(file: string): Promise<RawConfig> {
  const path = resolve(file);
  const text = decode(await read(path), path);
  const yaml = readYaml(text, path);
  const root = yaml.root ?? {};
  if (!isMapping(root)) throw new ConfigError('', 'expected a mapping of options (name: value)', { file: path, line: 1 });
  const plugins = new ConfigMap<string>();
  // Wrong ones are left to the check, which names everything that is wrong at once.
  for (const [name, from] of Object.entries(mapping(root['plugins']))) {
    if (typeof from === 'string')
      plugins.set(name, /^\.{1,2}[/\\]/.test(from) || isAbsolute(from) ? resolve(dirname(path), from) : from);
  }
  return { file: path, root, yaml, plugins };
}

/**
 * Checks a config that was read, with the modules there are (built in and plugged in), and resolves it. Throws ConfigErrors with
 * everything that is wrong, each with its line. Reads the files and variables that secrets name, and changes nothing.
 */
export function checkConfig(
  raw: RawConfig,
  modules: ReadonlyMap<string, Configurable>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ServerConfig {
  const source: Source = { folder: dirname(raw.file), env };
  return readingFrom(source, () => {
    const problems: ConfigError[] = [];
    const options = gather(problems, () => serverOptions.parse(raw.root, ''));
    const hosts = checkHosts(raw.root, options, modules, problems);
    if (options) problems.push(...checkTogether(options));
    throwAll(inOrder(distinct(problems).map((problem) => locate(problem, raw.file, raw.yaml))));
    const { modules: _, admins: __, authentication: ___, sessions: ____, ...rest } = options!;
    return freeze({ ...rest, file: raw.file, storage: place(rest.storage, rest.data), plugins: raw.plugins, hosts });
  });
}

/** Reads and checks in one go, for configs without plugins. Throws as `readConfigFile` and `checkConfig` do. */
export async function loadConfig(
  file: string,
  modules: ReadonlyMap<string, Configurable>,
  env?: Readonly<Record<string, string | undefined>>,
): Promise<ServerConfig> {
  return checkConfig(await readConfigFile(file), modules, env);
}

/** Goes on where the rest of the file is wrong, as far as it can: all problems are to be named at once. */
function checkHosts(
  root: Readonly<Record<string, unknown>>,
  options: ServerOptions | undefined,
  modules: ReadonlyMap<string, Configurable>,
  problems: ConfigError[],
): ReadonlyMap<string, HostConfig> {
  const hosts = new ConfigMap<HostConfig>();
  const common = mapping(root['modules']);
  refuseUnknown(common, ['modules'], modules, problems);
  for (const [written, section] of Object.entries(mapping(root['hosts']))) {
    const own = mapping(mapping(section)['modules']);
    refuseUnknown(own, ['hosts', written, 'modules'], modules, problems);
    const parsed = checkModules({ root, written, common, own }, modules, problems);
    const domain = prepare(written);
    const host = domain === undefined ? undefined : options?.hosts.get(domain);
    if (!options || !domain || !host) continue;
    hosts.set(domain, {
      domain,
      certificate: host.certificate,
      admins: [...new Set([...options.admins, ...host.admins])],
      authentication: { ...options.authentication, ...withoutUndefined(host.authentication) },
      sessions: { ...options.sessions, ...withoutUndefined(host.sessions) },
      modules: parsed,
    });
  }
  return hosts;
}

function prepare(written: string): string | undefined {
  try {
    return Jid.prepareDomain(written);
  } catch {
    return undefined;
  }
}

/** The database's file is named from the data folder on. */
function place(storage: StorageConfig, data: string): StorageConfig {
  return storage.type === 'sqlite' ? { ...storage, file: resolve(data, storage.file) } : storage;
}

interface HostSections {
  readonly root: unknown;
  readonly written: string;
  readonly common: Readonly<Record<string, unknown>>;
  readonly own: Readonly<Record<string, unknown>>;
}

function checkModules(
  host: HostSections,
  modules: ReadonlyMap<string, Configurable>,
  problems: ConfigError[],
): ConfigMap<unknown> {
  const parsed = new ConfigMap<unknown>();
  for (const name of new Set([...Object.keys(host.common), ...Object.keys(host.own)])) {
    const module = modules.get(name);
    const own = Object.hasOwn(host.own, name) ? host.own[name] : undefined;
    const common = Object.hasOwn(host.common, name) ? host.common[name] : undefined;
    const section = own === false ? false : own === undefined ? common : merge(common === false ? {} : common, own);
    if (!module || section === false) continue;
    const here: ConfigError[] = [];
    const config = gather(here, () => module.config.parse(section === true ? {} : section, ''));
    parsed.set(name, config);
    problems.push(...here.map(({ keys, problem }) => new ConfigError(placeOf(host, [name, ...keys]), problem)));
  }
  return parsed;
}

/** Where a module's option was written: with the host, or with what all hosts have. */
function placeOf({ root, written }: HostSections, keys: readonly Key[]): readonly Key[] {
  const own = ['hosts', written, 'modules', ...keys];
  const common = ['modules', ...keys];
  if (isNamed(root, own)) return own;
  if (isNamed(root, common)) return common;
  return isNamed(root, own.slice(0, 4)) ? own : common;
}

function refuseUnknown(
  sections: Readonly<Record<string, unknown>>,
  path: readonly Key[],
  modules: ReadonlyMap<string, Configurable>,
  problems: ConfigError[],
): void {
  for (const name of Object.keys(sections)) {
    if (!modules.has(name)) problems.push(new ConfigError([...path, name], `no such module${hint(name, [...modules.keys()])}`));
  }
}

/** What `own` says, and what it leaves out from `common`. Mappings are merged; anything else replaces. */
function merge(common: unknown, own: unknown): unknown {
  if (own === true || own === null) return common ?? {};
  if (!isMapping(own) || !isMapping(common)) return own;
  const merged = new Map(Object.entries(common));
  for (const [name, value] of Object.entries(own)) merged.set(name, isMapping(value) ? merge(merged.get(name), value) : value);
  return Object.fromEntries(merged);
}

function mapping(value: unknown): Readonly<Record<string, unknown>> {
  return isMapping(value) ? value : {};
}

function withoutUndefined<T extends object>(partial: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** One problem of a module's common section shows up once for each host. */
function distinct(problems: readonly ConfigError[]): readonly ConfigError[] {
  return [...new Map(problems.map((problem) => [problem.message, problem])).values()];
}

/** As they stand in the file. */
function inOrder(problems: readonly ConfigError[]): readonly ConfigError[] {
  return [...problems].sort((a, b) => (a.place.line ?? 0) - (b.place.line ?? 0));
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') throw new ConfigError('', 'there is no such config file', { file: path });
    if (code === 'EISDIR') throw new ConfigError('', 'this is a folder; the config is a file in it', { file: path });
    throw new ConfigError('', `the config file cannot be read (${String(code ?? 'error')})`, { file: path });
  }
}

function decode(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError('', 'not UTF-8', { file });
  }
}
