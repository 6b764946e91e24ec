import assert from 'node:assert/strict';
import { parseMessage, Splitter } from '../../../src/xml/splitter.ts';
import type { Stanza } from '../../../src/xml/stanza.ts';
import { readElement, readStanza, writeElement, writeStanza } from '../../../src/xml/text.ts';

const LIMITS = { maxBytes: 65_536, maxDepth: 32, maxAttributes: 32, maxElements: 1000 };

const read = (text: string) => parseMessage(Buffer.from(text), LIMITS);

/** A stanza as it comes on a stream whose header declares the prefix `h`. */
function onStream(text: string): Stanza {
  const found: Stanza[] = [];
  const splitter = new Splitter({ header() {}, footer() {}, stanza: (stanza) => void found.push(stanza) }, LIMITS);
  splitter.write(
    Buffer.from(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:h='urn:h'>${text}`),
  );
  return found[0]!;
}

describe('text: stanzas that are kept', () => {
  for (const [what, text] of [
    ['text', '<message><body>hi</body></message>'],
    ['other scripts', '<message><body>Ромео 💌 \u00e9</body></message>'],
    ['escaped characters', "<message a='&quot;&apos;&lt;'><body>&amp;&lt;&gt;&#13;&#x9;</body></message>"],
    ['line ends in an attribute', "<message><x xmlns='urn:x' a='1&#10;2&#9;3'/></message>"],
    ['CDATA', '<message><body><![CDATA[<b>&amp;</b>]]></body></message>'],
    ['namespaces', "<message><a xmlns='urn:a'><b xmlns='urn:b'/><c/></a><d/></message>"],
    ['prefixes', "<message xmlns:p='urn:p'><p:a p:x='1'><p:b/></p:a></message>"],
    ['a prefix of the stream', "<message><h:a h:x='1'/></message>"],
    ['nothing', '<message/>'],
  ] as const) {
    it(`come back with ${what} as they were`, () => {
      const stanza = onStream(text).with({ from: 'romeo@example.org/<x>', to: 'juliet@example.org' });
      const again = readStanza(writeStanza(stanza));
      assert.deepEqual([again.name, again.xmlns, again.from, again.to], ['message', 'jabber:client', stanza.from, stanza.to]);
      assert.equal(again.wire(true), readStanza(writeStanza(again)).wire(true));
      const texts = (of: Stanza) => of.element.getChildElements().map((child) => [child.getName(), child.getText()]);
      assert.deepEqual(texts(again), texts(stanza));
    });
  }

  for (const text of ['', '<broken', '<a/><b/>', 'hello', '<a>&nbsp;</a>', '<!DOCTYPE a><a/>']) {
    it(`throw when they are ${JSON.stringify(text)}`, () => assert.throws(() => readStanza(text)));
  }
});

describe('text: elements that are kept', () => {
  const keep = (text: string) =>
    writeElement(read(`<iq xmlns='jabber:client' xmlns:o='urn:o'>${text}</iq>`).element.getChildElements()[0]!);

  for (const [what, text, wanted] of [
    ['a namespace of its own', "<a xmlns='urn:a'><b>x</b></a>", "<a xmlns='urn:a'><b>x</b></a>"],
    ['a namespace that is inherited', '<a><b/></a>', "<a xmlns='jabber:client'><b/></a>"],
    ['a prefix of its own', "<p:a xmlns:p='urn:p'><p:b/><c/></p:a>", "<a xmlns='urn:p'><b/><c xmlns='jabber:client'/></a>"],
    ['a prefix of the stanza', '<o:a><o:b/></o:a>', "<a xmlns='urn:o'><b/></a>"],
    [
      'an attribute with a prefix',
      "<a xmlns='urn:a' o:x='1' xml:lang='en'/>",
      "<a xmlns='urn:a' o:x='1' xmlns:o='urn:o' xml:lang='en'/>",
    ],
    ['no namespace at all', "<a xmlns=''><b/></a>", "<a xmlns=''><b/></a>"],
    ['text and elements mixed', "<a xmlns='urn:a'>1<b/>2&lt;<c>3</c></a>", "<a xmlns='urn:a'>1<b/>2&lt;<c>3</c></a>"],
  ] as const) {
    it(`keep their meaning with ${what}`, () => {
      assert.equal(keep(text), wanted);
      assert.equal(writeElement(readElement(wanted)), wanted);
    });
  }

  it('keep what a prefix means that is only declared by the stream', () => {
    const keptOf = (text: string) => writeElement(onStream(`<iq>${text}</iq>`).element.getChildElements()[0]!);
    const { h } = /xmlns:h='(?<h>[^']*)'/.exec(keptOf("<a xmlns='urn:a' h:x='1'/>"))!.groups as { h: string };
    assert.equal(keptOf("<a xmlns='urn:a'><h:b/></a>"), `<a xmlns='urn:a'><b xmlns='${h}'/></a>`);
    assert.equal(keptOf('<h:a/>'), `<a xmlns='${h}'/>`);
  });
});
