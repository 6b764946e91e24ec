import { Element } from 'ltx';

/** The tree type of the whole server. Elements never change once they have been parsed or sent. */
export { Element };

/** A child of an element: another element, or text that is escaped when written. */
export type Child = Element | string | undefined;

/** Builds an element: `xml('item', { jid })` or `xml('blocklist', NS, ...children)`. Undefined attributes and children are left out. */
export function xml(
  name: string,
  attrs: string | Readonly<Record<string, string | undefined>> = {},
  ...children: Child[]
): Element {
  const element = new Element(name, typeof attrs === 'string' ? { xmlns: attrs } : { ...attrs });
  for (const child of children) {
    if (child === undefined) continue;
    if (typeof child === 'string') element.t(child);
    else element.cnode(child);
  }
  return element;
}
