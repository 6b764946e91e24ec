import {
  AMPERSAND,
  APOSTROPHE,
  BANG,
  BRACKET,
  checkReference,
  EF,
  GREATER,
  LESS,
  QUESTION,
  QUOTE,
  SLASH,
  STOPS_CDATA,
  STOPS_TAG,
  STOPS_TEXT,
  STOPS_VALUE,
  WHITE,
  XmlError,
} from './chars.ts';
import type { SplitterLimits } from './splitter.ts';

const EMPTY: Buffer = Buffer.alloc(0);
const NO_LIMITS: SplitterLimits = { maxBytes: 0, maxDepth: 0, maxAttributes: 0, maxElements: 0 };
const CDATA = '[CDATA[';

const IN_TEXT = 0;
const IN_TAG = 1;
const IN_CDATA = 2;

/**
 * Looks at every byte of a stream once: finds where tags begin and end, and refuses characters that may not be there. What tags
 * mean is the business of Scanner, which extends it. The element being read always lies in one buffer.
 */
export abstract class Lexer {
  limits = NO_LIMITS;
  /** Set by whoever wants no more elements now. */
  isStopped = false;
  /** Nothing has been read since the stream began. */
  isFresh = true;

  protected buf = EMPTY;
  /** Where the element being read begins; between elements, where the next may. */
  protected start = 0;
  /** Open elements: 0 before the header, 1 between first-level elements. */
  protected depth = 0;
  /** All bytes of the present element, or-ed: whether there is more in it than ASCII. */
  protected high = 0;
  protected hasCdata = false;
  /** Where the present tag begins. */
  protected tagAt = 0;

  #isOwn = false;
  #end = 0;
  #at = 0;
  #state = IN_TEXT;
  #quote = 0;

  /** A tag has been found whole: from `<` at `tagAt` to `>` at `end`. */
  protected abstract startTag(end: number): void;
  protected abstract endTag(slash: number, end: number): void;
  protected abstract declaration(end: number): void;

  /** Expects text next: what has been added and not been read stays. */
  protected beginText(isFresh: boolean): void {
    this.#state = IN_TEXT;
    this.isFresh = isFresh;
  }

  /** Forgets everything that was added. */
  protected clear(): void {
    this.buf = EMPTY;
    this.#isOwn = false;
    this.start = this.#at = this.#end = 0;
    this.high = 0;
    this.hasCdata = false;
  }

  /** Bytes that are held. */
  get held(): number {
    return this.#end - this.start;
  }

  /** True when all has been read and nothing is open but the stream. */
  get isBetween(): boolean {
    return this.start === this.#end && this.depth <= 1 && this.#state === IN_TEXT;
  }

  /** Adds bytes behind what is held. They are only borrowed until `keep` or `end`. */
  add(chunk: Buffer): void {
    const held = this.#end - this.start;
    if (held === 0) {
      this.buf = chunk;
      this.#isOwn = false;
      this.start = this.#at = 0;
      this.#end = chunk.length;
      return;
    }
    if (!this.#isOwn || this.#end + chunk.length > this.buf.length) this.#move((held + chunk.length) * 2);
    chunk.copy(this.buf, this.#end);
    this.#end += chunk.length;
  }

  /** Copies what is held, so that the borrowed bytes can go. */
  keep(): void {
    if (!this.#isOwn && this.#end > this.start) this.#move(Math.max(1024, this.#end - this.start));
  }

  /** Throws away what is held. */
  discard(): void {
    this.start = this.#at = this.#end;
  }

  #move(size: number): void {
    const buf = Buffer.allocUnsafeSlow(size);
    this.buf.copy(buf, 0, this.start, this.#end);
    this.#at -= this.start;
    this.tagAt -= this.start;
    this.#end -= this.start;
    this.start = 0;
    this.buf = buf;
    this.#isOwn = true;
  }

  /** Reads on until there is nothing more, or somebody has set `isStopped`. Throws XmlError. */
  scan(): void {
    for (let goesOn = true; goesOn && !this.isStopped; ) {
      if (this.#state === IN_TAG) goesOn = this.#scanTag();
      else if (this.#state === IN_CDATA) goesOn = this.#scanCdata();
      else if (this.depth < 2) goesOn = this.#scanBetween();
      else goesOn = this.#scanText();
    }
    if (this.depth !== 1 || this.#state !== IN_TEXT) this.checkSize(this.#end - this.start);
  }

  /** Throws XmlError for an element of more bytes than are allowed. */
  protected checkSize(size: number): void {
    if (size > this.limits.maxBytes) throw new XmlError('policy-violation', 'Too big');
  }

  /** Outside of first-level elements: nothing but white space. */
  #scanBetween(): boolean {
    const buf = this.buf;
    let at = this.#at;
    while (at < this.#end && WHITE[buf[at]!] === 1) at++;
    if (at > this.#at) this.isFresh = false;
    this.#at = this.start = at;
    if (at >= this.#end) return false;
    if (buf[at] !== LESS) throw new XmlError('not-well-formed', 'Text outside of a stanza');
    this.#openTag(at);
    return true;
  }

  #openTag(at: number): void {
    this.#state = IN_TAG;
    this.tagAt = at;
    this.#quote = 0;
    this.#at = at + 1;
  }

  #scanText(): boolean {
    const buf = this.buf;
    const end = this.#end;
    let at = this.#at;
    let high = this.high;
    let byte = 0;
    while (at < end && STOPS_TEXT[(byte = buf[at]!)] === 0) {
      high |= byte;
      at++;
    }
    this.high = high;
    this.#at = at;
    if (at >= end) return false;
    if (byte === LESS) {
      this.#openTag(at);
      return true;
    }
    if (byte === AMPERSAND) return this.#passReference(at);
    if (byte === BRACKET) return this.#passBrackets(at);
    return this.#passRare(at, byte);
  }

  #scanCdata(): boolean {
    const buf = this.buf;
    let at = this.#at;
    while (at < this.#end && STOPS_CDATA[buf[at]!] === 0) this.high |= buf[at++]!;
    this.#at = at;
    if (at >= this.#end) return false;
    if (buf[at] !== BRACKET) return this.#passRare(at, buf[at]!);
    if (this.#mayEndCdata(at)) {
      if (at + 2 >= this.#end) return false;
      this.#state = IN_TEXT;
      this.#at = at + 3;
    } else this.#at = at + 1;
    return true;
  }

  /** Whether `]]>` stands there, as far as it has come. */
  #mayEndCdata(at: number): boolean {
    const buf = this.buf;
    return (at + 1 >= this.#end || buf[at + 1] === BRACKET) && (at + 2 >= this.#end || buf[at + 2] === GREATER);
  }

  #passBrackets(at: number): boolean {
    if (this.#mayEndCdata(at)) {
      if (at + 2 >= this.#end) return false;
      throw new XmlError('not-well-formed', 'A ]]> in text');
    }
    this.#at = at + 1;
    return true;
  }

  #passReference(at: number): boolean {
    const next = checkReference(this.buf, at, this.#end);
    if (next < 0) return false;
    this.#at = next;
    return true;
  }

  /** A byte that begins one of the last characters of the plane, or one that no text may hold (XML 1.0 production 2). */
  #passRare(at: number, byte: number): boolean {
    if (byte !== EF) throw new XmlError('not-well-formed', 'A control character');
    const buf = this.buf;
    if (at + 2 >= this.#end) return false;
    if (buf[at + 1] === 0xbf && buf[at + 2]! >= 0xbe) throw new XmlError('not-well-formed', 'Not a character');
    this.high |= byte;
    this.#at = at + 3;
    return true;
  }

  #scanTag(): boolean {
    const buf = this.buf;
    const first = this.tagAt + 1;
    if (this.#at === first) {
      if (first >= this.#end) return false;
      if (buf[first] === BANG) return this.#scanMarkup(first);
      if (buf[first] === QUESTION && !(this.depth === 0 && this.isFresh)) {
        throw new XmlError('restricted-xml', 'Processing instructions are not allowed');
      }
    }
    if (!this.#findTagEnd()) return false;
    const end = this.#at++;
    this.#state = IN_TEXT;
    if (buf[first] === SLASH) this.endTag(first, end);
    else if (buf[first] === QUESTION) this.declaration(end);
    else this.startTag(end);
    return true;
  }

  /** `<!`: the only thing allowed is CDATA within a stanza (RFC 6120 section 11.1). */
  #scanMarkup(first: number): boolean {
    if (this.depth < 2) throw new XmlError('restricted-xml', 'Comments and document types are not allowed');
    for (let i = 0; i < CDATA.length; i++) {
      if (first + 1 + i >= this.#end) return false;
      if (this.buf[first + 1 + i] !== CDATA.charCodeAt(i))
        throw new XmlError('restricted-xml', 'Comments and document types are not allowed');
    }
    this.hasCdata = true;
    this.#state = IN_CDATA;
    this.#at = first + 1 + CDATA.length;
    return true;
  }

  /** Moves to the `>` that ends the tag, past quoted values. False when it has not come yet. */
  #findTagEnd(): boolean {
    const buf = this.buf;
    const end = this.#end;
    let at = this.#at;
    let high = this.high;
    let found = false;
    for (;;) {
      const stops = this.#quote === 0 ? STOPS_TAG : STOPS_VALUE;
      let byte = 0;
      while (at < end && stops[(byte = buf[at]!)] === 0) {
        high |= byte;
        at++;
      }
      if (at >= end) break;
      if (byte === GREATER && this.#quote === 0) {
        found = true;
        break;
      }
      if (byte === QUOTE || byte === APOSTROPHE) {
        if (this.#quote === 0) this.#quote = byte;
        else if (this.#quote === byte) this.#quote = 0;
        at++;
        continue;
      }
      if (byte === LESS) throw new XmlError('not-well-formed', 'A < within a tag');
      this.#at = at;
      if (!(byte === AMPERSAND ? this.#passReference(at) : this.#passRare(at, byte))) break;
      if (byte === EF) high |= byte;
      at = this.#at;
    }
    this.high = high;
    this.#at = at;
    return found;
  }
}
