// XEP-0012: how long the host has been running, and when an account was last here, for those who may see its presence.
import {
  after,
  defineModule,
  detachText,
  type Envelope,
  isSession,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Query,
  type Session,
  StanzaError,
  type Verdict,
  xml,
} from '#core';
import roster from '../roster/index.ts';

const NS = 'jabber:iq:last';

/** Longer texts are cut, so that a farewell costs no more than a name. */
const MAX_STATUS = 1024;

/** When the last client of an account went, and with which words. */
interface Farewell {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly status: string;
}

export default defineModule({
  name: 'last',
  doc: 'Last activity: says how long the server has been running and when accounts were last here.',
  xeps: [{ xep: 12, version: '2.0' }],
  wants: [roster],
  features: [NS],
  config: option.object({}),
  stores: { farewells: mapStore<Farewell>() },

  setup({ accounts, defer, disco, hooks, iq, keep, log, on, router, signals, slot, stores: { farewells }, use }) {
    const contacts = use(roster);
    const started = keep('started', () => performance.now());
    const statuses = slot(() => '', { write: (status) => status, read: String });
    const writing = new Set<Promise<void>>();

    disco.feature('account', NS);
    iq.get('server', NS, 'query', () => answer((performance.now() - started) / 1000));
    iq.get('self', NS, 'query', showAccount);
    iq.get('account', NS, 'query', showAccount);
    on(hooks.iqReceived, refuse, Priority.guard);
    on(hooks.presenceSent, noteStatus, Priority.record);
    on(signals.sessionClosed, noteFarewell);
    defer(() => Promise.allSettled(writing).then(() => {}));

    /**
     * For accounts that do not exist the answer is the same as for those whose presence one may not see (XEP-0012 section 7).
     * Also kept from clients: it is the server that has to know who may ask (section 4).
     */
    function refuse({ stanza, from, to }: Envelope): Maybe<Verdict> {
      if (to.local === '' || stanza.type !== 'get' || !stanza.has('query', NS) || to.bare === from.bare) return;
      return after(contacts ? contacts.sharesPresence(to.local, from) : false, (may) => {
        if (!may) throw new StanzaError('forbidden');
      });
    }

    async function showAccount({ to }: Query) {
      if (router.resources(to.bare).length > 0) return answer(0);
      const farewell = await farewells.get(to.local, 'last');
      if (!farewell) throw new StanzaError('item-not-found');
      return answer((Date.now() - farewell.at) / 1000, farewell.status);
    }

    function noteStatus({ stanza, origin }: Envelope): void {
      if (stanza.to !== undefined || !isSession(origin)) return;
      if (stanza.type === 'unavailable') statuses.set(origin, detachText((stanza.text('status') ?? '').slice(0, MAX_STATUS)));
      else if (stanza.type === undefined && statuses.peek(origin)) statuses.set(origin, '');
    }

    function noteFarewell(session: Session): void {
      if (router.resources(session.jid.bare).length > 0) return;
      const task: Promise<void> = write(session.jid.local, { at: Date.now(), status: statuses.peek(session) ?? '' })
        .catch((error: unknown) => log.error('a logout was not noted', { error }))
        .finally(() => void writing.delete(task));
      writing.add(task);
    }

    async function write(username: string, farewell: Farewell): Promise<void> {
      await farewells.update(username, new Map([['last', farewell]]));
      // The account may have been deleted, which ends its sessions: nothing is left behind for the next one of that name.
      if (!(await accounts.exists(username))) await farewells.clear(username);
    }
  },
});

function answer(seconds: number, status = '') {
  return xml('query', { xmlns: NS, seconds: String(Math.max(0, Math.floor(seconds))) }, status || undefined);
}
