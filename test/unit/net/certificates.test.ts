import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { TrustedProxies } from '../../../src/net/addresses.ts';
import type { CertificateStore } from '../../../src/net/certificates.ts';
import { type DerValue, der, oid, readAll, readDer, sequence } from '../../../src/net/der.ts';
import { createSelfSigned } from '../../../src/net/self-signed.ts';
import { TcpListener } from '../../../src/net/tcp.ts';
import { endPointHash } from '../../../src/net/tls-info.ts';
import { Accepting, dialTls, LogRecorder, makeFolder, openStore, roomyAddressLimits } from './support.ts';

const DAY = 86_400_000;

describe('certificates', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>;
  let log: LogRecorder;
  let cleanups: (() => void)[];

  beforeEach(async () => {
    folder = await makeFolder();
    log = new LogRecorder();
    cleanups = [];
  });
  afterEach(async () => {
    for (const cleanup of cleanups) cleanup();
    await folder.remove();
  });

  const place = (...path: string[]) => join(folder.path, 'certificates', ...path);

  /** Lays out a certificate as people do; returns it. */
  async function put(
    domain: string,
    layout: 'certbot' | 'pem' | 'crt' = 'certbot',
    name = domain,
    now = Date.now(),
  ): Promise<X509Certificate> {
    const { certificate, key } = createSelfSigned(domain, now);
    const [cert, keyFile] =
      layout === 'certbot'
        ? [place(name, 'fullchain.pem'), place(name, 'privkey.pem')]
        : [place(`${name}.${layout}`), place(`${name}.key`)];
    await mkdir(layout === 'certbot' ? place(name) : place(), { recursive: true });
    await writeFile(keyFile, key);
    await writeFile(cert, certificate);
    return new X509Certificate(certificate);
  }

  async function listen(certificates: CertificateStore): Promise<number> {
    const config = { type: 'c2s-tls' as const, port: 0, addresses: ['127.0.0.1'], proxyProtocol: false };
    const limits = roomyAddressLimits(log);
    const accepting = new Accepting();
    const listener = new TcpListener({
      config,
      certificates,
      limits,
      proxies: new TrustedProxies([]),
      log,
      accept: accepting.accept,
    });
    await listener.listen();
    cleanups.push(
      () => listener.close(),
      () => certificates.close(),
    );
    cleanups.push(() => accepting.recorders.forEach(({ transport }) => void transport.destroy()));
    return listener.port;
  }

  /** The certificate that is shown to whoever asks for this name. */
  async function shownTo(port: number, servername: string): Promise<string> {
    const client = await dialTls(port, { servername });
    const { fingerprint256 } = client.socket.getPeerX509Certificate()!;
    client.socket.destroy();
    return fingerprint256;
  }

  describe('of our own making', () => {
    it('are for the host and the services below it', () => {
      const leaf = new X509Certificate(createSelfSigned('example.org', Date.now()).certificate);
      assert.equal(leaf.checkHost('example.org', { subject: 'never' }), 'example.org');
      assert.equal(leaf.checkHost('conference.example.org', { subject: 'never' }), '*.example.org');
      assert.equal(leaf.checkHost('example.com', { subject: 'never' }), undefined);
      assert.equal(leaf.checkIP('127.0.0.1'), undefined);
      assert.equal(leaf.verify(leaf.publicKey), true);
      assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
      assert.equal(leaf.ca, false);
    });

    it('are also for loopback addresses where the host is localhost', () => {
      const leaf = new X509Certificate(createSelfSigned('localhost', Date.now()).certificate);
      assert.equal(leaf.checkIP('127.0.0.1'), '127.0.0.1');
      assert.equal(leaf.checkIP('::1'), '::1');
    });

    for (const [domain, address] of [
      ['192.0.2.1', '192.0.2.1'],
      ['[2001:db8::1]', '2001:db8::1'],
    ] as const) {
      it(`are for the address where the host is ${domain}`, () => {
        assert.notEqual(new X509Certificate(createSelfSigned(domain, Date.now()).certificate).checkIP(address), undefined);
      });
    }

    it('last a year, also across 2050, when dates get four digits (RFC 5280 section 4.1.2.5)', () => {
      for (const year of [2026, 2049, 2050, 2070]) {
        const now = Date.UTC(year, 5, 1);
        const leaf = new X509Certificate(createSelfSigned('example.org', now).certificate);
        assert.equal(Date.parse(leaf.validTo), now + 365 * DAY);
        assert.equal(Date.parse(leaf.validFrom), now - DAY);
      }
    });

    it('have numbers and keys of their own', () => {
      const leaves = Array.from({ length: 20 }, () => new X509Certificate(createSelfSigned('a.example', Date.now()).certificate));
      assert.equal(new Set(leaves.map(({ serialNumber }) => serialNumber)).size, 20);
      assert.equal(new Set(leaves.map(({ publicKey }) => publicKey.export({ format: 'pem', type: 'spki' }))).size, 20);
    });

    it('are trusted by a client that is given them', async () => {
      const certificates = await openStore(folder.path);
      const port = await listen(certificates);
      const ca = await readFile(certificates.list()[0]!.files.cert);
      const client = await dialTls(port, { ca, rejectUnauthorized: true });
      assert.equal(client.socket.authorized, true);
      client.socket.destroy();
    });

    it('are kept, and only our user can read them', async () => {
      const first = await openStore(folder.path);
      const second = await openStore(folder.path);
      assert.equal(second.list()[0]!.certificate.fingerprint256, first.list()[0]!.certificate.fingerprint256);
      for (const file of await readdir(join(folder.path, 'certs'))) {
        assert.equal((await stat(join(folder.path, 'certs', file))).mode & 0o777, 0o600, file);
      }
    });

    it('are made anew a month before they end, and when they are broken', async () => {
      const first = await openStore(folder.path);
      const later = await openStore(folder.path, { localhost: 'self-signed' }, { now: () => Date.now() + 340 * DAY });
      assert.notEqual(later.list()[0]!.certificate.fingerprint256, first.list()[0]!.certificate.fingerprint256);
      await writeFile(first.list()[0]!.files.key, 'no key');
      const mended = await openStore(folder.path);
      assert.equal(mended.has('localhost'), true);
    });

    it('are taken up while the server runs', async () => {
      let now = Date.now();
      const certificates = await openStore(folder.path, { localhost: 'self-signed' }, { now: () => now });
      const before = certificates.list()[0]!.certificate.fingerprint256;
      now += 340 * DAY;
      await certificates.refresh();
      assert.notEqual(certificates.list()[0]!.certificate.fingerprint256, before);
    });
  });

  describe('that are looked for', () => {
    for (const layout of ['certbot', 'pem', 'crt'] as const) {
      it(`are found as ${{ certbot: '<host>/fullchain.pem', pem: '<host>.pem', crt: '<host>.crt' }[layout]}`, async () => {
        const leaf = await put('example.org', layout);
        const certificates = await openStore(folder.path, { 'example.org': 'auto' });
        assert.equal(certificates.list()[0]!.certificate.fingerprint256, leaf.fingerprint256);
        assert.equal(certificates.list()[0]!.isForDomain, true);
      });
    }

    it('may be those of the domain above, where they are for the host too', async () => {
      const leaf = await put('example.org');
      const certificates = await openStore(folder.path, { 'chat.example.org': 'auto' });
      assert.equal(certificates.list()[0]!.certificate.fingerprint256, leaf.fingerprint256);
    });

    it('are not those of the domain above, where they are not for the host', async () => {
      await put('example.org');
      const certificates = await openStore(folder.path, { 'a.b.example.org': 'auto' }, { log });
      assert.equal(certificates.has('a.b.example.org'), false);
    });

    it('are found for internationalized hosts by the name that DNS has for them', async () => {
      await put('xn--bcher-kva.example');
      const certificates = await openStore(folder.path, { 'bücher.example': 'auto' });
      assert.equal(certificates.has('bücher.example'), true);
      assert.equal(certificates.list()[0]!.isForDomain, true);
    });

    it('are missed with a warning, and the host goes without TLS', async () => {
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      assert.equal(certificates.has('example.org'), false);
      assert.equal(certificates.contextFor('example.org'), undefined);
      assert.deepEqual(log.texts('warn'), ['no certificate was found; clients cannot use TLS']);
    });

    it('are taken up when they appear', async () => {
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      await put('example.org');
      await certificates.refresh();
      assert.equal(certificates.has('example.org'), true);
    });

    it('are reported when they are for somebody else', async () => {
      await put('example.com', 'certbot', 'example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      assert.equal(certificates.list()[0]!.isForDomain, false);
      assert.deepEqual(log.texts('warn'), ['the certificate is not valid for this host']);
    });
  });

  describe('that are broken', () => {
    const files = () => ({ cert: place('c.pem'), key: place('k.pem') });
    const wrong: readonly (readonly [
      string,
      (parts: { certificate: string; key: string }) => { certificate?: string; key?: string },
      RegExp,
    ])[] = [
      ['a missing certificate', ({ key }) => ({ key }), /c\.pem cannot be read: ENOENT/],
      ['a missing key', ({ certificate }) => ({ certificate }), /k\.pem cannot be read: ENOENT/],
      ['no certificate', ({ key }) => ({ certificate: 'hello', key }), /c\.pem: expected a certificate in PEM form/],
      ['an empty certificate', ({ key }) => ({ certificate: '', key }), /c\.pem: expected a certificate in PEM form/],
      [
        'a key in place of the certificate',
        ({ key }) => ({ certificate: key, key }),
        /c\.pem: expected a certificate in PEM form/,
      ],
      ['no key', ({ certificate }) => ({ certificate, key: 'hello' }), /k\.pem: expected a private key in PEM form/],
      [
        'a certificate in place of the key',
        ({ certificate }) => ({ certificate, key: certificate }),
        /k\.pem: expected a private key/,
      ],
      [
        'the key of another',
        ({ certificate }) => ({ certificate, key: createSelfSigned('x', 0).key }),
        /k\.pem is not the key of the certificate in .*c\.pem/,
      ],
    ];
    for (const [name, make, message] of wrong) {
      it(`stop the start: ${name}`, async () => {
        await mkdir(place(), { recursive: true });
        const { certificate, key } = make(createSelfSigned('example.org', Date.now()));
        if (certificate !== undefined) await writeFile(files().cert, certificate);
        if (key !== undefined) await writeFile(files().key, key);
        await assert.rejects(openStore(folder.path, { 'example.org': files() }), (error: Error & { path?: string }) => {
          assert.equal(error.name, 'ConfigError');
          assert.equal(error.path, 'hosts.example.org.certificate');
          assert.match(error.message, message);
          assert.doesNotMatch(error.message, /BEGIN|hello/);
          return true;
        });
      });
    }

    it('are all named at once', async () => {
      const hosts = { 'a.example': files(), 'b.example': files() };
      await assert.rejects(openStore(folder.path, hosts), (error: Error & { list?: unknown[] }) => error.list?.length === 2);
    });

    it('stop the start: an authority for clients that is none', async () => {
      await writeFile(join(folder.path, 'ca.pem'), 'hello');
      const tls = { clientCertificates: 'optional', clientCA: join(folder.path, 'ca.pem') } as const;
      await assert.rejects(openStore(folder.path, undefined, { tls }), /tls\.clientCA: .*expected a file with certificates/);
    });
  });

  describe('with several hosts', () => {
    it('are chosen by the name a client asks for', async () => {
      const prints = new Map<string, string>();
      for (const domain of ['a.example', 'b.example']) prints.set(domain, (await put(domain)).fingerprint256);
      const port = await listen(await openStore(folder.path, { 'a.example': 'auto', 'b.example': 'auto' }));
      for (const [name, host] of [
        ['a.example', 'a.example'],
        ['b.example', 'b.example'],
        ['B.Example', 'b.example'],
        ['conference.b.example', 'b.example'],
        ['x.y.b.example', 'b.example'],
        ['', 'a.example'],
        ['unknown.test', 'a.example'],
        ['__proto__', 'a.example'],
        ['constructor', 'a.example'],
      ] as const) {
        assert.equal(await shownTo(port, name), prints.get(host), name);
      }
    });

    it('serve those that have one, when the first has none', async () => {
      const { fingerprint256 } = await put('b.example');
      const port = await listen(await openStore(folder.path, { 'a.example': 'auto', 'b.example': 'auto' }, { log }));
      assert.equal(await shownTo(port, 'a.example'), fingerprint256);
    });

    it('close whoever wants TLS where there is none at all', async () => {
      const port = await listen(await openStore(folder.path, { 'a.example': 'auto' }, { log }));
      await assert.rejects(dialTls(port), /ECONNRESET|disconnected|socket hang up/);
    });
  });

  describe('that change', () => {
    it('are taken up, and connections that are open stay', async () => {
      await put('example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      const port = await listen(certificates);
      const open = await dialTls(port, { servername: 'example.org' });
      const replaced = await put('example.org');
      await certificates.refresh();
      assert.equal(await shownTo(port, 'example.org'), replaced.fingerprint256);
      assert.equal(open.isClosed, false);
      open.socket.destroy();
      assert.deepEqual(log.texts('info'), ['took up a certificate']);
    });

    it('are noticed by themselves', async () => {
      await put('example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      cleanups.push(() => certificates.close());
      certificates.watch();
      const changed = new Promise((resolve) => certificates.changed.add(resolve));
      const replaced = await put('example.org');
      assert.equal(await changed, 'example.org');
      assert.equal(certificates.list()[0]!.certificate.fingerprint256, replaced.fingerprint256);
    });

    it('are left alone when nothing has changed', async () => {
      await put('example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      const context = certificates.contextFor('example.org');
      await certificates.refresh();
      assert.equal(certificates.contextFor('example.org'), context);
      assert.deepEqual(log.lines, []);
    });

    it('stay as they were when the new ones are broken, which is said once', async () => {
      const leaf = await put('example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log });
      const port = await listen(certificates);
      await writeFile(place('example.org', 'privkey.pem'), createSelfSigned('example.org', 0).key);
      await certificates.refresh();
      await certificates.refresh();
      assert.equal(await shownTo(port, 'example.org'), leaf.fingerprint256);
      assert.deepEqual(log.texts('error'), ['a new certificate cannot be used, the old one stays']);
    });

    it('stay as they were when they are gone', async () => {
      const leaf = await put('example.org');
      const files = { cert: place('example.org', 'fullchain.pem'), key: place('example.org', 'privkey.pem') };
      const certificates = await openStore(folder.path, { 'example.org': files }, { log });
      await rm(files.cert);
      await certificates.refresh();
      await certificates.refresh();
      assert.equal(certificates.list()[0]!.certificate.fingerprint256, leaf.fingerprint256);
      assert.equal(log.texts('error').length, 1);
    });

    it('are announced before they end, once a day, and when they have', async () => {
      let now = Date.now();
      await put('example.org');
      const certificates = await openStore(folder.path, { 'example.org': 'auto' }, { log, now: () => now });
      for (const days of [300, 352, 352.5, 353.1, 366]) {
        now = Date.now() + days * DAY;
        await certificates.refresh();
      }
      assert.deepEqual(
        log.lines.map(({ level, text }) => `${level} ${text}`),
        ['warn the certificate expires soon', 'warn the certificate expires soon', 'error the certificate has expired'],
      );
    });
  });

  describe('of clients', () => {
    async function peerOf(options: { cert?: Buffer | string; key?: Buffer | string; clientCA?: string; asked?: boolean }) {
      const tls = { clientCertificates: options.asked === false ? 'off' : 'optional', clientCA: options.clientCA } as const;
      const certificates = await openStore(folder.path, undefined, { tls });
      const config = { type: 'c2s-tls' as const, port: 0, addresses: ['127.0.0.1'], proxyProtocol: false };
      const accepting = new Accepting();
      const parts = {
        config,
        certificates,
        limits: roomyAddressLimits(log),
        proxies: new TrustedProxies([]),
        log,
        accept: accepting.accept,
      };
      const listener = new TcpListener(parts);
      await listener.listen();
      const { cert, key } = options;
      const client = await dialTls(listener.port, cert === undefined ? {} : { cert, key: key! });
      const { transport } = await accepting.next();
      cleanups.push(
        () => listener.close(),
        () => client.socket.destroy(),
        () => transport.destroy(),
      );
      return transport.tls!.peerCertificate();
    }

    it('are vouched for by the authority, or not', async () => {
      const romeo = createSelfSigned('romeo.example', Date.now());
      const juliet = createSelfSigned('juliet.example', Date.now());
      const clientCA = join(folder.path, 'ca.pem');
      await writeFile(clientCA, romeo.certificate);
      const known = await peerOf({ cert: romeo.certificate, key: romeo.key, clientCA });
      assert.equal(known!.authorized, true);
      assert.equal(known!.certificate.subject.CN, 'romeo.example');
      assert.equal((await peerOf({ cert: juliet.certificate, key: juliet.key, clientCA }))!.authorized, false);
      assert.equal(await peerOf({ clientCA }), undefined);
      assert.equal(await peerOf({ cert: romeo.certificate, key: romeo.key, clientCA, asked: false }), undefined);
      const nobody = await peerOf({ cert: romeo.certificate, key: romeo.key });
      assert.equal(nobody!.authorized, false, 'nobody may vouch where no authority is named');
    });
  });

  describe('in channel bindings (RFC 5929 section 4.1)', () => {
    /** A certificate that claims to be signed by this algorithm; what is bound to is the claim. */
    function claiming(algorithm: Buffer): X509Certificate {
      const [body, , signature] = readAll(
        readDer(new X509Certificate(createSelfSigned('x.example', 0).certificate).raw)!.content,
      );
      const [version, serial, , ...rest] = readAll(body!.content);
      const again = ({ tag, content }: DerValue) => der(tag, content);
      const tbs = sequence(again(version!), again(serial!), algorithm, ...rest.map(again));
      return new X509Certificate(sequence(tbs, algorithm, again(signature!)));
    }

    const pss = (hash: string) => sequence(oid('1.2.840.113549.1.1.10'), sequence(der(0xa0, sequence(oid(hash)))));

    for (const [name, algorithm, hash] of [
      ['ECDSA with SHA-256', sequence(oid('1.2.840.10045.4.3.2')), 'sha256'],
      ['ECDSA with SHA-384', sequence(oid('1.2.840.10045.4.3.3')), 'sha384'],
      ['ECDSA with SHA-1, which counts as SHA-256', sequence(oid('1.2.840.10045.4.1')), 'sha256'],
      ['RSA with SHA-256', sequence(oid('1.2.840.113549.1.1.11'), der(5)), 'sha256'],
      ['RSA with SHA-512', sequence(oid('1.2.840.113549.1.1.13'), der(5)), 'sha512'],
      ['RSA with SHA-1, which counts as SHA-256', sequence(oid('1.2.840.113549.1.1.5'), der(5)), 'sha256'],
      ['RSA with MD5, which counts as SHA-256', sequence(oid('1.2.840.113549.1.1.4'), der(5)), 'sha256'],
      ['RSA-PSS with SHA-384', pss('2.16.840.1.101.3.4.2.2'), 'sha384'],
      ['RSA-PSS without a word about the hash', sequence(oid('1.2.840.113549.1.1.10'), sequence()), 'sha256'],
      ['RSA-PSS with an unknown hash', pss('1.2.3.4'), undefined],
      ['Ed25519, which has none', sequence(oid('1.3.101.112')), undefined],
    ] as const) {
      it(`are hashed as their signature is: ${name}`, () => {
        const leaf = claiming(algorithm);
        assert.deepEqual(endPointHash(leaf), hash && createHash(hash).update(leaf.raw).digest());
      });
    }
  });
});
