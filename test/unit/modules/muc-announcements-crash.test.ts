import assert from 'node:assert/strict';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { FakeClock, lasting, MortalStorage, ROOM, type Scene, startScene } from '../../support/announcements-scene.ts';

const MINUTE = 60_000;
/** Writes of any of these are far fewer. */
const ENOUGH = 150;
const PEOPLE = ['juliet', 'romeo', 'tybalt'];

/** What is done before the server breaks off, and how it is found afterwards. */
interface Story {
  prepare(scene: Scene): Promise<void>;
  act(scene: Scene): Promise<void>;
  check(scene: Scene, how: string): Promise<void>;
}

/** Lets the server break off at every write of a story in turn, before it is done and after; what is found after a restart must be right. */
async function tell({ prepare, act, check }: Story): Promise<number> {
  for (let nth = 1; nth < ENOUGH; nth++) {
    for (const isWritten of [false, true]) {
      const storage = await openStorage({ type: 'memory' }, silent);
      const clock = new FakeClock();
      const isOver = await breakOff(storage, clock, { prepare, act, nth, isWritten });
      const second = await startScene({ storage, clock, people: PEOPLE });
      await clock.pass(MINUTE);
      await check(second, `broken off ${isWritten ? 'behind' : 'before'} write ${nth}`);
      await second.stop();
      if (isOver) return nth - 1;
    }
  }
  throw new Error('it never comes to its end');
}

interface Break extends Pick<Story, 'prepare' | 'act'> {
  readonly nth: number;
  readonly isWritten: boolean;
}

/** True when it had not so many writes to do. */
async function breakOff(storage: Storage, clock: FakeClock, { prepare, act, nth, isWritten }: Break): Promise<boolean> {
  const mortal = new MortalStorage(lasting(storage));
  const first = await startScene({ storage: mortal.storage, clock, people: PEOPLE });
  await prepare(first);
  mortal.dieAt(nth, isWritten);
  await act(first);
  const isOver = !mortal.isDead;
  // Dead or not, it does nothing any more.
  mortal.isDead = true;
  return isOver;
}

const soon = (clock: FakeClock) => new Date(Math.ceil(clock.time / MINUTE) * MINUTE + MINUTE).toISOString();
const said = async (scene: Scene, address?: string) => (await scene.texts(address)).filter((text) => text === 'Lunch').length;

describe('announcements: a server that breaks off', () => {
  it('says what was planned exactly once in a room, wherever it was killed', async () => {
    const writes = await tell({
      async prepare(scene) {
        const room = await scene.create();
        await scene.api.schedule(room, { text: 'Lunch', when: { every: 'once', at: soon(scene.clock) } }, undefined);
      },
      act: (scene) => scene.clock.pass(3 * MINUTE),
      async check(scene, how) {
        assert.equal(await said(scene), 1, how);
        assert.deepEqual(await scene.api.list(await scene.room(), undefined), [], how);
      },
    });
    assert.equal(writes, 3);
  });

  it('goes on with what is repeated, and does not repeat what was said', async () => {
    await tell({
      async prepare(scene) {
        const when = { every: 'minutes', count: 10, from: soon(scene.clock) } as const;
        await scene.api.schedule(await scene.create(), { text: 'Lunch', when }, undefined);
      },
      act: (scene) => scene.clock.pass(3 * MINUTE),
      async check(scene, how) {
        assert.equal(await said(scene), 1, how);
        await scene.clock.pass(10 * MINUTE);
        assert.equal(await said(scene), 2, how);
        const [left] = await scene.api.list(await scene.room(), undefined);
        assert(left && left.due > scene.clock.time && !left.attempt, how);
      },
    });
  });

  it('is not said twice in a room that keeps nothing, nor kept by it', async () => {
    await tell({
      async prepare(scene) {
        const room = await scene.create('lounge', { isArchived: false });
        await scene.api.schedule(room, { text: 'Lunch', when: { every: 'once', at: soon(scene.clock) } }, undefined);
      },
      act: (scene) => scene.clock.pass(3 * MINUTE),
      async check(scene, how) {
        assert.equal(await said(scene), 0, how);
        assert.deepEqual(await scene.api.list(await scene.room(), undefined), [], how);
      },
    });
  });

  it('announces to all rooms exactly once, wherever it was killed', async () => {
    const names = Array.from({ length: 70 }, (_, i) => `room${i}`);
    const writes = await tell({
      async prepare(scene) {
        for (const name of names) await scene.create(name);
        const when = { every: 'once', at: soon(scene.clock) } as const;
        await scene.api.schedule(undefined, { text: 'Lunch', when, to: 'rooms' }, undefined);
      },
      act: (scene) => scene.clock.pass(3 * MINUTE),
      async check(scene, how) {
        for (const name of names) assert.equal(await said(scene, `${name}@conference.example.org`), 1, `${name} ${how}`);
        assert.deepEqual(await scene.api.list(undefined, undefined), [], how);
      },
    });
    // The schedule and its job, three batches, a message for each room, and the end.
    assert.equal(writes, 1 + 3 + names.length + 1);
  }).timeout(60_000);

  it('announces to all accounts exactly once, wherever it was killed', async () => {
    await tell({
      async prepare(scene) {
        await scene.api.announce({ text: 'Earlier' }, 'accounts', undefined);
        await scene.clock.pass(0);
        const when = { every: 'once', at: soon(scene.clock) } as const;
        await scene.api.schedule(undefined, { text: 'Lunch', title: 'News', when, to: 'accounts' }, undefined);
      },
      act: (scene) => scene.clock.pass(3 * MINUTE),
      async check(scene, how) {
        for (const name of PEOPLE)
          assert.equal((await scene.mail(name)).filter((text) => text === 'Lunch').length, 1, `${name} ${how}`);
      },
    });
  });
});

describe('announcements: a storage that fails', () => {
  for (const nth of [1, 2, 3]) {
    it(`tries again when write ${nth} fails, and says it once`, async () => {
      const storage = await openStorage({ type: 'memory' }, silent);
      const mortal = new MortalStorage(storage);
      const scene = await startScene({ storage: mortal.storage });
      const room = await scene.create();
      await scene.api.schedule(room, { text: 'Lunch', when: { every: 'once', at: soon(scene.clock) } }, undefined);
      mortal.failAt(nth);
      await scene.clock.pass(2 * MINUTE);
      await scene.clock.pass(2 * MINUTE);
      assert.equal(await said(scene), 1);
      assert.deepEqual(await scene.api.list(room, undefined), []);
      await scene.stop();
    });
  }

  it('plans nothing that could not be stored', async () => {
    const mortal = new MortalStorage(await openStorage({ type: 'memory' }, silent));
    const scene = await startScene({ storage: mortal.storage });
    const room = await scene.create();
    mortal.failAt(1);
    await assert.rejects(scene.api.schedule(room, { text: 'Lunch', when: { every: 'once', at: soon(scene.clock) } }, undefined));
    assert.deepEqual(await scene.api.list(room, undefined), []);
    await scene.clock.pass(5 * MINUTE);
    assert.deepEqual(await scene.texts(ROOM), []);
    await scene.stop();
  });
});
