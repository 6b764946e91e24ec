// Wall clocks: what time it is where a room is at home. A wall time is counted in milliseconds as if the clock on the wall showed UTC.

/** Names of time zones are shorter than this. */
const MAX_NAME = 64;
/** Formatters that are kept: making one costs a thousand times more than using it. */
const KEPT = 64;
const DAY = 86_400_000;

const formats = new Map<string, Intl.DateTimeFormat>();

/** Whether this names a time zone of the IANA database, as far as this system knows it. */
export function isZone(name: string): boolean {
  if (name === '' || name.length > MAX_NAME) return false;
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** What the clock shows at a moment. */
export function toWall(zone: string, time: number): number {
  return Math.floor(time / 1000) * 1000 + offsetAt(zone, time) + (((time % 1000) + 1000) % 1000);
}

/**
 * When the clock shows this. What it shows twice, when it is put back, means the first time. What it never shows, since it is put
 * forward over it, is as long after the change as it would have been: half past two becomes half past three.
 */
export function toTime(zone: string, wall: number): number {
  const before = offsetAt(zone, wall - DAY);
  if (offsetAt(zone, wall - before) === before) return wall - before;
  const after = offsetAt(zone, wall + DAY);
  return offsetAt(zone, wall - after) === after ? wall - after : wall - before;
}

/** A moment as people there write it: `2026-03-01 18:30`. */
export function showTime(zone: string, time: number): string {
  return new Date(toWall(zone, time)).toISOString().slice(0, 16).replace('T', ' ');
}

/** How far the clock is ahead of UTC at a moment, in milliseconds. */
function offsetAt(zone: string, time: number): number {
  const seconds = Math.floor(time / 1000) * 1000;
  if (zone === 'UTC') return 0;
  const parts = { year: 0, month: 0, day: 0, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of formatOf(zone).formatToParts(seconds)) {
    if (isPart(type)) parts[type] = Number(value);
  }
  const { year, month, day, hour, minute, second } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - seconds;
}

function isPart(type: string): type is 'year' | 'month' | 'day' | 'hour' | 'minute' | 'second' {
  return type === 'year' || type === 'month' || type === 'day' || type === 'hour' || type === 'minute' || type === 'second';
}

/** Throws RangeError for a zone that nobody knows. */
function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  if (formats.size >= KEPT) formats.delete(formats.keys().next().value ?? '');
  formats.set(zone, format);
  return format;
}
