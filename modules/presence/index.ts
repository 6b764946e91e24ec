// RFC 6121 sections 3 and 4: who may see whether somebody is online, and telling them.
import {
  after,
  defineModule,
  Envelope,
  errorOf,
  type FeaturesOffer,
  HANDLED,
  Hook,
  isSession,
  Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Session,
  StanzaError,
  type Verdict,
  xml,
} from '#core';
import roster from '../roster/index.ts';
import type { Audience } from './audience.ts';
import { Broadcaster, VISIBILITY, type Visibility } from './broadcast.ts';
import { Post, UNAVAILABLE, UNSUBSCRIBED } from './post.ts';
import { isMove } from './states.ts';
import { Subscriptions } from './subscriptions.ts';

export type { Audience } from './audience.ts';

const NS_PREAPPROVAL = 'urn:xmpp:features:pre-approval';

/** What other modules get from this one. */
export interface PresenceApi {
  /** Run before presence of an account is told to its contacts: a handler may hide it from some of them. */
  readonly audience: Hook<Audience>;
  /** Tells whoever is meant by an address (an entity, a contact, a whole domain) that the account is gone, where they know that it is here. */
  hideFrom(account: Jid, address: Jid): Maybe<void>;
  /** Tells whoever is meant by an address that the account is here, where they may know and are not hidden from, and asks for theirs. */
  showTo(account: Jid, address: Jid): Maybe<void>;
  /** Broadcasts the presence of an available client once more, in the form that the session has now. */
  renew(session: Session): Maybe<void>;
}

export default defineModule({
  name: 'presence',
  doc: 'Presence: tells those who may know whether somebody is online, and manages who may.',
  needs: [roster],
  config: option.object({
    maxDirected: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'To how many addresses (such as rooms) one client may have sent presence directly.',
    }),
    maxRequestBytes: option.bytes({
      default: '4KiB',
      min: 0,
      max: '256KiB',
      doc: 'Size up to which a request to see the presence of an account is kept with all that came in it.',
    }),
  }),
  stores: { requests: mapStore<string>() },

  setup({ accounts, config, domain, hooks, log, on, router, signals, slot, stores: { requests }, use }): PresenceApi {
    const rosters = use(roster);
    const post = new Post(router, log);
    const audience = new Hook<Audience>('audience');
    const subscriptions = new Subscriptions({ ...config, accounts, log, post, requests, rosters, router });
    const broadcaster = new Broadcaster({
      audience,
      deliverRequests: (session, contacts, asked) => subscriptions.deliverWaiting(session, contacts, asked),
      maxDirected: config.maxDirected,
      post,
      rosters,
      router,
      visibilities: slot((): Visibility => ({ isAnnounced: false, directed: undefined }), VISIBILITY),
    });

    on(hooks.streamFeatures, offerPreapproval, Priority.serve);
    on(hooks.presenceSent, send, Priority.serve);
    on(hooks.presenceReceived, receive, Priority.serve);
    on(signals.sessionClosed, withdraw);
    on(hooks.accountDeleting, ({ username }) => subscriptions.endAll(Jid.of(username, domain)), Priority.serve);
    on(rosters.removed, ({ account, contact }) => subscriptions.end(account, contact));
    on(rosters.given, (change) => broadcaster.follow(change));

    function offerPreapproval({ stream, features }: FeaturesOffer): void {
      if (stream.username !== undefined) features.push(xml('sub', NS_PREAPPROVAL));
    }

    function send(env: Envelope): Maybe<Verdict> {
      const { stanza, to, origin } = env;
      const { type } = stanza;
      if (!isSession(origin)) return;
      if (type === undefined || type === 'unavailable') {
        if (stanza.to !== undefined) return broadcaster.track(origin, to, type === undefined);
        return type === undefined ? broadcaster.announce(origin, stanza) : broadcaster.withdraw(origin, stanza);
      }
      if (isMove(type) && stanza.to !== undefined) return subscriptions.send(env, type);
      if (stanza.to !== undefined && isKnown(type)) return;
      return refuse(env);
    }

    /** What says nothing of availability is for somebody; and RFC 6121 section 4.7.1: other types there are none. */
    function refuse(env: Envelope): typeof HANDLED {
      const { from, to, origin, stanza } = env;
      const asked = new Envelope(stanza.addressed(from.full, to.full), from, to, origin);
      const reply = errorOf(asked, new StanzaError('bad-request', { text: 'Unknown type of presence, or nobody to send it to' }));
      if (reply) origin.send(reply);
      return HANDLED;
    }

    function receive(env: Envelope): Maybe<Verdict> {
      const { stanza, from, to } = env;
      const { type } = stanza;
      if (type === undefined || type === 'unavailable' || to.local === '') return;
      if (type === 'probe') return answer(env);
      if (isMove(type)) return subscriptions.receive(env, type);
      if (type !== 'error') throw new StanzaError('bad-request', { text: 'Unknown type of presence' });
      const client = router.resource(to);
      if (client && isSession(client)) broadcaster.forget(client, from);
    }

    /** RFC 6121 section 4.3.2. Who may not know gets the same answer whether the account exists or not. */
    function answer({ from, to }: Envelope): Maybe<Verdict> {
      return after(rosters.of(to.local), (contacts) => {
        const contact = contacts.get(from.bare);
        const mayKnow = from.bare === to.bare || contact?.isSubscriber || rosters.isWatched(to.local, from.bare);
        if (mayKnow) answerSubscriber(from, to);
        // A request that waits for an answer is not to be taken back by the one who asked.
        else if (!contact?.isPending) void post.send(UNSUBSCRIBED, to.bareJid, from.bareJid);
        return HANDLED;
      });
    }

    function answerSubscriber(from: Jid, to: Jid): void {
      const clients = post.available(to.bare).filter(({ jid }) => jid.full !== from.full && (to.isBare || jid.full === to.full));
      for (const { presence, jid } of clients) void post.send(presence!, jid, from);
      if (clients.length === 0 && from.bare !== to.bare) void post.send(UNAVAILABLE, to, from);
    }

    function withdraw(session: Session): Maybe<void> {
      return broadcaster.withdraw(session, undefined);
    }

    return {
      audience,
      hideFrom: (account, address) => broadcaster.hideFrom(account, address),
      showTo: (account, address) => broadcaster.showTo(account, address),
      renew: (session) => (session.presence ? broadcaster.announce(session, session.presence) : undefined),
    };
  },
});

/** The types that concern neither availability nor subscriptions. */
function isKnown(type: string): boolean {
  return type === 'probe' || type === 'error';
}
