// XEP-0402: bookmarks of rooms, one in each item of a node. Clients that know XEP-0048 only, in private storage (XEP-0049) or in a node of
// its own, see and change the same ones.
import { type Binding, defineModule, type Element, type Jid, option, Priority, type Session, Signal } from '#core';
import pep from '../pep/index.ts';
import privateStorage from '../private/index.ts';
import { Announcer } from './announcer.ts';
import { Bookmarks, PRIVATE, STORAGE } from './bookmarks.ts';
import { type Digest, NS_BOOKMARKS, NS_STORAGE } from './convert.ts';
import { collate, restOf, versionsIn } from './merge.ts';
import { OldNode, writeItems } from './old-node.ts';
import { Seen, type Versions } from './seen.ts';

/** The bookmarks of an account have changed. */
export interface BookmarksChange {
  readonly username: string;
}

/** What other modules get from this one. */
export interface BookmarksApi {
  /** All bookmarks of an account as XEP-0048 has them; undefined when there are none. */
  read(username: string): Promise<Element | undefined>;
  /** Told once a change is durable; of changes that come one upon the other some are told together. */
  readonly changed: Signal<BookmarksChange>;
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

  setup({ defer, disco, hooks, log, on, slot, stopping, use }): BookmarksApi {
    const nodes = use(pep);
    const storage = use(privateStorage);
    const bookmarks = new Bookmarks({ nodes, storage });
    const changed = new Signal<BookmarksChange>('changed', (signal, error) => log.error('a listener failed', { signal, error }));
    /** Of clients that know the older specification. */
    const seen = slot(() => new Seen(new Map()), {
      write: ({ shown }) => [...shown],
      read: (saved) => new Seen(new Map(saved as [string, Digest][])),
    });
    const announcer = new Announcer({
      inTurn: bookmarks.inTurn.bind(bookmarks),
      announce,
      failed: (error) => log.error('clients were not told of bookmarks', { error }),
      stopping,
    });
    const read = async (username: string, by?: Session) => show(username, await bookmarks.rest(username), by);
    const oldNode = new OldNode({ read, write, add: bookmarks.add.bind(bookmarks) });

    disco.feature('account', `${NS_BOOKMARKS}#compat-pep`);
    if (storage) disco.feature('account', `${NS_BOOKMARKS}#compat`);
    defer(nodes.prefer(NS_BOOKMARKS, PRIVATE));
    defer(nodes.provide(NS_STORAGE, oldNode));
    if (storage) defer(storage.provide(STORAGE.name, STORAGE.xmlns, { read: show, restOf, write }));
    on(nodes.counter.shop.published, note);
    on(nodes.counter.shop.retracted, note);
    on(hooks.binding, adopt, Priority.record);

    function note({ place, node }: { readonly place: { readonly jid: Jid }; readonly node: string }): void {
      if (node === NS_BOOKMARKS) announcer.note(place.jid.local);
    }

    async function show(username: string, rest: Element | undefined, by?: Session): Promise<Element | undefined> {
      const known = await bookmarks.known(username);
      if (by) seen.get(by).show(versionsIn(known));
      return known.size === 0 && !rest ? undefined : collate(known, rest);
    }

    /** A client that has never asked writes in place of all there is. */
    async function write(username: string, list: Element, by?: Session): Promise<void> {
      const client = by && { seen: () => seen.peek(by), show: (versions: Versions) => seen.get(by).show(versions) };
      const isNews = await bookmarks.write(username, list, client);
      if (isNews) announcer.note(username);
    }

    /** Tells those who know the older specifications. */
    async function announce(username: string): Promise<void> {
      changed.emit({ username });
      storage?.changed.emit({ username, xmlns: NS_STORAGE });
      await nodes.tell(username, NS_STORAGE, async (clients) => {
        const known = await bookmarks.known(username);
        for (const client of clients) seen.get(client).tell(versionsIn(known));
        return writeItems(collate(known, await bookmarks.rest(username)));
      });
    }

    /** Before its client can ask. */
    async function adopt({ stream, username }: Binding): Promise<void> {
      if (stream.isAnonymous) return;
      try {
        await bookmarks.adopt(username);
      } catch (error) {
        log.error('bookmarks were not taken from where they were before', { error });
      }
    }

    return { read, changed };
  },
});
