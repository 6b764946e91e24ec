import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { parse } from 'ltx';
import { attributes, BoshClient, FEATURES, message, NS } from './bosh-support.ts';
import { type HttpOptions, TestHttp } from './http-support.ts';

describe('BOSH, under attack', () => {
  let server: TestHttp;
  let client: BoshClient;

  afterEach(() => server.stop());

  async function start(options: HttpOptions = {}): Promise<BoshClient> {
    server = await TestHttp.start(options);
    return (client = new BoshClient(server));
  }

  /** Waits until the server holds so many bytes or messages of a session. */
  const heard = (count: number) => client.recorder.until(() => client.recorder.chunks.length >= count);

  describe('defends itself', () => {
    it('against too many requests at once (section 11)', async () => {
      await start();
      await client.create();
      client.recorder.onData = () => client.recorder.transport.pause(); // so that none is answered
      client.send(`${message('one')}${message('more')}`);
      await heard(2);
      client.send(message('two'));
      const third = client.send(message('three'), '', 1003);
      assert.deepEqual(attributes(await third.body, 'type', 'condition'), ['terminate', 'policy-violation']);
      assert.equal(client.recorder.isClosed, true);
    });

    it('against empty requests that are not needed', async () => {
      await start();
      await client.create();
      client.send();
      const second = client.send();
      assert.deepEqual(attributes(await second.body, 'type', 'condition'), ['terminate', 'policy-violation']);
    });

    it('against polling too often (section 12)', async () => {
      await start();
      await client.create("hold='0' wait='0' ver='1.11'", '');
      assert.deepEqual(attributes(await client.send().body, 'type'), [undefined]);
      assert.deepEqual(attributes(await client.send().body, 'type', 'condition'), ['terminate', 'policy-violation']);
    });

    it('against requests of others, by keys (section 15)', async () => {
      await start();
      const keys = ['seed'];
      for (let i = 0; i < 5; i++) keys.unshift(createHash('sha1').update(keys[0]!).digest('hex'));
      await client.create(`hold='1' wait='60' ver='1.11' newkey='${keys[0]!.toUpperCase()}'`);
      client.send(message('one'), `key='${keys[1]}'`);
      await heard(2);
      client.send(message('two'), `key='${keys[2]}' newkey='${keys[0]}'`);
      await heard(3);
      client.send(message('three'), `key='${keys[1]}'`);
      await heard(4);
      const wrong = client.send(message('four'), `key='${keys[3]}'`);
      assert.deepEqual(attributes(await wrong.body, 'condition'), ['item-not-found']);
      assert.equal(client.recorder.chunks.length, 4);
    });

    it('against requests without a key, where there was one', async () => {
      await start();
      await client.create(`hold='1' ver='1.11' newkey='${createHash('sha1').update('x').digest('hex')}'`);
      assert.deepEqual(attributes(await client.send(message('x')).body, 'condition'), ['item-not-found']);
    });

    it('against requests in the clear for a session that began under TLS, which goes on (section 19.1)', async () => {
      await start({ proxies: ['127.0.0.1/32'] });
      const headers = { 'X-Forwarded-For': '192.0.2.7', 'X-Forwarded-Proto': 'https' };
      const asked = client.post(`<body rid='1000' to='example.org' ver='1.11' ${NS}/>`, headers);
      client.recorder = await server.accepting.next();
      client.recorder.transport.send(FEATURES);
      client.sid = (await asked.body).attrs['sid'];
      await assert.rejects(
        client.post(`<body rid='1001' sid='${client.sid}' ${NS}/>`, { 'X-Forwarded-For': '192.0.2.7' }).answer,
      );
      assert.equal(client.recorder.isClosed, false);
      client.post(`<body rid='1001' sid='${client.sid}' ${NS}>${message('x')}</body>`, headers);
      await heard(2);
    });

    for (const [name, text] of [
      ['nothing', ''],
      ['white space', ' \n'],
      ['no XML', 'hello'],
      ['another element', `<html rid='1' ${NS}/>`],
      ['another namespace', "<body rid='1' xmlns='urn:x'/>"],
      ['no namespace', "<body rid='1'/>"],
      ['no number', `<body to='example.org' ${NS}/>`],
      ['a number that is none', `<body rid='x' ${NS}/>`],
      ['zero', `<body rid='0' ${NS}/>`],
      ['a negative number', `<body rid='-1' ${NS}/>`],
      ['a number beyond 2^53', `<body rid='9007199254740993' ${NS}/>`],
      ['a number in another notation', `<body rid='1e3' ${NS}/>`],
      ['a wait that is none', `<body rid='1' wait='long' ${NS}/>`],
      ['text between payloads', `<body rid='1' ${NS}>text</body>`],
      ['an unfinished body', `<body rid='1' ${NS}><message>`],
      ['two bodies', `<body rid='1' ${NS}/><body rid='2' ${NS}/>`],
      ['a comment', `<body rid='1' ${NS}><!-- x --></body>`],
      ['a processing instruction', `<body rid='1' ${NS}><?x y?></body>`],
      ['a document type', `<!DOCTYPE x [<!ENTITY a "b">]><body rid='1' ${NS}/>`],
      ['an entity', `<body rid='1' ${NS}>&x;</body>`],
      ['an attribute twice', `<body rid='1' rid='2' ${NS}/>`],
      ['an unbound prefix', `<body rid='1' xmpp:restart='true' ${NS}/>`],
      ['a control character', `<body rid='1' ${NS}>\u0001</body>`],
      ['bad UTF-8', Buffer.concat([Buffer.from(`<body rid='1' to='`), Buffer.from([0xff]), Buffer.from(`' ${NS}/>`)])],
      ['UTF-16', Buffer.from(`<body rid='1' ${NS}/>`, 'utf16le')],
      ['too many levels', `<body rid='1' ${NS}>${'<a>'.repeat(40)}${'</a>'.repeat(40)}</body>`],
      ['too many elements', `<body rid='1' ${NS}>${'<a/>'.repeat(1000)}</body>`],
    ] as const) {
      it(`against ${name}`, async () => {
        await start();
        const { status, body } = await client.post(text).answer;
        assert.equal(status, 200);
        assert.deepEqual(attributes(parse(body), 'type', 'condition'), ['terminate', 'bad-request']);
        assert.equal(server.accepting.recorders.length, 0);
        assert.equal(server.bosh.open, 0);
      });
    }

    it('but takes a declaration and white space around the body', async () => {
      await start();
      const asked = client.post(`<?xml version='1.0' encoding='UTF-8'?>\n<body rid='1' to='example.org' ${NS}/>\n`);
      await server.accepting.next();
      asked.abort();
    });

    it('against names that JavaScript knows', async () => {
      await start();
      for (const sid of ['__proto__', 'constructor', 'toString', '']) {
        const body = await client.post(`<body rid='1' sid='${sid}' ${NS}/>`).body;
        assert.deepEqual(attributes(body, 'condition'), ['item-not-found'], sid);
      }
      await client.create();
      client.send("<message><__proto__ constructor='x'/></message>", "toString='x'");
      await heard(2);
      assert.equal(client.recorder.chunks[1], "<message xmlns='jabber:client'><__proto__ constructor='x'/></message>");
    });

    it('against bodies that are too long, and lets those send more who are logged in', async () => {
      await start();
      await client.create();
      const long = message('x'.repeat(30_000));
      assert.equal((await client.send(long, '', 1001).answer).status, 413);
      client.recorder.transport.limitMessages!(262_144);
      client.send(long, '', 1001);
      await heard(2);
      assert.equal((await client.post(`<body rid='1' ${NS}>${long}</body>`).answer).status, 413);
      assert.equal((await client.send(message('x'.repeat(300_000)), '', 1002).answer).status, 413);
      const fake = `<body rid='1' to=' sid="${client.sid}"' ${NS}>${long}</body>`;
      assert.deepEqual(attributes(await client.post(fake).body, 'condition'), ['bad-request']);
    });

    it('against compressed requests, which it has not offered to take', async () => {
      await start();
      assert.equal((await client.post('x', { 'Content-Encoding': 'gzip' }).answer).status, 415);
    });
  });
});
