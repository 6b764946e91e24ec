import type { ArchiveItem, ArchiveStore, Maybe, Turns } from '#core';
import { type Stored, TAG } from '../mam/index.ts';

/** Instant messages: what has not been retracted. */
const CONVERSATION = { mask: TAG.conversation | TAG.tombstone, value: TAG.conversation };
/**
 * Those that can be unread. What is said in rooms is displayed by ids of theirs (XEP-0490 section 4.2), which say nothing about a place in
 * this archive: it is never shown as unread, since it would be for ever.
 */
const RECEIVED = { mask: CONVERSATION.mask | TAG.outgoing | TAG.groupchat, value: CONVERSATION.value };

/** Other parties read from the archive at once. */
const PARTIES = 1000;
/** How many conversations more than wanted may be there before the oldest go, as a part of those that are wanted. */
const SLACK = 0.25;
/** Milliseconds after which all is looked at again: what is too old is taken out of archives without a word. */
const OUTDATED = 3_600_000;

/** What is known of one conversation. Never changes; a new one takes its place. */
export interface Conversation {
  /** The other party's bare JID. */
  readonly chat: string;
  /** The last id of the conversation in the archive, whatever kind of message it is of. */
  readonly id: string;
  /** The id of the last instant message. */
  readonly last: string;
  /** How many instant messages were received and not displayed, as far as they are counted. */
  readonly unread: number;
}

/** What an overview is made from. */
export interface OverviewParts {
  readonly messages: ArchiveStore;
  /** The archive's id up to which a chat has been displayed. */
  displayed(username: string, chat: string): Maybe<string | undefined>;
  /** Conversations of one account: the newest so many. */
  readonly maxConversations: number;
  /** Messages of one conversation that are counted as unread. */
  readonly maxUnread: number;
  /** Those of all accounts together. */
  readonly turns: Turns;
  /** Milliseconds, of a clock that is never set. */
  now(): number;
}

/**
 * The conversations of one account, as its archive has them. Nothing is written: all is read from the archive once, and from then on only
 * where something has changed that cannot be told from what has come.
 */
export class Overview {
  readonly #username: string;
  readonly #parts: OverviewParts;
  readonly #conversations = new Map<string, Conversation>();
  /** Conversations that have to be looked at. */
  readonly #stale = new Set<string>();
  /** The one that is being looked at. */
  #looking: string | undefined = undefined;
  #sorted: readonly Conversation[] | undefined = undefined;
  #refreshing: Promise<void> | undefined = undefined;
  #listedAt = Number.NEGATIVE_INFINITY;

  constructor(username: string, parts: OverviewParts) {
    this.#username = username;
    this.#parts = parts;
  }

  get size(): number {
    return this.#conversations.size + this.#stale.size;
  }

  get isBusy(): boolean {
    return this.#refreshing !== undefined;
  }

  /** Brings it up to date; at once when it is. */
  refresh(): Maybe<void> {
    if (this.#refreshing) return this.#refreshing;
    const isListed = this.#parts.now() - this.#listedAt < OUTDATED;
    if (isListed && this.#stale.size === 0) return;
    const refreshing = this.#refresh(isListed).finally(() => {
      this.#refreshing = undefined;
    });
    this.#refreshing = refreshing;
    return refreshing;
  }

  /** The newest activity first. */
  get conversations(): readonly Conversation[] {
    this.#sorted ??= [...this.#conversations.values()].sort((a, b) => (a.last < b.last ? 1 : -1));
    return this.#sorted;
  }

  /** Something has happened with a conversation that only the archive knows about. */
  touch(chat: string): void {
    this.#stale.add(chat);
    if (this.#stale.size <= this.#parts.maxConversations) return;
    // So many strangers have come since somebody has looked that it is as if nobody ever had.
    this.#stale.clear();
    this.#listedAt = Number.NEGATIVE_INFINITY;
  }

  /** A message is in the archive. Those that come one after the other are only counted. */
  note({ id, with: chat, tag }: Pick<Stored, 'id' | 'with' | 'tag'>): void {
    if (this.#stale.has(chat)) return;
    const known = this.#conversations.get(chat);
    const isNext = known && this.#looking !== chat && id > known.last && (tag & CONVERSATION.mask) === CONVERSATION.value;
    // Other kinds of messages may take something back; and who is not known may have been forgotten.
    if (!isNext) return this.touch(chat);
    const unread = (tag & RECEIVED.mask) === RECEIVED.value ? Math.min(known.unread + 1, this.#parts.maxUnread) : known.unread;
    this.#put({ chat, id: id > known.id ? id : known.id, last: id, unread });
  }

  async #refresh(isListed: boolean): Promise<void> {
    const { turns } = this.#parts;
    await turns.next();
    const look = async (chat: string): Promise<void> => {
      if (turns.isOver()) await turns.next();
      await this.#look(chat);
    };
    if (!isListed) await this.#list(look);
    // No more than there are now: in the meantime there may always be something new.
    for (const chat of [...this.#stale]) await look(chat);
  }

  async #list(look: (chat: string) => Promise<void>): Promise<void> {
    const { messages, maxConversations, now } = this.#parts;
    const listedAt = now();
    for (const chat of this.#conversations.keys()) this.#stale.add(chat);
    let after: string | undefined;
    // Who has been written to by more strangers than anybody can have conversations with sees those of the rest that say something.
    for (let looked = 0; looked < maxConversations; ) {
      const parties = await messages.parties(this.#username, after, Math.min(PARTIES, maxConversations - looked));
      for (const chat of parties) await look(chat);
      looked += parties.length;
      after = parties.at(-1);
      if (after === undefined || parties.length < PARTIES) break;
    }
    this.#listedAt = listedAt;
  }

  async #look(chat: string): Promise<void> {
    this.#stale.delete(chat);
    this.#looking = chat;
    try {
      const found = await this.#read(chat);
      if (found) this.#put(found);
      else if (this.#conversations.delete(chat)) this.#sorted = undefined;
    } catch (error) {
      this.#stale.add(chat);
      throw error;
    } finally {
      this.#looking = undefined;
    }
  }

  async #read(chat: string): Promise<Conversation | undefined> {
    const { messages, displayed, maxUnread } = this.#parts;
    const filter = { with: chat, last: true, max: 1 };
    const newest = await this.#first(filter);
    const last = newest && isConversation(newest) ? newest : newest && (await this.#first({ ...filter, tag: CONVERSATION }));
    if (!newest || !last) return undefined;
    const after = await displayed(this.#username, chat);
    const isRead = after !== undefined && after >= last.id;
    const unread = isRead
      ? 0
      : await messages.count(this.#username, {
          with: chat,
          tag: RECEIVED,
          max: maxUnread,
          ...(after !== undefined && { after }),
        });
    return { chat, id: newest.id, last: last.id, unread };
  }

  async #first(filter: Parameters<ArchiveStore['query']>[1]): Promise<Required<ArchiveItem> | undefined> {
    return (await this.#parts.messages.query(this.#username, filter)).items[0];
  }

  #put(conversation: Conversation): void {
    const { maxConversations } = this.#parts;
    this.#conversations.set(conversation.chat, conversation);
    this.#sorted = undefined;
    if (this.#conversations.size <= maxConversations * (1 + SLACK)) return;
    for (const { chat } of this.conversations.slice(maxConversations)) this.#conversations.delete(chat);
    this.#sorted = undefined;
  }
}

function isConversation({ tag }: Required<ArchiveItem>): boolean {
  return (tag & CONVERSATION.mask) === CONVERSATION.value;
}
