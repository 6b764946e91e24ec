// XEP-0500: in a room in slow mode everybody waits between two messages.
import { type FormField, StanzaError } from '#core';
import { isAffiliated, type Room, type RoomField, type Saying } from '../muc/index.ts';

const CONFIG = 'muc#roomconfig_slow_mode_duration';
const INFO = 'muc#roominfo_slow_mode_duration';
const DAY_SECONDS = 86_400;
/** Accounts of a room that are remembered before those are forgotten who have waited long enough. */
const MAX_REMEMBERED = 1000;

/** The field by which owners choose how long: seconds, 0 for not at all. */
export const SLOW_MODE_FIELD: RoomField = {
  name: CONFIG,
  type: 'text-single',
  label: 'Slow mode: seconds to wait between two messages (0 for none)',
  values: ['0'],
  isShown: false,
  range: { min: 0, max: DAY_SECONDS },
  read([value = '']) {
    const text = value.trim();
    if (!/^\d{1,6}$/.test(text) || Number(text) > DAY_SECONDS) {
      throw new StanzaError('not-acceptable', { text: `Slow mode is a whole number of seconds from 0 to ${DAY_SECONDS}` });
    }
    return [String(Number(text))];
  },
};

/** What disco#info of a room says of it. */
export function describeSlowMode(room: Room): readonly FormField[] {
  return [
    { name: INFO, type: 'text-single', label: 'Slow mode: seconds between two messages', values: [String(secondsOf(room))] },
  ];
}

/** Who has said something when, in the rooms that are in slow mode. */
export class SlowMode {
  /** Milliseconds by bare JID: an account is one, however many clients and nicks it has (section 7). */
  readonly #said = new WeakMap<Room, Map<string, number>>();
  readonly #now: () => number;

  /** `now` gives milliseconds that never go back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Notes a message, or refuses one that comes too early. Only text counts (section 5). Throws StanzaError `policy-violation`. */
  readonly take = ({ room, occupant, stanza }: Saying): void => {
    const seconds = secondsOf(room);
    if (seconds === 0 || !stanza.has('body')) return;
    const { real, role } = occupant;
    if (role === 'moderator' || isAffiliated(room.affiliationOf(real), 'admin')) return;
    const now = this.#now();
    const said = this.#of(room);
    const last = said.get(real.bare);
    if (last !== undefined && now - last < seconds * 1000) throw tooEarly(seconds, Math.ceil(seconds - (now - last) / 1000));
    if (said.size >= MAX_REMEMBERED) for (const [bare, at] of said) if (now - at >= seconds * 1000) said.delete(bare);
    said.set(real.bare, now);
  };

  #of(room: Room): Map<string, number> {
    let said = this.#said.get(room);
    if (!said) this.#said.set(room, (said = new Map()));
    return said;
  }
}

function secondsOf({ parts, settings }: Room): number {
  return Number(parts.fields.valuesOf(settings, CONFIG)[0] ?? 0);
}

function tooEarly(seconds: number, left: number): StanzaError {
  return new StanzaError('policy-violation', {
    type: 'wait',
    text: `This room is in slow mode: wait ${seconds} seconds between messages (${left} more)`,
  });
}
