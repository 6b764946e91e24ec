import type { Session } from '../c2s/session.ts';
import type { C2sStream } from '../c2s/stream.ts';
import { Hook, type Report, Signal } from '../hooks.ts';
import type { Envelope } from '../stanza/envelope.ts';
import type { Element } from '../xml/element.ts';
import type { Stanza } from '../xml/stanza.ts';

/** A stanza about to be written to a client. */
export interface Outgoing {
  readonly session: Session;
  /** Replaced, never changed. */
  stanza: Stanza;
}

/** A stream about to say what it offers (RFC 6120 section 4.3.2). */
export interface FeaturesOffer {
  readonly stream: C2sStream;
  /** Handlers push their features. */
  readonly features: Element[];
}

/** An element that came over a client's stream and that the core knows nothing about, or a stanza before log-in. */
export interface StreamElement {
  readonly stream: C2sStream;
  readonly element: Stanza;
}

/** What becomes of a message that is kept somewhere while a client is given it. */
export interface Handover {
  /** The client. */
  readonly session: Session;
  /** What the message is kept as (Stanza.keptAs). */
  readonly id: string;
}

/** A client about to be bound (RFC 6120 section 7). */
export interface Binding {
  readonly stream: C2sStream;
  /** The prepared username. */
  readonly username: string;
  /** The prepared resource; a handler may choose another. */
  resource: string;
}

/** An account about to be deleted, with all that is kept for it. */
export interface AccountDeleting {
  /** The prepared username. */
  readonly username: string;
}

/** Where the modules of one host intercept what passes. */
export interface HostHooks {
  /** A local client has sent it: at the sender's host, before routing. */
  readonly messageSent: Hook<Envelope>;
  readonly presenceSent: Hook<Envelope>;
  readonly iqSent: Hook<Envelope>;
  /** It is for this host or one of its accounts: at the addressee's host, before delivery. */
  readonly messageReceived: Hook<Envelope>;
  readonly presenceReceived: Hook<Envelope>;
  readonly iqReceived: Hook<Envelope>;
  /** A message for an account that no resource can take now (RFC 6121 section 8.5.2.2); unhandled, its sender gets an error. */
  readonly messageUndeliverable: Hook<Envelope>;
  /** To be written to a client. HANDLED: held back or dropped by the handler. */
  readonly outgoing: Hook<Outgoing>;
  /** A local sender's stanza for a domain this server does not serve. */
  readonly remote: Hook<Envelope>;
  readonly streamFeatures: Hook<FeaturesOffer>;
  readonly streamElement: Hook<StreamElement>;
  readonly binding: Hook<Binding>;
  /** An account is about to be erased, once all handlers are done. A failure is logged, and keeps no account alive. */
  readonly accountDeleting: Hook<AccountDeleting>;
}

/** What modules of one host are told of. */
export interface HostSignals {
  readonly sessionBound: Signal<Session>;
  /** Initial presence, and again when its priority rises from negative to non-negative. After its broadcast. */
  readonly sessionAvailable: Signal<Session>;
  /** The session is over, not only its line; its presence is as it was. */
  readonly sessionClosed: Signal<Session>;
  /** A kept message was written to a client that will confirm it (XEP-0198). */
  readonly messageGiven: Signal<Handover>;
  /** It has arrived: the client has confirmed it, or will never confirm anything and it was written. */
  readonly messageArrived: Signal<Handover>;
  /** It was given, and the client has gone without a word about it. */
  readonly messageReturned: Signal<Handover>;
  readonly accountCreated: Signal<{ readonly username: string }>;
  /** Its stores are erased already. */
  readonly accountDeleted: Signal<{ readonly username: string }>;
}

/** The hooks of one host, all empty. */
export function createHooks(): HostHooks {
  return {
    messageSent: new Hook('messageSent'),
    presenceSent: new Hook('presenceSent'),
    iqSent: new Hook('iqSent'),
    messageReceived: new Hook('messageReceived'),
    presenceReceived: new Hook('presenceReceived'),
    iqReceived: new Hook('iqReceived'),
    messageUndeliverable: new Hook('messageUndeliverable'),
    outgoing: new Hook('outgoing'),
    remote: new Hook('remote'),
    streamFeatures: new Hook('streamFeatures'),
    streamElement: new Hook('streamElement'),
    binding: new Hook('binding'),
    accountDeleting: new Hook('accountDeleting'),
  };
}

/** The signals of one host; a failing listener is told to `report`. */
export function createSignals(report: Report): HostSignals {
  return {
    sessionBound: new Signal('sessionBound', report),
    sessionAvailable: new Signal('sessionAvailable', report),
    sessionClosed: new Signal('sessionClosed', report),
    messageGiven: new Signal('messageGiven', report),
    messageArrived: new Signal('messageArrived', report),
    messageReturned: new Signal('messageReturned', report),
    accountCreated: new Signal('accountCreated', report),
    accountDeleted: new Signal('accountDeleted', report),
  };
}
