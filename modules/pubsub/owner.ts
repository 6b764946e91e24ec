// What owners ask about nodes (XEP-0060 sections 8.1 to 8.5).
import { type Element, type Jid, randomToken, readForm, StanzaError, writeForm, xml } from '#core';
import type { Approval } from './approval.ts';
import { checkType, FIELDS, NODE_TYPE, type NodeConfig, readConfig } from './config.ts';
import { NS_OWNER, NS_PUBSUB, noSuchNode, unsupported } from './errors.ts';
import type { Node } from './node.ts';
import type { Notifier } from './notify.ts';
import type { Place, PubSubQuery, Shop } from './place.ts';
import { attachment, checkLength, optionalNode, ownNode } from './requests.ts';

const NS_DATA = 'jabber:x:data';
const NS_NODE_CONFIG = `${NS_PUBSUB}#node_config`;

/** What an owner's desk works with. */
export interface OwnerParts {
  readonly shop: Shop;
  readonly notifier: Notifier;
  readonly approval: Approval;
}

/** Serves those who make and own nodes. */
export class OwnerDesk {
  readonly #parts: OwnerParts;

  constructor(parts: OwnerParts) {
    this.#parts = parts;
  }

  readonly create = async (query: PubSubQuery): Promise<Element | undefined> => {
    const { place, from, request } = query;
    const { around, library } = this.#parts.shop;
    if (!around.mayCreate(place, from)) throw new StanzaError('forbidden');
    const given = optionalNode(request);
    const name = given ?? randomToken(15);
    const form = attachment(query, 'configure')?.getChild('x', NS_DATA);
    const config = { ...around.defaultsFor(name), ...(form && this.#readForm(form)) };
    await place.nodes.create({ name, creator: from.bare, config });
    library.weigh(place.nodes);
    return given === undefined ? xml('pubsub', NS_PUBSUB, xml('create', { node: name })) : undefined;
  };

  readonly showConfig = async (query: PubSubQuery): Promise<Element> => {
    const node = await ownNode(query);
    return xml('pubsub', NS_OWNER, xml('configure', { node: node.name }, this.#writeForm(node.config)));
  };

  readonly showDefaults = ({ request }: PubSubQuery): Element => {
    checkType(request.attrs['type']);
    return xml('pubsub', NS_OWNER, xml('default', {}, this.#writeForm(this.#parts.shop.around.defaultsFor(''))));
  };

  readonly configure = async (query: PubSubQuery): Promise<void> => {
    const node = await ownNode(query);
    const form = query.request.getChild('x', NS_DATA);
    if (!form) throw new StanzaError('bad-request', { text: 'There is no form' });
    if (form.attrs['type'] === 'cancel') return;
    const changes = this.#readForm(form);
    await this.reconfigure(query.place, node, changes);
  };

  /** Changes the configuration of a node, and tells who is to know. */
  reconfigure(place: Place, node: Node, changes: Partial<NodeConfig>): Promise<void> {
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const before = node.config;
      await node.configure({ ...before, ...changes });
      await this.#parts.notifier.configured(place, node);
      this.#parts.shop.configured.emit({ place, node: node.name, before, now: node.config });
    });
  }

  readonly delete = async (query: PubSubQuery): Promise<void> => {
    const node = await ownNode(query);
    const uri: unknown = query.request.getChild('redirect', NS_OWNER)?.attrs['uri'];
    if (typeof uri === 'string') checkLength(uri, 'The address of the other node');
    await this.remove(query.place, node, { redirect: typeof uri === 'string' ? uri : undefined, by: query.from });
  };

  /** Removes a node, and tells who is to know. */
  remove(place: Place, node: Node, { redirect, by }: { redirect?: string | undefined; by?: Jid }): Promise<void> {
    const { notifier, shop } = this.#parts;
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const tell = await notifier.deleting(place, node, redirect);
      await place.nodes.delete(node);
      tell();
      shop.retracted.emit({ place, node: node.name, by, ids: undefined });
    });
  }

  readonly purge = async (query: PubSubQuery): Promise<void> => {
    const { place, from } = query;
    const node = await ownNode(query);
    if (!node.config.persistItems) throw unsupported('persistent-items');
    await this.empty(place, node, from);
  };

  /** Removes all items of a node, and tells who is to know. */
  empty(place: Place, node: Node, by?: Jid): Promise<void> {
    return node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      await node.purge();
      await this.#parts.notifier.purged(place, node);
      this.#parts.shop.retracted.emit({ place, node: node.name, by, ids: undefined });
    });
  }

  #readForm(form: Element): Partial<NodeConfig> {
    const values = readForm(form);
    const type = values.get('FORM_TYPE')?.[0];
    if (type !== undefined && type !== NS_NODE_CONFIG) throw new StanzaError('bad-request', { text: 'This form is another one' });
    return readConfig(values, this.#parts.shop.around.limits);
  }

  #writeForm(config: NodeConfig): Element {
    const kind = { name: NODE_TYPE, type: 'hidden', values: ['leaf'] } as const;
    const fields = FIELDS.map(({ name, type, label, options, write }) => ({
      name,
      type,
      label,
      values: write(config),
      ...(options && { options }),
    }));
    return writeForm('form', NS_NODE_CONFIG, [kind, ...fields]);
  }
}
