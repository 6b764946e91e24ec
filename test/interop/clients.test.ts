import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { StanzaPeer, StrophePeer, XmppClientPeer } from './node-clients.ts';
import { type Peer, ProgramPeer } from './peer.ts';
import { loginAt, PASSWORD } from './people.ts';
import { ProfanityPeer } from './profanity.ts';

// Real clients log in at the same time, each in its own way, see each other's presence and exchange messages: every one with
// every other one.

const source = (name: string) => fileURLToPath(new URL(`../../../test/interop/${name}`, import.meta.url));

describe('real clients', () => {
  let server: ServerProcess;
  const peers = new Map<string, Peer>();

  before(async function () {
    this.timeout(120_000);
    // The clients on Node check certificates; this one is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    server = await ServerProcess.create();
    await server.start();
    const program = join(server.folder, 'libstrophe_client');
    execFileSync('gcc', ['-O1', '-o', program, source('libstrophe_client.c'), '-lstrophe']);
    peers.set('tcp', new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`));
    peers.set('tls', new XmppClientPeer(({ c2sTls }) => `xmpps://127.0.0.1:${c2sTls}`));
    peers.set('ws', new XmppClientPeer(({ http }) => `ws://127.0.0.1:${http}/xmpp-websocket`));
    peers.set('strophe', new StrophePeer(({ http }) => `ws://127.0.0.1:${http}/xmpp-websocket`));
    peers.set('stanza', new StanzaPeer());
    peers.set(
      'slixmpp',
      new ProgramPeer(({ username, password, c2s }) => [
        '/usr/bin/python3',
        '-B',
        source('slixmpp_client.py'),
        `${username}@localhost/slix`,
        password,
        String(c2s),
      ]),
    );
    peers.set(
      'libstrophe',
      new ProgramPeer(({ username, password, c2s }) => [program, `${username}@localhost/c`, password, String(c2s)]),
    );
    peers.set('profanity', new ProfanityPeer());
    await befriend(server, [...peers.keys()]);
  });

  after(async () => {
    await Promise.allSettled([...peers.values()].map((peer) => peer.stop()));
    await server.remove();
  });

  const NAMES = ['tcp', 'tls', 'ws', 'strophe', 'stanza', 'slixmpp', 'libstrophe', 'profanity'];

  for (const name of NAMES) {
    it(`${name} logs in`, async function () {
      this.timeout(60_000);
      await peers.get(name)!.start(loginAt(server, name));
    });
  }

  for (const name of NAMES) {
    it(`${name} sees everybody's presence`, async function () {
      this.timeout(60_000);
      for (const other of NAMES) if (other !== name) await peers.get(name)!.sees(`${other}@localhost`);
    });
  }

  for (const name of NAMES) {
    it(`what ${name} says reaches everybody`, async function () {
      this.timeout(120_000);
      for (const other of NAMES)
        if (other !== name) await peers.get(name)!.send(`${other}@localhost`, `hello ${other} from ${name}`);
      for (const other of NAMES)
        if (other !== name) await peers.get(other)!.got(`${name}@localhost`, `hello ${other} from ${name}`);
    });
  }
});

/** Makes accounts and lets each subscribe to each other's presence. */
async function befriend(server: ServerProcess, names: readonly string[]): Promise<void> {
  const clients = new Map<string, WireClient>();
  for (const name of names) {
    const client = await WireClient.connect(server.http);
    assert.equal(await client.register(name, PASSWORD), true);
    await client.login(name, PASSWORD, 'setup');
    client.send('<presence/>');
    clients.set(name, client);
  }
  for (const [name, client] of clients) {
    for (const other of names) if (other !== name) client.send(`<presence type='subscribed' to='${other}@localhost'/>`);
    for (const other of names) if (other !== name) client.send(`<presence type='subscribe' to='${other}@localhost'/>`);
  }
  for (const client of clients.values()) await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
  for (const [name, client] of clients) {
    for (const other of names) if (other !== name) client.send(`<presence type='subscribed' to='${other}@localhost'/>`);
    await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
  }
  for (const [name, client] of clients) {
    const roster = await client.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    const items = roster.getChild('query')!.getChildren('item');
    assert.deepEqual(
      items.filter(({ attrs }) => attrs['subscription'] === 'both').length,
      names.length - 1,
      `${name}: ${roster}`,
    );
    client.close();
  }
}
