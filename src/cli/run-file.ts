// The file by which commands find the server that runs on a data folder, and which keeps a second one off it.
import { readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { CliError } from './terminal.ts';

const schema = z.object({
  pid: z.int().positive(),
  /** Tells this process from a later one with the same number; absent where the system does not say. */
  birth: z.string().optional(),
  version: z.string(),
  config: z.string(),
  /** When it was started, ISO 8601. */
  started: z.string(),
  /** The socket on which it takes commands. */
  control: z.string(),
});

/** What a running server says of itself. */
export type Running = z.infer<typeof schema>;

/** Where it says it. */
export function runFile(data: string): string {
  return join(data, 'parlance.pid');
}

/** The server that runs on this data folder; undefined when none does. Throws CliError when the file may not be read. */
export async function findRunning(data: string): Promise<Running | undefined> {
  let text: string;
  try {
    text = await readFile(runFile(data), 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw new CliError(`${runFile(data)} cannot be read (${codeOf(error)}): run this as the user of the server`);
  }
  const parsed = schema.safeParse(parseJson(text));
  return parsed.success && isAlive(parsed.data) ? parsed.data : undefined;
}

/** Claims a data folder for this process; the folder is made when missing. Throws CliError when another server runs on it. */
export async function claim(data: string, about: Omit<Running, 'pid' | 'birth'>): Promise<void> {
  await mkdir(data, { recursive: true, mode: 0o700 });
  const birth = readBirth(process.pid);
  const text = `${JSON.stringify({ pid: process.pid, ...(birth !== undefined && { birth }), ...about })}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    if (await tryWrite(runFile(data), text)) return;
    const other = await findRunning(data);
    if (other) throw new CliError(`a server (process ${other.pid}) runs on ${data} already`);
    // Left behind by one that was killed.
    await rm(runFile(data), { force: true });
  }
  throw new CliError(`${runFile(data)} cannot be claimed: other servers are starting on it`);
}

/** Gives the folder back. */
export async function release(data: string): Promise<void> {
  await rm(runFile(data), { force: true });
}

async function tryWrite(file: string, text: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(text);
    await handle.close();
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new CliError(`${file} cannot be written (${codeOf(error)}): the folder has to belong to the user of the server`);
  }
}

function isAlive({ pid, birth }: Running): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // It is there, but another user's.
    if (codeOf(error) !== 'EPERM') return false;
  }
  const now = readBirth(pid);
  return birth === undefined || now === undefined || birth === now;
}

/** When a process was started, in the kernel's own counting (proc(5): field 22 of stat); its name may hold spaces and brackets. */
function readBirth(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
