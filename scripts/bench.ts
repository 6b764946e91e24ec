// Measures Parlance beside other servers, and prints the ratios: node dist/scripts/bench.js (scripts/bench/README.md).
import { accessSync, appendFileSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { constants as system, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Stage } from './bench/catalog.ts';
import { BenchError } from './bench/errors.ts';
import { compileTool } from './bench/load-tool.ts';
import { describeMachine } from './bench/machine.ts';
import { type BenchOptions, chooseStages, readOptions } from './bench/options.ts';
import { CACHE, SOURCES } from './bench/places.ts';
import { type Format, renderReport } from './bench/report.ts';
import { runPlan } from './bench/runner.ts';
import { CONTENDERS, type Contender } from './bench/servers.ts';
import { type Measurement, readRecords } from './bench/summary.ts';

try {
  const options = readOptions(process.argv.slice(2));
  if (options && options.from.length > 0) {
    const records = readRecords(options.from.map((file) => readFileSync(file, 'utf8')).join('\n'));
    console.log(renderReport(records, formatOf(options)));
  } else if (options) await measure(options);
} catch (error) {
  if (!(error instanceof BenchError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function measure(options: BenchOptions): Promise<void> {
  const { groups, isQuick, json, rounds, servers, size } = options;
  const program = compileTool(join(SOURCES, 'xmppload.c'), CACHE);
  const contenders = CONTENDERS.filter(({ name }) => servers.includes(name)).filter(isThere);
  const about = [describeMachine(), contenders.map((contender) => contender.version()).join('; ')];
  for (const line of about) tell(line);
  const record = (entry: unknown) => {
    if (json !== undefined) appendFileSync(json, `${JSON.stringify(entry)}\n`);
  };
  record({ about });
  const measurements: Measurement[] = [];
  const folder = mkdtempSync(join(temporaryFolder(), 'parlance-bench-'));
  mkdirSync(CACHE, { recursive: true });
  const diskFolder = mkdtempSync(join(CACHE, 'disk-'));
  process.on('exit', () => {
    for (const each of [folder, diskFolder]) rmSync(each, { recursive: true, force: true });
  });
  const stages = leaveOutArchives(chooseStages(groups), contenders);
  const interrupted = listenForSignals();
  try {
    const keep = (measurement: Measurement) => {
      measurements.push(measurement);
      record(measurement);
    };
    const run = { program, folder, diskFolder, signal: interrupted, tell, keep, patience: isQuick ? 1500 : 6000 };
    await runPlan({ rounds, size, contenders, stages, ...run });
  } catch (error) {
    if (!interrupted.aborted) throw error;
    tell('interrupted; this is what there is so far');
  }
  console.log(`\n${renderReport({ about, measurements }, formatOf(options))}`);
}

function formatOf({ isMarkdown }: BenchOptions): Format {
  return isMarkdown ? 'markdown' : 'plain';
}

function isThere(contender: Contender): boolean {
  const missing = contender.missing();
  if (missing !== undefined) tell(`left out: ${missing}`);
  return missing === undefined;
}

/** Without those that need a disk where there is none; says that, and who can keep no archive. */
function leaveOutArchives(stages: readonly Stage[], contenders: readonly Contender[]): readonly Stage[] {
  if (!stages.some(({ archive }) => archive)) return stages;
  for (const { hasAccounts, missingForArchive } of contenders) {
    const missing = hasAccounts ? missingForArchive() : undefined;
    if (missing !== undefined) tell(`left out of what needs an archive: ${missing}`);
  }
  const TMPFS = 0x01021994; // statfs(2)
  if (statfsSync(CACHE).type !== TMPFS) return stages;
  tell(`left out: what is archived on disk, since ${CACHE} is in memory`);
  return stages.filter(({ archive }) => archive?.place !== 'disk');
}

/** In memory where there is such a place, so that no disk is measured. */
function temporaryFolder(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

/** Is aborted when somebody wants this to end; the servers are stopped in good order then. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      process.exitCode = 128 + system.signals[name];
      controller.abort();
    });
  return controller.signal;
}

function tell(text: string): void {
  console.error(`${new Date().toTimeString().slice(0, 8)} ${text}`);
}
