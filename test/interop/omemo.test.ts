import assert from 'node:assert/strict';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { befriend, LASTING_MODULES, loginAt, PASSWORD } from './people.ts';
import { ProfanityPeer } from './profanity.ts';

// OMEMO between two people with three devices, by a client that is not ours (profanity, with libsignal): its keys are in PEP, and what it
// encrypts goes by carbons, offline delivery and the archive. The server never sees a text.

const NS_OMEMO = 'eu.siacs.conversations.axolotl';
const P = 'http://jabber.org/protocol/pubsub';
const run = Date.now().toString(36);
const ALICE = `alice${run}`;
const BOB = `bob${run}`;

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

  it('its devices publish their keys, and everybody may fetch them', async () => {
    await Promise.all([begin(desk, ALICE), begin(bob, BOB)]);
    await begin(phone, ALICE);
    const wire = await client(BOB);
    for (;;) {
      const list = await wire.ask(
        `<iq type='get' to='${ALICE}@localhost'><pubsub xmlns='${P}'><items node='${NS_OMEMO}.devicelist'/></pubsub></iq>`,
      );
      const devices = [...String(list).matchAll(/<device id="(\d+)"/g)].map(([, id]) => id);
      if (devices.length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        continue;
      }
      for (const id of devices) {
        const bundle = await wire.ask(
          `<iq type='get' to='${ALICE}@localhost'><pubsub xmlns='${P}'><items node='${NS_OMEMO}.bundles:${id}'/></pubsub></iq>`,
        );
        assert.match(String(bundle), /preKeyPublic/);
      }
      break;
    }
    wire.close();
  });

  it('what one says the other reads, and so does the own other device', async () => {
    await say(desk, BOB, 'meet me at the crypt');
    await bob.got(`${ALICE}@localhost`, 'meet me at the crypt');
    await phone.got(`${BOB}@localhost`, 'meet me at the crypt');
    await say(bob, ALICE, 'I shall bring a dagger');
    await desk.got(`${BOB}@localhost`, 'I shall bring a dagger');
    await phone.got(`${BOB}@localhost`, 'I shall bring a dagger');
  });

  it('the server has seen none of it, and keeps it as it came', async () => {
    const wire = await client(BOB);
    wire.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>");
    let encrypted = 0;
    for (;;) {
      const stanza = await wire.until(() => true);
      for (const text of texts) assert(!String(stanza).includes(text));
      if (String(stanza).includes(`<encrypted xmlns="${NS_OMEMO}"`)) encrypted++;
      if (stanza.name === 'iq' && stanza.attrs['id'] === 'q') break;
    }
    assert(encrypted >= 2, `${encrypted} are in the archive`);
    wire.close();
  });
});
