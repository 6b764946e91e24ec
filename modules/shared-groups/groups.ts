import { type Given, STATE } from '../roster/index.ts';

/** A group as the config has it. */
export interface GroupPlan {
  readonly name: string;
  /** Prepared usernames; some may not be accounts (yet). */
  readonly members: readonly string[];
  /** All accounts are members. */
  readonly all: boolean;
  /** Who has the group in their rosters. */
  readonly seenBy: 'members' | 'all';
}

/** What the groups are made for. */
export interface GroupsParts {
  readonly domain: string;
  readonly plans: readonly GroupPlan[];
  /** The accounts there are: all of them where a group is for all, otherwise those that are members of one. It may change. */
  readonly accounts: ReadonlySet<string>;
  /** Members beyond which a group is given to nobody: it would be as many contacts for each of as many accounts. */
  readonly maxMembers: number;
}

const BOTH = STATE.to | STATE.from;
const NOBODY: ReadonlyMap<string, Given> = new Map();

/** The groups of a host: who is in which, and whom that makes contacts of whom. */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #members: readonly ReadonlySet<string>[];

  constructor(parts: GroupsParts) {
    this.#parts = parts;
    // Those in which everybody is have no list of their own.
    this.#members = parts.plans.map(({ members, all }) => (all ? parts.accounts : new Set(members)));
  }

  /** Whether any of them concerns accounts that no list names. */
  static concernAll(plans: readonly GroupPlan[]): boolean {
    return plans.some(({ all, seenBy }) => all || seenBy === 'all');
  }

  /** The names of those that have too many members to be given to anybody. */
  get tooBig(): readonly string[] {
    return this.#parts.plans.filter((_, i) => this.#isTooBig(i)).map(({ name }) => name);
  }

  /** Whether an account is a member of any group, so that others see it. */
  has(username: string): boolean {
    return this.#members.some((members) => members.has(username));
  }

  /** The contacts that an account has by the groups, by bare JID; none for a name that is no account's. */
  contactsOf(username: string): ReadonlyMap<string, Given> {
    const { accounts, domain, plans } = this.#parts;
    if (!accounts.has(username)) return NOBODY;
    const found = new Map<string, Given>();
    for (const [i, { name, seenBy }] of plans.entries()) {
      const members = this.#members[i]!;
      const isMember = members.has(username);
      if ((!isMember && seenBy === 'members') || this.#isTooBig(i)) continue;
      const given: Given = { state: isMember ? BOTH : STATE.to, groups: [name] };
      for (const member of members) {
        if (member === username || !accounts.has(member)) continue;
        const bare = `${member}@${domain}`;
        const other = found.get(bare);
        found.set(bare, other ? merge(other, given) : given);
      }
    }
    return found;
  }

  /** Whether an account is seen by one that is in no group with it: members of some groups are seen by all. */
  isSeenBy(username: string, viewer: string): boolean {
    if (username === viewer || !this.isSeenByAll(username)) return false;
    if (!this.#parts.accounts.has(viewer)) return false;
    return !this.#members.some((members, i) => members.has(username) && members.has(viewer) && !this.#isTooBig(i));
  }

  /** Whether it is a member of a group that everybody sees. */
  isSeenByAll(username: string): boolean {
    if (!this.#parts.accounts.has(username)) return false;
    return this.#members.some(
      (members, i) => this.#parts.plans[i]!.seenBy === 'all' && members.has(username) && !this.#isTooBig(i),
    );
  }

  #isTooBig(i: number): boolean {
    return this.#members[i]!.size > this.#parts.maxMembers;
  }
}

function merge(one: Given, other: Given): Given {
  const groups = one.groups.includes(other.groups[0]!) ? one.groups : [...one.groups, ...other.groups];
  return { state: one.state | other.state, groups };
}
