import {
  type Accounts,
  Envelope,
  HANDLED,
  Jid,
  type Log,
  type MapStore,
  type Maybe,
  type Router,
  readStanza,
  type Session,
  type Stanza,
  type Verdict,
  writeStanza,
} from '#core';
import type { Change, Contact, Roster, RosterApi } from '../roster/index.ts';
import type { Audience } from './audience.ts';
import { type Post, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED } from './post.ts';
import { type Move, receiveMove, sendMove } from './states.ts';

/** What Subscriptions works with. */
export interface SubscriptionParts {
  readonly rosters: RosterApi;
  readonly accounts: Accounts;
  readonly router: Router;
  readonly post: Post;
  readonly log: Log;
  /** Of each account: the requests that wait for an answer, as they came, by the stranger's bare JID. */
  readonly requests: MapStore<string>;
  /** Of a request that is bigger, only the fact is kept. */
  readonly maxRequestBytes: number;
}

/** Who may see whom: asked for, granted, refused, taken back (RFC 6121 section 3). */
export class Subscriptions {
  readonly #parts: SubscriptionParts;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  /** A client of ours sends it (RFC 6121 appendix A.2): noted for good first, then on its way, from account to account. */
  async send({ stanza, from, to, origin }: Envelope, move: Move): Promise<Verdict> {
    const { rosters, router, post } = this.#parts;
    const account = from.bareJid;
    const contact = to.bareJid;
    // Everybody sees their own presence (section 4.2.2).
    if (contact.bare === account.bare) return HANDLED;
    const roster = await rosters.of(account.local);
    const change = await roster.change(contact.bare, (before) => before.withState(sendMove(move, before.state).state));
    const { before, after } = change;
    if (before.isSubscriber && !after.isSubscriber) post.sendUnavailable(account, contact);
    if (sendMove(move, before.state).passes) {
      await router.route(new Envelope(stanza.addressed(account.bare, contact.bare), account, contact, origin));
    }
    if (!before.isSubscriber && after.isSubscriber) post.sendCurrent(account, contact);
    await this.#dropAnswered(account, change);
    return HANDLED;
  }

  /** It comes for an account of ours (RFC 6121 appendix A.3). */
  async receive({ stanza, from, to }: Envelope, move: Move): Promise<Verdict> {
    const { rosters, accounts, router } = this.#parts;
    const account = to.bareJid;
    const contact = from.bareJid;
    if (contact.bare === account.bare) return HANDLED;
    // Section 8.5.3.2.2: an answer to a client that is not there is none.
    if (!to.isBare && move !== 'subscribe' && !router.resource(to)) return HANDLED;
    const roster = await rosters.of(account.local);
    const request = stanza.addressed(contact.bare, account.bare);
    const seen = receiveMove(move, roster.get(contact.bare)?.state ?? 0);
    if (move === 'subscribe' && seen.passes && !(await accounts.exists(account.local))) return HANDLED;
    const change = await roster.change(contact.bare, (before) => before.withState(receiveMove(move, before.state).state), {
      onDurable: ({ before }) => this.#tell(account, request, move, before),
    });
    await this.#follow(account, contact, move, change);
    if (!change.before.isPending && change.after.isPending) await this.#keep(roster, account, request);
    return HANDLED;
  }

  /** A contact was taken out of the roster (RFC 6121 section 2.5.2). */
  async end(account: Jid, contact: Contact): Promise<void> {
    await this.#cancel(account, contact);
    if (contact.isPending) await this.#drop(account, contact.jid);
  }

  /**
   * The account is about to go: nobody goes on waiting for its presence or sending it theirs (XEP-0077 section 3.2), and whoever takes its
   * name next is a stranger to all.
   */
  async endAll(account: Jid): Promise<void> {
    const roster = await this.#parts.rosters.of(account.local);
    await Promise.all([...roster.contacts].map((contact) => this.#cancel(account, contact)));
  }

  async #cancel(account: Jid, contact: Contact): Promise<void> {
    const { post } = this.#parts;
    const to = Jid.parse(contact.jid);
    if (contact.isSubscribedTo || contact.isAsked) await post.send(UNSUBSCRIBE, account, to);
    if (contact.isSubscriber) post.sendUnavailable(account, to);
    if (contact.isSubscriber || contact.isPending) await post.send(UNSUBSCRIBED, account, to);
  }

  /** Gives a client the requests that wait for an answer (RFC 6121 section 3.1.3). */
  deliverWaiting(session: Session, roster: Roster, audience: Audience): Maybe<void> {
    const waiting: Jid[] = [];
    for (const { isPending, jid } of roster.contacts) if (isPending) waiting.push(Jid.parse(jid));
    const heard = waiting.filter((contact) => audience.includes(contact));
    return heard.length === 0 ? undefined : this.#deliver(session, heard);
  }

  async #deliver(session: Session, contacts: readonly Jid[]): Promise<void> {
    const { bare, local } = session.jid;
    const kept = await this.#parts.requests.entries(local);
    for (const contact of contacts) session.send(this.#read(kept.get(contact.bare)).addressed(contact.bare, bare));
  }

  #read(text: string | undefined): Stanza {
    if (text === undefined) return SUBSCRIBE;
    try {
      return readStanza(text);
    } catch (error) {
      this.#parts.log.error('a kept request cannot be read', { error });
      return SUBSCRIBE;
    }
  }

  /** As it came (section 3.1.3), for as long as it waits. Until it is kept the roster knows of it, so that it can be told all the same. */
  async #keep(roster: Roster, account: Jid, request: Stanza): Promise<void> {
    const { requests, maxRequestBytes } = this.#parts;
    const text = writeStanza(request);
    if (Buffer.byteLength(text) > maxRequestBytes) return;
    await requests.update(account.local, new Map([[request.from!, text]]));
    if (!roster.get(request.from!)?.isPending) await this.#drop(account, request.from!);
  }

  /** Requests are for all who are there, what answers them for those who know the roster (RFC 6121 sections 3.1.3 and 3.1.6). */
  #tell(account: Jid, stanza: Stanza, move: Move, before: Contact): void {
    if (!receiveMove(move, before.state).passes) return;
    const { rosters, post } = this.#parts;
    const clients = move === 'subscribe' ? post.available(account.bare) : rosters.interested(account.bare);
    for (const client of clients) client.send(stanza);
  }

  async #follow(account: Jid, contact: Jid, move: Move, change: Change): Promise<void> {
    const { post } = this.#parts;
    const { before, after } = change;
    if (receiveMove(move, before.state).approves) await post.send(SUBSCRIBED, account, contact);
    if (!before.isSubscriber && after.isSubscriber) post.sendCurrent(account, contact);
    if (before.isSubscriber && !after.isSubscriber) post.sendUnavailable(account, contact);
    await this.#dropAnswered(account, change);
  }

  async #dropAnswered(account: Jid, { before, after }: Change): Promise<void> {
    if (before.isPending && !after.isPending) await this.#drop(account, before.jid);
  }

  #drop(account: Jid, contact: string): Promise<void> {
    return this.#parts.requests.update(account.local, new Map([[contact, undefined]]));
  }
}
