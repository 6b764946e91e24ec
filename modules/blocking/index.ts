// XEP-0191: each user keeps a list of addresses that cannot reach them, and that they cannot reach.
import {
  after,
  defineModule,
  type Element,
  type Envelope,
  fanOut,
  HANDLED,
  isSession,
  Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Query,
  Stanza,
  StanzaError,
  sortableId,
  type Verdict,
  xml,
} from '#core';
import presence, { type Audience } from '../presence/index.ts';
import { BlockList, NOBODY } from './block-list.ts';

const NS = 'urn:xmpp:blocking';
const NS_ERRORS = 'urn:xmpp:blocking:errors';

/** Lists kept in memory; nearly all of them are the same, empty one. */
const CACHED = 100_000;
/** Addresses are keys of the store, and databases bound those. Nobody's address is that long. */
const MAX_JID_BYTES = 1024;

/** What other modules get from this one. */
export interface BlockingApi {
  /** Whether a local account has blocked this entity. */
  isBlocked(username: string, entity: Jid): Maybe<boolean>;
}

export default defineModule({
  name: 'blocking',
  doc: 'Blocking: users keep lists of addresses they want to have nothing to do with.',
  xeps: [{ xep: 191, version: '1.3' }],
  wants: [presence],
  features: [NS],
  config: option.object({
    maxItems: option.integer({ default: 1000, min: 1, max: 20_000, doc: 'Addresses one user may block.' }),
  }),
  /** Of each user: addresses, with the time since when they are blocked in milliseconds since the epoch. */
  stores: { blocked: mapStore<{ since: number }>() },

  setup({ cache, config, domain, hooks, iq, on, router, slot, stores: { blocked }, use }): BlockingApi {
    const visibility = use(presence);
    const lists = cache('lists', load, CACHED);
    const interest = slot(() => false, { write: Boolean, read: Boolean });

    iq.get('self', NS, 'blocklist', show);
    iq.set('self', NS, 'block', block);
    iq.set('self', NS, 'unblock', unblock);
    for (const hook of [hooks.messageSent, hooks.presenceSent, hooks.iqSent]) on(hook, refuseSent, Priority.guard);
    for (const hook of [hooks.messageReceived, hooks.presenceReceived, hooks.iqReceived])
      on(hook, refuseReceived, Priority.guard);
    if (visibility) on(visibility.audience, hide, Priority.guard);

    async function load(username: string): Promise<BlockList> {
      const entries = await blocked.entries(username);
      return entries.size === 0 ? NOBODY : new BlockList(entries.keys());
    }

    function show({ from, env: { origin } }: Query): Maybe<Element> {
      if (isSession(origin)) interest.set(origin, true);
      return after(lists.get(from.local), ({ addresses }) => xml('blocklist', NS, ...writeItems(addresses)));
    }

    async function block({ from, payload }: Query): Promise<void> {
      const named = readItems(payload);
      if (named.length === 0) throw new StanzaError('bad-request', { text: 'Nothing to block' });
      const list = await lists.get(from.local);
      const added = named.filter(({ full }) => !list.has(full));
      if (added.length > 0 && list.size + added.length > config.maxItems) {
        throw new StanzaError('resource-constraint', {
          type: 'cancel',
          text: `At most ${config.maxItems} addresses can be blocked`,
        });
      }
      if (added.some(({ full }) => Buffer.byteLength(full) > MAX_JID_BYTES)) {
        throw new StanzaError('not-acceptable', { text: 'The address is too long' });
      }
      await change(from, added, []);
      push(from, 'block', added);
      for (const address of added) await visibility?.hideFrom(from.bareJid, address);
    }

    /** Without items everything (XEP-0191 section 3.5). */
    async function unblock({ from, payload }: Query): Promise<void> {
      const named = readItems(payload);
      const list = await lists.get(from.local);
      const all = named.length === 0 ? [...list.addresses].map((address) => Jid.parse(address)) : named;
      const removed = all.filter(({ full }) => list.has(full));
      await change(from, [], removed);
      push(from, 'unblock', named.length === 0 ? undefined : removed);
      for (const address of removed) await visibility?.showTo(from.bareJid, address);
    }

    async function change({ local }: Jid, added: readonly Jid[], removed: readonly Jid[]): Promise<void> {
      if (added.length + removed.length === 0) return;
      const changes = new Map<string, { since: number } | undefined>();
      for (const { full } of added) changes.set(full, { since: Date.now() });
      for (const { full } of removed) changes.set(full, undefined);
      await blocked.update(local, changes);
      // Applied to the list as it is now: another client may have changed it in the meantime.
      const without = new Set(removed.map(({ full }) => full));
      await after(lists.get(local), (list) => lists.set(local, list.changed(fullOf(added), without)));
    }

    /** To all clients that have asked for the list (XEP-0191 sections 3.3 to 3.5); no items mean all. */
    function push(from: Jid, name: 'block' | 'unblock', items: readonly Jid[] | undefined): void {
      if (items?.length === 0) return;
      const clients = router.resources(from.bare).filter((client) => isSession(client) && interest.peek(client) === true);
      const payload = xml(name, NS, ...writeItems(fullOf(items ?? [])));
      fanOut(Stanza.of(xml('iq', { type: 'set', id: `push-${sortableId()}` }, payload)), clients);
    }

    function refuseSent({ from, to }: Envelope): Maybe<void> {
      const list = lists.get(from.local);
      if (list === NOBODY) return;
      return after(list, (known) => {
        if (isMeant(known, to, from)) throw blockedError();
      });
    }

    function refuseReceived(env: Envelope): Maybe<Verdict> {
      const { from, to } = env;
      if (to.local === '') return;
      const list = lists.get(to.local);
      if (list === NOBODY) return;
      return after(list, (known) => (isMeant(known, from, to) ? turnAway(env) : undefined));
    }

    /** Nobody blocks their own clients (XEP-0191 section 4), nor the server they live on. */
    function isMeant(list: BlockList, entity: Jid, own: Jid): boolean {
      return entity.bare !== own.bare && entity.full !== domain && list.covers(entity);
    }

    function hide(audience: Audience): Maybe<void> {
      return after(lists.get(audience.account.local), (list) => {
        if (list !== NOBODY) audience.hideFrom((entity) => isMeant(list, entity, audience.account));
      });
    }

    return {
      isBlocked: (username, entity) => after(lists.get(username), (list) => isMeant(list, entity, Jid.of(username, domain))),
    };
  },
});

/**
 * What the blocked one gets to hear is what an account says that is offline (XEP-0191 section 3.3): errors to what asks for an
 * answer, and nothing else. Rooms throw out whoever answers what they reflect with an error, so these get none.
 */
function turnAway({ stanza: { name, type } }: Envelope): typeof HANDLED {
  const isQuestion = name === 'iq' && (type === 'get' || type === 'set');
  const isMessage = name === 'message' && type !== 'groupchat' && type !== 'headline' && type !== 'error';
  if (isQuestion || isMessage) throw new StanzaError('service-unavailable');
  return HANDLED;
}

function blockedError(): StanzaError {
  return new StanzaError('not-acceptable', { type: 'cancel', extra: xml('blocked', NS_ERRORS) });
}

/** The addresses named, each once. Throws StanzaError `bad-request` for an item without one, `jid-malformed` for what is none. */
function readItems(command: Element): readonly Jid[] {
  const named = new Map<string, Jid>();
  for (const item of command.getChildElements()) {
    if (item.getName() !== 'item') continue;
    const text: unknown = item.attrs['jid'];
    if (typeof text !== 'string') throw new StanzaError('bad-request', { text: 'An item names an address' });
    const jid = Jid.tryParse(text);
    if (!jid) throw new StanzaError('jid-malformed');
    named.set(jid.full, jid);
  }
  return [...named.values()];
}

function writeItems(addresses: Iterable<string>): readonly Element[] {
  return [...addresses].map((jid) => xml('item', { jid }));
}

function fullOf(jids: readonly Jid[]): readonly string[] {
  return jids.map(({ full }) => full);
}
