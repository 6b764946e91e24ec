import assert from 'node:assert/strict';
import { OneByOne } from '../../src/one-by-one.ts';

describe('OneByOne', () => {
  it('does what concerns one thing in turn, whatever has come of the work before, and other things meanwhile', async () => {
    const turns = new OneByOne();
    const done: string[] = [];
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    const first = turns.run('a', async () => {
      await gate;
      done.push('a1');
      throw new Error('no');
    });
    const second = turns.run('a', async () => done.push('a2'));
    await turns.run('b', async () => done.push('b'));
    assert.deepEqual(done, ['b']);
    release();
    await assert.rejects(first, /no/);
    assert.equal(await second, 3);
    assert.deepEqual(done, ['b', 'a1', 'a2']);
  });

  it('is idle once nothing is being done', async () => {
    const turns = new OneByOne();
    await turns.idle();
    let isDone = false;
    const work = turns.run('a', async () => {
      await new Promise((resolve) => setImmediate(resolve));
      isDone = true;
    });
    await turns.idle();
    assert(isDone);
    await work;
  });
});
