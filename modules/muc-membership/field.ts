import { StanzaError } from '#core';
import type { Room, RoomField } from '../muc/index.ts';
import { LABELS } from './command.ts';
import { readSetting, SETTINGS, type Setting } from './settings.ts';

const NOTIFY_FIELD = '{parlance:rooms:1}notify';
const USUAL = 'usual';

/** The field by which owners say of what members are notified who have not chosen. */
export const notifyField: RoomField = {
  name: NOTIFY_FIELD,
  type: 'list-single',
  label: 'Of what are members notified who are away and have not chosen?',
  options: [{ value: USUAL, label: 'As is usual on this server' }, ...SETTINGS.map((value) => ({ value, label: LABELS[value] }))],
  values: [USUAL],
  isShown: true,
  read([value]) {
    if (value !== USUAL && !readSetting(value)) throw new StanzaError('not-acceptable', { text: `There is no choice ${value}` });
    return [value!];
  },
};

/** What holds on this server for rooms that say nothing else. */
export interface Usual {
  readonly public: Setting;
  readonly membersOnly: Setting;
}

/** Of what members of a room are notified who have not chosen. */
export function usualIn({ settings, parts }: Room, usual: Usual): Setting {
  const chosen = readSetting(parts.fields.valuesOf(settings, NOTIFY_FIELD)[0]);
  return chosen ?? (settings.isMembersOnly ? usual.membersOnly : usual.public);
}
