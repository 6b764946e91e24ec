import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { TrustedProxies } from '../../../src/net/addresses.ts';
import type { CertificateStore } from '../../../src/net/certificates.ts';
import { TcpListener } from '../../../src/net/tcp.ts';
import { Accepting, Client, dial, dialTls, LogRecorder, makeFolder, openStore, roomyAddressLimits } from './support.ts';

describe('a TCP listener', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>;
  let certificates: CertificateStore;
  let log: LogRecorder;
  let accepting: Accepting;
  let listeners: TcpListener[];
  let clients: Client[];

  before(async () => {
    folder = await makeFolder();
    certificates = await openStore(folder.path, { localhost: 'self-signed', 'example.org': 'self-signed' });
  });
  after(() => folder.remove());

  beforeEach(() => {
    log = new LogRecorder();
    accepting = new Accepting();
    listeners = [];
    clients = [];
  });
  afterEach(() => {
    for (const listener of listeners) listener.close();
    for (const { socket } of clients) socket.destroy();
    for (const { transport } of accepting.recorders) transport.destroy();
  });

  async function listen(
    type: 'c2s' | 'c2s-tls',
    addresses = ['127.0.0.1'],
    limits = roomyAddressLimits(log),
  ): Promise<TcpListener> {
    const config = { type, port: 0, addresses, proxyProtocol: false };
    const parts = { config, certificates, limits, proxies: new TrustedProxies([]), log, accept: accepting.accept };
    const listener = new TcpListener({ ...parts, refused: (reason) => `<refused reason='${reason}'/>` });
    listeners.push(listener);
    await listener.listen();
    return listener;
  }

  async function connect(port: number, host?: string): Promise<Client> {
    const client = await dial(port, host);
    clients.push(client);
    return client;
  }

  async function connectSecure(port: number, options = {}): Promise<Client & { socket: TLSSocket }> {
    const client = await dialTls(port, options);
    clients.push(client);
    return client;
  }

  /** When another connection has been served, whatever was on its way before has arrived. */
  async function roundTrip(listener: TcpListener): Promise<void> {
    const client = await connect(listener.port);
    const server = await accepting.next();
    for (let i = 0; i < 3; i++) {
      client.socket.write('.');
      await server.until(() => server.text.length > i);
      server.transport.send('.');
      await client.until(() => client.received.length > i);
    }
  }

  describe('in the clear', () => {
    it('carries bytes in both directions', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.write('<stream>');
      await server.until(() => server.text === '<stream>');
      server.transport.send('<stream:features/>');
      await client.until(() => client.received === '<stream:features/>');
    });

    it('says where a client comes from', async () => {
      const client = await connect((await listen('c2s')).port);
      const { transport } = await accepting.next();
      assert.equal(transport.remoteAddress, '127.0.0.1');
      assert.equal(transport.remotePort, client.socket.localPort);
      assert.equal(transport.loopback, true);
      assert.equal(transport.secure, false);
      assert.equal(transport.tls, undefined);
      assert.equal(transport.framed, false);
    });

    it('takes IPv6, beside IPv4 on the same port', async () => {
      const listener = await listen('c2s', ['::1', '127.0.0.1']);
      await connect(listener.port, '::1');
      assert.equal((await accepting.next()).transport.remoteAddress, '::1');
      await connect(listener.port);
      assert.equal((await accepting.next()).transport.remoteAddress, '127.0.0.1');
    });

    it('tells :: and 0.0.0.0 apart, so that IPv4 clients appear as such', async () => {
      const listener = await listen('c2s', ['::', '0.0.0.0']);
      await connect(listener.port);
      assert.equal((await accepting.next()).transport.remoteAddress, '127.0.0.1');
    });

    it('writes byte strings as they are, so that UTF-8 arrives as UTF-8', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.send(Buffer.from('<body>Grüße 🙂</body>').toString('latin1'));
      await client.until(() => Buffer.from(client.received, 'latin1').toString() === '<body>Grüße 🙂</body>');
    });

    it('writes once what is sent in one turn, in order', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      for (let i = 0; i < 1000; i++) server.transport.send(`<m${i}/>`);
      assert.equal(server.transport.queued, Array.from({ length: 1000 }, (_, i) => `<m${i}/>`).join('').length);
      const [first] = (await once(client.socket, 'data')) as [Buffer];
      assert.equal(first.toString(), Array.from({ length: 1000 }, (_, i) => `<m${i}/>`).join(''));
      assert.equal(server.transport.queued, 0);
    });

    it('shows how much a client does not read', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.pause();
      const megabyte = 'x'.repeat(1 << 20);
      for (let i = 0; i < 32; i++) server.transport.send(megabyte);
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      assert.ok(server.transport.queued > 1 << 20, String(server.transport.queued));
      client.socket.resume();
      await client.until(() => client.received.length === 32 << 20);
      assert.equal(server.transport.queued, 0);
    });

    it('tells nothing while paused, and everything afterwards', async () => {
      const listener = await listen('c2s');
      const client = await connect(listener.port);
      const server = await accepting.next();
      server.onData = () => server.transport.pause();
      client.socket.write('one');
      await server.until(() => server.text === 'one');
      client.socket.write('two');
      await roundTrip(listener);
      assert.equal(server.text, 'one');
      server.onData = () => {};
      server.transport.resume();
      await server.until(() => server.text === 'onetwo');
    });

    it('sends what is queued before it ends, and is closed when the client follows', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.send('</stream:stream>');
      server.transport.end();
      server.transport.send('nothing more');
      await client.until(() => client.isEnded);
      assert.equal(client.received, '</stream:stream>');
      assert.equal(server.isClosed, false);
      client.socket.end();
      await server.until(() => server.isClosed);
      assert.equal(server.error, undefined);
    });

    it('hears nothing any more once it ends, though it waits for the client to finish', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.end();
      client.socket.end('<message/>');
      await server.until(() => server.isClosed);
      assert.equal(server.text, '');
    });

    it('ends while paused, too', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.pause();
      server.transport.end();
      client.socket.end('more');
      await server.until(() => server.isClosed);
    });

    it('is destroyed when the client does not follow in time', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.end(20);
      await server.until(() => server.isClosed);
      await client.until(() => client.isEnded);
      assert.equal(client.socket.writable, true, 'the client had not finished');
    });

    it('still answers a client that has finished its side', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.onData = () => server.transport.send('answer');
      client.socket.end('question');
      await client.until(() => client.isEnded);
      assert.equal(client.received, 'answer');
      await server.until(() => server.isClosed);
      assert.equal(server.error, undefined);
    });

    it('tells why a line broke, once', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.resetAndDestroy();
      await server.until(() => server.isClosed);
      assert.equal((server.error as NodeJS.ErrnoException).code, 'ECONNRESET');
      server.transport.send('too late');
      server.transport.end();
      server.transport.destroy();
      assert.equal(server.transport.queued, 0);
    });

    it('closes at once when told to', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.transport.destroy();
      await Promise.all([server.until(() => server.isClosed), client.until(() => client.isEnded)]);
    });

    it('survives a core that destroys it while it hands over bytes', async () => {
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      server.onData = () => server.transport.destroy();
      client.socket.write('x');
      await server.until(() => server.isClosed);
    });

    it('counts its connections, and forgets those that are gone', async () => {
      const limits = roomyAddressLimits(log);
      const listener = await listen('c2s', ['127.0.0.1'], limits);
      await connect(listener.port);
      const server = await accepting.next();
      assert.deepEqual([listener.open, limits.openOf('127.0.0.1')], [1, 1]);
      server.transport.destroy();
      await server.until(() => server.isClosed);
      assert.deepEqual([listener.open, limits.openOf('127.0.0.1')], [0, 0]);
    });

    it('refuses whoever has too many connections, and says so before it closes', async () => {
      const limits = roomyAddressLimits(log);
      limits.config = { connectionsPerAddress: 2, connectionsPerMinute: 100, exemptLoopback: false };
      const listener = await listen('c2s', ['127.0.0.1'], limits);
      const first = await connect(listener.port);
      await connect(listener.port);
      const third = await connect(listener.port);
      await third.until(() => third.isClosed || third.isEnded);
      assert.equal(third.received, "<refused reason='connections'/>");
      assert.deepEqual(log.texts('warn'), ['refused a connection']);
      const server = await accepting.next();
      first.socket.destroy();
      await server.until(() => server.isClosed);
      await connect(listener.port);
      await accepting.next();
      assert.equal((await accepting.next()).isClosed, false);
    });

    it('says which address cannot be had, and leaves nothing open', async () => {
      const { port } = await listen('c2s');
      const config = { type: 'c2s' as const, port, addresses: ['127.0.0.2', '127.0.0.1'], proxyProtocol: false };
      const parts = {
        certificates,
        limits: roomyAddressLimits(log),
        proxies: new TrustedProxies([]),
        log,
        accept: accepting.accept,
      };
      await assert.rejects(new TcpListener({ ...parts, config }).listen(), /127\.0\.0\.1 port \d+ is in use by another program/);
      const again = new TcpListener({ ...parts, config: { ...config, addresses: ['127.0.0.2'] } });
      await again.listen();
      again.close();
    });

    it('takes no connections once it is closed, but keeps those there are', async () => {
      const listener = await listen('c2s');
      const client = await connect(listener.port);
      const server = await accepting.next();
      listener.close();
      await assert.rejects(dial(listener.port), { code: 'ECONNREFUSED' });
      server.transport.send('still here');
      await client.until(() => client.received === 'still here');
    });
  });

  describe('with STARTTLS', () => {
    async function upgrade(client: Client, options = {}): Promise<Client & { socket: TLSSocket }> {
      client.socket.removeAllListeners('data');
      const socket = connectTls({ socket: client.socket, servername: 'localhost', rejectUnauthorized: false, ...options });
      const secure = new Client(socket);
      clients.push(secure);
      await once(socket, 'secureConnect');
      return secure as Client & { socket: TLSSocket };
    }

    /** Answers <starttls/> as the core does. */
    function answerStartTls(domain?: string): void {
      accepting.onAccept = (recorder) => {
        recorder.onData = (text) => {
          if (!text.startsWith('<starttls/>')) return;
          recorder.transport.send('<proceed/>');
          recorder.transport.startTls(domain);
        };
      };
    }

    it('encrypts what follows', async () => {
      answerStartTls();
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.write('<starttls/>');
      await client.until(() => client.received === '<proceed/>');
      const secure = await upgrade(client);
      secure.socket.write('<stream>');
      await server.until(() => server.text === '<starttls/><stream>');
      server.transport.send('<features/>');
      await secure.until(() => secure.received === '<features/>');
      assert.equal(server.transport.secure, true);
      assert.equal(server.transport.tls?.protocol, 'TLSv1.3');
      secure.socket.end();
      await server.until(() => server.isClosed);
      assert.equal(server.error, undefined);
    });

    it('shows whoever asks for no name the certificate of the domain of the stream', async () => {
      answerStartTls('example.org');
      const client = await connect((await listen('c2s')).port);
      client.socket.write('<starttls/>');
      await client.until(() => client.received === '<proceed/>');
      const secure = await upgrade(client, { servername: '' });
      assert.match(secure.socket.getPeerX509Certificate()!.subjectAltName!, /DNS:example\.org/);
    });

    it('keeps a pause that began in the clear', async () => {
      const listener = await listen('c2s');
      accepting.onAccept = (recorder) => {
        recorder.onData = (text) => {
          if (text !== '<starttls/>') return;
          recorder.transport.pause();
          recorder.transport.send('<proceed/>');
          recorder.transport.startTls();
        };
      };
      const client = await connect(listener.port);
      const server = await accepting.next();
      client.socket.write('<starttls/>');
      await client.until(() => client.received === '<proceed/>');
      const upgrading = upgrade(client);
      server.transport.resume();
      (await upgrading).socket.write('<stream>');
      await server.until(() => server.text === '<starttls/><stream>');
    });

    it('never takes what was sent in the clear behind the request for what comes under TLS', async () => {
      answerStartTls();
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.write("<starttls/><iq type='set'/>"); // one packet: the caller gets it whole, and throws the rest away
      await client.until(() => client.received === '<proceed/>');
      const secure = await upgrade(client);
      secure.socket.write('<stream>');
      await server.until(() => server.chunks.length === 2);
      assert.deepEqual(server.chunks, ["<starttls/><iq type='set'/>", '<stream>']);
    });

    it('fails when something follows in the clear instead of a handshake', async () => {
      const listener = await listen('c2s');
      accepting.onAccept = (recorder) => {
        recorder.onData = () => recorder.transport.pause(); // whatever follows stays in the kernel, until TLS reads it
      };
      const client = await connect(listener.port);
      const server = await accepting.next();
      client.socket.write('<starttls/>');
      await server.until(() => server.text === '<starttls/>');
      client.socket.write("<iq type='set'/>");
      await roundTripPaused(listener);
      server.transport.send('<proceed/>');
      server.transport.startTls();
      server.transport.resume();
      await server.until(() => server.isClosed);
      assert.deepEqual(server.chunks, ['<starttls/>']);
      assert.match(String(server.error), /wrong version number|packet|http request|unexpected/i);
    });

    async function roundTripPaused(listener: TcpListener): Promise<void> {
      accepting.onAccept = () => {};
      await roundTrip(listener);
    }

    it('cannot begin twice, nor where there is no certificate', async () => {
      answerStartTls();
      const client = await connect((await listen('c2s')).port);
      const server = await accepting.next();
      client.socket.write('<starttls/>');
      await client.until(() => client.received === '<proceed/>');
      assert.throws(() => server.transport.startTls(), /cannot begin/);
    });
  });

  describe('with TLS from the first byte', () => {
    it('accepts a client when the handshake is over', async () => {
      const client = await connectSecure((await listen('c2s-tls')).port, { ALPNProtocols: ['xmpp-client'] });
      const server = await accepting.next();
      const { tls, secure } = server.transport;
      assert.equal(secure, true);
      assert.equal(tls!.alpn, 'xmpp-client');
      assert.equal(tls!.servername, 'localhost');
      assert.match(tls!.cipher, /^TLS_AES_/);
      client.socket.write('<stream>');
      await server.until(() => server.text === '<stream>');
      server.transport.send('<features/>');
      await client.until(() => client.received === '<features/>');
      assert.throws(() => server.transport.startTls(), /cannot begin/);
    });

    it('takes clients that know no ALPN', async () => {
      await connectSecure((await listen('c2s-tls')).port);
      assert.equal((await accepting.next()).transport.tls!.alpn, undefined);
    });

    it('refuses clients that want another protocol (XEP-0368, RFC 7301)', async () => {
      const { port } = await listen('c2s-tls');
      await assert.rejects(dialTls(port, { ALPNProtocols: ['http/1.1'] }), /alert|no application protocol/i);
    });

    it('closes a client that speaks no TLS, and tells nobody', async () => {
      const limits = roomyAddressLimits(log);
      const client = await connect((await listen('c2s-tls', ['127.0.0.1'], limits)).port);
      client.socket.write('<stream:stream>');
      await client.until(() => client.isEnded || client.isClosed);
      assert.equal(accepting.recorders.length, 0);
      await client.until(() => limits.openOf('127.0.0.1') === 0 || client.isClosed);
      client.socket.destroy();
      await client.until(() => client.isClosed);
      assert.equal(limits.openOf('127.0.0.1'), 0);
    });

    it('gives both sides the same keying material for channel binding (RFC 9266)', async () => {
      const client = await connectSecure((await listen('c2s-tls')).port);
      const { tls } = (await accepting.next()).transport;
      const expected = client.socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
      assert.deepEqual(tls!.exporter(), expected);
    });

    it('has no exporter below TLS 1.3, but the hash of its certificate', async () => {
      const client = await connectSecure((await listen('c2s-tls')).port, { maxVersion: 'TLSv1.2' });
      const { tls } = (await accepting.next()).transport;
      assert.equal(tls!.protocol, 'TLSv1.2');
      assert.equal(tls!.exporter(), undefined);
      const fingerprint = client.socket.getPeerX509Certificate()!.fingerprint256.replaceAll(':', '').toLowerCase();
      assert.equal(tls!.serverEndPoint()!.toString('hex'), fingerprint);
      assert.equal(tls!.peerCertificate(), undefined);
    });

    it('does not speak TLS 1.1', async () => {
      const { port } = await listen('c2s-tls');
      const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
      await assert.rejects(dialTls(port, old), /alert protocol version|unsupported protocol/i);
    });

    it('does not renegotiate', async () => {
      const client = await connectSecure((await listen('c2s-tls')).port, { maxVersion: 'TLSv1.2' });
      const server = await accepting.next();
      const error = await new Promise<Error | null>((resolve) => {
        client.socket.on('error', resolve);
        client.socket.renegotiate({}, resolve);
      });
      assert.match(String(error), /no renegotiation|ECONNRESET|closed/i);
      assert.equal(server.text, '');
    });

    it('resumes sessions', async () => {
      const { port } = await listen('c2s-tls');
      const first = await connectSecure(port, { maxVersion: 'TLSv1.2' });
      const session = first.socket.getSession();
      const second = await connectSecure(port, { maxVersion: 'TLSv1.2', session });
      assert.equal(second.socket.isSessionReused(), true);
    });
  });
});
