import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManagedClient } from '../support/managed-client.ts';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';
import { Chance } from './chance.ts';
import { Device, type Kind, LAST, type Line, readForwarded, readLine, type Stage } from './device.ts';

// Devices of all kinds write to each other while the server is killed or restarted, and their lines break. What the server acknowledged
// (XEP-0198, or by the answer to a request behind it) is in both archives once, in order, and reaches every device of its addressee.
//
// A message is said in a session; when that ends before it is acknowledged the sender says it again in the next one, with the same id.
// Each of these attempts says which it is. The one that was acknowledged is in either archive exactly once; those before it, of which
// nobody knew whether they had arrived, at most once.

const SECONDS = Number(process.env['PARLANCE_CRASH_SECONDS'] ?? 20);
const SEED = Number(process.env['PARLANCE_CRASH_SEED'] ?? Date.now() % 1_000_000);
/** Milliseconds in which everything that is under way has to end, at the end. */
const PATIENCE = 60_000;
const PASSWORD = 'correct horse';
const postgres = process.env['PARLANCE_TEST_POSTGRES'];

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['SQLite', {}],
  ...(postgres ? [['PostgreSQL', { storage: { type: 'postgresql', url: postgres } }] as const] : []),
];

/** The accounts, with their devices. */
const CAST: Readonly<Record<string, readonly Kind[]>> = {
  // One device that knows it all.
  modern: [{ transport: 'websocket', confirms: true, reads: 'after presence', carbons: true, isAlone: true }],
  careful: [{ transport: 'tcp', confirms: true, reads: 'before presence', carbons: false, isAlone: true }],
  // Two devices.
  both: [
    { transport: 'tcp', confirms: true, reads: 'after presence', carbons: true, isAlone: false },
    { transport: 'websocket', confirms: true, reads: 'after presence', carbons: true, isAlone: false },
  ],
  pair: [
    { transport: 'websocket', confirms: true, reads: 'after presence', carbons: true, isAlone: false },
    { transport: 'tcp', confirms: true, reads: 'after presence', carbons: true, isAlone: false },
  ],
  // What they are not sent they never see.
  older: [{ transport: 'tcp', confirms: true, reads: 'never', carbons: false, isAlone: true }],
  oldest: [{ transport: 'websocket', confirms: false, reads: 'never', carbons: false, isAlone: true }],
};

for (const [name, changes] of BACKENDS) {
  describe(`clients with and without stream management (${name}; seed ${SEED})`, () => {
    let server: ServerProcess;

    before(async () => {
      server = await ServerProcess.create({
        ...changes,
        shutdown: { grace: '1s' },
        modules: {
          ...{ roster: {}, presence: {}, ping: {}, sm: {}, mam: {}, carbons: {}, csi: {}, blocking: {} },
          offline: { patience: '300ms', maxMessages: 100_000, maxBytes: '1GiB' },
        },
      });
      await server.start();
    });

    after(() => server.remove());

    it(`each message that was acknowledged arrives once and in order, in ${SECONDS} seconds of trouble`, async function () {
      this.timeout(SECONDS * 10_000 + 60_000);
      const drama = new Drama(server, new Chance(SEED));
      try {
        await drama.play(SECONDS * 1000);
        console.log(`      ${drama.summary}`);
        await drama.check();
      } catch (error) {
        console.log(`      what happened is in ${await drama.writeHistory()}`);
        throw error;
      }
    });
  });
}

/** What happens, and what is found afterwards. */
class Drama implements Stage {
  readonly server: ServerProcess;
  readonly chance: Chance;
  readonly password = PASSWORD;
  readonly accounts: readonly string[];
  readonly devices: readonly Device[];
  kills = 0;
  #restarts = 0;
  readonly #run = Date.now().toString(36);
  readonly #history: string[] = [];

  constructor(server: ServerProcess, chance: Chance) {
    this.server = server;
    this.chance = chance;
    const run = this.#run;
    const cast = Object.entries(CAST).map(([name, kinds]) => [`${name}${run}`, kinds] as const);
    this.accounts = cast.map(([account]) => account);
    this.devices = cast.flatMap(([account, kinds]) => kinds.map((kind, i) => new Device(this, account, `d${i}`, kind)));
  }

  get stops(): number {
    return this.kills + this.#restarts;
  }

  get summary(): string {
    const count = (of: (device: Device) => number) => this.devices.reduce((sum, device) => sum + of(device), 0);
    const said = count((device) => [...device.said.values()].reduce((sum, { length }) => sum + length, 0));
    const server = `${this.kills} kills, ${this.#restarts} restarts`;
    const sessions = `${count(({ client }) => client.sessions)} sessions, ${count(({ resumed }) => resumed)} resumed`;
    const refused = `${count(({ refused }) => refused)} could not be`;
    return `${said} messages, ${server}, ${sessions}, ${refused}, ${count(({ repeats }) => repeats)} came again, ${count(({ readBefore }) => readBefore)} though read`;
  }

  async play(milliseconds: number): Promise<void> {
    for (const account of this.accounts) await this.#register(account);
    await this.#register(this.#herald);
    let isOver = false;
    const lives = Promise.all(this.devices.map((device) => device.live(() => isOver)));
    const end = performance.now() + milliseconds;
    while (performance.now() < end) await Promise.race([this.#trouble(), lives]);
    isOver = true;
    await lives;
    await this.#allDo('come to rest', (device) => device.settle());
    const heard = this.#allDo('hear the last', (device) => device.hearLast());
    await this.#sayLast();
    await heard;
    for (const { client } of this.devices) client.close();
  }

  /** Writes down what happened; the file. */
  async writeHistory(): Promise<string> {
    const file = join(tmpdir(), `parlance-crash-${SEED}-${this.#run}.log`);
    const lines = [...this.#history, ...this.devices.flatMap(({ history }) => history)];
    lines.sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10));
    await writeFile(file, [...lines, this.server.output].join('\n'));
    return file;
  }

  async check(): Promise<void> {
    const faults = this.devices.flatMap((device) => device.faults);
    assert.deepEqual(faults.slice(0, 20), [], `${faults.length} faults`);
    for (const account of this.accounts) {
      const archive = await this.#readArchive(account);
      this.#checkArchive(account, archive);
      for (const device of this.devices) if (device.account === account) this.#checkDevice(device, archive);
    }
  }

  /** Rejects with the names of those who are not done in time. */
  async #allDo(what: string, work: (device: Device) => Promise<void>): Promise<void> {
    const busy = new Set(this.devices);
    const done = Promise.all(this.devices.map((device) => work(device).then(() => busy.delete(device))));
    const patience = new AbortController();
    const late = sleep(PATIENCE, undefined, { signal: patience.signal }).then(() => {
      throw new Error(`did not ${what}: ${[...busy].map(({ name }) => name)}`);
    });
    await Promise.race([done, late]).finally(() => patience.abort());
  }

  get #herald(): string {
    return this.accounts[0]!.replace(/^[a-z]{6}/, 'herald');
  }

  async #register(account: string): Promise<void> {
    const client = await WireClient.connect(this.server.http);
    assert.equal(await client.register(account, PASSWORD), true);
    client.close();
  }

  /** After a while the server is killed, or stopped in good order; and comes back. */
  async #trouble(): Promise<void> {
    const { chance, server } = this;
    await sleep(chance.between(500, 2500));
    if (chance.is(0.5)) {
      this.kills++;
      this.#note('kill');
      await server.stop('SIGKILL');
    } else {
      this.#restarts++;
      this.#note('stop');
      await server.stop('SIGTERM');
    }
    this.#note('gone');
    await server.start();
    this.#note('up');
  }

  #note(text: string): void {
    this.#history.push(`${Math.round(performance.now())} server ${text}`);
  }

  async #sayLast(): Promise<void> {
    const client = await WireClient.connect(this.server.http);
    await client.login(this.#herald, PASSWORD, 'x');
    for (const account of this.accounts)
      client.send(`<message to='${account}@localhost' type='chat'><body>${LAST}</body></message>`);
    await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    client.close();
  }

  /** The messages under test in an archive, by their ids. */
  async #readArchive(account: string): Promise<ReadonlyMap<string, Line>> {
    const found = new Map<string, Line>();
    const { server } = this;
    const client = new ManagedClient({
      ...{ server, username: account, password: PASSWORD, resource: 'check', transport: 'websocket', confirms: false },
      message: (message) => {
        const result = message.getChild('result', 'urn:xmpp:mam:2');
        const inner = result && readForwarded(result);
        if (inner && inner.getChildText('body') !== LAST) found.set(String(result.attrs['id']), readLine(inner));
      },
    });
    await client.connect();
    await client.readArchive(undefined, () => {});
    client.close();
    return found;
  }

  /** Both what its devices have said and what was said to it. */
  #checkArchive(account: string, archive: ReadonlyMap<string, Line>): void {
    const lines = [...archive.values()];
    for (const { name, account: author, said } of this.devices) {
      for (const [to, all] of said) {
        if (account !== to && account !== author) continue;
        const found = lines.filter((line) => line.from === name && line.to === to);
        const where = `${name} to ${to} in the archive of ${account}`;
        const keys = found.map(({ number, attempt }) => `${number} (${attempt})`);
        assert.deepEqual(findRepeats(keys), [], `${where}: twice`);
        const acknowledged = all.map(({ line: { number }, said: { attempt } }) => `${number} (${attempt})`);
        assert.deepEqual(
          acknowledged.filter((key) => !keys.includes(key)),
          [],
          `${where}: acknowledged and lost`,
        );
        const wanted = new Set(acknowledged);
        assert.deepEqual(
          keys.filter((key) => wanted.has(key)),
          acknowledged,
          `${where}: out of order`,
        );
        const extra = found.filter(({ number, attempt }) => attempt > (all[number - 1]?.said.attempt ?? 0));
        assert.deepEqual(extra, [], `${where}: never said`);
        checkAscending(found, where);
      }
    }
  }

  /** Every message that was acknowledged has come to the device, in order, and none that is not in the archive. */
  #checkDevice({ name, account, kind, pushed, known }: Device, archive: ReadonlyMap<string, Line>): void {
    const isOwn = ({ from }: Line) => from === name;
    const isOfAccount = ({ from }: Line) => from.startsWith(`${account}/`);
    const got = kind.reads === 'never' ? pushed : known;
    const isWanted = kind.reads === 'never' ? (line: Line) => !isOfAccount(line) : (line: Line) => !isOwn(line);
    const wanted = [...archive].filter(([, line]) => isWanted(line) && this.#isAcknowledged(line));
    checkSame(wanted.filter(([id]) => !got.has(id)).map(describeItem), [], `${name} has not got`);
    checkSame([...got].filter(([id]) => !archive.has(id)).map(describeItem), [], `${name} has got what is not archived`);
    const acknowledged = [...pushed].filter(([, line]) => this.#isAcknowledged(line));
    for (const pair of new Set(acknowledged.map(([, line]) => pairOf(line)))) {
      const asSent = acknowledged.filter(([, line]) => pairOf(line) === pair);
      const inOrder = [...asSent].sort(([, a], [, b]) => a.number - b.number);
      checkSame(asSent.map(describeItem), inOrder.map(describeItem), `${name} was sent out of order`);
    }
  }

  /** Whether this attempt was the last. */
  #isAcknowledged({ from, to, number, attempt }: Line): boolean {
    const sender = this.devices.find(({ name }) => name === from);
    return sender?.said.get(to)?.[number - 1]?.said.attempt === attempt;
  }
}

/** As deepEqual, but tells of the first difference only. */
function checkSame(found: readonly string[], wanted: readonly string[], where: string): void {
  const at = wanted.findIndex((each, i) => each !== found[i]);
  if (at >= 0 || found.length > wanted.length) assert.deepEqual(found.slice(at - 1, at + 3), wanted.slice(at - 1, at + 3), where);
}

/** The first of each number come in order; what is said again begins somewhere before. */
function checkAscending(lines: readonly Line[], where: string): void {
  const numbers = [...new Set(lines.map(({ number }) => number))];
  const sorted = [...numbers].sort((a, b) => a - b);
  assert.deepEqual(numbers, sorted, `${where}: out of order`);
  for (const [i, line] of lines.entries()) {
    const before = lines[i - 1];
    if (before && line.attempt === before.attempt)
      assert.ok(line.number > before.number, `${where}: ${line.number} behind ${before.number}`);
  }
}

function describeItem([id, line]: readonly [string, Line]): string {
  return `${id} ${JSON.stringify(line)}`;
}

function pairOf({ from, to }: Line): string {
  return `${from} ${to}`;
}

function findRepeats(keys: readonly string[]): readonly string[] {
  return keys.filter((key, i) => keys.indexOf(key) !== i);
}
