// PUT, GET, HEAD and DELETE of files (XEP-0363 sections 7 to 9).
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { HttpError, type HttpRequest } from '#core';
import type { Files } from './files.ts';
import { readRange } from './range.ts';
import { type FileRecord, isComplete } from './record.ts';
import { TusEndpoint } from './tus.ts';
import { describe, readType } from './types.ts';

/** What serving takes. */
export interface ServingParts {
  readonly files: Files;
  readonly tus: TusEndpoint;
  readonly maxFileSize: number;
  /** The path below which files are. */
  readonly path: string;
  /** Milliseconds after which an upload in which nothing comes is given up. */
  readonly patience: number;
  /** Until when a file that is whole now is kept, in milliseconds since 1970; undefined for ever. */
  keepUntil(record: FileRecord): number | undefined;
}

/** Browsers run nothing of what is here, and show it in no page of others (section 12.1). */
const POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox";
const METHODS = 'OPTIONS, HEAD, GET, PUT, PATCH, DELETE';
const HEADERS = 'Authorization, Content-Type, Range, If-None-Match, Tus-Resumable, Upload-Offset, Upload-Checksum, Upload-Length';
const SHOWN_HEADERS =
  'Accept-Ranges, Content-Range, Content-Length, ETag, Location, Tus-Resumable, Tus-Version, Tus-Extension, Upload-Offset, Upload-Length, Upload-Expires';

/** A file that is asked for. */
interface Asked {
  readonly id: string;
  readonly record: FileRecord;
}

/** Serves files. */
export class Serving {
  readonly #parts: ServingParts;

  constructor(parts: ServingParts) {
    this.#parts = parts;
  }

  /** Every page may ask: what lets one do something is in the request, and never in a cookie. */
  static allow(response: ServerResponse): void {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Allow-Methods', METHODS);
    response.setHeader('Access-Control-Allow-Headers', HEADERS);
    response.setHeader('Access-Control-Expose-Headers', SHOWN_HEADERS);
    response.setHeader('Access-Control-Max-Age', '86400');
    response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
    response.setHeader('Content-Security-Policy', POLICY);
  }

  readonly answer = async (request: HttpRequest, response: ServerResponse): Promise<void> => {
    Serving.allow(response);
    const { maxFileSize, tus } = this.#parts;
    if (request.method === 'OPTIONS') {
      TusEndpoint.describe(response, maxFileSize);
      return void response.writeHead(204).end();
    }
    if (request.headers['tus-resumable'] !== undefined && request.method !== 'GET') return tus.answer(request, response);
    const asked = await this.find(request);
    switch (request.method) {
      case 'PUT':
        return this.#put(request, response, asked);
      case 'PATCH':
        throw new HttpError(412, 'Precondition Failed');
      case 'DELETE':
        return this.#delete(request, response, asked);
      default:
        return this.#get(request, response, asked);
    }
  };

  /** The file at a path. Throws HttpError 404. */
  async find({ path }: HttpRequest): Promise<Asked> {
    const id = path.slice(this.#parts.path.length).split('/', 1)[0] ?? '';
    const record = /^[\w-]{8,64}$/.test(id) ? await this.#parts.files.find(id) : undefined;
    if (!record) throw new HttpError(404, 'Not Found');
    return { id, record };
  }

  /** Throws HttpError for whoever does not show what was given out with the slot. */
  checkOwner({ headers }: HttpRequest, record: FileRecord): void {
    const token = /^Bearer ([\w-]{1,200})$/.exec(headers.authorization ?? '')?.[1];
    if (token === undefined) throw new HttpError(401, 'Unauthorized');
    if (!this.#parts.files.isOwner(record, token)) throw new HttpError(403, 'Forbidden');
  }

  async #put(request: HttpRequest, response: ServerResponse, { id, record }: Asked): Promise<void> {
    const { files, keepUntil } = this.#parts;
    this.checkOwner(request, record);
    if (isComplete(record)) throw new HttpError(409, 'Conflict');
    const length = request.headers['content-length'];
    if (length === undefined) throw new HttpError(411, 'Length Required');
    if (Number(length) !== record.size)
      throw new HttpError(Number(length) > record.size ? 413 : 400, 'The size is not that of the slot');
    const type = request.headers['content-type'];
    if (type !== undefined && record.type !== '' && readType(type) !== record.type) {
      throw new HttpError(415, 'The type is not that of the slot');
    }
    const offset = await files.alone(id, async () => {
      await this.checkOpen(id);
      const end = await files.append(id, record, 0, this.going(request));
      if (end === record.size) await files.complete(id, record, keepUntil(record));
      return end;
    });
    if (offset === undefined) throw new HttpError(409, 'Conflict');
    // What has come is kept, and the rest can follow.
    if (offset < record.size) throw new HttpError(400, 'The body has broken off');
    response.writeHead(201).end();
  }

  /** Nobody was faster. Throws HttpError 409. Only alone. */
  async checkOpen(id: string): Promise<void> {
    const now = await this.#parts.files.find(id);
    if (!now || isComplete(now)) throw new HttpError(409, 'Conflict');
  }

  /** The body, given up when nothing comes for too long. */
  async *going({ body }: HttpRequest): AsyncGenerator<Buffer> {
    const giveUp = () => body.destroy(new Error('nothing comes'));
    let clock = setTimeout(giveUp, this.#parts.patience).unref();
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        clearTimeout(clock);
        yield chunk;
        clock = setTimeout(giveUp, this.#parts.patience).unref();
      }
    } finally {
      clearTimeout(clock);
    }
  }

  async #get(request: HttpRequest, response: ServerResponse, { id, record }: Asked): Promise<void> {
    const { files } = this.#parts;
    if (!isComplete(record)) throw new HttpError(404, 'Not Found');
    this.#checkReader(request, { id, record });
    const { type, disposition } = describe(record.type, record.name);
    const etag = `"${record.sha256}"`;
    const isPublic = record.access === 'link';
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Disposition', disposition);
    response.setHeader('Accept-Ranges', 'bytes');
    response.setHeader('ETag', etag);
    // It never changes; but it may be taken back.
    response.setHeader('Cache-Control', isPublic ? 'public, max-age=86400' : 'private, no-cache');
    if (request.headers['if-none-match']?.split(',').some((each) => each.trim() === etag || each.trim() === '*')) {
      return void response.writeHead(304).end();
    }
    const ifRange = request.headers['if-range'];
    response.setHeader('Content-Range', `bytes */${record.size}`);
    const range = ifRange === undefined || ifRange === etag ? readRange(request.headers.range, record.size) : undefined;
    response.removeHeader('Content-Range');
    const { start, end } = range ?? { start: 0, end: record.size - 1 };
    if (range) response.setHeader('Content-Range', `bytes ${start}-${end}/${record.size}`);
    response.writeHead(range ? 206 : 200, { 'Content-Length': end - start + 1 });
    if (request.method === 'HEAD' || record.size === 0) return void response.end();
    const stream = await files.read(id, { start, end });
    await pipeline(stream, response).catch((error: unknown) => {
      // Whoever goes away in the middle is no fault of ours.
      if (!response.destroyed) throw error;
    });
  }

  #checkReader(request: HttpRequest, { id, record }: Asked): void {
    if (record.access === 'link') return;
    const { files } = this.#parts;
    const shown = /^Bearer ([\w.-]{1,4096})$/.exec(request.headers.authorization ?? '')?.[1];
    const ticket = request.query.get('ticket') ?? shown;
    if (ticket === undefined) throw new HttpError(401, 'Unauthorized');
    if (!files.isTicket(id, ticket)) throw new HttpError(403, 'Forbidden');
  }

  async #delete(request: HttpRequest, response: ServerResponse, { id, record }: Asked): Promise<void> {
    const { files } = this.#parts;
    this.checkOwner(request, record);
    const done = await files.alone(id, async () => {
      await files.remove(id, record);
      return true;
    });
    if (!done) throw new HttpError(409, 'Conflict');
    response.writeHead(204).end();
  }
}
