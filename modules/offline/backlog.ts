import type { ArchiveItem } from '#core';
import { type MamApi, TAG } from '../mam/index.ts';
import type { Mark } from './mark.ts';

/** A message that waits, and where it is kept. */
export interface Waiting extends ArchiveItem {
  /** In the account's archive, where it stays. */
  readonly isArchived: boolean;
}

/** A page of messages that wait. */
export interface WaitingPage {
  readonly items: readonly Waiting[];
  /** The id up to which was looked; undefined when there was nothing to look at. */
  readonly last: string | undefined;
  readonly complete: boolean;
}

/** Messages looked at in one go, and how many single ones are remembered. */
const PAGE = 100;
const MOST_MISSED = 400;

const NOTHING: WaitingPage = { items: [], last: undefined, complete: true };

/** What waits in an account's archive: received, and had by nobody yet. */
export class Backlog {
  readonly mark: Mark;
  readonly #archive: MamApi | undefined;

  /** Without an archive it is always empty. */
  constructor(mark: Mark, archive: MamApi | undefined) {
    this.mark = mark;
    this.#archive = archive;
  }

  /** The next messages behind `after`. */
  async read(after: string | undefined, max: number): Promise<WaitingPage> {
    const archive = this.#archive;
    if (!archive) return NOTHING;
    const { mark } = this;
    await mark.load();
    const { owner } = mark;
    const missed = mark.missed(after).slice(0, max);
    const found = missed.length === 0 ? [] : (await archive.messages.query(owner, { ids: missed })).items;
    const early = found.map((item) => ({ ...item, isArchived: true }));
    if (missed.length >= max) return { items: early, last: missed.at(-1), complete: false };
    const from = after === undefined || after < mark.upTo ? mark.upTo : after;
    // What was sent is passed over here and not by the database, so that each page costs the same however much of it there is.
    const page = await archive.messages.query(owner, { ...(from !== '' && { after: from }), max });
    const items = page.items.filter((item) => this.#waits(item)).map((item) => ({ ...item, isArchived: true }));
    return { items: [...early, ...items], last: page.items.at(-1)?.id ?? missed.at(-1), complete: page.complete };
  }

  /** Those that wait before this id; undefined when there are more than can be remembered. */
  async before(id: string): Promise<readonly string[] | undefined> {
    const missed: string[] = [];
    for (let after: string | undefined; missed.length <= MOST_MISSED; ) {
      const { items, last, complete } = await this.read(after, PAGE);
      for (const item of items) if (item.id < id) missed.push(item.id);
      after = last;
      if (complete || (last !== undefined && last >= id)) return missed;
    }
    return undefined;
  }

  /** Those of these ids that wait. */
  async find(ids: readonly string[]): Promise<readonly Waiting[]> {
    if (!this.#archive) return [];
    await this.mark.load();
    const { items } = await this.#archive.messages.query(this.mark.owner, { ids });
    return items.filter((item) => this.#waits(item)).map((item) => ({ ...item, isArchived: true }));
  }

  #waits({ id, tag = 0 }: ArchiveItem): boolean {
    return (tag & TAG.outgoing) === 0 && !this.mark.isSettled(id);
  }
}
