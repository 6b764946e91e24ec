import type { ArchiveFilter, ArchiveItem } from '#core';

/** An item as a store gives it. */
export type Item = Required<ArchiveItem>;

/** What goes to a client at once. */
export interface Page {
  /** Ascending. */
  readonly items: readonly Item[];
  /** Where it begins and ends, for who goes on from there; undefined when it is empty and the last. */
  readonly first: string | undefined;
  readonly last: string | undefined;
  /** Whether nothing lies beyond it in the direction it was read in. */
  readonly isComplete: boolean;
}

/** Which page of a result set is wanted. */
export interface PageWish {
  /** What the store chooses by, and from which end it reads. */
  readonly filter: ArchiveFilter;
  /** What items are looked at for one by one, because a store has no index for it; undefined when all are wanted. */
  readonly isWanted: ((item: Item) => boolean) | undefined;
  readonly max: number;
  /** How many items may be looked at, where not all are wanted. */
  readonly limit: number;
}

/**
 * Characters of stanzas in a page. A client that has not read yet is cut off when too much waits for it (`limits.queueBytes`), and asking
 * for a page of long messages must not do that.
 */
const MAX_LENGTH = 524_288;
/** To look at a message costs about as much as it is long: one of so many characters counts for two. */
const LONG = 4096;

/** A page in the making. Items are shown to it in order of reading, until it is done. */
export class Gathering {
  readonly #wish: PageWish;
  readonly #found: Item[] = [];
  #length = 0;
  #cost = 0;

  constructor(wish: PageWish) {
    this.#wish = wish;
  }

  /** How many more items have to be seen at least before it can be done: one more than is wanted tells that there is more. */
  get missing(): number {
    return this.#wish.max + 1 - this.#found.length;
  }

  /** Takes an item if it is wanted. The page, once it is done; undefined as long as it is not. */
  take(item: Item): Page | undefined {
    const { filter, isWanted, max, limit } = this.#wish;
    if (!isWanted || isWanted(item)) {
      this.#length += item.stanza.length;
      const isFull = this.#found.length >= max || (this.#length > MAX_LENGTH && this.#found.length > 0);
      if (isFull) return toPage(this.#found, filter, false);
      this.#found.push(item);
    }
    if (!isWanted) return undefined;
    this.#cost += 1 + Math.floor(item.stanza.length / LONG);
    return this.#cost >= limit ? cutOff(toPage(this.#found, filter, false), filter, item.id) : undefined;
  }

  /** The page, when there are no more items. */
  end(): Page {
    return toPage(this.#found, this.#wish.filter, true);
  }
}

/** Items as the reader comes across them: from the end when it goes backwards. */
export function inOrderOfReading(items: readonly Item[], filter: ArchiveFilter): readonly Item[] {
  return filter.last ? items.toReversed() : items;
}

/** The part of a filter that is read after this item. */
export function beyond(filter: ArchiveFilter, id: string): ArchiveFilter {
  return filter.last ? { ...filter, before: id } : { ...filter, after: id };
}

function toPage(found: readonly Item[], filter: ArchiveFilter, isComplete: boolean): Page {
  const items = inOrderOfReading(found, filter);
  return { items, first: items[0]?.id, last: items.at(-1)?.id, isComplete };
}

/**
 * A page that ends because too many items have been looked at: with the last of them, whether or not it was wanted, so that the client
 * goes on from there. XEP-0059 section 2.2 wants no ids in an empty page; but then nobody could.
 */
function cutOff(page: Page, filter: ArchiveFilter, seen: string): Page {
  const { first = seen, last = seen } = page;
  return filter.last ? { ...page, first: seen, last } : { ...page, first, last: seen };
}
