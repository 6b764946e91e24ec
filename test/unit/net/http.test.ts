import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as requestSecure } from 'node:https';
import { HttpError } from '../../../src/net/http.ts';
import { type HttpOptions, TestHttp } from './http-support.ts';
import { makeFolder, openStore } from './support.ts';

describe('an HTTP listener', () => {
  let server: TestHttp;

  afterEach(() => server.stop());

  const start = async (options: HttpOptions = {}) => (server = await TestHttp.start(options));

  describe('with routes of modules', () => {
    it('serves the longest route, at its path and below', async () => {
      await start();
      for (const path of ['/', '/a', '/a/b/', '/a.json'])
        server.site.add('example.org', path, (_, response) => void response.end(path));
      for (const [path, route] of [
        ['/', '/'],
        ['/x', '/'],
        ['/a', '/a'],
        ['/a/', '/a'],
        ['/a/x', '/a'],
        ['/a/b', '/a'],
        ['/a/b/', '/a/b/'],
        ['/a/b/c', '/a/b/'],
        ['/ab', '/'],
        ['/a.json', '/a.json'],
        ['/a?x=/a/b/', '/a'],
      ] as const) {
        assert.equal((await server.ask(path)).body, route, path);
      }
    });

    it('gives routes back', async () => {
      await start();
      const giveBack = server.site.add('example.org', '/a', (_, response) => void response.end('a'));
      assert.equal((await server.ask('/a')).status, 200);
      giveBack();
      assert.equal((await server.ask('/a')).status, 404);
    });

    it('refuses two for one path', async () => {
      await start();
      server.site.add('example.org', '/a', () => {});
      assert.throws(() => server.site.add('example.org', '/a', () => {}), /two modules serve \/a/);
      server.site.add('other.example', '/a', () => {});
    });

    for (const [authority, expected] of [
      ['example.org', 'example.org'],
      ['example.org:5281', 'example.org'],
      ['EXAMPLE.org', 'example.org'],
      ['example.org.', 'example.org'],
      ['other.example', 'other.example'],
      ['xmpp.other.example', 'other.example'],
      ['localhost', 'example.org'],
      ['localhost:5280', 'example.org'],
      ['127.0.0.1:5280', 'example.org'],
      ['[::1]:5280', 'example.org'],
      ['[::1]', 'example.org'],
      ['elsewhere.test', 421],
      ['notexample.org', 421],
      ['example.org.evil.test', 421],
      ['example.org@evil.test', 421],
      ['evil.test/example.org', 421],
      ['__proto__', 421],
      ['-', 421],
    ] as const) {
      it(`takes Host: ${authority} for ${expected}`, async () => {
        await start();
        server.mirror('/', 'example.org');
        server.mirror('/', 'other.example');
        const { status, body } = await server.ask('/', { headers: { Host: authority } });
        if (typeof expected === 'number') assert.equal(status, expected);
        else assert.equal(JSON.parse(body).route, expected);
      });
    }

    it('takes the host of a target in absolute form (RFC 9112 section 3.2.2)', async () => {
      await start();
      server.mirror('/', 'example.org');
      server.mirror('/', 'other.example');
      assert.equal(JSON.parse((await server.ask('http://other.example/x?y')).body).route, 'other.example');
      assert.equal((await server.ask('http://elsewhere.test/x')).status, 421);
    });

    it('serves routes of no host to everybody', async () => {
      await start();
      server.mirror('/all');
      assert.equal((await server.ask('/all', { headers: { Host: 'elsewhere.test' } })).status, 200);
    });

    it('gives handlers the query, the body and where it comes from', async () => {
      await start();
      server.site.add(
        'example.org',
        '/',
        async (request, response) => {
          const body = await request.read(100);
          response.end(`${request.query.get('a')} ${body} ${request.remoteAddress} ${request.secure}`);
        },
        { methods: ['POST'] },
      );
      const { body } = await server.ask('/?a=b%20c', { method: 'POST', body: 'text' });
      assert.equal(body, 'b c text 127.0.0.1 false');
    });

    it('answers HEAD without a body, OPTIONS with the methods, and other methods with 405', async () => {
      await start();
      server.mirror('/', 'example.org');
      const head = await server.ask('/', { method: 'HEAD' });
      assert.deepEqual([head.status, head.body], [200, '']);
      const options = await server.ask('/', { method: 'OPTIONS' });
      assert.deepEqual([options.status, options.headers.allow], [204, 'GET, HEAD, OPTIONS']);
      for (const method of ['POST', 'PUT', 'DELETE', 'PROPFIND']) {
        const refused = await server.ask('/', { method });
        assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD, OPTIONS'], method);
      }
    });

    it('sets headers that keep browsers from guessing', async () => {
      await start();
      server.mirror('/', 'example.org');
      for (const path of ['/', '/health', '/nowhere/../x']) {
        const { headers } = await server.ask(path);
        assert.equal(headers['x-content-type-options'], 'nosniff', path);
        assert.equal(headers['referrer-policy'], 'no-referrer', path);
        assert.equal(headers['x-frame-options'], 'DENY', path);
      }
    });

    it('answers a handler that fails with 500 and no internals, and logs it', async () => {
      await start();
      server.site.add('example.org', '/throws', () => {
        throw new Error('secret path /etc');
      });
      server.site.add('example.org', '/rejects', async (_, response) => {
        response.setHeader('Content-Type', 'image/png');
        response.setHeader('Content-Length', '3');
        throw new Error('secret');
      });
      server.site.add('example.org', '/late', (_, response) => {
        response.write('half');
        throw new Error('secret');
      });
      for (const path of ['/throws', '/rejects']) {
        const { status, body, headers } = await server.ask(path);
        assert.deepEqual([status, body, headers['content-type']], [500, 'Internal Server Error\n', 'text/plain; charset=utf-8']);
      }
      await assert.rejects(server.ask('/late'), /aborted|ECONNRESET|hang up/);
      assert.deepEqual(server.log.texts('error'), ['a request failed', 'a request failed', 'a request failed']);
    });

    it('answers an HttpError with its status', async () => {
      await start();
      server.site.add('example.org', '/', () => {
        throw new HttpError(410, 'Gone');
      });
      const { status, body } = await server.ask('/');
      assert.deepEqual([status, body], [410, 'Gone\n']);
      assert.deepEqual(server.log.texts('error'), []);
    });

    it('refuses a body that is too long, announced or not', async () => {
      await start();
      server.site.add('example.org', '/', async (request, response) => void response.end(await request.read(10)), {
        methods: ['POST'],
      });
      assert.equal((await server.ask('/', { method: 'POST', body: '0123456789' })).body, '0123456789');
      const announced = await server.ask('/', { method: 'POST', body: '0123456789x' });
      assert.deepEqual([announced.status, announced.headers.connection], [413, 'close']);
      const client = await server.dial();
      client.socket.write('POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n0123456789abcde\r\n');
      await client.until(() => client.received.startsWith('HTTP/1.1 413 '));
    });
  });

  describe('with paths that could mean another', () => {
    for (const path of [
      '/..',
      '/../x',
      '/a/../b',
      '/a/./b',
      '/.',
      '/a/..',
      '/%2e%2e/x',
      '/%2E./x',
      '/a/%2e/b',
      '/a%2fb',
      '/a%2Fb',
      '/a%5cb',
      '/a\\b',
      '/\\..\\x',
      '/a//b',
      '//evil.test/x',
      '/a%00b',
      '/a%0ab',
      '/a%7f',
      '/%',
      '/%2',
      '/%zz',
      '/%u002e%u002e/x',
      '/a|b',
      '/a"b',
      '/a<b',
      '/a#b',
      '/ä',
      '*',
      'x',
      'ftp://example.org/',
      'http:///x',
    ]) {
      it(`refuses ${path}`, async () => {
        await start();
        server.mirror('/', 'example.org');
        const client = await server.dial();
        client.socket.write(Buffer.from(`GET ${path} HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n`, 'latin1'));
        await client.until(() => client.isEnded);
        assert.match(client.received, /^HTTP\/1\.1 400 /);
      });
    }

    for (const [path, shown] of [
      ['/a', '/a'],
      ['/%61', '/a'],
      ['/a%20b', '/a%20b'],
      ['/%c3%a4', '/%C3%A4'],
      ['/%252e%252e/x', '/%252e%252e/x'],
      ['/.well-known/host-meta', '/.well-known/host-meta'],
      ['/a..b/...', '/a..b/...'],
      ['/a;b=c,d', '/a;b=c,d'],
      ["/~a!$&'()*+@:", "/~a!$&'()*+@:"],
    ] as const) {
      it(`shows ${path} as ${shown}`, async () => {
        await start();
        server.mirror('/', 'example.org');
        assert.equal(JSON.parse((await server.ask(path)).body).path, shown);
      });
    }

    it('refuses a target that is too long', async () => {
      await start();
      assert.equal((await server.ask(`/${'a'.repeat(8200)}`)).status, 414);
    });
  });

  describe('with what the server itself serves', () => {
    it('checks its health once for all who ask at the same time', async () => {
      let checks = 0;
      let answer = () => {};
      const health = () => {
        checks++;
        return new Promise<{ ok: boolean }>((resolve) => (answer = () => resolve({ ok: true })));
      };
      await start({ health });
      const asked = [1, 2, 3].map(() => server.dial());
      for (const client of await Promise.all(asked)) client.socket.write('GET /health HTTP/1.1\r\nHost: example.org\r\n\r\n');
      // Asked behind the others, and answered: by then they have been read.
      assert.equal((await server.ask('/nothing')).status, 404);
      answer();
      for (const client of await Promise.all(asked)) await client.until(() => client.received.startsWith('HTTP/1.1 200 '));
      assert.equal(checks, 1);
      const again = server.ask('/health');
      while (checks < 2) await new Promise((resolve) => setImmediate(resolve));
      answer();
      assert.equal((await again).status, 200);
    });

    it('tells its health as JSON', async () => {
      let isWell = true;
      await start({ health: async () => ({ ok: isWell }) });
      const well = await server.ask('/health');
      assert.deepEqual([well.status, well.headers['content-type'], well.body], [200, 'application/json', '{"ok":true}\n']);
      isWell = false;
      const ill = await server.ask('/health');
      assert.deepEqual([ill.status, ill.body], [503, '{"ok":false}\n']);
    });

    it('is ill when it cannot find out', async () => {
      await start({
        health: () => {
          throw new Error('secret');
        },
      });
      const { status, body } = await server.ask('/health');
      assert.deepEqual([status, body], [503, '{"ok":false}\n']);
    });

    it('gives figures to whoever has a token', async () => {
      await start({ tokens: ['one', 'two'] });
      for (const [authorization, status] of [
        ['Bearer one', 200],
        ['bearer two', 200],
        ['Bearer three', 401],
        ['Bearer ', 401],
        ['Bearer onex', 401],
        ['Bearer on', 401],
        ['Basic one', 401],
        ['one', 401],
        ['Bearer one two', 401],
      ] as const) {
        const answer = await server.ask('/metrics', { headers: { Authorization: authorization } });
        assert.equal(answer.status, status, authorization);
        if (status === 200)
          assert.deepEqual([answer.body, answer.headers['content-type']], ['figures 1\n', 'text/plain; version=1']);
        else assert.deepEqual([answer.body, answer.headers['www-authenticate']], ['Unauthorized\n', 'Bearer']);
      }
      assert.equal((await server.ask('/metrics')).status, 401);
    });

    it('gives figures to everybody where there are no tokens', async () => {
      await start();
      assert.equal((await server.ask('/metrics')).body, 'figures 1\n');
      assert.equal((await server.ask('/metrics', { method: 'POST' })).status, 405);
    });

    it('serves only what it is told to', async () => {
      await start({ serve: ['health'] });
      server.mirror('/', 'example.org');
      assert.equal((await server.ask('/health')).status, 200);
      for (const path of ['/metrics', '/http-bind', '/xmpp-websocket', '/'])
        assert.equal((await server.ask(path)).status, 404, path);
    });

    it('says that the WebSocket endpoint wants an upgrade', async () => {
      await start();
      const { status, headers } = await server.ask('/xmpp-websocket');
      assert.deepEqual([status, headers.upgrade], [426, 'websocket']);
    });
  });

  describe('behind a proxy', () => {
    const proxies = ['127.0.0.1/32', '10.0.0.0/8'];

    for (const [headers, address, secure] of [
      [{}, '127.0.0.1', false],
      [{ 'X-Forwarded-For': '192.0.2.7' }, '192.0.2.7', false],
      [{ 'X-Forwarded-For': '192.0.2.7', 'X-Forwarded-Proto': 'https' }, '192.0.2.7', true],
      [{ Forwarded: 'for=192.0.2.7;proto=https' }, '192.0.2.7', true],
      [{ Forwarded: 'for="[2001:db8::1]:4711";proto=http' }, '2001:db8::1', false],
    ] as const) {
      it(`believes ${JSON.stringify(headers)} of one that is trusted`, async () => {
        await start({ proxies });
        server.mirror('/', 'example.org');
        const { remoteAddress, ...rest } = JSON.parse((await server.ask('/', { headers })).body);
        assert.deepEqual([remoteAddress, rest.secure], [address, secure]);
      });
    }

    it('believes nobody else', async () => {
      await start();
      server.mirror('/', 'example.org');
      const headers = { 'X-Forwarded-For': '192.0.2.7', 'X-Forwarded-Proto': 'https', Forwarded: 'for=192.0.2.7;proto=https' };
      const { remoteAddress, secure } = JSON.parse((await server.ask('/', { headers })).body);
      assert.deepEqual([remoteAddress, secure], ['127.0.0.1', false]);
    });

    it('refuses headers that are broken or contradict each other', async () => {
      await start({ proxies });
      server.mirror('/', 'example.org');
      for (const headers of [{ 'X-Forwarded-For': 'x' }, { 'X-Forwarded-For': '192.0.2.7', Forwarded: 'for=192.0.2.8' }]) {
        assert.equal((await server.ask('/', { headers: headers as Record<string, string> })).status, 400);
      }
    });
  });

  it('serves https, with the certificate of the host that is asked for', async () => {
    const folder = await makeFolder();
    try {
      const certificates = await openStore(folder.path, { 'example.org': 'self-signed' });
      await start({ type: 'https', certificates });
      server.mirror('/', 'example.org');
      const ca = certificates.list()[0]!.certificate.toString();
      const asking = requestSecure({
        port: server.port,
        host: '127.0.0.1',
        servername: 'example.org',
        ca,
        headers: { Host: 'example.org' },
        agent: false,
      });
      asking.end();
      const [response] = await once(asking, 'response');
      let body = '';
      for await (const chunk of response) body += chunk;
      assert.equal(JSON.parse(body).secure, true);
      const plain = await server.dial();
      plain.socket.write('GET / HTTP/1.1\r\nHost: example.org\r\n\r\n');
      await plain.until(() => plain.isEnded || plain.isClosed);
      assert.equal(plain.received.includes('200 OK'), false);
    } finally {
      await folder.remove();
    }
  });

  it('serves several requests over one connection, and closes it when it is idle at the end', async () => {
    await start();
    server.mirror('/', 'example.org');
    const client = await server.dial();
    for (let i = 1; i <= 3; i++) {
      client.socket.write(`GET /${i} HTTP/1.1\r\nHost: example.org\r\n\r\n`);
      await client.until(() => client.received.includes(`"path":"/${i}"`));
    }
    server.listener.close();
    await client.until(() => client.isEnded);
  });
});
