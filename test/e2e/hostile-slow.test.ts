import assert from 'node:assert/strict';
import { Bystanders } from '../support/bystanders.ts';
import { RawClient } from '../support/raw-client.ts';
import { enter } from '../support/raw-login.ts';
import { ServerProcess } from '../support/server-process.ts';

// Those who take their time: nothing, or a byte now and then, on every kind of line. All at once, while two others chat.

const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const HELLO = Buffer.from('16030100c8010000c40303', 'hex');
const UPGRADE = [
  'GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n',
].join('');
/** Faster than anybody's patience. */
const DRIP = 100;

describe('two who chat are not harmed, and those are closed in time', () => {
  let server: ServerProcess;
  let others: Bystanders;
  const open: RawClient[] = [];
  let running: readonly Promise<void>[] = [];

  before(async function () {
    this.timeout(60_000);
    server = await ServerProcess.create({
      log: { level: 'info', format: 'json' },
      limits: { exemptLoopback: true, loginTimeout: '3s', stanzaTimeout: '1s', bytesPerSecond: 0 },
      http: { headerTimeout: '1s', requestTimeout: '2s' },
    });
    await server.start();
    others = await Bystanders.create(server);
    running = attacks.map(async ([, attack]) => attack());
    for (const each of running) each.catch(() => {}); // its own test tells
  });

  after(async () => {
    for (const each of open) each.close();
    await others?.close();
    await server?.remove();
  });

  async function connect(port: number, ...first: readonly (string | Buffer)[]): Promise<RawClient> {
    const client = await RawClient.connect(port);
    open.push(client);
    for (const each of first) client.send(each);
    return client;
  }

  /** Sends this again and again until the line is closed; all that has come. */
  async function drip(client: RawClient, bytes: string | Buffer): Promise<string> {
    const timer = setInterval(() => client.isClosed || client.send(bytes), DRIP);
    try {
      return await client.end();
    } finally {
      clearInterval(timer);
    }
  }

  const TIMEOUT = /<stream:error><connection-timeout [\s\S]*<\/stream:error><\/stream:stream>$/;
  const attacks: readonly (readonly [string, () => Promise<void>])[] = [
    [
      'who have not logged in, over TCP',
      async () => {
        const header =
          "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='localhost'";
        const [silent, opened, spaces, dribble, text, pings] = await Promise.all([
          connect(server.c2s),
          connect(server.c2s, `${header}>`),
          connect(server.c2s),
          connect(server.c2s, header),
          connect(server.c2s, `${header}><auth xmlns='${NS_SASL}'>`),
          connect(server.c2s, `${header}>`),
        ]);
        const ends = await Promise.all([
          silent!.end(),
          opened!.end(),
          drip(spaces!, ' '.repeat(10_000)),
          drip(dribble!, ' '),
          drip(text!, 'A'),
          drip(pings!, "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>"),
        ]);
        for (const [i, end] of ends.entries()) assert.match(end, TIMEOUT, String(i));
        await others.areUnharmed(/"condition":"connection-timeout".*Log-in took too long/);
      },
    ],

    [
      'who do not end their stanza',
      async () => {
        const client = await enter(server.c2s, 'slow');
        open.push(client);
        client.send("<message to='romeo@localhost'><body>");
        assert.match(await drip(client, 'x'), TIMEOUT);
        await others.areUnharmed(/"condition":"connection-timeout".*A stanza took too long/);
      },
    ],

    [
      'who do not end their request',
      async () => {
        const post = 'POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n<body';
        const lines = await Promise.all([
          connect(server.http),
          connect(server.http, 'GET / HTTP/1.1\r\n'),
          connect(server.http, post),
        ]);
        const [, headers] = await Promise.all([lines[0]!.end(), drip(lines[1]!, 'x: y\r\n'), drip(lines[2]!, ' ')]);
        assert.match(headers!, /^HTTP\/1\.1 408 /);
        await others.areUnharmed(/"status":408/);
      },
    ],

    [
      'who do not log in, over WebSocket',
      async () => {
        const lines = await Promise.all([0, 1, 2].map(() => connect(server.http, UPGRADE)));
        for (const each of lines) await each.until(/\r\n\r\n/);
        lines[1]!.send(Buffer.from([0x01, 0xfe, 0x20, 0, 0, 0, 0, 0]));
        const timer = setInterval(() => {
          lines[1]!.send('x');
          lines[2]!.send(Buffer.from([0x89, 0x80, 0, 0, 0, 0]));
        }, DRIP);
        for (const each of lines) await each.until(/<connection-timeout /);
        clearInterval(timer);
        await others.areUnharmed(/"transport":"websocket".*"condition":"connection-timeout"/);
      },
    ],

    [
      'who do not end their handshake after STARTTLS',
      async () => {
        const client = await RawClient.connect(server.c2s, '127.0.0.77');
        open.push(client);
        client.sendHeader();
        client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        await client.until(/<proceed /);
        client.send(HELLO);
        for (let i = 0; i < 5; i++) client.send('\0');
        await others.areUnharmed(/"address":"127\.0\.0\.77".*Log-in took too long/);
      },
    ],
  ];

  for (const [i, [name]] of attacks.entries()) it(name, () => running[i]);
});
