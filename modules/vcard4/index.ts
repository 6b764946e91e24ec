// XEP-0292: what users say of themselves as vCard4, at a node of their account. It is kept in step with the vCard of XEP-0054, field by
// field, whichever of the two is set. Nicknames that are published at a node of their own (XEP-0172) stay there: that node is for those who
// see the presence of its owner, and a vCard is for everybody.
import { defineModule, type Element, isGuestName, type Maybe, option, readElement, type Session, writeElement } from '#core';
import pep from '../pep/index.ts';
import type { Item, Published, Retracted } from '../pubsub/index.ts';
import { InStep } from '../vcard/in-step.ts';
import vcard from '../vcard/index.ts';
import { kindsOf, NS_FOUR } from './kinds.ts';
import { Merger } from './merge.ts';

const NODE = 'urn:xmpp:vcard4';
const NAME = 'vcard4';
/** The only item, where no client has chosen another id. */
const CURRENT = 'current';

/** Where something was set. */
type Side = 'card' | 'node';

export default defineModule({
  name: NAME,
  doc: 'vCard4: what users say of themselves in the newer form, kept in step with the older one.',
  xeps: [{ xep: 292, version: '0.12.0' }],
  needs: [pep, vcard],
  config: option.object({
    access: option.choice(['open', 'presence'], {
      default: 'open',
      doc: 'Who sees a vCard4 of which nobody has said it: everybody, as the older vCard, or those who see the presence of its owner.',
    }),
    maxPictureBytes: option.bytes({
      default: '8KiB',
      min: 0,
      max: '1MiB',
      doc: 'Size up to which pictures of the older vCard are in the vCard4 as well. Avatars have a place of their own.',
    }),
  }),

  setup({ accounts, config, defer, disco, log, on, signals, use }) {
    const nodes = use(pep);
    const cards = use(vcard);
    const { shop } = nodes.counter;
    const merger = new Merger(kindsOf(config.maxPictureBytes));
    const steps = new InStep<Side>({ log, follow: (username, side) => follow(username, side) });
    // World-readable (XEP-0292 section 8), and whoever is told of a change fetches it (section 4.2.2).
    const usual = { accessModel: config.access, deliverPayloads: false } as const;

    disco.feature('registered', NS_FOUR);
    defer(nodes.prefer(NODE, usual));
    on(cards.changed, ({ username, by }) => {
      if (by !== NAME) note(username, 'card');
    });
    on(shop.published, notePublished);
    on(shop.retracted, noteRetracted);
    on(signals.sessionBound, adopt);
    on(signals.accountDeleted, ({ username }) => steps.forget(username));
    defer(() => steps.stop());

    function note(username: string, side: Side): void {
      if (!isGuestName(username)) steps.note(username, side);
    }

    function notePublished({ place, node, by }: Published): void {
      if (node === NODE && !steps.isOwn(place.jid.local, by)) note(place.jid.local, 'node');
    }

    function noteRetracted({ place, node, by }: Retracted): void {
      if (node === NODE && !steps.isOwn(place.jid.local, by)) note(place.jid.local, 'node');
    }

    /** What was set before this module was on. */
    async function adopt({ jid, isAnonymous }: Session): Promise<void> {
      if (isAnonymous) return;
      const { nodes: known } = await nodes.placeOf(jid.local);
      const hasNode = known.get(NODE) !== undefined;
      const hasCard = (await cards.namesOf(jid.local)) !== undefined;
      if (hasNode !== hasCard) note(jid.local, hasNode ? 'node' : 'card');
    }

    async function follow(username: string, side: Side): Promise<void> {
      if (await accounts.exists(username)) return side === 'card' ? followCard(username) : followNode(username);
    }

    /** What not everybody may see does not go where everybody sees it. */
    async function followNode(username: string): Promise<void> {
      const place = await nodes.placeOf(username);
      if (place.nodes.get(NODE)?.config.accessModel !== 'open') return;
      const item = await nodes.last(username, NODE);
      const four = item && readFour(item);
      if (item && !four) return;
      await cards.edit(username, NAME, (card) => (steps.isBehind(username) ? card : merger.toTemp(card, four)));
    }

    async function followCard(username: string): Promise<void> {
      const card = await cards.of(username);
      const item = await nodes.last(username, NODE);
      const before = item && readFour(item);
      const four = merger.toFour(before, card);
      if (four === before || steps.isBehind(username)) return;
      await steps.ownWork(username, () => write(username, item?.id ?? CURRENT, four));
    }

    function write(username: string, id: string, four: Element | undefined): Maybe<void> {
      const value = four && writeElement(four);
      if (value === undefined) return nodes.retract(username, NODE, [id]);
      if (Buffer.byteLength(value) <= shop.around.limits.maxPayload) return nodes.publish(username, NODE, { id, value }, usual);
      log.info('a vCard has no room at its node', { username });
    }
  },
});

function readFour({ value }: Item): Element | undefined {
  const element = value === '' ? undefined : readElement(value);
  return element?.is('vcard', NS_FOUR) ? element : undefined;
}
