// Subscriptions that an owner has to approve (XEP-0060 sections 8.6 and 8.7).
import { type Element, type Envelope, type FormField, Jid, randomToken, readForm, Stanza, writeForm, xml } from '#core';
import { standingOf } from './access.ts';
import { readFlag } from './config.ts';
import { NS_PUBSUB } from './errors.ts';
import { type Subscription, withSubscription } from './members.ts';
import type { Node } from './node.ts';
import type { Notifier, SubscriptionChange } from './notify.ts';
import type { Place, Shop } from './place.ts';

const NS_DATA = 'jabber:x:data';
export const NS_AUTHORIZATION = `${NS_PUBSUB}#subscribe_authorization`;

/** Asks owners, and takes their answers. */
export class Approval {
  readonly #shop: Shop;
  readonly #notifier: Notifier;

  constructor(shop: Shop, notifier: Notifier) {
    this.#shop = shop;
    this.#notifier = notifier;
  }

  /** Sends each owner the form (section 8.6), or only one of them. */
  async ask(place: Place, node: Node, { jid, subid }: Subscription, only?: string): Promise<void> {
    const fields: readonly FormField[] = [
      { name: 'pubsub#subid', type: 'hidden', values: [subid] },
      { name: 'pubsub#node', type: 'text-single', label: 'Node', values: [node.name] },
      { name: 'pubsub#subscriber_jid', type: 'jid-single', label: 'Who wants to subscribe', values: [jid] },
      { name: 'pubsub#allow', type: 'boolean', label: 'They may', values: ['0'] },
    ];
    const form = writeForm('form', NS_AUTHORIZATION, fields, { title: 'Somebody wants to subscribe' });
    const stanza = Stanza.of(xml('message', { id: randomToken(12), from: place.jid.full }, form));
    for (const owner of only === undefined ? node.owners(await node.members()) : [only]) {
      const to = Jid.parse(owner);
      this.#shop.around.router.send(stanza.addressed(place.jid.full, to.full), place.jid, to);
    }
  }

  /** Asks one owner about all who wait (section 8.7). */
  async askAll(place: Place, node: Node, owner: string): Promise<void> {
    for (const { subscriptions } of (await node.members()).values()) {
      for (const subscription of subscriptions)
        if (subscription.state === 'pending') await this.ask(place, node, subscription, owner);
    }
  }

  /** Whether a message is an answer to such a form. */
  isAnswer({ stanza }: Envelope): boolean {
    if (stanza.name !== 'message' || stanza.type === 'error' || !stanza.has('x', NS_DATA)) return false;
    const form = stanza.child('x', NS_DATA);
    return form !== undefined && form.attrs['type'] !== 'form' && typeOf(form) === NS_AUTHORIZATION;
  }

  /** Takes an answer: from whom it is not to be taken, and about what there is not, nothing comes of it. */
  async take(place: Place, { stanza, from }: Envelope): Promise<void> {
    const form = stanza.child('x', NS_DATA);
    if (form?.attrs['type'] !== 'submit') return;
    const values = readForm(form);
    const isAllowed = readFlag(values.get('pubsub#allow') ?? []);
    const jid = Jid.tryParse(values.get('pubsub#subscriber_jid')?.[0] ?? '');
    const node = place.nodes.get(values.get('pubsub#node')?.[0] ?? '');
    if (isAllowed === undefined || !jid || !node) return;
    await node.inTurn(async () => {
      if ((await standingOf(node, from.bare)).affiliation !== 'owner') return;
      await this.decide(place, node, { jid, subid: values.get('pubsub#subid')?.[0] }, isAllowed);
    });
  }

  /** Lets a subscription that waits take effect, or ends it; tells the subscriber. Only in turn. */
  async decide(place: Place, node: Node, which: { jid: Jid; subid?: string | undefined }, isAllowed: boolean): Promise<void> {
    const { jid, subid } = which;
    const { member } = await standingOf(node, jid.bare);
    const waiting = member.subscriptions.find((each) => each.jid === jid.full && each.state === 'pending');
    if (!waiting || (subid !== undefined && subid !== waiting.subid)) return;
    const approved: Subscription | undefined = isAllowed ? { ...waiting, state: 'subscribed' } : undefined;
    await node.setMember(jid.bare, (now) => withSubscription(now, jid.full, approved));
    const state = isAllowed ? 'subscribed' : 'none';
    const change: SubscriptionChange = { jid: jid.full, state, subid: waiting.subid };
    await this.#notifier.subscription(place, node, change, [jid.full]);
    if (!approved) return;
    await this.#notifier.toOwners(place, node, change);
    await this.#notifier.welcome(place, node, approved);
  }
}

function typeOf(form: Element): string | undefined {
  return readForm(form).get('FORM_TYPE')?.[0];
}
