// Who hears of what an account publishes without having subscribed (XEP-0163 section 4 and XEP-0060 section 9).
import { after, type Hook, isSession, Jid, type Maybe, type Resource, type Router, type Session } from '#core';
import type { CapsApi } from '../caps/index.ts';
import { Audience as Seen } from '../presence/audience.ts';
import { mayRead, type Trust } from '../pubsub/access.ts';
import type { Audience } from '../pubsub/index.ts';
import type { Member } from '../pubsub/members.ts';
import type { Node } from '../pubsub/node.ts';
import type { Roster, RosterApi } from '../roster/index.ts';

/** What it takes to know who hears. */
export interface ListenersParts {
  readonly caps: CapsApi;
  readonly router: Router;
  readonly rosters: RosterApi | undefined;
  readonly trust: Trust;
  readonly domain: string;
  /** Asked for whom an account hides itself from. */
  readonly audience: Hook<Seen> | undefined;
}

/** Finds the clients that are interested in what an account publishes. */
export class Listeners {
  readonly #parts: ListenersParts;

  constructor(parts: ListenersParts) {
    this.#parts = parts;
  }

  /** The account's own clients, and those of its contacts who may read the node. At once while all of it is in memory. */
  of(account: Jid, node: Node, members: ReadonlyMap<string, Member>): Maybe<Audience> {
    const { rosters } = this.#parts;
    const sessions: Session[] = [];
    this.#add(sessions, account.bare, node.name);
    // Whoever is sent the last item gets this one then.
    const undecided = node.config.sendLast === 'on_sub_and_presence' ? [] : this.undecided(account.bare, node.name);
    // Neither a contact nor anybody else reads what is on a whitelist without anybody on it.
    const isPrivate = node.config.accessModel === 'whitelist' && members.size === 0;
    if (!rosters || isPrivate) return { sessions, remote: [], undecided };
    return after(rosters.of(account.local), (roster) =>
      after(this.visibility(account), (seen) =>
        after(this.#addContacts(sessions, { account, node, members, roster, seen }), (remote) => ({
          sessions,
          remote,
          undecided,
        })),
      ),
    );
  }

  /** An account's own clients that are asked just now. They have fetched what there was, and would never hear of this. */
  undecided(bare: string, node: string): readonly Promise<Session | undefined>[] {
    const { caps, router } = this.#parts;
    const waiting: Promise<Session | undefined>[] = [];
    for (const client of router.resources(bare)) {
      if (!isAvailable(client) || caps.known(client)) continue;
      const features = caps.of(client);
      if (features instanceof Promise) waiting.push(features.then((found) => (found?.interests.has(node) ? client : undefined)));
    }
    return waiting;
  }

  /** From whom an account hides. */
  visibility(account: Jid): Maybe<Seen> {
    const seen = new Seen(account);
    return after(this.#parts.audience?.run(seen), () => seen);
  }

  /** Whether an account shows itself to a client here, whose own account wants to hear of it. */
  areMutual(account: Jid, client: Session): Maybe<boolean> {
    return after(this.visibility(account), (seen) => seen.includes(client.jid) && this.#hears(client, account));
  }

  /** Whether a client wants to hear of a node, as far as that is known: while it is asked anew, by what it has said before. */
  isInterested(session: Session, node: string): boolean {
    return this.#parts.caps.known(session)?.interests.has(node) ?? false;
  }

  #addContacts(sessions: Session[], about: About): Maybe<readonly Jid[]> {
    const remote: Jid[] = [];
    const { account, node, members, roster, seen } = about;
    const { accessModel } = node.config;
    // Whoever sees the presence may read, and nothing more has to be asked.
    const isPlain = members.size === 0 && (accessModel === 'presence' || accessModel === 'open');
    const waiting: Promise<unknown>[] = [];
    for (const contact of roster.contacts) {
      if (!contact.isSubscriber) continue;
      const clients = this.#clientsOf(contact.jid, node.name).filter((client) => seen.includes(jidOf(client)));
      const [first] = clients;
      if (!first) continue;
      const jid = jidOf(first);
      const take = (may: boolean): void => {
        if (may) for (const client of clients) client instanceof Jid ? remote.push(client) : sessions.push(client);
      };
      const may = after(
        this.#hears(first, account),
        (does) => does && (isPlain || mayRead(node, jid, this.#parts.trust, members)),
      );
      if (may instanceof Promise) waiting.push(may.then(take));
      else take(may);
    }
    return waiting.length === 0 ? remote : Promise.all(waiting).then(() => remote);
  }

  /** Whether a client here is of somebody who has not blocked the account themselves; those of others see to it where they are. */
  #hears(client: Session | Jid, account: Jid): Maybe<boolean> {
    if (client instanceof Jid) return true;
    return after(this.visibility(client.jid.bareJid), (seen) => seen.includes(account));
  }

  #clientsOf(bare: string, node: string): readonly (Session | Jid)[] {
    const sessions: Session[] = [];
    this.#add(sessions, bare, node);
    if (sessions.length > 0 || bare.endsWith(`@${this.#parts.domain}`)) return sessions;
    return this.#parts.caps.interestedAt(bare, node);
  }

  #add(sessions: Session[], bare: string, node: string): void {
    for (const client of this.#parts.router.resources(bare)) {
      if (isAvailable(client) && this.isInterested(client, node)) sessions.push(client);
    }
  }
}

interface About {
  readonly account: Jid;
  readonly node: Node;
  readonly members: ReadonlyMap<string, Member>;
  readonly roster: Roster;
  readonly seen: Seen;
}

function jidOf(client: Session | Jid): Jid {
  return client instanceof Jid ? client : client.jid;
}

/** Whether this is a client here that has sent presence. */
export function isAvailable(client: Resource): client is Session {
  return isSession(client) && client.priority !== undefined;
}
