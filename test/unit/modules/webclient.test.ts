import assert from 'node:assert/strict';
import { gunzipSync } from 'node:zlib';
import webclient from '../../../modules/webclient/index.ts';
import { ask, type Routes, serve } from '../../support/pages.ts';

describe('webclient', () => {
  let routes: Routes;
  before(async () => {
    routes = await serve(webclient, { registration: true, title: 'Capulet & Sons' });
  });

  it('serves a page at the top, with a title, a welcome and a way to make an account', async () => {
    const page = await ask(routes, '/');
    assert.equal(page.status, 200);
    assert.equal(page.headers.get('content-type'), 'text/html; charset=utf-8');
    assert.match(page.body, /<h1>Capulet &#38; Sons<\/h1>/);
    assert.match(page.body, /href="#converse\/register"/);
  });

  it('offers no account where there is no registration', async () => {
    const closed = await serve(webclient, {});
    assert.doesNotMatch((await ask(closed, '/')).body, /converse\/register/);
    assert.match((await ask(closed, '/converse/start.js')).body, /"allow_registration": false/);
  });

  it('runs no script but its own files', async () => {
    const page = await ask(routes, '/');
    const policy = page.headers.get('content-security-policy') ?? '';
    assert.match(policy, /default-src 'none'; script-src 'self' 'wasm-unsafe-eval';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.match(policy, /base-uri 'none'/);
    assert.doesNotMatch(policy, /script-src[^;]*'unsafe-(inline|eval)'/);
    assert.doesNotMatch(page.body, /<script(?![^>]*\ssrc=)/);
    assert.doesNotMatch(page.body, /\son[a-z]+=|<style|\sstyle=/);
  });

  it('lets the page connect to a WebSocket elsewhere only when that is configured', async () => {
    assert.match((await ask(routes, '/')).headers.get('content-security-policy') ?? '', /connect-src 'self';/);
    const elsewhere = await serve(webclient, { websocket: 'wss://ws.example.net/xmpp' });
    assert.match(
      (await ask(elsewhere, '/')).headers.get('content-security-policy') ?? '',
      /connect-src 'self' wss:\/\/ws\.example\.net;/,
    );
  });

  it('every file that the page names is there', async () => {
    const page = await ask(routes, '/');
    const names = [...page.body.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map(([, name]) => name!);
    assert(names.length >= 4);
    for (const name of [...names, '/converse/converse.min.js', '/converse/emoji.json', '/converse/webfonts/muli.ttf']) {
      const file = await ask(routes, name);
      assert.equal(file.status, 200, name);
      assert(file.bytes.length > 0, name);
    }
  });

  it('starts the client with the settings of the host', async () => {
    const script = (await ask(routes, '/converse/start.js')).body;
    assert.match(script, /"locked_domain": "example.org"/);
    assert.match(script, /"assets_path": "\/converse"/);
    assert.match(script, /import\('\.\/converse\.min\.js'\)/);
  });

  it('connects to the path of the listeners, also to that which a reload brings, unless it is told another', async () => {
    const endpoints = { websocket: '/ws', bosh: '/bosh' };
    const usual = await serve(webclient, {}, 'example.org', endpoints);
    const other = await serve(webclient, { websocket: '/mine' }, 'example.org', endpoints);
    const script = async (of: Routes) => (await ask(of, '/converse/start.js')).body;
    assert.match(await script(usual), /new URL\("\/ws", /);
    Object.assign(endpoints, { websocket: '/moved' });
    assert.match(await script(usual), /new URL\("\/moved", /);
    assert.match(await script(other), /new URL\("\/mine", /);
  });

  it('writes no setting in a way that could end a script', async () => {
    const nasty = await serve(webclient, { title: '</script><script>alert(1)</script>', websocket: '/</script>' });
    for (const path of ['/', '/converse/start.js'])
      assert.doesNotMatch((await ask(nasty, path)).body, /<\/?script>alert|\/<\/script>/);
  });

  it('sends files compressed to those who take it, and 304 to those who have them', async () => {
    const plain = await ask(routes, '/converse/converse.min.css');
    const shrunk = await ask(routes, '/converse/converse.min.css', { headers: { 'accept-encoding': 'br, gzip' } });
    assert.equal(shrunk.headers.get('content-encoding'), 'gzip');
    assert.equal(gunzipSync(shrunk.bytes).toString(), plain.body);
    const known = await ask(routes, '/converse/converse.min.css', { headers: { 'if-none-match': plain.headers.get('etag')! } });
    assert.deepEqual([known.status, known.body], [304, '']);
  });

  for (const name of [
    '../package.json',
    '..%2fpackage.json',
    '%2e%2e/package.json',
    '/etc/passwd',
    'converse.min.js.map',
    'converse.js',
    '',
    'constructor',
    '__proto__',
  ]) {
    it(`has no file ${JSON.stringify(name)}`, async () => {
      assert.equal((await ask(routes, `/converse/${name}`)).status, 404);
    });
  }

  it('knows no other pages', async () => {
    assert.equal((await ask(routes, '/index.php')).status, 404);
  });
});
