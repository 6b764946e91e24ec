import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { HttpRequest } from '#core';

const compress = promisify(gzip);

/** A file of the client, as it is served. */
export interface Asset {
  readonly file: string;
  readonly type: string;
  readonly etag: string;
}

/** What the browser needs, by ending; the rest of the package (sources, maps) is not served. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.json', 'application/json'],
  ['.wasm', 'application/wasm'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.ico', 'image/x-icon'],
  ['.webp', 'image/webp'],
  ['.gif', 'image/gif'],
  ['.mp3', 'audio/mpeg'],
  ['.ogg', 'audio/ogg'],
  ['.woff', 'font/woff'],
  ['.woff2', 'font/woff2'],
  ['.ttf', 'font/ttf'],
]);

/**
 * The files of the installed client by their path below its folder. Requests are looked up here and nowhere else,
 * so that no path leads out of it.
 */
export async function findAssets(): Promise<ReadonlyMap<string, Asset>> {
  // The package lets nothing be resolved but the files of this folder.
  const folder = dirname(createRequire(import.meta.url).resolve('converse.js/dist/manifest.json'));
  const assets = new Map<string, Asset>();
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const type = TYPES.get(extname(entry.name));
    if (!entry.isFile() || !type || /^converse\.(js|css)$/.test(entry.name)) continue;
    const file = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = await stat(file);
    const name = file.slice(folder.length + 1).replaceAll('\\', '/');
    assets.set(name, { file, type, etag: `"${size.toString(36)}-${Math.floor(mtimeMs).toString(36)}"` });
  }
  return assets;
}

/** Sends what we have made ourselves. */
export function sendText(response: ServerResponse, text: { readonly body: Buffer; readonly type: string }): void {
  response.setHeader('Content-Type', text.type);
  response.setHeader('Cache-Control', 'no-cache');
  response.end(text.body);
}

/** Sends a file, or 304 to a browser that has it already. */
export function sendAsset(asset: Asset, request: HttpRequest, response: ServerResponse): void | Promise<void> {
  response.setHeader('ETag', asset.etag);
  response.setHeader('Cache-Control', 'public, max-age=3600');
  response.setHeader('Vary', 'Accept-Encoding');
  if (request.headers['if-none-match'] === asset.etag) return void response.writeHead(304).end();
  response.setHeader('Content-Type', asset.type);
  const canShrink =
    /^(text|application|image\/svg)/.test(asset.type) && /\bgzip\b/.test(String(request.headers['accept-encoding']));
  if (canShrink) response.setHeader('Content-Encoding', 'gzip');
  if (request.method === 'HEAD') return void response.end();
  if (canShrink) return shrink(asset.file).then((body) => void response.end(body));
  createReadStream(asset.file)
    .once('error', () => response.destroy())
    .pipe(response);
}

const shrunk = new Map<string, Promise<Buffer>>();

/** A file compressed, once for all: whoever asks again and again costs no more than its bytes. */
function shrink(file: string): Promise<Buffer> {
  let body = shrunk.get(file);
  if (!body) {
    body = readFile(file).then((bytes) => compress(bytes, { level: 9 }));
    body.catch(() => shrunk.delete(file));
    shrunk.set(file, body);
  }
  return body;
}
