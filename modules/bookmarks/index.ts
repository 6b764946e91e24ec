// XEP-0402: bookmarks of rooms, one in each item of a node. Clients that know XEP-0048 only, in private storage (XEP-0049) or in a node of
// its own, see and change the same ones.
import { after, defineModule, type Element, type Jid, type Maybe, option, type Query, xml } from '#core';
import pep from '../pep/index.ts';
import privateStorage from '../private/index.ts';
import { NS_PUBSUB, pubsubError, unsupported } from '../pubsub/errors.ts';
import { collate, compare, hasBookmarks, NS_BOOKMARKS, NS_STORAGE } from './convert.ts';

/** The only item of the older node. */
const CURRENT = 'current';

/** Nobody else's business, and all of them are kept (XEP-0402 section 4.3). */
const PRIVATE = { accessModel: 'whitelist', maxItems: 'max', sendLast: 'never' } as const;

/** Told of what an account has changed. */
interface Changed {
  readonly place: { readonly jid: Jid };
  readonly node: string;
}

export default defineModule({
  name: 'bookmarks',
  doc: 'Bookmarks of rooms, the same for clients of the newer and the older specifications.',
  xeps: [
    { xep: 402, version: '1.2.0' },
    { xep: 48, version: '1.2' },
  ],
  needs: [pep],
  wants: [privateStorage],
  config: option.object({}),

  setup({ defer, disco, log, on, signals, use }) {
    const nodes = use(pep);
    const storage = use(privateStorage);
    /** What is under way for an account: one list is written after the other. */
    const turns = new Map<string, Promise<unknown>>();

    disco.feature('account', `${NS_BOOKMARKS}#compat-pep`);
    if (storage) disco.feature('account', `${NS_BOOKMARKS}#compat`);
    defer(nodes.prefer(NS_BOOKMARKS, PRIVATE));
    defer(nodes.provide(NS_STORAGE, { show, change }));
    on(nodes.counter.shop.published, tell);
    on(nodes.counter.shop.retracted, tell);
    if (storage) {
      defer(storage.provide('storage', NS_STORAGE, { read, write }));
      on(signals.sessionBound, ({ jid }) => adopt(jid.local));
    }

    async function read(username: string, rest: Element | undefined): Promise<Element | undefined> {
      const items = await nodes.items(username, NS_BOOKMARKS);
      return items.length === 0 && !rest ? undefined : collate(items, rest);
    }

    /** Writes what a client knows of bookmarks; returns what has no place among the items. */
    function write(username: string, list: Element): Promise<Element | undefined> {
      return inTurn(username, async () => {
        const { publish, retract, rest } = compare(list, await nodes.items(username, NS_BOOKMARKS));
        for (const bookmark of publish) await nodes.publish(username, NS_BOOKMARKS, bookmark, PRIVATE);
        if (retract.length > 0) await nodes.retract(username, NS_BOOKMARKS, retract);
        return rest;
      });
    }

    /** The older node: all bookmarks in its only item. */
    function show({ from, payload }: Query): Maybe<Element> {
      const request = payload.getChild('items', NS_PUBSUB);
      if (!request) throw unsupported('subscribe');
      return after(writeItem(from.local), (item) => xml('pubsub', NS_PUBSUB, xml('items', { node: NS_STORAGE }, item)));
    }

    async function change({ from, payload }: Query): Promise<Element> {
      const item = payload.getChild('publish', NS_PUBSUB)?.getChild('item', NS_PUBSUB);
      const list = item?.getChild('storage', NS_STORAGE);
      if (!item) throw unsupported('config-node');
      if (!list) throw pubsubError('bad-request', 'invalid-payload');
      const rest = await write(from.local, list);
      await storage?.keep(from.local, { name: 'storage', xmlns: NS_STORAGE }, rest);
      return xml('pubsub', NS_PUBSUB, xml('publish', { node: NS_STORAGE }, xml('item', { id: CURRENT })));
    }

    async function writeItem(username: string): Promise<Element | undefined> {
      const list = storage ? await storage.read(username, 'storage', NS_STORAGE) : await read(username, undefined);
      return list && xml('item', { id: CURRENT }, list);
    }

    /** Tells those who know the older specifications. */
    function tell({ place, node }: Changed): void {
      if (node !== NS_BOOKMARKS) return;
      const { local } = place.jid;
      storage?.changed.emit({ username: local, xmlns: NS_STORAGE });
      const told = nodes.tell(local, NS_STORAGE, async () => xml('items', { node: NS_STORAGE }, await writeItem(local)));
      if (told) told.catch((error: unknown) => log.error('clients were not told of bookmarks', { error }));
    }

    /** What was kept before this module was on becomes items, where there are none of the same room. */
    async function adopt(username: string): Promise<void> {
      const kept = await storage?.kept(username, 'storage', NS_STORAGE);
      if (!kept || !hasBookmarks(kept)) return;
      const there = collate(await nodes.items(username, NS_BOOKMARKS), undefined);
      const all = xml('storage', NS_STORAGE, ...there.getChildElements(), ...kept.getChildElements());
      await storage?.keep(username, { name: 'storage', xmlns: NS_STORAGE }, await write(username, all));
    }

    function inTurn<T>(username: string, work: () => Promise<T>): Promise<T> {
      const before = turns.get(username) ?? Promise.resolve();
      const done = before.then(work);
      const settled: Promise<unknown> = done
        .catch(() => {})
        .finally(() => {
          if (turns.get(username) === settled) turns.delete(username);
        });
      turns.set(username, settled);
      return done;
    }
  },
});
