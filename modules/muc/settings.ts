import type { Affiliation, Role } from './ranks.ts';

/** Who may send private messages (`muc#roomconfig_allowpm`). */
export const PRIVATE_MESSAGES = ['anyone', 'participants', 'moderators', 'none'] as const;

/** How a room is configured (XEP-0045 section 10.1.3). */
export interface Settings {
  readonly name: string;
  readonly description: string;
  readonly lang: string;
  readonly isPersistent: boolean;
  readonly isPublic: boolean;
  readonly isModerated: boolean;
  readonly isMembersOnly: boolean;
  /** Undefined: none is needed. */
  readonly password?: string;
  /** Who sees the real addresses of occupants. */
  readonly whois: 'moderators' | 'anyone';
  /** Occupants at most; 0 for as many as the service takes. */
  readonly maxUsers: number;
  /** Messages that a new occupant gets at most. */
  readonly maxHistory: number;
  readonly mayOccupantsChangeSubject: boolean;
  readonly mayMembersInvite: boolean;
  readonly privateMessages: (typeof PRIVATE_MESSAGES)[number];
  /** Whose presence is told. */
  readonly presenceOf: readonly Role[];
  /** Who may see the list of members besides admins and owners. */
  readonly memberListFor: readonly (Role | Affiliation)[];
  /** Whether messages are archived (XEP-0313). */
  readonly isArchived: boolean;
  /** Whether members have to use the nick they have registered. */
  readonly areNicksFixed: boolean;
}

/** What a new room is like unless the host says otherwise. */
export const DEFAULTS: Settings = {
  name: '',
  description: '',
  lang: '',
  isPersistent: true,
  isPublic: true,
  isModerated: false,
  isMembersOnly: false,
  whois: 'moderators',
  maxUsers: 0,
  maxHistory: 50,
  mayOccupantsChangeSubject: false,
  mayMembersInvite: false,
  privateMessages: 'anyone',
  presenceOf: ['moderator', 'participant', 'visitor'],
  memberListFor: ['moderator', 'participant'],
  isArchived: true,
  areNicksFixed: false,
};
