import { STATE } from '../roster/index.ts';

// RFC 6121 appendix A.2 and A.3 as arithmetic on the parts of a state. A test reads the tables themselves and holds this to them.

/** The types of presence that manage subscriptions (RFC 6121 section 3). */
export type Move = 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed';

/** What becomes of a stanza that manages a subscription, and of the contact it concerns. */
export interface Outcome {
  readonly state: number;
  /** Whether it goes on to the contact (outbound), or to the owner's clients (inbound). */
  readonly passes: boolean;
  /** Whether the server answers `subscribed` in the owner's name. */
  readonly approves: boolean;
}

/** Whether a type of presence manages subscriptions. */
export function isMove(type: string | undefined): type is Move {
  return type === 'subscribe' || type === 'subscribed' || type === 'unsubscribe' || type === 'unsubscribed';
}

/** RFC 6121 appendix A.2: the owner sends it to the contact. With section 3.4: an approval that nobody waits for is kept. */
export function sendMove(move: Move, state: number): Outcome {
  switch (move) {
    case 'subscribe':
      return outcome((state & STATE.to) === 0 ? state | STATE.ask : state, true);
    case 'unsubscribe':
      return outcome(state & ~(STATE.to | STATE.ask), true);
    case 'subscribed':
      if ((state & STATE.pending) !== 0) return outcome((state | STATE.from) & ~STATE.pending, true);
      return outcome((state & STATE.from) === 0 ? state | STATE.approved : state, false);
    case 'unsubscribed':
      return outcome(state & ~(STATE.from | STATE.pending | STATE.approved), (state & (STATE.from | STATE.pending)) !== 0);
  }
}

/** RFC 6121 appendix A.3: the contact sends it to the owner. */
export function receiveMove(move: Move, state: number): Outcome {
  switch (move) {
    case 'subscribe':
      if ((state & (STATE.from | STATE.approved)) !== 0) return outcome(state | STATE.from, false, true);
      return outcome(state | STATE.pending, (state & STATE.pending) === 0);
    case 'unsubscribe':
      return outcome(state & ~(STATE.from | STATE.pending), (state & (STATE.from | STATE.pending)) !== 0);
    case 'subscribed':
      if ((state & STATE.ask) === 0) return outcome(state, false);
      return outcome((state | STATE.to) & ~STATE.ask, true);
    case 'unsubscribed':
      return outcome(state & ~(STATE.to | STATE.ask), (state & (STATE.to | STATE.ask)) !== 0);
  }
}

function outcome(state: number, passes: boolean, approves = false): Outcome {
  return { state, passes, approves };
}
