import { type Element, xml } from '#core';

/** How two accounts see each other (RFC 6121 section 2.1.2.5), from the roster owner's side. */
export type Subscription = 'none' | 'to' | 'from' | 'both';

/** The parts of a contact's state, to be combined with `|`. The nine states of RFC 6121 appendix A.1 are made of the first four. */
export const STATE = {
  /** The owner sees the contact's presence. */
  to: 1,
  /** The contact sees the owner's presence. */
  from: 2,
  /** Pending out: the owner has asked for the contact's presence. */
  ask: 4,
  /** Pending in: the contact has asked for the owner's presence. */
  pending: 8,
  /** The owner has approved a request that has not come yet (RFC 6121 section 3.4). */
  approved: 16,
  /** It is in the roster as clients see it; a stranger who asks is not. */
  listed: 32,
} as const;

const VISIBLE = STATE.to | STATE.from | STATE.ask | STATE.approved;
const SUBSCRIPTIONS: readonly Subscription[] = ['none', 'to', 'from', 'both'];
const NO_GROUPS: readonly string[] = [];

/** What somebody else than the owner makes of a contact: the host, by groups that are the same for many. */
export interface Given {
  /** `to`, `from` or both of STATE. */
  readonly state: number;
  /** At least one. */
  readonly groups: readonly string[];
}

/** What there is to say of a contact besides its address. */
interface ContactParts {
  readonly state?: number;
  readonly revision?: number;
  readonly name?: string | undefined;
  readonly groups?: readonly string[];
  readonly given?: Given | undefined;
}

/** What a roster store keeps of one contact. */
export interface StoredContact {
  readonly subscription: Subscription;
  readonly ask?: true;
  readonly pending?: true;
  readonly approved?: true;
  /** It is no longer in the roster (or never was), and this says since which revision. */
  readonly gone?: true;
  readonly name?: string;
  readonly groups?: readonly string[];
  readonly given?: { readonly subscription: Subscription; readonly groups: readonly string[] };
  readonly revision: number;
}

/**
 * One contact of a roster: what its owner has made of it, and over that what it is given to be. Never changes: an edit makes another one.
 * What is given hides nothing of the owner's own, which is still there when it is taken back.
 */
export class Contact {
  /** Its bare JID. */
  readonly jid: string;
  /** Parts of STATE: the owner's own. */
  readonly state: number;
  /** The change of the roster that clients saw last of it; 0 when they have seen none. */
  readonly revision: number;
  /** What the owner calls it. */
  readonly name: string | undefined;
  /** The owner's own. */
  readonly groups: readonly string[];
  /** Undefined for most contacts: those that the owner alone has made. */
  readonly given: Given | undefined;

  constructor(jid: string, { state = 0, revision = 0, name, groups = NO_GROUPS, given }: ContactParts = {}) {
    this.jid = jid;
    this.state = (state & VISIBLE) === 0 ? state : state | STATE.listed;
    this.revision = revision;
    this.name = name;
    this.groups = groups.length === 0 ? NO_GROUPS : groups;
    this.given = given;
  }

  /** A contact as the store has kept it. */
  static restore(jid: string, stored: StoredContact): Contact {
    const { revision, name, groups = NO_GROUPS } = stored;
    let state = SUBSCRIPTIONS.indexOf(stored.subscription);
    if (stored.ask) state |= STATE.ask;
    if (stored.pending) state |= STATE.pending;
    if (stored.approved) state |= STATE.approved;
    if (!stored.gone) state |= STATE.listed;
    const given = stored.given && { state: SUBSCRIPTIONS.indexOf(stored.given.subscription), groups: stored.given.groups };
    return new Contact(jid, { state, revision, name, groups, given });
  }

  /** As clients see it. */
  get subscription(): Subscription {
    return SUBSCRIPTIONS[this.#seen & 3]!;
  }

  /** Whether it may see the owner's presence. */
  get isSubscriber(): boolean {
    return (this.#seen & STATE.from) !== 0;
  }

  /** Whether the owner may see its presence. */
  get isSubscribedTo(): boolean {
    return (this.#seen & STATE.to) !== 0;
  }

  /** Whether the owner has asked for its presence and has no answer yet. */
  get isAsked(): boolean {
    return (this.state & STATE.ask) !== 0;
  }

  /** Whether it has asked for the owner's presence and has no answer yet. */
  get isPending(): boolean {
    return (this.state & STATE.pending) !== 0;
  }

  /** Whether clients see it in the roster. */
  get isListed(): boolean {
    return (this.#seen & STATE.listed) !== 0;
  }

  /** Whether it would be in the roster if nobody but the owner had a say in that. */
  get isOwn(): boolean {
    return (this.state & STATE.listed) !== 0;
  }

  /** The state as clients see it. */
  get #seen(): number {
    const { state, given } = this;
    return given ? state | given.state | STATE.listed : state;
  }

  /** The groups as clients see them: the given ones first. */
  get #allGroups(): readonly string[] {
    const { groups, given } = this;
    if (!given) return groups;
    return groups.length === 0 ? given.groups : [...new Set([...given.groups, ...groups])];
  }

  /** The same contact in another state; itself when that is the one it has. */
  withState(state: number): Contact {
    return state === this.state ? this : new Contact(this.jid, { ...this, state });
  }

  /**
   * The same contact under another name and in other groups. One that is given does not become the owner's own by that: clients that
   * change its name send the given groups back as well.
   */
  named(name: string | undefined, groups: readonly string[]): Contact {
    const { given } = this;
    if (!given) return new Contact(this.jid, { ...this, state: this.state | STATE.listed, name, groups });
    return new Contact(this.jid, { ...this, name, groups: groups.filter((group) => !given.groups.includes(group)) });
  }

  /** The same contact with something else given, or nothing; itself when that is what it has. The name and groups of the owner stay. */
  withGiven(given: Given | undefined): Contact {
    const old = this.given;
    if (old === given || (old && given && old.state === given.state && areSame(old.groups, given.groups))) return this;
    return new Contact(this.jid, { ...this, given });
  }

  /** As it was told to clients with this revision. */
  revised(revision: number): Contact {
    return new Contact(this.jid, { ...this, revision });
  }

  /** What is left of it outside of the roster: the revision, so that clients learn that it has gone. */
  removed(): Contact {
    return new Contact(this.jid, { revision: this.revision, given: this.given });
  }

  /** Whether clients can tell it from the other one. */
  differsFrom(other: Contact): boolean {
    const seen = VISIBLE | STATE.listed;
    if ((this.#seen & seen) !== (other.#seen & seen)) return true;
    return this.isListed && (this.name !== other.name || !areSame(this.#allGroups, other.#allGroups));
  }

  /** Whether there is anything to keep of it. */
  get isKept(): boolean {
    return (this.#seen & (STATE.listed | STATE.pending)) !== 0 || this.revision > 0;
  }

  /** As the store keeps it; undefined when there is nothing to keep. */
  toStored(): StoredContact | undefined {
    const { state, name, groups, given, revision } = this;
    if (!this.isKept) return undefined;
    return {
      subscription: SUBSCRIPTIONS[state & 3]!,
      revision,
      ...(this.isAsked && { ask: true }),
      ...(this.isPending && { pending: true }),
      ...((state & STATE.approved) !== 0 && { approved: true }),
      ...(!this.isOwn && { gone: true }),
      ...(name !== undefined && { name }),
      ...(groups.length > 0 && { groups }),
      ...(given && { given: { subscription: SUBSCRIPTIONS[given.state & 3]!, groups: given.groups } }),
    };
  }

  /** As clients see it (RFC 6121 section 2.1.2). */
  toItem(): Element {
    const { jid, state, name } = this;
    if (!this.isListed) return xml('item', { jid, subscription: 'remove' });
    const ask = this.isAsked && !this.isSubscribedTo ? 'subscribe' : undefined;
    const approved = (state & STATE.approved) !== 0 ? 'true' : undefined;
    const groups = this.#allGroups.map((group) => xml('group', {}, group));
    return xml('item', { jid, name, subscription: this.subscription, ask, approved }, ...groups);
  }
}

function areSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((group, i) => group === others[i]);
}
