import {
  type ArchiveStore,
  type Element,
  Hook,
  Jid,
  type Log,
  readElement,
  Signal,
  Stanza,
  sortableId,
  timeOf,
  writeElement,
  xml,
} from '#core';
import { Pace } from '../muc-moderation/pace.ts';
import {
  type Complaint,
  describeReport,
  NS_REPORTING,
  type Quoted,
  quote,
  REASON_PREFIX,
  type Report,
  readComplaint,
} from './report.ts';

const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_JID = 'urn:xmpp:jid:0';
const NS_KEPT = 'parlance:report:1';
/** Whose the reports are in the store: nobody's, and no account has this name. */
const OWNER = '/';
/** What one IQ may report. */
const MAX_ITEMS = 10;
/** Reports of one account. */
const RATE = { perMinute: 2, burst: 20 };
/** Reports that go to one domain, or one third party. */
const FORWARDING = { perMinute: 2, burst: 30 };

/** What is found out about a complaint before it is kept. */
export interface Inquiry {
  readonly complaint: Complaint;
  /** The room it is about, with what it says of that; for who knows rooms to set. */
  finding: Finding | undefined;
}

/** What a room knows. */
export interface Finding {
  /** The room's bare JID. */
  readonly place: string;
  /** The account of whoever is reported. */
  readonly account?: string | undefined;
  readonly messages: readonly Quoted[];
}

/** What other modules get of reports. */
export interface ReportsApi {
  /** Run for each complaint: who knows the room it is about says so. */
  readonly inquiring: Hook<Inquiry>;
  /** Told of a report once it is durable. */
  readonly reported: Signal<Report>;
  /** The last reports about a room, newest first. */
  of(place: string, max: number): Promise<readonly Report[]>;
  /** Forgets those about a room. */
  forget(place: string): Promise<void>;
}

/** What the section of the config says. */
export interface ReportOptions {
  readonly take: boolean;
  /** Reports kept about one room, and about all that is no room. */
  readonly max: number;
  readonly tell: readonly Jid[];
  /** Milliseconds. */
  readonly tellEvery: number;
  readonly toOrigin: boolean;
  readonly thirdParties: readonly Jid[];
}

/** What taking reports needs. */
export interface ReportsParts {
  readonly domain: string;
  readonly options: ReportOptions;
  /** Of no account. `with` is the place. */
  readonly store: ArchiveStore;
  /** The archives of accounts, where there are any. */
  readonly messages: ArchiveStore | undefined;
  readonly log: Log;
  /** Whether a domain is one of this server. */
  serves(domain: string): boolean;
  send(stanza: Stanza, to: Jid): void;
}

/** A message that a report names, with the message itself where the reporter has it. */
interface Evidence {
  readonly quoted: Quoted;
  readonly stanza: Element | undefined;
}

/** A report, with where it is among the others. */
export type Kept = readonly [id: string, report: Report];

/** Takes reports, keeps them, tells of them and passes them on. */
export class Reports implements ReportsApi {
  readonly inquiring = new Hook<Inquiry>('inquiring');
  readonly reported: Signal<Report>;
  readonly #parts: ReportsParts;
  readonly #pace = new Pace();
  readonly #forwarding = new Pace();
  readonly #underway = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined = undefined;
  #untold = 0;

  constructor(parts: ReportsParts) {
    this.#parts = parts;
    this.reported = new Signal<Report>('reported', (signal, error) => parts.log.error('a listener failed', { signal, error }));
  }

  /**
   * Takes the reports in a request to block somebody, which has been done. Nobody waits for it, and nobody learns from it what there is
   * in other rooms.
   */
  take(from: Jid, command: Element): void {
    const { log, options } = this.#parts;
    if (!options.take) return;
    let left = MAX_ITEMS;
    for (const item of command.getChildElements()) {
      const complaint = readComplaint(from, item);
      if (!complaint) continue;
      if (left-- === 0 || this.#pace.take(from.bare, RATE, performance.now()) > 0) return;
      const task: Promise<void> = this.#take(complaint)
        .catch((error: unknown) => log.error('a report is lost', { error }))
        .finally(() => void this.#underway.delete(task));
      this.#underway.add(task);
    }
  }

  async of(place: string, max: number): Promise<readonly Report[]> {
    const { items } = await this.#parts.store.query(OWNER, { with: place, max, last: true });
    return items.map(({ stanza }) => readKept(stanza)).reverse();
  }

  /** The last reports of all before this one, newest first. */
  async page(before: string | undefined, max: number): Promise<readonly Kept[]> {
    const { items } = await this.#parts.store.query(OWNER, { max, last: true, ...(before !== undefined && { before }) });
    return items.map(({ id, stanza }) => [id, readKept(stanza)] as const).reverse();
  }

  async forget(place: string): Promise<void> {
    await this.#parts.store.remove(OWNER, { with: place });
  }

  /** Resolves when all that was taken is kept. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await Promise.all(this.#underway);
  }

  async #take(complaint: Complaint): Promise<void> {
    const { domain } = this.#parts;
    const { from, about, reason, text } = complaint;
    const inquiry: Inquiry = { complaint, finding: undefined };
    await this.inquiring.run(inquiry);
    const own = inquiry.finding ? [] : await this.#messagesOf(complaint);
    const { account, place = domain, messages = own.map(({ quoted }) => quoted) } = inquiry.finding ?? {};
    const by = from.bare;
    const report: Report = {
      at: Date.now(),
      by,
      about: about.full,
      ...(account !== undefined && { account }),
      place,
      reason,
      text,
      messages,
    };
    await this.#keep(report);
    this.reported.emit(report);
    this.#tell(report);
    this.#forward(complaint, own);
  }

  /** The messages in the reporter's archive that are named, those of whoever is reported (section 6); of others no more than the ids. */
  async #messagesOf({ from, about, ids }: Complaint): Promise<readonly Evidence[]> {
    const { messages } = this.#parts;
    // Ids of another form are no archive's.
    const own = ids.filter(({ id, by }) => by.full === from.bare && timeOf(id) !== undefined).map(({ id }) => id);
    const { items } = messages && own.length > 0 ? await messages.query(from.local, { ids: own }) : { items: [] };
    const found = new Map(items.map((item) => [item.id, item]));
    return ids.map(({ id }) => {
      const item = found.get(id);
      const stanza = item && isAbout(item.with, about) ? readElement(item.stanza) : undefined;
      const sender: unknown = stanza?.attrs['from'];
      const isTheirs = typeof sender === 'string' && Jid.tryParse(sender)?.bare !== from.bare;
      return { quoted: quote(id, isTheirs ? stanza?.getChildText('body') : ''), stanza: isTheirs ? stanza : undefined };
    });
  }

  async #keep(report: Report): Promise<void> {
    const { store, options } = this.#parts;
    const kept = xml('report', NS_KEPT, JSON.stringify(report));
    await store.append(OWNER, { id: sortableId(), with: report.place, stanza: writeElement(kept) });
    const tooMany = (await store.count(OWNER, { with: report.place })) - options.max;
    if (tooMany > 0) await store.remove(OWNER, { with: report.place, max: tooMany });
  }

  /** To those who are named in the config: the first at once, and then for a while only how many there are. */
  #tell(report: Report): void {
    const { tell, tellEvery } = this.#parts.options;
    if (tell.length === 0) return;
    if (this.#timer) {
      this.#untold++;
      return;
    }
    this.#say(`A report. ${describeReport(report, true)}`);
    this.#timer = setTimeout(() => this.#tellMore(), tellEvery).unref();
  }

  #tellMore(): void {
    this.#timer = undefined;
    if (this.#untold === 0) return;
    this.#say(
      `${this.#untold} more ${this.#untold === 1 ? 'report has' : 'reports have'} come. The command *List Reports* shows them.`,
    );
    this.#untold = 0;
    this.#timer = setTimeout(() => this.#tellMore(), this.#parts.options.tellEvery).unref();
  }

  #say(text: string): void {
    const message = Stanza.of(xml('message', { id: sortableId() }, xml('body', {}, text)));
    for (const to of this.#parts.options.tell) this.#parts.send(message, to);
  }

  /**
   * Passes a report on where its maker allows it (section 5) and the config does. Nothing in it says who that is: to messages there is no
   * `to`, the only way of hiding them there is.
   */
  #forward(complaint: Complaint, own: readonly Evidence[]): void {
    const { options, send, serves } = this.#parts;
    const { about, mayGoToOrigin, mayGoToThirdParties } = complaint;
    const targets: Jid[] = mayGoToThirdParties ? [...options.thirdParties] : [];
    if (mayGoToOrigin && options.toOrigin && !serves(about.domain)) targets.push(Jid.of('', about.domain));
    if (targets.length === 0) return;
    const forwarded = own.flatMap(({ stanza }) => (stanza ? [xml('forwarded', NS_FORWARD, withoutReceiver(stanza))] : []));
    const message = Stanza.of(xml('message', { id: sortableId() }, writeReport(complaint), ...forwarded));
    for (const to of targets) {
      if (this.#forwarding.take(to.full, FORWARDING, performance.now()) === 0) send(message, to);
    }
  }
}

/** A report by itself is nothing that XEP-0377 knows: it names whom it is about as others write it (XEP-0268). */
function writeReport({ about, reason, text }: Complaint): Element {
  return xml(
    'report',
    { xmlns: NS_REPORTING, reason: `${REASON_PREFIX}${reason}` },
    xml('jid', NS_JID, about.full),
    text === '' ? undefined : xml('text', {}, text),
  );
}

/** What the server of the receiver has put into it would say as much as their address. */
function withoutReceiver(stanza: Element): Element {
  const { from, type, id } = stanza.attrs as Readonly<Record<string, string | undefined>>;
  const told = stanza.getChildElements().filter((child) => child.getName() === 'body' && child.getNS() === stanza.getNS());
  return xml('message', { xmlns: 'jabber:client', from, type, id }, ...told);
}

/** Whether the other party of a message is who was blocked: an account, one of its clients, or a whole domain. */
function isAbout(party: string, about: Jid): boolean {
  return party === about.bare || (about.isDomain && Jid.tryParse(party)?.domain === about.domain);
}

function readKept(text: string): Report {
  return JSON.parse(readElement(text).getText()) as Report;
}
