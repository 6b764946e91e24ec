import type { Element } from '#core';
import type { DiscoInfo } from '../disco/index.ts';
import { type Announcement, isVerifiable } from './announcement.ts';
import { FeatureSet } from './features.ts';
import { type Field, hashLegacy, hashModern, readFields } from './hash.ts';

/** The namespace of what is asked, and of the answer (XEP-0030). */
export const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_DATA = 'jabber:x:data';

/** Nobody supports more: such an answer is none. */
const MOST_FEATURES = 512;
/** The characters of all features of a client. */
export const MOST_CHARACTERS = 32_768;
/** What has more than this beside its features is not worth being verified. */
const MOST_STRINGS = 1024;

/** Begins or ends as features do, and nothing else that clients say of themselves. */
const LOOKS_LIKE_A_FEATURE = /^[a-z]+:|\+notify$/;

/** The features that an answer lists; undefined when it is no answer, or too big to be kept. */
export function readFeatures(query: Element | undefined): FeatureSet | undefined {
  if (!query?.is('query', NS_INFO)) return undefined;
  const features = query.getChildren('feature', NS_INFO).map(({ attrs }) => String(attrs['var'] ?? ''));
  if (features.length > MOST_FEATURES) return undefined;
  let characters = 0;
  for (const feature of features) characters += feature.length;
  return characters > MOST_CHARACTERS ? undefined : new FeatureSet(features);
}

/**
 * Whether an answer fits the hash that was announced, and can be no answer to another question with the same hash: then it holds for all who
 * announce that (XEP-0115 section 5.4, XEP-0390 section 4.4). `lang` is the language of the client's stream.
 */
export function fits(query: Element, announcement: Announcement, lang: string | undefined): boolean {
  if (!isVerifiable(announcement) || countStrings(query) > MOST_STRINGS + MOST_FEATURES) return false;
  const { isModern, hash, ver } = announcement;
  // XEP-0390 section 4.1 counts a language that is inherited; XEP-0115 does not say, and clients do not agree. No feature depends on it.
  const inherited = query.attrs['xml:lang'] ?? query.parent?.attrs['xml:lang'] ?? lang ?? '';
  for (const language of new Set(['', String(inherited)])) {
    const info = readInfo(query, language);
    if (isModern ? isStrict(query) && hashModern(info).get(hash) === ver : isClear(info) && hashLegacy(info) === ver) return true;
  }
  return false;
}

function readInfo(query: Element, lang: string): DiscoInfo {
  const read = (element: Element, name: string): string => String(element.attrs[name] ?? '');
  return {
    identities: query.getChildren('identity', NS_INFO).map((identity) => ({
      category: read(identity, 'category'),
      type: read(identity, 'type'),
      name: read(identity, 'name'),
      lang: read(identity, 'xml:lang') || lang,
    })),
    features: query.getChildren('feature', NS_INFO).map((feature) => read(feature, 'var')),
    // XEP-0115 section 5.4: a form without a hidden FORM_TYPE is ignored.
    forms: query.getChildren('x', NS_DATA).filter((form) => typesOf(form).length > 0),
  };
}

/** XEP-0390 section 4.1: there is nothing in it that is not hashed. */
function isStrict(query: Element): boolean {
  return query.getChildElements().every((child) => {
    if (child.is('identity', NS_INFO) || child.is('feature', NS_INFO)) return true;
    if (!child.is('x', NS_DATA) || typesOf(child).length !== 1) return false;
    return child.getChild('reported') === undefined && child.getChild('item') === undefined;
  });
}

/**
 * XEP-0115 section 5.4: nothing occurs twice. And since the text that is hashed does not say where the features begin and end, somebody
 * could hide some of them in a name, an identity or a form and have the hash of all who have them (section 9.3): where that could be, the
 * answer is believed of one client only.
 */
function isClear({ identities, features, forms }: DiscoInfo): boolean {
  const kinds = identities.map(({ category, type, lang, name }) => `${category}/${type}/${lang}/${name}`);
  const types = forms.map((form) => new Set(typesOf(form)));
  if (hasTwins(kinds) || hasTwins(features) || types.some(({ size }) => size !== 1)) return false;
  if (hasTwins(types.flatMap((type) => [...type]))) return false;
  return (
    ![...kinds, ...features].some((text) => text.includes('<')) &&
    identities.every(({ category, type, lang = '' }) => isWord(category) && isWord(type) && !lang.includes('/')) &&
    forms.every((form) => isClearForm(readFields(form)))
  );
}

/** There is something in the form, and nothing of it could be a feature. */
function isClearForm(fields: readonly Field[]): boolean {
  const others = fields.filter(({ name }) => name !== 'FORM_TYPE');
  return (
    others.length > 0 &&
    fields.length === others.length + 1 &&
    fields.every(({ values }) => values.length > 0 && !values.some((value) => value.includes('<'))) &&
    others.every(({ name, values }) => [name, ...values].every((text) => !text.includes('<') && !LOOKS_LIKE_A_FEATURE.test(text)))
  );
}

/** What a category or a type is, and no address. */
function isWord(text: string): boolean {
  return text !== '' && !/[/:<]/.test(text);
}

function hasTwins(texts: readonly string[]): boolean {
  return new Set(texts).size < texts.length;
}

function typesOf(form: Element): readonly string[] {
  const field = form.getChildren('field').find(({ attrs }) => attrs['var'] === 'FORM_TYPE' && attrs['type'] === 'hidden');
  return field?.getChildren('value').map((value) => value.getText()) ?? [];
}

function countStrings(query: Element): number {
  let count = 0;
  for (const child of query.getChildElements()) {
    count++;
    for (const field of child.getChildElements()) count += 1 + field.getChildElements().length;
  }
  return count;
}
