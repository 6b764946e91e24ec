// tus 1.0: a slot may be filled in pieces, over broken lines. The address of the PUT is that of the upload; it exists as soon as the slot does.
import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash, timingSafeEqual } from 'node:crypto';
import { IncomingMessage, type ServerResponse } from 'node:http';
import { DataStore, Server, Upload } from '@tus/server';
import type { HttpRequest } from '#core';
import type { Files } from './files.ts';
import { type FileRecord, isComplete } from './record.ts';

/** What of the protocol there is besides its core. */
const EXTENSIONS = ['termination', 'checksum'];
const ALGORITHMS: ReadonlySet<string> = new Set(['sha1', 'sha256']);

/** What the library answers with when it is thrown. */
interface TusError {
  readonly status_code: number;
  readonly body: string;
}

/** The checksum that comes with a piece. */
interface Checksum {
  readonly algorithm: string;
  readonly digest: Buffer;
}

/** What tus takes. */
export interface TusParts {
  readonly files: Files;
  readonly path: string;
  readonly patience: number;
  keepUntil(record: FileRecord): number | undefined;
}

/** Answers requests with `Tus-Resumable`. */
export class TusEndpoint {
  readonly #parts: TusParts;
  readonly #server: Server;
  readonly #checksum = new AsyncLocalStorage<Checksum>();

  constructor(parts: TusParts) {
    this.#parts = parts;
    this.#server = new Server({
      path: parts.path,
      datastore: new SlotStore(parts, () => this.#checksum.getStore()),
      getFileIdFromRequest: ({ url }) => this.#idIn(new URL(url).pathname),
      onIncomingRequest: (request, id) => this.#checkOwner(request.headers.get('authorization'), id),
      respectForwardedHeaders: false,
      disableTerminationForFinishedUploads: false,
    });
  }

  /** What OPTIONS says of the protocol. */
  static describe(response: ServerResponse, maxFileSize: number): void {
    response.setHeader('Tus-Resumable', '1.0.0');
    response.setHeader('Tus-Version', '1.0.0');
    response.setHeader('Tus-Extension', EXTENSIONS.join(','));
    response.setHeader('Tus-Checksum-Algorithm', [...ALGORITHMS].join(','));
    response.setHeader('Tus-Max-Size', String(maxFileSize));
  }

  async answer(request: HttpRequest, response: ServerResponse): Promise<void> {
    const { body, headers } = request;
    if (!(body instanceof IncomingMessage)) throw new Error('tus takes requests of node:http');
    const given = headers['upload-checksum'];
    const checksum = given === undefined ? undefined : readChecksum(String(given));
    if (given !== undefined && !checksum) return void response.writeHead(400).end('Unknown checksum\n');
    // A line in which nothing comes is given up; what has come stays.
    const giveUp = () => body.destroy(new Error('nothing comes'));
    body.socket.setTimeout(this.#parts.patience, giveUp);
    body.once('close', () => body.socket.setTimeout(0).off('timeout', giveUp));
    if (checksum) await this.#checksum.run(checksum, () => this.#server.handle(body, response));
    else await this.#server.handle(body, response);
  }

  #idIn(path: string): string | undefined {
    const id = path.startsWith(this.#parts.path) ? path.slice(this.#parts.path.length).split('/', 1)[0] : undefined;
    return id !== undefined && /^[\w-]{8,64}$/.test(id) ? id : undefined;
  }

  async #checkOwner(authorization: string | null, id: string): Promise<void> {
    const { files } = this.#parts;
    const record = await files.find(id);
    if (!record) throw refusal(404, 'Not Found');
    const token = /^Bearer ([\w-]{1,200})$/.exec(authorization ?? '')?.[1];
    if (token === undefined) throw refusal(401, 'Unauthorized');
    if (!files.isOwner(record, token)) throw refusal(403, 'Forbidden');
  }
}

/** Slots as the library sees them: they are made over XMPP, and never here. */
class SlotStore extends DataStore {
  readonly #parts: TusParts;
  readonly #checksum: () => Checksum | undefined;

  constructor(parts: TusParts, checksum: () => Checksum | undefined) {
    super();
    this.extensions = [...EXTENSIONS];
    this.#parts = parts;
    this.#checksum = checksum;
  }

  override async getUpload(id: string): Promise<Upload> {
    const record = await this.#find(id);
    const offset = isComplete(record) ? record.size : Math.min(await this.#parts.files.offset(id), record.size);
    return new Upload({ id, size: record.size, offset, creation_date: new Date(record.created).toISOString() });
  }

  override async write(body: AsyncIterable<Buffer>, id: string, offset: number): Promise<number> {
    const { files, keepUntil } = this.#parts;
    const checksum = this.#checksum();
    const written = await files.alone(id, async () => {
      const record = await this.#find(id);
      if (isComplete(record)) throw refusal(409, 'It is whole already');
      if ((await files.offset(id)) !== offset) throw refusal(409, 'It goes on elsewhere');
      const hash = checksum && createHash(checksum.algorithm);
      const end = await files.append(id, record, offset, hash ? hashing(body, hash) : body);
      if (hash && !timingSafeEqual(padded(hash.digest()), padded(checksum.digest))) {
        await files.append(id, record, offset, nothing());
        throw refusal(460, 'Checksum Mismatch');
      }
      if (end === record.size) await files.complete(id, record, keepUntil(record));
      return end;
    });
    if (written === undefined) throw refusal(423, 'Locked');
    return written;
  }

  override async remove(id: string): Promise<void> {
    const { files } = this.#parts;
    const record = await this.#find(id);
    const isGone = await files.alone(id, async () => {
      await files.remove(id, record);
      return true;
    });
    if (!isGone) throw refusal(423, 'Locked');
  }

  async #find(id: string): Promise<FileRecord> {
    const record = await this.#parts.files.find(id);
    if (!record) throw refusal(404, 'Not Found');
    return record;
  }
}

async function* hashing(body: AsyncIterable<Buffer>, hash: { update(chunk: Buffer): unknown }): AsyncGenerator<Buffer> {
  for await (const chunk of body) {
    hash.update(chunk);
    yield chunk;
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}

/** `sha1 <Base64>`; undefined for what is none that we know. */
function readChecksum(text: string): Checksum | undefined {
  const [, algorithm = '', digest = ''] = /^([a-z0-9]{1,16}) ([A-Za-z0-9+/]{1,128}={0,2})$/.exec(text) ?? [];
  return ALGORITHMS.has(algorithm) ? { algorithm, digest: Buffer.from(digest, 'base64') } : undefined;
}

/** Of one length, so that they can be compared in constant time. */
function padded(digest: Buffer): Buffer {
  return Buffer.concat([Buffer.from([digest.length]), digest, Buffer.alloc(64)], 65);
}

/** What the library takes for an answer is no Error. */
function refusal(status_code: number, text: string): Error & TusError {
  return Object.assign(new Error(text), { status_code, body: `${text}\n` });
}
