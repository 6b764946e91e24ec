import { type Envelope, Hook, type Jid, type Log, Signal, type Stanza } from '#core';
import type { Occupant } from './occupant.ts';
import type { Affiliation } from './ranks.ts';
import type { Room } from './room.ts';
import type { Settings } from './settings.ts';

/** A client wants to come in. Throw StanzaError to keep it out. */
export interface Entering {
  readonly room: Room;
  readonly from: Jid;
  readonly nick: string;
  readonly env: Envelope;
}

/** Somebody says something to everybody in a room. Throw StanzaError to refuse it; HANDLED: it is dealt with, and nobody sees it. */
export interface Saying {
  readonly room: Room;
  readonly occupant: Occupant;
  readonly env: Envelope;
  /** As it will be shown, from the occupant's address. Replaced, never changed. */
  stanza: Stanza;
  readonly isSubject: boolean;
}

/** Something was said in a room: it is durable, where it is kept at all, and given to those who are there. */
export interface Said {
  readonly room: Room;
  /** Its id in the room's archive; undefined when it is not kept. */
  readonly id: string | undefined;
  /** See TAG of the archive and ROOM_TAG; undefined when it is not kept. */
  readonly tag: number | undefined;
  readonly stanza: Stanza;
  /** Who has said it, by its real bare JID; undefined for the room itself. */
  readonly by: string | undefined;
}

/** What was said in a room was retracted (XEP-0424, XEP-0425): a tombstone is in its place. */
export interface Retracted {
  readonly room: Room;
  /** Its id in the room's archive. */
  readonly id: string;
  /** That of the tombstone: see TAG of the archive and ROOM_TAG. */
  readonly tag: number;
}

/** Somebody is about to say something to one other in the room. */
export interface Whispering {
  readonly room: Room;
  readonly occupant: Occupant;
  readonly to: Occupant;
  stanza: Stanza;
}

/** Somebody invites people through a room. Throw StanzaError to refuse them all. */
export interface Inviting {
  readonly room: Room;
  readonly from: Jid;
  readonly invited: readonly Jid[];
  readonly env: Envelope;
}

/** An occupant sends another presence. Throw StanzaError to refuse it; HANDLED: nobody sees it. */
export interface Updating {
  readonly room: Room;
  readonly occupant: Occupant;
  readonly env: Envelope;
  /** It wants another nick (XEP-0045 section 7.6), wants to be told everything again (section 17.3), or only shows itself anew. */
  readonly kind: 'nick' | 'again' | 'presence';
}

/** What somebody is to a room has changed. */
export interface Affiliated {
  readonly room: Room;
  readonly bare: string;
  readonly before: Affiliation;
  readonly after: Affiliation;
}

/** What somebody is to a room was confirmed. */
export type Affirmed = Omit<Affiliated, 'before' | 'after'> & { readonly affiliation: Affiliation };

/** Where other modules take part in what happens in rooms. */
export interface RoomHooks {
  readonly entering: Hook<Entering>;
  readonly saying: Hook<Saying>;
  readonly whispering: Hook<Whispering>;
  readonly inviting: Hook<Inviting>;
  readonly updating: Hook<Updating>;
}

/** What other modules are told of. */
export interface RoomSignals {
  readonly said: Signal<Said>;
  readonly retracted: Signal<Retracted>;
  readonly entered: Signal<{ readonly room: Room; readonly occupant: Occupant }>;
  readonly left: Signal<{ readonly room: Room; readonly occupant: Occupant }>;
  readonly affiliated: Signal<Affiliated>;
  /** Somebody was made what they were already: banned again, say. Nobody in the room is told of that. */
  readonly affirmed: Signal<Affirmed>;
  readonly created: Signal<{ readonly room: Room }>;
  readonly configured: Signal<{ readonly room: Room; readonly before: Settings }>;
  readonly destroyed: Signal<{ readonly room: Room }>;
}

/** The hooks and signals of one service. */
export interface RoomEvents {
  readonly hooks: RoomHooks;
  readonly signals: RoomSignals;
}

/** Hooks and signals with nobody listening. */
export function createEvents(log: Log): RoomEvents {
  const report = (signal: string, error: unknown): void => log.error('a listener failed', { signal, error });
  return {
    hooks: {
      entering: new Hook('entering'),
      saying: new Hook('saying'),
      whispering: new Hook('whispering'),
      inviting: new Hook('inviting'),
      updating: new Hook('updating'),
    },
    signals: {
      said: new Signal('said', report),
      retracted: new Signal('retracted', report),
      entered: new Signal('entered', report),
      left: new Signal('left', report),
      affiliated: new Signal('affiliated', report),
      affirmed: new Signal('affirmed', report),
      created: new Signal('created', report),
      configured: new Signal('configured', report),
      destroyed: new Signal('destroyed', report),
    },
  };
}
