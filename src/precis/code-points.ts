/** May stand in every string. */
export const PVALID = 1;
/** May stand in a string of the FreeformClass only (RFC 8264 calls it ID_DIS or FREE_PVAL). */
export const FREE_PVAL = 2;
/** May stand where a rule on joining allows it. */
export const CONTEXTJ = 3;
/** May stand where another rule allows it. */
export const CONTEXTO = 4;
/** May not stand anywhere. */
export const DISALLOWED = 5;
/** Not in the Unicode of this process, so nothing is known about it. */
export const UNASSIGNED = 6;

/** RFC 8264 section 9.6 and RFC 5892 section 2.6: code points whose general category would say something else. */
const EXCEPTIONS: ReadonlyMap<number, number> = new Map([
  ...[0xdf, 0x3c2, 0x6fd, 0x6fe, 0xf0b, 0x3007].map((codePoint) => [codePoint, PVALID] as const),
  ...[0xb7, 0x375, 0x5f3, 0x5f4, 0x30fb].map((codePoint) => [codePoint, CONTEXTO] as const),
  ...Array.from({ length: 10 }, (_, digit) => [0x660 + digit, CONTEXTO] as const),
  ...Array.from({ length: 10 }, (_, digit) => [0x6f0 + digit, CONTEXTO] as const),
  ...[0x640, 0x7fa, 0x302e, 0x302f, 0x3031, 0x3032, 0x3033, 0x3034, 0x3035, 0x303b].map(
    (codePoint) => [codePoint, DISALLOWED] as const,
  ),
]);

const UNKNOWN = /^\p{Cn}$/u;
const NONCHARACTER = /^\p{Noncharacter_Code_Point}$/u;
const CONTROL = /^\p{Cc}$/u;
const IGNORABLE = /^[\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}]$/u;
const LETTER_OR_DIGIT = /^[\p{Ll}\p{Lu}\p{Lo}\p{Nd}\p{Lm}\p{Mn}\p{Mc}]$/u;
/** Other letters and digits, spaces, symbols and punctuation (RFC 8264 sections 9.14 to 9.16 and 9.18). */
const FREE = /^[\p{Lt}\p{Nl}\p{No}\p{Me}\p{Zs}\p{S}\p{P}]$/u;

/** RFC 8264 section 9.9: Hangul_Syllable_Type L, V or T. */
function isJamo(codePoint: number): boolean {
  return (
    (codePoint >= 0x1100 && codePoint <= 0x11ff) ||
    (codePoint >= 0xa960 && codePoint <= 0xa97c) ||
    (codePoint >= 0xd7b0 && codePoint <= 0xd7fb)
  );
}

/** RFC 8264 section 8. */
function derivePrecis(codePoint: number): number {
  const exception = EXCEPTIONS.get(codePoint);
  if (exception !== undefined) return exception;
  const char = String.fromCodePoint(codePoint);
  if (UNKNOWN.test(char) && !NONCHARACTER.test(char)) return UNASSIGNED;
  if (codePoint >= 0x21 && codePoint <= 0x7e) return PVALID;
  if (codePoint === 0x200c || codePoint === 0x200d) return CONTEXTJ;
  if (isJamo(codePoint) || IGNORABLE.test(char) || CONTROL.test(char)) return DISALLOWED;
  if (char.normalize('NFKC') !== char) return FREE_PVAL;
  if (LETTER_OR_DIGIT.test(char)) return PVALID;
  return FREE.test(char) ? FREE_PVAL : DISALLOWED;
}

/** RFC 5892 section 2.2, and 2.3 but for the two that join, which are asked for before. */
const UNSTABLE_OR_IGNORABLE = /^[\p{Changes_When_NFKC_Casefolded}\p{White_Space}\p{Noncharacter_Code_Point}]$/u;

/** RFC 5892 section 2.4: combining marks for symbols, and two blocks of musical notation. */
function isInIgnorableBlock(codePoint: number): boolean {
  return (
    (codePoint >= 0x20d0 && codePoint <= 0x20ff) ||
    (codePoint >= 0x1d100 && codePoint <= 0x1d1ff) ||
    (codePoint >= 0x1d200 && codePoint <= 0x1d24f)
  );
}

/** RFC 5892 section 3. */
function deriveIdna(codePoint: number): number {
  const exception = EXCEPTIONS.get(codePoint);
  if (exception !== undefined) return exception;
  const char = String.fromCodePoint(codePoint);
  if (UNKNOWN.test(char) && !NONCHARACTER.test(char)) return UNASSIGNED;
  if (/^[-0-9a-z]$/.test(char)) return PVALID;
  if (codePoint === 0x200c || codePoint === 0x200d) return CONTEXTJ;
  if (UNSTABLE_OR_IGNORABLE.test(char) || isInIgnorableBlock(codePoint) || isJamo(codePoint)) return DISALLOWED;
  return LETTER_OR_DIGIT.test(char) ? PVALID : DISALLOWED;
}

/** Remembers what was derived, from 1 up, a byte a code point in pages of 256. Nobody can make it grow beyond 1.1 MB. */
class Memo {
  readonly #pages = new Map<number, Uint8Array>();
  readonly #derive: (codePoint: number) => number;

  constructor(derive: (codePoint: number) => number) {
    this.#derive = derive;
  }

  get(codePoint: number): number {
    const number = codePoint >> 8;
    let page = this.#pages.get(number);
    if (page === undefined) this.#pages.set(number, (page = new Uint8Array(256)));
    const known = page[codePoint & 255]!;
    return known === 0 ? (page[codePoint & 255] = this.#derive(codePoint)) : known;
  }
}

const MARK = 1;
const NO_MARK = 2;
const marks = new Memo((codePoint) => (/\p{M}/u.test(String.fromCodePoint(codePoint)) ? MARK : NO_MARK));
const precis = new Memo(derivePrecis);
const idna = new Memo(deriveIdna);

/** What PRECIS makes of a code point (RFC 8264 section 8), by the Unicode of this process. */
export function precisProperty(codePoint: number): number {
  return precis.get(codePoint);
}

/** What IDNA2008 makes of a code point (RFC 5892 section 3); never FREE_PVAL. */
export function idnaProperty(codePoint: number): number {
  return idna.get(codePoint);
}

/** Whether a code point is a mark that combines with what stands before it (general category M). */
export function isMark(codePoint: number): boolean {
  return marks.get(codePoint) === MARK;
}
