import { Element } from './element.ts';
import { escapeText, escapeXml } from './escape.ts';

/**
 * An element as XML text. Other than ltx's own writer it keeps line ends and tabs in attributes and carriage returns in text,
 * so that what was read comes out as it was meant (XML 1.0 sections 2.11 and 3.3.3).
 */
export function serialize(element: Element): string {
  const { name } = element;
  const inner = serializeChildren(element);
  const head = `<${name}${serializeAttributes(element)}`;
  return inner === '' ? `${head}/>` : `${head}>${inner}</${name}>`;
}

/** The children as XML text. Depth is bounded by whoever made the tree: the scanner's limits, or our own code. */
export function serializeChildren(element: Element): string {
  let text = '';
  for (const child of element.children as readonly unknown[]) {
    if (child instanceof Element) text += serialize(child);
    else if (child !== undefined && child !== null) text += escapeText(String(child));
  }
  return text;
}

/** The attributes with a space before each; `except` are left out. */
export function serializeAttributes(element: Element, except?: ReadonlySet<string>): string {
  const attrs = element.attrs as Readonly<Record<string, unknown>>;
  let text = '';
  for (const name of Object.keys(attrs)) {
    const value = attrs[name];
    if (value === undefined || value === null || except?.has(name)) continue;
    text += ` ${name}='${escapeXml(String(value))}'`;
  }
  return text;
}
