// Requests that are none, or ask too much, at the service and at an account: each is refused with what XEP-0060 has for it, and nothing comes
// of it.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { settle } from '../../support/probe.ts';
import { Diary } from '../../support/pubsub-diary.ts';
import { NS, outcomeOf } from '../../support/pubsub-people.ts';
import { form } from '../../support/pubsub-scene.ts';

const BAD = 'modify bad-request';
const NO_NODE = `${BAD} nodeid-required`;
const NO_ITEM = `${BAD} item-required`;
const NO_JID = `${BAD} jid-required`;
const NOT_FOUND = 'cancel item-not-found';
const UNAVAILABLE = 'cancel service-unavailable';
const PAYLOAD = "<x xmlns='urn:x'/>";
const OWN = 'owner@example.org';

const times = (count: number, write: (i: number) => string) => Array.from({ length: count }, (_, i) => write(i)).join('');
const nested = (depth: number) => `${'<a>'.repeat(depth)}${'</a>'.repeat(depth)}`;
const affiliation = (attrs: string) => `<affiliations node='diary'><affiliation ${attrs}/></affiliations>`;
const subscription = (attrs: string) => `<subscriptions node='diary'><subscription ${attrs}/></subscriptions>`;
const options = (inner: string, attrs = `jid='${OWN}'`) => `<options node='diary' ${attrs}>${inner}</options>`;
const chosen = form('subscribe_options', { deliver: '1' });
const rsm = (inner: string) => `<items node='diary'/><set xmlns='http://jabber.org/protocol/rsm'>${inner}</set>`;

/** What asks about a node, but for its name. */
const ABOUT: readonly (readonly ['get' | 'set', '' | '#owner', (node: string) => string])[] = [
  ['get', '', (node) => `<items ${node}/>`],
  ['get', '', (node) => `<options ${node} jid='${OWN}'/>`],
  ['set', '', (node) => `<publish ${node}><item>${PAYLOAD}</item></publish>`],
  ['set', '', (node) => `<retract ${node}><item id='1'/></retract>`],
  ['set', '', (node) => `<subscribe ${node} jid='${OWN}'/>`],
  ['set', '', (node) => `<unsubscribe ${node} jid='${OWN}'/>`],
  ['set', '', (node) => `<options ${node} jid='${OWN}'>${chosen}</options>`],
  ['get', '#owner', (node) => `<configure ${node}/>`],
  ['set', '#owner', (node) => `<configure ${node}>${form('node_config', { title: 'x' })}</configure>`],
  ['set', '#owner', (node) => `<delete ${node}/>`],
  ['set', '#owner', (node) => `<purge ${node}/>`],
  ['get', '#owner', (node) => `<affiliations ${node}/>`],
  ['set', '#owner', (node) => `<affiliations ${node}/>`],
  ['get', '#owner', (node) => `<subscriptions ${node}/>`],
  ['set', '#owner', (node) => `<subscriptions ${node}/>`],
];

/** The type of the IQ, the namespace behind that of the protocol, what is in `<pubsub/>`, and what is answered. */
type Row = readonly ['get' | 'set', string, string, string];

const TABLE: Readonly<Record<string, readonly Row[]>> = {
  'what is no request': [
    ['set', '', '', BAD],
    ['get', '#owner', '', BAD],
    ['get', '', 'text', BAD],
    ['set', '', "<dance node='diary'/>", BAD],
    ['set', '', "<hasOwnProperty node='diary'/>", BAD],
    ['get', '', "<__proto__ node='diary'/>", BAD],
    ['set', '#owner', "<collection node='diary'/>", 'cancel feature-not-implemented unsupported'],
    ['get', '', "<publish node='diary'><item id='1'/></publish>", BAD],
    ['set', '', "<items node='diary'/>", BAD],
    ['set', '', "<delete node='diary'/>", BAD],
    ['set', '', "<configure node='diary'/>", BAD],
    ['set', '#owner', "<create node='other'/>", BAD],
    ['set', '#owner', `<publish node='diary'><item>${PAYLOAD}</item></publish>`, BAD],
  ],
  'what is of another namespace': [
    ['set', '#event', "<items node='diary'/>", UNAVAILABLE],
    ['set', '#errors', "<purge node='diary'/>", UNAVAILABLE],
    ['get', '', "<items xmlns='urn:x' node='diary'/>", BAD],
    ['set', '', `<publish xmlns='urn:x' node='diary'><item xmlns='${NS}' id='1'>${PAYLOAD}</item></publish>`, BAD],
    ['set', '#owner', `<purge xmlns='${NS}' node='diary'/>`, BAD],
    ['set', '', `<purge xmlns='${NS}#owner' node='diary'/>`, BAD],
    ['set', '', `<publish node='diary'><item xmlns='urn:x' id='1'>${PAYLOAD}</item></publish>`, NO_ITEM],
    ['set', '', "<retract node='diary'><item xmlns='urn:x' id='1'/></retract>", NO_ITEM],
    ['set', '#owner', `<configure node='diary'><x xmlns='urn:x' type='submit'/></configure>`, BAD],
  ],
  'several requests at once': [
    [
      'set',
      '',
      `<publish node='diary'><item id='1'>${PAYLOAD}</item></publish><retract node='diary'><item id='2'/></retract>`,
      BAD,
    ],
    ['get', '', "<items node='diary'/><items node='diary'/>", BAD],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><unsubscribe node='diary' jid='${OWN}'/>`, BAD],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><subscribe node='diary' jid='${OWN}/x'/>`, BAD],
    ['set', '', `<create node='one'/><create node='two'/>`, BAD],
    ['set', '', `<create node='one'/><subscribe node='one' jid='${OWN}'/>`, BAD],
    ['set', '#owner', "<purge node='diary'/><delete node='diary'/>", BAD],
    ['set', '#owner', "<dance/><purge node='diary'/><delete node='diary'/>", BAD],
  ],
  'what goes with a request, and is in the wrong place': [
    ['set', '', `<options>${chosen}</options><subscribe node='diary' jid='${OWN}'/>`, BAD],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><options node='diary'>${chosen}</options>`, BAD],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><options jid='${OWN}'>${chosen}</options>`, BAD],
    ['set', '', `<configure>${form('node_config', {})}</configure><create node='other'/>`, BAD],
    ['set', '', `<create node='other'/><configure node='other'>${form('node_config', {})}</configure>`, BAD],
    ['set', '', `<publish node='diary'><item id='1'>${PAYLOAD}</item></publish><publish-options/>`, BAD],
  ],
  'what is published': [
    ['set', '', "<publish node='diary'/>", NO_ITEM],
    ['set', '', "<publish node='diary'>text</publish>", NO_ITEM],
    ['set', '', `<publish node='diary'><item id='1'>${PAYLOAD}</item><item id='2'>${PAYLOAD}</item></publish>`, BAD],
    ['set', '', "<publish node='diary'><item id='1'/></publish>", `${BAD} payload-required`],
    ['set', '', "<publish node='diary'><item id='1'>text, and nothing else</item></publish>", `${BAD} payload-required`],
    ['set', '', `<publish node='diary'><item id='1'>${PAYLOAD}${PAYLOAD}</item></publish>`, `${BAD} invalid-payload`],
    ['set', '', `<publish node='diary'><item id='${'x'.repeat(1024)}'>${PAYLOAD}</item></publish>`, 'modify not-acceptable'],
    [
      'set',
      '',
      `<publish node='diary'><item id='1'><x xmlns='urn:x'>${'y'.repeat(2000)}</x></item></publish>`,
      'modify not-acceptable payload-too-big',
    ],
  ],
  'what is retracted': [
    ['set', '', "<retract node='diary'/>", NO_ITEM],
    ['set', '', "<retract node='diary'>1</retract>", NO_ITEM],
    ['set', '', "<retract node='diary'><item/></retract>", NO_ITEM],
    ['set', '', "<retract node='diary'><item id=''/></retract>", NO_ITEM],
    ['set', '', "<retract node='diary'><item id='1'/><item/></retract>", NO_ITEM],
    ['set', '', "<retract node='diary'><item id='nothing'/></retract>", NOT_FOUND],
    ['set', '', "<retract node='diary'><item id='1'/><item id='nothing'/></retract>", NOT_FOUND],
    ['set', '', `<retract node='diary'>${times(100, (i) => `<item id='${i}'/>`)}</retract>`, NOT_FOUND],
    ['set', '', `<retract node='diary'>${times(1000, (i) => `<item id='${i}'/>`)}</retract>`, 'modify policy-violation'],
    ['set', '', `<retract node='diary'>${times(1000, () => "<item id='1'/>")}</retract>`, 'modify policy-violation'],
  ],
  'what is read': [
    ['get', '', "<items node='diary'><item/></items>", NO_ITEM],
    ['get', '', "<items node='diary'><item id=''/></items>", NO_ITEM],
    ...['', '0', '-1', '1.5', '0x1', 'all', '1'.repeat(30)].map(
      (max): Row => ['get', '', `<items node='diary' max_items='${max}'/>`, BAD],
    ),
    ['get', '', rsm('<max>-1</max>'), BAD],
    ['get', '', rsm('<max>many</max>'), BAD],
    ['get', '', rsm('<index>1</index>'), 'cancel feature-not-implemented'],
    ['get', '', rsm('<after>nothing</after>'), NOT_FOUND],
    ['get', '', rsm('<before>nothing</before>'), NOT_FOUND],
  ],
  'who subscribes': [
    ['set', '', "<subscribe node='diary'/>", NO_JID],
    ['set', '', "<unsubscribe node='diary'/>", NO_JID],
    ['get', '', "<options node='diary'/>", NO_JID],
    ['set', '', options(chosen, ''), NO_JID],
    ...['', '@', 'owner@', '@example.org', `${OWN}/`, 'owner@exa mple.org', 'example.org', `x${OWN}`, 'owner@example.net'].map(
      (jid): Row => ['set', '', `<subscribe node='diary' jid='${jid}'/>`, `${BAD} invalid-jid`],
    ),
    ['set', '', "<unsubscribe node='diary' jid='@'/>", `${BAD} invalid-jid`],
    ['set', '', "<unsubscribe node='diary' jid='reader@example.org'/>", 'auth forbidden'],
    ['get', '', "<options node='diary' jid='reader@example.org'/>", 'auth forbidden'],
    ['set', '', options(chosen, "jid='reader@example.org'"), 'auth forbidden'],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><options/>`, 'ok'],
    ['set', '', `<subscribe node='diary' jid='${OWN}'/><options><x xmlns='urn:x'/></options>`, `${BAD} invalid-options`],
    ['set', '', options(''), `${BAD} invalid-options`],
    ['set', '', options("<x xmlns='urn:x'/>"), `${BAD} invalid-options`],
    ['set', '', options(form('node_config', { deliver: '1' })), `${BAD} invalid-options`],
    ['set', '', options(form('subscribe_options', { deliver: 'yes' })), `${BAD} invalid-options`],
    ['set', '', options(form('subscribe_options', { expire: 'tomorrow' })), `${BAD} invalid-options`],
    ['set', '', options(form('subscribe_options', { 'show-values': ['online', 'asleep'] })), `${BAD} invalid-options`],
    ['set', '', options(chosen, `jid='${OWN}' subid='wrong'`), 'modify not-acceptable invalid-subid'],
    ['get', '', options('', `jid='${OWN}' subid=''`), 'modify not-acceptable invalid-subid'],
    ['get', '', "<items node='diary' subid='wrong'/>", 'modify not-acceptable invalid-subid'],
    ['set', '', `<unsubscribe node='diary' jid='${OWN}' subid='wrong'/>`, 'modify not-acceptable invalid-subid'],
    ['set', '', `<unsubscribe node='diary' jid='${OWN}'/>`, 'ok'],
    ['set', '', `<unsubscribe node='diary' jid='${OWN}'/>`, 'cancel unexpected-request not-subscribed'],
  ],
  'who may what': [
    ['set', '#owner', affiliation("affiliation='member'"), NO_JID],
    ['set', '#owner', affiliation("jid='@' affiliation='member'"), `${BAD} invalid-jid`],
    ['set', '#owner', affiliation("jid='x@example.org' affiliation='king'"), BAD],
    ['set', '#owner', affiliation("jid='x@example.org' affiliation=''"), BAD],
    ['set', '#owner', affiliation("jid='x@example.org' affiliation='__proto__'"), BAD],
    ['set', '#owner', affiliation("jid='x@example.org'"), 'ok'],
    ['set', '#owner', affiliation(`jid='${OWN}' affiliation='none'`), 'modify not-acceptable'],
    ['set', '#owner', affiliation(`jid='${OWN}/x' affiliation='outcast'`), 'modify not-acceptable'],
    [
      'set',
      '#owner',
      `<affiliations node='diary'>${times(2, () => "<affiliation jid='x@example.org' affiliation='member'/>")}</affiliations>`,
      BAD,
    ],
    [
      'set',
      '#owner',
      `<affiliations node='diary'>${times(1001, (i) => `<affiliation jid='x${i}@example.org' affiliation='member'/>`)}</affiliations>`,
      'modify policy-violation',
    ],
    ['set', '#owner', subscription("subscription='subscribed'"), NO_JID],
    ['set', '#owner', subscription("jid='@' subscription='subscribed'"), `${BAD} invalid-jid`],
    // Nobody is made to hear of what they have not asked for.
    ['set', '#owner', subscription("jid='x@example.org' subscription='subscribed'"), 'modify not-acceptable'],
    ['set', '#owner', subscription("jid='reader@example.org' subscription='pending'"), 'modify not-acceptable'],
    ['set', '#owner', subscription("jid='reader@example.org' subscription=''"), 'modify not-acceptable'],
    ['set', '#owner', subscription("jid='reader@example.org' subscription='none' subid='wrong'"), 'modify not-acceptable'],
    ['set', '#owner', subscription("jid='x@example.org' subscription='none'"), 'ok'],
    ['set', '#owner', subscription("jid='reader@example.org'"), 'ok'],
  ],
  'how a node is': [
    ['set', '#owner', "<configure node='diary'/>", BAD],
    ['set', '#owner', "<configure node='diary'><x xmlns='jabber:x:data' type='cancel'/></configure>", 'ok'],
    ['get', '#owner', "<default type='collection'/>", 'cancel feature-not-implemented unsupported'],
    ['get', '#owner', "<default type='tree'/>", 'modify not-acceptable'],
    ['set', '', "<create node='diary'/>", 'cancel conflict'],
    ['set', '', `<create node='${'x'.repeat(1024)}'/>`, 'modify not-acceptable'],
    ['set', '#owner', `<delete node='diary'><redirect uri='${'x'.repeat(1024)}'/></delete>`, 'modify not-acceptable'],
  ],
};

for (const at of ['service', 'account'] as const) {
  describe(`pubsub: what is refused, at ${at === 'service' ? 'the service' : 'an account'}`, () => {
    let diary: Diary;
    before(async () => {
      diary = await Diary.open(at);
    });
    after(() => diary.stop());

    for (const [what, rows] of Object.entries(TABLE)) {
      it(what, async () => {
        const before = await diary.read();
        for (const [type, ns, inner, expected] of rows) {
          const reply = await diary.ask(diary.owner, type, inner, ns);
          assert.equal(outcomeOf(reply), expected, inner.slice(0, 300));
        }
        assert.equal(await diary.read(), before);
      });
    }

    it('whatever names no node, none that there is, or too long a one', async () => {
      const before = await diary.read();
      for (const [type, ns, write] of ABOUT) {
        for (const [node, expected] of [
          ['', NO_NODE],
          ["node=''", NO_NODE],
          ["xmlns:a='urn:a' a:node='diary'", NO_NODE],
          ["node='nothing'", NOT_FOUND],
          ["node='Diary'", NOT_FOUND],
          ["node=' diary'", NOT_FOUND],
          ["node='__proto__'", NOT_FOUND],
          [`node='${'x'.repeat(1024)}'`, 'modify not-acceptable'],
        ] as const) {
          const inner = write(node);
          // Publishing makes a node of each name there can be.
          if (expected === NOT_FOUND && inner.startsWith('<publish')) continue;
          assert.equal(outcomeOf(await diary.ask(diary.owner, type, inner, ns)), expected, inner);
        }
      }
      assert.equal(await diary.read(), before);
    });

    it('whatever names two nodes, or nothing of what is known, is not taken for something else', async () => {
      const before = await diary.read();
      const payloads = [`<pubsub xmlns='${NS}'/><pubsub xmlns='${NS}'/>`, '', 'text', `<x:pubsub xmlns:x='${NS}'/>`];
      for (const payload of payloads) {
        for (const type of ['get', 'set']) {
          assert.equal(outcomeOf(await diary.owner.ask(`<iq type='${type}' to='${diary.to}'>${payload}</iq>`)), BAD, payload);
        }
      }
      assert.equal(await diary.read(), before);
    });

    describe('is not', () => {
      const id = 'odd <&>\'"\u{1F3AD} id';
      const quoted = id.replace(/[&<>'"]/g, (char) => `&#${char.codePointAt(0)};`);
      afterEach(async () => {
        const reply = await diary.ask(diary.owner, 'set', `<retract node='diary'><item id='${quoted}'/></retract>`);
        assert.equal(outcomeOf(reply), 'ok');
      });

      /** What is read of what was published, by somebody else, who has no prefixes but their own. */
      async function publish(payload: string, around = ''): Promise<Element> {
        const inner = `<publish node='diary'><item id='${quoted}'>${payload}</item></publish>`;
        const iq = `<iq type='set' to='${diary.to}' ${around}><pubsub xmlns='${NS}'>${inner}</pubsub></iq>`;
        assert.equal(outcomeOf(await diary.owner.ask(iq)), 'ok', payload);
        const reply = await diary.ask(diary.member, 'get', `<items node='diary'><item id='${quoted}'/></items>`);
        const [item, ...others] = reply.getChild('pubsub')!.getChild('items')!.getChildElements();
        assert.deepEqual([item!.attrs['id'], others.length, item!.children.length], [id, 0, 1]);
        return item!.getChildElements()[0]!;
      }

      it('a payload with prefixes that were declared around it', async () => {
        const payload = await publish("<p:a q:b='1'><p:c/><d/></p:a>", "xmlns:p='urn:p' xmlns:q='urn:q'");
        assert.deepEqual([payload.getName(), payload.getNS()], ['a', 'urn:p']);
        const [c, d] = payload.getChildElements();
        assert.deepEqual([c!.getName(), c!.getNS(), d!.getName(), d!.getNS()], ['c', 'urn:p', 'd', NS]);
        assert.match(String(payload), /"urn:q"|'urn:q'/);
      });

      it('a payload of the namespace around it', async () => {
        const payload = await publish("<item id='1'><retract id='2'/></item>");
        assert.deepEqual([payload.getName(), payload.getNS(), payload.getChildElements()[0]!.getNS()], ['item', NS, NS]);
      });

      it('a payload that is deep', async () => {
        let depth = 0;
        for (let at: Element | undefined = await publish(nested(50)); at; at = at.getChildElements()[0]) depth++;
        assert.equal(depth, 50);
      });

      it('a payload with text around it, which is dropped, or with CDATA, which is text', async () => {
        const payload = await publish("text<x xmlns='urn:x'><![CDATA[<b>&amp;</b>]]></x>text");
        assert.equal(payload.getText(), '<b>&amp;</b>');
      });
    });

    for (const [what, payload] of Object.entries({
      comments: '<!-- secret -->',
      'processing instructions': '<?php phpinfo() ?>',
      'a document type': '<!DOCTYPE x [<!ENTITY a "b">]>',
      entities: '<x>&a;</x>',
      'prefixes that nobody has declared': '<p:x/>',
      'more depth than there may be': nested(5000),
    })) {
      it(`whoever sends ${what} is cut off`, async () => {
        const before = await diary.read();
        const probe = await diary.host.online('owner', 'vandal');
        probe.send(
          diary.iq('set', `<publish node='diary'><item id='1'>${payload}</item></publish>`).replace('<iq', "<iq id='v'"),
        );
        await settle();
        assert(probe.session.isClosed);
        assert.equal(await diary.read(), before);
      });
    }
  });
}
