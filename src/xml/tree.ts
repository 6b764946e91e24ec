import { Element } from './element.ts';
import { attributeValue, characterData } from './escape.ts';

/** The tree of an element whose text the scanner has let pass. Checks nothing: what it is given is well-formed. */
export function parseTree(text: string): Element {
  let open: Element | undefined;
  let at = 0;
  for (;;) {
    const tag = text.indexOf('<', at);
    if (tag > at && open) open.children.push(characterData(text.slice(at, tag)));
    const first = text.charCodeAt(tag + 1);
    if (first === SLASH) {
      const parent: Element | null = open!.parent;
      if (!parent) return open!;
      open = parent;
      at = text.indexOf('>', tag) + 1;
    } else if (first === BANG) {
      const end = text.indexOf(']]>', tag);
      open!.children.push(text.slice(tag + '<![CDATA['.length, end).replace(/\r\n?/g, '\n'));
      at = end + 3;
    } else {
      const { element, isEmpty, end } = readStartTag(text, tag);
      if (open) {
        element.parent = open;
        open.children.push(element);
      } else if (isEmpty) return element;
      if (!isEmpty) open = element;
      at = end;
    }
  }
}

const SLASH = 47;
const BANG = 33;
const EQUALS = 61;
const CLOSE = 62;
const QUOTE = 34;
const APOSTROPHE = 39;

function readStartTag(text: string, tag: number): { element: Element; isEmpty: boolean; end: number } {
  let at = tag + 1;
  let char = text.charCodeAt(at);
  while (char !== CLOSE && char !== SLASH && char > 32) char = text.charCodeAt(++at);
  const element = new Element(text.slice(tag + 1, at));
  // Names come from the network: nothing may be found in here that was not said (`constructor`, `__proto__`).
  const attrs: Record<string, string> = Object.create(null);
  element.attrs = attrs;
  for (;;) {
    while (char <= 32) char = text.charCodeAt(++at);
    if (char === CLOSE) return { element, isEmpty: false, end: at + 1 };
    if (char === SLASH) return { element, isEmpty: true, end: at + 2 };
    const start = at;
    while (char !== EQUALS && char > 32) char = text.charCodeAt(++at);
    const name = text.slice(start, at);
    while (char !== QUOTE && char !== APOSTROPHE) char = text.charCodeAt(++at);
    const end = text.indexOf(char === QUOTE ? '"' : "'", at + 1);
    attrs[name] = attributeValue(text.slice(at + 1, end));
    char = text.charCodeAt((at = end + 1));
  }
}
