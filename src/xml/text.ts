import { StanzaError } from '../stanza/errors.ts';
import { Element } from './element.ts';
import { serialize } from './serialize.ts';
import { parseMessage } from './splitter.ts';
import type { Stanza } from './stanza.ts';

/** What we have kept ourselves was within its sender's limits; these only bound what a damaged database may cost. */
const LIMITS = { maxBytes: 1 << 26, maxDepth: 1024, maxAttributes: 1024, maxElements: 1_000_000 };

/** A stanza as XML text that stands alone, to be kept. */
export function writeStanza(stanza: Stanza): string {
  return stanza.standalone;
}

/** Reads a stanza that was kept. Throws XmlError when the text is not one well-formed element. */
export function readStanza(text: string): Stanza {
  return parseMessage(Buffer.from(text), LIMITS);
}

/** An element as XML text that stands alone: what is put together of texts that are kept need not be read to be sent. */
export class XmlText {
  /** Well-formed, with its namespaces declared. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/**
 * An element out of a stanza as XML text that stands alone, to be kept: its namespaces are declared where they begin. Throws
 * StanzaError `not-acceptable` for a prefix that is only declared outside of the stanza.
 */
export function writeElement(element: Element): string {
  return serialize(detach(element, defaultOf(element.parent), undefined));
}

/** Reads an element that was kept. Throws XmlError when the text is not one well-formed element. */
export function readElement(text: string): Element {
  return readStanza(text).element;
}

/** `outside` is the default namespace where the element stands, `inherited` the one where its copy stands. */
function detach(element: Element, outside: string | undefined, inherited: string | undefined): Element {
  const standard = own(element) ?? outside;
  const isPrefixed = element.name.includes(':');
  const xmlns = isPrefixed ? element.getNS() : standard;
  if (isPrefixed && xmlns === undefined) throw unknownPrefix();
  const copy = new Element(element.getName());
  const attrs: Record<string, string> = Object.create(null);
  if ((xmlns ?? '') !== inherited) attrs['xmlns'] = xmlns ?? '';
  for (const [name, value] of Object.entries(element.attrs as Record<string, unknown>)) {
    if (value === undefined || value === null || name === 'xmlns' || name.startsWith('xmlns:')) continue;
    attrs[name] = String(value);
    const colon = name.indexOf(':');
    if (colon > 0 && !name.startsWith('xml:')) declare(attrs, name.slice(0, colon), element);
  }
  copy.attrs = attrs;
  for (const child of element.children as readonly unknown[]) {
    if (child instanceof Element) copy.cnode(detach(child, standard, xmlns ?? ''));
    else if (child !== undefined && child !== null) copy.t(String(child));
  }
  return copy;
}

function defaultOf(element: Element | null): string | undefined {
  return element ? (own(element) ?? defaultOf(element.parent)) : undefined;
}

/** Other than ltx, which takes xmlns='' for none at all. */
function own(element: Element): string | undefined {
  const value: unknown = element.attrs['xmlns'];
  return typeof value === 'string' ? value : undefined;
}

function declare(attrs: Record<string, string>, prefix: string, element: Element): void {
  const uri = element.findNS(prefix) as string | undefined;
  if (uri === undefined) throw unknownPrefix();
  attrs[`xmlns:${prefix}`] = uri;
}

function unknownPrefix(): StanzaError {
  return new StanzaError('not-acceptable', { text: 'A prefix is not declared within the stanza' });
}
