import assert from 'node:assert/strict';
import { isAllowedOrigin } from '../../../src/net/origins.ts';

describe('pages that may use an endpoint', () => {
  const listed = ['https://chat.example.org'];

  for (const [origin, host, wanted] of [
    [undefined, 'example.org', true],
    ['https://chat.example.org', 'example.org', true],
    ['https://example.org', 'example.org', true],
    ['http://localhost:5280', 'localhost:5280', true],
    ['http://localhost:5280', 'localhost:5281', false],
    ['https://evil.example', 'example.org', false],
    ['https://example.org.evil.example', 'example.org', false],
    ['https://chat.example.org.evil.example', 'example.org', false],
    ['null', 'example.org', false],
    ['null', undefined, false],
    ['', 'example.org', false],
  ] as const) {
    it(`${origin} at ${host}: ${wanted}`, () => {
      assert.equal(
        isAllowedOrigin({ ...(origin !== undefined && { origin }), ...(host !== undefined && { host }) }, listed),
        wanted,
      );
    });
  }

  it('are all, where the config says so', () => {
    assert.equal(isAllowedOrigin({ origin: 'https://anywhere.example', host: 'example.org' }, ['*']), true);
  });
});
