// When something is said: once, or again and again.
import { readDateTime } from '#core';
import { toTime, toWall } from './zone.ts';

/** Days of the week, as Date.getUTCDay counts them. */
export const WEEKDAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;
/** One of WEEKDAYS. */
export type Weekday = (typeof WEEKDAYS)[number];

/**
 * When something is said. Times of the day are those of the clock on the wall, written `18:30`; dates with a time are `2026-03-01 18:30`
 * on that clock, or a DateTime of XEP-0082 with its own zone.
 */
export type When =
  | { readonly every: 'once'; readonly at: string }
  /** Every so many; the first time at `from`, or so many from now. */
  | { readonly every: 'minutes' | 'hours'; readonly count: number; readonly from?: string }
  | { readonly every: 'day'; readonly time: string }
  | { readonly every: 'week'; readonly days: readonly Weekday[]; readonly time: string }
  /** In a month that is too short, on its last day. */
  | { readonly every: 'month'; readonly day: number; readonly time: string };

/** What `When` is counted with. */
export interface Frame {
  readonly zone: string;
  /** The first of every so many minutes or hours; milliseconds since the epoch. */
  readonly anchor: number;
}

const MINUTE = 60_000;
const DAY = 86_400_000;
/** From the last day of a month to that of the next but one, whatever the months. */
const LONGEST = 63;

const WALL = /^(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)$/;
const TIME_OF_DAY = /^([01]\d|2[0-3]):([0-5]\d)$/;

/** The moment that is meant, where the clock is that of the zone; undefined for what is none. */
export function readMoment(text: string, zone: string): number | undefined {
  const trimmed = text.trim();
  if (!WALL.test(trimmed)) return readDateTime(trimmed);
  const wall = readDateTime(`${trimmed.replace(' ', 'T')}:00Z`);
  return wall === undefined ? undefined : toTime(zone, wall);
}

/** A time of the day in milliseconds; undefined for what is none. */
export function readTimeOfDay(text: string): number | undefined {
  const parts = TIME_OF_DAY.exec(text.trim());
  return parts ? (Number(parts[1]) * 60 + Number(parts[2])) * MINUTE : undefined;
}

/** Milliseconds between two times, for those who are not counted by the clock on the wall. */
export function stepOf(when: When): number | undefined {
  if (when.every === 'minutes') return when.count * MINUTE;
  return when.every === 'hours' ? when.count * 60 * MINUTE : undefined;
}

/** The first time after a moment; undefined when there is none any more. */
export function nextTime(when: When, { zone, anchor }: Frame, after: number): number | undefined {
  if (when.every === 'once') {
    const at = readMoment(when.at, zone);
    return at !== undefined && at > after ? at : undefined;
  }
  const step = stepOf(when);
  if (step !== undefined) return anchor > after ? anchor : anchor + (Math.floor((after - anchor) / step) + 1) * step;
  const time = 'time' in when ? readTimeOfDay(when.time) : undefined;
  if (time === undefined) return undefined;
  const today = Math.floor(toWall(zone, after) / DAY) * DAY;
  for (let i = 0; i <= LONGEST; i++) {
    const day = today + i * DAY;
    if (!isOn(when, new Date(day))) continue;
    const at = toTime(zone, day + time);
    if (at > after) return at;
  }
  return undefined;
}

/** The last time that is after `from` and not after `until`; undefined when there is none. */
export function lastTime(when: When, frame: Frame, from: number, until: number): number | undefined {
  const step = stepOf(when);
  if (step !== undefined) {
    const last = until < frame.anchor ? undefined : until - ((until - frame.anchor) % step);
    return last !== undefined && last > from ? last : undefined;
  }
  let last: number | undefined;
  for (let at = nextTime(when, frame, from); at !== undefined && at <= until; at = nextTime(when, frame, at)) last = at;
  return last;
}

function isOn(when: When, day: Date): boolean {
  if (when.every === 'week') return when.days.includes(WEEKDAYS[day.getUTCDay()]!);
  if (when.every !== 'month') return true;
  const isLast = new Date(day.getTime() + DAY).getUTCDate() === 1;
  return day.getUTCDate() === when.day || (isLast && day.getUTCDate() < when.day);
}
