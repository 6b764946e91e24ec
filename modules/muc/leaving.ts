// XEP-0045 sections 7.14, 8.2 and 9.1: how clients go, by themselves or because they are shown out.
import { type Element, Stanza, xml } from '#core';
import { announce, type Notice, tellOwn } from './announce.ts';
import type { Occupant } from './occupant.ts';
import type { Room } from './room.ts';

const EMPTY = Stanza.of(xml('presence'));

/** A client goes. With its last presence, when it has sent one; `notice` says why, when that was not its own will. */
export function leave(room: Room, occupant: Occupant, presence: Stanza = EMPTY, notice: Notice = {}): void {
  const { nick } = occupant;
  occupant.presence = presence;
  room.occupants.remove(occupant);
  room.arriving.delete(occupant);
  room.usedAt = Date.now();
  const [other] = room.occupants.named(nick);
  // Others go on seeing the nick as long as one of its clients is here.
  if (other) {
    tellOwn(room, occupant, { ...notice, role: 'none' });
    other.isTold ||= occupant.isTold;
    announce(room, other);
  } else announce(room, occupant, { ...notice, role: 'none' });
  room.parts.events.signals.left.emit({ room, occupant });
}

/** Why somebody is shown out. */
export interface Expulsion {
  /** Codes of XEP-0045 section 16.6. */
  readonly codes: readonly string[];
  readonly reason?: string | undefined;
  /** The nick of whoever does it. */
  readonly actor?: string | undefined;
}

/** Shows clients out, each with its own notice. */
export function expel(room: Room, occupants: readonly Occupant[], { codes, reason, actor }: Expulsion): void {
  const notice = { codes, reason, actor: actor === undefined ? undefined : { nick: actor } };
  for (const occupant of occupants) leave(room, occupant, EMPTY, notice);
}

/** Where those who were in a room that was destroyed may go, and why (XEP-0045 section 10.9). */
export interface Destruction {
  readonly venue?: string | undefined;
  readonly password?: string | undefined;
  readonly reason?: string | undefined;
}

/** The element that tells of the end of a room. */
export function writeDestroy({ venue, password, reason }: Destruction): Element {
  return xml(
    'destroy',
    { jid: venue },
    password === undefined ? undefined : xml('password', {}, password),
    reason ? xml('reason', {}, reason) : undefined,
  );
}

/** Tells everybody that the room is no more, and sees them out. Each is told only of itself. */
export function empty(room: Room, destruction: Destruction): void {
  const destroy = writeDestroy(destruction);
  for (const occupant of [...room.occupants]) {
    room.occupants.remove(occupant);
    occupant.presence = EMPTY;
    tellOwn(room, occupant, { role: 'none', affiliation: 'none', extra: [destroy] });
    room.parts.events.signals.left.emit({ room, occupant });
  }
  room.arriving.clear();
}
