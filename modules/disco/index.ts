// XEP-0030: what this host and its accounts are, what they support, and what belongs to them.
import {
  after,
  type DiscoItem,
  type DiscoQuestion,
  defineModule,
  type Element,
  type Envelope,
  HANDLED,
  type Identity,
  isSession,
  Jid,
  type Maybe,
  option,
  Priority,
  type Query,
  resultOf,
  StanzaError,
  type Verdict,
} from '#core';
import roster from '../roster/index.ts';
import { type DiscoInfo, gather, tidy, writeInfo, writeItems } from './answer.ts';

export type { DiscoInfo, NamedIdentity } from './answer.ts';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';

/** What other modules get from service discovery. */
export interface DiscoApi {
  /** What disco#info says of the host itself, without a node. */
  describe(from: Jid): Maybe<DiscoInfo>;
  /** Rises whenever the answer may have changed. */
  readonly version: number;
}

export default defineModule({
  name: 'disco',
  doc: 'Service discovery: says what the host and its accounts support.',
  xeps: [
    { xep: 30, version: '2.5.0' },
    { xep: 128, version: '1.0.1' },
  ],
  wants: [roster],
  features: [NS_INFO, NS_ITEMS],
  config: option.object({
    name: option.string({
      default: 'Parlance',
      doc: 'What clients show as the name of the server.',
      minLength: 1,
      maxLength: 256,
    }),
    items: option.list(
      option.object({
        jid: option.jid((text) => Jid.parse(text).full, { doc: 'The address of a service.' }),
        name: option.string({ default: '', doc: 'Its name.' }),
      }),
      {
        default: [],
        example: [{ jid: 'conference.example.net', name: 'Rooms elsewhere' }],
        doc: 'Services listed besides those of this host.',
      },
    ),
  }),

  setup({ accounts, config, disco, domain, hooks, iq, on, router, use }): DiscoApi {
    const contacts = use(roster);
    const { registry } = disco;
    const server: Identity = { category: 'server', type: 'im', name: config.name };
    const account: Identity = { category: 'account', type: 'registered' };
    const guest: Identity = { category: 'account', type: 'anonymous' };

    disco.feature('account', NS_INFO);
    disco.feature('account', NS_ITEMS);
    iq.get('server', NS_INFO, 'query', showInfo);
    iq.get('self', NS_INFO, 'query', showInfo);
    iq.get('account', NS_INFO, 'query', (query) => after(mayAsk(query), (may) => (may ? showInfo(query) : hide())));
    iq.get('server', NS_ITEMS, 'query', (query) => showItems(readQuestion(query)));
    iq.get('self', NS_ITEMS, 'query', (query) => showItems(readQuestion(query)));
    on(hooks.iqReceived, answerForAccount, Priority.serve);
    on(hooks.iqReceived, answerForGuest, Priority.serve);

    function showInfo(query: Query) {
      const question = readQuestion(query);
      const info = question.node ? describeNode(question) : describe(question);
      return after(info, (found) => writeInfo(found ?? unknownNode(), question.node));
    }

    function describe(question: DiscoQuestion): Maybe<DiscoInfo> {
      if (question.to.local !== '') {
        const isForGuest = isGuest(question.to);
        const identities = [isForGuest ? guest : account, ...registry.identities('account')];
        return tidy({ identities, features: registry.features(isForGuest ? 'account' : 'registered'), forms: [] });
      }
      const identities = [server, ...registry.identities('server')];
      const features = registry.features('server');
      const forms = [...registry.extensions].map((extension) => extension.forms?.(question) ?? []);
      return after(gather(forms), (lists) => tidy({ identities, features, forms: lists.flat() }));
    }

    /** XEP-0175 section 5: an anonymous client has no account, and says so. */
    function isGuest({ bare }: Jid): boolean {
      return router.resources(bare).some((resource) => isSession(resource) && resource.isAnonymous);
    }

    function describeNode(question: DiscoQuestion): Maybe<DiscoInfo | undefined> {
      const answers = [...registry.extensions].map((extension) => extension.node?.(question));
      return after(gather(answers), (all) => {
        const found = all.find((answer) => answer !== undefined);
        return found && tidy({ ...found, forms: found.forms ?? [] });
      });
    }

    function showItems(question: DiscoQuestion) {
      return after(listItems(question), (items) => {
        if (items.length > 0 || !question.node) return writeItems(items, question.node);
        return after(describeNode(question), (node) => (node ? writeItems([], question.node) : unknownNode()));
      });
    }

    function listItems(question: DiscoQuestion): Maybe<readonly DiscoItem[]> {
      const own =
        question.node || question.to.local !== '' ? [] : config.items.map(({ jid, name }) => ({ jid, name: name || undefined }));
      const lists = [...registry.extensions].map((extension) => extension.items?.(question) ?? []);
      return after(gather(lists), (found) => [...own, ...found.flat()]);
    }

    /**
     * Whoever may not see an account's presence gets the same empty list for it as for an account that does not exist, with
     * nothing but what the account shows to everybody (XEP-0030 section 8). So this cannot be left to the table of queries, where
     * accounts that do not exist are refused.
     */
    function answerForAccount(env: Envelope): Maybe<Verdict> {
      const { stanza, to, from } = env;
      if (to.local === '' || to.resource !== '' || stanza.type !== 'get' || !stanza.has('query', NS_ITEMS)) return;
      const question = { from, to, node: nodeOf(stanza.child('query', NS_ITEMS)) };
      if (to.bare === from.bare && question.node) return;
      return answerItems(env, question);
    }

    /** To everybody (XEP-0175 section 5), where the table of queries knows only accounts. */
    function answerForGuest(env: Envelope): Maybe<Verdict> {
      const { stanza, to, from } = env;
      if (to.local === '' || to.resource !== '' || stanza.type !== 'get' || !stanza.has('query', NS_INFO)) return;
      if (to.bare === from.bare || !isGuest(to) || nodeOf(stanza.child('query', NS_INFO)) !== undefined) return;
      return after(describe({ from, to, node: undefined }), (info) => {
        env.origin.send(resultOf(env, writeInfo(info, undefined)));
        return HANDLED;
      });
    }

    async function answerItems(env: Envelope, question: DiscoQuestion): Promise<Verdict> {
      const exists = await accounts.exists(env.to.local);
      const items = exists ? [...(await listResources(question)), ...(await listItems(question))] : [];
      env.origin.send(resultOf(env, writeItems(items, question.node)));
      return HANDLED;
    }

    async function listResources(question: DiscoQuestion): Promise<readonly DiscoItem[]> {
      if (question.node || !(await mayAsk(question))) return [];
      const resources = router.resources(question.to.bare).filter(({ priority }) => priority !== undefined);
      return resources.map(({ jid }) => ({ jid: jid.full }));
    }

    function mayAsk({ from, to }: Pick<Query, 'from' | 'to'>): Maybe<boolean> {
      if (from.bare === to.bare) return true;
      return contacts ? contacts.sharesPresence(to.local, from) : false;
    }

    return {
      describe: (from) => describe({ from, to: Jid.of('', domain), node: undefined }),
      get version() {
        return registry.version;
      },
    };
  },
});

function readQuestion({ from, to, payload }: Query): DiscoQuestion {
  return { from, to, node: nodeOf(payload) };
}

function nodeOf(query: Element | undefined): string | undefined {
  const node: unknown = query?.attrs['node'];
  return typeof node === 'string' ? node : undefined;
}

function hide(): never {
  throw new StanzaError('service-unavailable');
}

function unknownNode(): never {
  throw new StanzaError('item-not-found');
}
