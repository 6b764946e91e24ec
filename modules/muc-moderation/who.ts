import { type ArchiveStore, Jid, StanzaError } from '#core';
import type { Room } from '../muc/index.ts';

/** What an occupant id looks like here (XEP-0421). */
const OCCUPANT_ID = /^[\w-]{43}$/;

/**
 * Whom a moderator means: by occupant id, by the nick of somebody who is in the room, by real address, or by the nick under which somebody
 * who has gone spoke last. Rejects with StanzaError `item-not-found`.
 */
export async function findPerson(room: Room, messages: ArchiveStore, text: string): Promise<Jid> {
  const who = text.trim();
  const found =
    (OCCUPANT_ID.test(who) ? await findById(room, messages, who) : undefined) ??
    room.occupants.named(who)[0]?.real.bareJid ??
    readAddress(who) ??
    (await findByNick(room, messages, who));
  if (!found) throw new StanzaError('item-not-found', { text: 'There is nobody of this nick, occupant id or address' });
  return found;
}

/** Who has been here is among those who are in the room, whom it knows, or who have said something that is kept. */
async function findById(room: Room, messages: ArchiveStore, id: string): Promise<Jid | undefined> {
  for (const occupant of room.occupants) if (occupant.id === id) return occupant.real.bareJid;
  for (const bare of room.members.keys()) if (room.occupantId(bare) === id) return Jid.tryParse(bare);
  for (let after: string | undefined; ; ) {
    const parties = await messages.parties(room.jid.bare, after);
    const found = parties.find((bare) => room.occupantId(bare) === id);
    if (found !== undefined) return Jid.tryParse(found);
    after = parties.at(-1);
    if (after === undefined) return undefined;
  }
}

async function findByNick(room: Room, messages: ArchiveStore, nick: string): Promise<Jid | undefined> {
  if (nick === '') return undefined;
  const { items } = await messages.query(room.jid.bare, { resource: nick, max: 1, last: true });
  const bare = items[0]?.with;
  return bare === undefined || bare === room.jid.bare ? undefined : Jid.tryParse(bare);
}

function readAddress(text: string): Jid | undefined {
  return text.includes('@') ? Jid.tryParse(text)?.bareJid : undefined;
}
