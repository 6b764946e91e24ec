// XEP-0115 and XEP-0390: a hash of what the host supports, in its stream features, so that clients need not ask again.
import { after, defineModule, type Element, type FeaturesOffer, Jid, type Maybe, option, Priority, xml } from '#core';
import disco, { type DiscoInfo } from '../disco/index.ts';
import { hashLegacy, hashModern } from './hash.ts';

const NS_LEGACY = 'http://jabber.org/protocol/caps';
const NS = 'urn:xmpp:caps';
const NS_HASHES = 'urn:xmpp:hashes:2';

/** Names this software (XEP-0115 section 4). It only has to be a URI that nobody else uses. */
const NODE = 'urn:uuid:5d6f3c0e-7a3b-4f0e-9a59-2f6f0f3d8b71';

/** XEP-0390 section 6.1: what was announced lately is still answered for. */
const REMEMBERED = 8;

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
  doc: 'Entity capabilities: tells clients by a hash what the server supports.',
  xeps: [
    { xep: 115, version: '1.6.0' },
    { xep: 390, version: '0.3.2' },
  ],
  needs: [disco],
  features: [NS_LEGACY, NS],
  config: option.object({}),

  setup({ disco: { extend }, domain, hooks, keep, on, use }) {
    const source = use(disco);
    const host = Jid.of('', domain);
    const announced = keep<Announced[]>('announced', () => []);
    let current: { readonly version: number; readonly what: Announced } | undefined;

    on(hooks.streamFeatures, announce, Priority.serve);
    extend({ node: ({ to, node = '' }) => (to.local === '' ? announced.find(({ nodes }) => nodes.has(node))?.info : undefined) });

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
      const nodes = new Set([`${NODE}#${legacy}`, ...[...modern].map(([algorithm, hash]) => `${NS}#${algorithm}.${hash}`)]);
      const what = { legacy, modern, nodes, info };
      announced.unshift(what);
      announced.length = Math.min(announced.length, REMEMBERED);
      return what;
    }
  },
});

function writeFeatures({ legacy, modern }: Announced): readonly Element[] {
  const hashes = [...modern].map(([algo, hash]) => xml('hash', { xmlns: NS_HASHES, algo }, hash));
  return [xml('c', { xmlns: NS_LEGACY, hash: 'sha-1', node: NODE, ver: legacy }), xml('c', NS, ...hashes)];
}
