import { APOSTROPHE, COLON, checkName, EQUALS, IN_NAME, QUOTE, SLASH, STARTS_NAME, WHITE, XmlError } from './chars.ts';
import { attributeValue } from './escape.ts';
import { utf8 } from './wire.ts';

/** The most attributes an element may have, whatever the config says. */
export const MAX_ATTRIBUTES = 1024;

/** Numbers that describe one attribute in `StartTag.places`. */
export const PLACE_SIZE = 5;
/** What they are: where it begins, with the white space before it; its name; its value, without quotes. */
export const PLACE = { outer: 0, name: 1, nameEnd: 2, value: 3, valueEnd: 4 } as const;

const NS_XML = 'http://www.w3.org/XML/1998/namespace';
const NS_XMLNS = 'http://www.w3.org/2000/xmlns/';

/**
 * A start tag taken apart, by offsets into the buffer it was read from. There is one for the whole process: a tag is read and
 * used in one go, so nothing needs to be made for it.
 */
class StartTag {
  readonly places = new Int32Array(MAX_ATTRIBUTES * PLACE_SIZE);
  /** How many attributes there are. */
  count = 0;
  nameEnd = 0;
  /** The place of the colon in the element's name, or -1. */
  colon = -1;
  isEmpty = false;
  /** Which attribute is xmlns, or -1. */
  xmlns = -1;
  /** How many attributes have a prefix that has to be bound. */
  prefixed = 0;
  /** How many declare a prefix. */
  declarations = 0;

  /** Reads the tag from `<` at `start` to `>` at `end`, of which the quotes are known to pair. Throws XmlError. */
  read(buf: Buffer, start: number, end: number, maxAttributes: number): void {
    this.isEmpty = buf[end - 1] === SLASH;
    const limit = this.isEmpty ? end - 1 : end;
    this.count = 0;
    this.xmlns = -1;
    this.prefixed = 0;
    this.declarations = 0;
    let at = (this.nameEnd = readName(buf, start + 1, limit));
    this.colon = colonIn(buf, start + 1, at);
    for (;;) {
      const outer = at;
      while (at < limit && WHITE[buf[at]!] === 1) at++;
      if (at >= limit) return;
      if (at === outer) throw new XmlError('not-well-formed', 'No space between attributes');
      if (this.count >= maxAttributes) throw new XmlError('policy-violation', 'Too many attributes');
      at = this.#readAttribute(buf, outer, at, limit);
    }
  }

  #readAttribute(buf: Buffer, outer: number, start: number, limit: number): number {
    const nameEnd = readName(buf, start, limit);
    let at = skipWhite(buf, nameEnd, limit);
    if (at >= limit || buf[at] !== EQUALS) throw new XmlError('not-well-formed', 'An attribute without a value');
    at = skipWhite(buf, at + 1, limit);
    const quote = buf[at];
    if (at >= limit || (quote !== QUOTE && quote !== APOSTROPHE)) throw new XmlError('not-well-formed', 'A value without quotes');
    const value = ++at;
    while (buf[at] !== quote) at++;
    if (at >= limit) throw new XmlError('not-well-formed', 'Not a tag');
    this.#refuseTwin(buf, start, nameEnd);
    const { places } = this;
    const base = this.count++ * PLACE_SIZE;
    places[base] = outer;
    places[base + PLACE.name] = start;
    places[base + PLACE.nameEnd] = nameEnd;
    places[base + PLACE.value] = value;
    places[base + PLACE.valueEnd] = at;
    this.#classify(buf, start, nameEnd);
    return at + 1;
  }

  /** XML 1.0 section 3.1: no name twice. */
  #refuseTwin(buf: Buffer, start: number, end: number): void {
    const { places } = this;
    for (let base = 0; base < this.count * PLACE_SIZE; base += PLACE_SIZE) {
      if (
        places[base + PLACE.nameEnd]! - places[base + PLACE.name]! === end - start &&
        same(buf, places[base + PLACE.name]!, start, end)
      ) {
        throw new XmlError('not-well-formed', 'An attribute twice');
      }
    }
  }

  #classify(buf: Buffer, start: number, end: number): void {
    const colon = colonIn(buf, start, end);
    const isXmlns = (colon < 0 ? end : colon) - start === 5 && isWritten(buf, start, 'xmlns');
    if (colon < 0) {
      if (isXmlns) this.xmlns = this.count - 1;
    } else if (isXmlns) this.declarations++;
    else if (colon - start !== 3 || !isWritten(buf, start, 'xml')) this.prefixed++;
  }
}

/** The tag that was read last. */
export const tag = new StartTag();

/** Whether these ASCII characters stand there. */
export function isWritten(buf: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (buf[at + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** The value of an attribute of `tag`, as text. */
export function attributeOf(buf: Buffer, index: number): string {
  const base = index * PLACE_SIZE;
  return attributeValue(utf8(buf, tag.places[base + PLACE.value], tag.places[base + PLACE.valueEnd]));
}

/** The name of an attribute of `tag`. */
export function nameOf(buf: Buffer, index: number): string {
  const base = index * PLACE_SIZE;
  return utf8(buf, tag.places[base + PLACE.name], tag.places[base + PLACE.nameEnd]);
}

/** The prefix and namespace of a declaration, checked as Namespaces in XML sections 3 and 5 say. */
export function readDeclaration(name: string, uri: string): { readonly prefix: string; readonly uri: string } {
  const prefix = name.slice('xmlns:'.length);
  const isXml = prefix === 'xml';
  if (uri === '' || prefix === 'xmlns' || uri === NS_XMLNS || isXml !== (uri === NS_XML)) {
    throw new XmlError('not-well-formed', 'Not a declaration of a namespace');
  }
  return { prefix, uri };
}

/** Checks a declaration of the default namespace. */
export function checkDefault(uri: string): void {
  if (uri === NS_XMLNS || uri === NS_XML) throw new XmlError('not-well-formed', 'Not a declaration of a namespace');
}

function readName(buf: Buffer, start: number, limit: number): number {
  if (start >= limit || STARTS_NAME[buf[start]!] === 0) throw new XmlError('not-well-formed', 'Not a name');
  let at = start;
  let high = 0;
  for (; at < limit && IN_NAME[buf[at]!] === 1; at++) high |= buf[at]!;
  if (high >= 0x80) checkName(buf, start, at);
  return at;
}

/** The place of the colon in a qualified name, or -1. Throws when there are two, or nothing on one of its sides. */
function colonIn(buf: Buffer, start: number, end: number): number {
  let colon = -1;
  for (let at = start; at < end; at++) {
    if (buf[at] !== COLON) continue;
    if (colon >= 0) throw new XmlError('not-well-formed', 'A name with two colons');
    colon = at;
  }
  if (colon === start || colon === end - 1) throw new XmlError('not-well-formed', 'Not a qualified name');
  // Namespaces in XML, production 4: what follows the prefix is a name of its own.
  if (colon >= 0 && STARTS_NAME[buf[colon + 1]!] === 0) throw new XmlError('not-well-formed', 'Not a qualified name');
  return colon;
}

function skipWhite(buf: Buffer, start: number, limit: number): number {
  let at = start;
  while (at < limit && WHITE[buf[at]!] === 1) at++;
  return at;
}

function same(buf: Buffer, one: number, start: number, end: number): boolean {
  for (let i = 0; i < end - start; i++) if (buf[one + i] !== buf[start + i]) return false;
  return true;
}
