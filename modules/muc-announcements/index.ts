// Pinned messages of rooms; announcements of rooms and of the host, now or at planned times.
import { defineModule, mapStore, OneByOne, option } from '#core';
import announce from '../announce/index.ts';
import commands from '../commands/index.ts';
import mam from '../mam/index.ts';
import muc from '../muc/index.ts';
import { Agenda, HOST, type Row } from './agenda.ts';
import { Alarm, type Clock, systemClock } from './alarm.ts';
import { type AnnouncementsApi, createApi } from './api.ts';
import { Campaigns } from './campaign.ts';
import { FIELDS, zoneOf } from './fields.ts';
import { NS_ANNOUNCEMENTS, NS_PINS } from './namespaces.ts';
import { pinCommands } from './pin-commands.ts';
import { answerPins, showPinsTo } from './pin-queries.ts';
import { type Pin, Pins } from './pins.ts';
import { hostCommands, roomCommands } from './schedule-commands.ts';
import { messageId, Sender } from './sending.ts';
import { isZone } from './zone.ts';

export type { Actor, AnnouncementsApi } from './api.ts';
export type { Pin } from './pins.ts';
export { type Notice, type Plan, type Schedule, TARGETS, type Target } from './plan.ts';
export { WEEKDAYS, type Weekday, type When } from './recurrence.ts';

/** What was missed waits so long: the other modules start first, some of which keep what is sent, and clients come back. */
const HEAD_START = 5000;

/** The module on this clock. */
export const onClock = (clock: Clock) =>
  defineModule({
    name: 'muc-announcements',
    doc: 'Pinned messages of rooms, and announcements that rooms and the host make now, later or again and again.',
    xeps: [{ xep: 461, version: '0.2.1' }],
    needs: [muc],
    wants: [announce, commands, mam],
    config: option.object({
      maxPins: option.integer({ default: 20, min: 1, max: 100, doc: 'Pinned messages of one room.' }),
      maxBytes: option.bytes({ default: '4KiB', min: 1, max: '32KiB', doc: 'Size of an announcement.' }),
      maxPerRoom: option.integer({ default: 20, min: 1, max: 1000, doc: 'Announcements planned in one room, or by the host.' }),
      maxPerAccount: option.integer({
        default: 100,
        min: 1,
        max: 100_000,
        doc: 'Announcements that one account has planned in all rooms.',
      }),
      minInterval: option.duration({ default: '5m', min: '1m', doc: 'Time between two announcements of the same plan.' }),
      maxAhead: option.duration({ default: '1825d', min: '1d', doc: 'How far ahead announcements are planned.' }),
      maxLate: option.duration({
        default: '1h',
        min: '1m',
        max: '7d',
        doc: 'What was missed because the server was down is announced later, up to this time.',
      }),
      timeZone: option.checked(checkZone, {
        default: 'UTC',
        expected: 'a time zone such as Europe/Berlin',
        doc: 'The time zone of what the host has planned.',
      }),
    }),
    stores: {
      /** Of a room by bare JID: by the id of the message. */
      pins: mapStore<Pin>(),
      /** Of a room by bare JID, or of the host (no owner): see Row. */
      agenda: mapStore<Row>(),
    },

    async setup({ accounts, config, defer, domain, hooks, isAdmin, log, on, stores, use }): Promise<AnnouncementsApi> {
      const rooms = use(muc);
      const turns = new OneByOne();
      const hostZone = config.timeZone;
      const pins = new Pins({ store: stores.pins, rooms, turns, maxPins: config.maxPins });
      const alarm: Alarm = new Alarm(clock, (owner) => sender.see(owner));
      const agenda = new Agenda({
        store: stores.agenda,
        limits: config,
        turns,
        now: () => clock.now(),
        onDue: (owner, due) => alarm.set(owner, due),
      });
      const campaigns = new Campaigns({
        domain,
        rooms,
        accounts,
        announce: use(announce),
        archives: use(mam)?.messages,
        agenda,
        clock,
        log,
        maxJobs: config.maxPerRoom,
      });
      const sender = new Sender({
        rooms,
        agenda,
        turns,
        clock,
        log,
        maxLate: config.maxLate,
        hostZone,
        again: (owner, time) => alarm.set(owner, time),
        async launch(schedule, at, next, all) {
          const job = campaigns.make(schedule, schedule.to ?? 'rooms', messageId(schedule.id, at));
          await agenda.write(HOST, all, new Map([[schedule.id, next]]), job);
          campaigns.begin(job);
        },
      });
      const api = createApi({ pins, agenda, campaigns, limits: config, hostZone, isAdmin });

      for (const field of FIELDS) defer(rooms.field(field));
      defer(rooms.inform({ room: () => [NS_PINS, NS_ANNOUNCEMENTS] }));
      for (const giveBack of answerPins(rooms, api)) defer(giveBack);
      on(rooms.signals.entered, (event) => showPinsTo(event, api));
      on(rooms.signals.configured, async ({ room, before }) => {
        const zone = zoneOf(room);
        if (zone !== zoneOf(room, before)) await agenda.rezone(room.jid.bare, zone);
      });
      // A temporary room leaves without a word when the server breaks off: what it had is not the next one's.
      for (const signal of [rooms.signals.created, rooms.signals.destroyed]) {
        on(signal, async ({ room }) => {
          await Promise.all([pins.clear(room), agenda.drop(room.jid.bare)]);
        });
      }
      on(hooks.accountDeleting, ({ username }) => agenda.disown(`${username}@${domain}`), 0);
      if (rooms.desk) {
        for (const command of [...pinCommands(rooms, api), ...roomCommands(api)]) {
          defer(rooms.desk.offer(command));
        }
      }
      const desk = use(commands);
      if (desk) for (const command of hostCommands(api)) defer(desk.offer(command));
      await agenda.open();
      const broken = await agenda.jobs(HOST);
      const wait = clock.wake(HEAD_START, () => {
        alarm.open();
        for (const job of broken) campaigns.begin(job);
      });
      // Taken last, and so given back first: what is under way needs the rest.
      defer(async () => {
        wait();
        await Promise.all([alarm.stop(), campaigns.stop()]);
        await turns.idle();
      });

      return api;
    },
  });

export default onClock(systemClock);

function checkZone(name: string): string {
  if (!isZone(name)) throw new Error('no such zone');
  return name;
}
