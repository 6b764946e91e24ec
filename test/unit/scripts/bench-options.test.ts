import assert from 'node:assert/strict';
import { GROUPS, ROWS, SERVERS, STAGES } from '../../../scripts/bench/catalog.ts';
import { BenchError } from '../../../scripts/bench/errors.ts';
import { chooseStages, readOptions } from '../../../scripts/bench/options.ts';

function namesOf(groups: Parameters<typeof chooseStages>[0]): readonly (readonly string[])[] {
  return chooseStages(groups).map(({ scenarios }) => scenarios.map(({ name }) => name));
}

describe('The options of the benchmark', () => {
  it('measure everything three times when nothing is said', () => {
    const { rounds, servers, groups, size, isQuick } = readOptions([])!;
    assert.deepEqual({ rounds, servers, groups, isQuick }, { rounds: 3, servers: SERVERS, groups: GROUPS, isQuick: false });
    assert.equal(size.accounts, 2000);
    assert.equal(size.window, 6);
  });

  it('make it short and leave out what needs many clients when it is to be quick', () => {
    const { rounds, groups, size } = readOptions(['--quick'])!;
    assert.equal(rounds, 1);
    assert.deepEqual(groups, ['pairs', 'tls', 'ws', 'presence', 'login']);
    assert.equal(size.accounts, 400);
    assert.equal(size.settle, 0, 'memory is not read');
  });

  it('make enough accounts for what is asked for, quick or not', () => {
    assert.equal(readOptions(['--quick', '--scenarios', 'memory'])!.size.accounts, 2000);
    assert.equal(readOptions(['--quick', '--scenarios', 'idle'])!.size.accounts, 2000);
    assert.notEqual(readOptions(['--quick', '--scenarios', 'memory'])!.size.settle, 0);
  });

  it('name servers and scenarios in any order', () => {
    const { servers, groups } = readOptions(['--only', 'relay, parlance', '--scenarios', 'ws,pairs'])!;
    assert.deepEqual(servers, ['parlance', 'relay']);
    assert.deepEqual(groups, ['ws', 'pairs']);
  });

  it('take rounds, seconds, files and the format', () => {
    const options = readOptions(['--rounds', '5', '--seconds', '1', '--json', 'a', '--from', 'b', 'c', '--markdown'])!;
    const { rounds, size, json, from, isMarkdown } = options;
    assert.deepEqual(
      { rounds, window: size.window, json, from, isMarkdown },
      { rounds: 5, window: 1, json: 'a', from: ['b', 'c'], isMarkdown: true },
    );
  });

  it('are refused when they are wrong', () => {
    for (const args of [
      ['--rounds', '0'],
      ['--rounds', '1.5'],
      ['--rounds', 'x'],
      ['--rounds'],
      ['--seconds', '-1'],
      ['--only', 'openfire'],
      ['--only', ''],
      ['--only', '__proto__'],
      ['--scenarios', 'pairs,,tls'],
      ['--unknown'],
      ['extra'],
    ]) {
      assert.throws(() => readOptions(args), BenchError, args.join(' '));
    }
  });
});

describe('The stages of the benchmark', () => {
  it('hold what was asked for and nothing else', () => {
    assert.deepEqual(namesOf(['ws']), [['pairs-ws']]);
    assert.deepEqual(namesOf(['pairs', 'latency']), [
      ['pairs-w1', 'pairs-w8'],
      ['open-2000', 'open-5000'],
    ]);
  });

  it('read memory from a freshly started server, and log in to one that has warmed up', () => {
    assert.deepEqual(namesOf(['memory']), [['memory-plain'], ['memory-tls']]);
    assert.deepEqual(namesOf(['login']), [['warm-up', 'warm-up-tls', 'login-plain', 'login-tls', 'login-scram']]);
  });

  it('compare resumptions with logins to the same server', () => {
    assert.deepEqual(namesOf(['resume']), [['warm-up', 'login-plain', 'login-scram', 'resume-plain', 'resume-scram']]);
  });

  it('keep an archive only where that is measured, each with data of its own', () => {
    assert.deepEqual(namesOf(['store', 'disk']), [
      ['store-w1', 'store-w8'],
      ['disk-w1', 'disk-w8'],
    ]);
    assert.deepEqual(namesOf(['page']), [['page-10k'], ['page-1m']]);
    const places = (groups: Parameters<typeof chooseStages>[0]) => chooseStages(groups).map(({ archive }) => archive?.place);
    assert.deepEqual(places(['store', 'disk', 'page']), ['memory', 'disk', 'memory', 'memory']);
    const others = GROUPS.filter((group) => !['store', 'disk', 'page'].includes(group));
    assert.deepEqual([...new Set(places(others))], [undefined]);
  });

  it('fill rooms that nobody was in, the largest on a server that has done nothing else', () => {
    assert.deepEqual(namesOf(['rooms']), [['rooms-20', 'rooms-200'], ['join-1000'], ['rooms-2000']]);
  });

  it('have an account for each client they log in', () => {
    const { size } = readOptions([])!;
    for (const { name, accounts, options } of chooseStages(['rooms']).flatMap(({ scenarios }) => scenarios)) {
      const given = options(size);
      assert.equal(given[given.indexOf('--clients') + 1], String(accounts), name);
    }
  });

  it('write into a database directly only for the server whose database they know', () => {
    const seeded = STAGES.filter(({ archive }) => archive?.seeded !== undefined);
    assert.deepEqual(
      seeded.flatMap(({ scenarios }) => scenarios.map(({ servers }) => servers)),
      [['parlance']],
    );
  });

  it('yield every row of the table, in the group the row names', () => {
    const scenarios = STAGES.flatMap((stage) => stage.scenarios);
    for (const { group, scenario, title } of ROWS)
      assert.ok(scenarios.find(({ name }) => name === scenario)?.groups.includes(group), title);
  });
});
