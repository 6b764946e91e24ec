// Frames of RFC 6455 section 5, as a server reads and writes them.

/** Opcodes (section 5.2). */
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** Status codes of a close frame (section 7.4.1). */
export const CLOSE = { normal: 1000, goingAway: 1001, protocol: 1002, unsupported: 1003, tooBig: 1009 } as const;

/** The peer broke the protocol; the connection is closed with this code. */
export class FrameError extends Error {
  readonly code: number;

  constructor(code: number, text: string) {
    super(text);
    this.code = code;
  }
}

/** The head of an unmasked final frame, as a byte string. What follows it are the bytes of its payload. */
export function frameHead(opcode: number, length: number): string {
  const first = String.fromCharCode(0x80 | opcode);
  if (length < 126) return first + String.fromCharCode(length);
  if (length < 0x10000) return `${first}\x7e${String.fromCharCode(length >> 8, length & 255)}`;
  return `${first}\x7f\0\0\0\0${String.fromCharCode(length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255)}`;
}

/** A close frame with its code. */
export function closeFrame(code: number): string {
  return `${frameHead(OPCODE.close, 2)}${String.fromCharCode(code >> 8, code & 255)}`;
}

/** Is told what arrives. Buffers are only valid during the call. */
export interface FrameHandler {
  /** A whole text message. */
  message(bytes: Buffer): void;
  /** A control frame: close, ping or pong. */
  control(opcode: number, payload: Buffer): void;
}

/**
 * Cuts a client's bytes into messages. Whole frames are unmasked where they lie and handed on; only what is incomplete is copied. It
 * never holds more than a message may have, and grows with what has arrived, not with what was announced.
 */
export class FrameReader {
  readonly #handler: FrameHandler;
  /** The longest message that is taken. */
  maxBytes: number;
  #held: Buffer | undefined = undefined;
  #heldLength = 0;
  /** Payloads of the frames of an unfinished message. */
  #message: Buffer | undefined = undefined;
  #messageLength = 0;
  #isInMessage = false;
  #isStopped = false;
  #isPaused = false;

  constructor(handler: FrameHandler, maxBytes: number) {
    this.#handler = handler;
    this.maxBytes = maxBytes;
  }

  /** Bytes that are held: of an unfinished message, also when that has only begun, or because of a pause. */
  get pendingBytes(): number {
    return this.#heldLength + this.#messageLength + (this.#isInMessage ? 1 : 0);
  }

  /** Nothing is told any more. */
  stop(): void {
    this.#isStopped = true;
    this.#held = this.#message = undefined;
  }

  /** Nothing is told until `resume`; what is written meanwhile is kept. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on with what was kept. Throws as `write` does. */
  resume(): void {
    this.#isPaused = false;
    if (this.#held && !this.#isStopped) this.#read(this.#held.subarray(0, this.#heldLength));
  }

  /** Reads bytes, which it may change. Throws FrameError for what is no good, and whatever the handler throws. */
  write(chunk: Buffer): void {
    if (this.#isStopped) return;
    if (this.#held) this.#read(this.#hold(chunk));
    else this.#read(chunk);
  }

  #read(bytes: Buffer): void {
    let at = 0;
    while (!this.#isStopped && !this.#isPaused) {
      const end = this.#readFrame(bytes, at);
      if (end === 0) break;
      at = end;
    }
    if (this.#isStopped) return;
    if (at === bytes.length) {
      this.#held = undefined;
      this.#heldLength = 0;
    } else if (!this.#held) this.#keep(bytes.subarray(at));
    else if (at > 0) {
      bytes.copyWithin(0, at);
      this.#heldLength = bytes.length - at;
    }
  }

  #keep(bytes: Buffer): void {
    this.#held = Buffer.allocUnsafeSlow(Math.max(64, bytes.length * 2));
    this.#heldLength = bytes.copy(this.#held);
  }

  /** Adds bytes to those that are held, in a buffer that doubles; returns all of them. */
  #hold(chunk: Buffer): Buffer {
    this.#held = append(this.#held!, this.#heldLength, chunk);
    this.#heldLength += chunk.length;
    return this.#held.subarray(0, this.#heldLength);
  }

  /** Where the frame at `at` ends; 0 while it is not complete. */
  #readFrame(bytes: Buffer, at: number): number {
    if (bytes.length - at < 2) return 0;
    const first = bytes[at]!;
    const second = bytes[at + 1]!;
    this.#check(first, second);
    let length = second & 0x7f;
    let start = at + 2;
    if (length === 126) {
      start += 2;
      if (bytes.length < start) return 0;
      length = bytes.readUInt16BE(at + 2);
      if (length < 126) throw new FrameError(CLOSE.protocol, 'a length longer than it needs to be');
    } else if (length === 127) {
      start += 8;
      if (bytes.length < start) return 0;
      if (bytes.readUInt32BE(at + 2) !== 0) throw new FrameError(CLOSE.tooBig, 'a frame beyond all bounds');
      length = bytes.readUInt32BE(at + 6);
      if (length < 0x10000) throw new FrameError(CLOSE.protocol, 'a length longer than it needs to be');
    }
    if (first % 16 < 8 && this.#messageLength + length > this.maxBytes) throw new FrameError(CLOSE.tooBig, 'a message too long');
    const payload = start + 4;
    const end = payload + length;
    if (bytes.length < end) return 0;
    unmask(bytes, start, payload, end);
    this.#take(first, bytes.subarray(payload, end));
    return end;
  }

  #check(first: number, second: number): void {
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) throw new FrameError(CLOSE.protocol, 'reserved bits without an extension');
    if ((second & 0x80) === 0) throw new FrameError(CLOSE.protocol, 'a frame without a mask');
    if (opcode >= 8) {
      if (opcode > OPCODE.pong) throw new FrameError(CLOSE.protocol, 'an unknown opcode');
      if ((first & 0x80) === 0 || (second & 0x7f) > 125) throw new FrameError(CLOSE.protocol, 'a control frame in pieces');
    } else if (opcode > OPCODE.binary) throw new FrameError(CLOSE.protocol, 'an unknown opcode');
    else if (opcode === OPCODE.binary) throw new FrameError(CLOSE.unsupported, 'binary data');
    else if ((opcode === OPCODE.continuation) !== this.#isInMessage) {
      throw new FrameError(CLOSE.protocol, 'a message within another, or the end of none');
    }
  }

  #take(first: number, payload: Buffer): void {
    const opcode = first & 0x0f;
    if (opcode >= 8) return this.#handler.control(opcode, payload);
    const isFinal = first >= 0x80;
    if (isFinal && opcode === OPCODE.text) return this.#handler.message(payload);
    this.#isInMessage = !isFinal;
    this.#message = append(this.#message ?? Buffer.alloc(0), this.#messageLength, payload);
    this.#messageLength += payload.length;
    if (!isFinal) return;
    const message = this.#message.subarray(0, this.#messageLength);
    this.#message = undefined;
    this.#messageLength = 0;
    this.#handler.message(message);
  }
}

function append(buffer: Buffer, length: number, more: Buffer): Buffer {
  const needed = length + more.length;
  let target = buffer;
  if (needed > buffer.length) {
    target = Buffer.allocUnsafeSlow(Math.max(64, needed * 2));
    buffer.copy(target, 0, 0, length);
  }
  more.copy(target, length);
  return target;
}

/** Section 5.3. */
function unmask(bytes: Buffer, mask: number, start: number, end: number): void {
  const a = bytes[mask]!;
  const b = bytes[mask + 1]!;
  const c = bytes[mask + 2]!;
  const d = bytes[mask + 3]!;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    bytes[i]! ^= a;
    bytes[i + 1]! ^= b;
    bytes[i + 2]! ^= c;
    bytes[i + 3]! ^= d;
  }
  if (i < end) bytes[i]! ^= a;
  if (i + 1 < end) bytes[i + 1]! ^= b;
  if (i + 2 < end) bytes[i + 2]! ^= c;
}
