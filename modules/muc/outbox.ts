import type { Jid, Router, Stanza } from '#core';

/** Stanzas given out in one turn of the event loop by all rooms together: about a millisecond of work, which nobody notices. */
const PER_TURN = 128;

/** One stanza for several clients. */
interface Batch {
  readonly stanza: Stanza;
  readonly from: Jid;
  readonly to: readonly Jid[];
  /** How many have got it. */
  done: number;
  /** Told when all have. */
  readonly end: (() => void) | undefined;
}

/** What one room gives out, in order. */
export class Line {
  readonly batches: Batch[] = [];

  /** Whether something waits. */
  get isBusy(): boolean {
    return this.batches.length > 0;
  }
}

/**
 * Gives out what rooms say to many. What is little goes at once; a stanza for thousands is given out over several turns of the event loop,
 * and rooms take turns, so that a busy room keeps nobody waiting but those in it. The order in each room is kept.
 */
export class Outbox {
  readonly #router: Router;
  #busy: Line[] = [];
  #isScheduled = false;

  constructor(router: Router) {
    this.#router = router;
  }

  /** To one client. */
  send(line: Line, stanza: Stanza, from: Jid, to: Jid): void {
    if (line.isBusy) this.#add(line, { stanza, from, to: [to], done: 0, end: undefined });
    else this.#router.send(stanza, from, to);
  }

  /** To several. A promise when not all have got it yet, which resolves when they have. `to` must not change any more. */
  sendAll(line: Line, stanza: Stanza, from: Jid, to: readonly Jid[]): Promise<void> | undefined {
    if (!line.isBusy && this.#busy.length === 0 && to.length <= PER_TURN) {
      for (const each of to) this.#router.send(stanza, from, each);
      return undefined;
    }
    return new Promise((resolve) => this.#add(line, { stanza, from, to, done: 0, end: resolve }));
  }

  #add(line: Line, batch: Batch): void {
    if (line.batches.push(batch) === 1) this.#busy.push(line);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    const lines = this.#busy;
    this.#busy = [];
    const share = Math.max(1, Math.ceil(PER_TURN / lines.length));
    let left = PER_TURN;
    const again: Line[] = [];
    for (const line of lines) {
      if (left > 0) left -= this.#give(line, Math.min(share, left));
      if (line.isBusy) again.push(line);
    }
    // Those who had their turn are behind those who had none.
    const served = Math.min(lines.length, Math.ceil(PER_TURN / share));
    this.#busy =
      again.length > served ? [...again.slice(served), ...again.slice(0, served), ...this.#busy] : [...again, ...this.#busy];
    if (this.#busy.length === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  };

  /** Gives out this many of a line; returns how many there were. */
  #give(line: Line, most: number): number {
    let given = 0;
    while (given < most) {
      const batch = line.batches[0];
      if (!batch) break;
      const { stanza, from, to } = batch;
      const end = Math.min(to.length, batch.done + most - given);
      given += end - batch.done;
      while (batch.done < end) this.#router.send(stanza, from, to[batch.done++]!);
      if (batch.done < to.length) break;
      line.batches.shift();
      batch.end?.();
    }
    return given;
  }
}
