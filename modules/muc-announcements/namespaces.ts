/** Pinned messages: no XEP is about those of rooms (XEP-0469 is about bookmarks). */
export const NS_PINS = 'parlance:pins:1';
/** What a room says at times that were planned, and the forms by which that is done. */
export const NS_ANNOUNCEMENTS = 'parlance:announcements:1';
