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
  readonly revision: number;
}

/** One contact of a roster. Never changes: an edit makes another one. */
export class Contact {
  /** Its bare JID. */
  readonly jid: string;
  /** Parts of STATE. */
  readonly state: number;
  /** The change of the roster that clients saw last of it; 0 when they have seen none. */
  readonly revision: number;
  /** What the owner calls it. */
  readonly name: string | undefined;
  readonly groups: readonly string[];

  constructor(jid: string, state = 0, revision = 0, name: string | undefined = undefined, groups = NO_GROUPS) {
    this.jid = jid;
    this.state = (state & VISIBLE) === 0 ? state : state | STATE.listed;
    this.revision = revision;
    this.name = name;
    this.groups = groups.length === 0 ? NO_GROUPS : groups;
  }

  /** A contact as the store has kept it. */
  static restore(jid: string, stored: StoredContact): Contact {
    let state = SUBSCRIPTIONS.indexOf(stored.subscription);
    if (stored.ask) state |= STATE.ask;
    if (stored.pending) state |= STATE.pending;
    if (stored.approved) state |= STATE.approved;
    if (!stored.gone) state |= STATE.listed;
    return new Contact(jid, state, stored.revision, stored.name, stored.groups);
  }

  /** As clients see it. */
  get subscription(): Subscription {
    return SUBSCRIPTIONS[this.state & 3]!;
  }

  /** Whether it may see the owner's presence. */
  get isSubscriber(): boolean {
    return (this.state & STATE.from) !== 0;
  }

  /** Whether the owner may see its presence. */
  get isSubscribedTo(): boolean {
    return (this.state & STATE.to) !== 0;
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
    return (this.state & STATE.listed) !== 0;
  }

  /** The same contact in another state; itself when that is the one it has. */
  withState(state: number): Contact {
    return state === this.state ? this : new Contact(this.jid, state, this.revision, this.name, this.groups);
  }

  /** The same contact under another name and in other groups. */
  named(name: string | undefined, groups: readonly string[]): Contact {
    return new Contact(this.jid, this.state | STATE.listed, this.revision, name, groups);
  }

  /** As it was told to clients with this revision. */
  revised(revision: number): Contact {
    return new Contact(this.jid, this.state, revision, this.name, this.groups);
  }

  /** What is left of it outside of the roster: the revision, so that clients learn that it has gone. */
  removed(): Contact {
    return new Contact(this.jid, 0, this.revision);
  }

  /** Whether clients can tell it from the other one. */
  differsFrom(other: Contact): boolean {
    const seen = VISIBLE | STATE.listed;
    return (
      (this.state & seen) !== (other.state & seen) ||
      this.name !== other.name ||
      this.groups.length !== other.groups.length ||
      this.groups.some((group, i) => group !== other.groups[i])
    );
  }

  /** Whether there is anything to keep of it. */
  get isKept(): boolean {
    return (this.state & (STATE.listed | STATE.pending)) !== 0 || this.revision > 0;
  }

  /** As the store keeps it; undefined when there is nothing to keep. */
  toStored(): StoredContact | undefined {
    const { state, name, groups, revision } = this;
    if (!this.isKept) return undefined;
    return {
      subscription: this.subscription,
      revision,
      ...(this.isAsked && { ask: true }),
      ...(this.isPending && { pending: true }),
      ...((state & STATE.approved) !== 0 && { approved: true }),
      ...(!this.isListed && { gone: true }),
      ...(name !== undefined && { name }),
      ...(groups.length > 0 && { groups }),
    };
  }

  /** As clients see it (RFC 6121 section 2.1.2). */
  toItem(): Element {
    const { jid, state, name } = this;
    if (!this.isListed) return xml('item', { jid, subscription: 'remove' });
    const ask = this.isAsked ? 'subscribe' : undefined;
    const approved = (state & STATE.approved) !== 0 ? 'true' : undefined;
    const groups = this.groups.map((group) => xml('group', {}, group));
    return xml('item', { jid, name, subscription: this.subscription, ask, approved }, ...groups);
  }
}
