// What end-to-end encryption takes (XEP-0384, XEP-0380 and XEP-0334): what is encrypted comes byte for byte as it was sent, by whichever way,
// and keys are there for everybody, as many as there are.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import carbons from '../../../modules/carbons/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import { subscribe } from '../../support/answers.ts';
import { read } from '../../support/fake-transport.ts';
import { ask, idsAt, listen, PEP_MODULES, publish, set, told } from '../../support/pep-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { form, publication } from '../../support/pubsub-scene.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const JULIET = 'juliet@example.org';
const ROMEO = 'romeo@example.org';
const OLD = 'eu.siacs.conversations.axolotl';
const NEW = 'urn:xmpp:omemo:2';
const DEVICES = 20;

const base64 = (bytes: number): string => randomBytes(bytes).toString('base64');
/** As some clients write it, in lines. */
const wrapped = (bytes: number): string => base64(bytes).replace(/.{76}/g, '$&\n');

const keysFor = (name: string, more: string): string =>
  Array.from({ length: DEVICES }, (_, i) => `<key ${i % 2 ? more : ''} rid="${1000 + i}">${base64(40)}</key>`).join(name);

/** What clients of both kinds send, written in all the ways that mean the same. */
const MESSAGES: readonly string[] = [
  `<body>I sent you an OMEMO encrypted message but your client doesn&apos;t seem to support that.</body>` +
    `<encrypted xmlns='${OLD}'><header sid='31415'>${keysFor('', "prekey='true'")}<iv>${base64(12)}</iv></header>` +
    `<payload>${base64(3000)}</payload></encrypted><store xmlns='urn:xmpp:hints'/>` +
    `<encryption xmlns="urn:xmpp:eme:0"  name="OMEMO" namespace='${OLD}' />`,
  `\n  <o:encrypted xmlns:o='${NEW}'>\n    <o:header sid='27182'><o:keys jid='${ROMEO}'>\n` +
    `<o:key rid='12321' kex='true'>${wrapped(300)}</o:key></o:keys><o:keys jid="${JULIET}"></o:keys></o:header>` +
    `\n    <o:payload>\n      ${wrapped(9000)}\n    </o:payload>\n  </o:encrypted>\n  <store xmlns='urn:xmpp:hints'></store>` +
    `<encryption xmlns='urn:xmpp:eme:0' namespace='${NEW}'/>`,
  // Keys and nothing else, without a body (section 5.5.3 of XEP-0384).
  `<encrypted xmlns='${NEW}'><header sid='1'><keys jid='${ROMEO}'><key rid='2'>${base64(40)}</key></keys></header></encrypted><store xmlns='urn:xmpp:hints'/>`,
];

/** Keeps what a client is sent, as it is sent. */
function tap({ transport }: Probe): string[] {
  const wire: string[] = [];
  const { onSend } = transport;
  transport.onSend = (text) => {
    wire.push(text);
    onSend(text);
  };
  return wire;
}

const messages = (probe: Probe): readonly string[] =>
  probe
    .take()
    .filter(({ name }) => name === 'message')
    .map(String);

/** What is in a message, each child as a parser sees it, without what the server adds. */
function contentOf(message: string): readonly string[] {
  const added = new Set(['stanza-id', 'delay']);
  const children = read(message).children.filter((child) => typeof child === 'string' || !added.has(child.name));
  return children.map(String);
}

describe('OMEMO', () => {
  let host: TestHost;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([...PEP_MODULES, carbons, mam, offline], { modules: { offline: { patience: 0 } } });
    juliet = await host.online('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  const devicesOf = (namespace: string, ids: readonly number[]): string => {
    const list = ids.map((id) => `<device id='${id}'/>`).join('');
    return namespace === OLD ? `<list xmlns='${OLD}'>${list}</list>` : `<devices xmlns='${NEW}'>${list}</devices>`;
  };
  const publishOpenly = (probe: Probe, request: string, fields = {}) =>
    set(probe, `${request}<publish-options>${form('publish-options', { access_model: 'open', ...fields })}</publish-options>`);

  for (const [i, inner] of MESSAGES.entries()) {
    it(`comes as it was sent: live, as a copy, later, and from the archive (${i + 1})`, async () => {
      await host.host.accounts.create('romeo', 'secret');
      const phone = await host.online('juliet', 'phone');
      await phone.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
      const copies = tap(phone);
      const send = () => juliet.send(`<message xmlns='jabber:client' type='chat' id='m' to='${ROMEO}'>${inner}</message>`);
      send();
      await settle();
      assert.equal(copies.length, 1);
      assert(copies[0]!.includes(inner), copies[0]);

      const romeo = await host.login('romeo', 'orchard');
      const wire = tap(romeo);
      romeo.send('<presence/>');
      await settle();
      const late = wire.filter((text) => text.startsWith('<message'));
      assert.equal(late.length, 1, 'offline');
      // Written anew with what says when it was sent, but every character in it is the same.
      assert.deepEqual(contentOf(late[0]!), contentOf(`<message>${inner}</message>`));

      wire.length = 0;
      send();
      await settle();
      assert.equal(wire.length, 1, 'live');
      assert(wire[0]!.includes(inner), wire[0]);

      for (const probe of [romeo, juliet]) {
        const answers = probe === romeo ? wire : tap(probe);
        answers.length = 0;
        await probe.ask("<iq type='set'><query xmlns='urn:xmpp:mam:2'/></iq>");
        const results = answers.filter((text) => text.startsWith('<message'));
        assert.equal(results.length, 2, 'archive');
        for (const text of results) assert(text.includes(inner), text);
      }
    });
  }

  it('has a bundle of a hundred keys for each of twenty devices, which everybody fetches by its id', async () => {
    const bundles = new Map<string, string>();
    for (let device = 1; device <= DEVICES; device++) {
      const keys = Array.from({ length: 100 }, (_, i) => `<pk id="${i + 1}">${base64(32)}</pk>`).join('');
      const bundle = `<bundle xmlns="${NEW}"><spk id="1">${base64(32)}</spk><spks>${base64(64)}</spks><ik>${base64(32)}</ik><prekeys>${keys}</prekeys></bundle>`;
      bundles.set(String(device), bundle);
      await publishOpenly(juliet, publication(`${NEW}:bundles`, String(device), bundle), { max_items: 'max' });
    }
    const stranger = await host.online('stranger');
    assert.deepEqual(await idsAt(stranger, JULIET, `${NEW}:bundles`), [...bundles.keys()]);
    for (const [id, bundle] of bundles) {
      const found = await ask(stranger, 'get', `<items node='${NEW}:bundles'><item id='${id}'/></items>`, { to: JULIET });
      const [item, second] = found.getChild('pubsub')!.getChild('items')!.getChildElements();
      assert.equal(second, undefined);
      assert.equal(String(item!.getChildElements()[0]), bundle);
    }
    // A device that is given up takes its keys along.
    await set(juliet, `<retract node='${NEW}:bundles'><item id='7'/></retract>`);
    assert(!(await idsAt(stranger, JULIET, `${NEW}:bundles`)).includes('7'));
  });

  for (const namespace of [OLD, NEW]) {
    const node = namespace === OLD ? `${OLD}.devicelist` : `${NEW}:devices`;

    it(`tells contacts and the own other devices of each change of a list of devices: ${namespace}`, async () => {
      const romeo = await host.online('romeo', 'orchard');
      await subscribe(romeo, juliet);
      const phone = await host.login('juliet', 'phone');
      for (const probe of [romeo, phone]) await listen(probe, node);
      const ids: number[] = [];
      for (let device = 1; device <= DEVICES; device++) {
        ids.push(device);
        await publishOpenly(juliet, publication(node, 'current', devicesOf(namespace, ids)));
      }
      for (const probe of [romeo, phone]) {
        await settle();
        const lists = messages(probe).map((message) => message.match(/<device /g)?.length);
        assert.deepEqual(lists, ids);
      }
      // Whoever comes later has the last one only.
      const late = await host.login('romeo', 'late');
      assert.deepEqual(await listen(late, node), [`juliet ${node} *current`]);
    });
  }

  it('does without presence: who has subscribed is told, and nobody else', async () => {
    const node = `${NEW}:devices`;
    await publishOpenly(juliet, publication(node, 'current', devicesOf(NEW, [1])));
    const [subscriber, stranger] = [await host.online('subscriber', 'r'), await host.online('stranger', 'r')];
    for (const probe of [subscriber, stranger]) assert.deepEqual(await listen(probe, node), []);
    await set(subscriber, `<subscribe node='${node}' jid='subscriber@example.org'/>`, { to: JULIET });
    assert.deepEqual(await told(subscriber), [`juliet ${node} *current`]);
    await publishOpenly(juliet, publication(node, 'current', devicesOf(NEW, [1, 2])));
    assert.deepEqual([await told(subscriber), await told(stranger)], [[`juliet ${node} +current`], []]);
  });

  it('keeps two devices that announce themselves at the same moment apart: the last one says what holds, to both', async () => {
    const node = `${NEW}:devices`;
    const phone = await host.login('juliet', 'phone');
    for (const probe of [juliet, phone]) await listen(probe, node);
    await Promise.all([
      publishOpenly(juliet, publication(node, 'current', devicesOf(NEW, [1]))),
      publishOpenly(phone, publication(node, 'current', devicesOf(NEW, [2]))),
    ]);
    await settle();
    const seen = [juliet, phone].map((probe) => messages(probe).map((message) => /<device id="(\d+)"/.exec(message)?.[1]));
    assert.deepEqual(seen[0], seen[1]);
    assert.deepEqual([...seen[0]!].sort(), ['1', '2']);
    const stranger = await host.online('stranger');
    const found = String(await ask(stranger, 'get', `<items node='${node}'/>`, { to: JULIET }));
    assert.equal(/<device id="(\d+)"/.exec(found)?.[1], seen[0]!.at(-1));
  });

  it('is published as its options say, or not at all', async () => {
    await publish(juliet, `${NEW}:bundles`, '1');
    for (const fields of [{ max_items: 'max' }, { access_model: 'open' }]) {
      const options = `<publish-options>${form('publish-options', fields)}</publish-options>`;
      const refused = await ask(juliet, 'set', publication(`${NEW}:bundles`, '2') + options);
      assert.match(String(refused), /<precondition-not-met xmlns="http:\/\/jabber.org\/protocol\/pubsub#errors"\/>/);
    }
    assert.deepEqual(await idsAt(juliet, JULIET, `${NEW}:bundles`), ['1']);
  });
});
