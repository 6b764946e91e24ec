// XEP-0045: rooms in which people talk to each other, and stay members while they are away.
import { archiveStore, defineModule, Jid, keptSecret, mapStore, option } from '#core';
import commands from '../commands/index.ts';
import mam from '../mam/index.ts';
import presence from '../presence/index.ts';
import sm from '../sm/index.ts';
import type { MucApi } from './api.ts';
import type { Guest } from './guests.ts';
import { CREATORS, type Local, open } from './open.ts';
import type { Affiliation } from './ranks.ts';
import type { Listing, Room, Stored } from './room.ts';
import type { Rooms } from './rooms.ts';

export { announce } from './announce.ts';
export type { MucApi, RoomWish } from './api.ts';
export { checkReader } from './archive.ts';
export type { Affiliated, Affirmed, Entering, Inviting, Retracted, Said, Saying, Updating, Whispering } from './events.ts';
export { levelField } from './fields.ts';
export type { NodeAnswer, NodeQuestion, RoomInfo } from './info.ts';
export { fold } from './nick.ts';
export type { Occupant } from './occupant.ts';
export { type Affiliation, hasRole, isAffiliated, type Role } from './ranks.ts';
export type { Room } from './room.ts';
export type { RoomQuery } from './service.ts';
export { LEVEL_OPTIONS, type Level, type RoomField, reaches, readLevel } from './settings.ts';
export { ROOM_TAG } from './tag.ts';

export default defineModule({
  name: 'muc',
  doc: 'Rooms: group chat, with members who stay members while they are away.',
  xeps: [
    { xep: 45, version: '1.35.5' },
    { xep: 249, version: '1.2' },
    { xep: 410, version: '1.1.0' },
    { xep: 421, version: '1.0.1' },
    { xep: 463, version: '0.1.0' },
  ],
  wants: [commands, mam, presence, sm],
  config: option.object({
    host: option.string({ default: '', doc: 'The domain of the rooms; conference. in front of that of the host when empty.' }),
    name: option.string({ default: 'Rooms', doc: 'What clients show as the name of the service.' }),
    create: option.choice(CREATORS, {
      default: 'local',
      doc: 'Who may make rooms: anyone, those with an account here, or admins.',
    }),
    lock: option.boolean({
      default: true,
      doc: 'Whether nobody else enters a new room before its owner has configured it or accepted what is usual (XEP-0045 section 10.1.1).',
    }),
    archive: option.boolean({
      default: true,
      doc: 'Whether rooms keep archives (XEP-0313), unless their owners do not want it.',
    }),
    maxUsers: option.integer({ default: 5000, min: 1, max: 100_000, doc: 'Occupants of one room.' }),
    maxHistory: option.integer({ default: 100, min: 0, max: 1000, doc: 'Messages that whoever enters is shown at most.' }),
    maxRoomsPerClient: option.integer({ default: 1000, min: 1, doc: 'Rooms that one client may be in at once.' }),
    maxOwned: option.integer({ default: 500, min: 1, doc: 'Rooms that one account may own; admins as many as they like.' }),
    maxPage: option.integer({ default: 250, min: 10, max: 1000, doc: 'Messages sent for one query of an archive at most.' }),
    searchLimit: option.integer({
      default: 20_000,
      min: 100,
      max: 1_000_000,
      doc: 'Messages looked at for one query that looks for words; the client goes on from there when it wants.',
    }),
    presenceLimit: option.integer({
      default: 1000,
      min: 0,
      doc: 'In rooms with more occupants only moderators are seen coming and going by all; 0 for no limit.',
    }),
    maxIdle: option.integer({ default: 1000, min: 0, doc: 'Empty rooms kept in memory; the others sleep in the database.' }),
    keepNames: option.duration({
      default: '30d',
      doc: 'For how long nobody gets the name of a room that was destroyed, lest they receive what is meant for it.',
    }),
    defaults: option.object({
      persistent: option.boolean({ default: true, doc: 'New rooms stay when they are empty.' }),
      public: option.boolean({ default: true, doc: 'New rooms are listed.' }),
      membersOnly: option.boolean({ default: false, doc: 'Only members enter new rooms.' }),
      moderated: option.boolean({ default: false, doc: 'Only those with voice may speak in new rooms.' }),
      history: option.integer({ default: 50, min: 0, max: 1000, doc: 'Messages that whoever enters a new room is shown.' }),
    }),
  }),
  stores: {
    /** Rooms by bare JID: see Stored. */
    rooms: mapStore<Stored>(),
    messages: archiveStore({ isBusy: true }),
    listed: mapStore<Listing>(),
    memberships: mapStore<Affiliation>(),
    /** Who was in which room when the server was stopped. */
    guests: mapStore<Guest>(),
    /** Of no owner: 'occupants'. */
    secrets: mapStore<string>(),
  },

  async setup(ctx): Promise<MucApi> {
    const { config, defer, disco, domain, hooks, keep, metrics, on, serve, signals, stores, use } = ctx;
    const jid = Jid.of('', config.host || `conference.${domain}`);
    // Who somebody is to a room hangs on the secret, for ever (XEP-0421).
    const local: Local = { ...ctx, jid, desk: use(commands)?.desk(), secret: await keptSecret(stores.secrets, 'occupants') };
    const { service, api, guests, mounted, rooms, forget } = open(local, keep);

    for (const unmount of mounted) defer(unmount);
    serve(jid.domain, service);
    disco.extend({ items: ({ to, node }) => (to.local === '' && !node ? [{ jid: jid.domain, name: config.name }] : []) });
    on(signals.sessionClosed, (session) => service.close(session.jid));
    on(hooks.accountDeleting, ({ username }) => forget(username), 0);
    for (const [name, help, read] of figures(rooms)) defer(metrics.gauge(name, help, { host: domain }, read));
    await guests.takeBack();
    defer(() => guests.write());
    return api;
  },
});

/** What is measured: name, meaning, and the figure now. */
function figures(rooms: Rooms): readonly (readonly [string, string, () => number])[] {
  const count = (of: (room: Room) => number) => [...rooms.open].reduce((sum, room) => sum + of(room), 0);
  return [
    ['xmpp_rooms_open', 'Rooms in memory.', () => rooms.size],
    ['xmpp_rooms_occupied', 'Rooms with somebody in them.', () => count(({ occupants }) => (occupants.size > 0 ? 1 : 0))],
    [
      'xmpp_room_occupants',
      'Clients in rooms; who is in several counts several times.',
      () => count(({ occupants }) => occupants.size),
    ],
  ];
}
