import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Jid, JidError, type JidPart } from '../../src/jid.ts';

/** How many addresses are kept at most: two generations. */
const KEPT = 2 * 8192;

/** RFC 7622 section 3.5, table 1: number, what is written, local, domain, resource. */
const ADDRESSES: readonly (readonly [number, string, string, string, string])[] = [
  [1, 'juliet@example.com', 'juliet', 'example.com', ''],
  [2, 'juliet@example.com/foo', 'juliet', 'example.com', 'foo'],
  [3, 'juliet@example.com/foo bar', 'juliet', 'example.com', 'foo bar'],
  [4, 'juliet@example.com/foo@bar', 'juliet', 'example.com', 'foo@bar'],
  [5, 'foo\\20bar@example.com', 'foo\\20bar', 'example.com', ''],
  [6, 'fussball@example.com', 'fussball', 'example.com', ''],
  [7, 'fu\u00dfball@example.com', 'fu\u00dfball', 'example.com', ''],
  [8, '\u03c0@example.com', '\u03c0', 'example.com', ''],
  [9, '\u03a3@example.com/foo', '\u03c3', 'example.com', 'foo'],
  [10, '\u03c3@example.com/foo', '\u03c3', 'example.com', 'foo'],
  [11, '\u03c2@example.com/foo', '\u03c2', 'example.com', 'foo'],
  [12, 'king@example.com/\u265a', 'king', 'example.com', '\u265a'],
  [13, 'example.com', '', 'example.com', ''],
  [14, 'example.com/foobar', '', 'example.com', 'foobar'],
  [15, 'a.example.com/b@example.net', '', 'a.example.com', 'b@example.net'],
  // Number 18 stands among those that are none; erratum 4560 takes it from there.
  [18, 'juliet@example.com/ foo', 'juliet', 'example.com', ' foo'],
];

/** RFC 7622 section 3.5, table 2: number, what is written, the part at fault. */
const NO_ADDRESSES: readonly (readonly [number, string, JidPart])[] = [
  [16, '"juliet"@example.com', 'local'],
  [17, 'foo bar@example.com', 'local'],
  [19, '@example.com/', 'local'],
  [20, 'henry\u2163@example.com', 'local'],
  [21, '\u265a@example.com', 'local'],
  [22, 'juliet@', 'domain'],
  [23, '/foobar', 'domain'],
];

/** What matters to the rules. */
const LETTERS = [
  ...'aAzZ09-._@/[]: lΣςßİŁ\u00b7\u0301\u0323\u094d\u0628\u0661\u06f1\u05d0\u200c\u200d\u3002\uff0f\uff20\uff21\uff76\uff9e',
  '\ud800',
];

/** What no address may be made of: why, what is written, the part at fault. */
const HOSTILE: readonly (readonly [string, string, JidPart])[] = [
  ['nothing', '', 'domain'],
  ['an at sign', '@', 'local'],
  ['a slash', '/', 'domain'],
  ['both', '@/', 'local'],
  ['the other way round', '/@', 'domain'],
  ['a resource that is empty', 'a@b/', 'resource'],
  ['a localpart that is empty', '@b', 'local'],
  ['two at signs', 'a@b@c', 'domain'],
  ['a domain that is empty', 'a@/b', 'domain'],
  ['an at sign in disguise', 'a\uff20b@c', 'local'],
  ['an at sign in disguise in the domain', 'a@b\uff20c', 'domain'],
  ['a small at sign', 'a\ufe6bb@c', 'local'],
  ['a slash in disguise', 'a\uff0fb@c', 'local'],
  ['a slash in disguise in the domain', 'a@b\uff0fc', 'domain'],
  ['a quotation mark', 'a"b@c', 'local'],
  ['an ampersand', 'a&b@c', 'local'],
  ['an apostrophe', "a'b@c", 'local'],
  ['a colon', 'a:b@c', 'local'],
  ['a less-than sign', 'a<b@c', 'local'],
  ['a greater-than sign', 'a>b@c', 'local'],
  ['a fullwidth apostrophe', 'a\uff07b@c', 'local'],
  ['a NUL in the localpart', 'a\0@b', 'local'],
  ['a NUL in the domain', 'a@b\0', 'domain'],
  ['a NUL in the resource', 'a@b/\0', 'resource'],
  ['a line feed at the end of the localpart', 'a\n@b', 'local'],
  ['a line feed at the end of the domain', 'a@b\n', 'domain'],
  ['a line feed at the end', 'a@b/c\n', 'resource'],
  ['a space before', ' a@b', 'local'],
  ['a space after', 'a@b ', 'domain'],
  ['a tab', 'a@b/\t', 'resource'],
  ['delete', 'a@b/\x7f', 'resource'],
  ['an override of direction', 'a@b/\u202egpj', 'resource'],
  ['an isolate of direction', '\u2066a@b', 'local'],
  ['a zero-width space', 'a\u200b@b', 'local'],
  ['a zero-width joiner', 'a\u200d@b', 'local'],
  ['a zero-width joiner in the resource', 'a@b/c\u200d', 'resource'],
  ['a word joiner in the domain', 'a@b\u2060c', 'domain'],
  ['a byte order mark', '\ufeffa@b', 'local'],
  ['a lone surrogate', 'a@b/\ud800', 'resource'],
  ['a lone low surrogate', 'a\udfff@b', 'local'],
  ['surrogates the wrong way round', 'a@b/\udc00\ud800', 'resource'],
  ['unassigned', 'a@b/\u0378', 'resource'],
  ['private use', 'a@b/\ue000', 'resource'],
  ['a noncharacter', 'a@b/\uffff', 'resource'],
  ['a tag', 'a@b/\u{e0041}', 'resource'],
  ['half an IPv6 literal', 'a@[::1', 'domain'],
  ['a zone', 'a@[fe80::1%25lo]', 'domain'],
  ['a port', 'a@b:5222', 'domain'],
  ['a URI', 'xmpp:a@b', 'local'],
  ['Punycode that is none', 'a@xn--0', 'domain'],
  ['a label of 64', `a@${'b'.repeat(64)}.c`, 'domain'],
  ['a localpart of 1024 bytes', `${'a'.repeat(1024)}@b`, 'local'],
  ['a localpart of 1024 bytes that are 512 letters', `${'\u00e9'.repeat(512)}@b`, 'local'],
  ['a domain of more than 1023 bytes', `a@${'b.'.repeat(512)}c`, 'domain'],
  ['a resource of 1024 bytes', `a@b/${'c'.repeat(1024)}`, 'resource'],
  ['a resource of 1024 bytes that are 256 emoji', `a@b/${'\u{1f600}'.repeat(256)}`, 'resource'],
  ['a huge localpart', `${'a'.repeat(1 << 20)}@b`, 'local'],
  ['a huge domain', 'a'.repeat(1 << 20), 'domain'],
  ['a huge resource', `a@b/${'c'.repeat(1 << 20)}`, 'resource'],
  ['a huge number of at signs', '@'.repeat(1 << 20), 'local'],
  ['a huge number of slashes', '/'.repeat(1 << 20), 'domain'],
  ['marks that take long to sort', `a${'\u0301\u0323'.repeat(1 << 18)}@b`, 'local'],
  ['a pile of marks', `a@b/c${'\u0301\u0323'.repeat(16)}`, 'resource'],
];

function refusal(text: string): JidPart | 'ok' {
  assert.equal(Jid.tryParse(text), undefined);
  try {
    Jid.parse(text);
    return 'ok';
  } catch (error) {
    assert(error instanceof JidError, String(error));
    return error.part;
  }
}

describe('Jid', () => {
  describe('RFC 7622 section 3.5', () => {
    for (const [number, written, local, domain, resource] of ADDRESSES) {
      it(`example ${number} is an address: ${written}`, () => {
        const jid = Jid.parse(written);
        assert.deepEqual([jid.local, jid.domain, jid.resource], [local, domain, resource]);
        assert.equal(jid.full, `${local && `${local}@`}${domain}${resource && `/${resource}`}`);
        assert.equal(jid.bare, `${local && `${local}@`}${domain}`);
      });
    }

    for (const [number, written, part] of NO_ADDRESSES) {
      it(`example ${number} is none, for its ${part} part: ${written}`, () => assert.equal(refusal(written), part));
    }

    it('capital sigma means the small one, final sigma neither; ss and sharp s differ', () => {
      assert(Jid.parse('Σ@example.com').equals(Jid.parse('σ@example.com')));
      assert(!Jid.parse('ς@example.com').equals(Jid.parse('σ@example.com')));
      assert(!Jid.parse('fussball@example.com').equals(Jid.parse('fußball@example.com')));
    });
  });

  describe('refuses', () => {
    for (const [why, written, part] of HOSTILE) {
      it(`${why}: ${JSON.stringify(written.slice(0, 30))}`, () => assert.equal(refusal(written), part));
    }

    it('without a stack trace and without repeating what was written', () => {
      assert.throws(
        () => Jid.parse('<script>@b'),
        (error: unknown) => error instanceof JidError && !error.message.includes('script') && !error.stack?.includes('\n'),
      );
    });
  });

  describe('compares', () => {
    const SAME: readonly (readonly [string, string])[] = [
      ['Juliet@Example.COM/Balcony', 'juliet@example.com/Balcony'],
      ['juliet@example.com.', 'juliet@example.com'],
      ['juliet@example.com./x', 'juliet@example.com/x'],
      ['a@XN--BCHER-KVA.example', 'a@bücher.example'],
      ['a@bu\u0308cher\u3002example', 'a@bücher.example'],
      ['\uff2auliet@example.com', 'juliet@example.com'],
      ['e\u0301@b/e\u0301', '\u00e9@b/\u00e9'],
      ['a@b/c\u00a0d', 'a@b/c d'],
      ['a@[2001:DB8::0:1]/x', 'a@[2001:db8::1]/x'],
    ];
    for (const [one, other] of SAME) {
      it(`${JSON.stringify(one)} and ${JSON.stringify(other)} are the same`, () => {
        assert(Jid.parse(one).equals(Jid.parse(other)));
        assert.equal(Jid.parse(one).full, other);
      });
    }

    it('resources by case, and by width', () => {
      assert(!Jid.parse('a@b/C').equals(Jid.parse('a@b/c')));
      assert(!Jid.parse('a@b/\uff23').equals(Jid.parse('a@b/C')));
    });
  });
});

describe('a Jid', () => {
  describe('has parts', () => {
    it('of up to 1023 bytes each', () => {
      const domain = `${'d.'.repeat(511)}c`;
      const text = `${'a'.repeat(1023)}@${domain}/${'\u00e9'.repeat(511)}e`;
      assert.equal(Jid.parse(text).full, text);
      assert.equal(Jid.parse(`${'\uff41'.repeat(1023)}@b`).local, 'a'.repeat(1023));
    });

    it('a resource that may hold every separator', () => {
      assert.equal(Jid.parse('a/b@c').domain, 'a');
      assert.equal(Jid.parse('a/b@c').resource, 'b@c');
      assert.equal(Jid.parse('a@b/c/d').resource, 'c/d');
      assert.equal(Jid.parse('a@b//').resource, '/');
      assert.equal(Jid.parse('a@b/@').resource, '@');
    });

    it('that can be prepared one by one', () => {
      assert.equal(Jid.prepareLocal('JULIET'), 'juliet');
      assert.equal(Jid.prepareDomain('xn--bcher-kva.Example.'), 'bücher.example');
      assert.equal(Jid.prepareResource('A\u3000b'), 'A b');
      assert.throws(() => Jid.prepareLocal(''), JidError);
      assert.throws(() => Jid.prepareLocal('a@b'), JidError);
      assert.throws(() => Jid.prepareDomain('a@b'), JidError);
      assert.throws(() => Jid.prepareDomain('b/c'), JidError);
      assert.throws(() => Jid.prepareResource(''), JidError);
    });

    it('that tell what it addresses', () => {
      assert(Jid.parse('b').isDomain && Jid.parse('b').isBare);
      assert(!Jid.parse('a@b').isDomain && Jid.parse('a@b').isBare);
      assert(!Jid.parse('b/c').isDomain && !Jid.parse('b/c').isBare);
      assert(!Jid.parse('a@b/c').isDomain && !Jid.parse('a@b/c').isBare);
    });
  });

  describe('makes others', () => {
    it('from parts', () => {
      assert.equal(Jid.of('a', 'b', 'c').full, 'a@b/c');
      assert.equal(Jid.of('a', 'b').full, 'a@b');
      assert.equal(Jid.of('', 'b').full, 'b');
      assert.equal(Jid.of('', 'b', 'c').full, 'b/c');
      assert(Jid.of('a', 'b', 'c').equals(Jid.parse('a@b/c')));
    });

    it('without the resource, always the same object', () => {
      const jid = Jid.parse('a@b/c');
      assert.equal(jid.bareJid.full, 'a@b');
      assert.equal(jid.bareJid, jid.bareJid);
      assert.equal(jid.bareJid.bareJid, jid.bareJid);
      assert.equal(Jid.parse('b/c').bareJid.full, 'b');
    });

    it('with another resource', () => {
      assert.equal(Jid.parse('a@b/c').withResource('d').full, 'a@b/d');
      assert.equal(Jid.parse('a@b').withResource('d').bareJid.full, 'a@b');
      assert.equal(Jid.parse('a@b/c').withResource('').full, 'a@b');
      assert.equal(`${Jid.parse('a@b/c').withResource('d')}`, 'a@b/d');
    });
  });
});

describe('Jid.parse', () => {
  describe('remembers', () => {
    it('what was written lately, so that it is not prepared again', () => {
      const first = Jid.parse('Remembered@b/c');
      assert.equal(Jid.parse('Remembered@b/c'), first);
      assert.equal(Jid.tryParse('Remembered@b/c'), first);
      assert.equal(Jid.parse('remembered@b/c').full, first.full);
    });

    it('the same object for another spelling', () => {
      const plain = Jid.parse('spelling@b/c');
      assert.equal(Jid.parse('SPELLING@b/c'), plain);
      assert.equal(Jid.parse('SPELLING@B./c'), plain);
    });

    it('what is in use while others come and go', () => {
      const used = Jid.parse('used@b/c');
      for (let i = 0; i < 2 * KEPT; i++) {
        Jid.parse(`u${i}@b`);
        if (i % 1000 === 0) assert.equal(Jid.parse('used@b/c'), used);
      }
    });

    it('no more than so many, and nothing long', () => {
      const forgotten = Jid.parse('forgotten@b');
      for (let i = 0; i <= KEPT; i++) Jid.parse(`f${i}@b`);
      assert.notEqual(Jid.parse('forgotten@b'), forgotten);
      const long = `a@b/${'c'.repeat(500)}`;
      assert.notEqual(Jid.parse(long), Jid.parse(long));
    });
  });

  describe('under fuzzing', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 10 }),
      fc.string({ unit: 'grapheme', maxLength: 10 }),
      fc.array(fc.constantFrom(...LETTERS), { maxLength: 12 }).map((chars) => chars.join('')),
    );
    const address = fc.oneof(
      part,
      fc.tuple(part, part, part).map(([local, domain, resource]) => `${local}@${domain}/${resource}`),
      fc.tuple(part, part).map(([local, resource]) => `${local}@xn--bcher-kva.example/${resource}`),
    );

    it('throws JidError or gives an address whose text means itself', () => {
      fc.assert(
        fc.property(address, (written) => {
          let jid: Jid;
          try {
            jid = Jid.parse(written);
          } catch (error) {
            assert(error instanceof JidError, String(error));
            assert.equal(Jid.tryParse(written), undefined);
            return;
          }
          const again = Jid.parse(jid.full);
          assert.deepEqual([again.local, again.domain, again.resource], [jid.local, jid.domain, jid.resource]);
          assert.equal(again.full, jid.full);
          assert.equal(Jid.of(jid.local, jid.domain, jid.resource).full, jid.full);
          assert.equal(Jid.parse(jid.bare).full, jid.bareJid.full);
          for (const text of [jid.local, jid.domain, jid.resource]) assert(Buffer.byteLength(text) <= 1023);
          assert.doesNotMatch(jid.local, /["&'/:<>@\s]/);
        }),
        { numRuns: 5000 },
      );
    });
  });
});
