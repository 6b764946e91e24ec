import { HttpError } from '#core';

/** The bytes that are asked for, both ends included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

const SINGLE = /^bytes=(\d{0,15})-(\d{0,15})$/;

/**
 * Reads a Range header (RFC 9110 section 14.2). Undefined where the whole file is to be sent: without one, for several ranges, and for what
 * cannot be read. Throws HttpError 416 for one that is outside of the file.
 */
export function readRange(header: string | undefined, size: number): ByteRange | undefined {
  const match = header === undefined ? undefined : SINGLE.exec(header.trim());
  if (!match) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < start) return undefined;
  if (start >= size || (first === '' && Number(last) === 0)) throw new HttpError(416, 'Range Not Satisfiable');
  return { start, end };
}
