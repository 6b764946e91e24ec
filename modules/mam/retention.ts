import { setImmediate, setTimeout } from 'node:timers/promises';
import { type ArchiveStore, type Log, timeOf } from '#core';

/** Items removed at once: each batch is one write, and others' writes have their turn between two. */
const BATCH = 500;
/** Items counted at once, while nobody else has a turn. */
const SLICE = 5000;
/** Owners looked up at once. */
const OWNERS = 100;
/** Bounds of the pause between two batches, in milliseconds. */
const MIN_PAUSE = 5;
const MAX_PAUSE = 1000;
/** Milliseconds between two lines of progress. */
const PROGRESS_EVERY = 10_000;

/** What the removal of old messages works with. */
export interface RetentionParts {
  readonly messages: ArchiveStore;
  /** Milliseconds after which the messages of an account are thrown away; 0 for never. */
  keepForOf(owner: string): Promise<number>;
  /** Items one account may have; 0 for any number. */
  readonly maxItems: number;
  readonly log: Log;
  /** Aborted when it has to end; what is under way is finished. */
  readonly stopping: AbortSignal;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/**
 * Removes what is too old, or too much, from the archives of all accounts, the oldest first: an archive never has holes (XEP-0313
 * section 3.2). Works in small batches with pauses as long as they took, so that nobody else waits for the database. Returns how many
 * items there were; rejects when the database fails, and the next run goes on.
 */
export async function purge(parts: RetentionParts): Promise<number> {
  const run = new Run(parts);
  const { messages, stopping } = parts;
  for (let last: string | undefined; !stopping.aborted; ) {
    const owners = await messages.owners(last, OWNERS);
    for (const owner of owners) {
      if (stopping.aborted) break;
      await run.tidy(owner);
      await setImmediate();
    }
    if (owners.length < OWNERS) break;
    last = owners.at(-1);
  }
  run.end();
  return run.removed;
}

/** One walk through all archives. */
class Run {
  removed = 0;
  readonly #parts: RetentionParts;
  readonly #now: () => number;
  readonly #began: number;
  #owners = 0;
  #reported: number;

  constructor(parts: RetentionParts) {
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.#began = this.#now();
    this.#reported = this.#began;
  }

  async tidy(owner: string): Promise<void> {
    const { keepForOf, maxItems } = this.#parts;
    const keepFor = await keepForOf(owner);
    if (keepFor > 0) await this.#removeOld(owner, this.#began - keepFor);
    if (maxItems > 0) await this.#removeBeyond(owner, maxItems);
    this.#owners++;
    this.#report();
  }

  end(): void {
    const { log, stopping } = this.#parts;
    if (this.removed === 0 && this.#reported === this.#began) return;
    const detail = { removed: this.removed, accounts: this.#owners, seconds: (this.#now() - this.#began) / 1000 };
    log.info(stopping.aborted ? 'stopped removing old messages from archives' : 'removed old messages from archives', detail);
  }

  /** All that is older than this. */
  async #removeOld(owner: string, before: number): Promise<void> {
    const end = before - 1;
    // A look costs nothing to others, a write does: most archives have nothing to remove.
    if ((await this.#parts.messages.count(owner, { end, max: 1 })) === 0) return;
    await this.#remove(owner, end, Number.POSITIVE_INFINITY);
  }

  /** The oldest, until no more than so many are left. */
  async #removeBeyond(owner: string, maxItems: number): Promise<void> {
    const { messages } = this.#parts;
    const oldest = await messages.query(owner, { max: 1 });
    if (oldest.complete) return;
    const newest = await messages.query(owner, { max: 1, last: true });
    const [start, end] = [timeOfOne(oldest.items), timeOfOne(newest.items)];
    if (start === undefined || end === undefined) return;
    const surplus = (await this.#count(owner, start, end)) - maxItems;
    // With the end: should the account be deleted meanwhile, nothing is taken from who gets its name.
    if (surplus > 0) await this.#remove(owner, end, surplus);
  }

  async #remove(owner: string, end: number, most: number): Promise<void> {
    const { messages, stopping } = this.#parts;
    for (let left = most; left > 0 && !stopping.aborted; ) {
      const max = Math.min(BATCH, left);
      const since = performance.now();
      const removed = await messages.remove(owner, { end, max });
      this.removed += removed;
      left -= removed;
      this.#report();
      if (removed < max) return;
      await pause(performance.now() - since, stopping);
    }
  }

  /** How many items are of these times: in slices, since a count goes through all it counts. */
  async #count(owner: string, from: number, until: number): Promise<number> {
    const { messages, stopping } = this.#parts;
    const open: [number, number][] = [[from, until]];
    let total = 0;
    for (let range = open.pop(); range && !stopping.aborted; range = open.pop()) {
      const [start, end] = range;
      // A millisecond cannot be split, nor can it hold many.
      const found = await messages.count(owner, { start, end, ...(end > start && { max: SLICE }) });
      const middle = Math.floor((start + end) / 2);
      if (found < SLICE || end === start) total += found;
      else open.push([middle + 1, end], [start, middle]);
      await setImmediate();
    }
    return stopping.aborted ? 0 : total;
  }

  #report(): void {
    const now = this.#now();
    if (now - this.#reported < PROGRESS_EVERY) return;
    this.#reported = now;
    this.#parts.log.info('removing old messages from archives', { removed: this.removed, accounts: this.#owners });
  }
}

function timeOfOne(items: readonly { readonly id: string }[]): number | undefined {
  return items[0] && timeOf(items[0].id);
}

/** As long as the batch took: at most half of what the database can write is taken. Ends early when it is to stop. */
async function pause(took: number, signal: AbortSignal): Promise<void> {
  const milliseconds = Math.min(Math.max(took, MIN_PAUSE), MAX_PAUSE);
  await setTimeout(milliseconds, undefined, { signal, ref: false }).catch(() => undefined);
}
