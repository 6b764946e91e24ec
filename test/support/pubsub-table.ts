import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import { type Client, kindsAt, NS, nodeOf, outcomeOf, Society } from './pubsub-people.ts';
import {
  create,
  edit,
  FORBIDDEN,
  firstOf,
  haveSubscription,
  hearsAsContact,
  hearsAsSubscriber,
  hearsOfDeletion,
  isReached,
  type Kind,
  manage,
  NOT_FOUND,
  OK,
  type Outcome,
  PEOPLE,
  type Person,
  publish,
  read,
  refusesAll,
  see,
  seeAccount,
  subscribe,
  subscriptionOf,
  type Whereabouts,
} from './pubsub-rules.ts';
import { form } from './pubsub-scene.ts';

const DISCO = 'http://jabber.org/protocol/disco';
/** Who is not approved, so as to be there at the end. */
const LEFT_WAITING = 'hopeful';
const PAYLOAD = "<x xmlns='urn:x'/>";

/** Somebody at a node. */
interface Visit {
  readonly society: Society;
  readonly kind: Kind;
  readonly node: string;
  readonly name: string;
  readonly person: Person;
  readonly client: Client;
  /** What everybody is by now. */
  readonly now: Map<string, Person>;
}

/** Something that is tried, and what is to come of it. */
interface Attempt {
  readonly iq: string;
  readonly expected: Outcome;
  /** Looks at a result. */
  check?(reply: Element): void;
  /** Makes it as it was, where it has succeeded. */
  undo?(): Promise<unknown>;
}

/** What everybody may do at every kind of node of a place. `more` has what is only there. */
export function describeAccess(at: Whereabouts, more: (society: () => Society) => void = () => {}): void {
  describe(`pubsub: who may do what, at ${at === 'service' ? 'the service' : 'an account'}`, function () {
    this.timeout(60_000);
    let society: Society;
    let cases = 0;
    before(async () => {
      society = await Society.gather(at);
    });
    after(async () => {
      await society.stop();
      assert(cases > 10_000, `${cases} were tried`);
    });
    more(() => society);

    it('whoever has subscribed and may read hears of what is published', async () => {
      for (const kind of kindsAt(at)) await checkHearing({ society, kind, now: new Map(Object.entries(PEOPLE)) });
    });

    for (const kind of kindsAt(at)) {
      const node = nodeOf(kind);
      it(`access ${kind.access}, publishing by ${kind.model}`, async () => {
        const now = new Map(Object.entries(PEOPLE));
        for (const [name, client] of society.clients) {
          const visit = { society, kind, node, name, person: PEOPLE[name]!, client, now };
          for (const attempt of attemptsOf(visit)) {
            cases++;
            await tryOut(visit, attempt);
          }
          cases += await tryToSubscribe(visit);
        }
        const reply = await society.order(society.user('get', `<items node='${node}'/>`));
        const items = reply.getChild('pubsub', NS)!.getChild('items')!.getChildElements();
        assert.deepEqual(
          items.map(({ attrs }) => attrs['id']),
          ['base'],
          'nothing else is there',
        );
        await checkTheRest({ society, kind, now });
      });
    }
  });
}

async function tryOut({ name, person, kind, client }: Visit, attempt: Attempt): Promise<void> {
  const { iq, check, undo } = attempt;
  const expected = firstOf(refusesAll(person, kind), attempt.expected);
  const reply = await client.ask(iq);
  assert.equal(outcomeOf(reply), expected, `${name}: ${iq}`);
  if (expected !== OK) return assert.equal(reply.getChildElements().length, 1, `more than an error: ${reply}`);
  check?.(reply);
  await undo?.();
}

function attemptsOf(visit: Visit): readonly Attempt[] {
  return [...reading(visit), ...publishing(visit), ...managing(visit), ...creating(visit), ...ofTheirOwn(visit)];
}

function reading({ society, kind, node, person }: Visit): readonly Attempt[] {
  const reading = read(person, kind);
  const hasBase = (reply: Element) => assert.match(String(reply), /'base'|"base"/);
  const get = (inner: string) => society.user('get', inner);
  return [
    { iq: society.iq('get', `<query xmlns='${DISCO}#info' node='${node}'/>`), expected: seeAccount(person, kind) },
    {
      iq: society.iq('get', `<query xmlns='${DISCO}#items'/>`),
      expected: OK,
      // Section 5.2, and XEP-0163 section 6.2.
      check: (reply) => {
        const listed = reply.getChild('query')!.getChildElements();
        const isListed = listed.some(({ attrs }) => attrs['node'] === node);
        assert.equal(isListed, see(person, kind) === OK, `${node} in ${reply}`);
      },
    },
    { iq: society.iq('get', `<query xmlns='${DISCO}#items' node='${node}'/>`), expected: reading, check: hasBase },
    { iq: get(`<items node='${node}'/>`), expected: reading, check: hasBase },
    { iq: get(`<items node='${node}' max_items='1'/>`), expected: reading, check: hasBase },
    { iq: get(`<items node='${node}'><item id='base'/></items>`), expected: reading, check: hasBase },
    { iq: get(`<items node='${node}'><item id='nothing'/></items>`), expected: reading },
    {
      iq: get(`<items node='${node}'/><set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>`),
      expected: reading,
    },
    {
      iq: get(`<items node='${node}'/><set xmlns='http://jabber.org/protocol/rsm'><after>nothing</after></set>`),
      expected: firstOf(reading, NOT_FOUND),
    },
  ];
}

function publishing({ society, kind, node, person, name }: Visit): readonly Attempt[] {
  const set = (inner: string) => society.user('set', inner);
  const item = (id: string, payload = PAYLOAD) => `<publish node='${node}'><item id='${id}'>${payload}</item></publish>`;
  const options = (fields: Readonly<Record<string, string>>) =>
    `<publish-options>${form('publish-options', fields)}</publish-options>`;
  const retract = (...ids: readonly string[]) =>
    set(`<retract node='${node}'>${ids.map((id) => `<item id='${id}'/>`).join('')}</retract>`);
  const publication = publish(person, kind);
  const undo = () => society.publish(node, 'base');
  const refusedFor = (condition: string) => firstOf(publication, condition);
  return [
    { iq: set(item(name)), expected: publication },
    { iq: set(item(name)), expected: publication },
    { iq: set(item(name) + options({ access_model: kind.access })), expected: publication },
    // What a node is configured as is learned by those only who may publish.
    {
      iq: set(item(name) + options({ access_model: kind.access === 'open' ? 'whitelist' : 'open' })),
      expected: refusedFor('cancel conflict precondition-not-met'),
    },
    { iq: set(item('base')), expected: edit(person, kind), undo },
    { iq: set(`<publish node='${node}'/>`), expected: refusedFor('modify bad-request item-required') },
    { iq: set(item('empty', '')), expected: refusedFor('modify bad-request payload-required') },
    { iq: set(item('double', PAYLOAD + PAYLOAD)), expected: refusedFor('modify bad-request invalid-payload') },
    {
      iq: retract(name, 'base'),
      expected: edit(person, kind),
      undo: async () => [await undo(), await society.publish(node, name)],
    },
    { iq: retract(name), expected: publication },
    { iq: retract('nothing'), expected: refusedFor(NOT_FOUND) },
    { iq: retract('base'), expected: edit(person, kind), undo },
    { iq: set(`<retract node='${node}'/>`), expected: 'modify bad-request item-required' },
  ];
}

function managing({ society, node, person }: Visit): readonly Attempt[] {
  const { manage: owner } = society;
  const expected = manage(person);
  const attempt = (type: 'get' | 'set', inner: string, undo?: () => Promise<unknown>): Attempt => ({
    iq: owner.call(society, type, inner),
    expected,
    ...(undo && { undo }),
  });
  return [
    attempt('get', `<configure node='${node}'/>`),
    attempt('set', `<configure node='${node}'>${form('node_config', { title: 'x' })}</configure>`),
    attempt('set', `<configure node='${node}'><x xmlns='jabber:x:data' type='cancel'/></configure>`),
    attempt('get', `<affiliations node='${node}'/>`),
    attempt('set', `<affiliations node='${node}'><affiliation jid='nobody@example.org' affiliation='member'/></affiliations>`),
    attempt('set', `<affiliations node='${node}'><affiliation jid='nobody@example.org' affiliation='none'/></affiliations>`),
    attempt('get', `<subscriptions node='${node}'/>`),
    attempt('set', `<subscriptions node='${node}'/>`),
    attempt('set', `<subscriptions node='${node}'><subscription jid='nobody@example.org' subscription='none'/></subscriptions>`),
    attempt('set', `<purge node='${node}'/>`, () => society.publish(node, 'base')),
    ...(expected === OK ? [] : [attempt('set', `<delete node='${node}'/>`)]),
    { iq: owner.call(society, 'get', '<default/>'), expected: OK },
  ];
}

function creating({ society, kind, node, person, name, client }: Visit): readonly Attempt[] {
  const creation = create(person, kind);
  const fresh = `${node}-${name}`;
  const undo = async () => assert.equal(outcomeOf(await client.ask(society.manage('set', `<delete node='${fresh}'/>`))), OK);
  return [
    { iq: society.user('set', `<create node='${node}'/>`), expected: firstOf(creation, 'cancel conflict') },
    { iq: society.user('set', `<create node='${fresh}'/>`), expected: creation, undo },
    {
      iq: society.user('set', `<publish node='${fresh}'><item>${PAYLOAD}</item></publish>`),
      expected: creation === OK ? OK : NOT_FOUND,
      undo,
    },
    { iq: society.user('get', `<items node='${fresh}'/>`), expected: NOT_FOUND },
  ];
}

/** What people ask about themselves, and what they try in the name of somebody else. */
function ofTheirOwn({ society, node, person, client }: Visit): readonly Attempt[] {
  const { affiliation, subscription } = person;
  const about = (reply: Element, list: string) => reply.getChild('pubsub', NS)!.getChild(list)!.getChildElements();
  const other = 'somebody@example.org';
  const set = (inner: string) => society.user('set', inner);
  const options = (jid: string) =>
    `<options node='${node}' jid='${jid}'>${form('subscribe_options', { deliver: '1' })}</options>`;
  return [
    {
      iq: society.user('get', `<affiliations node='${node}'/>`),
      expected: OK,
      check: (reply) => {
        const found = about(reply, 'affiliations').map(({ attrs }) => attrs['affiliation']);
        assert.deepEqual(found, affiliation ? [affiliation] : []);
      },
    },
    {
      iq: society.user('get', `<subscriptions node='${node}'/>`),
      expected: OK,
      check: (reply) => {
        const found = about(reply, 'subscriptions').map(({ attrs }) => `${attrs['jid']} ${attrs['subscription']}`);
        assert.deepEqual(found, subscription ? [`${client.bare} ${subscription}`] : []);
      },
    },
    { iq: society.user('get', `<default node='${node}'/>`), expected: OK },
    { iq: society.user('get', `<options node='${node}' jid='${client.bare}'/>`), expected: haveSubscription(person, 'modify') },
    { iq: set(options(client.bare)), expected: haveSubscription(person, 'modify') },
    { iq: society.user('get', `<options node='${node}' jid='${other}'/>`), expected: FORBIDDEN },
    { iq: set(options(other)), expected: FORBIDDEN },
    { iq: set(`<unsubscribe node='${node}' jid='${other}'/>`), expected: FORBIDDEN },
    { iq: set(`<subscribe node='${node}' jid='${other}'/>`), expected: 'modify bad-request invalid-jid' },
    ...(subscription
      ? []
      : [{ iq: set(`<unsubscribe node='${node}' jid='${client.bare}'/>`), expected: haveSubscription(person, 'cancel') }]),
  ];
}

/** Subscribes, hears, and unsubscribes; whoever has to wait is approved meanwhile. Returns how much was tried. */
async function tryToSubscribe(visit: Visit): Promise<number> {
  const { society, kind, node, person, client, name } = visit;
  const request = society.user('set', `<subscribe node='${node}' jid='${client.bare}'/>`);
  const items = society.user('get', `<items node='${node}'/>`);
  const expected = firstOf(refusesAll(person, kind), subscribe(person, kind));
  const subscription = subscriptionOf(person, kind);
  await takeNews(society);
  await tryOut(visit, {
    iq: request,
    expected,
    check: (reply) => assert.equal(reply.getChild('pubsub')!.getChild('subscription')!.attrs['subscription'], subscription),
  });
  if (person.subscription === 'pending' && name !== LEFT_WAITING) return approve(visit);
  if (expected !== OK || person.subscription) return 1;
  const subscribed = become(visit, { subscription });
  await tryOut(subscribed, { iq: items, expected: read(subscribed.person, kind) });
  if (subscription === 'pending') {
    await tryOut(subscribed, { iq: request, expected: subscribe(subscribed.person, kind) });
    return 3 + (await approve(subscribed));
  }
  assert.deepEqual(await takeNews(society), [`${name} ${node} base`], 'the last item is for those who are new');
  await checkHearing(visit);
  await tryOut(subscribed, { iq: society.user('set', `<unsubscribe node='${node}' jid='${client.bare}'/>`), expected: OK });
  await tryOut(become(visit, { subscription: undefined }), { iq: items, expected: read(person, kind) });
  return 5;
}

/** The owner approves somebody who waits: they hear from then on, if they may read by now. Ended by the owner, too. */
async function approve(visit: Visit): Promise<number> {
  const { society, kind, node, client, name } = visit;
  const set = (state: string) => {
    const change = `<subscription jid='${client.bare}' subscription='${state}'/>`;
    return society.order(society.manage('set', `<subscriptions node='${node}'>${change}</subscriptions>`));
  };
  await checkHearing(visit);
  await set('subscribed');
  const { person } = become(visit, { subscription: 'subscribed' });
  const isHearing = hearsAsSubscriber(person, kind);
  const news = [...(isHearing ? ['base'] : []), ...(isReached(person, kind) ? ['subscribed'] : [])];
  assert.deepEqual(
    await takeNews(society),
    news.map((each) => `${name} ${node} ${each}`),
  );
  await tryOut({ ...visit, person }, { iq: society.user('get', `<items node='${node}'/>`), expected: read(person, kind) });
  await checkHearing(visit);
  await set('none');
  become(visit, { subscription: undefined });
  assert.deepEqual(await takeNews(society), isReached(person, kind) ? [`${name} ${node} none`] : []);
  return 2;
}

/** Notes what somebody is from now on. */
function become(visit: Visit, { subscription }: { subscription: Person['subscription'] | undefined }): Visit {
  const { subscription: _, ...rest } = visit.person;
  const person: Person = { ...rest, ...(subscription && { subscription }) };
  visit.now.set(visit.name, person);
  return { ...visit, person };
}

/** What was heard of since the last time. */
async function takeNews(society: Society): Promise<readonly string[]> {
  await society.settle();
  return society.hearing();
}

/** Publishes, and sees who hears of it. */
async function checkHearing({ society, kind, now }: Pick<Visit, 'kind' | 'now' | 'society'>): Promise<void> {
  const node = nodeOf(kind);
  await takeNews(society);
  await society.publish(node, 'base');
  assert.deepEqual(
    await takeNews(society),
    listenersOf({ society, kind, now }, hearsAsSubscriber, 'base'),
    `who hears of ${node}`,
  );
}

/** What is heard by those who have subscribed, as far as this is so, and by those who are interested. */
function listenersOf(
  { society, kind, now }: Pick<Visit, 'kind' | 'now' | 'society'>,
  hears: (person: Person, kind: Kind) => boolean,
  what: string,
): readonly string[] {
  const isToldOf = (person: Person) => hears(person, kind) || (society.isListening && hearsAsContact(person, kind));
  const told = [...now].filter(([, person]) => isToldOf(person));
  return told.map(([name]) => `${name} ${nodeOf(kind)} ${what}`).sort();
}

/** What else there is to hear, until the node is no more. */
async function checkTheRest(parts: Pick<Visit, 'kind' | 'now' | 'society'>): Promise<void> {
  const { society, kind } = parts;
  const node = nodeOf(kind);
  for (const [iq, what, hears] of [
    [
      society.manage('set', `<configure node='${node}'>${form('node_config', { notify_config: '1' })}</configure>`),
      'configuration',
      hearsAsSubscriber,
    ],
    [society.user('set', `<retract node='${node}' notify='1'><item id='base'/></retract>`), '-base', hearsAsSubscriber],
    [society.manage('set', `<purge node='${node}'/>`), 'purge', hearsAsSubscriber],
    [society.manage('set', `<delete node='${node}'/>`), 'delete', hearsOfDeletion],
  ] as const) {
    await takeNews(society);
    await society.order(iq);
    assert.deepEqual(await takeNews(society), listenersOf(parts, hears, what), `who hears of ${what} at ${node}`);
  }
}
