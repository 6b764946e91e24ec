import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError, ConfigErrors, problemsOf } from '../config/errors.ts';
import { checkConfig, type RawConfig, readConfigFile } from '../config/load.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { locate } from '../config/yaml.ts';
import type { AnyModule } from '../module/module.ts';
import { loadModules } from '../module/plugins.ts';

/** Where a server that was installed keeps its config. */
export const SYSTEM_CONFIG = '/etc/parlance/server.yaml';
/** The folder of this package. */
export const PACKAGE_FOLDER = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
/** For trying things out: serves localhost. */
export const DEVELOPMENT_CONFIG = join(PACKAGE_FOLDER, 'config', 'development.yaml');

/** The config file that is meant, as an absolute path: the one named, $PARLANCE_CONFIG, the system's, or that for development. */
export function findConfig(named: string | undefined, env: Readonly<Record<string, string | undefined>>): string {
  const chosen = named ?? env['PARLANCE_CONFIG'];
  if (chosen !== undefined && chosen !== '') return resolve(chosen);
  return existsSync(SYSTEM_CONFIG) ? SYSTEM_CONFIG : DEVELOPMENT_CONFIG;
}

/** A config with the modules it can name. */
export interface Configuration {
  readonly config: ServerConfig;
  readonly modules: ReadonlyMap<string, AnyModule>;
  /** An error of taking it up, with the lines of the file where the config is to blame. */
  place(error: unknown): unknown;
}

/** Reads a config file, loads its plugins and checks all of it. Throws ConfigError or ConfigErrors with everything that is wrong. */
export async function readConfiguration(
  file: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Configuration> {
  const raw = await readConfigFile(file);
  const modules = await loadModules(raw);
  return { config: checkConfig(raw, modules, env), modules, place: (error) => placeProblems(error, raw) };
}

function placeProblems(error: unknown, { file, yaml }: RawConfig): unknown {
  if (!(error instanceof ConfigError) || error.place.file !== undefined) return error;
  const located = problemsOf(error).map((problem) => locate(problem, file, yaml));
  return located.length === 1 ? located[0] : new ConfigErrors(located);
}

/** The data folder that a config names, even where the rest of it is wrong. Throws as `readConfigFile` does. */
export async function readDataFolder(file: string): Promise<string> {
  const raw = await readConfigFile(file);
  const named = raw.root['data'];
  return resolve(dirname(raw.file), typeof named === 'string' ? named : './data');
}
