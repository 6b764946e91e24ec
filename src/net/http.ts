import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';

/** A request that has passed the server's checks: its path is plain, its origin known. */
export interface HttpRequest {
  readonly method: string;
  /**
   * The path without its query, in one form: escapes of plain characters are undone, and no escape hides a slash, a backslash, a dot
   * or a control. There are no dot segments and no empty ones.
   */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Whether the client's side is encrypted: by TLS that ends here, or at a trusted proxy. */
  readonly secure: boolean;
  /** The client's address: from PROXY protocol or a trusted proxy's header where there is one. */
  readonly remoteAddress: string;
  /** The body as it arrives. */
  readonly body: Readable;
  /** The whole body. Rejects with HttpError 413 when it is longer, with an Error when it breaks off. */
  read(maxBytes: number): Promise<Buffer>;
}

/** Answers a request. What it throws is logged and answered with 500 and nothing else; an HttpError with its status and text. */
export type HttpHandler = (request: HttpRequest, response: ServerResponse) => void | Promise<void>;

/** Refuses a request with a status. Its text is shown to the client, so it holds no internals. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}
