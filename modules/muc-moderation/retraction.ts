// XEP-0424 in rooms: whoever has said something takes it back, and a tombstone takes its place in the room's archive.
import {
  type Element,
  Jid,
  type Maybe,
  readStanza,
  type Stanza,
  StanzaError,
  timeOf,
  writeDateTime,
  writeStanza,
  xml,
} from '#core';
import { type Found, NS_RETRACT, Retractions, readReference, TAG, toTombstoneTag, writeTombstone } from '../mam/index.ts';
import type { MucApi, Room, Said, Saying } from '../muc/index.ts';
import { NS_OCCUPANT } from './namespaces.ts';

/** The items of rooms' archives, found and replaced. */
export class Tombstones {
  readonly #rooms: Pick<MucApi, 'messages' | 'bury'>;
  readonly #retractions: Retractions;

  constructor(rooms: Pick<MucApi, 'messages' | 'bury'>) {
    this.#rooms = rooms;
    this.#retractions = new Retractions(rooms.messages);
  }

  /** What was said in this room under a stanza-id of its archive; undefined for any other id, whoever gave it. */
  async find(room: Room, id: string): Promise<Found | undefined> {
    if (timeOf(id) === undefined) return undefined;
    const { items } = await this.#rooms.messages.query(room.jid.bare, { ids: [id], max: 1 });
    const [item] = items;
    return item && { item, stanza: readStanza(item.stanza) };
  }

  /** Puts a tombstone in the place of a message: who has said it stays, what it was does not (XEP-0425, Tombstones). False when it has gone. */
  bury(room: Room, { item, stanza }: Found, retracted: Element): Promise<boolean> {
    const id: unknown = stanza.child('occupant-id', NS_OCCUPANT)?.attrs['id'];
    const author = typeof id === 'string' ? [xml('occupant-id', { xmlns: NS_OCCUPANT, id })] : [];
    const tombstone = writeTombstone(stanza, ...author, retracted);
    return this.#rooms.bury(room, { id: item.id, tag: toTombstoneTag(item.tag), stanza: writeStanza(tombstone) });
  }

  /** Refuses to retract what another occupant has said. What is not in the archive may be passed on: clients look at it, too. */
  readonly check = ({ room, occupant, stanza }: Saying): Maybe<void> => {
    const reference = readReference(stanza);
    if (!reference) return;
    return this.find(room, reference.id).then((found) => {
      if (!found || found.item.with === occupant.real.bare) return;
      throw new StanzaError('forbidden', { text: 'Only whoever has said something may retract it' });
    });
  };

  /** Does what a message asks for that was said and is durable. */
  readonly retract = ({ room, id, by, stanza }: Said): Promise<void> | undefined => {
    // Without an id nobody could tell what has put the tombstone there (XEP-0424, Tombstones).
    if (by === undefined || stanza.id === undefined || !readReference(stanza)) return undefined;
    return this.#retract(room, stanza, by, id);
  };

  /**
   * The message is named by the id that the room has given it, or by its own; then it is the newest of this account. Occupant ids are made of
   * accounts: of the same account is of the same occupant (XEP-0421).
   */
  async #retract(room: Room, stanza: Stanza, by: string, before: string | undefined): Promise<void> {
    const reference = readReference(stanza)!;
    const named = await this.find(room, reference.id);
    const found =
      named ??
      (await this.#retractions.seek(room.jid.bare, {
        other: by,
        sender: room.jid.bare,
        ...reference,
        ...(before !== undefined && { before }),
      }));
    if (!found || found.item.with !== by || isTombstone(found) || readReference(found.stanza)) return;
    const stamp = writeDateTime(timeOf(before ?? '') ?? Date.now());
    await this.bury(room, found, xml('retracted', { xmlns: NS_RETRACT, id: stanza.id!, stamp }));
  }
}

/** Whether a message was retracted already. */
export function isTombstone({ item, stanza }: Found): boolean {
  return (item.tag & TAG.tombstone) !== 0 || stanza.has('retracted', NS_RETRACT);
}

/** Who has said something, by the real address; undefined for the room itself. */
export function authorOf(room: Room, { item }: Found): Jid | undefined {
  return item.with === room.jid.bare ? undefined : Jid.tryParse(item.with);
}
