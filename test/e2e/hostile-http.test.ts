import assert from 'node:assert/strict';
import { RawClient } from '../support/raw-client.ts';
import { besiege } from '../support/siege.ts';

// Attacks on what is served over HTTP: WebSocket, BOSH, pages. While two others chat.

const ORIGIN = 'https://chat.example';
const NS_BOSH = 'http://jabber.org/protocol/httpbind';
const MASK = [0, 0, 0, 0];
const OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>";
const times = (count: number, make: (i: number) => string) => Array.from({ length: count }, (_, i) => make(i)).join('');

/** A frame with its first byte, a mask of zeros, and a payload shorter than 126 bytes. */
function frame(first: number, payload: string, length = payload.length): Buffer {
  return Buffer.from([first, 0x80 | length, ...MASK, ...Buffer.from(payload)]);
}

/** What is sent on a WebSocket, the code of the close frame that is the answer, and what is logged. */
const FRAMES: readonly (readonly [string, Buffer, number, RegExp])[] = [
  ['binary data', frame(0x82, OPEN), 1003, /binary data/],
  ['a frame that says it is compressed', frame(0xc1, OPEN), 1002, /reserved bits/],
  ['a frame without a mask', Buffer.from([0x81, 3, ...Buffer.from('<a>')]), 1002, /without a mask/],
  ['a ping in pieces', frame(0x09, 'x'), 1002, /in pieces/],
  ['a frame of two gigabytes', Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, ...MASK]), 1009, /too long/],
  ['a frame of exabytes', Buffer.from([0x81, 0xff, ...Buffer.alloc(8, 0xff)]), 1009, /beyond all bounds/],
  ['a message in pieces without end', Buffer.concat([frame(1, 'x'), Buffer.alloc(20_000 * 7, frame(0, 'x'))]), 1009, /too long/],
];

/** What is sent in a good frame before log-in, and the error that ends the stream. */
const MESSAGES: readonly (readonly [string, string, string])[] = [
  ['a document type', '<!DOCTYPE x>', 'restricted-xml'],
  ['two elements', "<presence xmlns='jabber:client'/><presence/>", 'bad-format'],
  ['half an element', '<presence>', 'not-well-formed'],
  ['nothing', '', 'bad-format'],
  ['a header of TCP', "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='localhost'>", 'not-well-formed'],
];

/** A request as it is, and the status of the answer; none where the line is only to be closed. */
const REQUESTS: readonly (readonly [string, string, number | undefined])[] = [
  ['dots', 'GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['dots in escapes', 'GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['a backslash in escapes', 'GET /..%5c..%5cetc HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['a slash in escapes', 'GET /..%2f..%2fetc HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['escapes that are none', 'GET /%u002e%u002e/x HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['escapes within escapes', 'GET /%252e%252e/etc HTTP/1.1\r\nHost: localhost\r\n\r\n', 404],
  ['NUL in an escape', 'GET /x%00 HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['another host in the target', 'GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 421],
  ['a target of another kind', 'GET ftp://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n', 400],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['a Host twice', 'GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n', 400],
  ['a target without end', `GET /${'x'.repeat(12_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 414],
  ['a header without end', `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(100_000)}`, 431],
  ['ten thousand headers', `GET / HTTP/1.1\r\nHost: localhost\r\n${times(10_000, (i) => `X${i}: x\r\n`)}\r\n`, 431],
  ['two hundred headers', `GET / HTTP/1.1\r\nHost: localhost\r\n${times(200, (i) => `X${i}: x\r\n`)}\r\n`, 431],
  ['a bare line feed in a header', 'GET / HTTP/1.1\r\nHost: localhost\r\nX: a\n\tb\r\n\r\n', 400],
  [
    'a length and chunks',
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    400,
  ],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 400],
  [
    'PROXY protocol that is not expected',
    'PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    400,
  ],
  ['a stream of XMPP', "<stream:stream to='localhost'>\r\n\r\n", 400],
  ['TLS', '\x16\x03\x01\x01\r\n\r\n', 400],
  ['TRACE', 'TRACE /health HTTP/1.1\r\nHost: localhost\r\n\r\n', 405],
  ['CONNECT', 'CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n', undefined],
  ['an upgrade elsewhere', 'GET /health HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n', 404],
  [
    'an upgrade to something else',
    'GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n',
    400,
  ],
];

describe('two who chat are not harmed, over HTTP, by', () => {
  const siege = besiege({ http: { origins: [ORIGIN], boshRequests: 2 }, limits: { exemptLoopback: true, bytesPerSecond: 0 } }, 5);

  /** What comes for one request, when the line is closed after it. */
  async function ask(request: string): Promise<string> {
    const client = await RawClient.connect(siege.server.http, siege.address);
    client.send(Buffer.from(request, 'latin1'));
    await Promise.race([client.until(/^HTTP\/1\.1 [\s\S]*?\r\n\r\n/).then(([head]) => (client.received = head)), client.end()]);
    client.close();
    return client.received;
  }

  function upgrade(changes: Readonly<Record<string, string>> = {}): string {
    const headers = {
      Host: 'localhost',
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol': 'xmpp',
      ...changes,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    return `GET /xmpp-websocket HTTP/1.1\r\n${lines.join('')}\r\n`;
  }

  async function openWebSocket(): Promise<RawClient> {
    const client = await RawClient.connect(siege.server.http, siege.address);
    client.send(upgrade());
    await client.until(/^HTTP\/1\.1 101 [\s\S]*?\r\n\r\n/);
    return client;
  }

  describe('WebSocket:', () => {
    for (const [name, bytes, code, line] of FRAMES) {
      it(`${name}: closed with ${code}`, async () => {
        const client = await openWebSocket();
        client.send(bytes);
        assert.equal(await client.end(), `\x88\x02${String.fromCharCode(code >> 8, code & 255)}`);
        await siege.others.areUnharmed(line);
      });
    }

    for (const [name, xml, condition] of MESSAGES) {
      it(`${name}: ${condition}`, async () => {
        const client = await openWebSocket();
        client.send(frame(0x81, xml));
        await client.until(new RegExp(`<stream:error [^>]*><${condition} .*</stream:error>`));
        await client.until(/<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'\/>\x88/);
        client.close();
        await siege.others.areUnharmed(new RegExp(`"transport":"websocket".*"condition":"${condition}"`));
      });
    }

    for (const [name, changes, status] of [
      ['another subprotocol', { 'Sec-WebSocket-Protocol': 'chat' }, 400],
      ['another version', { 'Sec-WebSocket-Version': '8' }, 426],
      ['no key', { 'Sec-WebSocket-Key': 'x' }, 400],
      ['a page of somebody else', { Origin: 'https://evil.example' }, 403],
      ['an origin that only begins alike', { Origin: `${ORIGIN}.evil.example` }, 403],
      ['no origin at all to speak of', { Origin: 'null' }, 403],
    ] as const) {
      it(`${name}: ${status}`, async () => {
        assert.match(await ask(upgrade(changes)), new RegExp(`^HTTP/1\\.1 ${status} `));
        await siege.others.areUnharmed();
      });
    }

    it('a page that may, which is let in', async () => {
      assert.match(await ask(upgrade({ Origin: ORIGIN })), /^HTTP\/1\.1 101 /);
    });
  });

  describe('BOSH:', () => {
    const post = (body: string, headers: Readonly<Record<string, string>> = {}) =>
      fetch(`http://127.0.0.1:${siege.server.http}/http-bind`, { method: 'POST', body, headers });
    const body = (attrs: string, inner = '') => `<body xmlns='${NS_BOSH}' ${attrs}>${inner}</body>`;
    const create = async (rid: number) => {
      const text = await (await post(body(`rid='${rid}' to='localhost' ver='1.11' wait='1' hold='1' xml:lang='en'`))).text();
      return /sid='([^']+)'/.exec(text)![1]!;
    };

    it('a number out of the window', async () => {
      const sid = await create(1000);
      assert.match(await (await post(body(`rid='5000' sid='${sid}'`))).text(), /type='terminate' condition='item-not-found'/);
      assert.match(await (await post(body(`rid='1001' sid='${sid}'`))).text(), /condition='item-not-found'/);
      await siege.others.areUnharmed(/"transport":"bosh".*item-not-found/);
    });

    it('a session that is not there', async () => {
      assert.match(await (await post(body("rid='1' sid='guess'"))).text(), /condition='item-not-found'/);
      await siege.others.areUnharmed();
    });

    it('too many requests at once', async () => {
      const sid = await create(1);
      const all = await Promise.all(
        [2, 3, 4, 5, 6].map(async (rid) =>
          (await post(body(`rid='${rid}' sid='${sid}'`, `<presence xmlns='jabber:client'/>`))).text(),
        ),
      );
      assert.ok(all.some((each) => /condition='(policy-violation|item-not-found|remote-stream-error)'/.test(each)));
      await siege.others.areUnharmed();
    });

    it('a body without end', async () => {
      const response = await post(body("rid='1' to='localhost'", 'x'.repeat(200_000))).catch(() => undefined);
      assert.ok(response === undefined || response.status === 413);
      await siege.others.areUnharmed();
    });

    it('a body of ten thousand elements, and one of none', async () => {
      for (const text of [
        body("rid='1' to='localhost'", '<a/>'.repeat(3000)),
        '',
        '<body',
        "<x xmlns='urn:x'/>",
        '<!DOCTYPE x><body/>',
      ]) {
        assert.match(await (await post(text)).text(), /type='terminate' condition='bad-request'/);
      }
      await siege.others.areUnharmed();
    });

    it('a page of somebody else', async () => {
      assert.equal((await post(body("rid='1' to='localhost'"), { Origin: 'https://evil.example' })).status, 403);
      await siege.others.areUnharmed();
    });
  });

  describe('requests with', () => {
    for (const [name, request, status] of REQUESTS) {
      it(`${name}: ${status ?? 'no answer'}`, async () => {
        const response = await ask(request);
        if (status === undefined) assert.equal(response, '');
        else assert.match(response, new RegExp(`^HTTP/1\\.1 ${status} `));
        await siege.others.areUnharmed();
      });
    }
  });

  it('floods of such requests, of which the log tells, and does not grow', async () => {
    for (let i = 0; i < 20; i++) await ask('GET /.. HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await siege.others.areUnharmed();
    const lines = siege.server.output.split('\n').filter((line) => line.includes('refused a request'));
    assert.match(lines.join('\n'), /"address":"127\.0\.5\.\d+","status":400/);
    // Ten in a minute, and this takes less than two.
    assert.ok(lines.length >= 10 && lines.length <= 20, String(lines.length));
  });
});
