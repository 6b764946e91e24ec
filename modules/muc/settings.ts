import type { FormField } from '#core';
import { type Affiliation, hasRole, isAffiliated, type Role, type Standing } from './ranks.ts';

/** Who may send private messages (`muc#roomconfig_allowpm`). */
export const PRIVATE_MESSAGES = ['anyone', 'participants', 'moderators', 'none'] as const;

/** To whom a room leaves something, ascending: to everybody in it, or only to those of this role or affiliation. */
export const LEVELS = ['anyone', 'participants', 'members', 'moderators', 'admins', 'owners'] as const;
/** One of LEVELS. */
export type Level = (typeof LEVELS)[number];

/** What LEVELS are called in forms. */
export const LEVEL_OPTIONS: readonly { readonly value: Level; readonly label: string }[] = [
  { value: 'anyone', label: 'Anyone in the room' },
  { value: 'participants', label: 'Anyone with voice' },
  { value: 'members', label: 'Members' },
  { value: 'moderators', label: 'Moderators' },
  { value: 'admins', label: 'Admins' },
  { value: 'owners', label: 'Owners' },
];

/** Reads a level; undefined for anything else. */
export function readLevel(text: unknown): Level | undefined {
  return LEVELS.find((level) => level === text);
}

/** Whether somebody in a room is among those to whom something is left. */
export function reaches({ affiliation, role }: Standing, level: Level): boolean {
  switch (level) {
    case 'anyone':
      return role !== 'none';
    case 'participants':
      return hasRole(role, 'participant');
    case 'members':
      return isAffiliated(affiliation, 'member');
    case 'moderators':
      return role === 'moderator';
    case 'admins':
      return isAffiliated(affiliation, 'admin');
    case 'owners':
      return affiliation === 'owner';
  }
}

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
  /** An address of a node for the room's own news (`muc#roomconfig_pubsub`). */
  readonly pubsub?: string;
  /** The values of fields that features have declared (RoomField), by the names of the fields. */
  readonly extras: Readonly<Record<string, readonly string[]>>;
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
  extras: {},
};

/** A field of the configuration that a feature brings. Names of fields are its own, in Clark notation or with `x-` in front (XEP-0068). */
export interface RoomField extends FormField {
  /** What holds in rooms that have not chosen. */
  readonly values: readonly string[];
  /** Whether disco#info of the room shows it to everybody (XEP-0128). */
  readonly isShown: boolean;
  /** What a whole number has to be, for forms to say so (XEP-0122). */
  readonly range?: { readonly min: number; readonly max: number };
  /** What is kept of what an owner has filled in; throws StanzaError `not-acceptable` for what cannot be. */
  read(values: readonly string[]): readonly string[];
}

/** The fields that features have declared. */
export class RoomFields {
  readonly #fields = new Map<string, RoomField>();

  /** Adds a field; returns what takes it back. Throws when there is one of this name. */
  add(field: RoomField): () => void {
    if (this.#fields.has(field.name)) throw new Error(`the field ${field.name} is declared twice`);
    this.#fields.set(field.name, field);
    return () => void this.#fields.delete(field.name);
  }

  get(name: string): RoomField | undefined {
    return this.#fields.get(name);
  }

  [Symbol.iterator](): IterableIterator<RoomField> {
    return this.#fields.values();
  }

  /** What a room has chosen, or what holds otherwise; nothing for a field that nobody declares. */
  valuesOf({ extras }: Settings, name: string): readonly string[] {
    const field = this.#fields.get(name);
    if (!field) return [];
    return (Object.hasOwn(extras, name) ? extras[name] : undefined) ?? field.values;
  }

  /** As `valuesOf`, for a field whose value is a level. */
  levelOf(settings: Settings, name: string): Level {
    return readLevel(this.valuesOf(settings, name)[0]) ?? 'owners';
  }
}
