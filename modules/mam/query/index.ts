// XEP-0313 sections 4 and 5: what archives answer. Knows nothing of accounts or rooms: whoever mounts it says whose archive is meant, and
// lets in who may read it.
import {
  type ArchiveFilter,
  type ArchiveStore,
  type Element,
  isSession,
  type Jid,
  type Log,
  type Maybe,
  type Origin,
  type Query,
  StanzaError,
  timeOf,
  writeDateTime,
  writeRsm,
  xml,
} from '#core';
import { NS_MAM, writeQueryForm } from './form.ts';
import type { Item, Page } from './page.ts';
import { Reader } from './reader.ts';
import { type Request, readRequest } from './request.ts';
import { resultWriter } from './results.ts';

export { NS_FULLTEXT, NS_MAM } from './form.ts';
export type { Item } from './page.ts';

/** Results are counted up to here; counting takes time that grows with the archive, and nobody reads a number this large. */
const MAX_COUNT = 50_000;

/** Somebody is about to be sent a page of an archive. */
export interface PageRead {
  readonly origin: Origin;
  readonly owner: string;
  /** Whether nothing newer than this page is in the archive that the client has asked for and not seen. */
  readonly reachedEnd: boolean;
  /** Ascending. */
  readonly ids: readonly string[];
}

/** What the answers are made from. */
export interface ArchiveQueriesParts {
  readonly messages: ArchiveStore;
  readonly log: Log;
  /** Results of one query at most. */
  readonly maxPage: number;
  /** Messages looked at for one page, where not all are wanted: in a search for words, or for a resource. */
  readonly searchLimit: number;
  /** Aborted when queries that are under way have to stop. */
  readonly stopping: AbortSignal;
  /** What is on its way into an archive: whoever asks while it is gets no copy of it, and so has to find it. Never rejects. */
  settled?(owner: string): Promise<void> | undefined;
  /** Told before the results are sent. */
  onPage?(page: PageRead): Maybe<void>;
}

/** A query, and the archive it is for. */
export interface ArchiveQuery {
  /** The archive's owner in the store. */
  readonly owner: string;
  /** Its address. */
  readonly archive: Jid;
  readonly query: Query;
  /** What to send in place of the stanza that was kept: XML text of a message that stands alone. */
  readonly transform?: ((item: Item) => string) | undefined;
  /** What `with` and the like mean in this archive, where it is not what they mean in an account's. */
  readonly narrow?: ((filter: ArchiveFilter) => ArchiveFilter) | undefined;
}

/**
 * Answers queries to archives. A page has a bounded size, and while a query is answered its client's line is paused: a client that asks
 * and does not read costs no more than what may be queued for it.
 */
export class ArchiveQueries {
  readonly #parts: ArchiveQueriesParts;
  readonly #reader: Reader;

  constructor(parts: ArchiveQueriesParts) {
    this.#parts = parts;
    this.#reader = new Reader({ messages: parts.messages, log: parts.log, limit: parts.searchLimit });
  }

  /** Answers <query/> of type get: the form to be filled in (XEP-0313 section 4.1.5). */
  showForm(): Element {
    return xml('query', NS_MAM, writeQueryForm());
  }

  /** Answers <metadata/>: where the archive begins and ends (section 5). */
  async showMetadata(owner: string): Promise<Element> {
    const { messages } = this.#parts;
    const [first, last] = await Promise.all([messages.query(owner, { max: 1 }), messages.query(owner, { max: 1, last: true })]);
    return xml('metadata', NS_MAM, describe('start', first.items[0]), describe('end', last.items[0]));
  }

  /** Answers <query/> of type set: sends the results and returns what ends them (section 4.2). */
  async query({ owner, archive, query, transform, narrow }: ArchiveQuery): Promise<Element> {
    const { onPage, settled } = this.#parts;
    const { payload, from, env } = query;
    const asked = readRequest(payload, this.#parts.maxPage);
    const request = narrow ? { ...asked, filter: narrow(asked.filter), page: narrow(asked.page) } : asked;
    await settled?.(owner);
    await this.#checkNamed(owner, request.named);
    const [page, count] = await Promise.all([this.#read(owner, query, request), this.#count(owner, request)]);
    const write = resultWriter({ queryId: request.queryId, archive, to: from });
    const told = onPage?.({
      origin: env.origin,
      owner,
      reachedEnd: reachesEnd(request, page),
      ids: page.items.map(({ id }) => id),
    });
    if (told) await told;
    for (const item of request.isFlipped ? page.items.toReversed() : page.items) {
      env.origin.send(write(transform ? { ...item, stanza: transform(item) } : item));
    }
    const { first, last, isComplete } = page;
    return xml('fin', { xmlns: NS_MAM, complete: isComplete ? 'true' : undefined }, writeRsm({ first, last, count }));
  }

  /**
   * Every id that is named has to be there (XEP-0313 sections 4.1.3 and 4.3.2). Nobody is told whether it is one of another archive, was
   * removed, or has never been.
   */
  async #checkNamed(owner: string, named: ReadonlySet<string>): Promise<void> {
    if (named.size === 0) return;
    for (const id of named) if (timeOf(id) === undefined) throw new StanzaError('item-not-found');
    const found = await this.#parts.messages.count(owner, { ids: [...named] });
    if (found < named.size) throw new StanzaError('item-not-found');
  }

  #read(owner: string, { from, env: { origin } }: Query, request: Request): Promise<Page> {
    const { stopping } = this.#parts;
    const checkWaiting = (): void => {
      const isGone = isSession(origin) && origin.isClosed;
      if (isGone || stopping.aborted) throw new StanzaError('resource-constraint', { text: 'The query was given up' });
    };
    return this.#reader.read({ owner, request, account: from.bare, checkWaiting });
  }

  /** Only for those who ask for nothing else (XEP-0059 section 2.7): with each page it would cost more than the page. */
  async #count(owner: string, { filter, max, words }: Request): Promise<number | undefined> {
    if (max > 0 || words) return undefined;
    const { messages } = this.#parts;
    const { resource, tag, ...indexed } = filter;
    const count = await messages.count(owner, { ...indexed, max: MAX_COUNT + 1 });
    if (count > MAX_COUNT) return undefined;
    return resource === undefined && !tag ? count : messages.count(owner, filter);
  }
}

function reachesEnd({ isOpenEnded, page: { last } }: Request, { items, isComplete }: Page): boolean {
  return isOpenEnded && (isComplete || (last === true && items.length > 0));
}

function describe(name: 'start' | 'end', item: Item | undefined): Element | undefined {
  return item && xml(name, { id: item.id, timestamp: writeDateTime(timeOf(item.id) ?? 0) });
}
