import { type ArchiveItem, type ArchiveStore, type MapStore, type Maybe, Shelf, type Turns } from '#core';
import type { Conversation, InboxSource } from '../inbox/index.ts';
import { isTimely, type Mark } from '../mds/index.ts';
import { type Affiliation, isAffiliated } from '../muc/index.ts';
import { CONVERSATION, type Digests, later } from './digests.ts';

/** Rooms of accounts that are kept in memory, of all accounts together. */
const CACHED = 100_000;
/** How many messages are looked at to find those of others, as a multiple of those that are wanted. */
const FURTHEST = 64;

/** What the conversations in rooms are made from. */
export interface RoomConversationsParts {
  readonly domain: string;
  /** The archives of rooms, by bare JID. */
  readonly messages: Pick<ArchiveStore, 'query' | 'count'>;
  readonly digests: Digests;
  /** By username, under the bare JID of a room: the id from which on somebody is a member. */
  readonly since: MapStore<string>;
  /** Messages of one room that are counted as unread. */
  readonly maxUnread: number;
  /** Those of all accounts together. */
  readonly turns: Turns;
  membershipsOf(username: string): Promise<ReadonlyMap<string, Affiliation>>;
  /** Up to where a chat is displayed; undefined for nowhere. */
  markOf(username: string, chat: string): Maybe<Mark | undefined>;
}

/** A room as one account sees it, and what that was made from. */
interface View {
  readonly conversation: Conversation;
  readonly version: number;
  /** After which id was counted. */
  readonly after: string | undefined;
}

class Views {
  rooms: ReadonlyMap<string, View> = new Map();
  isBusy = false;

  get size(): number {
    return this.rooms.size;
  }
}

/**
 * The rooms that accounts are members of, as the inbox shows them (XEP-0430). What is unread is counted when somebody looks, from the room's
 * own archive: a message is written once, and not once more for each member.
 */
export class RoomConversations implements InboxSource {
  readonly #parts: RoomConversationsParts;
  readonly #views = new Shelf<Views>(CACHED, async () => new Views());

  constructor(parts: RoomConversationsParts) {
    this.#parts = parts;
  }

  /** Rooms in which nothing was said are left out: the last message is what an entry is about. */
  async conversationsOf(username: string): Promise<readonly Conversation[]> {
    const memberships = await this.#parts.membershipsOf(username);
    if (memberships.size === 0) return [];
    const [views, since] = await Promise.all([this.#views.get(username), this.#parts.since.entries(username)]);
    const found = new Map<string, View>();
    const { turns } = this.#parts;
    for (const [chat, affiliation] of memberships) {
      if (!isAffiliated(affiliation, 'member')) continue;
      if (turns.isOver()) await turns.next();
      const view = await this.#look(username, chat, { since: since.get(chat), known: views.rooms.get(chat) });
      if (view) found.set(chat, view);
    }
    views.rooms = found;
    this.#views.weigh(username, views);
    return [...found.values()].map(({ conversation }) => conversation);
  }

  async lastOf(_username: string, { chat, last }: Conversation): Promise<Required<ArchiveItem> | undefined> {
    const { messages, digests } = this.#parts;
    const item = (await messages.query(chat, { ids: [last] })).items[0];
    if (item && (item.tag & CONVERSATION.mask) === CONVERSATION.value) return item;
    // It has been taken out of the archive, or retracted.
    digests.drop(chat);
    return undefined;
  }

  /** Forgets an account. */
  forget(username: string): void {
    void this.#views.drop(username);
  }

  async #look(
    username: string,
    chat: string,
    { since, known }: { readonly since: string | undefined; readonly known: View | undefined },
  ): Promise<View | undefined> {
    const { digests, markOf, maxUnread } = this.#parts;
    const { id, last, version } = await digests.of(chat);
    if (id === undefined || last === undefined) return undefined;
    const mark = await markOf(username, chat);
    // Ids of others than the room say nothing about a place in its archive.
    const displayed = mark && mark.by === chat && isTimely(mark.id) ? mark.id : undefined;
    const from = later(displayed, since);
    const before = known?.version === version && known.after === from ? known.conversation : undefined;
    const isCounted = before !== undefined && (before.last === last || before.unread >= maxUnread);
    const unread = isCounted ? before.unread : await this.#count(username, chat, from);
    return { conversation: { chat, id, last, unread }, version, after: from };
  }

  /** How many instant messages of others there are behind an id. */
  async #count(username: string, chat: string, from: string | undefined): Promise<number> {
    const { domain, maxUnread, messages } = this.#parts;
    const own = `${username}@${domain}`;
    const filter = { tag: CONVERSATION, ...(from !== undefined && { after: from }) };
    // Of those behind the id some are its own: as many more are looked at.
    for (let most = maxUnread; most <= maxUnread * FURTHEST; most *= 4) {
      const all = await messages.count(chat, { ...filter, max: most });
      const ownOnes = all === 0 ? 0 : await messages.count(chat, { ...filter, with: own, max: most });
      if (all < most || all - ownOnes >= maxUnread) return Math.min(all - ownOnes, maxUnread);
    }
    // Who has said so much meanwhile was there: what counts is what came after its last word.
    const { items } = await messages.query(chat, { ...filter, with: own, last: true, max: 1 });
    return messages.count(chat, { ...filter, ...(items[0] && { after: items[0].id }), max: maxUnread });
  }
}
