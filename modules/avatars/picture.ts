import { createHash } from 'node:crypto';
import { type PictureType, typeOf } from '../muc-vcard/pictures.ts';

/** What somebody says is a picture. */
export interface Bytes {
  readonly data: Buffer;
  /** What it is by its first bytes, whatever anybody says of it (XEP-0153 section 5); undefined when it is none that is known. */
  readonly type: PictureType | undefined;
  /** SHA-1 in hexadecimal digits. */
  readonly hash: string;
}

/** A picture that can be somebody's avatar. SVG cannot: it has scripts and links in it. */
export type Picture = Bytes & { readonly type: PictureType };

const BASE64_TEXT = /^[A-Za-z0-9+/]+={0,2}$/;

/** Reads what is written in base64; undefined when it is not. */
export function readBytes(text: string): Bytes | undefined {
  const base64 = text.replace(/\s+/g, '');
  if (!BASE64_TEXT.test(base64)) return undefined;
  const data = Buffer.from(base64, 'base64');
  return { data, type: typeOf(data), hash: createHash('sha1').update(data).digest('hex') };
}

/** Whether an avatar can be made of it. */
export function isPicture(bytes: Bytes | undefined): bytes is Picture {
  return bytes?.type !== undefined;
}
