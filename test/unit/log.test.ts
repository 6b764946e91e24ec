import assert from 'node:assert/strict';
import { createLog, type LogSettings } from '../../src/log.ts';

const BASE: LogSettings = { level: 'info', format: 'json', modules: new Map() };

describe('a line of the log', () => {
  let written: string[];

  beforeEach(() => {
    written = [];
  });

  const create = (settings: Partial<LogSettings> = {}) =>
    createLog({ ...BASE, ...settings }, { write: (line) => void written.push(line) });

  for (const format of ['json', 'pretty'] as const) {
    describe(`as ${format}`, () => {
      for (const [name, hostile] of [
        ['line feeds', 'x\n{"level":"info","text":"logged in"}\r\n12:00:00.000 info  logged in'],
        ['escapes for terminals', '\u001b[2J\u001b]0;title\u0007\u009b31m'],
        ['marks that turn text round', '\u202egnp.exe\u2066\u200f\u2028\u2029\ufeff'],
        ['NUL and DEL', 'a\0b\u007f'],
        ['half a character', 'a\ud800b'],
        ['quotes and equals signs', '" level="error" x='],
      ] as const) {
        it(`holds ${name} only as escapes, wherever they stand`, () => {
          const log = create({ format });
          const error = new Error(hostile);
          error.stack = `Error: ${hostile}\n    at ${hostile}`;
          log.child({ host: hostile, [hostile]: 1 }).warn('refused', { address: hostile, within: { deep: [hostile] }, error });
          assert.equal(written.length, 1);
          const [line] = written as [string];
          const own = format === 'pretty' ? line.replace(/\u001b\[\d{1,2}m/g, '') : line;
          assert.doesNotMatch(
            own.slice(0, -1),
            /[\0-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/,
          );
          if (format === 'json') {
            assert.equal(own.indexOf('\n'), own.length - 1);
            assert.equal((JSON.parse(own) as Record<string, unknown>)['address'], hostile);
          } else for (const below of own.split('\n').slice(1, -1)) assert.match(below, /^ {4}/);
        });
      }
    });
  }

  it('cannot be given another level, time or text by its detail', () => {
    create().info('true', { level: 'error', time: 'never', text: 'false' });
    const line = JSON.parse(written[0]!) as Record<string, unknown>;
    assert.deepEqual([line['level'], line['text'], line['level_'], line['text_']], ['info', 'true', 'error', 'false']);
  });

  it('takes names that JavaScript knows for names like others', () => {
    const detail = JSON.parse('{"__proto__":{"level":"error"},"constructor":"x","toString":"y","toJSON":"z"}') as Record<
      string,
      unknown
    >;
    create().info('x', detail);
    assert.match(written[0]!, /"constructor":"x"/);
    assert.equal(({} as Record<string, unknown>)['level'], undefined);
  });

  it('is clipped where a peer has written much', () => {
    create().info('x', { name: 'y'.repeat(1_000_000) });
    assert.ok(written[0]!.length < 3000);
  });

  it('shows of an error what it says and where, and nothing that hangs on it', () => {
    const error = Object.assign(new Error('failed', { cause: new Error('below') }), {
      code: 'E1',
      password: 'secret',
      body: '<x/>',
    });
    create().error('x', { error });
    assert.match(written[0]!, /failed.*E1/);
    assert.match(written[0]!, /below/);
    assert.doesNotMatch(written[0]!, /secret|<x\/>/);
  });

  it('is written by modules whose level allows it, as it is at the time', () => {
    const log = create({ modules: new Map([['mam', 'debug']]) });
    const mam = log.child({ module: 'mam' });
    const muc = log.child({ module: 'muc' });
    mam.debug('one');
    muc.debug('two');
    log.configure({ level: 'error', modules: new Map([['muc', 'debug']]) });
    mam.info('three');
    muc.debug('four');
    assert.deepEqual(
      written.map((line) => (JSON.parse(line) as { text: string }).text),
      ['one', 'four'],
    );
  });
});
