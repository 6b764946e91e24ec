import { type Element, readForm, StanzaError } from '#core';

const NS = 'jabber:iq:register';
const NS_DATA = 'jabber:x:data';
/** What the form of a registration, a removal, a change of password says it is (XEP-0077 section 15.5). */
const FORM_TYPES: ReadonlySet<string | undefined> = new Set([undefined, NS, `${NS}:cancel`, `${NS}:changepassword`]);

/** What somebody wants of their account. */
export interface RegisterRequest {
  readonly wantsRemoval: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

/** Reads a `<query/>` with fields or with a form (XEP-0077 section 4). Throws StanzaError `bad-request` for a mixture. */
export function readRequest(query: Element): RegisterRequest {
  if (query.getChild('remove', NS)) {
    if (query.getChildElements().length > 1) throw new StanzaError('bad-request', { text: 'Nothing but <remove/> is expected' });
    return { wantsRemoval: true, username: undefined, password: undefined };
  }
  const form = query.getChild('x', NS_DATA);
  if (form) return readSubmission(query, form);
  return {
    wantsRemoval: false,
    username: query.getChildText('username', NS) ?? undefined,
    password: query.getChildText('password', NS) ?? undefined,
  };
}

function readSubmission(query: Element, form: Element): RegisterRequest {
  const values = readForm(form);
  const type = values.get('FORM_TYPE')?.[0];
  if (form.attrs['type'] !== 'submit' || !FORM_TYPES.has(type))
    throw new StanzaError('bad-request', { text: 'Not a form of ours' });
  // XEP-0077 section 4: a form takes the place of the fields.
  if (query.getChild('username', NS) || query.getChild('password', NS)) {
    throw new StanzaError('bad-request', { text: 'Either a form or fields' });
  }
  return { wantsRemoval: type === `${NS}:cancel`, username: values.get('username')?.[0], password: values.get('password')?.[0] };
}
