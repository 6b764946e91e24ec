import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'ltx';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { NS_BOOKMARKS, NS_STORAGE, readList, readRooms, writeBookmarks } from './bookmark-changes.ts';
import { Chance } from './chance.ts';
import { Ears } from './ears.ts';
import type { Ledger } from './ledger.ts';
import { Bookmarks, type Habits, questionOf, Work, workWithNodes } from './node-actors.ts';
import { keyOf, type MaybeNode, type NodeChange, type NodeState, readNode } from './node-changes.ts';

// A server is killed with kill -9 again and again, while clients publish to nodes of their own and of the service, retract, purge, configure,
// delete and make nodes, subscribe, say who may do what, and change bookmarks by both specifications. What was acknowledged is there
// afterwards, byte for byte and in order; of what was not, the first so many requests of each client have been done, each whole or not at
// all. Nobody was told of what is not durable, and nobody was told that something is gone which is there.

const KILLS = Number(process.env['PARLANCE_CRASH_ROUNDS'] ?? 6);
const SEED = Number(process.env['PARLANCE_CRASH_SEED'] ?? Date.now() % 1_000_000);
const PASSWORD = 'correct horse';
const SERVICE = 'pubsub.localhost';
/** Items that a node of an account has at most, and one of the service. */
const MOST = 60;
const MOST_SHARED = 500;
/** Items that each of those who share a node leaves there. */
const PLENTY = 40;
/** Lines of history that are shown of what fails; the file has all of it. */
const SHOWN = 40;
/** Requests that take several steps: every other kill comes upon one of these. */
const DELICATE = ['create', 'delete', 'configure', 'affiliate', 'purge', 'list', 'subscribe'];
const postgres = process.env['PARLANCE_TEST_POSTGRES'];

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['SQLite', {}],
  ...(postgres ? [['PostgreSQL', { storage: { type: 'postgresql', url: postgres } }] as const] : []),
];

const MODULES = {
  ...{ roster: {}, presence: {}, ping: {}, disco: {}, caps: {}, private: {}, bookmarks: {} },
  pep: { maxItems: MOST },
  pubsub: { maxItems: MOST_SHARED },
};

for (const [backend, changes] of BACKENDS) {
  describe(`nodes and kill -9 (${backend}; seed ${SEED})`, () => {
    let server: ServerProcess;

    before(async () => {
      server = await ServerProcess.create({ ...changes, modules: MODULES });
      await server.start();
    });

    after(() => server.remove());

    it(`lose nothing that was acknowledged, in ${KILLS} kills`, async function () {
      this.timeout(KILLS * 30_000);
      const scene = new Scene(server, new Chance(SEED));
      try {
        await scene.prepare();
        for (let kill = 0; kill < KILLS; kill++) {
          await scene.live(kill);
          await scene.check();
        }
      } catch (error) {
        console.log(`      what happened is in ${await scene.writeHistory()}`);
        throw error;
      }
      console.log(`      ${scene.summary}`);
      scene.checkEnough();
    });
  });
}

/** Whoever does something, and with what. */
interface Actor {
  readonly name: string;
  readonly works: readonly Work[];
}

type AnyLedger = Omit<Ledger<never>, 'answer' | 'expected' | 'send' | 'settle'>;

class Scene {
  readonly #server: ServerProcess;
  readonly #chance: Chance;
  readonly #run = Date.now().toString(36);
  /** Alone with their nodes: those of an account, and one of the service. */
  readonly #alice: Actor;
  readonly #bob: Actor;
  /** With one node together, which the first of them has made. */
  readonly #sharers: readonly Actor[];
  readonly #bookmarks: Bookmarks;
  /** Has subscribed to that, and is always there. */
  readonly #lena: string;
  /** By account. */
  readonly #ears: ReadonlyMap<string, Ears>;
  #isKilled = false;
  /** The kind of request upon which the server is killed. */
  #aim: string | undefined = undefined;
  #onAim: () => void = () => {};

  constructor(server: ServerProcess, chance: Chance) {
    this.#server = server;
    this.#chance = chance;
    const [alice, bob, dave, lena] = ['alice', 'bob', 'dave', 'lena'].map((name) => name + this.#run) as [
      string,
      string,
      string,
      string,
    ];
    this.#alice = { name: alice, works: worksOfAlice(alice) };
    const ofBob = { node: `free ${bob}`, maxItems: '100', most: MOST_SHARED };
    this.#bob = { name: bob, works: [new Work(bob, ofBob, { to: SERVICE, habits: FREE })] };
    this.#sharers = makeSharers(this.#run);
    this.#bookmarks = new Bookmarks(dave);
    this.#lena = lena;
    const interests = this.#alice.works.map(({ rules }) => rules.node);
    this.#ears = new Map([
      [alice, new Ears('a client of alice', interests)],
      [bob, new Ears('a client of bob', [], false)],
      [dave, new Ears('a client of dave', [NS_BOOKMARKS, NS_STORAGE])],
      [lena, new Ears('lena', [])],
    ]);
  }

  get summary(): string {
    const sum = (of: (ledger: AnyLedger) => number) => this.#ledgers.reduce((so, ledger) => so + of(ledger), 0);
    const done = sum(({ foundDone }) => foundDone);
    const undone = sum(({ foundUndone }) => foundUndone);
    const told = [...this.#ears.values()].reduce((so, { count }) => so + count, 0);
    return `${sum(({ answered }) => answered)} answers; without one ${done} done, ${undone} not; ${told} items told of`;
  }

  async prepare(): Promise<void> {
    for (const name of [...this.#actors.map((actor) => actor.name), this.#bookmarks.account, this.#lena]) {
      const client = await WireClient.connect(this.#server.http);
      assert.equal(await client.register(name, PASSWORD), true);
      client.close();
    }
    const [owner, ...others] = this.#sharers as [Actor, ...Actor[]];
    const [shared] = owner.works as [Work];
    for (const work of this.#alice.works) if (work.ledger.expected) await this.#request(this.#alice.name, work, work.creation);
    await this.#request(owner.name, shared, shared.creation);
    const publishers = others.map(({ name }) => [`${name}@localhost`, 'publisher'] as const);
    await this.#request(owner.name, shared, shared.changes.affiliate(new Map(publishers)));
    await this.#request(this.#lena, shared, shared.changes.subscribe(`${this.#lena}@localhost`));
  }

  /** Everybody does what they do until the server is killed; then it is started again. */
  async live(kill: number): Promise<void> {
    const chance = this.#chance.fork(`kill ${kill}`);
    this.#isKilled = false;
    const { account } = this.#bookmarks;
    const lives = Promise.all([
      ...this.#actors.map(({ name, works }) =>
        this.#whileAlive(async () =>
          workWithNodes(await this.#login(name), works, { chance: chance.fork(name), watch: this.#watch }),
        ),
      ),
      this.#whileAlive(async () => {
        const clients = { newer: await this.#login(account, 'newer'), older: await this.#login(account, 'older') };
        await this.#bookmarks.work(clients, { chance: chance.fork(account), watch: this.#watch });
      }),
      ...[...this.#ears].map(([name, ears]) => this.#whileAlive(async () => ears.listen(await this.#login(name, 'ears')))),
    ]);
    // Who fails before that is heard at once.
    await Promise.race([sleep(chance.between(300, 1500)), lives]);
    if (chance.is(0.5)) {
      this.#aim = chance.pick(DELICATE);
      await Promise.race([new Promise<void>((resolve) => (this.#onAim = resolve)), sleep(500), lives]);
      this.#aim = undefined;
      await Promise.race([sleep(chance.between(0, 6)), lives]);
    }
    this.#isKilled = true;
    await this.#server.stop('SIGKILL');
    await lives;
    await this.#server.start();
  }

  /** Holds what there is against what was answered. */
  async check(): Promise<void> {
    const faults: string[] = [];
    const there = new Map<string, readonly string[]>();
    for (const { name, works } of [this.#alice, this.#bob]) {
      for (const work of works) {
        const found = await this.#read(name, work, faults);
        work.ledger.settle(found);
        there.set(work.rules.node, keysOf(found));
      }
    }
    await this.#checkShared(there, faults);
    await this.#checkBookmarks(there, faults);
    await this.#checkList(faults);
    for (const ears of this.#ears.values()) {
      for (const [node, keys] of there) ears.check(node, keys, (key) => this.#ledgers.some((ledger) => ledger.isUndone(key)));
      ears.forget();
    }
    this.#report(faults);
  }

  /** Fails when nothing was tried. */
  checkEnough(): void {
    for (const { name, answered } of this.#ledgers)
      assert.ok(answered > 0, `${name}: nothing was answered, so nothing was tested`);
    for (const [name, { count }] of this.#ears) assert.ok(count > 0, `${name} has heard nothing`);
  }

  /** Writes down what happened; the file. */
  async writeHistory(): Promise<string> {
    const file = join(tmpdir(), `parlance-crash-nodes-${SEED}-${this.#run}.log`);
    const all = [...this.#ledgers.map(({ name, history }) => [name, history] as const)];
    const heard = [...this.#ears].map(([name, { history }]) => [`what ${name} was told`, history] as const);
    const texts = [...all, ...heard].map(([name, history]) => `${name}\n${history.join('\n')}\n`);
    await writeFile(file, [...texts, this.#server.output].join('\n'));
    return file;
  }

  // ---- What there is afterwards

  /** What each of those who share the node has done, of what there is. */
  async #checkShared(there: Map<string, readonly string[]>, faults: string[]): Promise<void> {
    const [owner] = this.#sharers as [Actor];
    const [shared] = owner.works as [Work];
    const found = await this.#read(owner.name, shared, faults);
    there.set(shared.rules.node, keysOf(found));
    if (!found) return void faults.push('the shared node is not there');
    const publishers = new Set(this.#sharers.slice(1).map(({ name }) => `${name}@localhost`));
    for (const bare of publishers)
      if (found.affiliations.get(bare) !== 'publisher') faults.push(`${bare} is no publisher any more`);
    const left = new Set(found.subscribers);
    if (!left.delete(`${this.#lena}@localhost`)) faults.push('lena has not subscribed any more');
    for (const { name, works } of this.#sharers) {
      const [work] = works as [Work];
      const own = [...left].filter((jid) => jid.startsWith(`${name}@`));
      for (const jid of own) left.delete(jid);
      work.ledger.settle({
        ...found,
        title: name === owner.name ? found.title : '',
        items: new Map([...found.items].filter(([id]) => work.isMine(id))),
        affiliations: new Map(name === owner.name ? [...found.affiliations].filter(([bare]) => !publishers.has(bare)) : []),
        subscribers: new Set(own),
      });
    }
    if (left.size > 0) faults.push(`${[...left]} have subscribed to the shared node`);
  }

  async #checkBookmarks(there: Map<string, readonly string[]>, faults: string[]): Promise<void> {
    const { account, ledger } = this.#bookmarks;
    const client = await this.#login(account);
    const rooms = await readRooms(questionOf(client), parse, faults);
    const list = await readList(questionOf(client));
    client.close();
    const { url } = list;
    if (writeBookmarks({ rooms, url }) !== writeBookmarks(list))
      faults.push(`bookmarks differ:\n  ${writeBookmarks({ rooms, url })}\n  ${writeBookmarks(list)}`);
    ledger.settle({ rooms, url });
    there.set(
      NS_BOOKMARKS,
      [...rooms.values()].map(({ name }) => name),
    );
    // There all are told of again and again.
    there.set(NS_STORAGE, []);
  }

  /** The nodes that are listed are those that are there. */
  async #checkList(faults: string[]): Promise<void> {
    const ofService = [this.#bob.works, this.#sharers[0]!.works];
    for (const [name, to, works] of [
      [this.#alice.name, '', this.#alice.works],
      [this.#bob.name, SERVICE, ofService.flat()],
    ] as const) {
      const client = await this.#login(name);
      const address = to || `${name}@localhost`;
      const list = await questionOf(client, address)("<query xmlns='http://jabber.org/protocol/disco#items'/>");
      client.close();
      const mine = list!
        .getChildren('item')
        .map(({ attrs }) => String(attrs['node']))
        .filter((node) => node.endsWith(this.#run));
      const wanted = works.filter(({ ledger }) => ledger.expected).map(({ rules }) => rules.node);
      if (String(mine.sort()) !== String(wanted.sort())) faults.push(`${address} lists ${mine} in place of ${wanted}`);
    }
  }

  /** Fails with what happened where something is wrong. */
  #report(more: readonly string[]): void {
    const wrong = this.#ledgers.filter(({ faults }) => faults.length > 0);
    const misled = [...this.#ears.values()].filter(({ faults }) => faults.length > 0);
    const faults = [...more, ...[...wrong, ...misled].flatMap((each) => each.faults)];
    if (faults.length === 0) return;
    const histories = [...wrong, ...misled].map(({ history }) => history.slice(-SHOWN).join('\n'));
    assert.fail(`${faults.length} faults:\n${faults.slice(0, 10).join('\n')}\n\nwhat happened last:\n${histories.join('\n\n')}`);
  }

  // ---- Life

  get #actors(): readonly Actor[] {
    return [this.#alice, this.#bob, ...this.#sharers];
  }

  get #ledgers(): readonly AnyLedger[] {
    return [...this.#actors.flatMap(({ works }) => works.map(({ ledger }) => ledger)), this.#bookmarks.ledger];
  }

  readonly #watch = (kind: string): void => {
    if (kind === this.#aim) this.#onAim();
  };

  async #whileAlive(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#isKilled) throw error;
    }
  }

  async #login(name: string, resource = 'x'): Promise<WireClient> {
    const client = await WireClient.connect(this.#server.http);
    await client.login(name, PASSWORD, resource);
    return client;
  }

  async #read(name: string, { rules, to }: Work, faults: string[]): Promise<MaybeNode> {
    const client = await this.#login(name);
    const found = await readNode(questionOf(client, to), { rules, creator: `${name}@localhost`, faults });
    client.close();
    return found;
  }

  async #request(name: string, { to }: Work, { request, what }: NodeChange): Promise<void> {
    const client = await this.#login(name);
    const answer = await client.ask(`<iq type='set'${to && ` to='${to}'`}>${request}</iq>`);
    assert.equal(answer.attrs['type'], 'result', `${what}: ${answer}`);
    client.close();
  }
}

/** How often somebody does what, who does everything. */
const FREE = { publish: 60, retract: 12, purge: 2, configure: 6, delete: 4, affiliate: 5, subscribe: 5, unsubscribe: 4 };

const EMPTY: NodeState = {
  ...{ title: '', maxItems: '1', whenFull: 'retract-oldest' },
  ...{ items: new Map(), affiliations: new Map(), subscribers: new Set() },
};

/** Nodes that stay as most clients have them, and one that does not. */
function worksOfAlice(alice: string): readonly Work[] {
  const habits = { publish: 70, retract: 15, purge: 2, rename: 5 };
  const steady = ['1', '10', 'max'].map((maxItems) => {
    const rules = { node: `urn:test:${maxItems}:${alice}`, maxItems: '1', most: MOST };
    return new Work(alice, rules, { habits, start: { ...EMPTY, maxItems } });
  });
  return [...steady, new Work(alice, { node: `urn:test:free:${alice}`, maxItems: '1', most: MOST }, { habits: FREE })];
}

function makeSharers(run: string): readonly Actor[] {
  const rules = { node: `shared ${run}`, maxItems: 'max', most: MOST_SHARED };
  const share = (name: string, habits: Habits): Actor => {
    const start = { ...EMPTY, maxItems: 'max' };
    return { name, works: [new Work(name, rules, { to: SERVICE, plenty: PLENTY, start, habits })] };
  };
  const publishing = { publish: 60, retract: 15 };
  const coming = { ...publishing, subscribe: 20, unsubscribe: 15 };
  return [
    share(`carol${run}`, { ...publishing, rename: 10, affiliate: 20 }),
    share(`eve${run}`, publishing),
    share(`finn${run}`, coming),
    share(`gina${run}`, coming),
  ];
}

/** What was published, in order. */
function keysOf(state: MaybeNode): readonly string[] {
  return [...(state?.items.values() ?? [])].map(keyOf);
}
