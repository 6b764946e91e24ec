// What subscribers choose (XEP-0060 sections 6.3, 6.4 and 16.4.2).
import { type Element, type FormField, readDateTime, readForm, writeDateTime, writeForm } from '#core';
import { readFlag } from './config.ts';
import { NS_PUBSUB, pubsubError } from './errors.ts';
import { DEFAULT_OPTIONS, type SubscriptionOptions } from './members.ts';

const NS_DATA = 'jabber:x:data';
export const NS_SUBSCRIBE_OPTIONS = `${NS_PUBSUB}#subscribe_options`;

const SHOWS = ['online', 'chat', 'away', 'xa', 'dnd'];

/** The form, filled in: to be changed, or as a result. */
export function writeOptions({ deliver, expire, showValues }: SubscriptionOptions, type: 'form' | 'result'): Element {
  const fields: readonly FormField[] = [
    { name: 'pubsub#deliver', type: 'boolean', label: 'Notify me', values: [deliver ? '1' : '0'] },
    {
      name: 'pubsub#expire',
      type: 'text-single',
      label: 'Until when, as a date and time',
      values: expire === undefined ? [] : [writeDateTime(expire)],
    },
    {
      name: 'pubsub#show-values',
      type: 'list-multi',
      label: 'Only while I am',
      values: showValues ?? [],
      options: SHOWS.map((value) => ({ value })),
    },
  ];
  return writeForm(type, NS_SUBSCRIBE_OPTIONS, fields);
}

/** Reads what was submitted; what was not sent keeps its value. Throws StanzaError `bad-request` with `invalid-options`. */
export function readOptions(form: Element | undefined, before: SubscriptionOptions = DEFAULT_OPTIONS): SubscriptionOptions {
  if (!form?.is('x', NS_DATA)) throw invalid('There is no form');
  const values = readForm(form);
  const type = values.get('FORM_TYPE')?.[0];
  if (type !== undefined && type !== NS_SUBSCRIBE_OPTIONS) throw invalid('This form is another one');
  let { deliver, expire, showValues } = before;
  for (const [name, given] of values) {
    if (name === 'pubsub#deliver') deliver = readFlag(given) ?? fail(name);
    else if (name === 'pubsub#expire') expire = readExpiry(given[0]);
    else if (name === 'pubsub#show-values') showValues = readShows(given);
  }
  return { deliver, ...(expire !== undefined && { expire }), ...(showValues && { showValues }) };
}

function readExpiry(text: string | undefined): number | undefined {
  // `presence` means until the subscriber goes offline, which nobody here would see of everybody.
  if (text === undefined || text === '') return undefined;
  return readDateTime(text) ?? fail('pubsub#expire');
}

function readShows(values: readonly string[]): readonly string[] | undefined {
  if (values.some((value) => !SHOWS.includes(value))) fail('pubsub#show-values');
  return values.length === 0 || new Set(values).size === SHOWS.length ? undefined : [...new Set(values)];
}

function fail(name: string): never {
  throw invalid(`${name} cannot have this value`);
}

function invalid(text: string) {
  return pubsubError('bad-request', 'invalid-options', { text });
}
