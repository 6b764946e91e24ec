import type { Maybe } from '../hooks.ts';
import type { Jid } from '../jid.ts';
import type { Element } from '../xml/element.ts';

/** What an entity is (XEP-0030 section 3.1), from the registry of identities. */
export interface Identity {
  readonly category: string;
  readonly type: string;
  readonly name?: string | undefined;
}

/** An entry of disco#items. */
export interface DiscoItem {
  readonly jid: string;
  readonly node?: string | undefined;
  readonly name?: string | undefined;
}

/** Who asks whom: `to` is the host or an account of it. */
export interface DiscoQuestion {
  readonly from: Jid;
  readonly to: Jid;
  readonly node: string | undefined;
}

/** How a module extends what a host or its accounts answer. Each is asked at every question. */
export interface Disco {
  /** Extended information forms (XEP-0128), for the host itself. */
  forms(question: DiscoQuestion): Maybe<readonly Element[]>;
  /** Items of the host (or of an account, as `question.to` says). */
  items(question: DiscoQuestion): Maybe<readonly DiscoItem[]>;
  /** A node of one's own: the whole answer, or undefined when the node is not this module's. */
  node(question: DiscoQuestion): Maybe<NodeInfo | undefined>;
}

/** What disco#info says of a node. */
export interface NodeInfo {
  readonly identities: readonly Identity[];
  readonly features: readonly string[];
  readonly forms?: readonly Element[];
}

/**
 * Whose a feature is: the host's, that of all accounts, or only of those that are registered. Guests (XEP-0175) have an account as long as
 * they are there, and are not shown what they cannot use.
 */
export type FeaturePlace = 'server' | 'account' | 'registered';

/** What the running modules of a host have registered for service discovery. */
export class DiscoRegistry {
  readonly #identities = { server: [] as Identity[], account: [] as Identity[] };
  readonly #features = {
    server: new Map<string, number>(),
    account: new Map<string, number>(),
    registered: new Map<string, number>(),
  };
  readonly #extensions = new Set<Partial<Disco>>();
  /** Rises with every change, so that a hash over the answer (XEP-0115) knows when it is stale. */
  version = 0;

  /** Adds an identity; returns what takes it back. */
  identity(at: 'server' | 'account', identity: Identity): () => void {
    const list = this.#identities[at];
    list.push(identity);
    this.version++;
    return () => {
      list.splice(list.indexOf(identity), 1);
      this.version++;
    };
  }

  /** Adds a feature; several modules may add the same one. Returns what takes it back. */
  feature(at: FeaturePlace, feature: string): () => void {
    const counts = this.#features[at];
    counts.set(feature, (counts.get(feature) ?? 0) + 1);
    this.version++;
    return () => {
      const left = counts.get(feature)! - 1;
      if (left > 0) counts.set(feature, left);
      else counts.delete(feature);
      this.version++;
    };
  }

  /** Adds forms, items or nodes; returns what takes them back. */
  extend(extension: Partial<Disco>): () => void {
    this.#extensions.add(extension);
    this.version++;
    return () => {
      this.#extensions.delete(extension);
      this.version++;
    };
  }

  identities(at: 'server' | 'account'): readonly Identity[] {
    return this.#identities[at];
  }

  /** In the order of their names; for a registered account also those of all accounts. */
  features(at: FeaturePlace): readonly string[] {
    const all =
      at === 'registered' ? [...this.#features.account.keys(), ...this.#features.registered.keys()] : this.#features[at].keys();
    return [...new Set(all)].sort();
  }

  get extensions(): Iterable<Partial<Disco>> {
    return this.#extensions;
  }
}
