import assert from 'node:assert/strict';
import {
  CONTEXTJ,
  CONTEXTO,
  DISALLOWED,
  FREE_PVAL,
  idnaProperty,
  isMark,
  PVALID,
  precisProperty,
  UNASSIGNED,
} from '../../../src/precis/code-points.ts';

const NAMES = new Map([
  [PVALID, 'PVALID'],
  [FREE_PVAL, 'FREE_PVAL'],
  [CONTEXTJ, 'CONTEXTJ'],
  [CONTEXTO, 'CONTEXTO'],
  [DISALLOWED, 'DISALLOWED'],
  [UNASSIGNED, 'UNASSIGNED'],
]);

/** The section of RFC 8264 that decides, a code point, and what PRECIS and IDNA2008 make of it. */
const TABLE: readonly (readonly [why: string, codePoint: number, precis: string, idna: string])[] = [
  ['9.1 letters', 0x61, 'PVALID', 'PVALID'],
  ['9.1 capitals; IDNA calls them unstable', 0x41, 'PVALID', 'DISALLOWED'],
  ['9.1 digits', 0x39, 'PVALID', 'PVALID'],
  ['9.1 marks', 0x301, 'PVALID', 'PVALID'],
  ['9.1 ideographs', 0x4e2d, 'PVALID', 'PVALID'],
  ['9.1 Cherokee, where IDNA takes the capital', 0x13a0, 'PVALID', 'PVALID'],
  ['9.1 Cherokee small', 0xab70, 'PVALID', 'DISALLOWED'],
  ['9.6 sharp s', 0xdf, 'PVALID', 'PVALID'],
  ['9.6 final sigma', 0x3c2, 'PVALID', 'PVALID'],
  ['9.6 ideographic zero', 0x3007, 'PVALID', 'PVALID'],
  ['9.6 middle dot', 0xb7, 'CONTEXTO', 'CONTEXTO'],
  ['9.6 katakana middle dot', 0x30fb, 'CONTEXTO', 'CONTEXTO'],
  ['9.6 Arabic-Indic digit', 0x665, 'CONTEXTO', 'CONTEXTO'],
  ['9.6 extended Arabic-Indic digit', 0x6f5, 'CONTEXTO', 'CONTEXTO'],
  ['9.6 tatweel', 0x640, 'DISALLOWED', 'DISALLOWED'],
  ['9.6 vertical kana repeat mark', 0x3031, 'DISALLOWED', 'DISALLOWED'],
  ['9.8 joiner', 0x200d, 'CONTEXTJ', 'CONTEXTJ'],
  ['9.8 non-joiner', 0x200c, 'CONTEXTJ', 'CONTEXTJ'],
  ['9.9 conjoining jamo', 0x1100, 'DISALLOWED', 'DISALLOWED'],
  ['9.9 a Hangul syllable is none', 0xac00, 'PVALID', 'PVALID'],
  ['9.10 not assigned', 0x378, 'UNASSIGNED', 'UNASSIGNED'],
  ['9.11 printable ASCII', 0x40, 'PVALID', 'DISALLOWED'],
  ['9.11 hyphen', 0x2d, 'PVALID', 'PVALID'],
  ['9.11 underscore', 0x5f, 'PVALID', 'DISALLOWED'],
  ['9.12 control', 0x7, 'DISALLOWED', 'DISALLOWED'],
  ['9.12 delete', 0x7f, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 soft hyphen', 0xad, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 zero-width no-break space', 0xfeff, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 variation selector', 0xfe0f, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 noncharacter', 0xfffe, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 last noncharacter', 0x10ffff, 'DISALLOWED', 'DISALLOWED'],
  ['9.14 space', 0x20, 'FREE_PVAL', 'DISALLOWED'],
  ['9.14 ideographic space', 0x3000, 'FREE_PVAL', 'DISALLOWED'],
  ['9.15 chess king', 0x265a, 'FREE_PVAL', 'DISALLOWED'],
  ['9.15 emoji', 0x1f600, 'FREE_PVAL', 'DISALLOWED'],
  ['9.15 mark for symbols', 0x20d0, 'PVALID', 'DISALLOWED'],
  ['9.16 inverted question mark', 0xbf, 'FREE_PVAL', 'DISALLOWED'],
  ['9.17 ligature fi', 0xfb01, 'FREE_PVAL', 'DISALLOWED'],
  ['9.17 Kelvin sign', 0x212a, 'FREE_PVAL', 'DISALLOWED'],
  ['9.17 fullwidth a', 0xff41, 'FREE_PVAL', 'DISALLOWED'],
  ['9.18 Roman numeral four', 0x2163, 'FREE_PVAL', 'DISALLOWED'],
  ['9.18 titlecase letter', 0x1f88, 'FREE_PVAL', 'DISALLOWED'],
  ['8 private use', 0xe000, 'DISALLOWED', 'DISALLOWED'],
  ['8 surrogate', 0xd800, 'DISALLOWED', 'DISALLOWED'],
  ['8 line separator', 0x2028, 'DISALLOWED', 'DISALLOWED'],
  ['9.13 right-to-left override', 0x202e, 'DISALLOWED', 'DISALLOWED'],
];

describe('the derived properties of PRECIS and IDNA2008', () => {
  for (const [why, codePoint, precis, idna] of TABLE) {
    const name = `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`;
    it(`${name} is ${precis} and ${idna} (${why})`, () => {
      for (const _ of ['derived', 'remembered']) {
        assert.equal(NAMES.get(precisProperty(codePoint)), precis);
        assert.equal(NAMES.get(idnaProperty(codePoint)), idna);
      }
    });
  }

  it('a mark is told from a letter', () => {
    assert.equal(isMark(0x301), true);
    assert.equal(isMark(0x61), false);
    assert.equal(isMark(0x301), true);
  });
});
