import { isUtf8 } from 'node:buffer';
import { CHILD, CHILD_SIZE, NO_XMLNS, UNCLEAR_XMLNS } from './body.ts';
import { AMPERSAND, checkDeclaration, WHITE, XmlError } from './chars.ts';
import { HeadNotes, readHeader } from './described.ts';
import { Lexer } from './lexer.ts';
import { Namespaces } from './namespaces.ts';
import type { Root, SplitterLimits, StreamHeader } from './splitter.ts';
import type { Stanza } from './stanza.ts';
import { attributeOf, checkDefault, PLACE, PLACE_SIZE, tag } from './start-tag.ts';
import { latin1, utf8 } from './wire.ts';

/** Is told what a scanner finds. */
export interface ScannerSink {
  opened(root: Root, header: StreamHeader): void;
  found(stanza: Stanza): void;
  closed(): void;
}

const NOWHERE: ScannerSink = { opened() {}, found() {}, closed() {} };

/** Makes stanzas of the tags that Lexer finds: checks names, namespaces and nesting, and notes what the server works with. */
export class Scanner extends Lexer {
  #sink = NOWHERE;
  #root: Root | undefined = undefined;
  /** Place and length of the name of each open element within the first-level one, from `start`. */
  #names = new Int32Array(64);
  readonly #namespaces = new Namespaces();
  #elements = 0;
  #children: number[] = [];
  readonly #head = new HeadNotes();

  /** Starts to work for somebody. */
  begin(sink: ScannerSink, limits: SplitterLimits): void {
    this.#sink = sink;
    this.limits = limits;
    this.isStopped = false;
  }

  /** Goes on behind a header, or expects one. What has been added and not been read stays. */
  restart(root: Root | undefined, isFresh: boolean): void {
    this.#root = root;
    this.depth = root ? 1 : 0;
    this.#namespaces.begin(root?.declared ?? []);
    this.beginText(isFresh);
  }

  /** Forgets whom it worked for and what it has read. */
  end(): void {
    this.#sink = NOWHERE;
    this.clear();
    this.#children = [];
    this.#root = undefined;
  }

  protected override declaration(end: number): void {
    checkDeclaration(latin1(this.buf, this.tagAt, end + 1));
    this.isFresh = false;
    this.start = end + 1;
  }

  protected override startTag(end: number): void {
    const buf = this.buf;
    const start = this.tagAt;
    tag.read(buf, start, end, this.limits.maxAttributes);
    if (tag.xmlns >= 0) checkDefault(attributeOf(buf, tag.xmlns));
    const depth = this.depth;
    this.#namespaces.enter(buf, start, depth + 1);
    if (depth === 0) return this.#open(end);
    if (depth === 1) {
      this.start = start;
      this.#elements = 0;
      this.#children = [];
      this.#head.note(buf, start, this.#namespaces);
    } else if (depth === 2) this.#addChild(start);
    if (++this.#elements > this.limits.maxElements) throw new XmlError('policy-violation', 'Too many elements');
    if (tag.isEmpty) {
      if (tag.declarations > 0) this.#namespaces.leave(depth + 1);
      if (depth === 2) this.#endChild(end + 1);
      if (depth === 1) this.#emit(end + 1);
      return;
    }
    if (depth > this.limits.maxDepth) throw new XmlError('policy-violation', 'Too deep');
    if (this.#names.length < 2 * depth) this.#grow();
    this.#names[2 * depth - 2] = start + 1 - this.start;
    this.#names[2 * depth - 1] = tag.nameEnd - start - 1;
    this.depth = depth + 1;
  }

  #grow(): void {
    const names = new Int32Array(this.#names.length * 2);
    names.set(this.#names);
    this.#names = names;
  }

  #open(end: number): void {
    const buf = this.buf;
    this.checkSize(end + 1 - this.start);
    if (this.high >= 0x80 && !isUtf8(buf.subarray(this.start, end + 1))) throw new XmlError('not-well-formed', 'Not UTF-8');
    const { root, header } = readHeader(buf, this.tagAt, this.#namespaces);
    const isEmpty = tag.isEmpty;
    this.#root = root;
    this.#namespaces.takeInherited();
    this.high = 0;
    this.isFresh = false;
    this.start = end + 1;
    this.depth = 1;
    this.#sink.opened(root, header);
    if (isEmpty) this.#sink.closed();
  }

  #addChild(start: number): void {
    const isPlain = tag.colon < 0 && !this.#head.isPrefixed;
    const base = tag.xmlns * PLACE_SIZE;
    const { places } = tag;
    let xmlns: number = NO_XMLNS;
    let xmlnsEnd = 0;
    if (!isPlain) xmlns = UNCLEAR_XMLNS;
    else if (tag.xmlns >= 0) {
      xmlns = places[base + PLACE.value]! - this.start;
      xmlnsEnd = places[base + PLACE.valueEnd]! - this.start;
      if (this.buf.subarray(xmlns + this.start, xmlnsEnd + this.start).includes(AMPERSAND)) xmlns = UNCLEAR_XMLNS;
    }
    this.#children.push(start + 1 - this.start, tag.nameEnd - start - 1, xmlns, xmlnsEnd, start - this.start, 0);
  }

  #endChild(end: number): void {
    this.#children[this.#children.length - CHILD_SIZE + CHILD.end] = end - this.start;
  }

  protected override endTag(slash: number, end: number): void {
    const buf = this.buf;
    const depth = this.depth;
    if (depth === 0) throw new XmlError('not-well-formed', 'An end without a beginning');
    if (depth === 1) return this.#close(slash, end);
    const name = this.#names[2 * depth - 4]! + this.start;
    const length = this.#names[2 * depth - 3]!;
    for (let i = 0; i < length; i++) if (buf[name + i] !== buf[slash + 1 + i]) throw mismatch();
    let at = slash + 1 + length;
    while (at < end && WHITE[buf[at]!] === 1) at++;
    if (at !== end) throw mismatch();
    this.depth = depth - 1;
    this.#namespaces.leave(depth);
    if (depth === 3) this.#endChild(end + 1);
    else if (depth === 2) this.#emit(end + 1);
  }

  #close(slash: number, end: number): void {
    const name = this.#root!.name;
    if (name === '' || utf8(this.buf, slash + 1, end).replace(/[\t\r\n ]+$/, '') !== name) throw mismatch();
    this.start = end + 1;
    this.depth = 0;
    this.isStopped = true;
    this.#sink.closed();
  }

  #emit(end: number): void {
    const buf = this.buf;
    const start = this.start;
    this.checkSize(end - start);
    if (this.high >= 0x80 && !isUtf8(buf.subarray(start, end))) throw new XmlError('not-well-formed', 'Not UTF-8');
    const contents = { children: this.#children, hasCdata: this.hasCdata };
    const stanza = this.#head.finish(latin1(buf, start, end), this.#root!.defaultNS, this.#namespaces, contents);
    this.high = 0;
    this.hasCdata = false;
    this.start = end;
    this.#sink.found(stanza);
  }
}

function mismatch(): XmlError {
  return new XmlError('not-well-formed', 'An end that does not match its beginning');
}
