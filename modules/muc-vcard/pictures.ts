import { createHash } from 'node:crypto';
import { Element, StanzaError, xml } from '#core';

/** What a picture may be. SVG is none of these: it can have scripts and links in it. */
export const PICTURE_TYPES = ['image/png', 'image/jpeg', 'image/webp', 'image/gif'] as const;
/** One of PICTURE_TYPES. */
export type PictureType = (typeof PICTURE_TYPES)[number];

/** What is allowed in a vCard. */
export interface PictureRules {
  /** Of each picture. */
  readonly maxPhotoBytes: number;
  readonly types: readonly PictureType[];
}

/** A vCard as it is kept. */
export interface Card {
  readonly element: Element;
  /** Of its photos, in order: SHA-1 in hexadecimal digits (XEP-0153 section 3.1). */
  readonly hashes: readonly string[];
}

/** Photos of one vCard: the same picture in so many formats. */
const MAX_PHOTOS = 4;
/** Where base64 is longer than the bytes it stands for. */
const BASE64 = 4 / 3;
const BASE64_TEXT = /^[A-Za-z0-9+/]+={0,2}$/;

/** Looked for at the begin of the data; where there are two, the second stands at the eighth byte. */
const SIGNATURES: readonly { readonly type: PictureType; readonly start: string; readonly more?: string }[] = [
  { type: 'image/png', start: '\x89PNG\r\n\x1a\n' },
  { type: 'image/jpeg', start: '\xff\xd8\xff' },
  { type: 'image/gif', start: 'GIF87a' },
  { type: 'image/gif', start: 'GIF89a' },
  { type: 'image/webp', start: 'RIFF', more: 'WEBP' },
];

/** What picture this is, by what it begins with; undefined for what is none that is known. */
export function typeOf(data: Buffer): PictureType | undefined {
  const head = data.toString('latin1', 0, 12);
  const isMeant = (start: string, more: string | undefined): boolean =>
    head.startsWith(start) && (more === undefined || head.startsWith(more, 8));
  return SIGNATURES.find(({ start, more }) => isMeant(start, more))?.type;
}

/**
 * Reads a vCard. Whatever data it has is a picture, and says truly what type it is of (XEP-0153 section 5 has readers look at the data:
 * not all do). Throws StanzaError `not-acceptable` for what is none, and `policy-violation` for what is too big.
 */
export function readCard(card: Element, rules: PictureRules): Card {
  const hashes: string[] = [];
  const element = new Element('vCard', { ...card.attrs, xmlns: 'vcard-temp' });
  element.children = card.children.map((part) => {
    if (!(part instanceof Element)) return part;
    // A picture that is elsewhere tells whoever owns that place who is looking (XEP-0153 section 4.4).
    if (part.getName() === 'PHOTO' && part.getChild('EXTVAL')) throw refusal('A picture stands in the vCard itself');
    const text = part.getChildText('BINVAL')?.replace(/\s+/g, '');
    if (!text) return part;
    const { data, type } = readPicture(text, rules);
    if (part.getName() === 'PHOTO') hashes.push(createHash('sha1').update(data).digest('hex'));
    return xml(part.getName(), {}, xml('TYPE', {}, type), xml('BINVAL', {}, data.toString('base64')));
  });
  if (hashes.length > MAX_PHOTOS) throw refusal(`At most ${MAX_PHOTOS} pictures are allowed`);
  return { element, hashes };
}

function readPicture(
  text: string,
  { maxPhotoBytes, types }: PictureRules,
): { readonly data: Buffer; readonly type: PictureType } {
  // Looked at before anything is made of it.
  if (text.length / BASE64 > maxPhotoBytes + 2) throw tooBig('picture', maxPhotoBytes);
  if (!BASE64_TEXT.test(text)) throw refusal('A picture is written in base64');
  const data = Buffer.from(text, 'base64');
  if (data.length > maxPhotoBytes) throw tooBig('picture', maxPhotoBytes);
  const type = typeOf(data);
  if (!type || !types.includes(type)) throw refusal(`A picture is one of ${types.join(', ')}`);
  return { data, type };
}

/** What is said to whoever sets too much. */
export function tooBig(what: string, bytes: number): StanzaError {
  return new StanzaError('policy-violation', { text: `The ${what} is too big: at most ${bytes} bytes are allowed` });
}

function refusal(text: string): StanzaError {
  return new StanzaError('not-acceptable', { type: 'modify', text });
}
