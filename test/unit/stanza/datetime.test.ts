import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readDateTime, writeDateTime } from '../../../src/stanza/datetime.ts';

describe('times (XEP-0082)', () => {
  for (const [text, wanted] of [
    ['1969-07-21T02:56:15Z', '1969-07-21T02:56:15.000Z'],
    ['1969-07-20T21:56:15-05:00', '1969-07-21T02:56:15.000Z'],
    ['2010-07-10T23:08:25+05:30', '2010-07-10T17:38:25.000Z'],
    ['2010-07-10T23:08:25-00:00', '2010-07-10T23:08:25.000Z'],
    ['2010-07-10T00:00:00+14:00', '2010-07-09T10:00:00.000Z'],
    ['2010-07-10T23:08:25.5Z', '2010-07-10T23:08:25.500Z'],
    ['2010-07-10T23:08:25.123Z', '2010-07-10T23:08:25.123Z'],
    ['2010-07-10T23:08:25.123456789012345678901234567890Z', '2010-07-10T23:08:25.123Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['2000-02-29T00:00:00Z', '2000-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['0099-12-31T23:59:59Z', '0099-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59.000Z'],
    ['2010-12-31T24:00:00Z', '2011-01-01T00:00:00.000Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['2016-12-31T23:59:60.9Z', '2017-01-01T00:00:00.000Z'],
    ['2017-01-01T00:59:60+01:00', '2017-01-01T00:00:00.000Z'],
  ] as const) {
    it(`are read: ${text}`, () => assert.equal(writeDateTime(readDateTime(text) ?? Number.NaN), wanted));
  }

  it('are read to the microsecond', () => {
    assert.equal(readDateTime('1970-01-01T00:00:00.000250Z'), 0.25);
    assert.equal(readDateTime('1970-01-01T00:00:00.0002509Z'), 0.25);
  });

  for (const text of [
    '',
    ' 2010-07-10T23:08:25Z',
    '2010-07-10T23:08:25Z\n',
    '2010-07-10',
    '2010-07-10T23:08:25',
    '2010-07-10T23:08Z',
    '2010-07-10 23:08:25Z',
    '2010-07-10t23:08:25z',
    '20100710T23:08:25',
    '2010-7-10T23:08:25Z',
    '10-07-10T23:08:25Z',
    '12010-07-10T23:08:25Z',
    '-2010-07-10T23:08:25Z',
    '0000-01-01T00:00:00Z',
    '2010-00-10T23:08:25Z',
    '2010-13-10T23:08:25Z',
    '2010-07-00T23:08:25Z',
    '2010-07-32T23:08:25Z',
    '2010-06-31T23:08:25Z',
    '2023-02-29T23:08:25Z',
    '1900-02-29T23:08:25Z',
    '2010-07-10T25:08:25Z',
    '2010-07-10T24:00:01Z',
    '2010-07-10T24:00:00.1Z',
    '2010-07-10T23:60:25Z',
    '2010-07-10T23:08:61Z',
    '2010-07-10T23:08:60Z',
    '2016-12-31T23:59:60+01:00',
    '2010-07-10T23:08:25.Z',
    '2010-07-10T23:08:25,5Z',
    '2010-07-10T23:08:25+5:30',
    '2010-07-10T23:08:25+0530',
    '2010-07-10T23:08:25+05:60',
    '2010-07-10T23:08:25+14:01',
    '2010-07-10T23:08:25+99:00',
    '٢٠١٠-07-10T23:08:25Z',
    'yesterday',
  ]) {
    it(`are not read: ${JSON.stringify(text)}`, () => assert.equal(readDateTime(text), undefined));
  }

  const times = { min: new Date(0).setUTCFullYear(1, 0, 1), max: Date.UTC(9999, 11, 31) };

  it('are read as they were written', () => {
    fc.assert(fc.property(fc.integer(times), (time) => assert.equal(readDateTime(writeDateTime(time)), time)));
  });

  it('are the same in every zone', () => {
    const zone = fc.integer({ min: -14 * 60, max: 14 * 60 });
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1, 5), max: times.max }), zone, (time, offset) => {
        const two = (value: number): string => String(value).padStart(2, '0');
        const minutes = Math.abs(offset);
        const suffix = `${offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
        assert.equal(readDateTime(writeDateTime(time + offset * 60_000).replace('Z', suffix)), time);
      }),
    );
  });

  it('are read from any text without a fault, and as Date reads them', () => {
    const digit = fc.integer({ min: 0, max: 99 }).map((value) => String(value).padStart(2, '0'));
    const almost = fc
      .tuple(digit, digit, digit, digit, digit, digit, fc.constantFrom('Z', '+01:00', '-23:59', '', '.5Z', '.Z'))
      .map(
        ([year, month, day, hours, minutes, seconds, end]) => `20${year}-${month}-${day}T${hours}:${minutes}:${seconds}${end}`,
      );
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), almost), (text) => {
        const time = readDateTime(text);
        if (time === undefined || text.includes(':60')) return;
        assert.equal(time, new Date(text).getTime(), text);
      }),
      { numRuns: 2000 },
    );
  });
});
