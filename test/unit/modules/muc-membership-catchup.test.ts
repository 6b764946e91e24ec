import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import type { Element } from 'ltx';
import { TAG } from '../../../modules/mam/index.ts';
import mucMembership from '../../../modules/muc-membership/index.ts';
import sm from '../../../modules/sm/index.ts';
import { makeIdSource, timeOf } from '../../../src/ids.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { ArchiveStore, Storage } from '../../../src/storage/storage.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { makeRandom, type SeededRandom } from '../../support/random.ts';
import { join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SmClient } from '../../support/sm-client.ts';

const NS_MAM = 'urn:xmpp:mam:2';
const NS_SID = 'urn:xmpp:sid:0';
const DAY = 86_400_000;
/** Said while the member was away, and while it comes. */
const AWAY = 400;
const COMING = 100;
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1);

/** What a client has got from a room: ids that the room has given, in the order in which they came. */
class Reader {
  readonly live: string[] = [];
  readonly history: string[] = [];
  readonly archive: string[] = [];

  take(stanzas: readonly Element[]): void {
    for (const stanza of stanzas) {
      if (stanza.name !== 'message') continue;
      const result = stanza.getChild('result', NS_MAM);
      const id: unknown = (result ?? stanza.getChild('stanza-id', NS_SID))?.attrs['id'];
      if (typeof id !== 'string') continue;
      // Who resumes is told by the host when it was said; history comes from the room.
      const isHistory = stanza.getChildren('delay', 'urn:xmpp:delay').some(({ attrs }) => attrs['from'] === LOUNGE);
      const place = result ? this.archive : isHistory ? this.history : this.live;
      place.push(id);
    }
  }

  /** All of it, each once, as a client sorts what it has put together. */
  union(known: readonly string[] = []): string[] {
    return [...new Set([...known, ...this.archive, ...this.history, ...this.live])].sort();
  }
}

/** Archives that take their time, now more and now less; what is written first is there first. */
function unsteady(storage: Storage, random: SeededRandom): Storage {
  let last = Promise.resolve();
  const wait = async (most = 4) => {
    for (let i = random.below(most); i > 0; i--) await setImmediate();
  };
  const slow = (store: ArchiveStore): ArchiveStore => ({
    ...bound(store),
    append: (owner, item) => {
      const done = last.then(() => wait()).then(() => store.append(owner, item));
      last = done.catch(() => {});
      // It can be read before whoever has written it knows that.
      return done.then(() => wait());
    },
    query: async (owner, filter) => {
      await wait(20);
      const page = await store.query(owner, filter);
      await wait();
      return page;
    },
  });
  return new Proxy(storage, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'open') return value.bind(target);
      return async (host: string, module: string, specs: Record<string, { kind: string }>) => {
        const stores: Record<string, unknown> = await target.open(host, module, specs as never);
        if (module !== 'muc') return stores;
        return { ...stores, messages: slow(stores['messages'] as ArchiveStore) };
      };
    },
  });
}

function bound(store: ArchiveStore): ArchiveStore {
  return {
    append: (...args) => store.append(...args),
    query: (...args) => store.query(...args),
    count: (...args) => store.count(...args),
    remove: (...args) => store.remove(...args),
    replace: (...args) => store.replace(...args),
    parties: (...args) => store.parties(...args),
    owners: (...args) => store.owners(...args),
  };
}

/** A room in which two talk; what they have said, and when. */
class Talk {
  readonly scene: RoomScene;
  readonly random: SeededRandom;
  /** Everything that was said, in order. */
  readonly said: string[] = [];
  readonly #speakers: readonly Probe[];
  readonly #witness = new Reader();
  #spoken = 0;

  private constructor(scene: RoomScene, random: SeededRandom, speakers: readonly Probe[]) {
    this.scene = scene;
    this.random = random;
    this.#speakers = speakers;
  }

  static async begin(seed: number, maxHistory: number): Promise<Talk> {
    const random = makeRandom(seed);
    const storage = unsteady(await openStorage({ type: 'memory' }, silent), random);
    const scene = await RoomScene.start({ storage, more: [sm, mucMembership], muc: { maxHistory } });
    await scene.room({ settings: { maxHistory }, people: { juliet: 'member' } });
    const speakers = [await scene.client('romeo'), await scene.client('nurse')];
    for (const speaker of speakers) speaker.send(join(`${LOUNGE}/${speaker.session.jid.local}`, "<history maxstanzas='0'/>"));
    await rest();
    for (const speaker of speakers) speaker.take();
    return new Talk(scene, random, speakers);
  }

  /** What was said in the course of a day, up to now. */
  async fillDay(count: number): Promise<void> {
    let now = Date.now() - DAY;
    const nextId = makeIdSource(() => now);
    for (let i = 0; i < count; i++) {
      now += Math.floor((DAY / (count + 1)) * (this.random.below(200) / 100));
      now = Math.min(now, Date.now() - 1000);
      const id = nextId();
      const stanza = `<message xmlns='jabber:client' type='groupchat' from='${LOUNGE}/romeo' id='d${i}'><body>d${i}</body></message>`;
      const item = { id, with: 'romeo@example.org', resource: 'romeo', tag: TAG.groupchat | TAG.conversation, stanza };
      await this.scene.rooms.messages.append(LOUNGE, item);
      this.said.push(id);
    }
  }

  /** Somebody says something, sometimes several things at once. */
  speak(count = 1): void {
    for (let i = 0; i < count; i++) this.random.pick(this.#speakers).send(say(`s${this.#spoken++}`));
  }

  /** So many things are said, at random times, until all are. */
  async chat(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const now = Math.min(left, this.random.below(4));
      this.speak(now);
      left -= now;
      await this.pause();
    }
  }

  /** Some time passes, or none. */
  async pause(): Promise<void> {
    for (let i = this.random.below(6); i > 0; i--) await setImmediate();
  }

  /** All that was said is with those who have said it. */
  async end(): Promise<readonly string[]> {
    await rest();
    this.#witness.take(this.#speakers[0]!.take());
    assert.equal(this.#witness.live.length, this.#spoken, 'not everything was said');
    this.said.push(...this.#witness.live);
    this.#witness.live.length = 0;
    this.#spoken = 0;
    return this.said;
  }

  stop(): Promise<void> {
    return this.scene.stop();
  }
}

/** Until all is quiet. */
async function rest(): Promise<void> {
  for (let i = 0; i < 40; i++) await settle();
}

/** Reads the room's archive behind an id, page by page. What comes meanwhile stays queued. */
async function readPages(client: Pick<Probe, 'ask'>, talk: Talk, after: string): Promise<void> {
  for (let from = after; ; ) {
    const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>${10 + talk.random.below(60)}</max><after>${from}</after></set>`;
    const answer = await client.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='${NS_MAM}'>${set}</query></iq>`);
    const fin = answer.getChild('fin', NS_MAM);
    assert(fin, String(answer));
    from = fin.getChild('set')?.getChildText('last') ?? from;
    if (fin.attrs['complete'] === 'true') return;
    await talk.pause();
  }
}

/** Asserts that this is what was said last, all of it from its first on. */
function assertTail(found: readonly string[], said: readonly string[], what: string): void {
  assert.deepEqual(found, said.slice(said.length - found.length), `${what}: not what was said last, each once and in order`);
}

describe('muc-membership: a member who was away for a day catches up with exactly what was said, once', () => {
  const enter = (history: string) => join(`${LOUNGE}/juliet`, history);

  for (const seed of SEEDS) {
    it(`by the archive, with no history (as Conversations does), seed ${seed}`, async () => {
      const talk = await Talk.begin(seed, 50);
      await talk.fillDay(AWAY);
      const known = talk.said.slice(0, 1 + talk.random.below(20));
      const chat = talk.chat(COMING);
      await talk.pause();
      const juliet = await talk.scene.host.login('juliet', 'phone');
      juliet.send('<presence/>');
      await talk.pause();
      juliet.send(enter("<history maxstanzas='0'/>"));
      // Some clients wait until they are in, others do not.
      if (talk.random.below(2) === 0) await talk.pause();
      await readPages(juliet, talk, known.at(-1)!);
      await chat;
      const said = await talk.end();
      const reader = new Reader();
      reader.take(juliet.take());
      assert.deepEqual(reader.history, []);
      assertTail(reader.live, said, 'what was said while it was there');
      assert.deepEqual(reader.archive, said.slice(known.length, known.length + reader.archive.length));
      assert.deepEqual(reader.union(known), said);
      await talk.stop();
    });

    it(`by history since it left, as far as there is any, and the archive, seed ${seed}`, async () => {
      const talk = await Talk.begin(seed, 50);
      await talk.fillDay(AWAY);
      const known = talk.said.slice(0, 1 + talk.random.below(20));
      const chat = talk.chat(COMING);
      await talk.pause();
      const juliet = await talk.scene.host.online('juliet', 'phone');
      const since = new Date(timeOf(known.at(-1)!)!).toISOString();
      juliet.send(enter(`<history since='${since}'/>`));
      if (talk.random.below(2) === 0) await talk.pause();
      await readPages(juliet, talk, known.at(-1)!);
      await chat;
      const said = await talk.end();
      const reader = new Reader();
      reader.take(juliet.take());
      assert(reader.history.length > 0 && reader.history.length <= 50);
      assertTail([...reader.history, ...reader.live], said, 'history and what was said then');
      assert.deepEqual(reader.union(known), said);
      await talk.stop();
    });

    it(`by history alone where the room gives enough of it, seed ${seed}`, async () => {
      const talk = await Talk.begin(seed, 1000);
      await talk.fillDay(AWAY);
      const known = talk.said.slice(0, 1 + talk.random.below(20));
      const chat = talk.chat(COMING);
      const juliet = await talk.scene.host.online('juliet', 'phone');
      juliet.send(enter(`<history since='${new Date(timeOf(known.at(-1)!)!).toISOString()}'/>`));
      await chat;
      const said = await talk.end();
      const reader = new Reader();
      reader.take(juliet.take());
      // From the very time on: that with the last it knows, which it knows by the id.
      assertTail([...reader.history, ...reader.live], said, 'history and what was said then');
      assert.deepEqual(reader.union(known), said);
      await talk.stop();
    });

    it(`by resuming its session, or by the archive where that is gone, seed ${seed}`, async () => {
      const talk = await Talk.begin(seed, 50);
      await talk.fillDay(20);
      const known = [...talk.said];
      const juliet = await SmClient.online(talk.scene.host, 'juliet', { resource: 'phone' });
      const reader = new Reader();
      juliet.send(enter("<history maxstanzas='0'/>"));
      const chat = talk.chat(COMING + AWAY);
      await readPages(juliet, talk, known.at(-1)!);
      for (let cuts = 1 + talk.random.below(3); cuts > 0; cuts--) {
        await chatFor(talk);
        reader.take(juliet.take());
        if (talk.random.below(2) === 0) juliet.ack();
        juliet.cut();
        await chatFor(talk);
        assert.equal((await juliet.resume()).name, 'resumed');
      }
      await chat;
      const during = [...(await talk.end())];
      reader.take(juliet.take());
      assertTail(reader.live, during, 'over several lines');
      assert.deepEqual(reader.union(known), during);
      // The session ends with the line: what it had not been told is in the archive.
      const last = during.at(-1)!;
      juliet.leave();
      const more = talk.chat(COMING);
      await talk.pause();
      const again = await SmClient.managed(talk.scene.host, 'juliet', { resource: 'phone' });
      again.send('<presence/>');
      again.send(enter("<history maxstanzas='0'/>"));
      await readPages(again, talk, last);
      await more;
      const said = await talk.end();
      const second = new Reader();
      second.take(again.take());
      assertTail(second.live, said, 'in the new session');
      assert.deepEqual(second.union(during), said);
      await talk.stop();
    });
  }

  async function chatFor(talk: Talk): Promise<void> {
    for (let i = talk.random.below(8); i > 0; i--) await talk.pause();
  }
});

describe('muc: who comes in while something is being said', () => {
  for (const wish of ["<history maxstanzas='1'/>", "<history maxstanzas='0'/>", "<history maxchars='10'/>", '']) {
    it(`gets it once, with ${wish || 'all history'}`, async () => {
      for (const seed of SEEDS) {
        const talk = await Talk.begin(seed, 50);
        const juliet = await talk.scene.host.online('juliet', 'phone');
        await talk.fillDay(3);
        talk.speak(10);
        juliet.send(join(`${LOUNGE}/juliet`, wish));
        talk.speak(10);
        const said = await talk.end();
        const reader = new Reader();
        reader.take(juliet.take());
        assert(reader.live.length >= 10, `seed ${seed}: ${reader.live.length}`);
        assertTail([...reader.history, ...reader.live], said, `seed ${seed}`);
        await talk.stop();
      }
    });
  }
});
