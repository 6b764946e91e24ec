import { Element } from '../xml/element.ts';
import { Stanza } from '../xml/stanza.ts';
import { XmlText } from '../xml/text.ts';
import { toWire } from '../xml/wire.ts';
import type { Envelope } from './envelope.ts';
import type { StanzaError } from './errors.ts';

/** The result of an IQ (RFC 6120 section 8.2.3), with its addresses exchanged. */
export function resultOf(env: Envelope, payload: Element | XmlText | undefined): Stanza {
  if (payload instanceof XmlText) {
    const head = {
      name: 'iq',
      type: 'result',
      id: env.stanza.id,
      from: answerer(env),
      to: env.from.full,
      lang: undefined,
    } as const;
    return Stanza.written(head, toWire(payload.text));
  }
  const iq = new Element('iq', { type: 'result', id: env.stanza.id, from: answerer(env), to: env.from.full });
  if (payload) iq.cnode(payload);
  return Stanza.of(iq);
}

/**
 * The error reply to a stanza, or undefined where XMPP wants silence: errors are never answered (RFC 6120 section 8.3.1),
 * results neither, and presence only when it was directed and asked for something.
 */
export function errorOf(env: Envelope, error: StanzaError): Stanza | undefined {
  const { name, type, id } = env.stanza;
  if (type === 'error' || (name === 'iq' && type === 'result')) return undefined;
  if (name === 'presence' && (env.stanza.to === undefined || type === 'unavailable' || type === 'probe')) return undefined;
  const reply = new Element(name, { type: 'error', id, from: answerer(env), to: env.from.full });
  reply.cnode(error.toElement());
  return Stanza.of(reply);
}

/** Answers come from the address that was asked; from nobody in particular when none was named (RFC 6120 section 8.1.2.1). */
function answerer(env: Envelope): string | undefined {
  return env.stanza.to === undefined ? undefined : env.to.full;
}
