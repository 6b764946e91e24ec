import assert from 'node:assert/strict';
import { type Origin, TrustedProxies } from '../../../src/net/addresses.ts';
import { findClient } from '../../../src/net/forwarded.ts';
import { parseProxyHeader } from '../../../src/net/proxy-protocol.ts';
import { TcpListener } from '../../../src/net/tcp.ts';
import { TestHttp } from './http-support.ts';
import { Accepting, type Client, dial, dialTls, LogRecorder, makeFolder, openStore, roomyAddressLimits } from './support.ts';

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** A header of version 2. */
function binary(
  command: number,
  family: number,
  addresses: Buffer,
  additions: Buffer = Buffer.alloc(0),
  length?: number,
): Buffer {
  const head = Buffer.from([command, family, 0, 0]);
  head.writeUInt16BE(length ?? addresses.length + additions.length, 2);
  return Buffer.concat([SIGNATURE, head, addresses, additions]);
}

const IPV4 = Buffer.from([192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x14, 0x66]);
const IPV6 = Buffer.from('20010db800000000000000000000000120010db80000000000000000000000021267 1466'.replace(' ', ''), 'hex');
const SSL = Buffer.from([0x20, 0, 5, 0x01, 0, 0, 0, 0]);
const NO_SSL = Buffer.from([0x20, 0, 5, 0x00, 0, 0, 0, 0]);

describe('the PROXY protocol', () => {
  for (const [name, bytes, origin] of [
    ['TCP over IPv4', Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.1 4711 5222\r\n'), { address: '192.0.2.7', port: 4711 }],
    ['TCP over IPv6', Buffer.from('PROXY TCP6 2001:DB8:0::1 2001:db8::2 4711 5222\r\n'), { address: '2001:db8::1', port: 4711 }],
    ['IPv4 within IPv6', Buffer.from('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n'), { address: '192.0.2.7', port: 1 }],
    ['something unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
    ['something unknown with more', Buffer.from('PROXY UNKNOWN ff:ff ff:ff 1 x\r\n'), undefined],
    ['the largest ports', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 65535 0\r\n'), { address: '1.2.3.4', port: 65535 }],
    ['TCP over IPv4, binary', binary(0x21, 0x11, IPV4), { address: '192.0.2.7', port: 4711, secure: false }],
    ['TCP over IPv6, binary', binary(0x21, 0x21, IPV6), { address: '2001:db8::1', port: 4711, secure: false }],
    ['TLS with the proxy', binary(0x21, 0x11, IPV4, SSL), { address: '192.0.2.7', port: 4711, secure: true }],
    ['no TLS with the proxy', binary(0x21, 0x11, IPV4, NO_SSL), { address: '192.0.2.7', port: 4711, secure: false }],
    [
      'other additions',
      binary(0x21, 0x11, IPV4, Buffer.from([0x04, 0, 2, 0, 0, 0xea, 0, 0])),
      { address: '192.0.2.7', port: 4711, secure: false },
    ],
    ['the proxy itself', binary(0x20, 0x00, Buffer.alloc(0)), undefined],
    ['the proxy itself, with addresses that do not matter', binary(0x20, 0x11, IPV4), undefined],
    ['an unspecified family', binary(0x21, 0x00, Buffer.alloc(20)), undefined],
  ] as const) {
    it(`reads ${name}, wherever it is cut, and nothing behind it`, () => {
      const behind = Buffer.concat([bytes, Buffer.from('<stream:stream>')]);
      for (let length = 0; length < bytes.length; length++) assert.equal(parseProxyHeader(behind.subarray(0, length)), undefined);
      for (let length = bytes.length; length <= behind.length; length++) {
        assert.deepEqual(parseProxyHeader(behind.subarray(0, length)), { length: bytes.length, origin });
      }
    });
  }

  for (const [name, bytes] of [
    ['no header', Buffer.from('<stream:stream>')],
    ['TLS', Buffer.from([0x16, 3, 1, 2, 0])],
    ['HTTP', Buffer.from('POST / HTTP/1.1\r\n')],
    ['small letters', Buffer.from('proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n')],
    ['a line without an end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
    ['a line that is too long', Buffer.from(`PROXY UNKNOWN ${'1'.repeat(100)}\r\n`)],
    [
      'a line feed alone',
      Buffer.from(
        'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n<stream:stream xmlns="jabber:client" to="a.example" version="1.0" xmlns:stream="x">',
      ),
    ],
    ['another family', Buffer.from('PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n')],
    ['an address of the other family', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
    ['an address of the other family, again', Buffer.from('PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n')],
    ['an address that is none', Buffer.from('PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n')],
    ['an address in octal', Buffer.from('PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n')],
    ['a short address', Buffer.from('PROXY TCP4 127.1 5.6.7.8 1 2\r\n')],
    ['a name', Buffer.from('PROXY TCP4 localhost 5.6.7.8 1 2\r\n')],
    ['an address with a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
    ['a port beyond all ports', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n')],
    ['a port with a zero before it', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n')],
    ['a port with a sign', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n')],
    ['a missing port', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n')],
    ['two spaces', Buffer.from('PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n')],
    ['a space at the end', Buffer.from('PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n')],
    ['a NUL', Buffer.from('PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n')],
    ['another version', binary(0x11, 0x11, IPV4)],
    ['another command', binary(0x22, 0x11, IPV4)],
    ['UDP', binary(0x21, 0x12, IPV4)],
    ['a Unix socket', binary(0x21, 0x31, Buffer.alloc(216))],
    ['an unknown family', binary(0x21, 0x41, Buffer.alloc(216))],
    ['addresses that are cut off', binary(0x21, 0x11, IPV4.subarray(0, 11))],
    ['addresses of the other family', binary(0x21, 0x21, IPV4)],
    ['additions that are cut off', binary(0x21, 0x11, IPV4, Buffer.from([0x04, 0]))],
    ['an addition that reaches beyond the header', binary(0x21, 0x11, IPV4, Buffer.from([0x04, 0, 9, 0]))],
    ['a header that is too long', binary(0x21, 0x11, IPV4, Buffer.alloc(0), 5000)],
    ['a broken signature', Buffer.from('0d0a0d0a000d0a515549540b2111000c', 'hex')],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.throws(() => parseProxyHeader(bytes), /^Error: /);
    });
  }

  describe('of a listener', () => {
    let folder: Awaited<ReturnType<typeof makeFolder>>;
    let log: LogRecorder;
    let accepting: Accepting;
    let cleanups: (() => void)[];
    before(async () => void (folder = await makeFolder()));
    after(() => folder.remove());
    beforeEach(() => {
      log = new LogRecorder();
      accepting = new Accepting();
      cleanups = [];
    });
    afterEach(() => {
      for (const cleanup of cleanups) cleanup();
      for (const { transport } of accepting.recorders) transport.destroy();
    });

    const HEADER = 'PROXY TCP4 192.0.2.7 198.51.100.1 4711 5222\r\n';

    async function listen(type: 'c2s' | 'c2s-tls' = 'c2s', trusted = ['127.0.0.1/32']) {
      const config = { type, port: 0, addresses: ['127.0.0.1'], proxyProtocol: true };
      const limits = roomyAddressLimits(log);
      const certificates = await openStore(folder.path);
      const listener = new TcpListener({
        config,
        certificates,
        limits,
        proxies: new TrustedProxies(trusted),
        log,
        accept: accepting.accept,
      });
      await listener.listen();
      cleanups.push(() => listener.close());
      return { port: listener.port, limits };
    }

    async function connect(port: number): Promise<Client> {
      const client = await dial(port);
      cleanups.push(() => client.socket.destroy());
      return client;
    }

    it('says where clients come from, and hands on what follows', async () => {
      const { port, limits } = await listen();
      const client = await connect(port);
      client.socket.write(`${HEADER}<stream>`);
      const server = await accepting.next();
      await server.until(() => server.text === '<stream>');
      const { remoteAddress, remotePort, loopback } = server.transport;
      assert.deepEqual([remoteAddress, remotePort, loopback], ['192.0.2.7', 4711, false]);
      assert.equal(limits.openOf('192.0.2.7'), 1);
      client.socket.write('<more>');
      await server.until(() => server.text === '<stream><more>');
      server.transport.send('<answer>');
      await client.until(() => client.received === '<answer>');
      client.socket.destroy();
      await server.until(() => server.isClosed);
      assert.equal(limits.openOf('192.0.2.7'), 0);
    });

    it('may come in pieces', async () => {
      const { port } = await listen();
      const client = await connect(port);
      for (const char of `${HEADER}<stream>`) {
        client.socket.write(char);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const server = await accepting.next();
      await server.until(() => server.text === '<stream>');
    });

    it('keeps what follows until a core that pauses at once goes on', async () => {
      const { port } = await listen();
      accepting.onAccept = ({ transport }) => transport.pause();
      const client = await connect(port);
      client.socket.write(`${HEADER}<stream>`);
      const server = await accepting.next();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(server.text, '');
      server.transport.resume();
      await server.until(() => server.text === '<stream>');
    });

    it('is the proxy itself when it says nothing else', async () => {
      const { port } = await listen();
      (await connect(port)).socket.write(binary(0x20, 0, Buffer.alloc(0)));
      assert.equal((await accepting.next()).transport.remoteAddress, '127.0.0.1');
    });

    it('says that the client speaks TLS with the proxy', async () => {
      const { port } = await listen();
      (await connect(port)).socket.write(binary(0x21, 0x11, IPV4, SSL));
      const { transport } = await accepting.next();
      assert.deepEqual([transport.secure, transport.tls], [true, undefined]);
    });

    it('stands before TLS', async () => {
      const { port } = await listen('c2s-tls');
      const plain = await connect(port);
      plain.socket.write(HEADER);
      plain.socket.removeAllListeners('data');
      const client = await dialTls(port, { socket: plain.socket });
      cleanups.push(() => client.socket.destroy());
      const server = await accepting.next();
      client.socket.write('<stream>');
      await server.until(() => server.text === '<stream>');
      assert.deepEqual([server.transport.remoteAddress, server.transport.secure], ['192.0.2.7', true]);
    });

    for (const [name, text] of [
      ['no header', '<stream:stream>'],
      ['a broken header', 'PROXY TCP4 x\r\n'],
    ] as const) {
      it(`closes the connection for ${name}`, async () => {
        const { port } = await listen();
        const client = await connect(port);
        client.socket.write(text);
        await client.until(() => client.isEnded || client.isClosed);
        assert.equal(accepting.recorders.length, 0);
        assert.deepEqual(log.texts('warn'), ['a proxy sent no good PROXY header']);
      });
    }

    it('is believed from nobody but trusted proxies', async () => {
      const { port } = await listen('c2s', ['10.0.0.0/8']);
      const client = await connect(port);
      client.socket.write(`${HEADER}<stream>`);
      await client.until(() => client.isEnded || client.isClosed);
      assert.equal(accepting.recorders.length, 0);
      assert.deepEqual(log.texts('warn'), ['a connection without PROXY protocol from an address that is no trusted proxy']);
    });

    it('is waited for by nobody when the listener closes', async () => {
      const { port } = await listen();
      const client = await connect(port);
      client.socket.write('PROXY ');
      await new Promise((resolve) => setImmediate(resolve));
      for (const cleanup of cleanups.splice(0, 1)) cleanup();
      await client.until(() => client.isEnded || client.isClosed);
    });

    it('also stands before HTTP', async () => {
      const server = await TestHttp.start({ proxyProtocol: true, proxies: ['127.0.0.1/32'] });
      cleanups.push(() => server.stop());
      server.site.add(undefined, '/', (request, response) => void response.end(request.remoteAddress));
      const client = await connect(server.port);
      client.socket.write(`${HEADER}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      await client.until(() => client.isEnded);
      assert.match(client.received, /\r\n\r\n192\.0\.2\.7$/);
    });
  });
});

describe('the headers of reverse proxies', () => {
  const proxies = new TrustedProxies(['127.0.0.1/32', '10.0.0.0/8', '2001:db8:1::/48']);
  const peer: Origin = { address: '127.0.0.1', port: 1 };

  for (const [headers, address, secure] of [
    [{ 'x-forwarded-for': '192.0.2.7' }, '192.0.2.7', false],
    [{ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'https' }, '192.0.2.7', true],
    [{ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'HTTPS' }, '192.0.2.7', true],
    [{ 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http' }, '192.0.2.7', false],
    [{ 'x-forwarded-for': '192.0.2.7:4711' }, '192.0.2.7', false],
    [{ 'x-forwarded-for': '2001:db8::1' }, '2001:db8::1', false],
    [{ 'x-forwarded-for': '[2001:db8::1]' }, '2001:db8::1', false],
    [{ 'x-forwarded-for': '[2001:db8::1]:4711' }, '2001:db8::1', false],
    [{ 'x-forwarded-for': '::ffff:192.0.2.7' }, '192.0.2.7', false],
    // What the client has written itself stands on the left, and is not believed.
    [{ 'x-forwarded-for': '127.0.0.1, 192.0.2.7' }, '192.0.2.7', false],
    [{ 'x-forwarded-for': '203.0.113.9, 192.0.2.7, 10.1.2.3' }, '192.0.2.7', false],
    [{ 'x-forwarded-for': '10.1.2.3, 10.4.5.6' }, '10.1.2.3', false],
    [{ 'x-forwarded-for': '203.0.113.9, 192.0.2.7, 10.1.2.3', 'x-forwarded-proto': 'http, https, http' }, '192.0.2.7', true],
    [{ forwarded: 'for=192.0.2.7' }, '192.0.2.7', false],
    [{ forwarded: 'FOR=192.0.2.7;Proto=HTTPS;by=203.0.113.43;host=example.org' }, '192.0.2.7', true],
    [{ forwarded: 'for="192.0.2.7:4711"' }, '192.0.2.7', false],
    [{ forwarded: 'for="[2001:db8::1]:4711";proto=https' }, '2001:db8::1', true],
    [{ forwarded: 'for="[2001:db8::1]:_port"' }, '2001:db8::1', false],
    [{ forwarded: 'for=203.0.113.9;proto=https, for=192.0.2.7;proto=http, for=10.1.2.3;proto=https' }, '192.0.2.7', false],
    [{ forwarded: 'for=192.0.2.7;ext="a,b;c=\\"d"' }, '192.0.2.7', false],
    [{ forwarded: 'for=192.0.2.7', 'x-forwarded-for': '192.0.2.7' }, '192.0.2.7', false],
    [{ 'x-forwarded-proto': 'https' }, '127.0.0.1', undefined],
  ] as const) {
    it(`say with ${JSON.stringify(headers)} that it is ${address}`, () => {
      const client = findClient(headers, peer, proxies);
      assert.deepEqual([client?.address, client?.secure, client?.isHidden], [address, secure, undefined]);
    });
  }

  for (const value of ['unknown', '_hidden', '_SEVKISEK']) {
    it(`leave a client in the dark that is called ${value}, who is then not taken for local`, () => {
      const client = findClient({ forwarded: `for=${value}` }, peer, proxies);
      assert.deepEqual([client?.address, client?.isHidden], ['127.0.0.1', true]);
    });
  }

  it('name no more than the last proxy that is known, where a hop is unknown', () => {
    assert.equal(findClient({ forwarded: 'for=192.0.2.7, for=unknown, for=10.1.2.3' }, peer, proxies)?.address, '10.1.2.3');
  });

  for (const headers of [
    { 'x-forwarded-for': '' },
    { 'x-forwarded-for': 'localhost' },
    { 'x-forwarded-for': '192.0.2.7,' },
    { 'x-forwarded-for': '192.0.2.256' },
    { 'x-forwarded-for': '192.0.2.7 10.0.0.1' },
    { 'x-forwarded-for': '192.0.2.7:99999' },
    { 'x-forwarded-for': '[192.0.2.7]:x' },
    { 'x-forwarded-for': 'fe80::1%eth0' },
    { 'x-forwarded-for': 'constructor' },
    { 'x-forwarded-for': '192.0.2.7\0' },
    { 'x-forwarded-for': Array.from({ length: 40 }, () => '192.0.2.7').join() },
    { 'x-forwarded-for': ' '.repeat(5000) },
    { 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http, https' },
    { forwarded: '' },
    { forwarded: 'for' },
    { forwarded: 'for=' },
    { forwarded: 'for=192.0.2.7;' },
    { forwarded: 'for=192.0.2.7,' },
    { forwarded: 'for=192.0.2.7;for=192.0.2.8' },
    { forwarded: 'for="192.0.2.7' },
    { forwarded: 'for=192.0.2.7 proto=https' },
    { forwarded: 'for=example.org' },
    { forwarded: 'for=[2001:db8::1' },
    { forwarded: Array.from({ length: 40 }, () => 'for=192.0.2.7').join() },
    { forwarded: `for=192.0.2.7;x="${'\\"'.repeat(3000)}"` },
    { forwarded: 'for=192.0.2.7', 'x-forwarded-for': '192.0.2.8' },
    { forwarded: 'for=192.0.2.7;proto=https', 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http' },
  ]) {
    it(`are refused: ${JSON.stringify(headers).slice(0, 80)}`, () => {
      assert.equal(findClient(headers, peer, proxies), undefined);
    });
  }

  it("are not believed from others, but show that an address is not the client's own", () => {
    const stranger: Origin = { address: '192.0.2.99', port: 1 };
    assert.deepEqual(findClient({ forwarded: 'for=127.0.0.1;proto=https' }, stranger, proxies), { ...stranger, isHidden: true });
    assert.deepEqual(findClient({}, stranger, proxies), stranger);
  });

  it('come from trusted addresses by ranges, IPv4 and IPv6', () => {
    for (const [address, isTrusted] of [
      ['10.255.0.1', true],
      ['11.0.0.1', false],
      ['127.0.0.2', false],
      ['2001:db8:1:ffff::1', true],
      ['2001:db8:2::1', false],
      ['::1', false],
    ] as const) {
      assert.equal(proxies.has(address), isTrusted, address);
    }
    assert.equal(new TrustedProxies([]).has('127.0.0.1'), false);
  });
});
