// Commands for the server that runs.

import { findConfig, readDataFolder } from './config-file.ts';
import { askServer } from './control.ts';
import { findRunning, type Running } from './run-file.ts';
import { CliError, EXIT, type ExitCode, print, printJson, type Terminal } from './terminal.ts';

interface Options {
  readonly config?: string;
  readonly json?: boolean;
}

/** What a running server says of itself. */
export interface Status {
  readonly healthy: boolean;
  /** What is wrong when it is not healthy. */
  readonly problems: readonly string[];
  readonly listeners: readonly { readonly type: string; readonly address: string; readonly port: number }[];
  readonly hosts: readonly { readonly domain: string; readonly sessions: number; readonly modules: readonly string[] }[];
  readonly connections: number;
  /** Bytes. */
  readonly memory: number;
}

/** `parlance status`: healthy or not; whether there is a server at all says the exit code. */
export async function status(terminal: Terminal, options: Options): Promise<ExitCode> {
  const { running, data } = await find(terminal, options);
  if (!running) {
    if (options.json) printJson(terminal, { running: false });
    else print(terminal, `no server runs on ${data}`);
    return EXIT.problem;
  }
  const found = (await askServer(running.control, { do: 'status' })) as Status;
  const { control: _, birth: __, ...about } = running;
  if (options.json) printJson(terminal, { running: true, ...about, ...found });
  else print(terminal, describe(running, found));
  return found.healthy ? EXIT.ok : EXIT.problem;
}

/** `parlance reload`: throws CliError with what is wrong in the config, or with what could not be done. */
export async function reload(terminal: Terminal, options: Options): Promise<void> {
  const running = await findOrRefuse(terminal, options);
  const { notes } = (await askServer(running.control, { do: 'reload' })) as { readonly notes: readonly string[] };
  if (options.json) printJson(terminal, { reloaded: running.config, notes });
  else print(terminal, [`${running.config} is in force`, ...notes].join('\n'));
}

/** `parlance reload --module <name>`: throws CliError where it does not run, or with what keeps it from starting. */
export async function restartModule(terminal: Terminal, module: string, options: Options): Promise<void> {
  const running = await findOrRefuse(terminal, options);
  const { hosts } = (await askServer(running.control, { do: 'restart', module })) as { readonly hosts: readonly string[] };
  if (hosts.length === 0) throw new CliError(`no host has a module named ${module}; parlance status --json shows those that run`);
  if (options.json) printJson(terminal, { restarted: module, hosts });
  else print(terminal, `${module} was started anew for ${hosts.join(', ')}`);
}

async function findOrRefuse(terminal: Terminal, options: Options): Promise<Running> {
  const { running, data } = await find(terminal, options);
  if (!running) throw new CliError(`no server runs on ${data}`);
  return running;
}

async function find(terminal: Terminal, { config }: Options): Promise<{ running: Running | undefined; data: string }> {
  const data = await readDataFolder(findConfig(config, terminal.env));
  return { running: await findRunning(data), data };
}

function describe(running: Running, { healthy, problems, listeners, hosts, connections, memory }: Status): string {
  return [
    `${healthy ? 'healthy' : 'NOT HEALTHY'}: Parlance ${running.version}, process ${running.pid}, since ${running.started}`,
    ...problems.map((problem) => `  ${problem}`),
    `config ${running.config}`,
    `${connections} connections, ${Math.round(memory / (1 << 20))} MiB`,
    ...hosts.map(({ domain, sessions, modules }) => `host ${domain}: ${sessions} sessions, ${modules.length} modules`),
    ...listeners.map(({ type, address, port }) => `listens ${type} ${address.includes(':') ? `[${address}]` : address}:${port}`),
  ].join('\n');
}
