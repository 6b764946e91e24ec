import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { Turnstile } from '../../../modules/push/turnstile.ts';

describe('push: how many notifications are under way', () => {
  /** Who is inside, in the order they were let in. */
  let inside: string[];
  let turnstile: Turnstile;

  beforeEach(() => {
    inside = [];
    turnstile = new Turnstile({ each: 2, all: 3 });
  });

  const come = (...names: readonly string[]): void => {
    for (const name of names) void turnstile.enter(name[0]!).then(() => inside.push(name));
  };
  const go = (...names: readonly string[]): void => {
    for (const name of names) {
      assert(inside.includes(name), name);
      inside = inside.filter((each) => each !== name);
      turnstile.leave(name[0]!);
    }
  };

  it('is so many for one service, and so many for all', async () => {
    come('a1', 'a2', 'a3', 'b1', 'b2');
    await turn();
    assert.deepEqual(inside, ['a1', 'a2', 'b1']);
  });

  it('is made up again as they end, in the order they came', async () => {
    come('a1', 'a2', 'a3', 'a4', 'a5');
    await turn();
    go('a2');
    await turn();
    assert.deepEqual(inside, ['a1', 'a3']);
    go('a1', 'a3');
    await turn();
    assert.deepEqual(inside, ['a4', 'a5']);
    go('a4', 'a5');
    come('b1', 'b2');
    await turn();
    assert.deepEqual(inside, ['b1', 'b2']);
  });

  it('leaves services their turns, however many wait for one of them', async () => {
    come('a1', 'a2', 'b1');
    await turn();
    come('a3', 'a4', 'a5', 'c1', 'b2', 'c2');
    for (const next of ['a3', 'c1', 'b2', 'a4', 'c2', 'a5']) {
      go(inside[0]!);
      await turn();
      assert.equal(inside.at(-1), next);
    }
  });

  it('keeps nobody waiting for a service that says nothing', async () => {
    come('a1', 'a2', 'a3', 'a4', 'b1');
    await turn();
    come('b2', 'b3');
    for (const next of ['b2', 'b3']) {
      go(inside.at(-1)!);
      await turn();
      assert.deepEqual(inside, ['a1', 'a2', next]);
    }
    go('b3');
    await turn();
    assert.deepEqual(inside, ['a1', 'a2']);
  });
});
