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

/** How a slot's value is kept over a restart: in a form for JSON. */
export interface SlotForm<T> {
  write(value: T): unknown;
  read(saved: unknown): T;
}

/** The lasting slots of one session, by module and number. */
export type SavedSlots = Readonly<Record<string, unknown>>;
