import assert from 'node:assert/strict';
import { ROWS, type Row, type ServerName } from '../../../scripts/bench/catalog.ts';
import { BenchError } from '../../../scripts/bench/errors.ts';
import { readFigures } from '../../../scripts/bench/load-tool.ts';
import { type Measurement, measureNoise, median, readRecords, summarizeRow, troubleOf } from '../../../scripts/bench/summary.ts';

const FIGURE = 'srv_cpu_us_per_delivery';

function run(server: ServerName, value: number, changes: { variant?: string; other?: number } = {}): Measurement {
  const figures = { [FIGURE]: value, other_cpu_pct: changes.other ?? 0 };
  return { scenario: 'pairs-w1', server, variant: changes.variant ?? 'base', round: 1, figures };
}

function row(changes: Partial<Row> = {}): Row {
  const standard: Row = {
    title: 'one-to-one',
    unit: 'µs',
    group: 'pairs',
    scenario: 'pairs-w1',
    figure: FIGURE,
    rivals: ['prosody', 'ejabberd'],
    rivalGoal: { most: 1 / 3 },
    relayGoal: { most: 2 },
  };
  return { ...standard, ...changes };
}

describe('The median', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.equal(median([7]), 7);
    assert.ok(Number.isNaN(median([])));
  });

  it('orders by value and not by spelling', () => {
    assert.equal(median([9, 10, 100]), 10);
  });
});

describe('A row of the benchmark', () => {
  it('tells the median and the spread of each server', () => {
    const { cells } = summarizeRow(row(), [run('parlance', 12), run('parlance', 10), run('parlance', 17)]);
    const { median: middle, min, max, runs, isNoisy } = cells.get('parlance')!;
    assert.deepEqual({ middle, min, max, runs, isNoisy }, { middle: 12, min: 10, max: 17, runs: 3, isNoisy: false });
  });

  it('compares with the better of the rivals, and with the relay', () => {
    const runs = [run('parlance', 15), run('prosody', 60), run('ejabberd', 50), run('relay', 10)];
    const { toRival, toRelay, isValid } = summarizeRow(row(), runs);
    assert.equal(toRival?.value, 0.3);
    assert.equal(toRival?.isMet, true);
    assert.equal(toRelay?.value, 1.5);
    assert.equal(toRelay?.isMet, true);
    assert.ok(isValid);
  });

  it('takes the settings of a rival that are better for it', () => {
    const runs = [run('parlance', 20), run('prosody', 40, { variant: 'default' }), run('prosody', 60, { variant: 'tuned' })];
    const { cells, toRival } = summarizeRow(row(), runs);
    assert.equal(cells.get('prosody')?.variant, 'default');
    assert.equal(toRival?.value, 0.5);
    assert.equal(toRival?.isMet, false);
  });

  it('meets a goal that is reached exactly, unless it has to be below', () => {
    const runs = [run('parlance', 50), run('prosody', 50)];
    assert.equal(summarizeRow(row({ rivalGoal: { most: 1 } }), runs).toRival?.isMet, true);
    assert.equal(summarizeRow(row({ rivalGoal: { most: 1, isBelow: true } }), runs).toRival?.isMet, false);
  });

  it('judges only the rivals that it names', () => {
    const runs = [run('parlance', 20), run('prosody', 40), run('ejabberd', 10)];
    assert.equal(summarizeRow(row({ rivals: ['prosody'] }), runs).toRival?.value, 0.5);
  });

  it('takes the most for the best where it counts per second', () => {
    const runs = [run('parlance', 900), run('prosody', 300, { variant: 'default' }), run('prosody', 400), run('ejabberd', 450)];
    const { cells, toRival } = summarizeRow(row({ unit: '/s' }), runs);
    assert.equal(cells.get('prosody')?.median, 400);
    assert.equal(toRival?.value, 2);
  });

  it('has no verdict without a goal, and no ratio without the other server', () => {
    const { rivalGoal: _, ...without } = row();
    const { toRival, toRelay } = summarizeRow(without, [run('parlance', 20), run('prosody', 40)]);
    assert.deepEqual(toRival, { value: 0.5, goal: undefined, isMet: undefined });
    assert.equal(toRelay, undefined);
  });

  it('compares a server with itself when it has little to do', () => {
    const busy = {
      title: 'busy',
      scenario: 'rooms-2000',
      figure: 'beside_p99_ms',
      idleFigure: 'idle_p99_ms',
      idleGoal: { most: 2 },
    };
    const measure = (server: ServerName, idle: number, beside: number): Measurement => ({
      ...run(server, 0),
      scenario: 'rooms-2000',
      figures: { idle_p99_ms: idle, beside_p99_ms: beside },
    });
    const runs = [measure('parlance', 1, 2), measure('parlance', 3, 5), measure('parlance', 2, 3), measure('prosody', 9, 1)];
    assert.deepEqual(summarizeRow(row(busy), runs).toIdle, { value: 1.5, goal: { most: 2 }, isMet: true });
    assert.equal(summarizeRow(row(busy), [measure('prosody', 9, 1)]).toIdle, undefined);
    assert.equal(summarizeRow(row(), [run('parlance', 20)]).toIdle, undefined);
  });

  it('has no ratio to nothing', () => {
    assert.equal(summarizeRow(row(), [run('parlance', 20), run('prosody', 0)]).toRival, undefined);
  });

  it('leaves out runs that others disturbed, where two quiet ones are left', () => {
    const runs = [run('parlance', 10), run('parlance', 12), run('parlance', 90, { other: 80 })];
    const result = summarizeRow(row(), runs);
    assert.equal(result.cells.get('parlance')?.max, 12);
    assert.ok(result.isValid);
  });

  it('is not valid where fewer are left, and then shows all of them', () => {
    const runs = [run('parlance', 10), run('parlance', 80, { other: 26 }), run('parlance', 90, { other: 80 })];
    const result = summarizeRow(row(), runs);
    assert.equal(result.cells.get('parlance')?.runs, 3);
    assert.equal(result.isValid, false);
  });

  it('is not valid when the figures of what it is compared with are not', () => {
    assert.equal(summarizeRow(row(), [run('parlance', 10), run('relay', 9, { other: 120 })]).isValid, false);
    assert.equal(summarizeRow(row(), [run('parlance', 10), run('relay', 9, { other: 25 })]).isValid, true);
  });

  it('ignores runs that lack its figure, and other scenarios', () => {
    const other: Measurement = { ...run('prosody', 1), scenario: 'presence' };
    const lacking: Measurement = { ...run('ejabberd', 1), figures: {} };
    assert.deepEqual([...summarizeRow(row(), [other, lacking]).cells], []);
  });
});

describe('The goals of the benchmark', () => {
  const goalsOf = (scenario: string, figure: string) => {
    const found = ROWS.find((candidate) => candidate.scenario === scenario && candidate.figure === figure);
    return [found?.rivalGoal?.most, found?.relayGoal?.most];
  };

  it('are a third of the better rival and twice the relay for one-to-one delivery, however it is carried', () => {
    for (const scenario of ['pairs-w1', 'pairs-tls', 'pairs-ws', 'pairs-idle']) {
      assert.deepEqual(goalsOf(scenario, FIGURE), [1 / 3, 2], scenario);
    }
  });

  it('are a third for presence, half for logins, half of Prosody for memory, and the best for latency', () => {
    assert.deepEqual(goalsOf('presence', FIGURE), [1 / 3, undefined]);
    for (const scenario of ['login-plain', 'login-scram', 'login-tls']) {
      assert.deepEqual(goalsOf(scenario, 'srv_cpu_ms_per_login'), [1 / 2, undefined], scenario);
    }
    assert.deepEqual(goalsOf('memory-plain', 'kib_per_conn'), [1 / 2, undefined]);
    assert.deepEqual(goalsOf('memory-tls', 'kib_per_conn'), [1, undefined]);
    assert.deepEqual(goalsOf('open-5000', 'p99_ms'), [1, undefined]);
  });

  it('are a third for rooms and joins, and twice its own idle latency for who chats beside a room', () => {
    for (const scenario of ['rooms-20', 'rooms-200', 'rooms-2000'])
      assert.deepEqual(goalsOf(scenario, FIGURE), [1 / 3, undefined], scenario);
    assert.deepEqual(goalsOf('join-1000', 'srv_cpu_ms_per_join'), [1 / 3, undefined]);
    const beside = ROWS.find(({ figure }) => figure === 'beside_p99_ms');
    assert.deepEqual([beside?.idleFigure, beside?.idleGoal], ['idle_p99_ms', { most: 2 }]);
  });
});

describe('Noise', () => {
  it('is what others took over all runs', () => {
    const runs = [run('parlance', 1, { other: -1 }), run('prosody', 1, { other: 30 }), run('relay', 1, { other: 5 })];
    assert.deepEqual(measureNoise(runs), { median: 5, max: 30, noisyRuns: 1, runs: 3 });
  });
});

describe('Trouble', () => {
  it('is everything that was lost or failed', () => {
    const figures = { lost: 2, errors: 1, fails: 3, drops: 0, misdirected: 4, incomplete: 5 };
    assert.equal(troubleOf({ ...run('parlance', 1), figures }), 15);
    assert.equal(troubleOf({ ...run('parlance', 1), figures: { doubled: 1, disordered: 2, short_pages: 3 } }), 6);
    assert.equal(troubleOf(run('parlance', 1)), 0);
  });
});

describe('What the load tool prints', () => {
  it('is read from its last line that is JSON, with remarks around it', () => {
    const output = 'drop uid=3: closed by server\n{"scenario":"old","n":1}\n{"scenario":"pairs","n":200,"p50_ms":0.5}\nbye\n';
    assert.deepEqual(readFigures(output), { scenario: 'pairs', n: 200, p50_ms: 0.5 });
  });

  it('yields nothing where there is no such line', () => {
    for (const output of ['', '\n\n', 'login timed out: auth=3\n', '{"scenario":"pairs"', '[1,2]\n', 'null']) {
      assert.equal(readFigures(output), undefined, output);
    }
  });

  it('leaves out values that are no figures', () => {
    assert.deepEqual(readFigures('{"n":1,"list":[1],"none":null,"yes":true,"inner":{"a":1}}'), { n: 1 });
  });
});

describe('Records of a benchmark', () => {
  it('are read back as they were written', () => {
    const measurements = [run('parlance', 10), run('prosody', 60)];
    const lines = [{ about: ['a machine', 'some versions'] }, ...measurements, { about: ['a machine'] }];
    const text = `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
    assert.deepEqual(readRecords(text), { about: ['a machine', 'some versions'], measurements });
  });

  it('are refused with the number of a line that is none', () => {
    const fine = JSON.stringify(run('parlance', 1));
    for (const line of [
      '{',
      'x',
      'null',
      '1',
      '[]',
      '{}',
      '{"server":"parlance"}',
      '{"server":"nobody","scenario":"pairs-w1","variant":"base","figures":{}}',
      '{"server":"parlance","scenario":"pairs-w1","variant":"base","figures":null}',
    ]) {
      const isSo = (error: unknown) => error instanceof BenchError && error.message === 'line 2 is no measurement';
      assert.throws(() => readRecords(`${fine}\n${line}\n`), isSo, line);
    }
  });
});
