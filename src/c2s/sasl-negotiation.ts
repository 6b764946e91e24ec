import type { SaslStep } from '../auth/sasl.ts';
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
    if (text === '') return negotiation.exchange.begin?.() ?? { challenge: Buffer.alloc(0) };
    return negotiation.exchange.step(decode(text));
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
  try {
    const next = step();
    if (next instanceof Promise) {
      return next.then(
        (value) => proceed(stream, value),
        (error: unknown) => fail(stream, error),
      );
    }
    proceed(stream, next);
  } catch (error) {
    fail(stream, error);
  }
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
  stream.authenticate(step.username);
  stream.sendElement(step.data ? xml('success', NS_SASL, encode(step.data)) : xml('success', NS_SASL));
  stream.restart();
}

function fail(stream: C2sStream, error: unknown): void {
  if (!(error instanceof SaslError)) throw error;
  const negotiation = stream.negotiation;
  if (!negotiation) return;
  negotiation.exchange = undefined;
  stream.sendElement(error.toElement());
  negotiation.attempts++;
  if (error.condition !== 'malformed-request') negotiation.failures++;
  if (negotiation.failures >= MAX_FAILURES || negotiation.attempts >= MAX_ATTEMPTS)
    stream.close(new StreamError('policy-violation', { text: 'Too many attempts to log in' }));
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
