import type { StreamCondition } from '../stanza/errors.ts';
import { latin1, utf8 } from './wire.ts';

/** Refuses what a peer has written: not XML, forbidden by RFC 6120 section 11, or beyond a limit. */
export class XmlError extends Error {
  override readonly name = 'XmlError';
  readonly condition: StreamCondition;

  constructor(condition: StreamCondition, text: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(text);
    Error.stackTraceLimit = limit;
    this.condition = condition;
  }
}

export const QUOTE = 34;
export const HASH = 35;
export const AMPERSAND = 38;
export const APOSTROPHE = 39;
export const SLASH = 47;
export const BANG = 33;
export const COLON = 58;
export const SEMICOLON = 59;
export const LESS = 60;
export const EQUALS = 61;
export const GREATER = 62;
export const QUESTION = 63;
export const BRACKET = 93;
/** The first byte of U+F000 to U+FFFF, among which are the two that XML forbids. */
export const EF = 0xef;

function table(marks: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (marks(byte) ? 1 : 0));
}

const isControl = (byte: number) => byte < 32 && byte !== 9 && byte !== 10 && byte !== 13;
const isNameStart = (byte: number) =>
  (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122) || byte === 95 || byte === COLON || byte >= 0x80;

/** Bytes between tags at which the scanner has to look closer. */
export const STOPS_TEXT = table((byte) => isControl(byte) || [LESS, AMPERSAND, BRACKET, EF].includes(byte));
/** The same in CDATA. */
export const STOPS_CDATA = table((byte) => isControl(byte) || [BRACKET, EF].includes(byte));
/** The same in a tag, outside of quotes. */
export const STOPS_TAG = table((byte) => isControl(byte) || [LESS, GREATER, QUOTE, APOSTROPHE, EF].includes(byte));
/** The same between quotes. */
export const STOPS_VALUE = table((byte) => isControl(byte) || [LESS, QUOTE, APOSTROPHE, AMPERSAND, EF].includes(byte));
export const WHITE = table((byte) => [9, 10, 13, 32].includes(byte));
export const STARTS_NAME = table(isNameStart);
export const IN_NAME = table((byte) => isNameStart(byte) || (byte >= 48 && byte <= 57) || byte === 45 || byte === 46);

const START =
  ':A-Z_a-z\\u00C0-\\u00D6\\u00D8-\\u00F6\\u00F8-\\u02FF\\u0370-\\u037D\\u037F-\\u1FFF\\u200C-\\u200D\\u2070-\\u218F' +
  '\\u2C00-\\u2FEF\\u3001-\\uD7FF\\uF900-\\uFDCF\\uFDF0-\\uFFFD\\u{10000}-\\u{EFFFF}';
const NAME = new RegExp(`^[${START}][${START}.0-9\\u00B7\\u0300-\\u036F\\u203F-\\u2040\\-]*$`, 'u');

/** Throws for a name that goes beyond ASCII and is none (XML 1.0 production 5). */
export function checkName(buf: Buffer, start: number, end: number): void {
  if (!NAME.test(utf8(buf, start, end))) throw new XmlError('not-well-formed', 'Not a name');
}

const LONGEST_REFERENCE = 12;
const PREDEFINED: ReadonlySet<string> = new Set(['amp', 'lt', 'gt', 'quot', 'apos']);

/**
 * Checks the reference at `at` (XML 1.0 section 4.1, RFC 6120 section 11.1). Returns the place behind its semicolon, or -1 when
 * its end has not come yet.
 */
export function checkReference(buf: Buffer, at: number, end: number): number {
  const limit = Math.min(end, at + LONGEST_REFERENCE);
  let semicolon = at + 1;
  while (semicolon < limit && buf[semicolon] !== SEMICOLON) semicolon++;
  if (semicolon >= limit) {
    if (limit === at + LONGEST_REFERENCE) throw new XmlError('not-well-formed', 'Not a reference');
    return -1;
  }
  const name = latin1(buf, at + 1, semicolon);
  if (buf[at + 1] === HASH) checkCharacterReference(name);
  else if (!PREDEFINED.has(name)) {
    if (!/^[A-Za-z_:][\w.:-]*$/.test(name)) throw new XmlError('not-well-formed', 'Not a reference');
    throw new XmlError('restricted-xml', 'Entities are not allowed');
  }
  return semicolon + 1;
}

function checkCharacterReference(name: string): void {
  const isHex = name.startsWith('#x');
  const digits = name.slice(isHex ? 2 : 1);
  if (!(isHex ? /^[0-9a-fA-F]+$/ : /^[0-9]+$/).test(digits)) throw new XmlError('not-well-formed', 'Not a reference');
  if (!isCharacter(Number.parseInt(digits, isHex ? 16 : 10)))
    throw new XmlError('not-well-formed', 'A reference to no character');
}

/** XML 1.0 production 2. */
function isCharacter(code: number): boolean {
  if (code < 32) return code === 9 || code === 10 || code === 13;
  return code <= 0xd7ff || (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
}

const DECLARATION =
  /^<\?xml[ \t\r\n]+version[ \t\r\n]*=[ \t\r\n]*(["'])1\.[0-9]+\1(?:[ \t\r\n]+encoding[ \t\r\n]*=[ \t\r\n]*(["'])([A-Za-z][A-Za-z0-9._-]*)\2)?(?:[ \t\r\n]+standalone[ \t\r\n]*=[ \t\r\n]*(["'])(?:yes|no)\4)?[ \t\r\n]*\?>$/;

/** Checks the XML declaration (XML 1.0 production 23; RFC 6120 section 11.6: UTF-8 and nothing else). */
export function checkDeclaration(text: string): void {
  const match = DECLARATION.exec(text);
  if (!match) {
    if (/^<\?xml[ \t\r\n]/.test(text)) throw new XmlError('not-well-formed', 'Not an XML declaration');
    throw new XmlError('restricted-xml', 'Processing instructions are not allowed');
  }
  if (match[3] !== undefined && match[3].toUpperCase() !== 'UTF-8') throw new XmlError('unsupported-encoding', 'Only UTF-8');
}
