// XEP-0045 sections 7.4 and 8.1: what is said to everybody in a room. It is stored before anybody sees it, and everybody sees it in the
// same order.
import { after, type Envelope, Jid, type Maybe, Stanza, StanzaError, sortableId, writeStanza, xml } from '#core';
import { judge, TAG } from '../mam/index.ts';
import { FORGED, NS_MUC, NS_OCCUPANT, NS_USER } from './announce.ts';
import { type Author, sign } from './author.ts';
import type { Saying } from './events.ts';
import { SPEAK_FIELD } from './fields.ts';
import type { Occupant } from './occupant.ts';
import { hasRole } from './ranks.ts';
import type { Room, Subject } from './room.ts';
import { ROOM_TAG } from './tag.ts';

const NS_SID = 'urn:xmpp:sid:0';
const NS_DELAY = 'urn:xmpp:delay';

/** Takes what a client says to everybody. Throws or rejects with StanzaError when it may not. */
export function say(room: Room, env: Envelope): Maybe<void> {
  const occupant = room.occupants.of(env.from);
  if (!occupant) throw new StanzaError('not-acceptable', { text: 'You are not in this room' });
  const isSubject = isSubjectChange(env.stanza);
  if (isSubject) checkSubject(room, occupant);
  else checkVoice(room, occupant);
  const stanza = clean(room, env.stanza)
    .plus('occupant-id', NS_OCCUPANT, { id: occupant.id })
    .addressed(occupant.jid.full, undefined);
  const saying: Saying = { room, occupant, env, stanza, isSubject };
  return after(room.parts.events.hooks.saying.run(saying), (isHandled) => (isHandled ? undefined : publish(saying)));
}

/** What the room itself says to everybody; `from` is the room, or somebody in it. Resolves once it is stored and under way. */
export function speak(room: Room, stanza: Stanza, from: Jid = room.jid): Maybe<void> {
  const kept = room.isArchived ? judge(stanza, true) : undefined;
  return store(room, stanza.addressed(from.full, undefined), { tag: kept, author: undefined, from });
}

function publish({ room, occupant, env, stanza, isSubject }: Saying): Maybe<void> {
  env.isBeingStored = true;
  const kept = isSubject ? TAG.groupchat | ROOM_TAG.subject : judge(stanza, true);
  const subject = isSubject ? { text: stanza.text('subject') ?? '', by: occupant.nick, at: Date.now() } : undefined;
  return store(room, stanza, {
    tag: room.isArchived ? kept : undefined,
    author: { real: occupant.real, role: occupant.role, affiliation: room.affiliationOf(occupant.real) },
    from: occupant.jid,
    before: env.stored,
    subject,
  });
}

interface Storing {
  /** Undefined: it is not kept. */
  readonly tag: number | undefined;
  /** Undefined: the room itself says it. */
  readonly author: Author | undefined;
  readonly from: Jid;
  /** What has to be durable before. */
  readonly before?: Promise<unknown> | undefined;
  readonly subject?: Subject | undefined;
}

/** Stores what is said, and gives it to everybody once that is done and what was said before has been given. */
function store(room: Room, stanza: Stanza, { tag, author, from, before, subject }: Storing): Maybe<void> {
  room.usedAt = Date.now();
  const id = tag === undefined ? undefined : sortableId();
  const shown = id === undefined ? stanza : stanza.plus('stanza-id', NS_SID, { id, by: room.jid.bare });
  const writes: Promise<unknown>[] = [];
  const by = author?.real.bare;
  if (id !== undefined) {
    const item = { id, with: by ?? room.jid.bare, resource: from.resource, tag: tag! };
    const text = writeStanza(stanza);
    writes.push(room.parts.messages.append(room.jid.bare, { ...item, stanza: author ? sign(text, author) : text }));
  }
  if (before) writes.push(before);
  const give = (): Promise<void> | undefined => {
    const given = broadcast(room, { id, stanza: shown, from });
    room.parts.events.signals.said.emit({ room, id, tag, stanza: shown, by });
    return given;
  };
  const earlier = room.underway;
  if (writes.length === 0 && !earlier && !subject) return give();
  if (earlier) writes.push(earlier);
  const stored = writes.length === 1 ? writes[0]! : Promise.all(writes);
  let given: Promise<void> | undefined;
  // The last subject that is shown is the one that holds, and one that is not kept is none.
  const named = subject && { ...subject, ...(id !== undefined && { id }) };
  const done = (named ? stored.then(() => room.talkAbout(named)) : stored).then(() => {
    given = give();
  });
  queue(room, done);
  return done.then(() => given);
}

/** What is said from now on is given once this is done. One that fails holds nobody up, and lets nobody overtake those before it. */
function queue(room: Room, done: Promise<void>): void {
  const earlier = room.underway;
  const last: Promise<void> = done
    .then(ignore, () => earlier)
    .then(() => {
      if (room.underway === last) room.underway = undefined;
    });
  room.underway = last;
}

/** The subject that was set by what has this id is retracted: if it holds still, there is none from now on, and everybody is told so. */
export function withdrawSubject(room: Room, id: string): Promise<void> {
  const withdraw = async (): Promise<void> => {
    await room.underway;
    // Another one may have been set meanwhile.
    if (room.subject?.id !== id) return;
    await room.talkAbout({ text: '', by: '', at: Date.now() });
    const stanza = Stanza.of(xml('message', { type: 'groupchat', id: sortableId() }, xml('subject')));
    void broadcast(room, { id: undefined, stanza, from: room.jid });
  };
  const done = withdraw();
  queue(room, done);
  return done;
}

/** Gives something to everybody who is here, and keeps it for those who are just coming in. */
function broadcast(room: Room, said: { id: string | undefined; stanza: Stanza; from: Jid }): Promise<void> | undefined {
  const { arriving, occupants } = room;
  if (arriving.size === 0) return room.sendAll(said.stanza, said.from, occupants.addresses);
  for (const occupant of arriving) occupant.held.push(said);
  return room.sendAll(
    said.stanza,
    said.from,
    room.addressesOf((occupant) => !arriving.has(occupant)),
  );
}

function checkVoice(room: Room, { real, role }: Occupant): void {
  if (!hasRole(role, 'participant') || !room.may(real, room.levelOf(SPEAK_FIELD))) {
    throw new StanzaError('forbidden', { text: 'You may not speak in this room' });
  }
}

/** A subject without a body or a thread: anything else is a message that has a subject (section 8.1). */
function isSubjectChange(stanza: Stanza): boolean {
  return stanza.has('subject') && !stanza.has('body') && !stanza.has('thread');
}

function checkSubject(room: Room, { role }: Occupant): void {
  if (role === 'moderator' || (room.settings.mayOccupantsChangeSubject && hasRole(role, 'participant'))) return;
  throw new StanzaError('forbidden', { text: 'You may not change the subject of this room' });
}

/** A message without what only the room may say (XEP-0045 section 17.2, XEP-0359 section 5, XEP-0421 section 4, XEP-0313 section 8.3). */
export function clean(room: Room, stanza: Stanza): Stanza {
  if (!SUSPECT.some(([name, xmlns]) => stanza.has(name, xmlns))) return stanza;
  return stanza.filter((child) => {
    const xmlns = child.getNS() ?? '';
    if (xmlns === NS_SID && child.getName() === 'stanza-id') return bareOf(child.attrs['by']) !== room.jid.bare;
    if (xmlns === NS_DELAY) return bareOf(child.attrs['from']) !== room.jid.bare;
    return !FORGED.has(xmlns);
  });
}

/** Looked for in every message without making a tree of it. */
const SUSPECT: readonly (readonly [name: string, xmlns: string])[] = [
  ['x', NS_USER],
  ['x', NS_MUC],
  ['occupant-id', NS_OCCUPANT],
  ['hats', 'urn:xmpp:hats:0'],
  ['hats', 'xmpp:prosody.im/protocol/hats:1'],
  ['stanza-id', NS_SID],
  ['delay', NS_DELAY],
];

function bareOf(address: unknown): string | undefined {
  return typeof address === 'string' ? Jid.tryParse(address)?.bare : undefined;
}

function ignore(): void {}
