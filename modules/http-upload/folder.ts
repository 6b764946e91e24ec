import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { BlobStore } from './blobs.ts';

const ID = /^[A-Za-z0-9_-]{8,64}$/;
const CHUNK = 1 << 20;

/** What was hashed on the way in, so that a whole file needs not be read again. */
interface Progress {
  readonly hash: Hash;
  readonly offset: number;
}

/** Hashes that are remembered, of files that are being uploaded. */
const MOST = 1000;

/** Blobs in a folder: unfinished ones as `<id>.part`, whole ones by their id, in folders by the first two characters. */
export class FolderStore implements BlobStore {
  readonly #folder: string;
  readonly #progress = new Map<string, Progress>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  async offset(id: string): Promise<number> {
    try {
      return (await stat(this.#part(id))).size;
    } catch (error) {
      if (isMissing(error)) return 0;
      throw error;
    }
  }

  async append(id: string, offset: number, body: AsyncIterable<Buffer>, max: number): Promise<number> {
    const path = this.#part(id);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    // Nobody else writes here; `wx` would still follow nothing, and a link that somebody has put here is refused.
    const file = await open(path, 'a+', 0o600).then((handle) => handle.close().then(() => open(path, 'r+')));
    try {
      await file.truncate(offset);
      const known = this.#progress.get(id);
      const hash = offset === 0 ? createHash('sha256') : known?.offset === offset ? known.hash : undefined;
      const end = await write(file, { offset, body, max, hash });
      await file.datasync();
      this.#remember(id, hash && { hash, offset: end });
      return end;
    } finally {
      await file.close();
    }
  }

  async finish(id: string): Promise<string> {
    const part = this.#part(id);
    const known = this.#progress.get(id);
    this.#progress.delete(id);
    const sha256 = known?.offset === (await this.offset(id)) ? known.hash.digest('hex') : await hashOf(part);
    await rename(part, this.#path(id));
    await syncFolder(dirname(part));
    return sha256;
  }

  async read(id: string, { start, end }: { readonly start: number; readonly end: number }): Promise<Readable> {
    const file = await open(this.#path(id), 'r');
    return file.createReadStream({ start, end, highWaterMark: CHUNK });
  }

  async remove(id: string): Promise<void> {
    this.#progress.delete(id);
    await rm(this.#path(id), { force: true });
    await rm(this.#part(id), { force: true });
  }

  #remember(id: string, progress: Progress | undefined): void {
    this.#progress.delete(id);
    if (!progress) return;
    if (this.#progress.size >= MOST) this.#progress.delete(this.#progress.keys().next().value!);
    this.#progress.set(id, progress);
  }

  #part(id: string): string {
    return `${this.#path(id)}.part`;
  }

  #path(id: string): string {
    if (!ID.test(id)) throw new Error('this is no id of a file');
    return join(this.#folder, id.slice(0, 2), id);
  }
}

interface Writing {
  readonly offset: number;
  readonly body: AsyncIterable<Buffer>;
  readonly max: number;
  readonly hash: Hash | undefined;
}

/** Writes until the body ends or breaks off, and no more than there may be. Returns where it ends. */
async function write(file: FileHandle, { offset, body, max, hash }: Writing): Promise<number> {
  let at = offset;
  try {
    for await (const chunk of body) {
      // Read to its end in any case: who stops in the middle cuts off the line on which the answer goes.
      const piece = chunk.length > max - at ? chunk.subarray(0, max - at) : chunk;
      for (let done = 0; done < piece.length; )
        done += (await file.write(piece, done, piece.length - done, at + done)).bytesWritten;
      hash?.update(piece);
      at += piece.length;
    }
  } catch (error) {
    if (isOfDisk(error)) throw error;
    // The line has broken: what has come stays.
  }
  return at;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: CHUNK }), hash);
  return hash.digest('hex');
}

/** So that a name that was given is still there after the power was lost. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

/** Errors of the file, and not of the connection that the bytes come from. */
function isOfDisk(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && (error.syscall === 'write' || error.syscall === 'ftruncate');
}
