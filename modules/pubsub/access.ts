// Who may do what with a node (XEP-0060 sections 4.1, 4.5, 6.1.3 and 6.5.9).
import { isGuestName, type Jid, type Maybe, StanzaError } from '#core';
import { pubsubError } from './errors.ts';
import { type Affiliation, current, hasEnded, type Member, STRANGER, type Subscription } from './members.ts';
import type { Node } from './node.ts';

/** How entities stand to the owners of a node (by bare JID), as far as those are accounts here. */
export interface Trust {
  /** Whether an entity sees the presence of one of the owners. */
  seesPresence(owners: readonly string[], entity: Jid): Maybe<boolean>;
  /** In which groups of their contacts the owners have it, where it sees their presence. */
  groupsOf(owners: readonly string[], entity: Jid): Maybe<readonly string[]>;
}

/** What somebody is to a node. */
export interface Standing {
  readonly affiliation: Affiliation;
  readonly member: Member;
  /** Whether one of their subscriptions is in force. */
  readonly isSubscribed: boolean;
}

/** Affiliations that read whatever the access model. */
const READERS: ReadonlySet<Affiliation> = new Set(['owner', 'publisher', 'member']);
const PUBLISHERS: ReadonlySet<Affiliation> = new Set(['owner', 'publisher', 'publish-only']);

/** What somebody is to a node now. */
export async function standingOf(node: Node, bare: string): Promise<Standing> {
  return standingIn(node, bare, await node.members());
}

/** As above, with the members at hand. */
export function standingIn(node: Node, bare: string, members: ReadonlyMap<string, Member>): Standing {
  const member = current(members.get(bare) ?? STRANGER);
  return { affiliation: node.affiliationOf(bare, members), member, isSubscribed: member.subscriptions.some(isInForce) };
}

/** Whether a subscription has been approved, and has not ended. */
export function isInForce(subscription: Subscription): boolean {
  return subscription.state === 'subscribed' && !hasEnded(subscription);
}

/** Whether this may be set by somebody: owners only. Rejects with StanzaError `forbidden`. */
export async function checkOwner(node: Node, entity: Jid): Promise<void> {
  if ((await standingOf(node, entity.bare)).affiliation !== 'owner') throw new StanzaError('forbidden');
}

/** Rejects with the StanzaError that section 6.5.9 has for whoever may not read the items. */
export async function checkRead(node: Node, entity: Jid, trust: Trust): Promise<void> {
  const members = await node.members();
  const refusal = await refusalOf(node, entity, { members, trust, isSubscribing: false });
  if (refusal) throw refusal;
}

/** As above, for whoever may not subscribe (section 6.1.3). That an owner has to approve it is no reason. */
export async function checkSubscribe(node: Node, entity: Jid, trust: Trust): Promise<void> {
  const members = await node.members();
  const refusal = await refusalOf(node, entity, { members, trust, isSubscribing: true });
  if (refusal) throw refusal;
}

/** Whether an entity may read; at once when that takes no question. */
export function mayRead(node: Node, entity: Jid, trust: Trust, members: ReadonlyMap<string, Member>): Maybe<boolean> {
  if (node.config.accessModel === 'open' && members.size === 0) return true;
  const refusal = refusalOf(node, entity, { members, trust, isSubscribing: false });
  return refusal instanceof Promise ? refusal.then((found) => !found) : !refusal;
}

interface Question {
  readonly members: ReadonlyMap<string, Member>;
  readonly trust: Trust;
  readonly isSubscribing: boolean;
}

function refusalOf(node: Node, entity: Jid, { members, trust, isSubscribing }: Question): Maybe<StanzaError | undefined> {
  const { affiliation, isSubscribed } = standingIn(node, entity.bare, members);
  if (affiliation === 'outcast' || affiliation === 'publish-only') return new StanzaError('forbidden');
  if (READERS.has(affiliation)) return undefined;
  const owners = () => node.owners(members);
  switch (node.config.accessModel) {
    case 'open':
      return undefined;
    case 'presence': {
      const sees = trust.seesPresence(owners(), entity);
      return sees instanceof Promise ? sees.then(needsPresence) : needsPresence(sees);
    }
    case 'roster': {
      const groups = trust.groupsOf(owners(), entity);
      const judge = (found: readonly string[]) => needsGroup(node.config.rosterGroups, found);
      return groups instanceof Promise ? groups.then(judge) : judge(groups);
    }
    case 'authorize':
      return isSubscribed || isSubscribing ? undefined : pubsubError('not-authorized', 'not-subscribed');
    case 'whitelist':
      return pubsubError('not-allowed', 'closed-node');
  }
}

function needsPresence(sees: boolean): StanzaError | undefined {
  return sees ? undefined : pubsubError('not-authorized', 'presence-subscription-required');
}

function needsGroup(allowed: readonly string[], groups: readonly string[]): StanzaError | undefined {
  return groups.some((group) => allowed.includes(group)) ? undefined : pubsubError('not-authorized', 'not-in-roster-group');
}

/**
 * Rejects with StanzaError `forbidden` for whoever may not publish (section 7.1.3.1). Where subscribers may, a subscription of somebody
 * who may not read any more counts for nothing.
 */
export async function checkPublish(node: Node, entity: Jid, trust: Trust): Promise<Standing> {
  const standing = await standingOf(node, entity.bare);
  const { affiliation, isSubscribed } = standing;
  if (affiliation === 'outcast') throw new StanzaError('forbidden');
  if (PUBLISHERS.has(affiliation)) return standing;
  const { publishModel } = node.config;
  if (publishModel === 'open') return standing;
  if (publishModel === 'subscribers' && isSubscribed && (await mayRead(node, entity, trust, await node.members())))
    return standing;
  throw new StanzaError('forbidden');
}

/** Whether somebody may change and remove what others have published (section 4.1). */
export function mayEditOthers({ affiliation }: Standing): boolean {
  return affiliation === 'owner' || affiliation === 'publisher';
}

/** Whether an address is that of a guest, who has no account to come back to (section 6.1.3.6). */
export function isGuest(entity: Jid): boolean {
  return isGuestName(entity.local);
}
