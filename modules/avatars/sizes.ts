import type { PictureType } from '../muc-vcard/pictures.ts';

/** In pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The metadata have no place for more (XEP-0084 section 9.2). */
const MOST = 65_535;

/** Reads the size of a picture out of its header; undefined when that does not tell it, or tells what cannot be. No pixel is looked at. */
export function sizeOf(data: Buffer, type: PictureType): Size | undefined {
  const size = READERS[type](data);
  return size && isPossible(size.width) && isPossible(size.height) ? size : undefined;
}

const READERS: Readonly<Record<PictureType, (data: Buffer) => Size | undefined>> = {
  'image/png': readPng,
  'image/gif': readGif,
  'image/jpeg': readJpeg,
  'image/webp': readWebp,
};

function isPossible(pixels: number): boolean {
  return pixels > 0 && pixels <= MOST;
}

/** The first chunk is the header. */
function readPng(data: Buffer): Size | undefined {
  if (data.length < 24 || data.toString('latin1', 12, 16) !== 'IHDR') return undefined;
  return { width: data.readUInt32BE(16), height: data.readUInt32BE(20) };
}

function readGif(data: Buffer): Size | undefined {
  return data.length < 10 ? undefined : { width: data.readUInt16LE(6), height: data.readUInt16LE(8) };
}

/** Goes from segment to segment up to the frame header, which has the size; the pixels come after it. */
function readJpeg(data: Buffer): Size | undefined {
  for (let at = 2; at + 4 <= data.length; ) {
    if (data[at] !== 0xff) return undefined;
    const marker = data[at + 1]!;
    // Fill bytes, and markers that stand alone.
    if (marker === 0xff) at++;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) at += 2;
    else {
      if (isFrame(marker)) return readFrame(data, at);
      const length = data.readUInt16BE(at + 2);
      const isEnd = marker === 0xd9 || marker === 0xda;
      if (isEnd || length < 2) return undefined;
      at += 2 + length;
    }
  }
  return undefined;
}

/** SOF0 to SOF15, without the markers in between that mean something else. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function readFrame(data: Buffer, at: number): Size | undefined {
  return at + 9 > data.length ? undefined : { width: data.readUInt16BE(at + 7), height: data.readUInt16BE(at + 5) };
}

/** One of three forms: extended, without loss, and with. */
function readWebp(data: Buffer): Size | undefined {
  if (data.length < 30) return undefined;
  switch (data.toString('latin1', 12, 16)) {
    case 'VP8X':
      return { width: data.readUIntLE(24, 3) + 1, height: data.readUIntLE(27, 3) + 1 };
    case 'VP8L': {
      if (data[20] !== 0x2f) return undefined;
      const bits = data.readUInt32LE(21);
      return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    case 'VP8 ': {
      const hasStartCode = data.readUIntBE(23, 3) === 0x9d012a;
      return hasStartCode ? { width: data.readUInt16LE(26) & 0x3fff, height: data.readUInt16LE(28) & 0x3fff } : undefined;
    }
    default:
      return undefined;
  }
}
