// The PROXY protocol, versions 1 and 2: a proxy's first words about whom it speaks for.
import { isIPv4, isIPv6, type Socket } from 'node:net';
import ipaddr from 'ipaddr.js';
import { type Origin, readAddress } from './addresses.ts';

/** What a proxy says about a connection. */
export interface ProxyHeader {
  /** Bytes of the header. */
  readonly length: number;
  /** The client; undefined when the proxy speaks for itself, as it does to see whether we are there. */
  readonly origin: Origin | undefined;
}

/** Version 1: a line of at most 107 bytes with its end (section 2.1). */
const MAX_LINE = 107;
/** Version 2 may be longer by what proxies add; ours know no use for more than this. */
const MAX_BINARY = 4096;
const TIMEOUT = 5000;
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const WORD = Buffer.from('PROXY ', 'latin1');
const HEAD = 16;
const TLV_SSL = 0x20;
const CLIENT_SSL = 0x01;

/** Bytes before the addresses' end, by family and protocol (section 2.2): TCP over IPv4 and IPv6. */
const ADDRESSES: ReadonlyMap<number, number> = new Map([
  [0x11, 12],
  [0x21, 36],
]);

/**
 * Reads the header at the beginning of what a proxy has sent. Undefined while it is not complete; throws an Error as soon as it
 * cannot become one. What is neither TCP nor unspecified is refused.
 */
export function parseProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (startsLike(bytes, SIGNATURE)) return bytes.length < HEAD ? undefined : parseBinary(bytes);
  if (startsLike(bytes, WORD)) return parseLine(bytes);
  throw new Error('no PROXY header');
}

function startsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}

function parseLine(bytes: Buffer): ProxyHeader | undefined {
  const text = bytes.toString('latin1', 0, MAX_LINE);
  const end = text.indexOf('\r\n');
  if (end < 0) {
    if (text.length >= MAX_LINE) throw new Error('the line is too long');
    return undefined;
  }
  const line = text.slice(0, end);
  const length = end + 2;
  // Section 2.1: whatever follows UNKNOWN is ignored.
  if (line === 'PROXY UNKNOWN' || line.startsWith('PROXY UNKNOWN ')) return { length, origin: undefined };
  const match = /^PROXY TCP([46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) (\d{1,5}) (\d{1,5})$/.exec(line);
  if (!match) throw new Error('the line is malformed');
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = ''] = match;
  const isAddress = family === '4' ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) throw new Error('an address is malformed');
  const port = readPort(sourcePort);
  readPort(destinationPort);
  return { length, origin: { address: readAddress(source) ?? source, port } };
}

function readPort(text: string): number {
  const port = Number(text);
  if (port > 65_535 || String(port) !== text) throw new Error('a port is malformed');
  return port;
}

function parseBinary(bytes: Buffer): ProxyHeader | undefined {
  const command = bytes[12]!;
  if (command !== 0x20 && command !== 0x21) throw new Error('an unknown version or command');
  const rest = bytes.readUInt16BE(14);
  const length = HEAD + rest;
  if (length > MAX_BINARY) throw new Error('the header is too long');
  if (bytes.length < length) return undefined;
  const family = bytes[13]!;
  // LOCAL, and unspecified families: the connection speaks for itself (section 2.2).
  if (command === 0x20 || family === 0x00) return { length, origin: undefined };
  const size = ADDRESSES.get(family);
  if (size === undefined) throw new Error('an address family that is not taken here');
  if (rest < size) throw new Error('the addresses are cut off');
  const isShort = size === 12;
  const address = ipaddr.fromByteArray([...bytes.subarray(HEAD, HEAD + (isShort ? 4 : 16))]).toString();
  const port = bytes.readUInt16BE(HEAD + (isShort ? 8 : 32));
  return {
    length,
    origin: { address: readAddress(address) ?? address, port, secure: readSecure(bytes.subarray(HEAD + size, length)) },
  };
}

/** Goes through the additions (section 2.2.2) and looks for the one about TLS. */
function readSecure(bytes: Buffer): boolean {
  let isSecure = false;
  for (let at = 0; at < bytes.length; ) {
    if (at + 3 > bytes.length) throw new Error('an addition is cut off');
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) throw new Error('an addition is cut off');
    if (bytes[at] === TLV_SSL && end > at + 3) isSecure = (bytes[at + 3]! & CLIENT_SSL) !== 0;
    at = end;
  }
  return isSecure;
}

/**
 * Reads the header from a paused socket and leaves the rest in it. Tells the header, or the Error for which the connection is to be
 * closed: malformed, or not there in time. Told once; never when the peer closes before.
 */
export function readProxyHeader(socket: Socket, done: (result: ProxyHeader | Error) => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => finish(new Error('it did not come in time')), TIMEOUT);
  const finish = (result: ProxyHeader | Error) => {
    stop();
    done(result);
  };
  const stop = () => {
    clearTimeout(timer);
    socket.off('readable', read).off('end', close);
  };
  const close = () => void socket.destroy();
  const read = () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    chunks.push(chunk);
    size += chunk.length;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, size);
    try {
      const header = parseProxyHeader(bytes);
      if (!header) return;
      stop();
      socket.pause();
      if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
      done(header);
    } catch (error) {
      finish(error as Error);
    }
  };
  socket.on('readable', read).on('end', close).once('close', stop).on('error', ignore);
}

function ignore(): void {}
