// XEP-0513 section 4: what rooms let people mention.
import { Element, type FormField, type Jid, readForm, type Stanza, StanzaError, writeForm, xml } from '#core';
import { LEVEL_OPTIONS, type Level, levelField, type Room, type RoomField } from '../muc/index.ts';
import { CHANNEL, isOfRoom, NS_MENTIONS, NS_REFERENCE } from './mentioned.ts';

const COUNT_FIELD = '{parlance:rooms:1}max_mentions';
const ONE_FIELD = '{parlance:rooms:1}who_may_mention';
const ALL_FIELD = '{parlance:rooms:1}who_may_mention_all';
/** XEP-0452 section 3.1. */
const FORWARD_FIELD = 'muc#roomconfig_forwardmentions';
const NS_DATA = 'jabber:x:data';
const MAX_COUNT = 100;

const count: RoomField = {
  name: COUNT_FIELD,
  type: 'text-single',
  label: 'How many mentions are allowed in a message?',
  values: ['10'],
  range: { min: 0, max: MAX_COUNT },
  isShown: false,
  read([value = '']) {
    if (!/^\d{1,3}$/.test(value.trim()) || Number(value) > MAX_COUNT) throw refusal(`Mentions are 0 to ${MAX_COUNT}`);
    return [String(Number(value))];
  },
};

const forward: RoomField = {
  name: FORWARD_FIELD,
  type: 'boolean',
  label: 'Forward messages with mentions to non-present, affiliated users',
  values: ['0'],
  isShown: false,
  read: ([value]) => [value === '1' || value === 'true' ? '1' : '0'],
};

/** What is added to the configuration of rooms. */
export const FIELDS: readonly RoomField[] = [
  count,
  levelField(ONE_FIELD, 'Who may mention people?', 'participants'),
  levelField(ALL_FIELD, 'Who may mention everybody at once?', 'moderators'),
  forward,
];

/** The fields of XEP-0513 by ours, in the order of its form. */
const COUNT = 'mentions#count';
const LEVELS = [
  ['mentions#individual', ONE_FIELD, 'Who can mention individual users?'],
  ['mentions#channel', ALL_FIELD, 'Who can mention rooms?'],
] as const;
const CHOICES = [
  { value: 'participants', label: 'Participants' },
  { value: 'moderators', label: 'Moderators Only' },
  { value: 'none', label: 'Nobody' },
] as const;

type Settings = Room['settings'];

/** Whether messages are forwarded to those who are mentioned in them and are not there. */
export function isForwarding({ parts, settings }: Room): boolean {
  return parts.fields.valuesOf(settings, FORWARD_FIELD)[0] === '1';
}

/** How many mentions a message may have. */
export function maxMentions({ parts, settings }: Room): number {
  return Number(parts.fields.valuesOf(settings, COUNT_FIELD)[0] ?? 0);
}

/** What somebody says, without the mentions that the room does not let them make; all of them, where there are too many. */
export function restrain(room: Room, stanza: Stanza, from: Jid): Stanza {
  if (!stanza.has('mention', NS_MENTIONS) && !stanza.has('reference', NS_REFERENCE)) return stanza;
  const mentions = stanza.element.children.filter((child) => child instanceof Element && isMention(child));
  if (mentions.length > maxMentions(room)) return stanza.filter((child) => !isMention(child));
  const [mayOne, mayAll] = [ONE_FIELD, ALL_FIELD].map((field) => room.may(from, room.levelOf(field)));
  if (mayOne && mayAll) return stanza;
  return stanza.filter((child) => {
    if (!isMention(child) || isSilent(child)) return true;
    if (child.attrs['mentions'] === undefined) return mayOne!;
    return child.attrs['mentions'] !== CHANNEL || !isOfRoom(child, room.jid.bare) || mayAll!;
  });
}

/** What the room says of it to those who look (section 4: in `muc#roominfo`). */
export function describePermissions(room: Room): readonly FormField[] {
  return [...valuesOf(room, room.settings)].map(([name, value]) => ({ name, values: [value] }));
}

/** The form, for anybody. */
export function showPermissions(room: Room): Element {
  const values = valuesOf(room, room.settings);
  const fields: FormField[] = [
    { name: COUNT, type: 'text-single', label: count.label!, isRequired: true, values: [values.get(COUNT)!] },
    ...LEVELS.map(
      ([name, , label]): FormField => ({
        name,
        type: 'list-single',
        label,
        isRequired: true,
        values: [values.get(name)!],
        options: CHOICES,
      }),
    ),
  ];
  return xml('query', NS_MENTIONS, writeForm('form', NS_MENTIONS, fields, { title: 'Permissions for Explicit Mentions' }));
}

/** The configuration that a form asks for. Throws StanzaError for one that cannot be, and for those who are no owners. */
export function takePermissions(room: Room, from: Jid, query: Element): Settings {
  const { settings } = room;
  if (room.affiliationOf(from) !== 'owner') throw new StanzaError('forbidden', { text: 'Only owners may do this' });
  const form = query.getChild('x', NS_DATA);
  if (form?.attrs['type'] !== 'submit') throw new StanzaError('bad-request', { text: 'A form is missing' });
  const values = readForm(form);
  const type = values.get('FORM_TYPE')?.[0];
  if (type !== undefined && type !== NS_MENTIONS)
    throw new StanzaError('bad-request', { text: `The FORM_TYPE is ${NS_MENTIONS}` });
  const extras = new Map(Object.entries(settings.extras));
  const wanted = values.get(COUNT);
  if (wanted) extras.set(COUNT_FIELD, count.read(wanted));
  for (const [name, field] of LEVELS) {
    const value = values.get(name)?.[0];
    if (value !== undefined) extras.set(field, [levelFor(value)]);
  }
  return { ...settings, extras: Object.fromEntries(extras) };
}

/** What the room tells everybody after a change; undefined when nothing of this has changed. */
export function changeNotice(room: Room, before: Settings): Element | undefined {
  const old = valuesOf(room, before);
  const changed = [...valuesOf(room, room.settings)].filter(([name, value]) => old.get(name) !== value);
  if (changed.length === 0) return undefined;
  const fields = changed.map(
    ([name, value]): FormField => ({ name, type: name === COUNT ? 'text-single' : 'list-single', values: [value] }),
  );
  return writeForm('result', NS_MENTIONS, fields, { title: 'Updated configuration for Explicit Mention Permissions' });
}

function valuesOf({ parts: { fields } }: Room, settings: Settings): ReadonlyMap<string, string> {
  const values = new Map([[COUNT, fields.valuesOf(settings, COUNT_FIELD)[0] ?? '0']]);
  for (const [name, field] of LEVELS) values.set(name, choiceOf(fields.levelOf(settings, field)));
  return values;
}

/** XEP-0513 knows three levels. What a room leaves to few it leaves to nobody whom others would take for anybody. */
function choiceOf(level: Level): string {
  if (level === 'moderators') return 'moderators';
  return level === 'admins' || level === 'owners' ? 'none' : 'participants';
}

function levelFor(choice: string): Level {
  if (choice === 'none') return 'owners';
  const level = LEVEL_OPTIONS.find(({ value }) => value === choice && CHOICES.some((each) => each.value === choice));
  if (!level) throw refusal(`There is no choice ${choice.slice(0, 100)}`);
  return level.value;
}

function isMention(child: Element): boolean {
  const xmlns = child.getNS();
  if (xmlns === NS_MENTIONS) return child.getName() === 'mention';
  return xmlns === NS_REFERENCE && child.getName() === 'reference' && child.attrs['type'] === 'mention';
}

function isSilent(child: Element): boolean {
  return child.getChild('noping', NS_MENTIONS) !== undefined;
}

function refusal(text: string): StanzaError {
  return new StanzaError('not-acceptable', { text });
}
