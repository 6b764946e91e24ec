import { createHash } from 'node:crypto';
import type { DiscoInfo } from '../disco/index.ts';

/** Ends one string, one field or identity, one form, one part (XEP-0390 section 4.1). */
const UNIT = '\x1f';
const RECORD = '\x1e';
const GROUP = '\x1d';
const FILE = '\x1c';

/** The verification string of an answer to disco#info, hashed with SHA-1 (XEP-0115 section 5.1). */
export function hashLegacy(info: DiscoInfo): string {
  const identities = sorted(
    info.identities.map(({ category, type, lang, name }) => `${category}/${type}/${lang ?? ''}/${name ?? ''}`),
  );
  const forms = info.forms.map(readFields).sort((a, b) => compare(typeOf(a), typeOf(b)));
  let text = join([...identities, ...sorted(info.features)]);
  for (const fields of forms) {
    text += join([typeOf(fields)]);
    const others = fields.filter(({ name }) => name !== 'FORM_TYPE').sort((a, b) => compare(a.name, b.name));
    for (const { name, values } of others) text += join([name, ...sorted(values)]);
  }
  return createHash('sha1').update(text).digest('base64');
}

/** The same hashed by XEP-0390 section 4.1, with the algorithms that XEP-0300 wants everybody to have. */
export function hashModern(info: DiscoInfo): ReadonlyMap<string, string> {
  const input = writeInput(info);
  const hash = (algorithm: string) => createHash(algorithm).update(input).digest('base64');
  return new Map([
    ['sha-256', hash('sha256')],
    ['sha3-256', hash('sha3-256')],
  ]);
}

function writeInput(info: DiscoInfo): string {
  const features = sorted(info.features.map((feature) => feature + UNIT)).join('');
  const identities = info.identities.map(
    ({ category, type, lang, name }) => [category, type, lang ?? '', name ?? ''].join(UNIT) + UNIT + RECORD,
  );
  const forms = info.forms.map((form) => {
    const fields = readFields(form).map(
      ({ name, values }) => name + UNIT + sorted(values.map((value) => value + UNIT)).join('') + RECORD,
    );
    return sorted(fields).join('') + GROUP;
  });
  return features + FILE + sorted(identities).join('') + FILE + sorted(forms).join('') + FILE;
}

/** A field of a form. */
export interface Field {
  readonly name: string;
  readonly values: readonly string[];
}

/** The fields of a form, as they stand. */
export function readFields(form: DiscoInfo['forms'][number]): Field[] {
  return form.getChildren('field').map((field) => ({
    name: String(field.attrs['var'] ?? ''),
    values: field.getChildren('value').map((value) => value.getText()),
  }));
}

function typeOf(fields: readonly Field[]): string {
  return fields.find(({ name }) => name === 'FORM_TYPE')?.values[0] ?? '';
}

function join(parts: readonly string[]): string {
  return parts.map((part) => `${part}<`).join('');
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort(compare);
}

/** i;octet of RFC 4790 section 9.3: by the bytes of UTF-8, which is by code points. */
function compare(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = a.charCodeAt(i) - b.charCodeAt(i);
    if (difference !== 0) return place(a.charCodeAt(i)) - place(b.charCodeAt(i));
  }
  return a.length - b.length;
}

/** Where a UTF-16 unit stands among those that begin to differ: surrogates mean code points behind all others. */
function place(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit;
}
