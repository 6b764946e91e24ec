// Whether a name stands in a text by itself, in any script.

const LETTER = /[\p{L}\p{N}\p{M}_]/u;
/** Scripts that put no space between words: where one ends cannot be seen. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** Places that are looked at in one text: one that is full of what is nearly the name costs no more. */
const MAX_TRIES = 100;

/** A text or a name as `hasWord` wants it: one form for what looks the same, without regard to case. */
export function simplify(text: string): string {
  // What is plain, which is most, is in that form already.
  return (isAscii(text) ? text : text.normalize('NFC')).toLowerCase();
}

/** Whether a name stands in a text, and is not only a part of another word; both simplified. */
export function hasWord(text: string, name: string): boolean {
  if (name === '') return false;
  const first = String.fromCodePoint(name.codePointAt(0)!);
  const last = before(name, name.length);
  let at = text.indexOf(name);
  for (let tries = 0; at >= 0 && tries < MAX_TRIES; tries++) {
    const end = at + name.length;
    if (isBetweenWords(before(text, at), first) && isBetweenWords(last, behind(text, end))) return true;
    at = text.indexOf(name, at + 1);
  }
  return false;
}

function isBetweenWords(left: string, right: string): boolean {
  if (!LETTER.test(left) || !LETTER.test(right)) return true;
  return UNSPACED.test(left) || UNSPACED.test(right);
}

/** The character in front of a place; empty at the begin. */
function before(text: string, at: number): string {
  if (at === 0) return '';
  const code = text.charCodeAt(at - 1);
  const isLowSurrogate = code >= 0xdc00 && code <= 0xdfff;
  return text.slice(isLowSurrogate ? at - 2 : at - 1, at);
}

/** The character behind a place; empty at the end. */
function behind(text: string, at: number): string {
  return at >= text.length ? '' : String.fromCodePoint(text.codePointAt(at)!);
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}
