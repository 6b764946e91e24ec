// XEP-0045 section 5: what somebody is to a room for long (affiliation), and as long as they are in it (role).

/** Ascending: each may do what those before it may, but for outcasts, who may not even come in. */
export const AFFILIATIONS = ['outcast', 'none', 'member', 'admin', 'owner'] as const;
/** One of AFFILIATIONS. */
export type Affiliation = (typeof AFFILIATIONS)[number];

/** Ascending. */
export const ROLES = ['none', 'visitor', 'participant', 'moderator'] as const;
/** One of ROLES. */
export type Role = (typeof ROLES)[number];

/** Reads an affiliation; undefined for anything else. */
export function readAffiliation(text: unknown): Affiliation | undefined {
  return AFFILIATIONS.find((affiliation) => affiliation === text);
}

/** Reads a role; undefined for anything else. */
export function readRole(text: unknown): Role | undefined {
  return ROLES.find((role) => role === text);
}

/** Whether an affiliation is at least this one. */
export function isAffiliated(affiliation: Affiliation, least: Affiliation): boolean {
  return AFFILIATIONS.indexOf(affiliation) >= AFFILIATIONS.indexOf(least);
}

/** Whether a role is at least this one. */
export function hasRole(role: Role, least: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(least);
}

/** With which role somebody comes in (section 5.1.2). */
export function roleOnEntry(affiliation: Affiliation, isModerated: boolean): Role {
  if (isAffiliated(affiliation, 'admin')) return 'moderator';
  if (affiliation === 'member') return 'participant';
  return isModerated ? 'visitor' : 'participant';
}

/** Who changes something, and what they are to the room. */
export interface Standing {
  readonly affiliation: Affiliation;
  readonly role: Role;
}

/**
 * Whether somebody may give another one this affiliation in place of the one before (section 5.2.2): owners may all, admins only what is
 * below them.
 */
export function mayAffiliate(by: Affiliation, before: Affiliation, after: Affiliation): boolean {
  if (by === 'owner') return true;
  return by === 'admin' && !isAffiliated(before, 'admin') && !isAffiliated(after, 'admin');
}

/**
 * Whether somebody may give an occupant this role (section 5.1.3). Moderators give and take voice, and show out participants and visitors
 * (section 5.1.1); only admins and owners make moderators, unmake them and show them out. Nobody takes anything from those of a higher
 * affiliation (sections 8.2 and 8.5; by the words of section 8.4 moderators without an affiliation could not take voice from anybody), and
 * nobody takes voice or moderator status from admins and owners (sections 8.4, 9.7 and 9.8).
 */
export function mayChangeRole(by: Standing, of: Standing, after: Role): boolean {
  if (by.role !== 'moderator') return false;
  const isAdmin = isAffiliated(by.affiliation, 'admin');
  if (hasRole(after, of.role)) return after !== 'moderator' || isAdmin;
  if (!isAffiliated(by.affiliation, of.affiliation)) return false;
  if (after !== 'none' && isAffiliated(of.affiliation, 'admin')) return false;
  return of.role !== 'moderator' || isAdmin;
}
