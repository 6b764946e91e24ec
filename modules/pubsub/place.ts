import { type Element, Hook, type Jid, type Log, type Maybe, type NodeItem, type Router, type Session, Signal } from '#core';
import type { Trust } from './access.ts';
import type { NodeConfig, NodeLimits } from './config.ts';
import type { Member } from './members.ts';
import type { Node, NodeStores } from './node.ts';
import { Library, type Nodes } from './nodes.ts';

/** Where nodes are: a service, or an account. */
export interface Place {
  /** What notifications come from. */
  readonly jid: Jid;
  readonly nodes: Nodes;
}

/** What somebody asks of a place. */
export interface PubSubQuery {
  readonly place: Place;
  readonly from: Jid;
  /** The `<pubsub/>`. */
  readonly payload: Element;
  /** The child that says what is asked. */
  readonly request: Element;
}

/** An item as it is kept, or about to be. */
export type Item = NodeItem;

/** Items about to be published by a client: a handler may throw StanzaError, or put others in their place. */
export interface Publishing {
  readonly place: Place;
  /** The name of the node, which may not be there yet. */
  readonly node: string;
  /** The full JID of who publishes. */
  readonly by: Jid;
  items: readonly Item[];
}

/** Items that were published, and are durable. */
export interface Published {
  readonly place: Place;
  readonly node: string;
  /** The full JID of who has published; undefined when it was a module. */
  readonly by: Jid | undefined;
  readonly items: readonly Item[];
}

/** Items that are gone. */
export interface Retracted {
  readonly place: Place;
  readonly node: string;
  readonly by: Jid | undefined;
  /** Undefined when it is all of them, or the node itself. */
  readonly ids: readonly string[] | undefined;
}

/** The configuration of a node is another one than before. */
export interface Configured {
  readonly place: Place;
  readonly node: string;
  readonly before: NodeConfig;
  readonly now: NodeConfig;
}

/** Clients to be notified though they have not subscribed (XEP-0163 section 4). */
export interface Audience {
  readonly sessions: readonly Session[];
  /** Full JIDs on other servers. */
  readonly remote: readonly Jid[];
  /** Clients that are being asked what they are interested in: undefined when it is not this. */
  readonly undecided: readonly Promise<Session | undefined>[];
}

/** What is different between a service and accounts. */
export interface Surroundings {
  readonly router: Router;
  readonly log: Log;
  readonly stores: NodeStores;
  readonly limits: NodeLimits & {
    /** Nodes of one place. */
    readonly maxNodes: number;
    /** Subscriptions to one node, and people who have an affiliation with it. */
    readonly maxMembers: number;
    /** Items sent at once. */
    readonly maxPage: number;
  };
  /** How a new node is configured, by its name; '' for any. */
  defaultsFor(node: string): NodeConfig;
  readonly trust: Trust;
  /** Whether somebody may make nodes here. */
  mayCreate(place: Place, by: Jid): boolean;
  /** Who is notified besides those who have subscribed. */
  audience(place: Place, node: Node, members: ReadonlyMap<string, Member>): Maybe<Audience>;
  /** Whether the owner of a place has nothing to do with somebody (XEP-0191). */
  hidesFrom(place: Place, entity: Jid): Maybe<boolean>;
  /** The show values of the available clients behind an address (`online` where there is none); undefined when that is not known. */
  shows(entity: Jid): readonly string[] | undefined;
}

/** What all that serves nodes works with. */
export class Shop {
  readonly around: Surroundings;
  readonly library: Library;
  /** Run before what clients publish is written. */
  readonly publishing = new Hook<Publishing>('publishing');
  /** Told once it is durable, in the order of each node. */
  readonly published: Signal<Published>;
  readonly retracted: Signal<Retracted>;
  readonly configured: Signal<Configured>;

  constructor(around: Surroundings) {
    this.around = around;
    this.library = new Library(around);
    const report = (signal: string, error: unknown) => around.log.error('a listener failed', { signal, error });
    this.published = new Signal<Published>('published', report);
    this.retracted = new Signal<Retracted>('retracted', report);
    this.configured = new Signal<Configured>('configured', report);
  }
}
