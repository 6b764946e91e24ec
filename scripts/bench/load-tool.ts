// xmppload: compiled once, then run for each measurement.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.ts';
import { BenchError } from './errors.ts';
import { findCommand } from './machine.ts';
import type { Measurement } from './summary.ts';

/** Compiles it unless that has been done. Returns its path. Throws BenchError when something is missing. */
export function compileTool(source: string, cache: string): string {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12);
  const program = join(cache, `xmppload-${hash}`);
  if (existsSync(program)) return program;
  if (process.platform !== 'linux') throw new BenchError('the load tool needs Linux (epoll and /proc)');
  const compiler = findCommand('gcc');
  if (compiler === undefined) throw new BenchError('gcc is missing: apt install gcc libc6-dev libssl-dev');
  mkdirSync(cache, { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  try {
    execFileSync(compiler, ['-O2', '-o', unfinished, source, '-lssl', '-lcrypto', '-lm'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    const said = String((error as { readonly stderr?: unknown }).stderr ?? error);
    if (/openssl\/|-lssl|-lcrypto/.test(said)) throw new BenchError('the headers of OpenSSL are missing: apt install libssl-dev');
    throw new BenchError(`xmppload.c does not compile:\n${said}`);
  }
  renameSync(unfinished, program);
  return program;
}

/** What a run printed: the figures of its last line that is JSON, or undefined when there is none. */
export function readFigures(output: string): Measurement['figures'] | undefined {
  for (const line of output.split('\n').reverse()) {
    if (!line.startsWith('{')) continue;
    try {
      return Object.fromEntries(Object.entries(JSON.parse(line) as object).filter(isFigure));
    } catch {
      // A remark that only looks like it.
    }
  }
  return undefined;
}

function isFigure(entry: [string, unknown]): entry is [string, number | string] {
  return typeof entry[1] === 'number' || typeof entry[1] === 'string';
}

/** Longer than any scenario takes. */
const PATIENCE = 400_000;

/** Runs it to its end. Throws with what it said when it fails, and when `signal` is aborted. */
export async function runTool(
  program: string,
  args: readonly string[],
  output: string,
  signal: AbortSignal,
): Promise<Measurement['figures']> {
  signal.throwIfAborted();
  const child = await Child.start({ file: program, args }, output);
  const end = () => child.kill('SIGKILL');
  const timer = setTimeout(end, PATIENCE);
  signal.addEventListener('abort', end, { once: true });
  try {
    const code = await child.wait();
    signal.throwIfAborted();
    const figures = readFigures(child.output);
    if (code !== 0 || !figures) throw new Error(`the load tool ended with ${code}: ${child.output.slice(-1000).trim()}`);
    return figures;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}
