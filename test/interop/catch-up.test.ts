import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { Line } from './line.ts';
import { StanzaPeer } from './node-clients.ts';
import { type Peer, ProgramPeer } from './peer.ts';
import { LASTING_MODULES, loginOver, makeAccount, PASSWORD, settle, subscribe } from './people.ts';

// Real clients catch up with what was said while they were away (XEP-0313) and on other devices (XEP-0280), and tell each other what
// has arrived and what has been seen (XEP-0184, XEP-0333).

const FRIEND = 'friend@localhost';
const program = fileURLToPath(new URL('../../../test/interop/slixmpp_client.py', import.meta.url));

describe('real clients catch up', function () {
  this.timeout(60_000);

  let server: ServerProcess;
  let friend: WireClient;
  const endings: (() => unknown)[] = [];

  before(async () => {
    server = await ServerProcess.create({ modules: LASTING_MODULES });
    endings.push(() => server.remove());
    await server.start();
    friend = await makeAccount(server, 'friend');
  });

  after(async () => {
    for (const end of endings.reverse()) await end();
  });

  describe('slixmpp', () => {
    const slixmpp = new ProgramPeer(({ username, password, c2s }) => [
      '/usr/bin/python3',
      '-B',
      program,
      `${username}@localhost/slix`,
      password,
      String(c2s),
    ]);
    const ME = 'slixmpp@localhost';
    let line: Line;
    let phone: WireClient;

    before(async () => {
      [line, phone] = await meet('slixmpp', server.c2s, slixmpp);
    });

    it('sees what another device sends and receives', async () => {
      await slixmpp.tell('carbons');
      await slixmpp.says('carbons');
      phone.send(message(FRIEND, 'from the phone'));
      await slixmpp.says('copy', ME, FRIEND, 'from the phone');
      friend.send(message(phone.jid, 'to the phone'));
      await slixmpp.says('copy', FRIEND, ME, 'to the phone');
    });

    it('still does after it has resumed', async () => {
      line.lose();
      phone.send(message(FRIEND, 'meanwhile on the phone'));
      await settle(phone);
      friend.send(message(ME, 'meanwhile'));
      await settle(friend);
      line.cut(false);
      line.mend();
      await slixmpp.resumed(1);
      await slixmpp.says('copy', ME, FRIEND, 'meanwhile on the phone');
      await slixmpp.got(FRIEND, 'meanwhile');
      phone.send(message(FRIEND, 'later on the phone'));
      await slixmpp.says('copy', ME, FRIEND, 'later on the phone');
    });

    it('finds the whole conversation in the archive, page by page, each message once', async () => {
      await slixmpp.send(FRIEND, 'from me');
      await friend.until(
        ({ name, children }) => name === 'message' && children.some((child) => String(child).includes('from me')),
      );
      await slixmpp.tell('history', FRIEND, '2');
      await slixmpp.says('pages', '2', '2', '2');
      assert.deepEqual(slixmpp.said('history'), [
        `${ME} from the phone`,
        `${FRIEND} to the phone`,
        `${ME} meanwhile on the phone`,
        `${FRIEND} meanwhile`,
        `${ME} later on the phone`,
        `${ME} from me`,
      ]);
    });

    it('says that a message has arrived, and that it was seen', async () => {
      await receiptsAndMarkers('slixmpp', (id) => slixmpp.tell('displayed', FRIEND, id));
      await slixmpp.says('receipt', FRIEND, 'theirs');
      await slixmpp.says('displayed', FRIEND, 'theirs');
    });

    it('is spared presence while nobody looks', async () => {
      await slixmpp.tell('inactive');
      await slixmpp.send(FRIEND, 'good night');
      await friend.until(
        ({ name, children }) => name === 'message' && children.some((child) => String(child).includes('good night')),
      );
      for (const status of ['one', 'two', 'three']) friend.send(`<presence><status>${status}</status></presence>`);
      await settle(friend);
      await slixmpp.tell('active');
      await slixmpp.says('status', FRIEND, 'three');
      assert.deepEqual(slixmpp.said('status', FRIEND), ['three']);
    });
  });

  describe('stanza.js', () => {
    const stanza = new StanzaPeer();
    const ME = 'stanza@localhost';
    let line: Line;
    let phone: WireClient;

    before(async () => {
      [line, phone] = await meet('stanza', server.http, stanza);
    });

    it('sees what another device sends and receives, also while its line is broken', async () => {
      await stanza.enableCarbons();
      phone.send(message(FRIEND, 'from the phone'));
      await stanza.notices('copy', ME, FRIEND, 'from the phone');
      line.lose();
      friend.send(message(phone.jid, 'to the phone'));
      await settle(friend);
      line.cut();
      phone.send(message(FRIEND, 'meanwhile on the phone'));
      await settle(phone);
      line.mend();
      await stanza.resumed(1);
      await stanza.notices('copy', FRIEND, ME, 'to the phone');
      await stanza.notices('copy', ME, FRIEND, 'meanwhile on the phone');
    });

    it('finds the whole conversation in the archive, page by page, each message once', async () => {
      assert.deepEqual(await stanza.readHistory(FRIEND, 2), [
        [`${ME} from the phone`, `${FRIEND} to the phone`],
        [`${ME} meanwhile on the phone`],
      ]);
    });

    it('says that a message has arrived, and that it was seen', async () => {
      await receiptsAndMarkers('stanza', (id) => stanza.display(`${FRIEND}/setup`, id));
      await stanza.notices('receipt', FRIEND, 'theirs');
      await stanza.notices('displayed', FRIEND, 'theirs');
    });
  });

  /** Lets somebody log in over a line; another device of the same account is there as well. */
  async function meet(name: string, port: number, peer: Peer): Promise<[Line, WireClient]> {
    const account = await makeAccount(server, name);
    await subscribe([account, name], [friend, 'friend']);
    account.close();
    const phone = await WireClient.connect(server.http);
    await phone.login(name, PASSWORD, 'phone');
    const line = await Line.to(port);
    endings.push(
      () => line.close(),
      () => phone.close(),
      () => peer.stop(),
    );
    await peer.start(loginOver(line, name));
    await peer.sees(FRIEND);
    return [line, phone];
  }

  /** The friend's message gets a receipt and is marked as seen; the friend gives both for a message of theirs, too. */
  async function receiptsAndMarkers(name: string, display: (id: string) => unknown): Promise<void> {
    const asks = "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>";
    friend.send(`<message to='${name}@localhost' type='chat' id='ours'><body>seen?</body>${asks}</message>`);
    await friend.until((element) => element.getChild('received', 'urn:xmpp:receipts')?.attrs['id'] === 'ours');
    await display('ours');
    await friend.until((element) => element.getChild('displayed', 'urn:xmpp:chat-markers:0')?.attrs['id'] === 'ours');
    for (const what of ["received xmlns='urn:xmpp:receipts'", "displayed xmlns='urn:xmpp:chat-markers:0'"])
      friend.send(`<message to='${name}@localhost' type='chat'><${what} id='theirs'/></message>`);
  }
});

function message(to: string, body: string): string {
  return `<message to='${to}' type='chat'><body>${body}</body></message>`;
}
