// The command line of the benchmark.
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { GROUPS, type Group, SERVERS, type ServerName, type Size, STAGES, type Stage } from './catalog.ts';
import { BenchError } from './errors.ts';

/** What was asked for. */
export interface BenchOptions {
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly servers: readonly ServerName[];
  readonly groups: readonly Group[];
  /** Where measurements are written, one JSON object a line. */
  readonly json: string | undefined;
  /** Print the table of these measurements, and measure nothing. */
  readonly from: readonly string[];
  readonly isMarkdown: boolean;
  readonly size: Size;
}

const QUICK: readonly Group[] = ['pairs', 'tls', 'ws', 'presence', 'login'];

/** Reads the arguments after the script's name; undefined when only the help was asked for. Throws BenchError when they are wrong. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const command = new Command('npm run bench --')
    .description('Measures Parlance beside Prosody, ejabberd and a bare relay. What the figures mean: scripts/bench/README.md.')
    .option('--rounds <n>', 'how often everything is measured (3; with --quick 1)', readCount)
    .option('--quick', `short runs of ${QUICK.join(', ')}: about three minutes, and rough`)
    .option('--only <servers>', `some of ${SERVERS.join(',')}`, readList(SERVERS))
    .option('--scenarios <groups>', `some of ${GROUPS.join(',')}`, readList(GROUPS))
    .option('--seconds <n>', 'length of a measurement (6; with --quick 2)', readCount)
    .option('--json <file>', 'append the measurements to this file')
    .option('--from <files...>', 'measure nothing; print the table of measurements made before')
    .option('--markdown', 'print the table in Markdown')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => {} })
    .exitOverride();
  try {
    command.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new BenchError(error.message);
  }
  const { quick: isQuick = false, ...given }: Given = command.opts();
  const groups = given.scenarios ?? (isQuick ? QUICK : GROUPS);
  return {
    rounds: given.rounds ?? (isQuick ? 1 : 3),
    isQuick,
    servers: SERVERS.filter((server) => given.only?.includes(server) ?? true),
    groups,
    json: given.json,
    from: given.from ?? [],
    isMarkdown: given.markdown ?? false,
    size: sizeOf(isQuick, groups, given.seconds),
  };
}

interface Given {
  readonly rounds?: number;
  readonly quick?: boolean;
  readonly only?: readonly ServerName[];
  readonly scenarios?: readonly Group[];
  readonly seconds?: number;
  readonly json?: string;
  readonly from?: readonly string[];
  readonly markdown?: boolean;
}

/** The stages with what was asked for, without those of which nothing is left. */
export function chooseStages(groups: readonly Group[]): readonly Stage[] {
  return STAGES.map((stage) => ({
    ...stage,
    scenarios: stage.scenarios.filter((scenario) => scenario.groups.some((group) => groups.includes(group))),
  })).filter(({ scenarios }) => scenarios.length > 0);
}

function sizeOf(isQuick: boolean, groups: readonly Group[], seconds: number | undefined): Size {
  // Memory per connection means nothing with few of them, and the idle ones are to be many.
  const needsMany = !isQuick || groups.includes('idle') || groups.includes('memory');
  return {
    clients: 200,
    accounts: needsMany ? 2000 : 400,
    warmup: isQuick ? 1 : 2,
    window: seconds ?? (isQuick ? 2 : 6),
    rest: isQuick ? 1 : 2,
    settle: groups.includes('memory') ? (isQuick ? 3 : 8) : 0,
  };
}

function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    throw new InvalidArgumentError('It has to be a number from 1 to 1000.');
  return count;
}

function readList<T extends string>(known: readonly T[]): (text: string) => readonly T[] {
  return (text) =>
    text.split(',').map((name) => {
      const found = known.find((candidate) => candidate === name.trim());
      if (found === undefined) throw new InvalidArgumentError(`There is no ${name}; there are ${known.join(', ')}.`);
      return found;
    });
}
