// The service: takes what is sent to its domain.
import {
  after,
  type Destination,
  type DiscoQuestion,
  type Element,
  type Envelope,
  type Maybe,
  type NodeInfo,
  NS_RSM,
  type Query,
  readRsm,
  resultOf,
  Stanza,
  StanzaError,
  writeRsm,
  type XmlText,
  xml,
} from '#core';
import type { CommandDesk } from '../commands/index.ts';
import { tidy, writeInfo, writeItems } from '../disco/answer.ts';
import type { Counter } from './counter.ts';
import { NS_OWNER, NS_PUBSUB, PartlyRefused } from './errors.ts';
import { describeNode, listItems, listNodes, SERVICE_FEATURES } from './info.ts';
import type { Place } from './place.ts';

const NS_PING = 'urn:xmpp:ping';
const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';

/** Nodes that are listed at once. */
const MAX_LISTED = 1000;

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
    const send = (found: Element | XmlText | void) => env.origin.send(resultOf(env, found ?? undefined));
    if (!(answer instanceof Promise)) return send(answer);
    return answer.then(send, (error: unknown) => {
      if (!(error instanceof PartlyRefused)) throw error;
      env.origin.send(refusalOf(env, error));
    });
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
      const features = [NS_INFO, NS_ITEMS, NS_PING, NS_RSM, ...SERVICE_FEATURES, ...(desk ? [NS_COMMANDS] : [])];
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
    if (node === undefined) return this.#showNodes(question, query.payload);
    return listItems(place.nodes.find(node), place, from, trust).then((found) => writeItems(found, node));
  }

  /** In pages for those who ask for them, and where there are too many (XEP-0059). */
  async #showNodes({ from }: DiscoQuestion, payload: Element): Promise<Element> {
    const { counter, place } = this.#parts;
    const { max = MAX_LISTED, after: start, before, index } = readRsm(payload) ?? {};
    if (before !== undefined || index !== undefined) throw new StanzaError('feature-not-implemented');
    const most = Math.min(max, MAX_LISTED);
    // One more tells whether there are more.
    const found = await listNodes(place, from, counter.shop.around.trust, { after: start, max: most + 1 });
    const items = found.slice(0, most);
    const answer = writeItems(items, undefined);
    if (payload.getChild('set', NS_RSM) || found.length > most)
      answer.cnode(writeRsm({ first: items[0]?.node, last: items.at(-1)?.node }));
    return answer;
  }
}

/** The error with what is not changed in front (sections 8.8.2.4 and 8.9.2.4). */
function refusalOf(env: Envelope, error: PartlyRefused): Stanza {
  const { id } = env.stanza;
  const unchanged = xml('pubsub', NS_OWNER, error.unchanged);
  return Stanza.of(xml('iq', { type: 'error', id, from: env.to.full, to: env.from.full }, unchanged, error.toElement()));
}

function readQuestion({ payload, from, to }: Query): DiscoQuestion {
  const node: unknown = payload.attrs['node'];
  return { from, to, node: typeof node === 'string' && node !== '' ? node : undefined };
}
