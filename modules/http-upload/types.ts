// What browsers do with a file: nothing that could act in our name (XEP-0363 section 12.1).

/** Shown in a page: what cannot hold a script. Everything else is to be saved. */
const SHOWN: ReadonlySet<string> = new Set([
  'audio/aac',
  'audio/flac',
  'audio/mp4',
  'audio/mpeg',
  'audio/ogg',
  'audio/opus',
  'audio/wav',
  'audio/webm',
  'image/avif',
  'image/gif',
  'image/jpeg',
  'image/jxl',
  'image/png',
  'image/webp',
  'text/plain',
  'video/mp4',
  'video/ogg',
  'video/webm',
]);

const TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/;

/** A media type in one form, without its parameters; `application/octet-stream` for what is none. */
export function readType(text: string | undefined): string {
  const type = text?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  return TYPE.test(type) ? type : 'application/octet-stream';
}

/** Whether a type is among these: exactly, or by a pattern such as `image/*`. */
export function isAmong(type: string, patterns: readonly string[]): boolean {
  return patterns.some(
    (pattern) => pattern === type || pattern === '*/*' || (pattern.endsWith('/*') && type.startsWith(pattern.slice(0, -1))),
  );
}

/** What a browser is told of a file: its type, and whether it may be shown (RFC 6266). */
export function describe(type: string, name: string): { readonly type: string; readonly disposition: string } {
  const isShown = SHOWN.has(type);
  const encoded = encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  return {
    // Text is ours to say how it is written; nobody guesses.
    type: !isShown ? 'application/octet-stream' : type === 'text/plain' ? 'text/plain; charset=utf-8' : type,
    disposition: `${isShown ? 'inline' : 'attachment'}; filename*=UTF-8''${encoded}`,
  };
}
