// Pinned messages of rooms. A copy of the text is kept, so that they are there when the archive has let them go; what was retracted or
// taken down by a moderator is not pinned any more.
import {
  type ArchiveItem,
  cutText,
  type Jid,
  type MapStore,
  type Maybe,
  type OneByOne,
  readStanza,
  StanzaError,
  sortableId,
  timeOf,
} from '#core';
import { TAG } from '../mam/index.ts';
import { type MucApi, ROOM_TAG, type Room } from '../muc/index.ts';
import { PIN_FIELD } from './fields.ts';
import { writePinned, writeUnpinned } from './pin-messages.ts';

/** A pinned message. */
export interface Pin {
  /** Its id in the room's archive (XEP-0359). */
  readonly id: string;
  /** The nick under which it was said; empty for the room itself. */
  readonly nick: string;
  /** Its text, cut off where it is long; empty when only its readers can read it. */
  readonly text: string;
  /** The nick of whoever has pinned it; empty when they had none. */
  readonly by: string;
  /** A sortable id that was made when it was pinned, which says when that was. */
  readonly mark: string;
}

/** What pins work with. */
export interface PinParts {
  readonly store: MapStore<Pin>;
  readonly rooms: MucApi;
  readonly turns: OneByOne;
  readonly maxPins: number;
}

/** Changes of what is pinned in one room, each of which everybody is told of, in so many milliseconds. */
const MAX_CHANGES = 20;
const PERIOD = 60_000;
/** Characters of a text that are kept. */
const MAX_TEXT = 2000;
const NONE: readonly Pin[] = [];

/** The pinned messages of all rooms. */
export class Pins {
  readonly #parts: PinParts;
  /** Of rooms in memory, the newest pin first. */
  readonly #known = new WeakMap<Room, Maybe<readonly Pin[]>>();

  /** How often what is pinned has changed of late. */
  readonly #changes = new WeakMap<Room, { readonly since: number; readonly count: number }>();

  constructor(parts: PinParts) {
    this.#parts = parts;
  }

  /** What is pinned in a room, the newest pin first. */
  of(room: Room): Maybe<readonly Pin[]> {
    const known = this.#load(room);
    return known instanceof Promise || known.length > 0 ? this.#review(room, known) : known;
  }

  /** Pins a message, by right of `by`, or of the host. Returns the pin there is when it is pinned already. Rejects with StanzaError. */
  async pin(room: Room, id: string, by: Jid | undefined): Promise<Pin> {
    check(room, by);
    const [pin, isNew] = await this.#inTurn(room, async () => {
      const pins = await this.#fresh(room);
      const known = pins.find((each) => each.id === id);
      if (known) return [known, false] as const;
      const found = await this.#find(room, id);
      this.#count(room, by);
      if (pins.length >= this.#parts.maxPins) {
        throw new StanzaError('resource-constraint', { text: `At most ${this.#parts.maxPins} messages are pinned` });
      }
      const made: Pin = { ...found, by: nickOf(room, by), mark: sortableId() };
      await this.#write(room, new Map([[id, made]]), [made, ...pins]);
      return [made, true] as const;
    });
    if (isNew) await this.#parts.rooms.speak(room, writePinned(room, pin));
    return pin;
  }

  /** Takes a pin off. As `pin`; rejects with `item-not-found` when it is not pinned. */
  async unpin(room: Room, id: string, by: Jid | undefined): Promise<void> {
    check(room, by);
    const pin = await this.#inTurn(room, async () => {
      const pins = await this.#fresh(room);
      const known = pins.find((each) => each.id === id);
      if (!known) throw new StanzaError('item-not-found', { text: 'This message is not pinned' });
      this.#count(room, by);
      await this.#write(
        room,
        new Map([[id, undefined]]),
        pins.filter((each) => each !== known),
      );
      return known;
    });
    await this.#parts.rooms.speak(room, writeUnpinned(room, pin, nickOf(room, by)));
  }

  /** Forgets what was pinned in a room that is no more, or in another one that had its address. */
  async clear(room: Room): Promise<void> {
    const { store, turns } = this.#parts;
    await turns.run(room.jid.bare, async () => {
      this.#known.set(room, NONE);
      if ((await store.entries(room.jid.bare)).size > 0) await store.clear(room.jid.bare);
    });
  }

  #inTurn<T>(room: Room, task: () => Promise<T>): Promise<T> {
    return this.#parts.turns.run(room.jid.bare, () => {
      if (room.isGone || room.isLocked) throw new StanzaError('item-not-found', { text: 'There is no such room' });
      return task();
    });
  }

  /** Throws StanzaError for who makes a flood of what everybody is told. */
  #count(room: Room, by: Jid | undefined): void {
    const now = Date.now();
    const last = this.#changes.get(room);
    const { since, count } = last && now - last.since < PERIOD ? last : { since: now, count: 0 };
    if (by && count >= MAX_CHANGES) throw new StanzaError('resource-constraint', { type: 'wait', text: 'Not so fast' });
    this.#changes.set(room, { since, count: count + 1 });
  }

  #load(room: Room): Maybe<readonly Pin[]> {
    const known = this.#known.get(room);
    if (known) return known;
    const loading = this.#parts.store.entries(room.jid.bare).then(
      (entries) => {
        const pins = entries.size === 0 ? NONE : [...entries.values()].sort((a, b) => (a.mark < b.mark ? 1 : -1));
        if (this.#known.get(room) === loading) this.#known.set(room, pins);
        return pins;
      },
      (error: unknown) => {
        if (this.#known.get(room) === loading) this.#known.delete(room);
        throw error;
      },
    );
    this.#known.set(room, loading);
    return loading;
  }

  async #review(room: Room, known: Maybe<readonly Pin[]>): Promise<readonly Pin[]> {
    const pins = await known;
    const gone = await this.#retracted(room, pins);
    if (gone.size === 0) return pins;
    return this.#parts.turns.run(room.jid.bare, () => this.#fresh(room));
  }

  /** What is pinned still, for whoever has the turn. */
  async #fresh(room: Room): Promise<readonly Pin[]> {
    const pins = await this.#load(room);
    const gone = await this.#retracted(room, pins);
    if (gone.size === 0) return pins;
    const left = pins.filter(({ id }) => !gone.has(id));
    await this.#write(room, new Map([...gone].map((id) => [id, undefined])), left);
    return left;
  }

  async #write(room: Room, changes: ReadonlyMap<string, Pin | undefined>, pins: readonly Pin[]): Promise<void> {
    await this.#parts.store.update(room.jid.bare, changes);
    this.#known.set(room, pins);
  }

  /** Of which nothing but a tombstone is left (XEP-0424, XEP-0425). */
  async #retracted({ jid }: Room, pins: readonly Pin[]): Promise<ReadonlySet<string>> {
    if (pins.length === 0) return new Set();
    const tag = { mask: TAG.tombstone, value: TAG.tombstone };
    const { items } = await this.#parts.rooms.messages.query(jid.bare, { ids: pins.map(({ id }) => id), tag });
    return new Set(items.map(({ id }) => id));
  }

  async #find({ jid }: Room, id: string): Promise<Pick<Pin, 'id' | 'nick' | 'text'>> {
    const isId = timeOf(id) !== undefined;
    const { items } = isId ? await this.#parts.rooms.messages.query(jid.bare, { ids: [id] }) : { items: [] };
    const [item] = items;
    const text = item && textOf(item);
    if (!item || text === undefined) throw new StanzaError('item-not-found', { text: 'There is no such message' });
    return { id, nick: item.resource, text };
  }
}

/** The text of an item that can be pinned; undefined for others. */
export function textOf({ stanza, tag = 0 }: ArchiveItem): string | undefined {
  if ((tag & (TAG.tombstone | ROOM_TAG.subject)) !== 0) return undefined;
  const text = readStanza(stanza).text('body');
  // What is encrypted has no text that could be shown.
  return text === undefined ? ((tag & TAG.conversation) === 0 ? undefined : '') : cutText(text, MAX_TEXT);
}

/** Whether somebody may pin messages in a room. */
export function mayPin(room: Room, by: Jid): boolean {
  return room.may(by, room.levelOf(PIN_FIELD));
}

function check(room: Room, by: Jid | undefined): void {
  if (by && !mayPin(room, by)) throw new StanzaError('forbidden', { text: 'You may not pin messages in this room' });
}

function nickOf(room: Room, by: Jid | undefined): string {
  return (by && (room.occupants.of(by)?.nick ?? room.members.get(by.bare)?.nick)) ?? '';
}
