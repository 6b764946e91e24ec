import { type DiscoItem, type Element, type Identity, type Maybe, xml } from '#core';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const NS_DATA = 'jabber:x:data';

/**
 * The language of our streams, hence of every name without one. It is written out, since those who hash an answer do not agree on
 * whether it is inherited (XEP-0115 section 5.1 says nothing, XEP-0390 section 4.1 says yes).
 */
const LANG = 'en';

/** An identity, with the language of its name. */
export interface NamedIdentity extends Identity {
  readonly lang?: string | undefined;
}

/** What disco#info says of an entity. */
export interface DiscoInfo {
  readonly identities: readonly NamedIdentity[];
  readonly features: readonly string[];
  /** Extended information (XEP-0128), each under a FORM_TYPE of its own. */
  readonly forms: readonly Element[];
}

/**
 * The same without repetitions, which would make the whole answer ill-formed to those who hash it (XEP-0115 section 5.4): one
 * identity for each category and type, one form for each FORM_TYPE, with the fields of all.
 */
export function tidy({ identities, features, forms }: DiscoInfo): DiscoInfo {
  const kinds = new Map<string, NamedIdentity>();
  for (const identity of identities) {
    const kind = `${identity.category}/${identity.type}`;
    if (!kinds.has(kind)) kinds.set(kind, { lang: LANG, ...identity });
  }
  const merged = new Map<string, Element[]>();
  for (const form of forms) {
    const type = formTypeOf(form);
    if (type !== undefined) merged.set(type, [...(merged.get(type) ?? []), form]);
  }
  return { identities: [...kinds.values()], features: [...new Set(features)], forms: [...merged.values()].map(merge) };
}

/** The value of a form's FORM_TYPE (XEP-0068); undefined when it has none, or not as a hidden field. */
export function formTypeOf(form: Element): string | undefined {
  const field = form.getChildren('field').find(({ attrs }) => attrs['var'] === 'FORM_TYPE' && attrs['type'] === 'hidden');
  return field?.getChildText('value') ?? undefined;
}

function merge(forms: readonly Element[]): Element {
  if (forms.length === 1) return forms[0]!;
  const fields = new Map<string, Element>();
  for (const form of forms) {
    for (const field of form.getChildren('field')) {
      const name = String(field.attrs['var']);
      if (!fields.has(name)) fields.set(name, field);
    }
  }
  return copy(xml('x', { xmlns: NS_DATA, type: 'result' }), [...fields.values()]);
}

/** Forms belong to those who made them and are shown again and again: they are put in without becoming our own children. */
function copy(parent: Element, children: readonly Element[]): Element {
  parent.children = [...parent.children, ...children];
  return parent;
}

/** The payload of a result of disco#info. The node is given back as it was asked for (XEP-0030 section 3.2). */
export function writeInfo({ identities, features, forms }: DiscoInfo, node: string | undefined): Element {
  const query = xml(
    'query',
    { xmlns: NS_INFO, node },
    ...identities.map(({ category, type, name, lang }) => xml('identity', { category, type, name, 'xml:lang': lang })),
    ...features.map((feature) => xml('feature', { var: feature })),
  );
  return copy(query, forms);
}

/** The payload of a result of disco#items. */
export function writeItems(items: readonly DiscoItem[], node: string | undefined): Element {
  return xml(
    'query',
    { xmlns: NS_ITEMS, node },
    ...items.map(({ jid, node: inner, name }) => xml('item', { jid, node: inner, name })),
  );
}

/** All of them, at once when all are there already. */
export function gather<T>(values: readonly Maybe<T>[]): Maybe<readonly T[]> {
  const ready: T[] = [];
  for (const value of values) {
    if (value instanceof Promise) return Promise.all(values);
    ready.push(value);
  }
  return ready;
}
