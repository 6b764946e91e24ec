import { type Element, type Jid, type Session, type Signal, type Stanza, StanzaError, xml } from '#core';
import { type Announcement, detach, isSame, nodesOf, readAnnouncement } from './announcement.ts';
import { fits, MOST_CHARACTERS, NS_INFO, readFeatures } from './answer.ts';
import { FeatureSet, type Learned } from './features.ts';
import type { Verified } from './verified.ts';

/** What is known of one client. */
export interface Known {
  /** What it has said last in its presence; undefined while it has said nothing, or is not available. */
  announced: Announcement | undefined;
  /** What it supports. While `isOpen`, what was known before. */
  features: FeatureSet | undefined;
  /** Whether these are those of all who announce the same. */
  isShared: boolean;
  /** It is not known what is behind what it has said last. */
  isOpen: boolean;
  /** While it is being asked. */
  asked: Promise<FeatureSet | undefined> | undefined;
  /** How the last question has failed: it said no, or nothing came in time. */
  failure: 'refused' | 'silent' | undefined;
  /** What `learned` has told last. */
  told: FeatureSet | undefined;
}

/** A client that can be asked. */
export interface Client {
  readonly jid: Jid;
  /** Its session, where it has one here. */
  readonly session: Session | undefined;
  readonly known: Known;
}

/** What it takes to ask. */
export interface InquiryParts {
  readonly verified: Verified;
  readonly learned: Signal<Learned>;
  ask(to: Jid, type: 'get', payload: Element): Promise<Element | undefined>;
}

/** What is known of a client before it has said anything. */
export function unknown(): Known {
  return {
    announced: undefined,
    features: undefined,
    isShared: false,
    isOpen: false,
    asked: undefined,
    failure: undefined,
    told: undefined,
  };
}

/** Finds out what clients support: what is behind their verification string, or else they are asked. */
export class Inquiry {
  readonly #parts: InquiryParts;

  constructor(parts: InquiryParts) {
    this.#parts = parts;
  }

  /** Takes note of what a client says in its presence. What is not said again has not changed (XEP-0115 section 8.4). */
  note(known: Known, presence: Stanza): void {
    const found = readAnnouncement(presence);
    if (!found || (known.announced && isSame(known.announced, found))) return;
    const entry = this.#parts.verified.get(found);
    known.failure = undefined;
    known.announced = entry?.announcement ?? detach(found);
    known.isOpen = entry === undefined;
    if (entry) adopt(known, entry.features, true);
  }

  /** It is not available any more. */
  forget(known: Known): void {
    known.announced = undefined;
    known.isOpen = false;
    known.failure = undefined;
    adopt(known, undefined, false);
  }

  /** Asks a client whose announcement is open. It is asked one thing at a time: who waits gets what it has said last. Never rejects. */
  ask(client: Client): Promise<FeatureSet | undefined> {
    client.known.asked ??= this.#learn(client);
    return client.known.asked;
  }

  /** Tells of what has become known, or has changed. */
  tell({ jid, session, known }: Client): void {
    const { told: before, features: now } = known;
    if (before === now) return;
    known.told = now;
    this.#parts.learned.emit({ jid, session, before, now });
  }

  async #learn(client: Client): Promise<FeatureSet | undefined> {
    const { known } = client;
    // At least one question is waited for, so that `asked` is set before it is taken away.
    do await this.#settle(client, known.announced!);
    while (known.isOpen && known.failure === undefined);
    known.asked = undefined;
    return known.features;
  }

  /** One question. What has been said meanwhile makes it void. */
  async #settle(client: Client, announced: Announcement): Promise<void> {
    const { known } = client;
    try {
      const { features, isShared } = await this.#question(client, announced);
      if (known.announced !== announced) return;
      known.isOpen = false;
      adopt(known, features, isShared);
    } catch (error) {
      if (known.announced !== announced) return;
      known.failure = isSilence(error) ? 'silent' : 'refused';
      adopt(known, undefined, false);
    }
    this.tell(client);
  }

  /** Rejects with StanzaError: what it has answered, or that it has not. */
  async #question(
    { jid, session }: Client,
    announced: Announcement,
  ): Promise<{ readonly features: FeatureSet; readonly isShared: boolean }> {
    const { verified } = this.#parts;
    const known = verified.get(announced);
    if (known) return { features: known.features, isShared: true };
    const [node, ...bundles] = nodesOf(announced);
    const { query, features } = await this.#askAt(jid, node!);
    // Others may have answered meanwhile, and what was verified is not computed again.
    const entry =
      verified.get(announced) ?? (fits(query, announced, session?.stream?.lang) ? verified.add(announced, features) : undefined);
    if (entry) return { features: entry.features, isShared: true };
    const all = [features];
    for (const bundle of bundles) all.push((await this.#askAt(jid, bundle)).features);
    return { features: all.length === 1 ? features : join(all), isShared: false };
  }

  async #askAt(jid: Jid, node: string): Promise<{ readonly query: Element; readonly features: FeatureSet }> {
    const query = await this.#parts.ask(jid, 'get', xml('query', { xmlns: NS_INFO, node }));
    const features = readFeatures(query);
    if (!query || !features) throw new StanzaError('not-acceptable');
    return { query, features };
  }
}

/** What all bundles have. */
function join(bundles: readonly FeatureSet[]): FeatureSet {
  const all = new FeatureSet(bundles.flatMap((each) => each.list()));
  if (all.weight > MOST_CHARACTERS) throw new StanzaError('not-acceptable');
  return all;
}

function adopt(known: Known, features: FeatureSet | undefined, isShared: boolean): void {
  known.features = features;
  known.isShared = isShared;
}

/** Whether it was not the client who said no: it can be asked again later. */
function isSilence(error: unknown): boolean {
  return (
    error instanceof StanzaError && (error.condition === 'remote-server-timeout' || error.condition === 'resource-constraint')
  );
}
