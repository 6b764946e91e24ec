// Publishing and retracting (XEP-0060 sections 7.1 and 7.2).
import { after, type Element, type Jid, randomToken, readForm, StanzaError, sortableId, writeElement, xml } from '#core';
import { checkPublish, mayEditOthers, type Standing } from './access.ts';
import { differences, FIELD_BY_NAME, NODE_TYPE, type NodeConfig, readConfig } from './config.ts';
import { NS_PUBSUB, noSuchNode, pubsubError, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { Notifier } from './notify.ts';
import type { Item, Place, Publishing, PubSubQuery, Shop } from './place.ts';
import { checkLength, companion, nodeName, nodeOf } from './requests.ts';

const NS_DATA = 'jabber:x:data';
const NS_OPTIONS = `${NS_PUBSUB}#publish-options`;

/** Items one request retracts at most. */
const MAX_RETRACTED = 100;

/** What is asked for of the node with a publication: values by the names of fields. */
type Wanted = ReadonlyMap<string, readonly string[]>;
const NOTHING: Wanted = new Map();

/** What is put into a node. */
export interface Putting {
  readonly items: readonly Item[];
  /** Undefined when it is the place itself, which may do anything. */
  readonly by?: Jid;
  readonly standing?: Standing;
}

/** Writes to nodes, and tells. */
export class Publisher {
  readonly #shop: Shop;
  readonly #notifier: Notifier;

  constructor(shop: Shop, notifier: Notifier) {
    this.#shop = shop;
    this.#notifier = notifier;
  }

  readonly publish = async (query: PubSubQuery): Promise<Element> => {
    const { place, from, request } = query;
    const name = nodeName(query);
    const wanted = readWanted(query);
    const [element, second] = request.getChildren('item', NS_PUBSUB);
    if (second) throw new StanzaError('bad-request', { text: 'One item at a time' });
    const found = await place.nodes.settled(name);
    if (!found && !this.#shop.around.mayCreate(place, from)) throw noSuchNode();
    const before = found && (await this.#check(found, from, wanted));
    // What cannot be published makes no node.
    const options = found ? {} : readConfig(wanted, this.#shop.around.limits);
    const config = found?.config ?? { ...this.#shop.around.defaultsFor(name), ...options };
    const items = await this.#prepare({ place, node: name, by: from, items: [] }, config, element);
    const node = found ?? (await this.obtain(place, name, from, options));
    const standing = before ?? (await this.#check(node, from, wanted));
    await this.put(place, node, { items, by: from, standing });
    const hasId = typeof element?.attrs['id'] === 'string';
    const answer = xml('publish', { node: name });
    if (!hasId && items[0]) answer.cnode(xml('item', { id: items[0].id }));
    return xml('pubsub', NS_PUBSUB, answer);
  };

  /** Makes a node for who publishes to it (section 7.1.4), unless somebody has been faster. */
  async obtain(place: Place, name: string, by: Jid, options: Partial<NodeConfig>): Promise<Node> {
    const { around, library } = this.#shop;
    const config = { ...around.defaultsFor(name), ...options };
    const node = await place.nodes.obtain({ name, creator: by.bare, config });
    library.weigh(place.nodes);
    return node;
  }

  /** Only whoever may publish learns how the node is configured. */
  async #check(node: Node, from: Jid, wanted: Wanted): Promise<Standing> {
    const { trust, limits } = this.#shop.around;
    const standing = await checkPublish(node, from, trust);
    const others = differences(node.config, wanted, limits);
    if (others.length > 0)
      throw pubsubError('conflict', 'precondition-not-met', { text: `The node differs: ${others.join(', ')}` });
    return standing;
  }

  /** Puts items into a node, and tells who is to know. Rejects with StanzaError when the node is full, gone, or has items of others. */
  async put(place: Place, node: Node, what: Putting): Promise<void> {
    const { items, by, standing } = what;
    const isEditor = !standing || mayEditOthers(standing);
    if (isEditor && node.hasRoomFor(items.length) && (await this.#putAtOnce(place, node, items, by))) return;
    await this.#putInTurn(place, node, what);
  }

  #putInTurn(place: Place, node: Node, { items, by, standing }: Putting): Promise<void> {
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const { maxItems, whenFull, notifyRetract } = node.config;
      if (standing && !mayEditOthers(standing)) await checkOwn(node, items, by!.bare);
      // Where there is one only, the next one says it all.
      const isTold = whenFull === 'retract-oldest' && notifyRetract && maxItems !== 1;
      const gone = whenFull === 'reject' || isTold ? await node.overflow(items) : [];
      if (whenFull === 'reject' && gone.length > 0) throw pubsubError('conflict', 'node-full');
      // Their places are those of the moment they are written, so that the order is one for all.
      const placed = items.map((item) => ({ ...item, at: sortableId() }));
      await node.put(placed);
      await this.#notifier.published(place, node, placed);
      await this.#notifier.retracted(
        place,
        node,
        gone.map(({ id }) => id),
      );
      this.#shop.published.emit({ place, node: node.name, by, items: placed });
    });
  }

  /** Nothing has to be looked up first: several are written together. False when others have taken the room meanwhile. */
  async #putAtOnce(place: Place, node: Node, items: readonly Item[], by: Jid | undefined): Promise<boolean> {
    let placed: readonly Item[] | undefined;
    const begin = async (): Promise<void> => {
      if (node.isGone) throw noSuchNode();
      if (!node.hasRoomFor(items.length)) return;
      placed = items.map((item) => ({ ...item, at: sortableId() }));
      await node.put(placed);
    };
    await node.inOrder(begin, async () => {
      if (!placed) return;
      await this.#notifier.published(place, node, placed);
      this.#shop.published.emit({ place, node: node.name, by, items: placed });
    });
    return placed !== undefined;
  }

  readonly retract = async (query: PubSubQuery): Promise<void> => {
    const { place, from, request } = query;
    const node = nodeOf(query);
    const ids = readIds(request);
    if (ids.length === 0) throw pubsubError('bad-request', 'item-required');
    if (ids.length > MAX_RETRACTED) throw new StanzaError('policy-violation', { text: 'Too many at once' });
    const standing = await checkPublish(node, from, this.#shop.around.trust);
    if (!node.config.persistItems) throw unsupported('persistent-items');
    const isTold = ['1', 'true'].includes(String(request.attrs['notify'])) || node.config.notifyRetract;
    await this.remove(place, node, { ids, by: from, standing, isTold });
  };

  /** Removes items. Rejects with StanzaError when one is not there, or is somebody else's. */
  remove(
    place: Place,
    node: Node,
    what: { ids: readonly string[]; by?: Jid; standing?: Standing; isTold: boolean },
  ): Promise<void> {
    const { ids, by, standing, isTold } = what;
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const { items } = await node.query({ ids });
      if (items.length < new Set(ids).size) throw new StanzaError('item-not-found');
      if (standing && !mayEditOthers(standing) && items.some((item) => !isBy(item, by!.bare))) throw new StanzaError('forbidden');
      await node.remove(ids);
      if (isTold) await this.#notifier.retracted(place, node, ids);
      this.#shop.retracted.emit({ place, node: node.name, by, ids });
    });
  }

  /** What is to be published, as a node of this configuration takes it. */
  async #prepare(publishing: Publishing, config: NodeConfig, element: Element | undefined): Promise<readonly Item[]> {
    const { persistItems, deliverPayloads } = config;
    if (!element) {
      if (persistItems || deliverPayloads) throw pubsubError('bad-request', 'item-required');
      return [];
    }
    if (!persistItems && !deliverPayloads) throw pubsubError('bad-request', 'item-forbidden');
    publishing.items = [this.#readItem(config, element, publishing.by)];
    if (this.#shop.publishing.size === 0) return publishing.items;
    await after(this.#shop.publishing.run(publishing), (isHandled) => {
      if (isHandled) throw new StanzaError('not-allowed');
    });
    return publishing.items;
  }

  #readItem(config: NodeConfig, element: Element, from: Jid): Item {
    const given: unknown = element.attrs['id'];
    const id = typeof given === 'string' && given !== '' ? given : randomToken(15);
    checkLength(id, 'The id of the item');
    const [payload, second] = element.getChildElements();
    if (second) throw pubsubError('bad-request', 'invalid-payload', { text: 'One payload for one item' });
    if (!payload && config.deliverPayloads) throw pubsubError('bad-request', 'payload-required');
    const value = payload ? writeElement(payload) : '';
    const most = Math.min(config.maxPayload, this.#shop.around.limits.maxPayload);
    if (Buffer.byteLength(value) > most) {
      throw pubsubError('not-acceptable', 'payload-too-big', { text: `At most ${most} bytes are allowed` });
    }
    return { id, at: sortableId(), by: from.full, value };
  }
}

/** The ids of the items that a request names. Throws StanzaError for an item without one. */
export function readIds(request: Element): readonly string[] {
  return request.getChildren('item', NS_PUBSUB).map(({ attrs }) => {
    const id: unknown = attrs['id'];
    if (typeof id !== 'string' || id === '') throw pubsubError('bad-request', 'item-required');
    return id;
  });
}

/** Section 7.1.5: each field is a precondition, and for a new node its configuration. */
function readWanted(query: PubSubQuery): Wanted {
  const options = companion(query, 'publish-options');
  if (!options) return NOTHING;
  const form = options.getChild('x', NS_DATA);
  const values = form ? readForm(form) : NOTHING;
  if (values.get('FORM_TYPE')?.[0] !== NS_OPTIONS)
    throw new StanzaError('bad-request', { text: 'These are no publishing options' });
  const isKnown = (name: string) => name === 'FORM_TYPE' || name === NODE_TYPE || FIELD_BY_NAME.has(name);
  const unknown = [...values.keys()].find((name) => !isKnown(name));
  if (unknown !== undefined) throw pubsubError('conflict', 'precondition-not-met', { text: `Nodes have no ${unknown}` });
  return values;
}

/** Whoever may only publish changes nothing that is another's. */
async function checkOwn(node: Node, items: readonly Item[], bare: string): Promise<void> {
  const page = await node.query({ ids: items.map(({ id }) => id) });
  if (page.items.some((item) => !isBy(item, bare))) throw new StanzaError('forbidden');
}

function isBy({ by }: Item, bare: string): boolean {
  return by === bare || by.startsWith(`${bare}/`);
}
