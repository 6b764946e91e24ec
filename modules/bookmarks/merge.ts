import { type Element, xml } from '#core';
import {
  type Bookmark,
  copy,
  type Digest,
  digestOf,
  isConference,
  NS_STORAGE,
  readConference,
  roomOf,
  writeConference,
  writeItem,
} from './convert.ts';
import type { Seen, Versions } from './seen.ts';

/** A bookmark about to be published. */
export interface NewBookmark {
  readonly id: string;
  /** The `<conference/>` of XEP-0402. */
  readonly value: string;
}

/** A bookmark that there is. */
export interface KnownBookmark {
  /** The item it is in. */
  readonly id: string;
  /** All items for the same room: their ids need not be written as the address is. */
  readonly ids: readonly string[];
  readonly element: Element;
  readonly bookmark: Bookmark;
}

/** Those there are, by the bare JIDs of their rooms. */
export type KnownBookmarks = ReadonlyMap<string, KnownBookmark>;

/** What has to be done so that the items are what somebody has written by the older specification. */
export interface BookmarkChanges {
  readonly publish: readonly NewBookmark[];
  readonly retract: readonly string[];
  /** Whether there is something else afterwards than what was written, since others have changed something. */
  readonly isOther: boolean;
}

/** All bookmarks as one element (XEP-0402 section 5.1), with what else belongs into it. */
export function collate(known: KnownBookmarks, rest: Element | undefined): Element {
  const conferences = [...known].map(([room, { bookmark }]) => writeConference(room, bookmark));
  const others = rest?.getChildElements().filter((child) => !known.has(bookmarkedIn(child) ?? '')) ?? [];
  return xml('storage', NS_STORAGE, ...conferences, ...others.map(copy));
}

/** What has no place among items: addresses of web pages, and bookmarks of what is no address; undefined when there is nothing. */
export function restOf(list: Element): Element | undefined {
  const others = list.getChildElements().filter((child) => bookmarkedIn(child) === undefined);
  return others.length > 0 ? xml('storage', NS_STORAGE, ...others.map(copy)) : undefined;
}

/** The bookmarks of rooms in a list by the older specification. Of two for one room the first one counts, as clients would have it. */
export function readList(list: Element): ReadonlyMap<string, Bookmark> {
  const bookmarks = new Map<string, Bookmark>();
  for (const child of list.getChildElements()) {
    const room = bookmarkedIn(child);
    if (room !== undefined && !bookmarks.has(room)) bookmarks.set(room, readConference(child));
  }
  return bookmarks;
}

/**
 * Compares what a client has written by the older specification with what there is (XEP-0402 section 5.2). Where it is known what the client
 * has seen, only what it has changed since then is changed.
 */
export function compare(written: ReadonlyMap<string, Bookmark>, known: KnownBookmarks, seen: Seen | undefined): BookmarkChanges {
  const publish: NewBookmark[] = [];
  let isOther = false;
  for (const [room, bookmark] of written) {
    const there = known.get(room);
    const wanted = there ? merge(room, bookmark, { ours: there.bookmark, seen }) : bookmark;
    const isGone = !there && isOutdated(room, bookmark, seen);
    isOther ||= isGone || digestOf(wanted).core !== digestOf(bookmark).core;
    if (isGone || (there && isSame(digestOf(wanted), digestOf(there.bookmark)))) continue;
    publish.push({ id: there?.id ?? room, value: writeItem(wanted, there?.element) });
  }
  const missing = [...known].filter(([room]) => !written.has(room));
  const gone = missing.filter(([room]) => !seen || seen.knows(room));
  return {
    publish,
    retract: gone.flatMap(([, { ids }]) => ids),
    isOther: isOther || gone.length < missing.length,
  };
}

/** By what the bookmarks there are are known again. */
export function versionsIn(known: KnownBookmarks): Versions {
  return new Map([...known].map(([room, { bookmark }]) => [room, digestOf(bookmark)]));
}

/** By what those that somebody has written are known again. */
export function versionsOf(bookmarks: ReadonlyMap<string, Bookmark>): Versions {
  return new Map([...bookmarks].map(([room, bookmark]) => [room, digestOf(bookmark)]));
}

/** What a client does not know of it does not say: that stays. So does what it has not changed since it saw it. */
function merge(room: string, mine: Bookmark, { ours, seen }: { ours: Bookmark; seen: Seen | undefined }): Bookmark {
  const digest = digestOf(mine);
  const core = seen?.has(room, 'core', digest) ? ours : mine;
  const { name, autojoin, nick, password } = core;
  const areExtensionsMeant = mine.extensions !== undefined && !seen?.has(room, 'extensions', digest);
  const isExtraMeant = mine.extra !== undefined && !seen?.has(room, 'extra', digest);
  return {
    ...{ name, autojoin, nick, password },
    extensions: areExtensionsMeant ? mine.extensions : ours.extensions,
    extra: isExtraMeant ? mine.extra : ours.extra,
  };
}

/** Whether it is one that another client has removed meanwhile. */
function isOutdated(room: string, mine: Bookmark, seen: Seen | undefined): boolean {
  if (!seen) return false;
  const digest = digestOf(mine);
  const isSeen = (part: keyof Digest) => digest[part] === undefined || seen.has(room, part, digest);
  return isSeen('core') && isSeen('extensions') && isSeen('extra');
}

function isSame(a: Digest, b: Digest): boolean {
  return a.core === b.core && a.extensions === b.extensions && a.extra === b.extra;
}

/** The room that a child of a list is a bookmark of; undefined for anything else. */
function bookmarkedIn(child: Element): string | undefined {
  return isConference(child) ? roomOf(child.attrs['jid']) : undefined;
}
