import { randomFillSync } from 'node:crypto';

/** Makes one id after the other. */
export type IdSource = () => string;

const HEX = '0123456789abcdef';
/** Random bytes drawn at once: a call costs more than what it brings. */
const POOL_BYTES = 4096;
/** rand_b of RFC 9562 section 5.7, with the variant. */
const RANDOM_BYTES = 8;
/** For where the counter starts. */
const COUNTER_BYTES = 2;
/** rand_a holds a counter (RFC 9562 section 6.2, method 1). */
const COUNTER_LIMIT = 4096;
/** Where each hexadecimal digit of the random part stands in the text. */
const RANDOM_PLACES = [19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35];

/**
 * A source of ids that sort in the order in which they were made: UUIDs of version 7 (RFC 9562 section 5.7). Within a process
 * each is greater than the one before, also within a millisecond and when the clock steps back; 62 random bits keep those of
 * other processes apart, and cannot be guessed. `now` gives milliseconds since 1970.
 */
export function makeIdSource(now: () => number): IdSource {
  const pool = Buffer.alloc(POOL_BYTES);
  const text = Buffer.from('00000000-0000-7000-8000-000000000000', 'latin1');
  let used = POOL_BYTES;
  let time = -1;
  let counter = 0;

  function next(): string {
    if (used + RANDOM_BYTES + COUNTER_BYTES > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    const clock = now();
    counter++;
    // A clock that stands still or steps back is not followed, and a full counter borrows from the future (section 6.2).
    if (clock > time || counter === COUNTER_LIMIT) startMillisecond(Math.max(clock, time + 1));
    writeHex(counter, 15, 3);
    writeRandom();
    return text.toString('latin1');
  }

  /** The counter starts somewhere in the lower half, so that ids made together on several nodes seldom share it. */
  function startMillisecond(milliseconds: number): void {
    time = milliseconds;
    counter = pool.readUInt16BE(used) & 0x7ff;
    used += COUNTER_BYTES;
    writeHex(Math.floor(time / 0x10000), 0, 8);
    writeHex(time % 0x10000, 9, 4);
  }

  function writeRandom(): void {
    let place = 0;
    for (const end = used + RANDOM_BYTES; used < end; used++) {
      const byte = pool[used]!;
      text[RANDOM_PLACES[place++]!] = HEX.charCodeAt(byte >> 4);
      text[RANDOM_PLACES[place++]!] = HEX.charCodeAt(byte & 15);
    }
    text[RANDOM_PLACES[0]!] = HEX.charCodeAt(8 + (pool[used - RANDOM_BYTES]! & 3)); // the variant, 10 in binary
  }

  function writeHex(value: number, start: number, digits: number): void {
    let rest = value;
    for (let at = start + digits - 1; at >= start; at--) {
      text[at] = HEX.charCodeAt(rest & 15);
      rest >>>= 4;
    }
  }

  return next;
}

/** A new id for whatever is stored in order: unique, greater than all that this process has made, a UUID of version 7. */
export const sortableId: IdSource = makeIdSource(Date.now);

const SHAPE = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** When an id was made, in milliseconds since 1970; undefined for what is no id of ours, whoever wrote it. */
export function timeOf(id: string): number | undefined {
  return SHAPE.test(id) ? Number.parseInt(id.slice(0, 8), 16) * 0x10000 + Number.parseInt(id.slice(9, 13), 16) : undefined;
}

/** Whether this has the form of an id of ours, whoever wrote it. */
export function isSortableId(id: string): boolean {
  return SHAPE.test(id);
}

/** The smallest id that could be made at this time or later, for use as a bound; milliseconds since 1970. */
export function firstIdAt(time: number): string {
  const hex = Math.min(Math.max(Math.ceil(time), 0), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
