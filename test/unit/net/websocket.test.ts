import assert from 'node:assert/strict';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { type HttpOptions, TestHttp } from './http-support.ts';
import { type Client, dial, makeFolder, openStore, type Recorder } from './support.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='; // of RFC 6455 section 1.3
const HANDSHAKE: Readonly<Record<string, string>> = {
  Host: 'example.org',
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': KEY,
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Protocol': 'xmpp',
};
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A frame as a client sends it. */
function frame(
  opcode: number,
  payload: string | Buffer = '',
  options: { isFinal?: boolean; mask?: boolean; rsv?: number } = {},
): Buffer {
  const bytes = Buffer.from(payload);
  const { length } = bytes;
  const first = (options.isFinal === false ? 0 : 0x80) | (options.rsv ?? 0) | opcode;
  const bit = options.mask === false ? 0 : 0x80;
  let head = Buffer.from([first, bit | length]);
  if (length >= 0x10000) {
    head = Buffer.alloc(10);
    head.set([first, bit | 127]);
    head.writeUInt32BE(length, 6);
  } else if (length > 125) head = Buffer.from([first, bit | 126, length >> 8, length & 255]);
  if (options.mask === false) return Buffer.concat([head, bytes]);
  return Buffer.concat([head, MASK, bytes.map((byte, i) => byte ^ MASK[i % 4]!)]);
}

describe('a WebSocket', () => {
  let server: TestHttp;
  let clients: { terminate?(): void; socket?: { destroy(): void } }[];

  beforeEach(() => {
    clients = [];
  });
  afterEach(() => {
    for (const client of clients) client.terminate?.() ?? client.socket?.destroy();
    server.stop();
  });

  const start = async (options: HttpOptions = {}) => (server = await TestHttp.start(options));

  /** A client as browsers are. */
  async function open(
    options: { origin?: string; headers?: Record<string, string>; perMessageDeflate?: boolean } = {},
  ): Promise<WebSocket> {
    const client = new WebSocket(`ws://127.0.0.1:${server.port}/xmpp-websocket`, ['xmpp'], options);
    clients.push(client);
    await once(client, 'open');
    return client;
  }

  /** A client that writes its own frames. */
  async function openRaw(
    changes: Readonly<Record<string, string | undefined>> = {},
    behind: Buffer = Buffer.alloc(0),
  ): Promise<Client> {
    const client = await dial(server.port);
    clients.push(client);
    const headers = Object.entries({ ...HANDSHAKE, ...changes }).filter(([, value]) => value !== undefined);
    const head = `GET /xmpp-websocket HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
    client.socket.write(Buffer.concat([Buffer.from(head), behind]));
    await client.until(() => client.received.includes('\r\n\r\n'));
    return client;
  }

  async function openBoth(): Promise<{ client: Client; recorder: Recorder }> {
    const client = await openRaw();
    const recorder = await server.accepting.next();
    client.received = '';
    return { client, recorder };
  }

  describe('that opens', () => {
    it('is accepted as RFC 6455 wants it', async () => {
      await start();
      const client = await openRaw();
      const [status, ...headers] = client.received.split('\r\n');
      assert.equal(status, 'HTTP/1.1 101 Switching Protocols');
      assert.deepEqual(headers, [
        'Upgrade: websocket',
        'Connection: Upgrade',
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
        'Sec-WebSocket-Protocol: xmpp',
        '',
        '',
      ]);
    });

    for (const [name, changes, status] of [
      ['without the subprotocol', { 'Sec-WebSocket-Protocol': undefined }, 400],
      ['with other subprotocols only', { 'Sec-WebSocket-Protocol': 'chat, xmpp2' }, 400],
      ['without a key', { 'Sec-WebSocket-Key': undefined }, 400],
      ['with a key that is none', { 'Sec-WebSocket-Key': 'x' }, 400],
      ['with another version', { 'Sec-WebSocket-Version': '8' }, 426],
      ['to another protocol', { Upgrade: 'h2c' }, 400],
    ] as const) {
      it(`is refused ${name}`, async () => {
        await start();
        const client = await openRaw(changes);
        assert.match(client.received, new RegExp(`^HTTP/1\\.1 ${status} `));
        await client.until(() => client.isEnded);
        assert.equal(server.accepting.recorders.length, 0);
        await client.until(() => client.isEnded);
        assert.equal(server.websocket.open, 0);
      });
    }

    it('is not there at another path', async () => {
      await start();
      const client = await dial(server.port);
      clients.push(client);
      client.socket.write('GET /other HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
      await client.until(() => client.isEnded);
      assert.match(client.received, /^HTTP\/1\.1 404 /);
    });

    it('is not there where it is not served', async () => {
      await start({ serve: ['web'] });
      const client = await openRaw();
      assert.match(client.received, /^HTTP\/1\.1 404 /);
    });

    it('is only for pages of the origins that may', async () => {
      await start({ http: { origins: ['https://chat.example.org'] } });
      assert.match((await openRaw({ Origin: 'https://evil.test' })).received, /^HTTP\/1\.1 403 /);
      assert.match((await openRaw({ Origin: 'null' })).received, /^HTTP\/1\.1 403 /);
      assert.match((await openRaw({ Origin: 'https://chat.example.org.evil.test' })).received, /^HTTP\/1\.1 403 /);
      assert.match((await openRaw({ Origin: 'https://chat.example.org' })).received, /^HTTP\/1\.1 101 /);
      assert.match((await openRaw()).received, /^HTTP\/1\.1 101 /, 'what is no page has no origin');
    });

    it('takes what was sent right behind the request', async () => {
      await start();
      await openRaw({}, frame(1, '<open/>'));
      const recorder = await server.accepting.next();
      await recorder.until(() => recorder.text === '<open/>');
    });

    it('says where its client comes from', async () => {
      await start({ proxies: ['127.0.0.1/32'] });
      await openRaw({ 'X-Forwarded-For': '192.0.2.7', 'X-Forwarded-Proto': 'https' });
      const { transport } = await server.accepting.next();
      assert.deepEqual(
        [transport.kind, transport.framed, transport.remoteAddress, transport.secure, transport.loopback, transport.tls],
        ['websocket', true, '192.0.2.7', true, false, undefined],
      );
      await openRaw();
      assert.equal((await server.accepting.next()).transport.remoteAddress, '127.0.0.1');
    });

    it('is not local when it comes through a proxy that nobody trusts', async () => {
      await start();
      await openRaw({ 'X-Forwarded-For': '192.0.2.7' });
      assert.equal((await server.accepting.next()).transport.loopback, false);
      await openRaw();
      assert.equal((await server.accepting.next()).transport.loopback, true);
    });

    it('counts for the client behind a proxy, and no more once it is gone', async () => {
      await start({ proxies: ['127.0.0.1/32'] });
      server.limits.config = { connectionsPerAddress: 1, connectionsPerMinute: 100, exemptLoopback: false };
      const headers = { 'X-Forwarded-For': '192.0.2.7' };
      const first = await openRaw(headers);
      assert.match((await openRaw(headers)).received, /^HTTP\/1\.1 429 /);
      assert.match((await openRaw({ 'X-Forwarded-For': '192.0.2.8' })).received, /^HTTP\/1\.1 101 /);
      const recorder = await server.accepting.next();
      first.socket.destroy();
      await recorder.until(() => recorder.isClosed);
      assert.match((await openRaw(headers)).received, /^HTTP\/1\.1 101 /);
    });

    it('is one connection of its address, however it came', async () => {
      await start();
      const { client, recorder } = await openBoth();
      assert.equal(server.limits.openOf('127.0.0.1'), 1);
      client.socket.destroy();
      await recorder.until(() => recorder.isClosed);
      assert.equal(server.limits.openOf('127.0.0.1'), 0);
      assert.equal(server.websocket.open, 0);
    });
  });

  describe('that is open', () => {
    it('carries one message in each call, in both directions', async () => {
      await start();
      const client = await open();
      const recorder = await server.accepting.next();
      const received: string[] = [];
      client.on('message', (data, isBinary) => void received.push(`${isBinary ? 'binary ' : ''}${data}`));
      for (const text of ['<a/>', '<b>Grüße 🙂</b>', `<c>${'x'.repeat(200)}</c>`, `<d>${'y'.repeat(10_000)}</d>`])
        client.send(text);
      await recorder.until(() => recorder.chunks.length === 4);
      assert.deepEqual(
        recorder.chunks.map((chunk) => chunk.slice(0, 14)),
        ['<a/>', '<b>Grüße 🙂</b>'.slice(0, 14), `<c>${'x'.repeat(11)}`, `<d>${'y'.repeat(11)}`],
      );
      for (const text of ['<a/>', '<b>Grüße 🙂</b>']) recorder.transport.send(Buffer.from(text).toString('latin1'));
      while (received.length < 2) await once(client, 'message');
      assert.deepEqual(received, ['<a/>', '<b>Grüße 🙂</b>']);
    });

    it('writes frames of every length that others can read', async () => {
      await start();
      const client = await open();
      const recorder = await server.accepting.next();
      const received: number[] = [];
      client.on('message', (data: Buffer) => void received.push(data.length));
      const lengths = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 300_000];
      for (const length of lengths) recorder.transport.send('x'.repeat(length));
      while (received.length < lengths.length) await once(client, 'message');
      assert.deepEqual(received, lengths);
    });

    it('writes once what is sent in one turn', async () => {
      await start();
      const { client, recorder } = await openBoth();
      for (let i = 0; i < 50; i++) recorder.transport.send('<m/>');
      const [chunk] = (await once(client.socket, 'data')) as [Buffer];
      assert.equal(chunk.toString('latin1'), '\x81\x04<m/>'.repeat(50));
    });

    it('puts messages together again, wherever they are cut, and whatever control frames stand between', async () => {
      await start();
      const messages = ['<open/>', `<m>${'ä'.repeat(80)}</m>`, '<n/>'];
      const bytes = Buffer.concat([
        frame(1, messages[0]),
        frame(9, 'are you there?'),
        frame(1, messages[1]!.slice(0, 50), { isFinal: false }),
        frame(9),
        frame(0, messages[1]!.slice(50, 51), { isFinal: false }),
        frame(0, '', { isFinal: false }),
        frame(10, 'pong'),
        frame(0, messages[1]!.slice(51)),
        frame(1, messages[2]),
      ]);
      const { client, recorder } = await openBoth();
      for (let cut = 1; cut < bytes.length; cut++) {
        client.socket.write(bytes.subarray(0, cut));
        await new Promise((resolve) => setImmediate(resolve));
        client.socket.write(bytes.subarray(cut));
        await recorder.until(() => recorder.chunks.length === 3);
        assert.deepEqual(recorder.chunks.splice(0), messages, `cut at ${cut}`);
      }
    });

    it('says how much it holds of a message that is not complete', async () => {
      await start();
      const { client, recorder } = await openBoth();
      assert.equal(recorder.transport.pendingBytes, 0);
      client.socket.write(Buffer.concat([frame(1, 'x'.repeat(100), { isFinal: false }), frame(0, 'yyyy').subarray(0, 8)]));
      client.socket.write(frame(0, 'yyyy').subarray(8));
      await recorder.until(() => recorder.chunks.length === 1);
      assert.equal(recorder.transport.pendingBytes, 0);
      client.socket.write(
        Buffer.concat([frame(9), frame(1, 'x'.repeat(100), { isFinal: false }), frame(0, 'yyyy').subarray(0, 8)]),
      );
      await client.until(() => client.received !== ''); // the answer to the ping
      assert.equal(recorder.transport.pendingBytes, 109);
    });

    it('holds something of a message that has begun with nothing', async () => {
      await start();
      const { client, recorder } = await openBoth();
      client.socket.write(Buffer.concat([frame(1, '', { isFinal: false }), frame(0, '', { isFinal: false }), frame(9)]));
      await client.until(() => client.received !== '');
      assert.ok(recorder.transport.pendingBytes! > 0);
    });

    it('tells the core of pings, and reads none while that is pausing it', async () => {
      await start();
      const { client, recorder } = await openBoth();
      const told: number[] = [];
      recorder.transport.handler.overhead = (bytes) => {
        if (told.push(bytes) === 2) recorder.transport.pause();
      };
      client.socket.write(Buffer.concat([frame(9, 'one'), frame(9), frame(9, 'three'), frame(9)]));
      await client.until(() => client.received === '\x8a\x03one\x8a\x00');
      assert.deepEqual(told, [67, 64]);
      recorder.transport.resume();
      await client.until(() => client.received.endsWith('\x8a\x05three\x8a\x00'));
    });

    it('reads messages that come byte by byte', async () => {
      await start();
      const { client, recorder } = await openBoth();
      for (const byte of frame(1, `<m>${'x'.repeat(150)}</m>`)) {
        client.socket.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await recorder.until(() => recorder.chunks.length === 1);
      assert.equal(recorder.text.length, 157);
    });

    it('answers pings with the same words', async () => {
      await start();
      const { client } = await openBoth();
      client.socket.write(frame(9, 'are you there?'));
      await client.until(() => client.received === '\x8a\x0eare you there?');
    });

    it('tells nothing while paused, not even what came in the same packet', async () => {
      await start();
      const { client, recorder } = await openBoth();
      recorder.onData = () => recorder.transport.pause();
      client.socket.write(Buffer.concat([frame(1, 'one'), frame(1, 'two'), frame(1, 'three').subarray(0, 4)]));
      await recorder.until(() => recorder.chunks.length === 1);
      client.socket.write(frame(1, 'three').subarray(4));
      recorder.transport.resume();
      await recorder.until(() => recorder.chunks.length === 2);
      assert.deepEqual(recorder.chunks, ['one', 'two']);
      recorder.transport.resume();
      await recorder.until(() => recorder.chunks.length === 3);
      assert.deepEqual(recorder.chunks, ['one', 'two', 'three']);
    });

    it('compresses nothing, though a client offers it', async () => {
      await start();
      const client = await open({ perMessageDeflate: true });
      assert.equal(client.extensions, '');
    });

    it('takes longer messages once it is told to', async () => {
      await start();
      const { client, recorder } = await openBoth();
      recorder.transport.limitMessages!(100_000);
      client.socket.write(frame(1, 'x'.repeat(90_000)));
      await recorder.until(() => recorder.text.length === 90_000);
    });
  });

  describe('whose client breaks the protocol', () => {
    it('is over for the core at once, which is told why', async () => {
      await start();
      const { client, recorder } = await openBoth();
      client.socket.pause(); // it does not even take the goodbye
      client.socket.write(frame(2, '<a/>'));
      await recorder.until(() => recorder.isClosed);
      assert.equal(recorder.error?.message, 'binary data');
    });

    for (const [name, bytes, code] of [
      ['a frame without a mask', frame(1, '<a/>', { mask: false }), 1002],
      ['reserved bits', frame(1, '<a/>', { rsv: 0x40 }), 1002],
      ['binary data', frame(2, '<a/>'), 1003],
      ['an unknown opcode', frame(3, '<a/>'), 1002],
      ['an unknown control frame', frame(11), 1002],
      ['the end of a message that never began', frame(0, '<a/>'), 1002],
      ['a message within another', Buffer.concat([frame(1, '<a', { isFinal: false }), frame(1, '/>')]), 1002],
      ['a control frame in pieces', frame(9, 'x', { isFinal: false }), 1002],
      ['a control frame that is too long', Buffer.concat([Buffer.from([0x89, 0xfe, 0, 126]), MASK, Buffer.alloc(126)]), 1002],
      ['a length in more bytes than it needs', Buffer.concat([Buffer.from([0x81, 0xfe, 0, 5]), MASK, Buffer.alloc(5)]), 1002],
      ['a long length in more bytes than it needs', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 1, 0]), 1002],
      ['a message that is too long', frame(1, 'x'.repeat(16_385)), 1009],
      ['a message that only says it is too long', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]), 1009],
      ['a message beyond all bounds', Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1009],
      [
        'pieces that are too long together',
        Buffer.concat(
          Array.from({ length: 17 }, (_, i) => frame(i && 0, 'x'.repeat(1000), { isFinal: false }).fill(i ? 0 : 1, 0, 1)),
        ),
        1009,
      ],
      ['half a code for its goodbye', frame(8, 'x'), 1002],
      ['a code that must not be sent', frame(8, Buffer.from([1005 >> 8, 1005 & 255])), 1002],
      ['a code below all codes', frame(8, Buffer.from([0, 1])), 1002],
    ] as const) {
      it(`is closed with ${code} for ${name}`, async () => {
        await start();
        const { client, recorder } = await openBoth();
        client.socket.write(bytes);
        await client.until(() => client.isEnded);
        assert.equal(client.received, `\x88\x02${String.fromCharCode(code >> 8, code & 255)}`);
        client.socket.end();
        await recorder.until(() => recorder.isClosed);
        assert.deepEqual(recorder.chunks, []);
      });
    }
  });

  describe('that ends', () => {
    it('by the server: says goodbye, waits for the answer, closes', async () => {
      await start();
      const client = await open();
      const recorder = await server.accepting.next();
      const received: string[] = [];
      client.on('message', (data) => void received.push(String(data)));
      recorder.transport.send('<close/>');
      recorder.transport.end();
      recorder.transport.send('nothing more');
      const [code] = await once(client, 'close');
      assert.deepEqual([code, received], [1000, ['<close/>']]);
      await recorder.until(() => recorder.isClosed);
      assert.equal(recorder.error, undefined);
    });

    it('by the client: is answered with the same code', async () => {
      await start();
      const client = await open();
      const recorder = await server.accepting.next();
      client.close(1001);
      const [code] = await once(client, 'close');
      assert.equal(code, 1001);
      await recorder.until(() => recorder.isClosed);
    });

    it('is cut off when the client does not answer in time', async () => {
      await start();
      const { client, recorder } = await openBoth();
      recorder.transport.end(20);
      await recorder.until(() => recorder.isClosed);
      await client.until(() => client.isEnded);
    });

    it('hears nothing any more once it ends', async () => {
      await start();
      const { client, recorder } = await openBoth();
      recorder.transport.end();
      client.socket.end(Buffer.concat([frame(1, '<message/>'), frame(8)]));
      await recorder.until(() => recorder.isClosed);
      assert.deepEqual(recorder.chunks, []);
    });
  });

  it('is asked whether it is still there, and closed when it does not answer', async () => {
    await start({ pingEvery: 1000 });
    const { client, recorder } = await openBoth();
    const began = server.websocket.now;
    server.websocket.sweep(began + 500);
    server.websocket.sweep(began + 1500);
    await client.until(() => client.received === '\x89\x00');
    client.socket.write(frame(10));
    client.socket.write(frame(1, '<a/>'));
    await recorder.until(() => recorder.text === '<a/>');
    server.websocket.sweep(began + 2400);
    server.websocket.sweep(began + 2600);
    await client.until(() => client.received === '\x89\x00\x89\x00');
    server.websocket.sweep(began + 3500);
    assert.equal(recorder.isClosed, false);
    server.websocket.sweep(began + 3700);
    await recorder.until(() => recorder.isClosed);
  });

  it('does not take a client for dead that the core does not read', async () => {
    await start({ pingEvery: 1000 });
    const { recorder } = await openBoth();
    const began = server.websocket.now;
    recorder.transport.pause();
    for (let i = 1; i < 10; i++) server.websocket.sweep(began + i * 1000);
    recorder.transport.resume();
    server.websocket.sweep(began + 9500);
    assert.equal(recorder.isClosed, false);
    assert.equal(server.websocket.open, 1);
  });

  it('runs over TLS, and can be bound to it', async () => {
    const folder = await makeFolder();
    try {
      const certificates = await openStore(folder.path);
      await start({ type: 'https', certificates });
      const client = new WebSocket(`wss://127.0.0.1:${server.port}/xmpp-websocket`, ['xmpp'], { rejectUnauthorized: false });
      clients.push(client);
      await once(client, 'open');
      const recorder = await server.accepting.next();
      client.send('<open/>');
      await recorder.until(() => recorder.text === '<open/>');
      const { secure, tls } = recorder.transport;
      assert.equal(secure, true);
      assert.equal(tls!.protocol, 'TLSv1.3');
      assert.equal(tls!.exporter()!.length, 32);
      recorder.transport.send('<close/>');
      recorder.transport.end();
      await once(client, 'close');
    } finally {
      await folder.remove();
    }
  });
});
