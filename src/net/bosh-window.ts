import type { ServerResponse } from 'node:http';
import { BoshError, type BoshRequest, writeBody } from './bosh-body.ts';

/** How often requests may be repeated before a new one comes. */
const MAX_REPEATS = 10;

/** A request that has come and has no response yet. */
export interface Arrival {
  readonly request: BoshRequest;
  response: ServerResponse;
}

/** A request whose turn has come and that waits for something to be said. */
interface Held {
  readonly rid: number;
  response: ServerResponse;
  readonly timer: NodeJS.Timeout | undefined;
  /** The response to a pause is not kept (XEP-0124 section 14.3). */
  readonly isPause: boolean;
}

/** Writes a response; does nothing for one that is written already. */
export type Respond = (response: ServerResponse, body: string) => void;

/** The requests of one session: put into order, held, answered in order, answered again when a response was lost (section 14). */
export class RequestWindow {
  readonly #size: number;
  readonly #respond: Respond;
  readonly #early = new Map<number, Arrival>();
  readonly #held: Held[] = [];
  #answered: { readonly rid: number; readonly body: string }[] = [];
  #rid: number;
  #repeats = 0;

  /** `first` is the number of the first request, `size` how many there may be at once. */
  constructor(first: number, size: number, respond: Respond) {
    this.#rid = first - 1;
    this.#size = size;
    this.#respond = respond;
  }

  /** The highest number for which all requests have come. */
  get received(): number {
    return this.#rid;
  }

  /** Requests that wait for a response, in turn or not. */
  get unanswered(): number {
    return this.#held.length + this.#early.size;
  }

  /** Requests whose turn has come and that wait for a response. */
  get held(): number {
    return this.#held.length;
  }

  /**
   * Takes a request in. What is repeated is answered here. Throws BoshError for a number out of bounds, for too many at once and
   * for too many repeats.
   */
  arrive(arrival: Arrival): void {
    const { rid, pause, isTerminate } = arrival.request;
    const before = this.#early.get(rid) ?? this.#held.find((held) => held.rid === rid);
    if (rid <= this.#rid || before) return this.#repeat(rid, arrival.response, before);
    // Section 11: one more may come to pause or to end the session.
    const size = pause !== undefined || isTerminate ? this.#size + 1 : this.#size;
    if (rid > this.#rid + size) throw new BoshError('item-not-found');
    if (this.unanswered >= size) throw new BoshError('policy-violation');
    this.#repeats = 0;
    this.#early.set(rid, arrival);
  }

  /** The next request in order; undefined while it has not come. */
  next(): Arrival | undefined {
    const arrival = this.#early.get(this.#rid + 1);
    if (arrival) this.#early.delete(++this.#rid);
    return arrival;
  }

  /** Holds a request; `late` is called when it has waited for this many milliseconds. */
  hold({ request, response }: Arrival, wait: number, late: () => void): void {
    const timer = wait > 0 ? setTimeout(late, wait).unref() : undefined;
    this.#held.push({ rid: request.rid, response, timer, isPause: request.pause !== undefined });
  }

  /** Whether the oldest request may carry payloads. */
  get canCarry(): boolean {
    return this.#held[0]?.isPause === false;
  }

  /** Answers the oldest request; the body is made for its number. */
  answer(write: (rid: number) => string): void {
    const held = this.#held.shift();
    if (!held) return;
    clearTimeout(held.timer);
    const body = write(held.rid);
    if (!held.isPause) {
      this.#answered.push({ rid: held.rid, body });
      if (this.#answered.length > this.#size) this.#answered.shift();
    }
    this.#respond(held.response, body);
  }

  /** The client has got the responses up to this number. */
  acknowledge(rid: number): void {
    this.#answered = this.#answered.filter((answered) => answered.rid > rid);
  }

  /** Answers all: the oldest request with `body`, the others with `rest`. */
  finish(body: string, rest: string): void {
    const responses = [...this.#held.map((held) => held.response), ...[...this.#early.values()].map(({ response }) => response)];
    for (const { timer } of this.#held.splice(0)) clearTimeout(timer);
    this.#early.clear();
    for (const [i, response] of responses.entries()) this.#respond(response, i === 0 ? body : rest);
  }

  #repeat(rid: number, response: ServerResponse, before: { response: ServerResponse } | undefined): void {
    if (++this.#repeats > MAX_REPEATS) throw new BoshError('policy-violation');
    if (before) {
      // Section 14.3: the older one is told to go, and the newer takes its place.
      this.#respond(before.response, writeBody({ type: 'error' }, ''));
      before.response = response;
      return;
    }
    const answered = this.#answered.find((each) => each.rid === rid);
    if (!answered) throw new BoshError('item-not-found');
    this.#respond(response, answered.body);
  }
}
