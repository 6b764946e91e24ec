import assert from 'node:assert/strict';
import { AddressLimits } from '../../../src/net/address-limits.ts';
import { LogRecorder } from './support.ts';

const MINUTE = 60_000;

describe('limits for each address', () => {
  let now: number;
  let log: LogRecorder;

  beforeEach(() => {
    now = 1_000_000 * MINUTE;
    log = new LogRecorder();
  });

  const create = (config: Partial<AddressLimits['config']> = {}) =>
    new AddressLimits({ connectionsPerAddress: 3, connectionsPerMinute: 5, exemptLoopback: false, ...config }, log, () => now);

  it('count open connections', () => {
    const limits = create();
    for (let i = 0; i < 3; i++) assert.equal(limits.enter('192.0.2.1'), undefined);
    assert.equal(limits.enter('192.0.2.1'), 'connections');
    assert.equal(limits.enter('192.0.2.2'), undefined);
    limits.leave('192.0.2.1');
    assert.equal(limits.enter('192.0.2.1'), undefined);
    assert.equal(limits.openOf('192.0.2.1'), 3);
  });

  it('count new connections in any sixty seconds, not in minutes of the clock', () => {
    const limits = create();
    const connect = () => {
      const refusal = limits.enter('192.0.2.1');
      if (refusal === undefined) limits.leave('192.0.2.1');
      return refusal;
    };
    now += MINUTE - 1000;
    for (let i = 0; i < 5; i++) assert.equal(connect(), undefined);
    assert.equal(connect(), 'rate');
    now += 2000; // the next minute of the clock
    assert.equal(connect(), 'rate');
    now += MINUTE / 2;
    assert.equal(connect(), undefined);
    now += 3 * MINUTE;
    for (let i = 0; i < 5; i++) assert.equal(connect(), undefined);
    assert.equal(connect(), 'rate');
  });

  it('do not count those that were refused', () => {
    const limits = create({ connectionsPerAddress: 1 });
    limits.enter('192.0.2.1');
    for (let i = 0; i < 100; i++) assert.equal(limits.enter('192.0.2.1'), 'connections');
    limits.leave('192.0.2.1');
    assert.equal(limits.enter('192.0.2.1'), undefined);
  });

  it('take the /64 of IPv6 for one address', () => {
    const limits = create();
    assert.equal(limits.enter('2001:db8::1'), undefined);
    assert.equal(limits.enter('2001:db8::ffff:ffff:ffff:ffff'), undefined);
    assert.equal(limits.enter('2001:db8:0:0:1::'), undefined);
    assert.equal(limits.enter('2001:db8::2'), 'connections');
    assert.equal(limits.enter('2001:db8:0:1::1'), undefined);
    limits.leave('2001:db8::3');
    assert.equal(limits.openOf('2001:db8::1'), 2);
  });

  it('can leave this machine out', () => {
    const limits = create({ exemptLoopback: true, connectionsPerAddress: 1 });
    for (const address of ['127.0.0.1', '127.9.9.9', '::1']) {
      for (let i = 0; i < 10; i++) assert.equal(limits.enter(address), undefined);
      limits.leave(address);
    }
    assert.equal(limits.size, 0);
  });

  it('take up another config', () => {
    const limits = create();
    for (let i = 0; i < 3; i++) limits.enter('192.0.2.1');
    limits.config = { connectionsPerAddress: 4, connectionsPerMinute: 100, exemptLoopback: false };
    assert.equal(limits.enter('192.0.2.1'), undefined);
  });

  it('remember a bounded number of addresses, and never forget one that is connected', () => {
    const limits = create();
    limits.enter('192.0.2.1');
    for (let i = 0; i < 250_000; i++) {
      const address = `2001:db8:${(i >> 16).toString(16)}:${(i & 0xffff).toString(16)}::1`;
      if (limits.enter(address) === undefined) limits.leave(address);
    }
    assert.ok(limits.size <= 100_001, String(limits.size));
    assert.equal(limits.openOf('192.0.2.1'), 1);
    now += 3 * MINUTE;
    for (let i = 0; i < 60_000; i++) limits.enter(`2001:db9:0:${i.toString(16)}::1`);
    assert.ok(limits.size <= 100_001, String(limits.size));
  });

  it('log a refused address once in a minute, and few addresses in all', () => {
    const limits = create({ connectionsPerMinute: 1 });
    for (let i = 0; i < 100; i++) limits.enter('192.0.2.1');
    assert.deepEqual(log.lines, [
      { level: 'warn', text: 'refused a connection', detail: { address: '192.0.2.1', reason: 'too many in a minute' } },
    ]);
    for (let i = 0; i < 100; i++) for (let twice = 0; twice < 2; twice++) limits.enter(`198.51.100.${i}`);
    assert.equal(log.lines.length, 10);
    now += MINUTE;
    limits.report('something else', {});
    assert.deepEqual(
      log.lines.slice(10).map(({ text, detail }) => [text, detail]),
      [
        ['there was more of this kind than is logged', { kind: 'refused a connection', lines: 91 }],
        ['something else', {}],
      ],
    );
  });

  it('do not let lines of one kind hide another', () => {
    const limits = create({});
    for (let i = 0; i < 100; i++) limits.report('refused a request', {});
    limits.report('something else', {});
    assert.equal(log.lines.length, 11);
    assert.equal(log.lines.at(-1)!.text, 'something else');
  });

  it('are not confused by leaving twice, or by who never came', () => {
    const limits = create();
    limits.leave('192.0.2.1');
    limits.enter('192.0.2.1');
    limits.leave('192.0.2.1');
    limits.leave('192.0.2.1');
    assert.equal(limits.openOf('192.0.2.1'), 0);
  });
});
