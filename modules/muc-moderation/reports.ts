// XEP-0377: what users report when they block somebody. What is about a room is told to its moderators, and all is kept for admins.
import { type Element, type Envelope, Jid, type Log, type MapStore, Stanza, StanzaError, sortableId, xml } from '#core';
import type { MucApi, Room } from '../muc/index.ts';
import { NS_REPORTING, NS_SID } from './namespaces.ts';
import { Pace } from './pace.ts';
import type { Tombstones } from './retraction.ts';
import { cut } from './text.ts';

const NS_BLOCKING = 'urn:xmpp:blocking';
const PREFIX = 'urn:xmpp:reporting:';
/** What one IQ may report, and what one report may name. */
const MAX_ITEMS = 10;
const MAX_IDS = 10;
/** Characters of what is kept of texts. */
const MAX_TEXT = 1000;
/** Reports of one account. */
const RATE = { perMinute: 2, burst: 20 };

/** A report, as it is kept. */
export interface Report {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Bare JIDs. */
  readonly by: string;
  /** Whom it is about: by the address that was reported. */
  readonly about: string;
  /** The account behind it, where a message of a room has told. */
  readonly account?: string;
  /** `spam`, `abuse`, or what else was named. */
  readonly reason: string;
  readonly text: string;
  /** Messages of the room by stanza-id, with the beginning of what they said then: they may be retracted later. */
  readonly messages: readonly { readonly id: string; readonly body: string }[];
}

/** What taking reports needs. */
export interface ReportsParts {
  readonly domain: string;
  readonly rooms: MucApi;
  readonly tombstones: Tombstones;
  /** By the bare JID of the room, or by the domain for what is about no room of ours, under sortable ids. */
  readonly store: MapStore<Report>;
  /** Reports kept of one room. */
  readonly max: number;
  readonly log: Log;
}

/** Takes reports and keeps them. */
export class Reports {
  readonly #parts: ReportsParts;
  readonly #pace = new Pace();

  constructor(parts: ReportsParts) {
    this.#parts = parts;
  }

  /** Looks at requests to block somebody (XEP-0191), which go on as if there were no reports in them (XEP-0377 section 7). */
  readonly watch = ({ stanza, from, to }: Envelope): void => {
    if (stanza.payloadNS !== NS_BLOCKING || stanza.type !== 'set' || to.full !== from.bare) return;
    if (stanza.payloadName !== 'block') return;
    const items = stanza.element.getChildElements()[0]!.getChildren('item', NS_BLOCKING);
    const reported = items.filter((item) => item.getChild('report', NS_REPORTING)).slice(0, MAX_ITEMS);
    for (const item of reported) {
      if (this.#pace.take(from.bare, RATE, performance.now()) > 0) return;
      // Nobody waits for it, and nobody learns from it what there is in other rooms.
      this.#take(from, item).catch((error: unknown) => this.#parts.log.error('a report is lost', { error }));
    }
  };

  /** The last reports about a room, newest first. */
  async of(owner: string, max: number): Promise<readonly Report[]> {
    const entries = await this.#parts.store.entries(owner);
    return [...entries.values()].slice(-max).reverse();
  }

  /** The last reports of all, newest first. */
  async all(max: number): Promise<readonly (readonly [owner: string, report: Report])[]> {
    const found: (readonly [string, Report])[] = [];
    for (let after: string | undefined; ; ) {
      const owners = await this.#parts.store.owners(after, 100);
      for (const owner of owners) for (const report of await this.of(owner, max)) found.push([owner, report]);
      found.sort(([, a], [, b]) => b.at - a.at).splice(max);
      after = owners.at(-1);
      if (after === undefined) return found;
    }
  }

  /** A room is no more. */
  readonly onDestroyed = ({ room }: { readonly room: Room }): Promise<void> => this.#parts.store.clear(room.jid.bare);

  async #take(from: Jid, item: Element): Promise<void> {
    const jid = Jid.tryParse(String(item.attrs['jid'] ?? ''));
    const element = item.getChild('report', NS_REPORTING)!;
    if (!jid) return;
    const room = await this.#roomOf(from, jid, element);
    const named = room ? await this.#messagesOf(room, jid, element) : [];
    const account =
      named[0]?.by ?? (room && jid.bare === room.jid.bare ? room.occupants.named(jid.resource)[0]?.real.bare : undefined);
    const report: Report = {
      at: Date.now(),
      by: from.bare,
      about: jid.full,
      ...(account !== undefined && { account }),
      reason: readReason(element),
      text: cut(element.getChildText('text', NS_REPORTING) ?? '', MAX_TEXT),
      messages: named.map(({ id, body }) => ({ id, body })),
    };
    await this.#keep(room?.jid.bare ?? this.#parts.domain, report);
    if (room) this.#tell(room, report);
  }

  /** The room that a report is about: where its messages were said, or whose occupant is reported. Only for who is in it, or may be. */
  async #roomOf(from: Jid, jid: Jid, element: Element): Promise<Room | undefined> {
    const { rooms } = this.#parts;
    const addresses = [jid, ...idsOf(element).map(({ by }) => by)];
    const address = addresses.find(({ domain, local }) => domain === rooms.jid.domain && local !== '');
    const room = address && (await findRoom(rooms, address.bareJid));
    if (!room) return undefined;
    const isIn = room.occupants.ofAccount(from.bare).length > 0;
    const affiliation = room.affiliationOf(from);
    return isIn || (affiliation !== 'none' && affiliation !== 'outcast') ? room : undefined;
  }

  /** The messages that are named, those of whoever is reported (section 7). */
  async #messagesOf(room: Room, jid: Jid, element: Element) {
    const found: { readonly id: string; readonly body: string; readonly by: string }[] = [];
    for (const { id, by } of idsOf(element)) {
      if (by.bare !== room.jid.bare) continue;
      const message = await this.#parts.tombstones.find(room, id);
      if (!message) continue;
      const { item, stanza } = message;
      const isOfReported = jid.bare === room.jid.bare ? item.resource === jid.resource : item.with === jid.bare;
      if (isOfReported) found.push({ id, by: item.with, body: cut(stanza.text('body') ?? '', MAX_TEXT) });
    }
    return found;
  }

  async #keep(owner: string, report: Report): Promise<void> {
    const { store, max } = this.#parts;
    const old = [...(await store.entries(owner)).keys()].slice(0, -max + 1 || undefined);
    const changes = new Map<string, Report | undefined>(old.map((id) => [id, undefined]));
    await store.update(owner, changes.set(sortableId(), report));
  }

  /** To the moderators who are there, but not to whoever is reported; who has reported is not told. */
  #tell(room: Room, { account, about, reason, text, messages }: Report): void {
    const to = room.addressesOf(({ role, real }) => role === 'moderator' && real.bare !== account);
    if (to.length === 0) return;
    const ids = messages.map(({ id }) => xml('stanza-id', { xmlns: NS_SID, by: room.jid.bare, id }));
    const report = xml(
      'report',
      { xmlns: NS_REPORTING, reason: `${PREFIX}${reason}` },
      ...ids,
      text === '' ? undefined : xml('text', {}, text),
    );
    const quoted = messages.map(({ body }) => `\n> ${body}`).join('');
    const body = `Somebody reports ${nameOf(room, about)} for ${reason}${text === '' ? '' : `: ${text}`}${quoted}`;
    void room.sendAll(Stanza.of(xml('message', { id: sortableId() }, xml('body', {}, body), report)), room.jid, to);
  }
}

/** A report in one line; who has made it is for those who administer the host. */
export function describeReport({ at, by, about, account, reason, text, messages }: Report, isForAdmins: boolean): string {
  const who = account === undefined || account === about ? about : `${about} (${account})`;
  const reporter = isForAdmins ? `${by} reports ` : '';
  const said = messages.map(({ id, body }) => ` [${id}] "${body}"`).join('');
  return `${new Date(at).toISOString()} ${reporter}${who} for ${reason}${text === '' ? '' : `: ${text}`}${said}`.replace(
    /\s+/g,
    ' ',
  );
}

async function findRoom(rooms: MucApi, jid: Jid): Promise<Room | undefined> {
  try {
    return await rooms.find(jid);
  } catch (error) {
    // It was destroyed.
    if (error instanceof StanzaError) return undefined;
    throw error;
  }
}

function nameOf(room: Room, about: string): string {
  const jid = Jid.tryParse(about);
  return jid && jid.bare === room.jid.bare ? jid.resource : about;
}

function idsOf(element: Element): readonly { readonly id: string; readonly by: Jid }[] {
  return element
    .getChildren('stanza-id', NS_SID)
    .slice(0, MAX_IDS)
    .flatMap(({ attrs: { id, by } }) => {
      const jid = typeof by === 'string' ? Jid.tryParse(by) : undefined;
      return jid && typeof id === 'string' ? [{ id, by: jid }] : [];
    });
}

function readReason({ attrs }: Element): string {
  const reason: unknown = attrs['reason'];
  const text = typeof reason === 'string' ? reason : '';
  const name = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : text;
  return /^[\w-]{1,32}$/.test(name) ? name : 'abuse';
}
