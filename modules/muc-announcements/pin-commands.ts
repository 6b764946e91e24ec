// Pins as every client can show them: by commands of the room.
import { cutText, type FormField, StanzaError, timeOf, writeForm } from '#core';
import type { Answers, Command } from '../commands/index.ts';
import { TAG } from '../mam/index.ts';
import type { MucApi, Room } from '../muc/index.ts';
import type { AnnouncementsApi } from './api.ts';
import { NS_PINS } from './namespaces.ts';
import { nameOf, pinnedAt, showText } from './pin-messages.ts';
import { mayRead } from './pin-queries.ts';
import { mayPin, type Pin, textOf } from './pins.ts';
import { showTime } from './zone.ts';

/** Messages that can be chosen from. */
const CHOICE = 30;
/** Characters of a message in a list. */
const SHOWN = 80;

/** The commands for pins. */
export function pinCommands(rooms: Pick<MucApi, 'messages'>, api: AnnouncementsApi): readonly Command<Room>[] {
  return [list(api), pin(rooms, api), unpin(api)];
}

function list(api: AnnouncementsApi): Command<Room> {
  return {
    node: `${NS_PINS}#list`,
    name: 'List Pinned Messages',
    isAllowed: (from, room) => mayRead(room, from),
    async run(_answers, _from, room) {
      const pins = await api.pins(room);
      if (pins.length === 0) return 'Nothing is pinned.';
      const zone = api.zoneOf(room);
      const fields = pins.map((each): FormField => {
        const label = `Pinned by ${nameOf(each.by)} on ${showTime(zone, pinnedAt(each))}`;
        return { name: each.id, type: 'text-multi', label, values: showText(each).split('\n') };
      });
      return { form: writeForm('result', NS_PINS, fields, { title: 'Pinned Messages' }) };
    },
  };
}

function pin({ messages }: Pick<MucApi, 'messages'>, api: AnnouncementsApi): Command<Room> {
  return {
    node: `${NS_PINS}#pin`,
    name: 'Pin a Message',
    isAllowed: (from, room) => mayPin(room, from),
    async form(_from, room) {
      const tag = { mask: TAG.tombstone | TAG.conversation, value: TAG.conversation };
      const { items } = await messages.query(room.jid.bare, { tag, max: CHOICE, last: true });
      const options = items.toReversed().flatMap((item) => {
        const text = textOf(item);
        return text === undefined ? [] : [{ value: item.id, label: shorten(showText({ nick: item.resource, text })) }];
      });
      const fields: readonly FormField[] = [
        { name: 'message', type: 'list-single', label: 'Message', options },
        { name: 'id', type: 'text-single', label: 'Or the id of another one in the archive' },
      ];
      return writeForm('form', NS_PINS, fields, { title: 'Pin a Message' });
    },
    async run(answers, from, room) {
      await api.pin(room, chosen(answers), from);
      return 'The message is pinned.';
    },
  };
}

function unpin(api: AnnouncementsApi): Command<Room> {
  return {
    node: `${NS_PINS}#unpin`,
    name: 'Unpin a Message',
    isAllowed: (from, room) => mayPin(room, from),
    async form(_from, room) {
      const options = (await api.pins(room)).map(toOption);
      const field: FormField = { name: 'message', type: 'list-single', label: 'Message', options, isRequired: true };
      return writeForm('form', NS_PINS, [field], { title: 'Unpin a Message' });
    },
    async run(answers, from, room) {
      await api.unpin(room, chosen(answers), from);
      return 'The message is not pinned any more.';
    },
  };
}

function toOption(each: Pin): { value: string; label: string } {
  return { value: each.id, label: shorten(showText(each)) };
}

/** Something that fits into a list. */
function shorten(text: string): string {
  return cutText(text.replaceAll(/\s+/g, ' '), SHOWN);
}

function chosen(answers: Answers): string {
  const id = answers.get('id')?.[0]?.trim() || answers.get('message')?.[0];
  if (!id || timeOf(id) === undefined) throw new StanzaError('not-acceptable', { text: 'No message was chosen' });
  return id;
}
