import { appendChild, Body, CHILD, CHILD_SIZE, NO_XMLNS, NS_CLIENT, type Scanned, UNCLEAR_XMLNS } from './body.ts';
import { Element } from './element.ts';
import { attributeValue, characterData, escapeXml } from './escape.ts';
import { fromWire, toWire } from './wire.ts';

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

  /** Whether the other one is the same but for its addresses: what was found out about its children holds for both. */
  isCopyOf(other: Stanza | undefined): boolean {
    return other !== undefined && this.#body === other.#body;
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
    const body = new Body(this.name, appendChild(scanned, this.name, { text: `${text}/>`, name, xmlns }));
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
    if (from !== undefined) head += ` from='${senderOf(from)}'`;
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

let lastSender = '';
let lastSenderWire = '';

/** A sender as it is written: the same many times over, where something goes to many. */
function senderOf(from: string): string {
  if (from !== lastSender) {
    lastSenderWire = toWire(escapeXml(from));
    lastSender = from;
  }
  return lastSenderWire;
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
