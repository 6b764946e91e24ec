import type { Element } from 'ltx';
import type { WireClient } from '../support/wire-client.ts';
import {
  type BookmarkChange,
  type BookmarkState,
  publishRoom,
  type Room,
  readList,
  retractRoom,
  writeBookmarks,
  writeList,
} from './bookmark-changes.ts';
import type { Chance } from './chance.ts';
import { Ledger } from './ledger.ts';
import {
  type MaybeNode,
  makePayload,
  type NodeChange,
  NodeChanges,
  type NodeRules,
  type NodeSettings,
  writeNode,
} from './node-changes.ts';

/** What an actor does how often. */
export type Habits = Readonly<Record<string, number>>;

/** How a client works with a node. */
export interface WorkParts {
  readonly to?: string;
  readonly start?: MaybeNode;
  readonly habits: Habits;
  readonly plenty?: number;
}

/** A node, as one client works with it. */
export class Work {
  readonly rules: NodeRules;
  /** Where the node is; empty for the own account. */
  readonly to: string;
  readonly ledger: Ledger<MaybeNode>;
  readonly changes: NodeChanges;
  readonly #habits: readonly (readonly [string, number])[];
  readonly #account: string;
  /** With which ids and keys begin. */
  readonly #prefix: string;
  /** How many items there are before it rather removes some. */
  readonly #plenty: number;
  #number = 0;

  /** `start` is what there is at first. */
  constructor(account: string, rules: NodeRules, { to = '', start, habits, plenty = Number.POSITIVE_INFINITY }: WorkParts) {
    this.rules = rules;
    this.to = to;
    this.#account = account;
    this.#prefix = `${account}-${rules.node}`;
    this.#plenty = plenty;
    this.#habits = Object.entries(habits);
    this.changes = new NodeChanges(rules);
    this.ledger = new Ledger(`${account} at ${rules.node}`, start, writeNode);
  }

  /** Whether an item is one of this client's. */
  readonly isMine = (id: string): boolean => id.startsWith(`${this.#account}:`);

  /** What makes it as it is at first. */
  get creation(): NodeChange {
    return this.changes.create({ maxItems: this.ledger.expected?.maxItems ?? this.rules.maxItems });
  }

  /** The next thing to be done. */
  next(chance: Chance): NodeChange {
    const state = this.ledger.expected;
    if (!state) return this.#begin(chance);
    if (state.items.size > this.#plenty) return this.changes.retract([...state.items.keys()][0]!);
    let dice = chance.between(
      0,
      this.#habits.reduce((sum, [, weight]) => sum + weight, 0),
    );
    const kind = this.#habits.find(([, weight]) => (dice -= weight) < 0)![0];
    return this.#make(kind, state, chance);
  }

  #begin(chance: Chance): NodeChange {
    const settings = makeSettings(chance);
    // A node that is not there is made by who publishes, too.
    return chance.is(0.5) ? this.changes.create(settings) : this.#publish(`${this.#account}:new`, chance, settings);
  }

  #publish(id: string, chance: Chance, settings: NodeSettings = {}): NodeChange {
    return this.changes.publish(id, makePayload(`${this.#prefix}-${++this.#number}`, chance), settings);
  }

  #make(kind: string, state: NonNullable<MaybeNode>, chance: Chance): NodeChange {
    const { changes } = this;
    const addresses = [`${this.#account}@localhost`, `${this.#account}@localhost/a`, `${this.#account}@localhost/b`];
    switch (kind) {
      case 'publish':
        return this.#publish(this.#pickId(state, chance), chance);
      case 'retract':
        return changes.retract(chance.is(0.05) || state.items.size === 0 ? 'nothing' : chance.pick([...state.items.keys()]));
      case 'purge':
        return changes.purge();
      case 'configure':
        return changes.configure(makeSettings(chance));
      case 'rename':
        return changes.configure({ title: `title ${chance.between(0, 1000)}` });
      case 'affiliate':
        return changes.affiliate(makeAffiliations(chance));
      case 'subscribe':
        return changes.subscribe(chance.pick(addresses));
      case 'unsubscribe':
        return changes.unsubscribe(chance.pick(addresses));
      default:
        return changes.delete();
    }
  }

  #pickId({ items }: NonNullable<MaybeNode>, chance: Chance): string {
    const mine = [...items.keys()].filter(this.isMine);
    if (mine.length > 0 && chance.is(0.2)) return chance.pick(mine);
    return `${this.#account}:${this.#number}`;
  }
}

function makeSettings(chance: Chance): NodeSettings {
  return {
    maxItems: chance.pick(['1', '3', '10', 'max', 'max']),
    ...(chance.is(0.5) && { title: `title ${chance.between(0, 1000)}` }),
    ...(chance.is(0.5) && { whenFull: chance.pick(['retract-oldest', 'discard-oldest', 'reject']) }),
  };
}

function makeAffiliations(chance: Chance): ReadonlyMap<string, string> {
  const count = chance.between(1, 4);
  const all = ['none', 'member', 'publisher', 'publish-only', 'outcast', 'owner'];
  return new Map(Array.from({ length: count }, () => [`friend${chance.between(0, 6)}@example.org`, chance.pick(all)]));
}

/** What leads actors. */
export interface Lead {
  readonly chance: Chance;
  /** Told what kind of thing is on its way to the server. */
  watch(kind: string): void;
}

/** Works with nodes, several requests on their way at once, until the line breaks. */
export async function workWithNodes(client: WireClient, works: readonly Work[], { chance, watch }: Lead): Promise<never> {
  for (let number = 0; ; ) {
    const sent: { readonly id: string; readonly ledger: Ledger<MaybeNode> }[] = [];
    for (let left = chance.between(1, 6); left > 0; left--) {
      const work = chance.pick(works);
      const change = work.next(chance);
      const id = `n${++number}`;
      work.ledger.send(change);
      sent.push({ id, ledger: work.ledger });
      client.send(`<iq type='set' id='${id}'${work.to && ` to='${work.to}'`}>${change.request}</iq>`);
      watch(change.kind);
    }
    for (const { id, ledger } of sent) {
      ledger.answer(answerOf(await client.until(({ name, attrs }) => name === 'iq' && attrs['id'] === id)));
    }
  }
}

/** The bookmarks of an account, which has a client for each specification. */
export class Bookmarks {
  readonly ledger: Ledger<BookmarkState>;
  readonly account: string;
  #number = 0;

  constructor(account: string) {
    this.account = account;
    this.ledger = new Ledger<BookmarkState>(`bookmarks of ${account}`, { rooms: new Map(), url: '' }, writeBookmarks);
  }

  /** Changes bookmarks with one client or the other, until the line breaks. */
  async work({ newer, older }: { newer: WireClient; older: WireClient }, { chance, watch }: Lead): Promise<never> {
    for (;;) {
      if (chance.is(0.6)) await this.#carryOut(newer, this.#next(chance), watch);
      else {
        await this.#look(older);
        await this.#carryOut(older, this.#nextList(chance), watch);
      }
    }
  }

  async #carryOut(client: WireClient, change: BookmarkChange, watch: Lead['watch']): Promise<void> {
    this.ledger.send(change);
    const asked = client.ask(`<iq type='set'>${change.request}</iq>`);
    watch(change.kind);
    this.ledger.answer(answerOf(await asked));
  }

  /** What clients of the older specification see is what there is, at any time. */
  async #look(client: WireClient): Promise<void> {
    const found = writeBookmarks(await readList(questionOf(client)));
    const wanted = writeBookmarks(this.ledger.expected);
    if (found !== wanted) this.ledger.fault(`private storage has\n  ${found}\nin place of\n  ${wanted}`);
  }

  #next(chance: Chance): BookmarkChange {
    const { rooms } = this.ledger.expected;
    const isMany = rooms.size > 12;
    if (rooms.size > 0 && chance.is(isMany ? 0.8 : 0.25)) return retractRoom(chance.pick([...rooms.keys()]));
    return publishRoom(makeAddress(chance), this.#makeRoom(chance));
  }

  #nextList(chance: Chance): BookmarkChange {
    const before = this.ledger.expected;
    const changes = new Map<string, Room | undefined>();
    for (let left = chance.between(1, 4); left > 0; left--) {
      const isRemoval = before.rooms.size > 0 && chance.is(0.4);
      const address = isRemoval ? chance.pick([...before.rooms.keys()]) : makeAddress(chance);
      if (!changes.has(address)) changes.set(address, isRemoval ? undefined : this.#makeRoom(chance));
    }
    const url = chance.is(0.2) ? `http://example.org/${chance.between(0, 100)}` : before.url;
    return writeList(before, changes, url);
  }

  #makeRoom(chance: Chance): Room {
    return {
      name: `${this.account}-${++this.#number}`,
      autojoin: chance.is(0.5),
      nick: chance.is(0.5) ? `nick ${chance.between(0, 10)}` : '',
    };
  }
}

function makeAddress(chance: Chance): string {
  return `room${chance.between(0, 16)}@conference.localhost`;
}

/** `result`, or the condition of the error. */
function answerOf(iq: Element): string {
  const error = iq.getChild('error');
  return error ? String(error.getChildElements()[0]?.name) : String(iq.attrs['type']);
}

/** Asks questions with this client, of this address. */
export function questionOf(client: WireClient, to = ''): (payload: string) => Promise<Element | undefined> {
  return async (payload) => {
    const iq = await client.ask(`<iq type='get'${to && ` to='${to}'`}>${payload}</iq>`);
    const answer = answerOf(iq);
    if (answer !== 'result' && answer !== 'item-not-found') throw new Error(`${payload} was answered ${iq}`);
    return answer === 'result' ? iq.getChildElements()[0] : undefined;
  };
}
