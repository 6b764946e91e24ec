/** What `run` and `after` may give: a value at once, or a promise where something has to be waited for. */
export type Maybe<T> = T | Promise<T>;

/** A handler's way of saying "I have dealt with this one; nobody after me sees it". */
export const HANDLED = true as const;

/** What a handler answers: nothing to let the event go on, HANDLED to end the run. */
export type Verdict = void | typeof HANDLED;
/** Takes part in a Hook. A throw refuses the event. */
export type Handler<E> = (event: E) => Maybe<Verdict>;

/** Named places in a hook's queue. A number in between is allowed; a bare number at a call site is not. */
export const Priority = {
  guard: 400, // may refuse: blocking, rate limits, permissions
  amend: 300, // may change: strip, stamp, translate
  record: 200, // may keep: archive, carbons, statistics
  serve: 100, // may answer: rooms, nodes, components
  deliver: 0, // the core's own delivery; runs last
} as const;

interface Entry<E> {
  readonly handler: Handler<E>;
  readonly priority: number;
  readonly owner: string;
}

/**
 * A point where a stanza can be intercepted.
 *
 * Handlers run in order until one answers HANDLED. While they are synchronous
 * nothing is allocated; the first promise moves the rest to the slow path.
 * A throw stops the run and reaches the caller: a guard that crashes must not
 * let the stanza through.
 */
export class Hook<E> {
  #entries: readonly Entry<E>[] = [];
  #handlers: readonly Handler<E>[] = [];

  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** How many handlers there are. */
  get size(): number {
    return this.#handlers.length;
  }

  /** Adds a handler and returns the function that removes it. */
  add(handler: Handler<E>, priority: number, owner: string): () => void {
    const entry = { handler, priority, owner };
    this.#replace([...this.#entries, entry]);
    return () => this.#replace(this.#entries.filter((other) => other !== entry));
  }

  /** Runs the handlers in order. True (or a promise of it) when one of them answered HANDLED; a throw is passed on. */
  run(event: E): Maybe<boolean> {
    const handlers = this.#handlers;
    for (let i = 0; i < handlers.length; i++) {
      const verdict = handlers[i]!(event);
      if (verdict === undefined) continue;
      if (verdict === HANDLED) return true;
      return finish(handlers, i + 1, event, verdict);
    }
    return false;
  }

  /** Swaps in new arrays, so a run in progress keeps the list it started with. */
  #replace(entries: Entry<E>[]): void {
    // Equal priorities are ordered by owner, not by load order, so a reload never reorders.
    entries.sort((a, b) => b.priority - a.priority || (a.owner < b.owner ? -1 : a.owner > b.owner ? 1 : 0));
    this.#entries = entries;
    this.#handlers = entries.map((entry) => entry.handler);
  }
}

async function finish<E>(handlers: readonly Handler<E>[], next: number, event: E, pending: Promise<Verdict>): Promise<boolean> {
  if (await pending) return true;
  for (let i = next; i < handlers.length; i++) {
    const verdict = handlers[i]!(event);
    if (verdict === HANDLED || (verdict && (await verdict))) return true;
  }
  return false;
}

/** Is told of a Signal. */
export type Listener<E> = (event: E) => void | Promise<void>;
/** Is told of a listener that failed. */
export type Report = (signal: string, error: unknown) => void;

/** Something has happened; everyone is told. A listener that fails is reported and the others still run. */
export class Signal<E> {
  #listeners: readonly Listener<E>[] = [];

  readonly name: string;
  readonly #report: Report;

  constructor(name: string, report: Report) {
    this.name = name;
    this.#report = report;
  }

  /** Adds a listener and returns the function that removes it. */
  add(listener: Listener<E>): () => void {
    this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  /** Tells everyone; returns before asynchronous listeners are done. Never throws. */
  emit(event: E): void {
    for (const listener of this.#listeners) {
      try {
        const pending = listener(event);
        if (pending) pending.catch((error: unknown) => this.#report(this.name, error));
      } catch (error) {
        this.#report(this.name, error);
      }
    }
  }
}

/** Continues with a value that may or may not be here yet, staying synchronous when it is. */
export function after<T, R>(value: Maybe<T>, next: (value: T) => Maybe<R>): Maybe<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}
