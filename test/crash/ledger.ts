import assert from 'node:assert/strict';

/** Something that a client asks for, and what comes of it. */
export interface Change<S> {
  /** For whoever reads what happened. */
  readonly what: string;
  /** What the server answers: `result`, or the condition of an error. */
  answer(state: S): string;
  /** What there is then; only where the answer is `result`. */
  apply(state: S): S;
  /** By which it is known what was told of it: one that nothing else has. */
  readonly key?: string;
  /** Of what consists of several changes, each of which is done or not: what there may be besides all of it and nothing. */
  partly?(state: S): readonly S[];
}

/** What one client has asked for, one thing after the other, and what was answered: so it is known what must be there. */
export class Ledger<S> {
  readonly name: string;
  /** Whatever happened, for whoever looks into a fault. */
  readonly history: string[] = [];
  readonly faults: string[] = [];
  /** Changes that were answered. */
  answered = 0;
  /** Changes that were not, and were found done, or not done, afterwards. */
  foundDone = 0;
  foundUndone = 0;
  readonly #write: (state: S) => string;
  #certain: S;
  #open: Change<S>[] = [];
  /** Keys of changes that were not done. */
  readonly #undone = new Set<string>();

  /** `write` shows a state: equal ones are written alike. */
  constructor(name: string, start: S, write: (state: S) => string) {
    this.name = name;
    this.#certain = start;
    this.#write = write;
  }

  /** What there is once all is done that was asked for. */
  get expected(): S {
    return this.#open.reduce(advance, this.#certain);
  }

  /** It is about to be asked for. */
  send(change: Change<S>): void {
    this.#open.push(change);
    this.note(`> ${change.what}`);
  }

  /** The answer to what was asked for first. */
  answer(answer: string): void {
    const change = this.#open.shift();
    assert(change, `${this.name}: an answer to nothing`);
    const wanted = change.answer(this.#certain);
    this.note(`< ${change.what}: ${answer}`);
    if (answer !== wanted) this.fault(`${change.what} was answered ${answer} in place of ${wanted}`);
    this.#certain = advance(this.#certain, change);
    this.answered++;
  }

  /** Takes what there is after a crash: what was answered for, and of the rest the first so many changes. */
  settle(found: S): void {
    const open = this.#open;
    this.#open = [];
    const text = this.#write(found);
    const candidates = this.#candidates(open);
    const match = candidates.findLast(({ state }) => this.#write(state) === text);
    this.note(`= ${text}`);
    if (match) {
      this.foundDone += match.done;
      this.foundUndone += open.length - match.done;
      for (const { key } of open.slice(match.done)) if (key !== undefined) this.#undone.add(key);
    } else {
      const wanted = candidates.map(({ done, state }) => `  after ${done} of ${open.length}: ${this.#write(state)}`);
      this.fault(`there is\n  ${text}\nin place of\n${wanted.join('\n')}`);
    }
    this.#certain = found;
  }

  /** Whether something that was told of has not been done. */
  isUndone(key: string): boolean {
    return this.#undone.has(key);
  }

  fault(text: string): void {
    this.faults.push(`${this.name}: ${text}`);
    this.note(`FAULT ${text}`);
  }

  note(text: string): void {
    this.history.push(`${performance.now().toFixed(1)} ${text}`);
  }

  #candidates(open: readonly Change<S>[]): readonly { readonly done: number; readonly state: S }[] {
    const found = [{ done: 0, state: this.#certain }];
    let state = this.#certain;
    for (const [i, change] of open.entries()) {
      // Something of it was done, so it may have been told.
      for (const part of change.partly?.(state) ?? []) found.push({ done: i + 1, state: part });
      state = advance(state, change);
      found.push({ done: i + 1, state });
    }
    return found;
  }
}

function advance<S>(state: S, change: Change<S>): S {
  return change.answer(state) === 'result' ? change.apply(state) : state;
}
