import assert from 'node:assert/strict';
import { Metrics } from '../../src/metrics.ts';

describe('metrics', () => {
  it('are OpenMetrics text, read when somebody looks', async () => {
    const metrics = new Metrics();
    let open = 1;
    metrics.gauge('xmpp_connections', 'Open streams.', { transport: 'tcp' }, () => open);
    const tally = metrics.tally('xmpp_things_total', 'Things.', { kind: 'a' });
    open = 7;
    tally.n += 3;
    metrics.counter('xmpp_logins_total', 'Logins.', ['outcome']).inc({ outcome: 'ok' }, 2);
    metrics.histogram('xmpp_wait_seconds', 'Waits.', { buckets: [0.1, 1] }).observe({}, 0.5);
    const text = await metrics.render();
    for (const line of [
      '# TYPE xmpp_connections gauge',
      'xmpp_connections{transport="tcp"} 7',
      '# TYPE xmpp_things counter',
      'xmpp_things_total{kind="a"} 3',
      'xmpp_logins_total{outcome="ok"} 2',
      'xmpp_wait_seconds_bucket{le="0.1"} 0',
      'xmpp_wait_seconds_bucket{le="1"} 1',
      'xmpp_wait_seconds_count 1',
    ]) {
      assert.ok(text.split('\n').includes(line), `${line}\nis not in\n${text}`);
    }
    assert.ok(text.endsWith('# EOF\n'));
    assert.match(metrics.contentType, /^application\/openmetrics-text/);
  });

  it('lose a series that is taken away, and one that cannot be read', async () => {
    const metrics = new Metrics();
    const takeAway = metrics.gauge('a', 'A.', { host: 'x' }, () => 1);
    metrics.gauge('a', 'A.', { host: 'y' }, () => {
      throw new Error('closing');
    });
    metrics.gauge('a', 'A.', { host: 'z' }, () => Number.NaN);
    takeAway();
    assert.doesNotMatch(await metrics.render(), /^a\{/m);
  });

  it('are the same for who asks again, and refuse another kind or other labels', () => {
    const metrics = new Metrics();
    assert.equal(metrics.counter('a_total', 'A.', ['x']), metrics.counter('a_total', 'A.', ['x']));
    assert.equal(metrics.tally('b_total', 'B.', { x: '1' }), metrics.tally('b_total', 'B.', { x: '1' }));
    assert.throws(() => metrics.counter('a_total', 'A.', ['y']), /another kind or other labels/);
    assert.throws(() => metrics.gauge('a_total', 'A.', {}, () => 1), /another kind or other labels/);
    assert.throws(() => metrics.count('c', 'C.', {}, () => 1), /does not end in _total/);
  });

  it('tell how the process is, until they are closed', async () => {
    const metrics = new Metrics();
    metrics.watchProcess();
    const text = await metrics.render();
    metrics.close();
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_delay_seconds', 'process_cpu_user_seconds_total']) {
      assert.match(text, new RegExp(`^${name}(\\{[^}]*\\})? [\\d.e+-]+$`, 'm'));
    }
  });
});
