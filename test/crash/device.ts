import { setTimeout as sleep } from 'node:timers/promises';
import type { Element } from 'ltx';
import { LineBroken, ManagedClient, type Said } from '../support/managed-client.ts';
import type { ServerProcess } from '../support/server-process.ts';
import type { Chance } from './chance.ts';

const NS_CARBONS = 'urn:xmpp:carbons:2';
const NS_DELAY = 'urn:xmpp:delay';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_SID = 'urn:xmpp:sid:0';
/** Seconds for which the server keeps the session of a device that does not want more. */
const SHORT = 1;

/** What a device can do. */
export interface Kind {
  readonly transport: 'tcp' | 'websocket';
  /** Stream management (XEP-0198). */
  readonly confirms: boolean;
  /** When it reads the archive (XEP-0313) in a new session. */
  readonly reads: 'never' | 'before presence' | 'after presence';
  /** XEP-0280. */
  readonly carbons: boolean;
  /** Whether the account has no other device. */
  readonly isAlone: boolean;
}

/** A message under test: who has said it to whom, as which, in which of its sessions. */
export interface Line {
  readonly from: string;
  readonly to: string;
  readonly number: number;
  readonly attempt: number;
}

/** How a message came to a device for the last time. */
interface Receipt {
  /** The device's session. */
  readonly session: number;
  /** Which stanza of the session it was. */
  readonly at: number;
  /** Whether it came late, as messages do that were kept (XEP-0203). */
  readonly isDelayed: boolean;
  /** How often the server had been stopped, one way or the other, when the device connected. */
  readonly stops: number;
  isConfirmed: boolean;
}

/** What devices share. */
export interface Stage {
  readonly server: ServerProcess;
  readonly chance: Chance;
  /** The accounts that are written to. */
  readonly accounts: readonly string[];
  /** How often the server was killed so far. */
  readonly kills: number;
  /** How often it was killed or stopped. */
  readonly stops: number;
  readonly password: string;
}

/** One device of an account: what it says, and what it gets, whatever happens to its line and to the server. */
export class Device {
  readonly name: string;
  readonly account: string;
  readonly kind: Kind;
  readonly client: ManagedClient;
  /** What it has said, by addressee, in order. */
  readonly said = new Map<string, { readonly line: Line; readonly said: Said }[]>();
  /** What was news when it was sent to it, by archive id, in order; not what it read in the archive. */
  readonly pushed = new Map<string, Line>();
  /** All it knows, by archive id. */
  readonly known = new Map<string, Line>();
  /** What must not have happened. */
  readonly faults: string[] = [];
  /** What happened to it, for whoever looks into a fault. */
  readonly history: string[] = [];
  /** Messages that came twice, where that may be. */
  repeats = 0;
  /** Messages that came though it had read them in the archive. */
  readBefore = 0;
  /** Times that a session was resumed, or could not be. */
  resumed = 0;
  refused = 0;
  readonly #stage: Stage;
  readonly #chance: Chance;
  readonly #receipts = new Map<string, Receipt>();
  #unconfirmed: Receipt[] = [];
  /** How often the server had been killed, and stopped, when it last connected. */
  #kills = 0;
  #stops = 0;
  /** Seconds for which its session is kept; undefined for longer than it is ever away. */
  #max: number | undefined = undefined;
  /** Whether all is done that a new session begins with. */
  #isSettled = false;
  #hasReadAll = false;
  /** Behind this in the archive it may have missed something. */
  #safe: string | undefined = undefined;
  #heardLast = false;
  #onLast: () => void = () => {};

  constructor(stage: Stage, account: string, resource: string, kind: Kind) {
    this.name = `${account}/${resource}`;
    this.account = account;
    this.kind = kind;
    this.#stage = stage;
    this.#chance = stage.chance.fork(this.name);
    const { server, password } = stage;
    this.client = new ManagedClient({
      ...{ server, username: account, password, resource, transport: kind.transport, confirms: kind.confirms },
      message: (message) => this.#take(message),
    });
  }

  /** Lives until it is over: talks, reads, loses its line and comes back. */
  async live(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.#whileThereIsALine(async () => {
        await this.#comeOnline();
        while (!isOver()) await this.#act();
      });
    }
  }

  /** Comes online for good, and has all that it says acknowledged. */
  async settle(): Promise<void> {
    this.client.answers = true;
    for (let isDone = false; !isDone; ) {
      await this.#whileThereIsALine(async () => {
        await this.#comeOnline();
        this.client.resume();
        while (this.client.outbox.length > 0) {
          this.client.request();
          await this.#checkpoint();
        }
        isDone = true;
      });
    }
  }

  /** Waits for the last message of all; then everything has come that is to come. */
  async hearLast(): Promise<void> {
    if (!this.#heardLast) await new Promise<void>((resolve) => (this.#onLast = resolve));
    await this.#checkpoint();
    if (this.kind.reads !== 'never') await this.#readArchive();
  }

  // ---- Life

  async #whileThereIsALine(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof LineBroken)) throw error;
      this.#note(error.message);
      await sleep(this.#chance.between(5, 50));
    }
  }

  async #comeOnline(): Promise<void> {
    const { client } = this;
    if (!client.isConnected) {
      const max = this.#chance.is(0.1) ? SHORT : undefined;
      const { kills, stops } = this.#stage;
      const start = await client.connect(max);
      this.#note(`${start} after ${client.received}; ${client.outbox.length} to say`);
      if (start === 'refused') this.#checkRefused();
      if (start === 'resumed') this.resumed++;
      else {
        this.#max = max;
        this.#isSettled = false;
        this.#hasReadAll = false;
      }
      this.#kills = kills;
      this.#stops = stops;
    }
    if (!this.#isSettled) await this.#begin();
  }

  /** A session is lost when the server was killed, or its client was away for too long; not when the server was restarted. */
  #checkRefused(): void {
    this.refused++;
    if (this.#stage.kills === this.#kills && this.#max === undefined) this.#fault('its session could not be resumed');
  }

  async #begin(): Promise<void> {
    const { carbons, reads } = this.kind;
    if (carbons) await this.client.ask(`<iq type='set'><enable xmlns='${NS_CARBONS}'/></iq>`);
    if (reads === 'before presence') await this.#readArchive();
    this.#note('is available');
    this.client.send('<presence/>');
    if (reads === 'after presence') await this.#readArchive();
    this.#isSettled = true;
  }

  async #readArchive(): Promise<void> {
    let last = this.#safe;
    await this.client.readArchive(this.#safe, (id) => (this.#safe = last = id));
    this.#note(`has read the archive up to ${last}`);
    this.#hasReadAll = true;
    // What came meanwhile is newer.
    for (const id of this.pushed.keys()) if (last === undefined || id > last) this.#safe = last = id;
  }

  async #act(): Promise<void> {
    const chance = this.#chance;
    const { client, kind } = this;
    const dice = chance.between(0, 1000);
    if (dice < 450) this.#talk();
    else if (dice < 500) await this.#checkpoint();
    else if (dice < 515) await this.#leave();
    else if (kind.confirms && dice < 535) await this.#doze();
    else if (kind.confirms && dice < 550) await this.#loseLine();
    else if (kind.confirms && dice < 560) this.#forget();
    else client.answers = chance.is(0.7);
    await sleep(chance.between(1, 20));
    // Nobody else ends these waits.
    if (!client.isConnected) throw new LineBroken('it is offline');
  }

  #talk(): void {
    for (let left = this.#chance.between(1, 6); left > 0; left--) this.#say(this.#chance.pick(this.#stage.accounts));
    this.client.request();
  }

  #say(to: string): void {
    if (to === this.account) return;
    const all = this.said.get(to) ?? [];
    this.said.set(to, all);
    const line = { from: this.name, to, number: all.length + 1, attempt: 0 };
    const write = (attempt: number) => writeMessage({ ...line, attempt });
    all.push({ line, said: this.client.say(write) });
  }

  /** Reads nothing for a while; then its line may break. */
  async #doze(): Promise<void> {
    const { client } = this;
    client.pause();
    await sleep(this.#chance.between(20, 150));
    if (this.#chance.is(0.5)) client.cut();
    else client.resume();
  }

  /** Its line breaks; often nobody at the other end can know. */
  async #loseLine(): Promise<void> {
    if (this.#chance.is(0.4)) this.client.abandon();
    else this.client.cut();
    if (this.#chance.is(0.3)) await sleep(this.#chance.between(100, 1500));
  }

  /** Whatever came until now may not come again. */
  async #checkpoint(): Promise<void> {
    const { sessions } = this.client;
    const count = await this.client.checkpoint();
    this.#note(`confirmed ${count}`);
    const isCovered = ({ session, at }: Receipt) => session === sessions && at <= count;
    for (const receipt of this.#unconfirmed) if (isCovered(receipt)) receipt.isConfirmed = true;
    this.#unconfirmed = this.#unconfirmed.filter(({ session, isConfirmed }) => session === sessions && !isConfirmed);
  }

  #forget(): void {
    this.#note('forgets its session');
    this.client.forget();
  }

  /** Ends its session as it should: without stream management what is on its way would else be lost. */
  async #leave(): Promise<void> {
    const { client } = this;
    // Copies still come, and what they are copied between would be missed. Should it resume, it has to begin anew.
    this.#hasReadAll = false;
    this.#isSettled = false;
    client.resume();
    this.#note('leaves');
    client.send("<presence type='unavailable'/>");
    client.request();
    await this.#checkpoint();
    client.finish();
    await sleep(this.#chance.between(50, 500));
  }

  // ---- What comes

  #take(message: Element): void {
    const result = message.getChild('result', NS_MAM);
    if (result) return this.#learn(result.attrs['id'], readForwarded(result));
    if (message.attrs['type'] === 'error') return this.#fault(`an error: ${message}`);
    const copy = message.getChild('received', NS_CARBONS) ?? message.getChild('sent', NS_CARBONS);
    const inner = copy ? readForwarded(copy) : message;
    if (inner.getChildText('body') === LAST) {
      this.#heardLast = true;
      this.#onLast();
      return;
    }
    const id = inner.getChildren('stanza-id', NS_SID).find(({ attrs }) => attrs['by'] === `${this.account}@localhost`)?.attrs[
      'id'
    ];
    if (id === undefined) return this.#fault(`no id: ${message}`);
    this.#receive(id, inner);
  }

  #receive(id: string, message: Element): void {
    const { sessions, received } = this.client;
    const before = this.#receipts.get(id);
    const isDelayed = message.getChild('delay', NS_DELAY) !== undefined;
    if (before) this.#checkRepeat(id, before, isDelayed);
    const line = readLine(message);
    if (!this.known.has(id)) this.pushed.set(id, line);
    else if (!before) this.readBefore++;
    const receipt = { session: sessions, at: received, isDelayed, stops: this.#stops, isConfirmed: false };
    this.#receipts.set(id, receipt);
    this.#unconfirmed.push(receipt);
    this.#note(`${received} ${id} ${isDelayed ? 'kept ' : ''}${message.getChildText('body')}${before ? ' again' : ''}`);
    this.#learn(id, message);
    if (this.#hasReadAll && (this.#safe === undefined || id > this.#safe)) this.#safe = id;
  }

  /**
   * A message comes again only in another session, and when the server could not know that it had come: with stream management, when no
   * request behind its confirmation was answered; without, when it was stopped since.
   */
  #checkRepeat(id: string, before: Receipt, isDelayed: boolean): void {
    this.repeats++;
    const { client, kind } = this;
    const how = `session ${client.sessions}, ${client.received}${isDelayed ? ' delayed' : ''}; before: ${JSON.stringify(before)}`;
    const what = `${JSON.stringify(this.pushed.get(id))} (${id}; ${how}) again`;
    // What was on its way to another device, which has gone, is given to the one that is there, which may have had a copy.
    if (!kind.isAlone) return;
    if (before.session === client.sessions) this.#fault(`${what} in the same session`);
    else if (kind.confirms && before.isConfirmed) this.#fault(`${what} though it was confirmed`);
    else if (!kind.confirms && before.stops === this.#stage.stops) this.#fault(`${what} though the server was there`);
  }

  #learn(id: string, message: Element): void {
    if (message.getChildText('body') === LAST) return;
    const line = readLine(message);
    const known = this.known.get(id);
    if (known && JSON.stringify(known) !== JSON.stringify(line)) this.#fault(`${id} is two messages`);
    if (!known) this.#note(`knows ${id}`);
    this.known.set(id, line);
  }

  #fault(text: string): void {
    this.faults.push(`${this.name}: ${text}`);
    this.#note(`FAULT ${text}`);
  }

  #note(text: string): void {
    this.history.push(`${Math.round(performance.now())} ${this.name} ${this.client?.sessions ?? 0} ${text}`);
  }
}

/** The body of the message behind which nothing comes. */
export const LAST = 'the last of all';

function writeMessage({ from, to, number, attempt }: Line): string {
  const body = `${from} ${to} ${number} ${attempt}`;
  return `<message to='${to}@localhost' type='chat' id='${from}-${to}-${number}'><body>${body}</body></message>`;
}

/** What a message under test says. */
export function readLine(message: Element): Line {
  const [from = '', to = '', number, attempt] = message.getChildText('body')?.split(' ') ?? [];
  return { from, to, number: Number(number), attempt: Number(attempt) };
}

/** The message in a carbon, or in a result of the archive. */
export function readForwarded(wrapper: Element): Element {
  return wrapper.getChild('forwarded', NS_FORWARD)!.getChild('message')!;
}
