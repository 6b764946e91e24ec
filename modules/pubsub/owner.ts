// What owners ask (XEP-0060 section 8).
import { type Element, Jid, randomToken, readForm, StanzaError, writeForm, xml } from '#core';
import { checkOwner, standingOf } from './access.ts';
import type { Approval } from './approval.ts';
import { FIELDS, NODE_TYPE, type NodeConfig, readConfig } from './config.ts';
import { NS_OWNER, NS_PUBSUB, noSuchNode, pubsubError, unsupported } from './errors.ts';
import { type Affiliation, isAffiliation, type Member, STRANGER, withSubscription } from './members.ts';
import type { Node } from './node.ts';
import type { Notifier } from './notify.ts';
import type { Place, PubSubQuery, Shop } from './place.ts';
import { checkLength, companion, nodeOf, optionalNode, readJid } from './requests.ts';
import { writeSubscription } from './subscribe.ts';

const NS_DATA = 'jabber:x:data';
const NS_NODE_CONFIG = `${NS_PUBSUB}#node_config`;

/** Entries that one request changes. */
const MAX_CHANGES = 1000;

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
    const form = companion(query, 'configure')?.getChild('x', NS_DATA);
    const config = { ...around.defaultsFor(name), ...(form && this.#readForm(form)) };
    await place.nodes.create({ name, creator: from.bare, config });
    library.weigh(place.nodes);
    return given === undefined ? xml('pubsub', NS_PUBSUB, xml('create', { node: name })) : undefined;
  };

  readonly showConfig = async (query: PubSubQuery): Promise<Element> => {
    const node = await this.#own(query);
    return xml('pubsub', NS_OWNER, xml('configure', { node: node.name }, this.#writeForm(node.config)));
  };

  readonly showDefaults = (_: PubSubQuery): Element => {
    return xml('pubsub', NS_OWNER, xml('default', {}, this.#writeForm(this.#parts.shop.around.defaultsFor(''))));
  };

  readonly configure = async (query: PubSubQuery): Promise<void> => {
    const node = await this.#own(query);
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
    const node = await this.#own(query);
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
    const node = await this.#own(query);
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

  readonly listSubscriptions = async (query: PubSubQuery): Promise<Element> => {
    const node = await this.#own(query);
    const items: Element[] = [];
    for (const { subscriptions } of (await node.members()).values()) {
      for (const each of subscriptions) if (each.state === 'subscribed') items.push(writeSubscription(each, undefined, false));
    }
    return xml('pubsub', NS_OWNER, xml('subscriptions', { node: node.name }, ...items));
  };

  /** Approves, denies and ends subscriptions. Nobody is subscribed who has not asked for it: they would be sent what they never wanted. */
  readonly setSubscriptions = async (query: PubSubQuery): Promise<void> => {
    const { place, request } = query;
    const node = await this.#own(query);
    const changes = request
      .getChildren('subscription', NS_OWNER)
      .map((element): { readonly jid: Jid; readonly state: 'none' | 'subscribed' } => {
        const state: unknown = element.attrs['subscription'];
        if (state !== 'none' && state !== 'subscribed') throw new StanzaError('bad-request', { text: 'This is no state to set' });
        return { jid: readJid(element), state };
      });
    if (changes.length > MAX_CHANGES) throw new StanzaError('policy-violation', { text: 'Too many at once' });
    await node.inTurn(async () => {
      for (const { jid, state } of changes) {
        const { member } = await standingOf(node, jid.bare);
        const known = member.subscriptions.find((each) => each.jid === jid.full);
        if (!known && state === 'subscribed') {
          throw new StanzaError('not-acceptable', { text: `${jid.full} has not asked for it` });
        }
      }
      for (const { jid, state } of changes) await this.#setSubscription(place, node, jid, state);
    });
  };

  async #setSubscription(place: Place, node: Node, jid: Jid, state: 'none' | 'subscribed'): Promise<void> {
    const { approval, notifier } = this.#parts;
    const { member } = await standingOf(node, jid.bare);
    const known = member.subscriptions.find((each) => each.jid === jid.full);
    if (!known) return;
    if (known.state === 'pending') return approval.decide(place, node, { jid }, state === 'subscribed');
    if (state === 'subscribed') return;
    await node.setMember(jid.bare, (now) => withSubscription(now, jid.full, undefined));
    notifier.subscription(place, node, { jid: jid.full, state, subid: known.subid }, [jid.full]);
  }

  readonly listAffiliations = async (query: PubSubQuery): Promise<Element> => {
    const node = await this.#own(query);
    const members = await node.members();
    const people = new Set([node.creator, ...members.keys()]);
    const items = [...people]
      .map((jid) => ({ jid, affiliation: node.affiliationOf(jid, members) }))
      .filter(({ affiliation }) => affiliation !== 'none');
    return xml('pubsub', NS_OWNER, xml('affiliations', { node: node.name }, ...items.map((item) => xml('affiliation', item))));
  };

  readonly setAffiliations = async (query: PubSubQuery): Promise<void> => {
    const { place, request } = query;
    const node = await this.#own(query);
    const elements = request.getChildren('affiliation', NS_OWNER);
    if (elements.length > MAX_CHANGES) throw new StanzaError('policy-violation', { text: 'Too many at once' });
    const changes = new Map(elements.map((element) => [readJid(element).bare, readAffiliation(element)]));
    await node.inTurn(() => this.#affiliate(place, node, changes));
  };

  async #affiliate(place: Place, node: Node, changes: ReadonlyMap<string, Affiliation>): Promise<void> {
    if (node.isGone) throw noSuchNode();
    const members = await node.members();
    const owners = new Set(node.owners(members));
    for (const [bare, affiliation] of changes) affiliation === 'owner' ? owners.add(bare) : owners.delete(bare);
    // Section 8.9.2.4, and an account stays the owner of what is its own.
    const isAccount = place.jid.local !== '';
    if (owners.size === 0 || (isAccount && !owners.has(place.jid.bare)))
      throw lastOwner(node, isAccount ? place.jid.bare : undefined);
    const { maxMembers } = this.#parts.shop.around.limits;
    if (members.size + changes.size > maxMembers) throw pubsubError('policy-violation', 'max-nodes-exceeded', { type: 'wait' });
    const after = new Map<string, Member>();
    for (const [bare, affiliation] of changes) {
      const member = members.get(bare) ?? STRANGER;
      const isExplicit = affiliation !== 'none' || bare === node.creator;
      const subscriptions = affiliation === 'outcast' ? [] : member.subscriptions;
      after.set(bare, { subscriptions, ...(isExplicit && { affiliation }) });
    }
    await node.setMembers(after);
    for (const [bare, affiliation] of changes) if (isTrusted(affiliation)) await this.#approveAll(place, node, bare);
  }

  /** Whoever is something to the node needs no approval any more (section 8.7.5). */
  async #approveAll(place: Place, node: Node, bare: string): Promise<void> {
    const { member } = await standingOf(node, bare);
    for (const { jid, state } of member.subscriptions) {
      if (state === 'pending') await this.#parts.approval.decide(place, node, { jid: Jid.parse(jid) }, true);
    }
  }

  async #own(query: PubSubQuery): Promise<Node> {
    const node = nodeOf(query);
    await checkOwner(node, query.from);
    return node;
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

function isTrusted(affiliation: Affiliation): boolean {
  return affiliation === 'owner' || affiliation === 'publisher' || affiliation === 'member';
}

function readAffiliation(element: Element): Affiliation {
  const text: unknown = element.attrs['affiliation'];
  if (!isAffiliation(text)) throw new StanzaError('bad-request', { text: 'There is no such affiliation' });
  return text;
}

function lastOwner(node: Node, owner = node.creator): StanzaError {
  const extra = xml(
    'affiliations',
    { xmlns: NS_OWNER, node: node.name },
    xml('affiliation', { jid: owner, affiliation: 'owner' }),
  );
  return new StanzaError('not-acceptable', { text: 'Somebody has to own it', extra });
}
