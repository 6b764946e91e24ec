import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from 'prom-client';

/** Label names and their values. Values come from a small, fixed set: never from a peer. */
export type Labels = Readonly<Record<string, string>>;

/** A figure that only grows. */
export interface Counter {
  /** Adds n (1 when left out) to the series with these labels. */
  inc(labels: Labels, n?: number): void;
}

/** How often values fell into which range. */
export interface Histogram {
  /** Notes one value; times are in seconds. */
  observe(labels: Labels, value: number): void;
}

/** A counter for hot paths: raising `n` is all there is to it. */
export interface Tally {
  n: number;
}

type Kind = 'counter' | 'gauge';
type Read = () => number;

/** A family of series that are read when somebody looks. */
interface Family {
  /** Kind and label names. */
  readonly shape: string;
  readonly series: Map<string, { readonly labels: Labels; readonly read: Read }>;
}

const OPENMETRICS = Registry.OPENMETRICS_CONTENT_TYPE;
const DEFAULT_BUCKETS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
const PERCENTILES = [50, 90, 99, 100] as const;

/**
 * The figures of a process, in the OpenMetrics text format. Asking twice for the same name gives the same figure, so that
 * hosts and reloaded modules can all ask. A name with another kind or other labels throws: a mistake of ours.
 */
export class Metrics {
  readonly #registry = new Registry<typeof OPENMETRICS>();
  readonly #families = new Map<string, Family>();
  readonly #direct = new Map<string, { readonly shape: string; readonly metric: Counter | Histogram }>();
  readonly #tallies = new Map<string, Tally>();
  #delay: IntervalHistogram | undefined = undefined;

  constructor() {
    this.#registry.setContentType(OPENMETRICS);
  }

  /** The Content-Type of what `render` gives. */
  get contentType(): string {
    return OPENMETRICS;
  }

  /** A counter; its name ends in `_total`. */
  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    checkCounter(name);
    const make = () => new PromCounter({ name, help, labelNames, registers: [this.#registry] });
    return this.#once(name, `counter ${labelNames.join()}`, make) as Counter;
  }

  /** A histogram; times are in seconds and their name ends in `_seconds`. */
  histogram(
    name: string,
    help: string,
    opts: { readonly labelNames?: readonly string[]; readonly buckets?: readonly number[] } = {},
  ): Histogram {
    const { labelNames = [], buckets = DEFAULT_BUCKETS } = opts;
    const make = () => new PromHistogram({ name, help, labelNames, buckets: [...buckets], registers: [this.#registry] });
    return this.#once(name, `histogram ${labelNames.join()}`, make) as Histogram;
  }

  /** A counter for hot paths. The same name and labels give the same object. */
  tally(name: string, help: string, labels: Labels = {}): Tally {
    const key = `${name}${keyOf(labels)}`;
    let tally = this.#tallies.get(key);
    if (!tally) {
      const made: Tally = { n: 0 };
      this.count(name, help, labels, () => made.n);
      this.#tallies.set(key, (tally = made));
    }
    return tally;
  }

  /** A counter kept elsewhere, read when somebody looks. Returns what takes the series away. */
  count(name: string, help: string, labels: Labels, read: Read): () => void {
    checkCounter(name);
    return this.#watch('counter', { name, help }, labels, read);
  }

  /** A figure that goes up and down, read when somebody looks. Returns what takes the series away. */
  gauge(name: string, help: string, labels: Labels, read: Read): () => void {
    return this.#watch('gauge', { name, help }, labels, read);
  }

  /** Adds figures of the process: memory, CPU, start, delay of the event loop. `close` ends the watch. */
  watchProcess(): void {
    if (this.#delay) return;
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    this.#delay = delay;
    const started = Date.now() / 1000 - process.uptime();
    this.gauge('process_start_time_seconds', 'When the process was started, in seconds since 1970.', {}, () => started);
    this.gauge('process_resident_memory_bytes', 'Memory the process has in RAM.', {}, () => process.memoryUsage.rss());
    this.gauge('nodejs_heap_used_bytes', 'Memory the JavaScript heap uses.', {}, () => process.memoryUsage().heapUsed);
    this.gauge('nodejs_external_memory_bytes', 'Memory of buffers and the like.', {}, () => process.memoryUsage().external);
    this.count('process_cpu_user_seconds_total', 'CPU time spent in the program.', {}, () => process.cpuUsage().user / 1e6);
    this.count('process_cpu_system_seconds_total', 'CPU time spent in the kernel.', {}, () => process.cpuUsage().system / 1e6);
    const help = 'How late the event loop was since the last look; quantile 1 is the worst.';
    for (const percentile of PERCENTILES) {
      this.gauge('nodejs_eventloop_delay_seconds', help, { quantile: String(percentile / 100) }, () =>
        seconds(delay.percentile(percentile)),
      );
    }
  }

  /** All figures as OpenMetrics text. */
  async render(): Promise<string> {
    const text = await this.#registry.metrics();
    this.#delay?.reset();
    return text;
  }

  /** Ends what `watchProcess` began. */
  close(): void {
    this.#delay?.disable();
  }

  #once(name: string, shape: string, make: () => Counter | Histogram): Counter | Histogram {
    const found = this.#direct.get(name);
    if (found && found.shape === shape) return found.metric;
    if (found || this.#families.has(name)) throw new Error(`the metric ${name} exists with another kind or other labels`);
    const metric = make();
    this.#direct.set(name, { shape, metric });
    return metric;
  }

  #watch(kind: Kind, about: { readonly name: string; readonly help: string }, labels: Labels, read: Read): () => void {
    const { series } = this.#familyOf(kind, about, Object.keys(labels));
    const key = keyOf(labels);
    const entry = { labels, read };
    series.set(key, entry);
    return () => {
      if (series.get(key) === entry) series.delete(key);
    };
  }

  #familyOf(kind: Kind, { name, help }: { readonly name: string; readonly help: string }, labelNames: readonly string[]): Family {
    const shape = `${kind} ${[...labelNames].sort().join()}`;
    const found = this.#families.get(name);
    if (found?.shape === shape) return found;
    if (found || this.#direct.has(name)) throw new Error(`the metric ${name} exists with another kind or other labels`);
    const family: Family = { shape, series: new Map() };
    const options = { name, help, labelNames, registers: [this.#registry] };
    if (kind === 'counter')
      new PromCounter({
        ...options,
        collect() {
          this.reset();
          readInto(family, (labels, n) => this.inc(labels, n));
        },
      });
    else
      new PromGauge({
        ...options,
        collect() {
          this.reset();
          readInto(family, (labels, n) => this.set(labels, n));
        },
      });
    this.#families.set(name, family);
    return family;
  }
}

/** A figure that cannot be read is left out; the others are shown all the same. */
function readInto({ series }: Family, write: (labels: Labels, value: number) => void): void {
  for (const { labels, read } of series.values()) {
    try {
      const value = read();
      if (Number.isFinite(value)) write(labels, value);
    } catch {
      // Whoever gave this figure is closing.
    }
  }
}

function checkCounter(name: string): void {
  if (!name.endsWith('_total')) throw new Error(`the name of the counter ${name} does not end in _total`);
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The histogram's nanoseconds; NaN before its first value. */
function seconds(nanoseconds: number): number {
  return Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0;
}
