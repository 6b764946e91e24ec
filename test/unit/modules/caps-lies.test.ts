import assert from 'node:assert/strict';
import type { Features, Learned } from '../../../modules/caps/index.ts';
import { Inquiry } from '../../../modules/caps/inquiry.ts';
import { REMOTE_LIMITS, RemoteClients } from '../../../modules/caps/remote-clients.ts';
import { Verified } from '../../../modules/caps/verified.ts';
import { type Element, Envelope, Jid, nobody, readElement, readStanza, Signal, StanzaError } from '../../../src/index.ts';
import { info, type Kind, kindOf, Listener, legacy, modern } from '../../support/caps-scene.ts';
import { makeRandom, type SeededRandom } from '../../support/random.ts';

const STEPS = 300;
const JULIET = Jid.parse('juliet@example.org');
const KINDS = ['a', 'b', 'c', 'd'].map((name) => kindOf(`urn:${name}`, `urn:${name}:node+notify`));

interface Question {
  readonly of: Player;
  readonly node: string;
  readonly resolve: (query: Element) => void;
  readonly reject: (error: unknown) => void;
}

/** A client that tells the truth, or one that does not. */
class Player {
  readonly jid: Jid;
  readonly isHonest: boolean;
  /** What it is; undefined while it is not available. */
  kind: Kind | undefined = undefined;

  constructor(name: string, isHonest: boolean) {
    this.jid = Jid.parse(`${name}@example.net/${name}`);
    this.isHonest = isHonest;
  }
}

/** Clients that come, change, go and answer in any order, some of them liars. What is known of the honest ones is to be the truth. */
class Game {
  readonly #random: SeededRandom;
  readonly #players: readonly Player[] = ['h1', 'h2', 'h3', 'l1', 'l2'].map((name) => new Player(name, name.startsWith('h')));
  readonly #questions: Question[] = [];
  readonly #learned = new Signal<Learned>('learned', (_, error) => {
    throw error;
  });
  readonly #clients: RemoteClients;
  readonly #heard: Listener;

  constructor(seed: number, strings: number) {
    this.#random = makeRandom(seed);
    const verified = new Verified({ strings, weight: 1 << 20 });
    const ask = (to: Jid, _: 'get', payload: Element) => this.#ask(to, String(payload.attrs['node']));
    this.#clients = new RemoteClients(
      new Inquiry({ ask, learned: this.#learned, verified }),
      { ...REMOTE_LIMITS, patience: 0 },
      () => 0,
    );
    this.#heard = new Listener({ learned: this.#learned });
  }

  async play(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      const dice = this.#random.below(10);
      const player = this.#random.pick(this.#players);
      if (dice < 4) this.#come(player);
      else if (dice === 4) this.#go(player);
      else if (dice < 9) this.#answer();
      else this.#fail();
      if (this.#random.below(3) === 0) await turn();
      this.#check(false);
    }
    // Whoever has not answered does when it is asked once more.
    for (let i = 0; i < 100; i++) {
      for (const { jid } of this.#players) void this.#clients.of(jid);
      while (this.#questions.length > 0) this.#answer();
      await turn();
    }
    this.#check(true);
  }

  #check(isOver: boolean): void {
    for (const { jid, isHonest, kind } of this.#players) {
      const known = this.#clients.of(jid);
      if (isOver) assert(!(known instanceof Promise));
      if (known instanceof Promise || !isHonest) continue;
      if (isOver && kind) assert(known, `${jid} is known in the end`);
      if (known) assert.equal(describeFeatures(known), describeKind(kind), `of ${jid}`);
      if (isOver) assert.equal(this.#heard.last(jid), known, `what was told of ${jid}`);
    }
  }

  /** Whatever it announces: a liar announces what honest ones do. */
  #come(player: Player): void {
    const kind = this.#random.pick(KINDS);
    const how = [
      legacy(kind.ver),
      legacy(kind.ver, { hash: " hash='md5'" }),
      legacy(kind.ver, { hash: '' }),
      modern({ 'sha-256': kind.sha256, 'sha3-256': kind.sha3 }),
      modern({ 'sha3-256': kind.sha3 }) + legacy(kind.ver),
    ];
    player.kind = kind;
    this.#send(player.jid, '', this.#random.pick(how));
  }

  #go(player: Player): void {
    player.kind = undefined;
    this.#send(player.jid, " type='unavailable'", '');
  }

  #send({ full }: Jid, type: string, inner: string): void {
    const stanza = readStanza(`<presence xmlns='jabber:client' from='${full}' to='${JULIET.full}'${type}>${inner}</presence>`);
    this.#clients.note(new Envelope(stanza, Jid.parse(full), JULIET, nobody));
  }

  #ask(to: Jid, node: string): Promise<Element> {
    const of = this.#players.find(({ jid }) => jid.full === to.full)!;
    assert(!this.#questions.some((other) => other.of === of), 'one question at a time');
    return new Promise((resolve, reject) => void this.#questions.push({ of, node, resolve, reject }));
  }

  #take(): Question | undefined {
    return this.#questions.splice(this.#random.below(this.#questions.length), 1)[0];
  }

  /** Honest ones answer for the node they were asked about. */
  #answer(): void {
    const question = this.#take();
    if (!question) return;
    const { of, node, resolve } = question;
    const truth = KINDS.find(({ ver, sha256, sha3 }) => [ver, sha256, sha3].some((hash) => node.endsWith(hash)))!;
    resolve(readElement(info(of.isHonest ? truth : this.#random.pick(KINDS))));
  }

  #fail(): void {
    const condition = this.#random.pick(['remote-server-timeout', 'service-unavailable'] as const);
    this.#take()?.reject(new StanzaError(condition));
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Which of all features these are. */
function describeFeatures(features: Features): string {
  const all = KINDS.flatMap((kind) => kind.features.slice(1));
  return all.filter((each) => features.has(each)).join();
}

function describeKind(kind: Kind | undefined): string {
  return kind ? kind.features.slice(1).join() : 'not available';
}

describe('caps: what liars say', () => {
  for (let seed = 1; seed <= 20; seed++) {
    it(`is never believed of others (${seed})`, () => new Game(seed, seed % 2 === 0 ? 1000 : 2).play());
  }
});
