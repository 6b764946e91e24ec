// XEP-0452: who is mentioned in a room and is not there gets what was said.
import { setImmediate } from 'node:timers/promises';
import { Jid, type Router, Stanza, toWire, writeDateTime } from '#core';
import { judge, TAG } from '../mam/index.ts';
import { isAffiliated, type Room, type Said } from '../muc/index.ts';
import { isNamed, type Mentionable } from './mentioned.ts';
import { isForwarding, maxMentions } from './permissions.ts';

/** The namespace of mention notifications. */
export const NS_MMN = 'urn:xmpp:mmn:0';
const NS_FORWARD = 'urn:xmpp:forward:0';
const NS_DELAY = 'urn:xmpp:delay';
/** Milliseconds of work before others have their turn. */
const SLICE = 4;

/** Forwards what was said to the members who are meant and have no client in the room; they have opted in by registering a nick (section 2). */
export async function forward(router: Router, { room, stanza, by, tag }: Said): Promise<void> {
  if (!isForwarding(room) || !isTalk(stanza, tag)) return;
  // As many as a message may mention: a list of all members in its text is no mention of anybody.
  let left = maxMentions(room);
  let message: Stanza | undefined;
  let begun = performance.now();
  for (const [bare, { nick, affiliation }] of room.members) {
    if (left === 0) return;
    if (performance.now() - begun > SLICE) {
      await setImmediate();
      begun = performance.now();
    }
    if (nick === undefined || bare === by || !isAffiliated(affiliation, 'member') || isHere(room, bare)) continue;
    if (!isNamed(stanza, new Absent(room, bare, nick))) continue;
    message ??= wrap(room, stanza);
    router.send(message, room.jid, Jid.parse(bare));
    left--;
  }
}

/** A member who is not there. */
class Absent implements Mentionable {
  readonly bare: string;
  readonly nick: string;
  readonly #room: Room;

  constructor(room: Room, bare: string, nick: string) {
    this.#room = room;
    this.bare = bare;
    this.nick = nick;
  }

  get occupantId(): string {
    return this.#room.occupantId(this.bare);
  }
}

/** Whether it is a message to people, and not about another one. */
function isTalk(stanza: Stanza, tag: number | undefined): boolean {
  return ((tag ?? judge(stanza, true) ?? 0) & TAG.conversation) !== 0;
}

function isHere(room: Room, bare: string): boolean {
  return room.occupants.ofAccount(bare).length > 0;
}

function wrap(room: Room, stanza: Stanza): Stanza {
  const delay = `<delay xmlns='${NS_DELAY}' stamp='${writeDateTime(Date.now())}'/>`;
  const original = stanza.addressed(stanza.from, room.jid.bare).wire(true);
  const forwarded = `<forwarded xmlns='${NS_FORWARD}'>${toWire(delay)}${original}</forwarded>`;
  return Stanza.written({ name: 'message' }, `<mentions xmlns='${NS_MMN}'>${forwarded}</mentions>`);
}
