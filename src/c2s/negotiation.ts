import type { SaslExchange } from '../auth/sasl.ts';
import type { Maybe } from '../hooks.ts';
import { Envelope, nobody } from '../stanza/envelope.ts';
import { StanzaError, StreamError } from '../stanza/errors.ts';
import { errorOf } from '../stanza/reply.ts';
import { type Element, xml } from '../xml/element.ts';
import { Stanza } from '../xml/stanza.ts';
import { bind } from './bind.ts';
import { NS_CLIENT } from './header.ts';
import { abort, authenticate, refuseInTheClear, respond } from './sasl-negotiation.ts';
import type { Session } from './session.ts';
import type { C2sStream } from './stream.ts';

const NS_TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const NS_BIND = 'urn:ietf:params:xml:ns:xmpp-bind';
const NS_SESSION = 'urn:ietf:params:xml:ns:xmpp-session';
const NS_CB = 'urn:xmpp:sasl-cb:0';
const NS_LIMITS = 'urn:xmpp:stream-limits:0';

/** What is only needed until a client is bound. */
export interface Negotiation {
  /** The SASL exchange under way. */
  exchange: SaslExchange | undefined;
  /** Its mechanism. */
  mechanism: string;
  /** Failed attempts on this stream in which something may have been guessed, and all failed attempts. */
  failures: number;
  attempts: number;
  /** The mechanisms announced in the last features. */
  offered: readonly string[];
}

/**
 * Offers what a client can do next on its stream: STARTTLS, then log-in, then binding (RFC 6120 sections 5 to 7).
 * Modules add theirs through the hook `streamFeatures`.
 */
export function offerFeatures(stream: C2sStream): Maybe<void> {
  const host = stream.host!;
  const features: Element[] = [];
  if (stream.username !== undefined) {
    features.push(xml('bind', NS_BIND), xml('session', NS_SESSION, xml('optional')));
  } else {
    const mustEncrypt = host.login.mustEncrypt(stream.transport);
    if (canStartTls(stream)) features.push(mustEncrypt ? xml('starttls', NS_TLS, xml('required')) : xml('starttls', NS_TLS));
    if (!mustEncrypt) features.push(...mechanismFeatures(stream));
  }
  features.push(limitsFeature(stream));
  const pending = host.hooks.streamFeatures.run({ stream, features });
  if (pending instanceof Promise) return pending.then(() => sendFeatures(stream, features));
  sendFeatures(stream, features);
}

function sendFeatures(stream: C2sStream, features: readonly Element[]): void {
  const attrs = stream.transport.framed ? { 'xmlns:stream': 'http://etherx.jabber.org/streams' } : {};
  stream.sendElement(xml('stream:features', attrs, ...features));
}

function canStartTls({ transport, host, server }: C2sStream): boolean {
  return transport.kind === 'tcp' && transport.tls === undefined && server.hasCertificate(host!.domain);
}

function mechanismFeatures(stream: C2sStream): Element[] {
  const { login } = stream.host!;
  const { transport } = stream;
  const offered = login.offered(transport);
  if (stream.negotiation) stream.negotiation.offered = offered;
  if (offered.length === 0) return [];
  const features = [xml('mechanisms', NS_SASL, ...offered.map((name) => xml('mechanism', {}, name)))];
  const bindings = login.bindings(transport, offered);
  if (bindings.length > 0)
    features.push(xml('sasl-channel-binding', NS_CB, ...bindings.map((type) => xml('channel-binding', { type }))));
  return features;
}

/** XEP-0478: how big a stanza may be, and after how long a silent client may be closed. */
function limitsFeature({ server, username }: C2sStream): Element {
  const { beforeLogin, afterLogin, idleSeconds } = server.limits;
  const bytes = username === undefined ? beforeLogin.maxBytes : afterLogin.maxBytes;
  const idle = idleSeconds > 0 ? xml('idle-seconds', {}, String(idleSeconds)) : undefined;
  return xml('limits', NS_LIMITS, xml('max-bytes', {}, String(bytes)), idle);
}

/**
 * Takes an element that is not a bound client's stanza. Modules see it first, so that they can bring ways to log in,
 * to register or to manage the stream. Throws StreamError for what nobody expects now.
 */
export function negotiate(stream: C2sStream, element: Stanza): Maybe<void> {
  const verdict = stream.host!.hooks.streamElement.run({ stream, element });
  if (verdict === true) return;
  if (verdict instanceof Promise) return verdict.then((handled) => (handled ? undefined : takeElement(stream, element)));
  return takeElement(stream, element);
}

function takeElement(stream: C2sStream, element: Stanza): Maybe<void> {
  const isFree = stream.username === undefined;
  if (element.xmlns === NS_TLS && element.name === 'starttls' && isFree) return startTls(stream);
  if (element.xmlns === NS_SASL && isFree && stream.negotiation && !stream.host!.login.mustEncrypt(stream.transport)) {
    if (element.name === 'auth') return authenticate(stream, element);
    if (element.name === 'response') return respond(stream, element);
    if (element.name === 'abort') return abort(stream);
  }
  if (element.xmlns === NS_SASL && isFree && element.name === 'auth') return refuseInTheClear(stream);
  if (element.xmlns === NS_CLIENT && stream.session === undefined) return takeStanzaEarly(stream, element);
  // RFC 6120 section 4.9.3.24: a first-level child that is neither a stanza nor anything we have offered.
  throw new StreamError(isFree ? 'not-authorized' : 'unsupported-stanza-type');
}

function takeStanzaEarly(stream: C2sStream, stanza: Stanza): Maybe<void> {
  if (stream.username === undefined) throw new StreamError('not-authorized');
  if (stanza.name !== 'iq' || stanza.type !== 'set') throw new StreamError('not-authorized');
  if (stanza.payloadName !== 'bind' || stanza.payloadNS !== NS_BIND) throw new StreamError('not-authorized');
  const tell = ({ jid }: Session) => {
    const result = xml('bind', NS_BIND, xml('jid', {}, jid.full));
    stream.sendStanza(Stanza.of(xml('iq', { type: 'result', id: stanza.id }, result)));
  };
  return bind(stream, stanza.child('bind', NS_BIND)?.getChildText('resource') ?? undefined, tell).then(
    (session) => stream.host!.signals.sessionBound.emit(session),
    (error: unknown) => {
      if (!(error instanceof StanzaError)) throw error;
      const host = stream.host!.jid;
      stream.sendStanza(
        errorOf(new Envelope(stanza.with({ to: undefined }), host, host, nobody), error)!.with({ to: undefined }),
      );
    },
  );
}

function startTls(stream: C2sStream): void {
  if (!canStartTls(stream)) {
    stream.sendElement(xml('failure', NS_TLS));
    stream.close();
    return;
  }
  stream.sendElement(xml('proceed', NS_TLS));
  stream.startTls();
}
