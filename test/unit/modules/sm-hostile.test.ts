import assert from 'node:assert/strict';
import carbons from '../../../modules/carbons/index.ts';
import csi from '../../../modules/csi/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import ping from '../../../modules/ping/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { chat, conditionOf, NS_SM, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const READ = "<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>";

let host: TestHost;
let romeo: Probe;

/** What an element is answered with: the condition of a `<failed/>`, of the end of the stream, or the name of another element. */
async function answerTo(client: SmClient, xml: string): Promise<string> {
  client.takeElements();
  client.send(xml);
  await settle();
  const [first] = client.takeElements().filter(({ name }) => name !== 'r');
  if (!first) return client.isConnected ? 'nothing' : 'gone';
  return first.name === 'stream:error'
    ? `error ${conditionOf(first)}`
    : first.name === 'failed'
      ? `failed ${conditionOf(first)}`
      : first.name;
}

const sm3 = (name: string, rest = '') => `<${name} xmlns='${NS_SM}'${rest}`;
const FULL = 'x'.repeat(100_000);

describe('sm: what clients had better not send', () => {
  beforeEach(async () => {
    host = await startHost([sm, mam, offline, carbons, csi, ping], { modules: { offline: { patience: 0 } } });
    romeo = await host.online('romeo', 'orchard');
  });

  afterEach(async () => {
    // Whatever it was, others have not noticed.
    assert.equal((await romeo.ask(READ)).attrs['type'], 'result');
    await host.stop();
  });

  for (const [xml, bound, managed] of [
    // What is ours to say, other versions, other namespaces, unknown names.
    [sm3('enabled', '/>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('resumed', " previd='x' h='0'/>"), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('failed', '/>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('sm', '/>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('R', '/>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('constructor', '/>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    ["<enable xmlns='urn:xmpp:sm:2'/>", 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    ["<r xmlns='jabber:client'/>", 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    // As stanzas they are what any other stanza is.
    [sm3('message', '><r/></message>'), 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    // With prefixes, contents and attributes that mean nothing.
    [`<s:r xmlns:s='${NS_SM}'/>`, 'error unsupported-stanza-type', 'error unsupported-stanza-type'],
    [sm3('enable', " x:resume='true' xmlns:x='urn:x'/>"), 'enabled', 'failed unexpected-request'],
    [sm3('r', " h='5' id='x'>text<r/></r>"), 'failed unexpected-request', 'a'],
    [sm3('enable', "><resume previd='x' h='0'/></enable>"), 'enabled', 'failed unexpected-request'],
    [sm3('enable', ` resume='${FULL}' max='${FULL}'/>`), 'enabled', 'failed unexpected-request'],
    [sm3('enable', " resume='true' max='999999999999999999999'/>"), 'enabled', 'failed unexpected-request'],
    // Numbers that are none.
    [sm3('a', '/>'), 'failed unexpected-request', 'error bad-format'],
    [sm3('a', ` h='${FULL}'/>`), 'failed unexpected-request', 'error bad-format'],
    [sm3('a', " h='NaN'/>"), 'failed unexpected-request', 'error bad-format'],
    [sm3('a', " h='Infinity'/>"), 'failed unexpected-request', 'error bad-format'],
    [sm3('a', " h='0&#x0;'/>"), 'error not-well-formed', 'error not-well-formed'],
    [sm3('a', " x:h='0' xmlns:x='urn:x'/>"), 'failed unexpected-request', 'error bad-format'],
    [sm3('a', " h='1'/>"), 'failed unexpected-request', 'error undefined-condition'],
    [sm3('a', " h='4294967295'/>"), 'failed unexpected-request', 'error undefined-condition'],
    [sm3('a', " h='0000000000'/>"), 'failed unexpected-request', 'nothing'],
    // Resumption where there is nothing to resume.
    [sm3('resume', '/>'), 'failed unexpected-request', 'failed unexpected-request'],
    [sm3('resume', ` previd='${FULL}' h='0'/>`), 'failed unexpected-request', 'failed unexpected-request'],
  ] as const) {
    const name = xml.length > 100 ? `${xml.slice(0, 90)}...` : xml;
    it(`${name} is answered`, async () => {
      const plain = await SmClient.bind(host, 'juliet');
      assert.equal(await answerTo(plain, xml), bound, 'bound');
      const other = await SmClient.managed(host, 'juliet');
      assert.equal(await answerTo(other, xml), managed, 'managed');
    });
  }

  for (const previd of ['', '__proto__', 'toString', '&#xD800;', "'", '\u202e', FULL]) {
    it(`nobody's session is called ${JSON.stringify(previd.slice(0, 20))}`, async () => {
      const client = await SmClient.connect(host, 'juliet');
      const xml = sm3('resume', ` previd="${previd}" h='0'/>`);
      assert.match(await answerTo(client, xml), /^failed (item-not-found|bad-request)$|^error not-well-formed$/);
    });
  }

  it('a thousand wrong guesses find nothing', async () => {
    const victim = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    victim.cut();
    const mallory = await SmClient.connect(host, 'mallory');
    for (let i = 0; i < 1000; i++) {
      const guess = victim.id.slice(0, -1) + String.fromCharCode(48 + (i % 75));
      assert.match(await answerTo(mallory, sm3('resume', ` previd="${guess.replace(/[<"&]/g, '_')}" h='0'/>`)), /item-not-found/);
    }
    assert.equal((await victim.resume()).name, 'resumed');
  });

  it('who asks again and again is answered, each time, and holds nobody up', async () => {
    const client = await SmClient.managed(host, 'juliet');
    for (let i = 0; i < 2000; i++) client.send(sm3('r', '/>'));
    for (let i = 0; i < 30; i++) await settle();
    assert.equal(client.takeElements().filter(({ name }) => name === 'a').length, 2000);
  });

  it('who binds and breaks off again and again leaves no more sessions than an account may have', async () => {
    for (let i = 0; i < 50; i++) (await SmClient.online(host, 'juliet')).cut();
    assert.equal(host.host.router.resources('juliet@example.org').length, 10);
  });

  it('who resumes again and again has one session and one line', async () => {
    const client = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    for (let i = 0; i < 100; i++) assert.equal((await client.resume()).name, 'resumed');
    assert.equal(host.host.router.resources('juliet@example.org').length, 1);
    assert.equal(host.c2s.streams.size, 2);
    romeo.send(chat(client.jid, 'hello'));
    assert.deepEqual(await client.bodies(), ['hello']);
  });

  it('what a client says in the same breath as it resumes counts', async () => {
    const client = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    client.cut();
    client.startToResume();
    client.send(chat(romeo.jid, 'at once'));
    client.send(sm3('r', '/>'));
    assert.equal((await client.element()).name, 'resumed');
    assert.equal((await client.element()).attrs['h'], '2');
    await settle();
    assert.deepEqual(
      romeo.take().map((message) => message.getChildText('body')),
      ['at once'],
    );
  });

  it('acknowledgements in the middle of what is sent again are taken', async () => {
    const client = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    client.cut();
    for (let i = 0; i < 10; i++) romeo.send(chat(client.jid, String(i)));
    await settle();
    const take = client.line.onSend;
    assert.equal(typeof take, 'function');
    client.startToResume();
    const { line } = client;
    const onSend = line.onSend;
    line.onSend = (text) => {
      onSend(text);
      if (text.includes('<message')) client.ack();
    };
    await settle();
    assert.equal((await client.bodies()).length, 10);
    assert.equal(client.isConnected, true);
    client.leave();
    const late = await host.login('juliet', 'late');
    late.send('<presence/>');
    await settle();
    assert.deepEqual(
      late
        .take()
        .filter(({ name }) => name === 'message')
        .map(String),
      [],
    );
  });

  it('a line that breaks in the middle of what is sent again loses nothing', async () => {
    const client = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    client.cut();
    for (let i = 0; i < 10; i++) romeo.send(chat(client.jid, String(i)));
    await settle();
    client.startToResume();
    const { line } = client;
    const onSend = line.onSend;
    line.onSend = (text) => {
      onSend(text);
      if (text.includes('>4</body>')) line.destroy();
    };
    await settle();
    const first = await client.bodies();
    assert.equal((await client.resume()).name, 'resumed');
    assert.deepEqual([...first, ...(await client.bodies())], ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
  });
});
