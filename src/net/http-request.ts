import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { HttpError, type HttpRequest } from './http.ts';

const MAX_TARGET = 8192;

/** What a request asks for. */
export interface Target {
  readonly path: string;
  readonly query: URLSearchParams;
  /** The host of a target in absolute form, which counts instead of the Host header (RFC 9112 section 3.2.2). */
  readonly authority: string | undefined;
}

const ABSOLUTE = /^https?:\/\/([^/?#\s]{1,255})(.*)$/i;
/** The characters of a path and of a query (RFC 3986 sections 3.3 and 3.4); escapes are looked at by themselves. */
const PATH = /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$/;
const QUERY = /^[A-Za-z0-9._~!$&'()*+,;=:@%/?[\]{}|^`"<>\\-]*$/;
const ESCAPE = /%([0-9A-Fa-f]{2})?/g;

/**
 * Reads the target of a request. The path comes out in one form only: escapes of plain characters undone, others in capitals. Throws
 * HttpError for what could mean another path to somebody else: dot segments, empty segments, slashes, backslashes or controls that
 * hide in escapes, malformed escapes.
 */
export function readTarget(url: string): Target {
  if (url.length > MAX_TARGET) throw new HttpError(414, 'URI Too Long');
  const absolute = ABSOLUTE.exec(url);
  const target = absolute ? absolute[2]! || '/' : url;
  const mark = target.indexOf('?');
  const written = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  if (!PATH.test(written) || !QUERY.test(query)) throw refuse();
  const path = written.replace(ESCAPE, normalize);
  if (/\/\/|\/\.{1,2}(?:\/|$)/.test(path)) throw refuse();
  return { path, query: new URLSearchParams(query), authority: absolute?.[1] };
}

function normalize(written: string, digits: string | undefined): string {
  if (digits === undefined) throw refuse();
  const code = Number.parseInt(digits, 16);
  const char = String.fromCharCode(code);
  if (code < 32 || code === 127 || char === '/' || char === '\\') throw refuse();
  return /[A-Za-z0-9._~-]/.test(char) ? char : written.toUpperCase();
}

function refuse(): HttpError {
  return new HttpError(400, 'Bad Request');
}

/** A request as handlers see it. */
export class CheckedRequest implements HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly secure: boolean;
  readonly remoteAddress: string;
  readonly #message: IncomingMessage;

  constructor(message: IncomingMessage, target: Target, client: { readonly address: string; readonly secure: boolean }) {
    this.#message = message;
    this.method = message.method ?? '';
    this.path = target.path;
    this.query = target.query;
    this.headers = message.headers;
    this.secure = client.secure;
    this.remoteAddress = client.address;
  }

  get body(): Readable {
    return this.#message;
  }

  read(maxBytes: number): Promise<Buffer> {
    return readBody(this.#message, maxBytes);
  }
}

/** The whole body of a message. Rejects with HttpError 413 as soon as it is known to be longer, with an Error when it breaks off. */
export function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const refuseLong = () => reject(new HttpError(413, 'Content Too Large'));
    if (Number(message.headers['content-length'] ?? 0) > maxBytes) return refuseLong();
    const chunks: Buffer[] = [];
    let size = 0;
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= maxBytes) return void chunks.push(chunk);
      message.off('data', take);
      refuseLong();
    };
    message.on('data', take);
    message.once('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
    message.once('close', () => reject(new Error('the request broke off')));
    message.once('error', reject);
  });
}
