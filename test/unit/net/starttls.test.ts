import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import { TrustedProxies } from '../../../src/net/addresses.ts';
import { TcpListener } from '../../../src/net/tcp.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';
import { Client, dial, LogRecorder, makeFolder, openStore, roomyAddressLimits } from './support.ts';

const OPEN =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>";
const START = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

describe('STARTTLS over a real connection', () => {
  let host: TestHost;
  let folder: Awaited<ReturnType<typeof makeFolder>>;
  let listener: TcpListener;
  let client: Client;

  beforeEach(async () => {
    folder = await makeFolder();
    host = await startHost([]);
    const log = new LogRecorder();
    const certificates = await openStore(folder.path, { 'other.example': 'self-signed', 'example.org': 'self-signed' });
    const config = { type: 'c2s' as const, port: 0, addresses: ['127.0.0.1'], proxyProtocol: false };
    const limits = roomyAddressLimits(log);
    const accept = (transport: Parameters<typeof host.c2s.accept>[0]) => void host.c2s.accept(transport);
    listener = new TcpListener({ config, certificates, limits, proxies: new TrustedProxies([]), log, accept });
    await listener.listen();
    client = await dial(listener.port);
  });
  afterEach(async () => {
    listener.close();
    client.socket.destroy();
    await host.stop();
    await folder.remove();
  });

  async function secure(): Promise<Client> {
    await client.until(() => client.received.includes('<proceed'));
    client.socket.removeAllListeners('data');
    const socket = connectTls({ socket: client.socket, rejectUnauthorized: false, servername: '' });
    await once(socket, 'secureConnect');
    assert.match(socket.getPeerX509Certificate()!.subjectAltName!, /DNS:example\.org/, 'the stream says which host is meant');
    return new Client(socket);
  }

  it('begins a new stream under TLS', async () => {
    client.socket.write(OPEN + START);
    const encrypted = await secure();
    encrypted.socket.write(OPEN);
    await encrypted.until(() => encrypted.received.includes('</stream:features>'));
    assert.doesNotMatch(encrypted.received, /<starttls/);
  });

  for (const [name, injected] of [
    ['a request', "<iq type='get' id='injected' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"],
    ['a whole stream', `${OPEN}<iq type='get' id='injected'/>`],
    ['the beginning of a stanza', "<iq type='set' id='injected'><query>"],
    ['a log-in', "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHg=</auth>"],
    ['what is no XML', '<<<'],
    ['the end of the stream', '</stream:stream>'],
  ] as const) {
    it(`forgets ${name} that was sent in the clear behind the request`, async () => {
      client.socket.write(OPEN + START + injected);
      const encrypted = await secure();
      encrypted.socket.write(OPEN);
      await encrypted.until(() => encrypted.received.includes('</stream:features>'));
      assert.doesNotMatch(encrypted.received, /injected|<failure|<success|stream:error/);
      encrypted.socket.write("<iq type='get' id='real'/>");
      await encrypted.until(() => encrypted.received.includes('</stream:stream>'));
      assert.match(encrypted.received, /not-authorized/);
      assert.doesNotMatch(encrypted.received, /injected/);
    });
  }
});
