// How often occupants may do what everybody in a room is told of. People never meet these limits; floods do.
import { type Jid, option, StanzaError } from '#core';
import {
  type Entering,
  type Inviting,
  isAffiliated,
  type Room,
  type Saying,
  type Updating,
  type Whispering,
} from '../muc/index.ts';
import { Pace, type Rate } from './pace.ts';

function rate(perMinute: number, burst: number, what: string) {
  return option.object({
    perMinute: option.integer({
      default: perMinute,
      min: 0,
      max: 1_000_000,
      doc: `${what} in a minute, in the long run; 0 for no limit.`,
    }),
    burst: option.integer({ default: burst, min: 1, max: 1_000_000, doc: `${what} at once.` }),
  });
}

/** The options. */
export const LIMITS = option.object(
  {
    messages: rate(120, 40, 'Messages of one account in one room, those to single occupants among them'),
    roomMessages: rate(1200, 300, 'Messages of all in one room'),
    subjects: rate(6, 10, 'Changes of the subject by one account in one room'),
    invites: rate(30, 60, 'People that one account invites to one room'),
    nicks: rate(6, 10, 'Changes of nick by one account in one room'),
    presence: rate(60, 60, 'Presences of one account in one room'),
    entries: rate(30, 30, 'Times that one account enters one room, or asks to be told everything again'),
  },
  { doc: 'How often something may be done in rooms. Moderators, admins and owners speak and invite as they like.' },
);

/** What is counted. */
type Kind = 'messages' | 'roomMessages' | 'subjects' | 'invites' | 'nicks' | 'presence' | 'entries';
/** What holds. */
export type Limits = Readonly<Record<Kind, Rate>>;
/** What was done in each room. */
export type Paces = WeakMap<Room, Map<Kind, Pace>>;

/** Refuses what is done too often: errors of type `wait`, since it may be done later. */
export class Limiter {
  readonly #limits: Limits;
  readonly #paces: Paces;
  readonly #now: () => number;

  /** `now` gives milliseconds that never go back. */
  constructor(limits: Limits, paces: Paces, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#paces = paces;
    this.#now = now;
  }

  readonly say = ({ room, occupant: { real, role }, isSubject }: Saying): void => {
    if (role === 'moderator' || isAffiliated(room.affiliationOf(real), 'admin')) return;
    if (isSubject) this.#take(room, 'subjects', real);
    this.#take(room, 'messages', real);
    const wait = this.#wait(room, 'roomMessages', '');
    if (wait > 0) throw new StanzaError('resource-constraint', { type: 'wait', text: `Too much is said here: ${later(wait)}` });
  };

  readonly whisper = ({ room, occupant: { real, role } }: Whispering): void => {
    if (role !== 'moderator') this.#take(room, 'messages', real);
  };

  readonly invite = ({ room, from, invited }: Inviting): void => {
    const { affiliation, role } = room.standingOf(from);
    if (role !== 'moderator' && !isAffiliated(affiliation, 'admin')) this.#take(room, 'invites', from, invited.length);
  };

  readonly enter = ({ room, from }: Entering): void => this.#take(room, 'entries', from);

  /** Nobody is exempt: a client that does this without end is broken, whoever it belongs to. */
  readonly update = ({ room, occupant: { real }, kind }: Updating): void => {
    this.#take(room, kind === 'nick' ? 'nicks' : kind === 'again' ? 'entries' : 'presence', real);
  };

  #take(room: Room, kind: Kind, { bare }: Jid, cost = 1): void {
    const wait = this.#wait(room, kind, bare, cost);
    if (wait > 0)
      throw new StanzaError('policy-violation', { type: 'wait', text: `You are doing this too often: ${later(wait)}` });
  }

  #wait(room: Room, kind: Kind, who: string, cost = 1): number {
    const limit = this.#limits[kind];
    return limit.perMinute === 0 ? 0 : this.#paceOf(room, kind).take(who, limit, this.#now(), cost);
  }

  #paceOf(room: Room, kind: Kind): Pace {
    let paces = this.#paces.get(room);
    if (!paces) this.#paces.set(room, (paces = new Map()));
    let pace = paces.get(kind);
    if (!pace) paces.set(kind, (pace = new Pace()));
    return pace;
  }
}

function later(milliseconds: number): string {
  const seconds = Math.ceil(milliseconds / 1000);
  return `try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}`;
}
