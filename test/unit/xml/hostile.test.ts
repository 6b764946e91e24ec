import assert from 'node:assert/strict';
import { Splitter } from '../../../src/xml/splitter.ts';

// What RFC 6120 section 11 and XML 1.0 forbid, and what they allow though it looks odd. Each stands in a stream of its own.

const OPEN = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
const CLOSE = '</stream:stream>';
const LIMITS = { maxBytes: 65_536, maxDepth: 32, maxAttributes: 32, maxElements: 256 };

const bytes = (...parts: readonly (string | readonly number[])[]) =>
  Buffer.concat(parts.map((part) => Buffer.from(part as string)));
const stanza = (text: string) => bytes(OPEN, text, CLOSE);
const body = (...inner: readonly (string | readonly number[])[]) =>
  bytes(OPEN, '<message><body>', ...inner, '</body></message>', CLOSE);

function read(input: Buffer): readonly string[] {
  const seen: string[] = [];
  const splitter = new Splitter(
    {
      header: () => void seen.push('open'),
      stanza: (found) => void seen.push(found.element.toString()),
      footer: () => void seen.push('close'),
    },
    LIMITS,
  );
  for (const byte of input) splitter.write(Buffer.from([byte]));
  return seen;
}

const FORBIDDEN: Readonly<Record<string, readonly (readonly [string, Buffer])[]>> = {
  'restricted-xml': [
    ['a document type', bytes("<?xml version='1.0'?><!DOCTYPE s>", OPEN)],
    ['entities that multiply', bytes('<!DOCTYPE s [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>', OPEN)],
    ['an external entity', bytes('<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>', OPEN)],
    ['a document type within the stream', stanza('<!DOCTYPE a>')],
    ['a document type within a stanza', body('<!DOCTYPE a>')],
    ['an entity nobody has declared', body('&foo;')],
    ['an entity of HTML', body('&nbsp;')],
    ['a processing instruction', stanza('<?foo bar?>')],
    ['a processing instruction within a stanza', body('<?foo bar?>')],
    ['a processing instruction before the stream', bytes('<?foo bar?>', OPEN)],
    ['an XML declaration within the stream', stanza("<?xml version='1.0'?>")],
    ['an XML declaration behind white space', bytes(" <?xml version='1.0'?>", OPEN)],
    ['two XML declarations', bytes("<?xml version='1.0'?><?xml version='1.0'?>", OPEN)],
    ['a comment', stanza('<!-- x -->')],
    ['a comment within a stanza', body('<!-- x -->')],
    ['CDATA between stanzas', stanza('<![CDATA[x]]>')],
  ],
  'unsupported-encoding': [
    ['Latin-1', bytes("<?xml version='1.0' encoding='ISO-8859-1'?>", OPEN)],
    ['UTF-16 by name', bytes("<?xml version='1.0' encoding='utf-16'?>", OPEN)],
  ],
  'not-well-formed': [
    ['a bare &', body('a & b')],
    ['a reference that does not end', body('&amp')],
    ['a long reference that does not end', body(`&${'a'.repeat(50)};`)],
    ['a reference to NUL', body('&#0;')],
    ['a reference to a control character', body('&#x1f;')],
    ['a reference to a surrogate', body('&#xD800;')],
    ['a reference to U+FFFE', body('&#xFFFE;')],
    ['a reference beyond Unicode', body('&#x110000;')],
    ['a reference without digits', body('&#;')],
    ['a hexadecimal reference without digits', body('&#x;')],
    ['a reference with wrong digits', body('&#12a;')],
    ['text between stanzas', stanza('x')],
    ['text before the stream', bytes('x', OPEN)],
    ['a byte order mark', bytes([0xef, 0xbb, 0xbf], OPEN)],
    ['UTF-16', Buffer.from(OPEN, 'utf16le')],
    ['a prefix nobody has declared', stanza('<message><x:y/></message>')],
    ['an attribute with a prefix nobody has declared', stanza("<message x:y='1'/>")],
    ['a prefix out of its scope', stanza("<message><a xmlns:x='urn:x'/><x:b/></message>")],
    ['an element in the prefix xmlns', stanza('<message><xmlns:y/></message>')],
    ['a prefix bound to nothing', stanza("<message xmlns:p=''/>")],
    ['xml bound to another namespace', stanza("<message xmlns:xml='urn:x'/>")],
    ['another prefix bound to the namespace of xml', stanza("<message xmlns:a='http://www.w3.org/XML/1998/namespace'/>")],
    ['the namespace of xmlns as the default', stanza("<message xmlns='http://www.w3.org/2000/xmlns/'/>")],
    ['a name with two colons', stanza("<message xmlns:a='urn:a'><a:b:c/></message>")],
    ['a name that begins with a colon', stanza('<message><:a/></message>')],
    ['a name that ends with a colon', stanza("<message xmlns:a='urn:a'><a:/></message>")],
    ['a local name that begins with a digit', stanza("<message xmlns:a='urn:a'><a:1/></message>")],
    ['crossed tags', stanza('<message><a><b></a></b></message>')],
    ['an end too many', stanza('<message/></message>')],
    ['an end of another name', stanza('<message></iq>')],
    ['an end of a longer name', stanza('<message></messages>')],
    ['an end of a shorter name', stanza('<message></messag>')],
    ['an end with an attribute', stanza("<message></message a='b'>")],
    ['an end with a space in front', stanza('<message></ message>')],
    ['an attribute twice', stanza("<message to='a' to='b'/>")],
    ['an attribute twice under two prefixes', stanza("<message xmlns:a='u' xmlns:b='u' a:x='1' b:x='2'/>")],
    ['a value without quotes', stanza('<message to=a />')],
    ['an attribute without a value', stanza('<message to />')],
    ['no space between attributes', stanza("<message a='1'b='2'/>")],
    ['a < in a value', stanza("<message a='<'/>")],
    ['a < in a tag', stanza('<message <a/>')],
    ['a space behind the slash', stanza('<message/ >')],
    ['a slash in a tag', stanza("<message / a='1'>")],
    ['a name that begins with a digit', stanza('<message><1a/></message>')],
    ['a name with a character that is in none', stanza('<message><a\u00d7b/></message>')],
    ['a space before the name', stanza('< message/>')],
    ['no name', stanza('<message><></></message>')],
    [']]> in text', body(']]>')],
    ['a control character', body([1])],
    ['NUL', body([0])],
    ['U+FFFE', body([0xef, 0xbf, 0xbe])],
    ['U+FFFF in a value', bytes(OPEN, "<message a='", [0xef, 0xbf, 0xbf], "'/>", CLOSE)],
    ['a control character in a value', bytes(OPEN, "<message a='", [2], "'/>", CLOSE)],
    ['a control character in a tag', bytes(OPEN, '<message', [11], '/>', CLOSE)],
    ['a control character in CDATA', body('<![CDATA[', [8], ']]>')],
    ['a byte that is in no UTF-8', body([0xff])],
    ['an overlong slash', body([0xc0, 0xaf])],
    ['a surrogate in UTF-8', body([0xed, 0xa0, 0x80])],
    ['a byte sequence beyond Unicode', body([0xf4, 0x90, 0x80, 0x80])],
    ['half a character', body([0xe2, 0x82])],
    ['half a character in a name', bytes(OPEN, '<message><a', [0xe2, 0x82], '/></message>', CLOSE)],
    ['half a character in the header', bytes("<stream:stream to='", [0xe2], "' xmlns:stream='s'>")],
    ['an XML declaration of version 2', bytes("<?xml version='2.0'?>", OPEN)],
    ['the end of another stream', bytes(OPEN, '</stream:streams>')],
    ['an end before the beginning', bytes('</stream:stream>')],
  ],
};

const ALLOWED: readonly (readonly [string, Buffer, number])[] = [
  ['a stream of its own', bytes(OPEN, CLOSE), 2],
  ['spaces in tags, and both kinds of quotes', stanza("<message a = 'b\"c' ><body >x</body ></message >"), 3],
  ['CDATA', body('<![CDATA[a<b]]>'), 3],
  ['all that may be referred to', body('&lt;&gt;&amp;&quot;&apos;&#65;&#x1F642;&#x9;&#10;'), 3],
  ['brackets', body(']] ] >]'), 3],
  ['line ends between stanzas', stanza('\r\n <message/>\t\n<presence/>\n'), 4],
  ['names beyond ASCII', stanza('<message><größe ß="1"/></message>'), 3],
  ['a default namespace taken away', stanza("<message><x xmlns=''/></message>"), 3],
  ['the last characters of the plane', body('\uffdc\ufffd'), 3],
  ['xml:lang, which nobody has to declare', stanza("<message xml:lang='de'/>"), 3],
  ['a declared encoding in small letters', bytes("<?xml version='1.0' encoding='utf-8' standalone='yes' ?>", OPEN, CLOSE), 2],
  ['a > in text and in a value', stanza("<message a='>'><body>></body></message>"), 3],
  ['an element whose name is that of its parent', stanza('<a><a><a/></a></a>'), 3],
];

describe('hostile XML', () => {
  for (const [condition, cases] of Object.entries(FORBIDDEN)) {
    for (const [name, input] of cases) {
      it(`${name} is refused: ${condition}`, () => {
        assert.throws(() => read(input), { name: 'XmlError', condition });
      });
    }
  }

  for (const [name, input, count] of ALLOWED) {
    it(`${name}: fine`, () => assert.equal(read(input).length, count));
  }
});
