// XEP-0425: moderators retract what others have said in a room.
import { type Element, type Jid, Stanza, StanzaError, sortableId, writeDateTime, xml } from '#core';
import { type Found, NS_RETRACT } from '../mam/index.ts';
import { isAffiliated, type MucApi, type Room, type RoomQuery } from '../muc/index.ts';
import { NS_FASTEN, NS_MODERATE, NS_MODERATE_0, NS_OCCUPANT, NS_RETRACT_0 } from './namespaces.ts';
import { authorOf, isTombstone, type Tombstones } from './retraction.ts';
import { readReason } from './text.ts';

/** The IQs of moderators, and what comes of them. */
export class Moderation {
  readonly #rooms: MucApi;
  readonly #tombstones: Tombstones;
  /** What is being retracted, by room and id: of two moderators who do the same at once one is enough. */
  readonly #underway = new Map<string, Promise<boolean>>();

  constructor(rooms: MucApi, tombstones: Tombstones) {
    this.#rooms = rooms;
    this.#tombstones = tombstones;
  }

  /** Answers `<moderate/>`. Throws StanzaError: `forbidden` for who is no moderator, `item-not-found` for what was not said here. */
  readonly take = async (room: Room, { from, payload }: RoomQuery): Promise<void> => {
    checkModerator(room, from);
    if (!payload.getChild('retract', NS_RETRACT)) throw new StanzaError('feature-not-implemented');
    const reason = readReason(payload.getChildText('reason', NS_MODERATE));
    await this.retract(room, from, readId(payload), reason);
  };

  /** As clients have asked before: in a fastening (version 0.2.1). */
  readonly takeOlder = async (room: Room, { from, payload }: RoomQuery): Promise<void> => {
    const moderate = payload.getChild('moderate', NS_MODERATE_0);
    if (!moderate) throw new StanzaError('service-unavailable');
    checkModerator(room, from);
    if (!moderate.getChild('retract', NS_RETRACT_0)) throw new StanzaError('feature-not-implemented');
    const reason = readReason(moderate.getChildText('reason', NS_MODERATE_0));
    await this.retract(room, from, readId(payload), reason);
  };

  /** Retracts a message by its stanza-id, by right of `by`. False when it was retracted already, which does no harm. */
  async retract(room: Room, by: Jid, id: string, reason: string | undefined): Promise<boolean> {
    const key = `${room.jid.bare}/${id}`;
    const underway = this.#underway.get(key);
    if (underway) return underway.then(() => false);
    const task = this.#retract(room, by, id, reason).finally(() => this.#underway.delete(key));
    this.#underway.set(key, task);
    return task;
  }

  async #retract(room: Room, by: Jid, id: string, reason: string | undefined): Promise<boolean> {
    const found = await this.#tombstones.find(room, id);
    if (!found || room.isGone) throw new StanzaError('item-not-found', { text: 'Nothing was said here under this id' });
    if (isTombstone(found)) return false;
    checkRank(room, by, found);
    const verdict: Verdict = { id, by: room.occupants.of(by)?.jid.full, occupantId: room.occupantId(by.bare), reason };
    const message = writeModeration(verdict);
    // First the retraction, which those who come later learn of by the archive; a tombstone names it (XEP-0424, Tombstones).
    await this.#rooms.speak(room, message);
    await this.#tombstones.bury(room, found, writeRetracted(verdict, message.id!));
    return true;
  }
}

/** Throws StanzaError `forbidden` for who may not retract what others have said. */
export function checkModerator(room: Room, from: Jid): void {
  if (!isModerator(room, from)) {
    throw new StanzaError('forbidden', { text: 'Only moderators may retract what others have said' });
  }
}

/** Moderators, and admins also when they are not in the room. */
export function isModerator(room: Room, from: Jid): boolean {
  const { affiliation, role } = room.standingOf(from);
  return role === 'moderator' || isAffiliated(affiliation, 'admin');
}

/** Nobody takes anything from admins and owners but those who are at least as much (as XEP-0045 section 8.2). */
function checkRank(room: Room, by: Jid, found: Found): void {
  const author = authorOf(room, found);
  if (!author) throw new StanzaError('not-allowed', { text: 'What the room itself has said stays' });
  const affiliation = room.affiliationOf(author);
  if (isAffiliated(affiliation, 'admin') && !isAffiliated(room.affiliationOf(by), affiliation)) {
    throw new StanzaError('not-allowed', { text: 'You may not retract what admins and owners have said' });
  }
}

interface Verdict {
  /** The message that is retracted. */
  readonly id: string;
  /** The moderator's address in the room; undefined when they are not in it. */
  readonly by: string | undefined;
  readonly occupantId: string;
  readonly reason: string | undefined;
}

/** For all clients: as the newest version has it, and as those know it that were written for the one before. */
function writeModeration(verdict: Verdict): Stanza {
  const { id, by, reason } = verdict;
  const older = xml('moderated', { xmlns: NS_MODERATE_0, by }, xml('retract', { xmlns: NS_RETRACT_0 }), writeReason(reason));
  return Stanza.of(
    xml(
      'message',
      { type: 'groupchat', id: sortableId() },
      xml('retract', { xmlns: NS_RETRACT, id }, writeModerated(verdict), writeReason(reason)),
      xml('apply-to', { xmlns: NS_FASTEN, id }, older),
    ),
  );
}

function writeRetracted(verdict: Verdict, id: string): Element {
  const stamp = writeDateTime(Date.now());
  return xml('retracted', { xmlns: NS_RETRACT, id, stamp }, writeModerated(verdict), writeReason(verdict.reason));
}

function writeModerated({ by, occupantId }: Verdict): Element {
  return xml('moderated', { xmlns: NS_MODERATE, by }, xml('occupant-id', { xmlns: NS_OCCUPANT, id: occupantId }));
}

function writeReason(reason: string | undefined): Element | undefined {
  return reason === undefined ? undefined : xml('reason', {}, reason);
}

function readId({ attrs }: Element): string {
  const id: unknown = attrs['id'];
  if (typeof id !== 'string' || id === '') throw new StanzaError('bad-request', { text: 'A message is named by its stanza-id' });
  return id;
}
