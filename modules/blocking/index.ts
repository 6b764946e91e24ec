// XEP-0191: each user keeps a list of addresses that cannot reach them, and that they cannot reach. With XEP-0377 they say why.
import {
  after,
  archiveStore,
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
import commands from '../commands/index.ts';
import mam from '../mam/index.ts';
import presence, { type Audience } from '../presence/index.ts';
import { BlockList, NOBODY } from './block-list.ts';
import { NS_REPORTING } from './report.ts';
import { reportCommand } from './report-command.ts';
import { Reports, type ReportsApi } from './reports.ts';

export { type Complaint, describeReport, NS_REPORTING, type Quoted, quote, REASON_PREFIX, type Report } from './report.ts';
export type { Finding, Inquiry, ReportsApi } from './reports.ts';

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
  /** What users report of those they block; undefined where the config has it that nobody does. */
  readonly reports: ReportsApi | undefined;
}

export default defineModule({
  name: 'blocking',
  doc: 'Blocking: users keep lists of addresses they want to have nothing to do with, and report spam and abuse.',
  xeps: [
    { xep: 191, version: '1.3' },
    { xep: 377, version: '0.4.1' },
  ],
  wants: [commands, mam, presence],
  features: [NS],
  config: option.object({
    maxItems: option.integer({ default: 1000, min: 1, max: 20_000, doc: 'Addresses one user may block.' }),
    reports: option.object(
      {
        take: option.boolean({ default: true, doc: 'Whether users can report whom they block.' }),
        max: option.integer({
          default: 500,
          min: 1,
          max: 10_000,
          doc: 'Reports kept about one room, and about all that is no room; the oldest go.',
        }),
        tell: option.list(
          option.jid((text) => Jid.parse(text), { doc: 'An address.', example: 'admin@example.org' }),
          { default: [], max: 20, doc: 'Who is told of reports by a message. Admins find all of them by a command.' },
        ),
        tellEvery: option.duration({
          default: '5m',
          min: '1s',
          max: '1d',
          doc: 'After a report was told, others are for this time only counted.',
        }),
        toOrigin: option.boolean({
          default: false,
          doc: 'Whether a report goes to the server of whoever is reported, where its maker asks for that. It is not told who that is.',
        }),
        thirdParties: option.list(
          option.jid((text) => Jid.parse(text), { doc: 'An address.', example: 'reports.example.net' }),
          {
            default: [],
            max: 20,
            doc: 'Who else is sent reports, such as keepers of block lists, where their makers allow that.',
          },
        ),
      },
      { doc: 'Reports of spam and abuse (XEP-0377).' },
    ),
  }),
  stores: {
    /** Of each user: addresses, with the time since when they are blocked in milliseconds since the epoch. */
    blocked: mapStore<{ since: number }>(),
    /** Of nobody: see Reports. */
    reports: archiveStore(),
  },

  setup({ cache, config, defer, disco, domain, hooks, iq, isAdmin, log, on, router, slot, stores, use }): BlockingApi {
    const { blocked } = stores;
    const visibility = use(presence);
    const host = Jid.of('', domain);
    const reports = new Reports({
      domain,
      options: config.reports,
      store: stores.reports,
      messages: use(mam)?.messages,
      log,
      serves: (other) => router.serves(other),
      send: (stanza, to) => router.send(stanza.addressed(domain, to.full), host, to),
    });
    const lists = cache('lists', load, CACHED);
    const interest = slot(() => false, { write: Boolean, read: Boolean });

    iq.get('self', NS, 'blocklist', show);
    iq.set('self', NS, 'block', block);
    iq.set('self', NS, 'unblock', unblock);
    for (const hook of [hooks.messageSent, hooks.presenceSent, hooks.iqSent]) on(hook, refuseSent, Priority.guard);
    for (const hook of [hooks.messageReceived, hooks.presenceReceived, hooks.iqReceived])
      on(hook, refuseReceived, Priority.guard);
    if (visibility) on(visibility.audience, hide, Priority.guard);
    defer(() => reports.stop());
    if (config.reports.take) {
      disco.feature('server', NS_REPORTING);
      const withdraw = use(commands)?.offer(reportCommand(reports, domain, isAdmin));
      if (withdraw) defer(withdraw);
    }

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
      reports.take(from, payload);
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
      reports: config.reports.take ? reports : undefined,
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
