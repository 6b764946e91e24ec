// Subscribing, and what subscribers ask (XEP-0060 sections 5.6, 5.7, 6.1 to 6.4).
import { type Element, type Jid, randomToken, StanzaError, xml } from '#core';
import { checkSubscribe, isGuest, type Standing, standingOf } from './access.ts';
import type { Approval } from './approval.ts';
import { NS_PUBSUB, noSuchNode, pubsubError, unsupported } from './errors.ts';
import { current, DEFAULT_OPTIONS, isStranger, readMember, type Subscription, withSubscription } from './members.ts';
import type { Node } from './node.ts';
import type { Notifier } from './notify.ts';
import { readOptions, writeOptions } from './options.ts';
import type { Place, PubSubQuery, Shop } from './place.ts';
import { attachment, nodeOf, optionalNode, readJid } from './requests.ts';

/** Addresses under which one person subscribes to one node. */
const MAX_ADDRESSES = 10;

/** What a subscriber works with. */
export interface SubscriberParts {
  readonly shop: Shop;
  readonly notifier: Notifier;
  readonly approval: Approval;
}

/** Takes subscriptions. */
export class Subscriber {
  readonly #parts: SubscriberParts;

  constructor(parts: SubscriberParts) {
    this.#parts = parts;
  }

  readonly subscribe = async (query: PubSubQuery): Promise<Element> => {
    const { place, from, request } = query;
    const jid = readOwn(request, from);
    const node = nodeOf(query);
    const form = attachment(query, 'options')?.getChildElements()[0];
    const options = form && readOptions(form);
    if (isGuest(from)) throw new StanzaError('forbidden');
    const subscription = await node.inTurn(() => this.#subscribe(place, node, { jid, options }));
    return xml(
      'pubsub',
      NS_PUBSUB,
      writeSubscription(subscription, node.name, true),
      options && xml('options', {}, writeOptions(subscription.options, 'result')),
    );
  };

  async #subscribe(
    place: Place,
    node: Node,
    wanted: { jid: Jid; options: Subscription['options'] | undefined },
  ): Promise<Subscription> {
    const { jid, options } = wanted;
    const { shop, notifier, approval } = this.#parts;
    if (node.isGone) throw noSuchNode();
    await checkSubscribe(node, jid, shop.around.trust);
    if (!node.config.subscribe) throw unsupported('subscribe');
    const standing = await standingOf(node, jid.bare);
    const before = standing.member.subscriptions.find((each) => each.jid === jid.full);
    if (before?.state === 'pending') throw pubsubError('not-authorized', 'pending-subscription');
    if (before && !options) return before;
    if (!before) await this.#checkRoom(node, standing);
    const state = mustBeApproved(node, standing) ? 'pending' : 'subscribed';
    const subscription: Subscription = {
      jid: jid.full,
      state,
      subid: before?.subid ?? randomToken(12),
      options: options ?? DEFAULT_OPTIONS,
    };
    await node.setMember(jid.bare, (member) => withSubscription(member, jid.full, subscription));
    if (state === 'pending') await approval.ask(place, node, subscription);
    else if (!before) {
      await notifier.toOwners(place, node, { jid: jid.full, state, subid: subscription.subid });
      await notifier.welcome(place, node, subscription);
    }
    return subscription;
  }

  readonly unsubscribe = async (query: PubSubQuery): Promise<void> => {
    const { place, from, request } = query;
    const jid = readJid(request);
    const node = nodeOf(query);
    if (jid.bare !== from.bare) throw new StanzaError('forbidden');
    await node.inTurn(async () => {
      const subscription = await findSubscription(node, jid, 'cancel');
      checkSubid(request, subscription);
      await node.setMember(jid.bare, (member) => withSubscription(member, jid.full, undefined));
      await this.#parts.notifier.toOwners(place, node, { jid: jid.full, state: 'none', subid: subscription.subid });
    });
  };

  readonly showOptions = async (query: PubSubQuery): Promise<Element> => {
    const { from, request } = query;
    const jid = readJid(request);
    const node = nodeOf(query);
    if (jid.bare !== from.bare) throw new StanzaError('forbidden');
    const { options, subid } = await findSubscription(node, jid, 'modify');
    checkSubid(request, { subid });
    return xml('pubsub', NS_PUBSUB, xml('options', { node: node.name, jid: jid.full, subid }, writeOptions(options, 'form')));
  };

  readonly setOptions = async (query: PubSubQuery): Promise<void> => {
    const { from, request } = query;
    const jid = readJid(request);
    const node = nodeOf(query);
    if (jid.bare !== from.bare) throw new StanzaError('forbidden');
    const form = request.getChildElements()[0];
    if (form?.attrs['type'] === 'cancel') return;
    await node.inTurn(async () => {
      const subscription = await findSubscription(node, jid, 'modify');
      checkSubid(request, subscription);
      const options = readOptions(form, subscription.options);
      await node.setMember(jid.bare, (member) => withSubscription(member, jid.full, { ...subscription, options }));
    });
  };

  /** The same for all nodes. */
  readonly showDefaults = ({ place, request }: PubSubQuery): Element => {
    const node = optionalNode(request);
    if (node !== undefined) place.nodes.find(node);
    return xml('pubsub', NS_PUBSUB, xml('default', { node }, writeOptions(DEFAULT_OPTIONS, 'result')));
  };

  readonly listSubscriptions = async (query: PubSubQuery): Promise<Element> => {
    const { from, request, place } = query;
    const only = optionalNode(request);
    const items: Element[] = [];
    for (const [node, { subscriptions }] of await this.#memberships(place, from)) {
      if (only !== undefined && node.name !== only) continue;
      for (const subscription of subscriptions) items.push(writeSubscription(subscription, node.name, false));
    }
    return xml('pubsub', NS_PUBSUB, xml('subscriptions', { node: only }, ...items));
  };

  readonly listAffiliations = async (query: PubSubQuery): Promise<Element> => {
    const { from, request, place } = query;
    const only = optionalNode(request);
    const found = new Map([...(await this.#memberships(place, from))].map(([node, { affiliation }]) => [node, affiliation]));
    for (const node of place.nodes.all()) {
      if (node.creator === from.bare && found.get(node) === undefined) found.set(node, 'owner');
    }
    const items: Element[] = [];
    for (const [node, affiliation = 'none'] of found) {
      if (affiliation !== 'none' && (only === undefined || node.name === only))
        items.push(xml('affiliation', { node: node.name, affiliation }));
    }
    return xml('pubsub', NS_PUBSUB, xml('affiliations', { node: only }, ...items));
  };

  async #memberships({ nodes }: Place, { bare }: Jid) {
    const found = await this.#parts.shop.around.stores.members.find(nodes.owner, bare);
    const memberships = new Map<Node, ReturnType<typeof readMember>>();
    for (const [name, item] of found) {
      const node = nodes.get(name);
      if (node) memberships.set(node, current(readMember(item)));
    }
    return memberships;
  }

  async #checkRoom(node: Node, { member }: Standing): Promise<void> {
    const { maxMembers } = this.#parts.shop.around.limits;
    const isNew = isStranger(member);
    if (isNew && (await node.members()).size >= maxMembers) await node.dropEnded();
    const isFull = isNew && (await node.members()).size >= maxMembers;
    if (isFull || member.subscriptions.length >= MAX_ADDRESSES) {
      throw pubsubError('policy-violation', 'too-many-subscriptions', { type: 'wait' });
    }
  }
}

/** A subscription as requests and answers have it; with the note that it can be configured. */
export function writeSubscription(
  { jid, state, subid }: Subscription,
  node: string | undefined,
  canBeConfigured: boolean,
): Element {
  const options = canBeConfigured ? xml('subscribe-options') : undefined;
  return xml('subscription', { node, jid, subid, subscription: state }, options);
}

/** Who has something to do with the node already needs no approval (section 6.1.4). */
function mustBeApproved(node: Node, { affiliation, isSubscribed }: Standing): boolean {
  return node.config.accessModel === 'authorize' && !isSubscribed && affiliation === 'none';
}

/** The address to be subscribed, which must be the sender's (section 6.1.3.1). */
function readOwn(request: Element, from: Jid): Jid {
  const jid = readJid(request);
  if (jid.bare !== from.bare) throw pubsubError('bad-request', 'invalid-jid');
  return jid;
}

/** Rejects with StanzaError where there is none: of this type, which depends on what is asked (sections 6.2.3.2 and 6.3.4.2). */
async function findSubscription(node: Node, jid: Jid, type: 'cancel' | 'modify'): Promise<Subscription> {
  const { member } = await standingOf(node, jid.bare);
  const subscription = member.subscriptions.find((each) => each.jid === jid.full);
  if (!subscription) throw pubsubError('unexpected-request', 'not-subscribed', { type });
  return subscription;
}

/** Nobody needs to say it, since there is one only; but another one is none (section 6.2.3.5). */
function checkSubid(request: Element, { subid }: Pick<Subscription, 'subid'>): void {
  const given: unknown = request.attrs['subid'];
  if (given !== undefined && given !== subid) throw pubsubError('not-acceptable', 'invalid-subid');
}
