// Who has to do with a node: affiliations (XEP-0060 section 4.1) and subscriptions (section 4.2).
import type { NodeItem } from '#core';

/** Lowest first. */
export const AFFILIATIONS = ['outcast', 'none', 'member', 'publish-only', 'publisher', 'owner'] as const;
export type Affiliation = (typeof AFFILIATIONS)[number];

/** Whether this is one of the affiliations there are. */
export function isAffiliation(text: unknown): text is Affiliation {
  return AFFILIATIONS.includes(text as Affiliation);
}

/** The state of a subscription that exists; where there is none it is `none`. */
export type SubscriptionState = 'pending' | 'subscribed';

/** What a subscriber has chosen (section 16.4.2). */
export interface SubscriptionOptions {
  /** Whether to be notified at all. */
  readonly deliver: boolean;
  /** When the subscription ends, in milliseconds since 1970; undefined for never. */
  readonly expire?: number;
  /** The states of presence in which to be notified, `online` among them; undefined for all, and for whoever is offline. */
  readonly showValues?: readonly string[];
}

export const DEFAULT_OPTIONS: SubscriptionOptions = { deliver: true };

/** One subscription; of one address there is at most one. */
export interface Subscription {
  /** Who is notified: a bare JID, or a full one. */
  readonly jid: string;
  readonly state: SubscriptionState;
  readonly subid: string;
  readonly options: SubscriptionOptions;
}

/** What is known of one person (by their bare JID) at one node. */
export interface Member {
  /** Undefined when nobody has said anything. */
  readonly affiliation?: Affiliation | undefined;
  readonly subscriptions: readonly Subscription[];
}

export const STRANGER: Member = { subscriptions: [] };

/** Whether there is nothing to be kept of somebody. */
export function isStranger({ affiliation, subscriptions }: Member): boolean {
  return affiliation === undefined && subscriptions.length === 0;
}

/** Whether a subscription was for a time that is over (section 12.19). */
export function hasEnded({ options }: Subscription): boolean {
  return options.expire !== undefined && options.expire <= Date.now();
}

/** A member as of now: without the subscriptions that have ended. */
export function current(member: Member): Member {
  if (!member.subscriptions.some(hasEnded)) return member;
  return { ...member, subscriptions: member.subscriptions.filter((each) => !hasEnded(each)) };
}

/** A member as it is stored. */
export function writeMember(member: Member): string {
  return JSON.stringify(member);
}

/** The reverse. */
export function readMember({ value }: NodeItem): Member {
  return JSON.parse(value) as Member;
}

/** With another subscription in place of the one of the same address; with none when it is undefined. */
export function withSubscription(member: Member, jid: string, subscription: Subscription | undefined): Member {
  const others = member.subscriptions.filter((other) => other.jid !== jid);
  return { ...member, subscriptions: subscription ? [...others, subscription] : others };
}
