import assert from 'node:assert/strict';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { befriend, LASTING_MODULES, loginAt, makeAccount, PASSWORD } from './people.ts';
import { ProfanityPeer } from './profanity.ts';

// OMEMO between two people with three devices, by a client that is not ours (profanity, with libsignal): its keys are in PEP, and what it
// encrypts goes by carbons, offline delivery and the archive. The server never sees a text.

const NS_OMEMO = 'eu.siacs.conversations.axolotl';
const P = 'http://jabber.org/protocol/pubsub';
const run = Date.now().toString(36);
const ALICE = `alice${run}`;
const BOB = `bob${run}`;
const STRANGER = `stranger${run}`;

describe('OMEMO with profanity', function () {
  this.timeout(120_000);
  let server: ServerProcess;
  const desk = new ProfanityPeer();
  const phone = new ProfanityPeer();
  const bob = new ProfanityPeer();
  const texts: string[] = [];

  before(async () => {
    const more = Object.fromEntries(['disco', 'caps', 'pep', 'private'].map((name) => [name, {}]));
    server = await ServerProcess.create({ modules: { ...LASTING_MODULES, ...more } });
    await server.start();
    await befriend(server, ALICE, BOB);
    (await makeAccount(server, STRANGER)).close();
  });

  after(async () => {
    for (const peer of [desk, phone, bob]) await peer.stop();
    await server.remove();
  });

  async function begin(peer: ProfanityPeer, name: string): Promise<void> {
    await peer.start(loginAt(server, name));
    await peer.type('/omemo trustmode blind');
    await peer.type('/omemo gen');
    // It has seen its own list without itself, which has told it that there was none before.
    await peer.shows(/Going to publish own device ID/);
  }

  /** Connects again one that has disconnected, and has dropped its keys from memory with it: it reads them from its disk. */
  async function comesBack(peer: ProfanityPeer, name: string): Promise<void> {
    const { domain, c2s, password } = loginAt(server, name);
    await peer.type('/win 1');
    await peer.type('/clear');
    await peer.type(`/connect ${name}@${domain} server 127.0.0.1 port ${c2s} tls trust`);
    await peer.shows(/[Ee]nter password/);
    await peer.type(password);
    await peer.shows(/logged in successfully/);
  }

  /** Says something that nobody but the other one is to read. */
  async function say(peer: ProfanityPeer, to: string, text: string): Promise<void> {
    texts.push(text);
    await peer.type(`/msg ${to}@localhost`);
    await peer.type(`/omemo start ${to}@localhost`);
    await peer.shows(/\[OMEMO\]/);
    await peer.type(text);
    await peer.type('/win 1');
  }

  const client = async (name: string): Promise<WireClient> => {
    const wire = await WireClient.connect(server.http);
    await wire.login(name, PASSWORD, 'look');
    return wire;
  };

  const items = (owner: string, node: string): string =>
    `<iq type='get' to='${owner}@localhost'><pubsub xmlns='${P}'><items node='${node}'/></pubsub></iq>`;

  it('its devices publish their keys, and strangers may fetch them', async () => {
    await Promise.all([begin(desk, ALICE), begin(bob, BOB)]);
    await begin(phone, ALICE);
    const wire = await client(STRANGER);
    for (const [owner, count] of [
      [ALICE, 2],
      [BOB, 1],
    ] as const) {
      let devices: readonly string[] = [];
      while (devices.length < count) {
        const list = await wire.ask(items(owner, `${NS_OMEMO}.devicelist`));
        devices = [...String(list).matchAll(/<device id="(\d+)"/g)].map(([, id]) => id!);
        if (devices.length < count) await new Promise((resolve) => setTimeout(resolve, 100));
      }
      assert.equal(new Set(devices).size, count);
      for (const id of devices) {
        const bundle = await wire.ask(items(owner, `${NS_OMEMO}.bundles:${id}`));
        assert.match(String(bundle), /preKeyPublic/);
      }
    }
    wire.close();
  });

  it('that is what they have asked for: a node of which nothing is said is for contacts', async () => {
    const [owner, stranger] = await Promise.all([client(ALICE), client(STRANGER)]);
    const published = await owner.ask(
      `<iq type='set'><pubsub xmlns='${P}'><publish node='n'><item id='1'><x xmlns='urn:example'/></item></publish></pubsub></iq>`,
    );
    assert.equal(published.attrs['type'], 'result', String(published));
    assert.match(String(await stranger.ask(items(ALICE, 'n'))), /presence-subscription-required/);
    for (const wire of [owner, stranger]) wire.close();
  });

  it('what one says the other reads, and so does the own other device', async () => {
    await say(desk, BOB, 'meet me at the crypt');
    await bob.got(`${ALICE}@localhost`, 'meet me at the crypt');
    await phone.got(`${BOB}@localhost`, 'meet me at the crypt');
    await say(bob, ALICE, 'I shall bring a dagger');
    await desk.got(`${BOB}@localhost`, 'I shall bring a dagger');
    await phone.got(`${BOB}@localhost`, 'I shall bring a dagger');
    await say(phone, BOB, 'good night');
    await bob.got(`${ALICE}@localhost`, 'good night');
    await desk.got(`${BOB}@localhost`, 'good night');
  });

  it('what is said while the other one is away is read when they come back, once', async () => {
    // Sees who is there, and takes no messages from the devices.
    const wire = await client(ALICE);
    wire.send('<presence><priority>-1</priority></presence>');
    const turns = (type: string | undefined) =>
      wire.until(({ name, attrs }) => {
        const isBob = attrs['from']?.startsWith(`${BOB}@localhost/`) === true;
        return name === 'presence' && isBob && attrs['type'] === type;
      });
    await turns(undefined);
    await bob.type('/disconnect');
    await turns('unavailable');
    wire.close();
    await say(desk, BOB, 'are you there?');
    await phone.got(`${BOB}@localhost`, 'are you there?');
    await comesBack(bob, BOB);
    await bob.type(`/msg ${ALICE}@localhost`);
    await bob.shows(/: are you there\?/);
    await say(bob, ALICE, 'at last');
    for (const peer of [desk, phone]) await peer.got(`${BOB}@localhost`, 'at last');
    await bob.type(`/msg ${ALICE}@localhost`);
    await bob.shows(/: are you there\?[\s\S]*: at last/);
    assert.doesNotMatch(await bob.look(), /: are you there\?[\s\S]*: are you there\?/);
    await bob.type('/win 1');
  });

  it('the server has seen none of it, and keeps it as it came', async () => {
    const wire = await client(ALICE);
    wire.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>");
    let kept = 0;
    for (;;) {
      const stanza = await wire.until(() => true);
      for (const text of texts) assert(!String(stanza).includes(text));
      if (String(stanza).includes(`<encrypted xmlns="${NS_OMEMO}"`) && String(stanza).includes('<payload>')) kept++;
      if (stanza.name === 'iq' && stanza.attrs['id'] === 'q') break;
    }
    assert.equal(kept, texts.length);
    wire.close();
  });
});
