// How a command speaks to whoever ran it: what it prints, how it ends, and how it asks for a password.
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { problemsOf } from '../config/errors.ts';
import { StorageError } from '../storage/storage.ts';

/** How a command ends; the same numbers in every command. */
export const EXIT = {
  ok: 0,
  /** It found, or ran into, a problem that its output names. */
  problem: 1,
  /** It was called in a wrong way. */
  usage: 2,
  /** A fault of the program itself (sysexits' EX_SOFTWARE). */
  fault: 70,
} as const;
/** One of EXIT's numbers. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Ends a command with a message for people and one of EXIT's numbers; no stack is shown. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = EXIT.problem) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The streams and variables of a command; a test gives its own. */
export interface Terminal {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly stderr: { write(text: string): unknown };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The process's own. */
export const processTerminal: Terminal = process;

/** Prints what was asked for: text for people, or JSON for programs. */
export function print(terminal: Terminal, text: string): void {
  terminal.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Prints data as JSON. */
export function printJson(terminal: Terminal, data: unknown): void {
  print(terminal, JSON.stringify(data, null, 2));
}

/**
 * Says what went wrong, and returns the exit code for it. What is wrong in a config is one line each (`file:line: option: problem`);
 * only a fault of ours shows its stack.
 */
export function reportFailure(terminal: Terminal, error: unknown): ExitCode {
  if (error instanceof CliError) {
    terminal.stderr.write(`parlance: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof StorageError || isRefusal(error)) {
    terminal.stderr.write(`parlance: ${error.message}\n`);
    return EXIT.problem;
  }
  try {
    for (const { message } of problemsOf(error)) terminal.stderr.write(`${message}\n`);
    return EXIT.problem;
  } catch {
    terminal.stderr.write(`parlance: a fault of the program: ${error instanceof Error ? error.stack : String(error)}\n`);
    return EXIT.fault;
  }
}

/** What the system has refused, such as a file that may not be read; its message says which. */
function isRefusal(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}

const MAX_SECRET = 65_536;

/** A secret from the standard input: its first line. Throws CliError when there is none, or far too much. */
export async function readSecret(terminal: Terminal): Promise<string> {
  let text = '';
  for await (const chunk of terminal.stdin) {
    text += String(chunk);
    if (text.length > MAX_SECRET) throw new CliError('the standard input is too long for a password');
  }
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line === '') throw new CliError('the standard input has no password in its first line');
  return line;
}

/** Asks on the terminal; `isSecret`: what is typed is not shown. Throws CliError when the question is broken off. */
export async function ask(terminal: Terminal, question: string, isSecret = false): Promise<string> {
  terminal.stderr.write(question);
  const output = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (!isSecret) terminal.stderr.write(String(chunk));
      done();
    },
  });
  const lines = createInterface({ input: terminal.stdin, output, terminal: terminal.stdin.isTTY === true });
  try {
    const ended = new AbortController();
    lines.once('SIGINT', () => ended.abort());
    lines.once('close', () => ended.abort());
    const [line] = (await once(lines, 'line', { signal: ended.signal })) as [string];
    return line;
  } catch {
    throw new CliError('broken off');
  } finally {
    lines.close();
    if (isSecret) terminal.stderr.write('\n');
  }
}
