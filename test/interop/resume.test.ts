import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Element } from 'ltx';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { Line } from './line.ts';
import { StanzaPeer, StrophePeer, XmppClientPeer } from './node-clients.ts';
import { type LastingPeer, type Peer, ProgramPeer } from './peer.ts';
import { LASTING_MODULES, loginOver, makeAccount, PASSWORD, settle, subscribe } from './people.ts';
import { ProfanityPeer } from './profanity.ts';

// The lines of real clients break without a goodbye. They come back by themselves and take their sessions up again (XEP-0198): what
// was said meanwhile arrives once and in order, and nobody has seen them go.

const source = (name: string) => fileURLToPath(new URL(`../../../test/interop/${name}`, import.meta.url));
const FRIEND = 'friend@localhost';

/** What a client says while its line loses everything; long, so that it can be told from what else is lost. */
const OWN = [1, 2, 3].map((number) => `own ${number} ${'.'.repeat(1000)}`);
const OWN_BYTES = 3000;

/** A client, the port it uses, and whether it says again what it does not know to have arrived. */
interface Candidate {
  readonly name: string;
  readonly port: 'c2s' | 'c2sTls' | 'http';
  readonly make: () => LastingPeer;
  readonly repeats: boolean;
}

const slixmpp = () =>
  new ProgramPeer(({ username, password, c2s }) => [
    '/usr/bin/python3',
    '-B',
    source('slixmpp_client.py'),
    `${username}@localhost/slix`,
    password,
    String(c2s),
  ]);

const CANDIDATES: readonly Candidate[] = [
  { name: 'xmpp.js', port: 'c2s', make: () => new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`), repeats: true },
  {
    name: 'strophe.js',
    port: 'http',
    make: () => new StrophePeer(({ http }) => `ws://127.0.0.1:${http}/xmpp-websocket`),
    repeats: true,
  },
  { name: 'stanza.js', port: 'http', make: () => new StanzaPeer(), repeats: true },
  // It forgets what it has sent when it asks to resume.
  { name: 'slixmpp', port: 'c2s', make: slixmpp, repeats: false },
];

describe('real clients whose lines break', function () {
  this.timeout(60_000);

  let server: ServerProcess;
  let friend: WireClient;
  /** What each test ends with. */
  const endings: (() => unknown)[] = [];

  before(async () => {
    // The clients on Node check certificates; this one is made by the server itself.
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    server = await ServerProcess.create({ modules: LASTING_MODULES });
    await server.start();
    friend = await makeAccount(server, 'friend');
    const program = join(server.folder, 'libstrophe_client');
    execFileSync('gcc', ['-O1', '-o', program, source('libstrophe_client.c'), '-lstrophe']);
  });

  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  after(() => server.remove());

  const libstrophe: Candidate = {
    name: 'libstrophe',
    port: 'c2s',
    make: () =>
      new ProgramPeer(({ username, password, c2s }) => [
        join(server.folder, 'libstrophe_client'),
        `${username}@localhost`,
        password,
        String(c2s),
        'lasting',
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
      for (const body of OWN) await peer.send(FRIEND, body);
      await line.hasLost(OWN_BYTES);
      line.cut(false);
      await say(name, 'away 1', 'away 2', 'away 3');
      line.mend();
      await peer.resumed(1);
      await peer.got(FRIEND, 'away 3');
      for (const body of repeats ? OWN : []) assert.equal(await nextBody(name), body);

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
      assert.deepEqual(await heardElse(name), []);
    });
  }

  it('profanity resumes and shows what it has missed once, with what another device has said', async () => {
    const profanity = new ProfanityPeer(['/carbons on', '/mam on', '/reconnect 1']);
    const { line } = await meet('profanity', server.c2s, profanity);
    await say('profanity', 'before');
    await profanity.got(FRIEND, 'before');
    line.lose();
    await say('profanity', 'lost 1', 'lost 2');
    line.cut(false);
    await say('profanity', 'away 1', 'away 2');
    const phone = await WireClient.connect(server.http);
    endings.push(() => phone.close());
    await phone.login('profanity', PASSWORD, 'phone');
    phone.send(`<message to='${FRIEND}' type='chat'><body>from the phone</body></message>`);
    await settle(phone);
    line.mend();
    await profanity.isBack();
    await say('profanity', 'after');
    const said = ['before', 'lost 1', 'lost 2', 'away 1', 'away 2'].map((body) => `${FRIEND} ${body}`);
    assert.deepEqual(await profanity.conversation(FRIEND, 'after'), [...said, 'me from the phone', `${FRIEND} after`]);
  });

  it('a client takes its session from TCP to WebSocket, and to TLS', async () => {
    const nomad = new XmppClientPeer(({ c2s }) => `xmpp://127.0.0.1:${c2s}`);
    let { line } = await meet('nomad', server.c2s, nomad);
    const ways: readonly (readonly [number, (port: number) => string])[] = [
      [server.http, (port) => `ws://127.0.0.1:${port}/xmpp-websocket`],
      [server.c2sTls, (port) => `xmpps://127.0.0.1:${port}`],
    ];
    const expected: string[] = [];
    for (const [index, [port, address]] of ways.entries()) {
      const next = await openLine(port);
      next.cut();
      nomad.move(address(next.port));
      line.lose();
      await say('nomad', `lost ${index}`);
      line.cut(false);
      await say('nomad', `away ${index}`);
      next.mend();
      await nomad.resumed(index + 1);
      await nomad.got(FRIEND, `away ${index}`);
      await nomad.send(FRIEND, `here ${index}`);
      assert.equal(await nextBody('nomad'), `here ${index}`);
      expected.push(`lost ${index}`, `away ${index}`);
      assert.deepEqual(nomad.heard(FRIEND), expected);
      line = next;
    }
    assert.deepEqual(await heardElse('nomad'), []);
  });

  it('sessions outlive a restart of the server', async () => {
    const names = ['early', 'late'];
    const early = await meet('early', server.http, new StanzaPeer());
    const late = await meet('late', server.c2s, slixmpp());
    for (const { line } of [early, late]) line.lose();
    for (const name of names) await say(name, 'lost');
    for (const { line } of [early, late]) line.cut();
    for (const name of names) await say(name, 'away');
    friend.close();
    await server.stop();
    await server.start();
    friend = await WireClient.connect(server.http);
    await friend.login('friend', PASSWORD, 'setup');
    for (const name of names) await say(name, 'restarted');
    for (const { peer, line } of [early, late]) {
      line.mend();
      await peer.resumed(1);
      await peer.got(FRIEND, 'restarted');
      assert.deepEqual(peer.heard(FRIEND), ['lost', 'away', 'restarted']);
    }
  });

  /** Lets somebody log in over a line of its own, and the friend see that. */
  async function meet<P extends Peer>(name: string, port: number, peer: P): Promise<{ peer: P; line: Line }> {
    const account = await makeAccount(server, name);
    await subscribe([account, name], [friend, 'friend']);
    account.send("<presence type='unavailable'/>");
    await settle(account);
    account.close();
    await friend.until((element) => element.attrs['type'] === 'unavailable' && isFrom(name)(element));
    friend.take();
    const line = await openLine(port);
    endings.push(() => peer.stop());
    await peer.start(loginOver(line, name));
    await peer.sees(FRIEND);
    await friend.until((element) => element.name === 'presence' && !element.attrs['type'] && isFrom(name)(element));
    friend.take();
    return { peer, line };
  }

  async function openLine(port: number): Promise<Line> {
    const line = await Line.to(port);
    endings.push(() => line.close());
    return line;
  }

  /** What else the friend has heard from somebody, presence included. */
  async function heardElse(name: string): Promise<readonly string[]> {
    await settle(friend);
    return friend.take().filter(isFrom(name)).map(String);
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
