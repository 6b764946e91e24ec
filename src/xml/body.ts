import { Element } from './element.ts';
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
export class Body {
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

/** The scanned form of an element with one more child at its end. */
export function appendChild(
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
