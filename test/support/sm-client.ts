import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Element } from 'ltx';
import type { Session } from '../../src/c2s/session.ts';
import type { C2sStream } from '../../src/c2s/stream.ts';
import { silent } from '../../src/log.ts';
import type { Transport } from '../../src/net/transport.ts';
import { openStorage } from '../../src/storage/open.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { FakeTransport, read } from './fake-transport.ts';
import { settle } from './probe.ts';
import type { TestHost } from './start-host.ts';

/** The namespace of stream management (XEP-0198). */
export const NS_SM = 'urn:xmpp:sm:3';
const PATIENCE = 2000;
const NS_BIND = 'urn:ietf:params:xml:ns:xmpp-bind';

/** How a client connects. */
export interface SmOptions {
  readonly resource?: string;
  readonly kind?: Transport['kind'];
  readonly isGuest?: boolean;
}

/** How it resumes; what is not said is as a client would say it that does everything right. */
export interface ResumeOptions {
  readonly kind?: Transport['kind'];
  readonly previd?: string;
  readonly h?: number | string;
  readonly username?: string;
}

/** A client that knows stream management: one session, over as many lines as it takes. It counts, but acknowledges only what it is told to. */
export class SmClient {
  /** Where it connects to; another one after a restart. */
  host: TestHost;
  readonly username: string;
  /** What it would be told by `<enabled/>`. */
  id = '';
  /** Stanzas it has got since stream management was enabled. */
  h = 0;
  /** The `h` the server told last. */
  told = 0;
  stream: C2sStream;
  line: FakeTransport;
  readonly #stanzas: Element[] = [];
  readonly #others: Element[] = [];
  readonly #news = new EventEmitter();
  #session: Session | undefined = undefined;
  #isCounting = false;
  /** The `h` it has asked to resume with. */
  #asked = 0;
  #ids = 0;

  private constructor(host: TestHost, username: string, kind: Transport['kind'], isGuest = false) {
    this.host = host;
    this.username = username;
    [this.stream, this.line] = this.#open(kind, username, isGuest);
  }

  /** Logs in without binding. */
  static async connect(host: TestHost, username: string, { kind = 'websocket', isGuest }: SmOptions = {}): Promise<SmClient> {
    if (!isGuest && !(await host.host.accounts.exists(username))) await host.host.accounts.create(username, 'secret');
    return new SmClient(host, username, kind, isGuest);
  }

  /** Logs in and binds. */
  static async bind(host: TestHost, username: string, options: SmOptions = {}): Promise<SmClient> {
    const client = await SmClient.connect(host, username, options);
    await client.bind(options.resource);
    return client;
  }

  /** Logs in, binds, and enables stream management. */
  static async managed(host: TestHost, username: string, options: SmOptions = {}): Promise<SmClient> {
    const client = await SmClient.bind(host, username, options);
    await client.enable();
    return client;
  }

  /** All that, and it is available, and has acknowledged what came for it. */
  static async online(host: TestHost, username: string, options: SmOptions = {}): Promise<SmClient> {
    const client = await SmClient.managed(host, username, options);
    await client.appear();
    return client;
  }

  get session(): Session {
    assert(this.#session, 'it is not bound');
    return this.#session;
  }

  get jid(): string {
    return this.session.jid.full;
  }

  /** Whether the line is there. */
  get isConnected(): boolean {
    return !this.line.isEnded;
  }

  async bind(resource?: string): Promise<void> {
    const wish = resource === undefined ? '' : `<resource>${resource}</resource>`;
    this.send(`<iq type='set' id='bind'><bind xmlns='${NS_BIND}'>${wish}</bind></iq>`);
    const answer = await this.receive('iq');
    assert.equal(answer.attrs['type'], 'result', String(answer));
    this.#session = this.stream.session;
  }

  /** Enables stream management; returns the answer. */
  async enable(attrs = "resume='true'"): Promise<Element> {
    this.send(`<enable xmlns='${NS_SM}' ${attrs}/>`);
    return this.element();
  }

  /** Sends presence, and acknowledges all that has come. */
  async appear(presence = '<presence/>'): Promise<void> {
    this.send(presence);
    await settle();
    this.take();
    this.ack();
    await settle();
    this.takeElements();
  }

  /** Sends anything as XML; `xmlns='jabber:client'` is added when it has none. */
  send(xml: string): void {
    const root = /^\s*<[^>]*>/.exec(xml)?.[0] ?? '';
    this.line.feed(/\sxmlns=/.test(root) ? xml : xml.replace(/^\s*<([^\s/>]+)/, "<$1 xmlns='jabber:client'"));
  }

  /** The next stanza. */
  async receive(name?: string): Promise<Element> {
    const stanza = await this.#next(this.#stanzas);
    if (name !== undefined) assert.equal(stanza.name, name, `expected <${name}/>, got ${stanza}`);
    return stanza;
  }

  /** The next element that is not a stanza, but for requests to acknowledge where they are not asked for. */
  async element(name?: string): Promise<Element> {
    for (;;) {
      const element = await this.#next(this.#others);
      if (name === undefined && element.name === 'r') continue;
      if (name !== undefined) assert.equal(element.name, name, `expected <${name}/>, got ${element}`);
      return element;
    }
  }

  /** Sends a question and returns the answer; other stanzas stay queued. */
  async ask(iq: string): Promise<Element> {
    const id = `ask-${++this.#ids}`;
    this.send(iq.replace(/^\s*<iq/, `<iq id='${id}'`));
    for (;;) {
      const at = this.#stanzas.findIndex(({ name, attrs }) => name === 'iq' && attrs['id'] === id);
      if (at >= 0) return this.#stanzas.splice(at, 1)[0]!;
      await this.#wait();
    }
  }

  /** All stanzas that are queued now. */
  take(): Element[] {
    return this.#stanzas.splice(0);
  }

  /** All other elements that are queued now. */
  takeElements(): Element[] {
    return this.#others.splice(0);
  }

  /** The texts of the messages that have come, once all has been handled. */
  async bodies(): Promise<string[]> {
    await settle();
    return this.take()
      .filter(({ name, attrs }) => name === 'message' && attrs['type'] !== 'error')
      .map((message) => message.getChildText('body') ?? '');
  }

  /** Waits until all that was sent has been handled, then asserts that no stanza has come. */
  async quiet(): Promise<void> {
    await settle();
    assert.deepEqual(this.#stanzas.map(String), []);
  }

  /** Acknowledges what has come, or so much. */
  ack(h: number | string = this.h): void {
    this.send(`<a xmlns='${NS_SM}' h='${h}'/>`);
  }

  /** Asks how much the server has handled. */
  async request(): Promise<number> {
    this.send(`<r xmlns='${NS_SM}'/>`);
    return Number((await this.element()).attrs['h']);
  }

  /** The line breaks. */
  cut(): void {
    this.line.destroy();
  }

  /** Closes the stream as a client that leaves. */
  leave(): void {
    this.line.feed(this.line.framed ? "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>" : '</stream:stream>');
  }

  /** Asks to resume over a new line; returns what it is answered. What the server tells there is counted. */
  async resume(options: ResumeOptions = {}): Promise<Element> {
    this.startToResume(options);
    return this.element();
  }

  /** As above, without waiting for the answer. What was said over the old line, but for stanzas, is forgotten. */
  startToResume({ kind = 'websocket', previd = this.id, h = this.h, username = this.username }: ResumeOptions = {}): void {
    [this.stream, this.line] = this.#open(kind, username, false);
    this.takeElements();
    this.#asked = Number(h);
    this.send(`<resume xmlns='${NS_SM}' previd='${previd}' h='${h}'/>`);
  }

  #open(kind: Transport['kind'], username: string, isGuest: boolean): [C2sStream, FakeTransport] {
    const line = new FakeTransport(kind);
    const stream = this.host.c2s.accept(line);
    const { domain } = this.host.host;
    const attrs = `to='${domain}' version='1.0'`;
    if (line.framed) line.feed(`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' ${attrs}/>`);
    else line.feed(`<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ${attrs}>`);
    stream.authenticate(username, isGuest);
    line.onSend = (text) => this.#take(line, text);
    return [stream, line];
  }

  /** What comes over a line that was given up is lost. */
  #take(line: FakeTransport, text: string): void {
    if (line !== this.line || text.startsWith('</stream') || text.includes("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'"))
      return;
    const element = read(text.replace(/^<(message|presence|iq)(?![^>]* xmlns=)/, "<$1 xmlns='jabber:client'"));
    const isStanza = element.name === 'message' || element.name === 'presence' || element.name === 'iq';
    if (isStanza && this.#isCounting) this.h++;
    (isStanza ? this.#stanzas : this.#others).push(element);
    if (element.name === 'enabled') {
      this.id = String(element.attrs['id'] ?? '');
      this.#isCounting = true;
    }
    if (element.name === 'resumed') this.h = this.#asked;
    if (element.name === 'a' || element.name === 'resumed') this.told = Number(element.attrs['h']);
    this.#news.emit('element');
  }

  async #next(queue: Element[]): Promise<Element> {
    while (queue.length === 0) await this.#wait();
    return queue.shift()!;
  }

  async #wait(): Promise<void> {
    try {
      await once(this.#news, 'element', { signal: AbortSignal.timeout(PATIENCE) });
    } catch {
      const queued = [...this.#stanzas, ...this.#others].join(' ') || 'nothing';
      throw new assert.AssertionError({ message: `nothing came for ${this.username}; queued: ${queued}` });
    }
  }
}

/** A chat message with this text. */
export function chat(to: string, body: string, more = ''): string {
  return `<message type='chat' to='${to}'><body>${body}</body>${more}</message>`;
}

/** The condition in a `<failed/>`, or in an error of a stream or a stanza. */
export function conditionOf(element: Element): string | undefined {
  const error = element.name === 'failed' || element.name === 'stream:error' ? element : element.getChild('error');
  return error?.getChildElements()[0]?.name;
}

/** When a message was sent, as the delay in it says (XEP-0203); undefined when there is none. */
export function delayOf(message: Element): string | undefined {
  return message.getChild('delay', 'urn:xmpp:delay')?.attrs['stamp'] as string | undefined;
}

/** A disk that outlives the servers that use it, one after the other. */
export class Disk {
  readonly #storage: Storage;
  #life = {};

  private constructor(storage: Storage) {
    this.#storage = storage;
  }

  static async create(): Promise<Disk> {
    return new Disk(await openStorage({ type: 'memory' }, silent));
  }

  /** As the next server sees it. What earlier ones still have in hand comes to nothing from here on: they have crashed, or been stopped. */
  mount(): Storage {
    const life = {};
    this.#life = life;
    const guard = <T extends object>(target: T): T => new Proxy(target, { get: (_, name) => guarded(target, name) });
    const guarded = (target: object, name: string | symbol): unknown => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'close') return async () => {};
      if (name === 'open') return async (...args: unknown[]) => guardAll(await (value.apply(target, args) as Promise<object>));
      return (...args: unknown[]): unknown => (this.#life === life ? value.apply(target, args) : new Promise(() => {}));
    };
    const guardAll = (stores: object) =>
      Object.fromEntries(Object.entries(stores).map(([name, store]) => [name, guard(store as object)]));
    return guard(this.#storage);
  }

  /** Frees it. */
  close(): Promise<void> {
    return this.#storage.close();
  }
}
