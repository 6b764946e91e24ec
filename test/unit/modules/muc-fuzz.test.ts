// A room among clients that do whatever they like, against a small model of what each may see. The seed is in the name of a failure:
// `MUC_FUZZ_SEED` runs it again, and `MUC_FUZZ_RUNS` runs more.
import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import type { Affiliation, Role, Room } from '../../../modules/muc/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { makeRandom, type SeededRandom } from '../../support/random.ts';
import { change, codesIn, configure, itemIn, join, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';
import { SlowStorage } from '../../support/slow-storage.ts';

const STEPS = 150;
const RUNS = Number(process.env['MUC_FUZZ_RUNS'] ?? 25);
const NICKS = ['Ann', 'ann', 'Bob', 'Cat', 'Dan', 'Eve'];
const USERS = ['ann', 'bob', 'cat', 'dan', 'keeper'];
const AFFILIATIONS: readonly Affiliation[] = ['outcast', 'none', 'none', 'member', 'member', 'admin', 'owner'];
const ROLES: readonly Role[] = ['none', 'visitor', 'participant', 'moderator'];

/** A client, as it sees the room: by what it was told, and nothing else. */
class Watcher {
  readonly probe: Probe;
  /** The nick it has, from self-presence; undefined outside. */
  nick: string | undefined = undefined;
  role: string | undefined = undefined;
  /** Who is there, as it was told. */
  readonly seen = new Map<string, { readonly role: string; readonly affiliation: string }>();
  /** The messages it was told in each stay, first the history and then what was said; the last stay is going on. */
  readonly stays: { readonly ids: string[]; isLive: boolean }[] = [];
  isGone = false;

  constructor(probe: Probe) {
    this.probe = probe;
  }

  get bare(): string {
    return this.probe.session.jid.bare;
  }

  /** Takes what has come. `fail` says what is wrong with it. */
  take(world: World): void {
    for (const stanza of this.probe.take()) {
      const from = String(stanza.attrs['from'] ?? '');
      if (!from.startsWith(LOUNGE) || stanza.attrs['type'] === 'error' || stanza.name === 'iq') continue;
      if (stanza.name === 'presence') this.#takePresence(stanza, from.slice(LOUNGE.length + 1), world);
      else this.#takeMessage(stanza, from, world);
    }
  }

  #takePresence(stanza: Element, nick: string, world: World): void {
    const { jid, role = '', affiliation = '' } = itemIn(stanza);
    const isSelf = codesIn(stanza).includes('110');
    const isOut = stanza.attrs['type'] === 'unavailable';
    assert(
      isSelf || this.nick !== undefined || world.entering.has(this),
      `${this.probe.jid} is outside and sees ${nick}: ${stanza}`,
    );
    // Section 7.2.4: the real address is for moderators, for everybody where the room is not anonymous, and for oneself.
    if (jid !== undefined) {
      const isOwn = jid.startsWith(`${this.bare}/`);
      assert(isOwn || world.mayKnow(this), `${this.probe.jid} learns the address of ${nick}: ${stanza}`);
    }
    if (isSelf && role === 'moderator') world.entitle(this);
    if (isSelf) {
      const { nick: next } = itemIn(stanza);
      if (isOut && next === undefined) this.#leave();
      else if (!isOut) this.#come(nick, role);
    }
    if (isOut) this.seen.delete(nick);
    else this.seen.set(nick, { role, affiliation });
    if (isOut && isSelf && itemIn(stanza)['nick'] === undefined) this.seen.clear();
  }

  #come(nick: string, role: string): void {
    if (this.nick === undefined) this.stays.push({ ids: [], isLive: false });
    this.nick = nick;
    this.role = role;
  }

  #leave(): void {
    this.nick = undefined;
    this.role = undefined;
    this.seen.clear();
  }

  #takeMessage(stanza: Element, from: string, world: World): void {
    if (stanza.attrs['type'] !== 'groupchat') return;
    assert.notEqual(this.nick, undefined, `${this.probe.jid} is outside and hears ${stanza}`);
    const id = stanza.attrs['id'];
    const body = stanza.getChildText('body');
    if (body === null) return;
    this.#noteSaid(String(id), stanza.getChild('delay') !== undefined);
    assert.doesNotMatch(String(stanza).replaceAll(this.bare, ''), /@example\.org/, 'a real address in a message');
    const said = world.said.get(String(id));
    assert(said !== undefined, `${this.probe.jid} hears what nobody has said: ${stanza}`);
    assert.equal(stanza.getChild('occupant-id')?.attrs['id'], world.room.occupantId(said), 'whoever has said it');
    assert(from.startsWith(`${LOUNGE}/`), 'from an occupant');
  }

  /** History begins a stay, also when the client enters again though it is there. */
  #noteSaid(id: string, isHistory: boolean): void {
    const stay = this.stays.at(-1)!;
    if (isHistory && (stay.isLive || stay.ids.includes(id))) this.stays.push({ ids: [id], isLive: false });
    else stay.ids.push(id);
    this.stays.at(-1)!.isLive = !isHistory;
  }
}

/** The room, the clients in it and around it, and what they do. */
class World {
  readonly scene: RoomScene;
  readonly random: SeededRandom;
  readonly room: Room;
  readonly watchers: Watcher[] = [];
  readonly archives: SlowStorage;
  /** Who has tried to say what: the account by the id. */
  readonly said = new Map<string, string>();
  /** Those who have just asked to come in. */
  readonly entering = new Set<Watcher>();
  readonly log: string[] = [];
  #messages = 0;
  #isHeld = false;
  /** Who was entitled to real addresses at any time since all has come to rest last. */
  readonly #entitled = new Set<Watcher>();

  constructor(parts: Pick<World, 'scene' | 'random' | 'room' | 'archives'>) {
    this.scene = parts.scene;
    this.random = parts.random;
    this.room = parts.room;
    this.archives = parts.archives;
    // What changes and changes back before all has come to rest has been so for a moment.
    const { entered, configured, affiliated } = parts.scene.rooms.signals;
    for (const signal of [entered, configured, affiliated]) signal.add(() => this.noteEntitled());
  }

  mayKnow(watcher: Watcher): boolean {
    return this.#entitled.has(watcher);
  }

  entitle(watcher: Watcher): void {
    this.#entitled.add(watcher);
  }

  /** Whoever may know real addresses now may be told of them later, when what has been sent arrives. */
  noteEntitled(): void {
    for (const watcher of this.watchers) {
      const { role } = this.room.standingOf(watcher.probe.session.jid);
      if (this.room.settings.whois === 'anyone' || role === 'moderator') this.#entitled.add(watcher);
    }
  }

  async connect(username: string, resource: string): Promise<void> {
    this.watchers.push(new Watcher(await this.scene.host.online(username, resource)));
  }

  /** One thing that somebody does. */
  async step(): Promise<void> {
    const { random } = this;
    const watcher = random.pick(this.watchers.filter(({ isGone }) => !isGone));
    const deed = random.pick(DEEDS);
    this.log.push(`${watcher.probe.jid} ${deed.name}`);
    this.noteEntitled();
    await deed(this, watcher);
    this.noteEntitled();
    // Now and then several things happen before anything is done with them.
    if (random.below(3) > 0) await this.rest();
  }

  async rest(): Promise<void> {
    await settle();
    this.noteEntitled();
    for (const watcher of this.watchers) watcher.take(this);
    if (this.#isHeld) return;
    this.entering.clear();
    this.#entitled.clear();
    this.check();
  }

  say(watcher: Watcher): void {
    const id = `m${++this.#messages}`;
    this.said.set(id, watcher.bare);
    watcher.probe.send(say(id, { id }));
  }

  hold(): void {
    if (this.#isHeld) return this.release();
    this.#isHeld = true;
    this.archives.hold();
  }

  release(): void {
    this.#isHeld = false;
    this.archives.release();
  }

  /** Now that all has come to rest, what each was told is what is. */
  check(): void {
    const inside = new Map([...this.room.occupants].map((occupant) => [occupant.real.full, occupant]));
    const nicks = [...new Set([...this.room.occupants].map(({ nick }) => nick))].sort();
    for (const watcher of this.watchers) {
      const occupant = inside.get(watcher.probe.jid);
      if (watcher.isGone) {
        assert.equal(occupant, undefined, `${watcher.probe.jid} has gone and is there`);
        continue;
      }
      assert.equal(watcher.nick, occupant?.nick, `${watcher.probe.jid} knows where it is`);
      if (!occupant) continue;
      assert.equal(watcher.role, occupant.role, `${watcher.probe.jid} knows its role`);
      assert.deepEqual([...watcher.seen.keys()].sort(), nicks, `${watcher.probe.jid} knows who is there`);
      for (const [nick, { affiliation, role }] of watcher.seen) {
        const others = [...this.room.occupants].filter((other) => other.nick === nick);
        assert(
          others.some((other) => other.role === role),
          `${watcher.probe.jid} knows the role of ${nick}: ${role}`,
        );
        assert(
          others.some(({ real }) => this.room.affiliationOf(real) === affiliation),
          `${nick} is ${affiliation}`,
        );
      }
    }
    for (const { real } of this.room.occupants) {
      const affiliation = this.room.affiliationOf(real);
      assert.notEqual(affiliation, 'outcast', `${real.full} is banned and there`);
      if (this.room.settings.isMembersOnly) assert.notEqual(affiliation, 'none', `${real.full} is no member and there`);
    }
    assert.notEqual(this.room.affiliated('owner').length, 0, 'a room has an owner');
  }

  /** What each has heard in a stay, history and all, is a piece of the archive without a gap: so all have heard the same in one order. */
  checkOrder(): void {
    const stays = this.watchers.flatMap((watcher) => watcher.stays.map(({ ids }) => ({ watcher, ids })));
    for (const { ids } of stays) assert.equal(new Set(ids).size, ids.length, `twice: ${ids}`);
    const order = new Map(this.kept.map((id, at) => [id, at]));
    for (const { watcher, ids } of stays) {
      const places = ids.map((id) => order.get(id));
      assert.equal(places.includes(undefined), false, `${watcher.probe.jid} has heard what was not kept`);
      for (const [at, place] of places.entries()) {
        if (at > 0)
          assert.equal(
            place,
            places[at - 1]! + 1,
            `${watcher.probe.jid} has missed something, or has it in another order: ${ids}`,
          );
      }
    }
  }

  /** What is in the archive at the end. */
  kept: readonly string[] = [];
}

type Deed = (world: World, watcher: Watcher) => void | Promise<void>;

const DEEDS: readonly Deed[] = [
  ...Array<Deed>(6).fill(function speaks(world, watcher) {
    world.say(watcher);
  }),
  ...Array<Deed>(4).fill(function enters(world, { probe }) {
    for (const watcher of world.watchers) if (watcher.probe === probe) world.entering.add(watcher);
    probe.send(join(`${LOUNGE}/${world.random.pick(NICKS)}`, "<history maxstanzas='3'/>"));
  }),
  function changesNick(world, { probe }) {
    probe.send(
      `<presence to='${LOUNGE}/${world.random.pick(NICKS)}'><show>${world.random.pick(['away', 'xa', 'dnd'])}</show></presence>`,
    );
  },
  function leaves(_, { probe }) {
    probe.send(`<presence type='unavailable' to='${LOUNGE}/x'/>`);
  },
  function whispers(world, { probe }) {
    probe.send(`<message type='chat' to='${LOUNGE}/${world.random.pick(NICKS)}'><body>psst</body></message>`);
  },
  function changesRole(world, { probe }) {
    const item = `<item nick='${world.random.pick(NICKS)}' role='${world.random.pick(ROLES)}'/>`;
    probe.send(change(item).replace('<iq', "<iq id='r'"));
  },
  ...Array<Deed>(2).fill(function changesAffiliation(world, { probe }) {
    const item = `<item jid='${world.random.pick(USERS)}@example.org' affiliation='${world.random.pick(AFFILIATIONS)}'/>`;
    probe.send(change(item).replace('<iq', "<iq id='a'"));
  }),
  function roomChangesAffiliation(world) {
    // So that the room does not fall asleep with everybody banned.
    const jid = world.scene.host.jid(`${world.random.pick(USERS)}@example.org`);
    return world.scene.rooms
      .affiliate(world.room, undefined, [{ jid, affiliation: world.random.pick(['owner', 'member', 'none']) }])
      .catch(() => {});
  },
  function configures(world, { probe }) {
    const field = world.random.pick(['membersonly', 'moderatedroom', 'changesubject', 'whois']);
    const value = field === 'whois' ? world.random.pick(['moderators', 'anyone']) : world.random.pick(['0', '0', '1']);
    probe.send(configure({ [field]: value }).replace('<iq', "<iq id='c'"));
  },
  function registers(world, { probe }) {
    const field = `<field var='muc#register_roomnick'><value>${world.random.pick(NICKS)}</value></field>`;
    probe.send(
      `<iq type='set' id='g' to='${LOUNGE}'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>${field}</x></query></iq>`,
    );
  },
  function slowsDown(world) {
    world.hold();
  },
  async function vanishes(world, watcher) {
    const { local } = watcher.probe.session.jid;
    watcher.probe.drop();
    watcher.isGone = true;
    await world.connect(local, `r${world.watchers.length}`);
  },
];

describe('muc: fuzz', function () {
  this.timeout(60_000);
  const given = process.env['MUC_FUZZ_SEED'];
  const seeds = given === undefined ? Array.from({ length: RUNS }, (_, at) => at + 1) : [Number(given)];

  for (const seed of seeds) {
    it(`shows everybody what is theirs to see, and nobody else (seed ${seed})`, async () => {
      const archives = new SlowStorage(await openStorage({ type: 'memory' }, silent));
      const scene = await RoomScene.start({ storage: archives.storage });
      const room = await scene.room({ settings: { memberListFor: [] } });
      const world = new World({ scene, room, archives, random: makeRandom(seed) });
      for (const username of USERS) for (const resource of ['desk', 'phone']) await world.connect(username, resource);
      try {
        for (let step = 0; step < STEPS; step++) await world.step();
        world.release();
        await world.rest();
        const { items } = await scene.rooms.messages.query(LOUNGE, { max: 10_000 });
        world.kept = items.map(({ stanza }) => /<body>(m\d+)<\/body>/.exec(stanza)?.[1] ?? '').filter((id) => id !== '');
        world.checkOrder();
        assert(world.kept.length > 0, 'nobody has said anything');
      } catch (error) {
        const story = world.log.slice(-25).join('\n  ');
        throw new Error(`MUC_FUZZ_SEED=${seed}, the last of ${world.log.length} deeds:\n  ${story}\n${String(error)}`, {
          cause: error,
        });
      } finally {
        archives.release();
        await scene.stop();
      }
    });
  }
});
