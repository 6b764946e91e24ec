// What is due in a room is said there once, whatever happens meanwhile.
//
// Three things are written, each durable before the next: the attempt (in the schedule), the message (in the room's archive), and the
// schedule with its next time. When the server breaks off
// - before the attempt is written, the schedule is as it was, and is due still;
// - behind it, the schedule says so, and the archive says whether the message was stored: by the message's id, which is made of the
//   schedule's id and of the time it is for, and which no client can write in the room's name. When it is there only the last step is
//   done; when it is not, nobody has seen it (what a room shows is in its archive before), and it is said now.
// In a room that keeps nothing it cannot be known what was said; there a message that may have been said is not said again.
import { Jid, type Log, type OneByOne, readStanza, Stanza, StanzaError, xml } from '#core';
import type { MucApi, Room } from '../muc/index.ts';
import { type Agenda, HOST } from './agenda.ts';
import type { Clock } from './alarm.ts';
import { zoneOf } from './fields.ts';
import { NS_ANNOUNCEMENTS } from './namespaces.ts';
import type { Notice, Schedule } from './plan.ts';
import { lastTime, nextTime } from './recurrence.ts';

/** How the sender works. */
export interface SenderParts {
  readonly rooms: MucApi;
  readonly agenda: Agenda;
  readonly turns: OneByOne;
  readonly clock: Clock;
  readonly log: Log;
  /** What should have been said longer ago than this is not said any more. */
  readonly maxLate: number;
  /** The time zone of what the host has planned. */
  readonly hostZone: string;
  /** Begins to announce what the host has planned; resolves once it is durable that it will be, and that the schedule has gone on. */
  launch(schedule: Schedule, at: number, next: Schedule | undefined, all: readonly Schedule[]): Promise<void>;
  /** When to see to an owner again. */
  again(owner: string, time: number): void;
}

/** After what the database could not do. */
export const RETRY = 60_000;
/** Clocks of several computers may differ, and be put right: what was stored is looked for from a little before. */
const SLACK = 600_000;
const PAGE = 100;

/** Says what is due. */
export class Sender {
  readonly #parts: SenderParts;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /** Sees to everything of an owner that is due. Never rejects: what failed is tried again. */
  async see(owner: string): Promise<void> {
    const { turns, log, clock, again } = this.#parts;
    try {
      await turns.run(owner, () => this.#seeTo(owner));
    } catch (error) {
      log.warn('an announcement waits, since it cannot be stored', { owner, error });
      again(owner, clock.now() + RETRY);
    }
  }

  async #seeTo(owner: string): Promise<void> {
    const { agenda, clock, again } = this.#parts;
    const room = owner === HOST ? undefined : await this.#find(owner);
    for (let all = await agenda.list(owner); ; all = await agenda.list(owner)) {
      if (owner !== HOST && (!room || room.isGone)) return agenda.clear(owner);
      const next = all.find(({ attempt }) => attempt) ?? all[0];
      if (!next) return;
      if (!next.attempt && next.due > clock.now()) return again(owner, next.due);
      if (room) await this.#say(room, next, all);
      else await this.#launch(next, all);
    }
  }

  async #find(owner: string): Promise<Room | undefined> {
    const { rooms } = this.#parts;
    try {
      return await rooms.find(Jid.parse(owner));
    } catch (error) {
      if (error instanceof StanzaError) return undefined;
      throw error;
    }
  }

  async #say(room: Room, schedule: Schedule, all: readonly Schedule[]): Promise<void> {
    const { agenda, rooms, clock } = this.#parts;
    const owner = room.jid.bare;
    const zone = zoneOf(room);
    const at = schedule.attempt?.at ?? this.#timeOf(schedule, zone);
    if (at !== undefined && at >= clock.now() - this.#parts.maxLate) {
      const id = messageId(schedule.id, at);
      const mayBeSaid = schedule.attempt !== undefined;
      const attempt = schedule.attempt ?? { at, isKept: room.isArchived };
      if (!mayBeSaid) await agenda.write(owner, all, new Map([[schedule.id, { ...schedule, attempt }]]));
      const isSaidNow = mayBeSaid && (!attempt.isKept || (await isSaid(rooms, room, id, at)));
      if (!isSaidNow && !room.isGone) await rooms.speak(room, writeMessage(schedule, id));
    }
    await agenda.write(owner, all, new Map([[schedule.id, this.#goOn(schedule, zone)]]));
  }

  async #launch(schedule: Schedule, all: readonly Schedule[]): Promise<void> {
    const { agenda, launch, hostZone } = this.#parts;
    const at = this.#timeOf(schedule, hostZone);
    const next = this.#goOn(schedule, hostZone);
    if (at === undefined) await agenda.write(HOST, all, new Map([[schedule.id, next]]));
    else await launch(schedule, at, next, all);
  }

  /** The last time that is due, of all that may have been missed; undefined when that is too long ago. */
  #timeOf({ when, anchor, due }: Schedule, zone: string): number | undefined {
    const { clock, maxLate } = this.#parts;
    const now = clock.now();
    const earliest = now - maxLate;
    if (when.every === 'once') return due >= earliest ? due : undefined;
    return lastTime(when, { zone, anchor }, Math.max(due, earliest) - 1, now) ?? (due >= earliest ? due : undefined);
  }

  /** The schedule with its next time; undefined when it has none. */
  #goOn({ attempt: _, ...schedule }: Schedule, zone: string): Schedule | undefined {
    if (schedule.when.every === 'once') return undefined;
    const due = nextTime(schedule.when, { zone, anchor: schedule.anchor }, Math.max(schedule.due, this.#parts.clock.now()));
    return due === undefined ? undefined : { ...schedule, due };
  }
}

/** The id of a message that announces something at a time. */
export function messageId(id: string, at: number): string {
  return `announcement-${id}-${at}`;
}

/** What rooms say. */
export function writeMessage({ text, title }: Notice, id: string): Stanza {
  const body = title === undefined ? text : `${title}\n${text}`;
  return Stanza.of(xml('message', { type: 'groupchat', id }, xml('body', {}, body), xml('announcement', NS_ANNOUNCEMENTS)));
}

/** Whether a room has said something of this id at this time or later. */
export async function isSaid({ messages }: Pick<MucApi, 'messages'>, room: Room, id: string, at: number): Promise<boolean> {
  let after: string | undefined;
  for (;;) {
    const own = { with: room.jid.bare, resource: '', start: Math.max(0, at - SLACK), max: PAGE };
    const { items, complete } = await messages.query(room.jid.bare, after === undefined ? own : { ...own, after });
    if (items.some(({ stanza }) => stanza.includes(id) && readStanza(stanza).id === id)) return true;
    if (complete) return false;
    after = items.at(-1)?.id;
  }
}
