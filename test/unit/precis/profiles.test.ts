import assert from 'node:assert/strict';
import fc from 'fast-check';
import { opaqueString, usernameCaseMapped } from '../../../src/precis/profiles.ts';

type Row = readonly [why: string, written: string, enforced: string | undefined];

const show = (text: string | undefined) => (text === undefined ? 'refused' : JSON.stringify(text));

function check(enforce: (text: string) => string | undefined, rows: readonly Row[]): void {
  for (const [why, written, enforced] of rows) {
    it(`${JSON.stringify(written.slice(0, 40))} is ${written === enforced ? 'taken as it is' : show(enforced)}: ${why}`, () => {
      assert.equal(enforce(written), enforced);
      if (enforced !== undefined) assert.equal(enforce(enforced), enforced);
    });
  }
}

describe('UsernameCaseMapped', () => {
  describe('the tables of RFC 8265 section 3.5', () => {
    check(usernameCaseMapped, [
      ['the at sign is an ordinary letter here', 'juliet@example.com', 'juliet@example.com'],
      ['plain', 'fussball', 'fussball'],
      ['the third letter is a sharp s', 'fußball', 'fußball'],
      ['a Greek pi', 'π', 'π'],
      ['a capital sigma is mapped', 'Σ', 'σ'],
      ['a small sigma', 'σ', 'σ'],
      ['a final sigma', 'ς', 'ς'],
      ['a space', 'foo bar', undefined],
      ['nothing', '', undefined],
      ['a Roman numeral', 'henry\u2163', undefined],
      ['an infinity sign', '\u221e', undefined],
    ]);
  });

  describe('its mappings', () => {
    check(usernameCaseMapped, [
      ['case', 'JuLiEt', 'juliet'],
      ['fullwidth letters', '\uff2a\uff55\uff4c\uff49\uff45\uff54', 'juliet'],
      ['halfwidth katakana, whose voice mark then combines', '\uff76\uff9e', '\u30ac'],
      ['normalization', 'e\u0301', '\u00e9'],
      ['order of marks', 'a\u0301\u0323', '\u1ea1\u0301'],
      ['a sigma at the end of a word is like any other', 'ΟΔΟΣ', 'οδοσ'],
      ['what has two letters in lower case', '\u0130', 'i\u0307'],
      ['capital sharp s', '\u1e9e', 'ß'],
      ['Cherokee', '\u13a0', '\uab70'],
      ['outside of the first plane', '\u{10400}', '\u{10428}'],
      ['Dutch and Greek keep their accents', 'Ζεύς', 'ζεύς'],
    ]);
  });

  describe('what it refuses', () => {
    check(usernameCaseMapped, [
      ['the Kelvin sign does not become a k', '\u212a', undefined],
      ['a ligature', '\ufb01le', undefined],
      ['an ideographic space', 'a\u3000b', undefined],
      ['a soft hyphen', 'a\u00adb', undefined],
      ['a zero-width space', 'a\u200bb', undefined],
      ['an override of direction', 'a\u202eb', undefined],
      ['a NUL', 'a\0', undefined],
      ['a lone surrogate', 'a\ud800', undefined],
      ['a lone low surrogate', '\udc00a', undefined],
      ['what Unicode has not assigned', '\u0378', undefined],
      ['private use', '\ue000', undefined],
      ['a tag', 'a\u{e0061}', undefined],
      ['decomposed Hangul', '\u1112\u1161\u11ab', undefined],
      ['a pile of marks', `a${'\u0301'.repeat(31)}`, undefined],
      ['something huge', 'a'.repeat(1_000_000), undefined],
      ['something huge that is slow to normalize', 'a\u0301\u0323'.repeat(100_000), undefined],
    ]);
  });

  describe('code points that need a context (RFC 5892 appendix A)', () => {
    check(usernameCaseMapped, [
      ['A.1 after a virama', '\u0915\u094d\u200c\u0937', '\u0915\u094d\u200c\u0937'],
      ['A.1 between two that join', '\u0628\u200c\u0628', '\u0628\u200c\u0628'],
      ['A.1 between two that join, with marks', '\u0628\u064e\u200c\u064e\u0628', '\u0628\u064e\u200c\u064e\u0628'],
      ['A.1 before what joins to the right', '\u0628\u200c\u0627', '\u0628\u200c\u0627'],
      ['A.1 after what does not join to the left', '\u0627\u200c\u0628', undefined],
      ['A.1 after a letter', 'a\u200cb', undefined],
      ['A.1 at the end', '\u0628\u200c', undefined],
      ['A.1 at the start', '\u200c\u0628', undefined],
      ['A.2 after a virama', '\u0915\u094d\u200d\u0937', '\u0915\u094d\u200d\u0937'],
      ['A.2 after a letter', '\u0915\u200d\u0937', undefined],
      ['A.2 after a Hangul syllable', '\uac01\u200d', undefined],
      ['A.2 after a mark of another class', '\u05d0\u05b0\u200d', undefined],
      ['A.2 alone', '\u200d', undefined],
      ['A.3 between two l', 'paral\u00b7lel', 'paral\u00b7lel'],
      ['A.3 between two capitals, which are mapped first', 'PARAL\u00b7LEL', 'paral\u00b7lel'],
      ['A.3 elsewhere', 'a\u00b7l', undefined],
      ['A.3 at the end', 'l\u00b7', undefined],
      ['A.4 before Greek', '\u0375\u03b1', '\u0375\u03b1'],
      ['A.4 before something else', '\u0375a', undefined],
      ['A.4 at the end', '\u03b1\u0375', undefined],
      ['A.5 after Hebrew', '\u05d0\u05f3', '\u05d0\u05f3'],
      ['A.5 at the start', '\u05f3\u05d0', undefined],
      ['A.6 after Hebrew', '\u05d0\u05f4\u05d1', '\u05d0\u05f4\u05d1'],
      ['A.6 after something else', 'a\u05f4', undefined],
      ['A.7 with katakana', '\u30a2\u30fb\u30a2', '\u30a2\u30fb\u30a2'],
      ['A.7 with Han', '\u30fb\u4e2d', '\u30fb\u4e2d'],
      ['A.7 alone', '\u30fb', undefined],
      ['A.8 Arabic-Indic digits', '\u0628\u0661', '\u0628\u0661'],
      ['A.8 and A.9, both kinds', '\u0628\u0661\u06f1', undefined],
      ['A.9 extended digits', '\u0628\u06f1', '\u0628\u06f1'],
    ]);
  });

  describe('the bidi rule (RFC 5893 section 2)', () => {
    check(usernameCaseMapped, [
      ['Hebrew', '\u05d0\u05d1', '\u05d0\u05d1'],
      ['condition 1: starts with a digit', '1\u05d0', undefined],
      ['condition 1: starts with a mark', '\u05b0\u05d0', undefined],
      ['condition 2: a letter from left to right', '\u05d0a\u05d0', undefined],
      ['condition 3: ends in a digit', '\u05d01', '\u05d01'],
      ['condition 3: ends in marks', '\u05d0\u05b0\u05b1', '\u05d0\u05b0\u05b1'],
      ['condition 3: ends in a sign', '\u05d0-', undefined],
      ['condition 4: both kinds of digits', '\u05d01\u0661', undefined],
      ['condition 5: from left to right, with a letter from right to left', 'a\u05d0', undefined],
      ['no letter from right to left: no rule', '1a-', '1a-'],
    ]);
  });

  it('passes what it has enforced', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => {
        const enforced = usernameCaseMapped(text);
        if (enforced !== undefined) assert.equal(usernameCaseMapped(enforced), enforced);
      }),
      { numRuns: 2000 },
    );
  });

  it('passes the enforced form of every single code point', () => {
    for (let codePoint = 0; codePoint <= 0x2ffff; codePoint++) {
      const enforced = usernameCaseMapped(String.fromCodePoint(codePoint));
      if (enforced !== undefined) assert.equal(usernameCaseMapped(enforced), enforced);
    }
  });
});

describe('OpaqueString', () => {
  describe('the tables of RFC 8265 section 4.3', () => {
    check(opaqueString, [
      ['spaces', 'correct horse battery staple', 'correct horse battery staple'],
      ['case is kept', 'Correct Horse Battery Staple', 'Correct Horse Battery Staple'],
      ['letters beyond ASCII', 'πßå', 'πßå'],
      ['a symbol', 'Jack of \u2666s', 'Jack of \u2666s'],
      ['an Ogham space becomes a space', 'foo\u1680bar', 'foo bar'],
      ['nothing', '', undefined],
      ['a control character', 'my cat is a \u0009by', undefined],
    ]);
  });

  describe('the rest of its rules', () => {
    check(opaqueString, [
      ['widths are kept', '\uff21', '\uff21'],
      ['compatibility characters are kept', '\ufb01', '\ufb01'],
      ['normalization', 'A\u030a', '\u00c5'],
      ['the Angstrom sign is normalized', '\u212b', '\u00c5'],
      ['ideographic space', 'a\u3000b', 'a b'],
      ['no bidi rule', '1\u05d0a', '1\u05d0a'],
      ['a space is enough', ' ', ' '],
      ['emoji', '\u{1f600}', '\u{1f600}'],
      ['a joiner without its context', '\u{1f468}\u200d\u{1f469}', undefined],
      ['a variation selector', '\u2764\ufe0f', undefined],
      ['a zero-width space', 'a\u200b', undefined],
      ['NUL', '\0', undefined],
      ['a lone surrogate', '\ud83d', undefined],
      ['a byte order mark', '\ufeffa', undefined],
      ['a line separator', 'a\u2028b', undefined],
      ['what Unicode has not assigned', '\u0378', undefined],
      ['a pile of marks', `x${'\u0323\u0301'.repeat(20)}`, undefined],
    ]);
  });

  it('passes what it has enforced', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 12 }), (text) => {
        const enforced = opaqueString(text);
        if (enforced !== undefined) assert.equal(opaqueString(enforced), enforced);
      }),
      { numRuns: 2000 },
    );
  });
});
