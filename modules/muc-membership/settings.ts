// XEP-0492: of what in a room somebody wants to be notified.
import type { Element } from '#core';
import { Jid } from '#core';

/** What can be chosen for a chat (XEP-0492 section 2.1). */
export const SETTINGS = ['always', 'on-mention', 'never'] as const;
/** One of SETTINGS. */
export type Setting = (typeof SETTINGS)[number];

const NS_NOTIFY = 'urn:xmpp:notification-settings:1';
/** As it was before identities had a registry; without them it says the same. */
const NS_NOTIFY_0 = 'urn:xmpp:notification-settings:0';
/** Bookmarks in private storage (XEP-0048). */
export const NS_BOOKMARKS = 'storage:bookmarks';

/** Those who are woken up by push services are telephones, nearly all of them. */
const IDENTITY = { category: 'client', type: 'phone' };

/** Bookmarks of one account that are looked at. */
const MAX_BOOKMARKS = 2000;

/** What a bookmark says of a room. */
export interface Bookmark {
  readonly setting: Setting | undefined;
  readonly nick: string | undefined;
}

/** Reads a setting; undefined for anything else. */
export function readSetting(text: unknown): Setting | undefined {
  return SETTINGS.find((setting) => setting === text);
}

/** What the bookmarks of an account (XEP-0048 section 2) say of rooms, by their bare JIDs. What makes no sense is passed over. */
export function readBookmarks(storage: Element | undefined): ReadonlyMap<string, Bookmark> {
  const bookmarks = new Map<string, Bookmark>();
  for (const conference of storage?.getChildren('conference', NS_BOOKMARKS).slice(0, MAX_BOOKMARKS) ?? []) {
    const address: unknown = conference.attrs['jid'];
    const jid = typeof address === 'string' ? Jid.tryParse(address) : undefined;
    if (!jid) continue;
    const nick = conference.getChildText('nick', NS_BOOKMARKS) || undefined;
    bookmarks.set(jid.bare, { setting: readNotify(findNotify(conference)), nick });
  }
  return bookmarks;
}

/** Settings are extensions of a bookmark: within its `extensions` as XEP-0402 has them, or beside its nick, as XEP-0048 would. */
function findNotify(conference: Element): Element | undefined {
  const places = [conference, ...conference.getChildElements().filter((child) => child.getName() === 'extensions')];
  for (const xmlns of [NS_NOTIFY, NS_NOTIFY_0]) {
    for (const place of places) {
      const notify = place.getChild('notify', xmlns);
      if (notify) return notify;
    }
  }
  return undefined;
}

/** The setting that is most specific to a telephone (section 3); undefined when there is none. */
function readNotify(notify: Element | undefined): Setting | undefined {
  let best: Setting | undefined;
  let rank = 0;
  for (const element of notify?.getChildElements() ?? []) {
    const setting = element.getNS() === notify?.getNS() ? readSetting(element.getName()) : undefined;
    const found = setting ? rankOf(element) : 0;
    if (found <= rank) continue;
    best = setting;
    rank = found;
  }
  return best;
}

/** How well an element fits; 0 for not at all. */
function rankOf({ attrs }: Element): number {
  const category: unknown = attrs['identity-category'];
  const type: unknown = attrs['identity-type'];
  // What the version before told clients apart by.
  if (attrs['client-type'] !== undefined) return 0;
  if (category === undefined) return type === undefined ? 1 : 0;
  if (category !== IDENTITY.category) return 0;
  if (type === undefined) return 2;
  return type === IDENTITY.type ? 3 : 0;
}
