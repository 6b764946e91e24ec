import type { Jid } from '#core';
import { isAffiliated } from './ranks.ts';
import type { Room } from './room.ts';

/** Whether somebody may see who has which affiliation (`muc#roomconfig_getmemberlist`, XEP-0045 section 9.5). */
export function mayListMembers(room: Room, jid: Jid): boolean {
  const { affiliation, role } = room.standingOf(jid);
  if (isAffiliated(affiliation, 'admin')) return true;
  // The list has real addresses, which a semi-anonymous room keeps from all but moderators (section 5.2.1).
  if (room.settings.whois !== 'anyone' && role !== 'moderator') return false;
  const allowed = room.settings.memberListFor;
  return allowed.includes(affiliation) || allowed.includes(role) || (affiliation === 'member' && allowed.includes('participant'));
}
