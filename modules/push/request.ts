import { type Element, Jid, readForm, StanzaError } from '#core';

/** The namespace of push notifications (XEP-0357). */
export const NS = 'urn:xmpp:push:0';
/** What the parameters of an app server are a form of (XEP-0357 section 5). */
export const PUBLISH_OPTIONS = 'http://jabber.org/protocol/pubsub#publish-options';
const NS_DATA = 'jabber:x:data';

/** Bytes of a node's name, and of a service's address. */
const MAX_NAME_BYTES = 1024;
/** Bytes of all parameters together, and how many fields there may be. */
const MAX_OPTIONS_BYTES = 4096;
const MAX_FIELDS = 20;

/** Fields of a form without its FORM_TYPE: names and values. */
export type Options = readonly (readonly [name: string, values: readonly string[]])[];

/** What a client asks to be notified through. */
export interface Wish {
  /** The app server. */
  readonly service: Jid;
  readonly node: string | undefined;
  readonly options: Options;
}

/**
 * Reads `<enable/>`. Throws StanzaError: `bad-request` for what is malformed, `jid-malformed`, `not-acceptable` for what is too long, or for
 * a service that would be this host or an account of it: the server's word is not to be put before its own clients by one of them.
 */
export function readEnable(payload: Element, domain: string): Wish {
  const service = readService(payload);
  const node = readNode(payload);
  if (service.domain === domain) throw refusal('This address is no push service');
  return { service, node, options: readOptions(payload) };
}

/** Reads `<disable/>`; without a node all of that service are meant. Throws as `readEnable` does. */
export function readDisable(payload: Element): Omit<Wish, 'options'> {
  return { service: readService(payload), node: readNode(payload) };
}

function readService({ attrs }: Element): Jid {
  const text: unknown = attrs['jid'];
  if (typeof text !== 'string' || text === '') throw malformed('A push service has an address');
  const jid = Jid.tryParse(text);
  if (!jid) throw new StanzaError('jid-malformed');
  if (Buffer.byteLength(jid.full) > MAX_NAME_BYTES) throw refusal('The address is too long');
  return jid;
}

function readNode({ attrs }: Element): string | undefined {
  const node: unknown = attrs['node'];
  if (node === undefined) return undefined;
  if (typeof node !== 'string' || node === '') throw malformed('A node has a name');
  if (Buffer.byteLength(node) > MAX_NAME_BYTES) throw refusal('The name of the node is too long');
  return node;
}

/** Only names and values are kept of the form: nothing else of what a client writes is sent on in the name of the server. */
function readOptions(payload: Element): Options {
  const [form, ...others] = payload.getChildren('x', NS_DATA);
  if (!form) return [];
  const type: unknown = form.attrs['type'];
  if (others.length > 0 || (type !== undefined && type !== 'submit')) throw malformed('There is one form, which is submitted');
  const values = new Map(readForm(form));
  if (values.get('FORM_TYPE')?.join('\n') !== PUBLISH_OPTIONS) throw malformed(`The form is of the type ${PUBLISH_OPTIONS}`);
  values.delete('FORM_TYPE');
  const fields = [...values];
  const bytes = fields.flat(2).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (fields.length > MAX_FIELDS || bytes > MAX_OPTIONS_BYTES) throw refusal('The form is too long');
  return fields;
}

function malformed(text: string): StanzaError {
  return new StanzaError('bad-request', { text });
}

function refusal(text: string): StanzaError {
  return new StanzaError('not-acceptable', { text });
}
