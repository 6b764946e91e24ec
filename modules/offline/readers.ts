import { setTimeout } from 'node:timers/promises';
import { isSession, type ModuleContext, type Resource, type Session, type SessionSlot } from '#core';

/** What is known of a client's reading. */
interface Habit {
  reads: boolean;
  /** Told when it begins. */
  begins: (() => void) | undefined;
}

/**
 * Knows which clients read their archive by themselves, and are not to be handed what they find there (XEP-0313 section 6.1.1). A client
 * shows it by reading; one that knows newer protocols is given some time to.
 */
export class Readers {
  readonly #habits: SessionSlot<Habit>;
  readonly #patience: number;
  readonly #stopping: AbortSignal;

  constructor(slot: ModuleContext<unknown, Record<never, never>>['slot'], patience: number, stopping: AbortSignal) {
    this.#habits = slot(() => ({ reads: false, begins: undefined }));
    this.#patience = patience;
    this.#stopping = stopping;
  }

  /** A client has begun to read. */
  add(session: Session): void {
    const habit = this.#habits.get(session);
    habit.reads = true;
    habit.begins?.();
  }

  /** A client is gone, and is not waited for any longer. */
  closed(session: Session): void {
    this.#habits.peek(session)?.begins?.();
  }

  /** Whether a client reads its archive; waits where that may still show. */
  reads(resource: Resource): Promise<boolean> | boolean {
    if (!isSession(resource)) return false;
    const habit = this.#habits.get(resource);
    if (habit.reads) return true;
    // Copies and confirmations came into use with the archive: a client that has not asked for either knows none of them.
    if (this.#patience === 0 || !(resource.carbons || resource.keeper)) return false;
    return this.#wait(habit);
  }

  async #wait(habit: Habit): Promise<boolean> {
    const done = new AbortController();
    habit.begins = () => done.abort();
    const signal = AbortSignal.any([this.#stopping, done.signal]);
    await setTimeout(this.#patience, undefined, { ref: false, signal }).catch(() => {});
    habit.begins = undefined;
    return habit.reads;
  }
}
