import { Bystanders } from '../support/bystanders.ts';
import { RawClient } from '../support/raw-client.ts';
import { enter } from '../support/raw-login.ts';
import { ServerProcess } from '../support/server-process.ts';

// Floods, and those who take nothing back, on a server in a process of its own, while two others chat on it.

describe('two who chat are not harmed by much:', () => {
  let server: ServerProcess;
  let others: Bystanders;
  let address = '';
  let addresses = 1;

  before(async function () {
    this.timeout(60_000);
    server = await ServerProcess.create({
      log: { level: 'info', format: 'json' },
      limits: {
        ...{ exemptLoopback: false, connectionsPerAddress: 50, connectionsPerMinute: 100 },
        ...{ bytesPerSecond: 0, queueBytes: '64KiB' },
      },
      sessions: { resourcesPerAccount: 3 },
      hosts: {
        localhost: { certificate: 'self-signed' },
        'strict.localhost': {
          certificate: 'self-signed',
          authentication: { trustLoopback: false, plainWithoutTlsOnLoopback: false },
        },
      },
      modules: { roster: { maxContacts: 30 }, presence: { maxDirected: 100 }, ping: {}, private: {}, offline: {}, register: {} },
    });
    await server.start();
    others = await Bystanders.create(server);
  });

  after(async () => {
    await others?.close();
    await server?.remove();
  });

  beforeEach(() => {
    address = `127.0.0.${++addresses}`;
    others.mark();
  });

  it('wide stanzas, one after the other', async () => {
    const client = await enter(server.c2s, 'wide', address);
    const wide = `<message to='wide@localhost/nowhere' type='headline'>${"<a b='c'><d/></a>".repeat(2000)}</message>`;
    for (let i = 0; i < 300; i++) if (!client.send(wide)) await client.drained();
    await others.areUnharmed();
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await others.areUnharmed();
  });

  it('messages to one who is offline, until no more are kept', async () => {
    const absent = await enter(server.c2s, 'absent', address);
    absent.close();
    const client = await enter(server.c2s, 'letters', address);
    for (let i = 0; i < 1500; i++)
      client.send(`<message to='absent@localhost' type='chat' id='m${i}'><body>${i}</body></message>`);
    await client.until(/<message [^>]*type='error'[\s\S]*?<(service-unavailable|resource-constraint) /);
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await others.areUnharmed();
  });

  it('pings of a WebSocket', async () => {
    const client = await RawClient.connect(server.http, address);
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp';
    client.send(`GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`);
    await client.until(/\r\n\r\n/);
    const pings = Buffer.from('898000000000'.repeat(10_000), 'hex');
    for (let i = 0; i < 20; i++) if (!client.send(pings)) await client.drained();
    await others.areUnharmed();
    client.send(Buffer.from('8986000000006c6173742121', 'hex'));
    await client.until(/\x8a\x06last!!/);
    client.close();
    await others.areUnharmed();
  });

  it('floods of presence', async () => {
    const client = await enter(server.c2s, 'present', address);
    for (let i = 0; i < 5000; i++)
      client.send(i % 2 ? `<presence><status>${i}</status></presence>` : `<presence to='a${i}@localhost'/>`);
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await others.areUnharmed();
  });

  it('fifty thousand stanzas at once', async () => {
    const client = await enter(server.c2s, 'flooder', address);
    const ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (let i = 0; i < 500; i++) if (!client.send(ping.repeat(100))) await client.drained();
    client.send(ping.replace("'p'", "'last'"));
    await others.areUnharmed();
    await client.until(/id='last'/);
    client.close();
    await others.areUnharmed();
  });

  it('one who does not read what another sends', async () => {
    const reader = await enter(server.c2s, 'deaf', address);
    const writer = await enter(server.c2s, 'loud', address);
    reader.send('<presence/>');
    reader.stopReading();
    const message = `<message to='deaf@localhost' type='headline'><body>${'x'.repeat(60_000)}</body></message>`;
    for (let i = 0; i < 400 && !others.haveSeen(/does not read/); i++) {
      writer.send(`${message}<iq type='get' id='m${i}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await writer.until(new RegExp(`id='m${i}'`));
    }
    await others.areUnharmed(/does not read/);
    reader.close();
    writer.close();
  });

  it('one who asks and does not read the answers, before log-in', async () => {
    const client = await RawClient.open(server.c2s, address);
    client.stopReading();
    const ask = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>".repeat(100);
    while (!client.isClosed) if (!client.send(ask)) await client.drained();
    await others.areUnharmed(/does not read/);
    client.close();
  });
});
