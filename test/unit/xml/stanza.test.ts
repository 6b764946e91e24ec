import assert from 'node:assert/strict';
import { xml } from '../../../src/xml/element.ts';
import { parseMessage, Splitter } from '../../../src/xml/splitter.ts';
import { Stanza } from '../../../src/xml/stanza.ts';
import { readStanza, writeStanza } from '../../../src/xml/text.ts';

const LIMITS = { maxBytes: 65_536, maxDepth: 32, maxAttributes: 32, maxElements: 256 };
const read = (text: string) => parseMessage(Buffer.from(text), LIMITS);
const utf8 = (wire: string) => Buffer.from(wire, 'latin1').toString();

/** A stanza as it stands in a stream whose header has these attributes besides. */
function readIn(header: string, text: string): Stanza {
  const found: Stanza[] = [];
  const splitter = new Splitter({ header() {}, footer() {}, stanza: (stanza) => void found.push(stanza) }, LIMITS);
  splitter.write(
    Buffer.from(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'${header}>${text}`),
  );
  return found[0]!;
}

describe('a stanza', () => {
  const message = read(
    "<message xmlns='jabber:client' to='a@b' from='x@y/z' type='chat' id='&lt;1' xml:lang='de' custom='1'><body>a &amp; b</body><x xmlns='urn:x'><y/></x></message>",
  );

  it('tells what stands in its own tag', () => {
    assert.deepEqual(
      [message.name, message.xmlns, message.to, message.from, message.type, message.id, message.lang],
      ['message', 'jabber:client', 'a@b', 'x@y/z', 'chat', '<1', 'de'],
    );
  });

  it('tells what is in it', () => {
    assert.equal(message.childCount, 2);
    assert.equal(message.text('body'), 'a & b');
    assert.equal(message.text('subject'), undefined);
    assert.equal(message.has('x', 'urn:x'), true);
    assert.equal(message.has('x', 'urn:y'), false);
    assert.equal(message.has('x'), false);
    assert.equal(message.has('y', 'urn:x'), false);
    assert.equal(message.child('x', 'urn:x')?.getChildElements()[0]?.name, 'y');
    assert.equal(message.payloadName, 'body');
    assert.equal(message.payloadNS, 'jabber:client');
  });

  it('gets other addresses without touching the rest', () => {
    const sent = message.with({ from: 'me@here/1', to: "o'hara@there" });
    assert.equal(
      sent.wire(false),
      "<message from='me@here/1' to='o&apos;hara@there' type='chat' id='&lt;1' xml:lang='de' custom='1'><body>a &amp; b</body><x xmlns='urn:x'><y/></x></message>",
    );
    assert.equal(sent.element.attrs['from'], 'me@here/1');
    assert.equal(message.element.attrs['from'], 'x@y/z');
    assert.equal(sent.with({ to: undefined, from: undefined }).wire(false).startsWith("<message type='chat'"), true);
  });

  it('gets another type and id', () => {
    const error = message.with({ type: 'error', id: '2' });
    assert.equal(error.type, 'error');
    assert.match(error.wire(false), /type='error' id='2'/);
    assert.equal(error.text('body'), 'a & b');
  });

  it('keeps text beyond ASCII', () => {
    const stanza = read("<message xmlns='jabber:client' id='ü'><body>é 🙂</body></message>").with({ to: 'jürgen@example.org' });
    assert.equal(stanza.id, 'ü');
    assert.equal(stanza.text('body'), 'é 🙂');
    assert.equal(utf8(stanza.wire(false)), "<message to='jürgen@example.org' id='ü'><body>é 🙂</body></message>");
  });

  it('writes CDATA as text, since there are readers that know none', () => {
    const stanza = read("<message xmlns='jabber:client'><body><![CDATA[<b> & ]]></body></message>");
    assert.equal(stanza.wire(false), '<message><body>&lt;b&gt; &amp; </body></message>');
    assert.equal(stanza.text('body'), '<b> & ');
  });

  it('keeps white space in attributes and line ends as they were meant', () => {
    const stanza = read("<iq xmlns='jabber:client' id='1' type='set'><q xmlns='urn:q' a='1&#10;2&#9;3'>x&#13;y</q></iq>");
    const copy = stanza.with({ type: 'result' });
    assert.equal(copy.wire(false), "<iq id='1' type='result'><q xmlns='urn:q' a='1&#10;2&#9;3'>x&#13;y</q></iq>");
  });

  it('is not fooled by prefixes, empty namespaces or references in names of namespaces', () => {
    const stanza = read(
      "<message xmlns='jabber:client'><p:body xmlns:p='urn:p'>1</p:body><body xmlns=''>2</body><q xmlns='urn:&#x61;'/><c:body xmlns:c='jabber:client'>3</c:body></message>",
    );
    assert.equal(stanza.has('body', 'urn:p'), true);
    assert.equal(stanza.has('body', ''), true);
    assert.equal(stanza.text('body'), '3');
    assert.equal(stanza.has('q', 'urn:a'), true);
  });

  it('holds nothing that was not said', () => {
    const stanza = read("<message xmlns='jabber:client' __proto__='x' constructor='y'><toString/></message>");
    assert.equal(stanza.element.attrs['hasOwnProperty'], undefined);
    assert.equal(stanza.element.attrs['constructor'], 'y');
    assert.equal(Object.getOwnPropertyDescriptor(stanza.element.attrs, '__proto__')?.value, 'x');
  });

  it('is made of an element too', () => {
    const stanza = Stanza.of(xml('iq', { type: 'result', id: 'ü', to: 'a@b' }, xml('q', 'urn:q', 'text <')));
    assert.equal(utf8(stanza.wire(false)), "<iq to='a@b' type='result' id='ü'><q xmlns='urn:q'>text &lt;</q></iq>");
    assert.equal(
      utf8(stanza.wire(true)),
      "<iq xmlns='jabber:client' to='a@b' type='result' id='ü'><q xmlns='urn:q'>text &lt;</q></iq>",
    );
    assert.deepEqual([stanza.payloadName, stanza.payloadNS, stanza.childCount], ['q', 'urn:q', 1]);
  });

  it('knows what prefixes of the stream header mean, and declares them once', () => {
    for (const text of ['<q:received/>', '<q:received/><![CDATA[]]>']) {
      const stanza = readIn(" xmlns:q='urn:q'", `<message><body>x</body>${text}</message>`);
      assert.equal(stanza.has('received', 'urn:q'), true);
      assert.equal(stanza.child('received', 'urn:q')?.getName(), 'received');
      assert.equal(stanza.wire(true).split("xmlns:q='urn:q'").length, 2);
      assert.equal(stanza.plus('y', 'urn:y', {}).has('received', 'urn:q'), true);
      assert.equal(stanza.filter((child) => child.getName() !== 'received').has('received', 'urn:q'), false);
      assert.equal(readStanza(writeStanza(stanza)).has('received', 'urn:q'), true);
    }
  });

  it('keeps the namespace of its children when its own name has a prefix', () => {
    for (const text of ['<body>1</body>', '<body><![CDATA[1]]></body>']) {
      const stanza = readIn('', `<c:message xmlns:c='jabber:client' to='a@b'>${text}</c:message>`);
      assert.equal(readStanza(writeStanza(stanza)).text('body', 'jabber:client'), '1');
      const other = readIn('', `<c:message xmlns:c='jabber:client' xmlns='urn:x' to='a@b'>${text}</c:message>`);
      assert.equal(readStanza(writeStanza(other)).text('body', 'urn:x'), '1');
      assert.equal(other.wire(false).includes("xmlns='urn:x'"), true);
    }
  });

  it('takes one more child at its end, and knows of it', () => {
    const cases = [
      '<message/>',
      "<message to='a@b'></message>",
      '<message><body>x</body></message>',
      '<message><body><![CDATA[x]]></body></message >',
    ];
    for (const text of cases) {
      const stanza = readIn('', text).plus('stanza-id', 'urn:xmpp:sid:0', { id: 'ü<', by: "o'hara@b" });
      assert.equal(stanza.has('stanza-id', 'urn:xmpp:sid:0'), true, text);
      assert.deepEqual(
        { ...stanza.child('stanza-id', 'urn:xmpp:sid:0')?.attrs },
        { xmlns: 'urn:xmpp:sid:0', id: 'ü<', by: "o'hara@b" },
      );
      assert.equal(stanza.childCount, text.includes('body') ? 2 : 1);
      assert.equal(stanza.text('body'), text.includes('body') ? 'x' : undefined);
      assert.equal(
        readStanza(writeStanza(stanza.addressed('x@y', 'a@b'))).child('stanza-id', 'urn:xmpp:sid:0')?.attrs['id'],
        'ü<',
      );
      assert.equal(stanza.plus('y', 'urn:y', {}).childCount, text.includes('body') ? 3 : 2);
    }
  });

  it('is composed of text', () => {
    const stanza = Stanza.written({ name: 'message', to: 'a@b', id: '<', type: undefined }, "<x xmlns='urn:x'/>");
    assert.equal(stanza.wire(true), "<message xmlns='jabber:client' to='a@b' id='&lt;'><x xmlns='urn:x'/></message>");
    assert.equal(stanza.has('x', 'urn:x'), true);
    assert.equal(Stanza.written({ name: 'message' }, '').wire(false), '<message/>');
  });

  it('remembers as what it is kept, in all its copies', () => {
    const kept = message.kept('7');
    assert.equal(message.keptAs, undefined);
    for (const copy of [kept, kept.addressed('a@b', 'c@d'), kept.plus('x', 'urn:x', {}), kept.filter(() => false)])
      assert.equal(copy.keptAs, '7');
    assert.equal(kept.wire(false), message.wire(false));
  });

  it('finds the text of a child behind a start tag with a > in a value', () => {
    const stanza = read("<message xmlns='jabber:client'><body a='>'>x</body><body>y</body></message>");
    assert.equal(stanza.text('body'), 'x');
  });
});
