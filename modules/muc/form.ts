// The form by which a room is configured (XEP-0045 sections 10.1.3 and 10.2): each field once, with how it is written and read.
import { isDeepStrictEqual } from 'node:util';
import { type Element, type FormField, Jid, readForm, StanzaError, writeForm, xml } from '#core';
import { NS_MUC } from './announce.ts';
import type { Role } from './ranks.ts';
import { PRIVATE_MESSAGES, type RoomField, type RoomFields, type Settings } from './settings.ts';

/** The FORM_TYPE of the configuration. */
export const NS_CONFIG = `${NS_MUC}#roomconfig`;
const NS_VALIDATE = 'http://jabber.org/protocol/xdata-validate';
const ADMINS = 'muc#roomconfig_roomadmins';
const OWNERS = 'muc#roomconfig_roomowners';
/** Bytes of a text that everybody who asks is sent. */
const MAX_TEXT = 1024;
/** Admins or owners that a form may name. */
const MAX_NAMED = 1000;

/** A form as it was filled in. */
export interface Filled {
  readonly settings: Settings;
  /** Undefined when the form has said nothing of them. */
  readonly admins: readonly Jid[] | undefined;
  readonly owners: readonly Jid[] | undefined;
}

/** What stands in a form besides the settings. */
export interface FormState {
  readonly settings: Settings;
  readonly admins: readonly string[];
  readonly owners: readonly string[];
  readonly fields: RoomFields;
}

type Change = { -readonly [K in keyof Settings]?: Settings[K] | undefined };

interface Field extends Omit<FormField, 'values' | 'name'> {
  write(settings: Settings): readonly string[];
  /** What the values change; undefined when they are none. */
  read(values: readonly string[], settings: Settings): Change | undefined;
}

const ROLE_OPTIONS = [
  { value: 'moderator', label: 'Moderator' },
  { value: 'participant', label: 'Participant' },
  { value: 'visitor', label: 'Visitor' },
] as const;

const FIELDS: ReadonlyMap<string, Field> = new Map<string, Field>([
  ['muc#roomconfig_roomname', text('Name', 'name')],
  ['muc#roomconfig_roomdesc', text('Short description', 'description')],
  ['muc#roomconfig_lang', text('Language of discussions', 'lang')],
  ['muc#roomconfig_enablelogging', flag('Keep an archive of what is said?', 'isArchived')],
  ['muc#roomconfig_changesubject', flag('Allow occupants to change the subject?', 'mayOccupantsChangeSubject')],
  ['muc#roomconfig_allowinvites', flag('Allow members to invite others?', 'mayMembersInvite')],
  [
    'muc#roomconfig_allowpm',
    {
      type: 'list-single',
      label: 'Who may send private messages?',
      options: [
        { value: 'anyone', label: 'Anyone' },
        { value: 'participants', label: 'Anyone with voice' },
        { value: 'moderators', label: 'Moderators only' },
        { value: 'none', label: 'Nobody' },
      ],
      write: ({ privateMessages }) => [privateMessages],
      read: ([value]) => {
        const privateMessages = PRIVATE_MESSAGES.find((each) => each === value);
        return privateMessages && { privateMessages };
      },
    },
  ],
  [
    'muc#roomconfig_maxusers',
    {
      type: 'list-single',
      label: 'Maximum number of occupants',
      options: [
        ...['10', '20', '30', '50', '100', '200', '500', '1000', '5000'].map((value) => ({ value, label: value })),
        { value: 'none', label: 'None' },
      ],
      write: ({ maxUsers }) => [maxUsers === 0 ? 'none' : String(maxUsers)],
      read: ([value = '']) => {
        const maxUsers = value === 'none' || value === '' ? 0 : readNumber(value);
        return maxUsers === undefined ? undefined : { maxUsers };
      },
    },
  ],
  [
    'muc#roomconfig_presencebroadcast',
    {
      type: 'list-multi',
      label: 'Roles of which presence is broadcast',
      options: ROLE_OPTIONS,
      write: ({ presenceOf }) => presenceOf,
      read: (values) => readRoles(values, (presenceOf) => ({ presenceOf })),
    },
  ],
  [
    'muc#roomconfig_getmemberlist',
    {
      type: 'list-multi',
      label: 'Roles that may see the list of members',
      options: ROLE_OPTIONS,
      write: ({ memberListFor }) => memberListFor,
      read: (values) => readRoles(values, (memberListFor) => ({ memberListFor })),
    },
  ],
  ['muc#roomconfig_publicroom', flag('List the room publicly?', 'isPublic')],
  ['muc#roomconfig_persistentroom', flag('Keep the room when it is empty?', 'isPersistent')],
  ['muc#roomconfig_moderatedroom', flag('Only those with voice may speak?', 'isModerated')],
  ['muc#roomconfig_membersonly', flag('Only members may enter?', 'isMembersOnly')],
  [
    'muc#roomconfig_passwordprotectedroom',
    {
      type: 'boolean',
      label: 'A password is needed to enter?',
      write: ({ password }) => [password === undefined ? '0' : '1'],
      // Read together with the password.
      read: ([value]) => (readBoolean(value) === undefined ? undefined : {}),
    },
  ],
  [
    'muc#roomconfig_roomsecret',
    {
      type: 'text-private',
      label: 'The password',
      write: ({ password }) => (password === undefined ? [] : [password]),
      read: ([value = '']) => (Buffer.byteLength(value) > MAX_TEXT ? undefined : {}),
    },
  ],
  [
    'muc#roomconfig_whois',
    {
      type: 'list-single',
      label: 'Who may see real addresses?',
      options: [
        { value: 'moderators', label: 'Moderators only' },
        { value: 'anyone', label: 'Anyone' },
      ],
      write: ({ whois }) => [whois],
      read: ([value]) => (value === 'moderators' || value === 'anyone' ? { whois: value } : undefined),
    },
  ],
  [
    'muc#maxhistoryfetch',
    {
      type: 'text-single',
      label: 'Messages of history that whoever comes in gets at most',
      write: ({ maxHistory }) => [String(maxHistory)],
      read: ([value = '']) => {
        const maxHistory = readNumber(value);
        return maxHistory === undefined ? undefined : { maxHistory };
      },
    },
  ],
  [
    'muc#roomconfig_pubsub',
    {
      type: 'text-single',
      label: 'Address of an associated node',
      write: ({ pubsub }) => (pubsub === undefined ? [] : [pubsub]),
      read: ([value = '']) => (Buffer.byteLength(value) > MAX_TEXT ? undefined : { pubsub: value === '' ? undefined : value }),
    },
  ],
  ['{parlance:rooms:1}fixed_nicks', flag('Members use the nick they have registered?', 'areNicksFixed')],
]);

/** The form with what holds now. */
export function writeConfigForm({ settings, admins, owners, fields }: FormState): Element {
  const own = [...FIELDS].map(([name, { type, label, options, write }]) => ({
    name,
    ...(type && { type }),
    ...(label !== undefined && { label }),
    ...(options && { options }),
    values: write(settings),
  }));
  const extras = [...fields].map(({ name, type, label, options }) => ({
    name,
    ...(type && { type }),
    ...(label !== undefined && { label }),
    ...(options && { options }),
    values: fields.valuesOf(settings, name),
  }));
  const people: readonly FormField[] = [
    { name: ADMINS, type: 'jid-multi', label: 'Admins', values: admins },
    { name: OWNERS, type: 'jid-multi', label: 'Owners', values: owners },
  ];
  const form = writeForm('form', NS_CONFIG, [...own, ...extras, ...people], { title: 'Configuration of the room' });
  for (const field of form.getChildren('field')) validate(field, fields.get(String(field.attrs['var'])));
  return form;
}

/** XEP-0122 sections 3 and 3.2.3: says which whole numbers there may be. */
function validate(element: Element, field: RoomField | undefined): void {
  if (!field?.range) return;
  const range = xml('range', { min: String(field.range.min), max: String(field.range.max) });
  element.cnode(xml('validate', { xmlns: NS_VALIDATE, datatype: 'xs:integer' }, range));
}

/**
 * Reads a form that was filled in; what it does not name stays. Throws StanzaError: `bad-request` for what is no such form,
 * `not-acceptable` for values that cannot be.
 */
export function readConfigForm(form: Element, settings: Settings, fields: RoomFields): Filled {
  const values = readForm(form);
  const type = values.get('FORM_TYPE')?.[0];
  if (type !== undefined && type !== NS_CONFIG) throw new StanzaError('bad-request', { text: `The FORM_TYPE is ${NS_CONFIG}` });
  let next: Settings = settings;
  const extras = new Map(Object.entries(settings.extras));
  for (const [name, given] of values) {
    const field = FIELDS.get(name);
    const extra = field ? undefined : fields.get(name);
    if (extra) readExtra(extras, extra, given);
    if (!field) continue;
    const change = field.read(given, next);
    if (!change) throw refusal(name);
    next = apply(next, change);
  }
  next = apply(next, readPassword(values, settings));
  return {
    settings: { ...next, extras: Object.fromEntries(extras) },
    admins: readPeople(values.get(ADMINS)),
    owners: readPeople(values.get(OWNERS)),
  };
}

/** Whoever sends back what holds anyway has chosen nothing. */
function readExtra(extras: Map<string, readonly string[]>, field: RoomField, given: readonly string[]): void {
  const values = field.read(given);
  if (extras.has(field.name) || !isDeepStrictEqual(values, field.values)) extras.set(field.name, values);
}

/** Undefined takes away. */
function apply(settings: Settings, change: Change): Settings {
  const entries = Object.entries({ ...settings, ...change }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as unknown as Settings;
}

/** A room that needs a password has one (section 10.1.3). */
function readPassword(values: ReadonlyMap<string, readonly string[]>, { password }: Settings): Change {
  const isWanted = readBoolean(values.get('muc#roomconfig_passwordprotectedroom')?.[0]);
  const secret = values.get('muc#roomconfig_roomsecret')?.[0];
  if (isWanted === false) return { password: undefined };
  if (isWanted === undefined) return secret === undefined || password === undefined ? {} : { password: secret || undefined };
  const wanted = secret ?? password;
  if (!wanted) throw new StanzaError('not-acceptable', { text: 'A password is missing' });
  return { password: wanted };
}

function readPeople(values: readonly string[] | undefined): readonly Jid[] | undefined {
  if (!values) return undefined;
  if (values.length > MAX_NAMED) throw new StanzaError('not-acceptable', { text: 'Too many people are named' });
  return values
    .map((value) => value.trim())
    .filter((value) => value !== '')
    .map((value) => Jid.tryParse(value)?.bareJid ?? badAddress());
}

function badAddress(): never {
  throw new StanzaError('not-acceptable', { text: 'Admins and owners are named by their addresses' });
}

function text(label: string, key: 'name' | 'description' | 'lang'): Field {
  return {
    type: 'text-single',
    label,
    write: (settings) => [settings[key]],
    read: ([value = '']) => (Buffer.byteLength(value) > MAX_TEXT ? undefined : { [key]: value }),
  };
}

type Flag = { [K in keyof Settings]: Settings[K] extends boolean ? K : never }[keyof Settings];

function flag(label: string, key: Flag & string): Field {
  return {
    type: 'boolean',
    label,
    write: (settings) => [settings[key] ? '1' : '0'],
    read: ([value]) => {
      const is = readBoolean(value);
      return is === undefined ? undefined : { [key]: is };
    },
  };
}

function readRoles(values: readonly string[], change: (roles: readonly Role[]) => Change): Change | undefined {
  const roles = ROLE_OPTIONS.map(({ value }) => value).filter((value) => values.includes(value));
  return roles.length === new Set(values.filter((value) => value !== '')).size ? change(roles) : undefined;
}

function readBoolean(value: string | undefined): boolean | undefined {
  if (value === '1' || value === 'true') return true;
  return value === '0' || value === 'false' ? false : undefined;
}

function readNumber(value: string): number | undefined {
  return /^\d{1,9}$/.test(value.trim()) ? Number(value) : undefined;
}

function refusal(name: string): StanzaError {
  return new StanzaError('not-acceptable', { text: `The value of ${name} cannot be` });
}
