import assert from 'node:assert/strict';
import { Cache } from '../../src/cache.ts';

describe('a cache', () => {
  it('asks once for all who wait, and answers at once afterwards', async () => {
    let asked = 0;
    const cache = new Cache<number>(10, async (key) => {
      asked++;
      return key.length;
    });
    assert.deepEqual(await Promise.all([cache.get('ab'), cache.get('ab')]), [2, 2]);
    assert.equal(cache.get('ab'), 2);
    assert.equal(asked, 1);
    cache.drop('ab');
    await cache.get('ab');
    assert.equal(asked, 2);
  });

  it('asks again after a failure, which those who waited are told', async () => {
    let fails = true;
    const cache = new Cache<string>(10, async (key) => {
      if (fails) throw new Error('no');
      return key;
    });
    await assert.rejects(Promise.resolve(cache.get('a')));
    fails = false;
    assert.equal(await cache.get('a'), 'a');
  });

  it('keeps no more than it may, however it is filled', async () => {
    const loads: string[] = [];
    const cache = new Cache<string>(3, async (key) => {
      loads.push(key);
      return key;
    });
    for (const key of ['a', 'b', 'c', 'd']) await cache.get(key);
    for (const key of ['e', 'f', 'g']) cache.set(key, key);
    cache.set('g', 'G');
    loads.length = 0;
    assert.deepEqual([cache.get('e'), cache.get('f'), cache.get('g')], ['e', 'f', 'G']);
    await cache.get('a');
    assert.deepEqual(loads, ['a']);
  });

  it('is not overtaken by a value that was dropped while it was loaded', async () => {
    let release: (value: string) => void = () => {};
    const cache = new Cache<string>(3, () => new Promise((resolve) => (release = resolve)));
    const old = cache.get('a');
    cache.drop('a');
    cache.set('a', 'new');
    release('old');
    assert.equal(await old, 'old');
    assert.equal(cache.get('a'), 'new');
  });
});
