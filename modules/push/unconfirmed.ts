import type { Session, Stanza } from '#core';
import { Managed } from '../sm/managed.ts';

const NS_DELAY = 'urn:xmpp:delay';

/**
 * Follows messages that were written to clients, until they have confirmed them (XEP-0198): a line can be dead for a long time before anybody
 * notices, and what was written to it meanwhile nobody has seen.
 */
export class Unconfirmed {
  /** Clients that were given something since all was confirmed. */
  readonly #sessions = new Set<Session>();
  readonly #taken = new WeakSet<Stanza>();

  /** A message is written to a client that confirms what it gets. */
  watch(session: Session): void {
    this.#sessions.add(session);
  }

  /** Sessions whose line broke before all was confirmed. */
  waiting(): readonly Session[] {
    const found: Session[] = [];
    for (const session of this.#sessions) {
      if (session.waitingSince !== undefined) found.push(session);
      else if (unconfirmedBy(session).length === 0) this.#sessions.delete(session);
    }
    return found;
  }

  /** What was written to a client when it was said, and was not confirmed; each message once. Oldest first. */
  take(session: Session): readonly Stanza[] {
    if (!this.#sessions.delete(session)) return [];
    // What came late, or for a client that had lost its line, was told when it came.
    const lost = unconfirmedBy(session).filter((each) => each.name === 'message' && !each.has('delay', NS_DELAY));
    const news = lost.filter((each) => !this.#taken.has(each));
    for (const each of news) this.#taken.add(each);
    return news;
  }
}

function unconfirmedBy({ keeper }: Session): readonly Stanza[] {
  return keeper instanceof Managed ? keeper.unconfirmed : [];
}
