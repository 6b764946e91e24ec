import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Client, client, xml } from '@xmpp/client';
import type { Element } from 'ltx';
import { WebSocket } from 'ws';
import { stringify } from 'yaml';
import { readConfiguration } from '../../src/cli/config-file.ts';
import { Jid } from '../../src/jid.ts';
import { silent } from '../../src/log.ts';
import type { ListenerInfo } from '../../src/server/listeners.ts';
import { Server } from '../../src/server.ts';
import { WireClient } from '../support/wire-client.ts';

// The whole server in this process, on ports of its own, with a standard client over every transport it has.

const GREETER = fileURLToPath(new URL('../support/plugins/greeter.js', import.meta.url));
const PASSWORD = 'correct horse battery staple';
const ADDRESSES = ['127.0.0.1'];
const BASE = {
  data: './data',
  listeners: [
    { type: 'c2s', port: 0, addresses: ADDRESSES },
    { type: 'c2s-tls', port: 0, addresses: ADDRESSES },
    { type: 'http', port: 0, addresses: ADDRESSES, serve: ['websocket', 'bosh', 'web', 'metrics', 'health'] },
  ],
  limits: { exemptLoopback: true },
  authentication: { trustLoopback: true, plainWithoutTlsOnLoopback: true, scramIterations: 4096 },
  plugins: { greeter: GREETER },
  modules: { roster: {}, presence: {}, disco: {}, ping: {}, greeter: {}, register: { loopbackUnlimited: true }, 'host-meta': {} },
  hosts: { localhost: { certificate: 'self-signed' } },
};
type Changes = Readonly<Record<string, unknown>>;

describe('the server', () => {
  let folder = '';
  let server: Server;
  let clients: Client[];
  const trusted = process.env['NODE_TLS_REJECT_UNAUTHORIZED'];

  before(() => {
    // The certificate is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    // Node 20 has none of its own, which the client would use.
    if (!('WebSocket' in globalThis)) Object.assign(globalThis, { WebSocket });
  });

  after(() => {
    if (trusted === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = trusted;
  });

  beforeEach(async () => {
    clients = [];
    folder = await mkdtemp(join(tmpdir(), 'parlance-e2e-'));
    server = await create();
    await server.start();
    for (const name of ['juliet', 'romeo']) await server.host('localhost')!.accounts.create(name, PASSWORD);
  });

  afterEach(async () => {
    await Promise.allSettled(clients.map((each) => each.stop()));
    await server.stop();
    await rm(folder, { recursive: true });
  });

  async function configure(changes: Changes = {}) {
    const file = join(folder, 'server.yaml');
    await writeFile(file, stringify({ ...BASE, ...changes }));
    return readConfiguration(file);
  }

  async function create(changes: Changes = {}): Promise<Server> {
    const { config, modules } = await configure(changes);
    return new Server(config, { modules, log: silent });
  }

  async function reload(changes: Changes = {}): Promise<readonly string[]> {
    const { config, modules } = await configure(changes);
    return server.reload(config, modules);
  }

  const portOf = (type: ListenerInfo['type']) => server.listeners.find((each) => each.type === type)!.port;
  const serviceOf = {
    STARTTLS: () => `xmpp://127.0.0.1:${portOf('c2s')}`,
    'direct TLS': () => `xmpps://127.0.0.1:${portOf('c2s-tls')}`,
    WebSocket: () => `ws://127.0.0.1:${portOf('http')}/xmpp-websocket`,
  } as const;

  async function login(username: string, over: keyof typeof serviceOf = 'WebSocket', domain = 'localhost'): Promise<Client> {
    const made = client({ service: serviceOf[over](), domain, username, password: PASSWORD, resource: 'test' });
    made.reconnect.stop();
    made.on('error', () => {});
    clients.push(made);
    await made.start();
    await made.send(xml('presence'));
    return made;
  }

  const ask = (from: Client, payload: Element, to = 'localhost') =>
    from.iqCaller.request(xml('iq', { type: 'get', to }, payload));
  const ping = (from: Client) => ask(from, xml('ping', { xmlns: 'urn:xmpp:ping' }));

  /** The next message; events are not to be awaited one by one, since several stanzas may come in one piece. */
  function message(at: Client): Promise<Element> {
    return new Promise((resolve) => {
      at.on('stanza', (stanza) => {
        if (stanza.name === 'message') resolve(stanza);
      });
    });
  }

  for (const over of ['STARTTLS', 'direct TLS', 'WebSocket'] as const) {
    it(`lets a client log in and chat over ${over}`, async () => {
      const juliet = await login('juliet', over);
      const romeo = await login('romeo');
      const received = message(romeo);
      await juliet.send(xml('message', { to: 'romeo@localhost', type: 'chat' }, xml('body', {}, 'Wherefore art thou?')));
      const { attrs } = await received;
      assert.equal(attrs['from'], 'juliet@localhost/test');
      const answered = message(juliet);
      await romeo.send(xml('message', { to: 'juliet@localhost', type: 'chat' }, xml('body', {}, 'Here, by thy wall')));
      assert.equal((await answered).getChildText('body'), 'Here, by thy wall');
    });
  }

  it('lets somebody register and log in at once', async () => {
    const wire = await WireClient.connect(portOf('http'));
    assert.equal(await wire.register('nurse', PASSWORD), true);
    await wire.login('nurse', PASSWORD, 'x');
    assert.equal(wire.jid, 'nurse@localhost/x');
    wire.close();
  });

  it('refuses a wrong password', async () => {
    const wrong = client({ service: serviceOf.STARTTLS(), domain: 'localhost', username: 'juliet', password: 'wrong' });
    wrong.reconnect.stop();
    wrong.on('error', () => {});
    clients.push(wrong);
    await assert.rejects(wrong.start(), { condition: 'not-authorized' });
  });

  it('runs modules of other people', async () => {
    const juliet = await login('juliet');
    const answer = await ask(juliet, xml('greeting', { xmlns: 'urn:example:greeter' }));
    assert.equal(answer.getChildText('greeting'), 'Hello');
  });

  it('tells over HTTP how it is and what it counts', async () => {
    await login('juliet', 'STARTTLS');
    const get = (path: string) => fetch(`http://127.0.0.1:${portOf('http')}${path}`);
    assert.equal((await get('/health')).status, 200);
    const metrics = await get('/metrics');
    assert.match(metrics.headers.get('content-type') ?? '', /^application\/openmetrics-text/);
    const text = await metrics.text();
    for (const line of [
      /^xmpp_connections\{transport="tcp"\} 1$/m,
      /^xmpp_sessions\{host="localhost"\} 1$/m,
      /^xmpp_logins_total\{mechanism="SCRAM-SHA-1",outcome="ok"\} 1$/m,
      /^xmpp_stanzas_total\{kind="presence",direction="in"\} 1$/m,
      /^storage_commits_total \d+$/m,
      /^nodejs_eventloop_delay_seconds\{quantile="0.99"\} /m,
      /^# EOF$/m,
    ]) {
      assert.match(text, line);
    }
    const hostMeta = (await (await get('/.well-known/host-meta.json')).json()) as { links: { href: string }[] };
    assert.ok(hostMeta.links.some(({ href }) => href.startsWith('ws://')));
  });

  it('says goodbye when it stops, and is gone', async () => {
    const juliet = await login('juliet', 'STARTTLS');
    const wire = await WireClient.connect(portOf('http'));
    const port = portOf('http');
    const error = once(juliet, 'error') as Promise<[{ condition: string }]>;
    const stopped = server.stop();
    assert.equal((await error)[0].condition, 'system-shutdown');
    const said = await wire.until(({ name }) => name === 'stream:error');
    assert.ok(said.getChild('system-shutdown'));
    await stopped;
    assert.equal(server.c2s.streams.size, 0);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/health`));
    await server.stop();
  });

  it('sends clients to another server where the config names one', async () => {
    await reload({ shutdown: { seeOtherHost: 'other.example:5222' } });
    const wire = await WireClient.connect(portOf('http'));
    const said = wire.until(({ name }) => name === 'stream:error');
    await server.stop();
    assert.equal((await said).getChildText('see-other-host'), 'other.example:5222');
  });

  describe('at a reload', () => {
    it('keeps its connections and takes up changed modules', async () => {
      const juliet = await login('juliet', 'STARTTLS');
      const romeo = await login('romeo');
      const ports = server.listeners.map(({ port }) => port);
      assert.deepEqual(await reload({ modules: { ...BASE.modules, greeter: { greeting: 'Servus' } } }), []);
      const answer = await ask(juliet, xml('greeting', { xmlns: 'urn:example:greeter' }));
      assert.equal(answer.getChildText('greeting'), 'Servus');
      assert.deepEqual(
        server.listeners.map(({ port }) => port),
        ports,
      );
      const received = message(romeo);
      await juliet.send(xml('message', { to: 'romeo@localhost/test', type: 'chat' }, xml('body', {}, 'Still here')));
      assert.equal((await received).getChildText('body'), 'Still here');
      await reload({ modules: { ...BASE.modules, greeter: false } });
      await assert.rejects(ask(juliet, xml('greeting', { xmlns: 'urn:example:greeter' })), { condition: 'service-unavailable' });
    });

    it('serves new hosts, and sends the clients of those that are gone away', async () => {
      const juliet = await login('juliet');
      await reload({ hosts: { ...BASE.hosts, 'verona.test': { certificate: 'self-signed' } } });
      await server.host('verona.test')!.accounts.create('prince', PASSWORD);
      const prince = await login('prince', 'STARTTLS', 'verona.test');
      const received = message(prince);
      await juliet.send(xml('message', { to: 'prince@verona.test', type: 'chat' }, xml('body', {}, 'My lord')));
      assert.equal((await received).getChildText('body'), 'My lord');
      const error = once(prince, 'error') as Promise<[{ condition: string }]>;
      await reload();
      assert.equal((await error)[0].condition, 'host-gone');
      assert.equal(server.host('verona.test'), undefined);
      await ping(juliet);
      const wire = WireClient.connect(portOf('http'), 'verona.test');
      await assert.rejects(wire);
    });

    it('opens and closes listeners, and keeps the connections of those that are closed', async () => {
      const juliet = await login('juliet', 'STARTTLS');
      const [, direct, http] = BASE.listeners;
      await reload({ listeners: [direct, http] });
      assert.deepEqual(
        server.listeners.map(({ type }) => type),
        ['c2s-tls', 'http'],
      );
      await ping(juliet);
      await reload({ listeners: [direct, http, { type: 'c2s', port: 0, addresses: ADDRESSES }] });
      await login('romeo', 'STARTTLS');
    });

    it('tells web clients where its endpoints are now', async () => {
      const links = async () => {
        const page = await fetch(`http://127.0.0.1:${portOf('http')}/.well-known/host-meta.json`);
        return ((await page.json()) as { links: { href: string }[] }).links.map(({ href }) => new URL(href).pathname);
      };
      assert.deepEqual(await links(), ['/xmpp-websocket', '/http-bind']);
      await reload({ http: { websocket: '/ws', bosh: '/bosh' } });
      assert.deepEqual(await links(), ['/ws', '/bosh']);
    });

    it('leaves everything as it was when something cannot be had', async () => {
      const juliet = await login('juliet');
      const taken = portOf('c2s-tls');
      const listeners = [...BASE.listeners, { type: 'c2s', port: taken, addresses: ADDRESSES }];
      const changes = { listeners, hosts: { ...BASE.hosts, 'verona.test': { certificate: 'self-signed' } } };
      await assert.rejects(reload({ ...changes, modules: { ...BASE.modules, greeter: { greeting: 'No' } } }), {
        name: 'ConfigError',
      });
      assert.equal(server.host('verona.test'), undefined);
      const answer = await ask(juliet, xml('greeting', { xmlns: 'urn:example:greeter' }));
      assert.equal(answer.getChildText('greeting'), 'Hello');
      assert.equal(server.listeners.length, 3);
      await login('romeo', 'direct TLS');
    });

    it('takes up administrators, limits and ways to log in', async () => {
      await reload({
        admins: ['juliet@localhost'],
        limits: { ...BASE.limits, queueBytes: '1MiB' },
        authentication: { ...BASE.authentication, mechanisms: ['SCRAM-SHA-1'] },
      });
      const host = server.host('localhost')!;
      assert.deepEqual(host.config.admins, ['juliet@localhost']);
      assert.equal(server.c2s.limits.queueBytes, 1 << 20);
      const wire = await WireClient.connect(portOf('http'));
      await assert.rejects(wire.login('juliet', PASSWORD, 'x'), /invalid-mechanism/);
      await login('juliet', 'STARTTLS');
    });

    it('says what is only taken up at the next start', async () => {
      const notes = await reload({ storage: { type: 'memory' }, data: './elsewhere' });
      assert.equal(notes.length, 2);
      assert.match(notes[0]!, /^storage is taken up at the next start/);
      await login('juliet');
    });
  });

  it('sends the clients of a deleted account away, and keeps nothing of it', async () => {
    const juliet = await login('juliet', 'direct TLS');
    const error = once(juliet, 'error') as Promise<[{ condition: string }]>;
    assert.equal(await server.deleteAccount(Jid.parse('juliet@localhost')), true);
    assert.equal((await error)[0].condition, 'not-authorized');
    assert.equal(await server.deleteAccount(Jid.parse('juliet@localhost')), false);
    await assert.rejects(login('juliet'));
  });

  it('lets anonymous clients in, and keeps nothing of them (XEP-0175)', async () => {
    await reload({ authentication: { ...BASE.authentication, anonymous: true } });
    const host = server.host('localhost')!;
    const gone = new Promise<string>((resolve) => host.signals.accountDeleted.add(({ username }) => resolve(username)));
    const guest = client({ service: serviceOf.WebSocket(), domain: 'localhost' });
    guest.reconnect.stop();
    clients.push(guest);
    const { local } = Jid.parse(String(await guest.start()));
    assert.match(local, /^[0-9a-f]{32}$/);
    await guest.iqCaller.request(
      xml('iq', { type: 'set' }, xml('query', { xmlns: 'jabber:iq:roster' }, xml('item', { jid: 'romeo@localhost' }))),
    );
    await guest.stop();
    assert.equal(await gone, local);
    assert.equal(await host.accounts.exists(local), false);
  });

  it('keeps accounts over a restart', async () => {
    await server.stop();
    server = await create();
    await server.start();
    await login('juliet', 'STARTTLS');
  });

  it('gives everything back when it cannot start', async () => {
    const port = portOf('c2s');
    const other = await create({
      data: './other',
      listeners: [
        { type: 'http', port: 0, addresses: ADDRESSES },
        { type: 'c2s', port, addresses: ADDRESSES },
      ],
    });
    await assert.rejects(other.start(), (error) => {
      assert.match(String(error), /listeners\[1\]: .*in use/);
      return true;
    });
    assert.deepEqual(other.listeners, []);
    assert.deepEqual(await other.findProblems(), ['the server is not running']);
  });

  it('knows what is wrong with it', async () => {
    assert.deepEqual(await server.findProblems(), []);
    assert.deepEqual(
      server.describeHosts().map(({ domain, sessions }) => [domain, sessions]),
      [['localhost', 0]],
    );
    await login('juliet');
    assert.equal(server.describeHosts()[0]!.sessions, 1);
  });

  it('keeps what it makes itself for its user alone', async () => {
    assert.equal((await stat(join(folder, 'data'))).mode & 0o077, 0);
    for (const name of ['parlance.sqlite', 'certs/localhost.key']) {
      assert.equal((await stat(join(folder, 'data', name))).mode & 0o077, 0, name);
    }
    assert.match(await readFile(join(folder, 'data', 'certs', 'localhost.pem'), 'latin1'), /BEGIN CERTIFICATE/);
  });
});
