import { StanzaError } from '#core';

/** Bytes of a reason that everybody in a room is told, as XEP-0045 actions have it here. */
const MAX_REASON = 1024;

/** A reason as somebody has given it; undefined when it is none. Throws StanzaError `not-acceptable` for one that is too long. */
export function readReason(text: string | null | undefined): string | undefined {
  const reason = text?.trim() ?? '';
  if (Buffer.byteLength(reason) > MAX_REASON) throw new StanzaError('not-acceptable', { text: 'The reason is too long' });
  return reason === '' ? undefined : reason;
}
