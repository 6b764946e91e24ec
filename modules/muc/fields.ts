import { StanzaError } from '#core';
import { LEVEL_OPTIONS, type Level, type RoomField, readLevel } from './settings.ts';

/** Characters of all attributes of a room. */
const MAX_ATTRIBUTES = 4096;

/** The field that says who may speak. */
export const SPEAK_FIELD = '{parlance:rooms:1}who_may_speak';
/** The field that says who may become a member by asking for it. */
export const REGISTER_FIELD = '{parlance:rooms:1}registration';

/** A field by which owners choose who may do something. */
export function levelField(name: string, label: string, level: Level): RoomField {
  return {
    name,
    type: 'list-single',
    label,
    options: LEVEL_OPTIONS,
    values: [level],
    isShown: true,
    read([value]) {
      const chosen = readLevel(value);
      return chosen ? [chosen] : refuse(label);
    },
  };
}

/** The fields of the configuration that every service has. */
export const OWN_FIELDS: readonly RoomField[] = [
  levelField(SPEAK_FIELD, 'Who may speak?', 'participants'),
  levelField('{parlance:rooms:1}who_may_call', 'Who may start calls?', 'participants'),
  levelField('{parlance:rooms:1}who_may_upload', 'Who may send files?', 'participants'),
  {
    name: REGISTER_FIELD,
    type: 'list-single',
    label: 'Who becomes a member by asking?',
    options: [
      { value: 'open', label: 'Anyone; where only members may enter, whom an admin approves' },
      { value: 'approval', label: 'Whom an admin approves' },
      { value: 'closed', label: 'Nobody' },
    ],
    values: ['open'],
    isShown: true,
    read: (values) => (['open', 'approval', 'closed'].includes(values[0] ?? '') ? values.slice(0, 1) : refuse('registration')),
  },
  {
    name: '{parlance:rooms:1}attributes',
    type: 'text-multi',
    label: 'Attributes of your own, one in a line: name: value',
    values: [],
    isShown: true,
    read: (values) => (values.join('\n').length <= MAX_ATTRIBUTES ? values : refuse('attributes')),
  },
];

function refuse(name: string): never {
  throw new StanzaError('not-acceptable', { text: `The value of ${name} cannot be` });
}
