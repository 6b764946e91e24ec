// XEP-0045 section 10: what owners do: configure a room, and destroy it.
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
  const { settings, admins, owners } = readConfigForm(form, room.settings, room.parts.fields);
  const limited = { ...settings, maxHistory: Math.min(settings.maxHistory, rooms.limits.maxHistory) };
  const people = compare(room, from, admins, owners);
  if (people.length > 0) await affiliate(room, from, people);
  await configure(room, limited);
  if (!room.isLocked) return;
  room.isLocked = false;
  room.parts.events.signals.created.emit({ room });
}

/** Configures a room, and does what follows from it for those who are in it (sections 10.2 and 10.2.1). */
export async function configure(room: Room, settings: Settings): Promise<void> {
  const before = room.settings;
  const wasArchived = room.isArchived;
  await room.configure(settings);
  room.forgetForms();
  const codes = codesOf(before, settings);
  if (wasArchived !== room.isArchived) codes.push(room.isArchived ? STATUS.loggingOn : STATUS.loggingOff);
  if (before.isModerated !== settings.isModerated) reviewRoles(room);
  if (settings.isMembersOnly && !before.isMembersOnly) {
    const others = [...room.occupants].filter(({ real }) => !isAffiliated(room.affiliationOf(real), 'member'));
    expel(room, others, { codes: [STATUS.nowMembersOnly] });
  }
  if (!room.isLocked && JSON.stringify(before) !== JSON.stringify(settings)) {
    const rest = { ...settings, whois: before.whois, isArchived: before.isArchived };
    if (JSON.stringify(rest) !== JSON.stringify(before)) codes.push(STATUS.configChanged);
    room.notify(xml('x', NS_USER, ...codes.sort().map((code) => xml('status', { code }))));
  }
  room.parts.events.signals.configured.emit({ room, before });
}

function codesOf(before: Settings, after: Settings): string[] {
  if (before.whois === after.whois) return [];
  return [after.whois === 'anyone' ? STATUS.nowNonAnonymous : STATUS.nowSemiAnonymous];
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
