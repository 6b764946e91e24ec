import { XmlError } from './chars.ts';
import type { Declared } from './namespaces.ts';
import { Scanner } from './scanner.ts';
import type { Stanza } from './stanza.ts';

export { XmlError };

/** What a peer may send in one piece. */
export interface SplitterLimits {
  /** Bytes of one first-level element, and of the header. */
  readonly maxBytes: number;
  /** Levels of elements within each other, the first-level element being the first. */
  readonly maxDepth: number;
  /** Attributes of one element; at most 1024. */
  readonly maxAttributes: number;
  /** Elements within one first-level element, at all levels together. */
  readonly maxElements: number;
}

/** The start tag of a stream (RFC 6120 section 4.2). */
export interface StreamHeader {
  /** Without its prefix. */
  readonly name: string;
  readonly prefix: string;
  /** The namespace of the element itself; undefined when there is none. */
  readonly xmlns: string | undefined;
  /** The namespace of what has none of its own. */
  readonly defaultNS: string | undefined;
  /** By names as written; `xml:lang` among them. */
  readonly attrs: ReadonlyMap<string, string>;
}

/** Is told what a stream consists of, in order, while its bytes are read. What it throws reaches the caller of `write`. */
export interface SplitterHandler {
  header(header: StreamHeader): void;
  stanza(stanza: Stanza): void;
  /** The end tag of the stream. Nothing comes after it. */
  footer(): void;
}

/** What a stream's header has left behind: all that a splitter has to know between two stanzas. */
export interface Root {
  /** The name as written. */
  readonly name: string;
  readonly defaultNS: string | undefined;
  readonly declared: readonly Declared[];
}

/** Scanners without work. A connection only needs one while it has sent a part of a stanza, so thousands share a few. */
const idle: Scanner[] = [];
const MAX_IDLE = 64;

/**
 * Cuts a stream of bytes into stanzas and checks them meanwhile: well-formed by XML 1.0 and Namespaces in XML, with none of what
 * RFC 6120 section 11 forbids, within limits. Bytes may be cut anywhere; the work is linear in their number. Between stanzas it
 * holds nothing but the stream's header.
 */
export class Splitter {
  readonly #handler: SplitterHandler;
  #limits: SplitterLimits;
  #scanner: Scanner | undefined = undefined;
  #root: Root | undefined = undefined;
  #isPaused = false;
  #isDone = false;
  /** Whether anything has come before the header; an XML declaration may only be the very first thing. */
  #isFresh = true;

  constructor(handler: SplitterHandler, limits: SplitterLimits) {
    this.#handler = handler;
    this.#limits = limits;
  }

  /** Bytes that are held because their stanza is not complete, or because of a pause. */
  get pendingBytes(): number {
    return this.#scanner?.held ?? 0;
  }

  /**
   * Reads bytes, which are only looked at during the call. Throws XmlError for what is refused, after which the rest of the
   * stream is ignored, and whatever the handler throws.
   */
  write(chunk: Buffer): void {
    if (this.#isDone) return;
    const scanner = (this.#scanner ??= this.#take());
    scanner.add(chunk);
    this.#scan(scanner);
  }

  /** Nothing is told to the handler until `resume`; what is written meanwhile is kept. */
  pause(): void {
    this.#isPaused = true;
    if (this.#scanner) this.#scanner.isStopped = true;
  }

  /** Goes on with what was kept. Throws as `write` does. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    const scanner = this.#scanner;
    if (!scanner || this.#isDone) return;
    this.#scan(scanner);
  }

  /** Other limits, from the next element on. */
  setLimits(limits: SplitterLimits): void {
    this.#limits = limits;
    if (this.#scanner) this.#scanner.limits = limits;
  }

  /** Expects a new header (RFC 6120 section 4.3.3). What has come behind the last element belongs to the new stream. */
  reset(): void {
    this.#root = undefined;
    this.#isFresh = true;
    this.#scanner?.restart(undefined, true);
  }

  /** Throws away what has come and was not handled yet (RFC 6120 section 5.4.3.3). */
  discard(): void {
    this.#scanner?.discard();
  }

  // ---- For the scanner

  /** The stream's header. */
  opened(root: Root, header: StreamHeader): void {
    this.#root = root;
    this.#handler.header(header);
  }

  /** A first-level element. */
  found(stanza: Stanza): void {
    this.#handler.stanza(stanza);
  }

  /** The end of the stream. */
  closed(): void {
    this.#isDone = true;
    this.#handler.footer();
  }

  #scan(scanner: Scanner): void {
    if (this.#isPaused) return scanner.keep();
    try {
      scanner.isStopped = false;
      scanner.scan();
    } catch (error) {
      this.#isDone = true;
      this.#release(scanner);
      throw error;
    }
    if (this.#isDone || scanner.isBetween) this.#release(scanner);
    else scanner.keep();
  }

  #take(): Scanner {
    const scanner = idle.pop() ?? new Scanner();
    scanner.begin(this, this.#limits);
    scanner.restart(this.#root, this.#isFresh);
    return scanner;
  }

  #release(scanner: Scanner): void {
    if (this.#scanner !== scanner) return;
    this.#isFresh = scanner.isFresh;
    this.#scanner = undefined;
    scanner.end();
    if (idle.length < MAX_IDLE) idle.push(scanner);
  }
}

const MESSAGE_ROOT: Root = { name: '', defaultNS: undefined, declared: [] };
const LESS = 60;

/**
 * Reads one whole element that stands alone (RFC 7395 section 3.3.3), such as a WebSocket message. Throws XmlError as a splitter
 * does; `bad-format` when it is not one element and nothing else.
 */
export function parseMessage(bytes: Buffer, limits: SplitterLimits): Stanza {
  if (bytes[0] !== LESS) throw new XmlError('bad-format', 'A message begins with an element');
  const scanner = idle.pop() ?? new Scanner();
  const found: Stanza[] = [];
  const sink = {
    opened() {},
    closed() {},
    found(stanza: Stanza) {
      found.push(stanza);
      scanner.isStopped = true;
    },
  };
  try {
    scanner.begin(sink, limits);
    scanner.restart(MESSAGE_ROOT, false);
    scanner.add(bytes);
    scanner.scan();
    if (found.length === 0) throw new XmlError('not-well-formed', 'A message ends within an element');
    if (scanner.held > 0) throw new XmlError('bad-format', 'A message is one element');
    return found[0]!;
  } finally {
    scanner.end();
    if (idle.length < MAX_IDLE) idle.push(scanner);
  }
}
