import { RunTable } from './run-table.ts';
import { BIDI_CLASSES } from './tables.ts';

const classes = new RunTable(BIDI_CLASSES);

/** The first code point that is written from right to left: all before it need no look-up. */
const FIRST_RTL = 0x590;

/** Whether a text holds a code point of class R, AL or AN, which is what calls for the bidi rule (RFC 5893 section 1.4). */
export function hasRightToLeft(text: string): boolean {
  for (const char of text) {
    const codePoint = char.codePointAt(0)!;
    if (codePoint < FIRST_RTL) continue;
    const letter = classes.at(codePoint);
    if (letter === 'R' || letter === 'A') return true;
  }
  return false;
}

/** The bidi rule, all six conditions (RFC 5893 section 2). */
export function satisfiesBidi(label: string): boolean {
  let letters = '';
  for (const char of label) letters += classes.at(char.codePointAt(0)!);
  if (letters.startsWith('L')) return /^[LESCTOBN]+$/.test(letters) && /[LE]N*$/.test(letters);
  if (!letters.startsWith('R')) return false;
  const mixesDigits = letters.includes('E') && letters.includes('A');
  return !mixesDigits && /^[RAESCTOBN]+$/.test(letters) && /[REA]N*$/.test(letters);
}
