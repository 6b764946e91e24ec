// Ad-hoc commands at a room (XEP-0050) for those who keep order in it.
import { type ArchiveStore, type FormField, StanzaError, writeForm } from '#core';
import { describeReport, type ReportsApi } from '../blocking/index.ts';
import type { Answers, Command } from '../commands/index.ts';
import { isAffiliated, type MucApi, type Room } from '../muc/index.ts';
import { type Bans, readDuration } from './bans.ts';
import { isModerator, type Moderation } from './moderation.ts';
import { NS_ROOMS } from './namespaces.ts';
import { readReason } from './text.ts';
import { findPerson } from './who.ts';

/** Messages of one person that are retracted by one command, at most and usually. */
const MAX_RETRACTED = 500;
const USUAL_RETRACTED = '50';
/** Reports shown. */
const MAX_SHOWN = 50;

/** What the commands work with. */
export interface RoomCommandParts {
  readonly rooms: MucApi;
  readonly messages: ArchiveStore;
  readonly bans: Bans;
  readonly moderation: Moderation;
  /** Undefined where nobody can report anything. */
  readonly reports: ReportsApi | undefined;
}

const REASON: FormField = { name: 'reason', type: 'text-single', label: 'Reason, which everybody is told' };

/** All of them. */
export function roomCommands(parts: RoomCommandParts): readonly Command<Room>[] {
  const { reports } = parts;
  return [kick(parts), ban(parts), retractAll(parts), ...(reports ? [listReports(reports)] : [])];
}

function kick({ rooms }: RoomCommandParts): Command<Room> {
  const node = `${NS_ROOMS}#kick`;
  return {
    node,
    name: 'Kick',
    isAllowed: (from, room) => room.standingOf(from).role === 'moderator',
    form: () => writeForm('form', node, [who('nick', 'Nick'), REASON], { title: 'Show somebody out of the room' }),
    run(answers, from, room) {
      const nick = read(answers, 'nick');
      const occupants = room.occupants.named(nick);
      if (occupants.length === 0) throw new StanzaError('item-not-found', { text: 'Nobody of this nick is here' });
      rooms.changeRoles(room, from, [{ occupants, role: 'none', reason: reasonOf(answers) }]);
      return `${nick} was shown out.`;
    },
  };
}

function ban({ bans, messages }: RoomCommandParts): Command<Room> {
  const node = `${NS_ROOMS}#ban`;
  const duration: FormField = {
    name: 'duration',
    type: 'text-single',
    label: 'For how long: 30m, 2h, 7d or 4w; for ever when empty',
  };
  return {
    node,
    name: 'Ban',
    isAllowed: (from, room) => isAffiliated(room.affiliationOf(from), 'admin'),
    form: () =>
      writeForm('form', node, [who('who', 'Nick, occupant id or address'), duration, REASON], {
        title: 'Ban somebody from the room',
      }),
    async run(answers, from, room) {
      const time = readDuration(answers.get('duration')?.[0] ?? '');
      const reason = reasonOf(answers);
      const jid = await findPerson(room, messages, read(answers, 'who'));
      await bans.ban(room, from, { jid, reason, duration: time });
      return time === undefined ? 'Banned.' : `Banned until ${new Date(Date.now() + time).toISOString()}.`;
    },
  };
}

function retractAll({ moderation, messages }: RoomCommandParts): Command<Room> {
  const node = `${NS_ROOMS}#retract-all`;
  const count: FormField = {
    name: 'count',
    type: 'text-single',
    label: `How many of their last messages (up to ${MAX_RETRACTED})`,
    values: [USUAL_RETRACTED],
  };
  return {
    node,
    name: 'Retract All Messages of an Occupant',
    isAllowed: (from, room) => isModerator(room, from),
    form: () =>
      writeForm('form', node, [who('who', 'Nick, occupant id or address'), count, REASON], {
        title: 'Retract what somebody has said',
      }),
    async run(answers, from, room) {
      const max = readCount(answers.get('count')?.[0] ?? USUAL_RETRACTED);
      const reason = reasonOf(answers);
      const { bare } = await findPerson(room, messages, read(answers, 'who'));
      const { items } = await messages.query(room.jid.bare, { with: bare, max, last: true });
      let done = 0;
      // One after the other, the newest first: they are what people are looking at.
      for (const { id } of items.toReversed()) if (await moderation.retract(room, from, id, reason)) done++;
      return `${done} ${done === 1 ? 'message was' : 'messages were'} retracted.`;
    },
  };
}

function listReports(reports: ReportsApi): Command<Room> {
  const node = `${NS_ROOMS}#reports`;
  return {
    node,
    name: 'List Reports',
    isAllowed: (from, room) => isModerator(room, from),
    async run(_answers, _from, room) {
      const lines = (await reports.of(room.jid.bare, MAX_SHOWN)).map((report) => describeReport(report, false));
      const field: FormField = { name: 'reports', type: 'text-multi', label: 'Newest first', values: lines };
      return {
        form: writeForm('result', node, [field], { title: 'Reports' }),
        text: lines.length === 0 ? 'There are none.' : '',
      };
    },
  };
}

function who(name: string, label: string): FormField {
  return { name, type: 'text-single', label, isRequired: true };
}

function read(answers: Answers, name: string): string {
  const value = answers.get(name)?.[0]?.trim();
  if (!value) throw new StanzaError('not-acceptable', { text: `${name} is missing` });
  return value;
}

function reasonOf(answers: Answers): string | undefined {
  return readReason(answers.get('reason')?.[0]);
}

function readCount(text: string): number {
  const count = /^\d{1,6}$/.test(text.trim()) ? Number(text) : 0;
  if (count < 1 || count > MAX_RETRACTED)
    throw new StanzaError('not-acceptable', { text: `A number from 1 to ${MAX_RETRACTED}` });
  return count;
}
