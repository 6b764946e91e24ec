// XEP-0317: hats, by which a room says more of people than its roles and affiliations do.
import { after, defineModule, Jid, type Maybe, mapStore, option, Priority, StanzaError } from '#core';
import commands from '../commands/index.ts';
import muc, { levelField, type Room } from '../muc/index.ts';
import { offersOf } from './offers.ts';
import { type Kept, NS_HATS, Rack } from './rack.ts';

const FIELD = '{parlance:rooms:1}who_may_manage_hats';
/** Rooms whose hats are in memory. */
const CACHED = 20_000;

export default defineModule({
  name: 'muc-hats',
  doc: 'Hats: what people are in a room besides its roles, shown with their presence.',
  xeps: [{ xep: 317, version: '0.3.1' }],
  needs: [muc, commands],
  config: option.object({
    maxHats: option.integer({ default: 50, min: 1, max: 500, doc: 'Hats of one room.' }),
    maxWorn: option.integer({ default: 10, min: 1, max: 50, doc: 'Hats that one account wears in a room.' }),
    maxWearers: option.integer({ default: 1000, min: 1, max: 10_000, doc: 'Accounts that wear hats in one room.' }),
  }),
  stores: {
    /** By the bare JID of the room: see Kept. */
    hats: mapStore<Kept>(),
    /** In which rooms accounts of this host wear something: by username, under the bare JID of the room. */
    worn: mapStore<true>(),
  },

  async setup({ cache, config, defer, domain, hooks, on, stores, use }) {
    const rooms = use(muc);
    const racks = cache('racks', (bare) => Rack.load(bare, stores.hats), CACHED);
    /** Of rooms that somebody is in, so that presences are written without waiting. */
    const here = new WeakMap<Room, Rack>();

    defer(rooms.field(levelField(FIELD, 'Who may manage hats?', 'admins')));
    defer(rooms.inform({ room: () => [NS_HATS], fields: describe }));
    const mayManage = (from: Jid, room: Room): boolean => room.may(from, room.levelOf(FIELD));
    for (const command of offersOf({ limits: config, rackOf, mayManage, note })) {
      if (rooms.desk) defer(rooms.desk.offer(command));
    }
    on(rooms.hooks.entering, ({ room }) => after(rackOf(room), () => undefined), Priority.amend);
    on(rooms.signals.destroyed, forget);
    on(hooks.accountDeleting, ({ username }) => undress(username), Priority.record);
    // Those who were let back into their rooms after a restart are there already.
    for (const room of rooms.open()) if (room.occupants.size > 0) await rackOf(room);
    defer(rooms.decorate((room, { real }) => here.get(room)?.shownOn(real.bare)));

    function rackOf(room: Room): Maybe<Rack> {
      return (
        here.get(room) ??
        after(racks.get(room.jid.bare), (rack) => {
          here.set(room, rack);
          return rack;
        })
      );
    }

    function describe(room: Room) {
      return after(rackOf(room), ({ hash }) =>
        hash === undefined ? [] : [{ name: 'hats#hash', type: 'text-single' as const, label: 'Hats hash', values: [hash] }],
      );
    }

    /** Notes which of these accounts that are of this host wear something in a room. */
    async function note(room: Room, wearers: readonly string[]): Promise<void> {
      const rack = await rackOf(room);
      const own = wearers.map((bare) => Jid.parse(bare)).filter((jid) => jid.domain === domain);
      const worn = ({ bare }: Jid): true | undefined => (rack.wears(bare) ? true : undefined);
      await Promise.all(own.map((jid) => stores.worn.update(jid.local, new Map([[room.jid.bare, worn(jid)]]))));
    }

    /** A room has ended: at once, since the next one of its name may begin. */
    async function forget({ room }: { readonly room: Room }): Promise<void> {
      const { bare } = room.jid;
      here.delete(room);
      racks.drop(bare);
      const kept = stores.hats.entries(bare);
      const cleared = stores.hats.clear(bare);
      const own = [...(await kept).keys()]
        .map((key) => Jid.tryParse(key))
        .filter((jid) => jid?.domain === domain && jid.local !== '');
      await Promise.all([cleared, ...own.map((jid) => stores.worn.update(jid!.local, new Map([[bare, undefined]])))]);
    }

    /** Whoever gets the name of an account that is deleted gets no hats with it. */
    async function undress(username: string): Promise<void> {
      const { bare } = Jid.of(username, domain);
      for (const address of (await stores.worn.entries(username)).keys()) {
        const room = await find(address);
        if (room) await (await rackOf(room)).strip(bare);
      }
    }

    /** Undefined for a room that has ended. */
    async function find(address: string): Promise<Room | undefined> {
      try {
        return await rooms.find(Jid.parse(address));
      } catch (error) {
        if (error instanceof StanzaError) return undefined;
        throw error;
      }
    }
  },
});
