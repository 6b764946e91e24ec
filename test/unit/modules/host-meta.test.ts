import assert from 'node:assert/strict';
import hostMeta from '../../../modules/host-meta/index.ts';
import { ask, type Page, serve } from '../../support/pages.ts';

const XRD = '/.well-known/host-meta';
const JRD = '/.well-known/host-meta.json';

describe('host-meta', () => {
  const behindTls = { secure: true, headers: { host: 'chat.example.org:5281' } };

  it('names the WebSocket and BOSH endpoints at the address that was asked (XEP-0156 section 2)', async () => {
    const routes = await serve(hostMeta, {});
    const page = await ask(routes, XRD, behindTls);
    assert.equal(page.headers.get('content-type'), 'application/xrd+xml; charset=utf-8');
    assert.match(
      page.body,
      /^<\?xml version='1.0' encoding='utf-8'\?><XRD xmlns="http:\/\/docs.oasis-open.org\/ns\/xri\/xrd-1.0">/,
    );
    assert.deepEqual(linksOf(page), {
      websocket: 'wss://chat.example.org:5281/xmpp-websocket',
      xbosh: 'https://chat.example.org:5281/http-bind',
    });
  });

  it('says the same as JSON (RFC 6415 appendix A)', async () => {
    const routes = await serve(hostMeta, {});
    const page = await ask(routes, JRD, behindTls);
    assert.equal(page.headers.get('content-type'), 'application/json');
    assert.deepEqual(JSON.parse(page.body), {
      links: [
        { rel: 'urn:xmpp:alt-connections:websocket', href: 'wss://chat.example.org:5281/xmpp-websocket' },
        { rel: 'urn:xmpp:alt-connections:xbosh', href: 'https://chat.example.org:5281/http-bind' },
      ],
    });
  });

  it('may be read by pages from anywhere (XEP-0156 section 4)', async () => {
    const routes = await serve(hostMeta, {});
    for (const path of [XRD, JRD])
      assert.equal((await ask(routes, path, behindTls)).headers.get('access-control-allow-origin'), '*');
  });

  it('names the paths of the listeners, also those that a reload brings', async () => {
    const endpoints = { websocket: '/ws', bosh: '/bosh' };
    const routes = await serve(hostMeta, {}, 'example.org', endpoints);
    const named = async () => linksOf(await ask(routes, XRD, behindTls));
    assert.deepEqual(await named(), { websocket: 'wss://chat.example.org:5281/ws', xbosh: 'https://chat.example.org:5281/bosh' });
    Object.assign(endpoints, { websocket: '/other', bosh: '/another' });
    assert.deepEqual(await named(), {
      websocket: 'wss://chat.example.org:5281/other',
      xbosh: 'https://chat.example.org:5281/another',
    });
  });

  it('names the configured addresses instead', async () => {
    const routes = await serve(hostMeta, { websocket: 'wss://ws.example.org/', bosh: 'https://bosh.example.org/b' });
    assert.deepEqual(linksOf(await ask(routes, XRD, { secure: false, headers: { host: 'example.org' } })), {
      websocket: 'wss://ws.example.org/',
      xbosh: 'https://bosh.example.org/b',
    });
  });

  it('never names an address without encryption to anybody but this machine', async () => {
    const routes = await serve(hostMeta, {});
    const plain = { secure: false, headers: { host: 'example.org' } };
    assert.deepEqual(linksOf(await ask(routes, XRD, { ...plain, remoteAddress: '192.0.2.7' })), {});
    assert.deepEqual(linksOf(await ask(routes, XRD, { ...plain, remoteAddress: '127.0.0.1' })), {
      websocket: 'ws://example.org/xmpp-websocket',
      xbosh: 'http://example.org/http-bind',
    });
  });

  for (const host of ['', 'a b', 'x"><script>', 'user@host', 'a/b', '\u00e9.example', 'a'.repeat(300)]) {
    it(`names nothing for the host header ${JSON.stringify(host.slice(0, 20))}`, async () => {
      const routes = await serve(hostMeta, {});
      assert.deepEqual(linksOf(await ask(routes, XRD, { secure: true, headers: { host } })), {});
    });
  }
});

function linksOf({ body }: Page): Record<string, string> {
  const links = [...body.matchAll(/<Link rel="urn:xmpp:alt-connections:([^"]*)" href="([^"]*)"\/>/g)];
  return Object.fromEntries(links.map(([, rel, href]) => [rel, href]));
}
