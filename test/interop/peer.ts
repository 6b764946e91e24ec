import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** Where a client logs in. */
export interface Login {
  readonly username: string;
  readonly password: string;
  readonly domain: string;
  /** Ports on 127.0.0.1. */
  readonly c2s: number;
  readonly c2sTls: number;
  readonly http: number;
}

/** A real client, driven by a test. */
export interface Peer {
  /** Logs in and becomes available; resolves when the client says that it is connected. */
  start(login: Login): Promise<void>;
  /** Resolves when the client has seen this bare JID become available. */
  sees(bare: string): Promise<void>;
  send(to: string, body: string): Promise<void>;
  /** Resolves when the client has received this text from this bare JID. */
  got(from: string, body: string): Promise<void>;
  stop(): Promise<void>;
}

/** A client that takes its session up again by itself when its line breaks (XEP-0198). */
export interface LastingPeer extends Peer {
  /** Resolves when it has resumed so many times. */
  resumed(times: number): Promise<void>;
  /** All texts that it has received from this bare JID, in order. */
  heard(from: string): readonly string[];
}

const PATIENCE = 30_000;

/** What a client has seen so far, and who waits for more. */
export class Sightings {
  readonly #seen: string[] = [];
  readonly #waiting = new Set<() => void>();

  /** Notes that something was seen. */
  note(...what: readonly string[]): void {
    this.#seen.push(what.join(' '));
    for (const wake of this.#waiting) wake();
  }

  /** All of this kind that was seen, in order. */
  all(...kind: readonly string[]): readonly string[] {
    const prefix = `${kind.join(' ')} `;
    return this.#seen.filter((each) => each.startsWith(prefix)).map((each) => each.slice(prefix.length));
  }

  /** Resolves when this has been seen; rejects, with all that was seen instead, when it does not come. */
  wait(...what: readonly string[]): Promise<void> {
    return this.waitFor(1, ...what);
  }

  /** Resolves when this has been seen so many times. */
  async waitFor(times: number, ...what: readonly string[]): Promise<void> {
    const wanted = what.join(' ');
    const deadline = Date.now() + PATIENCE;
    while (this.#seen.filter((each) => each === wanted).length < times) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`"${wanted}" was never seen; what was:\n${this.#seen.join('\n')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const waiting = this.#waiting;
        function done(): void {
          clearTimeout(timer);
          waiting.delete(done);
          resolve();
        }
        waiting.add(done);
      });
    }
  }
}

/** The bare form of an address a client has shown. */
export function bare(jid: string): string {
  return jid.split('/')[0]!.toLowerCase();
}

/**
 * A client in a program of its own, which takes lines (`send <to> <text>`, `quit`) and writes lines (`ready`, `presence <bare>`,
 * `message <bare> <text>`, `resumed`).
 */
export class ProgramPeer implements LastingPeer {
  readonly #command: (login: Login) => readonly string[];
  readonly #sightings = new Sightings();
  #child: ChildProcess | undefined = undefined;

  constructor(command: (login: Login) => readonly string[]) {
    this.#command = command;
  }

  async start(login: Login): Promise<void> {
    const [program, ...args] = this.#command(login);
    const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    createInterface({ input: child.stdout }).on('line', (line) => this.#sightings.note(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.#sightings.note('stderr:', line));
    child.once('error', (error) => this.#sightings.note('error:', error.message));
    await this.#sightings.wait('ready');
  }

  sees(jid: string): Promise<void> {
    return this.#sightings.wait('presence', jid);
  }

  send(to: string, body: string): Promise<void> {
    return this.tell('send', to, body);
  }

  /** Gives the program a line. */
  async tell(...words: readonly string[]): Promise<void> {
    this.#child!.stdin!.write(`${words.join(' ')}\n`);
  }

  /** Resolves when the program has written this line. */
  says(...words: readonly string[]): Promise<void> {
    return this.#sightings.wait(...words);
  }

  /** What follows this in the lines that the program has written. */
  said(...words: readonly string[]): readonly string[] {
    return this.#sightings.all(...words);
  }

  resumed(times: number): Promise<void> {
    return this.#sightings.waitFor(times, 'resumed');
  }

  heard(from: string): readonly string[] {
    return this.#sightings.all('message', from);
  }

  got(from: string, body: string): Promise<void> {
    return this.#sightings.wait('message', from, body);
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.pid === undefined) return;
    const gone = once(child, 'exit');
    child.stdin!.on('error', () => {});
    child.stdin!.write('quit\n');
    const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
    await gone;
    clearTimeout(timer);
  }
}
