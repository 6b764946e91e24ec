// XEP-0352: clients say that nobody is looking at them, and are spared what can wait until somebody does.
import {
  defineModule,
  type FeaturesOffer,
  HANDLED,
  type Outgoing,
  option,
  Priority,
  type Session,
  type StreamElement,
  type Verdict,
  xml,
} from '#core';
import { Held } from './held.ts';
import { IDLE, IMPORTANT, weigh } from './weigh.ts';

const NS = 'urn:xmpp:csi:0';

/** Read on another device: a telephone is to take its notification away although nobody looks at it (XEP-0490). */
const URGENT_NODES = ['urn:xmpp:mds:displayed:0'];

/** What other modules get from this one. */
export interface CsiApi {
  /** Writes all that is held for this client now. */
  flush(session: Session): void;
  /** Its client speaks over a new line, and counts as active (XEP-0352 section 5.2): what is held is written. */
  resumed(session: Session): void;
}

export default defineModule({
  name: 'csi',
  doc: 'Client state: clients that nobody looks at are spared what can wait.',
  xeps: [{ xep: 352, version: '1.0.0' }],
  config: option.object({
    holdPresence: option.boolean({
      default: true,
      doc: 'Whether presence waits until an inactive client has to hear something.',
    }),
    holdNotifications: option.boolean({ default: true, doc: 'Whether notifications of PubSub and PEP wait as well.' }),
    dropChatStates: option.boolean({ default: true, doc: 'Whether messages are dropped that only say that somebody is typing.' }),
    urgentNodes: option.list(option.string({ doc: 'Name of a node.' }), {
      default: URGENT_NODES,
      max: 100,
      unique: true,
      doc: 'Nodes whose notifications never wait. That of XEP-0490 lets devices take away notifications of what was read elsewhere.',
    }),
    maxStanzas: option.integer({
      default: 1000,
      min: 1,
      max: 100_000,
      doc: 'How many stanzas may wait for one client; with one more all of them are sent.',
    }),
    maxBytes: option.bytes({
      default: '1MiB',
      min: '16KiB',
      max: '64MiB',
      doc: 'Size of all that may wait for one client; to be well below limits.queueBytes, since it leaves at once.',
    }),
  }),

  setup({ config, defer, hooks, on, signals, slot }): CsiApi {
    const weights = { ...config, urgentNodes: new Set(config.urgentNodes) };
    const spared = slot<Held | undefined>(() => undefined);
    const waiting = new Set<Session>();

    on(hooks.streamFeatures, offer, Priority.serve);
    on(hooks.streamElement, takeState, Priority.serve);
    on(hooks.outgoing, hold, Priority.serve);
    on(signals.sessionClosed, (session) => void waiting.delete(session));
    defer(() => [...waiting].forEach(flush));

    function offer({ stream, features }: FeaturesOffer): void {
      if (stream.username !== undefined && stream.session === undefined) features.push(xml('csi', NS));
    }

    /** A client that is not bound yet has nothing to be spared, and begins as active. */
    function takeState({ stream, element }: StreamElement): Verdict {
      const isState = element.xmlns === NS && (element.name === 'active' || element.name === 'inactive');
      if (!isState || stream.username === undefined) return;
      const { session } = stream;
      if (session && element.name === 'active') resumed(session);
      else if (session && spared.peek(session)?.stream !== stream) {
        flush(session);
        spared.set(session, new Held(stream));
      }
      return HANDLED;
    }

    function hold({ session, stanza }: Outgoing): Verdict {
      const { stream } = session;
      let held = spared.peek(session);
      if (stream !== undefined) {
        if (held === undefined) return;
        // A new stream begins as active (XEP-0352 section 5.2).
        if (held.stream !== stream) return resumed(session);
      } else {
        // Its line is broken, and it is kept for its client to come back (XEP-0198 section 5).
        if (session.keeper === undefined || session.isClosed) return;
        if (held === undefined) spared.set(session, (held = new Held(undefined)));
      }
      const weight = weigh(stanza, weights);
      if (weight === IDLE) return HANDLED;
      // In between nothing is overtaken (RFC 6120 section 10.1).
      if (weight === IMPORTANT) return flush(session);
      held.add(weight, stanza);
      waiting.add(session);
      if (held.count > config.maxStanzas || held.bytes > config.maxBytes) flush(session);
      return HANDLED;
    }

    function flush(session: Session): void {
      if (!waiting.delete(session)) return;
      for (const stanza of spared.peek(session)?.take() ?? []) session.write(stanza);
    }

    function resumed(session: Session): void {
      flush(session);
      if (spared.peek(session)) spared.set(session, undefined);
    }

    return { flush, resumed };
  },
});
