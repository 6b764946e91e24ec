import { detachText, type Jid, type Maybe, type Session, type Signal } from '#core';

const NOTIFY = '+notify';

/** Cannot occur in XML. */
const SEPARATOR = '\x1f';

/** What a client supports. Shared by all clients with the same verification string. */
export interface Features {
  has(feature: string): boolean;
  /** Nodes for which the client wants notifications: features that end in `+notify`, without that end (XEP-0163 section 4.2). */
  readonly interests: ReadonlySet<string>;
}

/** It has become known, or has changed, what a client supports. */
export interface Learned {
  readonly jid: Jid;
  /** Its session, where it has one here. */
  readonly session: Session | undefined;
  readonly before: Features | undefined;
  /** Undefined when it is not available any more, or does not answer. */
  readonly now: Features | undefined;
}

/** What other modules get from this one. */
export interface CapsApi {
  /**
   * What a client here has said it supports, by its disco#info: undefined when it has said nothing, a promise while it is being asked.
   * Never rejects. No stanza of the client itself may be held up for it, since its answer would wait behind that.
   */
  of(session: Session): Maybe<Features | undefined>;
  /** What is known of a client here by now: while it is being asked, what it supported before. Has it asked where that is due. */
  known(session: Session): Features | undefined;
  /** What `of` says, of a client without a session here, by the presence it has sent to accounts of this host. */
  ofRemote(jid: Jid): Maybe<Features | undefined>;
  /** The clients behind a bare JID of others that are known to want notifications of a node: by now, as `known`. */
  interestedAt(bare: string, node: string): readonly Jid[];
  /**
   * Told when it becomes known, or changes, what a client supports. Of a client here it is told once its presence has been broadcast: where
   * its verification string is known before `sessionAvailable`, otherwise after it. Not told when a session ends (`sessionClosed`).
   */
  readonly learned: Signal<Learned>;
}

/** Features as they were listed. */
export class FeatureSet implements Features {
  readonly interests: ReadonlySet<string>;
  /** How many characters they have. */
  readonly weight: number;
  readonly #features: ReadonlySet<string>;

  constructor(features: Iterable<string>) {
    // A text of their own: what was read from a stanza would keep the whole stanza in memory.
    const text = detachText([...new Set(features)].join(SEPARATOR));
    this.weight = text.length;
    this.#features = new Set(text === '' ? [] : text.split(SEPARATOR));
    const interests = new Set<string>();
    for (const feature of this.#features) if (feature.endsWith(NOTIFY)) interests.add(feature.slice(0, -NOTIFY.length));
    this.interests = interests;
  }

  has(feature: string): boolean {
    return this.#features.has(feature);
  }

  /** All of them. */
  list(): readonly string[] {
    return [...this.#features];
  }
}
