// The table, for a terminal or in Markdown.
import { SERVERS, type ServerName } from './catalog.ts';
import {
  type Cell,
  type Measurement,
  measureNoise,
  NOISE_LIMIT,
  type Ratio,
  type Records,
  type Result,
  summarize,
  troubleOf,
} from './summary.ts';

/** How the table looks. */
export type Format = 'plain' | 'markdown';

/** The settings that go without saying; others are named in the cell. */
const USUAL: ReadonlyMap<ServerName, string> = new Map([
  ['prosody', 'tuned'],
  ['ejabberd', 'base'],
]);

/** What is printed in the end: where it was measured, the table, how many goals were met, and how quiet it was. */
export function renderReport({ about, measurements }: Records, format: Format): string {
  const results = summarize(measurements);
  if (results.length === 0) return 'Nothing was measured.';
  const table = renderTable(results);
  const lines = [
    ...about,
    '',
    ...(format === 'markdown' ? layMarkdown(table) : layPlain(table)),
    '',
    ...renderNotes(results, measurements),
  ];
  return lines.map((line) => (format === 'markdown' && !line.startsWith('|') && line !== '' ? `${line}  ` : line)).join('\n');
}

/** The table's cells, its head first. */
export function renderTable(results: readonly Result[]): readonly (readonly string[])[] {
  const servers = SERVERS.filter((server) => results.some(({ cells }) => cells.has(server)));
  const hasIdle = results.some(({ toIdle }) => toIdle);
  const ratios = ['parlance / best rival', 'parlance / relay', ...(hasIdle ? ['parlance / idle'] : [])];
  const head = ['server CPU, memory, latency', 'unit', ...servers, ...ratios];
  const rows = results.map(({ row, cells, toRival, toRelay, toIdle, isValid }) => [
    isValid ? row.title : `${row.title} *`,
    row.unit,
    ...servers.map((server) => renderCell(server, cells.get(server))),
    renderRatio(toRival, isValid),
    renderRatio(toRelay, isValid),
    ...(hasIdle ? [renderRatio(toIdle, isValid)] : []),
  ]);
  return [head, ...rows];
}

/** Three digits are more than the spread allows; a thousand and more in full. */
export function renderNumber(value: number): string {
  return Math.abs(value) < 1000 ? String(Number(value.toPrecision(3))) : value.toFixed(0);
}

function renderCell(server: ServerName, cell: Cell | undefined): string {
  if (!cell) return '-';
  const range = cell.runs > 1 ? ` [${renderNumber(cell.min)}..${renderNumber(cell.max)}]` : '';
  const usual = USUAL.get(server);
  const variant = usual === undefined || usual === cell.variant ? '' : ` (${cell.variant})`;
  return renderNumber(cell.median) + range + variant;
}

function renderRatio(ratio: Ratio | undefined, isValid: boolean): string {
  if (!ratio) return '-';
  const value = ratio.value.toFixed(2);
  if (!ratio.goal) return value;
  const goal = `${ratio.goal.isBelow ? '<' : '<='} ${renderNumber(ratio.goal.most)}`;
  return `${value} (${goal}) ${ratio.isMet ? 'pass' : 'miss'}${isValid ? '' : '*'}`;
}

function renderNotes(results: readonly Result[], measurements: readonly Measurement[]): readonly string[] {
  const judged = results.flatMap(({ toRival, toRelay, toIdle, isValid }) =>
    [toRival, toRelay, toIdle].flatMap((ratio) => (ratio?.isMet === undefined ? [] : [isValid ? ratio.isMet : undefined])),
  );
  const count = (verdict: boolean | undefined) => judged.filter((found) => found === verdict).length;
  const noise = measureNoise(measurements);
  const troubled = measurements.filter((run) => troubleOf(run) > 0);
  return [
    'Median [least..most] of the runs; less is better, but for what is counted per second (/s). Prosody is tuned and ejabberd as Debian starts it, unless the cell says otherwise.',
    `Goals: ${count(true)} met, ${count(false)} missed, ${count(undefined)} not valid.`,
    `Other processes took ${renderNumber(noise.median)} % of a core (median; at most ${renderNumber(noise.max)} %); above ${NOISE_LIMIT} % in ${noise.noisyRuns} of ${noise.runs} runs.`,
    ...(troubled.length > 0 ? [`Messages were lost, or clients failed: ${troubled.map(describeTrouble).join(', ')}.`] : []),
    ...(results.some(({ isValid }) => !isValid)
      ? ['Rows with * are not valid: too few of their runs were quiet. Measure again when nothing else runs.']
      : []),
  ];
}

function describeTrouble(run: Measurement): string {
  return `${run.server} ${run.scenario} (${troubleOf(run)})`;
}

function layPlain(table: readonly (readonly string[])[]): readonly string[] {
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [lines[0]!, rule, ...lines.slice(1)];
}

function layMarkdown(table: readonly (readonly string[])[]): readonly string[] {
  const lines = table.map((row) => `| ${row.map((cell) => cell.replaceAll('*', '\\*').replaceAll('<', '&lt;')).join(' | ')} |`);
  return [lines[0]!, `|${'---|'.repeat(table[0]!.length)}`, ...lines.slice(1)];
}
