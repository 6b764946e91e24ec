import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError, ConfigErrors, problemsOf } from '../../../src/config/errors.ts';
import { type Infer, option, type Schema } from '../../../src/config/option.ts';
import { readingFrom } from '../../../src/config/source.ts';

/** The problems that a value has, as they are shown. */
function problems(schema: Schema<unknown>, value: unknown, path = 'x'): string[] {
  try {
    schema.parse(value, path);
    return [];
  } catch (error) {
    return problemsOf(error).map(({ message }) => message);
  }
}

const doc = 'For the test.';
const hostile: readonly unknown[] = [
  null,
  undefined,
  true,
  0,
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'x',
  [],
  ['x'],
  {},
  { x: 1 },
  '\0',
  '9'.repeat(100),
];

describe('option', () => {
  describe('of each kind', () => {
    const taken: readonly (readonly [string, Schema<unknown>, unknown, unknown])[] = [
      ['string', option.string({ doc }), 'a', 'a'],
      ['string with a pattern', option.string({ doc, pattern: /^a+$/g }), 'aa', 'aa'],
      ['integer', option.integer({ doc, min: -1, max: 5 }), 5, 5],
      ['number', option.number({ doc, min: 0.5 }), 0.5, 0.5],
      ['boolean', option.boolean({ doc }), false, false],
      ['duration', option.duration({ doc }), '30s', 30_000],
      ['duration of several units', option.duration({ doc }), '1h30m', 5_400_000],
      ['duration in weeks', option.duration({ doc }), '2w', 1_209_600_000],
      ['duration in fractions', option.duration({ doc }), '1.5m', 90_000],
      ['duration of nothing', option.duration({ doc }), 0, 0],
      ['bytes', option.bytes({ doc }), '64KiB', 65_536],
      ['bytes in decimal units', option.bytes({ doc }), '10 MB', 10_000_000],
      ['bytes as a number', option.bytes({ doc }), 12, 12],
      ['choice', option.choice(['a', 1, true], { doc }), 1, 1],
      ['list', option.list(option.duration({ doc }), { doc }), ['1s', '2s'], [1000, 2000]],
      ['path', option.path({ doc }), '/a/../b', resolve('/b')],
      ['checked', option.checked((text) => text.toUpperCase(), { doc, expected: 'a word' }), 'a', 'A'],
      ['jid', option.jid((text) => text.trim(), { doc }), ' a@b ', 'a@b'],
      ['domain', option.domain((text) => text.toLowerCase(), { doc }), 'B', 'b'],
      ['anything', option.anything({ doc }), { a: [1] }, { a: [1] }],
      ['union', option.union([option.integer({ doc }), option.string({ doc })], { doc }), 'a', 'a'],
      ['optional', option.optional(option.integer({ doc })), undefined, undefined],
      ['optional that is there', option.optional(option.integer({ doc })), 7, 7],
      ['nullable', option.nullable(option.integer({ doc })), null, null],
      ['object', option.object({ a: option.integer({ doc, default: 3 }) }), {}, { a: 3 }],
      ['object with nothing behind its name', option.object({ a: option.integer({ doc, default: 3 }) }), null, { a: 3 }],
      ['partial', option.partial({ a: option.integer({ doc, default: 3 }) }), {}, {}],
    ];
    for (const [name, schema, value, result] of taken) {
      it(`takes a ${name}`, () => assert.deepEqual(schema.parse(value, 'x'), result));
    }

    const refused: readonly (readonly [string, Schema<unknown>, unknown, string])[] = [
      ['a number for a string', option.string({ doc }), 5, 'x: expected a text, found 5'],
      [
        'a string that does not match',
        option.string({ doc, pattern: /^a$/, expected: 'the letter a' }),
        'b',
        'x: expected the letter a, found "b"',
      ],
      ['a long string', option.string({ doc, maxLength: 2 }), 'abc', 'x: expected a text of 0 to 2 characters, found "abc"'],
      ['a fraction for an integer', option.integer({ doc }), 1.5, 'x: expected a whole number, found 1.5'],
      [
        'an integer out of bounds',
        option.integer({ doc, min: 1, max: 9 }),
        10,
        'x: expected a whole number from 1 to 9, found 10',
      ],
      ['a string for an integer', option.integer({ doc, min: 1 }), '10', 'x: expected a whole number of at least 1, found "10"'],
      ['an infinite number', option.number({ doc }), Number.POSITIVE_INFINITY, 'x: expected a number, found Infinity'],
      ['yes for a boolean', option.boolean({ doc }), 'yes', 'x: expected true or false, found "yes"'],
      ['a duration without unit', option.duration({ doc }), 30, 'x: expected a span of time such as 30s, 5m, 2h or 7d, found 30'],
      [
        'a negative duration',
        option.duration({ doc }),
        '-1s',
        'x: expected a span of time such as 30s, 5m, 2h or 7d, found "-1s"',
      ],
      [
        'a long duration',
        option.duration({ doc, min: '1s', max: '1m' }),
        '2m',
        'x: expected a span of time such as 30s, 5m, 2h or 7d from 1s to 1m, found "2m"',
      ],
      ['negative bytes', option.bytes({ doc }), -1, 'x: expected an amount of data such as 64KiB or 10MB, found -1'],
      [
        'bytes of an unknown unit',
        option.bytes({ doc }),
        '1Kib',
        'x: expected an amount of data such as 64KiB or 10MB, found "1Kib"',
      ],
      [
        'bytes beyond all numbers',
        option.bytes({ doc }),
        '99999999TB',
        'x: expected an amount of data such as 64KiB or 10MB, found "99999999TB"',
      ],
      ['what is no choice', option.choice(['a', 'b'], { doc }), 'c', 'x: expected one of a, b, found "c"'],
      ['a scalar for a list', option.list(option.integer({ doc }), { doc }), 1, 'x: expected a list, found 1'],
      ['a wrong item', option.list(option.integer({ doc }), { doc }), [1, 'b'], 'x[1]: expected a whole number, found "b"'],
      [
        'a short list',
        option.list(option.integer({ doc }), { doc, min: 1, max: 2 }),
        [],
        'x: expected a list of 1 to 2 items, found a list',
      ],
      ['an item twice', option.list(option.integer({ doc }), { doc, unique: true }), [4, 4], 'x[1]: named twice in this list'],
      [
        'a list for a map',
        option.map(option.integer({ doc }), { doc }),
        [1],
        'x: expected a mapping of names to values, found a list',
      ],
      [
        'a wrong value in a map',
        option.map(option.integer({ doc }), { doc }),
        { a: 'b' },
        'x.a: expected a whole number, found "b"',
      ],
      [
        'what a check refuses',
        option.domain(() => assert.fail(), { doc }),
        'b',
        'x: expected a domain such as example.org, found "b"',
      ],
      [
        'what no form of a union takes',
        option.union([option.integer({ doc }), option.boolean({ doc })], { doc }),
        'b',
        'x: expected a whole number, or true or false, found "b"',
      ],
      ['nothing for what is required', option.integer({ doc }), undefined, 'x: missing; expected a whole number'],
      ['nothing behind the name', option.integer({ doc, default: 5 }), null, 'x: expected a whole number, found nothing'],
      ['a path with a NUL', option.path({ doc }), 'a\0b', 'x: expected the path of a file or folder, found "a\\u0000b"'],
      ['a scalar for a section', option.object({}), 5, 'x: expected a mapping of options, found 5'],
    ];
    for (const [name, schema, value, message] of refused) {
      it(`refuses ${name}`, () => assert.deepEqual(problems(schema, value), [message]));
    }

    it('takes or refuses whatever comes, and never throws anything but ConfigError', () => {
      const schemas = [...taken, ...refused].map(([, schema]) => schema);
      for (const schema of schemas) for (const value of hostile) problems(schema, value);
    });
  });

  describe('object', () => {
    const blocking = option.object({
      maxItems: option.integer({ default: 1000, min: 1, doc: 'Addresses one user may block.' }),
      deep: option.object({ a: option.boolean({ default: true, doc }), b: option.duration({ doc, default: '5s' }) }),
    });

    it('names an unknown option, what it may have meant, and what is known', () => {
      assert.deepEqual(problems(blocking, { maxItem: 5 }, 'modules.blocking'), [
        'modules.blocking.maxItem: no such option; did you mean maxItems? (known here: deep, maxItems)',
      ]);
      assert.deepEqual(problems(blocking, { colour: 5 }, 'modules.blocking'), [
        'modules.blocking.colour: no such option (known here: deep, maxItems)',
      ]);
    });

    it('names everything that is wrong at once', () => {
      const found = problems(blocking, { maxItems: 0, deep: { a: 1, c: 2, b: '5' } }, '');
      assert.deepEqual(found.sort(), [
        'deep.a: expected true or false, found 1',
        'deep.b: expected a span of time such as 30s, 5m, 2h or 7d, found "5"',
        'deep.c: no such option; did you mean a? (known here: a, b)',
        'maxItems: expected a whole number of at least 1, found 0',
      ]);
      assert.throws(
        () => blocking.parse({ a: 1, b: 2 }, 'x'),
        (error) => error instanceof ConfigErrors && error.list.length === 2,
      );
      assert.throws(
        () => blocking.parse({ a: 1 }, 'x'),
        (error) => error instanceof ConfigError && !(error instanceof ConfigErrors),
      );
    });

    it('fills in defaults, all the way down', () => {
      const parsed: Infer<typeof blocking> = blocking.parse({}, 'x');
      assert.deepEqual(parsed, { maxItems: 1000, deep: { a: true, b: 5000 } });
    });

    it('yields what cannot be changed', () => {
      const schema = option.object({
        list: option.list(option.object({}), { doc }),
        map: option.map(option.object({}), { doc, default: {} }),
      });
      const { list, map } = schema.parse({ list: [{}], map: { a: {} } }, 'x');
      assert.ok(Object.isFrozen(list) && Object.isFrozen(list[0]) && Object.isFrozen(map.get('a')));
      assert.throws(() => (map as Map<string, object>).set('b', {}), TypeError);
      assert.throws(() => (map as Map<string, object>).delete('a'), TypeError);
      assert.throws(() => (map as Map<string, object>).clear(), TypeError);
    });

    it('gives every parse its own default', () => {
      const schema = option.object({ list: option.list(option.integer({ doc }), { doc, default: [1] }) });
      assert.notEqual(schema.parse({}, 'x').list, schema.parse({}, 'x').list);
    });

    it('refuses names of the language’s own objects', () => {
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        const value = JSON.parse(`{"${name}": {"maxItems": 5}}`) as unknown;
        assert.equal(problems(blocking, value).length, 1, name);
      }
    });

    it('says that a section is missing by the option that is', () => {
      const schema = option.object({ inner: option.object({ need: option.string({ doc }) }) });
      assert.deepEqual(problems(schema, {}, ''), ['inner.need: missing; expected a text']);
      assert.equal(schema.describe().required, true);
    });
  });

  describe('map', () => {
    const schema = option.map(option.integer({ doc }), { doc });

    it('is a Map, so that no name reaches the language’s own objects', () => {
      const value = JSON.parse('{"__proto__": 1, "constructor": 2, "toString": 3}') as unknown;
      assert.deepEqual(
        [...schema.parse(value, 'x')],
        [
          ['__proto__', 1],
          ['constructor', 2],
          ['toString', 3],
        ],
      );
      assert.equal(schema.parse({}, 'x').get('valueOf'), undefined);
    });

    it('checks and prepares names, and refuses two that become the same', () => {
      const keyed = option.map(option.integer({ doc }), {
        doc,
        key: option.domain((text) => (text === '' ? assert.fail() : text.toLowerCase()), { doc }),
      });
      assert.deepEqual([...keyed.parse({ A: 1 }, 'x')], [['a', 1]]);
      assert.deepEqual(problems(keyed, { A: 1, a: 2 }), ['x.a: the same as another name here: a']);
      assert.equal(problems(keyed, { '': 1 }).length, 1);
    });
  });

  describe('variant', () => {
    const schema = option.variant(
      'type',
      {
        file: { path: option.string({ doc, default: 'f' }) },
        server: { password: option.secret({ doc }), port: option.integer({ doc, default: 5 }) },
      },
      { doc, default: 'file' },
    );

    it('tells its forms apart by the tag, which may have a default', () => {
      assert.deepEqual(schema.parse({}, 'x'), { type: 'file', path: 'f' });
      assert.deepEqual(schema.parse(null, 'x'), { type: 'file', path: 'f' });
      const server = schema.parse({ type: 'server', password: 'p' }, 'x');
      assert.equal(server.type === 'server' && server.password.reveal(), 'p');
    });

    it('names the forms for an unknown tag, and the options of the form for an unknown option', () => {
      assert.deepEqual(problems(schema, { type: 'servre' }), ['x.type: expected one of file, server, found "servre"']);
      assert.deepEqual(problems(schema, { path: 'a', port: 5 }), ['x.port: no such option (known here: path, type)']);
      assert.deepEqual(problems(schema, 'hunter2'), ['x: expected a mapping of options with type as one of file, server']);
      for (const value of hostile) problems(schema, value);
    });

    it('wants the tag where there is no default', () => {
      const strict = option.variant('type', { a: {}, b: {} }, { doc });
      assert.deepEqual(problems(strict, {}), ['x.type: missing; expected one of a, b']);
      assert.deepEqual(problems(strict, { type: 'constructor' }), ['x.type: expected one of a, b, found "constructor"']);
      assert.deepEqual(strict.parse({ type: 'b' }, 'x'), { type: 'b' });
    });
  });

  describe('describe and jsonSchema', () => {
    const schema = option.object(
      {
        size: option.bytes({ doc: 'How much.', default: '1MiB', min: 1 }),
        hosts: option.map(option.list(option.integer({ doc: 'A number.', min: 1 }), { doc: 'Numbers.' }), {
          doc: 'By host.',
          default: {},
        }),
        kind: option.choice(['a', 'b'], { doc: 'Which.' }),
        key: option.optional(option.secret({ doc: 'A key.' })),
      },
      { doc: 'All of it.' },
    );

    it('describe kind, doc, bounds and defaults as they were declared', () => {
      const { fields, doc: all } = schema.describe();
      assert.equal(all, 'All of it.');
      const size = fields?.get('size');
      assert.deepEqual(
        { ...size, expected: '' },
        { kind: 'bytes', doc: 'How much.', default: '1MiB', min: 1, expected: '', required: false },
      );
      assert.equal(fields?.get('kind')?.required, true);
      assert.deepEqual(fields?.get('kind')?.choices, ['a', 'b']);
      assert.equal(fields?.get('key')?.required, false);
      assert.equal(fields?.get('hosts')?.of?.of?.doc, 'A number.');
    });

    it('describe to editors what may be written, with docs and defaults', () => {
      const json = schema.jsonSchema() as {
        properties: Record<string, Record<string, unknown>>;
        required: string[];
        additionalProperties: boolean;
      };
      assert.equal(json.additionalProperties, false);
      assert.deepEqual(json.required, ['kind']);
      assert.equal(json.properties['size']?.['default'], '1MiB');
      assert.equal(json.properties['size']?.['description'], 'How much.');
      assert.deepEqual(json.properties['hosts']?.['additionalProperties'], {
        type: 'array',
        minItems: 0,
        maxItems: 10_000,
        items: { type: 'integer', minimum: 1, description: 'A number.' },
        description: 'Numbers.',
      });
      assert.deepEqual(json.properties['kind']?.['enum'], ['a', 'b']);
    });
  });

  it('refuses a declaration whose default it would refuse', () => {
    assert.throws(() => option.integer({ doc, default: 0, min: 1 }), /default is not a whole number/);
    assert.throws(() => option.list(option.integer({ doc }), { doc, default: ['a'] }), /default is not a list/);
  });

  it('hides what may be a secret, wherever in a section it was written', () => {
    const schema = option.object({
      key: option.secret({ doc }),
      inner: option.object({ keys: option.list(option.secret({ doc }), { doc, default: [] }) }),
      either: option.optional(option.union([option.integer({ doc }), option.secret({ doc })], { doc })),
      port: option.integer({ doc, default: 1 }),
    });
    const wrong = [
      { key: 12_345_678 },
      'hunter2',
      { key: 'k', inner: 'hunter2' },
      { key: 'k', inner: { keys: 'hunter2' } },
      { key: 'k', inner: { keys: [['hunter2']] } },
    ];
    for (const value of [
      ...wrong,
      { key: { env: 'A', value: 'hunter2' } },
      { key: ['hunter2'] },
      { key: 'k', either: ['hunter2'] },
    ]) {
      const found = problems(schema, value);
      assert.equal(found.length, 1);
      assert.doesNotMatch(found.join(), /hunter2|12345678/);
    }
    assert.deepEqual(problems(option.string({ doc, maxLength: 5 }), 'postgresql://u:hunter2@host/db'), [
      'x: expected a text of 0 to 5 characters, found "postgresql://[secret]@host/db"',
    ]);
  });

  it('reads paths against the folder of the config', () => {
    const folder = resolve('/etc/parlance');
    assert.equal(
      readingFrom({ folder, env: {} }, () => option.path({ doc }).parse('./certs', 'x')),
      resolve(folder, 'certs'),
    );
  });

  it('yields values that a reload can compare', () => {
    const schema = option.object({ key: option.secret({ doc }), map: option.map(option.integer({ doc }), { doc, default: {} }) });
    const parse = (key: string, n: number) => schema.parse({ key, map: { n } }, 'x');
    assert.ok(isDeepStrictEqual(parse('a', 1), parse('a', 1)));
    assert.ok(!isDeepStrictEqual(parse('a', 1), parse('b', 1)));
    assert.ok(!isDeepStrictEqual(parse('a', 1), parse('a', 2)));
  });
});
