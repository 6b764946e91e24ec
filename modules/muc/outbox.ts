import { flushNow, type Jid, type Router, type Stanza } from '#core';

/** Stanzas given out in one turn of the event loop by all rooms together: a tenth of a millisecond of work, with their writes. */
export const PER_TURN = 8;

/** Something that one address says. */
export interface Utterance {
  readonly stanza: Stanza;
  readonly from: Jid;
}

/** One stanza for several clients, or several for one. */
interface Batch {
  readonly size: number;
  /** How many have been given out. */
  done: number;
  /** Gives out the nth. */
  give(router: Router, nth: number): void;
  /** Told when all are given out. */
  readonly end: (() => void) | undefined;
}

class ToMany implements Batch {
  done = 0;
  readonly #said: Utterance;
  readonly #to: readonly Jid[];
  readonly end: (() => void) | undefined;

  constructor(said: Utterance, to: readonly Jid[], end?: () => void) {
    this.#said = said;
    this.#to = to;
    this.end = end;
  }

  get size(): number {
    return this.#to.length;
  }

  give(router: Router, nth: number): void {
    router.send(this.#said.stanza, this.#said.from, this.#to[nth]!);
  }
}

class ToOne implements Batch {
  done = 0;
  readonly end = undefined;
  readonly #said: readonly Utterance[];
  readonly #to: Jid;

  constructor(said: readonly Utterance[], to: Jid) {
    this.#said = said;
    this.#to = to;
  }

  get size(): number {
    return this.#said.length;
  }

  give(router: Router, nth: number): void {
    const { stanza, from } = this.#said[nth]!;
    router.send(stanza, from, this.#to);
  }
}

/** Given out batches that are kept before they are thrown away together: taking the first of a long array costs as much as it is long. */
const SPENT = 1024;

/** What one room gives out, in order. */
export class Line {
  #batches: Batch[] = [];
  #first = 0;

  /** Whether something waits. */
  get isBusy(): boolean {
    return this.#first < this.#batches.length;
  }

  /** The batch that is being given out; undefined when nothing waits. */
  get current(): Batch | undefined {
    return this.#batches[this.#first];
  }

  /** Adds a batch. True when nothing else waits. */
  add(batch: Batch): boolean {
    this.#batches.push(batch);
    return this.#batches.length - this.#first === 1;
  }

  /** Goes on to the next batch. */
  next(): void {
    this.#first++;
    if (this.#first === this.#batches.length) {
      this.#batches = [];
      this.#first = 0;
    } else if (this.#first >= SPENT) {
      this.#batches = this.#batches.slice(this.#first);
      this.#first = 0;
    }
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
  send(line: Line, said: Utterance, to: Jid): void {
    if (line.isBusy) this.#add(line, new ToMany(said, [to]));
    else this.#router.send(said.stanza, said.from, to);
  }

  /** Several to one client. The list must not change any more. */
  sendEach(line: Line, said: readonly Utterance[], to: Jid): void {
    if (said.length === 0) return;
    if (this.#isFree(line, said.length)) for (const { stanza, from } of said) this.#router.send(stanza, from, to);
    else this.#add(line, new ToOne(said, to));
  }

  /** To several. A promise when not all have got it yet, which resolves when they have. `to` must not change any more. */
  sendAll(line: Line, said: Utterance, to: readonly Jid[]): Promise<void> | undefined {
    if (!this.#isFree(line, to.length)) return new Promise((resolve) => this.#add(line, new ToMany(said, to, resolve)));
    for (const each of to) this.#router.send(said.stanza, said.from, each);
    return undefined;
  }

  #isFree(line: Line, count: number): boolean {
    return !line.isBusy && this.#busy.length === 0 && count <= PER_TURN;
  }

  #add(line: Line, batch: Batch): void {
    if (line.add(batch)) this.#busy.push(line);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#run);
  }

  readonly #run = (): void => {
    this.#isScheduled = false;
    // Others' answers do not wait for what is given out now, nor those that come meanwhile behind it.
    flushNow();
    this.#giveOut();
    flushNow();
  };

  #giveOut(): void {
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
  }

  /** Gives out this many of a line; returns how many there were. */
  #give(line: Line, most: number): number {
    let given = 0;
    while (given < most) {
      const batch = line.current;
      if (!batch) break;
      const end = Math.min(batch.size, batch.done + most - given);
      given += end - batch.done;
      while (batch.done < end) batch.give(this.#router, batch.done++);
      if (batch.done < batch.size) break;
      line.next();
      batch.end?.();
    }
    return given;
  }
}
