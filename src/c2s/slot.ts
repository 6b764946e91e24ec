import type { Session } from './session.ts';

/** Private state of one module in every session. */
export class SessionSlot<T> {
  readonly #index: number;
  readonly #create: (session: Session) => T;

  constructor(index: number, create: (session: Session) => T) {
    this.#index = index;
    this.#create = create;
  }

  /** This session's state, made at the first call. */
  get(session: Session): T {
    const slots = (session.slots ??= []);
    return (slots[this.#index] ??= this.#create(session)) as T;
  }

  /** This session's state, or undefined when nobody has asked for it yet. */
  peek(session: Session): T | undefined {
    return session.slots?.[this.#index] as T | undefined;
  }

  set(session: Session, value: T): void {
    (session.slots ??= [])[this.#index] = value;
  }
}
