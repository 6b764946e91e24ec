import assert from 'node:assert/strict';
import { domainToASCII } from 'node:url';
import fc from 'fast-check';
import { asciiDomain, prepareDomainName } from '../../../src/precis/domain.ts';
import { decodePunycode, encodePunycode } from '../../../src/precis/punycode.ts';

type Row = readonly [why: string, written: string, prepared: string | undefined];

function check(rows: readonly Row[]): void {
  for (const [why, written, prepared] of rows) {
    const shown = prepared === undefined ? 'refused' : prepared === written ? 'taken as it is' : JSON.stringify(prepared);
    it(`${JSON.stringify(written.slice(0, 40))} is ${shown}: ${why}`, () => {
      assert.equal(prepareDomainName(written), prepared);
      if (prepared !== undefined) assert.equal(prepareDomainName(prepared), prepared);
    });
  }
}

const label63 = 'a'.repeat(63);

describe('domains', () => {
  describe('of ASCII', () => {
    check([
      ['plain', 'example.com', 'example.com'],
      ['one label', 'localhost', 'localhost'],
      ['case', 'Example.COM', 'example.com'],
      ['a final dot', 'example.com.', 'example.com'],
      ['digits and hyphens', '3com.a-b.x1', '3com.a-b.x1'],
      ['many labels', `${'a.'.repeat(40)}b`, `${'a.'.repeat(40)}b`],
      ['a label of 63', `${label63}.com`, `${label63}.com`],
      ['a label of 64', `a${label63}.com`, undefined],
      ['nothing', '', undefined],
      ['a dot', '.', undefined],
      ['two final dots', 'example.com..', undefined],
      ['an empty label', 'a..b', undefined],
      ['a dot before', '.a', undefined],
      ['a hyphen before', '-a.b', undefined],
      ['a hyphen after', 'a-.b', undefined],
      ['reserved hyphens', 'ab--c.d', undefined],
      ['an underscore', 'a_b.c', undefined],
      ['a space', 'a b.c', undefined],
      ['an at sign', 'a@b', undefined],
      ['a port', 'example.com:5222', undefined],
      ['a slash', 'a/b', undefined],
      ['a percent sign', 'a%2eb', undefined],
      ['a line feed at the end', 'example.com\n', undefined],
      ['a NUL', 'example.com\0', undefined],
      ['huge', 'a'.repeat(1_000_000), undefined],
      ['a huge number of labels', 'a.'.repeat(500_000), undefined],
    ]);
  });

  describe('that are addresses', () => {
    check([
      ['IPv4', '192.0.2.1', '192.0.2.1'],
      ['IPv4 with a final dot', '192.0.2.1.', '192.0.2.1'],
      ['IPv4 in fullwidth digits', '\uff11.2.3.4', '1.2.3.4'],
      ['IPv4 with a leading zero', '192.0.2.01', undefined],
      ['IPv4 out of range', '192.0.2.256', undefined],
      ['short IPv4', '127.1', undefined],
      ['IPv4 as a number', '2130706433', undefined],
      ['IPv4 in hexadecimal', '0x7f000001', undefined],
      ['IPv4 with a hexadecimal end', '127.0.0.0x1', undefined],
      ['a numeric top level', 'example.123', undefined],
      ['IPv6', '[2001:db8::1]', '[2001:db8::1]'],
      ['IPv6 in another spelling', '[2001:DB8:0:0:0:0:0:01]', '[2001:db8::1]'],
      ['the longest run is left out', '[2001:0:0:1:0:0:0:1]', '[2001:0:0:1::1]'],
      ['IPv6 with IPv4 in it', '[::ffff:192.0.2.1]', '[::ffff:c000:201]'],
      ['IPv6 without brackets', '::1', undefined],
      ['IPv6 with a zone', '[fe80::1%eth0]', undefined],
      ['IPv6 with an escaped zone', '[fe80::1%25eth0]', undefined],
      ['half a literal', '[::1', undefined],
      ['something after it', '[::1]x', undefined],
      ['something within it', '[::1]x]', undefined],
      ['an empty literal', '[]', undefined],
      ['a bracket', '[', undefined],
      ['IPv4 in brackets', '[192.0.2.1]', undefined],
      ['a future address', '[v1.fe80::a]', undefined],
      ['too many groups', '[1:2:3:4:5:6:7:8:9]', undefined],
      ['a literal with a path', '[::1/../]', undefined],
    ]);
  });

  describe('with internationalized labels', () => {
    check([
      ['a U-label', 'bücher.example', 'bücher.example'],
      ['an A-label', 'xn--bcher-kva.example', 'bücher.example'],
      ['an A-label in capitals', 'XN--BCHER-KVA.EXAMPLE', 'bücher.example'],
      ['case', 'BÜCHER.example', 'bücher.example'],
      ['normalization', 'bu\u0308cher.example', 'bücher.example'],
      ['fullwidth', '\uff45xample.com', 'example.com'],
      ['ideographic full stops', '例え\u3002テスト\uff0e\uff61'.slice(0, -1), '例え.テスト'],
      ['sharp s', 'faß.de', 'faß.de'],
      ['the A-label of sharp s', 'xn--fa-hia.de', 'faß.de'],
      ['final sigma', 'βόλος.com', 'βόλος.com'],
      ['Cherokee, which IDNA keeps in capitals', '\u13e3\u13b3\u13a9', '\u13e3\u13b3\u13a9'],
      ['an at sign that is mapped', 'a\uff20b', undefined],
      ['a slash that is mapped', 'a\uff0fb', undefined],
      ['a bracket that is mapped', '\uff3b::1\uff3d', '[::1]'],
      ['a symbol', '\u2603.net', undefined],
      ['an emoji', '\u{1f4a9}.la', undefined],
      ['the A-label of a symbol', 'xn--n3h.net', undefined],
      ['a ligature', '\ufb01.de', undefined],
      ['a mark at the start', '\u0301a.de', undefined],
      ['a middle dot between l', 'l\u00b7l.cat', 'l\u00b7l.cat'],
      ['a middle dot elsewhere', 'a\u00b7b.cat', undefined],
      ['reserved hyphens', 'bü--cher.de', undefined],
      ['a hyphen before', '-bücher.de', undefined],
      ['a hyphen after', 'bücher-.de', undefined],
      ['an underscore', 'bü_cher.de', undefined],
      ['a zero-width space', 'bü\u200bcher.de', undefined],
      ['a lone surrogate', 'a\ud800.de', undefined],
      ['unassigned', 'a\u0378.de', undefined],
      ['longer than 63 as an A-label', `${'ü'.repeat(60)}.de`, undefined],
    ]);
  });
});

describe('domains with labels of other kinds', () => {
  describe('A-labels that are none', () => {
    check([
      ['nothing', 'xn--.de', undefined],
      ['no Punycode', 'xn--a.de', undefined],
      ['ends in the middle of a number', 'xn--bcher-kv.de', undefined],
      ['beyond Unicode', 'xn--99999999.de', undefined],
      ['a surrogate', `xn--${encodePunycode('\ud800')}.de`, undefined],
      ['ASCII in disguise', 'xn--example-.de', undefined],
      ['ASCII in disguise, without the hyphen', 'xn--abc-', undefined],
      ['a capital within', `xn--${encodePunycode('Ü')}.de`, undefined],
      ['a dot within', `xn--${encodePunycode('ü。ü')}.de`, undefined],
      ['an at sign within', `xn--${encodePunycode('ü@ü')}.de`, undefined],
      ['not normalized', `xn--${encodePunycode('u\u0308')}.de`, undefined],
      ['a joiner', `xn--${encodePunycode('a\u200db')}.de`, undefined],
      ['too long', `xn--${'a'.repeat(60)}.de`, undefined],
    ]);
  });

  describe('labels from right to left (RFC 5893)', () => {
    check([
      ['Hebrew', 'שלום.example', 'שלום.example'],
      ['Hebrew as an A-label', 'xn--9dbne9b.example', 'שלום.example'],
      ['digits at the end of a label', 'שלום1.example', 'שלום1.example'],
      ['digits at the start of one', '1שלום.example', undefined],
      ['digits at the start of another label', '1a.שלום', undefined],
      ['digits at the start without it', '1a.example', '1a.example'],
      ['mixed', 'aש.example', undefined],
    ]);
  });
});

describe('prepared domains', () => {
  it('have an ASCII form for DNS and TLS', () => {
    assert.equal(asciiDomain('bücher.example'), 'xn--bcher-kva.example');
    assert.equal(asciiDomain('example.com'), 'example.com');
    assert.equal(asciiDomain('[::1]'), '[::1]');
    assert.equal(asciiDomain('192.0.2.1'), '192.0.2.1');
  });

  it('have the ASCII form that the platform gives them, and come back from it', () => {
    const letters = [...'abz09äßéþžαωςжяאתسكक中国かナ한글'];
    const label = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 8 }).map((chars) => chars.join(''));
    fc.assert(
      fc.property(label, label, (first, second) => {
        const domain = prepareDomainName(`${first}.${second}.example`);
        if (domain === undefined) return;
        assert.equal(asciiDomain(domain), domainToASCII(domain));
        assert.equal(prepareDomainName(asciiDomain(domain)), domain);
      }),
      { numRuns: 1000 },
    );
  });

  it('stay what they are once prepared', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.stringMatching(/^(xn--)?[-.a-z0-9\u00b7-\u06ff]{1,20}$/),
    );
    fc.assert(
      fc.property(text, (written) => {
        const domain = prepareDomainName(written);
        if (domain === undefined) return;
        assert.equal(prepareDomainName(domain), domain);
        assert.equal(prepareDomainName(asciiDomain(domain)), domain);
        assert.doesNotMatch(domain, /[@/\0-\x20A-Z]/);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('Punycode', () => {
  /** RFC 3492 section 7.1, those without capitals. */
  const SAMPLES: readonly (readonly [string, string])[] = [
    ['ليهمابتكلموشعربي؟', 'egbpdaj6bu4bxfgehfvwxn'],
    ['他们为什么不说中文', 'ihqwcrb4cv8a8dqg056pqjye'],
    ['他們爲什麽不說中文', 'ihqwctvzc91f659drss3x8bo0yb'],
    ['למההםפשוטלאמדבריםעברית', '4dbcagdahymbxekheh6e0a7fei0b'],
    ['なぜみんな日本語を話してくれないのか', 'n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa'],
    ['почемужеонинеговорятпорусски', 'b1abfaaepdrnnbgefbadotcwatmq2g4l'],
    ['3年b組金八先生', '3b-ww4c5e180e575a65lsy2b'],
    ['そのスピードで', 'd9juau41awczczp'],
    ['-> $1.00 <-', '-> $1.00 <--'],
  ];

  for (const [text, encoded] of SAMPLES) {
    it(`${text} is ${encoded}`, () => {
      assert.equal(encodePunycode(text), encoded);
      assert.equal(decodePunycode(encoded), text);
    });
  }

  it('decodes anything to a text or to nothing', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[-a-z0-9]{0,59}$/), (encoded) => {
        const text = decodePunycode(encoded);
        if (text !== undefined) assert.equal(Buffer.from(text).toString(), text);
      }),
      { numRuns: 3000 },
    );
  });
});
