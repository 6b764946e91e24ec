// Byte strings: what goes over the line as a JavaScript string of which every UTF-16 unit is one byte of UTF-8. V8 keeps such
// strings in one byte a unit and joins them without copying; they are written with the encoding 'latin1'. For ASCII, which most
// stanzas are, a text and its byte string are the same string.

/** What Node's buffers have beside their documented methods: as `toString`, without the look-up of an encoding. */
interface Slices {
  latin1Slice(start?: number, end?: number): string;
  utf8Slice(start?: number, end?: number): string;
}

/** Bytes as a byte string. */
export function latin1(bytes: Buffer, start: number | undefined, end: number | undefined): string {
  return (bytes as Buffer & Slices).latin1Slice(start, end);
}

/** Bytes of UTF-8 as text. */
export function utf8(bytes: Buffer, start: number | undefined, end: number | undefined): string {
  return (bytes as Buffer & Slices).utf8Slice(start, end);
}

const BEYOND_ASCII = /[\u0080-\uffff]/;

/** The byte string of a text. What is no Unicode (a lone surrogate) becomes U+FFFD. */
export function toWire(text: string): string {
  return BEYOND_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** The text of a byte string. */
export function fromWire(wire: string): string {
  return BEYOND_ASCII.test(wire) ? Buffer.from(wire, 'latin1').toString('utf8') : wire;
}
