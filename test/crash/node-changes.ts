import { type Element, parse } from 'ltx';
import { form, PUBSUB } from '../support/pubsub-scene.ts';
import type { Chance } from './chance.ts';
import type { Change } from './ledger.ts';

/** What there is of a node, as its owner sees it. */
export interface NodeState {
  readonly title: string;
  readonly maxItems: string;
  readonly whenFull: string;
  /** Payloads by id, in order. */
  readonly items: ReadonlyMap<string, string>;
  /** Besides that of who has made it. */
  readonly affiliations: ReadonlyMap<string, string>;
  readonly subscribers: ReadonlySet<string>;
}

/** Undefined where there is no node. */
export type MaybeNode = NodeState | undefined;

/** A change of a node, and how it is asked for. */
export interface NodeChange extends Change<MaybeNode> {
  /** The kind of change. */
  readonly kind: string;
  /** The `<pubsub/>`. */
  readonly request: string;
}

/** What is known of a place before anything happens. */
export interface NodeRules {
  readonly node: string;
  /** Of a node of which nothing else was said. */
  readonly maxItems: string;
  /** What `max` means. */
  readonly most: number;
}

/** What the changes of a node are made of. */
export type NodeSettings = Partial<Pick<NodeState, 'maxItems' | 'title' | 'whenFull'>>;

/** A node as its owner sees it, in one line; what is equal is written alike. */
export function writeNode(state: MaybeNode): string {
  if (!state) return 'no node';
  const { title, maxItems, whenFull, items, affiliations, subscribers } = state;
  const list = [...items].map(([id, payload]) => `${id}=${shorten(payload)}`);
  const people = [...affiliations].map(([jid, affiliation]) => `${jid}:${affiliation}`).sort();
  return `${title || '-'} ${maxItems} ${whenFull} [${list.join(' ')}] {${people.join(' ')}} (${[...subscribers].sort().join(' ')})`;
}

/** Payloads are long; two that differ are written differently. */
function shorten(payload: string): string {
  let hash = 0;
  for (let i = 0; i < payload.length; i++) hash = (Math.imul(hash, 31) + payload.charCodeAt(i)) >>> 0;
  return `${keyOf(payload)}/${payload.length}/${hash.toString(36)}`;
}

/** What a payload is known by. */
export function keyOf(payload: string): string {
  return /^<t xmlns="urn:t" n="(?<key>[^"]+)"/.exec(payload)?.groups?.['key'] ?? payload.slice(0, 40);
}

/** A payload as it is when it was read and written: mostly short, now and then longer than what is remembered in memory. */
export function makePayload(key: string, chance: Chance): string {
  const length = chance.is(0.05) ? chance.between(1000, 20_000) : chance.between(0, 60);
  const text = 'é \u{1f600} &amp; &lt;b&gt; "\' ü '.repeat(Math.ceil(length / 24));
  return String(parse(`<t xmlns="urn:t" n="${key}"><i k="&quot;">${text}</i></t>`));
}

/** Makes changes of one node, and knows what comes of them. */
export class NodeChanges {
  readonly #rules: NodeRules;

  constructor(rules: NodeRules) {
    this.#rules = rules;
  }

  create(settings: NodeSettings): NodeChange {
    const { node } = this.#rules;
    return {
      kind: 'create',
      what: `create ${JSON.stringify(settings)}`,
      request: user(`<create node='${node}'/><configure>${writeSettings('node_config', settings)}</configure>`),
      answer: (state) => (state ? 'conflict' : 'result'),
      apply: () => this.#fresh(settings),
    };
  }

  /** Where there is no node it is made, with these settings. */
  publish(id: string, payload: string, settings: NodeSettings = {}): NodeChange {
    const { node } = this.#rules;
    const options = Object.keys(settings).length > 0 ? writeSettings('publish-options', settings) : '';
    return {
      kind: 'publish',
      key: keyOf(payload),
      what: `publish ${id}=${shorten(payload)} ${options && JSON.stringify(settings)}`,
      request: user(
        `<publish node='${node}'><item id='${id}'>${payload}</item></publish>` +
          (options && `<publish-options>${options}</publish-options>`),
      ),
      answer: (state) => {
        const isFull = state?.whenFull === 'reject' && !state.items.has(id) && state.items.size >= this.#limitOf(state);
        return isFull ? 'conflict' : 'result';
      },
      // A node that is made for it is made before.
      partly: (state) => (state ? [] : [this.#fresh(settings)]),
      apply: (found) => {
        const state = found ?? this.#fresh(settings);
        const items = new Map([...state.items].filter(([other]) => other !== id));
        return this.#trim({ ...state, items: items.set(id, payload) });
      },
    };
  }

  retract(id: string): NodeChange {
    return {
      kind: 'retract',
      what: `retract ${id}`,
      request: user(`<retract node='${this.#rules.node}' notify='1'><item id='${id}'/></retract>`),
      answer: (state) => (state?.items.has(id) ? 'result' : 'item-not-found'),
      apply: (state) => state && { ...state, items: new Map([...state.items].filter(([other]) => other !== id)) },
    };
  }

  purge(): NodeChange {
    return {
      kind: 'purge',
      what: 'purge',
      request: owner(`<purge node='${this.#rules.node}'/>`),
      answer: isThere,
      apply: (state) => state && { ...state, items: new Map() },
    };
  }

  configure(settings: NodeSettings): NodeChange {
    return {
      kind: 'configure',
      what: `configure ${JSON.stringify(settings)}`,
      request: owner(`<configure node='${this.#rules.node}'>${writeSettings('node_config', settings)}</configure>`),
      answer: isThere,
      apply: (state) => state && this.#trim({ ...state, ...settings }),
    };
  }

  delete(): NodeChange {
    return {
      kind: 'delete',
      what: 'delete',
      request: owner(`<delete node='${this.#rules.node}'/>`),
      answer: isThere,
      apply: () => undefined,
    };
  }

  /** Several at once. Nobody among them is the one that has made it. */
  affiliate(changes: ReadonlyMap<string, string>): NodeChange {
    const list = [...changes].map(([jid, affiliation]) => `<affiliation jid='${jid}' affiliation='${affiliation}'/>`);
    return {
      kind: 'affiliate',
      what: `affiliate ${JSON.stringify([...changes])}`,
      request: owner(`<affiliations node='${this.#rules.node}'>${list.join('')}</affiliations>`),
      answer: isThere,
      apply: (state) => {
        const affiliations = new Map([...(state?.affiliations ?? []), ...changes]);
        for (const [jid, affiliation] of changes) if (affiliation === 'none') affiliations.delete(jid);
        return state && { ...state, affiliations };
      },
    };
  }

  subscribe(jid: string): NodeChange {
    return {
      kind: 'subscribe',
      what: `subscribe ${jid}`,
      request: user(`<subscribe node='${this.#rules.node}' jid='${jid}'/>`),
      answer: isThere,
      apply: (state) => state && { ...state, subscribers: new Set([...state.subscribers, jid]) },
    };
  }

  unsubscribe(jid: string): NodeChange {
    return {
      kind: 'unsubscribe',
      what: `unsubscribe ${jid}`,
      request: user(`<unsubscribe node='${this.#rules.node}' jid='${jid}'/>`),
      answer: (state) => (!state ? 'item-not-found' : state.subscribers.has(jid) ? 'result' : 'unexpected-request'),
      apply: (state) => state && { ...state, subscribers: new Set([...state.subscribers].filter((other) => other !== jid)) },
    };
  }

  #fresh(settings: NodeSettings): NodeState {
    const { maxItems } = this.#rules;
    const nobody = { items: new Map(), affiliations: new Map(), subscribers: new Set<string>() };
    return { title: '', maxItems, whenFull: 'retract-oldest', ...nobody, ...settings };
  }

  #limitOf({ maxItems }: NodeState): number {
    return maxItems === 'max' ? this.#rules.most : Number(maxItems);
  }

  #trim(state: NodeState): NodeState {
    const items = [...state.items];
    const tooMany = items.length - this.#limitOf(state);
    return tooMany > 0 ? { ...state, items: new Map(items.slice(tooMany)) } : state;
  }
}

function isThere(state: MaybeNode): string {
  return state ? 'result' : 'item-not-found';
}

function writeSettings(kind: string, { maxItems, title, whenFull }: NodeSettings): string {
  return form(kind, {
    ...(maxItems !== undefined && { max_items: maxItems }),
    ...(title !== undefined && { title }),
    ...(whenFull !== undefined && { publish_node_full: whenFull }),
  });
}

function user(inner: string): string {
  return `<pubsub xmlns='${PUBSUB}'>${inner}</pubsub>`;
}

function owner(inner: string): string {
  return `<pubsub xmlns='${PUBSUB}#owner'>${inner}</pubsub>`;
}

/** Asks a question about nodes; undefined when what it is about is not there. Throws for any other error. */
export type Question = (payload: string) => Promise<Element | undefined>;

/** A node to be read. */
export interface AboutNode {
  readonly rules: NodeRules;
  /** The bare JID of who has made it. */
  readonly creator: string;
  /** Takes what can never be. */
  readonly faults: string[];
}

/** All there is of a node, for its owner. */
export async function readNode(ask: Question, about: AboutNode): Promise<MaybeNode> {
  const { creator, faults } = about;
  const { node } = about.rules;
  const config = await ask(owner(`<configure node='${node}'/>`));
  if (!config) return undefined;
  const fields = config.getChild('configure')!.getChild('x')!.getChildren('field');
  const value = (name: string) => fields.find(({ attrs }) => attrs['var'] === `pubsub#${name}`)?.getChildText('value') ?? '';
  const people = await readList(ask, owner(`<affiliations node='${node}'/>`), 'affiliation');
  if (!people.some((attrs) => attrs['affiliation'] === 'owner')) faults.push(`${node} has no owner`);
  const subscriptions = await readList(ask, owner(`<subscriptions node='${node}'/>`), 'subscription');
  const others = people
    .filter(({ jid }) => jid !== creator)
    .map(({ jid, affiliation }) => [String(jid), String(affiliation)] as const);
  return {
    title: value('title'),
    maxItems: value('max_items'),
    whenFull: value('publish_node_full'),
    items: await readItems(ask, node, faults),
    affiliations: new Map(others),
    subscribers: new Set(subscriptions.map(({ jid }) => String(jid))),
  };
}

async function readList(ask: Question, request: string, name: string): Promise<readonly Record<string, unknown>[]> {
  const answer = await ask(request);
  return (
    answer
      ?.getChildElements()[0]
      ?.getChildren(name)
      .map(({ attrs }) => attrs as Record<string, unknown>) ?? []
  );
}

/** All items, page by page, as they are written. */
export async function readItems(ask: Question, node: string, faults: string[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (let after = ''; ; ) {
    const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>${after && `<after>${after}</after>`}</set>`;
    const answer = await ask(user(`<items node='${node}'/>${set}`));
    if (!answer) return found;
    const items = answer.getChild('items')!.getChildren('item');
    for (const item of items) {
      const id = String(item.attrs['id']);
      if (found.has(id)) faults.push(`${node} has ${id} twice`);
      found.set(id, String(item.getChildElements()[0]));
    }
    const rsm = answer.getChild('set');
    after = rsm?.getChildText('last') ?? '';
    if (items.length > 0 && after !== '') continue;
    const count = Number(rsm?.getChildText('count'));
    if (count !== found.size) faults.push(`${node} has ${count} items by its count, and ${found.size} to be read`);
    return found;
  }
}
