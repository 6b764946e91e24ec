import { setTimeout } from 'node:timers/promises';
import { isSession, type ModuleContext, type Resource, type Session, type SessionSlot } from '#core';

/** What is known of a client's reading. */
interface Habit {
  /** It has asked for pages. */
  reads: boolean;
  /** It has come to the end: what was in the archive until then, and from `from` on, it has or is being sent. */
  hasRead: boolean;
  /** The first and the last id it was sent; undefined when there was none. */
  range: readonly [from: string, to: string] | undefined;
  /** Told when it asks for a page, has come to the end, or is gone. */
  goesOn: (() => void) | undefined;
  isGone: boolean;
}

/**
 * Knows which clients read their archive by themselves, and are not to be handed what they find there (XEP-0313 section 6.1.1). A client
 * shows it by reading; one that knows newer protocols is given some time to, and one that reads until it has come to the end. What is
 * archived after that is news for it like for any other.
 */
export class Readers {
  readonly #habits: SessionSlot<Habit>;
  readonly #patience: number;
  readonly #stopping: AbortSignal;

  constructor(slot: ModuleContext<unknown, Record<never, never>>['slot'], patience: number, stopping: AbortSignal) {
    this.#habits = slot((): Habit => ({ reads: false, hasRead: false, range: undefined, goesOn: undefined, isGone: false }));
    this.#patience = patience;
    this.#stopping = stopping;
  }

  /** A client has asked for a page, and is about to be sent these. */
  add(session: Session, ids: readonly string[]): void {
    const habit = this.#habits.get(session);
    habit.reads = true;
    for (const id of ids) {
      const [from, to] = (habit.range ??= [id, id]);
      if (id < from) habit.range = [id, to];
      else if (id > to) habit.range = [from, id];
    }
    habit.goesOn?.();
  }

  /** The first and the last id that it was sent so far; undefined when there was none. */
  range(session: Session): readonly [from: string, to: string] | undefined {
    return this.#habits.get(session).range;
  }

  /** What it has read is noted, and what else there is can be given to it. */
  ended(session: Session): void {
    const habit = this.#habits.get(session);
    habit.hasRead = true;
    habit.goesOn?.();
  }

  /** A client is gone, and is not waited for any longer. */
  closed(session: Session): void {
    const habit = this.#habits.peek(session);
    if (!habit) return;
    habit.isGone = true;
    habit.goesOn?.();
  }

  /** Whether a client needs not be waited for. */
  hasNothingToRead(resource: Resource): boolean {
    if (!isSession(resource) || this.#patience === 0) return true;
    const habit = this.#habits.get(resource);
    // Copies and confirmations came into use with the archive: a client that has not asked for either knows none of them.
    return habit.hasRead || (!habit.reads && !resource.carbons && !resource.keeper);
  }

  /** Waits while a client may still come to the end of its archive by itself; undefined when there is nothing to wait for. */
  hasRead(resource: Resource): Promise<void> | undefined {
    if (!isSession(resource) || this.hasNothingToRead(resource)) return undefined;
    return this.#wait(this.#habits.get(resource));
  }

  async #wait(habit: Habit): Promise<void> {
    // Each page gives it the same time again.
    for (let asked = true; asked && !habit.hasRead && !habit.isGone && !this.#stopping.aborted; ) {
      const news = new AbortController();
      asked = false;
      habit.goesOn = () => {
        asked = true;
        news.abort();
      };
      const signal = AbortSignal.any([this.#stopping, news.signal]);
      await setTimeout(this.#patience, undefined, { ref: false, signal }).catch(() => {});
      habit.goesOn = undefined;
    }
  }
}
