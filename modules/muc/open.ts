import { type ArchiveStore, Jid, type MapStore, type ModuleContext, StanzaError } from '#core';
import type { CommandDesk } from '../commands/index.ts';
import { ArchiveQueries } from '../mam/index.ts';
import { changeList, NS_ADMIN, showList } from './admin.ts';
import { affiliate, changeRoles, forget } from './affiliating.ts';
import type { MucApi } from './api.ts';
import { checkReader, showArchive } from './archive.ts';
import { withoutAuthors } from './author.ts';
import { createEvents } from './events.ts';
import { OWN_FIELDS } from './fields.ts';
import { type Guest, Guests } from './guests.ts';
import {
  answerNode,
  describeRoom,
  describeService,
  listOccupants,
  listRooms,
  type NodeAnswer,
  type NodeQuestion,
  NS_INFO,
  NS_ITEMS,
  type RoomInfo,
} from './info.ts';
import { Outbox } from './outbox.ts';
import { configure, NS_OWNER, showConfig, takeConfig } from './owner.ts';
import type { Affiliation } from './ranks.ts';
import { NS_REGISTER, register, showRegistration } from './register.ts';
import { bury } from './retracting.ts';
import { type Decoration, type Listing, ROOM, type Room, type RoomParts, type Stored } from './room.ts';
import { type RoomLimits, Rooms } from './rooms.ts';
import { RoomQueries, RoomService } from './service.ts';
import { DEFAULTS, RoomFields, type Settings } from './settings.ts';
import { speak } from './speaking.ts';

const NS_MAM = 'urn:xmpp:mam:2';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';
const ARCHIVE_FEATURES = [NS_MAM, `${NS_MAM}#extended`, 'urn:xmpp:fulltext:0', 'urn:xmpp:sid:0'];

/** Who may make rooms. */
export const CREATORS = ['anyone', 'local', 'admins'] as const;

/** The configuration of a service. */
export interface ServiceConfig extends RoomLimits {
  readonly name: string;
  readonly create: (typeof CREATORS)[number];
  readonly lock: boolean;
  readonly archive: boolean;
  readonly maxRoomsPerClient: number;
  /** Rooms that one account may own. */
  readonly maxOwned: number;
  readonly maxPage: number;
  readonly searchLimit: number;
  readonly presenceLimit: number;
  readonly defaults: {
    readonly persistent: boolean;
    readonly public: boolean;
    readonly membersOnly: boolean;
    readonly moderated: boolean;
    readonly history: number;
  };
}

/** What a service is made from. */
export interface Local extends Pick<ModuleContext<unknown, never>, 'domain' | 'router' | 'log' | 'isAdmin' | 'stopping'> {
  readonly config: ServiceConfig;
  /** Its address. */
  readonly jid: Jid;
  readonly desk: CommandDesk<Room> | undefined;
  readonly secret: Buffer;
  readonly stores: {
    readonly rooms: MapStore<Stored>;
    readonly messages: ArchiveStore;
    readonly listed: MapStore<Listing>;
    readonly memberships: MapStore<Affiliation>;
    readonly guests: MapStore<Guest>;
  };
}

/** A running service. */
export interface Opened {
  readonly service: RoomService;
  readonly rooms: Rooms;
  readonly api: MucApi;
  readonly guests: Guests;
  /** Take back what is made anew after a reload. */
  readonly mounted: readonly (() => void)[];
  /** Takes an account that is being deleted out of all rooms. */
  forget(username: string): Promise<void>;
}

/** Who is in which room outlives a reload of the module, and what other modules have hung in; everything else is made anew. */
interface Lasting {
  readonly rooms: Rooms;
  readonly queries: RoomQueries;
  readonly infos: Set<RoomInfo>;
  readonly decorations: Set<Decoration>;
  readonly fields: RoomFields;
  readonly service: RoomService;
  /** What holds now. */
  now: Local;
}

/** Opens a service; what was open before a reload goes on. */
export function open(local: Local, keep: <T>(name: string, create: () => T) => T): Opened {
  const lasting = keep('service', () => build(local));
  lasting.now = local;
  lasting.rooms.limits = local.config;
  const { rooms, service } = lasting;
  const { stores, router, log } = local;
  return {
    service,
    rooms,
    mounted: mount(lasting),
    api: toApi(lasting),
    guests: new Guests({ store: stores.guests, rooms, router, log }),
    async forget(username) {
      const account = Jid.of(username, local.domain);
      for (const address of (await stores.memberships.entries(username)).keys()) {
        // One room that cannot be changed keeps nobody in the others.
        await forgetIn(rooms, Jid.parse(address), account).catch((error: unknown) => {
          log.error('a room keeps an account that is deleted', { room: address, error });
        });
      }
    },
  };
}

async function forgetIn(rooms: Rooms, address: Jid, account: Jid): Promise<void> {
  const room = await rooms.get(address);
  // Who is shown out may have been the last one in the room.
  if (room) await forget(room, account).finally(() => rooms.rest(room));
}

function build(first: Local): Lasting {
  const { router, stores, log, secret } = first;
  const fields = new RoomFields();
  for (const field of OWN_FIELDS) fields.add(field);
  const decorations = new Set<Decoration>();
  const parts: RoomParts = {
    store: stores.rooms,
    messages: withoutAuthors(stores.messages),
    listed: stores.listed,
    memberships: stores.memberships,
    outbox: new Outbox(router),
    events: createEvents(log),
    fields,
    decorations,
    secret,
    get presenceLimit() {
      return lasting.now.config.presenceLimit;
    },
    get mayArchive() {
      return lasting.now.config.archive;
    },
    localName: (bare) => (bare.endsWith(`@${first.domain}`) ? bare.slice(0, -first.domain.length - 1) : undefined),
    isAdmin: (jid) => lasting.now.isAdmin(jid),
  };
  const rooms = new Rooms(parts, first.config, log);
  const queries = new RoomQueries();
  const service = new RoomService({
    rooms,
    queries,
    router,
    get limits() {
      return lasting.now.config;
    },
    create: (jid, from, isAnonymous) => createFor(lasting, jid, { from, isAnonymous }),
  });
  const lasting: Lasting = { rooms, queries, infos: new Set(), decorations, fields, service, now: first };
  answer(lasting);
  return lasting;
}

/** Who wants a room. */
interface Creator {
  readonly from: Jid;
  /** It has no account (XEP-0175). */
  readonly isAnonymous: boolean;
}

/** Section 10.1: who enters a room that is not there makes it. */
async function createFor({ rooms, now }: Lasting, jid: Jid, { from, isAnonymous }: Creator): Promise<Room> {
  const { config, isAdmin, domain, stores } = now;
  const isLocal = from.domain === domain;
  const may = config.create === 'anyone' || isAdmin(from) || (config.create === 'local' && isLocal && !isAnonymous);
  if (!may) throw new StanzaError('not-allowed', { text: 'You may not make rooms here' });
  if (isLocal && !isAnonymous && !isAdmin(from)) {
    const owned = [...(await stores.memberships.entries(from.local)).values()].filter((affiliation) => affiliation === 'owner');
    if (owned.length >= config.maxOwned) throw new StanzaError('resource-constraint', { text: 'You have too many rooms' });
  }
  return rooms.create(jid, { settings: usual(config), owners: [from.bare], isLocked: config.lock });
}

function usual({ defaults, archive }: ServiceConfig): Settings {
  return {
    ...DEFAULTS,
    isPersistent: defaults.persistent,
    isPublic: defaults.public,
    isMembersOnly: defaults.membersOnly,
    isModerated: defaults.moderated,
    maxHistory: defaults.history,
    isArchived: archive,
  };
}

/** The IQs that rooms and the service answer by themselves. */
function answer(lasting: Lasting): void {
  const { rooms, queries, infos } = lasting;
  queries.atService('get', NS_INFO, 'query', ({ payload, from, to }) => {
    const node = nodeOf(payload.attrs['node']);
    if (node) return answerNode('info', { from, to, node, room: undefined }, infos);
    return describeService({ name: lasting.now.config.name, extensions: infos });
  });
  queries.atService('get', NS_ITEMS, 'query', ({ payload, from, to }) => {
    const node = nodeOf(payload.attrs['node']);
    return node ? answerNode('items', { from, to, node, room: undefined }, infos) : listRooms(lasting.now.stores, payload);
  });
  queries.atRoom('get', NS_INFO, 'query', (room, { payload, from, to }) => {
    const node = nodeOf(payload.attrs['node']);
    return node ? answerNode('info', { from, to, node, room }, infos) : describeRoom(room, infos);
  });
  queries.atRoom('get', NS_ITEMS, 'query', (room, { payload, from, to }) => {
    const node = nodeOf(payload.attrs['node']);
    return node ? answerNode('items', { from, to, node, room }, infos) : listOccupants(room, from);
  });
  queries.atRoom('get', NS_ADMIN, 'query', (room, { from, payload }) => showList(room, from, payload));
  queries.atRoom('set', NS_ADMIN, 'query', (room, query) => changeList(room, query));
  queries.atRoom('get', NS_OWNER, 'query', (room, { from }) => showConfig(room, from));
  queries.atRoom('set', NS_OWNER, 'query', (room, { from, payload }) => takeConfig(rooms, room, from, payload));
  queries.atRoom('get', NS_REGISTER, 'query', (room, { from }) => showRegistration(room, from));
  queries.atRoom('set', NS_REGISTER, 'query', (room, { from, payload }) => register(room, from, payload));
}

/** What depends on the configuration and is made anew after a reload; returns what takes it back. */
function mount({ queries, infos, now }: Lasting): readonly (() => void)[] {
  const { stores, log, config, stopping, desk } = now;
  const archives = new ArchiveQueries({
    messages: stores.messages,
    log,
    maxPage: config.maxPage,
    searchLimit: config.searchLimit,
    stopping,
  });
  const mounted = [
    queries.atRoom('get', NS_MAM, 'query', (room, { from }) => {
      checkReader(room, from);
      return archives.showForm();
    }),
    queries.atRoom('get', NS_MAM, 'metadata', (room, { from }) => {
      checkReader(room, from);
      return archives.showMetadata(room.jid.bare);
    }),
    queries.atRoom('set', NS_MAM, 'query', (room, query) => showArchive(archives, room, query)),
    inform(infos, { room: (room) => (room.isArchived ? ARCHIVE_FEATURES : []) }),
  ];
  if (!desk) return mounted;
  const info: RoomInfo = {
    room: () => [NS_COMMANDS],
    node: (question) => (question.room ? describeCommands(desk, question, question.room) : undefined),
  };
  return [
    ...mounted,
    queries.atRoom('set', NS_COMMANDS, 'command', (room, query) => desk.take(query, room)),
    inform(infos, info),
  ];
}

async function describeCommands(desk: CommandDesk<Room>, question: NodeQuestion, room: Room): Promise<NodeAnswer | undefined> {
  const [info, items] = await Promise.all([desk.node(question, room), desk.items(question, room)]);
  return info && { ...info, items };
}

function inform(infos: Set<RoomInfo>, info: RoomInfo): () => void {
  infos.add(info);
  return () => void infos.delete(info);
}

function nodeOf(node: unknown): string | undefined {
  return typeof node === 'string' && node !== '' ? node : undefined;
}

function toApi({ rooms, queries, infos, fields, decorations, now }: Lasting): MucApi {
  const { stores, jid, desk, config } = now;
  const { hooks, signals } = rooms.events;
  return {
    jid,
    hooks,
    signals,
    messages: rooms.messages,
    desk,
    find: (address) => rooms.get(address),
    async create({ name, owners, settings }) {
      const room = await rooms.create(Jid.of(Jid.prepareLocal(name), jid.domain), {
        settings: { ...usual(config), ...settings },
        owners: owners.map(({ bare }) => bare),
        isLocked: false,
      });
      // One that ends when it is empty has to have somebody in it first.
      if (room.settings.isPersistent) rooms.rest(room);
      return room;
    },
    destroy: (room, reason) => rooms.destroy(room, { reason }),
    // Whoever was the last one in the room may be out of it then.
    configure: (room, settings) =>
      configure(room, typeof settings === 'function' ? settings : () => settings).finally(() => rooms.rest(room)),
    affiliate: (room, by, changes) => affiliate(room, by, changes).finally(() => rooms.rest(room)),
    changeRoles,
    speak,
    bury: (room, tombstone) => bury(rooms, room, tombstone),
    open: () => rooms.open,
    all: (after, max) => stores.rooms.owners(after, max),
    listed: (after, max) => stores.listed.scan(ROOM, after, max),
    membershipsOf: (username) => stores.memberships.entries(username),
    atRoom: (type, xmlns, name, handler) => queries.atRoom(type, xmlns, name, handler),
    atService: (type, xmlns, name, handler) => queries.atService(type, xmlns, name, handler),
    inform: (info) => inform(infos, info),
    field: (field) => fields.add(field),
    decorate(decoration) {
      decorations.add(decoration);
      for (const room of rooms.open) room.forgetForms();
      return () => {
        decorations.delete(decoration);
        for (const room of rooms.open) room.forgetForms();
      };
    },
  };
}
