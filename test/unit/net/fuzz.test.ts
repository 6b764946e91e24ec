import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Origin, TrustedProxies } from '../../../src/net/addresses.ts';
import { BoshError, readBody } from '../../../src/net/bosh-body.ts';
import { findClient } from '../../../src/net/forwarded.ts';
import { HttpError } from '../../../src/net/http.ts';
import { readTarget } from '../../../src/net/http-request.ts';
import { HttpSite } from '../../../src/net/http-routes.ts';
import { parseProxyHeader } from '../../../src/net/proxy-protocol.ts';
import { FrameError, FrameReader } from '../../../src/net/websocket-frames.ts';

/** Text that looks a little like what is expected. */
const scraps = (...parts: readonly string[]) =>
  fc.array(fc.oneof(fc.constantFrom(...parts), fc.string({ maxLength: 3 })), { maxLength: 12 }).map((each) => each.join(''));
const bytes = (...parts: readonly (string | Buffer)[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...parts.map((part) => Buffer.from(part as string))),
        fc.uint8Array({ maxLength: 4 }).map((each) => Buffer.from(each)),
      ),
      { maxLength: 12 },
    )
    .map((each) => Buffer.concat(each));

function outcome<T>(run: () => T, isExpected: (error: unknown) => boolean): T | 'refused' {
  try {
    return run();
  } catch (error) {
    assert.ok(isExpected(error), String(error));
    return 'refused';
  }
}

describe('readers of what strangers send', () => {
  it('read the PROXY protocol or refuse it, and never change their mind when more comes', () => {
    const header = bytes(
      'PROXY TCP4 ',
      '1.2.3.4 ',
      '::1 ',
      '80',
      ' ',
      '\r\n',
      Buffer.from('0d0a0d0a000d0a515549540a', 'hex'),
      Buffer.from([0x21, 0x11, 0, 12]),
    );
    fc.assert(
      fc.property(header, (all) => {
        let verdict: unknown;
        for (let length = 0; length <= all.length; length++) {
          const next = outcome(
            () => parseProxyHeader(all.subarray(0, length)),
            (error) => error instanceof Error,
          );
          if (verdict !== undefined) assert.deepEqual(next, verdict);
          verdict = next;
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('read frames, or refuse them, the same wherever they are cut', () => {
    const frames = bytes(
      Buffer.from([0x81, 0x80, 0, 0, 0, 0]),
      Buffer.from([0x81, 0x83, 1, 2, 3, 4, 5, 6, 7]),
      Buffer.from([0x01, 0x81, 0, 0, 0, 0, 65]),
      Buffer.from([0x80, 0x81, 0, 0, 0, 0, 66]),
      Buffer.from([0x89, 0x80, 0, 0, 0, 0]),
      Buffer.from([0x81, 0xfe, 0, 130, 1, 2, 3, 4, ...Buffer.alloc(130)]),
    );
    fc.assert(
      fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 20 })), (all, cuts) => {
        const whole = readFrames([all]);
        const pieces: Buffer[] = [];
        for (let at = 0; at < all.length; ) {
          const size = cuts.next().value ?? 1;
          pieces.push(all.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(readFrames(pieces), whole);
      }),
      { numRuns: 2000 },
    );
  });

  function readFrames(chunks: readonly Buffer[]): readonly string[] {
    const told: string[] = [];
    const handler = {
      message: (payload: Buffer) => void told.push(`message ${payload.toString('hex')}`),
      control: (opcode: number, payload: Buffer) => void told.push(`${opcode} ${payload.toString('hex')}`),
    };
    const reader = new FrameReader(handler, 200);
    try {
      for (const chunk of chunks) reader.write(Buffer.from(chunk));
    } catch (error) {
      assert.ok(error instanceof FrameError, String(error));
      told.push(`refused ${error.code}`);
    }
    return told;
  }

  it('read targets in one form only, with nothing in them that means another', () => {
    fc.assert(
      fc.property(scraps('/', '.', '..', '%2e', '%2F', '%5c', '\\', '%', '?', '#', 'http://', 'a', '%c3%a4', '%00'), (url) => {
        const target = outcome(
          () => readTarget(url),
          (error) => error instanceof HttpError && (error.status === 400 || error.status === 414),
        );
        if (target === 'refused') return;
        assert.match(target.path, /^\//);
        assert.doesNotMatch(target.path, /\/\/|\\|\/\.{1,2}(\/|$)|%2f|%5c|%2e|%00/i);
        assert.equal(readTarget(target.path).path, target.path);
        const url2 = new URL(target.path, 'http://x.test/');
        assert.equal(url2.host, 'x.test');
      }),
      { numRuns: 3000 },
    );
  });

  it('read the headers of proxies or refuse them', () => {
    const proxies = new TrustedProxies(['127.0.0.1/32', '10.0.0.0/8']);
    const peer: Origin = { address: '127.0.0.1', port: 1 };
    const value = scraps(
      'for=',
      '"',
      '[::1]',
      '192.0.2.7',
      ',',
      ';',
      'proto=https',
      ':80',
      'unknown',
      '_x',
      ' ',
      '\\',
      '10.0.0.1',
    );
    fc.assert(
      fc.property(fc.option(value, { nil: undefined }), fc.option(value, { nil: undefined }), (forwarded, custom) => {
        const client = findClient({ forwarded, 'x-forwarded-for': custom }, peer, proxies);
        if (client) assert.match(client.address, /^[0-9a-f.:]+$/);
      }),
      { numRuns: 3000 },
    );
  });

  it('find hosts by whatever is called one', () => {
    const site = new HttpSite(['example.org', 'bücher.example']);
    site.add('example.org', '/', () => {});
    fc.assert(
      fc.property(
        scraps('example.org', '.', ':80', '[::1]', 'xn--bcher-kva.example', '@', '/', 'localhost', '127.0.0.1', 'xn--'),
        (authority) => {
          const found = site.find(authority, '/');
          if (typeof found === 'object') assert.match(authority.toLowerCase(), /example\.org|localhost|^$|^[\d.:[\]a-f]+$/);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('read bodies of BOSH or refuse them', () => {
    const limits = { maxBytes: 1000, maxDepth: 10, maxAttributes: 20, maxElements: 50 };
    const attrs = scraps(" sid='x'", " to='a'", " xmlns:x='y'", " hold='1'", ' ', "'");
    const payloads = scraps(
      '<a/>',
      '<x:a/>',
      ' ',
      "<message xmlns='jabber:client'>",
      '</message>',
      '<body>',
      '</body>',
      '&amp;',
      '&',
      '<',
    );
    const body = fc
      .tuple(attrs, payloads)
      .map(([head, rest]) => `<body xmlns='http://jabber.org/protocol/httpbind' rid='1'${head}>${rest}</body>`);
    let taken = 0;
    fc.assert(
      fc.property(body, (text) => {
        const request = outcome(
          () => readBody(Buffer.from(text), limits),
          (error) => error instanceof BoshError,
        );
        if (request !== 'refused') taken++;
      }),
      { numRuns: 3000 },
    );
    assert.ok(taken > 0, 'some of it is good');
  });
});
