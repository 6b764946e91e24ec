// From measurements to the table's figures: medians, ratios, and whether they mean anything.

import { type Goal, ROWS, type Row, SERVERS, type ServerName } from './catalog.ts';
import { BenchError } from './errors.ts';

/** Above this share of one core, in percent, taken by other processes, a run does not count. */
export const NOISE_LIMIT = 25;

/** What one run of the load tool found. */
export interface Measurement {
  readonly scenario: string;
  readonly server: ServerName;
  /** The settings of the server. */
  readonly variant: string;
  /** From 1. */
  readonly round: number;
  /** The load tool's own words, by name. */
  readonly figures: Readonly<Record<string, number | string>>;
}

/** A figure of one server over its runs. */
export interface Cell {
  readonly variant: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Runs it was made of. */
  readonly runs: number;
  /** Too few of its runs were quiet, so it is made of all of them. */
  readonly isNoisy: boolean;
}

/** Parlance compared with another. */
export interface Ratio {
  readonly value: number;
  readonly goal: Goal | undefined;
  /** Undefined without a goal. */
  readonly isMet: boolean | undefined;
}

/** A row with its figures. */
export interface Result {
  readonly row: Row;
  readonly cells: ReadonlyMap<ServerName, Cell>;
  readonly toRival: Ratio | undefined;
  readonly toRelay: Ratio | undefined;
  /** Parlance compared with itself, when it has little to do. */
  readonly toIdle: Ratio | undefined;
  /** Whether all figures it compares come from quiet runs. */
  readonly isValid: boolean;
}

/** How much others disturbed the runs. */
export interface Noise {
  /** Percent of one core. */
  readonly median: number;
  readonly max: number;
  readonly noisyRuns: number;
  readonly runs: number;
}

/** What a benchmark leaves behind. */
export interface Records {
  /** Where and of what: the machine, the versions. */
  readonly about: readonly string[];
  readonly measurements: readonly Measurement[];
}

/**
 * Reads what was written, one JSON object a line: `{ "about": [...] }` at each start, the rest measurements. Throws BenchError with
 * the number of a line that is neither.
 */
export function readRecords(text: string): Records {
  const about = new Set<string>();
  const measurements: Measurement[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const record = parseRecord(line);
    if (isAbout(record)) for (const said of record.about) about.add(String(said));
    else if (isMeasurement(record)) measurements.push(record);
    else throw new BenchError(`line ${index + 1} is no measurement`);
  }
  return { about: [...about], measurements };
}

function parseRecord(line: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(line));
  } catch {
    return {};
  }
}

function isAbout(record: object): record is { readonly about: readonly unknown[] } {
  return 'about' in record && Array.isArray(record.about);
}

function isMeasurement(record: object): record is Measurement {
  const { scenario, server, variant, figures } = record as Partial<Measurement>;
  const isKnown = server !== undefined && SERVERS.includes(server);
  return (
    isKnown && typeof scenario === 'string' && typeof variant === 'string' && typeof figures === 'object' && figures !== null
  );
}

/** The figure of this name, if the tool gave one. */
export function figureOf(measurement: Measurement, name: string): number | undefined {
  const value = measurement.figures[name];
  return typeof value === 'number' ? value : undefined;
}

/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Whether others left the machine alone during this run. */
export function isQuiet(measurement: Measurement): boolean {
  return (figureOf(measurement, 'other_cpu_pct') ?? 0) <= NOISE_LIMIT;
}

/** Messages that were lost, doubled or out of order, went astray or bounced, pages that lack some, and clients that failed. */
export function troubleOf(measurement: Measurement): number {
  const names = ['lost', 'doubled', 'disordered', 'misdirected', 'errors', 'fails', 'drops', 'incomplete', 'short_pages'];
  return names.reduce((sum, name) => sum + (figureOf(measurement, name) ?? 0), 0);
}

/** The rows for which there is anything, in the table's order. */
export function summarize(measurements: readonly Measurement[]): readonly Result[] {
  return ROWS.map((row) => summarizeRow(row, measurements)).filter(({ cells }) => cells.size > 0);
}

/** One row. Of several settings of a server the one with the better median counts. */
export function summarizeRow(row: Row, measurements: readonly Measurement[]): Result {
  const runs = runsOf(row, row.figure, measurements);
  const cells = new Map<ServerName, Cell>();
  for (const server of SERVERS) {
    const cell = bestOf(row, cellsOf(server, runs, row.figure));
    if (cell) cells.set(server, cell);
  }
  const own = cells.get('parlance');
  const rival = bestOf(
    row,
    row.rivals.flatMap((server) => cells.get(server) ?? []),
  );
  const relay = cells.get('relay');
  const { idleFigure } = row;
  const idle = idleFigure !== undefined && bestOf(row, cellsOf('parlance', runsOf(row, idleFigure, measurements), idleFigure));
  return {
    row,
    cells,
    toRival: own && rival && compare(own, rival, row.rivalGoal),
    toRelay: own && relay && compare(own, relay, row.relayGoal),
    toIdle: own && idle ? compare(own, idle, row.idleGoal) : undefined,
    isValid: ![own, rival, relay].some((cell) => cell?.isNoisy),
  };
}

function runsOf({ scenario }: Row, figure: string, measurements: readonly Measurement[]): readonly Measurement[] {
  return measurements.filter((run) => run.scenario === scenario && figureOf(run, figure) !== undefined);
}

/** How much others took, over these runs. */
export function measureNoise(measurements: readonly Measurement[]): Noise {
  const shares = measurements.flatMap((run) => figureOf(run, 'other_cpu_pct') ?? []);
  return {
    median: median(shares),
    max: Math.max(...shares),
    noisyRuns: shares.filter((share) => share > NOISE_LIMIT).length,
    runs: shares.length,
  };
}

function cellsOf(server: ServerName, runs: readonly Measurement[], figure: string): readonly Cell[] {
  const own = runs.filter((run) => run.server === server);
  const variants = new Set(own.map(({ variant }) => variant));
  return [...variants].map((variant) => {
    const all = own.filter((run) => run.variant === variant);
    const quiet = all.filter(isQuiet);
    // One quiet run among noisy ones would be no better founded than they are.
    const isNoisy = quiet.length < Math.min(2, all.length);
    const values = (isNoisy ? all : quiet).map((run) => figureOf(run, figure)!);
    return {
      variant,
      median: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      runs: values.length,
      isNoisy,
    };
  });
}

function bestOf({ unit }: Row, cells: readonly Cell[]): Cell | undefined {
  const sign = unit === '/s' ? -1 : 1;
  return cells.reduce<Cell | undefined>(
    (best, cell) => (best && sign * best.median <= sign * cell.median ? best : cell),
    undefined,
  );
}

function compare(own: Cell, other: Cell, goal: Goal | undefined): Ratio | undefined {
  if (!(other.median > 0)) return undefined;
  const value = own.median / other.median;
  const isMet = goal && (goal.isBelow ? value < goal.most : value <= goal.most);
  return { value, goal, isMet };
}
