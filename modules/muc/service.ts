// The room service: takes what is sent to its domain, finds the room that is meant, and gives it to whoever deals with it.
import {
  after,
  type Destination,
  type Element,
  type Envelope,
  isSession,
  type Jid,
  type Maybe,
  type Query,
  type Router,
  resultOf,
  Stanza,
  StanzaError,
  xml,
} from '#core';
import { awayNotice, NS_MUC, NS_USER } from './announce.ts';
import { type EntryLimits, enter } from './entering.ts';
import { takeRequest } from './inviting.ts';
import { leave } from './leaving.ts';
import { Questions, whisper } from './private.ts';
import type { Room } from './room.ts';
import type { Rooms } from './rooms.ts';
import { say } from './speaking.ts';

const NS_PING = 'urn:xmpp:ping';
const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

/** What an IQ to a room or the service asks. */
export interface RoomQuery extends Query {
  /** Answers with an empty result now, before others are told of what was asked for; what the handler returns is then not sent. */
  confirm(): void;
  /** The room that is asked; undefined when it is the service. */
  readonly room: Room | undefined;
}

/** Answers an IQ at a room: the payload of the result, or nothing. */
export type RoomHandler = (room: Room, query: RoomQuery) => Maybe<Element | void>;
/** Answers an IQ at the service. */
export type ServiceHandler = (query: RoomQuery) => Maybe<Element | void>;

type Kind = 'get' | 'set';

/** Who answers which IQs. */
export class RoomQueries {
  readonly #table = new Map<string, (query: RoomQuery) => Maybe<Element | void>>();

  /** Lets rooms answer an IQ; returns what takes that back. Throws when somebody answers it already. */
  atRoom(type: Kind, xmlns: string, name: string, handler: RoomHandler): () => void {
    return this.#add(`room ${type} ${name} ${xmlns}`, (query) => handler(query.room!, query));
  }

  /** As `atRoom`, for the service itself. */
  atService(type: Kind, xmlns: string, name: string, handler: ServiceHandler): () => void {
    return this.#add(`service ${type} ${name} ${xmlns}`, handler);
  }

  /** The handler; undefined when nobody answers. */
  find(at: 'room' | 'service', { type, payloadName, payloadNS }: Envelope['stanza']) {
    return this.#table.get(`${at} ${type} ${payloadName} ${payloadNS}`);
  }

  #add(key: string, handler: (query: RoomQuery) => Maybe<Element | void>): () => void {
    if (this.#table.has(key)) throw new Error(`two modules answer ${key}`);
    this.#table.set(key, handler);
    return () => void this.#table.delete(key);
  }
}

/** What a service works with. */
export interface ServiceParts {
  readonly rooms: Rooms;
  readonly queries: RoomQueries;
  readonly router: Router;
  readonly limits: EntryLimits & { readonly maxRoomsPerClient: number };
  /** Makes the room that somebody wants to enter, or throws StanzaError `not-allowed`. */
  create(jid: Jid, from: Jid, isAnonymous: boolean): Promise<Room>;
}

/** Answers for the domain of the rooms. */
export class RoomService implements Destination {
  /** What is said is stored together with what its sender has said elsewhere. */
  readonly waits = true;
  readonly #parts: ServiceParts;
  readonly #questions: Questions;
  /** The rooms that clients are in, by full JID. */
  readonly #where = new Map<string, Set<Room>>();

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.#questions = new Questions(parts.router);
    const { signals } = parts.rooms.events;
    signals.entered.add(({ room, occupant }) => this.#note(room, occupant.real.full));
    signals.left.add(({ room, occupant }) => this.#forget(room, occupant.real.full));
  }

  deliver(env: Envelope): Maybe<void> {
    const { to, stanza } = env;
    if (to.local === '') return this.#serve(env);
    switch (stanza.name) {
      case 'message':
        return after(this.#room(env), (room) => this.#takeMessage(room, env));
      case 'presence':
        return this.#takePresence(env);
      default:
        return this.#takeIq(env);
    }
  }

  /** A client has gone for good, and has not said so to the rooms it was in. */
  close(real: Jid): void {
    for (const room of this.#where.get(real.full) ?? []) {
      const occupant = room.occupants.of(real);
      if (!occupant) continue;
      leave(room, occupant, undefined, { isOver: true });
      this.#parts.rooms.rest(room);
    }
  }

  #takeMessage(room: Room, env: Envelope): Maybe<void> {
    const { to, stanza } = env;
    if (stanza.type === 'error') return this.#bounced(room, env);
    if (to.resource !== '') return whisper(room, env, this.#parts.router);
    if (stanza.type === 'groupchat') return say(room, env);
    return takeRequest(room, env, this.#parts.router);
  }

  /**
   * What the room has sent cannot be delivered: the client is not there any more (sections 11.1 and 18.3). The sender of a private message is
   * told; what was for everybody concerns nobody.
   */
  #bounced(room: Room, env: Envelope): Maybe<void> {
    const { from, to, stanza } = env;
    const occupant = room.occupants.of(from);
    if (!occupant) return;
    if (!tellsOfLoss(stanza)) {
      return to.resource !== '' && stanza.has('x', NS_USER) ? whisper(room, env, this.#parts.router) : undefined;
    }
    leave(room, occupant, undefined, { codes: ['307', '333'], reason: 'The connection is lost' });
    this.#parts.rooms.rest(room);
  }

  #takePresence(env: Envelope): Maybe<void> {
    const { type } = env.stanza;
    if (type === 'unavailable' || type === 'error') return this.#goes(env);
    // Probes and subscriptions are not for rooms (section 17.3).
    if (type !== undefined) return;
    try {
      const pending = this.#comes(env);
      return pending instanceof Promise ? pending.catch((error: unknown) => turnAway(env, error)) : pending;
    } catch (error) {
      turnAway(env, error);
    }
  }

  #comes(env: Envelope): Maybe<void> {
    const { to, stanza } = env;
    if (to.resource === '') {
      if (!stanza.has('x', NS_MUC)) return;
      throw new StanzaError('jid-malformed', { text: 'A nick is needed to enter a room' });
    }
    return after(this.#parts.rooms.get(to), (room) => (room ? this.#enter(room, env) : this.#comesFirst(env)));
  }

  #enter(room: Room, env: Envelope): Maybe<void> {
    this.#checkCount(room, env.from);
    return this.#settle(room, () => enter(room, env, this.#parts.limits, false));
  }

  /** There is no such room: it is made for whoever wants to come in (section 10.1). */
  async #comesFirst(env: Envelope): Promise<void> {
    const { to, from, stanza } = env;
    const { rooms, router, limits, create } = this.#parts;
    if (!stanza.has('x', NS_MUC)) return router.send(awayNotice('There is no such room'), to, from);
    this.#checkCount(undefined, from);
    const room = await create(to.bareJid, from, isSession(env.origin) && env.origin.isAnonymous).catch((error: unknown) => {
      if (!(error instanceof StanzaError) || error.condition !== 'conflict') throw error;
      return undefined;
    });
    if (room) return this.#settle(room, () => enter(room, env, limits, true));
    // Somebody else was faster.
    const other = await rooms.get(to);
    return other ? this.#enter(other, env) : missing();
  }

  #checkCount(room: Room | undefined, from: Jid): void {
    const rooms = this.#where.get(from.full);
    if (!rooms || rooms.size < this.#parts.limits.maxRoomsPerClient || (room && rooms.has(room))) return;
    throw new StanzaError('resource-constraint', { text: 'You are in too many rooms' });
  }

  /** Does something after which a room may be empty, also when it fails. */
  #settle(room: Room, act: () => Maybe<void>): Maybe<void> {
    const { rooms } = this.#parts;
    const end = (): void => {
      room.inUse--;
      rooms.rest(room);
    };
    room.inUse++;
    try {
      const pending = act();
      if (pending) return pending.finally(end);
    } catch (error) {
      end();
      throw error;
    }
    end();
  }

  /** Section 7.14: whatever the nick, it is the client that goes. */
  #goes({ from, to, stanza }: Envelope): void {
    const room = this.#parts.rooms.peek(to.bare);
    const occupant = room?.occupants.of(from);
    if (!room || !occupant) return;
    if (stanza.type !== 'error') leave(room, occupant, stanza);
    else if (tellsOfLoss(stanza)) leave(room, occupant, undefined, { codes: ['307', '333'] });
    this.#parts.rooms.rest(room);
  }

  #takeIq(env: Envelope): Maybe<void> {
    const { to, from, stanza } = env;
    const asks = stanza.type === 'get' || stanza.type === 'set';
    if (to.resource !== '') return after(this.#room(env), (room) => this.#takeOccupantIq(room, env));
    if (!asks) return;
    const handler = this.#parts.queries.find('room', stanza);
    return after(this.#room(env), (room) => {
      if (stanza.payloadNS === NS_PING) return this.#ping(room.occupants.of(from) !== undefined, env);
      if (!handler) throw new StanzaError('service-unavailable');
      return this.#settle(room, () => this.#answer(env, handler, room));
    });
  }

  #takeOccupantIq(room: Room, env: Envelope): Maybe<void> {
    const { from, to, stanza } = env;
    // XEP-0410: whether one is in the room is a question to the room, not to oneself.
    const isSelf = room.occupants.of(from)?.nick === to.resource;
    if (stanza.type === 'get' && stanza.payloadNS === NS_PING && (isSelf || !room.occupants.of(from)))
      return this.#ping(isSelf, env);
    return this.#questions.pass(room, env);
  }

  #ping(isIn: boolean, env: Envelope): void {
    if (!isIn) throw new StanzaError('not-acceptable', { type: 'cancel', text: 'You are not in this room' });
    env.origin.send(resultOf(env, undefined));
  }

  #answer(env: Envelope, handler: (query: RoomQuery) => Maybe<Element | void>, room: Room | undefined): Maybe<void> {
    const { stanza, from, to, origin } = env;
    let isAnswered = false;
    const confirm = (payload?: Element): void => {
      if (!isAnswered) origin.send(resultOf(env, payload));
      isAnswered = true;
    };
    const payload = stanza.element.getChildElements()[0]!;
    const answer = handler({ payload, from, to, env, room, confirm: () => confirm() });
    const send = (found: Element | void): void => confirm(found ?? undefined);
    return answer instanceof Promise ? answer.then(send) : send(answer);
  }

  /** What is for the service itself. */
  #serve(env: Envelope): Maybe<void> {
    const { stanza } = env;
    if (stanza.name === 'presence') return;
    if (stanza.name === 'message') {
      if (stanza.type === 'error') return;
      throw new StanzaError('service-unavailable');
    }
    if (stanza.type !== 'get' && stanza.type !== 'set') return;
    if (stanza.payloadNS === NS_PING) return env.origin.send(resultOf(env, undefined));
    const handler = this.#parts.queries.find('service', stanza);
    if (!handler) throw new StanzaError('service-unavailable');
    return this.#answer(env, handler, undefined);
  }

  #room(env: Envelope): Maybe<Room> {
    return after(this.#parts.rooms.get(env.to), (room) => {
      // Before it is configured there is no room but for its owner (section 10.1.1).
      if (!room || (room.isLocked && room.affiliationOf(env.from) !== 'owner')) return missing();
      return room;
    });
  }

  #note(room: Room, real: string): void {
    const rooms = this.#where.get(real);
    if (rooms) rooms.add(room);
    else this.#where.set(real, new Set([room]));
  }

  #forget(room: Room, real: string): void {
    const rooms = this.#where.get(real);
    if (rooms?.delete(room) && rooms.size === 0) this.#where.delete(real);
  }
}

/** Tells a client why it may not, with what lets it know that it is a room that says so (sections 7.2.5 to 7.2.10, 7.6 and 10.1). */
function turnAway({ stanza, from, to, origin }: Envelope, error: unknown): void {
  if (!(error instanceof StanzaError)) throw error;
  const attrs = { type: 'error', id: stanza.id, from: to.full, to: from.full };
  origin.send(Stanza.of(xml('presence', attrs, xml('x', NS_MUC), error.toElement())));
}

/** Errors that tell that a client is not there (section 17.2). */
const LOST: ReadonlySet<string> = new Set([
  'gone',
  'item-not-found',
  'recipient-unavailable',
  'redirect',
  'remote-server-not-found',
  'remote-server-timeout',
  'service-unavailable',
  'jid-malformed',
]);

/** Whether an error says that its sender, a client, is not there (section 18.3); others end nobody's stay (section 17.3). */
function tellsOfLoss(stanza: Envelope['stanza']): boolean {
  const children = stanza.child('error')?.getChildElements() ?? [];
  return children.some((child) => child.getNS() === NS_STANZAS && LOST.has(child.getName()));
}

function missing(): never {
  throw new StanzaError('item-not-found', { text: 'There is no such room' });
}
