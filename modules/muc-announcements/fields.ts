// The fields of a room's configuration that this module brings.
import { StanzaError } from '#core';
import { levelField, type Room, type RoomField } from '../muc/index.ts';
import { isZone } from './zone.ts';

/** The field that says who may pin messages. */
export const PIN_FIELD = '{parlance:rooms:1}who_may_pin';
/** The field that says who may plan announcements. */
export const ANNOUNCE_FIELD = '{parlance:rooms:1}who_may_announce';
/** The field of the room's time zone. */
export const ZONE_FIELD = '{parlance:rooms:1}time_zone';
/** The field that says whether those who come in are shown what is pinned. */
export const SHOW_FIELD = '{parlance:rooms:1}show_pins';

/** All of them. */
export const FIELDS: readonly RoomField[] = [
  levelField(PIN_FIELD, 'Who may pin messages?', 'moderators'),
  levelField(ANNOUNCE_FIELD, 'Who may plan announcements?', 'admins'),
  {
    name: ZONE_FIELD,
    type: 'text-single',
    label: 'Time zone, such as Europe/Berlin',
    values: ['UTC'],
    isShown: true,
    read([value = '']) {
      if (!isZone(value.trim())) throw new StanzaError('not-acceptable', { text: 'There is no such time zone' });
      return [value.trim()];
    },
  },
  {
    name: SHOW_FIELD,
    type: 'boolean',
    label: 'Show pinned messages to those who come in?',
    values: ['1'],
    isShown: false,
    read: ([value]) => [value === '1' || value === 'true' ? '1' : '0'],
  },
];

/** Where the room is at home. */
export function zoneOf(room: Room, settings: Room['settings'] = room.settings): string {
  const [zone = ''] = room.parts.fields.valuesOf(settings, ZONE_FIELD);
  // What this system knows may have become less since it was chosen.
  return isZone(zone) ? zone : 'UTC';
}

/** Whether those who come in are shown what is pinned. */
export function showsPins(room: Room): boolean {
  return room.parts.fields.valuesOf(room.settings, SHOW_FIELD)[0] === '1';
}
