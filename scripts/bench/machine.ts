// The machine: what it is, what is installed on it, and whether it is quiet.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NOISE_LIMIT } from './summary.ts';

/** One line: processor, memory, system. */
export function describeMachine(): string {
  const [first] = cpus();
  return `${cpus().length} x ${first?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${readSystem()}, kernel ${release()}`;
}

function readSystem(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

/** The path of a command, or undefined when it is not installed. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/bin', '/usr/sbin', '/usr/local/bin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What a command prints, or undefined when it fails. */
export function ask(command: string, ...args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

/** The version of a Debian package. */
export function packageVersion(name: string): string {
  return ask('dpkg-query', '-W', name)?.split('\t')[1] ?? 'of unknown version';
}

/** Whether a Debian package is there. */
export function isInstalled(name: string): boolean {
  return /^Status: .* installed$/m.test(ask('dpkg-query', '-s', name) ?? '');
}

/** Waits until other work leaves all but `NOISE_LIMIT` percent of a core alone, but no longer than `limit` milliseconds. */
export async function waitUntilQuiet(limit: number, signal: AbortSignal): Promise<void> {
  const SAMPLE = 500;
  for (const end = performance.now() + limit; performance.now() < end; ) {
    const [before, since] = [readBusy(), performance.now()];
    await sleep(SAMPLE, undefined, { signal });
    if (((readBusy() - before) * 1000) / (performance.now() - since) < NOISE_LIMIT / 100) return;
  }
}

/** Seconds that all cores together have worked since the machine was started. */
function readBusy(): number {
  // user nice system idle iowait irq softirq steal, in ticks of 10 ms (proc(5))
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n', 1);
  const ticks = line.split(/\s+/).slice(1, 9).map(Number);
  return ticks.reduce((sum, value, index) => (index === 3 || index === 4 ? sum : sum + value), 0) / 100;
}
