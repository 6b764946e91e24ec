import type { Handover, ModuleContext, Session, SessionSlot } from '#core';
import type { Notice } from './payload.ts';

/** Messages of one client that are followed; of more than that only the newest matter. */
const MAX_FOLLOWED = 100;

/** What a client has not confirmed, now that its line is gone. */
export interface Lost {
  /** The newest. */
  readonly notice: Notice;
  readonly amount: number;
}

/**
 * Follows messages that were written to a client, until it has confirmed them (XEP-0198): a line can be dead for a long time before anybody
 * notices, and what was written to it meanwhile nobody has seen.
 */
export class Unconfirmed {
  readonly #notices: SessionSlot<Map<string, Notice>>;
  readonly #sessions = new Set<Session>();

  constructor(slot: ModuleContext<unknown, Record<never, never>>['slot']) {
    this.#notices = slot(() => new Map<string, Notice>());
  }

  /** A message that is kept under this id (Stanza.keptAs) is written to a client that confirms what it gets. */
  add(session: Session, id: string, notice: Notice): void {
    const notices = this.#notices.get(session);
    notices.set(id, notice);
    if (notices.size > MAX_FOLLOWED) notices.delete(notices.keys().next().value!);
    this.#sessions.add(session);
  }

  /** It has arrived. */
  readonly arrived = ({ session, id }: Handover): void => {
    const notices = this.#notices.peek(session);
    if (notices?.delete(id) && notices.size === 0) this.#sessions.delete(session);
  };

  /** Sessions whose line broke before all was confirmed. */
  waiting(): readonly Session[] {
    return [...this.#sessions].filter(({ waitingSince }) => waitingSince !== undefined);
  }

  /** What a client has not confirmed, which is not followed any longer; undefined when that is nothing. */
  take(session: Session): Lost | undefined {
    if (!this.#sessions.delete(session)) return undefined;
    const notices = [...this.#notices.get(session).values()];
    this.#notices.get(session).clear();
    const isUrgent = notices.some((each) => each.isUrgent);
    return { notice: { ...notices.at(-1)!, isUrgent }, amount: notices.length };
  }
}
