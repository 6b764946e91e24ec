import { beginExchange, type SaslStep } from '../auth/sasl.ts';
import type { Maybe } from '../hooks.ts';
import { SaslError, StreamError } from '../stanza/errors.ts';
import { xml } from '../xml/element.ts';
import type { Stanza } from '../xml/stanza.ts';
import type { C2sStream } from './stream.ts';

const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
/** RFC 6120 section 6.4.5 allows no more retries. */
const MAX_FAILURES = 5;
/** With those in which nothing was guessed, since no name was named: some clients try every mechanism in turn, and not all rightly. */
const MAX_ATTEMPTS = 15;
const GUESSES_NOTHING: ReadonlySet<string> = new Set(['malformed-request', 'encryption-required']);
const MAX_MESSAGE = 16_384;

/** `<auth/>`: begins an exchange (RFC 6120 section 6.4.2). */
export function authenticate(stream: C2sStream, element: Stanza): Maybe<void> {
  const negotiation = stream.negotiation!;
  return attempt(stream, () => {
    if (negotiation.exchange) throw new SaslError('malformed-request');
    const mechanism = String(element.element.attrs['mechanism'] ?? '');
    negotiation.mechanism = mechanism;
    negotiation.exchange = stream.host!.login.start(mechanism, stream.transport, negotiation.offered);
    const text = element.element.getText();
    // Nothing is no initial response; '=' is an empty one (RFC 6120 section 6.4.2).
    if (text === '') return beginExchange(negotiation.exchange);
    return negotiation.exchange.step(decode(text));
  });
}

/** Any of them where TLS has to come first (RFC 6120 section 5.4.1). */
export function refuseInTheClear(stream: C2sStream): Maybe<void> {
  return attempt(stream, () => {
    throw new SaslError('encryption-required');
  });
}

/** `<response/>`: goes on with it (RFC 6120 section 6.4.3). */
export function respond(stream: C2sStream, element: Stanza): Maybe<void> {
  return attempt(stream, () => {
    const { exchange } = stream.negotiation!;
    if (!exchange) throw new SaslError('malformed-request');
    return exchange.step(decode(element.element.getText()));
  });
}

/** `<abort/>` (RFC 6120 section 6.4.4). */
export function abort(stream: C2sStream): Maybe<void> {
  return attempt(stream, () => {
    throw new SaslError('aborted');
  });
}

function attempt(stream: C2sStream, step: () => Maybe<SaslStep>): Maybe<void> {
  let next: Maybe<SaslStep>;
  try {
    next = step();
  } catch (error) {
    return fail(stream, error);
  }
  if (!(next instanceof Promise)) return proceed(stream, next);
  return next.then(
    (value) => proceed(stream, value),
    (error: unknown) => fail(stream, error),
  );
}

function proceed(stream: C2sStream, step: SaslStep): void {
  const { negotiation } = stream;
  if (!negotiation || stream.isClosing) return; // the client has left meanwhile
  if ('challenge' in step) {
    // Empty, not '=': only initial responses and what comes with success write it so, and to atob() that is no Base64.
    stream.sendElement(xml('challenge', NS_SASL, step.challenge.toString('base64')));
    return;
  }
  negotiation.exchange = undefined;
  stream.authenticate(step.username, step.isAnonymous);
  stream.sendElement(step.data ? xml('success', NS_SASL, encode(step.data)) : xml('success', NS_SASL));
  stream.restart();
}

function fail(stream: C2sStream, error: unknown): void {
  if (error instanceof StreamError) throw error;
  const isOurs = !(error instanceof SaslError);
  if (isOurs) report(stream, error);
  const negotiation = stream.negotiation;
  if (!negotiation) return;
  const refusal = isOurs ? new SaslError('temporary-auth-failure') : error;
  negotiation.exchange = undefined;
  stream.sendElement(refusal.toElement());
  negotiation.attempts++;
  // Where the fault is ours nobody has guessed anything.
  if (!isOurs && !GUESSES_NOTHING.has(refusal.condition)) negotiation.failures++;
  if (negotiation.failures >= MAX_FAILURES || negotiation.attempts >= MAX_ATTEMPTS)
    stream.close(new StreamError('policy-violation', { text: 'Too many attempts to log in' }));
}

/** What keeps us from finding out whether somebody may come in, such as a database that does not answer (RFC 6120 section 6.5). */
function report({ host, negotiation, server, transport }: C2sStream, error: unknown): void {
  server.traffic.faults++;
  const about = { address: transport.remoteAddress, mechanism: negotiation?.mechanism };
  host!.log.error('nobody can log in now, for a fault of ours', { ...about, error });
}

function decode(text: string): Buffer {
  if (text === '=') return Buffer.alloc(0);
  if (text.length > MAX_MESSAGE) throw new SaslError('malformed-request');
  // Strict (RFC 4648 section 3.3): Node would skip whatever is not of the alphabet.
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new SaslError('incorrect-encoding');
  return Buffer.from(text, 'base64');
}

function encode(data: Buffer): string {
  return data.length === 0 ? '=' : data.toString('base64');
}
