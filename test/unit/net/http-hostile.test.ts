import assert from 'node:assert/strict';
import { type HttpOptions, TestHttp } from './http-support.ts';

describe('an HTTP listener with hostile clients', () => {
  let server: TestHttp;

  afterEach(() => server.stop());

  const start = async (options: HttpOptions = {}) => (server = await TestHttp.start(options));

  describe('with clients that are slow or too much', () => {
    it('closes who does not send headers in time', async () => {
      await start({ http: { headerTimeout: 50, requestTimeout: 50 } });
      const silent = await server.dial();
      const dribbling = await server.dial();
      dribbling.socket.write('GET / HTTP/1.1\r\nHost: exa');
      await Promise.all([silent, dribbling].map((client) => client.until(() => client.isEnded || client.isClosed)));
      assert.match(dribbling.received, /^HTTP\/1\.1 408 /);
    });

    it('closes who does not send the body in time', async () => {
      await start({ http: { headerTimeout: 50, requestTimeout: 50 } });
      const client = await server.dial();
      client.socket.write('POST /http-bind HTTP/1.1\r\nHost: example.org\r\nContent-Length: 100\r\n\r\n<body ');
      await client.until(() => client.isEnded || client.isClosed);
    });

    it('refuses headers that are too many or too long', async () => {
      await start();
      server.mirror('/', 'example.org');
      const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'x']));
      assert.equal((await server.ask('/', { headers: many })).status, 431);
      assert.equal((await server.ask('/', { headers: { 'x-long': 'x'.repeat(20_000) } })).status, 431);
    });

    it('logs what breaks the rules, some lines of it, and not what is only not there', async () => {
      await start();
      assert.equal((await server.ask('/nothing')).status, 404);
      assert.deepEqual(server.log.texts('warn'), []);
      for (let i = 0; i < 20; i++) {
        const client = await server.dial();
        client.socket.write('PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n\r\n');
        await client.until(() => client.isEnded || client.isClosed);
        assert.match(client.received, /^HTTP\/1\.1 400 /);
      }
      assert.equal((await server.ask('/', { headers: { 'x-long': 'x'.repeat(20_000) } })).status, 431);
      assert.equal(server.log.lines.length, 10);
      assert.deepEqual(server.log.lines[0]!.detail, { address: '127.0.0.1', status: 400 });
    });

    it('writes no refusal into the middle of a response', async () => {
      await start();
      server.site.add('example.org', '/slow', (_, response) => void response.write('half'));
      const client = await server.dial();
      client.socket.write('GET /slow HTTP/1.1\r\nHost: example.org\r\n\r\n');
      await client.until(() => client.received.includes('half'));
      client.socket.write('\0\0\0\r\n\r\n');
      await client.until(() => client.isEnded || client.isClosed);
      assert.doesNotMatch(client.received, / 400 /);
    });

    it('refuses what is no HTTP, or ambiguous', async () => {
      await start();
      server.mirror('/', 'example.org', ['POST']);
      for (const text of [
        'hello\r\n\r\n',
        '<stream:stream>\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n', // no Host
        'GET / HTTP/1.1\r\nHost: example.org\r\nhost: other.example\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
        'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
        'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n',
        'GET / HTTP/1.1\r\nHost : a\r\n\r\n',
      ]) {
        const client = await server.dial();
        client.socket.write(text);
        await client.until(() => client.isEnded || client.isClosed);
        assert.match(client.received.slice(0, 20), /^(HTTP\/1\.1 (400|501) |$)/, text);
      }
    });

    it('refuses an address with too many connections', async () => {
      await start();
      server.limits.config = { connectionsPerAddress: 1, connectionsPerMinute: 100, exemptLoopback: false };
      await server.dial();
      const second = await server.dial();
      await second.until(() => second.isEnded);
      assert.match(second.received, /^HTTP\/1\.1 429 /);
    });
  });
});
