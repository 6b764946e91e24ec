// XEP-0377 at rooms: what somebody reports who blocks an occupant is told to the moderators, with what was said.
import { Jid, Stanza, StanzaError, sortableId, xml } from '#core';
import { type Complaint, type Inquiry, NS_REPORTING, type Quoted, quote, REASON_PREFIX, type Report } from '../blocking/index.ts';
import type { MucApi, Room } from '../muc/index.ts';
import { NS_SID } from './namespaces.ts';
import type { Tombstones } from './retraction.ts';

/** What knowing the rooms that reports are about needs. */
export interface RoomReportsParts {
  readonly rooms: MucApi;
  readonly tombstones: Tombstones;
}

/** Says what reports are about, and tells of them. They are taken and kept by the module `blocking`. */
export class RoomReports {
  readonly #parts: RoomReportsParts;

  constructor(parts: RoomReportsParts) {
    this.#parts = parts;
  }

  /** Somebody has reported somebody. */
  readonly inquire = async (inquiry: Inquiry): Promise<void> => {
    const { complaint } = inquiry;
    const { about } = complaint;
    const room = await this.#roomOf(complaint);
    if (!room) return;
    const named = await this.#messagesOf(room, complaint);
    const inside = about.bare === room.jid.bare ? room.occupants.named(about.resource)[0]?.real.bare : undefined;
    inquiry.finding = {
      place: room.jid.bare,
      account: named[0]?.by ?? inside,
      messages: named.map(({ quoted }) => quoted),
    };
  };

  /** It is kept: the moderators who are there are told, but not whoever is reported, and of nobody who has reported it. */
  readonly tell = async ({ place, account, about, reason, text, messages }: Report): Promise<void> => {
    const jid = Jid.tryParse(place);
    const room = jid?.domain === this.#parts.rooms.jid.domain ? await findRoom(this.#parts.rooms, jid) : undefined;
    if (!room) return;
    const to = room.addressesOf(({ role, real }) => role === 'moderator' && real.bare !== account);
    if (to.length === 0) return;
    const ids = messages.map(({ id }) => xml('stanza-id', { xmlns: NS_SID, by: place, id }));
    const report = xml(
      'report',
      { xmlns: NS_REPORTING, reason: `${REASON_PREFIX}${reason}` },
      ...ids,
      text === '' ? undefined : xml('text', {}, text),
    );
    const quoted = messages.map(({ body }) => `\n> ${body}`).join('');
    const body = `Somebody reports ${nameOf(room, about)} for ${reason}${text === '' ? '' : `: ${text}`}${quoted}`;
    await room.sendAll(Stanza.of(xml('message', { id: sortableId() }, xml('body', {}, body), report)), room.jid, to);
  };

  /** The room that a report is about: where its messages were said, or whose occupant is reported. Only for who is in it, or may be. */
  async #roomOf({ from, about, ids }: Complaint): Promise<Room | undefined> {
    const { rooms } = this.#parts;
    const addresses = [about, ...ids.map(({ by }) => by)];
    const address = addresses.find(({ domain, local }) => domain === rooms.jid.domain && local !== '');
    const room = address && (await findRoom(rooms, address.bareJid));
    if (!room) return undefined;
    const isIn = room.occupants.ofAccount(from.bare).length > 0;
    const affiliation = room.affiliationOf(from);
    return isIn || (affiliation !== 'none' && affiliation !== 'outcast') ? room : undefined;
  }

  /** The messages that are named, those of whoever is reported (section 6). */
  async #messagesOf(room: Room, { about, ids }: Complaint) {
    const found: { readonly quoted: Quoted; readonly by: string }[] = [];
    for (const { id, by } of ids) {
      if (by.bare !== room.jid.bare) continue;
      const message = await this.#parts.tombstones.find(room, id);
      if (!message) continue;
      const { item, stanza } = message;
      const isOfReported = about.bare === room.jid.bare ? item.resource === about.resource : item.with === about.bare;
      if (isOfReported) found.push({ quoted: quote(id, stanza.text('body')), by: item.with });
    }
    return found;
  }
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
