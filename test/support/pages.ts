import type { ServerResponse } from 'node:http';
import { PassThrough, Readable, Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { AnyModule, Endpoints } from '../../src/module/module.ts';
import { HttpError, type HttpHandler, type HttpRequest } from '../../src/net/http.ts';
import { startHost } from './start-host.ts';

/** What a module serves, by path. */
export type Routes = ReadonlyMap<string, HttpHandler>;

/** An answer to a request. */
export interface Page {
  readonly status: number;
  /** By lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  readonly bytes: Buffer;
}

/** Starts a module on a host of its own and returns what it serves. */
export async function serve(module: AnyModule, config: unknown, domain = 'example.org', endpoints?: Endpoints): Promise<Routes> {
  const host = await startHost([module], { domain, modules: { [module.name]: config }, ...(endpoints && { endpoints }) });
  const routes = new Map(host.routes);
  await host.stop();
  return routes;
}

/** Asks for a path as the HTTP listeners do: the longest route that fits answers, an HttpError becomes its status. */
export async function ask(routes: Routes, path: string, request: Partial<HttpRequest> = {}): Promise<Page> {
  const fitting = [...routes.keys()].filter((route) => path === route || (route.endsWith('/') && path.startsWith(route)));
  const handler = routes.get(fitting.sort((a, b) => b.length - a.length)[0] ?? '');
  const response = new FakeResponse();
  const body = Readable.from([]);
  const whole = {
    method: 'GET',
    path,
    query: new URLSearchParams(),
    headers: {},
    secure: true,
    remoteAddress: '192.0.2.1',
    body,
    ...request,
  };
  try {
    if (!handler) throw new HttpError(404, 'Not found');
    await handler({ ...whole, read: () => buffer(body) }, response as unknown as ServerResponse);
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
    response.statusCode = error.status;
    response.end(error.message);
  }
  return response.page();
}

/** As much of a ServerResponse as modules use. */
class FakeResponse extends Writable {
  statusCode = 200;
  readonly #headers = new Map<string, string>();
  readonly #body = new PassThrough();

  setHeader(name: string, value: string | number): this {
    this.#headers.set(name.toLowerCase(), String(value));
    return this;
  }

  writeHead(status: number, headers: Readonly<Record<string, string>> = {}): this {
    this.statusCode = status;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
    return this;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#body.write(chunk);
    done();
  }

  override _final(done: () => void): void {
    this.#body.end();
    done();
  }

  async page(): Promise<Page> {
    const bytes = await buffer(this.#body);
    return { status: this.statusCode, headers: this.#headers, body: bytes.toString(), bytes };
  }
}
