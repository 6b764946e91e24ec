// Last items for clients that come online, or become interested (XEP-0163 section 4.3.4 and XEP-0060 section 9.1).
import { Jid, type Log, type Session, type SessionSlot } from '#core';
import type { CapsApi, Features } from '../caps/index.ts';
import { mayRead, type Trust } from '../pubsub/access.ts';
import type { Counter, Place } from '../pubsub/index.ts';
import type { RosterApi } from '../roster/index.ts';
import { isAvailable, type Listeners } from './audience.ts';

/** Contacts that are gone through before others have their turn. */
const IN_TURN = 25;

/** What it takes to greet clients. */
export interface GreeterParts {
  readonly counter: Counter;
  readonly caps: CapsApi;
  readonly rosters: RosterApi | undefined;
  readonly trust: Trust;
  readonly listeners: Listeners;
  readonly domain: string;
  readonly log: Log;
  /** What each client has been sent the last items of. */
  readonly greeted: SessionSlot<{ interests: ReadonlySet<string> }>;
  placeOf(username: string): Place | Promise<Place>;
}

/** Nothing, which is what one has been sent before anything else. */
export const NO_INTERESTS: ReadonlySet<string> = new Set();

/** Sends last items. */
export class Greeter {
  readonly #parts: GreeterParts;

  constructor(parts: GreeterParts) {
    this.#parts = parts;
  }

  /** A client has come online, or it has become known what it is interested in. Whatever it has been sent once is not sent again. */
  readonly greet = (session: Session): void => {
    const { caps, greeted, log } = this.#parts;
    if (!isAvailable(session)) return;
    const features = caps.of(session);
    if (features === undefined || features instanceof Promise) return;
    const known = greeted.get(session);
    const wanted = missing(features, known.interests);
    known.interests = features.interests;
    if (wanted.length === 0) return;
    this.#sendAll(session, wanted).catch((error: unknown) => log.error('last items were not sent', { error }));
  };

  /** A client has gone offline: what it is sent when it comes again is all of it. */
  readonly forget = (session: Session): void => {
    const known = this.#parts.greeted.peek(session);
    if (known) known.interests = NO_INTERESTS;
  };

  /** An account sees another one's presence from now on: its clients are sent that one's last items. */
  async introduce(clients: Iterable<Session>, contact: Jid): Promise<void> {
    for (const session of clients) {
      const wanted = this.#parts.greeted.peek(session)?.interests ?? NO_INTERESTS;
      if (isAvailable(session) && wanted.size > 0) await this.#sendFrom(session, contact, [...wanted]);
    }
  }

  async #sendAll(session: Session, wanted: readonly string[]): Promise<void> {
    const { rosters, domain } = this.#parts;
    await this.#sendFrom(session, session.jid.bareJid, wanted);
    const roster = await rosters?.of(session.jid.local);
    if (!roster) return;
    let inTurn = 0;
    for (const contact of [...roster.contacts]) {
      if (session.isClosed || session.priority === undefined) return;
      if (!contact.isSubscribedTo || !contact.jid.endsWith(`@${domain}`)) continue;
      if (++inTurn % IN_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
      await this.#sendFrom(session, Jid.parse(contact.jid), wanted);
    }
  }

  async #sendFrom(session: Session, account: Jid, wanted: readonly string[]): Promise<void> {
    const { placeOf, counter, listeners, trust } = this.#parts;
    const found = placeOf(account.local);
    const place = found instanceof Promise ? await found : found;
    const nodes = wanted.map((name) => place.nodes.get(name)).filter((node) => node?.config.sendLast === 'on_sub_and_presence');
    if (nodes.length === 0) return;
    const isOwn = account.bare === session.jid.bare;
    // Whoever does not see an account's presence hears nothing of it by itself, and those it hides from do not either.
    if (!isOwn && !(await trust.seesPresence([account.bare], session.jid))) return;
    if (!isOwn && !(await listeners.areMutual(account, session))) return;
    for (const node of nodes) {
      if (!node?.config.deliverNotifications) continue;
      if (!isOwn && !(await mayRead(node, session.jid, trust, await node.members()))) continue;
      const stanza = await counter.notifier.lastOf(place, node);
      if (stanza && !session.isClosed) session.send(stanza.addressed(account.bare, session.jid.full));
    }
  }
}

function missing({ interests }: Features, known: ReadonlySet<string>): readonly string[] {
  return known.size === 0 ? [...interests] : [...interests].filter((name) => !known.has(name));
}
