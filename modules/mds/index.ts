// XEP-0490: up to where each chat has been displayed, the same for all clients of an account.
import {
  after,
  defineModule,
  type Element,
  type Envelope,
  fanOut,
  isSession,
  Jid,
  type Maybe,
  mapStore,
  option,
  Priority,
  type Session,
  Shelf,
  Signal,
  Stanza,
  StanzaError,
  sortableId,
  xml,
} from '#core';
import caps from '../caps/index.ts';
import mam from '../mam/index.ts';
import pep from '../pep/index.ts';
import { NS_PUBSUB } from '../pubsub/errors.ts';
import { Chats, isOurs, type Mark, type StoredMark } from './chats.ts';
import { Markers } from './markers.ts';
import { Node, writeEvent, writeRetraction } from './node.ts';
import { NS, readChat, readMark } from './payload.ts';

/** What clients have in their disco#info when they are to be notified (XEP-0163 section 4.2). */
const INTERESTED = `${NS}+notify`;
const NS_ASSIST = 'urn:xmpp:mds:server-assist:0';

/**
 * What clients look for before they publish (XEP-0490 sections 4.5.2 and 7): what of pubsub there is. The identity pubsub/pep and the feature
 * `publish` are not among them: clients would take them for all of XEP-0163, and there is this one node and no other.
 */
const FEATURES: readonly string[] = [
  'access-whitelist',
  'config-node-max',
  'multi-items',
  'persistent-items',
  'publish-options',
  'retract-items',
  'retrieve-items',
  'rsm',
].map((name) => `${NS_PUBSUB}#${name}`);

/** Marks kept in memory, of all accounts together. */
const CACHED = 100_000;

/** When the message has passed all who may change or keep it. */
const AFTER_RECORDING = (Priority.record + Priority.serve) / 2;

export { isTimely, type Mark } from './chats.ts';

/** A chat that has been displayed. */
export interface DisplayedChat {
  /** Whose chat it is: the local part of an account. */
  readonly username: string;
  /** The address of the chat. */
  readonly chat: string;
  /** The id in the account's own archive up to which it is displayed; undefined when that is not known any more, or is an id of others. */
  readonly id: string | undefined;
}

/** What other modules get from this one. */
export interface MdsApi {
  /** The id in the account's own archive up to which a chat is displayed; at once when it is in memory. Undefined when none is known. */
  displayed(username: string, chat: string): Maybe<string | undefined>;
  /** Up to where a chat is displayed, by whosever id that is; at once when it is in memory. */
  markOf(username: string, chat: string): Maybe<Mark | undefined>;
  /** Marks a chat of an account as displayed, and tells its clients. Resolves once that is durable. */
  mark(username: string, chat: string, mark: Mark): Maybe<void>;
  /**
   * Says whose ids (by their bare JID) sort in the order in which they were given: marks by them only move forward. Returns what takes
   * that back.
   */
  sort(isSorted: (by: string) => boolean): () => void;
  /** Told once a change is durable. */
  readonly changed: Signal<DisplayedChat>;
}

export default defineModule({
  name: 'mds',
  doc: 'Displayed messages: what one device of an account has shown counts as read on all of them.',
  xeps: [{ xep: 490, version: '1.0.1' }],
  needs: [caps],
  wants: [mam, pep],
  config: option.object({
    maxChats: option.integer({
      default: 5000,
      min: 100,
      max: 50_000,
      doc: 'Chats of one account that are remembered as displayed; beyond that the one that was not for the longest time is forgotten.',
    }),
  }),
  /** Of each user: up to where, by the address of the chat. */
  stores: { marks: mapStore<StoredMark>() },

  setup({ config, defer, disco, domain, hooks, iq, log, on, router, signals, stores: { marks }, use }): MdsApi {
    const archive = use(mam);
    const clients = use(caps);
    const sorted = new Set<(by: string) => boolean>();
    const parts = { store: marks, domain, max: config.maxChats, isSorted };
    const shelf = new Shelf(CACHED, (username) => Chats.load(username, parts));
    const changed = new Signal<DisplayedChat>('changed', (signal, error) => log.error('a listener failed', { signal, error }));
    const node = new Node({ shelf, maxChats: config.maxChats, published, retracted });
    const markers = archive && new Markers({ archive, log, mark: markOurs });

    const nodes = use(pep);
    disco.feature('account', NS_ASSIST);
    if (nodes) defer(nodes.provide(NS, node));
    else serveAlone();
    on(hooks.iqReceived, node.refuse, Priority.guard);
    on(hooks.messageSent, assist, Priority.amend);
    on(hooks.messageReceived, strip, Priority.amend);
    if (markers) on(hooks.messageSent, markers.note, AFTER_RECORDING);
    on(signals.accountDeleted, forget);
    defer(() => markers?.settled());

    /** Where accounts have no other nodes. */
    function serveAlone(): void {
      for (const feature of FEATURES) disco.feature('account', feature);
      iq.get('self', NS_PUBSUB, 'pubsub', node.show);
      iq.set('self', NS_PUBSUB, 'pubsub', node.change);
    }

    function published(account: Jid, chat: string, mark: Mark): void {
      changed.emit({ username: account.local, chat, id: isOurs(mark, account.bare) ? mark.id : undefined });
      notify(account, writeEvent(chat, mark));
    }

    function retracted(account: Jid, chat: string, isTold: boolean): void {
      changed.emit({ username: account.local, chat, id: undefined });
      if (isTold) notify(account, writeRetraction(chat));
    }

    /** To all clients that are interested, the one that has published among them (XEP-0163 section 4). */
    function notify({ bare }: Jid, event: Element): void {
      const stanza = Stanza.of(xml('message', { from: bare, type: 'headline', id: sortableId() }, event));
      const interested: Session[] = [];
      for (const client of router.resources(bare)) {
        if (!isSession(client) || client.priority === undefined) continue;
        const features = clients.of(client);
        // It has fetched what there was before, and would never learn of this one.
        if (features instanceof Promise) void features.then((known) => known?.has(INTERESTED) && sendLater(client, stanza));
        else if (features?.has(INTERESTED)) interested.push(client);
      }
      fanOut(stanza, interested);
    }

    function sendLater(client: Session, stanza: Stanza): void {
      if (client.priority !== undefined && router.resource(client.jid) === client) fanOut(stanza, [client]);
    }

    /**
     * Server assist (XEP-0490 section 4.5.3): what goes to the contact and is kept is without the element. One that makes no sense is taken
     * out and forgotten: the message is to be processed as if it had not been there, and an error would be one about the whole message.
     */
    function assist(env: Envelope): void {
      const { stanza, from, to } = env;
      if (!stanza.has('displayed', NS)) return;
      const [displayed, second] = stanza.element.getChildren('displayed', NS);
      strip(env);
      // An error gives back what somebody else has written.
      if (!displayed || second || stanza.type === 'error') return;
      const pending = publish(from, to, displayed);
      if (pending) env.wait(pending);
    }

    function publish(account: Jid, to: Jid, displayed: Element): Maybe<void> {
      try {
        return node.publish(account, readChat(to.full), readMark(displayed, account));
      } catch (error) {
        if (!(error instanceof StanzaError)) throw error;
      }
    }

    /** What comes in from elsewhere is nobody's to say, and would look like our own (section 7). */
    function strip(env: Envelope): void {
      if (!env.stanza.has('displayed', NS)) return;
      env.stanza = withoutMark(env.stanza);
      if (env.ownCopy) env.ownCopy = withoutMark(env.ownCopy);
    }

    function isSorted(by: string): boolean {
      for (const isOne of sorted) if (isOne(by)) return true;
      return false;
    }

    async function markOurs(account: Jid, chat: string, id: string): Promise<void> {
      const chats = await shelf.get(account.local);
      if (await chats.publishOurs(chat, id)) published(account, chat, { by: account.bare, id });
    }

    function forget({ username }: { readonly username: string }): void {
      const chats = shelf.drop(username);
      const end = (gone: Chats): void => gone.end();
      if (chats instanceof Promise) chats.then(end, () => {});
      else chats?.end();
    }

    return {
      displayed: (username, chat) => after(shelf.get(username), (chats) => chats.displayed(chat)),
      markOf: (username, chat) => after(shelf.get(username), (chats) => chats.get(chat)),
      mark: (username, chat, mark) => node.publish(Jid.of(username, domain), chat, mark),
      sort(isOne) {
        sorted.add(isOne);
        return () => void sorted.delete(isOne);
      },
      changed,
    };
  },
});

function withoutMark(stanza: Stanza): Stanza {
  return stanza.filter((child) => !child.is('displayed', NS));
}
