// Texts in the form in which they are compared: whatever their case, their accents and their width.

/** Accents. Those of scripts in which such marks are vowels or change what a letter is are not among them. */
const ACCENTS = /[\u0300-\u036f]/g;
const WORDS = /[\p{L}\p{M}\p{N}]+/gu;
/** Letters that Unicode does not take apart into one of the alphabet and an accent, though many people write them so. */
const LETTERS: ReadonlyMap<string, string> = new Map([
  ['ß', 'ss'],
  ['æ', 'ae'],
  ['œ', 'oe'],
  ['ø', 'o'],
  ['ł', 'l'],
  ['đ', 'd'],
  ['ð', 'd'],
  ['þ', 'th'],
  ['ħ', 'h'],
  ['ı', 'i'],
]);
const ODD = /[ßæœøłđðþħı]/g;
/** Of one text. */
const MAX_WORDS = 8;
const MAX_LENGTH = 64;

/** A text without the differences that people do not make when they search. */
export function simplify(text: string): string {
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  const plain = text.normalize('NFKD').replace(ACCENTS, '').toLowerCase().normalize('NFC');
  return plain.replace(ODD, (letter) => LETTERS.get(letter) ?? letter);
}

/** The words of a text, simplified: what stands between them, be it `*` or `%`, means nothing. */
export function wordsOf(text: string): readonly string[] {
  const words = simplify(text).match(WORDS) ?? [];
  return [...new Set(words)].slice(0, MAX_WORDS).map((word) => word.slice(0, MAX_LENGTH));
}

/** Whether a beginning says enough to search for: one letter does only where letters are syllables or words. */
export function saysEnough(prefix: string): boolean {
  return prefix.length > 1 || prefix > '\u02ff';
}
