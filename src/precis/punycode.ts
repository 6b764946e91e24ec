// Punycode (RFC 3492), with the parameters of section 5.

const BASE = 36;
const TMIN = 1;
const TMAX = 26;
const SKEW = 38;
const DAMP = 700;
const INITIAL_BIAS = 72;
const INITIAL_N = 128;
const DIGITS = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** A label in Punycode, without a prefix. */
export function encodePunycode(label: string): string {
  const codePoints = Array.from(label, (char) => char.codePointAt(0)!);
  const basic = codePoints.filter((codePoint) => codePoint < INITIAL_N);
  let encoded = String.fromCodePoint(...basic);
  if (basic.length > 0) encoded += '-';
  let n = INITIAL_N;
  let delta = 0;
  let bias = INITIAL_BIAS;
  let handled = basic.length;
  while (handled < codePoints.length) {
    const next = codePoints.reduce((least, codePoint) => (codePoint >= n && codePoint < least ? codePoint : least), 0x110000);
    delta += (next - n) * (handled + 1);
    n = next;
    for (const codePoint of codePoints) {
      if (codePoint < n) delta++;
      if (codePoint !== n) continue;
      encoded += encodeNumber(delta, bias);
      bias = adapt(delta, handled + 1, handled === basic.length);
      delta = 0;
      handled++;
    }
    delta++;
    n++;
  }
  return encoded;
}

/** The label that a Punycode in lower case stands for, or undefined when it stands for none. */
export function decodePunycode(encoded: string): string | undefined {
  const delimiter = encoded.lastIndexOf('-');
  const codePoints = Array.from(encoded.slice(0, Math.max(delimiter, 0)), (char) => char.charCodeAt(0));
  let n = INITIAL_N;
  let i = 0;
  let bias = INITIAL_BIAS;
  for (let at = delimiter + 1; at < encoded.length; ) {
    const start = i;
    let weight = 1;
    for (let k = BASE; ; k += BASE) {
      const digit = digitOf(encoded.charCodeAt(at++));
      if (digit === undefined) return undefined;
      i += digit * weight;
      if (i > 0x7fffffff) return undefined;
      const threshold = thresholdAt(k, bias);
      if (digit < threshold) break;
      weight *= BASE - threshold;
    }
    const length = codePoints.length + 1;
    bias = adapt(i - start, length, start === 0);
    n += Math.floor(i / length);
    if (n > 0x10ffff || (n >= 0xd800 && n <= 0xdfff)) return undefined;
    i %= length;
    codePoints.splice(i++, 0, n);
  }
  return String.fromCodePoint(...codePoints);
}

/** A number of variable length (section 3.3). */
function encodeNumber(value: number, bias: number): string {
  let digits = '';
  let rest = value;
  for (let k = BASE; ; k += BASE) {
    const threshold = thresholdAt(k, bias);
    if (rest < threshold) return digits + DIGITS[rest];
    digits += DIGITS[threshold + ((rest - threshold) % (BASE - threshold))];
    rest = Math.floor((rest - threshold) / (BASE - threshold));
  }
}

/** The value of a letter or digit, or undefined for anything else, the end among it. */
function digitOf(char: number): number | undefined {
  if (char >= 0x61 && char <= 0x7a) return char - 0x61;
  if (char >= 0x30 && char <= 0x39) return char - 0x30 + 26;
  return undefined;
}

function thresholdAt(k: number, bias: number): number {
  return Math.min(Math.max(k - bias, TMIN), TMAX);
}

/** Section 6.1. */
function adapt(delta: number, length: number, isFirst: boolean): number {
  let rest = Math.floor(delta / (isFirst ? DAMP : 2));
  rest += Math.floor(rest / length);
  let k = 0;
  for (; rest > ((BASE - TMIN) * TMAX) / 2; k += BASE) rest = Math.floor(rest / (BASE - TMIN));
  return k + Math.floor(((BASE - TMIN + 1) * rest) / (rest + SKEW));
}
