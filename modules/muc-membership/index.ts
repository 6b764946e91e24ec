// Members of a room stay members while they are away, whatever client they use: their inbox shows the room (XEP-0430), they are notified of
// what they want to know (XEP-0357, XEP-0492), and what they have displayed counts on all their devices (XEP-0333, XEP-0490).
import { defineModule, type Element, isGuestName, mapStore, option, sortableId, Turns } from '#core';
import bookmarks from '../bookmarks/index.ts';
import commands from '../commands/index.ts';
import inbox from '../inbox/index.ts';
import mds, { isTimely } from '../mds/index.ts';
import muc, { type Affiliated, isAffiliated, type Occupant, type Room, type Said } from '../muc/index.ts';
import privateStorage from '../private/index.ts';
import push from '../push/index.ts';
import { notificationsCommand } from './command.ts';
import { RoomConversations } from './conversations.ts';
import { Digests } from './digests.ts';
import { notifyField, usualIn } from './field.ts';
import { type Choice, Preferences } from './preferences.ts';
import { NS_BOOKMARKS, SETTINGS } from './settings.ts';
import { Wakers } from './wakers.ts';
import { isMember, Watches } from './watches.ts';

/** The feature of rooms whose members miss nothing while they are away. */
const NS = 'parlance:membership:1';
const NS_MARKERS = 'urn:xmpp:chat-markers:0';
/** Markers that say that something was read (XEP-0430 section 4). */
const READ = ['displayed', 'acknowledged'] as const;
/** Accounts that are forgotten at once when a room ends. */
const AT_ONCE = 100;

export default defineModule({
  name: 'muc-membership',
  doc: 'Membership in rooms: members see their rooms in the inbox and are notified while they are away.',
  xeps: [
    { xep: 333, version: '1.0.0' },
    { xep: 492, version: '0.2.0' },
  ],
  needs: [muc],
  wants: [bookmarks, commands, inbox, mds, privateStorage, push],
  config: option.object({
    public: option.choice(SETTINGS, {
      default: 'on-mention',
      doc: 'Of what members are notified who have not chosen, in rooms that anybody may enter.',
    }),
    membersOnly: option.choice(SETTINGS, {
      default: 'always',
      doc: 'Of what members are notified who have not chosen, in rooms for members only.',
    }),
    maxUnread: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'Messages of one room that are counted as unread; where there are more, this number is shown.',
    }),
  }),
  /** All of them by username, under the bare JID of the room. */
  stores: {
    /** From which id of the room's archive on somebody is a member. */
    since: mapStore<string>(),
    /** The last nick in the room, of members who have no other. */
    nicks: mapStore<string>(),
    choices: mapStore<Choice>(),
  },

  setup({ cache, config, defer, domain, log, on, router, signals, stores, use }) {
    const rooms = use(muc);
    const displays = use(mds);
    const notifications = use(push);
    const native = use(bookmarks);
    const storage = use(privateStorage);
    const digests = new Digests(rooms.messages);
    const conversations = new RoomConversations({
      domain,
      digests,
      messages: rooms.messages,
      since: stores.since,
      maxUnread: config.maxUnread,
      turns: new Turns(),
      membershipsOf: (username) => rooms.membershipsOf(username),
      markOf: (username, chat) => displays?.markOf(username, chat),
    });
    const preferences = new Preferences({ cache, choices: stores.choices, bookmarksOf });
    const watches = new Watches({
      log,
      localName,
      hasRegistrations: (username) => notifications?.hasRegistrations(username) ?? false,
      wishOf,
      open: () => rooms.open(),
    });
    const withdraw = use(inbox)?.addSource(conversations);

    if (withdraw) defer(withdraw);
    if (displays) defer(displays.sort((by) => by.endsWith(`@${rooms.jid.domain}`)));
    defer(rooms.field(notifyField));
    defer(rooms.inform({ room: ({ isArchived, settings }) => (isArchived && settings.isPersistent ? [NS] : []) }));
    on(rooms.signals.said, (said) => digests.note(said));
    on(rooms.signals.retracted, ({ room }) => digests.drop(room.jid.bare));
    if (displays) on(rooms.signals.said, noteMarker);
    on(rooms.signals.affiliated, noteMembership);
    on(rooms.signals.destroyed, forgetRoom);
    on(signals.accountDeleted, ({ username }) => conversations.forget(username));
    if (notifications) {
      const wakers = new Wakers({ router, rooms, push: notifications, watches, turns: new Turns() });
      on(rooms.signals.said, wakers.note);
      on(notifications.lost, wakers.noteLost);
      on(rooms.signals.left, noteNick);
      on(rooms.signals.configured, ({ room }) => watches.drop(room));
      on(notifications.enabled, (username) => watches.refreshAll(`${username}@${domain}`));
      if (native) on(native.changed, ({ username }) => noteBookmarks(username));
      else if (storage)
        on(storage.changed, ({ username, xmlns }) => (xmlns === NS_BOOKMARKS ? noteBookmarks(username) : undefined));
      const parts = {
        preferences,
        localName,
        usual: (room: Room) => usualIn(room, config),
        changed: watches.refresh.bind(watches),
      };
      const takeBack = rooms.desk?.offer(notificationsCommand(parts));
      if (takeBack) defer(takeBack);
    }

    function localName(bare: string): string | undefined {
      return bare.endsWith(`@${domain}`) ? bare.slice(0, -domain.length - 1) : undefined;
    }

    async function wishOf(room: Room, username: string) {
      const address = room.jid.bare;
      const [setting, bookmark, nick] = await Promise.all([
        preferences.of(username, address),
        preferences.bookmark(username, address),
        stores.nicks.get(username, address),
      ]);
      return { setting: setting ?? usualIn(room, config), nick: nick ?? bookmark?.nick ?? username };
    }

    /** In rooms a marker names the id that the room has given (XEP-0333). It counts for all devices of whoever has sent it. */
    function noteMarker({ room, by, stanza }: Said) {
      const username = by === undefined ? undefined : localName(by);
      if (username === undefined || isGuestName(username) || !room.isArchived) return;
      const name = READ.find((each) => stanza.has(each, NS_MARKERS));
      const id: unknown = name && stanza.child(name, NS_MARKERS)?.attrs['id'];
      // Of an id that is no room's, nothing could be told.
      if (typeof id !== 'string' || !isTimely(id)) return;
      return displays?.mark(username, room.jid.bare, { by: room.jid.bare, id });
    }

    /** What was said before somebody has become a member is not unread. */
    async function noteMembership({ room, bare, before, after }: Affiliated): Promise<void> {
      const username = localName(bare);
      if (username === undefined) return;
      watches.refresh(room, bare);
      const [was, is] = [isAffiliated(before, 'member'), isAffiliated(after, 'member')];
      if (was === is) return;
      if (is) await stores.since.update(username, new Map([[room.jid.bare, sortableId()]]));
      else await forgetMember(username, room.jid.bare);
    }

    async function forgetMember(username: string, room: string): Promise<void> {
      const nothing = new Map([[room, undefined]]);
      await Promise.all(Object.values(stores).map((store) => store.update(username, nothing)));
    }

    async function forgetRoom({ room }: { readonly room: Room }): Promise<void> {
      digests.drop(room.jid.bare);
      watches.drop(room);
      const usernames = [...room.members.keys()].flatMap((bare) => localName(bare) ?? []);
      while (usernames.length > 0) {
        await Promise.all(usernames.splice(-AT_ONCE).map((username) => forgetMember(username, room.jid.bare)));
      }
    }

    /** While a member is away others call it by the nick it had. */
    async function noteNick({ room, occupant }: { readonly room: Room; readonly occupant: Occupant }): Promise<void> {
      const { nick, real } = occupant;
      const member = room.members.get(real.bare);
      if (!isMember(room, real.bare) || member?.nick !== undefined || localName(real.bare) === undefined || room.isGone) return;
      if (!(await notifications?.hasRegistrations(real.local))) return;
      if ((await stores.nicks.get(real.local, room.jid.bare)) === nick) return;
      await stores.nicks.update(real.local, new Map([[room.jid.bare, nick]]));
      watches.refresh(room, real.bare);
    }

    /** Clients without a module for them keep bookmarks in private storage. */
    async function bookmarksOf(username: string): Promise<Element | undefined> {
      return native ? native.read(username) : storage?.read(username, 'storage', NS_BOOKMARKS);
    }

    async function noteBookmarks(username: string): Promise<void> {
      await preferences.reread(username);
      watches.refreshAll(`${username}@${domain}`);
    }
  },
});
