// XEP-0049: what clients keep at the server for themselves, by namespace.
import {
  defineModule,
  type Element,
  type Envelope,
  isSession,
  mapStore,
  option,
  Priority,
  type Query,
  readElement,
  type Session,
  Signal,
  StanzaError,
  writeElement,
  xml,
} from '#core';

const NS = 'jabber:iq:private';
const MAX_NAME = 1024;

/** Something that an account keeps has changed. */
export interface PrivateChange {
  readonly username: string;
  /** The namespace of what has changed. */
  readonly xmlns: string;
}

/** Keeps something elsewhere than here, and tells `changed`. */
export interface PrivateKeeper {
  /** What an account keeps. `rest` is what is kept here all the same, and `by` the client that asks; undefined when it is a module. */
  read(username: string, rest: Element | undefined, by: Session | undefined): Promise<Element | undefined>;
  /** What of that is kept here all the same, for which there has to be room. */
  restOf(element: Element): Element | undefined;
  /** Keeps it, and the rest with `keep`. Rejects with StanzaError when it cannot be kept. */
  write(username: string, element: Element, by: Session | undefined): Promise<void>;
}

/** What other modules get from this one. */
export interface PrivateApi {
  /** What an account keeps under this name and namespace; undefined when that is nothing. */
  read(username: string, name: string, xmlns: string): Promise<Element | undefined>;
  /** What of that is kept here, though a module keeps the rest. */
  kept(username: string, name: string, xmlns: string): Promise<Element | undefined>;
  /** Keeps something here; nothing when it is undefined. */
  keep(username: string, what: { readonly name: string; readonly xmlns: string }, element: Element | undefined): Promise<void>;
  /** Lets a module keep what has this name and namespace. Returns what takes that back. Throws when another one does. */
  provide(name: string, xmlns: string, keeper: PrivateKeeper): () => void;
  /** Told once a change is durable: of what has been written, or has changed where a module keeps it. */
  readonly changed: Signal<PrivateChange>;
}

export default defineModule({
  name: 'private',
  doc: 'Private storage: keeps data of clients, such as bookmarks, for their own account only.',
  xeps: [{ xep: 49, version: '1.2' }],
  features: [NS],
  config: option.object({
    maxItems: option.integer({ default: 200, min: 1, max: 10_000, doc: 'Things one account may keep.' }),
    maxBytes: option.bytes({ default: '512KiB', min: 1024, max: '64MiB', doc: 'Size of all that one account keeps.' }),
  }),
  /** Of each user: XML by the element's name and namespace. */
  stores: { items: mapStore<string>() },

  setup({ config, hooks, iq, log, on, stores: { items } }): PrivateApi {
    const changed = new Signal<PrivateChange>('changed', (signal, error) => log.error('a listener failed', { signal, error }));

    const keepers = new Map<string, PrivateKeeper>();

    iq.get('self', NS, 'query', show);
    iq.set('self', NS, 'query', change);
    on(hooks.iqReceived, refuse, Priority.guard);

    async function show({ from, payload, env }: Query): Promise<Element> {
      const [asked, second] = payload.getChildElements();
      // XEP-0049 section 2.3; the condition it names (`bad-format`) is none of RFC 6120.
      if (!asked || second) throw new StanzaError('bad-request', { text: 'Exactly one thing can be asked for' });
      keyOf(asked);
      const kept = await readFor(clientOf(env), from.local, asked);
      return xml('query', NS, kept ?? xml(asked.getName(), asked.getNS() ?? ''));
    }

    async function readFor(by: Session | undefined, username: string, asked: Element): Promise<Element | undefined> {
      const name = asked.getName();
      const xmlns = asked.getNS() ?? '';
      const there = await kept(username, name, xmlns);
      const keeper = keepers.get(`${name} ${xmlns}`);
      return keeper ? keeper.read(username, there, by) : there;
    }

    async function kept(username: string, name: string, xmlns: string): Promise<Element | undefined> {
      const text = await items.get(username, `${name} ${xmlns}`);
      return text === undefined ? undefined : readElement(text);
    }

    async function change({ from, payload, env }: Query): Promise<void> {
      const given = payload.getChildElements();
      if (given.length === 0) throw new StanzaError('not-acceptable', { text: 'Nothing to keep' });
      const changes = new Map<string, string | undefined>();
      for (const element of given) {
        const key = keyOf(element);
        const keeper = keepers.get(key);
        const own = keeper ? keeper.restOf(element) : element;
        changes.set(key, own && !isEmpty(own) ? writeElement(own) : undefined);
      }
      checkLimits(await items.entries(from.local), changes);
      for (const element of given) {
        const key = keyOf(element);
        const keeper = keepers.get(key);
        if (!keeper) continue;
        await keeper.write(from.local, element, clientOf(env));
        changes.delete(key);
      }
      if (changes.size === 0) return;
      await items.update(from.local, changes);
      const ours = given.filter((element) => changes.has(keyOf(element)));
      for (const xmlns of new Set(ours.map((element) => element.getNS() ?? ''))) changed.emit({ username: from.local, xmlns });
    }

    function checkLimits(kept: ReadonlyMap<string, string>, changes: ReadonlyMap<string, string | undefined>): void {
      let count = 0;
      let bytes = 0;
      for (const text of new Map([...kept, ...changes]).values()) {
        if (text === undefined) continue;
        count++;
        bytes += Buffer.byteLength(text);
      }
      // Whoever is over a limit that was lowered can still make it less.
      const isMore = [...changes].some(([key, text]) => text !== undefined && text.length > (kept.get(key)?.length ?? 0));
      if (isMore && (count > config.maxItems || bytes > config.maxBytes)) {
        throw new StanzaError('resource-constraint', { type: 'cancel', text: 'There is no room for this' });
      }
    }

    return {
      read: (username, name, xmlns) => readFor(undefined, username, xml(name, xmlns)),
      kept,
      async keep(username, { name, xmlns }, element) {
        await items.update(username, new Map([[`${name} ${xmlns}`, element && writeElement(element)]]));
      },
      provide(name, xmlns, keeper) {
        const key = `${name} ${xmlns}`;
        if (keepers.has(key)) throw new Error(`two modules keep {${xmlns}}${name}`);
        keepers.set(key, keeper);
        return () => void keepers.delete(key);
      },
      changed,
    };
  },
});

/** XEP-0049 section 2.3: reserved namespaces are refused. */
function keyOf(element: Element): string {
  const name = element.getName();
  const xmlns = element.getNS() ?? '';
  const isReserved =
    xmlns === '' || xmlns === 'vcard-temp' || xmlns.startsWith('jabber:') || xmlns.startsWith('http://jabber.org/');
  if (isReserved) throw new StanzaError('not-acceptable', { text: 'This namespace cannot be used' });
  if (name.length + xmlns.length > MAX_NAME) throw new StanzaError('not-acceptable', { text: 'This name is too long' });
  return `${name} ${xmlns}`;
}

/** The client that has sent something. */
function clientOf({ origin }: Envelope): Session | undefined {
  return isSession(origin) ? origin : undefined;
}

/** Nothing is what one gets who has kept nothing, so it need not be kept. */
function isEmpty(element: Element): boolean {
  const attrs = Object.keys(element.attrs).filter((name) => name !== 'xmlns' && !name.startsWith('xmlns:'));
  return element.children.length === 0 && attrs.length === 0;
}

/** Neither read nor written by others (XEP-0049 section 2.3), whether that account exists or not. */
function refuse({ stanza, from, to }: Envelope): void {
  if (to.local === '' || to.resource !== '' || to.bare === from.bare) return;
  if ((stanza.type === 'get' || stanza.type === 'set') && stanza.has('query', NS)) throw new StanzaError('forbidden');
}
