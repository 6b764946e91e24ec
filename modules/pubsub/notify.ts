// Notifications (XEP-0060 sections 7.1.2, 7.2.2.1, 8.2.5.3, 8.4.2, 8.5.2 and 12): who is told, and in which words.
import { escapeXml, Jid, randomToken, Stanza, timeOf, toWire, writeDateTime, writeElement, writeForm } from '#core';
import { isInForce, mayRead } from './access.ts';
import { FIELDS } from './config.ts';
import { NS_EVENT } from './errors.ts';
import { type Member, STRANGER, type Subscription } from './members.ts';
import type { Node } from './node.ts';
import type { Audience, Item, Place, Surroundings } from './place.ts';

const NS_DELAY = 'urn:xmpp:delay';
const NS_ADDRESS = 'http://jabber.org/protocol/address';
const NS_NODE_CONFIG = 'http://jabber.org/protocol/pubsub#node_config';

/** What becomes of a subscription, as its subscriber is told. */
export interface SubscriptionChange {
  readonly jid: string;
  readonly state: 'none' | 'pending' | 'subscribed';
  readonly subid: string | undefined;
}

/** Where something is told. */
interface Scene {
  readonly place: Place;
  readonly node: Node;
  readonly members: ReadonlyMap<string, Member>;
}

/** Tells subscribers what happens at nodes. */
export class Notifier {
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  /** New items. What is not kept, and has no payload, is told without items. */
  async published(place: Place, node: Node, items: readonly Item[]): Promise<void> {
    if (!node.config.deliverNotifications) return;
    const text = items.map((item) => writeItem(node, item)).join('');
    await this.#tell(place, node, writeItems(node, text) + (await this.#replyTo(node, items.at(-1))));
  }

  async retracted(place: Place, node: Node, ids: readonly string[]): Promise<void> {
    if (!node.config.deliverNotifications || ids.length === 0) return;
    await this.#tell(place, node, writeItems(node, ids.map((id) => `<retract id='${escapeXml(id)}'/>`).join('')));
  }

  /** One for all items, and only where there would be one for each (section 8.5.2). */
  async purged(place: Place, node: Node): Promise<void> {
    const { deliverNotifications, notifyRetract } = node.config;
    if (!deliverNotifications || !notifyRetract) return;
    await this.#tell(place, node, writeEvent(`<purge node='${escapeXml(node.name)}'/>`));
  }

  /** With the form when the node delivers payloads (section 8.2.5.3). */
  async configured(place: Place, node: Node): Promise<void> {
    const { deliverNotifications, deliverPayloads, notifyConfig } = node.config;
    if (!deliverNotifications || !notifyConfig) return;
    const fields = FIELDS.map(({ name, write }) => ({ name, values: write(node.config) }));
    const form = deliverPayloads ? writeElement(writeForm('result', NS_NODE_CONFIG, fields)) : '';
    await this.#tell(place, node, writeEvent(`<configuration node='${escapeXml(node.name)}'>${form}</configuration>`));
  }

  /** Pending subscribers too (section 8.4.2). What is told is found out before the node is gone; call the result afterwards. */
  async deleting(place: Place, node: Node, redirect: string | undefined): Promise<() => void> {
    if (!node.config.deliverNotifications || !node.config.notifyDelete) return () => {};
    const inner = redirect === undefined ? '' : `<redirect uri='${escapeXml(redirect)}'/>`;
    const stanza = this.#write(place, node, writeEvent(`<delete node='${escapeXml(node.name)}'>${inner}</delete>`));
    const members = await node.members();
    const recipients = await this.#recipients(place, node, members);
    for (const { subscriptions } of members.values()) {
      for (const { state, jid: text } of subscriptions) {
        const jid = Jid.parse(text);
        if (state === 'pending' && !(await this.#around.hidesFrom(place, jid))) recipients.push(jid);
      }
    }
    const audience = await this.#around.audience(place, node, members);
    return () => this.#deliver(place, stanza, recipients, audience);
  }

  /** The last item, to somebody new (section 6.1.7). Only in turn, so that it comes before whatever is published next. */
  async welcome(place: Place, node: Node, subscription: Subscription): Promise<void> {
    const jid = Jid.parse(subscription.jid);
    const { sendLast, deliverNotifications } = node.config;
    if (sendLast === 'never' || !deliverNotifications) return;
    // Whoever was approved may have waited for a node that is another one's by now.
    if (await this.#isMeant({ place, node, members: await node.members() }, subscription, jid))
      await this.#sendLast(place, node, jid);
  }

  async #sendLast(place: Place, node: Node, to: Jid): Promise<void> {
    const stanza = await this.lastOf(place, node);
    if (stanza) this.#send(place, stanza, to);
  }

  /** The last item, to a client that has come online, when it or its account has subscribed and may still read it. */
  async lastTo(place: Place, node: Node, client: Jid): Promise<void> {
    const members = await node.members();
    const { subscriptions } = members.get(client.bare) ?? STRANGER;
    const isMeant = (each: Subscription) =>
      (each.jid === client.bare || each.jid === client.full) && this.#hears(node, each, client);
    if (!node.config.deliverNotifications || !subscriptions.some(isMeant)) return;
    if (await mayRead(node, client, this.#around.trust, members)) await this.#sendLast(place, node, client);
  }

  /** What it takes to tell somebody of the last item; undefined when there is none. */
  async lastOf(place: Place, node: Node): Promise<Stanza | undefined> {
    const item = await node.last();
    if (!item) return undefined;
    const stamp = writeDateTime(timeOf(item.at) ?? 0);
    const delay = `<delay xmlns='${NS_DELAY}' stamp='${stamp}'/>`;
    return this.#write(place, node, writeItems(node, writeItem(node, item)) + delay);
  }

  /** Tells owners who want to know it of who has subscribed, or does so no more. */
  async toOwners(place: Place, node: Node, change: SubscriptionChange): Promise<void> {
    if (node.config.notifySub) await this.subscription(place, node, change, node.owners(await node.members()));
  }

  /** Tells somebody what has become of a subscription (section 12.14). */
  async subscription(place: Place, node: Node, change: SubscriptionChange, to: readonly string[]): Promise<void> {
    const subid = change.subid === undefined ? '' : ` subid='${escapeXml(change.subid)}'`;
    const attrs = `node='${escapeXml(node.name)}' jid='${escapeXml(change.jid)}' subscription='${change.state}'${subid}`;
    const stanza = this.#write(place, node, writeEvent(`<subscription ${attrs}/>`));
    for (const text of to) {
      const jid = Jid.parse(text);
      if (!(await this.#around.hidesFrom(place, jid))) this.#send(place, stanza, jid);
    }
  }

  /** What notifications of a node look like. `inner` is XML. */
  #write(place: Place, node: Node, inner: string): Stanza {
    const type = node.config.notificationType === 'headline' ? 'headline' : undefined;
    return Stanza.written(
      { name: 'message', type, id: randomToken(9), from: place.jid.full, to: undefined, lang: undefined },
      toWire(inner),
    );
  }

  async #tell(place: Place, node: Node, inner: string): Promise<void> {
    const stanza = this.#write(place, node, inner);
    const members = node.members();
    const known = members instanceof Promise ? await members : members;
    const subscribers = known.size > 0 ? await this.#recipients(place, node, known) : [];
    const asked = this.#around.audience(place, node, known);
    this.#deliver(place, stanza, subscribers, asked instanceof Promise ? await asked : asked);
  }

  #deliver(place: Place, stanza: Stanza, subscribers: readonly Jid[], { sessions, remote, undecided }: Audience): void {
    for (const to of subscribers) this.#send(place, stanza, to);
    // Whoever has subscribed hears it once.
    const told = new Set(subscribers.map(({ full }) => full));
    const isTold = ({ full, bare }: Jid) => told.size > 0 && (told.has(full) || told.has(bare));
    for (const session of sessions) {
      if (!isTold(session.jid)) session.send(stanza.addressed(place.jid.full, session.jid.full));
    }
    for (const jid of remote) if (!isTold(jid)) this.#send(place, stanza, jid);
    for (const decision of undecided) {
      void decision.then((session) => {
        if (session && !session.isClosed && !isTold(session.jid))
          session.send(stanza.addressed(place.jid.full, session.jid.full));
      });
    }
  }

  /** The subscribers who are to hear of something now: those who still may read it, and want to. */
  async #recipients(place: Place, node: Node, members: ReadonlyMap<string, Member>): Promise<Jid[]> {
    const found: Jid[] = [];
    for (const { subscriptions } of members.values()) {
      for (const subscription of subscriptions) {
        const jid = Jid.parse(subscription.jid);
        if (await this.#isMeant({ place, node, members }, subscription, jid)) found.push(jid);
      }
    }
    return found;
  }

  async #isMeant({ place, node, members }: Scene, subscription: Subscription, jid: Jid): Promise<boolean> {
    if (!this.#hears(node, subscription, jid) || (await this.#around.hidesFrom(place, jid))) return false;
    return mayRead(node, jid, this.#around.trust, members);
  }

  #hears(node: Node, subscription: Subscription, jid: Jid): boolean {
    const { options } = subscription;
    if (!isInForce(subscription) || !options.deliver) return false;
    if (!node.config.presenceBased && options.showValues === undefined) return true;
    const shows = this.#around.shows(jid);
    if (shows === undefined) return true;
    return shows.some((show) => options.showValues === undefined || options.showValues.includes(show));
  }

  #send({ jid }: Place, stanza: Stanza, to: Jid): void {
    this.#around.router.send(stanza.addressed(jid.full, to.full), jid, to);
  }

  /** Whom an answer goes to (XEP-0033), where the node says so. */
  async #replyTo(node: Node, item: Item | undefined): Promise<string> {
    const { itemReply } = node.config;
    if (itemReply === 'none' || !item) return '';
    const jids = itemReply === 'publisher' ? [Jid.parse(item.by).bare] : node.owners(await node.members());
    const addresses = jids.map((jid) => `<address type='replyto' jid='${escapeXml(jid)}'/>`).join('');
    return `<addresses xmlns='${NS_ADDRESS}'>${addresses}</addresses>`;
  }
}

function writeItem({ config }: Node, { id, by, value }: Item): string {
  const publisher = config.itemReply === 'publisher' ? ` publisher='${escapeXml(by)}'` : '';
  const payload = config.deliverPayloads ? value : '';
  return `<item id='${escapeXml(id)}'${publisher}>${payload}</item>`;
}

function writeItems({ name }: Node, inner: string): string {
  return writeEvent(`<items node='${escapeXml(name)}'>${inner}</items>`);
}

function writeEvent(inner: string): string {
  return `<event xmlns='${NS_EVENT}'>${inner}</event>`;
}
