import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findRunning, runFile } from '../../src/cli/run-file.ts';
import { WireClient } from '../support/wire-client.ts';

// The command line and a server in processes of their own, as an operator has them.

const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));

interface Line {
  readonly text: string;
  readonly level: string;
  readonly [detail: string]: unknown;
}

/** A server that was started, and the lines of its log. */
class Started {
  readonly child: ChildProcess;
  readonly #lines: Line[] = [];
  #wake: () => void = () => {};
  #isOver = false;

  constructor(config: string) {
    this.child = spawn(process.execPath, [main, 'start', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout! })
      .on('line', (line) => {
        this.#lines.push(JSON.parse(line) as Line);
        this.#wake();
      })
      .on('close', () => {
        this.#isOver = true;
        this.#wake();
      });
  }

  /** The next line with this text; those before it are dropped. */
  async line(text: string): Promise<Line> {
    for (;;) {
      for (let line = this.#lines.shift(); line; line = this.#lines.shift()) if (line.text === text) return line;
      if (this.#isOver) throw new Error(`the server ended without the line "${text}"`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async end(signal: NodeJS.Signals): Promise<readonly [code: number | null, signal: string | null]> {
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    return (await gone) as [number | null, string | null];
  }
}

describe('a server in a process of its own', () => {
  let folder = '';
  let file = '';
  let server: Started;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-process-'));
    file = join(folder, 'server.yaml');
    await write({});
    server = new Started(file);
    await server.line('running');
  });

  afterEach(async () => {
    server.child.kill('SIGKILL');
    await rm(folder, { recursive: true });
  });

  async function write(changes: Readonly<Record<string, unknown>>): Promise<void> {
    const config = {
      data: './data',
      log: { format: 'json' },
      listeners: [{ type: 'http', port: 0, addresses: ['127.0.0.1'], serve: ['websocket', 'health'] }],
      authentication: { trustLoopback: true, plainWithoutTlsOnLoopback: true, scramIterations: 4096 },
      modules: { disco: {}, ping: {} },
      hosts: { 'example.test': { certificate: 'self-signed' } },
      ...changes,
    };
    await writeFile(file, JSON.stringify(config));
  }

  function parlance(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [main, ...args, '--config', file], (error, out, err) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
      });
    });
  }

  async function status(): Promise<Readonly<Record<string, unknown>>> {
    return JSON.parse((await parlance('status', '--json')).out) as Readonly<Record<string, unknown>>;
  }

  async function connect(): Promise<WireClient> {
    const { listeners } = (await status()) as { listeners: readonly { port: number }[] };
    return WireClient.connect(listeners[0]!.port, 'example.test');
  }

  it('tells how it is, and ends in good order at SIGTERM', async () => {
    const found = await status();
    assert.deepEqual([found['running'], found['healthy'], found['pid']], [true, true, server.child.pid]);
    const client = await connect();
    const goodbye = client.until(({ name }) => name === 'stream:error');
    const ended = server.end('SIGTERM');
    assert.ok((await goodbye).getChild('system-shutdown'));
    assert.deepEqual(await ended, [0, null]);
    await server.line('stopped');
    assert.equal((await parlance('status')).code, 1);
  });

  it('is the only one on its data folder', async () => {
    const { code, err } = await parlance('start');
    assert.equal(code, 1);
    assert.equal(err, `parlance: a server (process ${server.child.pid}) runs on ${join(folder, 'data')} already\n`);
    assert.equal((await status())['healthy'], true);
  });

  it('starts again after kill -9', async () => {
    await server.end('SIGKILL');
    assert.equal(await findRunning(join(folder, 'data')), undefined, runFile(join(folder, 'data')));
    server = new Started(file);
    await server.line('running');
    assert.equal((await status())['pid'], server.child.pid);
  });

  it('makes and deletes accounts itself, so that they count at once', async () => {
    const made = await parlance('account', 'create', 'juliet@example.test', '--generate', '--json');
    const { password } = JSON.parse(made.out) as { password: string };
    const client = await connect();
    await client.login('juliet', password, 'x', 'example.test');
    assert.match(
      (await parlance('account', 'create', 'juliet@example.test', '--generate')).err,
      /there is such an account already/,
    );
    assert.equal((await parlance('account', 'list')).out, 'juliet@example.test\n');
    const goodbye = client.until(({ name }) => name === 'stream:error');
    assert.equal((await parlance('account', 'delete', 'juliet@example.test', '--yes')).code, 0);
    assert.ok((await goodbye).getChild('not-authorized'));
    assert.equal((await parlance('account', 'list')).out, '');
  });

  it('reads its config again at SIGHUP and by command, and refuses a wrong one', async () => {
    const client = await connect();
    await write({ hosts: { 'example.test': { certificate: 'self-signed' }, 'verona.test': { certificate: 'self-signed' } } });
    server.child.kill('SIGHUP');
    await server.line('the config was taken up');
    const { hosts } = (await status()) as { hosts: readonly { domain: string }[] };
    assert.deepEqual(
      hosts.map(({ domain }) => domain),
      ['example.test', 'verona.test'],
    );

    const restarted = await parlance('reload', '--module', 'ping', '--json');
    assert.deepEqual(
      [restarted.code, JSON.parse(restarted.out)],
      [0, { restarted: 'ping', hosts: ['example.test', 'verona.test'] }],
    );
    const unknown = await parlance('reload', '--module', 'pong');
    assert.deepEqual([unknown.code, unknown.err.includes('no host has a module named pong')], [1, true]);
    assert.equal(client.isGone, false);

    await write({ data: './elsewhere' });
    const other = await parlance('reload');
    assert.match(other.err, /no server runs on .*elsewhere/);

    await write({ log: { format: 'pretty' } });
    const { code, out } = await parlance('reload', '--json');
    assert.deepEqual(
      [code, JSON.parse(out)],
      [0, { reloaded: file, notes: ['log.format is taken up at the next start; until then it is as it was'] }],
    );

    await write({ hosts: {} });
    const refused = await parlance('reload');
    assert.deepEqual(
      [refused.code, refused.err],
      [1, `parlance: ${file}:1: hosts: expected at least one domain, such as example.org: {}\n`],
    );
    server.child.kill('SIGHUP');
    const line = await server.line('the config was not taken up');
    assert.deepEqual(line['problems'], [`${file}:1: hosts: expected at least one domain, such as example.org: {}`]);
    assert.equal(client.isGone, false);
    client.close();
  });

  it('is found by parlance check, and its ports are not taken for those of others', async () => {
    const { listeners } = (await status()) as { listeners: readonly { port: number }[] };
    const { port } = listeners[0]!;
    await write({ listeners: [{ type: 'http', port, addresses: ['127.0.0.1'], serve: ['health'] }] });
    const { code, out } = await parlance('check', '--offline');
    assert.equal(code, 0, out);
    assert.match(out, new RegExp(`ok +http 127\\.0\\.0\\.1:${port}: taken by the running server`));
  });
});
