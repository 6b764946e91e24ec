// Processes that this one starts, in groups of their own, and that do not outlive it.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCommand } from './machine.ts';

const running = new Set<Child>();
// The orderly way is stop(); this is for whatever ends the process without it.
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** What to run. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly folder?: string;
}

const setpriv = findCommand('setpriv');
/** Lets the kernel end them when this process is killed. */
const GUARD = setpriv === undefined ? [] : [setpriv, '--pdeathsig', 'KILL', '--'];
/** Time to stop in good order. */
const PATIENCE = 10_000;

/** A process that writes to a file. */
export class Child {
  readonly pid: number;
  readonly #process: ChildProcess;
  readonly #output: string;
  readonly #gone: Promise<unknown>;

  private constructor(process: ChildProcess, pid: number, output: string) {
    this.#process = process;
    this.pid = pid;
    this.#output = output;
    this.#gone = once(process, 'exit');
    running.add(this);
    void this.#gone.finally(() => running.delete(this));
  }

  /** Starts it. Throws when that cannot be done. */
  static async start(command: Command, output: string): Promise<Child> {
    const file = openSync(output, 'w');
    try {
      const options: SpawnOptions = {
        detached: true,
        stdio: ['ignore', file, file],
        env: { ...process.env, ...command.env },
        ...(command.folder !== undefined && { cwd: command.folder }),
      };
      const [program, ...args] = [...GUARD, command.file, ...command.args] as [string, ...string[]];
      const started = spawn(program, args, options);
      await once(started, 'spawn');
      return new Child(started, started.pid!, output);
    } finally {
      closeSync(file);
    }
  }

  /** What it has written so far. */
  get output(): string {
    return readFileSync(this.#output, 'utf8');
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Sends it and everything it has started a signal. */
  kill(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // They are gone already.
    }
  }

  /** Resolves once all these ports take connections. Throws with the end of its output when it ends before. */
  async waitForPorts(ports: readonly number[], signal: AbortSignal): Promise<void> {
    const end = performance.now() + 60_000;
    for (const port of ports) {
      while (!(await isOpen(port))) {
        if (this.hasEnded || performance.now() > end) throw new Error(`it did not start:\n${this.output.slice(-2000)}`);
        await sleep(100, undefined, { signal });
      }
    }
  }

  /** Resolves once its output matches. Throws when it ends, or `limit` milliseconds pass, before. */
  async waitForOutput(pattern: RegExp, limit: number, signal: AbortSignal): Promise<void> {
    const end = performance.now() + limit;
    while (!pattern.test(this.output)) {
      if (this.hasEnded || performance.now() > end) throw new Error(this.output.slice(-2000));
      await sleep(100, undefined, { signal });
    }
  }

  /** Resolves with its exit code, or undefined when a signal ended it. */
  async wait(): Promise<number | undefined> {
    if (!this.hasEnded) await this.#gone;
    return this.#process.exitCode ?? undefined;
  }

  /** Ends it, by force when it takes too long. */
  async stop(): Promise<void> {
    if (!this.hasEnded) {
      this.kill('SIGTERM');
      await Promise.race([this.#gone, sleep(PATIENCE, undefined, { ref: false })]);
    }
    // Whatever it has started may still be there.
    this.kill('SIGKILL');
    if (!this.hasEnded) await this.#gone;
  }
}

/** Ports of 127.0.0.1 that nobody listens on, below those that clients are given. */
export async function findPorts(count: number): Promise<readonly number[]> {
  const found: number[] = [];
  const FIRST = 16_000;
  for (let port = FIRST + (process.pid % 10_000); found.length < count; port++) if (await isFree(port)) found.push(port);
  return found;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
    return true;
  } catch {
    return false;
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
