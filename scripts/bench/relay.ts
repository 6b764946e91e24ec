// The floor for anything written for Node: cuts the byte stream at </message>, looks up the receiver and writes the same bytes on, or
// to everybody in a room. Nobody is told who else is in there.
// No parsing, no rules, no storage, any password; just enough of a handshake for xmppload to log in.
// node relay.js <port> <WebSocket port> <certificate> <key>
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { latin1 } from '../../src/xml/wire.ts';

const [port, webPort, certificate, key] = process.argv.slice(2) as [string, string, string, string];
const secureContext = createSecureContext({ cert: readFileSync(certificate), key: readFileSync(key) });

const HEADER =
  "<?xml version='1.0'?><stream:stream from='localhost' id='x' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
const OPEN = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' from='localhost' id='x' version='1.0'/>";
const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const FEATURES_BEFORE = `<stream:features xmlns:stream='http://etherx.jabber.org/streams'><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms xmlns='${SASL}'><mechanism>PLAIN</mechanism></mechanisms></stream:features>`;
const FEATURES_AFTER =
  "<stream:features xmlns:stream='http://etherx.jabber.org/streams'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>";
const MESSAGE_END = Buffer.from('</message>');
const TO = Buffer.from("to='");
/** RFC 6455 section 1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const [LESS_THAN, LETTER_M, QUOTE] = [0x3c, 0x6d, 0x27];

/** Who is online, by bare JID. */
const online = new Map<string, Client>();

/** Who is in which room. */
const rooms = new Map<string, Set<TcpClient>>();

/** What both transports have in common. */
abstract class Client {
  protected socket: Socket;
  protected rest: Buffer | undefined = undefined;
  protected user = '';

  constructor(socket: Socket) {
    this.socket = socket;
    this.listen(socket);
  }

  /** Writes a whole element. */
  abstract send(element: string): void;
  /** Takes what has arrived; returns how much of it was whole. */
  protected abstract take(data: Buffer): number;

  protected listen(socket: Socket): void {
    this.socket = socket;
    socket.on('data', (chunk) => {
      const data = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
      this.rest = undefined;
      const taken = this.take(data);
      if (taken < data.length) this.rest = Buffer.from(data.subarray(taken));
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      if (online.get(this.user) === this) online.delete(this.user);
    });
  }

  protected logIn(auth: string): void {
    const [, encoded = ''] = />([^<]*)</.exec(auth) ?? [];
    const [, name = ''] = Buffer.from(encoded, 'base64').toString().split('\0');
    this.user = `${name}@localhost`;
    this.send(`<success xmlns='${SASL}'/>`);
  }

  /** Answers an element that is no message. */
  protected control(element: string): void {
    if (!element.startsWith('<iq')) return;
    const id = /id='([^']*)'/.exec(element)?.[1];
    if (element.includes('xmpp-bind')) {
      online.set(this.user, this);
      this.send(
        `<iq type='result' id='${id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>${this.user}/load</jid></bind></iq>`,
      );
    } else if (element.includes('jabber:iq:roster'))
      this.send(`<iq type='result' id='${id}'><query xmlns='jabber:iq:roster'/></iq>`);
    else this.send(`<iq type='result' id='${id}'/>`);
  }
}

class TcpClient extends Client {
  #isOnline = false;

  override send(element: string): void {
    this.socket.write(element);
  }

  protected override listen(socket: Socket): void {
    super.listen(socket);
    socket.on('close', () => {
      for (const occupants of rooms.values()) occupants.delete(this);
    });
  }

  protected override take(data: Buffer): number {
    if (!this.#isOnline) {
      this.#handshake(latin1(data, 0, data.length));
      return data.length;
    }
    let at = 0;
    let start = 0;
    let receiver: TcpClient | undefined;
    while (at < data.length) {
      const isMessage = data[at] === LESS_THAN && data[at + 1] === LETTER_M;
      const end = isMessage ? messageEnd(data, at) : controlEnd(data, at);
      if (end < 0) break;
      const to = isMessage ? addressee(data, at) : '';
      const next = online.get(to) as TcpClient | undefined;
      // What follows each other to the same receiver is written in one piece.
      if (next !== receiver) {
        receiver?.socket.write(data.subarray(start, at));
        receiver = next;
        start = at;
      }
      if (!isMessage) this.#control(latin1(data, at, end));
      else if (!next) for (const { socket } of rooms.get(to) ?? []) socket.write(data.subarray(at, end));
      at = end;
    }
    receiver?.socket.write(data.subarray(start, at));
    return at;
  }

  #handshake(text: string): void {
    if (text.includes('<stream:stream')) {
      this.#isOnline = this.user !== '';
      this.send(HEADER + (this.#isOnline ? FEATURES_AFTER : FEATURES_BEFORE));
    } else if (text.includes('<starttls')) {
      const { socket } = this;
      this.send("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
      socket.removeAllListeners('data');
      this.listen(new TLSSocket(socket, { isServer: true, secureContext }));
    } else if (text.includes('<auth')) this.logIn(text);
  }

  #control(element: string): void {
    if (element.startsWith('</stream')) this.socket.end('</stream:stream>');
    else if (element.startsWith('<presence')) this.#join(element);
    else this.control(element);
  }

  #join(presence: string): void {
    const [, occupant, room] = / to='(([^'/]*)[^']*)'/.exec(presence) ?? [];
    if (occupant === undefined || room === undefined) return;
    const occupants = rooms.get(room) ?? new Set();
    rooms.set(room, occupants.add(this));
    this.send(`<presence from='${occupant}'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>`);
  }
}

/** RFC 7395: one element in each WebSocket message. */
class WebSocketClient extends Client {
  #isUpgraded = false;

  override send(element: string): void {
    const payload = Buffer.from(element);
    this.socket.write(
      Buffer.concat([payload.length < 126 ? Buffer.of(0x81, payload.length) : wideHead(payload.length), payload]),
    );
  }

  protected override take(data: Buffer): number {
    if (!this.#isUpgraded) return this.#upgrade(data);
    let at = 0;
    while (at + 6 <= data.length) {
      const isWide = (data[at + 1]! & 0x7f) === 126;
      const length = isWide ? data.readUInt16BE(at + 2) : data[at + 1]! & 0x7f;
      const mask = at + (isWide ? 4 : 2);
      const start = mask + 4;
      const end = start + length;
      if (end > data.length) break;
      for (let i = 0; i < length; i++) data[start + i]! ^= data[mask + (i & 3)]!;
      if ((data[at]! & 15) === 1) this.#element(data, start, end);
      else this.socket.end();
      at = end;
    }
    return at;
  }

  #upgrade(data: Buffer): number {
    const end = data.indexOf('\r\n\r\n');
    if (end < 0) return 0;
    const [, nonce = ''] = /Sec-WebSocket-Key: (.*)\r\n/.exec(latin1(data, 0, end)) ?? [];
    const accept = createHash('sha1')
      .update(nonce + WEBSOCKET_GUID)
      .digest('base64');
    this.socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n`,
    );
    this.#isUpgraded = true;
    return data.length;
  }

  #element(data: Buffer, start: number, end: number): void {
    if (data[start + 1] === LETTER_M) {
      const receiver = online.get(addressee(data, start)) as WebSocketClient | undefined;
      // Without a mask the head is shorter, so it fits in front of the payload where the old one stood.
      const length = end - start;
      const head = start - (length < 126 ? 2 : 4);
      data[head] = 0x81;
      if (length < 126) data[head + 1] = length;
      else {
        data[head + 1] = 126;
        data.writeUInt16BE(length, head + 2);
      }
      receiver?.socket.write(data.subarray(head, end));
      return;
    }
    const text = latin1(data, start, end);
    if (text.startsWith('<open')) {
      this.send(OPEN);
      this.send(this.user === '' ? FEATURES_BEFORE : FEATURES_AFTER);
    } else if (text.startsWith('<auth')) this.logIn(text);
    else if (text.startsWith('<close')) this.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
    else this.control(text);
  }
}

function messageEnd(data: Buffer, at: number): number {
  const end = data.indexOf(MESSAGE_END, at);
  return end < 0 ? -1 : end + MESSAGE_END.length;
}

function addressee(data: Buffer, at: number): string {
  const start = data.indexOf(TO, at) + TO.length;
  return latin1(data, start, data.indexOf(QUOTE, start));
}

/** Where the element at this place ends, or -1. */
function controlEnd(data: Buffer, at: number): number {
  const close = data.indexOf('>', at);
  if (close < 0) return -1;
  if (data[close - 1] === 0x2f || data[at + 1] === 0x2f) return close + 1;
  const [, name = ''] = /^<([\w:]+)/.exec(latin1(data, at, close + 1)) ?? [];
  const end = data.indexOf(`</${name}>`, at);
  return end < 0 ? -1 : end + name.length + 3;
}

function wideHead(length: number): Buffer {
  const head = Buffer.of(0x81, 126, 0, 0);
  head.writeUInt16BE(length, 2);
  return head;
}

const options = { noDelay: true };
createServer(options, (socket) => new TcpClient(socket)).listen(Number(port), '127.0.0.1', 1024);
createServer(options, (socket) => new WebSocketClient(socket)).listen(Number(webPort), '127.0.0.1', 1024);
process.on('SIGTERM', () => process.exit(0));
