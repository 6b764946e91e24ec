import assert from 'node:assert/strict';
import { makeIdSource, sortableId, timeOf } from '../../src/ids.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A source of ids with a clock that the test turns. */
function source(start: number) {
  const clock = { time: start };
  return { clock, next: makeIdSource(() => clock.time) };
}

function assertAscending(ids: readonly string[]): void {
  for (let i = 1; i < ids.length; i++) assert(ids[i - 1]! < ids[i]!, `${ids[i - 1]} comes before ${ids[i]}`);
}

describe('sortable ids', () => {
  it('are UUIDs of version 7 (RFC 9562 section 5.7)', () => {
    for (let i = 0; i < 2000; i++) assert.match(sortableId(), UUID_V7);
  });

  it('ascend', () => {
    assertAscending(Array.from({ length: 20_000 }, sortableId));
  });

  it('ascend within one millisecond, even when there are more than the counter can count', () => {
    const { next } = source(1_700_000_000_000);
    const ids = Array.from({ length: 20_000 }, next);
    assertAscending(ids);
    assert.equal(timeOf(ids[0]!), 1_700_000_000_000);
    assert(timeOf(ids.at(-1)!)! < 1_700_000_000_000 + 20);
  });

  it('ascend when the clock steps back, and follow it again when it has caught up', () => {
    const { clock, next } = source(1_700_000_000_000);
    const ids = [next(), next()];
    clock.time -= 3_600_000;
    for (let i = 0; i < 10_000; i++) ids.push(next());
    clock.time += 7_200_000;
    ids.push(next());
    assertAscending(ids);
    assert.equal(timeOf(ids.at(-1)!), clock.time);
  });

  it('ascend from one millisecond to the next', () => {
    const { clock, next } = source(0xffff_ffff);
    const ids = Array.from({ length: 5000 }, () => {
      clock.time++;
      return next();
    });
    assertAscending(ids);
  });

  it('carry the time at which they were made', () => {
    for (const time of [0, 1, 0xffff, 0x10000, 1_700_000_000_123, 0xffff_ffff_ffff])
      assert.equal(timeOf(source(time).next()), time);
    const before = Date.now();
    const time = timeOf(makeIdSource(Date.now)())!;
    assert(before <= time && time <= Date.now());
  });

  it('differ between sources with the same clock', () => {
    const ids = new Set<string>();
    for (let node = 0; node < 200; node++) {
      const { next } = source(1_700_000_000_000);
      for (let i = 0; i < 50; i++) ids.add(next().slice(19));
    }
    assert.equal(ids.size, 10_000);
  });

  it('have a time only when they are ids', () => {
    const id = sortableId();
    const others = [
      '',
      'x',
      '017F22E2-79B0-7CC3-98C4-DC0C0C07398F',
      `${id}0`,
      ` ${id}`,
      `${id}\n`,
      id.slice(1),
      'c73bcdcc-2669-4bf6-81d3-e4ae73fb11fd',
      '__proto__',
      '0'.repeat(1 << 20),
    ];
    for (const other of others) assert.equal(timeOf(other), undefined);
  });
});
