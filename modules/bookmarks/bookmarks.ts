import { type Element, readElement, StanzaError, Turns, writeElement, xml } from '#core';
import type { PepApi } from '../pep/index.ts';
import type { PrivateApi } from '../private/index.ts';
import type { Place } from '../pubsub/index.ts';
import { copy, NS_BOOKMARKS, NS_STORAGE, readConference, roomOf } from './convert.ts';
import { readBookmarks } from './items.ts';
import { type BookmarkChanges, compare, type KnownBookmarks, readList, restOf, versionsOf } from './merge.ts';
import type { Seen, Versions } from './seen.ts';

/** Nobody else's business, and all of them are kept (XEP-0402 section 4.3). */
export const PRIVATE = { accessModel: 'whitelist', maxItems: 'max', sendLast: 'never' } as const;
/** What is kept in private storage. */
export const STORAGE = { name: 'storage', xmlns: NS_STORAGE };

/** Bookmarks that are published, or removed, at once. */
const AT_ONCE = 100;
/** How often it is tried to remove some while another client removes some of them. */
const MAX_TRIES = 10;

/** Where bookmarks are kept. */
export interface BookmarksParts {
  readonly nodes: PepApi;
  /** Where that is kept which has no place among items; undefined when there is no such place. */
  readonly storage: PrivateApi | undefined;
}

/** A client that knows the older specification. */
export interface OldClient {
  /** What it has seen of bookmarks; undefined when it has never asked. */
  seen(): Seen | undefined;
  /** That is what it knows from now on. */
  show(versions: Versions): void;
}

/** The bookmarks of accounts, as clients of the older specification read and write them. One list is written after the other. */
export class Bookmarks {
  readonly #parts: BookmarksParts;
  readonly #turns = new Turns();
  /** What is under way for an account. */
  readonly #underWay = new Map<string, Promise<unknown>>();

  constructor(parts: BookmarksParts) {
    this.#parts = parts;
  }

  /** Those there are; those of `also` in any case, where there are too many for one list. */
  known(username: string, also?: Iterable<string>): Promise<KnownBookmarks> {
    return readBookmarks(this.#parts.nodes, username, { turns: this.#turns, ...(also && { also }) });
  }

  /** What else is kept in the same place. */
  async rest(username: string): Promise<Element | undefined> {
    return this.#parts.storage?.kept(username, STORAGE.name, STORAGE.xmlns);
  }

  /**
   * Writes all bookmarks; where it is known what its client has seen, as far as that means to change something. True when there is
   * something to tell besides what becomes of the items: what is kept beside them is another than before, or they are others than written.
   */
  write(username: string, list: Element, client?: OldClient): Promise<boolean> {
    return this.inTurn(username, async () => {
      const rest = restOf(list);
      if (rest && !this.#parts.storage) throw new StanzaError('not-acceptable', { text: 'Only bookmarks of rooms can be kept' });
      const written = readList(list);
      const changes = compare(written, await this.known(username, written.keys()), client?.seen());
      await this.#carryOut(username, changes);
      client?.show(versionsOf(written));
      const isRestNew = await this.#keepRest(username, rest);
      return isRestNew || changes.isOther;
    });
  }

  /** Writes one bookmark, and leaves the others alone. */
  add(username: string, conference: Element): Promise<void> {
    return this.inTurn(username, async () => {
      const room = roomOf(conference.attrs['jid']) ?? '';
      const there = (await this.known(username, [room])).get(room);
      const written = new Map([[room, readConference(conference)]]);
      await this.#carryOut(username, compare(written, new Map(there && [[room, there]]), undefined));
    });
  }

  /** What was kept before bookmarks were items becomes items, where there are none of the same room. */
  async adopt(username: string): Promise<void> {
    const { nodes, storage } = this.#parts;
    const place = await nodes.placeOf(username);
    await this.#hide(place);
    // While bookmarks were nobody's business this was a node as any other.
    const isNode = () => place.nodes.get(NS_STORAGE) !== undefined;
    const isKept = async () => readList((await this.rest(username)) ?? NOTHING).size > 0;
    if (!isNode() && !(await isKept())) return;
    await this.inTurn(username, async () => {
      const items = await nodes.items(username, NS_STORAGE);
      const all = gather([
        (await this.rest(username)) ?? NOTHING,
        ...items.flatMap(({ value }) => (value ? [readElement(value)] : [])),
      ]);
      const written = readList(all);
      const known = await this.known(username, written.keys());
      const missing = new Map([...written].filter(([room]) => !known.has(room)));
      await this.#carryOut(username, compare(missing, new Map(), undefined));
      if (storage) await this.#keepRest(username, restOf(all));
      await nodes.counter.delete(place, NS_STORAGE);
    });
  }

  /** Does something after all that was begun before for an account. */
  inTurn<T>(username: string, work: () => Promise<T>): Promise<T> {
    const before = this.#underWay.get(username) ?? Promise.resolve();
    const done = before.then(work);
    const settled: Promise<unknown> = done
      .catch(() => {})
      .finally(() => {
        if (this.#underWay.get(username) === settled) this.#underWay.delete(username);
      });
    this.#underWay.set(username, settled);
    return done;
  }

  async #carryOut(username: string, { publish, retract }: Pick<BookmarkChanges, 'publish' | 'retract'>): Promise<void> {
    const { nodes } = this.#parts;
    const [first, ...others] = publish;
    // Then the node is there, and it is known how much room it has: those that follow are written together.
    if (first) await nodes.publish(username, NS_BOOKMARKS, first, PRIVATE);
    while (others.length > 0) {
      const some = others.splice(0, AT_ONCE);
      await Promise.all(some.map((bookmark) => nodes.publish(username, NS_BOOKMARKS, bookmark, PRIVATE)));
    }
    for (let at = 0; at < retract.length; at += AT_ONCE) await this.#remove(username, retract.slice(at, at + AT_ONCE));
  }

  /** Removes those that are still there. */
  async #remove(username: string, ids: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#parts.nodes.retract(username, NS_BOOKMARKS, ids);
      } catch (error) {
        const isGone = error instanceof StanzaError && error.condition === 'item-not-found';
        if (!isGone || tries === MAX_TRIES) throw error;
      }
    }
  }

  /** A node that was made as any other, for contacts to read and with room for one, is not what its client wanted. */
  async #hide(place: Place): Promise<void> {
    const node = place.nodes.get(NS_BOOKMARKS);
    if (!node) return;
    const { accessModel, maxItems } = node.config;
    const changes = {
      ...(accessModel === 'presence' && { accessModel: PRIVATE.accessModel }),
      ...(maxItems === 1 && { maxItems: PRIVATE.maxItems }),
    };
    if (Object.keys(changes).length > 0) await this.#parts.nodes.counter.configure(place, node, changes);
  }

  async #keepRest(username: string, rest: Element | undefined): Promise<boolean> {
    const before = await this.rest(username);
    if ((before && writeElement(before)) === (rest && writeElement(rest))) return false;
    await this.#parts.storage?.keep(username, STORAGE, rest);
    return true;
  }
}

const NOTHING = xml('storage', NS_STORAGE);

/** One list of several, and of bookmarks that stand alone. */
function gather(elements: readonly Element[]): Element {
  const children = elements.flatMap((element) => (element.is('storage', NS_STORAGE) ? element.getChildElements() : [element]));
  return xml('storage', NS_STORAGE, ...children.map(copy));
}
