import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from '../config/errors.ts';
import type { ListenerConfig } from '../config/server-config.ts';
import type { Log } from '../log.ts';

/** A listener of the config that is open. */
export interface Listening {
  /** The port it has, also where the config said 0. */
  readonly port: number;
  /** Takes no more connections; those there are go on. */
  close(): void;
  /** Cuts off what is still open and belongs to nobody else. */
  destroy?(): void;
}

/** Begins to listen. Rejects with an Error that says which address cannot be had, and why. */
export type Listen = (config: ListenerConfig) => Promise<Listening>;

/** An open listener as others see it: one for each of its addresses. */
export interface ListenerInfo {
  readonly type: ListenerConfig['type'];
  readonly address: string;
  readonly port: number;
  /** What is served there; empty where it is nothing but client streams. */
  readonly serve: readonly string[];
}

interface Entry {
  readonly config: ListenerConfig;
  readonly listening: Listening;
}

/** Where the server listens: opened, closed and changed as the config says. */
export class Listeners {
  readonly #listen: Listen;
  readonly #log: Log;
  readonly #closed: Entry[] = [];
  #entries: readonly Entry[] = [];
  #shared: unknown = undefined;

  constructor(listen: Listen, log: Log) {
    this.#listen = listen;
    this.#log = log;
  }

  /** In the order of the config. */
  get open(): readonly ListenerInfo[] {
    return this.#entries.flatMap(({ config, listening }) => {
      const { type, addresses } = config;
      return addresses.map((address) => ({ type, address, port: listening.port, serve: 'serve' in config ? config.serve : [] }));
    });
  }

  /**
   * Listens as the config says, and only so. Unchanged listeners are not touched, unless `shared`, what all of them rest on, has
   * changed; and no connection ever is. Throws ConfigError when an address cannot be had; then those there were are open again.
   */
  async apply(configs: readonly ListenerConfig[], shared: unknown = undefined): Promise<void> {
    const left = [...this.#entries];
    const isSame = isDeepStrictEqual(shared, this.#shared);
    this.#shared = shared;
    const next: (Entry | undefined)[] = configs.map((config) => {
      const at = left.findIndex((entry) => isSame && isDeepStrictEqual(entry.config, config));
      return at < 0 ? undefined : left.splice(at, 1)[0]!;
    });
    const kept = next.filter((entry) => entry !== undefined);
    // First, since a new one may want the port of an old one.
    for (const { listening } of left) listening.close();
    const opened: Entry[] = [];
    try {
      for (const [i, config] of configs.entries()) {
        if (next[i]) continue;
        next[i] = await this.#open(config, i);
        opened.push(next[i]);
      }
    } catch (error) {
      for (const { listening } of opened) listening.close();
      this.#entries = [...kept, ...(await this.#reopen(left))];
      throw error;
    }
    this.#entries = next.filter((entry) => entry !== undefined);
  }

  /** Stops listening everywhere. Connections go on until `destroy`. */
  close(): void {
    for (const { listening } of this.#entries) listening.close();
    this.#closed.push(...this.#entries);
    this.#entries = [];
  }

  /** Cuts off what is still open at listeners that were closed. */
  destroy(): void {
    for (const { listening } of this.#closed.splice(0)) listening.destroy?.();
  }

  async #open(config: ListenerConfig, i: number): Promise<Entry> {
    try {
      return { config, listening: await this.#listen(config) };
    } catch (error) {
      throw new ConfigError(['listeners', i], error instanceof Error ? error.message : String(error));
    }
  }

  /** What was open before a change that failed, on the ports it had. */
  async #reopen(entries: readonly Entry[]): Promise<readonly Entry[]> {
    const opened: Entry[] = [];
    for (const { config, listening } of entries) {
      try {
        opened.push({ config, listening: await this.#listen({ ...config, port: listening.port }) });
      } catch (error) {
        this.#log.error('a listener is closed, since it cannot be opened again', {
          listener: config.type,
          port: config.port,
          error,
        });
      }
    }
    return opened;
  }
}
