// XEP-0054 and XEP-0486: what a room says of itself, with a picture by which people tell it from others.
import {
  after,
  defineModule,
  type Element,
  type Jid,
  type Maybe,
  mapStore,
  option,
  readElement,
  Stanza,
  StanzaError,
  writeElement,
  xml,
} from '#core';
import muc, { isAffiliated, type Occupant, type Room, type RoomQuery } from '../muc/index.ts';
import { PICTURE_TYPES, readCard, tooBig } from './pictures.ts';

const NS = 'vcard-temp';
/** XEP-0153. */
const NS_UPDATE = 'vcard-temp:x:update';
const NS_USER = 'http://jabber.org/protocol/muc#user';
const CONFIG_CHANGED = '104';
/** Rooms of which it is remembered which pictures they have; nearly all of them have none. */
const CACHED = 50_000;
const NONE: readonly string[] = [];

export default defineModule({
  name: 'muc-vcard',
  doc: 'vCards of rooms, with the pictures that clients show for them.',
  xeps: [
    { xep: 54, version: '1.3.0' },
    { xep: 153, version: '1.1.1' },
    { xep: 486, version: '0.1.0' },
  ],
  needs: [muc],
  config: option.object({
    maxBytes: option.bytes({ default: '128KiB', min: 1024, max: '16MiB', doc: 'Size of a vCard, its pictures included.' }),
    maxPhotoBytes: option.bytes({ default: '72KiB', min: 1024, max: '12MiB', doc: 'Size of each picture in it.' }),
    types: option.list(option.choice(PICTURE_TYPES, { doc: 'A type of picture.' }), {
      min: 1,
      unique: true,
      default: PICTURE_TYPES,
      doc: 'What pictures may be.',
    }),
  }),
  /** Of each room, and of the service itself, by bare JID: `card` as XML, and `hashes` of its photos. */
  stores: { cards: mapStore<string>() },

  setup({ cache, config, defer, isAdmin, on, stores: { cards }, use }) {
    const rooms = use(muc);
    const hashes = cache('hashes', loadHashes, CACHED);

    for (const undo of [
      rooms.atRoom('get', NS, 'vCard', (room, { from }) => {
        checkViewer(room, from);
        return show(room.jid);
      }),
      rooms.atRoom('set', NS, 'vCard', changeOfRoom),
      rooms.atService('get', NS, 'vCard', () => show(rooms.jid)),
      rooms.atService('set', NS, 'vCard', changeOfService),
      rooms.inform({ service: () => [NS], room: () => [NS], fields }),
    ])
      defer(undo);
    on(rooms.signals.entered, ({ room, occupant }) => after(hashes.get(room.jid.bare), (known) => greet(room, occupant, known)));
    on(rooms.signals.destroyed, ({ room }) => {
      hashes.set(room.jid.bare, NONE);
      return cards.clear(room.jid.bare);
    });

    async function loadHashes(bare: string): Promise<readonly string[]> {
      const text = await cards.get(bare, 'hashes');
      return text ? text.split(' ') : NONE;
    }

    async function show({ bare }: Jid): Promise<Element> {
      const text = await cards.get(bare, 'card');
      if (text === undefined) throw new StanzaError('item-not-found', { text: 'There is no vCard' });
      return readElement(text);
    }

    async function changeOfRoom(room: Room, { from, payload, confirm }: RoomQuery): Promise<void> {
      if (room.affiliationOf(from) !== 'owner') throw forbidden('Only owners may set the vCard of a room');
      const before = await hashes.get(room.jid.bare);
      const now = await change(room.jid, payload);
      confirm();
      room.notify(xml('x', NS_USER, xml('status', { code: CONFIG_CHANGED })));
      if (now.join() !== before.join()) void room.sendAll(noticeOf(now), room.jid, room.occupants.addresses);
    }

    async function changeOfService({ from, payload }: RoomQuery): Promise<void> {
      if (!isAdmin(from)) throw forbidden('Only admins may set the vCard of the service');
      await change(rooms.jid, payload);
    }

    /** Keeps a vCard in place of the one before; an empty one for none at all. Resolves with the hashes of its photos. */
    async function change({ bare }: Jid, payload: Element): Promise<readonly string[]> {
      const isEmpty = payload.getChildElements().length === 0;
      const card = isEmpty ? undefined : readCard(payload, config);
      const text = card && writeElement(card.element);
      if (text !== undefined && Buffer.byteLength(text) > config.maxBytes) throw tooBig('vCard', config.maxBytes);
      const found = card?.hashes ?? NONE;
      const kept = [
        ['card', text],
        // So that nobody has to read it to know them.
        ['hashes', found.length > 0 ? found.join(' ') : undefined],
      ] as const;
      await cards.update(bare, new Map(kept));
      hashes.set(bare, found);
      return found;
    }

    function fields(room: Room): Maybe<readonly { readonly name: string }[]> {
      return after(hashes.get(room.jid.bare), (values) =>
        values.length === 0
          ? []
          : [{ name: 'muc#roominfo_avatarhash', type: 'text-multi' as const, label: 'Avatar hash', values }],
      );
    }
  },
});

/** Tells a new occupant which picture the room has; after its own presence, which is on its way once this turn is over. */
function greet(room: Room, occupant: Occupant, hashes: readonly string[]): void {
  if (hashes.length === 0) return;
  queueMicrotask(() => {
    if (room.occupants.of(occupant.real) === occupant) room.send(noticeOf(hashes), room.jid, occupant.real);
  });
}

/** XEP-0153 section 4.1: clients look for it in a presence of the room itself. There is one picture in it, and none for an empty hash. */
function noticeOf([hash = '']: readonly string[]): Stanza {
  return Stanza.of(xml('presence', {}, xml('x', NS_UPDATE, xml('photo', {}, hash))));
}

/** A hidden room is seen by those who are or may be in it. Throws StanzaError `forbidden` for others. */
function checkViewer(room: Room, from: Jid): void {
  const { isPublic, isMembersOnly, password } = room.settings;
  const affiliation = room.affiliationOf(from);
  if (isPublic || room.occupants.of(from) || isAffiliated(affiliation, 'member')) return;
  const mayEnter = affiliation !== 'outcast' && !isMembersOnly && password === undefined;
  if (!mayEnter) throw forbidden('You may not see this room');
}

function forbidden(text: string): StanzaError {
  return new StanzaError('forbidden', { text });
}
