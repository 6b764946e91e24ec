import assert from 'node:assert/strict';
import fc from 'fast-check';
import sax from 'sax';
import { SaxesParser } from 'saxes';
import { Splitter, XmlError } from '../../../src/xml/splitter.ts';

// The splitter against two parsers that are not ours. saxes is strict: what it refuses, we refuse, and what both take means the
// same. sax is lax, so only one way counts: what we take, it takes too.

const OPEN = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const CLOSE = '</stream:stream>';
const LIMITS = { maxBytes: 1 << 20, maxDepth: 500, maxAttributes: 1024, maxElements: 100_000 };

type Event = readonly [name: string, attrs: string, text: string];

/** What our splitter makes of a stream, or undefined when it refuses it. */
function ours(text: string, cuts: readonly number[]): readonly Event[] | undefined {
  const events: Event[] = [];
  let isComplete = false;
  const footer = () => {
    isComplete = true;
  };
  const splitter = new Splitter({ header() {}, footer, stanza: (stanza) => walk(stanza.element, events) }, LIMITS);
  const bytes = Buffer.from(text);
  try {
    let from = 0;
    for (const cut of [...cuts.map((c) => c % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
      splitter.write(Buffer.from(bytes.subarray(from, cut)));
      from = cut;
    }
    return isComplete ? events : undefined;
  } catch (error) {
    assert(error instanceof XmlError, String(error));
    return undefined;
  }
}

function walk(element: { name: string; attrs: Record<string, unknown>; children: readonly unknown[] }, events: Event[]): void {
  let text = '';
  for (const child of element.children) if (typeof child === 'string') text += child;
  const attrs = Object.entries(element.attrs).filter(([, value]) => value !== undefined);
  // The stream's own namespace is added to stanzas that have none.
  const shown = attrs.filter(([name, value]) => !(name === 'xmlns' && value === 'jabber:client'));
  events.push([element.name, JSON.stringify(shown.sort()), text]);
  for (const child of element.children) if (typeof child === 'object') walk(child as never, events);
}

/** What saxes makes of it, with comments and the like refused as RFC 6120 section 11 wants. */
function strict(text: string): readonly Event[] | undefined {
  const parser = new SaxesParser({ xmlns: true, fragment: false });
  const roots: { name: string; attrs: Record<string, string>; children: unknown[] }[] = [];
  const open: { name: string; attrs: Record<string, string>; children: unknown[] }[] = [];
  let isRefused = false;
  const refuse = () => {
    isRefused = true;
  };
  for (const event of ['error', 'doctype', 'comment', 'processinginstruction'] as const) parser.on(event, refuse);
  parser.on('opentag', (tag) => {
    const attrs = Object.fromEntries(Object.entries(tag.attributes).map(([name, { value }]) => [name, value]));
    // saxes does not look at this: what follows a prefix is a name of its own (Namespaces in XML, production 4).
    if ([tag.name, ...Object.keys(attrs)].some((name) => /:[-.0-9\u00b7]/.test(name))) isRefused = true;
    const element = { name: tag.name, attrs, children: [] };
    if (open.length === 1) roots.push(element);
    open.at(-1)?.children.push(element);
    open.push(element);
  });
  parser.on('closetag', () => void open.pop());
  const addText = (chars: string) => {
    if (open.length > 1) open.at(-1)!.children.push(chars);
    else if (/[^ \t\r\n]/.test(chars)) isRefused = true;
  };
  parser.on('text', addText);
  parser.on('cdata', (chars) => (open.length > 1 ? addText(chars) : refuse()));
  parser.write(text).close();
  if (isRefused) return undefined;
  const events: Event[] = [];
  for (const root of roots) walk(root, events);
  return events;
}

/** Whether sax takes it. */
function lax(text: string): boolean {
  const parser = sax.parser(true, { xmlns: true });
  let isTaken = true;
  parser.onerror = () => {
    isTaken = false;
    parser.resume();
  };
  parser.write(text).close();
  return isTaken;
}

const PIECES = [
  ...[
    '<a>',
    '</a>',
    '<b/>',
    '<a b="1">',
    "<c d='&lt;' e=\"'\"/>",
    '<p:x xmlns:p="urn:p" p:y="1"/>',
    '</',
    '<',
    '>',
    '/>',
    '/',
    '=',
    '"',
    "'",
  ],
  ...[
    '&amp;',
    '&#65;',
    '&#x1F642;',
    '&',
    ';',
    '&foo;',
    '&#0;',
    ']]>',
    ']]',
    '<![CDATA[',
    '<![CDATA[x]]>',
    '<!--',
    '-->',
    '<?x?>',
    '<!DOCTYPE a>',
  ],
  ...[
    ' ',
    '\n',
    '\r\n',
    '\t',
    'text',
    'é',
    '🙂',
    '\u0001',
    '\ufffe',
    '\uffdd',
    'xmlns="urn:q"',
    ' xmlns:a="u"',
    ' xml:lang="de"',
    ' b="2"',
    'a:b',
  ],
] as const;

describe('the splitter and other parsers', () => {
  it('agrees with a strict one on streams made of pieces, however they are cut', () => {
    const pieces = fc.array(fc.constantFrom(...PIECES), { maxLength: 14 });
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(), { maxLength: 4 }), (parts, cuts) => {
        const text = `${OPEN}${parts.join('')}${CLOSE}`;
        const found = ours(text, cuts);
        assert.deepEqual(found, strict(text), text);
        if (found) assert.equal(lax(text), true, text);
      }),
      { numRuns: 4000 },
    );
  });

  it('agrees with it on good stanzas in which a byte was changed', () => {
    const good = `<message xmlns:p='urn:p' to='a@b' type="chat" p:q='&#9;x'><body xml:lang='de'>a &amp; é ]]</body><p:x/><y xmlns='urn:y'><![CDATA[<>]]></y></message>`;
    const change = fc.record({ at: fc.nat({ max: good.length - 1 }), by: fc.constantFrom(...'<>&;:=/\'" !?-[]ax1\u0001é', '') });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.array(fc.nat(), { maxLength: 3 }), (changes, cuts) => {
        let text = good;
        for (const { at, by } of changes) text = text.slice(0, at) + by + text.slice(at + 1);
        text = OPEN + text + CLOSE;
        assert.deepEqual(ours(text, cuts), strict(text), text);
      }),
      { numRuns: 4000 },
    );
  });

  it('throws nothing but XmlError at random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isOpen) => {
        const splitter = new Splitter({ header() {}, stanza() {}, footer() {} }, LIMITS);
        try {
          if (isOpen) splitter.write(Buffer.from(OPEN));
          splitter.write(Buffer.from(bytes));
        } catch (error) {
          assert(error instanceof XmlError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
