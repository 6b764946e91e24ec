// Clients that are JavaScript themselves: @xmpp/client over TCP with STARTTLS, over direct TLS and over WebSocket; strophe.js and
// stanza.js over WebSocket.
import type { EventEmitter } from 'node:events';
import { client, jid as parseJid, xml } from '@xmpp/client';
import type { Element } from 'ltx';
import { createClient } from 'stanza';
import { $msg, $pres, Strophe } from 'strophe.js';
import WebSocket from 'ws';
import { bare, type LastingPeer, type Login, Sightings } from './peer.ts';

/** A wait long enough for a client to see that its line is broken, and short enough for a test. */
const RECONNECT_AFTER = 20;

const NS_SM = 'urn:xmpp:sm:3';

declare module '@xmpp/client' {
  interface Client {
    readonly options: { service: string };
    readonly streamManagement: EventEmitter;
  }
}

// Browsers have one; Node has none before version 22.
Object.assign(globalThis, { WebSocket });

/** @xmpp/client, by the address it connects to. */
export class XmppClientPeer implements LastingPeer {
  readonly #service: (login: Login) => string;
  readonly #sightings = new Sightings();
  #client: ReturnType<typeof client> | undefined = undefined;

  constructor(service: (login: Login) => string) {
    this.#service = service;
  }

  async start(login: Login): Promise<void> {
    const { username, password, domain } = login;
    const made = client({ service: this.#service(login), domain, username, password });
    this.#client = made;
    Object.assign(made.reconnect, { delay: RECONNECT_AFTER });
    made.streamManagement.on('resumed', () => this.#sightings.note('resumed'));
    made.on('error', (error: Error) => this.#sightings.note('error:', error.message));
    made.on('stanza', (stanza) => {
      const from = bare(String(stanza.attrs['from'] ?? ''));
      if (stanza.is('presence') && stanza.attrs['type'] === undefined) this.#sightings.note('presence', from);
      if (stanza.is('message')) this.#sightings.note('message', from, stanza.getChildText('body') ?? '');
    });
    let canResume = false;
    made.on('nonza', (element: Element) => {
      if (element.getChild('sm', NS_SM)) canResume = true;
      if (element.is('enabled', NS_SM)) this.#sightings.note('enabled');
    });
    await made.start();
    // It miscounts what comes together with the answer to its <enable/>, so that nothing may be said before.
    if (canResume) await this.#sightings.wait('enabled');
    await made.send(xml('presence'));
  }

  /** The next time that it connects, it does so to this address. */
  move(service: string): void {
    this.#client!.options.service = service;
  }

  sees(jid: string): Promise<void> {
    return this.#sightings.wait('presence', jid);
  }

  async send(to: string, body: string): Promise<void> {
    await this.#client!.send(xml('message', { to: parseJid(to).toString(), type: 'chat' }, xml('body', {}, body)));
  }

  got(from: string, body: string): Promise<void> {
    return this.#sightings.wait('message', from, body);
  }

  resumed(times: number): Promise<void> {
    return this.#sightings.waitFor(times, 'resumed');
  }

  heard(from: string): readonly string[] {
    return this.#sightings.all('message', from);
  }

  async stop(): Promise<void> {
    this.#client?.reconnect.stop();
    await this.#client?.stop();
  }
}

/** As much of the DOM as these handlers need. */
interface DomElement {
  getAttribute(name: string): string | null;
  getElementsByTagName(name: string): readonly DomElement[];
}

// It writes to the console what becomes of its connection.
Strophe.setLogLevel(Strophe.LogLevel.FATAL);

/** strophe.js, by the address it connects to. */
export class StrophePeer implements LastingPeer {
  readonly #service: (login: Login) => string;
  readonly #sightings = new Sightings();
  #connection: InstanceType<typeof Strophe.Connection> | undefined = undefined;
  #isLeaving = false;

  constructor(service: (login: Login) => string) {
    this.#service = service;
  }

  async start(login: Login): Promise<void> {
    const connection = new Strophe.Connection(this.#service(login), { enableStreamManagement: true });
    this.#connection = connection;
    this.#connect(login);
    await this.#sightings.wait('ready');
  }

  /** Its handlers are gone when it is disconnected, and reconnecting is left to whoever uses it. */
  #connect(login: Login): void {
    const connection = this.#connection!;
    const seePresence = (stanza: DomElement) => {
      if (!stanza.getAttribute('type')) this.#sightings.note('presence', bare(stanza.getAttribute('from') ?? ''));
      return true;
    };
    const seeMessage = (stanza: DomElement) => {
      const body = stanza.getElementsByTagName('body')[0];
      this.#sightings.note('message', bare(stanza.getAttribute('from') ?? ''), body ? Strophe.getText(body as never) : '');
      return true;
    };
    connection.addHandler(seePresence, null as never, 'presence');
    connection.addHandler(seeMessage, null as never, 'message');
    connection.connect(`${login.username}@${login.domain}/strophe`, login.password, (status: number, reason?: unknown) => {
      if (status === Strophe.Status.CONNECTED) {
        if (connection.hasResumed()) return this.#sightings.note('resumed');
        connection.send($pres());
        this.#sightings.note('ready');
      } else if (status === Strophe.Status.DISCONNECTED && !this.#isLeaving) {
        setImmediate(() => this.#connect(login));
      } else this.#sightings.note('status', String(status), String(reason));
    });
  }

  sees(jid: string): Promise<void> {
    return this.#sightings.wait('presence', jid);
  }

  async send(to: string, body: string): Promise<void> {
    this.#connection!.send($msg({ to, type: 'chat' }).c('body').t(body));
  }

  got(from: string, body: string): Promise<void> {
    return this.#sightings.wait('message', from, body);
  }

  resumed(times: number): Promise<void> {
    return this.#sightings.waitFor(times, 'resumed');
  }

  heard(from: string): readonly string[] {
    return this.#sightings.all('message', from);
  }

  async stop(): Promise<void> {
    this.#isLeaving = true;
    this.#connection?.disconnect('bye');
    await new Promise((resolve) => setImmediate(resolve));
    this.#connection?.reset();
  }
}

/** stanza.js over WebSocket. */
export class StanzaPeer implements LastingPeer {
  readonly #sightings = new Sightings();
  #client: ReturnType<typeof createClient> | undefined = undefined;

  async start(login: Login): Promise<void> {
    const made = createClient({
      jid: `${login.username}@${login.domain}`,
      password: login.password,
      autoReconnect: true,
      maxReconnectBackoff: RECONNECT_AFTER / 1000,
      transports: { websocket: `ws://127.0.0.1:${login.http}/xmpp-websocket`, bosh: false },
    });
    this.#client = made;
    made.on('session:started', () => {
      made.sendPresence();
      this.#sightings.note('ready');
    });
    made.on('available', ({ from }) => this.#sightings.note('presence', bare(from)));
    made.on('chat', ({ from, body }) => this.#sightings.note('message', bare(from), body ?? ''));
    made.on('disconnected', () => this.#sightings.note('disconnected'));
    made.on('carbon:sent', ({ carbon }) => this.#copy(carbon.forward.message));
    made.on('carbon:received', ({ carbon }) => this.#copy(carbon.forward.message));
    made.on('receipt', ({ from, receipt }) => this.#sightings.note('receipt', bare(from), receipt.id ?? ''));
    made.on('marker:displayed', ({ from, marker }) => this.#sightings.note('displayed', bare(from), marker?.id ?? ''));
    made.on('stream:management:resumed', () => this.#sightings.note('resumed'));
    made.connect();
    await this.#sightings.wait('ready');
  }

  sees(jid: string): Promise<void> {
    return this.#sightings.wait('presence', jid);
  }

  async send(to: string, body: string): Promise<void> {
    this.#client!.sendMessage({ to, body, type: 'chat' });
  }

  got(from: string, body: string): Promise<void> {
    return this.#sightings.wait('message', from, body);
  }

  resumed(times: number): Promise<void> {
    return this.#sightings.waitFor(times, 'resumed');
  }

  heard(from: string): readonly string[] {
    return this.#sightings.all('message', from);
  }

  /** Asks for copies of what other clients of the account send and receive. */
  async enableCarbons(): Promise<void> {
    await this.#client!.enableCarbons();
  }

  /** Resolves when it has noticed this: `copy <from> <to> <text>`, `receipt <from> <id>` or `displayed <from> <id>`. */
  notices(...what: readonly string[]): Promise<void> {
    return this.#sightings.wait(...what);
  }

  /** Tells somebody that a message has been seen. */
  display(from: string, id: string): void {
    this.#client!.markDisplayed({ from, to: '', id, type: 'chat', marker: { type: 'markable' } });
  }

  /** The archive of the conversation with somebody, page by page: who has said what. */
  async readHistory(other: string, max: number): Promise<readonly (readonly string[])[]> {
    const pages: (readonly string[])[] = [];
    let after: string | undefined;
    for (;;) {
      const paging = after === undefined ? { max } : { max, after };
      const page = await this.#client!.searchHistory({ with: other, paging });
      pages.push((page.results ?? []).map(({ item: { message } }) => `${bare(message?.from ?? '')} ${message?.body ?? ''}`));
      if (page.complete) return pages;
      after = page.paging?.last;
    }
  }

  async stop(): Promise<void> {
    this.#client?.disconnect();
  }

  #copy(message: { readonly from?: string; readonly to?: string; readonly body?: string } | undefined): void {
    this.#sightings.note('copy', bare(message?.from ?? ''), bare(message?.to ?? ''), message?.body ?? '');
  }
}
