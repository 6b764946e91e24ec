import { ConfigError, problemsOf } from '../config/errors.ts';
import { createLog, type ProcessLog } from '../log.ts';
import { Server } from '../server.ts';
import { describeStart, formatStart } from './banner.ts';
import { findConfig, readConfiguration } from './config-file.ts';
import { type Control, type ControlPlace, openControl, placeControl } from './control.ts';
import { readVersion } from './program.ts';
import { answerRequests } from './requests.ts';
import { claim, release } from './run-file.ts';
import { EXIT, type ExitCode, type Terminal } from './terminal.ts';

/** `parlance start`: runs until it is told to stop, and then ends in good order. Throws what kept it from starting. */
export async function start(terminal: Terminal, options: { readonly config?: string }): Promise<ExitCode> {
  const file = findConfig(options.config, terminal.env);
  const { config, modules, place } = await readConfiguration(file, terminal.env);
  const log = createLog(config.log);
  const version = readVersion();
  log.info('starting', { version, config: file, node: process.versions.node, pid: process.pid });
  const control = await placeControl(config.data);
  await claim(config.data, { version, config: file, started: new Date().toISOString(), control: control.path });
  try {
    const server = new Server(config, { modules, log });
    return await serve(server, { file, control, log, terminal, version });
  } catch (error) {
    throw place(error);
  } finally {
    await release(config.data);
    log.flush();
  }
}

/** npm passes a Ctrl+C on to a process that the terminal has told already: within this time it is the same one. */
const SAME_SIGNAL = 500;

interface Run {
  readonly file: string;
  readonly control: ControlPlace;
  readonly log: ProcessLog;
  readonly terminal: Terminal;
  readonly version: string;
}

async function serve(server: Server, run: Run): Promise<ExitCode> {
  const { log } = run;
  const reload = () => reloadServer(server, run);
  const signals = new Signals(
    log,
    () => void reload().catch((error: unknown) => log.error('the config was not taken up', describe(error))),
  );
  let control: Control | undefined;
  try {
    await server.start();
    control = await openControl(run.control, answerRequests(server, reload), listProblems);
    tell(server, run);
    await signals.stop;
    log.info('stopping', { clients: server.c2s.streams.size });
    return EXIT.ok;
  } finally {
    await control?.close();
    await server.stop();
    log.info('stopped');
    signals.close();
  }
}

/** Reads the config file again. Returns what is only in force after a restart. */
async function reloadServer(server: Server, { file, log, terminal }: Run): Promise<readonly string[]> {
  const { config, modules, place } = await readConfiguration(file, terminal.env);
  const notes = await server.reload(config, modules).catch((error: unknown) => {
    throw place(error);
  });
  log.configure(config.log);
  for (const note of notes) log.warn(note);
  log.info('the config was taken up', { config: file });
  return notes;
}

function tell(server: Server, { log, terminal, version }: Run): void {
  const { config, listeners } = server;
  if (terminal.stdout.isTTY && config.log.format !== 'json') {
    log.flush();
    terminal.stdout.write(formatStart(version, config, listeners));
  } else log.info('running', Object.fromEntries(groupLines(describeStart(config, listeners))));
}

function groupLines(lines: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const grouped = new Map<string, string>();
  let name = '';
  for (const [head, value] of lines) {
    if (head !== '') name = head.toLowerCase().replaceAll(' ', '_');
    grouped.set(name, grouped.has(name) ? `${grouped.get(name)}, ${value}` : value);
  }
  return grouped;
}

/** The problems of a config, or the error itself with its stack. */
function describe(error: unknown): Readonly<Record<string, unknown>> {
  return error instanceof ConfigError ? { problems: listProblems(error) } : { error };
}

/** What is shown to whoever asked over the control socket, who may see the config: lines without a stack. */
function listProblems(error: unknown): readonly string[] {
  try {
    return problemsOf(error).map(({ message }) => message);
  } catch {
    return [error instanceof Error ? error.message : String(error)];
  }
}

/** The signals of the process while the server runs. */
class Signals {
  /** Resolves at the first SIGTERM or SIGINT. A later one ends the process at once. */
  readonly stop: Promise<void>;
  readonly #listeners: (readonly [string, (...args: unknown[]) => void])[] = [];

  constructor(log: ProcessLog, reload: () => void) {
    let resolveStop = () => {};
    this.stop = new Promise((resolve) => (resolveStop = resolve));
    let stoppingSince: number | undefined;
    const stop = (signal: unknown) => {
      if (stoppingSince === undefined) {
        stoppingSince = performance.now();
        return resolveStop();
      }
      if (performance.now() - stoppingSince < SAME_SIGNAL) return;
      log.warn('cut short', { signal });
      log.flush();
      process.exit(EXIT.problem);
    };
    this.#on('SIGTERM', stop);
    this.#on('SIGINT', stop);
    this.#on('SIGHUP', reload);
    // One promise that nobody watched is no reason to send everybody away; an exception out of nowhere leaves an unknown state.
    this.#on('unhandledRejection', (error) => log.error('a promise failed and nobody was told', { error }));
    this.#on('uncaughtException', (error) => {
      log.error('a fault ended the process', { error });
      log.flush();
      process.exit(EXIT.fault);
    });
  }

  close(): void {
    for (const [name, listener] of this.#listeners) process.off(name, listener);
  }

  #on(name: string, listener: (...args: unknown[]) => void): void {
    process.on(name, listener);
    this.#listeners.push([name, listener]);
  }
}
