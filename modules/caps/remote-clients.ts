import type { Envelope, Jid, Maybe } from '#core';
import type { FeatureSet } from './features.ts';
import { type Client, type Inquiry, unknown } from './inquiry.ts';

/** The presence of somebody in a room has this in it (XEP-0045 section 7.2.2). */
const NS_OCCUPANT = 'http://jabber.org/protocol/muc#user';

/** Of how many accounts here it is noted that they have seen a client; beyond that whoever sees it go makes it forgotten. */
const MOST_WITNESSES = 50;

/** How much is kept of others, and asked of them. */
export interface RemoteLimits {
  readonly clients: number;
  readonly perAccount: number;
  /** Characters of all features that hold for one client only. */
  readonly weight: number;
  /** Questions under way, of all and of one domain. */
  readonly questions: number;
  readonly questionsPerDomain: number;
  /** Milliseconds until one that has not answered is asked again. */
  readonly patience: number;
}

/** The usual limits. */
export const REMOTE_LIMITS: RemoteLimits = {
  clients: 50_000,
  perAccount: 20,
  weight: 16 << 20,
  questions: 2000,
  questionsPerDomain: 200,
  patience: 300_000,
};

interface RemoteClient extends Client {
  /** Usernames of those here to whom it is available. */
  readonly witnesses: string[];
  /** What counts of its features against the limit of weight. */
  weight: number;
  /** When it has failed to answer, by `now`. */
  failedAt: number;
}

/** What clients of others support, by the presence they have sent to accounts here. The one that was not heard of for the longest goes first. */
export class RemoteClients {
  readonly #inquiry: Inquiry;
  readonly #limits: RemoteLimits;
  readonly #now: () => number;
  /** By full JID. */
  readonly #clients = new Map<string, RemoteClient>();
  /** The full JIDs of each bare one. */
  readonly #accounts = new Map<string, string[]>();
  /** Questions under way, by domain. */
  readonly #underWay = new Map<string, number>();
  #asked = 0;
  #weight = 0;

  constructor(inquiry: Inquiry, limits: RemoteLimits = REMOTE_LIMITS, now: () => number = () => performance.now()) {
    this.#inquiry = inquiry;
    this.#limits = limits;
    this.#now = now;
  }

  get size(): number {
    return this.#clients.size;
  }

  /** What a client supports; a promise while it is being asked. */
  of(jid: Jid): Maybe<FeatureSet | undefined> {
    const client = this.#clients.get(jid.full);
    if (!client) return undefined;
    const { known } = client;
    if (!known.isOpen) return known.features;
    return known.asked ?? this.#ask(client);
  }

  /** The clients of a bare JID that want to hear of a node. */
  interestedAt(bare: string, node: string): readonly Jid[] {
    const clients = this.#accounts.get(bare);
    if (!clients) return [];
    const interested: Jid[] = [];
    for (const full of clients) {
      const client = this.#clients.get(full)!;
      const { isOpen, features } = client.known;
      if (isOpen) void this.#ask(client);
      if (features?.interests.has(node)) interested.push(client.jid);
    }
    return interested;
  }

  /** Takes note of presence that has come for an account here. */
  note({ stanza, from, to }: Envelope): void {
    if (to.local === '') return;
    if (stanza.type === 'unavailable') return this.#lose(from, to);
    if (stanza.type !== undefined || from.isBare || stanza.has('x', NS_OCCUPANT)) return;
    const found = this.#clients.get(from.full);
    // Nothing is kept of those who say nothing.
    const known = found?.known ?? unknown();
    this.#inquiry.note(known, stanza);
    if (!known.announced) return;
    const client = found ?? { jid: from, session: undefined, known, witnesses: [], weight: 0, failedAt: 0 };
    this.#keep(client, to.local);
    this.#weigh(client);
    if (known.isOpen) void this.#ask(client);
    else this.#inquiry.tell(client);
  }

  /** Asks, unless it has failed to answer just now or too much is being asked. */
  #ask(client: RemoteClient): Maybe<FeatureSet | undefined> {
    const { known, jid } = client;
    if (known.asked) return known.asked;
    const { questions, questionsPerDomain, patience } = this.#limits;
    if (known.failure !== undefined && this.#now() - client.failedAt < patience) return undefined;
    const ofDomain = this.#underWay.get(jid.domain) ?? 0;
    if (this.#asked >= questions || ofDomain >= questionsPerDomain) return undefined;
    this.#asked++;
    this.#underWay.set(jid.domain, ofDomain + 1);
    return this.#inquiry.ask(client).then((features) => {
      this.#answered(client);
      return features;
    });
  }

  #answered(client: RemoteClient): void {
    const { domain, full } = client.jid;
    const left = this.#underWay.get(domain)! - 1;
    this.#asked--;
    if (left > 0) this.#underWay.set(domain, left);
    else this.#underWay.delete(domain);
    client.failedAt = this.#now();
    if (this.#clients.get(full) === client) this.#weigh(client);
  }

  /** It is there for this account, and was heard of just now. */
  #keep(client: RemoteClient, username: string): void {
    const { full, bare } = client.jid;
    const { witnesses } = client;
    if (witnesses.length < MOST_WITNESSES && !witnesses.includes(username)) witnesses.push(username);
    if (this.#clients.delete(full)) return void this.#clients.set(full, client);
    const others = this.#accounts.get(bare) ?? [];
    if (others.length >= this.#limits.perAccount) this.#drop(this.#clients.get(others[0]!)!);
    if (this.#clients.size >= this.#limits.clients) this.#dropOldest();
    this.#clients.set(full, client);
    const all = this.#accounts.get(bare);
    if (all) all.push(full);
    else this.#accounts.set(bare, [full]);
  }

  /** It is gone for one account: for all, when nobody else sees it. A bare JID means all clients of it. */
  #lose(from: Jid, to: Jid): void {
    const gone = from.isBare ? [...(this.#accounts.get(from.bare) ?? [])] : [from.full];
    for (const full of gone) {
      const client = this.#clients.get(full);
      if (!client) continue;
      const { witnesses } = client;
      const at = witnesses.indexOf(to.local);
      if (at >= 0) witnesses.splice(at, 1);
      if (witnesses.length === 0 || witnesses.length >= MOST_WITNESSES - 1) this.#drop(client);
    }
  }

  #dropOldest(): void {
    const oldest = this.#clients.values().next().value;
    if (oldest) this.#drop(oldest);
  }

  #drop(client: RemoteClient): void {
    const { full, bare } = client.jid;
    this.#clients.delete(full);
    const others = (this.#accounts.get(bare) ?? []).filter((other) => other !== full);
    if (others.length > 0) this.#accounts.set(bare, others);
    else this.#accounts.delete(bare);
    this.#inquiry.forget(client.known);
    this.#weigh(client);
    this.#inquiry.tell(client);
  }

  /** Keeps account of what holds for this client only. */
  #weigh(client: RemoteClient): void {
    const { features, isShared } = client.known;
    const weight = isShared ? 0 : (features?.weight ?? 0);
    this.#weight += weight - client.weight;
    client.weight = weight;
    while (this.#weight > this.#limits.weight) this.#dropOldest();
  }
}
