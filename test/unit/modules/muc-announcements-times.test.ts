import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Alarm } from '../../../modules/muc-announcements/alarm.ts';
import { checkPlan, type Plan } from '../../../modules/muc-announcements/plan.ts';
import { lastTime, nextTime, type When } from '../../../modules/muc-announcements/recurrence.ts';
import { isZone, showTime, toTime, toWall } from '../../../modules/muc-announcements/zone.ts';
import { FakeClock } from '../../support/announcements-scene.ts';

const at = (text: string) => Date.parse(text);
const show = (time: number | undefined) => (time === undefined ? undefined : new Date(time).toISOString().slice(0, 16));
const HOUR = 3_600_000;

describe('announcements: wall clocks', () => {
  it('knows the zones of the IANA database, and nothing else', () => {
    for (const zone of ['UTC', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kathmandu']) assert(isZone(zone), zone);
    for (const zone of [
      '',
      'Mars/Olympus',
      '__proto__',
      'Europe/Berlin\0',
      '../etc/passwd',
      'A'.repeat(100_000),
      'Europe/ Berlin',
    ]) {
      assert(!isZone(zone), zone.slice(0, 20));
    }
  });

  it('follows daylight saving time', () => {
    assert.equal(showTime('Europe/Berlin', at('2026-03-29T00:59:00Z')), '2026-03-29 01:59');
    assert.equal(showTime('Europe/Berlin', at('2026-03-29T01:00:00Z')), '2026-03-29 03:00');
    assert.equal(showTime('America/St_Johns', at('2026-01-01T12:00:00Z')), '2026-01-01 08:30');
  });

  it('takes an hour that is not there for as long after, and one that is there twice for the first', () => {
    const berlin = (text: string) => show(toTime('Europe/Berlin', at(`${text}Z`)));
    assert.equal(berlin('2026-03-29T02:30'), '2026-03-29T01:30'); // 03:30 in summer time
    assert.equal(berlin('2026-10-25T02:30'), '2026-10-25T00:30');
    assert.equal(berlin('2026-10-25T03:30'), '2026-10-25T02:30');
    // Half an hour of daylight saving time, and a day that was left out.
    assert.equal(show(toTime('Australia/Lord_Howe', at('2026-10-04T02:15Z'))), '2026-10-03T15:45');
    assert.equal(show(toTime('Pacific/Apia', at('2011-12-30T09:00Z'))), '2011-12-30T19:00');
  });

  it('finds any moment again', () => {
    const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Asia/Tehran', 'Africa/Casablanca');
    const moments = fc.integer({ min: at('2000-01-01T00:00Z') / 60_000, max: at('2040-01-01T00:00Z') / 60_000 });
    fc.assert(
      fc.property(zones, moments, (zone, minute) => {
        const wall = toWall(zone, minute * 60_000);
        const found = toTime(zone, wall);
        // Of two moments at which the clock shows the same it is the first.
        return toWall(zone, found) === wall && found <= minute * 60_000;
      }),
    );
  });
});

describe('announcements: times', () => {
  const next = (when: When, after: string, zone = 'Europe/Berlin', anchor = at('2026-03-01T00:00Z')) =>
    show(nextTime(when, { zone, anchor }, at(after)));

  it('comes once', () => {
    assert.equal(next({ every: 'once', at: '2026-03-01 18:30' }, '2026-03-01T00:00Z'), '2026-03-01T17:30');
    assert.equal(next({ every: 'once', at: '2026-03-01T18:30' }, '2026-03-01T17:30Z'), undefined);
    assert.equal(next({ every: 'once', at: '2026-03-01T18:30:00-05:00' }, '2026-03-01T00:00Z'), '2026-03-01T23:30');
  });

  it('comes every so many minutes or hours, whatever the clock on the wall', () => {
    assert.equal(next({ every: 'minutes', count: 45 }, '2026-03-01T00:00Z'), '2026-03-01T00:45');
    assert.equal(next({ every: 'hours', count: 5 }, '2026-03-01T05:00Z'), '2026-03-01T10:00');
    assert.equal(next({ every: 'hours', count: 5, from: 'x' }, '2026-02-01T05:00Z'), '2026-03-01T00:00');
  });

  it('comes at the same time of every day, also when the clock is changed', () => {
    const daily: When = { every: 'day', time: '09:00' };
    assert.equal(next(daily, '2026-03-28T08:00Z'), '2026-03-29T07:00');
    assert.equal(next(daily, '2026-10-24T07:00Z'), '2026-10-25T08:00');
    const night: When = { every: 'day', time: '02:30' };
    assert.equal(next(night, '2026-03-28T02:00Z'), '2026-03-29T01:30');
    // It is half past two twice, and it comes once.
    assert.equal(next(night, '2026-10-25T00:30Z'), '2026-10-26T01:30');
    assert.equal(next(night, '2026-10-25T01:30Z'), '2026-10-26T01:30');
  });

  it('comes on days of the week', () => {
    const weekly: When = { every: 'week', days: ['monday', 'friday'], time: '00:15' };
    assert.equal(next(weekly, '2026-03-01T00:00Z'), '2026-03-01T23:15'); // a Monday in Berlin
    assert.equal(next(weekly, '2026-03-01T23:15Z'), '2026-03-05T23:15');
    assert.equal(next(weekly, '2026-03-01T00:00Z', 'America/New_York'), '2026-03-02T05:15');
  });

  it('comes on a day of the month, or on the last one', () => {
    const monthly: When = { every: 'month', day: 31, time: '12:00' };
    assert.equal(next(monthly, '2026-01-31T11:00Z'), '2026-02-28T11:00');
    assert.equal(next(monthly, '2026-02-28T11:00Z'), '2026-03-31T10:00');
    assert.equal(next(monthly, '2028-02-01T11:00Z'), '2028-02-29T11:00');
    assert.equal(next({ ...monthly, day: 15 }, '2026-03-15T11:00Z'), '2026-04-15T10:00');
  });

  it('always goes on, and finds the last time of a span', () => {
    const whens = fc.oneof(
      fc.record({ every: fc.constant('day' as const), time: fc.constantFrom('00:00', '02:30', '23:59') }),
      fc.record({ every: fc.constant('month' as const), day: fc.integer({ min: 1, max: 31 }), time: fc.constant('02:00') }),
      fc.record({ every: fc.constant('minutes' as const), count: fc.integer({ min: 1, max: 100_000 }) }),
    );
    const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'Pacific/Apia');
    const hours = fc.integer({ min: at('2011-12-01T00:00Z') / HOUR, max: at('2030-01-01T00:00Z') / HOUR });
    fc.assert(
      fc.property(whens, zones, hours, (when, zone, hour) => {
        const frame = { zone, anchor: at('2011-11-01T00:00Z') };
        const first = nextTime(when, frame, hour * HOUR)!;
        const second = nextTime(when, frame, first)!;
        assert(first > hour * HOUR && second > first);
        assert.equal(lastTime(when, frame, hour * HOUR, second - 1), first);
        assert.equal(lastTime(when, frame, hour * HOUR, first - 1), undefined);
      }),
    );
  });
});

describe('announcements: plans', () => {
  const limits = { maxBytes: 100, minInterval: 5 * 60_000, maxAhead: 365 * 24 * HOUR };
  const check = (plan: Partial<Plan>, zone = 'UTC') =>
    checkPlan({ text: 'Lunch', when: { every: 'day', time: '12:00' }, ...plan }, { zone, now: at('2026-03-01T00:00Z') }, limits);

  it('keeps what was asked for, and nothing else', () => {
    const plan: Plan & { evil: string } = { text: 'Lunch', when: { every: 'day', time: ' 12:00 ' }, evil: 'x' };
    assert.deepEqual(check(plan), {
      text: 'Lunch',
      when: { every: 'day', time: '12:00' },
      anchor: at('2026-03-01T00:00Z'),
      due: at('2026-03-01T12:00Z'),
    });
  });

  it('refuses absurd dates, times and numbers', () => {
    const whens: readonly When[] = [
      ...['2026-02-28 12:00', '2026-02-30 12:00', '2027-03-02 12:00', '9999-12-31 23:59', '0000-00-00 00:00', 'tomorrow', ''].map(
        (text): When => ({ every: 'once', at: text }),
      ),
      { every: 'once', at: '9'.repeat(100_000) },
      ...['24:00', '12:60', '-1:00', '1:00', 'noon', ''].map((time): When => ({ every: 'day', time })),
      ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 4, 1e9, 2 ** 53].map((count): When => ({ every: 'minutes', count })),
      { every: 'hours', count: 24 * 366 },
      { every: 'minutes', count: 10, from: '2026-02-01 00:00' },
      { every: 'minutes', count: 10, from: '2028-02-01 00:00' },
      { every: 'minutes', count: 10, from: 'soon' },
      { every: 'week', days: [], time: '12:00' },
      ...[0, 32, 1.5, Number.NaN].map((day): When => ({ every: 'month', day, time: '12:00' })),
    ];
    for (const when of whens)
      assert.throws(() => check({ when }), { condition: 'not-acceptable' }, JSON.stringify(when).slice(0, 80));
  });

  it('refuses texts that are empty, too long or cannot be sent', () => {
    for (const text of ['', ' \n', 'a\0b', 'a\uD800b', '\uFFFF']) {
      assert.throws(() => check({ text }), { condition: 'not-acceptable' });
    }
    assert.throws(() => check({ text: '€'.repeat(34) }), { condition: 'policy-violation' });
    assert.throws(() => check({ text: 'x', title: 'x'.repeat(100) }), { condition: 'policy-violation' });
    assert.equal(check({ text: '🙂 <&>' }).text, '🙂 <&>');
  });
});

describe('announcements: alarms', () => {
  it('sees to what is due in order, with one timer that is never too long', async () => {
    const clock = new FakeClock(0);
    const seen: string[] = [];
    const alarm = new Alarm(clock, async (key) => void seen.push(`${key} ${clock.now()}`));
    alarm.set('year', 365 * 24 * HOUR);
    assert.deepEqual(clock.waiting, []);
    alarm.open();
    assert.deepEqual(clock.waiting, [HOUR]);
    for (const [key, time] of [
      ['c', 3000],
      ['a', 1000],
      ['b', 2000],
      ['gone', 1500],
      ['moved', 100],
    ] as const)
      alarm.set(key, time);
    alarm.set('gone', undefined);
    alarm.set('moved', 2500);
    assert.equal(clock.waiting.length, 1);
    await clock.pass(10_000);
    assert.deepEqual(seen, ['a 1000', 'b 2000', 'moved 2500', 'c 3000']);
    await clock.pass(365 * 24 * HOUR);
    assert.equal(seen.at(-1), `year ${365 * 24 * HOUR}`);
    await alarm.stop();
    assert.deepEqual(clock.waiting, []);
  });

  it('sees to the same as a list would, whatever comes', async () => {
    const events = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 20 }), fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined })),
    );
    await fc.assert(
      fc.asyncProperty(events, async (all) => {
        const clock = new FakeClock(0);
        const seen: string[] = [];
        const alarm = new Alarm(clock, async (key) => void seen.push(key));
        const times = new Map<string, number>();
        alarm.open();
        for (const [key, time] of all) {
          alarm.set(String(key), time);
          if (time === undefined) times.delete(String(key));
          else times.set(String(key), time);
        }
        await clock.pass(60);
        const by = (keys: readonly string[]) => [...keys].sort();
        assert.deepEqual(by(seen), by([...times.keys()]));
        assert.deepEqual(
          seen.map((key) => times.get(key)),
          [...times.values()].sort((a, b) => a - b),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('does not do everything at once that is due at nine', async () => {
    const clock = new FakeClock(0);
    let [running, most, done] = [0, 0, 0];
    const alarm = new Alarm(clock, async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      done++;
    });
    alarm.open();
    for (let i = 0; i < 500; i++) alarm.set(String(i), 1000);
    await clock.pass(1000);
    while (done < 500) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(most, 16);
  });
});
