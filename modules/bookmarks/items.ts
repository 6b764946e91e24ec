import type { NodeItem, Turns } from '#core';
import type { PepApi } from '../pep/index.ts';
import { NS_BOOKMARKS, readItem, roomOf } from './convert.ts';
import type { KnownBookmark, KnownBookmarks } from './merge.ts';

/** Characters of items that are shown in one list, unless one item has more; who has so many has a client that takes them one by one. */
const MAX_CHARS = 1_048_576;
/** Items that are read from the storage at once. */
const CHUNK = 50;

/**
 * The bookmarks of an account, the first published ones first; those of `also` in any case. What is no bookmark of a room, by its payload or
 * by its id, is passed over.
 */
export async function readBookmarks(
  pep: Pick<PepApi, 'placeOf'>,
  username: string,
  { turns, also }: { readonly turns: Turns; readonly also?: Iterable<string> },
): Promise<KnownBookmarks> {
  const known = new Map<string, KnownBookmark>();
  const node = (await pep.placeOf(username)).nodes.get(NS_BOOKMARKS);
  if (!node) return known;
  let chars = 0;
  for (let after: string | undefined; chars < MAX_CHARS; ) {
    const { items, complete } = await node.query({ max: CHUNK, ...(after !== undefined && { after }) });
    for (const item of items) {
      chars += item.value.length;
      if (chars < MAX_CHARS || known.size === 0) add(known, item);
    }
    if (complete && chars < MAX_CHARS) return known;
    after = items.at(-1)?.at;
    if (turns.isOver()) await turns.next();
  }
  const missing = [...(also ?? [])].filter((room) => !known.has(room));
  for (let at = 0; at < missing.length; at += CHUNK) {
    const { items } = await node.query({ ids: missing.slice(at, at + CHUNK) });
    for (const item of items) add(known, item);
  }
  return known;
}

/** Of two for one room the later one counts. */
function add(known: Map<string, KnownBookmark>, { id, value }: NodeItem): void {
  const room = roomOf(id);
  const read = room === undefined ? undefined : readItem(value);
  if (room === undefined || !read) return;
  known.set(room, { id, ids: [...(known.get(room)?.ids ?? []), id], ...read });
}
