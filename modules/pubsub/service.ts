// The service: takes what is sent to its domain.
import {
  after,
  type Destination,
  type DiscoQuestion,
  type Element,
  type Envelope,
  type Maybe,
  type NodeInfo,
  type Query,
  resultOf,
  StanzaError,
  type XmlText,
} from '#core';
import type { CommandDesk } from '../commands/index.ts';
import { tidy, writeInfo, writeItems } from '../disco/answer.ts';
import type { Counter } from './counter.ts';
import { NS_OWNER, NS_PUBSUB } from './errors.ts';
import { describeNode, listItems, listNodes, SERVICE_FEATURES } from './info.ts';
import type { Place } from './place.ts';

const NS_PING = 'urn:xmpp:ping';
const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';

/** What a service works with. */
export interface ServiceParts {
  readonly counter: Counter;
  readonly place: Place;
  readonly name: string;
  readonly desk: CommandDesk<Place> | undefined;
}

/** Answers for the domain of the service. */
export class PubSubService implements Destination {
  readonly #parts: ServiceParts;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  deliver(env: Envelope): Maybe<void> {
    const { stanza } = env;
    if (stanza.name === 'presence') return;
    if (stanza.name === 'message') return this.#takeMessage(env);
    if (stanza.type !== 'get' && stanza.type !== 'set') return;
    if (env.to.local !== '' || env.to.resource !== '') throw new StanzaError('item-not-found');
    const payload = stanza.element.getChildElements()[0]!;
    const answer = this.#answer({ payload, from: env.from, to: env.to, env }, stanza.type);
    return after(answer, (found) => env.origin.send(resultOf(env, found ?? undefined)));
  }

  #takeMessage(env: Envelope): Maybe<void> {
    const { counter, place } = this.#parts;
    if (env.stanza.type === 'error') return;
    if (!counter.approval.isAnswer(env)) throw new StanzaError('service-unavailable');
    return counter.approval.take(place, env);
  }

  #answer(query: Query, type: 'get' | 'set'): Maybe<Element | XmlText | void> {
    const { payload, from } = query;
    const { counter, place, desk } = this.#parts;
    const xmlns = payload.getNS();
    if (payload.getName() === 'pubsub' && (xmlns === NS_PUBSUB || xmlns === NS_OWNER)) {
      return counter.take(type, { place, from, payload });
    }
    if (type === 'set' && desk && payload.is('command', NS_COMMANDS)) return desk.take(query, place);
    if (type === 'get' && payload.is('query', NS_INFO)) return this.#showInfo(query);
    if (type === 'get' && payload.is('query', NS_ITEMS)) return this.#showItems(query);
    if (type === 'get' && payload.is('ping', NS_PING)) return;
    throw new StanzaError('service-unavailable');
  }

  #showInfo(query: Query): Maybe<Element> {
    const question = readQuestion(query);
    return after(this.#describe(question), (info) => writeInfo(tidy({ ...info, forms: info.forms ?? [] }), question.node));
  }

  #describe(question: DiscoQuestion): Maybe<NodeInfo> {
    const { counter, place, desk, name } = this.#parts;
    const { node, from } = question;
    if (node === undefined) {
      const features = [NS_INFO, NS_ITEMS, NS_PING, ...SERVICE_FEATURES, ...(desk ? [NS_COMMANDS] : [])];
      return { identities: [{ category: 'pubsub', type: 'service', name }], features };
    }
    return after(
      desk?.node(question, place),
      (found) => found ?? describeNode(place.nodes.find(node), from, counter.shop.around.trust),
    );
  }

  #showItems(query: Query): Maybe<Element> {
    const question = readQuestion(query);
    const { counter, place, desk } = this.#parts;
    const { node, from } = question;
    const { trust } = counter.shop.around;
    if (node === NS_COMMANDS && desk) return after(desk.items(question, place), (items) => writeItems(items, node));
    const items = node === undefined ? listNodes(place, from, trust) : listItems(place.nodes.find(node), place, from, trust);
    return items.then((found) => writeItems(found, node));
  }
}

function readQuestion({ payload, from, to }: Query): DiscoQuestion {
  const node: unknown = payload.attrs['node'];
  return { from, to, node: typeof node === 'string' && node !== '' ? node : undefined };
}
