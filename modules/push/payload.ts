import { detachText, type Element, type Stanza, xml } from '#core';
import type { Registration } from './registrations.ts';
import { NS, type Options, PUBLISH_OPTIONS } from './request.ts';

const NS_PUBSUB = 'http://jabber.org/protocol/pubsub';
const NS_DATA = 'jabber:x:data';
const SUMMARY = 'urn:xmpp:push:summary';
/** Characters of a text that are shown: the networks that wake telephones carry no more than a few thousand bytes. */
const MAX_BODY = 500;

/** What a notification says of the newest message. */
export interface Notice {
  /** Only where the config lets it be told. */
  readonly sender: string | undefined;
  readonly body: string | undefined;
  /** It does not wait for its turn: a call, or a word to this very person. */
  readonly isUrgent: boolean;
  /** How many messages wait; undefined for as many as are counted here. */
  readonly count: number | undefined;
}

/** What the config lets app servers know. */
export interface Disclosure {
  readonly includeSender: boolean;
  readonly includeBody: boolean;
}

/** What is news. */
export interface News {
  readonly sender: string | undefined;
  readonly stanza: Stanza | undefined;
  readonly isUrgent: boolean;
  readonly count?: number | undefined;
}

/** Takes out of a message what may be told. */
export function takeNotice({ sender, stanza, isUrgent, count }: News, { includeSender, includeBody }: Disclosure): Notice {
  const body = includeBody ? stanza?.text('body') : undefined;
  return {
    sender: includeSender ? sender : undefined,
    body: body === undefined || body === '' ? undefined : shorten(body),
    isUrgent,
    count,
  };
}

/**
 * The item as XEP-0357 section 7 has it, with the parameters that the client has given. `counted` is how many messages wait; 0 or undefined
 * when that is not known.
 */
export function writePublish({ node, options }: Registration, notice: Notice, counted: number | undefined): Element {
  const count = notice.count ?? (counted || undefined);
  const fields: Options = [
    ['message-count', count === undefined ? [] : [String(count)]],
    ['last-message-sender', notice.sender === undefined ? [] : [notice.sender]],
    ['last-message-body', notice.body === undefined ? [] : [notice.body]],
  ];
  const known = fields.filter(([, values]) => values.length > 0);
  const summary = known.length > 0 ? writeSubmitted(SUMMARY, known) : undefined;
  const item = xml('item', {}, xml('notification', NS, summary));
  const parameters = options.length > 0 ? xml('publish-options', {}, writeSubmitted(PUBLISH_OPTIONS, options)) : undefined;
  return xml('pubsub', NS_PUBSUB, xml('publish', { node }, item), parameters);
}

function writeSubmitted(formType: string, fields: Options): Element {
  const all: Options = [['FORM_TYPE', [formType]], ...fields];
  return xml(
    'x',
    { xmlns: NS_DATA, type: 'submit' },
    ...all.map(([name, values]) => xml('field', { var: name }, ...values.map((value) => xml('value', {}, value)))),
  );
}

/** Of so many characters, none of which is cut in two. */
function shorten(text: string): string {
  const whole = [...text.slice(0, 2 * MAX_BODY)];
  const isCut = whole.length > MAX_BODY || text.length > 2 * MAX_BODY;
  return detachText(isCut ? `${whole.slice(0, MAX_BODY - 1).join('')}…` : text);
}
