import { Element } from '../xml/element.ts';
import type { Stanza } from '../xml/stanza.ts';

const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const NS_STREAMS = 'urn:ietf:params:xml:ns:xmpp-streams';
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';

/** How a sender may react to a stanza error (RFC 6120 section 8.3.2). */
export type StanzaErrorType = 'auth' | 'cancel' | 'continue' | 'modify' | 'wait';

/** RFC 6120 section 8.3.3, each with the type it usually carries. */
const STANZA_CONDITIONS = {
  'bad-request': 'modify',
  conflict: 'cancel',
  'feature-not-implemented': 'cancel',
  forbidden: 'auth',
  gone: 'cancel',
  'internal-server-error': 'cancel',
  'item-not-found': 'cancel',
  'jid-malformed': 'modify',
  'not-acceptable': 'modify',
  'not-allowed': 'cancel',
  'not-authorized': 'auth',
  'policy-violation': 'modify',
  'recipient-unavailable': 'wait',
  redirect: 'modify',
  'registration-required': 'auth',
  'remote-server-not-found': 'cancel',
  'remote-server-timeout': 'wait',
  'resource-constraint': 'wait',
  'service-unavailable': 'cancel',
  'subscription-required': 'auth',
  'undefined-condition': 'cancel',
  'unexpected-request': 'wait',
} as const satisfies Record<string, StanzaErrorType>;

/** A defined condition of RFC 6120 section 8.3.3. */
export type StanzaCondition = keyof typeof STANZA_CONDITIONS;

/** A defined condition of RFC 6120 section 4.9.3. */
export type StreamCondition =
  | 'bad-format'
  | 'bad-namespace-prefix'
  | 'conflict'
  | 'connection-timeout'
  | 'host-gone'
  | 'host-unknown'
  | 'improper-addressing'
  | 'internal-server-error'
  | 'invalid-from'
  | 'invalid-namespace'
  | 'invalid-xml'
  | 'not-authorized'
  | 'not-well-formed'
  | 'policy-violation'
  | 'remote-connection-failed'
  | 'reset'
  | 'resource-constraint'
  | 'restricted-xml'
  | 'see-other-host'
  | 'system-shutdown'
  | 'undefined-condition'
  | 'unsupported-encoding'
  | 'unsupported-feature'
  | 'unsupported-stanza-type'
  | 'unsupported-version';

/** A defined condition of RFC 6120 section 6.5. */
export type SaslCondition =
  | 'aborted'
  | 'account-disabled'
  | 'credentials-expired'
  | 'encryption-required'
  | 'incorrect-encoding'
  | 'invalid-authzid'
  | 'invalid-mechanism'
  | 'malformed-request'
  | 'mechanism-too-weak'
  | 'not-authorized'
  | 'temporary-auth-failure';

/** What an error may carry besides its condition. Text is shown to users, so it never holds internals. */
export interface ErrorDetail {
  readonly text?: string | undefined;
  /** An application-specific child, such as <blocked/>. */
  readonly extra?: Element | undefined;
  /** Character data of the condition element itself: the address of `see-other-host`, `gone` and `redirect`. */
  readonly content?: string | undefined;
}

/** ErrorDetail, with the type when it differs from the condition's usual one. */
export interface StanzaErrorDetail extends ErrorDetail {
  readonly type?: StanzaErrorType | undefined;
  /** What clients of old go by (XEP-0086), where some of them know nothing else. */
  readonly code?: string | undefined;
}

/** An Error without a stack: refusing is ordinary work, and a flood that is refused should not pay for traces. */
class Refusal extends Error {
  constructor(text: string) {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(text);
    Error.stackTraceLimit = limit;
  }
}

/** Refuses one stanza: the core answers its sender with it, where XMPP allows an answer (RFC 6120 section 8.3). */
export class StanzaError extends Refusal {
  override readonly name = 'StanzaError';
  readonly type: StanzaErrorType;
  readonly condition: StanzaCondition;
  readonly detail: StanzaErrorDetail;

  constructor(condition: StanzaCondition, detail: StanzaErrorDetail = {}) {
    super(detail.text ?? condition);
    this.condition = condition;
    this.detail = detail;
    this.type = detail.type ?? STANZA_CONDITIONS[condition];
  }

  /** The `<error/>` child of an error stanza. */
  toElement(): Element {
    const { code } = this.detail;
    return fill(new Element('error', { ...(code && { code }), type: this.type }), NS_STANZAS, this.condition, this.detail);
  }
}

/** What an error stanza says; `undefined-condition` where that cannot be read (RFC 6120 section 8.3.2). */
export function readStanzaError(stanza: Stanza): StanzaError {
  const error = stanza.child('error');
  const children = error?.getChildElements().filter((child) => child.getNS() === NS_STANZAS) ?? [];
  const condition = children.map((child) => child.getName()).find(isCondition) ?? 'undefined-condition';
  const type = ERROR_TYPES.find((each) => each === error?.attrs['type']);
  const text = children.find((child) => child.getName() === 'text')?.getText() || undefined;
  return new StanzaError(condition, { text, ...(type && { type }) });
}

const ERROR_TYPES: readonly StanzaErrorType[] = ['auth', 'cancel', 'continue', 'modify', 'wait'];

function isCondition(name: string): name is StanzaCondition {
  return Object.hasOwn(STANZA_CONDITIONS, name);
}

/** Ends one stream (RFC 6120 section 4.9). */
export class StreamError extends Refusal {
  override readonly name = 'StreamError';
  readonly condition: StreamCondition;
  readonly detail: ErrorDetail;

  constructor(condition: StreamCondition, detail: ErrorDetail = {}) {
    super(detail.text ?? condition);
    this.condition = condition;
    this.detail = detail;
  }

  /** The `<stream:error/>` element; with its own declaration of the prefix when `framed` (RFC 7395 section 3.3). */
  toElement(framed: boolean): Element {
    const attrs = framed ? { 'xmlns:stream': 'http://etherx.jabber.org/streams' } : {};
    return fill(new Element('stream:error', attrs), NS_STREAMS, this.condition, this.detail);
  }
}

/** Fails one attempt to log in (RFC 6120 section 6.5). */
export class SaslError extends Refusal {
  override readonly name = 'SaslError';
  readonly condition: SaslCondition;

  constructor(condition: SaslCondition, text?: string) {
    super(text ?? condition);
    this.condition = condition;
  }

  /** The `<failure/>` element of RFC 6120 section 6.4.5. */
  toElement(): Element {
    const failure = new Element('failure', { xmlns: NS_SASL });
    failure.c(this.condition);
    if (this.message !== this.condition) failure.c('text', { 'xml:lang': 'en' }).t(this.message);
    return failure;
  }
}

function fill(error: Element, xmlns: string, condition: string, detail: ErrorDetail): Element {
  const element = error.c(condition, { xmlns });
  if (detail.content) element.t(detail.content);
  if (detail.text) error.c('text', { xmlns, 'xml:lang': 'en' }).t(detail.text);
  if (detail.extra) error.cnode(detail.extra);
  return error;
}
