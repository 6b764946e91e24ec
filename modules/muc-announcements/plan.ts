// What is to be announced, when, and to whom.
import { StanzaError } from '#core';
import { nextTime, readMoment, readTimeOfDay, stepOf, WEEKDAYS, type When } from './recurrence.ts';

/** To whom something is announced that is not a room's own: clients that are online, accounts, or whoever is in rooms. */
export const TARGETS = ['online', 'accounts', 'rooms', 'public-rooms'] as const;
/** One of TARGETS. */
export type Target = (typeof TARGETS)[number];

/** What is announced. */
export interface Notice {
  readonly text: string;
  /** The subject of a message to accounts; in rooms, where a subject is something else, it stands above the text. */
  readonly title?: string;
}

/** What somebody wants to be announced, and when. */
export interface Plan extends Notice {
  readonly when: When;
  /** Of the host's own: to whom. */
  readonly to?: Target;
}

/** A plan that is kept. */
export interface Schedule extends Plan {
  readonly id: string;
  /** The bare JID of whoever has made it; empty for the host, and when the account is no more. */
  readonly by: string;
  /** See Frame. */
  readonly anchor: number;
  /** When it is sent next; milliseconds since the epoch, as are all times here. */
  readonly due: number;
  /** It is being sent, or was when the server broke off: for which time, and whether the room keeps what is said. */
  readonly attempt?: { readonly at: number; readonly isKept: boolean };
}

/** What may be planned. */
export interface PlanLimits {
  /** Of a text and its title together. */
  readonly maxBytes: number;
  /** Milliseconds between two times. */
  readonly minInterval: number;
  /** How far ahead the first time may be. */
  readonly maxAhead: number;
}

/** Where and when a plan is looked at. */
export interface Moment {
  readonly zone: string;
  readonly now: number;
}

/** What XML cannot carry (XML 1.0 section 2.2). */
const UNWRITABLE = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;
const DAYS = 31;

/** Throws StanzaError for what cannot be announced. Returns it with nothing else in it. */
export function checkNotice({ text, title = '' }: Notice, { maxBytes }: Pick<PlanLimits, 'maxBytes'>): Notice {
  if (text.trim() === '') refuse('There is nothing to announce');
  if (Buffer.byteLength(text) + Buffer.byteLength(title) > maxBytes) {
    throw new StanzaError('policy-violation', { type: 'modify', text: `An announcement has at most ${maxBytes} bytes` });
  }
  if (UNWRITABLE.test(text) || UNWRITABLE.test(title)) refuse('The text has characters that cannot be sent');
  return title.trim() === '' ? { text } : { text, title: title.trim() };
}

/** Checks a plan, and finds its first time. Throws StanzaError for one that cannot be. */
export function checkPlan(plan: Plan, moment: Moment, limits: PlanLimits): Omit<Schedule, 'id' | 'by'> {
  const notice = checkNotice(plan, limits);
  const when = checkWhen(plan.when, moment, limits);
  const anchor = anchorOf(when, moment);
  const due = nextTime(when, { zone: moment.zone, anchor }, moment.now);
  if (due === undefined) return refuse('This time is over');
  if (due > moment.now + limits.maxAhead) return refuse('This is too far ahead');
  return { ...notice, when, anchor, due, ...(plan.to !== undefined && { to: plan.to }) };
}

/** From when on minutes and hours are counted. */
function anchorOf(when: When, { zone, now }: Moment): number {
  return ('from' in when && when.from !== undefined ? readMoment(when.from, zone) : undefined) ?? now;
}

function checkWhen(when: When, moment: Moment, limits: PlanLimits): When {
  switch (when.every) {
    case 'once':
      if (readMoment(when.at, moment.zone) === undefined) refuse('A date and time are written as 2026-03-01 18:30');
      return { every: 'once', at: when.at.trim() };
    case 'minutes':
    case 'hours':
      return checkInterval(when, moment, limits);
    case 'day':
      return { every: 'day', time: checkTime(when.time) };
    case 'week': {
      const days = WEEKDAYS.filter((day) => when.days.includes(day));
      if (days.length === 0) refuse('Days of the week are missing');
      return { every: 'week', days, time: checkTime(when.time) };
    }
    case 'month':
      if (!Number.isInteger(when.day) || when.day < 1 || when.day > DAYS) refuse('A day of the month is a number from 1 to 31');
      return { every: 'month', day: when.day, time: checkTime(when.time) };
  }
}

function checkInterval(when: Extract<When, { count: number }>, moment: Moment, { minInterval, maxAhead }: PlanLimits): When {
  const { every, count, from } = when;
  const step = stepOf(when) ?? 0;
  if (!Number.isSafeInteger(count) || count < 1 || step > maxAhead) refuse('This is no number of minutes or hours');
  if (step < minInterval) refuse(`Announcements come at most every ${minInterval / 60_000} minutes`);
  if (from === undefined) return { every, count };
  const first = readMoment(from, moment.zone);
  if (first === undefined) return refuse('A date and time are written as 2026-03-01 18:30');
  if (first <= moment.now) refuse('This time is over');
  return { every, count, from: from.trim() };
}

function checkTime(time: string): string {
  return readTimeOfDay(time) === undefined ? refuse('A time of the day is written as 18:30') : time.trim();
}

function refuse(text: string): never {
  throw new StanzaError('not-acceptable', { text });
}
