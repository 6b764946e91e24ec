import { Element } from './element.ts';
import { attributeValue, characterData, escapeXml } from './escape.ts';
import { serializeAttributes, serializeChildren } from './serialize.ts';
import { parseTree } from './tree.ts';
import { fromWire, toWire } from './wire.ts';

/** The namespace of clients' stanzas (RFC 6120 section 4.8.2), which need not be written on a client's stream. */
export const NS_CLIENT = 'jabber:client';

/** Attributes that are written anew each time, since they change from hop to hop. */
const ADDRESSED: ReadonlySet<string> = new Set(['xmlns', 'from', 'to']);
/** Of an element with a prefix, whose xmlns is about its children. */
const ADDRESSED_PREFIXED: ReadonlySet<string> = new Set(['from', 'to']);

/** Numbers that describe one child in `Scanned.children`. */
export const CHILD_SIZE = 6;
/** What they are: where the name begins and how long it is; where the value of its xmlns begins and ends; where it begins and ends. */
export const CHILD = { name: 0, nameLength: 1, xmlns: 2, xmlnsEnd: 3, start: 4, end: 5 } as const;
/** Instead of where xmlns begins: there is none; it, or the name, has to be read from the tree. */
export const NO_XMLNS = -1;
export const UNCLEAR_XMLNS = -2;

/** What the scanner found out about an element while it checked it. Offsets count from the element's `<`. */
export interface Scanned {
  /** The element as a byte string. */
  readonly raw: string;
  /** The length of its name. */
  readonly nameLength: number;
  /** The places of the attributes xmlns, from and to, each with the white space before it: start and end, ascending. */
  readonly cuts: readonly number[];
  /** Declarations of prefixes that it uses and that stood in the stream's header, as attributes. */
  readonly inherited: string;
  /** CHILD_SIZE numbers for each child element. */
  readonly children: readonly number[];
  /** Whether CDATA stands in it, which is written as plain text: there are readers that know none. */
  readonly hasCdata: boolean;
}

/** A stanza that was composed as text: what follows its name and addresses. */
interface Written {
  readonly rest: string;
}

/** What all copies of a stanza share: everything but its addresses. */
class Body {
  readonly scanned: Scanned | undefined;
  /** The id under which it is kept for the account it is being delivered to. */
  keptAs: string | undefined = undefined;
  #rest: string | undefined = undefined;
  #tree: Element | undefined = undefined;

  /** Whether the element's name has a prefix; what it says by xmlns is then only for its children. */
  readonly isPrefixed: boolean;
  readonly #name: string;

  constructor(name: string, source: Scanned | Element | Written) {
    this.#name = name;
    this.isPrefixed = name.includes(':');
    if (source instanceof Element) this.#tree = source;
    else if ('rest' in source) this.#rest = source.rest;
    this.scanned = 'raw' in source ? source : undefined;
  }

  /** The tree as it was read or built: with the addresses it had then. */
  get tree(): Element {
    return (this.#tree ??= parseTree(fromWire(this.#text())));
  }

  /** The byte string of what follows name and addresses: other attributes, children, end. */
  get rest(): string {
    return (this.#rest ??= this.scanned && !this.scanned.hasCdata ? cut(this.scanned) : write(this.tree));
  }

  /** The whole as a byte string that stands alone: what it has from the stream's header is declared in it. */
  #text(): string {
    if (!this.scanned) return `<${this.#name} xmlns='${NS_CLIENT}'${this.#rest}`;
    const { raw, nameLength, inherited } = this.scanned;
    return inherited === '' ? raw : raw.slice(0, nameLength + 1) + inherited + raw.slice(nameLength + 1);
  }
}

function cut({ raw, nameLength, cuts, inherited }: Scanned): string {
  let at = nameLength + 1;
  let text = inherited;
  for (let i = 0; i < cuts.length; i += 2) {
    if (cuts[i]! > at) text += raw.slice(at, cuts[i]);
    at = cuts[i + 1]!;
  }
  return text + raw.slice(at);
}

function write(tree: Element): string {
  const inner = serializeChildren(tree);
  const attrs = toWire(serializeAttributes(tree, tree.name.includes(':') ? ADDRESSED_PREFIXED : ADDRESSED));
  return inner === '' ? `${attrs}/>` : `${attrs}>${toWire(inner)}</${tree.name}>`;
}

/** The attributes of a stanza's own tag that the server works with; undefined where there is none. */
export interface StanzaHead {
  readonly name: string;
  readonly xmlns: string;
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly lang: string | undefined;
}

/** The scanned form of an element with one more child at its end. */
function append(
  scanned: Scanned,
  name: string,
  child: { readonly text: string; readonly name: string; readonly xmlns: string },
): Scanned {
  const { raw } = scanned;
  const isEmpty = raw.endsWith('/>');
  const before = isEmpty ? `${raw.slice(0, -2)}>` : raw.slice(0, raw.lastIndexOf('</'));
  const start = before.length;
  const at = start + 1 + child.name.length + " xmlns='".length;
  const numbers = [start + 1, child.name.length, at, at + child.xmlns.length, start, start + child.text.length];
  return { ...scanned, raw: `${before}${child.text}</${name}>`, children: [...scanned.children, ...numbers] };
}

/** What `with` may change; undefined takes the attribute away. */
export interface StanzaChange {
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly type?: string | undefined;
  readonly id?: string | undefined;
}

/**
 * A first-level element of a stream: a stanza (RFC 6120 section 8), or something of the negotiation. Never changes.
 * It keeps the bytes it came as; the tree is only made for those who ask for it, and copies with other addresses share both.
 */
export class Stanza implements StanzaHead {
  readonly name: string;
  readonly xmlns: string;
  readonly type: string | undefined;
  readonly id: string | undefined;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly lang: string | undefined;
  readonly #body: Body;
  #text: string | undefined = undefined;

  private constructor(head: StanzaHead, body: Body, from: string | undefined, to: string | undefined) {
    this.name = head.name;
    this.xmlns = head.xmlns;
    this.type = head.type;
    this.id = head.id;
    this.from = from;
    this.to = to;
    this.lang = head.lang;
    this.#body = body;
  }

  /** The stanza of an element we have built; one without a namespace is a client's. The element must not change any more. */
  static of(element: Element): Stanza {
    const attrs = element.attrs as Readonly<Record<string, unknown>>;
    const read = (name: string): string | undefined => {
      const value = attrs[name];
      return value === undefined || value === null ? undefined : String(value);
    };
    const { name } = element;
    const from = read('from');
    const to = read('to');
    const head = {
      name,
      xmlns: read('xmlns') ?? NS_CLIENT,
      type: read('type'),
      id: read('id'),
      from,
      to,
      lang: read('xml:lang'),
    };
    return new Stanza(head, new Body(name, element), from, to);
  }

  /** For the scanner: an element it has checked. */
  static scanned(head: StanzaHead, scanned: Scanned): Stanza {
    return new Stanza(head, new Body(head.name, scanned), head.from, head.to);
  }

  /**
   * A client's stanza composed as text, for what is written often: `inner` is the byte string (xml/wire.ts) of its children, well-formed
   * and with their namespaces declared. Attributes that are undefined are left out.
   */
  static written(head: Partial<Omit<StanzaHead, 'xmlns'>> & Pick<StanzaHead, 'name'>, inner: string): Stanza {
    const { name, type, id, lang } = head;
    let attrs = '';
    if (type !== undefined) attrs += ` type='${toWire(escapeXml(type))}'`;
    if (id !== undefined) attrs += ` id='${toWire(escapeXml(id))}'`;
    if (lang !== undefined) attrs += ` xml:lang='${toWire(escapeXml(lang))}'`;
    const rest = inner === '' ? `${attrs}/>` : `${attrs}>${inner}</${name}>`;
    const whole = { name, xmlns: NS_CLIENT, type, id, from: head.from, to: head.to, lang };
    return new Stanza(whole, new Body(name, { rest }), head.from, head.to);
  }

  /** A copy with these attributes; what is not named stays. Other addresses cost next to nothing, other types or ids a tree. */
  with(change: StanzaChange): Stanza {
    const from = 'from' in change ? change.from : this.from;
    const to = 'to' in change ? change.to : this.to;
    if (!('type' in change) && !('id' in change)) return new Stanza(this, this.#body, from, to);
    const { element } = this;
    const copy = new Element(element.name, { ...(element.attrs as Record<string, string>), ...change, from, to });
    copy.children = element.children;
    return Stanza.of(copy);
  }

  /** A copy for another addressee. */
  addressed(from: string | undefined, to: string | undefined): Stanza {
    return new Stanza(this, this.#body, from, to);
  }

  /** A copy with one more child, without children of its own, at its end. Costs little where the scanner has read the stanza. */
  plus(name: string, xmlns: string, attrs: Readonly<Record<string, string>>): Stanza {
    const { scanned } = this.#body;
    if (!scanned || scanned.hasCdata) {
      const { element } = this;
      const child = new Element(name, { xmlns, ...attrs });
      return this.#withChildren(element, [...element.children, child]);
    }
    let text = `<${name} xmlns='${xmlns}'`;
    for (const key of Object.keys(attrs)) text += ` ${key}='${toWire(escapeXml(attrs[key]!))}'`;
    const body = new Body(this.name, append(scanned, this.name, { text: `${text}/>`, name, xmlns }));
    body.keptAs = this.#body.keptAs;
    return new Stanza(this, body, this.from, this.to);
  }

  /** A copy without the child elements for which this is false; the stanza itself when none is left out. */
  filter(isWanted: (child: Element) => boolean): Stanza {
    const { element } = this;
    const children = element.children.filter((child) => !(child instanceof Element) || isWanted(child));
    return children.length === element.children.length ? this : this.#withChildren(element, children);
  }

  /** A copy that says under which id it is kept for the account it is for: only for the server's own use, and not written. */
  kept(id: string): Stanza {
    const { scanned } = this.#body;
    const body = new Body(this.name, scanned ?? this.element);
    body.keptAs = id;
    return new Stanza(this, body, this.from, this.to);
  }

  /** What `kept` has said. */
  get keptAs(): string | undefined {
    return this.#body.keptAs;
  }

  #withChildren(element: Element, children: Element['children']): Stanza {
    const copy = new Element(element.name);
    copy.attrs = element.attrs;
    copy.children = children;
    const stanza = Stanza.of(copy);
    stanza.#body.keptAs = this.#body.keptAs;
    return stanza;
  }

  /**
   * The byte string to write. `framed`: it stands alone and has to declare its namespace (RFC 7395 section 3.3.3); otherwise
   * it stands in a stream whose default namespace is jabber:client.
   */
  wire(framed: boolean): string {
    const { from, to, xmlns } = this;
    let head = `<${this.name}`;
    if (this.#body.isPrefixed) head += framed && this.#isBare ? ` xmlns='${NS_CLIENT}'` : '';
    else if (framed || xmlns !== NS_CLIENT) head += ` xmlns='${toWire(escapeXml(xmlns))}'`;
    if (from !== undefined) head += ` from='${toWire(escapeXml(from))}'`;
    if (to !== undefined) head += ` to='${toWire(escapeXml(to))}'`;
    return head + this.#body.rest;
  }

  /** It as XML text that stands alone. Made once, since both ends of a conversation keep the same. */
  get standalone(): string {
    return (this.#text ??= fromWire(this.wire(true)));
  }

  /** Whether it has a prefix, and its children without one are in the namespace of the stream. */
  get #isBare(): boolean {
    return this.#body.tree.attrs['xmlns'] === undefined;
  }

  /** The tree. Shared by all who ask, so it must not be changed. */
  get element(): Element {
    const { tree, isPrefixed } = this.#body;
    const { attrs } = tree;
    const xmlns = isPrefixed ? attrs['xmlns'] : this.xmlns;
    if (attrs['from'] === this.from && attrs['to'] === this.to && attrs['xmlns'] === xmlns) return tree;
    const copy = new Element(tree.name);
    copy.attrs = Object.assign(Object.create(null), attrs, { xmlns, from: this.from, to: this.to });
    // The children go on naming the first tree as their parent, which has the same namespaces.
    copy.children = tree.children;
    return copy;
  }

  /** About how many bytes it has. */
  get size(): number {
    return this.#body.scanned?.raw.length ?? this.#body.rest.length;
  }

  /** How many child elements it has. */
  get childCount(): number {
    const { scanned, tree } = this.#parts();
    return scanned ? scanned.children.length / CHILD_SIZE : tree!.getChildElements().length;
  }

  /** The name of its first child element, without a prefix. */
  get payloadName(): string | undefined {
    const { scanned, tree } = this.#parts();
    if (!scanned || this.#isUnclear(0)) return (tree ?? this.#body.tree).getChildElements()[0]?.getName();
    return scanned.children.length === 0 ? undefined : this.#childName(0);
  }

  /** The namespace of its first child element. */
  get payloadNS(): string | undefined {
    const { scanned, tree } = this.#parts();
    if (!scanned || this.#isUnclear(0)) return (tree ?? this.#body.tree).getChildElements()[0]?.getNS() ?? this.xmlns;
    return scanned.children.length === 0 ? undefined : this.#childXmlns(0);
  }

  /** Whether it has such a child. Makes no tree where the scanner has seen enough. */
  has(name: string, xmlns: string = this.xmlns): boolean {
    const { scanned } = this.#body;
    if (!scanned) return this.child(name, xmlns) !== undefined;
    for (let at = 0; at < scanned.children.length; at += CHILD_SIZE) {
      if (this.#isUnclear(at)) return this.child(name, xmlns) !== undefined;
      if (this.#isChild(at, name, xmlns)) return true;
    }
    return false;
  }

  /** The first such child; its namespace is the stanza's own unless another is named. */
  child(name: string, xmlns: string = this.xmlns): Element | undefined {
    if (this.childCount === 0) return undefined;
    const { tree } = this.#body;
    return tree.getChildElements().find((child) => child.getName() === name && namespaceOf(child, this.xmlns) === xmlns);
  }

  /** The text of the first such child, such as a message's `body`; undefined when there is no such child. */
  text(name: string, xmlns: string = this.xmlns): string | undefined {
    const { scanned } = this.#body;
    if (!scanned) return this.child(name, xmlns)?.getText();
    for (let at = 0; at < scanned.children.length; at += CHILD_SIZE) {
      if (this.#isUnclear(at)) return this.child(name, xmlns)?.getText();
      if (this.#isChild(at, name, xmlns)) return this.#textOf(at) ?? this.child(name, xmlns)?.getText();
    }
    return undefined;
  }

  #parts(): { scanned: Scanned | undefined; tree: Element | undefined } {
    const { scanned } = this.#body;
    return { scanned, tree: scanned ? undefined : this.#body.tree };
  }

  #isUnclear(at: number): boolean {
    return this.#body.scanned!.children[at + CHILD.xmlns] === UNCLEAR_XMLNS;
  }

  #isChild(at: number, name: string, xmlns: string): boolean {
    const { raw, children } = this.#body.scanned!;
    if (children[at + CHILD.nameLength] !== name.length || !raw.startsWith(name, children[at + CHILD.name])) return false;
    const start = children[at + CHILD.xmlns]!;
    if (start === NO_XMLNS) return this.xmlns === xmlns;
    return children[at + CHILD.xmlnsEnd]! - start === xmlns.length && raw.startsWith(xmlns, start);
  }

  #childName(at: number): string {
    const { raw, children } = this.#body.scanned!;
    const start = children[at + CHILD.name]!;
    return fromWire(raw.slice(start, start + children[at + CHILD.nameLength]!));
  }

  #childXmlns(at: number): string {
    const { raw, children } = this.#body.scanned!;
    const start = children[at + CHILD.xmlns]!;
    return start === NO_XMLNS ? this.xmlns : attributeValue(fromWire(raw.slice(start, children[at + CHILD.xmlnsEnd])));
  }

  /** Undefined when there is more than text in it. */
  #textOf(at: number): string | undefined {
    const { raw, children } = this.#body.scanned!;
    const end = children[at + CHILD.end]!;
    if (raw.endsWith('/>', end)) return '';
    // Attribute values may hold '>' but no '<' (XML 1.0 section 3.1): the text begins behind the last '>' before the next '<'.
    const next = raw.indexOf('<', children[at + CHILD.start]! + 1);
    const begin = startTagEnd(raw, children[at + CHILD.start]!);
    if (next < begin || raw.charCodeAt(next + 1) !== 47) return undefined;
    return characterData(fromWire(raw.slice(begin, next)));
  }
}

/** The namespace of a child; ltx takes xmlns='' for none at all. */
function namespaceOf(child: Element, inherited: string): string {
  if (child.attrs['xmlns'] === '' && !child.name.includes(':')) return '';
  return child.getNS() ?? inherited;
}

/** Behind the `>` that ends a start tag, past the quoted values. */
function startTagEnd(raw: string, start: number): number {
  let quote = 0;
  for (let i = start; ; i++) {
    const char = raw.charCodeAt(i);
    if (quote !== 0) {
      if (char === quote) quote = 0;
    } else if (char === 34 || char === 39) quote = char;
    else if (char === 62) return i + 1;
  }
}
