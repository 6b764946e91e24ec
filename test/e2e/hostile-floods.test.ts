import { RawClient } from '../support/raw-client.ts';
import { enter } from '../support/raw-login.ts';
import { besiege, TIGHT } from '../support/siege.ts';

// Floods, and those who take nothing back, on a server in a process of its own, while two others chat on it.

describe('two who chat are not harmed by much:', () => {
  const siege = besiege(TIGHT);

  it('wide stanzas, one after the other', async () => {
    const client = await enter(siege.server.c2s, 'wide', siege.address);
    const wide = `<message to='wide@localhost/nowhere' type='headline'>${"<a b='c'><d/></a>".repeat(2000)}</message>`;
    for (let i = 0; i < 300; i++) if (!client.send(wide)) await client.drained();
    await siege.others.areUnharmed();
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('messages to one who is offline, until no more are kept', async () => {
    const absent = await enter(siege.server.c2s, 'absent', siege.address);
    absent.close();
    const client = await enter(siege.server.c2s, 'letters', siege.address);
    for (let i = 0; i < 1500; i++)
      client.send(`<message to='absent@localhost' type='chat' id='m${i}'><body>${i}</body></message>`);
    await client.until(/<message [^>]*type='error'[\s\S]*?<(service-unavailable|resource-constraint) /);
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('pings of a WebSocket', async () => {
    const client = await RawClient.connect(siege.server.http, siege.address);
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp';
    client.send(`GET /xmpp-websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${key}\r\n\r\n`);
    await client.until(/\r\n\r\n/);
    const pings = Buffer.from('898000000000'.repeat(10_000), 'hex');
    for (let i = 0; i < 20; i++) if (!client.send(pings)) await client.drained();
    await siege.others.areUnharmed();
    client.send(Buffer.from('8986000000006c6173742121', 'hex'));
    await client.until(/\x8a\x06last!!/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('floods of presence', async () => {
    const client = await enter(siege.server.c2s, 'present', siege.address);
    for (let i = 0; i < 5000; i++)
      client.send(i % 2 ? `<presence><status>${i}</status></presence>` : `<presence to='a${i}@localhost'/>`);
    client.send("<iq type='get' id='last' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    await client.until(/id='last'/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('fifty thousand stanzas at once', async () => {
    const client = await enter(siege.server.c2s, 'flooder', siege.address);
    const ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (let i = 0; i < 500; i++) if (!client.send(ping.repeat(100))) await client.drained();
    client.send(ping.replace("'p'", "'last'"));
    await siege.others.areUnharmed();
    await client.until(/id='last'/);
    client.close();
    await siege.others.areUnharmed();
  });

  it('one who does not read what another sends', async () => {
    const reader = await enter(siege.server.c2s, 'deaf', siege.address);
    const writer = await enter(siege.server.c2s, 'loud', siege.address);
    reader.send('<presence/>');
    reader.stopReading();
    const message = `<message to='deaf@localhost' type='headline'><body>${'x'.repeat(60_000)}</body></message>`;
    for (let i = 0; i < 400 && !siege.others.haveSeen(/does not read/); i++) {
      writer.send(`${message}<iq type='get' id='m${i}' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>`);
      await writer.until(new RegExp(`id='m${i}'`));
    }
    await siege.others.areUnharmed(/does not read/);
    reader.close();
    writer.close();
  });

  it('one who asks and does not read the answers, before log-in', async () => {
    const client = await RawClient.open(siege.server.c2s, siege.address);
    client.stopReading();
    const ask = "<iq type='get' id='r'><query xmlns='jabber:iq:register'/></iq>".repeat(100);
    while (!client.isClosed) if (!client.send(ask)) await client.drained();
    await siege.others.areUnharmed(/does not read/);
    client.close();
  });
});
