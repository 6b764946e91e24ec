import { RunTable } from './run-table.ts';
import { JOINING_TYPES } from './tables.ts';

const joining = new RunTable(JOINING_TYPES);

const ZWNJ = '\u200c';
const ZWJ = '\u200d';
const KATAKANA_DOT = '\u30fb';
/** All code points that are CONTEXTJ or CONTEXTO. */
const NEEDS_CONTEXT = /[\u00b7\u0375\u05f3\u05f4\u0660-\u0669\u06f0-\u06f9\u200c-\u200d\u30fb]/;

/**
 * Whether every code point that needs a context has it (RFC 5892 appendix A, which RFC 8264 section 8 takes over). For a domain
 * it is asked of each label.
 */
export function contextAllows(text: string): boolean {
  if (!NEEDS_CONTEXT.test(text)) return true;
  // The rules of A.7, A.8 and A.9 look at the whole string, so once is enough.
  if (text.includes(KATAKANA_DOT) && !/[\p{sc=Hira}\p{sc=Kana}\p{sc=Han}]/u.test(text)) return false;
  if (/[\u0660-\u0669]/.test(text) && /[\u06f0-\u06f9]/.test(text)) return false;
  const chars = [...text];
  return chars.every((_, at) => isAllowedAt(chars, at));
}

function isAllowedAt(chars: readonly string[], at: number): boolean {
  const before = chars[at - 1];
  const after = chars[at + 1];
  switch (chars[at]) {
    case ZWNJ: // A.1
      return isVirama(before) || breaksJoin(chars, at);
    case ZWJ: // A.2
      return isVirama(before);
    case '\u00b7': // A.3, as in Catalan
      return before === 'l' && after === 'l';
    case '\u0375': // A.4, the Greek numeral sign
      return after !== undefined && /\p{sc=Grek}/u.test(after);
    case '\u05f3': // A.5 and A.6, Hebrew punctuation
    case '\u05f4':
      return before !== undefined && /\p{sc=Hebr}/u.test(before);
    default:
      return true;
  }
}

/**
 * Whether the combining class is Virama, 9. Nothing in JavaScript tells that class, but normalization sorts marks by it:
 * a mark that goes before one of class 10 and after one of class 8 has class 9.
 */
function isVirama(char: string | undefined): boolean {
  if (char === undefined) return false;
  return swaps('\u05b0', char) && swaps(char, '\u3099');
}

function swaps(first: string, second: string): boolean {
  return first !== second && (first + second).normalize('NFD') === second + first;
}

/** A.1's second half: the one before it, not counting the transparent, joins to the left, and the one after it to the right. */
function breaksJoin(chars: readonly string[], at: number): boolean {
  let before = at - 1;
  while (before >= 0 && joiningOf(chars[before]!) === 'T') before--;
  let after = at + 1;
  while (after < chars.length && joiningOf(chars[after]!) === 'T') after++;
  if (before < 0 || after === chars.length) return false;
  return 'LD'.includes(joiningOf(chars[before]!)) && 'RD'.includes(joiningOf(chars[after]!));
}

function joiningOf(char: string): string {
  return joining.at(char.codePointAt(0)!);
}
