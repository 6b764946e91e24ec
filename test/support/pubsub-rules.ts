// Who may do what at a node, as XEP-0060 and XEP-0163 have it, and nothing of how we do it: what tests hold the modules to.

export const ACCESS = ['open', 'presence', 'roster', 'authorize', 'whitelist'] as const;
export const PUBLISH = ['publishers', 'subscribers', 'open'] as const;
export type Access = (typeof ACCESS)[number];
export type Publish = (typeof PUBLISH)[number];

/** Where a node is: at a service, or at the account of its owner. */
export type Whereabouts = 'account' | 'service';

/** What somebody is to a node and to its owner. */
export interface Person {
  readonly affiliation?: 'member' | 'outcast' | 'owner' | 'publish-only' | 'publisher';
  readonly subscription?: 'pending' | 'subscribed';
  /** Sees the owner's presence. */
  readonly seesPresence?: boolean;
  /** In the group of the owner's contacts that the access model `roster` names. */
  readonly isInGroup?: boolean;
  /** By the owner (XEP-0191): counts at the owner's account only. */
  readonly isBlocked?: boolean;
  /** Has blocked the owner. */
  readonly hasBlocked?: boolean;
  /** Anonymous: without an account. */
  readonly isGuest?: boolean;
  /** Of another server. */
  readonly isForeign?: boolean;
  /** Of the server. */
  readonly isAdmin?: boolean;
  /** The one who has made the node: another client of the same account. */
  readonly isOwner?: boolean;
}

/** One of each kind, by the name of the account. */
export const PEOPLE: Readonly<Record<string, Person>> = {
  owner: { affiliation: 'owner', seesPresence: true, isOwner: true },
  stranger: {},
  // In the group, but that without a presence subscription is nothing (section 6.5.1).
  acquaintance: { isInGroup: true },
  friend: { seesPresence: true },
  courtier: { seesPresence: true, isInGroup: true },
  stalker: { seesPresence: true, isInGroup: true, subscription: 'subscribed', isBlocked: true },
  lurker: { seesPresence: true, isInGroup: true, affiliation: 'member', isBlocked: true },
  hermit: { seesPresence: true, isInGroup: true, subscription: 'subscribed', hasBlocked: true },
  // Unlike the one above, who hears by having subscribed, if at all.
  recluse: { seesPresence: true, hasBlocked: true },
  guest: { isGuest: true },
  admin: { isAdmin: true },
  foreigner: { isForeign: true },
  penfriend: { isForeign: true, seesPresence: true, isInGroup: true, subscription: 'subscribed' },
  ambassador: { isForeign: true, affiliation: 'publisher' },
  subscriber: { subscription: 'subscribed' },
  fan: { subscription: 'subscribed', seesPresence: true },
  page: { subscription: 'subscribed', seesPresence: true, isInGroup: true },
  applicant: { subscription: 'pending' },
  hopeful: { subscription: 'pending', seesPresence: true, isInGroup: true },
  pest: { subscription: 'pending', seesPresence: true, isBlocked: true },
  member: { affiliation: 'member' },
  fellow: { affiliation: 'member', subscription: 'subscribed', seesPresence: true },
  scribe: { affiliation: 'publish-only' },
  ghost: { affiliation: 'publish-only', subscription: 'subscribed', seesPresence: true, isInGroup: true },
  publisher: { affiliation: 'publisher' },
  printer: { affiliation: 'publisher', subscription: 'subscribed' },
  partner: { affiliation: 'owner' },
  banned: { affiliation: 'outcast', seesPresence: true, isInGroup: true },
  exile: { affiliation: 'outcast', isForeign: true },
};

/** A kind of node, and where it is. */
export interface Kind {
  readonly at: Whereabouts;
  readonly access: Access;
  readonly model: Publish;
}

/** What is answered: `ok` for a result, or the type of an error, its condition, and that of XEP-0060 where there is one. */
export type Outcome = string;

export const OK = 'ok';
export const FORBIDDEN = 'auth forbidden';
export const NOT_FOUND = 'cancel item-not-found';
const UNAVAILABLE = 'cancel service-unavailable';

/** The first that is none of success. */
export function firstOf(...outcomes: readonly Outcome[]): Outcome {
  return outcomes.find((outcome) => outcome !== OK) ?? OK;
}

/** XEP-0191 section 3.3: for whom an account has blocked it is not there, and section 3.2: who has blocked it does not reach it either. */
export function refusesAll({ isBlocked, hasBlocked }: Person, { at }: Kind): Outcome {
  if (at === 'service') return OK;
  if (isBlocked) return UNAVAILABLE;
  return hasBlocked ? 'cancel not-acceptable' : OK;
}

/** Sections 4.1, 4.5, 6.5.1 and 6.5.9. */
export function read(person: Person, { access }: Pick<Kind, 'access'>): Outcome {
  const { affiliation, seesPresence, isInGroup, subscription } = person;
  switch (affiliation) {
    case 'outcast':
    case 'publish-only':
      return FORBIDDEN;
    case 'member':
    case 'owner':
    case 'publisher':
      return OK;
  }
  switch (access) {
    case 'open':
      return OK;
    case 'presence':
      return seesPresence ? OK : 'auth not-authorized presence-subscription-required';
    case 'roster':
      return seesPresence && isInGroup ? OK : 'auth not-authorized not-in-roster-group';
    case 'authorize':
      return subscription === 'subscribed' ? OK : 'auth not-authorized not-subscribed';
    case 'whitelist':
      return 'cancel not-allowed closed-node';
  }
}

/** Section 5: a node is for those who may subscribe to it, with or without an owner's consent. */
export function see(person: Person, kind: Kind): Outcome {
  return kind.access === 'authorize' && person.affiliation === undefined ? OK : read(person, kind);
}

/** The same for a question about the node: accounts answer only those who see their presence (XEP-0030 section 8). */
export function seeAccount(person: Person, kind: Kind): Outcome {
  return kind.at === 'account' && !person.seesPresence ? UNAVAILABLE : see(person, kind);
}

/** Section 6.1.3. */
export function subscribe(person: Person, kind: Kind): Outcome {
  if (person.isGuest) return FORBIDDEN;
  return firstOf(see(person, kind), person.subscription === 'pending' ? 'auth not-authorized pending-subscription' : OK);
}

/** What becomes of a request to subscribe that is not refused (section 6.1.4). */
export function subscriptionOf({ subscription, affiliation }: Person, { access }: Kind): 'pending' | 'subscribed' {
  return access === 'authorize' && affiliation === undefined && subscription === undefined ? 'pending' : 'subscribed';
}

/** Sections 6.2.3 and 6.3.4: of whoever has not subscribed. The type depends on what is asked. */
export function haveSubscription({ subscription }: Person, type: 'cancel' | 'modify'): Outcome {
  return subscription ? OK : `${type} unexpected-request not-subscribed`;
}

/**
 * Section 7.1.3.1. A subscription that has lost what it was for, though it has not been cancelled yet (section 12.14), makes nobody a
 * publisher either.
 */
export function publish(person: Person, { access, model }: Kind): Outcome {
  switch (person.affiliation) {
    case 'outcast':
      return FORBIDDEN;
    case 'owner':
    case 'publish-only':
    case 'publisher':
      return OK;
  }
  if (model === 'open') return OK;
  const isSubscribed = person.subscription === 'subscribed' && read(person, { access }) === OK;
  return model === 'subscribers' && isSubscribed ? OK : FORBIDDEN;
}

/** Section 4.1: what others have published is changed and removed by publishers and owners. */
export function edit(person: Person, kind: Kind): Outcome {
  const { affiliation } = person;
  return affiliation === 'owner' || affiliation === 'publisher' ? OK : firstOf(publish(person, kind), FORBIDDEN);
}

/** Section 8. */
export function manage({ affiliation }: Person): Outcome {
  return affiliation === 'owner' ? OK : FORBIDDEN;
}

/** Section 8.1.2; at an account it is the account alone (XEP-0163). At the service those with an account here, as it is configured. */
export function create({ isOwner, isGuest, isForeign, isAdmin }: Person, { at }: Kind): Outcome {
  if (at === 'account') return isOwner ? OK : FORBIDDEN;
  return isAdmin || !(isGuest || isForeign) ? OK : FORBIDDEN;
}

/** Whether anything at all is sent to somebody (XEP-0163 section 4.3.3, and XEP-0191 section 3.2). */
export function isReached({ isBlocked, hasBlocked }: Person, { at }: Kind): boolean {
  return at === 'service' || !(isBlocked || hasBlocked);
}

/** Whether somebody is told of what is published, by having subscribed (section 4.2). */
export function hearsAsSubscriber(person: Person, kind: Kind): boolean {
  return person.subscription === 'subscribed' && read(person, kind) === OK && isReached(person, kind);
}

/** Whether an available client is, by being interested in it (section 9.1 and XEP-0163 section 4.2). */
export function hearsAsContact(person: Person, kind: Kind): boolean {
  if (kind.at === 'service' || !isReached(person, kind)) return false;
  return person.isOwner || (person.seesPresence === true && read(person, kind) === OK);
}

/** Whether somebody is told that a node is deleted: those who wait to be approved are, too (section 8.4.2). */
export function hearsOfDeletion(person: Person, kind: Kind): boolean {
  return hearsAsSubscriber(person, kind) || (person.subscription === 'pending' && isReached(person, kind));
}
