import { type Envelope, isSession, type Maybe, type Session, type SessionSlot, type SlotForm } from '#core';
import type { Announcement } from './announcement.ts';
import { FeatureSet } from './features.ts';
import { type Inquiry, type Known, unknown } from './inquiry.ts';
import type { Verified } from './verified.ts';

/** How it is kept over a restart of the server what a client supports. */
interface Saved {
  readonly announced: Announcement | undefined;
  readonly features: readonly string[] | undefined;
  readonly isShared: boolean;
}

/** That form. What was verified before the restart still is, for all who announce the same. */
export function lasting(verified: Verified): SlotForm<Known> {
  return {
    write({ announced, features, isShared, isOpen }): Saved {
      return { announced, features: isOpen ? undefined : features?.list(), isShared };
    },
    read(value) {
      const { announced, features: listed, isShared } = value as Saved;
      if (!announced) return unknown();
      if (!listed) return { ...unknown(), announced, isOpen: true };
      const own = new FeatureSet(listed);
      const features = isShared ? verified.add(announced, own).features : own;
      return { ...unknown(), announced, features, isShared, told: features };
    },
  };
}

/** What the clients here support, by their own broadcast presence. */
export class LocalClients {
  readonly #inquiry: Inquiry;
  readonly #clients: SessionSlot<Known>;

  constructor(inquiry: Inquiry, clients: SessionSlot<Known>) {
    this.#inquiry = inquiry;
    this.#clients = clients;
  }

  /** What a client supports; a promise while it is being asked. */
  of(session: Session): Maybe<FeatureSet | undefined> {
    const known = this.#clients.peek(session);
    if (!known?.isOpen) return known?.features;
    if (known.asked) return known.asked;
    // Its line was broken when it was asked, or the server was started anew since: nothing may come of its own accord.
    return known.failure === 'refused' || !session.stream ? undefined : this.#inquiry.ask({ jid: session.jid, session, known });
  }

  /** What is known of it by now: while it is being asked, what it supported before. */
  known(session: Session): FeatureSet | undefined {
    const features = this.of(session);
    return features instanceof Promise ? this.#clients.peek(session)?.features : features;
  }

  /** Takes note of what a client broadcasts, before anybody else hears it. */
  readonly note = ({ stanza, origin }: Envelope): void => {
    if (stanza.to !== undefined || !isSession(origin)) return;
    if (stanza.type === 'unavailable') return this.forget(origin);
    if (stanza.type !== undefined) return;
    const known = this.#clients.get(origin);
    this.#inquiry.note(known, stanza);
    // One that has given an error has another chance with each presence.
    if (known.isOpen) void this.#inquiry.ask({ jid: origin.jid, session: origin, known });
  };

  /** Tells what was known at once, when the presence has been broadcast. */
  readonly tell = ({ stanza, origin }: Envelope): void => {
    if (stanza.to !== undefined || !isSession(origin)) return;
    const known = this.#clients.peek(origin);
    if (known && !known.isOpen && known.told !== known.features) this.#inquiry.tell({ jid: origin.jid, session: origin, known });
  };

  /** It is not available any more. */
  forget(session: Session): void {
    const known = this.#clients.peek(session);
    if (known) this.#inquiry.forget(known);
  }
}
