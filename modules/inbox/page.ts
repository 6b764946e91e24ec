import { type RsmRequest, StanzaError, timeOf } from '#core';
import type { Conversation } from './overview.ts';

/** Which conversations are sent, and where among all they stand. */
export interface InboxPage<T> {
  readonly page: readonly T[];
  /** How many there are on all pages together. */
  readonly count: number;
}

/**
 * The page that is asked for (XEP-0059) of conversations with the newest activity first. A conversation has its last instant message's id
 * there: its place is found by that also when it has moved up meanwhile, and nothing behind it is left out.
 */
export function choosePage<T extends Conversation>(
  all: readonly T[],
  rsm: RsmRequest | undefined,
  maxPage: number,
): InboxPage<T> {
  const max = Math.min(rsm?.max ?? maxPage, maxPage);
  const { before, after, index } = rsm ?? {};
  let start = index ?? 0;
  if (after !== undefined) start = placeAfter(all, after);
  else if (before !== undefined) start = Math.max((before === '' ? all.length : placeBefore(all, before)) - max, 0);
  const end = before === undefined || before === '' ? start + max : Math.min(start + max, placeBefore(all, before));
  return { page: all.slice(start, end), count: all.length };
}

/** Where those begin that are older than this id. */
function placeAfter(all: readonly Conversation[], id: string): number {
  check(id);
  return placeOf(all, ({ last }) => last < id);
}

/** Where those end that are newer than this id. */
function placeBefore(all: readonly Conversation[], id: string): number {
  check(id);
  return placeOf(all, ({ last }) => last <= id);
}

function placeOf(all: readonly Conversation[], isThere: (conversation: Conversation) => boolean): number {
  const place = all.findIndex(isThere);
  return place < 0 ? all.length : place;
}

/** XEP-0059 section 2.4. */
function check(id: string): void {
  if (timeOf(id) === undefined) throw new StanzaError('item-not-found');
}
