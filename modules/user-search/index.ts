// XEP-0055: a directory of the users of this host, by what they are called in their vCards.
import {
  defineModule,
  type Element,
  type Envelope,
  isGuestName,
  Jid,
  type Maybe,
  mapStore,
  option,
  type Query,
  type RsmPage,
  readRsm,
  resultOf,
  StanzaError,
  writeForm,
  xml,
} from '#core';
import commands, { type Command } from '../commands/index.ts';
import { Pace } from '../muc-moderation/pace.ts';
import vcard from '../vcard/index.ts';
import { NS_SEARCH, readSearch, showFields, writeFound } from './form.ts';
import { Listing } from './listing.ts';

const NS_INFO = 'http://jabber.org/protocol/disco#info';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';
const COMMAND = 'parlance:user-search:1#listed';
/** Searches that somebody may make at once who has not searched for a while. */
const BURST = 10;

export default defineModule({
  name: 'user-search',
  doc: 'User search: finds users of the host by what they are called in their vCards, if they want to be found.',
  xeps: [{ xep: 55, version: '1.3' }],
  needs: [vcard],
  wants: [commands],
  config: option.object({
    host: option.string({
      default: '',
      doc: "Where the directory is: a domain of its own, such as search.@, where @ stands for that of the host; the host's own when empty.",
    }),
    name: option.string({ default: 'User Directory', doc: 'What clients show as the name of the directory.' }),
    listed: option.choice(['optIn', 'optOut'], {
      default: 'optIn',
      doc: 'Whether only those are found who want to be, or all but those who do not. Users choose by the command *User Directory*.',
    }),
    listAll: option.boolean({
      default: false,
      doc: 'With optOut: whether accounts without a vCard are found, too, by their usernames.',
    }),
    searchers: option.choice(['users', 'guests', 'anyone'], {
      default: 'users',
      doc: 'Who may search: those with an account here, also guests (ANONYMOUS), or also users of other servers.',
    }),
    maxResults: option.integer({ default: 50, min: 1, max: 1000, doc: 'Users found by one search, on all of its pages.' }),
    searchesPerMinute: option.integer({
      default: 20,
      min: 0,
      max: 100_000,
      doc: 'Searches of one user in the long run; 0 for any number.',
    }),
    maxUsers: option.integer({
      default: 250_000,
      min: 1,
      max: 5_000_000,
      doc: 'Users in the directory, which is in memory: about 450 bytes for each.',
    }),
  }),
  stores: {
    /** Of each user who has chosen: `listed`. */
    choices: mapStore<boolean>(),
  },

  setup({ accounts, config, defer, disco, domain, iq, log, metrics, on, serve, signals, stopping, stores: { choices }, use }) {
    const { listAll, maxUsers } = config;
    const vcards = use(vcard);
    const isOptOut = config.listed === 'optOut';
    const listing = new Listing({ accounts, vcards, choices, log, stopping, isOptOut, listAll, maxUsers });
    const pace = new Pace();
    const address = config.host.replaceAll('@', domain);

    on(vcards.changed, ({ username }) => listing.update(username));
    on(signals.accountCreated, ({ username }) => listing.update(username));
    on(signals.accountDeleted, ({ username }) => listing.update(username));
    if (address === '' || address === domain) beAtHost();
    else beAt(Jid.prepareDomain(address));
    const withdraw = use(commands)?.offer(chooseCommand());
    if (withdraw) defer(withdraw);
    defer(metrics.gauge('xmpp_user_search_users', 'Users that can be found.', { host: domain }, () => listing.size));
    defer(() => listing.settled());

    function beAtHost(): void {
      iq.get('server', NS_SEARCH, 'query', show);
      iq.set('server', NS_SEARCH, 'query', search);
      disco.feature('server', NS_SEARCH);
      disco.identity('server', { category: 'directory', type: 'user', name: config.name });
    }

    function beAt(own: string): void {
      serve(own, { deliver });
      disco.extend({ items: ({ to, node }) => (to.local === '' && !node ? [{ jid: own, name: config.name }] : []) });
    }

    function deliver(env: Envelope): Maybe<void> {
      const { stanza, from, to } = env;
      if (stanza.name === 'presence' || stanza.type === 'error' || stanza.type === 'result') return;
      const payload = stanza.name === 'iq' && to.local === '' ? stanza.element.getChildElements()[0] : undefined;
      if (!payload) throw new StanzaError('service-unavailable');
      const found = answer({ payload, from, to, env });
      const send = (result: Element) => env.origin.send(resultOf(env, result));
      return found instanceof Promise ? found.then(send) : send(found);
    }

    /** What a domain of its own is asked. */
    function answer(query: Query): Maybe<Element> {
      const { payload, env } = query;
      const xmlns = payload.getNS();
      if (payload.getName() !== 'query') throw new StanzaError('service-unavailable');
      if (xmlns === NS_SEARCH) return env.stanza.type === 'get' ? show(query) : search(query);
      if (env.stanza.type !== 'get' || (xmlns !== NS_INFO && xmlns !== NS_ITEMS)) throw new StanzaError('service-unavailable');
      if (payload.attrs['node'] !== undefined) throw new StanzaError('item-not-found');
      if (xmlns === NS_ITEMS) return xml('query', NS_ITEMS);
      const features = [NS_INFO, NS_ITEMS, NS_SEARCH].map((feature) => xml('feature', { var: feature }));
      const identity = xml('identity', { category: 'directory', type: 'user', name: config.name });
      return xml('query', NS_INFO, identity, ...features);
    }

    function show({ from }: Query): Element {
      checkSearcher(from);
      return showFields(config.name);
    }

    async function search({ payload, from }: Query): Promise<Element> {
      checkSearcher(from);
      const wanted = readSearch(payload, domain);
      const wait = pace.take(from.bare, { perMinute: config.searchesPerMinute, burst: BURST }, performance.now());
      if (wait > 0) {
        const text = `Too many searches: try again in ${Math.ceil(wait / 1000)} seconds`;
        throw new StanzaError('resource-constraint', { type: 'wait', text });
      }
      const all = wanted ? await listing.find(wanted.terms, config.maxResults) : [];
      const { usernames, page } = cutPage(payload, all);
      const found = await Promise.all(
        usernames.map(async (username) => ({
          jid: Jid.of(username, domain).bare,
          names: (await vcards.namesOf(username)) ?? {},
        })),
      );
      return writeFound(found, wanted?.hasForm ?? true, page);
    }

    function checkSearcher({ local, domain: home }: Jid): void {
      const isUser = home === domain && local !== '' && !isGuestName(local);
      const isGuest = home === domain && config.searchers === 'guests';
      if (!isUser && !isGuest && config.searchers !== 'anyone') {
        throw new StanzaError('forbidden', { text: 'The directory is for users of this server' });
      }
    }

    function chooseCommand(): Command {
      const title = config.name;
      return {
        node: COMMAND,
        name: title,
        isAllowed: ({ local, domain: home }) => home === domain && local !== '' && !isGuestName(local),
        async form({ local }) {
          const isListed = await listing.isListed(local);
          const label = 'Let others find me by my vCard and my username';
          const field = { name: 'listed', type: 'boolean', label, values: [String(isListed)] } as const;
          return writeForm('form', COMMAND, [field], { title });
        },
        async run(answers, { local }) {
          const value = answers.get('listed')?.[0] ?? '';
          const isListed = value === '1' || value === 'true';
          if (!isListed && value !== '0' && value !== 'false') throw new StanzaError('bad-request', { text: 'Yes or no?' });
          await listing.choose(local, isListed);
          return isListed ? 'Others can find you now.' : 'Others do not find you any more.';
        },
      };
    }
  },
});

/** Those of one page (XEP-0059), and what is said of it; no more than that where none was asked for. */
function cutPage(query: Element, all: readonly string[]): { usernames: readonly string[]; page: RsmPage | undefined } {
  const rsm = readRsm(query);
  if (!rsm) return { usernames: all, page: undefined };
  const { max = all.length, before, after, index } = rsm;
  let start = index ?? 0;
  if (after !== undefined) start = placeOf(all, after) + 1;
  const end = before === undefined ? undefined : before === '' ? all.length : placeOf(all, before);
  if (end !== undefined) start = Math.max(0, end - max);
  const usernames = all.slice(start, end ?? start + max);
  return { usernames, page: { first: usernames[0], last: usernames.at(-1), count: all.length } };
}

function placeOf(all: readonly string[], username: string): number {
  const place = all.indexOf(username);
  if (place < 0) throw new StanzaError('item-not-found');
  return place;
}
