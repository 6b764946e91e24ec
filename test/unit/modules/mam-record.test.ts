import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import mam, { TAG } from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import { timeOf } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { ArchiveItem, ArchiveStore } from '../../../src/storage/storage.ts';
import { readStanza } from '../../../src/xml/text.ts';
import { conditionOf } from '../../support/answers.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';
import { type HostOptions, startHost, type TestHost } from '../../support/start-host.ts';

const NS_SID = 'urn:xmpp:sid:0';

describe('mam: what is archived', () => {
  let host: TestHost;
  let romeo: Probe;
  let juliet: Probe;
  let messages: ArchiveStore;

  async function open(options: HostOptions = {}): Promise<void> {
    const storage = options.storage ?? (await openStorage({ type: 'memory' }, silent));
    host = await startHost([mam, offline], { ...options, storage });
    ({ messages } = await storage.open('example.org', 'mam', { messages: mam.stores!.messages }));
    romeo = await host.online('romeo', 'orchard');
    juliet = await host.online('juliet', 'balcony');
  }
  afterEach(() => host.stop());

  const archive = async (owner: string): Promise<readonly Required<ArchiveItem>[]> => (await messages.query(owner, {})).items;
  async function say(children: string, attrs = "type='chat'", to = 'juliet@example.org'): Promise<void> {
    romeo.send(`<message to='${to}' id='m1' ${attrs}>${children}</message>`);
    await settle();
  }

  it('is the same on both sides, each with its own id, party and direction', async () => {
    await open();
    await say('<body>é 🙂 &lt;</body>');
    const [sent] = await archive('romeo');
    const [received] = await archive('juliet');
    assert.deepEqual([sent!.with, sent!.resource, sent!.tag], ['juliet@example.org', '', TAG.outgoing | TAG.conversation]);
    assert.deepEqual([received!.with, received!.resource, received!.tag], ['romeo@example.org', 'orchard', TAG.conversation]);
    assert.notEqual(sent!.id, received!.id);
    assert.equal(sent!.stanza, received!.stanza);
    assert.equal(
      received!.stanza,
      "<message xmlns='jabber:client' from='romeo@example.org/orchard' to='juliet@example.org' id='m1' type='chat'><body>é 🙂 &lt;</body></message>",
    );
    assert.equal(Math.abs(timeOf(received!.id)! - Date.now()) < 60_000, true);
  });

  it('tells the recipient the id in the recipient’s archive, and no other (XEP-0313 section 3.5)', async () => {
    await open();
    await say('<body>x</body>');
    const ids = (await juliet.receive('message')).getChildren('stanza-id', NS_SID);
    assert.deepEqual(
      ids.map(({ attrs }) => [attrs['by'], attrs['id']]),
      [['juliet@example.org', (await archive('juliet'))[0]!.id]],
    );
  });

  for (const by of [
    'juliet@example.org',
    'JULIET@Example.ORG',
    'romeo@example.org',
    'example.org',
    'room@conference.example.net',
  ]) {
    it(`lets nobody give ids in the name of others: ${by} (XEP-0359 section 5)`, async () => {
      await open();
      await say(`<body>x</body><stanza-id xmlns='${NS_SID}' by='${by}' id='forged'/><origin-id xmlns='${NS_SID}' id='own'/>`);
      const message = await juliet.receive('message');
      const forged = message.getChildren('stanza-id', NS_SID).filter(({ attrs }) => attrs['id'] === 'forged');
      // A room that is not ours may have given its own.
      const isForeign = by.startsWith('room');
      assert.equal(forged.length, isForeign ? 1 : 0);
      assert.equal((await archive('juliet'))[0]!.stanza.includes('forged'), isForeign);
      assert.equal(message.getChild('origin-id', NS_SID)?.attrs['id'], 'own');
    });
  }

  it('is known to the sender’s other devices under the id in the sender’s archive', async () => {
    await open();
    await host.online('romeo', 'garden');
    let own: string | undefined;
    host.host.hooks.messageReceived.add((env) => void (own = env.ownCopy?.child('stanza-id', NS_SID)?.attrs['id']), 1, 'test');
    await say('<body>x</body>');
    assert.equal(own, (await archive('romeo'))[0]!.id);
  });

  const HINT = (name: string): string => `<${name} xmlns='urn:xmpp:hints'/>`;
  const KEPT: readonly (readonly [what: string, children: string, tag: number])[] = [
    ['a text', '<body>x</body>', TAG.conversation],
    ['a text with a chat state', "<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>", TAG.conversation],
    ['a receipt (XEP-0184)', "<received xmlns='urn:xmpp:receipts' id='1'/>", 0],
    ['a marker (XEP-0333)', "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", 0],
    ['a correction (XEP-0308)', "<body>y</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>", 0],
    ['a reply (XEP-0461)', "<body>y</body><reply xmlns='urn:xmpp:reply:0' id='1' to='juliet@example.org'/>", TAG.conversation],
    ['a reaction (XEP-0444)', "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>👋</reaction></reactions>", 0],
    [
      'a retraction (XEP-0424)',
      "<retract xmlns='urn:xmpp:message-retract:1' id='9'/><body>/me retracted</body><fallback xmlns='urn:xmpp:fallback:0'/>",
      0,
    ],
    ['an encrypted text (XEP-0380)', "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/><x xmlns='urn:x'>…</x>", 0],
    [
      'an encrypted text (OMEMO)',
      "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/><payload>AA==</payload></encrypted><store xmlns='urn:xmpp:hints'/>",
      TAG.conversation,
    ],
    [
      'an encrypted text (OMEMO 2)',
      "<encrypted xmlns='urn:xmpp:omemo:2'><header/><payload>AA==</payload></encrypted>",
      TAG.conversation,
    ],
    ['a key without a text', "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>", 0],
    ['a call (XEP-0353)', "<propose xmlns='urn:xmpp:jingle-message:0' id='c'/>", 0],
    ['a call that was declined', "<reject xmlns='urn:xmpp:jingle-message:0' id='c'/>", 0],
    ['a call invitation (XEP-0482)', "<invite xmlns='urn:xmpp:call-invites:0'/>", 0],
    ['an invitation to a room (XEP-0249)', "<x xmlns='jabber:x:conference' jid='room@conference.example.net'/>", 0],
    ['what its sender wants to be kept (XEP-0334)', `<note xmlns='urn:x'/>${HINT('store')}`, 0],
  ];
  for (const [what, children, tag] of KEPT) {
    it(`is ${what}, unharmed`, async () => {
      await open();
      await say(children);
      const [item] = await archive('juliet');
      assert.equal(item?.tag, tag);
      const kept = readStanza(item!.stanza).element;
      const given = await juliet.receive('message');
      assert.equal(inner(kept), children.replaceAll('"', "'"));
      assert.equal(inner(given).startsWith(inner(kept)), true);
    });
  }

  for (const [what, children, attrs] of [
    ['typing (XEP-0085)', "<composing xmlns='http://jabber.org/protocol/chatstates'/>", "type='chat'"],
    ['a request for a receipt alone', "<request xmlns='urn:xmpp:receipts'/>", "type='chat'"],
    ['ringing, which is over when it is read', "<ringing xmlns='urn:xmpp:jingle-message:0' id='c'/>", "type='chat'"],
    ['a headline', '<body>x</body>', "type='headline'"],
    ['an error', '<body>x</body>', "type='error'"],
    ['a notification', "<event xmlns='http://jabber.org/protocol/pubsub#event'/>", ''],
    ['what its sender wants nowhere', `<body>x</body>${HINT('no-store')}`, "type='chat'"],
    ['what its sender wants nowhere for long', `<body>x</body>${HINT('no-permanent-store')}`, "type='chat'"],
  ] as const) {
    it(`is not ${what}`, async () => {
      await open();
      await say(children, attrs);
      assert.deepEqual([await archive('romeo'), await archive('juliet')], [[], []]);
    });
  }

  it('is what an account writes to itself, once', async () => {
    await open();
    await say('<body>note</body>', "type='chat'", 'romeo@example.org');
    const items = await archive('romeo');
    assert.deepEqual(
      items.map(({ with: other, tag }) => [other, tag]),
      [['romeo@example.org', TAG.outgoing | TAG.conversation]],
    );
  });

  it('is nothing of accounts that do not exist, and the sender is told', async () => {
    await open();
    await say('<body>x</body>', "type='chat'", 'nobody@example.org');
    assert.equal(conditionOf(await romeo.receive('message')), 'service-unavailable');
    assert.deepEqual(await messages.owners(), ['romeo']);
  });

  it('is nothing that bounces: a message to a client that is not there (RFC 6121 section 8.5.3.2.1)', async () => {
    await open();
    await say('<body>x</body>', '', 'juliet@example.org/gone');
    assert.equal(conditionOf(await romeo.receive('message')), 'service-unavailable');
    assert.deepEqual(await archive('juliet'), []);
  });

  it('is what waits for who is away, and comes with its id and the time it came', async () => {
    await open();
    juliet.leave();
    await settle();
    await say('<body>later</body>');
    const [item] = await archive('juliet');
    await romeo.quiet();
    const again = await host.login('juliet', 'garden');
    again.send('<presence/>');
    const message = await again.receive('message');
    assert.deepEqual(message.getChild('stanza-id', NS_SID)?.attrs, { xmlns: NS_SID, by: 'juliet@example.org', id: item!.id });
    assert.equal(message.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp'], new Date(timeOf(item!.id)!).toISOString());
  });

  it('is nothing of guests', async () => {
    await open();
    const guest = await host.loginAsGuest();
    guest.send('<presence/>');
    await settle();
    guest.send("<message to='juliet@example.org' type='chat'><body>x</body></message>");
    await settle();
    await say('<body>y</body>', "type='chat'", guest.session.jid.bare);
    assert.deepEqual(await messages.owners(), ['juliet', 'romeo']);
  });

  it('is what is said in rooms only where the config says so', async () => {
    await open();
    await say('<body>x</body>', "type='groupchat'", 'room@conference.example.net');
    assert.deepEqual(await archive('romeo'), []);
    await host.stop();
    await open({ modules: { mam: { groupchat: true } } });
    await say('<body>x</body>', "type='groupchat'", 'room@conference.example.net');
    assert.equal((await archive('romeo'))[0]?.tag, TAG.outgoing | TAG.conversation | TAG.groupchat);
  });

  it('is there before anybody sees it', async () => {
    const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    await open({ storage: slow.storage });
    slow.hold();
    await say('<body>1</body>');
    await say("<composing xmlns='http://jabber.org/protocol/chatstates'/>");
    await juliet.quiet();
    slow.release();
    // What is not stored does not overtake what is.
    assert.equal((await juliet.receive('message')).getChildText('body'), '1');
    assert.notEqual((await juliet.receive('message')).getChild('composing'), undefined);
  });

  for (const [what, fail, condition] of [['a full disk', (slow: SlowStorage) => slow.fail(), 'resource-constraint']] as const) {
    it(`is nothing when there is ${what}: the sender is told, and nobody sees it`, async () => {
      const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
      await open({ storage: slow.storage, log: silent });
      fail(slow);
      await say('<body>1</body>');
      assert.equal(conditionOf(await romeo.receive('message')), condition);
      await juliet.quiet();
      slow.release();
      await say('<body>2</body>');
      assert.equal((await juliet.receive('message')).getChildText('body'), '2');
      assert.deepEqual((await archive('juliet')).length, 1);
    });
  }

  it('is nobody else’s to read, whether there is such an account or not (XEP-0313 section 8.1)', async () => {
    await open();
    for (const to of ['juliet@example.org', 'nobody@example.org']) {
      for (const payload of [
        "<query xmlns='urn:xmpp:mam:2'/>",
        "<prefs xmlns='urn:xmpp:mam:2'/>",
        "<metadata xmlns='urn:xmpp:mam:2'/>",
      ]) {
        for (const type of ['get', 'set'])
          assert.equal(conditionOf(await romeo.ask(`<iq type='${type}' to='${to}'>${payload}</iq>`)), 'forbidden');
      }
    }
  });
});

function inner(element: Element): string {
  return element.children.map(String).join('').replaceAll('"', "'").replaceAll(" xmlns='jabber:client'", '');
}
