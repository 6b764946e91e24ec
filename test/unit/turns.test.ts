import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { Turns } from '../../src/turns.ts';

describe('turns of long tasks', () => {
  afterEach(() => mock.restoreAll());

  it('come one after the other, each in a turn of the event loop of its own', async () => {
    const turns = new Turns();
    let count = 0;
    let isDone = false;
    const tick = (): void => {
      count++;
      if (!isDone) setImmediate(tick);
    };
    setImmediate(tick);
    const order: string[] = [];
    const take = async (name: string): Promise<readonly number[]> => {
      const seen: number[] = [];
      for (let i = 1; i <= 2; i++) {
        await turns.next();
        order.push(`${name}${i}`);
        seen.push(count);
      }
      return seen;
    };
    const seen = await Promise.all(['a', 'b', 'c'].map(take));
    isDone = true;
    assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'c2'], 'who has waited longest goes first');
    assert.equal(new Set(seen.flat()).size, 6);
  });

  it('are over after a while, for all of them together', async () => {
    let now = 1000;
    mock.method(performance, 'now', () => now);
    const turns = new Turns();
    assert.equal(turns.isOver(), true, 'none has begun');
    await turns.next();
    assert.equal(turns.isOver(), false);
    now += 4;
    assert.equal(turns.isOver(), false);
    now += 0.1;
    assert.equal(turns.isOver(), true);
    await turns.next();
    assert.equal(turns.isOver(), false);
  });
});
