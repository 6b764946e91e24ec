/** A copy of its own: what was read from a stanza is to V8 a window on the whole stanza, which would stay in memory for as long. */
export function detachText(text: string): string {
  return Buffer.from(text).toString();
}

/** The beginning of a text where it has more UTF-16 units than `max`, with an ellipsis, and without half of a character before that. */
export function cutText(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return `${text.slice(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max)}…`;
}

/**
 * The order of texts as databases sort them, by bytes of UTF-8, which other than UTF-16 has everything beyond U+FFFF behind the rest: negative
 * when `a` comes first, 0 when they are the same.
 */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
