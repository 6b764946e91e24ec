// XEP-0045 sections 7.5 and 17.4: what occupants send to each other through the room, without knowing who they are.
import { after, Envelope, type Jid, type Maybe, nobody, type Router, randomToken, type Stanza, StanzaError } from '#core';
import { NS_OCCUPANT, NS_USER } from './announce.ts';
import type { Whispering } from './events.ts';
import type { Occupant } from './occupant.ts';
import { hasRole } from './ranks.ts';
import type { Room } from './room.ts';
import { clean } from './speaking.ts';

/** Questions that are on their way to an occupant at most; the oldest is forgotten for a new one. */
const MAX_QUESTIONS = 10_000;

/** Passes a private message on to every client of a nick. Throws or rejects with StanzaError when it cannot. */
export function whisper(room: Room, env: Envelope, router: Router): Maybe<void> {
  const { from, to, stanza } = env;
  const occupant = room.occupants.of(from);
  if (!occupant) throw new StanzaError('not-acceptable', { text: 'You are not in this room' });
  if (stanza.type === 'groupchat') throw new StanzaError('bad-request', { text: 'Not to one person' });
  const recipients = room.occupants.named(to.resource);
  const [first] = recipients;
  if (!first) throw new StanzaError('item-not-found', { text: 'Nobody of this nick is here' });
  if (stanza.type !== 'error') checkRight(room, occupant, first);
  const whispering: Whispering = { room, occupant, to: first, stanza: mark(room, stanza, occupant) };
  return after(room.parts.events.hooks.whispering.run(whispering), (isHandled) => {
    if (isHandled) return;
    const passed = recipients.map(({ real }) => {
      const copy = new Envelope(whispering.stanza.addressed(occupant.jid.full, real.full), occupant.jid, real, nobody);
      if (env.stored) copy.wait(env.stored);
      return router.route(copy);
    });
    const waiting = passed.filter((each) => each instanceof Promise);
    return waiting.length === 0 ? undefined : Promise.all(waiting).then(() => {});
  });
}

function checkRight(room: Room, { role }: Occupant, to: Occupant): void {
  const { privateMessages } = room.settings;
  if (privateMessages === 'anyone') return;
  // Whoever is in trouble may always turn to a moderator, unless nobody may write to anybody.
  if (privateMessages !== 'none' && (role === 'moderator' || to.role === 'moderator')) return;
  if (privateMessages === 'participants' && hasRole(role, 'participant')) return;
  throw new StanzaError('forbidden', { text: 'You may not send private messages in this room' });
}

/** With what tells clients that it comes out of a room, and from whom (section 7.5, XEP-0421 section 3.3). */
function mark(room: Room, stanza: Stanza, { id }: Occupant): Stanza {
  return clean(room, stanza).plus('x', NS_USER, {}).plus('occupant-id', NS_OCCUPANT, { id });
}

/** Carries IQs between occupants. Answers find back to the client that has asked. */
export class Questions {
  readonly #router: Router;
  /** By the id that the asked client sees. */
  readonly #open = new Map<string, { readonly asker: Jid; readonly id: string; readonly asked: Jid }>();

  constructor(router: Router) {
    this.#router = router;
  }

  /** Passes a request or an answer on. Throws StanzaError when it cannot. */
  pass(room: Room, { stanza, from, to }: Envelope): Maybe<void> {
    if (stanza.type !== 'get' && stanza.type !== 'set') return this.#answer(room, stanza, from);
    const occupant = room.occupants.of(from);
    // What a client can do is for those in the room (section 6.6).
    const isDisco = stanza.payloadNS?.startsWith('http://jabber.org/protocol/disco#') === true;
    if (!occupant) throw new StanzaError(isDisco ? 'bad-request' : 'not-acceptable', { text: 'You are not in this room' });
    return this.#ask(room, stanza, occupant, to);
  }

  #ask(room: Room, stanza: Stanza, occupant: Occupant, to: Jid): Maybe<void> {
    const [other] = room.occupants.named(to.resource);
    if (!other) throw new StanzaError('item-not-found', { text: 'Nobody of this nick is here' });
    const id = randomToken(16);
    // What the account's server answers for it is asked of the account (XEP-0054, XEP-0084).
    const isForAccount = stanza.payloadNS === 'vcard-temp' || stanza.payloadNS === 'http://jabber.org/protocol/pubsub';
    const address = isForAccount ? other.real.bareJid : other.real;
    const [oldest] = this.#open.keys();
    if (oldest !== undefined && this.#open.size >= MAX_QUESTIONS) this.#open.delete(oldest);
    this.#open.set(id, { asker: occupant.real, id: stanza.id!, asked: other.real });
    const copy = stanza.with({ id, from: occupant.jid.full, to: address.full });
    const origin = { send: (reply: Stanza) => void this.#return(reply, other.jid) };
    return this.#router.route(new Envelope(copy, occupant.jid, address, origin));
  }

  /** From the client that was asked, or from its account. */
  #answer(room: Room, reply: Stanza, from: Jid): void {
    const question = reply.id === undefined ? undefined : this.#open.get(reply.id);
    if (question?.asked.bare !== from.bare) return;
    const occupant = room.occupants.of(question.asked) ?? room.occupants.ofAccount(from.bare)[0];
    if (occupant) this.#return(reply, occupant.jid);
  }

  #return(reply: Stanza, from: Jid): void {
    const question = reply.id === undefined ? undefined : this.#open.get(reply.id);
    if (!question) return;
    this.#open.delete(reply.id!);
    const { asker, id } = question;
    this.#router.send(reply.with({ id, from: from.full, to: asker.full }), from, asker);
  }
}
