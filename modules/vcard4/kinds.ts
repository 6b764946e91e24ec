// What vcard-temp (XEP-0054) and vCard4 (RFC 6350 and 6351) both have, by XEP-0292 section 7: how each writes it, and what it says.
import { type Element, xml } from '#core';
import { binary } from './binaries.ts';

export const NS_TEMP = 'vcard-temp';
export const NS_FOUR = 'urn:ietf:params:xml:ns:vcard-4.0';

/** What an element says, as far as both forms can say it: for JSON, and the same for the same meaning. */
export type Value = string | readonly string[];

/** One kind of thing that is said in a vCard. */
export interface Kind {
  /** The elements that say it in vcard-temp; the first one is written. */
  readonly temp: readonly string[];
  /** The element that says it in vCard4. */
  readonly four: string;
  /** Undefined when it says nothing, or what the other form cannot say. */
  readTemp(element: Element): Value | undefined;
  readFour(element: Element): Value | undefined;
  writeTemp(value: Value): Element;
  writeFour(value: Value): Element;
}

/** Those with several parts have them in this order, always all of them. */
const N_PARTS = [
  ['FAMILY', 'surname'],
  ['GIVEN', 'given'],
  ['MIDDLE', 'additional'],
  ['PREFIX', 'prefix'],
  ['SUFFIX', 'suffix'],
] as const;
const ADR_PARTS = [
  ['POBOX', 'pobox'],
  ['EXTADD', 'ext'],
  ['STREET', 'street'],
  ['LOCALITY', 'locality'],
  ['REGION', 'region'],
  ['PCODE', 'code'],
  ['CTRY', 'country'],
] as const;

const PLACES = ['home', 'work'] as const;
const TEL_TYPES = [...PLACES, 'text', 'voice', 'fax', 'cell', 'video', 'pager', 'textphone'] as const;

const TEL_URI = /^\+?[0-9()*#.-]+(;[\x21-\x7e]*)?$/;
const OFFSET = /^(Z|[+-]\d{2}(:?\d{2})?)$/;
const SHORT_DATE = /^(\d{4})(\d{2})(\d{2})$/;
const DATE = /^(\d{4}|-)-?(\d{2}|-)-?(\d{2})?$/;
const DATE_TIME = /^\d{4}-?\d{2}-?\d{2}T/;
const GEO_URI = /^geo:(-?[0-9.]+),(-?[0-9.]+)/i;
const COORDINATE = /^-?\d{1,3}(\.\d{1,20})?$/;

/** All kinds, in the order in which they are written. */
export function kindsOf(maxBinary: number): readonly Kind[] {
  return [
    text('FN', 'fn'),
    parts('N', 'n', N_PARTS, []),
    text('NICKNAME', 'nickname'),
    binary('PHOTO', 'photo', maxBinary, ''),
    { ...text('BDAY', 'bday', writeDate), readFour: readDate },
    parts('ADR', 'adr', ADR_PARTS, PLACES),
    typed('TEL', 'tel', { child: 'NUMBER', types: TEL_TYPES, prefix: 'tel:', isUri: (value) => TEL_URI.test(value) }),
    typed('EMAIL', 'email', { child: 'USERID', types: PLACES, prefix: 'mailto:', isUri: () => false }),
    jabberId(),
    text('TZ', 'tz', (value) => (OFFSET.test(value) ? 'utc-offset' : 'text')),
    geo(),
    text('TITLE', 'title'),
    text('ROLE', 'role'),
    binary('LOGO', 'logo', maxBinary, ''),
    list('ORG', 'org', (at) => (at === 0 ? 'ORGNAME' : 'ORGUNIT')),
    list('CATEGORIES', 'categories', () => 'KEYWORD'),
    { ...text('DESC', 'note'), temp: ['DESC', 'NOTE'] },
    text('PRODID', 'prodid'),
    text('REV', 'rev', () => 'timestamp'),
    binary('SOUND', 'sound', maxBinary, 'audio/basic'),
    text('UID', 'uid', (value) => (/^[a-z][a-z0-9+.-]*:/i.test(value) ? 'uri' : 'text')),
    text('URL', 'url', () => 'uri'),
    key(),
  ];
}

/** One text; in vCard4 in an element for its type, which `typeOf` tells. */
function text(temp: string, four: string, typeOf: (value: string) => string = () => 'text'): Kind {
  return {
    temp: [temp],
    four,
    readTemp: (element) => meaning(element.getText()),
    readFour: (element) => meaning(valuesIn(element).join(',')),
    writeTemp: (value) => xml(temp, {}, String(value)),
    writeFour: (value) => xml(four, {}, xml(typeOf(String(value)), {}, String(value))),
  };
}

/** Parts with names, and types. The value: types, joined; whether it is preferred; the parts. */
function parts(
  temp: string,
  four: string,
  names: readonly (readonly [temp: string, four: string])[],
  types: readonly string[],
): Kind {
  const hasTypes = types.length > 0;
  const given = (found: readonly string[]) => (found.some((part) => part !== '') ? found : undefined);
  return {
    temp: [temp],
    four,
    readTemp: (element) => {
      const found = given(names.map(([name]) => textsOf(element, name).join(',')));
      return found && [...typesInTemp(element, types), ...found];
    },
    readFour: (element) => {
      const found = given(names.map(([, name]) => textsOf(element, name).join(',')));
      return found && [...typesInFour(element, types), ...found];
    },
    writeTemp: (value) => {
      const rest = value.slice(2) as readonly string[];
      return xml(temp, {}, ...(hasTypes ? writeTypes(value) : []), ...names.map(([name], i) => filled(name, rest[i])));
    },
    writeFour: (value) => {
      const rest = value.slice(2) as readonly string[];
      return xml(four, {}, hasTypes ? writeParameters(value) : undefined, ...names.map(([, name], i) => filled(name, rest[i])));
    },
  };
}

interface Typed {
  /** What has the text in vcard-temp. */
  readonly child: string;
  readonly types: readonly string[];
  /** Of the form in which it is a URI. */
  readonly prefix: string;
  isUri(value: string): boolean;
}

/** A text with types. The value: types, joined; whether it is preferred; the text. */
function typed(temp: string, four: string, { child, types, prefix, isUri }: Typed): Kind {
  return {
    temp: [temp],
    four,
    readTemp: (element) => {
      const found = meaning(
        element.getChild(child)?.getText() ?? (element.getChildElements().length === 0 ? element.getText() : ''),
      );
      return found && [...typesInTemp(element, types), found];
    },
    readFour: (element) => {
      const found = meaning(valuesIn(element)[0] ?? '');
      const isPrefixed = found?.toLowerCase().startsWith(prefix) === true;
      const bare = isPrefixed ? meaning(found!.slice(prefix.length)) : found;
      return bare && [...typesInFour(element, types), bare];
    },
    writeTemp: (value) => xml(temp, {}, ...writeTypes(value), xml(child, {}, value[2])),
    writeFour: (value) => {
      const said = value[2]!;
      return xml(four, {}, writeParameters(value), isUri(said) ? xml('uri', {}, prefix + said) : xml('text', {}, said));
    },
  };
}

/** Several texts. */
function list(temp: string, four: string, nameOf: (at: number) => string): Kind {
  const names = new Set([nameOf(0), nameOf(1)]);
  return {
    temp: [temp],
    four,
    readTemp: (element) =>
      given(
        element
          .getChildElements()
          .filter((child) => names.has(child.getName()))
          .map(textOf),
      ),
    readFour: (element) => given(valuesIn(element)),
    writeTemp: (value) => xml(temp, {}, ...[...value].map((each, i) => xml(nameOf(i), {}, each))),
    writeFour: (value) => xml(four, {}, ...[...value].map((each) => xml('text', {}, each))),
  };
}

/** XEP-0292 section 7.1.2. */
function jabberId(): Kind {
  const PREFIX = 'xmpp:';
  return {
    ...text('JABBERID', 'impp'),
    readFour: (element) => {
      const uri = valuesIn(element)[0] ?? '';
      if (!uri.toLowerCase().startsWith(PREFIX)) return undefined;
      return meaning(decode(uri.slice(PREFIX.length).replace(/[?#].*$/s, '')));
    },
    writeFour: (value) => xml('impp', {}, xml('uri', {}, PREFIX + encodeURI(String(value)).replace(/[?#]/g, encodeURIComponent))),
  };
}

/** Two numbers; a URI by RFC 5870. The value: latitude and longitude. */
function geo(): Kind {
  const check = (found: readonly string[]) =>
    found.length === 2 && found.every((each) => COORDINATE.test(each)) ? found : undefined;
  return {
    temp: ['GEO'],
    four: 'geo',
    readTemp: (element) => check(['LAT', 'LON'].map((name) => element.getChildText(name)?.trim() ?? '')),
    readFour: (element) => check(GEO_URI.exec(valuesIn(element)[0] ?? '')?.slice(1, 3) ?? []),
    writeTemp: ([lat, lon]) => xml('GEO', {}, xml('LAT', {}, lat), xml('LON', {}, lon)),
    writeFour: ([lat, lon]) => xml('geo', {}, xml('uri', {}, `geo:${lat},${lon}`)),
  };
}

/** XEP-0292 section 7.2.1. */
function key(): Kind {
  return {
    ...text('KEY', 'key'),
    readTemp: (element) => meaning(element.getChildText('CRED') ?? ''),
    readFour: (element) => meaning(element.getChildText('text') ?? ''),
    writeTemp: (value) => xml('KEY', {}, xml('CRED', {}, String(value))),
  };
}

/** vCard4 also writes dates without hyphens. */
function readDate(element: Element): string | undefined {
  const found = valuesIn(element)[0] ?? '';
  return meaning(found.replace(SHORT_DATE, '$1-$2-$3'));
}

function writeDate(value: string): string {
  if (DATE.test(value)) return 'date';
  return DATE_TIME.test(value) ? 'date-time' : 'text';
}

// ---- What elements hold

function meaning(said: string): string | undefined {
  const trimmed = said.trim();
  return trimmed === '' ? undefined : trimmed;
}

function given(found: readonly string[]): readonly string[] | undefined {
  return found.length > 0 && found[0] !== '' ? found.filter((each) => each !== '') : undefined;
}

/** The values of a property of vCard4: whatever is in it besides parameters. */
function valuesIn(element: Element): readonly string[] {
  return element
    .getChildElements()
    .filter((child) => child.getName() !== 'parameters')
    .map(textOf);
}

function textsOf(element: Element, name: string): readonly string[] {
  return element.getChildren(name).map(textOf);
}

function textOf(element: Element): string {
  return element.getText().trim();
}

function filled(name: string, value: string | undefined): Element | undefined {
  return value ? xml(name, {}, value) : undefined;
}

const PREFERRED = 'pref';

/** Types, joined, and whether it is preferred. */
function typesInTemp(element: Element, types: readonly string[]): readonly [types: string, preference: string] {
  const found = types.filter((type) => element.getChild(type.toUpperCase()));
  return [found.join(' '), element.getChild('PREF') ? PREFERRED : ''];
}

function typesInFour(element: Element, types: readonly string[]): readonly [types: string, preference: string] {
  const parameters = element.getChild('parameters');
  const said = new Set(parameters?.getChildren('type').flatMap((type) => valuesIn(type).map((each) => each.toLowerCase())));
  const pref = parameters?.getChild('pref');
  const isFirst = pref !== undefined && (valuesIn(pref)[0] ?? textOf(pref)) === '1';
  return [types.filter((type) => said.has(type)).join(' '), isFirst ? PREFERRED : ''];
}

function writeTypes([types = '', preference]: Value): readonly Element[] {
  const names = [...types.split(' '), preference === PREFERRED ? PREFERRED : ''];
  return names.filter((name) => name !== '').map((name) => xml(name.toUpperCase()));
}

function writeParameters([types = '', preference]: Value): Element | undefined {
  const names = types.split(' ').filter((name) => name !== '');
  const type = names.length > 0 ? xml('type', {}, ...names.map((name) => xml('text', {}, name))) : undefined;
  const pref = preference === PREFERRED ? xml('pref', {}, xml('integer', {}, '1')) : undefined;
  return type || pref ? xml('parameters', {}, type, pref) : undefined;
}

function decode(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
