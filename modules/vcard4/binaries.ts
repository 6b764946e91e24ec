// Pictures and sounds: elsewhere, or in the vCard itself, which vCard4 writes as a `data:` URI (RFC 2397).
import { type Element, xml } from '#core';
import type { Kind } from './kinds.ts';

/** Where base64 is longer than the bytes it stands for. */
const BASE64 = 4 / 3;
const BASE64_TEXT = /^[A-Za-z0-9+/]+={0,2}$/;
const DATA_URI = /^data:([a-z]+\/[a-z0-9.+-]+);base64,/i;
const WEB_URI = /^https?:\/\/\S+$/i;
const UNKNOWN = 'application/octet-stream';

/**
 * Something that is not text, of this many bytes at most. The value: its type and the base64 of it, or '' and where it is. `type` is for
 * what has none in vcard-temp.
 */
export function binary(temp: string, four: string, maxBytes: number, type: string): Kind {
  const most = Math.ceil(maxBytes * BASE64) + 4;
  const read = (kind: string, text: string) => (BASE64_TEXT.test(text) ? [kind, text] : undefined);
  return {
    temp: [temp],
    four,
    readTemp: (element) => {
      const elsewhere = element.getChildText('EXTVAL')?.trim() ?? '';
      if (WEB_URI.test(elsewhere)) return ['', elsewhere];
      const text = element.getChildText('BINVAL') ?? '';
      // Whoever breaks lines needs some more.
      if (text.length > most * 2) return undefined;
      const base64 = text.replace(/\s+/g, '');
      const kind = element.getChildText('TYPE')?.trim().toLowerCase() || type || UNKNOWN;
      return base64.length <= most ? read(kind, base64) : undefined;
    },
    readFour: (element) => {
      const uri = element.getChildText('uri') ?? '';
      if (uri.length > most * 2 + UNKNOWN.length * 4) return undefined;
      const said = uri.replace(/\s+/g, '');
      if (WEB_URI.test(said)) return ['', said];
      const match = DATA_URI.exec(said);
      const base64 = match ? said.slice(match[0].length) : '';
      return match && base64.length <= most ? read(match[1]!.toLowerCase(), base64) : undefined;
    },
    writeTemp: ([kind = '', text]) => {
      if (kind === '') return xml(temp, {}, xml('EXTVAL', {}, text));
      return xml(temp, {}, xml('TYPE', {}, kind), xml('BINVAL', {}, text));
    },
    writeFour: ([kind = '', text = '']) => xml(four, {}, xml('uri', {}, kind === '' ? text : `data:${kind};base64,${text}`)),
  };
}

/** Whether there is a picture in a vCard of vcard-temp itself. */
export function hasPicture(card: Element | undefined): boolean {
  return card?.getChildren('PHOTO').some((photo) => photo.getChild('BINVAL')) === true;
}
