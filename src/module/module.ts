import type { Knex } from 'knex';
import type { Accounts } from '../auth/accounts.ts';
import type { SaslMechanism } from '../auth/sasl.ts';
import type { Session } from '../c2s/session.ts';
import type { SavedSlots, SessionSlot, SlotForm } from '../c2s/slot.ts';
import type { Cache } from '../cache.ts';
import type { Schema } from '../config/option.ts';
import type { Handler, Hook, Listener, Maybe, Signal } from '../hooks.ts';
import type { Disco, DiscoRegistry, FeaturePlace, Identity } from '../host/disco.ts';
import type { HostHooks, HostSignals } from '../host/hooks.ts';
import type { QueryHandler, QueryTarget } from '../host/queries.ts';
import type { Jid } from '../jid.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { HttpHandler } from '../net/http.ts';
import type { HttpRouteOptions } from '../net/http-routes.ts';
import type { Destination, Resource, Router } from '../router/router.ts';
import type { Envelope } from '../stanza/envelope.ts';
import type { Migration, StoreSpecs, Stores } from '../storage/storage.ts';
import type { Element } from '../xml/element.ts';
import type { Stanza } from '../xml/stanza.ts';

/** The paths at which this server's HTTP listeners take clients, as the config has them now. */
export interface Endpoints {
  /** RFC 7395. */
  readonly websocket: string;
  /** XEP-0124. */
  readonly bosh: string;
  /** Where browsers reach what modules serve for a host: `https://example.org:5281`, without a path. Undefined when nothing is served. */
  site?(domain: string): string | undefined;
}

/** A handle on another module, carrying the type of its API. */
export interface ModuleRef<A> {
  readonly name: string;
  /** Never set; carries the type. */
  readonly api?: A;
}

/** A feature: declared once, set up once for each host that enables it. */
export interface Module<C, S extends StoreSpecs, A> extends ModuleRef<A> {
  /** Its folder, its config section, its log name. */
  readonly name: string;
  /** One line for the generated table of modules. */
  readonly doc: string;
  readonly xeps?: readonly { readonly xep: number; readonly version: string }[];
  /** Started before this one, stopped after it; a missing one or a cycle is an error at start. */
  readonly needs?: readonly ModuleRef<unknown>[];
  /** As `needs`, when they are enabled. */
  readonly wants?: readonly ModuleRef<unknown>[];
  /** Features that the host's disco#info shows while this module runs (XEP-0030). */
  readonly features?: readonly string[];
  readonly config: Schema<C>;
  readonly stores?: S;
  /** For modules that use `ctx.sql`. */
  readonly migrations?: readonly Migration[];
  /** Registers what the module does; returns the API that other modules get from `use`. */
  setup(ctx: ModuleContext<C, S>): Maybe<A>;
}

/** What a module holds of its host. Everything taken through it is given back when the module stops. */
export interface ModuleContext<C, S extends StoreSpecs> {
  readonly domain: string;
  /** This module's section, checked and frozen. */
  readonly config: C;
  readonly stores: Stores<S>;
  readonly hooks: HostHooks;
  readonly signals: HostSignals;
  readonly router: Router;
  readonly accounts: Accounts;
  readonly log: Log;
  readonly metrics: Metrics;
  /** To be read whenever they are needed: a reload can change them, and restarts no module for it. */
  readonly endpoints: Endpoints;
  /** Only for modules with migrations. */
  readonly sql: Knex;
  /** Aborted when the module stops; for fetches, loops and streams. */
  readonly stopping: AbortSignal;
  /** Answers to IQs: a handler returns the payload of the result (or nothing), or throws a StanzaError. */
  readonly iq: {
    get(at: QueryTarget, xmlns: string, name: string, handler: QueryHandler): void;
    set(at: QueryTarget, xmlns: string, name: string, handler: QueryHandler): void;
  };
  /** What the host (and its accounts) answer to service discovery, beyond `features`. */
  readonly disco: {
    identity(at: 'server' | 'account', identity: Identity): void;
    feature(at: FeaturePlace, feature: string): void;
    /** Extends the answer: forms (XEP-0128), items, nodes. */
    extend(extension: Partial<Disco>): void;
    /** All that was registered: for the module that answers. */
    readonly registry: DiscoRegistry;
  };
  on<E>(hook: Hook<E>, handler: Handler<E>, priority: number): void;
  on<E>(signal: Signal<E>, listener: Listener<E>): void;
  /** Repeats a task, never two runs at once; a failure is logged and the next run comes all the same. */
  every(milliseconds: number, task: () => Maybe<void>): void;
  /** The API of a module named in `needs`; of one in `wants`, undefined when it is not enabled. */
  use<A>(module: ModuleRef<A>): A;
  cache<T>(name: string, load: (key: string) => Promise<T>, max?: number): Cache<T>;
  /**
   * Private state per session. With `lasting` it is kept over a restart of the server together with the session (XEP-0198): `write`
   * gives it in a form for JSON, and `read` takes that back.
   */
  slot<T>(create: (session: Session) => T, lasting?: SlotForm<T>): SessionSlot<T>;
  /** The lasting slots of all modules: for the module that keeps sessions over a restart. */
  readonly slots: { save(session: Session): SavedSlots; restore(session: Session, saved: SavedSlots): void };
  /** The resources that a message for an account here is given to now (RFC 6121 section 8.5); none where it is kept or refused. */
  recipients(env: Envelope): readonly Resource[];
  /** Makes a session whose client is not connected, and that can be addressed: one that is taken up again. Undefined when its address is taken. */
  revive(jid: Jid): Session | undefined;
  /** Delivers a message that could not be given to the client it was for, to the account's others or to whoever keeps messages. */
  redeliver(message: Stanza): Maybe<void>;
  /** State that outlives a reload of this module, such as open rooms. */
  keep<T>(name: string, create: () => T): T;
  /**
   * Serves HTTP under a path of this host ('/' matches what nobody else does; the longest prefix wins). Other methods than these (GET and
   * HEAD) are refused with 405, and OPTIONS is answered, unless it is one of them.
   */
  http(path: string, handler: HttpHandler, options?: HttpRouteOptions): void;
  /** A folder of this module's own for this host, below `data` of the config; made when it is not there, for the server's user only. */
  folder(): Promise<string>;
  /** Answers for another domain of this host, such as that of its rooms. Throws when the domain is taken. */
  serve(domain: string, destination: Destination): void;
  /** Offers a way to log in. */
  sasl(mechanism: SaslMechanism): void;
  /**
   * Asks another entity in the host's name and waits for the payload of its result. Rejects with StanzaError: what was answered,
   * `remote-server-timeout` when nothing was within `timeout` milliseconds (half a minute), or `resource-constraint` when too much is
   * asked at once, by all modules of the host together.
   */
  ask(to: Jid, type: 'get' | 'set', payload: Element, timeout?: number): Promise<Element | undefined>;
  /** Whether this JID may administer the host. */
  isAdmin(jid: Jid): boolean;
  /** For what the context cannot know about. */
  defer(cleanup: () => Maybe<void>): void;
}

/** A module whatever its config, stores and API. */
// biome-ignore lint/suspicious/noExplicitAny: the loader holds modules of every shape
export type AnyModule = Module<any, any, any>;

/** Declares a module, inferring the types of its config, stores and API. */
export function defineModule<C, S extends StoreSpecs = Record<never, never>, A = void>(module: Module<C, S, A>): Module<C, S, A> {
  return module;
}
