import assert from 'node:assert/strict';
import { parse } from 'ltx';
import { attributes, BoshClient, CLOSE, children, FEATURES, message, NS, OPENED } from './bosh-support.ts';
import { type HttpOptions, TestHttp } from './http-support.ts';

describe('BOSH', () => {
  let server: TestHttp;
  let client: BoshClient;

  afterEach(() => server.stop());

  async function start(options: HttpOptions = {}): Promise<BoshClient> {
    server = await TestHttp.start(options);
    return (client = new BoshClient(server));
  }

  /** Waits until the server holds so many bytes or messages of a session. */
  const heard = (count: number) => client.recorder.until(() => client.recorder.chunks.length >= count);

  describe('begins a session (XEP-0124 section 7)', () => {
    it('that is a framed stream to the core, and answers with what has been agreed on', async () => {
      await start();
      const body = await client.create("hold='1' wait='30' ver='1.6' from='romeo@example.org'");
      assert.equal(
        client.recorder.text,
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' from='romeo@example.org' xml:lang='de' version='1.0'/>",
      );
      assert.match(client.sid, /^[\w-]{24}$/);
      assert.deepEqual(
        attributes(body, 'xmlns', 'wait', 'requests', 'hold', 'ver', 'inactivity', 'maxpause', 'polling', 'from'),
        ['http://jabber.org/protocol/httpbind', '30', '2', '1', '1.6', '60', '120', '1', 'example.org'],
      );
      assert.deepEqual(attributes(body, 'xmpp:version', 'xmpp:restartlogic', 'xmlns:xmpp', 'ack', 'type'), [
        '1.0',
        'true',
        'urn:xmpp:xbosh',
        undefined,
        undefined,
      ]);
      assert.deepEqual(
        body.getChildElements().map(({ name }) => name),
        ['stream:features'],
      );
      assert.equal(body.attrs['xmlns:stream'], 'http://etherx.jabber.org/streams');
    });

    it('with no more than the server allows', async () => {
      await start({ http: { boshWait: 20_000, boshRequests: 3, boshInactivity: 30_000 } });
      const body = await client.create("hold='9' wait='3600' ver='9.9'");
      assert.deepEqual(attributes(body, 'wait', 'hold', 'requests', 'ver', 'inactivity'), ['20', '2', '3', '1.11', '30']);
    });

    it('for a client that says where it comes from', async () => {
      await start({ proxies: ['127.0.0.1/32'] });
      const asked = client.post(`<body rid='1' to='example.org' ${NS}/>`, {
        'X-Forwarded-For': '192.0.2.7',
        'X-Forwarded-Proto': 'https',
      });
      const { transport } = await server.accepting.next();
      assert.deepEqual(
        [transport.kind, transport.framed, transport.remoteAddress, transport.secure, transport.loopback, transport.tls],
        ['bosh', true, '192.0.2.7', true, false, undefined],
      );
      asked.abort();
    });

    it('whose responses are plain XML, whatever type a client would like, and never a page', async () => {
      await start();
      for (const [content, type] of [
        ['text/xml; charset=utf-8', 'text/xml; charset=utf-8'],
        ['text/plain', 'text/plain'],
        ['text/html', 'text/xml; charset=utf-8'],
        ['image/svg+xml', 'text/xml; charset=utf-8'],
        ['text/xml&#13;&#10;X-Evil: 1', 'text/xml; charset=utf-8'],
      ] as const) {
        const asked = client.post(`<body rid='1' to='example.org' content='${content}' ${NS}/>`);
        (await server.accepting.next()).transport.send(FEATURES);
        const { headers, status } = await asked.answer;
        assert.deepEqual([status, headers['content-type'], headers['x-evil']], [200, type, undefined], content);
        assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'; sandbox");
        assert.equal(headers['x-content-type-options'], 'nosniff');
      }
    });

    it('not for an address that has too many', async () => {
      await start();
      server.limits.config = { connectionsPerAddress: 3, connectionsPerMinute: 100, exemptLoopback: false };
      await client.create();
      const hanging = [client.send(), client.send(message('x'))];
      await heard(2);
      const refused = await client.post(`<body rid='1' to='example.org' ver='1.11' ${NS}/>`).answer;
      assert.match(refused.body, /condition='policy-violation'|^$/);
      for (const asked of hanging) asked.abort();
    });

    it('and says at once that a host is unknown', async () => {
      await start();
      const asked = client.post(`<body rid='1' to='elsewhere.test' ver='1.11' ${NS}/>`);
      const { transport } = await server.accepting.next();
      transport.send(OPENED);
      transport.send(
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
      );
      transport.send(CLOSE);
      transport.end();
      const body = await asked.body;
      assert.deepEqual([...attributes(body, 'type', 'condition'), children(body)], ['terminate', 'host-unknown', []]);
      assert.equal(server.bosh.open, 0);
    });
  });

  describe('carries payloads', () => {
    it('as messages of their own, in order', async () => {
      await start();
      await client.create();
      client.send(
        `\n  ${message('one')}\n<presence xmlns='jabber:client'/>\n<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>`,
      );
      await heard(4);
      assert.deepEqual(client.recorder.chunks.slice(1), [
        "<message xmlns='jabber:client'><body>one</body></message>",
        "<presence xmlns='jabber:client'/>",
        "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
      ]);
    });

    it('in whatever namespace they are, and stanzas without one as those of clients (XEP-0206 section 2)', async () => {
      await start();
      await client.create();
      client.send("<message to='a'/><auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>x</auth><x:y xmlns:x='urn:x'/><other/>");
      await heard(5);
      assert.deepEqual(
        client.recorder.chunks.slice(1).map((chunk) => {
          const { name, attrs } = parse(chunk);
          return [name, attrs['xmlns'], attrs['xmlns:x']];
        }),
        [
          ['message', 'jabber:client', undefined],
          ['auth', 'urn:ietf:params:xml:ns:xmpp-sasl', undefined],
          ['x:y', 'http://jabber.org/protocol/httpbind', 'urn:x'],
          ['other', 'http://jabber.org/protocol/httpbind', undefined],
        ],
      );
    });

    it('with the prefixes that stand on the body', async () => {
      await start();
      await client.create();
      client.send("<x:y a='1'/>", "xmlns:x='urn:x'");
      await heard(2);
      assert.match(client.recorder.chunks[1]!, /xmlns:x='urn:x'/);
    });

    it('escaped as they were, UTF-8 and all', async () => {
      await start();
      await client.create();
      const asked = client.send(message('&lt;/body&gt; &amp; Grüße 🙂'));
      await heard(2);
      assert.equal(parse(client.recorder.chunks[1]!).getChildText('body'), '</body> & Grüße 🙂');
      client.recorder.transport.send(Buffer.from(message('Grüße 🙂')).toString('latin1'));
      assert.equal((await asked.body).getChild('message')!.getChildText('body'), 'Grüße 🙂');
    });

    it('to the client, all that there is in one response', async () => {
      await start();
      await client.create();
      const { transport } = client.recorder;
      const asked = client.send(message('x'));
      await heard(2);
      for (const text of ['one', 'two', 'three']) transport.send(message(text));
      assert.equal(transport.queued, message('one').length * 2 + message('three').length);
      assert.deepEqual(children(await asked.body).length, 3);
      assert.equal(transport.queued, 0);
      for (const text of ['four', 'five']) transport.send(message(text));
      assert.deepEqual(children(await client.send().body).length, 2);
    });

    it('keeps a request until there is something to say, and no more of them than the client wants', async () => {
      await start();
      await client.create();
      const first = client.send(message('one'));
      await heard(2);
      const second = client.send(message('two'));
      const body = await first.body;
      assert.deepEqual([children(body), Object.keys(body.attrs)], [[], ['xmlns']]);
      client.recorder.transport.send(message('answer'));
      assert.equal(children(await second.body).length, 1);
    });

    it('answers a request after as long as the client wants to wait', async () => {
      await start();
      await client.create("hold='1' wait='1' ver='1.11'");
      assert.deepEqual(children(await client.send(message('x')).body), []);
    });

    it('answers at once where the client only polls (section 12)', async () => {
      await start();
      for (const attrs of ["hold='0' wait='60' ver='1.11'", "hold='1' wait='0' ver='1.11'"]) {
        client = new BoshClient(server);
        const body = await client.create(attrs, '');
        assert.deepEqual(children(body), []);
        client.recorder.transport.send(FEATURES);
        assert.equal(children(await client.send().body).length, 1);
      }
    });

    it('tells the core nothing while it is paused', async () => {
      await start();
      await client.create();
      client.recorder.onData = () => client.recorder.transport.pause();
      const first = client.send(`${message('one')}${message('two')}`);
      await heard(2);
      const second = client.send(message('three'));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(client.recorder.chunks.length, 2);
      client.recorder.transport.resume();
      await heard(3);
      client.recorder.onData = () => {};
      client.recorder.transport.resume();
      await heard(4);
      assert.deepEqual(
        client.recorder.chunks.slice(1).map((chunk) => parse(chunk).getChildText('body')),
        ['one', 'two', 'three'],
      );
      assert.deepEqual(children(await first.body), []);
      second.abort();
    });

    it('restarts the stream (XEP-0206 section 5), ignoring payloads', async () => {
      await start();
      await client.create();
      const asked = client.send(message('ignored'), "xmpp:restart='true' to='example.org' xml:lang='en'");
      await heard(2);
      assert.equal(
        client.recorder.chunks[1],
        "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' xml:lang='en' version='1.0'/>",
      );
      client.recorder.transport.send(OPENED);
      client.recorder.transport.send(FEATURES);
      const body = await asked.body;
      assert.deepEqual(attributes(body, 'sid', 'wait', 'xmpp:version'), [undefined, undefined, undefined]);
      assert.equal(children(body).length, 1);
      client.send('', "xmpp:restart='1'");
      await heard(3);
      assert.match(client.recorder.chunks[2]!, / to='example\.org'/);
    });
  });

  it('tells clients of old by status codes (section 17.1)', async () => {
    await start();
    await client.create("hold='1' wait='60'");
    const { status } = await client.send('', '', 5000).answer;
    assert.equal(status, 404);
  });

  describe('is open to pages of other origins', () => {
    it('of all, if so configured', async () => {
      await start();
      const preflight = await server.ask('/http-bind', {
        method: 'OPTIONS',
        headers: {
          Origin: 'https://chat.test',
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'content-type',
        },
      });
      assert.equal(preflight.status, 204);
      assert.deepEqual(
        ['allow-origin', 'allow-methods', 'allow-headers', 'allow-credentials'].map(
          (name) => preflight.headers[`access-control-${name}`],
        ),
        ['*', 'POST, OPTIONS', 'Content-Type', undefined],
      );
      const { headers } = await client.post('x', { Origin: 'https://chat.test' }).answer;
      assert.equal(headers['access-control-allow-origin'], '*');
    });

    it('or of some', async () => {
      await start({ http: { origins: ['https://chat.test'] } });
      const allowed = await client.post('x', { Origin: 'https://chat.test' }).answer;
      assert.deepEqual(
        [allowed.status, allowed.headers['access-control-allow-origin'], allowed.headers.vary],
        [200, 'https://chat.test', 'Origin'],
      );
      const refused = await client.post('x', { Origin: 'https://evil.test' }).answer;
      assert.deepEqual([refused.status, refused.headers['access-control-allow-origin']], [403, undefined]);
      assert.equal((await client.post('x').answer).status, 200);
    });

    it('takes nothing but POST', async () => {
      await start();
      const { status, headers } = await server.ask('/http-bind?x');
      assert.deepEqual([status, headers.allow], [405, 'POST, OPTIONS']);
    });
  });
});
