import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Element } from 'ltx';
import { ManagedClient } from '../support/managed-client.ts';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// The disk is full: whoever wants something stored is told so, and nothing else suffers. When there is room again all is well again.

const PASSWORD = 'correct horse';
const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
/** So long that it cannot fit into what a page has left. */
const LONG = 'x'.repeat(30_000);
/** Messages that may still fit in somewhere. */
const MOST = 100;

/** A disk that can be filled. */
interface Disk {
  readonly folder: string;
  /** Environment of the server. */
  readonly env: Readonly<Record<string, string>>;
  fill(): void;
  free(): void;
  remove(): void;
}

/** SQLite is told that its file must not grow. */
function limitPages(): Disk {
  const folder = mkdtempSync(join(tmpdir(), 'parlance-pages-'));
  const file = join(folder, 'pages');
  const hook = new URL('../crash/page-limit.js', import.meta.url).href;
  return {
    folder: join(folder, 'data'),
    env: { NODE_OPTIONS: `--import ${hook}`, PARLANCE_TEST_PAGES: file },
    fill: () => writeFileSync(file, 'full'),
    free: () => writeFileSync(file, ''),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A small file system. Throws where none may be mounted. */
function mountSmall(): Disk {
  const folder = mkdtempSync(join(tmpdir(), 'parlance-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'parlance-test', folder], { stdio: 'ignore' });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  const ballast = join(folder, 'ballast');
  return {
    folder,
    env: {},
    fill() {
      assert.throws(() => writeFileSync(ballast, Buffer.alloc(32 << 20)), { code: 'ENOSPC' });
    },
    free: () => rmSync(ballast),
    remove() {
      execFileSync('umount', [folder]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function canMount(): boolean {
  try {
    mountSmall().remove();
    return true;
  } catch {
    return false;
  }
}

const DISKS: readonly (readonly [string, () => Disk])[] = [
  ['a database that must not grow', limitPages],
  ...(canMount() ? [['a file system without room', mountSmall] as const] : []),
];

for (const [name, makeDisk] of DISKS) {
  describe(`no room: ${name}`, () => {
    let disk: Disk;
    let server: ServerProcess;
    let romeo: Talker;
    let juliet: Talker;

    before(async function () {
      this.timeout(30_000);
      disk = makeDisk();
      server = await ServerProcess.create({
        data: disk.folder,
        modules: { roster: {}, presence: {}, ping: {}, private: {}, offline: { patience: '100ms' }, sm: {}, mam: {} },
      });
      const before = { ...process.env };
      Object.assign(process.env, disk.env);
      await server.start().finally(() => (process.env = before));
      romeo = await Talker.enter(server, 'romeo');
      juliet = await Talker.enter(server, 'juliet');
      await Talker.enter(server, 'tybalt').then((tybalt) => tybalt.client.close());
    });

    after(async () => {
      romeo?.client.close();
      juliet?.client.close();
      await server?.remove();
      disk?.remove();
    });

    it('keeps what is said while there is room', async () => {
      romeo.tell('juliet', 'before');
      assert.equal(await romeo.fate('before'), 'acknowledged');
      await juliet.hears('before');
    });

    it('tells the sender, and acknowledges nothing before', async () => {
      disk.fill();
      for (const to of ['juliet', 'tybalt']) {
        const id = await romeo.tellUntilRefused(to);
        const { error, wasAcknowledged } = romeo.errors.get(id)!;
        assert.deepEqual([error.attrs['type'], conditionOf(error)], ['wait', 'resource-constraint']);
        assert.equal(wasAcknowledged, false, 'it was acknowledged before it was refused');
        assert.equal(juliet.heard.includes(id), false, 'what was refused was delivered');
      }
    });

    it('goes on with all that is not stored', async () => {
      const set = `<iq type='set'><query xmlns='jabber:iq:private'><x xmlns='urn:x'>${LONG}</x></query></iq>`;
      let answer = await romeo.client.ask(set);
      for (let i = 0; i < MOST && answer.attrs['type'] === 'result'; i++)
        answer = await romeo.client.ask(set.replace('urn:x', `urn:x${i}`));
      assert.equal(conditionOf(answer.getChild('error')!), 'resource-constraint');
      const composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
      romeo.client.send(`<message to='juliet@localhost' type='chat' id='state'>${composing}</message>`);
      await juliet.hears('state');
      for (const { client } of [romeo, juliet]) {
        const pong = await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        assert.equal(pong.attrs['type'], 'result');
        assert.equal(client.sessions, 1);
      }
      const third = await WireClient.connect(server.http);
      await third.login('tybalt', PASSWORD, 'y');
      third.close();
    });

    it('works again when there is room, without a restart', async () => {
      disk.free();
      romeo.tell('juliet', 'after');
      assert.equal(await romeo.fate('after'), 'acknowledged');
      await juliet.hears('after');
      romeo.tell('tybalt', 'kept');
      assert.equal(await romeo.fate('kept'), 'acknowledged');
      const tybalt = await Talker.enter(server, 'tybalt', false);
      await tybalt.hears('kept');
      tybalt.client.close();
    });

    it('has kept all that it acknowledged, and nothing that it refused', async () => {
      const found: string[] = [];
      const client = talkTo(server, 'juliet', 'reader', (message) => {
        const forwarded = message.getChild('result', 'urn:xmpp:mam:2')?.getChild('forwarded', 'urn:xmpp:forward:0');
        if (forwarded) found.push(String(forwarded.getChild('message')?.attrs['id']));
      });
      await client.connect();
      await client.readArchive(undefined, () => {});
      client.close();
      const wanted = romeo.acknowledged.filter(({ to }) => to === 'juliet').map(({ id }) => id);
      assert.deepEqual(found, wanted);
    });
  });
}

function talkTo(server: ServerProcess, username: string, resource: string, message: (message: Element) => void): ManagedClient {
  return new ManagedClient({ server, username, password: PASSWORD, resource, transport: 'tcp', confirms: true, message });
}

/** Somebody with stream management, who remembers what came of what they said. */
class Talker {
  readonly client: ManagedClient;
  readonly heard: string[] = [];
  readonly errors = new Map<string, { readonly error: Element; readonly wasAcknowledged: boolean }>();
  readonly #said = new Map<string, { readonly to: string; readonly said: { isAcknowledged: boolean } }>();
  #wake: () => void = () => {};
  #count = 0;

  private constructor(server: ServerProcess, username: string) {
    this.client = talkTo(server, username, 'x', (message) => this.#take(message));
  }

  /** Makes an account unless it is there, logs in and is available. */
  static async enter(server: ServerProcess, name: string, isNew = true): Promise<Talker> {
    if (isNew) {
      const client = await WireClient.connect(server.http);
      assert.equal(await client.register(name, PASSWORD), true);
      client.close();
    }
    const talker = new Talker(server, name);
    await talker.client.connect();
    talker.client.send('<presence/>');
    await talker.client.checkpoint();
    return talker;
  }

  /** What was acknowledged and not refused, in order. */
  get acknowledged(): readonly { readonly id: string; readonly to: string }[] {
    const all = [...this.#said].map(([id, { to, said }]) => ({ id, to, said }));
    return all.filter(({ id, said }) => said.isAcknowledged && !this.errors.has(id));
  }

  /** Says something long, and asks whether it has arrived. */
  tell(to: string, id: string): void {
    const text = `<message to='${to}@localhost' type='chat' id='${id}'><body>${LONG}</body></message>`;
    this.#said.set(id, { to, said: this.client.say(() => text) });
    this.client.request();
  }

  /** What came of it: both when it is refused and when it is not the acknowledgement comes last. */
  async fate(id: string): Promise<'acknowledged' | 'refused'> {
    while (!this.#said.get(id)!.said.isAcknowledged) {
      await this.client.until(({ name }) => name === 'a');
    }
    return this.errors.has(id) ? 'refused' : 'acknowledged';
  }

  /** Says more and more until something is refused: its id. */
  async tellUntilRefused(to: string): Promise<string> {
    for (let i = 0; i < MOST; i++) {
      const id = `${to}${++this.#count}`;
      this.tell(to, id);
      if ((await this.fate(id)) === 'refused') return id;
    }
    throw new Error('nothing was refused');
  }

  /** Waits for a message. */
  async hears(id: string): Promise<void> {
    while (!this.heard.includes(id)) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #take(message: Element): void {
    const { id = '', type } = message.attrs as Readonly<Record<string, string | undefined>>;
    if (type === 'error') {
      const wasAcknowledged = this.#said.get(id)?.said.isAcknowledged ?? true;
      this.errors.set(id, { error: message.getChild('error')!, wasAcknowledged });
    } else this.heard.push(id);
    this.#wake();
  }
}

function conditionOf(error: Element): string | undefined {
  return error
    .getChildElements()
    .find((child) => child.getNS() === NS_STANZAS)
    ?.getName();
}
