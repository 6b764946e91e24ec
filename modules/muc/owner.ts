// XEP-0045 section 10: what owners do: configure a room, and destroy it.
import { isDeepStrictEqual } from 'node:util';
import { type Element, Jid, StanzaError, xml } from '#core';
import { type AffiliationChange, affiliate, reviewRoles } from './affiliating.ts';
import { NS_MUC, NS_USER, STATUS } from './announce.ts';
import { readConfigForm, writeConfigForm } from './form.ts';
import { expel } from './leaving.ts';
import { isAffiliated } from './ranks.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import type { Settings } from './settings.ts';

/** The namespace of these IQs. */
export const NS_OWNER = `${NS_MUC}#owner`;
const NS_DATA = 'jabber:x:data';

/** The form, for an owner (section 10.2). */
export function showConfig(room: Room, from: Jid): Element {
  checkOwner(room, from);
  const { settings, parts } = room;
  const names = (affiliation: 'admin' | 'owner') => room.affiliated(affiliation).map(([jid]) => jid);
  return xml(
    'query',
    NS_OWNER,
    writeConfigForm({ settings, admins: names('admin'), owners: names('owner'), fields: parts.fields }),
  );
}

/** Takes a form, or the wish to destroy the room (sections 10.1 to 10.9). */
export async function takeConfig(rooms: Rooms, room: Room, from: Jid, query: Element): Promise<void> {
  checkOwner(room, from);
  const destroy = query.getChild('destroy', NS_OWNER);
  if (destroy) return rooms.destroy(room, readDestruction(destroy));
  const form = query.getChild('x', NS_DATA);
  if (!form) throw new StanzaError('bad-request', { text: 'A form is missing' });
  if (form.attrs['type'] === 'cancel') return room.isLocked ? rooms.destroy(room, {}) : undefined;
  if (form.attrs['type'] !== 'submit') throw new StanzaError('bad-request', { text: 'A form is submitted or cancelled' });
  await submit(rooms, room, from, form);
}

function checkOwner(room: Room, from: Jid): void {
  if (room.affiliationOf(from) !== 'owner') throw new StanzaError('forbidden', { text: 'Only owners may do this' });
}

async function submit(rooms: Rooms, room: Room, from: Jid, form: Element): Promise<void> {
  const read = (now: Settings) => readConfigForm(form, now, room.parts.fields);
  const { admins, owners } = read(room.settings);
  const people = compare(room, from, admins, owners);
  if (people.length > 0) await affiliate(room, from, people);
  // Others may have been faster: what the form does not name stays as they have left it.
  await configure(room, (now) => {
    const { settings } = read(now);
    return { ...settings, maxHistory: Math.min(settings.maxHistory, rooms.limits.maxHistory) };
  });
  if (!room.isLocked) return;
  room.isLocked = false;
  room.parts.events.signals.created.emit({ room });
}

/** Configures a room, and does what follows from it for those who are in it (sections 10.2 and 10.2.1). See Room.configure. */
export async function configure(room: Room, change: (now: Settings) => Settings): Promise<void> {
  const { before, after } = await room.configure(change);
  room.forgetForms();
  if (before.isModerated !== after.isModerated) reviewRoles(room);
  if (after.isMembersOnly && !before.isMembersOnly) {
    const others = [...room.occupants].filter(({ real }) => !isAffiliated(room.affiliationOf(real), 'member'));
    expel(room, others, { codes: [STATUS.nowMembersOnly] });
  }
  const codes = room.isLocked ? [] : codesOf(room, before, after);
  if (codes.length > 0) room.notify(xml('x', NS_USER, ...codes.map((code) => xml('status', { code }))));
  room.parts.events.signals.configured.emit({ room, before });
}

/** What everybody is told of a change (section 10.2.1); nothing when there is none. */
function codesOf({ parts }: Room, before: Settings, after: Settings): readonly string[] {
  const codes: string[] = [];
  if (parts.mayArchive && before.isArchived !== after.isArchived)
    codes.push(after.isArchived ? STATUS.loggingOn : STATUS.loggingOff);
  if (before.whois !== after.whois) codes.push(after.whois === 'anyone' ? STATUS.nowNonAnonymous : STATUS.nowSemiAnonymous);
  const rest = { ...after, whois: before.whois, isArchived: before.isArchived };
  if (!isDeepStrictEqual(rest, before)) codes.push(STATUS.configChanged);
  return codes.sort();
}

/** The form names all admins and all owners: who is not named is none any more. */
function compare(
  room: Room,
  from: Jid,
  admins: readonly Jid[] | undefined,
  owners: readonly Jid[] | undefined,
): readonly AffiliationChange[] {
  const changes = new Map<string, AffiliationChange>();
  const review = (wanted: readonly Jid[] | undefined, affiliation: 'admin' | 'owner'): void => {
    if (!wanted) return;
    const named = new Set(wanted.map(({ bare }) => bare));
    for (const [bare] of room.affiliated(affiliation)) {
      if (!named.has(bare))
        changes.set(bare, { jid: Jid.parse(bare), affiliation: affiliation === 'owner' ? 'admin' : 'member' });
    }
    for (const jid of wanted) {
      if (room.members.get(jid.bare)?.affiliation !== affiliation) changes.set(jid.bare, { jid, affiliation });
    }
  };
  review(admins, 'admin');
  // Some clients send the field empty when they only mean to leave it: a room without an owner cannot be meant.
  if (owners && owners.length > 0) review(owners, 'owner');
  // Whoever makes a room by a form that names nobody stays its owner.
  if (room.isLocked) changes.delete(from.bare);
  return [...changes.values()];
}

function readDestruction(destroy: Element): { venue?: string; password?: string; reason?: string } {
  const jid: unknown = destroy.attrs['jid'];
  const venue = typeof jid === 'string' ? (Jid.tryParse(jid)?.full ?? badVenue()) : undefined;
  const password = destroy.getChildText('password', NS_OWNER)?.slice(0, 1024);
  const reason = destroy.getChildText('reason', NS_OWNER)?.slice(0, 1024);
  return { ...(venue && { venue }), ...(password && { password }), ...(reason && { reason }) };
}

function badVenue(): never {
  throw new StanzaError('jid-malformed', { text: 'Another room is named by its address' });
}
