import { Counters, type Statement, weigh } from './engine.ts';
import { StorageError } from './storage.ts';

/** One write that waits for its commit. */
export interface Pending {
  readonly statements: readonly Statement[];
  readonly bytes: number;
  resolve(changes: readonly number[]): void;
  reject(error: StorageError): void;
}

/** What became of a write: the rows that each statement changed, or why it failed. */
export type Outcome = readonly number[] | StorageError;

/** Writes a batch in as few transactions as it can; one outcome for each. Never rejects. */
export type Commit = (batch: readonly Pending[]) => Promise<readonly Outcome[]>;

/** Beyond this, writes wait before they are even queued: whoever writes more than the disk takes is slowed down by its own promises. */
const MAX_QUEUED_BYTES = 64 << 20;
/** A batch that takes longer would make everybody in it wait. */
const MAX_BATCH = 5000;

/**
 * Groups writes into commits: one batch is under way, and whatever comes meanwhile makes the next one. So the disk is asked to sync
 * once for all who wait, and order is kept.
 */
export class Batches {
  readonly counters = new Counters();
  readonly #commit: Commit;
  #queue: Pending[] = [];
  readonly #waiting: (() => void)[] = [];
  #isCommitting = false;
  #isScheduled = false;
  #isClosed = false;
  #onIdle: (() => void) | undefined = undefined;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  /** Queues a write. Resolves once it is durable; rejects with StorageError. */
  write(statements: readonly Statement[]): Promise<readonly number[]> {
    if (this.counters.queuedBytes > MAX_QUEUED_BYTES) return this.#waitAndWrite(statements);
    return this.#enqueue(statements);
  }

  async #waitAndWrite(statements: readonly Statement[]): Promise<readonly number[]> {
    while (this.counters.queuedBytes > MAX_QUEUED_BYTES) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.#enqueue(statements);
  }

  #enqueue(statements: readonly Statement[]): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new StorageError('unavailable', 'the storage is closed'));
      const { counters } = this;
      const bytes = weigh(statements);
      counters.queued++;
      counters.queuedBytes += bytes;
      this.#queue.push({ statements, bytes, resolve, reject });
      this.#schedule();
    });
  }

  /** Takes no more, and resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const wake of this.#waiting.splice(0)) wake();
    if (!this.#isCommitting && this.#queue.length === 0) return;
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /** At the end of this turn of the event loop, so that all that it writes goes together. */
  #schedule(): void {
    if (this.#isCommitting || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isCommitting = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue.splice(0, MAX_BATCH);
      const since = performance.now();
      const outcomes = await this.#commit(batch);
      this.counters.commits++;
      this.counters.commitSeconds += (performance.now() - since) / 1000;
      for (const [i, pending] of batch.entries()) this.#settle(pending, outcomes[i]!);
      if (this.counters.queuedBytes <= MAX_QUEUED_BYTES) for (const wake of this.#waiting.splice(0)) wake();
    }
    this.#isCommitting = false;
    this.#onIdle?.();
  }

  #settle(pending: Pending, outcome: Outcome): void {
    const { counters } = this;
    counters.queued--;
    counters.queuedBytes -= pending.bytes;
    if (outcome instanceof StorageError) {
      counters.failures++;
      pending.reject(outcome);
    } else {
      counters.writes++;
      pending.resolve(outcome);
    }
  }
}
