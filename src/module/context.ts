import { countLogins } from '../auth/count-logins.ts';
import { revive } from '../c2s/bind.ts';
import type { C2sServer } from '../c2s/c2s-server.ts';
import type { Session } from '../c2s/session.ts';
import { type SavedSlots, SessionSlot, type SlotForm } from '../c2s/slot.ts';
import { Cache } from '../cache.ts';
import { type Handler, Hook, type Listener, type Maybe, type Signal } from '../hooks.ts';
import { recipientsOf, redeliver } from '../host/delivery.ts';
import type { Host } from '../host/host.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { HttpHandler } from '../net/http.ts';
import type { HttpRouteOptions } from '../net/http-routes.ts';
import type { Destination } from '../router/router.ts';
import type { Storage, StoreSpecs, Stores } from '../storage/storage.ts';
import type { AnyModule, Endpoints, ModuleContext, ModuleRef } from './module.ts';

/** Where modules hang what they serve over HTTP. */
export interface HttpRoutes {
  /** Adds a route of one host; returns what takes it back. */
  add(host: string | undefined, path: string, handler: HttpHandler, options?: HttpRouteOptions): () => void;
}

/** What all modules of a process share. */
export interface ModuleServices {
  readonly c2s: C2sServer;
  readonly storage: Storage;
  readonly metrics: Metrics;
  readonly http: HttpRoutes;
  /** Always those in force. */
  readonly endpoints: Endpoints;
  /** A folder of a module's own for one host, made when it is not there. */
  folder(module: string, domain: string): Promise<string>;
}

/** What outlives a module's reload: its kept state, and the places of its slots in the sessions. */
export class Lasting {
  readonly #kept = new Map<string, Map<string, unknown>>();
  readonly #slots = new Map<string, Map<number, number>>();
  readonly #forms = new Map<string, { readonly slot: SessionSlot<unknown>; readonly form: SlotForm<unknown> }>();
  #nextSlot = 0;

  /** The same value for the same module and key, made at the first call. */
  keep<T>(module: string, key: string, create: () => T): T {
    const kept = inner(this.#kept, module);
    if (!kept.has(key)) kept.set(key, create());
    return kept.get(key) as T;
  }

  /** The same number for a module's nth slot, so that a session's state is found again after a reload. */
  slotIndex(module: string, nth: number): number {
    const slots = inner(this.#slots, module);
    let index = slots.get(nth);
    if (index === undefined) slots.set(nth, (index = this.#nextSlot++));
    return index;
  }

  /** Lets a slot be kept over a restart; returns what takes that back. */
  addForm<T>(name: string, slot: SessionSlot<T>, form: SlotForm<T>): () => void {
    const entry = { slot: slot as SessionSlot<unknown>, form: form as SlotForm<unknown> };
    this.#forms.set(name, entry);
    return () => {
      if (this.#forms.get(name) === entry) this.#forms.delete(name);
    };
  }

  /** What a session has in slots that last. */
  save(session: Session): SavedSlots {
    const saved: Record<string, unknown> = Object.create(null);
    for (const [name, { slot, form }] of this.#forms) {
      const value = slot.peek(session);
      if (value !== undefined) saved[name] = form.write(value);
    }
    return saved;
  }

  /** Gives a session what was saved. */
  restore(session: Session, saved: SavedSlots): void {
    for (const [name, { slot, form }] of this.#forms) if (name in saved) slot.set(session, form.read(saved[name]));
  }

  /** Forgets what a module kept, once it is switched off. Its slots get new numbers, so that it never meets its old state again. */
  forget(module: string): void {
    this.#kept.delete(module);
    this.#slots.delete(module);
  }
}

function inner<K, V>(outer: Map<string, Map<K, V>>, name: string): Map<K, V> {
  let map = outer.get(name);
  if (!map) outer.set(name, (map = new Map()));
  return map;
}

/** One running module: its API, and everything it has taken. */
export class Instance {
  readonly module: AnyModule;
  readonly config: unknown;
  api: unknown = undefined;
  readonly #cleanups: (() => Maybe<void>)[] = [];
  readonly #abort = new AbortController();
  readonly #log: Log;

  constructor(module: AnyModule, config: unknown, log: Log) {
    this.module = module;
    this.config = config;
    this.#log = log;
  }

  get stopping(): AbortSignal {
    return this.#abort.signal;
  }

  /** Remembers how to give something back. What is taken after the stop, by a setup that still waited, is given back at once. */
  defer(cleanup: () => Maybe<void>): void {
    if (this.#abort.signal.aborted) void this.#run(cleanup);
    else this.#cleanups.push(cleanup);
  }

  /** Gives everything back, last taken first. A cleanup that fails is logged and the others still run. */
  async stop(): Promise<void> {
    this.#abort.abort();
    for (const cleanup of this.#cleanups.splice(0).reverse()) await this.#run(cleanup);
  }

  async #run(cleanup: () => Maybe<void>): Promise<void> {
    try {
      await cleanup();
    } catch (error) {
      this.#log.error('a module did not stop cleanly', { error });
    }
  }
}

/** What the domain sends elsewhere is then sent on as what the host itself does. */
function serve(host: Host, domain: string, destination: Destination): () => void {
  const giveBack = host.router.serve(domain, destination);
  host.subdomains.add(domain);
  return () => {
    host.subdomains.delete(domain);
    giveBack();
  };
}

/** Makes the context through which one instance takes things of its host. */
export function createContext(
  host: Host,
  instance: Instance,
  services: ModuleServices,
  parts: {
    readonly stores: Stores<StoreSpecs>;
    readonly lasting: Lasting;
    readonly log: Log;
    find(module: ModuleRef<unknown>): unknown;
  },
): ModuleContext<unknown, StoreSpecs> {
  const { name } = instance.module;
  const take = (giveBack: () => void): void => instance.defer(giveBack);
  let slots = 0;
  return {
    domain: host.domain,
    config: instance.config,
    stores: parts.stores,
    hooks: host.hooks,
    signals: host.signals,
    router: host.router,
    accounts: host.accounts,
    log: parts.log,
    metrics: services.metrics,
    endpoints: services.endpoints,
    get sql() {
      return services.storage.sql;
    },
    stopping: instance.stopping,
    iq: {
      get: (at, xmlns, element, handler) => take(host.queries.add('get', at, xmlns, element, handler)),
      set: (at, xmlns, element, handler) => take(host.queries.add('set', at, xmlns, element, handler)),
    },
    disco: {
      identity: (at, identity) => take(host.disco.identity(at, identity)),
      feature: (at, feature) => take(host.disco.feature(at, feature)),
      extend: (extension) => take(host.disco.extend(extension)),
      registry: host.disco,
    },
    on: <E>(target: Hook<E> | Signal<E>, fn: Handler<E> | Listener<E>, priority?: number): void => {
      if (target instanceof Hook) take(target.add(fn as Handler<E>, checkPriority(priority, target.name), name));
      else take(target.add(fn as Listener<E>));
    },
    every: (milliseconds, task) => take(repeat(milliseconds, task, parts.log)),
    use: <A>(module: ModuleRef<A>) => parts.find(module) as A,
    cache: <T>(_name: string, load: (key: string) => Promise<T>, max = 10_000) => {
      const cache = new Cache<T>(max, load);
      // Whoever gets the name after a deleted account starts with nothing.
      take(host.signals.accountDeleted.add(({ username }) => cache.drop(username)));
      return cache;
    },
    slot: <T>(create: (session: Session) => T, form?: SlotForm<T>) => {
      const nth = slots++;
      const slot = new SessionSlot<T>(parts.lasting.slotIndex(name, nth), create);
      if (form) take(parts.lasting.addForm(`${name} ${nth}`, slot, form));
      return slot;
    },
    slots: { save: (session) => parts.lasting.save(session), restore: (session, saved) => parts.lasting.restore(session, saved) },
    recipients: (env) => recipientsOf(host, env),
    revive: (jid) => revive(host, services.c2s, jid),
    redeliver: (message) => redeliver(host, message),
    keep: (key, create) => parts.lasting.keep(name, key, create),
    http: (path, handler, options) => take(services.http.add(host.domain, path, handler, options)),
    folder: () => services.folder(name, host.domain),
    serve: (domain, destination) => take(serve(host, domain, destination)),
    sasl: (mechanism) => take(host.login.add(countLogins(mechanism, services.metrics))),
    ask: (to, type, payload, timeout) => host.questions.ask(host.jid, to, type, payload, timeout),
    isAdmin: (jid) => host.config.admins.includes(jid.bare),
    defer: (cleanup) => instance.defer(cleanup),
  };
}

function checkPriority(priority: number | undefined, hook: string): number {
  if (priority === undefined || !Number.isFinite(priority)) throw new Error(`a handler of ${hook} needs a priority`);
  return priority;
}

function repeat(milliseconds: number, task: () => Maybe<void>, log: Log): () => void {
  let isRunning = false;
  const run = async () => {
    if (isRunning) return;
    isRunning = true;
    try {
      await task();
    } catch (error) {
      log.error('a repeated task failed', { error });
    } finally {
      isRunning = false;
    }
  };
  const timer = setInterval(() => void run(), milliseconds).unref();
  return () => clearInterval(timer);
}
