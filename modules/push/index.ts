// XEP-0357: clients that are not connected are woken up through the service of their maker when something comes for their account.
import {
  after,
  defineModule,
  type Envelope,
  isSession,
  type Jid,
  type Maybe,
  mapStore,
  type Outgoing,
  option,
  Priority,
  type Query,
  type Resource,
  type Session,
  Signal,
  type Stanza,
  StanzaError,
} from '#core';
import mam, { type Stored, TAG } from '../mam/index.ts';
import { KEPT_HERE } from '../offline/delivery.ts';
import offline from '../offline/index.ts';
import { judge as judgeForKeeping } from '../offline/worth.ts';
import sm from '../sm/index.ts';
import { Courier } from './courier.ts';
import { takeLeave } from './leave.ts';
import { Notifier } from './notifier.ts';
import { type Notice, takeNotice } from './payload.ts';
import { type Account, Registrations, type StoredRegistration } from './registrations.ts';
import { NS, readDisable, readEnable } from './request.ts';
import { goOn, keepUntold } from './restart.ts';
import { Unconfirmed } from './unconfirmed.ts';
import { isCall, isWorthPushing } from './worth.ts';

/** Before whoever keeps messages that nobody can take. */
const BEFORE_KEEPING = (Priority.record + Priority.serve) / 2;
/** After those who hold back what can wait (XEP-0352). */
const BEFORE_WRITING = Priority.serve / 2;

const NS_DELAY = 'urn:xmpp:delay';

/** Something has come for an account. */
export interface PushNotice {
  readonly from: Jid;
  readonly stanza?: Stanza;
  /** It is for this very person, and does not wait for its turn. */
  readonly isMention?: boolean;
  /** How many messages wait; left out, they are counted here. */
  readonly count?: number;
  /** Of how many messages it is the newest; 1 when it is left out. */
  readonly amount?: number;
}

/** What was said in rooms and written to a client, which has not confirmed it: its line was dead, or it has gone without a word. */
export interface Lost {
  readonly session: Session;
  /** As they were written to it, oldest first. */
  readonly messages: readonly Stanza[];
}

/** What other modules get from this one. */
export interface PushApi {
  /** Notifies those clients of an account that have asked for it and have no line to the server now. */
  notify(username: string, notice: PushNotice): void;
  /** Whether an account has asked to be notified at all; at once when it is in memory. */
  hasRegistrations(username: string): Maybe<boolean>;
  /** Told when a client of an account has asked for it, by the local part: also when it has asked before. */
  readonly enabled: Signal<string>;
  /** What is said in rooms is theirs to judge: whether somebody is to be notified of it, now that a client has not got it. Each message once. */
  readonly lost: Signal<Lost>;
}

/** Whom to tell what. */
interface Event {
  /** Under which id it is kept, for what can be met twice (Stanza.keptAs). */
  readonly id?: string | undefined;
  /** How many messages wait more than before. */
  readonly amount: number;
  /** The only client that has not got it; all that are not connected when it is left out. */
  readonly resource?: string;
  notice(): Notice;
}

export default defineModule({
  name: 'push',
  doc: 'Push notifications: wakes up clients that are not connected, through the services of their makers.',
  xeps: [{ xep: 357, version: '0.4.1' }],
  // Sessions that were taken up again are there already.
  wants: [mam, offline, sm],
  config: option.object({
    maxPerAccount: option.integer({
      default: 10,
      min: 1,
      max: 100,
      doc: 'Push services one account may have enabled; with one more, the one goes that was not renewed for longest.',
    }),
    includeSender: option.boolean({
      default: false,
      doc: 'Whether push services are told who has written. They belong to others, and often so does the way from there to the device.',
    }),
    includeBody: option.boolean({
      default: false,
      doc: 'Whether push services are told what was written, where it is not encrypted.',
    }),
    interval: option.duration({
      default: '10s',
      max: '1d',
      doc: 'Time between two notifications for one client. What comes meanwhile is told together; a call does not wait for a message.',
    }),
    answerWithin: option.duration({ default: '30s', min: '10ms', max: '10m', doc: 'Time for a push service to answer.' }),
    retryAfter: option.duration({
      default: '1m',
      min: '10ms',
      max: '1h',
      doc: 'Time after which a service is tried again that did not answer; twice that the next time, and so on up to an hour.',
    }),
    maxErrors: option.integer({
      default: 3,
      min: 1,
      max: 1000,
      doc: 'Notifications in a row that a service may refuse; then it is not notified for that client any more.',
    }),
    giveUpAfter: option.duration({
      default: '7d',
      min: '10ms',
      max: '365d',
      doc: 'Time without any answer after which a service is not notified any more.',
    }),
    lookEvery: option.duration({
      default: '5s',
      min: '10ms',
      max: '10m',
      doc: 'Time between two looks at whose line broke before messages were confirmed; these clients are notified of them.',
    }),
  }),
  stores: {
    registrations: mapStore<StoredRegistration>(),
    /** What waits for its turn while the server is restarted, under the keys of registrations. */
    untold: mapStore<Notice>(),
  },

  setup(ctx): PushApi {
    const { ask, config, defer, disco, domain, every, hooks, iq, keep, log, on, router, signals, stopping, stores, use } = ctx;
    const archive = use(mam);
    const isKeeping = use(offline) !== undefined;
    const courier = new Courier({ ask, stopping, answerWithin: config.answerWithin });
    const registrations = new Registrations({ ctx, store: stores.registrations, limits: config, isConnected });
    const notifier = new Notifier({ registrations, courier, log, ...config, isConnected });
    const unconfirmed = keep('unconfirmed', () => new Unconfirmed());
    const report = (signal: string, error: unknown) => log.error('a listener failed', { signal, error });
    const enabled = new Signal<string>('enabled', report);
    const lost = new Signal<Lost>('lost', report);
    let goingOn: Promise<void> | undefined;

    disco.feature('registered', NS);
    iq.set('self', NS, 'enable', enable);
    iq.set('self', NS, 'disable', disable);
    if (archive) on(archive.stored, noteStored);
    on(hooks.messageUndeliverable, noteUndeliverable, BEFORE_KEEPING);
    on(hooks.outgoing, noteOutgoing, BEFORE_WRITING);
    on(hooks.messageReceived, (env) => takeLeave(env, registrations), Priority.serve);
    on(signals.sessionClosed, announceLost);
    on(signals.sessionAvailable, startCounting);
    every(config.lookEvery, look);
    defer(() => registrations.settled());
    defer(() => keepUntold(stores.untold, notifier.stop()));
    defer(() => goingOn);

    async function enable({ from, payload, env }: Query): Promise<void> {
      refuseGuests(env);
      notifier.renew(from.local, await registrations.enable(from, readEnable(payload, domain)));
      enabled.emit(from.local);
      await startCounting({ jid: from });
    }

    async function disable({ from, payload, env }: Query): Promise<void> {
      refuseGuests(env);
      await registrations.disable(from.local, readDisable(payload));
    }

    /** Told before the message is given to anybody. */
    function noteStored({ owner, id, tag, stanza }: Stored): Maybe<void> {
      if ((tag & (TAG.outgoing | TAG.tombstone | TAG.groupchat)) !== 0) return;
      if ((tag & TAG.conversation) === 0 && !isCall(stanza)) return;
      return announce(owner, { id, amount: 1, notice: () => read(stanza) });
    }

    /** Where there is no archive, or it is not wanted, it may be kept all the same. */
    function noteUndeliverable({ stanza, from, to }: Envelope): void {
      const { keptAs } = stanza;
      const isKept = keptAs !== undefined || (isKeeping && judgeForKeeping(stanza) === 'keep');
      if (!isKept || from.bare === to.bare || !isWorthPushing(stanza)) return;
      inBackground(announce(to.local, { id: idOf(keptAs), amount: 1, notice: () => read(stanza) }));
    }

    /** What a client is given that may have no line, or a dead one. */
    function noteOutgoing({ session, stanza }: Outgoing): void {
      if (stanza.name !== 'message' || session.keeper === undefined || session.isAnonymous) return;
      const { jid, waitingSince } = session;
      const account = registrations.of(jid.local);
      if (account instanceof Promise) inBackground(account.then(() => {}));
      else if (account.registrations.length === 0) return;
      if (waitingSince === undefined) return unconfirmed.watch(session);
      // What comes late was told when it came.
      if (!mayConcern(account, jid) || isFrom(stanza, jid) || stanza.has('delay', NS_DELAY) || !isWorthPushing(stanza)) return;
      const event = { id: idOf(stanza.keptAs), amount: 1, resource: jid.resource, notice: () => read(stanza) };
      inBackground(announce(jid.local, event));
    }

    /** Goes on where the last server has stopped only now: the host is served, services can answer, and clients have had time to come back. */
    function look(): void {
      if (!goingOn) {
        goingOn = goOn({ domain, router, stopping, stores, registrations, notifier, unconfirmed });
        inBackground(goingOn);
      }
      unconfirmed.waiting().forEach(announceLost);
    }

    function announceLost(session: Session): void {
      const { jid } = session;
      const messages = unconfirmed.take(session);
      const said = messages.filter(({ type }) => type === 'groupchat');
      if (said.length > 0) lost.emit({ session, messages: said });
      // What nobody keeps is given to others, or refused.
      const kept = messages.filter((each) => each.keptAs !== undefined && !isFrom(each, jid) && isWorthPushing(each));
      const newest = kept.at(-1);
      if (!newest) return;
      const notice = () => ({ ...read(newest), isUrgent: kept.some(isCall) });
      inBackground(announce(jid.local, { amount: kept.length, resource: jid.resource, notice }));
    }

    /** One of its clients is there: from here on it is known what nobody has seen. */
    function startCounting({ jid }: Pick<Session, 'jid'>): Maybe<void> {
      return after(registrations.of(jid.local), (account) => {
        account.waiting = 0;
      });
    }

    function announce(username: string, event: Event): Maybe<void> {
      return after(registrations.of(username), (account) => {
        if (account.registrations.length === 0) return;
        // What somebody is there for has been seen, perhaps.
        if (isSomebodyThere(username)) account.waiting = 0;
        else account.count(event.amount, event.id);
        let notice: Notice | undefined;
        for (const each of account.registrations) {
          const isMeant = event.resource === undefined || each.client.resource === event.resource;
          if (isMeant && !isConnected(each.client) && each.isNews(event.id)) {
            notifier.notify(username, each, (notice ??= event.notice()));
          }
        }
      });
    }

    /** Whether it has a line. One that waits to be resumed has none. */
    function isConnected(client: Jid): boolean {
      const resource = router.resource(client);
      return resource !== undefined && hasLine(resource);
    }

    function isSomebodyThere(username: string): boolean {
      return router.resources(`${username}@${domain}`).some((each) => each.priority !== undefined && hasLine(each));
    }

    function read(stanza: Stanza): Notice {
      return takeNotice({ sender: stanza.from, stanza, isUrgent: isCall(stanza) }, config);
    }

    /** Nobody's stanza waits for a notification. */
    function inBackground(task: Maybe<void>): void {
      if (task) task.catch((error: unknown) => log.error('a client was not notified', { error }));
    }

    return {
      notify(username, { from, stanza, isMention = false, count, amount = 1 }) {
        const notice = () => takeNotice({ sender: from.full, stanza, isUrgent: isMention, count }, config);
        inBackground(announce(username, { amount: count === undefined ? amount : 0, notice }));
      },
      hasRegistrations: (username) => after(registrations.of(username), (account) => account.registrations.length > 0),
      enabled,
      lost,
    };
  },
});

function hasLine(resource: Resource): boolean {
  return !isSession(resource) || resource.waitingSince === undefined;
}

/** Anonymous clients are gone for good when they are not connected (XEP-0175). */
function refuseGuests({ origin }: Envelope): void {
  if (isSession(origin) && origin.isAnonymous) throw new StanzaError('registration-required');
}

/** Whether a client has registered, or nobody knows yet. */
function mayConcern(account: Maybe<Account>, { full }: Jid): boolean {
  return account instanceof Promise || account.registrations.some(({ client }) => client.full === full);
}

function isFrom(stanza: Stanza, { bare }: Jid): boolean {
  return stanza.from === bare || stanza.from?.startsWith(`${bare}/`) === true;
}

/** The same id wherever it is kept: those of all stores are made one after the other. */
function idOf(keptAs: string | undefined): string | undefined {
  return keptAs?.startsWith(KEPT_HERE) ? keptAs.slice(KEPT_HERE.length) : keptAs;
}
