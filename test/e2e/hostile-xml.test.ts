import assert from 'node:assert/strict';
import { RawClient } from '../support/raw-client.ts';
import { enter } from '../support/raw-login.ts';
import { besiege, TIGHT } from '../support/siege.ts';

// XML that should not be, on a server in a process of its own, while two others chat on it.

const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const ENDED = (condition: string) => new RegExp(`"condition":"${condition}"`);
const open = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='localhost'";
const times = (count: number, make: (i: number) => string) => Array.from({ length: count }, (_, i) => make(i)).join('');

const LAUGHS = `<!DOCTYPE lolz [<!ENTITY a "lol">${times(10, (i) => `<!ENTITY b${i} "${`&a;`.repeat(10)}">`)}]>${open}>&b9;`;
/** What is sent at once on a new connection, and the error that ends the stream. */
const BEFORE_LOGIN: readonly (readonly [string, string | Buffer, string])[] = [
  ['a billion laughs', LAUGHS, 'restricted-xml'],
  ['UTF-16', Buffer.from(`\ufeff${open}>`, 'utf16le'), 'not-well-formed'],
  ['bad UTF-8 in the header', Buffer.from(`${open} from='\xc0\xaf'>`, 'latin1'), 'not-well-formed'],
  ['bad UTF-8 in an element', Buffer.from(`${open}><auth xmlns='${NS_SASL}'>\xed\xa0\x80</auth>`, 'latin1'), 'not-well-formed'],
  ['a header without end', `${open} ${times(2000, (i) => ` a${i}='xxxxxx'`)}`, 'policy-violation'],
  ['a header of one attribute', `${open} a='${'x'.repeat(100_000)}`, 'policy-violation'],
  ['an attribute without end', `${open}><auth a='${'x'.repeat(100_000)}`, 'policy-violation'],
  ['elements in elements', `${open}>${'<a>'.repeat(3000)}`, 'policy-violation'],
  ['ten thousand attributes', `${open}><a ${times(10_000, (i) => `a${i}='' `)}/>`, 'policy-violation'],
  ['ten thousand elements', `${open}><a>${'<b/>'.repeat(10_000)}</a>`, 'policy-violation'],
  ['text without end', `${open}><a>${'x'.repeat(100_000)}`, 'policy-violation'],
  ['an entity', `${open}><a>&lol;</a>`, 'restricted-xml'],
  ['a comment', `${open}><!-- x -->`, 'restricted-xml'],
  ['PROXY protocol that is not expected', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 5222\r\n', 'not-well-formed'],
  ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', 'not-well-formed'],
  ['TLS', Buffer.from('16030100050100000100', 'hex'), 'not-well-formed'],
  ['a stanza of a stranger', `${open}><message to='romeo@localhost'><body>x</body></message>`, 'not-authorized'],
  [
    'a wish to bind before log-in',
    `${open}><iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
    'not-authorized',
  ],
];

/** What is sent once logged in, and the error that ends the stream. */
const AFTER_LOGIN: readonly (readonly [string, string, string])[] = [
  ['a stanza without end', `<message to='romeo@localhost'><body>${'x'.repeat(600_000)}`, 'policy-violation'],
  ['deep nesting', `<message>${'<a>'.repeat(3000)}`, 'policy-violation'],
  ['many elements', `<message>${'<b/>'.repeat(10_000)}</message>`, 'policy-violation'],
  ['many attributes', `<message ${times(10_000, (i) => `a${i}='' `)}/>`, 'policy-violation'],
  ['somebody else as sender', "<message from='juliet@localhost' to='romeo@localhost'><body>x</body></message>", 'invalid-from'],
  ['a name with an unbound prefix', '<message><x:y/></message>', 'not-well-formed'],
  ['an attribute twice', "<message to='a@localhost' to='b@localhost'/>", 'not-well-formed'],
  ['another log-in', `<auth xmlns='${NS_SASL}' mechanism='PLAIN'>AGEAYg==</auth>`, 'unsupported-stanza-type'],
];

/** What is sent once logged in, and the error that is its answer. */
const REFUSED: readonly (readonly [string, string, string])[] = [
  ['an iq without id', "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", 'bad-request'],
  ['an iq without type', "<iq id='i'><ping xmlns='urn:xmpp:ping'/></iq>", 'bad-request'],
  ['an iq that asks twice', "<iq type='get' id='i'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>", 'bad-request'],
  ['a malformed address', "<message to='@localhost'><body>x</body></message>", 'jid-malformed'],
  ['an address with a control character', "<message to='a&#x9;b@localhost'><body>x</body></message>", 'jid-malformed'],
  ['an address without end', `<message to='${'x'.repeat(2000)}@localhost'><body>x</body></message>`, 'jid-malformed'],
  [
    'to bind again',
    "<iq type='set' id='i'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    '(service-unavailable|not-allowed)',
  ],
  [
    'a roster set of many items',
    `<iq type='set' id='i'><query xmlns='jabber:iq:roster'>${times(100, (i) => `<item jid='a${i}@localhost'/>`)}</query></iq>`,
    'bad-request',
  ],
  [
    'a roster item with a name without end',
    `<iq type='set' id='i'><query xmlns='jabber:iq:roster'><item jid='a@localhost' name='${'x'.repeat(50_000)}'/></query></iq>`,
    'not-acceptable',
  ],
];

describe('two who chat are not harmed by XML:', () => {
  const siege = besiege(TIGHT);

  for (const [name, bytes, condition] of BEFORE_LOGIN) {
    it(`${name} before log-in: ${condition}`, async () => {
      const client = await RawClient.connect(siege.server.c2s, siege.address);
      client.send(bytes);
      assert.match(await client.end(), new RegExp(`<stream:error><${condition} [\\s\\S]*</stream:error></stream:stream>$`));
      await siege.others.areUnharmed(ENDED(condition));
    });
  }

  for (const [i, [name, xml, condition]] of AFTER_LOGIN.entries()) {
    it(`${name} after log-in: ${condition}`, async () => {
      const client = await enter(siege.server.c2s, `ended${i}`, siege.address);
      client.send(xml);
      assert.match(await client.end(), new RegExp(`<stream:error><${condition} [\\s\\S]*</stream:error></stream:stream>$`));
      await siege.others.areUnharmed(ENDED(condition));
    });
  }

  it('stanzas that break the rules, which are answered each', async () => {
    const client = await enter(siege.server.c2s, 'refused', siege.address);
    for (const [name, xml, condition] of REFUSED) {
      client.send(`${xml}<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`);
      const said = (await client.until(/[\s\S]*?<iq [^>]*id='last'[^>]*>/))[0];
      assert.match(said, new RegExp(`<error [^>]*><${condition} `), name);
    }
    await siege.others.areUnharmed();
  });
});
