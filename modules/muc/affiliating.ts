// XEP-0045 sections 5.1.3, 5.2.2, 9 and 10: roles and affiliations change, and what follows from it.
import { type Jid, StanzaError, xml } from '#core';
import { announce, NS_USER, STATUS } from './announce.ts';
import { expel } from './leaving.ts';
import type { Member, Occupant } from './occupant.ts';
import { type Affiliation, hasRole, isAffiliated, mayAffiliate, mayChangeRole, type Role, roleOnEntry } from './ranks.ts';
import type { Room } from './room.ts';
import { mayListMembers } from './standing.ts';
import { affiliationNotice, versionMark } from './versions.ts';

/** What somebody is to become. */
export interface AffiliationChange {
  /** A bare JID, or a domain. */
  readonly jid: Jid;
  readonly affiliation: Affiliation;
  /** The nick that is kept for it; empty for none any more, undefined to leave it. */
  readonly nick?: string | undefined;
  readonly reason?: string | undefined;
}

/** Who changes something: somebody by their real address, or the room itself. */
export type Actor = Jid | undefined;

/** Which role clients are to have. */
export interface RoleChange {
  readonly occupants: readonly Occupant[];
  readonly role: Role;
  readonly reason?: string | undefined;
}

/**
 * Changes affiliations, all or none, and tells everybody. Throws StanzaError: `forbidden` for what is for owners, `not-allowed` for a ban
 * of somebody above, `conflict` for banning oneself, and for leaving the room without an owner (sections 9.1 and 10.5).
 */
export async function affiliate(
  room: Room,
  by: Actor,
  changes: readonly AffiliationChange[],
  confirm?: () => void,
): Promise<void> {
  const wanted = new Map<string, Member>();
  const reasons = new Map<string, string>();
  for (const change of changes) {
    const { bare } = change.jid;
    if (wanted.has(bare)) throw new StanzaError('bad-request', { text: 'An address is named twice' });
    if (by) checkAffiliation(room, by, change);
    wanted.set(bare, toMember(room, change));
    if (change.reason !== undefined) reasons.set(bare, change.reason);
  }
  checkOwners(room, wanted);
  await carryOut(room, by, { wanted, reasons, ...(confirm && { confirm }) });
}

/** Takes an account that is no more out of a room, be it the last owner: those who administer the host look after the room then. */
export async function forget(room: Room, account: Jid): Promise<void> {
  await carryOut(room, undefined, { wanted: new Map([[account.bare, { affiliation: 'none' as const }]]) });
}

interface Decision {
  /** By bare JID. */
  readonly wanted: ReadonlyMap<string, Member>;
  readonly reasons?: ReadonlyMap<string, string>;
  /** Called once it is durable, before anybody else is told. */
  readonly confirm?: () => void;
}

async function carryOut(room: Room, by: Actor, { wanted, reasons, confirm }: Decision): Promise<void> {
  const before = new Map([...wanted.keys()].map((bare) => [bare, ownAffiliation(room, bare)]));
  const since = room.version;
  await room.affiliate(wanted);
  confirm?.();
  const actor = by && room.occupants.of(by)?.nick;
  const { signals } = room.parts.events;
  for (const [bare, { affiliation }] of wanted) {
    const was = before.get(bare)!;
    if (was === affiliation) {
      signals.affirmed.emit({ room, bare, affiliation });
      continue;
    }
    tell(room, { bare, was, is: affiliation, reason: reasons?.get(bare), actor, since });
    signals.affiliated.emit({ room, bare, before: was, after: affiliation });
  }
}

/**
 * Changes roles, all or none, and tells everybody (sections 8.2 to 8.5, 9.6 to 9.8). Throws StanzaError: `forbidden` for what is for
 * admins, `not-allowed` for what may not be done to somebody.
 */
export function changeRoles(room: Room, by: Actor, changes: readonly RoleChange[], confirm: () => void = () => {}): void {
  if (by) for (const change of changes) checkRole(room, by, change);
  confirm();
  const actor = by && room.occupants.of(by)?.nick;
  for (const { occupants, role, reason } of changes) {
    if (role === 'none') expel(room, occupants, { codes: [STATUS.kicked], reason, actor });
    else for (const occupant of occupants) setRole(room, occupant, role, { reason, actor });
  }
}

/** Gives everybody the role that follows from what they are, after the room has become moderated or is no longer. */
export function reviewRoles(room: Room): void {
  for (const occupant of room.occupants) {
    const role = roleOnEntry(room.affiliationOf(occupant.real), room.settings.isModerated);
    // Whoever has been given voice keeps it, and a moderator stays one.
    const isLess = hasRole(occupant.role, role) && occupant.role !== role;
    if (occupant.role !== role && (!isLess || (role === 'visitor' && occupant.role === 'participant')))
      setRole(room, occupant, role, {});
  }
}

function checkRole(room: Room, by: Jid, { occupants, role }: RoleChange): void {
  const standing = room.standingOf(by);
  for (const { real, role: before } of occupants) {
    // Moderators may kick themselves (section 8.2).
    if (role === 'none' && real.bare === by.bare && standing.role === 'moderator') continue;
    // Moderators are made and unmade by admins (sections 9.6 and 9.7).
    const isTheirs = role === 'moderator' || (before === 'moderator' && role !== 'none');
    if (isTheirs && !isAffiliated(standing.affiliation, 'admin')) throw new StanzaError('forbidden');
    const of = { affiliation: room.affiliationOf(real), role: before };
    if (!mayChangeRole(standing, of, role)) throw new StanzaError('not-allowed');
  }
}

function setRole(
  room: Room,
  occupant: Occupant,
  role: Role,
  { reason, actor }: { reason?: string | undefined; actor?: string | undefined },
): void {
  if (occupant.role === role) return;
  occupant.role = role;
  occupant.forms = undefined;
  announce(room, occupant, { reason, actor: actor === undefined ? undefined : { nick: actor } });
}

function ownAffiliation(room: Room, bare: string): Affiliation {
  return room.members.get(bare)?.affiliation ?? 'none';
}

function toMember(room: Room, { jid, affiliation, nick, reason }: AffiliationChange): Member {
  const known = room.members.get(jid.bare);
  // Who is banned has no nick in the room any more (section 9.1), nor has who was a member and is not.
  const isOut = affiliation === 'outcast' || affiliation === 'none';
  const kept = nick === '' || isOut ? undefined : (nick ?? known?.nick);
  const noted = reason ?? (known?.affiliation === affiliation ? known.reason : undefined);
  return { affiliation, ...(kept !== undefined && { nick: kept }), ...(noted !== undefined && { reason: noted }) };
}

function checkAffiliation(room: Room, by: Jid, { jid, affiliation, nick }: AffiliationChange): void {
  const own = room.affiliationOf(by);
  const before = ownAffiliation(room, jid.bare);
  if (jid.bare === by.bare && affiliation === 'outcast') throw new StanzaError('conflict', { text: 'You cannot ban yourself' });
  // Admins and owners are made and unmade by owners (sections 10.3 to 10.8); they are out of reach for a ban by admins (section 9.1).
  const isOwners = isAffiliated(affiliation, 'admin') || (isAffiliated(before, 'admin') && affiliation !== 'outcast');
  if (isOwners && own !== 'owner') throw new StanzaError('forbidden');
  if (!mayAffiliate(own, before, affiliation)) throw new StanzaError('not-allowed');
  checkReserved(room, jid, nick);
}

/** A nick is kept for one only. */
function checkReserved(room: Room, { bare }: Jid, nick: string | undefined): void {
  const owner = nick ? room.ownerOf(nick) : undefined;
  if (owner !== undefined && owner !== bare) throw new StanzaError('conflict', { text: 'This nick is taken' });
}

/** A room has an owner at all times (section 10.5). */
function checkOwners(room: Room, wanted: ReadonlyMap<string, Member>): void {
  const losers = [...wanted].filter(
    ([bare, { affiliation }]) => ownAffiliation(room, bare) === 'owner' && affiliation !== 'owner',
  );
  if (losers.length === 0) return;
  const gains = [...wanted.values()].some(({ affiliation }) => affiliation === 'owner');
  if (!gains && losers.length >= room.affiliated('owner').length) {
    throw new StanzaError('conflict', { text: 'A room needs an owner' });
  }
}

interface Outcome {
  readonly bare: string;
  readonly was: Affiliation;
  readonly is: Affiliation;
  readonly reason: string | undefined;
  readonly actor: string | undefined;
  /** The version before. */
  readonly since: number;
}

function tell(room: Room, outcome: Outcome): void {
  const { bare, is, reason, actor } = outcome;
  const here = bare.includes('@')
    ? room.occupants.ofAccount(bare)
    : [...room.occupants].filter(({ real }) => real.domain === bare);
  if (here.length === 0) return tellOfAbsent(room, outcome);
  const codes = expulsionOf(room, is);
  if (codes) {
    // Those of a domain who are more to the room by themselves stay.
    const out = here.filter(({ real }) => expulsionOf(room, room.affiliationOf(real)));
    expel(room, out, { codes, reason, actor });
    return;
  }
  const extra = [versionMark(room, outcome.since)];
  for (const occupant of here) {
    occupant.role = roleAfter(room, occupant, outcome);
    occupant.forms = undefined;
    announce(room, occupant, { reason, actor: actor === undefined ? undefined : { nick: actor }, extra });
  }
}

/** Undefined for those who may stay. */
function expulsionOf(room: Room, affiliation: Affiliation): readonly string[] | undefined {
  if (affiliation === 'outcast') return [STATUS.banned];
  if (room.settings.isMembersOnly && !isAffiliated(affiliation, 'member')) return [STATUS.affiliationLost];
  return undefined;
}

/** Who rises gets at least what comes with it; who loses being an admin or owner is no moderator by that any more (section 5.1.3). */
function roleAfter(room: Room, { role, real }: Occupant, { was }: Outcome): Role {
  const usual = roleOnEntry(room.affiliationOf(real), room.settings.isModerated);
  if (isAffiliated(was, 'admin') && role === 'moderator') return usual === 'visitor' ? 'participant' : usual;
  return hasRole(role, usual) ? role : usual;
}

/** Those who may know learn what somebody who is not here has become (sections 9.3 and 10.3; XEP-0463 section 4.2.2). */
function tellOfAbsent(room: Room, { bare, is, since }: Outcome): void {
  const to = room.addressesOf(({ real }) => mayListMembers(room, real));
  if (to.length === 0) return;
  const item = xml('item', { jid: bare, affiliation: is, role: 'none' });
  void room.sendAll(affiliationNotice(xml('x', NS_USER, versionMark(room, since), item)), room.jid, to);
}
