import { StanzaError } from '#core';

/** Bytes of a reason that everybody in a room is told, as XEP-0045 actions have it here. */
const MAX_REASON = 1024;

/** A reason as somebody has given it; undefined when it is none. Throws StanzaError `not-acceptable` for one that is too long. */
export function readReason(text: string | null | undefined): string | undefined {
  const reason = text?.trim() ?? '';
  if (Buffer.byteLength(reason) > MAX_REASON) throw new StanzaError('not-acceptable', { text: 'The reason is too long' });
  return reason === '' ? undefined : reason;
}

/** The beginning of a text, so many characters of it. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  // Half of a character outside the basic plane is none.
  const end = (text.codePointAt(max - 1) ?? 0) > 0xffff ? max - 1 : max;
  return `${text.slice(0, end)}…`;
}
