import { isIPv4, isIPv6 } from 'node:net';
import { hasRightToLeft, satisfiesBidi } from './bidi.ts';
import { CONTEXTJ, CONTEXTO, idnaProperty, PVALID } from './code-points.ts';
import { contextAllows } from './context.ts';
import { isPreparable, mapWidths } from './profiles.ts';
import { decodePunycode, encodePunycode } from './punycode.ts';

/** What the DNS can carry in one label (RFC 1035 section 2.3.4). */
const MAX_LABEL = 63;
const ACE_PREFIX = 'xn--';

/** The usual domain: lower-case letters, digits and hyphens, no A-label, and a top level that cannot be taken for a number. */
const PLAIN = /^(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){0,16}(?!..--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PLAIN_LABEL = /^(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 1123 section 2.1: a top level is not numeric. Resolvers take such names for addresses, 127.1 and 0x7f000001 among them. */
const NUMERIC = /^(?:[0-9]+|0x[0-9a-f]*)$/;

/**
 * The one form of a domainpart (RFC 7622 section 3.2), or undefined for what is none: an IPv4 address; an IPv6 address in brackets,
 * as RFC 5952 writes it and without a zone (RFC 9844); else a domain name in lower case without a final dot, in which every
 * internationalized label is a U-label of IDNA2008. A-labels, which mean the same, become U-labels. The length is the caller's to
 * check; labels are checked here.
 */
export function prepareDomainName(text: string): string | undefined {
  if (PLAIN.test(text)) return text;
  if (!isPreparable(text)) return undefined;
  const mapped = map(text);
  const name = mapped.endsWith('.') ? mapped.slice(0, -1) : mapped;
  if (isIPv4(name)) return name;
  if (name.startsWith('[')) return canonicalIPv6(name);
  const labels: string[] = [];
  for (const written of name.split('.')) {
    const label = prepareLabel(written);
    if (label === undefined) return undefined;
    labels.push(label);
  }
  if (NUMERIC.test(labels.at(-1)!)) return undefined;
  // RFC 5893 section 2: one label from right to left puts all under the rule.
  if (labels.some(hasRightToLeft) && !labels.every(satisfiesBidi)) return undefined;
  return labels.join('.');
}

/** A prepared domain as DNS, TLS and certificates know it: with A-labels (RFC 5890 section 2.3.2.1). */
export function asciiDomain(domain: string): string {
  const labels = domain.split('.').map((label) => (isAscii(label) ? label : ACE_PREFIX + encodePunycode(label)));
  return labels.join('.');
}

/** RFC 5895 section 2, as RFC 7622 section 3.2 wants it: case, width, normalization, the ideographic full stop. */
function map(text: string): string {
  return mapWidths(text)
    .replace(/\p{Changes_When_Lowercased}/gu, lower)
    .normalize('NFC')
    .replaceAll('\u3002', '.');
}

/** Not where IDNA2008 knows the capital only, as in Cherokee. */
function lower(char: string): string {
  return isValid(char) ? char : char.toLowerCase();
}

function prepareLabel(label: string): string | undefined {
  if (!isAscii(label))
    return isULabel(label) && ACE_PREFIX.length + encodePunycode(label).length <= MAX_LABEL ? label : undefined;
  if (label.startsWith(ACE_PREFIX)) return decodeALabel(label);
  return PLAIN_LABEL.test(label) ? label : undefined;
}

/** An A-label is one only if it is what its U-label encodes to (RFC 5891 section 5.4). */
function decodeALabel(label: string): string | undefined {
  if (label.length > MAX_LABEL) return undefined;
  const encoded = label.slice(ACE_PREFIX.length);
  const decoded = decodePunycode(encoded);
  if (decoded === undefined || isAscii(decoded) || !isULabel(decoded)) return undefined;
  return encodePunycode(decoded) === encoded ? decoded : undefined;
}

/** RFC 5891 section 4.2.3 but for the bidi rule, which is for the domain as a whole. */
function isULabel(label: string): boolean {
  if (label.startsWith('-') || label.endsWith('-') || label.startsWith('--', 2) || /^\p{M}/u.test(label)) return false;
  for (const char of label) if (!isValid(char)) return false;
  return label.normalize('NFC') === label && contextAllows(label);
}

function isValid(char: string): boolean {
  const property = idnaProperty(char.codePointAt(0)!);
  return property === PVALID || property === CONTEXTJ || property === CONTEXTO;
}

function isAscii(text: string): boolean {
  return !/[\u0080-\uffff]/.test(text);
}

function canonicalIPv6(literal: string): string | undefined {
  if (!literal.endsWith(']')) return undefined;
  const address = literal.slice(1, -1);
  return isIPv6(address) && !address.includes('%') ? new URL(`http://[${address}]`).hostname : undefined;
}
