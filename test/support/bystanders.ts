import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { ServerProcess } from './server-process.ts';
import { WireClient } from './wire-client.ts';

const PASSWORD = 'correct horse battery staple';
/** Between two messages; how people write who are in a hurry. */
const RHYTHM = 10;
/** What the server may take more while it is attacked, in KiB. */
const MAX_GROWTH = 256 * 1024;

/** Two people who chat all the time while others attack the server they are on. Every message has to come, in order. */
export class Bystanders {
  readonly #server: ServerProcess;
  readonly #romeo: WireClient;
  readonly #juliet: WireClient;
  #memory = 0;
  #mark = 0;
  #rounds = 0;
  #isOver = false;
  #failure: unknown = undefined;
  #talk: Promise<void> = Promise.resolve();

  private constructor(server: ServerProcess, romeo: WireClient, juliet: WireClient) {
    this.#server = server;
    this.#romeo = romeo;
    this.#juliet = juliet;
  }

  /** Registers both, lets them log in and begin. */
  static async create(server: ServerProcess): Promise<Bystanders> {
    const [romeo, juliet] = await Promise.all(['romeo', 'juliet'].map((name) => logIn(server, name, '127.0.0.1')));
    const both = new Bystanders(server, romeo!, juliet!);
    both.#talk = both.#chat().catch((error: unknown) => {
      both.#failure = error;
    });
    await both.#moreRounds(2);
    both.#memory = await residentKiB(server.pid);
    return both;
  }

  /** What was logged before counts no more. */
  mark(): void {
    this.#mark = this.#server.output.length;
  }

  /** Whether a line like this was logged since the mark. */
  haveSeen(line: RegExp): boolean {
    return line.test(this.#server.output.slice(this.#mark));
  }

  /** Their messages still come, a line like this was logged since the mark, and the server has not grown without bounds. */
  async areUnharmed(line?: RegExp): Promise<void> {
    await this.#moreRounds(2);
    while (line && !this.haveSeen(line)) await pause();
    const growth = (await residentKiB(this.#server.pid)) - this.#memory;
    assert.ok(growth < MAX_GROWTH, `the server has grown by ${growth} KiB`);
    assert.doesNotMatch(this.#server.output, /"level":(50|60|"error"|"fatal")/);
  }

  /** They go home. */
  async close(): Promise<void> {
    this.#isOver = true;
    await this.#talk;
    this.#romeo.close();
    this.#juliet.close();
  }

  async #moreRounds(count: number): Promise<void> {
    const goal = this.#rounds + count;
    while (this.#rounds < goal) {
      if (this.#failure) throw this.#failure;
      await pause();
    }
  }

  async #chat(): Promise<void> {
    for (; !this.#isOver; this.#rounds++) {
      await say(this.#romeo, this.#juliet, this.#rounds);
      await say(this.#juliet, this.#romeo, this.#rounds);
      await pause();
    }
  }
}

/** Registers somebody from an address, and logs in. */
export async function logIn(server: ServerProcess, name: string, from: string): Promise<WireClient> {
  const client = await WireClient.connect(server.http, 'localhost', from);
  assert.equal(await client.register(name, PASSWORD), true);
  await client.login(name, PASSWORD, 'x');
  client.send('<presence/>');
  return client;
}

/** The password that `logIn` gives to everybody. */
export const password = PASSWORD;

async function say(from: WireClient, to: WireClient, number: number): Promise<void> {
  from.send(`<message to='${to.jid}' type='chat'><body>${number}</body></message>`);
  const message = await to.until(({ name }) => name === 'message');
  assert.deepEqual([message.attrs['from'], message.getChildText('body')], [from.jid, String(number)]);
}

async function residentKiB(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'latin1'))![1]);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, RHYTHM));
}
