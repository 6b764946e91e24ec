// Bookmarks as XEP-0402 has them, one in each item, and as XEP-0048 has them, all in one element.
import { type Element, Jid, readElement, writeElement, xml } from '#core';
import type { Item } from '../pubsub/index.ts';

/** The namespace and node of XEP-0402. */
export const NS_BOOKMARKS = 'urn:xmpp:bookmarks:1';
/** Those of XEP-0048. */
export const NS_STORAGE = 'storage:bookmarks';

/** A bookmark about to be published. */
export interface NewBookmark {
  /** The bare JID of the room. */
  readonly id: string;
  /** The `<conference/>` of XEP-0402. */
  readonly value: string;
}

/** What has to be done so that the items are what somebody has written by the older specification. */
export interface BookmarkChanges {
  readonly publish: readonly NewBookmark[];
  readonly retract: readonly string[];
  /** What has no place in items, such as addresses of web pages; undefined when there is nothing. */
  readonly rest: Element | undefined;
}

const NAMES: ReadonlySet<string> = new Set(['nick', 'password', 'extensions']);

/** All bookmarks as one element (XEP-0402 section 5.1), with what else belongs into it. */
export function collate(items: readonly Item[], rest: Element | undefined): Element {
  const conferences = items.map(toConference).filter((conference) => conference !== undefined);
  const others = rest?.getChildElements().filter((child) => !isBookmark(child)) ?? [];
  return xml('storage', NS_STORAGE, ...conferences, ...others);
}

/** Compares a list by the older specification with the items there are (XEP-0402 section 5.2). */
export function compare(storage: Element, items: readonly Item[]): BookmarkChanges {
  const before = new Map(items.map((item) => [item.id, item]));
  const after = new Map<string, Element>();
  const others: Element[] = [];
  for (const child of storage.getChildElements()) {
    const id = isBookmark(child) ? idOf(child) : undefined;
    if (id === undefined) others.push(child);
    // Of two for one room the first one counts, as clients would have it.
    else if (!after.has(id)) after.set(id, child);
  }
  const publish: NewBookmark[] = [];
  for (const [id, conference] of after) {
    const known = before.get(id);
    const value = fromConference(conference, known && read(known));
    if (!known || normalise(value) !== normalise(known.value)) publish.push({ id, value });
  }
  const retract = items.map(({ id }) => id).filter((id) => !after.has(id) && Jid.tryParse(id) !== undefined);
  return { publish, retract, rest: others.length > 0 ? xml('storage', NS_STORAGE, ...others) : undefined };
}

/** Whether there are bookmarks of rooms in what is kept by the older specification. */
export function hasBookmarks(storage: Element): boolean {
  return storage.getChildElements().some((child) => isBookmark(child) && idOf(child) !== undefined);
}

function toConference(item: Item): Element | undefined {
  const conference = read(item);
  if (!conference) return undefined;
  const { name, autojoin } = conference.attrs as Readonly<Record<string, string | undefined>>;
  const children = conference.getChildElements().map((child) => (isOurs(child) ? cast(child, NS_STORAGE) : child));
  return xml('conference', { xmlns: NS_STORAGE, jid: item.id, name, autojoin: isTrue(autojoin) ? 'true' : 'false' }, ...children);
}

/** What an older client does not know it does not say: extensions stay, unless it has written others. */
function fromConference(conference: Element, before: Element | undefined): string {
  const { name, autojoin } = conference.attrs as Readonly<Record<string, string | undefined>>;
  const own = conference.getChildElements().filter((child) => child.getNS() === NS_STORAGE && NAMES.has(child.getName()));
  const foreign = conference.getChildElements().filter((child) => child.getNS() !== NS_STORAGE);
  const children = own.filter((child) => child.getName() !== 'extensions').map((child) => cast(child, NS_BOOKMARKS));
  const extensions = own.find((child) => child.getName() === 'extensions');
  const kept = (extensions ?? before?.getChild('extensions', NS_BOOKMARKS))?.getChildElements() ?? [];
  const all = [...kept, ...foreign.filter((child) => !kept.some((other) => isSameKind(other, child)))];
  const attrs = { xmlns: NS_BOOKMARKS, name, autojoin: isTrue(autojoin) ? 'true' : undefined };
  return writeElement(
    xml('conference', attrs, ...children, all.length > 0 ? xml('extensions', {}, ...all.map(copy)) : undefined),
  );
}

/** The same in another namespace, as far as it was in its own. */
function cast(element: Element, xmlns: string): Element {
  const children = element.children.map((child) => {
    if (typeof child === 'string') return child;
    return copy(child as Element);
  });
  return xml(element.getName(), { xmlns }, ...children);
}

function copy(element: Element): Element {
  return readElement(writeElement(element));
}

function read({ value }: Item): Element | undefined {
  const element = value === '' ? undefined : readElement(value);
  return element?.is('conference', NS_BOOKMARKS) ? element : undefined;
}

/** What two ways of writing the same have in common. */
function normalise(value: string): string {
  const element = readElement(value);
  const { name, autojoin } = element.attrs as Readonly<Record<string, string | undefined>>;
  const text = (child: string) => element.getChildText(child, NS_BOOKMARKS) ?? '';
  const extensions = element.getChild('extensions', NS_BOOKMARKS)?.getChildElements().map(writeElement) ?? [];
  return JSON.stringify([name ?? '', isTrue(autojoin), text('nick'), text('password'), extensions]);
}

function isBookmark(child: Element): boolean {
  return child.is('conference', NS_STORAGE);
}

function isOurs(child: Element): boolean {
  return child.getNS() === NS_BOOKMARKS && NAMES.has(child.getName());
}

function isSameKind(a: Element, b: Element): boolean {
  return a.getName() === b.getName() && a.getNS() === b.getNS();
}

/** The address of the room, prepared; undefined for what is none. */
function idOf(conference: Element): string | undefined {
  const jid: unknown = conference.attrs['jid'];
  return typeof jid === 'string' ? Jid.tryParse(jid)?.bare : undefined;
}

function isTrue(value: string | undefined): boolean {
  return value === 'true' || value === '1';
}
