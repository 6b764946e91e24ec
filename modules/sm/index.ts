// XEP-0198: client and server tell each other what they have got, and a session outlives its line, or a restart of the server.
import { defineModule, type FeaturesOffer, mapStore, option, Priority, type Session, xml } from '#core';
import blocking from '../blocking/index.ts';
import csi from '../csi/index.ts';
import last from '../last/index.ts';
import offline from '../offline/index.ts';
import presence from '../presence/index.ts';
import roster from '../roster/index.ts';
import { type Managed, NS, type Surroundings } from './managed.ts';
import { Negotiation, type Past } from './negotiation.ts';
import { type Parked, Parking } from './parking.ts';
import { Unkept } from './unkept.ts';

/** Milliseconds between two looks at who does not answer. */
const LOOK_EVERY = 5000;
/** Sessions that have ended of which is known how far they had come. */
const REMEMBERED = 20_000;

export default defineModule({
  name: 'sm',
  doc: 'Stream management: acknowledges what has arrived, and lets clients resume their sessions.',
  xeps: [{ xep: 198, version: '1.6.3' }],
  // Those whose state in a session lasts have to be there when sessions are taken up again.
  wants: [blocking, csi, last, offline, presence, roster],
  config: option.object({
    resumeWithin: option.duration({
      default: '10m',
      min: '1s',
      max: '7d',
      doc: 'Time for which a session whose line broke waits for its client, which is seen as available meanwhile.',
    }),
    answerWithin: option.duration({
      default: '1m',
      min: '5s',
      max: '1h',
      doc: 'Time for a client to answer when it is asked what it has got; then its line counts as broken.',
    }),
    maxStanzas: option.integer({
      default: 5000,
      min: 100,
      max: 1_000_000,
      doc: 'Stanzas that one client may leave unacknowledged; then its session ends, and its messages wait for the next one.',
    }),
    maxBytes: option.bytes({ default: '8MiB', min: '256KiB', max: '1GiB', doc: 'Size of all these stanzas.' }),
    maxTotalBytes: option.bytes({
      default: '512MiB',
      min: '8MiB',
      doc: 'Size of what all clients together leave unacknowledged; beyond it sessions end that have left more than 64 KiB.',
    }),
  }),
  stores: { parked: mapStore<Parked>() },

  async setup(ctx) {
    const { config, defer, domain, every, hooks, keep, log, metrics, on, router, signals, stores, use } = ctx;
    const inactivity = use(csi);
    const messages = use(offline);
    /** All that can be resumed, by SM-ID. */
    const sessions = keep('sessions', () => new Map<string, Managed>());
    /** These, and those that cannot be resumed. */
    const all = keep('all', () => new Set<Managed>());
    const past = keep('past', () => new Map<string, Past>());
    const keeper = keep('keeper', () => ({ messages }));
    const surroundings: Surroundings = {
      domain,
      router,
      maxStanzas: config.maxStanzas,
      maxBytes: config.maxBytes,
      maxTotalBytes: config.maxTotalBytes,
      load: keep('load', () => ({ bytes: 0 })),
      unkept: keep('unkept', () => new Unkept()),
      redeliver: ctx.redeliver,
      note: (username) => messages?.note(username),
      givenBefore: (handover) => messages?.givenBefore(handover),
      takenUp: (session) => messages?.takenUp(session),
      began: (managed) => void all.add(managed),
      ended: remember,
      report: (text, { session }) => log.debug(text, { session: session.jid.full }),
    };

    const resumed = (session: Session) => inactivity?.resumed(session);
    const { resumeWithin } = config;
    const negotiation = new Negotiation({ surroundings, sessions, past, resumeWithin, log, resumed });
    const parking = new Parking({
      ctx,
      sessions,
      past,
      surroundings,
      store: stores.parked,
      settle: (session) => inactivity?.flush(session),
    });

    on(hooks.streamFeatures, offer, Priority.serve);
    on(hooks.streamElement, (event) => negotiation.take(event), Priority.serve);
    on(signals.accountDeleted, ({ username }) => endAll(username));
    every(LOOK_EVERY, cutDeadLines);
    defer(metrics.gauge('xmpp_sessions_waiting', 'Sessions whose client may resume them.', { host: domain }, countWaiting));
    defer(() => parking.park());
    for (const managed of all) managed.surroundings = surroundings;
    // Who keeps messages knows nothing any more of what was given before it was started.
    if (keeper.messages !== messages) for (const managed of all) managed.claimKept();
    keeper.messages = messages;
    await parking.unpark();

    function offer({ stream, features }: FeaturesOffer): void {
      if (stream.username !== undefined) features.push(xml('sm', NS));
    }

    function remember(managed: Managed): void {
      const { id, session, handled } = managed;
      all.delete(managed);
      if (id === undefined) return;
      sessions.delete(id);
      if (past.size >= REMEMBERED) past.delete(past.keys().next().value!);
      const ended: Past = { username: session.jid.local, h: handled, busy: undefined };
      past.set(id, ended);
      waitForRest(ended, managed);
    }

    /** What was still being stored counts as well. */
    function waitForRest(ended: Past, managed: Managed): void {
      ended.h = managed.handled;
      ended.busy = managed.session.inHand?.then(() => waitForRest(ended, managed));
    }

    function endAll(username: string): void {
      for (const { session } of [...sessions.values()]) if (session.jid.local === username) session.close();
    }

    function countWaiting(): number {
      let count = 0;
      for (const { session } of sessions.values()) if (!session.stream) count++;
      return count;
    }

    /** Over a dead line nothing comes back, and TCP notices only much later. */
    function cutDeadLines(): void {
      const now = performance.now();
      for (const { askedAt, session } of [...all]) {
        const { stream } = session;
        if (!stream || askedAt === undefined) continue;
        // Whoever says something is there, and may answer yet.
        if (now - Math.max(askedAt, stream.activeAt) >= config.answerWithin) stream.cut('The client does not answer');
      }
    }
  },
});
