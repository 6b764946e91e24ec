import assert from 'node:assert/strict';
import { RawClient } from '../support/raw-client.ts';
import { auth, bind, enter, registration } from '../support/raw-login.ts';
import { besiege, TIGHT } from '../support/siege.ts';

// Attacks on the streams of a server in a process of its own, while two others chat on it.

const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const ENDED = (condition: string) => new RegExp(`"condition":"${condition}"`);
const open = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='localhost'";

describe('two who chat are not harmed by', () => {
  const siege = besiege(TIGHT);

  it('words behind STARTTLS in the clear, which count for nothing', async () => {
    const client = await RawClient.open(siege.server.c2s, siege.address);
    client.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>${auth('romeo')}${open}>`);
    await client.until(/<proceed [^>]*>$/);
    await client.startTls();
    client.sendHeader();
    const said = (await client.until(/[\s\S]*<\/stream:features>/))[0];
    assert.match(said, /^<\?xml /);
    assert.match(said, /<mechanism>SCRAM-SHA-256-PLUS</);
    assert.doesNotMatch(said, /<success|<failure|<bind|<starttls/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('a try to do without TLS where it is required', async () => {
    const client = await RawClient.connect(siege.server.c2s, siege.address);
    client.send(`${open.replace('localhost', 'strict.localhost')}>`);
    const features = (await client.until(/<stream:features>.*<\/stream:features>/))[0];
    assert.match(features, /<starttls [^>]*><required\/><\/starttls>/);
    assert.doesNotMatch(features, /<mechanism|<register/);
    for (let i = 0; i < 15; i++) {
      client.send(auth('romeo'));
      await client.until(/<failure [^>]*><encryption-required\/>/);
    }
    assert.match(await client.end(), /<policy-violation /);
    for (const xml of [
      "<iq type='get' id='i'><query xmlns='jabber:iq:register'/></iq>",
      `<response xmlns='${NS_SASL}'>AA==</response>`,
      `<abort xmlns='${NS_SASL}'/>`,
    ]) {
      const other = await RawClient.connect(siege.server.c2s, siege.address);
      other.send(`${open.replace('localhost', 'strict.localhost')}>${xml}`);
      assert.match(await other.end(), /<stream:error><not-authorized /, xml);
    }
    await siege.others.areUnharmed(ENDED('not-authorized'));
  });

  it('log-ins of garbage', async () => {
    const client = await RawClient.open(siege.server.c2s, siege.address);
    const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
    for (const [mechanism, text, condition] of [
      ['PLAIN', '====', 'incorrect-encoding'],
      ['PLAIN', 'A*==', 'incorrect-encoding'],
      ['PLAIN', '=', 'malformed-request'],
      ['PLAIN', base64('\0\0\0\0\0'), 'malformed-request'],
      ['SCRAM-SHA-256', base64('n,,n=,r='), 'malformed-request'],
      ['SCRAM-SHA-256', base64('y,,n=\xff\xfe,r=x'), 'malformed-request'],
      ['SCRAM-SHA-256', base64('n,,m=x,n=a,r=x'), 'malformed-request'],
    ] as const) {
      client.send(`<auth xmlns='${NS_SASL}' mechanism='${mechanism}'>${text}</auth>`);
      assert.equal((await client.until(/<failure [^>]*><([a-z-]+)\/>/))[1], condition, `${mechanism} ${text}`);
    }
    client.close();
    const names = ['', 'plain', 'ANONYMOUS', 'EXTERNAL', 'SCRAM-SHA-256-PLUS', '__proto__', 'constructor', 'X'.repeat(9000)];
    const other = await RawClient.open(siege.server.c2s, siege.address);
    for (const name of names.slice(0, 4)) {
      other.send(`<auth xmlns='${NS_SASL}' mechanism='${name}'/>`);
      await other.until(/<failure [^>]*><invalid-mechanism\/>/);
    }
    other.send(`<auth xmlns='${NS_SASL}' mechanism='${names[4]}'/>`);
    assert.match(await other.end(), /<invalid-mechanism\/>.*<policy-violation /);
    const third = await RawClient.open(siege.server.c2s, siege.address);
    for (const name of names.slice(5)) {
      third.send(`<auth xmlns='${NS_SASL}' mechanism='${name}'/>`);
      await third.until(/<failure [^>]*><invalid-mechanism\/>/);
    }
    third.close();
    await siege.others.areUnharmed(ENDED('policy-violation'));
  });

  it('guesses at a password, which lock out who guesses and nobody else', async () => {
    const client = await RawClient.open(siege.server.c2s, siege.address);
    for (let i = 0; i < 5; i++) {
      client.send(auth('romeo', `guess ${i}`));
      await client.until(/<failure [^>]*><not-authorized\/>/);
    }
    assert.match(await client.end(), /<policy-violation /);
    const again = await RawClient.open(siege.server.c2s, siege.address);
    again.send(auth('romeo'));
    await again.until(/<failure [^>]*><temporary-auth-failure\/>/);
    again.close();
    const owner = await RawClient.open(siege.server.c2s, '127.0.3.1');
    owner.send(auth('romeo'));
    await owner.until(/<success /);
    owner.close();
    await siege.others.areUnharmed(/put off after too many failures/);
    assert.doesNotMatch(siege.server.output, /guess \d/);
  });

  it('clients of one account without number, and sessions asked for again', async () => {
    const client = await enter(siege.server.c2s, 'many', siege.address);
    for (const id of ['s1', 's2']) {
      client.send(`<iq type='set' id='${id}'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`);
      await client.until(new RegExp(`<iq [^>]*type='result'[^>]*id='${id}'|<iq [^>]*id='${id}'[^>]*type='result'`));
    }
    const more: RawClient[] = [];
    for (let i = 0; i < 3; i++) {
      more.push(await RawClient.open(siege.server.c2s, siege.address));
      const said = await bind(more[i]!, 'many');
      assert.match(said, i < 2 ? /type='result'/ : /<resource-constraint /);
    }
    for (const each of [client, ...more]) each.close();
    await siege.others.areUnharmed(/too many clients of one account/);
  });

  it('a roster without end', async () => {
    const client = await enter(siege.server.c2s, 'popular', siege.address);
    const item = (i: number) =>
      `<iq type='set' id='r${i}'><query xmlns='jabber:iq:roster'><item jid='friend${i}@localhost'/></query></iq>`;
    for (let i = 0; i < 30; i++) client.send(item(i));
    for (let i = 0; i < 30; i++) await client.until(new RegExp(`id='r${i}'`));
    client.send(item(30));
    await client.until(/<iq [^>]*type='error'[\s\S]*?<(resource-constraint|not-acceptable|policy-violation) /);
    client.close();
    await siege.others.areUnharmed();
  });

  it('accounts made by the dozen, or with names that look like others', async () => {
    const make = async (name: string) => {
      const client = await RawClient.open(siege.server.c2s, siege.address);
      client.send(registration(name));
      const [said] = await client.until(/<iq [^>]*type='(?:result|error)'(?:[^>]*\/>|.*<\/iq>)/);
      client.close();
      return /<error [^>]*type='([a-z]+)'[^>]*><([a-z-]+) /.exec(said)?.slice(1).join(' ') ?? 'made';
    };
    for (const name of [
      'admin',
      '\uff41dmin',
      'a b',
      'a@b',
      'a/b',
      '\u202eoemor',
      'a\u0000b'.replace('\0', '&#x200b;'),
      '\u{1f600}',
      '',
      'x'.repeat(1024),
    ]) {
      assert.match(await make(name), /^modify not-acceptable|^cancel not-acceptable/, JSON.stringify(name));
    }
    assert.equal(await make('ROMEO'), 'cancel conflict');
    const made: string[] = [];
    for (let i = 0; i < 6; i++) made.push(await make(`sock${i}`));
    assert.deepEqual(made.filter((each) => each !== 'made').at(-1), 'wait not-acceptable');
    assert.ok(made.filter((each) => each === 'made').length <= 5);
    await siege.others.areUnharmed(/too many registrations from one address/);
  });

  it('connections without number from one address', async () => {
    const held: RawClient[] = [];
    for (let i = 0; i < 50; i++) held.push(await RawClient.open(siege.server.c2s, siege.address));
    const refused = await RawClient.connect(siege.server.c2s, siege.address);
    assert.match(await refused.end(), /<policy-violation .*Too many connections/);
    await siege.others.areUnharmed(/"too many at once"/);
    for (const each of held) each.close();
    for (let said = ''; said !== 'Too many new connections'; ) {
      const next = await RawClient.connect(siege.server.c2s, siege.address);
      next.sendHeader();
      // For some of them the server may not have seen yet that others are gone.
      [said] = await next.until(/<\/stream:features>|Too many (?:new )?connections/);
      next.close();
    }
    const web = await RawClient.connect(siege.server.http, siege.address);
    assert.match(await web.end(), /^HTTP\/1\.1 429 /);
    await siege.others.areUnharmed();
  });

  it('two thousand connections that say nothing', async () => {
    const ports = [siege.server.c2s, siege.server.c2sTls, siege.server.http, siege.server.c2s];
    const held = await Promise.all(
      Array.from({ length: 2000 }, (_, i) => RawClient.connect(ports[i % 4]!, `127.0.4.${1 + Math.floor(i / 40)}`)),
    );
    for (const [i, each] of held.entries()) if (i % 4 === 3) each.send(`${open}><auth xmlns=`);
    await siege.others.areUnharmed();
    for (const each of held) each.close();
    await siege.others.areUnharmed();
  });
});
