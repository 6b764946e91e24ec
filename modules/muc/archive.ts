// XEP-0313 section 6.1.2: the archive of a room, for those who may enter it now.
import { type ArchiveFilter, type Element, type Jid, type Query, StanzaError } from '#core';
import type { ArchiveItemOf, ArchiveQueries } from '../mam/index.ts';
import { isSigned, signByAccount, withoutAuthor } from './author.ts';
import { isAffiliated } from './ranks.ts';
import type { Room } from './room.ts';

/** Sends a page of a room's archive, and returns what ends it. Throws StanzaError `forbidden` for who may not read it. */
export function showArchive(queries: ArchiveQueries, room: Room, query: Query): Promise<Element> {
  checkReader(room, query.from);
  const seesReal = room.seesReal(query.from);
  return queries.query({
    owner: room.jid.bare,
    archive: room.jid,
    query,
    narrow: (filter) => narrow(room, filter, seesReal),
    transform: seesReal ? (item) => showAuthor(room, item) : ({ stanza }) => withoutAuthor(stanza),
  });
}

/** Who may enter may read: whoever is in the room is, whoever is a member may, others where nothing keeps them out. */
export function checkReader(room: Room, from: Jid): void {
  const affiliation = room.affiliationOf(from);
  if (affiliation === 'outcast' || room.isLocked) throw new StanzaError('forbidden');
  if (room.occupants.of(from) || room.occupants.ofAccount(from.bare).length > 0 || isAffiliated(affiliation, 'member')) return;
  if (room.settings.isMembersOnly || room.settings.password !== undefined) throw new StanzaError('forbidden');
}

/** `with` is somebody by the nick they spoke under, or by their real address for those who may know it (section 4.1.1). */
function narrow(room: Room, filter: ArchiveFilter, seesReal: boolean): ArchiveFilter {
  const { with: other, resource, ...rest } = filter;
  if (other === undefined) return filter;
  if (other === room.jid.bare) return resource === undefined ? rest : { ...rest, resource };
  if (!seesReal) throw new StanzaError('forbidden', { text: 'Who speaks is known by nick in this room' });
  return { ...rest, with: other };
}

/** With the real address of whoever has said it. Nobody else has said what the room itself has. */
function showAuthor({ jid, members }: Room, { with: real, stanza }: ArchiveItemOf): string {
  if (real === jid.bare || isSigned(stanza)) return stanza;
  return signByAccount(stanza, real, members.get(real)?.affiliation ?? 'none');
}
