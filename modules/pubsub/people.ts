// What owners ask about people: who has subscribed, and who is what (XEP-0060 sections 8.8 and 8.9).
import { type Element, Jid, StanzaError, xml } from '#core';
import { isInForce, standingOf } from './access.ts';
import { NS_OWNER, noSuchNode, PartlyRefused } from './errors.ts';
import { type Affiliation, current, isAffiliation, type Member, STRANGER, withSubscription } from './members.ts';
import type { Node } from './node.ts';
import type { OwnerParts } from './owner.ts';
import type { Place, PubSubQuery } from './place.ts';
import { ownNode, readJid } from './requests.ts';
import { writeSubscription } from './subscribe.ts';

/** Entries that one request changes. */
const MAX_CHANGES = 1000;

/** A change of a subscription, as it is asked for. */
interface Wish {
  readonly jid: Jid;
  readonly subid: string | undefined;
  readonly state: string;
}

/** Serves those who say who may do what. */
export class PeopleDesk {
  readonly #parts: OwnerParts;

  constructor(parts: OwnerParts) {
    this.#parts = parts;
  }

  readonly listSubscriptions = async (query: PubSubQuery): Promise<Element> => {
    const node = await ownNode(query);
    const items: Element[] = [];
    for (const { subscriptions } of (await node.members()).values()) {
      for (const each of subscriptions) if (isInForce(each)) items.push(writeSubscription(each, undefined, false));
    }
    return xml('pubsub', NS_OWNER, xml('subscriptions', { node: node.name }, ...items));
  };

  /** Approves, denies and ends subscriptions. Nobody is subscribed who has not asked for it: they would be sent what they never wanted. */
  readonly setSubscriptions = async (query: PubSubQuery): Promise<void> => {
    const { place, request } = query;
    const node = await ownNode(query);
    const wishes = readWishes(request);
    await node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const unchanged: Element[] = [];
      for (const wish of wishes) if (!(await this.#fulfil(place, node, wish))) unchanged.push(await describe(node, wish));
      if (unchanged.length > 0)
        throw new PartlyRefused(
          xml('subscriptions', { xmlns: NS_OWNER, node: node.name }, ...unchanged),
          'Only what somebody has asked for can be approved',
        );
    });
  };

  /** False for what cannot be done. */
  async #fulfil(place: Place, node: Node, { jid, subid, state }: Wish): Promise<boolean> {
    const { approval, notifier } = this.#parts;
    const { member } = await standingOf(node, jid.bare);
    const known = member.subscriptions.find((each) => each.jid === jid.full);
    if ((state !== 'none' && state !== 'subscribed') || (subid !== undefined && subid !== known?.subid)) return false;
    if (!known) return state === 'none';
    if (known.state === 'pending') await approval.decide(place, node, { jid }, state === 'subscribed');
    else if (state === 'none') {
      await node.setMember(jid.bare, (now) => withSubscription(now, jid.full, undefined));
      await notifier.subscription(place, node, { jid: jid.full, state, subid: known.subid }, [jid.full]);
    }
    return true;
  }

  readonly listAffiliations = async (query: PubSubQuery): Promise<Element> => {
    const node = await ownNode(query);
    const members = await node.members();
    const people = new Set([node.creator, ...members.keys()]);
    const items = [...people]
      .map((jid) => ({ jid, affiliation: node.affiliationOf(jid, members) }))
      .filter(({ affiliation }) => affiliation !== 'none');
    return xml('pubsub', NS_OWNER, xml('affiliations', { node: node.name }, ...items.map((item) => xml('affiliation', item))));
  };

  readonly setAffiliations = async (query: PubSubQuery): Promise<void> => {
    const { place, request } = query;
    const node = await ownNode(query);
    const changes = readAffiliations(request);
    await node.inTurn(async () => {
      if (node.isGone) throw noSuchNode();
      const owners = lastOwners(place, node, await node.members(), changes);
      for (const bare of owners) changes.delete(bare);
      await this.#affiliate(place, node, changes);
      if (owners.length > 0) {
        const unchanged = owners.map((jid) => xml('affiliation', { jid, affiliation: 'owner' }));
        throw new PartlyRefused(
          xml('affiliations', { xmlns: NS_OWNER, node: node.name }, ...unchanged),
          'Somebody has to own the node',
        );
      }
    });
  };

  async #affiliate(place: Place, node: Node, changes: ReadonlyMap<string, Affiliation>): Promise<void> {
    const { notifier, shop } = this.#parts;
    const members = await node.members();
    const added = [...changes].filter(([bare, affiliation]) => affiliation !== 'none' && !members.has(bare)).length;
    if (added > 0 && members.size + added > shop.around.limits.maxMembers) {
      throw new StanzaError('policy-violation', { type: 'wait', text: 'There are too many people' });
    }
    const after = new Map<string, Member>();
    const banned: Member[] = [];
    for (const [bare, affiliation] of changes) {
      const member = current(members.get(bare) ?? STRANGER);
      if (affiliation === 'outcast') banned.push(member);
      const isExplicit = affiliation !== 'none' || bare === node.creator;
      const subscriptions = affiliation === 'outcast' ? [] : member.subscriptions;
      after.set(bare, { subscriptions, ...(isExplicit && { affiliation }) });
    }
    if (after.size > 0) await node.setMembers(after);
    for (const { subscriptions } of banned) {
      for (const { jid, subid } of subscriptions) await notifier.subscription(place, node, { jid, state: 'none', subid }, [jid]);
    }
    for (const [bare, affiliation] of changes) if (isTrusted(affiliation)) await this.#approveAll(place, node, bare);
  }

  /** Whoever is something to the node needs no approval any more (section 8.7.4). */
  async #approveAll(place: Place, node: Node, bare: string): Promise<void> {
    const { member } = await standingOf(node, bare);
    for (const { jid, state } of member.subscriptions) {
      if (state === 'pending') await this.#parts.approval.decide(place, node, { jid: Jid.parse(jid) }, true);
    }
  }
}

/** Whoever would leave the node without an owner (section 8.9.2.4); an account stays the owner of what is its own. */
function lastOwners(
  { jid }: Place,
  node: Node,
  members: ReadonlyMap<string, Member>,
  changes: ReadonlyMap<string, Affiliation>,
): readonly string[] {
  const owners = node.owners(members);
  const leaving = owners.filter((bare) => (changes.get(bare) ?? 'owner') !== 'owner');
  const isOneLeft = owners.length > leaving.length || [...changes.values()].includes('owner');
  if (!isOneLeft) return leaving;
  return jid.local === '' ? [] : leaving.filter((bare) => bare === jid.bare);
}

function isTrusted(affiliation: Affiliation): boolean {
  return affiliation === 'owner' || affiliation === 'publisher' || affiliation === 'member';
}

/** What somebody's subscription is, since it was not changed. */
async function describe(node: Node, { jid, subid }: Wish): Promise<Element> {
  const { member } = await standingOf(node, jid.bare);
  const known = member.subscriptions.find((each) => each.jid === jid.full);
  return xml('subscription', { jid: jid.full, subid, subscription: known?.state ?? 'none' });
}

/** An entry without a state changes nothing (section 8.8.2.1). */
function readWishes(request: Element): readonly Wish[] {
  return entries(request, 'subscription').flatMap((element) => {
    const { subscription: state, subid } = element.attrs as Record<string, string | undefined>;
    return state === undefined ? [] : [{ jid: readJid(element), subid, state }];
  });
}

/** The same for affiliations, of which one person has one (section 8.9.2.4). */
function readAffiliations(request: Element): Map<string, Affiliation> {
  const changes = new Map<string, Affiliation>();
  for (const element of entries(request, 'affiliation')) {
    const affiliation: unknown = element.attrs['affiliation'];
    if (affiliation === undefined) continue;
    if (!isAffiliation(affiliation)) throw new StanzaError('bad-request', { text: 'There is no such affiliation' });
    const { bare } = readJid(element);
    if (changes.has(bare)) throw new StanzaError('bad-request', { text: `${bare} is there twice` });
    changes.set(bare, affiliation);
  }
  return changes;
}

function entries(request: Element, name: string): readonly Element[] {
  const elements = request.getChildren(name, NS_OWNER);
  if (elements.length > MAX_CHANGES) throw new StanzaError('policy-violation', { text: 'Too many at once' });
  return elements;
}
