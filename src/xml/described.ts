import { attributeValue, escapeXml } from './escape.ts';
import type { Declared, Namespaces } from './namespaces.ts';
import type { Root, StreamHeader } from './splitter.ts';
import { Stanza } from './stanza.ts';
import { attributeOf, isWritten, nameOf, PLACE, PLACE_SIZE, tag } from './start-tag.ts';
import { fromWire, toWire, utf8 } from './wire.ts';

/** The attributes of a first-level element that the server works with; the first three are written anew on each hop. */
const KNOWN = ['xmlns', 'from', 'to', 'type', 'id', 'xml:lang'] as const;
const ADDRESSED = 3;
/** Numbers noted of each: where it begins (with white space), and its value; all from the element's start. */
const NOTE_SIZE = 3;
const ABSENT = -1;

/** What the scanner knows of the element besides its tag. */
export interface Contents {
  readonly children: readonly number[];
  readonly hasCdata: boolean;
}

/** Remembers the start tag of a first-level element until its end has come. Used again for the next one. */
export class HeadNotes {
  /** Whether the element's name has a prefix. */
  isPrefixed = false;
  readonly #notes = new Int32Array(KNOWN.length * NOTE_SIZE);
  #nameLength = 0;
  #xmlns: string | undefined = undefined;

  /** Notes `tag`, which begins at `start`. `namespaces` has taken it in. */
  note(buf: Buffer, start: number, namespaces: Namespaces): void {
    const notes = this.#notes;
    const { places } = tag;
    this.#nameLength = tag.nameEnd - start - 1;
    this.isPrefixed = tag.colon >= 0;
    this.#xmlns = this.isPrefixed ? namespaces.find(utf8(buf, start + 1, tag.colon)) : undefined;
    for (let i = 0; i < notes.length; i += NOTE_SIZE) notes[i] = ABSENT;
    for (let base = 0; base < tag.count * PLACE_SIZE; base += PLACE_SIZE) {
      const which = find(buf, places[base + PLACE.name]!, places[base + PLACE.nameEnd]!);
      if (which < 0) continue;
      notes[which * NOTE_SIZE] = places[base]! - start;
      notes[which * NOTE_SIZE + 1] = places[base + PLACE.value]! - start;
      notes[which * NOTE_SIZE + 2] = places[base + PLACE.valueEnd]! - start;
    }
  }

  /** The stanza, now that all of it has come. */
  finish(raw: string, defaultNS: string | undefined, namespaces: Namespaces, { children, hasCdata }: Contents): Stanza {
    const name = fromWire(raw.slice(1, 1 + this.#nameLength));
    const written = this.#read(raw, 0);
    const head = {
      name,
      xmlns: (this.isPrefixed ? this.#xmlns : (written ?? defaultNS)) ?? '',
      from: this.#read(raw, 1),
      to: this.#read(raw, 2),
      type: this.#read(raw, 3),
      id: this.#read(raw, 4),
      lang: this.#read(raw, 5),
    };
    const inherited = declare(namespaces.takeInherited());
    return Stanza.scanned(head, { raw, nameLength: this.#nameLength, cuts: this.#cuts(), inherited, children, hasCdata });
  }

  #read(raw: string, which: number): string | undefined {
    const note = which * NOTE_SIZE;
    if (this.#notes[note] === ABSENT) return undefined;
    const value = raw.slice(this.#notes[note + 1], this.#notes[note + 2]);
    return UNUSUAL.test(value) ? attributeValue(fromWire(value)) : value;
  }

  /** The attributes that are not passed on as they are. A prefixed name keeps its declarations, xmlns among them. */
  #cuts(): readonly number[] {
    const notes = this.#notes;
    const cuts: number[] = [];
    for (let which = this.isPrefixed ? 1 : 0; which < ADDRESSED; which++) {
      const start = notes[which * NOTE_SIZE]!;
      if (start === ABSENT) continue;
      const end = notes[which * NOTE_SIZE + 2]! + 1;
      let at = cuts.length;
      while (at > 0 && cuts[at - 2]! > start) at -= 2;
      cuts.splice(at, 0, start, end);
    }
    return cuts;
  }
}

const UNUSUAL = /[&\t\r\n\u0080-\u00ff]/;

function find(buf: Buffer, start: number, end: number): number {
  switch (end - start) {
    case 2:
      return isWritten(buf, start, 'to') ? 2 : isWritten(buf, start, 'id') ? 4 : -1;
    case 4:
      return isWritten(buf, start, 'from') ? 1 : isWritten(buf, start, 'type') ? 3 : -1;
    case 5:
      return isWritten(buf, start, 'xmlns') ? 0 : -1;
    case 8:
      return isWritten(buf, start, 'xml:lang') ? 5 : -1;
    default:
      return -1;
  }
}

function declare(inherited: ReadonlyMap<string, string> | undefined): string {
  if (!inherited) return '';
  let text = '';
  for (const [prefix, uri] of inherited) text += ` xmlns:${prefix}='${toWire(escapeXml(uri))}'`;
  return text;
}

/** Most streams open alike: their headers leave the same behind, and need not each have a copy of it. */
const CLIENT_ROOT: Root = {
  name: 'stream:stream',
  defaultNS: 'jabber:client',
  declared: [{ depth: 1, prefix: 'stream', uri: 'http://etherx.jabber.org/streams' }],
};

/** Reads the header of a stream, which `tag` is; `namespaces` has taken it in. */
export function readHeader(
  buf: Buffer,
  start: number,
  namespaces: Namespaces,
): { readonly root: Root; readonly header: StreamHeader } {
  const written = utf8(buf, start + 1, tag.nameEnd);
  const prefix = tag.colon < 0 ? '' : utf8(buf, start + 1, tag.colon);
  const attrs = new Map<string, string>();
  const declared: Declared[] = [];
  for (let i = 0; i < tag.count; i++) {
    const name = nameOf(buf, i);
    const value = attributeOf(buf, i);
    attrs.set(name, value);
    if (name.startsWith('xmlns:') && name !== 'xmlns:xml')
      declared.push({ depth: 1, prefix: name.slice('xmlns:'.length), uri: value });
  }
  const defaultNS = attrs.get('xmlns');
  const xmlns = prefix === '' ? defaultNS : namespaces.find(prefix);
  const header = { name: written.slice(prefix === '' ? 0 : prefix.length + 1), prefix, xmlns, defaultNS, attrs };
  const root = { name: written, defaultNS, declared };
  return { root: isClientRoot(root) ? CLIENT_ROOT : root, header };
}

function isClientRoot({ name, defaultNS, declared }: Root): boolean {
  const [first] = declared;
  const [wanted] = CLIENT_ROOT.declared;
  const isUsual = declared.length === 1 && first!.prefix === wanted!.prefix && first!.uri === wanted!.uri;
  return isUsual && name === CLIENT_ROOT.name && defaultNS === CLIENT_ROOT.defaultNS;
}
