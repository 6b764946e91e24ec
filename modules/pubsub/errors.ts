import { type Element, type StanzaCondition, StanzaError, xml } from '#core';

/** The namespaces of XEP-0060: of requests, of what owners ask, and of notifications. */
export const NS_PUBSUB = 'http://jabber.org/protocol/pubsub';
export const NS_OWNER = `${NS_PUBSUB}#owner`;
export const NS_EVENT = `${NS_PUBSUB}#event`;
const NS_ERRORS = `${NS_PUBSUB}#errors`;

/** An error with one of the conditions of XEP-0060 beside that of RFC 6120. */
export function pubsubError(
  condition: StanzaCondition,
  extra: string,
  detail: { readonly feature?: string; readonly text?: string; readonly type?: StanzaError['type'] } = {},
): StanzaError {
  const { feature, text, type } = detail;
  return new StanzaError(condition, { extra: xml(extra, { xmlns: NS_ERRORS, feature }), text, type });
}

/** What is not supported here, by the name of its feature (XEP-0060 section 10). */
export function unsupported(feature: string): StanzaError {
  return pubsubError('feature-not-implemented', 'unsupported', { feature });
}

/** Some of the changes that were asked for are refused, and the others are made (XEP-0060 sections 8.8.2.4 and 8.9.2.4). */
export class PartlyRefused extends StanzaError {
  /** Those that are not made, as things are. */
  readonly unchanged: Element;

  constructor(unchanged: Element, text: string) {
    super('not-acceptable', { text });
    this.unchanged = unchanged;
  }
}

/** A request names no node (XEP-0060 sections 7.2.3.3 and 8.1.1). */
export function nodeRequired(): StanzaError {
  return pubsubError('bad-request', 'nodeid-required');
}

/** There is no such node. By the code (XEP-0086) profanity knows that it may make its list of devices. */
export function noSuchNode(): StanzaError {
  return new StanzaError('item-not-found', { code: '404' });
}
