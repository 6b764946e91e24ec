import pino from 'pino';
import { escapeControls, formatLine, tame } from './log-format.ts';

/** What a log line may carry besides its text. No secret and nothing a peer wrote goes into the text itself. */
export type LogDetail = Readonly<Record<string, unknown>>;

/** Structured log lines with where they come from: host, module, session. */
export interface Log {
  debug(text: string, detail?: LogDetail): void;
  info(text: string, detail?: LogDetail): void;
  warn(text: string, detail?: LogDetail): void;
  error(text: string, detail?: LogDetail): void;
  /** A log whose lines all carry this detail too. */
  child(detail: LogDetail): Log;
}

/** A log that drops everything. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** From chatty to nothing at all. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** What is logged, and how it looks. */
export interface LogSettings {
  readonly level: LogLevel;
  /** 'auto': pretty on a terminal, JSON otherwise. */
  readonly format: 'auto' | 'pretty' | 'json';
  /** Other levels for single modules. */
  readonly modules: ReadonlyMap<string, LogLevel>;
}

/** Where lines go; one call per line, which ends in a line feed. */
export interface LogOutput {
  write(line: string): unknown;
  readonly isTTY?: boolean;
}

/** The log of a process. */
export interface ProcessLog extends Log {
  /** Takes up new levels at once, in all children too; the format stays. */
  configure(settings: Pick<LogSettings, 'level' | 'modules'>): void;
  /** Writes out what still waits, before it returns. Runs by itself when the process exits. */
  flush(): void;
}

const RANK = { debug: 20, info: 30, warn: 40, error: 50, silent: 100 } as const;
/** Lines that wait for a standard output which takes none (a stopped terminal, a full pipe) are dropped beyond this. */
const MAX_WAITING_BYTES = 16 << 20;

/** The level of one module, shared by all its logs, so that a new level counts everywhere at once. */
interface Gate {
  rank: number;
}

/** Makes the log of a process. Without `output` lines go to the standard output, asynchronously: no line ever waits for it. */
export function createLog(settings: LogSettings, output?: LogOutput): ProcessLog {
  const target: LogOutput & { flush?(): void } = output ?? openStdout();
  const isPretty = settings.format === 'pretty' || (settings.format === 'auto' && (output ?? process.stdout).isTTY === true);
  const render = isPretty ? formatLine : escapeControls;
  const options = {
    level: 'debug',
    base: null,
    messageKey: 'text',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }), bindings: tame, log: tame },
  };
  const root = pino(options, { write: (line: string) => void target.write(render(line)) });
  const gates = new Gates(settings);
  const log = new PinoLog({ gates, parent: () => root, detail: {}, gate: gates.of(undefined) });
  const flush = () => target.flush?.();
  return Object.assign(log, { configure: (next: Pick<LogSettings, 'level' | 'modules'>) => gates.configure(next), flush });
}

/** Writes without waiting; what still waits when the process exits is written then. */
function openStdout(): LogOutput & { flush(): void } {
  const stream = pino.destination({ dest: 1, sync: false, maxLength: MAX_WAITING_BYTES });
  // A reader that has gone (EPIPE) is no reason to fall over.
  stream.on('error', () => {});
  const flush = () => {
    try {
      stream.flushSync();
    } catch {
      // Not open yet, or gone: there is nobody to tell.
    }
  };
  process.on('exit', flush);
  return { write: (line) => stream.write(line), flush };
}

class Gates {
  readonly #gates = new Map<string | undefined, Gate>();
  #settings: Pick<LogSettings, 'level' | 'modules'>;

  constructor(settings: Pick<LogSettings, 'level' | 'modules'>) {
    this.#settings = settings;
  }

  of(module: string | undefined): Gate {
    let gate = this.#gates.get(module);
    if (!gate) this.#gates.set(module, (gate = { rank: this.#rankOf(module) }));
    return gate;
  }

  configure(settings: Pick<LogSettings, 'level' | 'modules'>): void {
    this.#settings = settings;
    for (const [module, gate] of this.#gates) gate.rank = this.#rankOf(module);
  }

  #rankOf(module: string | undefined): number {
    return RANK[(module === undefined ? undefined : this.#settings.modules.get(module)) ?? this.#settings.level];
  }
}

interface PinoLogParts {
  readonly gates: Gates;
  readonly parent: () => pino.Logger;
  readonly detail: LogDetail;
  readonly gate: Gate;
}

/** One log. Many sessions never write a line, so pino's part is made at the first. */
class PinoLog implements Log {
  readonly #parts: PinoLogParts;
  readonly #gate: Gate;
  #pino: pino.Logger | undefined = undefined;

  constructor(parts: PinoLogParts) {
    this.#parts = parts;
    this.#gate = parts.gate;
  }

  debug(text: string, detail?: LogDetail): void {
    if (this.#gate.rank <= RANK.debug) this.#open().debug(detail ?? {}, text);
  }

  info(text: string, detail?: LogDetail): void {
    if (this.#gate.rank <= RANK.info) this.#open().info(detail ?? {}, text);
  }

  warn(text: string, detail?: LogDetail): void {
    if (this.#gate.rank <= RANK.warn) this.#open().warn(detail ?? {}, text);
  }

  error(text: string, detail?: LogDetail): void {
    if (this.#gate.rank <= RANK.error) this.#open().error(detail ?? {}, text);
  }

  child(detail: LogDetail): Log {
    const { gates } = this.#parts;
    const module = detail['module'];
    return new PinoLog({
      gates,
      parent: () => this.#open(),
      detail,
      gate: typeof module === 'string' ? gates.of(module) : this.#gate,
    });
  }

  #open(): pino.Logger {
    return (this.#pino ??= this.#parts.parent().child(this.#parts.detail));
  }
}
