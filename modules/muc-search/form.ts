// XEP-0433 section 4: what can be searched for, and what is wrong with a search.
import { type Element, type FormField, readForm, type StanzaCondition, StanzaError, writeForm, xml } from '#core';

const NS = 'urn:xmpp:channel-search:0';
/** The namespace of the IQs. */
export const NS_SEARCH = `${NS}:search`;
const NS_PARAMS = `${NS}:search-params`;
const NS_ERROR = `${NS}:error`;
const NS_DATA = 'jabber:x:data';

/** The orders there are. */
export const ORDERS = [
  { value: `{${NS}:order}nusers`, label: 'Number of online users' },
  { value: `{${NS}:order}address`, label: 'Address' },
] as const;
const [BY_USERS, BY_ADDRESS] = ORDERS;
/** The only kind of channel there is here. */
export const TYPE = 'xep-0045';

/** Bounds of what is searched for. */
const MAX_Q = 256;
const MAX_TERMS = 8;
/** Where a flag stands under another name in section 5.1 than in the form of section 4.2.1. */
const ALIASES = new Map([['sinaddr', 'sinaddress']]);
const PLACES = ['sinname', 'sindescription', 'sinaddr'] as const;

const FIELDS: readonly FormField[] = [
  { name: 'q', type: 'text-single', label: 'Search for' },
  { name: 'all', type: 'boolean', label: 'Return all entries (ignore search terms)' },
  { name: 'sinname', type: 'boolean', label: 'Search in name', values: ['true'] },
  { name: 'sindescription', type: 'boolean', label: 'Search in description', values: ['true'] },
  { name: 'sinaddr', type: 'boolean', label: 'Search in address', values: ['true'] },
  { name: 'min_users', type: 'text-single', label: 'Minimum number of users', values: ['0'] },
  {
    name: 'types',
    type: 'list-multi',
    label: 'Service types',
    values: [TYPE],
    options: [{ value: TYPE, label: 'XEP-0045 Multi User Chats' }],
  },
  { name: 'key', type: 'list-single', label: 'Sort results by', values: [BY_USERS.value], options: ORDERS },
];

/** What somebody searches for. */
export interface Search {
  /** Simplified; all of them have to be found. None: all rooms are meant. */
  readonly terms: readonly string[];
  readonly inName: boolean;
  readonly inDescription: boolean;
  readonly inAddress: boolean;
  readonly minUsers: number;
  readonly byUsers: boolean;
  /** Whether rooms are among the kinds of channel that are wanted. */
  readonly wantsRooms: boolean;
}

/** The form, for who asks for it (section 4.2.1). */
export function showForm(mayAll: boolean): Element {
  const fields = mayAll ? FIELDS : FIELDS.filter(({ name }) => name !== 'all');
  return xml('search', NS_SEARCH, writeForm('form', NS_PARAMS, fields));
}

/** Reads what was filled in; undefined where the form is asked for. Throws the errors of sections 4.2.2.2 to 4.2.2.7. */
export function readSearch(payload: Element, mayAll: boolean): Search | undefined {
  const form = payload.getChild('x', NS_DATA);
  if (!form) return undefined;
  const values = readForm(form);
  const one = (name: string): string | undefined => values.get(name)?.[0];
  if (form.attrs['type'] !== 'submit' || (one('FORM_TYPE') ?? NS_PARAMS) !== NS_PARAMS) {
    throw new StanzaError('bad-request', { text: `A form of the type ${NS_PARAMS} is submitted` });
  }
  const flag = (name: string, usual: boolean): boolean => readFlag(one(name) ?? one(ALIASES.get(name) ?? ''), usual);
  const wantsAll = flag('all', false);
  const q = one('q')?.trim() ?? '';
  if (wantsAll && q !== '') throw conflict('All cannot be returned when something is searched for', 'all', 'q');
  if (wantsAll && !mayAll) throw refusal('not-allowed', 'cancel', { name: 'full-set-retrieval-rejected' });
  // An empty field is one that was left as it is.
  if (!wantsAll && q === '') throw refusal('bad-request', 'cancel', { name: 'no-search-conditions' });
  const [inName, inDescription, inAddress] = PLACES.map((name) => flag(name, true)) as [boolean, boolean, boolean];
  if (q !== '' && !inName && !inDescription && !inAddress) throw conflict('There is nowhere to search', 'q', ...PLACES);
  const types = values.get('types') ?? [];
  return {
    terms: wantsAll ? [] : readTerms(q),
    inName,
    inDescription,
    inAddress,
    minUsers: readCount(one('min_users')),
    byUsers: readOrder(one('key')),
    wantsRooms: types.length === 0 || types.includes(TYPE),
  };
}

/** A text in the form in which texts are compared: whatever its case and its width. */
export function simplify(text: string): string {
  // What is ASCII, which most is, is in that form already.
  return (/^[\x00-\x7f]*$/.test(text) ? text : text.normalize('NFKC')).toLowerCase();
}

/** One who searches too much (section 4.2.2.4). */
export function tooMuch(seconds: number): StanzaError {
  const attrs = { 'retry-after': String(seconds) };
  return refusal('resource-constraint', 'wait', { name: 'rate-limit', attrs, text: 'One search after the other, please' });
}

/** A single letter is in every name; where letters are words or syllables it says something. */
function readTerms(q: string): readonly string[] {
  const words = q.length > MAX_Q ? [] : simplify(q).split(/\s+/u);
  const terms = [...new Set(words)].filter((word) => word.length > 1 || word > '\u02ff').slice(0, MAX_TERMS);
  if (terms.length > 0) return terms;
  const text = `A search is for words of at least two letters, in at most ${MAX_Q} characters`;
  throw refusal('bad-request', 'modify', { name: 'invalid-search-terms', text });
}

function readCount(text = '0'): number {
  if (!/^\d{1,9}$/.test(text.trim())) throw new StanzaError('bad-request', { text: 'A number of users is a number' });
  return Number(text);
}

function readOrder(key: string = BY_USERS.value): boolean {
  if (key === BY_USERS.value) return true;
  if (key === BY_ADDRESS.value) return false;
  throw refusal('feature-not-implemented', 'modify', { name: 'invalid-sort-key' });
}

function readFlag(value: string | undefined, usual: boolean): boolean {
  if (value === undefined) return usual;
  return value === '1' || value === 'true';
}

function conflict(text: string, ...fields: readonly string[]): StanzaError {
  return refusal('bad-request', 'modify', {
    name: 'conflicting-fields',
    text,
    children: fields.map((field) => xml('var', {}, field)),
  });
}

interface Reason {
  readonly name: string;
  readonly text?: string;
  readonly attrs?: Readonly<Record<string, string>>;
  readonly children?: readonly Element[];
}

function refusal(condition: StanzaCondition, type: 'cancel' | 'modify' | 'wait', reason: Reason): StanzaError {
  const { name, text, attrs = {}, children = [] } = reason;
  const extra = xml(name, { xmlns: NS_ERROR, ...attrs }, ...children);
  return new StanzaError(condition, { type, extra, ...(text !== undefined && { text }) });
}
