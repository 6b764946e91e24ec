/** Puts a generated part between two marker lines. Throws when the markers are not both there, in this order. */
export function replaceBetween(text: string, [begin, end]: readonly [string, string], part: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from + begin.length);
  if (from < 0 || to < 0) throw new Error(`the markers ${begin} and ${end} are missing`);
  const lineStart = text.lastIndexOf('\n', to) + 1;
  return `${text.slice(0, from + begin.length)}\n${part}\n${text.slice(lineStart)}`;
}
