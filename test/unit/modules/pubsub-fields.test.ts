// Every option of a node with every kind of value, in each of the ways there are to set it (XEP-0060 sections 7.1.5, 8.1.3, 8.2 and 16.4.4).
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { FIELDS } from '../../../modules/pubsub/config.ts';
import type { Probe } from '../../support/probe.ts';
import { outcomeOf } from '../../support/pubsub-people.ts';
import { ask, form, get, PubSubScene, publication, set } from '../../support/pubsub-scene.ts';

/** Values of one field; each is a list, as a field has any number of them. */
interface Values {
  /** Taken, and shown as this where that is not what was sent. */
  readonly good: readonly (readonly string[] | { readonly sent: readonly string[]; readonly shown: readonly string[] })[];
  readonly bad: readonly (readonly string[])[];
}

const LONG = 'x'.repeat(1024);
const many = (count: number) => Array.from({ length: count }, (_, i) => `no${i}@example.org`);
const NO_NUMBERS = ['', '-1', '1.5', '1e3', ' 1', '1 ', '+1', '0x10', '١', 'NaN', 'Infinity', 'null', '1'.repeat(40)].map(
  (text) => [text],
);

const text: Values = {
  good: [['a'], [LONG], ['<&>\'"'], ['\u{1F3AD}'], { sent: [''], shown: [] }, []],
  bad: [[`${LONG}x`], ['a', 'b']],
};
const flag: Values = {
  good: [['1'], ['0'], { sent: ['true'], shown: ['1'] }, { sent: ['false'], shown: ['0'] }],
  bad: [[''], ['yes'], ['2'], ['TRUE'], [' 1'], ['1', '1'], ['0', '1'], []],
};
const choice = (...values: readonly string[]): Values => ({
  good: values.map((value) => [value]),
  bad: [
    [''],
    [values[0]!.toUpperCase()],
    [`${values[0]} `],
    ['constructor'],
    ['__proto__'],
    [...values],
    [values[0]!, values[0]!],
    [],
  ],
});

const TABLE: Readonly<Record<string, Values>> = {
  title: text,
  description: text,
  type: text,
  language: text,
  contact: {
    good: [
      [],
      ['a@example.org'],
      ['a@example.org', 'b@example.org'],
      many(100),
      { sent: ['A@Example.org'], shown: ['a@example.org'] },
    ],
    bad: [[''], ['@'], ['a@'], ['a b@example.org'], many(101), ['a@example.org', '@@']],
  },
  access_model: choice('open', 'presence', 'roster', 'authorize', 'whitelist'),
  roster_groups_allowed: { good: [[], ['Court'], ['Court', 'Others'], many(100), [LONG]], bad: [many(101), [`${LONG}x`]] },
  publish_model: choice('publishers', 'subscribers', 'open'),
  persist_items: flag,
  max_items: { good: [['0'], ['1'], ['10000'], ['max'], ['007']], bad: [['10001'], ['MAX'], ['1', '2'], ...NO_NUMBERS] },
  item_expire: {
    good: [['0'], ['1'], ['604800'], ['max'], ['9'.repeat(15)]],
    bad: [['9'.repeat(16)], ['never'], ['1', '2'], ...NO_NUMBERS],
  },
  publish_node_full: choice('retract-oldest', 'discard-oldest', 'reject'),
  max_payload_size: { good: [['0'], ['1024'], ['262144']], bad: [['262145'], ['max'], ['1', '2'], [], ...NO_NUMBERS] },
  subscribe: flag,
  deliver_notifications: flag,
  deliver_payloads: flag,
  notify_config: flag,
  notify_delete: flag,
  notify_retract: flag,
  notify_sub: flag,
  presence_based_delivery: flag,
  send_last_published_item: choice('never', 'on_sub', 'on_sub_and_presence'),
  notification_type: choice('headline', 'normal'),
  itemreply: choice('none', 'owner', 'publisher'),
};

const escaped = (values: readonly string[]) =>
  values.map((value) => value.replace(/[&<>'"]/g, (char) => `&#${char.codePointAt(0)};`));
const refusalOf = (name: string) => `modify not-acceptable${name === 'access_model' ? ' unsupported-access-model' : ''}`;
const NOT_MET = 'cancel conflict precondition-not-met';

describe('pubsub: options of nodes', () => {
  let scene: PubSubScene;
  let owner: Probe;
  let reader: Probe;
  /** The configuration of the node `witness`, which no test changes. */
  let untouched: ReadonlyMap<string, readonly string[]>;
  let made = 0;

  before(async () => {
    scene = await PubSubScene.open();
    [owner, reader] = (await scene.clients('owner', 'reader')) as [Probe, Probe];
    await set(owner, "<create node='witness'/>");
    untouched = await configOf('witness');
  });
  after(() => scene.stop());

  /** What the form says of each field. */
  async function configOf(node: string): Promise<ReadonlyMap<string, readonly string[]>> {
    const answer = await get(owner, `<configure node='${node}'/>`, '#owner');
    const fields = answer.getChild('pubsub')!.getChild('configure')!.getChild('x')!.getChildren('field');
    return new Map(fields.map((field) => [String(field.attrs['var']).replace('pubsub#', ''), valuesOf(field)]));
  }

  const createWith = (node: string, x: string) => ask(owner, 'set', `<create node='${node}'/><configure>${x}</configure>`);
  const configure = (node: string, x: string) => ask(owner, 'set', `<configure node='${node}'>${x}</configure>`, '#owner');
  const publishWith = (node: string, x: string) =>
    ask(owner, 'set', `${publication(node, 'i')}<publish-options>${x}</publish-options>`);
  const WAYS = { create: createWith, configure, publish: publishWith };

  /** A node that can be used for everything does not fall over, whatever it is configured as. */
  async function use(node: string): Promise<void> {
    const bare = reader.session.jid.bare;
    for (const [probe, type, inner, at] of [
      [owner, 'set', publication(node, 'a'), ''],
      [owner, 'set', `<publish node='${node}'/>`, ''],
      [reader, 'set', publication(node, 'b'), ''],
      [reader, 'set', `<subscribe node='${node}' jid='${bare}'/>`, ''],
      [owner, 'set', publication(node, 'c'), ''],
      [reader, 'get', `<items node='${node}'/>`, ''],
      [owner, 'get', `<items node='${node}' max_items='1'/>`, ''],
      [owner, 'set', `<retract node='${node}'><item id='c'/></retract>`, ''],
      [reader, 'set', `<unsubscribe node='${node}' jid='${bare}'/>`, ''],
      [owner, 'set', `<purge node='${node}'/>`, '#owner'],
    ] as const) {
      assert.doesNotMatch(outcomeOf(await ask(probe, type, inner, at)), /internal-server-error/);
    }
  }

  it('are conditions of a publication to a node that is there', async () => {
    for (const [name, { good }] of Object.entries(TABLE)) {
      for (const each of good) {
        const values = 'sent' in each ? each.sent : each;
        const node = `met-${++made}`;
        if (outcomeOf(await createWith(node, form('node_config', { [name]: escaped(values) }))) !== 'ok') assert.fail(name);
        const x = form('publish-options', { [name]: escaped(values) });
        assert.doesNotMatch(outcomeOf(await publishWith(node, x)), /conflict/, `${name} is ${values}`);
        const isUsual = outcomeOf(await publishWith('witness', x)) !== NOT_MET;
        const shown = (await configOf(node)).get(name);
        assert.equal(isUsual, JSON.stringify(shown) === JSON.stringify(untouched.get(name)), `${name} is ${values}`);
        await set(owner, "<purge node='witness'/>", '#owner');
      }
    }
  });

  it('that there are not are passed over, but for a publication, which is refused', async () => {
    for (const name of ['pubsub#unheard_of', 'title', 'access_model', '__proto__', 'constructor', '']) {
      const x = (kind: string) => form(kind, {}).replace('</x>', `<field var='${name}'><value>1</value></field></x>`);
      const node = `unknown-${++made}`;
      assert.equal(outcomeOf(await createWith(node, x('node_config'))), 'ok');
      assert.equal(outcomeOf(await configure(node, x('node_config'))), 'ok');
      assert.equal(outcomeOf(await publishWith(node, x('publish-options'))), NOT_MET);
      assert.equal(outcomeOf(await publishWith(`${node}-new`, x('publish-options'))), NOT_MET);
      assert.deepEqual(await configOf(node), untouched);
      assert.equal(outcomeOf(await ask(owner, 'get', `<items node='${node}-new'/>`)), 'cancel item-not-found');
    }
  });

  it('have one kind of node', async () => {
    for (const [type, made, met] of [
      ['leaf', 'ok', 'ok'],
      ['collection', 'cancel feature-not-implemented unsupported', NOT_MET],
      ['', 'modify not-acceptable', NOT_MET],
      ['tree', 'modify not-acceptable', NOT_MET],
    ] as const) {
      const x = (kind: string) => form(kind, { node_type: type });
      assert.equal(outcomeOf(await createWith(`type-${type}`, x('node_config'))), made, type);
      assert.equal(outcomeOf(await publishWith(`other-${type}`, x('publish-options'))), made, type);
      assert.equal(outcomeOf(await configure('witness', x('node_config'))), made, type);
      assert.equal(outcomeOf(await publishWith('witness', x('publish-options'))), met, type);
    }
    await set(owner, "<purge node='witness'/>", '#owner');
  });

  it('come in a form of their kind', async () => {
    const right = form('node_config', { title: 'changed' });
    const other = right.replace('node_config', 'subscribe_options');
    for (const [x, created, configured] of [
      [other, 'modify bad-request', 'modify bad-request'],
      [right.replace('node_config', ''), 'modify bad-request', 'modify bad-request'],
      ['', 'ok', 'modify bad-request'],
      ["<x xmlns='urn:x'/>", 'ok', 'modify bad-request'],
      ["<x xmlns='jabber:x:data' type='cancel'/>", 'ok', 'ok'],
      [right.replace("type='submit'", "type='cancel'"), 'ok', 'ok'],
    ] as const) {
      assert.equal(outcomeOf(await createWith(`form-${++made}`, x)), created, x);
      assert.equal(outcomeOf(await configure('witness', x)), configured, x);
      assert.equal(outcomeOf(await publishWith('witness', x)), 'modify bad-request', x);
      assert.deepEqual(await configOf('witness'), untouched);
    }
  });

  it('are all in this table', () => {
    assert.deepEqual(
      FIELDS.map(({ name }) => `${name}`).sort(),
      Object.keys(TABLE)
        .map((name) => `pubsub#${name}`)
        .sort(),
    );
  });

  for (const [name, { good, bad }] of Object.entries(TABLE)) {
    it(`${name} is taken with values that are some, in every way`, async () => {
      for (const each of good) {
        const { sent, shown } = 'sent' in each ? each : { sent: each, shown: each };
        const wanted = shown.map((value) => value.replace(/^0+(?=\d)/, ''));
        for (const [way, apply] of Object.entries(WAYS)) {
          const node = `good-${++made}`;
          if (way === 'configure') await set(owner, `<create node='${node}'/>`);
          const kind = way === 'publish' ? 'publish-options' : 'node_config';
          // A publication may be refused for what the node is then, but not for the option.
          const outcome = outcomeOf(await apply(node, form(kind, { [name]: escaped(sent) })));
          if (outcome !== 'ok') {
            assert.match(`${way} ${name}`, /^publish (persist_items|deliver_payloads|max_payload_size)$/, outcome);
            continue;
          }
          assert.deepEqual((await configOf(node)).get(name), wanted, `${way}: ${sent}`);
          await use(node);
          await set(owner, `<delete node='${node}'/>`, '#owner');
        }
      }
    });

    it(`${name} is not taken with others, and nothing comes of the request`, async () => {
      const witness = name === 'title' ? 'description' : 'title';
      for (const values of bad) {
        const x = (kind: string) => form(kind, { [witness]: 'changed', [name]: escaped(values) });
        const [missing, node] = [`bad-${++made}`, 'witness'];
        const refusal = refusalOf(name);
        assert.equal(outcomeOf(await createWith(missing, x('node_config'))), refusal, `${values}`);
        assert.equal(outcomeOf(await publishWith(missing, x('publish-options'))), refusal, `${values}`);
        assert.equal(outcomeOf(await configure(node, x('node_config'))), refusal, `${values}`);
        // No node is as nobody can make one.
        assert.equal(
          outcomeOf(await publishWith(node, form('publish-options', { [name]: escaped(values) }))),
          NOT_MET,
          `${values}`,
        );
        assert.deepEqual(await configOf(node), untouched);
        assert.equal(outcomeOf(await ask(owner, 'get', `<items node='${missing}'/>`)), 'cancel item-not-found');
        assert.equal((await get(owner, `<items node='${node}'/>`)).getChild('pubsub')!.getChild('items')!.children.length, 0);
      }
    });
  }
});

function valuesOf(field: Element): readonly string[] {
  return field.getChildren('value').map((value) => value.getText());
}
