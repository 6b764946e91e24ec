import { after, type Envelope, HANDLED, Jid, type Maybe, type Stanza, type Verdict } from '#core';
import type { Registrations } from './registrations.ts';

const NS_PUBSUB = 'http://jabber.org/protocol/pubsub';
/** Who may publish (XEP-0060 section 4.1). */
const PUBLISHERS: ReadonlySet<unknown> = new Set(['owner', 'publisher', 'publish-only']);

/** Takes the word of a service that it will take nothing any more (XEP-0357 section 9). */
export function takeLeave({ stanza, from, to }: Envelope, registrations: Registrations): Maybe<Verdict> {
  if (to.local === '' || !stanza.has('pubsub', NS_PUBSUB)) return;
  const node = readLeave(stanza, to);
  if (node === undefined) return;
  return after(registrations.of(to.local), (account) => {
    if (!account.registrations.some((each) => each.service.full === from.full && each.node === node)) return;
    return registrations.disable(to.local, { service: from, node }).then(() => HANDLED);
  });
}

/**
 * The node of a push service at which an account may not publish any more (XEP-0357 section 9, or XEP-0060 section 8.9.4, which has one more
 * element around it); undefined when the message does not say that.
 */
function readLeave(message: Stanza, account: Jid): string | undefined {
  const pubsub = message.child('pubsub', NS_PUBSUB);
  const list = pubsub?.getChild('affiliations', NS_PUBSUB) ?? pubsub;
  const node: unknown = list?.attrs['node'];
  if (!list || typeof node !== 'string') return undefined;
  const own = list.getChildren('affiliation', NS_PUBSUB).find(({ attrs }) => {
    const jid: unknown = attrs['jid'];
    return typeof jid === 'string' && Jid.tryParse(jid)?.full === account.bare;
  });
  const affiliation: unknown = own?.attrs['affiliation'];
  return typeof affiliation === 'string' && !PUBLISHERS.has(affiliation) ? node : undefined;
}
