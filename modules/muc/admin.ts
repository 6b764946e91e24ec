// XEP-0045 sections 8 and 9: lists of roles and affiliations, read and changed by IQs.
import { type Element, Jid, StanzaError, xml } from '#core';
import { type AffiliationChange, affiliate, changeRoles, type RoleChange } from './affiliating.ts';
import { NS_MUC } from './announce.ts';
import { inviteTo } from './inviting.ts';
import { checkNickname } from './nick.ts';
import type { Occupant } from './occupant.ts';
import { type Affiliation, isAffiliated, type Role, readAffiliation, readRole } from './ranks.ts';
import type { Room } from './room.ts';
import { mayListMembers } from './standing.ts';

/** The namespace of these IQs. */
export const NS_ADMIN = `${NS_MUC}#admin`;
/** Items that one IQ may change. */
const MAX_ITEMS = 1000;

/** Answers a question for one list (sections 8.5, 9.2, 9.5, 9.8, 10.5 and 10.8). Throws StanzaError for who may not see it. */
export function showList(room: Room, from: Jid, query: Element): Element {
  const items = query.getChildren('item', NS_ADMIN);
  const [item] = items;
  if (!item || items.length > 1) throw new StanzaError('bad-request', { text: 'One list is asked for at a time' });
  const affiliation = readAffiliation(item.attrs['affiliation']);
  const role = readRole(item.attrs['role']);
  if (affiliation && affiliation !== 'none' && !role) return xml('query', NS_ADMIN, ...listAffiliated(room, from, affiliation));
  if (role && role !== 'none' && !affiliation) return xml('query', NS_ADMIN, ...listRole(room, from, role));
  throw new StanzaError('bad-request', { text: 'There is no such list' });
}

function listAffiliated(room: Room, from: Jid, affiliation: Affiliation): readonly Element[] {
  const own = room.affiliationOf(from);
  // Members may be known to more than those who may change them (section 9.5). Admins and owners are, where addresses are hidden, the
  // business of owners alone (sections 10.5 and 10.8).
  const isForOwners = (affiliation === 'admin' || affiliation === 'owner') && room.settings.whois !== 'anyone';
  const isForAdmins = affiliation === 'outcast' || !mayListMembers(room, from);
  const mayList = isForOwners ? own === 'owner' : !isForAdmins || isAffiliated(own, 'admin');
  if (!mayList) throw new StanzaError('forbidden');
  // No roles (section 15.4): Converse takes them for something else, and its user for no moderator.
  return room.affiliated(affiliation).map(([jid, { nick, reason }]) => {
    const shown = nick ?? room.occupants.ofAccount(jid)[0]?.nick;
    const why = reason !== undefined && isAffiliated(own, 'admin') ? xml('reason', {}, reason) : undefined;
    return xml('item', { affiliation, jid, nick: affiliation === 'outcast' ? undefined : shown }, why);
  });
}

function listRole(room: Room, from: Jid, role: Role): readonly Element[] {
  const { affiliation, role: own } = room.standingOf(from);
  if (role === 'moderator' ? !isAffiliated(affiliation, 'admin') : own !== 'moderator') throw new StanzaError('forbidden');
  const found: Element[] = [];
  for (const occupant of room.occupants.firsts()) {
    if (occupant.role !== role) continue;
    const { nick, real } = occupant;
    const jid = room.seesReal(from) ? real.full : undefined;
    found.push(xml('item', { nick, role, affiliation: room.affiliationOf(real), jid }));
  }
  return found;
}

/** Somebody changes a list. */
export interface Changing {
  readonly from: Jid;
  readonly payload: Element;
  /** Tells them that it is done, before the others see it (sections 8.2 to 10.8). */
  confirm(): void;
}

/** Changes what is named, all or nothing (sections 8.2 to 10.8). Throws StanzaError for what may not be. */
export async function changeList(room: Room, { from, payload: query, confirm }: Changing): Promise<void> {
  const items = query.getChildren('item', NS_ADMIN);
  if (items.length === 0) throw new StanzaError('bad-request', { text: 'Nothing is to be changed' });
  if (items.length > MAX_ITEMS) throw new StanzaError('policy-violation', { text: `At most ${MAX_ITEMS} items at once` });
  const { affiliation, role } = room.standingOf(from);
  if (role !== 'moderator' && !isAffiliated(affiliation, 'admin')) throw new StanzaError('forbidden');
  const roles: RoleChange[] = [];
  const affiliations: AffiliationChange[] = [];
  for (const item of items) {
    const change = readItem(room, item);
    if ('role' in change) roles.push(change);
    else affiliations.push(change);
  }
  if (roles.length > 0 && affiliations.length > 0) throw new StanzaError('bad-request', { text: 'Roles or affiliations' });
  if (roles.length > 0) {
    if (role !== 'moderator') throw new StanzaError('forbidden');
    return changeRoles(room, from, roles, confirm);
  }
  if (!isAffiliated(affiliation, 'admin')) throw new StanzaError('forbidden');
  const strangers = affiliations.filter(({ jid }) => room.affiliationOf(jid) === 'none');
  await affiliate(room, from, affiliations, confirm);
  // Where only members may enter, those who have become one are told (section 9.5).
  if (room.settings.isMembersOnly) welcomeMembers(room, from, strangers);
}

/** Section 15.4, rules 3 to 5: a nick and a role, or an address and an affiliation. */
function readItem(room: Room, item: Element): RoleChange | AffiliationChange {
  const { attrs } = item;
  const reason = item.getChildText('reason', NS_ADMIN)?.slice(0, 1024) || undefined;
  if (attrs['role'] !== undefined && attrs['affiliation'] !== undefined) {
    throw new StanzaError('bad-request', { text: 'A role or an affiliation, not both' });
  }
  if (attrs['role'] !== undefined) {
    const role = readRole(attrs['role']);
    if (!role) throw new StanzaError('bad-request', { text: 'There is no such role' });
    return { occupants: findOccupants(room, attrs), role, reason };
  }
  const affiliation = readAffiliation(attrs['affiliation']);
  if (!affiliation) throw new StanzaError('bad-request', { text: 'There is no such affiliation' });
  const nick = attrs['jid'] === undefined || typeof attrs['nick'] !== 'string' ? undefined : attrs['nick'];
  if (nick) checkNickname(nick);
  return { jid: findAddress(room, attrs), affiliation, nick, reason };
}

function findOccupants(room: Room, attrs: Readonly<Record<string, unknown>>): readonly Occupant[] {
  const { nick, jid } = attrs;
  const real = typeof jid === 'string' ? Jid.tryParse(jid) : undefined;
  const found = typeof nick === 'string' ? room.occupants.named(nick) : real ? room.occupants.ofAccount(real.bare) : [];
  if (found.length === 0) throw new StanzaError('item-not-found', { text: 'Nobody of this nick is here' });
  return found;
}

function findAddress(room: Room, { jid, nick }: Readonly<Record<string, unknown>>): Jid {
  if (typeof jid === 'string') {
    const address = Jid.tryParse(jid);
    if (!address) throw new StanzaError('jid-malformed');
    return address.bareJid;
  }
  const [occupant] = typeof nick === 'string' ? room.occupants.named(nick) : [];
  if (!occupant) throw new StanzaError('item-not-found', { text: 'Nobody of this nick is here' });
  return occupant.real.bareJid;
}

function welcomeMembers(room: Room, from: Jid, changes: readonly AffiliationChange[]): void {
  for (const { jid, affiliation, reason } of changes) {
    const isIn = room.occupants.ofAccount(jid.bare).length > 0;
    if (jid.local === '' || isIn || !isAffiliated(affiliation, 'member')) continue;
    room.send(inviteTo(room, { by: from, reason }), room.jid, jid);
  }
}
