import { isSession, type Router, type Session, type Stanza } from '#core';

/** What became of one message. */
interface Fate {
  /** Clients that were given it and have not confirmed it. */
  holders: number;
  hasArrived: boolean;
}

/** Messages with a text that nobody keeps: as long as one client has them they are not lost, and need not be given back. */
export class Unkept {
  readonly #fates = new WeakMap<Stanza, Fate>();

  /** Whether this is such a message. */
  isText({ name, type, keptAs }: Stanza): boolean {
    return name === 'message' && keptAs === undefined && (type === 'chat' || type === 'normal' || type === undefined);
  }

  /** A client was given it, and it is queued for its confirmation as `queued`. */
  given(stanza: Stanza, queued: Stanza, { session, router }: { session: Session; router: Router }): void {
    let fate = this.#fates.get(stanza);
    if (!fate) this.#fates.set(stanza, (fate = { holders: 0, hasArrived: isWithOthers(stanza, session, router) }));
    if (queued !== stanza) this.#fates.set(queued, fate);
    fate.holders++;
  }

  /** The client has confirmed it. */
  arrived(queued: Stanza): void {
    const fate = this.#fates.get(queued);
    if (fate) fate.hasArrived = true;
  }

  /** The client has gone without a word about it. True when nobody has it now. */
  returned(queued: Stanza): boolean {
    const fate = this.#fates.get(queued);
    return fate !== undefined && --fate.holders === 0 && !fate.hasArrived;
  }
}

/** Those who confirm nothing have what is for the account once it is written, and those who want copies what is for one client of it. */
function isWithOthers({ to }: Stanza, session: Session, router: Router): boolean {
  const isForAll = to === undefined || !to.includes('/');
  return router.resources(session.jid.bare).some((other) => {
    if (other === session) return false;
    if (!isForAll) return other.carbons;
    return (other.priority ?? -1) >= 0 && !(isSession(other) && other.keeper);
  });
}
