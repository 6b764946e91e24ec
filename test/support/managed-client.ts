import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Element, parse } from 'ltx';
import { SaxesParser } from 'saxes';
import WebSocket from 'ws';
import type { ServerProcess } from './server-process.ts';

const NS_FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const NS_BIND = 'urn:ietf:params:xml:ns:xmpp-bind';
const NS_SM = 'urn:xmpp:sm:3';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_RSM = 'http://jabber.org/protocol/rsm';
const HEADER =
  "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='localhost' version='1.0'>";
const PING = "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";

/** The line broke before what was waited for had come. */
export class LineBroken extends Error {}

/** What a client makes of what comes over a line. */
interface LineHandler {
  element(element: Element): void;
  ended(): void;
}

/** Elements over a socket. */
interface Line {
  /** Opens a stream, also after log-in. */
  open(): void;
  send(xml: string): void;
  /** Ends the stream in good order. */
  finish(): void;
  pause(): void;
  resume(): void;
  /** Bytes that were sent and that the kernel has not taken. */
  readonly unsent: number;
  cut(): void;
}

class WebSocketLine implements Line {
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket, handler: LineHandler) {
    this.#socket = socket;
    socket.on('message', (data) => handler.element(parse(String(data))));
    socket.on('error', () => {});
    socket.on('close', () => handler.ended());
  }

  static async connect(port: number, handler: LineHandler): Promise<Line> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/xmpp-websocket`, 'xmpp');
    await once(socket, 'open');
    return new WebSocketLine(socket, handler);
  }

  open(): void {
    this.send(`<open xmlns='${NS_FRAMING}' to='localhost' version='1.0'/>`);
  }

  send(xml: string): void {
    this.#socket.send(xml.replace(/^<(iq|message|presence)(?![^>]*\sxmlns=)/, "<$1 xmlns='jabber:client'"));
  }

  finish(): void {
    this.send(`<close xmlns='${NS_FRAMING}'/>`);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get unsent(): number {
    return this.#socket.bufferedAmount;
  }

  cut(): void {
    this.#socket.terminate();
  }
}

class TcpLine implements Line {
  readonly #socket: Socket;
  readonly #handler: LineHandler;
  #parser = new SaxesParser();

  private constructor(socket: Socket, handler: LineHandler) {
    this.#socket = socket;
    this.#handler = handler;
    socket.setEncoding('utf8');
    socket.on('data', (chunk) => void this.#parser.write(String(chunk)));
    socket.on('error', () => {});
    socket.on('close', () => handler.ended());
  }

  static async connect(port: number, handler: LineHandler): Promise<Line> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new TcpLine(socket, handler);
  }

  open(): void {
    this.#parser = this.#newParser();
    this.send(HEADER);
  }

  send(xml: string): void {
    this.#socket.write(xml);
  }

  finish(): void {
    this.#socket.end('</stream:stream>');
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  get unsent(): number {
    return this.#socket.writableLength;
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** Tells of each child of the stream. */
  #newParser(): SaxesParser {
    const parser = new SaxesParser();
    let depth = 0;
    let top: Element | undefined;
    parser.on('opentag', ({ name, attributes }) => {
      if (depth++ === 0) return;
      const element = new Element(name, { ...attributes });
      if (top) top = top.cnode(element);
      else top = element;
    });
    parser.on('text', (text) => void top?.t(text));
    parser.on('closetag', () => {
      depth--;
      const { parent } = top ?? {};
      if (top && !parent) this.#handler.element(top);
      top = parent ?? undefined;
    });
    parser.on('error', () => {});
    return parser;
  }
}

/** Something the client has said, and wants to be sure of. */
export interface Said {
  /** In how many sessions it was said; more than one when a session ended before it was acknowledged. */
  attempt: number;
  isAcknowledged: boolean;
  /** The stanza, for each attempt. */
  write(attempt: number): string;
}

/** What kind of client it is. */
export interface ClientSettings {
  readonly server: ServerProcess;
  readonly username: string;
  readonly password: string;
  readonly resource: string;
  readonly transport: 'tcp' | 'websocket';
  /** Whether it uses stream management. */
  readonly confirms: boolean;
  /** Told of every message that comes. */
  message(message: Element): void;
}

/** How a connection began. */
export type Start = 'resumed' | 'new' | 'refused';

/**
 * A client that keeps its session over broken lines (XEP-0198): it resumes, and says again what was not acknowledged; where that fails it
 * begins another session, and says there what nobody has acknowledged. Without stream management the answer to a ping acknowledges.
 */
export class ManagedClient {
  readonly settings: ClientSettings;
  /** Sessions so far. */
  sessions = 0;
  /** Stanzas that came in this session: the `h` to tell. */
  received = 0;
  /** Whether it answers when it is asked what it has got. */
  answers = true;
  /** What it has said and nobody has acknowledged, oldest first. */
  outbox: Said[] = [];
  #line: Line | undefined = undefined;
  readonly #ghosts: Line[] = [];
  #previous: string | undefined = undefined;
  #isCounting = false;
  /** Whether what it says goes out at once. */
  #speaks = false;
  /** The stanzas of this session that were not acknowledged: the server's next is the first. */
  #unacknowledged: { readonly xml: string; readonly said: Said | undefined }[] = [];
  #acknowledged = 0;
  readonly #waiting = new Set<{
    matches(element: Element): boolean;
    resolve(element: Element): void;
    reject(error: Error): void;
  }>();
  #ids = 0;

  constructor(settings: ClientSettings) {
    this.settings = settings;
  }

  /** Whether a line is open. */
  get isConnected(): boolean {
    return this.#line !== undefined;
  }

  /** Whether there is a session that it would resume. */
  get canResume(): boolean {
    return this.#previous !== undefined;
  }

  /** Bytes that were sent and that the kernel has not taken. */
  get unsent(): number {
    return this.#line?.unsent ?? 0;
  }

  /** Connects, logs in and goes on; a new session is kept for `max` seconds at most. Rejects with LineBroken. */
  async connect(max?: number): Promise<Start> {
    const { server, transport } = this.settings;
    let line: Line | undefined;
    const handler = {
      element: (element: Element) => line === this.#line && this.#take(element),
      ended: () => this.#ended(line),
    };
    try {
      line = await (transport === 'tcp' ? TcpLine.connect(server.c2s, handler) : WebSocketLine.connect(server.http, handler));
    } catch {
      throw new LineBroken('nobody is there');
    }
    this.#line = line;
    this.#isCounting = false;
    await this.#logIn(line);
    const wasRefused = this.#previous !== undefined;
    if (wasRefused && (await this.#resume())) return 'resumed';
    await this.#begin(max);
    return wasRefused ? 'refused' : 'new';
  }

  /**
   * Makes sure that the server knows what came, and has said so: none of it may come again. Returns how many stanzas of this session that
   * are. Without stream management this acknowledges what was said.
   */
  async checkpoint(): Promise<number> {
    const { received, outbox } = this;
    const said = [...outbox];
    this.confirm();
    await this.ask(PING);
    if (!this.settings.confirms) for (const each of said) this.#acknowledge(each);
    return received;
  }

  /** Says something, now or when there is a line. */
  say(write: (attempt: number) => string): Said {
    const said: Said = { attempt: 0, isAcknowledged: false, write };
    this.outbox.push(said);
    if (this.#speaks) this.#speak(said);
    return said;
  }

  /** Sends a stanza. */
  send(xml: string): void {
    this.#push(xml, undefined);
  }

  /** Asks what the server has got. */
  request(): void {
    if (this.#isCounting) this.#line?.send(`<r xmlns='${NS_SM}'/>`);
  }

  /** Tells what has come. */
  confirm(): void {
    if (this.#isCounting) this.#line?.send(`<a xmlns='${NS_SM}' h='${this.received}'/>`);
  }

  /** Sends a request and waits for its answer. */
  ask(iq: string): Promise<Element> {
    const id = `m${++this.#ids}`;
    const answer = this.until(({ name, attrs }) => name === 'iq' && attrs['id'] === id && attrs['type'] !== 'get');
    this.send(iq.replace(/^<iq/, `<iq id='${id}'`));
    return answer;
  }

  /** The next element like this. Rejects with LineBroken. */
  until(matches: (element: Element) => boolean): Promise<Element> {
    if (!this.#line) return Promise.reject(new LineBroken('there is no line'));
    return new Promise((resolve, reject) => this.#waiting.add({ matches, resolve, reject }));
  }

  /** Reads its archive behind this id; the results come as messages. Calls back with the last id of each page. */
  async readArchive(after: string | undefined, reached: (last: string) => void): Promise<void> {
    for (let from = after; ; ) {
      const at = from === undefined ? '' : `<after>${from}</after>`;
      const set = `<set xmlns='${NS_RSM}'><max>100</max>${at}</set>`;
      const answer = await this.ask(`<iq type='set'><query xmlns='${NS_MAM}'>${set}</query></iq>`);
      const fin = answer.getChild('fin');
      if (!fin) throw new Error(`the archive was not read: ${answer}`);
      const last = fin.getChild('set')?.getChildText('last');
      if (last) reached((from = last));
      if (fin.attrs['complete'] === 'true') return;
    }
  }

  /** Reads nothing for now. */
  pause(): void {
    this.#line?.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#line?.resume();
  }

  /** Breaks the line. */
  cut(): void {
    const line = this.#line;
    this.#ended(line);
    line?.cut();
  }

  /** Turns away from the line without anybody at the other end noticing. */
  abandon(): void {
    const line = this.#line;
    if (!line) return;
    line.pause();
    this.#ghosts.push(line);
    this.#ended(line);
  }

  /** Forgets its session, as a client that was killed does. What it has got, and what was not acknowledged, it still knows. */
  forget(): void {
    this.cut();
    this.#previous = undefined;
  }

  /** Ends its session. */
  finish(): void {
    this.#previous = undefined;
    this.#line?.finish();
    this.#ended(this.#line);
  }

  /** Closes all lines. */
  close(): void {
    this.cut();
    for (const line of this.#ghosts.splice(0)) line.cut();
  }

  // ---- Beginning

  async #logIn(line: Line): Promise<void> {
    const { username, password } = this.settings;
    const isFeatures = ({ name }: Element) => name === 'stream:features';
    const secret = Buffer.from(`\0${username}\0${password}`).toString('base64');
    line.open();
    await this.until(isFeatures);
    line.send(`<auth xmlns='${NS_SASL}' mechanism='PLAIN'>${secret}</auth>`);
    const answer = await this.until(({ name }) => name === 'success' || name === 'failure');
    if (answer.name === 'failure') throw new Error(`log-in failed: ${answer}`);
    line.open();
    await this.until(isFeatures);
  }

  async #resume(): Promise<boolean> {
    this.#line!.send(`<resume xmlns='${NS_SM}' h='${this.received}' previd='${this.#previous}'/>`);
    const answer = await this.until(({ name }) => name === 'resumed' || name === 'failed');
    if (answer.name === 'resumed') return true;
    // How far it had come is told where that is known (XEP-0198 section 5).
    if (answer.attrs['h'] !== undefined) this.#settle(Number(answer.attrs['h']));
    this.#previous = undefined;
    return false;
  }

  async #begin(max: number | undefined): Promise<void> {
    const { resource, confirms } = this.settings;
    this.sessions++;
    this.#unacknowledged = [];
    this.#acknowledged = 0;
    this.received = 0;
    const bound = await this.ask(`<iq type='set'><bind xmlns='${NS_BIND}'><resource>${resource}</resource></bind></iq>`);
    if (bound.attrs['type'] !== 'result') throw new Error(`not bound: ${bound}`);
    if (confirms) {
      const limit = max === undefined ? '' : ` max='${max}'`;
      this.#line!.send(`<enable xmlns='${NS_SM}' resume='true'${limit}/>`);
      await this.until(({ name }) => name === 'enabled');
    }
    this.#speaks = true;
    for (const said of this.outbox) this.#speak(said);
  }

  #speak(said: Said): void {
    said.attempt++;
    this.#push(said.write(said.attempt), said);
  }

  #push(xml: string, said: Said | undefined): void {
    if (this.#isCounting) this.#unacknowledged.push({ xml, said });
    this.#line?.send(xml);
  }

  // ---- What comes

  #take(element: Element): void {
    const { name, attrs } = element;
    if (name === 'iq' || name === 'message' || name === 'presence') this.received++;
    if (name === 'r' && this.answers) this.confirm();
    else if (name === 'a') this.#settle(Number(attrs['h']));
    else if (name === 'enabled') this.#enabled(element);
    else if (name === 'resumed') this.#resumed(Number(attrs['h']));
    for (const waiting of this.#waiting) {
      if (!waiting.matches(element)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(element);
      break;
    }
    if (name === 'message') this.settings.message(element);
  }

  #enabled({ attrs }: Element): void {
    this.#previous = attrs['id'];
    this.#isCounting = true;
    this.received = 0;
  }

  #resumed(h: number): void {
    this.#settle(h);
    this.#isCounting = true;
    for (const { xml } of this.#unacknowledged) this.#line!.send(xml);
    this.#speaks = true;
    for (const said of this.outbox) if (said.attempt === 0) this.#speak(said);
  }

  /** The server has got so many. */
  #settle(h: number): void {
    const count = (h - this.#acknowledged) >>> 0;
    if (count > this.#unacknowledged.length) throw new Error(`${h} stanzas acknowledged, more than were sent`);
    for (const { said } of this.#unacknowledged.splice(0, count)) if (said) this.#acknowledge(said);
    this.#acknowledged = h;
  }

  #acknowledge(said: Said): void {
    said.isAcknowledged = true;
    const at = this.outbox.indexOf(said);
    if (at >= 0) this.outbox.splice(at, 1);
  }

  #ended(line: Line | undefined): void {
    if (line === undefined || line !== this.#line) return;
    this.#line = undefined;
    this.#isCounting = false;
    this.#speaks = false;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new LineBroken('the line is broken'));
  }
}
