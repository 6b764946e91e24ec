import assert from 'node:assert/strict';
import { parse } from 'ltx';
import { parseMessage, Splitter, type SplitterLimits, type StreamHeader, XmlError } from '../../../src/xml/splitter.ts';
import type { Stanza } from '../../../src/xml/stanza.ts';

const LIMITS: SplitterLimits = { maxBytes: 4096, maxDepth: 8, maxAttributes: 8, maxElements: 32 };
const OPEN =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";

/** Collects what a splitter says. */
class Collector {
  readonly seen: string[] = [];
  readonly stanzas: Stanza[] = [];
  headers: StreamHeader[] = [];
  onStanza: (stanza: Stanza) => void = () => {};

  header(header: StreamHeader): void {
    this.headers.push(header);
    this.seen.push(`open ${header.prefix}:${header.name}`);
  }

  stanza(stanza: Stanza): void {
    this.stanzas.push(stanza);
    this.seen.push(Buffer.from(stanza.wire(false), 'latin1').toString());
    this.onStanza(stanza);
  }

  footer(): void {
    this.seen.push('close');
  }
}

function split(chunks: readonly (string | Buffer)[], limits = LIMITS): Collector {
  const collector = new Collector();
  const splitter = new Splitter(collector, limits);
  for (const chunk of chunks) {
    const bytes = Buffer.from(chunk as string);
    splitter.write(bytes);
    // Whoever kept the borrowed bytes would now read this.
    bytes.fill(0x21);
  }
  return collector;
}

describe('the stream splitter', () => {
  it('says what a stream consists of', () => {
    const { seen, headers } = split([
      `<?xml version='1.0'?>${OPEN}<presence/><message to='a@b'><body>hi</body></message> \n</stream:stream>`,
    ]);
    assert.deepEqual(seen, ['open stream:stream', '<presence/>', "<message to='a@b'><body>hi</body></message>", 'close']);
    assert.equal(headers[0]!.attrs.get('to'), 'example.org');
    assert.equal(headers[0]!.defaultNS, 'jabber:client');
    assert.equal(headers[0]!.xmlns, 'http://etherx.jabber.org/streams');
  });

  it('says the same wherever the bytes are cut', () => {
    const text =
      `<?xml version='1.0' encoding='utf-8'?>${OPEN}\n<message type="chat" to='ü@b' id='&lt;1&gt;'><body>é 🙂 € \u{ffff0} &amp; ]] &#x1F600;</body>` +
      `<x xmlns='urn:a'><![CDATA[<not> & ]] ]]]></x><y:z xmlns:y='urn:y' y:a='1' /></message><iq type='get' id='2'><q xmlns='urn:q'/></iq></stream:stream>`;
    const bytes = Buffer.from(text);
    const whole = split([bytes]).seen;
    assert.equal(whole.length, 4);
    for (let i = 1; i < bytes.length; i++) {
      assert.deepEqual(split([Buffer.from(bytes.subarray(0, i)), Buffer.from(bytes.subarray(i))]).seen, whole, `cut at ${i}`);
    }
    assert.deepEqual(split([...bytes].map((byte) => Buffer.from([byte]))).seen, whole);
  });

  it('hands out a stanza as soon as its last byte has come', () => {
    const collector = new Collector();
    const splitter = new Splitter(collector, LIMITS);
    splitter.write(Buffer.from(`${OPEN}<message><body>a</body></message`));
    assert.equal(collector.stanzas.length, 0);
    splitter.write(Buffer.from('>'));
    assert.equal(collector.stanzas.length, 1);
    assert.equal(splitter.pendingBytes, 0);
  });

  it('keeps what comes during a pause and goes on from there', () => {
    const collector = new Collector();
    const splitter = new Splitter(collector, LIMITS);
    collector.onStanza = () => splitter.pause();
    const bytes = Buffer.from(`${OPEN}<a/><b/><c>`);
    splitter.write(bytes);
    bytes.fill(0);
    assert.deepEqual(collector.seen.slice(1), ['<a/>']);
    splitter.write(Buffer.from('text</c>'));
    assert.deepEqual(collector.seen.slice(1), ['<a/>']);
    splitter.resume();
    assert.deepEqual(collector.seen.slice(1), ['<a/>', '<b/>']);
    splitter.resume();
    splitter.resume();
    assert.deepEqual(collector.seen.slice(1), ['<a/>', '<b/>', '<c>text</c>']);
  });

  it('reads a new header after a reset, though it came in the same chunk', () => {
    const collector = new Collector();
    const splitter = new Splitter(collector, LIMITS);
    collector.onStanza = () => splitter.reset();
    splitter.write(Buffer.from(`${OPEN}<auth/><?xml version='1.0'?>${OPEN}<iq/>`));
    assert.deepEqual(collector.seen, ['open stream:stream', '<auth/>', 'open stream:stream', '<iq/>']);
  });

  it('forgets what came behind a stanza when it is told to', () => {
    const collector = new Collector();
    const splitter = new Splitter(collector, LIMITS);
    collector.onStanza = () => {
      splitter.reset();
      splitter.discard();
    };
    splitter.write(Buffer.from(`${OPEN}<starttls/><iq/>${OPEN}<iq/>`));
    collector.onStanza = () => {};
    splitter.write(Buffer.from(`${OPEN}<presence/>`));
    assert.deepEqual(collector.seen.slice(2), ['open stream:stream', '<presence/>']);
  });

  it('gives a stanza the prefixes it borrows from the header', () => {
    const header = OPEN.replace('>', " xmlns:e='urn:e'>");
    const { stanzas } = split([`${header}<message><e:x e:y='1'/><stream:z/></message><message><e:x xmlns:e='urn:f'/></message>`]);
    const [first, second] = stanzas.map((stanza) => parse(stanza.wire(true)));
    assert.equal(first!.getChildElements()[0]!.getNS(), 'urn:e');
    assert.equal(first!.getChildElements()[1]!.getNS(), 'http://etherx.jabber.org/streams');
    assert.equal(second!.attrs['xmlns:e'], undefined);
    assert.equal(stanzas[0]!.element.getChildElements()[0]!.name, 'e:x');
  });

  for (const [name, text, condition] of limits()) {
    it(`refuses ${name}`, () => {
      assert.throws(() => split([text]), { name: 'XmlError', condition });
    });
  }

  it('refuses a stanza that grows too big before it ends', () => {
    const chunks = [OPEN, '<message><body>', ...Array.from({ length: 100 }, () => 'x'.repeat(50))];
    assert.throws(() => split(chunks), { condition: 'policy-violation' });
  });

  it('is not slowed down by a stanza that dribbles in', () => {
    const size = 1 << 20;
    const limits = { ...LIMITS, maxBytes: 2 * size };
    const piece = 'a'.repeat(64);
    const chunks = Array.from({ length: size / 64 }, () => piece);
    const { stanzas } = split([OPEN, '<message><body>', ...chunks, '</body></message>'], limits);
    assert.equal(stanzas[0]!.text('body')!.length, size);
  });

  it('reads nothing more once it has refused', () => {
    const collector = new Collector();
    const splitter = new Splitter(collector, LIMITS);
    assert.throws(() => splitter.write(Buffer.from(`${OPEN}<a></b><iq/>`)), XmlError);
    splitter.write(Buffer.from('<iq/>'));
    splitter.resume();
    assert.deepEqual(collector.stanzas, []);
  });

  it('lets what the handler throws through', () => {
    const collector = new Collector();
    collector.onStanza = () => {
      throw new Error('no');
    };
    const splitter = new Splitter(collector, LIMITS);
    assert.throws(() => splitter.write(Buffer.from(`${OPEN}<iq/>`)), { message: 'no' });
  });
});

function limits(): readonly (readonly [string, string, string])[] {
  return [
    ['too big a stanza', `${OPEN}<message><body>${'x'.repeat(5000)}</body></message>`, 'policy-violation'],
    ['too big a header', `<stream:stream xmlns:stream='s' to='${'x'.repeat(5000)}'>`, 'policy-violation'],
    ['too many levels', `${OPEN}${'<a>'.repeat(9)}`, 'policy-violation'],
    ['too many elements', `${OPEN}<a>${'<b/>'.repeat(40)}</a>`, 'policy-violation'],
    ['too many attributes', `${OPEN}<a ${Array.from({ length: 9 }, (_, i) => `a${i}='1'`).join(' ')}/>`, 'policy-violation'],
  ];
}

describe('a message of its own', () => {
  const read = (text: string | Buffer) => parseMessage(Buffer.from(text as string), LIMITS);

  it('is one element', () => {
    const stanza = read("<message xmlns='jabber:client' to='a@b'><body>hi</body></message>");
    assert.equal(stanza.xmlns, 'jabber:client');
    assert.equal(stanza.wire(false), "<message to='a@b'><body>hi</body></message>");
    assert.equal(stanza.wire(true), "<message xmlns='jabber:client' to='a@b'><body>hi</body></message>");
  });

  for (const [text, condition] of [
    ['', 'bad-format'],
    [' <a/>', 'bad-format'],
    ['text', 'bad-format'],
    ['<a/><b/>', 'bad-format'],
    ['<a/> ', 'bad-format'],
    ['<a>', 'not-well-formed'],
    ['<a', 'not-well-formed'],
    ['</a>', 'not-well-formed'],
    ["<?xml version='1.0'?><a/>", 'restricted-xml'],
    ["<stream:stream xmlns='jabber:client'/>", 'not-well-formed'],
  ] as const) {
    it(`is not ${JSON.stringify(text)}`, () => {
      assert.throws(() => read(text), { name: 'XmlError', condition });
    });
  }
});
