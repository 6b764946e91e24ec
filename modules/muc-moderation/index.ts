// What keeps order in rooms: messages are retracted by their authors (XEP-0424) and by moderators (XEP-0425), floods are slowed down
// (XEP-0500), abusers are kept out and reported (XEP-0377), and bans end by themselves.
import { defineModule, Jid, mapStore, option, Priority } from '#core';
import blocking from '../blocking/index.ts';
import commands from '../commands/index.ts';
import { RETRACTION_FEATURES } from '../mam/index.ts';
import muc, { type RoomInfo } from '../muc/index.ts';
import { type Ban, Bans } from './bans.ts';
import { refuseForged } from './forged.ts';
import { hostCommands } from './host-commands.ts';
import { LIMITS, Limiter, type Paces } from './limits.ts';
import { Moderation } from './moderation.ts';
import { NS_FASTEN, NS_MODERATE, NS_MODERATE_0 } from './namespaces.ts';
import { RoomReports } from './reports.ts';
import { Tombstones } from './retraction.ts';
import { roomCommands } from './room-commands.ts';
import { describeSlowMode, SLOW_MODE_FIELD, SlowMode } from './slow-mode.ts';
import { type LocalEntry, SPAM_FIELD, SpamGuard } from './spam-guard.ts';
import { SpamList } from './spam-list.ts';

const INFO: RoomInfo = {
  // Only what is archived has an id by which it could be named.
  room: (room) => (room.isArchived ? [...RETRACTION_FEATURES, NS_MODERATE, NS_MODERATE_0] : []),
  fields: describeSlowMode,
};

export default defineModule({
  name: 'muc-moderation',
  doc: 'Keeps order in rooms: retraction, moderation, slow mode, limits, lists of abusers, reports, and bans that end.',
  xeps: [
    { xep: 377, version: '0.4.1' },
    { xep: 424, version: '0.4.2' },
    { xep: 425, version: '0.3.0' },
    { xep: 500, version: '0.1.1' },
  ],
  needs: [muc],
  wants: [blocking, commands],
  config: option.object({
    limits: LIMITS,
    spamLists: option.list(
      option.object({
        jid: option.jid((text) => Jid.parse(text).bareJid, {
          doc: 'Where the list is: a pubsub service (XEP-0060).',
          example: 'lists.example.net',
        }),
        node: option.string({
          default: 'muc_bans_sha256',
          minLength: 1,
          maxLength: 1024,
          doc: 'Its node. The ids of the items are SHA-256 hashes of bare JIDs or domains, or plain domains.',
        }),
      }),
      { default: [], max: 20, doc: 'Lists of abusers that are shared between servers. Whoever is on one is kept out of rooms.' },
    ),
    spamAction: option.choice(['refuse', 'ban'], {
      default: 'refuse',
      doc: 'What becomes of who is on a list: they may not enter and speak, or they are banned for good from the room they come to.',
    }),
    spamRefresh: option.duration({ default: '6h', min: '1m', max: '7d', doc: 'After this time lists are fetched anew.' }),
    spamRetry: option.duration({
      default: '30s',
      min: '10ms',
      max: '1h',
      doc: 'When a list is out of reach it is asked again after this time, then after twice as long, and so on.',
    }),
  }),
  stores: {
    /** By the bare JID of the room, under that of the account. */
    bans: mapStore<Ban>(),
    /** Of no owner: by bare JID or domain. */
    listed: mapStore<LocalEntry>(),
  },

  async setup({ ask, config, defer, domain, hooks, isAdmin, keep, log, on, stores, use }) {
    const rooms = use(muc);
    const tombstones = new Tombstones(rooms);
    const moderation = new Moderation(rooms, tombstones);
    const slowMode = keep('slowMode', () => new SlowMode());
    const limiter = new Limiter(
      config.limits,
      keep('paces', (): Paces => new WeakMap()),
    );
    const bans = new Bans({ rooms, store: stores.bans, log });
    const reports = use(blocking)?.reports;
    const atReports = new RoomReports({ rooms, tombstones });
    const { spamRetry: retry, spamRefresh: refresh, spamAction: action } = config;
    const lists = config.spamLists.map(
      (at) => new SpamList(at, { domain, log, retry, refresh, ask, grown: () => guard.sweep() }),
    );
    const guard = new SpamGuard({ rooms, store: stores.listed, lists, action, log });
    await Promise.all([guard.load(), bans.load()]);

    on(rooms.hooks.entering, guard.enter, Priority.guard);
    on(rooms.hooks.entering, limiter.enter, Priority.guard);
    on(rooms.hooks.updating, limiter.update, Priority.guard);
    on(rooms.hooks.inviting, guard.invite, Priority.guard);
    on(rooms.hooks.inviting, limiter.invite, Priority.guard);
    on(rooms.hooks.whispering, guard.speak, Priority.guard);
    on(rooms.hooks.whispering, limiter.whisper, Priority.guard);
    on(rooms.hooks.whispering, refuseForged, Priority.guard);
    on(rooms.hooks.saying, guard.speak, Priority.guard);
    on(rooms.hooks.saying, limiter.say, Priority.guard);
    on(rooms.hooks.saying, refuseForged, Priority.guard);
    on(rooms.hooks.saying, tombstones.check, Priority.guard);
    // When nobody else refuses it: what was not said does not make anybody wait.
    on(rooms.hooks.saying, slowMode.take, Priority.record);
    on(rooms.signals.said, tombstones.retract);
    on(rooms.signals.affiliated, bans.onAffiliated);
    on(rooms.signals.affirmed, bans.onAffirmed);
    on(rooms.signals.destroyed, bans.onDestroyed);
    on(hooks.messageReceived, guard.takeNews, Priority.serve);
    if (reports) {
      on(reports.inquiring, atReports.inquire, Priority.serve);
      on(reports.reported, atReports.tell);
      on(rooms.signals.destroyed, ({ room }) => reports.forget(room.jid.bare));
    }

    defer(rooms.atRoom('set', NS_MODERATE, 'moderate', moderation.take));
    defer(rooms.atRoom('set', NS_FASTEN, 'apply-to', moderation.takeOlder));
    defer(rooms.inform(INFO));
    for (const field of [SLOW_MODE_FIELD, SPAM_FIELD]) defer(rooms.field(field));
    const atRooms = roomCommands({ rooms, messages: rooms.messages, bans, moderation, reports });
    for (const command of rooms.desk ? atRooms : []) defer(rooms.desk!.offer(command));
    const atHost = use(commands);
    for (const command of atHost ? hostCommands({ guard, isAdmin }) : []) defer(atHost!.offer(command));
    defer(() => bans.stop());
    for (const list of lists) {
      defer(() => list.stop());
      void list.keepUp();
    }
  },
});
