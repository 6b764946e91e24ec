import assert from 'node:assert/strict';
import { parse } from 'ltx';
import { attributes, BoshClient, CLOSE, children, message } from './bosh-support.ts';
import { type HttpOptions, TestHttp } from './http-support.ts';

describe('a session of BOSH', () => {
  let server: TestHttp;
  let client: BoshClient;

  afterEach(() => server.stop());

  async function start(options: HttpOptions = {}): Promise<BoshClient> {
    server = await TestHttp.start(options);
    return (client = new BoshClient(server));
  }

  /** Waits until the server holds so many bytes or messages of a session. */
  const heard = (count: number) => client.recorder.until(() => client.recorder.chunks.length >= count);

  describe('keeps requests in order (section 14)', () => {
    it('whatever order they come in', async () => {
      await start({ http: { boshRequests: 3 } });
      await client.create("hold='2' wait='60' ver='1.11'");
      const third = client.send(message('three'), '', 1003);
      const second = client.send(message('two'), '', 1002);
      const first = client.send(message('one'), '', 1001);
      await heard(4);
      assert.deepEqual(
        client.recorder.chunks.slice(1).map((chunk) => parse(chunk).getChildText('body')),
        ['one', 'two', 'three'],
      );
      assert.deepEqual(children(await first.body), []);
      client.recorder.transport.send(message('answer'));
      assert.equal(children(await second.body).length, 1);
      third.abort();
    });

    it('and sends a response again that was lost', async () => {
      await start();
      await client.create();
      const lost = client.send(message('x'));
      await heard(2);
      client.recorder.transport.send(message('answer'));
      const { body } = await lost.answer;
      const again = await client.send(message('x'), '', client.rid).answer;
      assert.equal(again.body, body);
      assert.equal(client.recorder.chunks.length, 2, 'the core hears it once');
    });

    it('also the first one', async () => {
      await start();
      await client.create();
      const again = await client.send('', '', 1000).body;
      assert.equal(again.attrs['sid'], client.sid);
    });

    it('and gives the response to the newer request, when one is sent again before it is answered', async () => {
      await start();
      await client.create();
      const broken = client.send(message('x'));
      await heard(2);
      const again = client.send(message('x'), '', client.rid);
      assert.deepEqual(attributes(await broken.body, 'type'), ['error']);
      client.recorder.transport.send(message('answer'));
      assert.equal(children(await again.body).length, 1);
      assert.equal(client.recorder.chunks.length, 2);
    });

    it('also for one whose turn has not come', async () => {
      await start();
      await client.create();
      const early = client.send(message('two'), '', 1002);
      const waiting = client.send(message('two'), '', 1002);
      assert.deepEqual(attributes(await Promise.race([early.body, waiting.body]), 'type'), ['error']);
      client.send(message('one'), '', 1001);
      await heard(3);
      assert.deepEqual(
        client.recorder.chunks.slice(1).map((chunk) => parse(chunk).getChildText('body')),
        ['one', 'two'],
      );
    });

    for (const [name, rid] of [
      ['too large', 1003],
      ['far too large', 2 ** 52],
      ['too small', 900],
    ] as const) {
      it(`and ends a session with item-not-found for a number that is ${name}`, async () => {
        await start();
        await client.create();
        const body = await client.send('', '', rid).body;
        assert.deepEqual(attributes(body, 'type', 'condition'), ['terminate', 'item-not-found']);
        assert.equal(client.recorder.isClosed, true);
        assert.deepEqual(attributes(await client.send('', '', 1001).body, 'type', 'condition'), ['terminate', 'item-not-found']);
      });
    }

    it('and forgets responses that the client says it has', async () => {
      await start();
      const body = await client.create("hold='1' wait='60' ver='1.11' ack='1'");
      assert.equal(body.attrs['ack'], '1000');
      const first = client.send(message('one'));
      await heard(2);
      const second = client.send(message('two'));
      assert.equal((await first.body).attrs['ack'], '1002', 'both have come');
      await heard(3);
      client.recorder.transport.send(message('answer'));
      assert.equal((await second.body).attrs['ack'], undefined, 'that it came is clear from its response');
      client.send(message('three')); // without an ack: all responses have come
      await heard(4);
      assert.deepEqual(attributes(await client.send('', '', 1002).body, 'condition'), ['item-not-found']);
    });

    it('and does not repeat itself for ever', async () => {
      await start();
      await client.create();
      let condition: unknown;
      for (let i = 0; i < 20 && condition === undefined; i++)
        condition = (await client.send('', '', 1000).body).attrs['condition'];
      assert.equal(condition, 'policy-violation');
    });
  });

  describe('ends a session', () => {
    it('when the client says so, with what it still had to say (section 13)', async () => {
      await start();
      await client.create();
      const held = client.send(message('one'));
      await heard(2);
      client.recorder.onData = (text) => {
        if (text !== CLOSE) return;
        client.recorder.transport.send(CLOSE);
        client.recorder.transport.end();
      };
      const ending = client.send("<presence xmlns='jabber:client' type='unavailable'/>", "type='terminate'");
      assert.deepEqual(attributes(await held.body, 'type', 'condition'), ['terminate', undefined]);
      assert.deepEqual(attributes(await ending.body, 'type'), [undefined]);
      assert.deepEqual(client.recorder.chunks.slice(2), ["<presence xmlns='jabber:client' type='unavailable'/>", CLOSE]);
      assert.equal(client.recorder.isClosed, true);
      assert.deepEqual(attributes(await client.send().body, 'condition'), ['item-not-found']);
      assert.equal(server.bosh.open, 0);
    });

    it('when the core does, with the error of the stream (XEP-0206 section 6)', async () => {
      await start();
      await client.create();
      const asked = client.send(message('x'));
      await heard(2);
      const { transport } = client.recorder;
      transport.send(message('last words'));
      transport.send(
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
      );
      transport.send(CLOSE);
      transport.end();
      const body = await asked.body;
      assert.deepEqual(attributes(body, 'type', 'condition', 'xmlns:stream'), [
        'terminate',
        'remote-stream-error',
        'http://etherx.jabber.org/streams',
      ]);
      assert.deepEqual(
        body.getChildElements().map(({ name }) => name),
        ['message', 'stream:error'],
      );
      assert.equal(client.recorder.isClosed, true);
    });

    it('and tells the next request, when none is held', async () => {
      await start();
      await client.create();
      client.recorder.transport.send(
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
      );
      client.recorder.transport.end();
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(client.recorder.isClosed, false);
      assert.deepEqual(attributes(await client.send().body, 'type', 'condition'), ['terminate', 'system-shutdown']);
      assert.equal(client.recorder.isClosed, true);
    });

    it('after the grace, when nobody asks any more', async () => {
      await start();
      await client.create();
      client.recorder.transport.end(20);
      await client.recorder.until(() => client.recorder.isClosed);
      assert.equal(server.bosh.open, 0);
    });

    it('at once when the core cuts it off', async () => {
      await start();
      await client.create();
      const asked = client.send(message('x'));
      await heard(2);
      client.recorder.transport.destroy();
      assert.deepEqual(attributes(await asked.body, 'type'), ['terminate']);
      assert.equal(client.recorder.isClosed, true);
    });

    it('when the client is silent for too long (section 10)', async () => {
      await start({ http: { boshInactivity: 50 } });
      await client.create();
      await client.recorder.until(() => client.recorder.isClosed);
      assert.equal(server.bosh.open, 0);
      assert.equal(server.limits.openOf('127.0.0.1'), 0);
    });

    it('also when it leaves a gap in its numbers', async () => {
      await start({ http: { boshInactivity: 50 } });
      await client.create();
      const early = client.send(message('x'), '', 1002);
      await early.body;
      assert.equal(client.recorder.isClosed, true);
      assert.equal(client.recorder.chunks.length, 1);
    });

    it('not while a request is held', async () => {
      await start({ http: { boshInactivity: 50 } });
      await client.create("hold='1' wait='1' ver='1.11'");
      assert.equal((await client.send(message('x')).body).attrs['type'], undefined);
      assert.equal(client.recorder.isClosed, false);
    });

    it('later, when the client asks for a pause, which gets no payloads', async () => {
      await start({ http: { boshInactivity: 50 } });
      await client.create();
      const held = client.send(message('x'));
      await heard(2);
      const pausing = client.send('', "pause='3'");
      assert.deepEqual(children(await held.body), []);
      assert.deepEqual(children(await pausing.body), []);
      client.recorder.transport.send(message('kept'));
      await new Promise((resolve) => setTimeout(resolve, 150));
      assert.equal(client.recorder.isClosed, false);
      assert.equal(children(await client.send().body).length, 1);
    });

    it('for a pause that is too long', async () => {
      await start();
      await client.create();
      assert.deepEqual(attributes(await client.send('', "pause='121'").body, 'condition'), ['bad-request']);
    });
  });
});
