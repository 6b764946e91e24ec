import type { Cache, Element, MapStore, ModuleContext } from '#core';
import { type Bookmark, readBookmarks, type Setting } from './settings.ts';

/** Accounts whose bookmarks are kept in memory. */
const CACHED = 10_000;

/** What somebody has chosen for a room by the command. */
export interface Choice {
  readonly setting: Setting;
  /** What the bookmark said then, which is overruled until it changes. */
  readonly over: Setting | 'nothing';
}

/** What preferences need of their surroundings. */
export interface PreferencesParts {
  readonly cache: ModuleContext<unknown, Record<never, never>>['cache'];
  /** By username, under the bare JID of the room. */
  readonly choices: MapStore<Choice>;
  /** The bookmarks of an account as XEP-0048 has them; undefined when there are none. */
  bookmarksOf(username: string): Promise<Element | undefined>;
}

/** Of what in which room accounts want to be notified: what they have chosen last, by the command or in their bookmarks. */
export class Preferences {
  readonly #parts: PreferencesParts;
  readonly #bookmarks: Cache<ReadonlyMap<string, Bookmark>>;

  constructor(parts: PreferencesParts) {
    this.#parts = parts;
    this.#bookmarks = parts.cache('bookmarks', (username) => this.#load(username), CACHED);
  }

  /** What an account has chosen for a room (its bare JID); undefined when it has not. */
  async of(username: string, room: string): Promise<Setting | undefined> {
    const [bookmark, choice] = await Promise.all([this.bookmark(username, room), this.#parts.choices.get(username, room)]);
    if (choice && choice.over === (bookmark?.setting ?? 'nothing')) return choice.setting;
    return bookmark?.setting;
  }

  /** What its bookmark says of a room. */
  async bookmark(username: string, room: string): Promise<Bookmark | undefined> {
    return (await this.#bookmarks.get(username)).get(room);
  }

  /** Chooses for a room, or takes that back. It holds until the bookmark says something else. */
  async choose(username: string, room: string, setting: Setting | undefined): Promise<void> {
    const over = (await this.bookmark(username, room))?.setting ?? 'nothing';
    await this.#parts.choices.update(username, new Map([[room, setting && { setting, over }]]));
  }

  /** An account has changed its bookmarks: what they say now holds where they say something else than before. */
  async reread(username: string): Promise<void> {
    this.#bookmarks.drop(username);
    const { choices } = this.#parts;
    const [bookmarks, chosen] = await Promise.all([this.#bookmarks.get(username), choices.entries(username)]);
    const outdated = [...chosen].filter(([room, { over }]) => over !== (bookmarks.get(room)?.setting ?? 'nothing'));
    if (outdated.length > 0) await choices.update(username, new Map(outdated.map(([room]) => [room, undefined])));
  }

  async #load(username: string): Promise<ReadonlyMap<string, Bookmark>> {
    return readBookmarks(await this.#parts.bookmarksOf(username));
  }
}
