import {
  type DiscoItem,
  type DiscoQuestion,
  type Element,
  type Envelope,
  type Jid,
  type Maybe,
  type NodeInfo,
  type Query,
  type Resource,
  type Router,
  readStanza,
  type Stanza,
  StanzaError,
  writeForm,
  xml,
} from '#core';
import type { Waiting } from './backlog.ts';
import type { Boxes } from './box.ts';
import { delayed } from './delivery.ts';

/** The namespace of flexible retrieval (XEP-0013), which is also the disco node of the messages. */
export const NS_OFFLINE = 'http://jabber.org/protocol/offline';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';

/** Messages looked up at once. */
const CHUNK = 200;

/** What retrieval needs of its surroundings. */
export interface RetrievalParts {
  readonly boxes: Boxes;
  readonly domain: string;
  readonly router: Router;
  /** Clients that have asked; nothing is given to their account by itself while they are there. */
  readonly fetchers: WeakSet<Resource>;
}

/** Lets users look at their messages one by one, before they are given to them (XEP-0013). */
export class Retrieval {
  readonly #parts: RetrievalParts;

  constructor(parts: RetrievalParts) {
    this.#parts = parts;
  }

  /** Nobody asks for the messages of others (XEP-0013 section 2.4), whether that account exists or not. */
  readonly refuseOthers = ({ stanza, from, to }: Envelope): void => {
    if (to.local === '' || to.resource !== '' || to.bare === from.bare) return;
    if (stanza.type !== 'get' && stanza.type !== 'set') return;
    if (stanza.has('offline', NS_OFFLINE) || asksForNode(stanza)) throw new StanzaError('forbidden');
  };

  /** How many there are (section 2.2). */
  readonly describe = (question: DiscoQuestion): Promise<NodeInfo> | undefined => {
    return this.#isAbout(question) ? this.#describe(question.to.local) : undefined;
  };

  async #describe(owner: string): Promise<NodeInfo> {
    const box = this.#parts.boxes.get(owner);
    let count = 0;
    for await (const items of box.all()) count += items.length;
    const fields = [{ name: 'number_of_messages', values: [String(count)] }];
    return {
      identities: [{ category: 'automation', type: 'message-list' }],
      features: [NS_OFFLINE],
      forms: [writeForm('result', NS_OFFLINE, fields)],
    };
  }

  /** Their headers (section 2.3). */
  readonly list = (question: DiscoQuestion): Maybe<readonly DiscoItem[]> => {
    return this.#isAbout(question) ? this.#list(question.to) : [];
  };

  async #list({ local, bare }: Jid): Promise<readonly DiscoItem[]> {
    const list: DiscoItem[] = [];
    for await (const items of this.#parts.boxes.get(local).all()) {
      for (const { id, stanza } of items) list.push({ jid: bare, node: id, name: readStanza(stanza).from });
    }
    return list;
  }

  /** Sends some (section 2.4) or all (section 2.6); they stay. */
  readonly show = async ({ from, payload, env }: Query): Promise<void> => {
    this.#stopGiving(from);
    const { boxes, domain } = this.#parts;
    const box = boxes.get(from.local);
    const send = (item: Waiting) => {
      const mark = xml('offline', NS_OFFLINE, xml('item', { node: item.id }));
      env.origin.send(delayed(item, { account: from.bare, domain }, mark).with({ to: from.full }));
    };
    if (isAll(payload, 'fetch')) for await (const items of box.all()) items.forEach(send);
    else for (const item of await this.#find(from.local, readNodes(payload, 'view'))) send(item);
  };

  /** Removes some (section 2.5) or all (section 2.7). */
  readonly remove = async ({ from, payload }: Query): Promise<void> => {
    const box = this.#parts.boxes.get(from.local);
    await box.load();
    if (isAll(payload, 'purge')) for await (const items of box.all()) await box.remove(items);
    else await box.remove(await this.#find(from.local, readNodes(payload, 'remove')));
  };

  /** The messages of these nodes; one that is not there is an error, and nothing is done about the others. */
  async #find(owner: string, nodes: readonly string[]): Promise<readonly Waiting[]> {
    const found: Waiting[] = [];
    for (let i = 0; i < nodes.length; i += CHUNK) {
      const ids = nodes.slice(i, i + CHUNK);
      const items = await this.#parts.boxes.get(owner).find(ids);
      if (items.length < ids.length) throw new StanzaError('item-not-found');
      found.push(...items);
    }
    return found;
  }

  #isAbout({ from, to, node }: DiscoQuestion): boolean {
    if (node !== NS_OFFLINE || from.bare !== to.bare) return false;
    this.#stopGiving(from);
    return true;
  }

  #stopGiving(client: Jid): void {
    const { router, fetchers } = this.#parts;
    const resource = router.resource(client);
    if (resource) fetchers.add(resource);
  }
}

function asksForNode(stanza: Stanza): boolean {
  const xmlns = stanza.has('query', NS_INFO) ? NS_INFO : NS_ITEMS;
  if (!stanza.has('query', xmlns)) return false;
  const query = stanza.child('query', xmlns);
  return query?.attrs['node'] === NS_OFFLINE;
}

function isAll(payload: Element, name: 'fetch' | 'purge'): boolean {
  const [first, second] = payload.getChildElements();
  return first?.getName() === name && second === undefined;
}

/** Throws StanzaError `bad-request` unless there are items, and all of this action. */
function readNodes(payload: Element, action: 'view' | 'remove'): readonly string[] {
  const nodes = new Set<string>();
  for (const item of payload.getChildElements()) {
    const node: unknown = item.attrs['node'];
    if (item.getName() !== 'item' || item.attrs['action'] !== action || typeof node !== 'string')
      throw new StanzaError('bad-request');
    nodes.add(node);
  }
  if (nodes.size === 0) throw new StanzaError('bad-request');
  return [...nodes];
}
