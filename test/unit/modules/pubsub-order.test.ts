// Many at once: what is told is what is kept, in the order in which it is kept.
import assert from 'node:assert/strict';
import type { Probe } from '../../support/probe.ts';
import {
  ask,
  create,
  get,
  idsOf,
  news,
  PubSubScene,
  page,
  publication,
  publish,
  refusalOf,
  retract,
  set,
  subscribe,
} from '../../support/pubsub-scene.ts';

const PUBLISHERS = 50;

describe('pubsub: many at once', () => {
  let scene: PubSubScene;
  let owner: Probe;
  let listeners: readonly Probe[];
  let publishers: readonly Probe[];

  beforeEach(async () => {
    scene = await PubSubScene.open({ maxMembers: 60 });
    [owner, ...listeners] = (await scene.clients('owner', 'ann', 'bob', 'cat')) as [Probe, ...Probe[]];
    const names = Array.from({ length: PUBLISHERS }, (_, i) => `p${i}`);
    publishers = await Promise.all(names.map((name) => scene.host.login(name, 'r')));
  });
  afterEach(() => scene.stop());

  /** Everybody publishes three items, each as soon as the one before is published. */
  const publishAll = () =>
    Promise.all(
      publishers.map(async (probe, i) => {
        const answers: string[] = [];
        for (const n of [1, 2, 3]) {
          const answer = await ask(probe, 'set', publication('news', `${i}-${n}`));
          answers.push(answer.attrs['type'] === 'result' ? 'done' : refusalOf(answer));
        }
        return answers;
      }),
    ).then((answers) => answers.flat());

  async function open(fields: Record<string, string>): Promise<void> {
    await create(owner, 'news', { publish_model: 'open', ...fields });
    for (const listener of listeners) await subscribe(listener, 'news');
  }

  /** What everybody has been told, which is the same for all. */
  async function told(): Promise<readonly string[]> {
    const [first, ...others] = await Promise.all(listeners.map(news));
    for (const other of others) assert.deepEqual(other, first);
    return first!;
  }

  /** What is there, for whoever has heard all that was told. */
  function replay(said: readonly string[]): readonly string[] {
    const there = new Set<string>();
    for (const each of said) {
      there.delete(each.slice(1));
      if (each.startsWith('+')) there.add(each.slice(1));
    }
    return [...there];
  }

  for (const [name, fields] of Object.entries({
    'with room for all': { max_items: '1000' },
    'with room for some': { max_items: '20' },
    'with room for one': { max_items: '1', publish_node_full: 'discard-oldest' },
  })) {
    it(`are told in one order, which is that of the items (${name})`, async () => {
      await open(fields);
      assert.deepEqual(new Set(await publishAll()), new Set(['done']));
      const said = await told();
      assert.equal(said.filter((each) => each.startsWith('+')).length, 3 * PUBLISHERS);
      const there = await allIds(owner);
      assert.equal(there.length, Math.min(3 * PUBLISHERS, Number(fields.max_items)));
      assert.deepEqual(replay(said).slice(-there.length), there);
      // Where it is told what makes room, nothing else has gone.
      if (name === 'with room for some') assert.deepEqual(replay(said), there);
      for (let i = 0; i < PUBLISHERS; i++) {
        const own = said.filter((each) => each.startsWith(`+${i}-`));
        assert.deepEqual(own, [`+${i}-1`, `+${i}-2`, `+${i}-3`], 'each client in the order in which it has published');
      }
    });
  }

  it('are refused once there is no room, where the node says so', async () => {
    await open({ max_items: '10', publish_node_full: 'reject' });
    await publish(owner, 'news', 'first');
    await told();
    const answers = await publishAll();
    assert.equal(answers.filter((answer) => answer === 'done').length, 9);
    assert.deepEqual(new Set(answers), new Set(['done', 'conflict, node-full']));
    const there = await idsOf(owner, 'news');
    assert.equal(there.length, 10);
    assert.deepEqual(
      await told(),
      there.slice(1).map((id) => `+${id}`),
    );
  });

  it('put the same item, and the last one stays', async () => {
    await open({ max_items: '5' });
    const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => scene.host.login('owner', `c${i}`)));
    await Promise.all(clients.map((probe, i) => publish(probe, 'news', ...[0, 1, 2, 3].map((n) => `i${(i + n) % 4}`))));
    const said = await told();
    assert.equal(said.length, 32);
    assert.deepEqual(replay(said), await idsOf(owner, 'news'));
  });

  it('read while others write, and nothing is counted wrongly for good', async () => {
    await open({ max_items: '1000' });
    await Promise.all([...publishers.map((probe, i) => set(probe, publication('news', `i${i}`))), ...readers()]);
    assert.equal((await page(owner, 'news', '<max>0</max>')).count, PUBLISHERS);
    await retract(owner, 'news', 'i0');
    assert.equal((await page(owner, 'news', '<max>0</max>')).count, PUBLISHERS - 1);
  });

  const readers = () =>
    listeners.map(async (probe) => {
      for (let i = 0; i < 20; i++) await page(probe, 'news', '<max>0</max>');
    });

  it('remove items while others publish, and what is left is what was told', async () => {
    await open({ max_items: '30' });
    await publish(owner, 'news', 'a', 'b', 'c');
    await Promise.all([
      publishAll(),
      ...['a', 'b', 'c'].map((id) => ask(owner, 'set', `<retract node='news'><item id='${id}'/></retract>`)),
    ]);
    assert.deepEqual(replay(await told()), await idsOf(owner, 'news'));
  });

  it('publish while the node is deleted: all or nothing of each, and nobody is told of it afterwards', async () => {
    await open({ max_items: '1000' });
    await publish(owner, 'news', 'first');
    const [answers] = await Promise.all([publishAll(), set(owner, "<delete node='news'/>", '#owner')]);
    const said = await told();
    assert.equal(said.filter((each) => each === 'delete').length, 1);
    assert.equal(said.at(-1), 'delete');
    // Whoever came later has made the node anew, and owns it.
    const again = await ask(owner, 'get', "<items node='news'/>");
    assert.equal(again.attrs['type'], 'result');
    assert.ok(answers.includes('done'));
    for (const each of answers) assert.match(each, /^(done|forbidden|item-not-found)$/);
  });

  it('make the same node: one of them does', async () => {
    const answers = await Promise.all(publishers.map((probe) => ask(probe, 'set', "<create node='new'/>")));
    const made = answers.filter(({ attrs }) => attrs['type'] === 'result');
    assert.equal(made.length, 1);
    for (const answer of answers) if (answer !== made[0]) assert.equal(refusalOf(answer), 'conflict');
  });

  it('publish to the same node that is not there: it is made once, and is not theirs for all others', async () => {
    const answers = await Promise.all(publishers.map((probe, i) => ask(probe, 'set', publication('new', `i${i}`))));
    const done = answers.filter(({ attrs }) => attrs['type'] === 'result');
    assert.equal(done.length, 1);
    for (const answer of answers) if (answer !== done[0]) assert.equal(refusalOf(answer), 'forbidden');
    assert.equal((await idsOf(owner, 'new')).length, 1);
  });

  it('publish at once from all clients of one account to a node that is not there', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => scene.host.login('owner', `c${i}`)));
    await Promise.all(clients.map((probe, i) => set(probe, publication('own', `i${i}`))));
    assert.equal((await idsOf(owner, 'own')).length, 8);
  });

  it('subscribe, and there are no more than the node takes', async () => {
    await create(owner, 'news');
    const all = [...publishers, ...listeners, ...(await scene.clients(...Array.from({ length: 20 }, (_, i) => `q${i}`)))];
    const answers = await Promise.all(all.map((probe) => ask(probe, 'set', `<subscribe node='news' jid='${probe.jid}'/>`)));
    const refused = answers.filter(({ attrs }) => attrs['type'] === 'error');
    assert.equal(answers.length - refused.length, 60);
    for (const answer of refused) assert.equal(refusalOf(answer), 'policy-violation, too-many-subscriptions');
    await publish(owner, 'news', 'i1');
    assert.equal((await Promise.all(all.map(news))).filter((said) => said.length === 1).length, 60);
  });

  it('subscribe and unsubscribe in a flood, and nothing is left', async () => {
    await create(owner, 'news');
    const jids = Array.from({ length: 12 }, (_, i) => `ann@example.org/${i}`);
    for (let round = 0; round < 5; round++) {
      for (const jid of jids) await ask(listeners[0]!, 'set', `<subscribe node='news' jid='${jid}'/>`);
      for (const jid of jids) await ask(listeners[0]!, 'set', `<unsubscribe node='news' jid='${jid}'/>`);
    }
    const left = (await get(listeners[0]!, '<subscriptions/>')).getChild('pubsub')!.getChild('subscriptions')!;
    assert.deepEqual(left.getChildElements(), []);
    await publish(owner, 'news', 'i1');
    assert.deepEqual(await news(listeners[0]!), []);
  });

  async function allIds(probe: Probe): Promise<readonly string[]> {
    const ids: string[] = [];
    for (let rsm = '<max>100</max>'; ; rsm = `<max>100</max><after>${ids.at(-1)}</after>`) {
      const found = await page(probe, 'news', rsm);
      if (found.ids.length === 0) return ids;
      ids.push(...found.ids);
    }
  }
});
