const SHAPE = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))$/;

const MINUTE = 60_000;
/** XML Schema part 2 section 3.2.7.3: zones are up to fourteen hours away. */
const MAX_OFFSET = 14 * 60;
/** Digits of a fraction of a second that are looked at: as many as the result can hold. */
const FRACTION_DIGITS = 7; // with the point: microseconds

/**
 * The moment that a DateTime of XEP-0082 section 3.2 means, in milliseconds since 1970, with a fraction where one was written (to the
 * microsecond); undefined for what is none. As in XML Schema, 24:00:00 is the end of a day. A leap second is the moment after it.
 */
export function readDateTime(text: string): number | undefined {
  const parts = SHAPE.exec(text);
  if (!parts) return undefined;
  const number = (at: number): number => Number(parts[at]);
  const [year, month, day, hours, minutes, seconds] = [number(1), number(2), number(3), number(4), number(5), number(6)];
  if (year === 0 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return undefined;
  const fraction = parts[7] === undefined ? 0 : Number(parts[7].slice(0, FRACTION_DIGITS)) * 1000;
  const isEndOfDay = hours === 24 && minutes === 0 && seconds === 0 && fraction === 0;
  if ((hours > 23 && !isEndOfDay) || minutes > 59 || seconds > 60) return undefined;
  const offset = parts[8] === undefined ? 0 : number(9) * 60 + number(10);
  if (offset > MAX_OFFSET || (parts[8] !== undefined && number(10) > 59)) return undefined;
  const time = midnight(year, month, day) + (hours * 60 + minutes) * MINUTE + seconds * 1000 + fraction;
  const utc = parts[8] === '-' ? time + offset * MINUTE : time - offset * MINUTE;
  // Leap seconds are inserted at the end of a day of UTC (ITU-R TF.460), and nowhere else.
  if (seconds === 60 && Math.floor(utc / 1000) % 86_400 !== 0) return undefined;
  return seconds === 60 ? Math.floor(utc / 1000) * 1000 : utc;
}

/** A moment as a DateTime of XEP-0082: in UTC, to the millisecond. */
export function writeDateTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Date.UTC takes years below 100 for those of the last century. */
function midnight(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month - 1, day);
}

function daysOf(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}
