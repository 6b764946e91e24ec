import type { ArchiveStore, Log } from '#core';
import { beyond, Gathering, type Item, inOrderOfReading, type Page } from './page.ts';
import type { Request } from './request.ts';
import type { Words } from './words.ts';

/** Items read from a store at once: a common page in one query, and a bound for what the longest of messages take of memory. */
const CHUNK = 100;
/** Milliseconds of work before others have their turn. */
const SLICE = 4;

/** What reading needs of its surroundings. */
export interface ReaderParts {
  readonly messages: ArchiveStore;
  readonly log: Log;
  /** How many messages are looked at for one page, where not all are wanted. */
  readonly limit: number;
}

/** Whose archive is read, and for whom. */
export interface Reading {
  readonly owner: string;
  readonly request: Request;
  /** The account that asks. */
  readonly account: string;
  /** Asked now and then: throws when nobody waits for the page any more. */
  checkWaiting(): void;
}

/**
 * Reads pages of archives. What a store has no index for is looked for item by item: words (XEP-0431), resources, kinds of message. An
 * index of words would cost every message something, though most of them nobody ever looks for, and many are encrypted. Archives are
 * walked in small steps instead, between which everybody else has a turn; of all who take more than one, one makes a step at a time.
 */
export class Reader {
  readonly #parts: ReaderParts;
  /** The last search of each account that has one under way or waiting. */
  readonly #searches = new Map<string, Promise<unknown>>();
  #turn: Promise<void> = Promise.resolve();

  constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /** Reads a page; a search for words begins once all earlier ones of the same account are done. */
  read(reading: Reading): Promise<Page> {
    if (!reading.request.words) return this.#read(reading);
    const { account } = reading;
    const before = this.#searches.get(account);
    const search = before ? before.then(() => this.#read(reading)) : this.#read(reading);
    const leave = (): void => {
      if (this.#searches.get(account) === line) this.#searches.delete(account);
    };
    const line: Promise<void> = search.then(leave, leave);
    this.#searches.set(account, line);
    return search;
  }

  async #read({ owner, request, checkWaiting }: Reading): Promise<Page> {
    const { messages, limit } = this.#parts;
    const { resource, tag, ...filter } = request.page;
    const isWanted = this.#test(owner, request);
    const gathering = new Gathering({ filter, isWanted, max: request.max, limit });
    if (request.words) await this.#nextTurn();
    let since = performance.now();
    for (let rest = filter, isFirst = true; ; isFirst = false) {
      checkWaiting();
      // In most archives nearly all items are wanted by those who name kinds of message; who looks for words sees many for each one.
      const size = isWanted && (request.words || !isFirst) ? CHUNK : gathering.missing;
      const page = await messages.query(owner, { ...rest, max: Math.min(size, CHUNK) });
      const items = inOrderOfReading(page.items, filter);
      for (const item of items) {
        const done = gathering.take(item);
        if (done) return done;
        if (performance.now() - since < SLICE) continue;
        await this.#nextTurn();
        since = performance.now();
      }
      const last = items.at(-1);
      if (page.complete || !last) return gathering.end();
      rest = beyond(filter, last.id);
    }
  }

  #test(owner: string, { page: { resource, tag }, words }: Request): ((item: Item) => boolean) | undefined {
    if (resource === undefined && !tag && !words) return undefined;
    return (item) =>
      (resource === undefined || item.resource === resource) &&
      (!tag || (item.tag & tag.mask) === tag.value) &&
      (!words || this.#holds(owner, item, words));
  }

  #holds(owner: string, { id, stanza }: Item, words: Words): boolean {
    if (!words.mayBeIn(stanza)) return false;
    try {
      return words.areIn(stanza);
    } catch (error) {
      this.#parts.log.error('a message in an archive cannot be read', { owner, id, error });
      return false;
    }
  }

  /** In each turn of the event loop one goes on. */
  #nextTurn(): Promise<void> {
    this.#turn = this.#turn.then(() => new Promise((resolve) => setImmediate(resolve)));
    return this.#turn;
  }
}
