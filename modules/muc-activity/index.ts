// XEP-0437 and XEP-0502: who is not in a room learns that something is said there, and how much that is.
import {
  type ArchiveStore,
  defineModule,
  type Envelope,
  isSession,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Session,
  type Stanza,
  StanzaError,
  timeOf,
} from '#core';
import { TAG } from '../mam/index.ts';
import muc, { type Affiliated, isAffiliated, type Occupant, type Room, type Said } from '../muc/index.ts';
import sm from '../sm/index.ts';
import type { Reading } from './meter.ts';
import { Meters } from './meters.ts';
import { NS_RAI, Post } from './post.ts';
import { Watch, Watches } from './watches.ts';

/** Rooms of which it is in memory how much and when something was said in them. */
const CACHED = 50_000;
/** How often counters are written, in milliseconds: what is shown is an approximation, and a crash may lose this much. */
const WRITE = 300_000;
/** For how long the event loop is kept when many rooms are looked at, in milliseconds. */
const SLICE = 4;

export default defineModule({
  name: 'muc-activity',
  doc: 'Activity of rooms: tells those who are not in their rooms that something is said there, and everybody how much.',
  xeps: [
    { xep: 437, version: '0.2.0' },
    { xep: 502, version: '0.1.0' },
  ],
  needs: [muc],
  wants: [sm],
  config: option.object({
    maxClients: option.integer({ default: 50_000, min: 1, doc: 'Clients that are told.' }),
    maxRooms: option.integer({ default: 500, min: 1, max: 10_000, doc: 'Rooms that one client is told of.' }),
    interval: option.duration({ default: '5s', min: '1s', max: '1h', doc: 'A client is told no more often than this.' }),
  }),
  stores: {
    /** When an account was in a room last: by username, under the bare JID of the room, in milliseconds since the epoch. */
    seen: mapStore<number>(),
    /** Clients that were told when the server was stopped: by username, under their full JIDs. */
    clients: mapStore<true>(),
    /** By the bare JID of the room, under 'meter'. */
    meters: mapStore<Reading>(),
  },

  async setup({ cache, config, defer, domain, every, hooks, log, on, router, signals, slot, stores, use }) {
    const rooms = use(muc);
    const watches = new Watches(config.maxRooms);
    const post = new Post(router, rooms.jid, config.interval);
    /** When something was said last. */
    const lastSaid = cache('lastSaid', (bare) => readLastSaid(rooms.messages, bare), CACHED);
    const meters = new Meters(stores.meters, (load) => cache('meters', load, CACHED));
    /** When a client has asked last, that its rooms are not looked at over and over. */
    const asked = slot(() => 0);
    let reviews: Promise<void> = Promise.resolve();

    defer(rooms.inform({ service: () => [NS_RAI], fields: (room) => meters.describe(room) }));
    on(hooks.presenceSent, take, Priority.record);
    on(signals.sessionClosed, ({ jid }) => end(watches.of(jid)));
    on(rooms.signals.said, note);
    on(rooms.signals.entered, ({ room, occupant }) => {
      const watch = watches.of(occupant.real);
      if (watch) watches.disarm(watch, room.jid.bare);
    });
    on(rooms.signals.left, noteLeaving);
    on(rooms.signals.affiliated, review);
    on(rooms.signals.destroyed, ({ room }) => forget(room));
    every(WRITE, () => meters.write());
    defer(() => meters.write());
    defer(async () => {
      post.stop();
      await writeClients();
    });
    await takeBack();

    /** XEP-0437 sections 3.1 and 3.2: presence to the service begins it, and going unavailable ends it. */
    function take({ stanza, to, origin }: Envelope): void {
      if (!isSession(origin)) return;
      const isHere = to.full === rooms.jid.full;
      if (stanza.type === 'unavailable' && (isHere || stanza.to === undefined)) return end(watches.of(origin.jid));
      if (isHere && stanza.type === undefined && stanza.has('rai', NS_RAI)) begin(origin);
    }

    function begin(session: Session): void {
      const now = Date.now();
      // Its rooms have been looked at, and it is told of what happens since.
      if (watches.of(session.jid) && now - asked.get(session) < config.interval) return;
      if (!watches.of(session.jid) && watches.size >= config.maxClients) {
        throw new StanzaError('resource-constraint', { text: 'There are too many who want to know' });
      }
      asked.set(session, now);
      end(watches.of(session.jid));
      const watch = new Watch(session);
      watches.add(watch);
      // One after the other, so that many who come at once do not keep the others waiting.
      reviews = reviews
        .then(() => lookBack(watch))
        .catch((error: unknown) => log.error('a client is not told where something was said', { error }));
    }

    function end(watch: Watch | undefined): void {
      if (watch) watches.remove(watch);
    }

    /** Tells a client where something was said since its account was there, and has it told of the others. */
    async function lookBack(watch: Watch): Promise<void> {
      const { local } = watch.jid;
      const [affiliations, seen] = await Promise.all([rooms.membershipsOf(local), stores.seen.entries(local)]);
      const mine = new Set([...affiliations.keys()].slice(0, config.maxRooms));
      for (const { jid, occupants } of rooms.open()) if (occupants.of(watch.jid)) mine.delete(jid.bare);
      const active: string[] = [];
      let turn = performance.now();
      for (const room of mine) {
        const last = lastSaid.get(room);
        const time = typeof last === 'number' ? last : await last;
        if (time > (seen.get(room) ?? 0)) active.push(room);
        else watches.arm(watch, room);
        if (performance.now() - turn < SLICE) continue;
        await new Promise((resolve) => setImmediate(resolve));
        turn = performance.now();
      }
      if (watches.of(watch.jid) === watch) post.tell(watch, active);
      const old = [...seen.keys()].filter((room) => !affiliations.has(room));
      if (old.length > 0) await stores.seen.update(local, new Map(old.map((room) => [room, undefined])));
    }

    function note({ room, stanza, tag, by }: Said): Maybe<void> {
      if (!isTalk(stanza, tag)) return;
      const { bare } = room.jid;
      lastSaid.set(bare, Date.now());
      for (const watch of watches.watching(bare)) {
        if (watch.jid.bare === by) continue;
        if (!mayKnow(room, watch)) watches.disarm(watch, bare);
        else {
          watches.note(watch, bare);
          post.add(watch);
        }
      }
      return meters.count(bare);
    }

    function noteLeaving({ room, occupant: { real } }: { readonly room: Room; readonly occupant: Occupant }): Maybe<void> {
      if (room.isGone) return;
      const watch = watches.of(real);
      if (watch && mayKnow(room, watch)) watches.arm(watch, room.jid.bare);
      if (real.domain !== domain || !isAffiliated(room.affiliationOf(real), 'member')) return;
      return stores.seen.update(real.local, new Map([[room.jid.bare, Date.now()]]));
    }

    /** Somebody has become a member, or is none any more. */
    function review({ room, bare }: Affiliated): void {
      for (const { jid } of router.resources(bare)) {
        const watch = watches.of(jid);
        if (!watch || room.occupants.of(jid)) continue;
        if (mayKnow(room, watch)) watches.arm(watch, room.jid.bare);
        else watches.disarm(watch, room.jid.bare);
      }
    }

    function forget({ jid: { bare } }: Room): Promise<void> {
      watches.forget(bare);
      lastSaid.drop(bare);
      return meters.forget(bare);
    }

    async function writeClients(): Promise<void> {
      await Promise.all([...watches].map(({ jid }) => stores.clients.update(jid.local, new Map([[jid.full, true]]))));
    }

    /** Sessions outlive a restart (XEP-0198), and never know of it. */
    async function takeBack(): Promise<void> {
      for (;;) {
        const owners = await stores.clients.owners();
        if (owners.length === 0) return;
        for (const owner of owners) {
          const clients = await stores.clients.entries(owner);
          await stores.clients.clear(owner);
          for (const resource of router.resources(`${owner}@${domain}`)) {
            if (isSession(resource) && clients.has(resource.jid.full) && watches.size < config.maxClients) begin(resource);
          }
        }
      }
    }
  },
});

async function readLastSaid(messages: ArchiveStore, bare: string): Promise<number> {
  const tag = { mask: TAG.conversation, value: TAG.conversation };
  const { items } = await messages.query(bare, { tag, max: 1, last: true });
  return (items[0] && timeOf(items[0].id)) ?? 0;
}

/** Whether something is a message to people, and not about another one (XEP-0502 section 5). */
function isTalk(stanza: Stanza, tag: number | undefined): boolean {
  if (tag !== undefined) return (tag & TAG.conversation) !== 0;
  return stanza.has('body') && !stanza.has('replace', 'urn:xmpp:message-correct:0');
}

function isOpen({ settings: { isPublic, isMembersOnly, password } }: Room): boolean {
  return isPublic && !isMembersOnly && password === undefined;
}

/** Whether somebody could be in the room, and may know that there is one (XEP-0437 section 4). */
function mayKnow(room: Room, { jid }: Watch): boolean {
  const affiliation = room.affiliationOf(jid);
  return isAffiliated(affiliation, 'member') || (affiliation !== 'outcast' && isOpen(room));
}
