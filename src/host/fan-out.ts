import type { Resource } from '../router/router.ts';
import type { Stanza } from '../xml/stanza.ts';

/** Sends one stanza to many resources, each under its own full JID. Only the address differs; the rest is serialised once. */
export function fanOut(stanza: Stanza, recipients: Iterable<Resource>): void {
  for (const recipient of recipients) recipient.send(stanza.addressed(stanza.from, recipient.jid.full));
}
