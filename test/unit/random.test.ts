import assert from 'node:assert/strict';
import { randomToken } from '../../src/random.ts';

describe('random tokens', () => {
  it('are never the same, and as long as asked for', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 10_000; i++) {
      const token = randomToken(16);
      assert.match(token, /^[\w-]{22}$/);
      seen.add(token);
    }
    assert.equal(seen.size, 10_000);
    assert.equal(randomToken(12).length, 16);
  });

  it('use the whole alphabet', () => {
    const letters = new Set(Array.from({ length: 1000 }, () => randomToken(16)).join(''));
    assert.equal(letters.size, 64);
  });
});
