import { hasRightToLeft, satisfiesBidi } from './bidi.ts';
import { CONTEXTJ, CONTEXTO, FREE_PVAL, isMark, PVALID, precisProperty } from './code-points.ts';
import { contextAllows } from './context.ts';

// Two profiles of RFC 8265. Each function returns the enforced string, or undefined for what the profile refuses. What has been
// enforced passes unchanged.

/** Three bytes may become one (a fullwidth letter), more may not: what is longer cannot become a part of 1023 bytes. */
const MAX_BYTES = 3 * 1023;

/** UAX #15 section 13, Stream-Safe Text Format: no language needs more marks on one letter. */
const MAX_MARKS = 30;

/**
 * Whether a string may be normalized at all. That takes time that grows with the square of the number of marks in a row,
 * so what is too long or piled too high is refused before.
 */
export function isPreparable(text: string): boolean {
  return text.length <= MAX_BYTES && Buffer.byteLength(text) <= MAX_BYTES && !isPiledUp(text);
}

function isPiledUp(text: string): boolean {
  let inRow = 0;
  for (const char of text) {
    inRow = isMark(char.codePointAt(0)!) ? inRow + 1 : 0;
    if (inRow > MAX_MARKS) return true;
  }
  return false;
}

/** Fullwidth and halfwidth code points become their ordinary ones (RFC 8265 section 3.3.1). */
export function mapWidths(text: string): string {
  return text.replace(/[\u3000\uff01-\uffee]/g, (char) => char.normalize('NFKC'));
}

/** UsernameCaseMapped, as one userpart without a space (RFC 8265 section 3.3, RFC 7622 section 3.3.1). */
export function usernameCaseMapped(text: string): string | undefined {
  return stabilise(text, enforceUsername);
}

/** OpaqueString (RFC 8265 section 4.2). */
export function opaqueString(text: string): string | undefined {
  return stabilise(text, enforceOpaque);
}

/** RFC 8264 section 7: the rules are applied until they change nothing, at most three times more. */
function stabilise(text: string, enforce: (text: string) => string | undefined): string | undefined {
  if (!isPreparable(text)) return undefined;
  let before = text;
  for (let round = 0; round < 4; round++) {
    const enforced = enforce(before);
    if (enforced === undefined || enforced === before) return enforced;
    before = enforced;
  }
  return undefined;
}

function enforceUsername(text: string): string | undefined {
  const prepared = mapWidths(text);
  // Before the case is mapped, so that the Kelvin sign is refused and does not become a k (RFC 8265 section 3.3.1).
  if (!consistsOf(prepared, isIdentifier)) return undefined;
  const mapped = lower(prepared).normalize('NFC');
  if (mapped === '' || (mapped !== prepared && !consistsOf(mapped, isIdentifier)) || !contextAllows(mapped)) return undefined;
  return hasRightToLeft(mapped) && !satisfiesBidi(mapped) ? undefined : mapped;
}

function enforceOpaque(text: string): string | undefined {
  if (!consistsOf(text, isFreeform)) return undefined;
  const mapped = text.replace(/\p{Zs}/gu, ' ').normalize('NFC');
  return mapped !== '' && consistsOf(mapped, isFreeform) && contextAllows(mapped) ? mapped : undefined;
}

/**
 * Unicode's toLowerCase, letter by letter: a sigma at the end of a word becomes σ like any other. Otherwise what follows it
 * would decide who is meant, and ς is a letter of its own here (RFC 7622 section 3.5, examples 9 to 11).
 */
function lower(text: string): string {
  return text.replaceAll('Σ', 'σ').toLowerCase();
}

function consistsOf(text: string, allows: (property: number) => boolean): boolean {
  for (const char of text) if (!allows(precisProperty(char.codePointAt(0)!))) return false;
  return true;
}

function isIdentifier(property: number): boolean {
  return property === PVALID || property === CONTEXTJ || property === CONTEXTO;
}

function isFreeform(property: number): boolean {
  return property === FREE_PVAL || isIdentifier(property);
}
