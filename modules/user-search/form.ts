// XEP-0055: what can be searched for, and how it is answered, as plain fields and as data forms.
import { type Element, type FormField, type RsmPage, readForm, StanzaError, writeForm, writeRsm, xml } from '#core';
import type { CardNames } from '../vcard/index.ts';
import type { Place, Term } from './directory.ts';
import { saysEnough, simplify, wordsOf } from './words.ts';

/** The namespace of the IQs, and the type of the form. */
export const NS_SEARCH = 'jabber:iq:search';
const NS_DATA = 'jabber:x:data';
const MAX_TEXT = 256;

/** The fields of the schema; everything else is for forms (section 3). */
const PLAIN = ['first', 'last', 'nick', 'email'] as const;
const INSTRUCTIONS = 'Fill in one or more fields: beginnings of words are enough.';

/** Where words of a field may stand. */
const PLACES: ReadonlyMap<string, readonly Place[]> = new Map<string, readonly Place[]>([
  ['first', ['first']],
  ['last', ['last']],
  ['nick', ['nick']],
  ['name', ['first', 'last', 'nick', 'full']],
]);

const FIELDS: readonly FormField[] = [
  { name: 'name', type: 'text-single', label: 'Any Name' },
  { name: 'first', type: 'text-single', label: 'Given Name' },
  { name: 'last', type: 'text-single', label: 'Family Name' },
  { name: 'nick', type: 'text-single', label: 'Nickname' },
  { name: 'email', type: 'text-single', label: 'Email Address' },
  { name: 'jid', type: 'text-single', label: 'Username or Address' },
];

const REPORTED: readonly FormField[] = [
  { name: 'jid', type: 'jid-single', label: 'Address' },
  { name: 'name', type: 'text-single', label: 'Full Name' },
  ...FIELDS.filter(({ name }) => PLAIN.some((plain) => plain === name)),
];

/** What somebody searches for. */
export interface Search {
  readonly terms: readonly Term[];
  /** It was asked by a form, and is answered by one. */
  readonly hasForm: boolean;
}

/** A user who was found. */
export interface Found {
  readonly jid: string;
  readonly names: CardNames;
}

/** What can be searched for (sections 2.1 and 3). */
export function showFields(title: string): Element {
  const form = writeForm('form', NS_SEARCH, FIELDS, { title, instructions: INSTRUCTIONS });
  return xml('query', NS_SEARCH, xml('instructions', {}, INSTRUCTIONS), ...PLAIN.map((name) => xml(name)), form);
}

/**
 * Reads a search; undefined for one that can find nobody here. Throws StanzaError `bad-request` for a form of another kind, and
 * `not-acceptable` for one that says too little, or more than anybody's name has.
 */
export function readSearch(query: Element, domain: string): Search | undefined {
  const form = query.getChild('x', NS_DATA);
  const values = form ? readFilled(form) : readPlain(query);
  const terms: Term[] = [];
  for (const [field, text] of values) {
    if (text.length > MAX_TEXT) throw new StanzaError('not-acceptable', { text: `${field} is too long` });
    const found = readTerms(field, text, domain);
    if (!found) return undefined;
    terms.push(...found);
  }
  if (terms.length === 0) {
    throw new StanzaError('not-acceptable', { text: 'Fill in at least one field, with two letters or more' });
  }
  return { terms, hasForm: form !== undefined };
}

/** The answer to a search. */
export function writeFound(found: readonly Found[], hasForm: boolean, page: RsmPage | undefined): Element {
  const set = page && writeRsm(page);
  if (hasForm) return xml('query', NS_SEARCH, writeTable(found), set);
  return xml('query', NS_SEARCH, ...found.map(writeItem), set);
}

function readPlain(query: Element): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const name of PLAIN) {
    const text = query.getChildText(name, NS_SEARCH);
    if (text) values.set(name, text);
  }
  return values;
}

function readFilled(form: Element): ReadonlyMap<string, string> {
  const values = readForm(form);
  if (form.attrs['type'] !== 'submit' || (values.get('FORM_TYPE')?.[0] ?? NS_SEARCH) !== NS_SEARCH) {
    throw new StanzaError('bad-request', { text: `A form of the type ${NS_SEARCH} is submitted` });
  }
  const known = FIELDS.map(({ name }) => [name, values.get(name)?.join(' ') ?? ''] as const);
  return new Map(known);
}

/** None for a text that says nothing; undefined for one that is nobody's here. */
function readTerms(field: string, text: string, domain: string): readonly Term[] | undefined {
  const places = PLACES.get(field);
  if (places) {
    return wordsOf(text)
      .filter(saysEnough)
      .map((prefix) => ({ places, prefix }));
  }
  const whole = simplify(text.trim());
  if (field === 'jid') return readAddress(whole, domain);
  return saysEnough(whole) ? toTerms('email', whole) : [];
}

/** The beginning of a username, or a username with the beginning of this domain. */
function readAddress(text: string, domain: string): readonly Term[] | undefined {
  const at = text.indexOf('@');
  if (at < 0) return saysEnough(text) ? toTerms('user', text) : [];
  if (at === 0) return [];
  if (!domain.startsWith(text.slice(at + 1))) return undefined;
  return [{ places: ['user'], prefix: text.slice(0, at), isWhole: true }];
}

/** Neither has `*` or `%` in it but as what they are: nobody is found by them. */
function toTerms(place: Place, prefix: string): readonly Term[] {
  return [{ places: [place], prefix }];
}

function writeItem({ jid, names }: Found): Element {
  return xml('item', { jid }, ...PLAIN.map((name) => xml(name, {}, names[name] ?? '')));
}

function writeTable(found: readonly Found[]): Element {
  const table = writeForm('result', NS_SEARCH, []);
  const reported = REPORTED.map(({ name, type, label }) => xml('field', { var: name, type, label }));
  table.cnode(xml('reported', {}, ...reported));
  for (const { jid, names } of found) {
    const values = new Map<string, string | undefined>([
      ['jid', jid],
      ['name', names.full],
      ...PLAIN.map((name) => [name, names[name]] as const),
    ]);
    const fields = REPORTED.map(({ name }) => xml('field', { var: name }, xml('value', {}, values.get(name) ?? '')));
    table.cnode(xml('item', {}, ...fields));
  }
  return table;
}
