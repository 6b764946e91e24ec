import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ExportChunk, type ExportFormat, exportArchive } from '../../modules/mam/export.ts';
import type { ServerConfig } from '../config/server-config.ts';
import { Jid } from '../jid.ts';
import { silent } from '../log.ts';
import { openStorage } from '../storage/open.ts';
import { archiveStore } from '../storage/storage.ts';
import { findConfig, readConfiguration } from './config-file.ts';
import { openAccountsOf } from './offline-accounts.ts';
import { CliError, EXIT, type Terminal } from './terminal.ts';

const DAY = 86_400_000;
/** Milliseconds until something is said about how far it is, and between two such lines. */
const PROGRESS_EVERY = 1000;
/** XEP-0082: a day, or a time with its zone. */
const TIME = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2}))?$/;

/** Options of `parlance archive export`. */
export interface ArchiveExportOptions {
  readonly config?: string;
  readonly format: ExportFormat;
  readonly since?: string;
  readonly until?: string;
}

/**
 * `parlance archive export <jid>`: everything that the account has archived, on the standard output. Reads the database by itself, beside
 * the server where one runs, which is not kept from anything. `now` gives milliseconds of any beginning.
 */
export async function exportAccount(
  terminal: Terminal,
  address: string,
  options: ArchiveExportOptions,
  now: () => number = () => performance.now(),
): Promise<void> {
  const account = Jid.tryParse(address);
  if (!account || account.local === '' || !account.isBare) {
    throw new CliError(`${JSON.stringify(address)} is not the address of an account, such as juliet@example.org`, EXIT.usage);
  }
  const period = readPeriod(options);
  const { config } = await readConfiguration(findConfig(options.config, terminal.env), terminal.env);
  await checkAccount(config, account);
  const storage = await openStorage(config.storage, silent);
  const progress = new Progress(terminal, now);
  try {
    const { messages } = await storage.open(account.domain, 'mam', { messages: archiveStore({ isBusy: true }) });
    const chunks = exportArchive({ messages, account, format: options.format, ...period });
    await writeAll(terminal, progress.watch(chunks));
  } finally {
    await storage.close();
  }
  progress.end();
}

function readPeriod({ since, until }: ArchiveExportOptions): { readonly since?: number; readonly until: number } {
  // What comes in meanwhile would be run after for ever.
  const end = until === undefined ? Date.now() : readTime(until, '--until', DAY - 1);
  if (since === undefined) return { until: end };
  const start = readTime(since, '--since', 0);
  if (start > end) throw new CliError('nothing lies between --since and --until', EXIT.usage);
  return { since: start, until: end };
}

/** Milliseconds since the epoch; a day alone is its beginning and `later`. */
function readTime(text: string, name: string, later: number): number {
  const [, day = '', time] = TIME.exec(text) ?? [];
  const start = Date.parse(day);
  // Date.parse takes the 30th of February for a day in March.
  const isDay = !Number.isNaN(start) && new Date(start).toISOString().startsWith(day);
  const at = time === undefined ? start + later : Date.parse(text);
  if (isDay && !Number.isNaN(at)) return at;
  const examples = '2026-01-31 or 2026-01-31T12:00:00Z';
  throw new CliError(`${name}: expected a day or a time such as ${examples}, found ${JSON.stringify(text)}`, EXIT.usage);
}

async function checkAccount(config: ServerConfig, { domain, local, bare }: Jid): Promise<void> {
  if (!config.hosts.has(domain)) {
    throw new CliError(`${config.file} has no host ${domain}; it has ${[...config.hosts.keys()].join(', ')}`, EXIT.usage);
  }
  if (config.storage.type === 'memory') {
    throw new CliError('with storage in memory there are archives only within the running server, and nothing can export them');
  }
  const accounts = await openAccountsOf(config);
  try {
    if (!(await (await accounts.of(domain)).exists(local))) throw new CliError(`${bare}: there is no such account`);
  } finally {
    await accounts.close();
  }
}

/** Writes no faster than it is read. Who goes away (EPIPE) has had enough: that is no failure, as with `| head`. */
async function writeAll({ stdout }: Terminal, texts: AsyncIterable<string>): Promise<void> {
  if (!(stdout instanceof Writable)) {
    for await (const text of texts) stdout.write(text);
    return;
  }
  try {
    await pipeline(texts, stdout, { end: false });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE');
}

/** Tells on the standard error how far it is, once that takes long. */
class Progress {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  #reported: number;
  #hasSpoken = false;
  #messages = 0;
  #damaged = 0;

  constructor(terminal: Terminal, now: () => number) {
    this.#terminal = terminal;
    this.#now = now;
    this.#reported = now();
  }

  /** The texts of chunks, which are counted. */
  async *watch(chunks: AsyncIterable<ExportChunk>): AsyncGenerator<string> {
    for await (const { text, messages, damaged, time } of chunks) {
      this.#messages += messages;
      this.#damaged += damaged;
      if (time !== undefined && this.#now() - this.#reported >= PROGRESS_EVERY) this.#report(new Date(time));
      if (text !== '') yield text;
    }
  }

  /** Throws CliError where something could not be exported. */
  end(): void {
    if (this.#hasSpoken) this.#say(`${this.#messages} messages`);
    if (this.#damaged === 0) return;
    throw new CliError(`the database is damaged: ${this.#damaged} items cannot be read, and were left out`);
  }

  #report(time: Date): void {
    this.#reported = this.#now();
    this.#hasSpoken = true;
    this.#say(`${this.#messages} messages so far, up to ${time.toISOString()}`);
  }

  #say(text: string): void {
    this.#terminal.stderr.write(`parlance: ${text}\n`);
  }
}
