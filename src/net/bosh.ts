// BOSH over HTTP (XEP-0124 1.11.2, XEP-0206 1.4).
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpConfig } from '../config/server-config.ts';
import type { SplitterLimits } from '../xml/splitter.ts';
import type { Origin } from './addresses.ts';
import { type BoshCondition, BoshError, type BoshRequest, readBody, writeTermination } from './bosh-body.ts';
import { type BoshKeeper, BoshSession } from './bosh-session.ts';
import { HttpError } from './http.ts';
import { isAllowedOrigin } from './origins.ts';
import type { Accept } from './transport.ts';

/** What <body/> itself may add to its payloads. */
const WRAPPER_BYTES = 4096;
/** Payloads as large as they may be that one request may hold. */
const MAX_PAYLOADS = 4;
/** Where the session's name is looked for in a request that is longer than strangers' may be. */
const HEAD_BYTES = 4096;

/** What a BOSH endpoint is made of. Options are read when they are used, so that they may change while it runs. */
export interface BoshParts {
  readonly accept: Accept;
  readonly http: Pick<HttpConfig, 'origins' | 'boshWait' | 'boshInactivity' | 'boshRequests'>;
  /** For what comes before login, and for sessions whose transport was told by `limitMessages` to take more. */
  readonly limits: SplitterLimits;
  readonly limitsAfterLogin: SplitterLimits;
  /** Counts a session for an address; false refuses it. */
  enter(address: string): boolean;
  /** A session of this address is gone. */
  leave(address: string): void;
}

/** Media types a client may ask for; another could make a browser see a page of ours in a response. */
const CONTENT = /^(?:text|application)\/(?:xml|plain)(?:; ?charset=utf-8)?$/i;
const STANDARD_CONTENT = 'text/xml; charset=utf-8';

/** Status codes for clients that know no conditions (XEP-0124 section 17.1). */
const STATUSES: ReadonlyMap<BoshCondition, number> = new Map([
  ['bad-request', 400],
  ['policy-violation', 403],
  ['item-not-found', 404],
]);

/** Takes the requests of BOSH clients and finds their sessions. */
export class BoshEndpoint implements BoshKeeper {
  readonly #parts: BoshParts;
  readonly #sessions = new Map<string, BoshSession>();

  constructor(parts: BoshParts) {
    this.#parts = parts;
  }

  get maxWait(): number {
    return Math.floor(this.#parts.http.boshWait / 1000);
  }

  get inactivity(): number {
    return this.#parts.http.boshInactivity;
  }

  get maxRequests(): number {
    return this.#parts.http.boshRequests;
  }

  get limits(): SplitterLimits {
    return this.#parts.limits;
  }

  /** Sessions that are open. */
  get open(): number {
    return this.#sessions.size;
  }

  /** Answers a request, now or when there is something to say. Rejects with HttpError for what is no request of BOSH. */
  async serve(message: IncomingMessage, response: ServerResponse, client: Origin): Promise<void> {
    this.#allowOrigin(message, response);
    if (message.method === 'OPTIONS') return void response.writeHead(204).end();
    if (message.method !== 'POST') {
      response.setHeader('Allow', 'POST, OPTIONS');
      throw new HttpError(405, 'Method Not Allowed');
    }
    if (message.headers['content-encoding'] !== undefined) throw new HttpError(415, 'Unsupported Media Type');
    const bytes = await this.#read(message);
    try {
      this.#take(bytes, response, client);
    } catch (error) {
      if (!(error instanceof BoshError)) throw error;
      this.#write(response, 200, STANDARD_CONTENT, writeTermination(error.condition));
    }
  }

  respond(response: ServerResponse, body: string, session: BoshSession): void {
    const condition = session.isLegacy ? /^<body [^>]*type='terminate' condition='([a-z-]+)'/.exec(body)?.[1] : undefined;
    const status = STATUSES.get(condition as BoshCondition) ?? 200;
    const type = CONTENT.test(session.content ?? '') ? session.content! : STANDARD_CONTENT;
    this.#write(response, status, type, body);
  }

  forget(session: BoshSession): void {
    this.#sessions.delete(session.sid);
    this.#parts.leave(session.remoteAddress);
  }

  #take(bytes: Buffer, response: ServerResponse, client: Origin): void {
    const known = this.#guess(bytes);
    const isTrusted = known !== undefined && known.maxBytes > this.limits.maxBytes;
    const { maxDepth, maxElements, maxAttributes } = isTrusted ? this.#parts.limitsAfterLogin : this.limits;
    // What is within is looked at again by itself, with the limits for one stanza.
    const limits = { maxBytes: bytes.length, maxDepth: maxDepth + 1, maxElements: maxElements * MAX_PAYLOADS, maxAttributes };
    const request = readBody(bytes, limits);
    const session = request.sid === undefined ? this.#create(request, client) : this.#sessions.get(request.sid);
    if (!session) throw new BoshError('item-not-found');
    if (known && known !== session) throw new BoshError('bad-request');
    // XEP-0124 section 19.1: not the client's own doing, so the session stays.
    if (session.secure && client.secure !== true) return void response.destroy();
    session.take({ request, response });
  }

  #create(request: BoshRequest, client: Origin): BoshSession {
    if (!this.#parts.enter(client.address)) throw new BoshError('policy-violation');
    const session = new BoshSession(request, client, this);
    this.#sessions.set(session.sid, session);
    this.#parts.accept(session);
    return session;
  }

  /** Strangers may send less: a longer body has to name a session that may. */
  async #read(message: IncomingMessage): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    let most = this.limits.maxBytes + WRAPPER_BYTES;
    let isKnown = false;
    for await (const chunk of message as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > most && !isKnown) {
        most = (this.#guess(Buffer.concat(chunks))?.maxBytes ?? 0) + WRAPPER_BYTES;
        isKnown = true;
      }
      if (size > most) throw new HttpError(413, 'Content Too Large');
    }
    return Buffer.concat(chunks, size);
  }

  /** The session that a request seems to name, before it is read as a whole. */
  #guess(bytes: Buffer): BoshSession | undefined {
    const sid = /\ssid\s*=\s*(?:'([\w-]{1,64})'|"([\w-]{1,64})")/.exec(bytes.toString('latin1', 0, HEAD_BYTES));
    return this.#sessions.get(sid?.[1] ?? sid?.[2] ?? '');
  }

  #allowOrigin({ headers }: IncomingMessage, response: ServerResponse): void {
    const { origins } = this.#parts.http;
    if (!isAllowedOrigin(headers, origins)) throw new HttpError(403, 'Forbidden');
    const { origin } = headers;
    if (origin === undefined) return;
    const isAny = origins.includes('*');
    response.setHeader('Access-Control-Allow-Origin', isAny ? '*' : origin);
    if (!isAny) response.setHeader('Vary', 'Origin');
    response.setHeader('Access-Control-Allow-Methods', 'POST, OPTIONS');
    response.setHeader('Access-Control-Allow-Headers', 'Content-Type');
    response.setHeader('Access-Control-Max-Age', '86400');
  }

  #write(response: ServerResponse, status: number, type: string, body: string): void {
    if (response.headersSent) return;
    response.setHeader('Content-Type', type);
    response.setHeader('Content-Length', body.length);
    response.setHeader('Cache-Control', 'no-store');
    // A response holds what others have written: should a browser ever show it as a page, nothing in it runs.
    response.setHeader('Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'; sandbox");
    response.writeHead(status).end(body, 'latin1');
  }
}
