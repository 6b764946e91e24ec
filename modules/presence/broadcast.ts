import {
  after,
  fanOut,
  type Hook,
  isSession,
  Jid,
  type Maybe,
  type Router,
  type Session,
  type SessionSlot,
  type SlotForm,
  type Stanza,
  StanzaError,
} from '#core';
import { type GivenChange, type Roster, type RosterApi, STATE } from '../roster/index.ts';
import { contactsAt, isAt } from './address.ts';
import { Audience } from './audience.ts';
import { type Post, PROBE, SUBSCRIBE, UNAVAILABLE } from './post.ts';

/** What is known of one client besides its presence. */
export interface Visibility {
  /** Whether its subscribers have been told that it is available. */
  isAnnounced: boolean;
  /** To whom it has sent presence directly, as addressed (RFC 6121 section 4.6). */
  directed: Set<string> | undefined;
}

/** How that is kept while the server is restarted. */
export const VISIBILITY: SlotForm<Visibility> = {
  write: ({ isAnnounced, directed }) => ({ isAnnounced, directed: [...(directed ?? [])] }),
  read(saved) {
    const { isAnnounced, directed } = saved as { readonly isAnnounced: boolean; readonly directed: readonly string[] };
    return { isAnnounced, directed: directed.length > 0 ? new Set(directed) : undefined };
  },
};

/** What a Broadcaster works with. */
export interface BroadcasterParts {
  readonly rosters: RosterApi;
  readonly router: Router;
  readonly post: Post;
  readonly visibilities: SessionSlot<Visibility>;
  /** Asked before an account's presence is told. */
  readonly audience: Hook<Audience>;
  /** Gives a client that has come online the requests that wait for an answer. */
  readonly deliverRequests: (session: Session, roster: Roster, audience: Audience) => Maybe<void>;
  readonly maxDirected: number;
}

/** Tells those who may know when clients come, change and go (RFC 6121 sections 4.2 to 4.6). */
export class Broadcaster {
  readonly #parts: BroadcasterParts;

  constructor(parts: BroadcasterParts) {
    this.#parts = parts;
  }

  /** The client has said that it is available, for the first time or again (RFC 6121 sections 4.2.2 and 4.4.2). */
  announce(session: Session, presence: Stanza): Maybe<void> {
    return this.#with(session.jid, (roster, audience) => {
      // It may have gone while its roster was read.
      if (session.isClosed) return;
      const { post, visibilities, deliverRequests } = this.#parts;
      const visibility = visibilities.get(session);
      const isInitial = !visibility.isAnnounced;
      visibility.isAnnounced = true;
      this.#tellSubscribers(session, presence, roster, audience);
      const own = post.available(session.jid.bare);
      fanOut(presence, own);
      if (!isInitial) return;
      for (const other of own) if (other !== session) session.send(other.presence!.addressed(other.jid.full, session.jid.full));
      this.#ask(session, roster, audience);
      return deliverRequests(session, roster, audience);
    });
  }

  /** The client is no longer available, as it says (RFC 6121 section 4.5.2) or, without a stanza, because its stream is gone. */
  withdraw(session: Session, presence: Stanza | undefined): Maybe<void> {
    const visibility = this.#parts.visibilities.peek(session);
    if (!visibility) return;
    const { isAnnounced, directed = new Set<string>() } = visibility;
    visibility.isAnnounced = false;
    visibility.directed = undefined;
    if (!isAnnounced && directed.size === 0) return;
    const stanza = presence ?? UNAVAILABLE.addressed(session.jid.full, undefined);
    return this.#with(session.jid, (roster, audience) => {
      const { post } = this.#parts;
      if (isAnnounced) this.#tellSubscribers(session, stanza, roster, audience);
      for (const address of directed) {
        const to = Jid.parse(address);
        const isTold = isAnnounced && this.#isTold(roster, to.bare);
        if (!isTold && audience.includes(to)) void post.send(stanza, session.jid, to);
      }
      if (!isAnnounced) return;
      const own = post.available(session.jid.bare);
      fanOut(stanza, session.isClosed ? own : [...own, session]);
    });
  }

  /**
   * Remembers whom a client tells directly that it is here, and forgets whom it tells that it is not (RFC 6121 section 4.6.3).
   * Throws StanzaError `resource-constraint` when there are too many.
   */
  track(session: Session, to: Jid, isAvailable: boolean): void {
    if (to.bare === session.jid.bare) return;
    const { visibilities, maxDirected } = this.#parts;
    if (!isAvailable) return this.forget(session, to);
    const directed = (visibilities.get(session).directed ??= new Set());
    if (directed.size >= maxDirected && !directed.has(to.full)) {
      throw new StanzaError('resource-constraint', { text: 'Presence was sent directly to too many' });
    }
    directed.add(to.full);
  }

  /** Whoever answers presence with an error is told nothing more. */
  forget(session: Session, entity: Jid): void {
    this.#parts.visibilities.peek(session)?.directed?.delete(entity.full);
  }

  /** Tells an address, and the contacts it stands for, that the account is gone, where they know that it is here. */
  hideFrom(account: Jid, address: Jid): Maybe<void> {
    return after(this.#parts.rosters.of(account.local), (roster) => {
      const { post, router, visibilities } = this.#parts;
      for (const { jid, contact } of contactsAt(roster, address)) if (contact.isSubscriber) post.sendUnavailable(account, jid);
      for (const jid of this.#watchersAt(roster, address)) post.sendUnavailable(account, jid);
      for (const session of router.resources(account.bare)) {
        if (!isSession(session)) continue;
        const directed = [...(visibilities.peek(session)?.directed ?? [])].map((text) => Jid.parse(text));
        for (const to of directed.filter((entity) => isAt(address, entity))) {
          this.forget(session, to);
          void post.send(UNAVAILABLE, session.jid, to);
        }
      }
    });
  }

  /** Tells an address, and the contacts it stands for, that the account is here, where they may know, and asks for theirs. */
  showTo(account: Jid, address: Jid): Maybe<void> {
    return this.#with(account, (roster, audience) => {
      const { post } = this.#parts;
      for (const { jid, contact } of contactsAt(roster, address)) {
        if (!audience.includes(jid)) continue;
        if (contact.isSubscriber) post.sendCurrent(account, jid);
        if (contact.isSubscribedTo) this.#probe(account, jid);
      }
      for (const jid of this.#watchersAt(roster, address)) if (audience.includes(jid)) post.sendCurrent(account, jid);
    });
  }

  /**
   * The server has given somebody a contact, or taken it back: what they may know of each other now they are told. Each side of two who
   * see each other is told of by the other's roster; where only one has a contact, it is told of both ways here.
   */
  follow({ account, before, after: now }: GivenChange): Maybe<void> {
    const { post, rosters } = this.#parts;
    const contact = Jid.parse(now.jid);
    const isShown = now.isSubscriber || rosters.isWatched(account.local, now.jid);
    if (before.isSubscriber && !isShown) post.sendUnavailable(account, contact);
    const isOneWay = (now.given ?? before.given)?.state === STATE.to;
    if (before.isSubscribedTo && !now.isSubscribedTo && isOneWay && contact.domain === account.domain) {
      post.sendUnavailable(contact, account);
    }
    if (post.available(account.bare).length === 0) return;
    return this.#with(account, (_, audience) => {
      if (!audience.includes(contact)) return;
      if (!before.isSubscriber && now.isSubscriber) post.sendCurrent(account, contact);
      if (!before.isSubscribedTo && now.isSubscribedTo && isOneWay) this.#probe(account, contact);
    });
  }

  #probe(account: Jid, contact: Jid): void {
    const { post } = this.#parts;
    for (const client of post.available(account.bare)) void post.send(PROBE, client.jid, contact);
  }

  /** Whether a bare JID is told of an account's presence, where it is not hidden from them. */
  #isTold(roster: Roster, bare: string): boolean {
    return roster.get(bare)?.isSubscriber === true || this.#parts.rosters.isWatched(roster.username, bare);
  }

  /** Those who are told of it though they are not in the roster. */
  *#watchers(roster: Roster): Iterable<Jid> {
    for (const bare of this.#parts.rosters.watchersOf(roster.username)) {
      if (!roster.get(bare)?.isSubscriber) yield Jid.parse(bare);
    }
  }

  #watchersAt(roster: Roster, address: Jid): readonly Jid[] {
    const found: Jid[] = [];
    for (const jid of this.#watchers(roster)) {
      // For one entity of theirs, that one alone.
      if (isAt(address, jid)) found.push(jid);
      else if (address.bare === jid.bare) found.push(address);
    }
    return found;
  }

  #with(account: Jid, next: (roster: Roster, audience: Audience) => Maybe<void>): Maybe<void> {
    return after(this.#parts.rosters.of(account.local), (roster) => {
      const audience = new Audience(account.bareJid);
      return after(this.#parts.audience.run(audience), () => next(roster, audience));
    });
  }

  #tellSubscribers(session: Session, stanza: Stanza, roster: Roster, audience: Audience): void {
    const { post } = this.#parts;
    for (const contact of roster.contacts) {
      if (!contact.isSubscriber) continue;
      const to = Jid.parse(contact.jid);
      if (audience.includes(to)) void post.send(stanza, session.jid, to);
    }
    for (const to of this.#watchers(roster)) if (audience.includes(to)) void post.send(stanza, session.jid, to);
  }

  /** Asks the contacts for their presence (RFC 6121 section 4.3.1), or once more to be allowed to see it (section 3.1.2). */
  #ask(session: Session, roster: Roster, audience: Audience): void {
    const { post } = this.#parts;
    for (const contact of roster.contacts) {
      if (!contact.isSubscribedTo && !contact.isAsked) continue;
      const to = Jid.parse(contact.jid);
      if (!audience.includes(to)) continue;
      if (contact.isSubscribedTo) void post.send(PROBE, session.jid, to);
      else void post.send(SUBSCRIBE, session.jid.bareJid, to);
    }
  }
}
