import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { format, inspect } from 'node:util';
import { ConfigError } from '../../../src/config/errors.ts';
import { option } from '../../../src/config/option.ts';
import { Secret } from '../../../src/config/secrets.ts';
import { readingFrom } from '../../../src/config/source.ts';

describe('Secret', () => {
  it('is shown by no way of showing things', () => {
    const secret = new Secret('hunter2');
    const holder = { secret, list: [secret], error: new Error(`x ${secret}`) };
    const shown = [
      `${secret}`,
      String(secret),
      JSON.stringify(holder),
      inspect(holder, { depth: 9, showHidden: true }),
      format('%s %o %j', secret, secret, secret),
    ];
    for (const text of shown) assert.doesNotMatch(text, /hunter2/);
    for (const text of shown) assert.match(text, /\[secret\]/);
    assert.doesNotMatch(JSON.stringify({ ...secret }), /hunter2/);
    assert.equal(secret.reveal(), 'hunter2');
  });

  it('has a fingerprint that is the same for the same secret and tells nothing of it', () => {
    assert.equal(new Secret('a').fingerprint, new Secret('a').fingerprint);
    assert.notEqual(new Secret('a').fingerprint, new Secret('b').fingerprint);
    assert.equal(new Secret('hunter2').fingerprint.length, 16);
  });
});

describe('option.secret', () => {
  const schema = option.secret({ doc: 'A key.' });
  let folder = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-secret-'));
    await writeFile(join(folder, 'key'), 'from a file\n');
    await writeFile(join(folder, 'empty'), '\n');
  });
  after(() => rm(folder, { recursive: true }));

  const parse = (value: unknown) =>
    readingFrom({ folder, env: { KEY: 'from the environment', EMPTY: '' } }, () => schema.parse(value, 'x').reveal());
  const problem = (value: unknown) => {
    try {
      return parse(value);
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.message;
    }
  };

  it('takes a text, a variable of the environment or the content of a file without its last line feed', () => {
    assert.equal(parse('as it is'), 'as it is');
    assert.equal(parse({ env: 'KEY' }), 'from the environment');
    assert.equal(parse({ file: './key' }), 'from a file');
  });

  it('says what is missing', () => {
    assert.equal(problem({ env: 'NONE' }), 'x: the environment variable NONE is not set');
    assert.equal(problem({ env: 'EMPTY' }), 'x: the environment variable EMPTY is empty');
    assert.equal(problem({ file: 'none' }), `x: the file ${join(folder, 'none')} cannot be read (ENOENT)`);
    assert.equal(problem({ file: 'empty' }), `x: the file ${join(folder, 'empty')} is empty`);
    assert.equal(problem(''), 'x: it is empty');
  });

  it('refuses other forms without showing them', () => {
    for (const value of [5, ['hunter2'], { env: 'KEY', file: 'hunter2' }, { value: 'hunter2' }, {}, null, true]) {
      assert.equal(problem(value), 'x: expected a secret: a text, { env: NAME } or { file: path }');
    }
  });
});
