// XEP-0115 and XEP-0390: a hash of what the host supports, in its stream features, and what clients support, by the hash in their presence.
import {
  after,
  defineModule,
  type Element,
  type Envelope,
  type FeaturesOffer,
  Jid,
  type Maybe,
  option,
  Priority,
  Signal,
  xml,
} from '#core';
import disco, { type DiscoInfo } from '../disco/index.ts';
import { NS_CAPS, NS_HASHES, NS_LEGACY } from './announcement.ts';
import type { CapsApi, Learned } from './features.ts';
import { hashLegacy, hashModern } from './hash.ts';
import { Inquiry, unknown } from './inquiry.ts';
import { LocalClients, lasting } from './local-clients.ts';
import { RemoteClients } from './remote-clients.ts';
import { Verified } from './verified.ts';

export type { CapsApi, Features, Learned } from './features.ts';

/** Names this software (XEP-0115 section 4). It only has to be a URI that nobody else uses. */
const NODE = 'urn:uuid:5d6f3c0e-7a3b-4f0e-9a59-2f6f0f3d8b71';

/** XEP-0390 section 6.1: what was announced lately is still answered for. */
const REMEMBERED = 8;

/** When presence has been told to all who are to hear it. */
const AFTER_BROADCAST = (Priority.serve + Priority.deliver) / 2;

/** What was announced, and what disco#info says about it. */
interface Announced {
  readonly legacy: string;
  readonly modern: ReadonlyMap<string, string>;
  /** The disco nodes that ask for it. */
  readonly nodes: ReadonlySet<string>;
  readonly info: DiscoInfo;
}

export default defineModule({
  name: 'caps',
  doc: 'Entity capabilities: tells clients by a hash what the server supports, and knows what they support.',
  xeps: [
    { xep: 115, version: '1.6.0' },
    { xep: 390, version: '0.3.2' },
  ],
  needs: [disco],
  features: [NS_LEGACY, NS_CAPS],
  config: option.object({}),

  setup({ ask, disco: { extend }, domain, hooks, keep, log, on, signals, slot, use }): CapsApi {
    const source = use(disco);
    const host = Jid.of('', domain);
    const announced = keep<Announced[]>('announced', () => []);
    let current: { readonly version: number; readonly what: Announced } | undefined;
    const learned = keep('learned', () => new Signal<Learned>('learned', report));
    const verified = keep('verified', () => new Verified());
    const inquiry = keep('inquiry', () => new Inquiry({ ask, learned, verified }));
    const local = new LocalClients(inquiry, slot(unknown, lasting(verified)));
    const remote = keep('remote', () => new RemoteClients(inquiry));

    on(hooks.streamFeatures, announce, Priority.serve);
    extend({ node: ({ to, node = '' }) => (to.local === '' ? announced.find(({ nodes }) => nodes.has(node))?.info : undefined) });
    on(hooks.presenceSent, local.note, Priority.record);
    on(hooks.presenceSent, local.tell, AFTER_BROADCAST);
    on(hooks.presenceReceived, noteRemote, AFTER_BROADCAST);
    on(signals.sessionClosed, (session) => local.forget(session));

    function announce({ stream, features }: FeaturesOffer): Maybe<void> {
      if (stream.username === undefined) return;
      return after(compute(), (what) => void features.push(...writeFeatures(what)));
    }

    /** The hashes of what disco says now; computed once for each version of that. */
    function compute(): Maybe<Announced> {
      const { version } = source;
      if (current?.version === version) return current.what;
      return after(source.describe(host), (info) => {
        const what = remember(info);
        current = { version, what };
        return what;
      });
    }

    function remember(info: DiscoInfo): Announced {
      const legacy = hashLegacy(info);
      const known = announced.find((other) => other.legacy === legacy);
      if (known) return known;
      const modern = hashModern(info);
      const nodes = new Set([`${NODE}#${legacy}`, ...[...modern].map(([algorithm, hash]) => `${NS_CAPS}#${algorithm}.${hash}`)]);
      const what = { legacy, modern, nodes, info };
      announced.unshift(what);
      announced.length = Math.min(announced.length, REMEMBERED);
      return what;
    }

    function noteRemote(env: Envelope): void {
      if (env.from.domain !== domain) remote.note(env);
    }

    function report(signal: string, error: unknown): void {
      log.error('a listener failed', { signal, error });
    }

    return {
      of: (session) => local.of(session),
      known: (session) => local.known(session),
      ofRemote: (jid) => remote.of(jid),
      interestedAt: (bare, node) => remote.interestedAt(bare, node),
      learned,
    };
  },
});

function writeFeatures({ legacy, modern }: Announced): readonly Element[] {
  const hashes = [...modern].map(([algo, hash]) => xml('hash', { xmlns: NS_HASHES, algo }, hash));
  return [xml('c', { xmlns: NS_LEGACY, hash: 'sha-1', node: NODE, ver: legacy }), xml('c', NS_CAPS, ...hashes)];
}
