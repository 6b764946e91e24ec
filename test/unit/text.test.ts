import assert from 'node:assert/strict';
import { compareBytes, cutText, detachText } from '../../src/text.ts';

describe('texts', () => {
  it('are cut where they are longer, and never within a character', () => {
    assert.equal(cutText('abcd', 4), 'abcd');
    assert.equal(cutText('abcde', 4), 'abcd…');
    assert.equal(cutText('abc🙂', 5), 'abc🙂');
    assert.equal(cutText('abc🙂d', 4), 'abc…');
    assert.equal(cutText('abc🙂d', 5), 'abc🙂…');
  });

  it('are sorted by bytes of UTF-8', () => {
    assert.deepEqual(['🙂', '\uffdd', 'b', 'ü', 'a'].sort(compareBytes), ['a', 'b', 'ü', '\uffdd', '🙂']);
    assert.equal(compareBytes('a', 'a'), 0);
  });

  it('are the same when they are copied', () => {
    for (const text of ['', 'abc', 'ü', '\uffdd🙂']) assert.equal(detachText(text), text);
  });
});
