// The socket by which commands reach the running server: one line of JSON asked, one answered. It lies in the data folder, which
// only the server's user may enter, and is that user's alone itself.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliError } from './terminal.ts';

const MAX_LINE = 1 << 20;
const PATIENCE = 60_000;
/** sockaddr_un holds 108 bytes on Linux and 104 elsewhere, with a zero at the end. */
const MAX_PATH = 100;

/** Answers one request; what it throws is answered as a problem. */
export type ControlHandler = (request: Readonly<Record<string, unknown>>) => Promise<unknown>;

/** A socket that takes commands. */
export interface Control {
  readonly path: string;
  close(): Promise<void>;
}

/** Where the socket is to be. */
export interface ControlPlace {
  readonly path: string;
  /** A folder that was made for it and goes with it. */
  readonly folder?: string;
}

/** Where the socket of a data folder is to be: in it, or in a new folder of its own where that path would be too long. */
export async function placeControl(data: string): Promise<ControlPlace> {
  const path = join(data, 'control.sock');
  if (Buffer.byteLength(path) <= MAX_PATH) return { path };
  const folder = await mkdtemp(join(tmpdir(), 'parlance-control-'));
  return { path: join(folder, 'control.sock'), folder };
}

/** Takes commands at this place, replacing what a killed server has left there. `describe` turns what is thrown into lines. */
export async function openControl(
  { path, folder }: ControlPlace,
  handle: ControlHandler,
  describe: (error: unknown) => readonly string[],
): Promise<Control> {
  await rm(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
    serve(socket, handle, describe).catch(() => socket.destroy());
  });
  // The socket is made while this runs: nobody else ever has the right to it.
  const umask = process.umask(0o177);
  try {
    server.listen(path);
  } finally {
    process.umask(umask);
  }
  await once(server, 'listening');
  server.unref();
  return {
    path,
    async close() {
      server.close();
      for (const socket of open) socket.destroy();
      await rm(path, { force: true });
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}

async function serve(socket: Socket, handle: ControlHandler, describe: (error: unknown) => readonly string[]): Promise<void> {
  const request = await readLine(socket);
  let answer: { readonly result: unknown } | { readonly problems: readonly string[] };
  try {
    if (typeof request !== 'object' || request === null) throw new CliError('no request');
    answer = { result: await handle(request as Readonly<Record<string, unknown>>) };
  } catch (error) {
    answer = { problems: describe(error) };
  }
  socket.end(`${JSON.stringify(answer)}\n`);
}

/** Asks a running server. Throws CliError with what it has against it, or when it cannot be reached. */
export async function askServer(path: string, request: Readonly<Record<string, unknown>>): Promise<unknown> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    socket.write(`${JSON.stringify(request)}\n`);
    const answer = (await readLine(socket)) as { readonly result?: unknown; readonly problems?: readonly string[] };
    if (answer.problems) throw new CliError(answer.problems.join('\n'));
    return answer.result;
  } catch (error) {
    if (error instanceof CliError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new CliError(`the server does not answer on ${path} (${code}); run this as its user`);
  } finally {
    socket.destroy();
  }
}

async function readLine(socket: Socket): Promise<unknown> {
  socket.setTimeout(PATIENCE, () => socket.destroy(new Error('ETIMEDOUT')));
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_LINE) throw new Error('too long');
    if (chunk.includes(10)) return JSON.parse(Buffer.concat(chunks).toString());
  }
  throw new Error('closed');
}
