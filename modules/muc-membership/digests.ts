import type { ArchiveItem, ArchiveStore, Maybe } from '#core';
import { TAG } from '../mam/index.ts';
import type { Said } from '../muc/index.ts';

/** Instant messages: what has not been retracted. */
export const CONVERSATION = { mask: TAG.conversation | TAG.tombstone, value: TAG.conversation };

/** Rooms kept in memory. */
const CACHED = 10_000;
/** Milliseconds after which an archive is looked at again: what is too old is taken out of archives without a word. */
const OUTDATED = 3_600_000;

/** What was said last in a room. */
export interface Digest {
  /** The last id in its archive; undefined when there is nothing in it. */
  readonly id: string | undefined;
  /** The id of the last instant message. */
  readonly last: string | undefined;
  /** Another one when something may have been taken out of the archive: what was counted before does not hold any more. */
  readonly version: number;
}

const NOTHING: Omit<Digest, 'version'> = { id: undefined, last: undefined };

interface Entry {
  digest: Digest | undefined;
  loading: Promise<Digest> | undefined;
  /** What was said while it was being read. */
  meanwhile: Omit<Digest, 'version'>;
  readAt: number;
}

/** What was said last in the rooms that somebody asks about. A message costs the same however many members its room has: one look-up. */
export class Digests {
  readonly #messages: Pick<ArchiveStore, 'query'>;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #versions = 0;

  /** `now` is a clock that is never set, in milliseconds. */
  constructor(messages: Pick<ArchiveStore, 'query'>, now: () => number = () => performance.now()) {
    this.#messages = messages;
    this.#now = now;
  }

  /** What was said last in a room (its bare JID); at once when that is known. */
  of(room: string): Maybe<Digest> {
    const entry = this.#open(room);
    if (entry.digest && this.#now() - entry.readAt < OUTDATED) return entry.digest;
    return (entry.loading ??= this.#load(room, entry).finally(() => {
      entry.loading = undefined;
    }));
  }

  /** Something was said. */
  note({ room, id, tag }: Pick<Said, 'room' | 'id' | 'tag'>): void {
    const entry = id === undefined ? undefined : this.#entries.get(room.jid.bare);
    if (!entry || id === undefined || tag === undefined) return;
    const isInstant = (tag & CONVERSATION.mask) === CONVERSATION.value;
    const news = isInstant ? { id, last: id } : { id };
    entry.meanwhile = { ...entry.meanwhile, ...news };
    if (entry.digest) entry.digest = { ...entry.digest, ...news };
  }

  /** Something has been retracted or taken out of an archive, or the room is no more. */
  drop(room: string): void {
    this.#entries.delete(room);
  }

  #open(room: string): Entry {
    const entry: Entry = this.#entries.get(room) ?? {
      digest: undefined,
      loading: undefined,
      meanwhile: NOTHING,
      readAt: Number.NEGATIVE_INFINITY,
    };
    // Behind all others, which are forgotten sooner.
    this.#entries.delete(room);
    this.#entries.set(room, entry);
    if (this.#entries.size > CACHED) this.#entries.delete(this.#entries.keys().next().value!);
    return entry;
  }

  async #load(room: string, entry: Entry): Promise<Digest> {
    entry.meanwhile = NOTHING;
    const readAt = this.#now();
    const newest = await this.#newest(room, {});
    const isInstant = newest !== undefined && (newest.tag & CONVERSATION.mask) === CONVERSATION.value;
    const last = !newest || isInstant ? newest : await this.#newest(room, { tag: CONVERSATION });
    const { meanwhile } = entry;
    entry.digest = { id: later(newest?.id, meanwhile.id), last: later(last?.id, meanwhile.last), version: ++this.#versions };
    entry.readAt = readAt;
    return entry.digest;
  }

  async #newest(room: string, filter: Parameters<ArchiveStore['query']>[1]): Promise<Required<ArchiveItem> | undefined> {
    return (await this.#messages.query(room, { ...filter, last: true, max: 1 })).items[0];
  }
}

/** The later of two ids. */
export function later(a: string | undefined, b: string | undefined): string | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a > b ? a : b;
}
