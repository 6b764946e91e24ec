import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';

const main = fileURLToPath(new URL('../../src/main.js', import.meta.url));
const PATIENCE = 30_000;

/** The modules that a test's server has unless it says otherwise; register, for everybody on this machine, is there in any case. */
export const USUAL_MODULES: Readonly<Record<string, unknown>> = Object.fromEntries(
  [
    ...['roster', 'presence', 'disco', 'caps', 'ping', 'version', 'time', 'last', 'vcard', 'private', 'offline', 'blocking'],
    ...['contact-addresses', 'announce', 'host-meta'],
  ].map((name) => [name, {}]),
);

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** A server in a process of its own, with a config and a data folder of its own; killed and started again as a test likes. */
export class ServerProcess {
  readonly folder: string;
  readonly c2s: number;
  readonly c2sTls: number;
  readonly http: number;
  #child: ChildProcess | undefined = undefined;
  #output = '';

  private constructor(folder: string, ports: readonly number[]) {
    this.folder = folder;
    [this.c2s, this.c2sTls, this.http] = ports as [number, number, number];
  }

  /** Writes the config; `changes` are put over what serves localhost with open registration. */
  static async create(changes: Readonly<Record<string, unknown>> = {}): Promise<ServerProcess> {
    const server = new ServerProcess(await mkdtemp(join(tmpdir(), 'parlance-')), await freePorts(3));
    const addresses = ['127.0.0.1'];
    const config = {
      data: './data',
      log: { level: 'warn', format: 'json' },
      listeners: [
        { type: 'c2s', port: server.c2s, addresses },
        { type: 'c2s-tls', port: server.c2sTls, addresses },
        { type: 'http', port: server.http, addresses, serve: ['websocket', 'bosh', 'web', 'health', 'metrics'] },
      ],
      limits: { exemptLoopback: true, bytesPerSecond: 0 },
      authentication: { trustLoopback: true, plainWithoutTlsOnLoopback: true },
      modules: USUAL_MODULES,
      hosts: { localhost: { certificate: 'self-signed' } },
      ...changes,
    };
    const modules = { register: { loopbackUnlimited: true }, ...config.modules };
    await writeFile(server.config, stringify({ ...config, modules }));
    return server;
  }

  /** The path of its config. */
  get config(): string {
    return join(this.folder, 'server.yaml');
  }

  get pid(): number {
    return this.#child!.pid!;
  }

  /** Everything it has written. */
  get output(): string {
    return this.#output;
  }

  /** Starts it; resolves when it takes connections. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--enable-source-maps', main, 'start', '--config', this.config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => void (this.#output += chunk.toString()));
    const deadline = Date.now() + PATIENCE;
    while (!(await isOpen(this.http))) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the server did not start:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Ends it with this signal; resolves when it is gone. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }

  /** Ends it and removes what it has kept. */
  async remove(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.folder, { recursive: true, force: true });
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
