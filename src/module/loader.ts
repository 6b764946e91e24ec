import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from '../config/errors.ts';
import type { Host } from '../host/host.ts';
import type { StoreSpecs, Stores } from '../storage/storage.ts';
import { createContext, Instance, Lasting, type ModuleServices } from './context.ts';
import type { AnyModule, ModuleRef } from './module.ts';

/** A module that a host enables, with its checked section. */
export interface Enabled {
  readonly module: AnyModule;
  readonly config: unknown;
}

/** Starts, stops and reloads the modules of one host, in the order of their needs. */
export class ModuleHost {
  readonly #host: Host;
  readonly #services: ModuleServices;
  readonly #lasting = new Lasting();
  /** In the order they were started. */
  readonly #running = new Map<string, Instance>();
  #known: ReadonlySet<string> = new Set();
  #turn: Promise<void> = Promise.resolve();

  constructor(host: Host, services: ModuleServices) {
    this.#host = host;
    this.#services = services;
  }

  /** The names of the running modules, in the order they were started. */
  get running(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** The API of a running module. */
  api<A>(module: ModuleRef<A>): A | undefined {
    return this.#running.get(module.name)?.api as A | undefined;
  }

  /**
   * Makes these modules, and only these, the running ones. What is unchanged goes on running; what has changed is stopped
   * and started again together with all that depends on it. Throws ConfigError for a missing need or a cycle, before anything
   * is touched; when a setup fails, what it had taken is given back, the modules that ran before are started again as they
   * were, and the error is passed on.
   */
  apply(enabled: readonly Enabled[]): Promise<void> {
    return this.#inTurn(async () => {
      const order = sort(enabled, this.#host.domain);
      await this.#change(order, this.#findStale(order));
      const wanted = new Set(order.map(({ module }) => module.name));
      for (const name of this.#known) if (!wanted.has(name)) this.#lasting.forget(name);
      this.#known = wanted;
    });
  }

  /** Stops and starts one running module, and what depends on it. Fails as `apply` does. */
  restart(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const all = this.#enabled();
      await this.#change(all, withDependants(all, new Set([name])));
    });
  }

  /** Stops all, dependants first. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#stopAll());
  }

  /** One change at a time, in the order they were asked for. */
  #inTurn(task: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(task);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  #enabled(): readonly Enabled[] {
    return [...this.#running.values()].map(({ module, config }) => ({ module, config }));
  }

  async #change(order: readonly Enabled[], stale: ReadonlySet<string>): Promise<void> {
    const before = this.#enabled();
    const starting = order.filter(({ module }) => !this.#running.has(module.name) || stale.has(module.name));
    // Whatever may fail without touching a running module comes first.
    const stores = new Map<string, Stores<StoreSpecs>>();
    for (const { module } of starting) stores.set(module.name, await this.#prepare(module));
    const end = this.#host.beginChange();
    try {
      for (const name of [...this.#running.keys()].reverse()) if (stale.has(name)) await this.#stop(name);
      for (const each of starting) await this.#start(each, stores.get(each.module.name)!);
    } catch (error) {
      await this.#restore(before, starting);
      throw error;
    } finally {
      end();
    }
  }

  /** Back to what ran before. A module that does not even start as it was stays off, with a line in the log. */
  async #restore(before: readonly Enabled[], started: readonly Enabled[]): Promise<void> {
    for (const { module } of [...started].reverse()) await this.#stop(module.name);
    for (const each of before.filter(({ module }) => !this.#running.has(module.name))) {
      try {
        await this.#start(each, await this.#prepare(each.module));
      } catch (error) {
        this.#host.log.error('a module is off, since it does not start any more', { module: each.module.name, error });
      }
    }
  }

  async #stopAll(): Promise<void> {
    for (const name of [...this.#running.keys()].reverse()) await this.#stop(name);
  }

  #findStale(order: readonly Enabled[]): ReadonlySet<string> {
    const wanted = new Map(order.map((each) => [each.module.name, each]));
    const running = [...this.#running.values()];
    const changed = running.filter(({ module, config }) => {
      const next = wanted.get(module.name);
      return !next || next.module !== module || !isDeepStrictEqual(next.config, config);
    });
    const added = order.filter(({ module }) => !this.#running.has(module.name));
    const touched = new Set([...changed, ...added].map(({ module }) => module.name));
    return withDependants(this.#enabled(), touched);
  }

  async #prepare(module: AnyModule): Promise<Stores<StoreSpecs>> {
    if (module.migrations) await this.#services.storage.migrate(module.name, module.migrations);
    return this.#services.storage.open(this.#host.domain, module.name.replaceAll('-', '_'), module.stores ?? {});
  }

  async #start({ module, config }: Enabled, stores: Stores<StoreSpecs>): Promise<void> {
    const log = this.#host.log.child({ module: module.name });
    const instance = new Instance(module, config, log);
    const find = (wanted: ModuleRef<unknown>) => this.#find(module, wanted);
    const context = createContext(this.#host, instance, this.#services, { stores, lasting: this.#lasting, log, find });
    try {
      for (const feature of module.features ?? []) context.disco.feature('server', feature);
      instance.api = await module.setup(context);
    } catch (error) {
      await instance.stop();
      throw error;
    }
    this.#running.set(module.name, instance);
  }

  #find(user: AnyModule, wanted: ModuleRef<unknown>): unknown {
    const declared = [...(user.needs ?? []), ...(user.wants ?? [])].some(({ name }) => name === wanted.name);
    if (!declared) throw new Error(`${user.name} uses ${wanted.name} without naming it in needs or wants`);
    return this.#running.get(wanted.name)?.api;
  }

  async #stop(name: string): Promise<void> {
    const instance = this.#running.get(name);
    this.#running.delete(name);
    await instance?.stop();
  }
}

function dependsOn(module: AnyModule): readonly string[] {
  return [...(module.needs ?? []), ...(module.wants ?? [])].map(({ name }) => name);
}

function withDependants(all: readonly Enabled[], names: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set(names);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { module } of all) if (dependsOn(module).some((name) => found.has(name))) found.add(module.name);
  }
  return found;
}

/** Dependencies first; otherwise by name, so that the order never depends on the config file's. */
function sort(enabled: readonly Enabled[], domain: string): readonly Enabled[] {
  const byName = new Map(enabled.map((each) => [each.module.name, each]));
  const sorted: Enabled[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const visit = (name: string, path: readonly string[]): void => {
    if (state.get(name) === 'done') return;
    if (state.get(name) === 'open')
      throw new ConfigError(`hosts.${domain}.modules`, `these need each other: ${[...path, name].join(' -> ')}`);
    const each = byName.get(name)!;
    state.set(name, 'open');
    for (const need of each.module.needs ?? []) {
      if (byName.has(need.name)) visit(need.name, [...path, name]);
      else throw new ConfigError(`hosts.${domain}.modules.${name}`, `needs the module ${need.name}, which is not enabled`);
    }
    for (const want of each.module.wants ?? []) if (byName.has(want.name)) visit(want.name, [...path, name]);
    state.set(name, 'done');
    sorted.push(each);
  };
  for (const name of [...byName.keys()].sort()) visit(name, []);
  return sorted;
}
