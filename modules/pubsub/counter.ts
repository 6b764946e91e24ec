// All that answers for nodes, put together.
import { type Element, firstIdAt, type Jid, type Maybe, type XmlText } from '#core';
import { Approval } from './approval.ts';
import type { NodeConfig } from './config.ts';
import { Reader } from './items.ts';
import { type Member, STRANGER } from './members.ts';
import type { Node } from './node.ts';
import { Notifier } from './notify.ts';
import { OwnerDesk } from './owner.ts';
import { PeopleDesk } from './people.ts';
import { type Item, type Place, type PubSubQuery, Shop, type Surroundings } from './place.ts';
import { Publisher } from './publish.ts';
import { answer, type Requests, requestIn } from './requests.ts';
import { Subscriber } from './subscribe.ts';

/** Owners that are looked at before others have their turn. */
const IN_TURN = 100;

/** Whoever has made a node, and has nothing to do with it any more. */
const NOBODY: Member = { affiliation: 'none', subscriptions: [] };

/** Answers requests about nodes, and does for modules what clients do by requests. */
export class Counter {
  readonly shop: Shop;
  readonly notifier: Notifier;
  readonly approval: Approval;
  readonly #publisher: Publisher;
  readonly #owner: OwnerDesk;
  readonly #requests: Requests;

  constructor(around: Surroundings) {
    const shop = new Shop(around);
    const notifier = new Notifier(around);
    const approval = new Approval(shop, notifier);
    const reader = new Reader(shop);
    const publisher = new Publisher(shop, notifier);
    const subscriber = new Subscriber({ shop, notifier, approval });
    const owner = new OwnerDesk({ shop, notifier, approval });
    const people = new PeopleDesk({ shop, notifier, approval });
    this.shop = shop;
    this.notifier = notifier;
    this.approval = approval;
    this.#publisher = publisher;
    this.#owner = owner;
    this.#requests = {
      get: {
        user: {
          affiliations: subscriber.listAffiliations,
          default: subscriber.showDefaults,
          items: reader.read,
          options: subscriber.showOptions,
          subscriptions: subscriber.listSubscriptions,
        },
        owner: {
          affiliations: people.listAffiliations,
          configure: owner.showConfig,
          default: owner.showDefaults,
          subscriptions: people.listSubscriptions,
        },
      },
      set: {
        user: {
          create: owner.create,
          publish: publisher.publish,
          retract: publisher.retract,
          subscribe: subscriber.subscribe,
          unsubscribe: subscriber.unsubscribe,
          // Behind what it may go with.
          options: subscriber.setOptions,
        },
        owner: {
          affiliations: people.setAffiliations,
          configure: owner.configure,
          delete: owner.delete,
          purge: owner.purge,
          subscriptions: people.setSubscriptions,
        },
      },
    };
  }

  /** Answers the `<pubsub/>` of an IQ. Throws or rejects with StanzaError. */
  take(type: 'get' | 'set', query: Omit<PubSubQuery, 'request'>): Maybe<Element | XmlText | void> {
    return answer(this.#requests, type, query);
  }

  /** The node that the `<pubsub/>` of an IQ asks about; undefined when it names none. Throws StanzaError for several requests at once. */
  nodeIn(type: 'get' | 'set', payload: Element): string | undefined {
    const node: unknown = requestIn(this.#requests, type, payload)?.attrs['node'];
    return typeof node === 'string' ? node : undefined;
  }

  /** The nodes of an owner; at once when they are in memory. */
  nodesOf(owner: string) {
    return this.shop.library.of(owner);
  }

  /**
   * Publishes in the name of the place's owner. A node that is not there is made, with this configuration; of one that is nothing changes.
   * Resolves once it is durable and told.
   */
  async publish(
    place: Place,
    name: string,
    items: readonly Omit<Item, 'at' | 'by'>[],
    config: Partial<NodeConfig> = {},
  ): Promise<void> {
    const node = place.nodes.get(name) ?? (await this.#publisher.obtain(place, name, place.jid, config));
    const whole = items.map(({ id, value }) => ({ id, value, at: '', by: place.jid.bare }));
    await this.#publisher.put(place, node, { items: whole });
  }

  /** Removes items, as their owner; those that are not there are passed over. True when there was one. */
  async retract(place: Place, name: string, ids: readonly string[]): Promise<boolean> {
    const node = place.nodes.get(name);
    if (!node) return false;
    const found = (await node.query({ ids })).items.map(({ id }) => id);
    if (found.length === 0) return false;
    await this.#publisher.remove(place, node, { ids: found, isTold: true });
    return true;
  }

  /** Changes the configuration of a node. */
  configure(place: Place, node: Node, changes: Partial<NodeConfig>): Promise<void> {
    return this.#owner.reconfigure(place, node, changes);
  }

  /** Removes a node, as its owner. */
  async delete(place: Place, name: string, by?: Jid): Promise<void> {
    const node = place.nodes.get(name);
    if (node) await this.#owner.remove(place, node, { ...(by && { by }) });
  }

  /** Removes all items of a node, as its owner. */
  async purge(place: Place, name: string): Promise<void> {
    const node = place.nodes.get(name);
    if (node) await this.#owner.empty(place, node);
  }

  /** Takes leave of somebody who is being deleted, and of what nobody else owns. */
  async forget(place: Place, bare: string): Promise<void> {
    const known = await this.shop.around.stores.members.find(place.nodes.owner, bare);
    for (const node of [...place.nodes.all()]) {
      if (node.creator !== bare && !known.has(node.name)) continue;
      const [owner, other] = node.owners(await node.members());
      if (owner === bare && other === undefined) await this.#owner.remove(place, node, {});
      else await node.inTurn(() => node.setMember(bare, () => (node.creator === bare ? NOBODY : STRANGER)));
    }
  }

  /** The same at the nodes of all other owners: whoever has the name next is not to be taken for who had it before. */
  async forgetEverywhere(username: string, bare: string, placeOf: (owner: string) => Maybe<Place>): Promise<void> {
    const { stores } = this.shop.around;
    for (let after: string | undefined; ; ) {
      const owners = await stores.nodes.owners(after, IN_TURN);
      for (const owner of owners) {
        if (owner === username || (await stores.members.find(owner, bare)).size === 0) continue;
        await this.forget(await placeOf(owner), bare);
      }
      after = owners.at(-1);
      if (after === undefined) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Throws away what has become too old, at all nodes; for now and then. */
  async expire(stopping: AbortSignal): Promise<void> {
    const { stores } = this.shop.around;
    for (let after: string | undefined; ; ) {
      const owners = await stores.nodes.owners(after, 100);
      for (const owner of owners) {
        for (const [name, { config }] of await stores.nodes.entries(owner)) {
          if (stopping.aborted) return;
          if (config.itemExpire === 'max') continue;
          await stores.items.remove(owner, name, { before: firstIdAt(Date.now() - config.itemExpire * 1000) });
        }
      }
      after = owners.at(-1);
      if (after === undefined) return;
    }
  }
}
