// Publishing and retracting (XEP-0060 sections 7.1 and 7.2).
import { after, type Element, type Jid, randomToken, readForm, StanzaError, sortableId, writeElement, xml } from '#core';
import { checkPublish, mayEditOthers, type Standing } from './access.ts';
import { differences, FIELD_BY_NAME, type NodeConfig, readConfig } from './config.ts';
import { NS_PUBSUB, noSuchNode, pubsubError, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { Notifier } from './notify.ts';
import type { Item, Place, PubSubQuery, Shop } from './place.ts';
import { checkLength, companion, nodeName, nodeOf } from './requests.ts';

const NS_DATA = 'jabber:x:data';
const NS_OPTIONS = `${NS_PUBSUB}#publish-options`;

/** Items one request retracts at most. */
const MAX_RETRACTED = 100;

/** What is asked for of the node with a publication. */
export type PublishOptions = Partial<NodeConfig>;

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
    const options = this.#readOptions(query);
    const [element, second] = request.getChildren('item', NS_PUBSUB);
    if (second) throw new StanzaError('bad-request', { text: 'One item at a time' });
    const found = await place.nodes.settled(name);
    const node = found ?? (await this.create(place, name, from, options));
    const standing = await checkPublish(node, from);
    // Only whoever may publish learns how the node is configured.
    if (found) checkPreconditions(node, options);
    const items = await this.#prepare(place, node, { from, element });
    await this.put(place, node, { items, by: from, standing });
    const hasId = typeof element?.attrs['id'] === 'string';
    const answer = xml('publish', { node: name });
    if (!hasId && items[0]) answer.cnode(xml('item', { id: items[0].id }));
    return xml('pubsub', NS_PUBSUB, answer);
  };

  /** Makes a node for who publishes to it (section 7.1.4). Rejects with StanzaError for whoever may not. */
  async create(place: Place, name: string, by: Jid, options: PublishOptions): Promise<Node> {
    const { around, library } = this.#shop;
    if (!around.mayCreate(place, by)) throw noSuchNode();
    const config = { ...around.defaultsFor(name), ...options };
    const node = await place.nodes.create({ name, creator: by.bare, config });
    library.weigh(place.nodes);
    return node;
  }

  /** Puts items into a node, and tells who is to know. Rejects with StanzaError when the node is full, gone, or has items of others. */
  put(place: Place, node: Node, what: { items: readonly Item[]; by?: Jid; standing?: Standing }): Promise<void> {
    const { items, by, standing } = what;
    const isEditor = !standing || mayEditOthers(standing);
    if (isEditor && node.hasRoomFor(items.length)) return this.#putAtOnce(place, node, items, by);
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const { maxItems, whenFull, notifyRetract } = node.config;
      if (!isEditor) await checkOwn(node, items, by!.bare);
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

  /** Nothing has to be looked up first: several are written together. */
  #putAtOnce(place: Place, node: Node, items: readonly Item[], by: Jid | undefined): Promise<void> {
    let placed: readonly Item[] = [];
    const begin = async (): Promise<void> => {
      if (node.isGone) throw noSuchNode();
      placed = items.map((item) => ({ ...item, at: sortableId() }));
      await node.put(placed);
    };
    return node.inOrder(begin, async () => {
      await this.#notifier.published(place, node, placed);
      this.#shop.published.emit({ place, node: node.name, by, items: placed });
    });
  }

  readonly retract = async (query: PubSubQuery): Promise<void> => {
    const { place, from, request } = query;
    const node = nodeOf(query);
    const ids = readIds(request);
    if (ids.length === 0 || ids.length > MAX_RETRACTED) throw pubsubError('bad-request', 'item-required');
    const standing = await checkPublish(node, from);
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

  /** Section 7.1.5: each field is a precondition, and for a new node its configuration. */
  #readOptions(query: PubSubQuery): PublishOptions {
    const options = companion(query, 'publish-options');
    if (!options) return {};
    const form = options.getChild('x', NS_DATA);
    const values = form ? readForm(form) : new Map<string, readonly string[]>();
    if (values.get('FORM_TYPE')?.[0] !== NS_OPTIONS)
      throw new StanzaError('bad-request', { text: 'These are no publishing options' });
    const unknown = [...values.keys()].find((name) => name !== 'FORM_TYPE' && !FIELD_BY_NAME.has(name));
    if (unknown !== undefined) throw pubsubError('conflict', 'precondition-not-met', { text: `Nodes have no ${unknown}` });
    return readConfig(values, this.#shop.around.limits);
  }

  async #prepare(
    place: Place,
    node: Node,
    { from, element }: { from: Jid; element: Element | undefined },
  ): Promise<readonly Item[]> {
    const { persistItems, deliverPayloads } = node.config;
    if (!element) {
      if (persistItems || deliverPayloads) throw pubsubError('bad-request', 'item-required');
      return [];
    }
    if (!persistItems && !deliverPayloads) throw pubsubError('bad-request', 'item-forbidden');
    const item = this.#readItem(node, element, from);
    const publishing = { place, node: node.name, by: from, items: [item] };
    if (this.#shop.publishing.size === 0) return publishing.items;
    await after(this.#shop.publishing.run(publishing), (isHandled) => {
      if (isHandled) throw new StanzaError('not-allowed');
    });
    return publishing.items;
  }

  #readItem(node: Node, element: Element, from: Jid): Item {
    const given: unknown = element.attrs['id'];
    const id = typeof given === 'string' && given !== '' ? given : randomToken(15);
    checkLength(id, 'The id of the item');
    const [payload, second] = element.getChildElements();
    if (second) throw pubsubError('bad-request', 'invalid-payload', { text: 'One payload for one item' });
    if (!payload && node.config.deliverPayloads) throw pubsubError('bad-request', 'payload-required');
    const value = payload ? writeElement(payload) : '';
    const most = Math.min(node.config.maxPayload, this.#shop.around.limits.maxPayload);
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

function checkPreconditions(node: Node, options: PublishOptions): void {
  const others = differences(node.config, options);
  if (others.length > 0)
    throw pubsubError('conflict', 'precondition-not-met', { text: `The node differs: ${others.join(', ')}` });
}

/** Whoever may only publish changes nothing that is another's. */
async function checkOwn(node: Node, items: readonly Item[], bare: string): Promise<void> {
  const page = await node.query({ ids: items.map(({ id }) => id) });
  if (page.items.some((item) => !isBy(item, bare))) throw new StanzaError('forbidden');
}

function isBy({ by }: Item, bare: string): boolean {
  return by === bare || by.startsWith(`${bare}/`);
}
