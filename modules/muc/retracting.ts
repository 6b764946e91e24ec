// XEP-0424 and XEP-0425 sections on tombstones: what was said in a room is put out of its archive, and is its subject no more.
import type { ArchiveItem } from '#core';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import { withdrawSubject } from './speaking.ts';
import { ROOM_TAG } from './tag.ts';

/** What takes the place of an item of a room's archive, under the id of that. */
export type Tombstone = Pick<Required<ArchiveItem>, 'id' | 'tag' | 'stanza'>;

/** See MucApi.bury. */
export async function bury(rooms: Rooms, room: Room, tombstone: Tombstone): Promise<boolean> {
  const { id, tag } = tombstone;
  const replaced = rooms.messages.replace(room.jid.bare, tombstone);
  const isSubject = (tag & ROOM_TAG.subject) !== 0;
  const [isBuried] = await Promise.all([replaced, isSubject ? withdraw(rooms, room, id) : undefined]);
  if (isBuried) rooms.events.signals.retracted.emit({ room, id, tag });
  return isBuried;
}

async function withdraw(rooms: Rooms, { jid }: Room, id: string): Promise<void> {
  // While the message was looked for the room may have fallen asleep, and be another object now.
  const room = await rooms.get(jid);
  if (room) await withdrawSubject(room, id);
}
