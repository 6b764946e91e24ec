import assert from 'node:assert/strict';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { ProgramPeer } from './peer.ts';
import { befriend, LASTING_MODULES, loginAt, PASSWORD } from './people.ts';
import { ProfanityPeer } from './profanity.ts';

// Both versions of OMEMO by clients that are not ours (slixmpp with python-omemo): two people with three devices, and one with twenty.
// A digest of what belongs to the encryption shows that it comes as it was sent, whichever way it comes.

const OLD = 'eu.siacs.conversations.axolotl';
const NEW = 'urn:xmpp:omemo:2';
const P = 'http://jabber.org/protocol/pubsub';
const source = fileURLToPath(new URL('../../../test/interop/slixmpp_omemo.py', import.meta.url));

const LIST = { [OLD]: `${OLD}.devicelist`, [NEW]: `${NEW}:devices` } as const;
const bundleOf = (namespace: Namespace, id: string): string =>
  namespace === OLD ? `<items node='${OLD}.bundles:${id}'/>` : `<items node='${NEW}:bundles'><item id='${id}'/></items>`;

type Namespace = typeof OLD | typeof NEW;

/** A message as its sender has sent it. */
interface Sent {
  readonly id: string;
  readonly digest: string;
  /** For how many devices. */
  readonly keys: number;
}

describe('OMEMO with slixmpp', function () {
  this.timeout(120_000);
  let server: ServerProcess;
  const peers: ProgramPeer[] = [];
  /** All that has been said. */
  const texts: string[] = [];

  before(async () => {
    const more = Object.fromEntries(['disco', 'caps', 'pep', 'private'].map((name) => [name, {}]));
    server = await ServerProcess.create({ modules: { ...LASTING_MODULES, ...more } });
    await server.start();
  });

  after(async () => {
    await Promise.all(peers.map((peer) => peer.stop()));
    await server.remove();
  });

  /** A client with one device, which keeps its keys, or with so many. */
  async function begin(jid: string, namespaces: readonly Namespace[], devices?: number): Promise<ProgramPeer> {
    const keys = devices?.toString() ?? join(server.folder, `${jid.replace('/', '.')}.json`);
    const program = ({ c2s }: { readonly c2s: number }) => [
      ...['/usr/bin/python3', '-B', source],
      ...[jid, PASSWORD, String(c2s), namespaces.join(), keys],
    ];
    const peer = new ProgramPeer(program);
    peers.push(peer);
    await peer.start(loginAt(server, jid.split('@')[0]!));
    return peer;
  }

  /** Says something in secret; resolves once the server has taken it. */
  async function say(from: ProgramPeer, to: string, text: string): Promise<Sent> {
    const before = from.said('history').length;
    texts.push(text);
    await from.tell('send', `${to}@localhost`, text);
    await from.tell('history', `${to}@localhost`);
    while (from.said('history').length === before) await new Promise((resolve) => setTimeout(resolve, 20));
    const [id, digest, keys] = from.said('sent').at(-1)!.split(' ');
    await from.says('seen', 'history', id!, digest!);
    return { id: id!, digest: digest!, keys: Number(keys) };
  }

  /** It has come this way, in one piece, and is readable. */
  async function reads(peer: ProgramPeer, how: string, from: string, text: string, { id, digest }: Sent): Promise<void> {
    await peer.says('seen', how, id, digest);
    await peer.says('text', how, `${from}@localhost`, text);
  }

  const client = async (name: string): Promise<WireClient> => {
    const wire = await WireClient.connect(server.http);
    await wire.login(name, PASSWORD, 'look');
    return wire;
  };

  for (const [namespace, version] of [
    [OLD, 'old'],
    [NEW, 'new'],
  ] as const) {
    describe(namespace, () => {
      const alice = `alice-${version}`;
      const bob = `bob-${version}`;
      let desk: ProgramPeer;
      let phone: ProgramPeer;
      let bobs: ProgramPeer;

      before(async () => {
        texts.length = 0;
        await befriend(server, alice, bob);
        assert.equal(await (await WireClient.connect(server.http)).register(`stranger-${version}`, PASSWORD), true);
      });

      it('is published for everybody, also where a node was there already that was not', async () => {
        const wire = await client(alice);
        const list =
          namespace === OLD
            ? `<list xmlns='${OLD}'><device id='1'/></list>`
            : `<devices xmlns='${NEW}'><device id='1'/></devices>`;
        const done = await wire.ask(
          `<iq type='set'><pubsub xmlns='${P}'><publish node='${LIST[namespace]}'><item id='current'>${list}</item></publish></pubsub></iq>`,
        );
        assert.equal(done.attrs['type'], 'result', String(done));
        wire.close();
        [desk, bobs] = await Promise.all([
          begin(`${alice}@localhost/desk`, [namespace]),
          begin(`${bob}@localhost/b`, [namespace]),
        ]);
        await desk.says('reconfigures', LIST[namespace]);
        assert.deepEqual(bobs.said('reconfigures'), []);
      });

      it('is fetched by strangers: the list of devices, and a bundle with a hundred keys', async () => {
        const wire = await client(`stranger-${version}`);
        const fetch = (inner: string) =>
          wire.ask(`<iq type='get' to='${bob}@localhost'><pubsub xmlns='${P}'>${inner}</pubsub></iq>`);
        const [id] = bobs.said('device');
        assert.match(String(await fetch(`<items node='${LIST[namespace]}'/>`)), new RegExp(`<device id="${id}"`));
        const bundle = String(await fetch(bundleOf(namespace, id!)));
        assert.equal(bundle.match(namespace === OLD ? /<preKeyPublic /g : /<pk /g)?.length, 100);
        wire.close();
      });

      it('is read by the other one, both ways', async () => {
        await reads(bobs, 'live', alice, 'meet me at the crypt', await say(desk, bob, 'meet me at the crypt'));
        await reads(desk, 'live', bob, 'I shall bring a dagger', await say(bobs, alice, 'I shall bring a dagger'));
      });

      it('is read by a device that is new, of which everybody is told, and by the own other ones', async () => {
        phone = await begin(`${alice}@localhost/phone`, [namespace]);
        const ids = ['1', ...desk.said('device'), ...phone.said('device')].sort();
        for (const peer of [desk, phone, bobs]) await peer.says('devices', `${alice}@localhost`, namespace, ...ids);
        const answer = await say(bobs, alice, 'and poison');
        assert.equal(answer.keys, 2, 'there is no bundle of the one that was there before');
        await reads(desk, 'live', bob, 'and poison', answer);
        await reads(phone, 'live', bob, 'and poison', answer);
        const word = await say(phone, bob, 'good night');
        assert.equal(word.keys, 2);
        await reads(bobs, 'live', alice, 'good night', word);
        await reads(desk, 'copy', alice, 'good night', word);
      });

      it('is read by those who come online later, and from the archive', async () => {
        const ids = [desk, phone].map((peer) => peer.said('device'));
        await Promise.all([desk.stop(), phone.stop()]);
        const missed = [await say(bobs, alice, 'are you there?'), await say(bobs, alice, 'alas')] as const;
        desk = await begin(`${alice}@localhost/desk`, [namespace]);
        await reads(desk, 'late', bob, 'are you there?', missed[0]);
        await reads(desk, 'late', bob, 'alas', missed[1]);
        phone = await begin(`${alice}@localhost/phone`, [namespace]);
        await phone.tell('history', `${bob}@localhost`);
        await reads(phone, 'history', bob, 'are you there?', missed[0]);
        await reads(phone, 'history', bob, 'alas', missed[1]);
        // They have come back as what they were.
        assert.deepEqual(
          [desk, phone].map((peer) => peer.said('device')),
          ids,
        );
        await reads(phone, 'live', bob, 'at last', await say(bobs, alice, 'at last'));
      });

      it('leaves nothing to read at the server, and keeps what says that it is to be kept', async () => {
        const wire = await client(bob);
        wire.send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>");
        const kept: string[] = [];
        for (;;) {
          const stanza = await wire.until(() => true);
          if (stanza.name === 'iq' && stanza.attrs['id'] === 'q') break;
          if (String(stanza).includes(`<encrypted xmlns="${namespace}"`)) kept.push(String(stanza));
        }
        wire.close();
        assert(kept.every((stanza) => !texts.some((text) => stanza.includes(text))));
        const withText = kept.filter((stanza) => stanza.includes('<payload>'));
        assert.equal(withText.length, texts.length);
        // Those have no body, and nothing but keys.
        assert(kept.length > withText.length);
        for (const stanza of kept) {
          assert.match(stanza, /<store xmlns="urn:xmpp:hints"\/>/);
          assert.match(stanza, new RegExp(`<encryption [^>]*namespace="${namespace}"`));
        }
      });
    });
  }

  it('is for twenty devices of one account, of both versions', async () => {
    await befriend(server, 'carol', 'dave');
    const dave = await begin('dave@localhost/d', [NEW, OLD]);
    const carol = await begin('carol@localhost/c', [NEW, OLD], 20);
    const ids = [...carol.said('device')].sort();
    for (const namespace of [OLD, NEW] as const) await dave.says('devices', 'carol@localhost', namespace, ...ids);
    const word = await say(dave, 'carol', 'all of you');
    assert.equal(word.keys, 20);
    await carol.says('seen', 'live', word.id, word.digest);
    await carol.says('text', 'live', 'dave@localhost', 'all of you', '20');
    await reads(dave, 'live', 'carol', 'from the first of us', await say(carol, 'dave', 'from the first of us'));
  });

  it('is read by a client of another kind, and reads it', async () => {
    const erin = 'erin@localhost';
    await befriend(server, 'erin', 'frank');
    const screen = new ProfanityPeer();
    try {
      await screen.start(loginAt(server, 'erin'));
      await screen.type('/omemo trustmode blind');
      await screen.type('/omemo gen');
      // Only the old version is spoken by both.
      const frank = await begin('frank@localhost/f', [NEW, OLD]);
      while (!frank.said('devices').some((list) => list.startsWith(`${erin} ${OLD} `)))
        await new Promise((resolve) => setTimeout(resolve, 50));
      await say(frank, 'erin', 'do you know the apothecary?');
      await screen.got('frank@localhost', 'do you know the apothecary?');
      await screen.type('/msg frank@localhost');
      await screen.type('/omemo start frank@localhost');
      await screen.shows(/\[OMEMO\]/);
      await screen.type('he sells what kills');
      await frank.says('text', 'live', erin, 'he sells what kills');
    } finally {
      await screen.stop();
    }
  });
});
