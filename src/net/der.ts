// The little of ASN.1's distinguished encoding (X.690 section 10) that certificates of our own need.

/** Tags of X.690 section 8.1.2 that certificates use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One value with its tag and length. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  const size = length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
  const head = Buffer.from([tag, 0x80 | size, 0, 0, 0]).subarray(0, 2 + size);
  head.writeUIntBE(length, 2, size);
  return Buffer.concat([head, content]);
}

/** A sequence of values. */
export function sequence(...values: readonly Uint8Array[]): Buffer {
  return der(TAG.sequence, ...values);
}

/** An object identifier such as 2.5.4.3. */
export function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  return der(TAG.oid, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function base128(value: number): number[] {
  const bytes = [value & 0x7f];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift(0x80 | (left & 0x7f));
  return bytes;
}

/** A point in time as RFC 5280 section 4.1.2.5 wants it: with two digits of the year until 2049. */
export function time(milliseconds: number): Buffer {
  const digits = `${new Date(milliseconds).toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
  const isShort = digits < '2050';
  return der(isShort ? TAG.utcTime : TAG.generalizedTime, Buffer.from(isShort ? digits.slice(2) : digits, 'latin1'));
}

/** A value that was read. */
export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  /** Where the next value begins. */
  readonly end: number;
}

/** Reads one value; undefined where there is none, or none that is whole. */
export function readDer(bytes: Buffer, at = 0): DerValue | undefined {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) return undefined;
  const size = first < 0x80 ? 0 : first & 0x7f;
  if (size > 4 || at + 2 + size > bytes.length) return undefined;
  const length = size === 0 ? first : bytes.readUIntBE(at + 2, size);
  const start = at + 2 + size;
  if (start + length > bytes.length) return undefined;
  return { tag, content: bytes.subarray(start, start + length), end: start + length };
}

/** The values that another one consists of. */
export function readAll(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let value = readDer(bytes); value; value = readDer(bytes, value.end)) values.push(value);
  return values;
}
