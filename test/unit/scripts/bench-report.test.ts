import assert from 'node:assert/strict';
import { renderNumber, renderReport, renderTable } from '../../../scripts/bench/report.ts';
import { type Measurement, summarize } from '../../../scripts/bench/summary.ts';

function run(server: Measurement['server'], value: number, other = 0, variant = 'base'): Measurement {
  const figures = { srv_cpu_us_per_delivery: value, other_cpu_pct: other };
  return { scenario: 'pairs-w1', server, variant, round: 1, figures };
}

const measurements = [run('parlance', 12.34), run('parlance', 13), run('prosody', 60, 0, 'tuned'), run('relay', 10)];

describe('The table of the benchmark', () => {
  it('shows medians with their spread, ratios, goals and verdicts', () => {
    assert.deepEqual(renderTable(summarize(measurements)), [
      ['server CPU, memory, latency', 'unit', 'parlance', 'prosody', 'relay', 'parlance / best rival', 'parlance / relay'],
      ['one-to-one', 'µs', '12.7 [12.3..13]', '60', '10', '0.21 (<= 0.333) pass', '1.27 (<= 2) pass'],
    ]);
  });

  it('has a column for what a server is compared with itself, where there is such a row', () => {
    const figures = { idle_p99_ms: 0.5, beside_p99_ms: 1.2 };
    const busy: Measurement = { scenario: 'rooms-2000', server: 'parlance', variant: 'base', round: 1, figures };
    const [head, first, ...others] = renderTable(summarize([...measurements, busy]));
    assert.equal(head?.at(-1), 'parlance / idle');
    assert.equal(first?.at(-1), '-');
    assert.deepEqual(
      others.map((line) => [line[0], line.at(-1)]),
      [
        ['chat p99, room of 2000 silent', '-'],
        ['chat p99, room of 2000 busy', '2.40 (<= 2) miss'],
      ],
    );
    assert.match(renderReport({ about: [], measurements: [busy] }, 'plain'), /Goals: 0 met, 1 missed, 0 not valid\./);
  });

  it('marks a row that is not valid, and does not count its goals', () => {
    const noisy = [...measurements, run('relay', 10, 90)].filter(
      ({ server, figures }) => server !== 'relay' || figures['other_cpu_pct'] === 90,
    );
    const [, line] = renderTable(summarize(noisy)) as [unknown, readonly string[]];
    assert.equal(line[0], 'one-to-one *');
    assert.equal(line.at(-1), '1.27 (<= 2) pass*');
    const report = renderReport({ about: [], measurements: noisy }, 'plain');
    assert.match(report, /Goals: 0 met, 0 missed, 2 not valid\./);
    assert.match(report, /not valid: too few of their runs were quiet/);
  });

  it('names the settings of a rival that are not the usual ones', () => {
    const [, line] = renderTable(summarize([run('ejabberd', 100, 0, 'nospin'), run('prosody', 60, 0, 'default')])) as [
      unknown,
      readonly string[],
    ];
    assert.deepEqual(line.slice(2, 4), ['60 (default)', '100 (nospin)']);
  });

  it('says where messages were lost', () => {
    const lossy = { ...run('parlance', 1), figures: { srv_cpu_us_per_delivery: 1, lost: 7 } };
    assert.match(
      renderReport({ about: [], measurements: [lossy] }, 'plain'),
      /lost, or clients failed: parlance pairs-w1 \(7\)\./,
    );
  });

  it('is aligned on a terminal', () => {
    const lines = renderReport({ about: ['a machine'], measurements }, 'plain').split('\n');
    assert.deepEqual(lines.slice(0, 2), ['a machine', '']);
    const [head, rule, first] = lines.slice(2) as [string, string, string];
    assert.equal(head.indexOf('prosody'), first.indexOf('60'));
    assert.match(rule, /^[- ]+$/);
  });

  it('is one in Markdown', () => {
    const lines = renderReport({ about: ['a machine'], measurements }, 'markdown')
      .split('\n')
      .filter((line) => line.startsWith('|'));
    assert.equal(lines[1], '|---|---|---|---|---|---|---|');
    assert.equal(lines[2], '| one-to-one | µs | 12.7 [12.3..13] | 60 | 10 | 0.21 (&lt;= 0.333) pass | 1.27 (&lt;= 2) pass |');
  });

  it('says so when there is nothing to show', () => {
    assert.equal(renderReport({ about: ['a machine'], measurements: [] }, 'plain'), 'Nothing was measured.');
  });
});

describe('A figure', () => {
  it('has three digits, or all before the point', () => {
    for (const [value, shown] of [
      [61.44, '61.4'],
      [0.0857, '0.0857'],
      [9.999, '10'],
      [374, '374'],
      [12345.6, '12346'],
      [-0.25, '-0.25'],
      [0, '0'],
    ] as const) {
      assert.equal(renderNumber(value), shown);
    }
  });
});
