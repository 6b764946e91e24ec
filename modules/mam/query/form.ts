import { type Element, Jid, readDateTime, readForm, StanzaError, writeForm, xml } from '#core';

/** The namespace of XEP-0313, and the FORM_TYPE of its form. */
export const NS_MAM = 'urn:xmpp:mam:2';
/** The namespace of XEP-0431. */
export const NS_FULLTEXT = 'urn:xmpp:fulltext:0';
const NS_DATA = 'jabber:x:data';
const NS_VALIDATE = 'http://jabber.org/protocol/xdata-validate';

const FULLTEXT = `{${NS_FULLTEXT}}fulltext`;

/** What a client wants to see of an archive (XEP-0313 section 4.1); what was left blank is undefined. */
export interface Fields {
  readonly with?: Jid | undefined;
  /** Milliseconds since 1970, inclusive. */
  readonly start?: number | undefined;
  readonly end?: number | undefined;
  /** Ids as the client wrote them, exclusive. */
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  /** At least one. */
  readonly ids?: readonly string[] | undefined;
  readonly includesGroupchat: boolean;
  readonly text?: string | undefined;
}

/** The form to be filled in (XEP-0313 section 4.1.5). */
export function writeQueryForm(): Element {
  const form = writeForm('form', NS_MAM, [
    { name: 'with', type: 'jid-single' },
    { name: 'start', type: 'text-single' },
    { name: 'end', type: 'text-single' },
    { name: 'before-id', type: 'text-single' },
    { name: 'after-id', type: 'text-single' },
    { name: 'ids', type: 'list-multi' },
    { name: 'include-groupchat', type: 'boolean' },
    { name: FULLTEXT, type: 'text-single' },
  ]);
  // A list to choose from is not sent: it would be the whole archive (XEP-0122).
  const ids = form.getChildren('field').find((field) => field.attrs['var'] === 'ids');
  ids?.cnode(xml('validate', { xmlns: NS_VALIDATE, datatype: 'xs:string' }, xml('open')));
  return form;
}

/**
 * Reads the form of a query; without one, everything is wanted. Throws StanzaError: `feature-not-implemented` for a field that is not
 * known (section 4.1.5), `bad-request` for what is no such form and for values that are none.
 */
export function readFields(query: Element): Fields {
  const forms = query.getChildren('x', NS_DATA);
  if (forms.length === 0) return { includesGroupchat: true };
  const [form] = forms;
  if (!form || forms.length > 1 || form.attrs['type'] !== 'submit') throw refusal('A query has one form, and submits it');
  const fields = readForm(form);
  // Looked at first: of the fields of another kind of form nothing is known.
  if (single(fields, 'FORM_TYPE') !== NS_MAM) throw refusal(`The FORM_TYPE of a query is ${NS_MAM}`);
  for (const name of fields.keys()) if (!KNOWN.has(name)) throw new StanzaError('feature-not-implemented');
  const ids = fields.get('ids')?.filter((id) => id !== '');
  return {
    with: readWith(single(fields, 'with')),
    start: readTime(single(fields, 'start')),
    end: readTime(single(fields, 'end')),
    before: single(fields, 'before-id'),
    after: single(fields, 'after-id'),
    ids: ids && ids.length > 0 ? ids : undefined,
    includesGroupchat: readBoolean(single(fields, 'include-groupchat')) ?? true,
    text: single(fields, FULLTEXT),
  };
}

const KNOWN: ReadonlySet<string> = new Set([
  'FORM_TYPE',
  'with',
  'start',
  'end',
  'before-id',
  'after-id',
  'ids',
  'include-groupchat',
  FULLTEXT,
]);

/** The value of a field that has one; undefined when it is not there or was left blank. */
function single(fields: ReadonlyMap<string, readonly string[]>, name: string): string | undefined {
  const values = fields.get(name);
  if (!values || values.length === 0) return undefined;
  if (values.length > 1) throw refusal('A field has too many values');
  return values[0] || undefined;
}

function readWith(text: string | undefined): Jid | undefined {
  if (text === undefined) return undefined;
  const jid = Jid.tryParse(text);
  // Not `jid-malformed`, which is about the address of a stanza (RFC 6120 section 8.3.3.8).
  if (!jid) throw refusal('"with" is an address');
  return jid;
}

function readTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const time = readDateTime(text.trim());
  if (time === undefined) throw refusal('"start" and "end" are times as in XEP-0082');
  return time;
}

/** XEP-0004 section 3.3: as in XML Schema. */
function readBoolean(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw refusal('"include-groupchat" is true or false');
}

function refusal(text: string): StanzaError {
  return new StanzaError('bad-request', { text });
}
