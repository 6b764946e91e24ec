const TIMES: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
  ['w', 604_800_000],
]);

const SIZES: ReadonlyMap<string, number> = new Map([
  ['B', 1],
  ['kB', 1e3],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
]);

/** A span of time as the config writes it: '30s', '1h30m', or 0. */
export type Duration = 0 | `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'w'}`;
/** An amount of data as the config writes it: '64KiB', '10MB', or bytes. */
export type ByteSize = number | `${number}${'B' | 'kB' | 'KB' | 'MB' | 'GB' | 'TB' | 'KiB' | 'MiB' | 'GiB' | 'TiB'}`;

/** What `parseDuration` accepts, for the JSON Schema. */
export const DURATION_PATTERN = '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d|w))+$';
/** What `parseBytes` accepts, for the JSON Schema. */
export const BYTES_PATTERN = '^[0-9]+(\\.[0-9]+)? ?(B|[kK]B|[MGT]B|[KMGT]iB)$';

/** Milliseconds, or undefined for what is no span of time. Only 0 needs no unit. */
export function parseDuration(value: unknown): number | undefined {
  if (value === 0) return 0;
  if (typeof value !== 'string' || value.length > 40 || !new RegExp(DURATION_PATTERN).test(value)) return undefined;
  let sum = 0;
  for (const [, amount, unit] of value.matchAll(/([0-9.]+)([a-z]+)/g)) sum += Number(amount) * TIMES.get(unit!)!;
  return Math.round(sum);
}

/** Bytes, or undefined for what is no amount of data. A bare whole number is bytes. */
export function parseBytes(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string' || value.length > 40 || !new RegExp(BYTES_PATTERN).test(value)) return undefined;
  const [, amount, unit] = /^([0-9.]+) ?([A-Za-z]+)$/.exec(value)!;
  const bytes = Math.round(Number(amount) * SIZES.get(unit!)!);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
