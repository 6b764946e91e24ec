// XEP-0280: copies of what one client of an account sends and receives go to the others that want them.
import {
  defineModule,
  type Envelope,
  fanOut,
  HANDLED,
  isSession,
  Jid,
  type Outgoing,
  option,
  Priority,
  type Query,
  type Resource,
  Stanza,
  StanzaError,
  type Verdict,
} from '#core';
import { Answerable, type Direction } from './answerable.ts';
import { isEligibleReceived, isEligibleSent, NS } from './eligible.ts';

const NS_RULES = 'urn:xmpp:carbons:rules:0';
const NS_FORWARD = 'urn:xmpp:forward:0';

/** Behind those who keep messages, which may say what the account's own clients are shown, and before those who answer. */
const COPY = (Priority.record + Priority.serve) / 2;

export default defineModule({
  name: 'carbons',
  doc: 'Carbons: every client of an account sees what the others send and receive.',
  xeps: [
    { xep: 280, version: '1.0.1' },
    { xep: 297, version: '1.0' },
    { xep: 334, version: '1.0.0' },
  ],
  features: [NS, NS_RULES],
  config: option.object({}),

  setup({ hooks, iq, on, recipients, router, slot }) {
    const answerable = slot(() => new Answerable());

    iq.set('self', NS, 'enable', (query) => want(query, true));
    iq.set('self', NS, 'disable', (query) => want(query, false));
    for (const name of ['enable', 'disable']) iq.set('account', NS, name, refuse);
    on(hooks.messageSent, stripForged, Priority.amend);
    on(hooks.messageReceived, stripForged, Priority.amend);
    on(hooks.messageSent, copySent, COPY);
    on(hooks.messageReceived, copyReceived, COPY);
    on(hooks.outgoing, copyError, Priority.record);

    function want({ env: { origin } }: Query, wants: boolean): void {
      if (!isSession(origin)) refuse();
      origin.carbons = wants;
    }

    function copySent(env: Envelope): Verdict {
      const { from, to, stanza } = env;
      // What an account writes to itself is copied where it arrives. Its errors can only be about copies, which come from the bare JID.
      if (to.bare === from.bare) return stanza.type === 'error' && to.resource === '' ? HANDLED : undefined;
      if (!isWanted(from, from)) return;
      if (stanza.type === 'error' ? !isAnswer(env) : !isEligibleSent(stanza, to)) return;
      const copied = env.ownCopy ?? stanza;
      onceStored(env, () => {
        note(env.origin, 'sent', to, stanza);
        copy('sent', copied, from.bareJid, (client) => client.jid.full === from.full);
      });
    }

    function copyReceived(env: Envelope): void {
      const { from, to, stanza } = env;
      if (stanza.type === 'error' || !isWanted(to, from) || !isEligibleReceived(stanza, from, to)) return;
      onceStored(env, () => {
        const direct = recipients(env);
        const isLeft = direct.length === 0 && stanza.type !== 'headline';
        // Refused, and its sender is told so (RFC 6121 section 8.5.3.2.1): nobody is shown what failed.
        if (isLeft && to.resource !== '' && stanza.type !== 'chat') return;
        const isCopied = copy('received', stanza, to.bareJid, (client) => {
          // Messages that are kept come with the first presence: whoever has not sent it yet would get them twice.
          const comesLater = isLeft && client.priority === undefined;
          return comesLater || client.jid.full === from.full || direct.includes(client);
        });
        if (!isCopied) return;
        for (const client of direct) note(client, 'received', from, stanza);
        if (to.bare === from.bare) note(env.origin, 'sent', to, stanza);
      });
    }

    /** Here rather than where messages are received, since some errors are the server's own and pass no other hook. */
    function copyError({ session, stanza }: Outgoing): void {
      if (stanza.type !== 'error' || stanza.name !== 'message' || stanza.id === undefined) return;
      const known = answerable.peek(session);
      if (!known || stanza.has('private', NS)) return;
      const peer = stanza.from === undefined ? session.jid : Jid.tryParse(stanza.from);
      if (!peer || !known.has('sent', peer.bare, stanza.id)) return;
      copy('received', stanza, session.jid.bareJid, ({ jid }) => jid.full === session.jid.full || jid.full === stanza.from);
    }

    /** Whether a client's error answers a message of which the account's other clients have had copies. */
    function isAnswer({ origin, stanza, to }: Envelope): boolean {
      if (!isSession(origin) || stanza.id === undefined || stanza.has('private', NS)) return false;
      return answerable.peek(origin)?.has('received', to.bare, stanza.id) === true;
    }

    function note(client: Envelope['origin'], direction: Direction, peer: Jid, { id, type }: Stanza): void {
      if (id !== undefined && type !== 'error' && isSession(client)) answerable.get(client).add(direction, peer.bare, id);
    }

    /** Whether a client of the account other than this one wants copies: a sender who has but one client costs no more than this. */
    function isWanted({ bare }: Jid, except: Jid): boolean {
      for (const client of router.resources(bare)) if (client.carbons && client.jid.full !== except.full) return true;
      return false;
    }

    /** False when there was nobody to get one. */
    function copy(direction: Direction, message: Stanza, account: Jid, isLeftOut: (client: Resource) => boolean): boolean {
      const clients = router.resources(account.bare).filter((client) => client.carbons && !isLeftOut(client));
      if (clients.length > 0) fanOut(wrap(direction, message, account), clients);
      return clients.length > 0;
    }
  },
});

/** XEP-0280 sections 4.1 and 5.1. */
function refuse(): never {
  throw new StanzaError('not-allowed');
}

/** The real ones pass no such hook. Clients have believed others (XEP-0280 section 11). */
function stripForged(env: Envelope): Verdict {
  const { stanza } = env;
  if (!stanza.has('received', NS) && !stanza.has('sent', NS)) return;
  env.stanza = stanza.filter((child) => child.getNS() !== NS || !isWrapper(child.getName()));
  return env.stanza.childCount === 0 ? HANDLED : undefined;
}

function isWrapper(name: string): boolean {
  return name === 'received' || name === 'sent';
}

/** Nothing is shown that is not durable, nor what is refused since it cannot be stored. */
function onceStored({ stored }: Envelope, show: () => void): void {
  if (stored) stored.then(show, () => {});
  else show();
}

/** Without an id: nobody answers a copy, and an error that comes all the same is not to be taken for one about something else. */
function wrap(direction: Direction, message: Stanza, account: Jid): Stanza {
  const { type } = message;
  const forwarded = `<forwarded xmlns='${NS_FORWARD}'>${message.wire(true)}</forwarded>`;
  return Stanza.written({ name: 'message', type, from: account.bare }, `<${direction} xmlns='${NS}'>${forwarded}</${direction}>`);
}
