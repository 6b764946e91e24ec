import type { Digest } from './convert.ts';

/** What bookmarks looked like to somebody, by room. */
export type Versions = ReadonlyMap<string, Digest>;

/** Milliseconds in which a client may still write what it has begun before it was told of something. */
const GRACE = 5000;

/**
 * What a client of the older specification has seen of the bookmarks. It writes all of them whenever one changes, also those that another
 * client has changed meanwhile: by this is known what it means to change.
 */
export class Seen {
  readonly #now: () => number;
  #shown: Versions;
  #earlier: Versions | undefined = undefined;
  #toldAt = 0;

  /** `now` is a clock that is never set, in milliseconds. */
  constructor(shown: Versions, now: () => number = () => performance.now()) {
    this.#shown = shown;
    this.#now = now;
  }

  /** What it has seen last. */
  get shown(): Versions {
    return this.#shown;
  }

  /** It has asked, or has written this itself: that is what it knows. */
  show(shown: Versions): void {
    this.#shown = shown;
    this.#earlier = undefined;
  }

  /** It is told. For a while it may not have heard yet. */
  tell(shown: Versions): void {
    if (!this.#isRecent) this.#earlier = this.#shown;
    this.#shown = shown;
    this.#toldAt = this.#now();
  }

  /** Whether it knows of a bookmark for this room, so that it means it when there is none any more. */
  knows(room: string): boolean {
    return this.#versions(room).every((version) => version !== undefined);
  }

  /** Whether it has seen this version of a part, so that it does not mean to change anything about it. */
  has(room: string, part: keyof Digest, { [part]: value }: Digest): boolean {
    return this.#versions(room).some((version) => version !== undefined && version[part] === value);
  }

  #versions(room: string): readonly (Digest | undefined)[] {
    const version = this.#shown.get(room);
    return this.#isRecent ? [version, this.#earlier?.get(room)] : [version];
  }

  get #isRecent(): boolean {
    return this.#earlier !== undefined && this.#now() - this.#toldAt < GRACE;
  }
}
