// A web client for whoever has only a browser: Converse, as its npm package ships it, under a strict content security policy.
import { defineModule, HttpError, option } from '#core';
import { findAssets, sendAsset, sendText } from './assets.ts';
import { FAVICON, renderPage, renderStart, WELCOME_CSS } from './page.ts';

/**
 * Scripts, styles, fonts and connections only from here; pictures also from elsewhere, since people send links to them.
 * Converse styles elements through their style attributes, hence 'unsafe-inline' for styles only.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "font-src 'self'",
  "img-src 'self' data: blob: https:",
  "media-src 'self' data: blob: https:",
  "connect-src 'self'",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

export default defineModule({
  name: 'webclient',
  doc: 'Serves a web client (Converse) at the top of the HTTP listener.',
  wants: [{ name: 'register' }],
  config: option.object({
    path: option.string({ default: '/', doc: 'Where the page is served; it ends with a slash.' }),
    title: option.string({ default: 'Parlance', doc: 'The title of the page.' }),
    registration: option.boolean({
      default: false,
      doc: 'Shows the form that makes an account; the module register answers it.',
    }),
    websocket: option.string({
      default: '',
      doc: 'The WebSocket endpoint: a path of this server, or a wss:// address; empty: the path of http.websocket.',
    }),
  }),

  async setup({ config, domain, endpoints, http }) {
    const assets = await findAssets();
    const base = config.path.endsWith('/') ? config.path : `${config.path}/`;
    const settings = { ...config, base, domain };
    const policy = policyFor(config.websocket);
    const folder = `${base}converse/`;
    const page = { body: Buffer.from(renderPage(settings)), type: 'text/html; charset=utf-8' };
    const own = new Map([
      ['welcome.css', { body: Buffer.from(WELCOME_CSS), type: 'text/css; charset=utf-8' }],
      ['favicon.svg', { body: Buffer.from(FAVICON), type: 'image/svg+xml' }],
    ]);

    http(base, (request, response) => {
      if (request.path !== base) throw new HttpError(404, 'Not found');
      response.setHeader('Content-Security-Policy', policy);
      sendText(response, page);
    });
    http(folder, (request, response) => {
      const name = request.path.slice(folder.length);
      const text = name === 'start.js' ? writeStart() : own.get(name);
      if (text) return sendText(response, text);
      const asset = assets.get(name);
      if (!asset) throw new HttpError(404, 'Not found');
      return sendAsset(asset, request, response);
    });

    /** Written at each request, since a reload may have moved the endpoint. */
    function writeStart() {
      const websocket = config.websocket || endpoints.websocket;
      return { body: Buffer.from(renderStart({ ...settings, websocket })), type: 'text/javascript; charset=utf-8' };
    }
  },
});

/** A WebSocket elsewhere has to be allowed by name. */
function policyFor(websocket: string): string {
  const elsewhere = /^wss?:\/\/[\w.:[\]-]+\//.exec(websocket)?.[0];
  return elsewhere ? POLICY.replace("connect-src 'self'", `connect-src 'self' ${elsewhere.slice(0, -1)}`) : POLICY;
}
