// The forms by which announcements are planned.
import { type Element, type FormField, StanzaError, writeForm } from '#core';
import type { Answers } from '../commands/index.ts';
import { NS_ANNOUNCEMENTS } from './namespaces.ts';
import { type Notice, type Schedule, TARGETS, type Target } from './plan.ts';
import { WEEKDAYS, type When } from './recurrence.ts';
import { showTime } from './zone.ts';

type Every = When['every'];

const KINDS: readonly { readonly value: Every; readonly label: string }[] = [
  { value: 'once', label: 'Once' },
  { value: 'minutes', label: 'Every so many minutes' },
  { value: 'hours', label: 'Every so many hours' },
  { value: 'day', label: 'Every day' },
  { value: 'week', label: 'Every week, on some days' },
  { value: 'month', label: 'Every month, on one day' },
];

const TARGET_LABELS: Readonly<Record<Target, string>> = {
  online: 'Everybody who is online',
  accounts: 'All accounts; who is offline gets it later',
  rooms: 'Everybody in all rooms',
  'public-rooms': 'Everybody in public rooms',
};

/** What has been answered on the first page. */
export interface Outline extends Notice {
  readonly every: Every;
  readonly to?: Target;
}

/** Asks what is announced; `targets`: also to whom; `old`: it takes the place of this. */
export function askText(title: string, targets: readonly Target[], old?: Partial<Schedule>): Element {
  const text: FormField = {
    name: 'text',
    type: 'text-multi',
    label: 'Text',
    isRequired: true,
    values: old?.text?.split('\n') ?? [],
  };
  return writeForm('form', NS_ANNOUNCEMENTS, [...targetFields(targets, old), text], { title });
}

/** Asks what is announced, and how often. */
export function askOutline(title: string, targets: readonly Target[], old?: Schedule): Element {
  const text: FormField = {
    name: 'text',
    type: 'text-multi',
    label: 'Text',
    isRequired: true,
    values: old?.text.split('\n') ?? [],
  };
  const every: FormField = {
    name: 'every',
    type: 'list-single',
    label: 'How often?',
    options: KINDS,
    values: [old?.when.every ?? 'once'],
    isRequired: true,
  };
  return writeForm('form', NS_ANNOUNCEMENTS, [...targetFields(targets, old), text, every], { title });
}

function targetFields(targets: readonly Target[], old: Partial<Schedule> | undefined): readonly FormField[] {
  if (targets.length === 0) return [];
  const options = targets.map((value) => ({ value, label: TARGET_LABELS[value] }));
  return [
    { name: 'to', type: 'list-single', label: 'To whom?', options, isRequired: true, values: old?.to ? [old.to] : [] },
    { name: 'title', type: 'text-single', label: 'Subject', values: old?.title ? [old.title] : [] },
  ];
}

/** Reads what `askText` has asked for. Throws StanzaError `not-acceptable`. */
export function readNotice(answers: Answers): Notice & { readonly to?: Target } {
  const title = answers.get('title')?.[0]?.trim();
  const wanted = answers.get('to')?.[0];
  const to = TARGETS.find((target) => target === wanted);
  if (wanted !== undefined && !to) throw new StanzaError('not-acceptable', { text: 'It is not said to whom' });
  return { text: (answers.get('text') ?? []).join('\n'), ...(title && { title }), ...(to && { to }) };
}

/** Reads what `askOutline` has asked for. Throws StanzaError `not-acceptable`. */
export function readOutline(answers: Answers): Outline {
  const kind = KINDS.find(({ value }) => value === answers.get('every')?.[0]);
  if (!kind) throw new StanzaError('not-acceptable', { text: 'It is not said how often' });
  const notice = readNotice(answers);
  if (notice.text.trim() === '') throw new StanzaError('not-acceptable', { text: 'There is nothing to announce' });
  return { ...notice, every: kind.value };
}

/** Asks when exactly, by the clock of this zone. */
export function askWhen(title: string, every: Every, zone: string, old?: When): Element {
  const known = old?.every === every ? old : undefined;
  const instructions = `Times are those of the time zone ${zone}.`;
  return writeForm('form', NS_ANNOUNCEMENTS, fieldsOf(every, known), { title, instructions });
}

function fieldsOf(every: Every, old: When | undefined): readonly FormField[] {
  const values = (value: string | number | undefined): readonly string[] => (value === undefined ? [] : [String(value)]);
  const count = old && 'count' in old ? old : undefined;
  const time: FormField = {
    name: 'time',
    type: 'text-single',
    label: 'Time, such as 18:30',
    isRequired: true,
    values: values(old && 'time' in old ? old.time : undefined),
  };
  switch (every) {
    case 'once': {
      const label = 'Date and time, such as 2026-03-01 18:30';
      return [
        { name: 'at', type: 'text-single', label, isRequired: true, values: values(old?.every === 'once' ? old.at : undefined) },
      ];
    }
    case 'minutes':
    case 'hours':
      return [
        { name: 'count', type: 'text-single', label: `How many ${every}?`, isRequired: true, values: values(count?.count) },
        {
          name: 'from',
          type: 'text-single',
          label: 'The first time, such as 2026-03-01 18:30; as soon as they are over when empty',
        },
      ];
    case 'day':
      return [time];
    case 'week': {
      const options = WEEKDAYS.map((value) => ({ value, label: value[0]!.toUpperCase() + value.slice(1) }));
      const days = old?.every === 'week' ? old.days : [];
      return [{ name: 'days', type: 'list-multi', label: 'Days', options, isRequired: true, values: days }, time];
    }
    case 'month': {
      const day = old?.every === 'month' ? old.day : undefined;
      const label = 'Day of the month; in shorter months it is the last one';
      return [{ name: 'day', type: 'text-single', label, isRequired: true, values: values(day) }, time];
    }
  }
}

/** Reads what `askWhen` has asked for; what it means is looked at later (checkPlan). */
export function readWhen(every: Every, answers: Answers): When {
  const one = (name: string): string => answers.get(name)?.[0]?.trim() ?? '';
  const number = (name: string): number => (/^\d{1,9}$/.test(one(name)) ? Number(one(name)) : Number.NaN);
  switch (every) {
    case 'once':
      return { every, at: one('at') };
    case 'minutes':
    case 'hours':
      return { every, count: number('count'), ...(one('from') !== '' && { from: one('from') }) };
    case 'day':
      return { every, time: one('time') };
    case 'week':
      return { every, days: WEEKDAYS.filter((day) => answers.get('days')?.includes(day)), time: one('time') };
    case 'month':
      return { every, day: number('day'), time: one('time') };
  }
}

/** Asks which of these is meant. */
export function askWhich(title: string, schedules: readonly Schedule[], zone: string): Element {
  const options = schedules.map((each) => ({ value: each.id, label: `${each.text.slice(0, 60)} (${describe(each, zone)})` }));
  const field: FormField = { name: 'id', type: 'list-single', label: 'Announcement', options, isRequired: true };
  return writeForm('form', NS_ANNOUNCEMENTS, [field], { title });
}

/** How often, and when next, in words. */
export function describe({ when, due, to }: Schedule, zone: string): string {
  const whom = to === undefined ? '' : `${TARGET_LABELS[to]}. `;
  const next = `${showTime(zone, due)} (${zone})`;
  switch (when.every) {
    case 'once':
      return `${whom}Once, on ${next}`;
    case 'minutes':
    case 'hours':
      return `${whom}Every ${when.count} ${when.every}, next on ${next}`;
    case 'day':
      return `${whom}Every day, next on ${next}`;
    case 'week':
      return `${whom}Every week on ${when.days.join(', ')}, next on ${next}`;
    case 'month':
      return `${whom}Every month on day ${when.day}, next on ${next}`;
  }
}
