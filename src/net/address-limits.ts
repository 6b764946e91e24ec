import type { Log, LogDetail } from '../log.ts';
import { isLoopback, neighbourhood } from './addresses.ts';

const MINUTE = 60_000;
/** Addresses that are remembered; beyond it those without a connection are forgotten. */
const MAX_ENTRIES = 100_000;
/** Lines of one kind in a minute; a flood is worth some lines, not millions. */
const MAX_LINES = 10;

/** Why a connection is refused: the address has too many open, or has made too many lately. */
export type Refusal = 'connections' | 'rate';

/** The options of `limits` that matter here. */
export interface AddressLimitsConfig {
  readonly connectionsPerAddress: number;
  readonly connectionsPerMinute: number;
  readonly exemptLoopback: boolean;
}

interface Entry {
  open: number;
  /** The minute that is counted, and the one before: together they tell of the last sixty seconds. */
  minute: number;
  count: number;
  countBefore: number;
  /** The minute in which a line about it was written. */
  toldIn: number;
}

/** Counts the connections of each address: how many are open, how many are new. For IPv6 the /64 is one address. */
export class AddressLimits {
  /** May be replaced while it runs. */
  config: AddressLimitsConfig;
  readonly #log: Log;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  /** By their text: what floods must not hide what else there is to say. */
  readonly #lines = new Map<string, number>();
  #linesIn = 0;

  /** `now` gives milliseconds that never go back. */
  constructor(config: AddressLimitsConfig, log: Log, now: () => number = () => performance.now()) {
    this.config = config;
    this.#log = log;
    this.#now = now;
  }

  /** Counts a new connection, or says why there is none to be. Each one that is counted has to `leave`. */
  enter(address: string): Refusal | undefined {
    if (this.config.exemptLoopback && isLoopback(address)) return undefined;
    const now = this.#now();
    const minute = Math.floor(now / MINUTE);
    const entry = this.#take(neighbourhood(address), minute);
    const refusal = this.#judge(entry, now);
    if (refusal === undefined) {
      entry.open++;
      entry.count++;
    } else if (entry.toldIn !== minute) {
      entry.toldIn = minute;
      this.report('refused a connection', { address, reason: refusal === 'rate' ? 'too many in a minute' : 'too many at once' });
    }
    return refusal;
  }

  /** A connection that was counted is gone. */
  leave(address: string): void {
    const entry = this.#entries.get(neighbourhood(address));
    if (entry && entry.open > 0) entry.open--;
  }

  /** Connections this address has open. */
  openOf(address: string): number {
    return this.#entries.get(neighbourhood(address))?.open ?? 0;
  }

  /** Addresses that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** Writes a warning about what strangers do, but only a few with the same text in a minute. */
  report(text: string, detail: LogDetail): void {
    const minute = Math.floor(this.#now() / MINUTE);
    if (minute !== this.#linesIn) this.#beginMinute(minute);
    const count = this.#lines.get(text) ?? 0;
    this.#lines.set(text, count + 1);
    if (count < MAX_LINES) this.#log.warn(text, detail);
  }

  #beginMinute(minute: number): void {
    for (const [kind, count] of this.#lines) {
      if (count <= MAX_LINES) continue;
      this.#log.warn('there was more of this kind than is logged', { kind, lines: count - MAX_LINES });
    }
    this.#lines.clear();
    this.#linesIn = minute;
  }

  /** The last sixty seconds are taken as this minute and the fitting part of the one before. */
  #judge(entry: Entry, now: number): Refusal | undefined {
    const { connectionsPerAddress, connectionsPerMinute } = this.config;
    if (entry.open >= connectionsPerAddress) return 'connections';
    const part = 1 - (now % MINUTE) / MINUTE;
    return entry.count + Math.ceil(entry.countBefore * part) >= connectionsPerMinute ? 'rate' : undefined;
  }

  #take(key: string, minute: number): Entry {
    let entry = this.#entries.get(key);
    if (!entry) {
      if (this.#entries.size >= MAX_ENTRIES) this.#makeRoom(minute);
      this.#entries.set(key, (entry = { open: 0, minute, count: 0, countBefore: 0, toldIn: -1 }));
    } else if (entry.minute !== minute) {
      entry.countBefore = entry.minute === minute - 1 ? entry.count : 0;
      entry.count = 0;
      entry.minute = minute;
    }
    return entry;
  }

  /** Forgets who has no connection and made none lately; if that is nobody, the oldest half of those without a connection. */
  #makeRoom(minute: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.open === 0 && entry.minute < minute - 1) this.#entries.delete(key);
    }
    let excess = this.#entries.size - MAX_ENTRIES / 2;
    if (excess < MAX_ENTRIES / 2) return;
    for (const [key, entry] of this.#entries) {
      if (excess-- <= 0) return;
      if (entry.open === 0) this.#entries.delete(key);
    }
  }
}
