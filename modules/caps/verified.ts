import { type Announcement, isVerifiable } from './announcement.ts';
import type { FeatureSet } from './features.ts';

/** What is behind a verification string. */
export interface Entry {
  readonly announcement: Announcement;
  readonly features: FeatureSet;
}

/** How much is remembered. */
export interface VerifiedLimits {
  /** Verification strings: as many kinds of client there are not. */
  readonly strings: number;
  /** Characters of all features together. */
  readonly weight: number;
}

/** What is behind verification strings, by answers that fit them. What was not used for the longest time is forgotten. */
export class Verified {
  readonly #entries = new Map<string, Entry>();
  readonly #limits: VerifiedLimits;
  #weight = 0;

  constructor(limits: VerifiedLimits = { strings: 1000, weight: 4 << 20 }) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** What is behind it; undefined when that is not known. */
  get(announcement: Announcement): Entry | undefined {
    const { ver, hash, isModern } = announcement;
    const entry = this.#entries.get(ver);
    if (!entry || entry.announcement.hash !== hash || entry.announcement.isModern !== isModern) return undefined;
    if (!isVerifiable(announcement)) return undefined;
    this.#entries.delete(ver);
    this.#entries.set(entry.announcement.ver, entry);
    return entry;
  }

  /** Remembers what was verified; returns what is known of it from now on. The announcement must be detached. */
  add(announcement: Announcement, features: FeatureSet): Entry {
    const known = this.get(announcement);
    if (known) return known;
    const entry = { announcement, features };
    this.#drop(announcement.ver);
    this.#entries.set(announcement.ver, entry);
    this.#weight += features.weight;
    const { strings, weight } = this.#limits;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= strings && this.#weight <= weight) break;
      this.#drop(oldest);
    }
    return entry;
  }

  #drop(ver: string): void {
    const entry = this.#entries.get(ver);
    if (!entry) return;
    this.#weight -= entry.features.weight;
    this.#entries.delete(ver);
  }
}
