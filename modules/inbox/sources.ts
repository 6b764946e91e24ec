import type { ArchiveItem, Maybe } from '#core';
import type { Conversation } from './overview.ts';

/** Where conversations come from that are not in the archives of accounts, such as those in rooms. */
export interface InboxSource {
  /** Those of an account, in any order. Their ids are made as those of all archives (`sortableId`). */
  conversationsOf(username: string): Maybe<readonly Conversation[]>;
  /** The last instant message of one of them; undefined when it has been taken out of its archive meanwhile. */
  lastOf(username: string, conversation: Conversation): Maybe<Required<ArchiveItem> | undefined>;
}

/** A conversation, and where it comes from; from the archive of the account itself when that is undefined. */
export interface Listed extends Conversation {
  readonly source?: InboxSource;
}

/** Where conversations come from besides the archives of accounts. */
export class Sources {
  readonly #sources = new Set<InboxSource>();

  /** Adds a source; returns what takes it back. */
  add(source: InboxSource): () => void {
    this.#sources.add(source);
    return () => void this.#sources.delete(source);
  }

  /** With the conversations that an account has elsewhere, the newest activity first, `max` at most. One that is in both is the source's. */
  async merge(username: string, own: readonly Conversation[], max: number): Promise<readonly Listed[]> {
    const others = new Map<string, Listed>();
    for (const source of this.#sources) {
      for (const each of await source.conversationsOf(username)) others.set(each.chat, { ...each, source });
    }
    if (others.size === 0) return own;
    const rest = own.filter(({ chat }) => !others.has(chat));
    return [...rest, ...others.values()].sort((a, b) => (a.last < b.last ? 1 : -1)).slice(0, max);
  }
}
