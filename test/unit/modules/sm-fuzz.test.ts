import assert from 'node:assert/strict';
import carbons from '../../../modules/carbons/index.ts';
import csi from '../../../modules/csi/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import ping from '../../../modules/ping/index.ts';
import sm from '../../../modules/sm/index.ts';
import type { AnyModule } from '../../../src/module/module.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';
import { chat, Disk, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const STEPS = 120;
const JULIET = 'juliet@example.org';
const ROMEO = 'romeo@example.org';

/**
 * One device of juliet's that does everything right: it takes a message for read when it has acknowledged it, sends again what the server
 * has not handled, and begins anew when it cannot resume. What it has read and what it has sent is then each exactly once.
 */
class Device {
  readonly resource: string;
  readonly read: string[] = [];
  /** Has come and was not acknowledged. */
  #got: string[] = [];
  /** Was sent, and the server has not said that it has handled it. */
  #sent: string[] = [];
  /** The `h` before the first of these. */
  #sentFrom = 0;
  #client: SmClient | undefined = undefined;
  readonly #fleet: Fleet;

  constructor(fleet: Fleet, resource: string) {
    this.#fleet = fleet;
    this.resource = resource;
  }

  get isConnected(): boolean {
    return this.#client?.isConnected === true;
  }

  /** Resumes, or else begins anew. */
  async connect(): Promise<void> {
    const client = this.#client;
    if (client) {
      this.#collect();
      client.host = this.#fleet.host;
      client.startToResume({ kind: this.#fleet.random() < 0.5 ? 'tcp' : 'websocket' });
      this.#fleet.release();
      const answer = await client.element();
      this.#forgetSent(answer.attrs['h'] === undefined ? undefined : Number(answer.attrs['h']));
      if (answer.name === 'resumed') {
        // Whoever resumes has said what they have got.
        this.#readSome(this.#got.length);
        return this.#sendAgain();
      }
      // What was not acknowledged will come again.
      this.#got = [];
      client.cut();
    }
    this.#fleet.release();
    this.#client = await SmClient.bind(this.#fleet.host, 'juliet', { resource: this.resource });
    await this.#client.enable();
    // What came before that is nothing to be acknowledged.
    this.#collect();
    this.#readSome(this.#got.length - this.#client.h);
    this.#sentFrom = 0;
    this.#client.send('<presence/>');
    this.#sentFrom = 1;
    await this.#sendAgain();
  }

  say(text: string): void {
    this.#sent.push(text);
    if (this.isConnected) this.#client!.send(chat(ROMEO, text));
  }

  /** Acknowledges some of what has come. */
  ack(share: number): void {
    // While the server does not read, nobody knows whether an acknowledgement would get there.
    if (!this.isConnected || this.#client!.line.isPaused) return;
    this.#collect();
    const count = Math.floor(this.#got.length * share);
    const open = this.#got.length - count;
    this.#client!.ack(this.#client!.h - open);
    this.#readSome(count);
  }

  #readSome(count: number): void {
    for (const text of this.#got.splice(0, count)) if (text !== '') this.read.push(text);
  }

  async request(): Promise<void> {
    if (!this.isConnected) return;
    this.#client!.send("<r xmlns='urn:xmpp:sm:3'/>");
    await settle();
    this.#collect();
    this.#forgetSent(this.#client!.told);
  }

  setState(state: 'active' | 'inactive'): void {
    if (this.isConnected) this.#client!.send(`<${state} xmlns='urn:xmpp:csi:0'/>`);
  }

  cut(): void {
    this.#collect();
    this.#client?.cut();
  }

  /** Says goodbye, having acknowledged all that it has got. */
  async leave(): Promise<void> {
    if (!this.isConnected) return;
    await this.request();
    this.ack(1);
    this.#client!.leave();
    // What the server has not handled by then is lost with the stream, and said again.
    this.#collect();
  }

  /** The server gives up waiting for it. */
  expire(): void {
    if (this.#client && !this.isConnected) this.#client.session.replace();
  }

  async finish(): Promise<void> {
    if (!this.isConnected) await this.connect();
    for (let i = 0; i < 10; i++) {
      await settle();
      this.ack(1);
      await this.request();
    }
  }

  get unsent(): number {
    return this.#sent.length;
  }

  /** Counts everything; what is no message with a text counts without one. */
  #collect(): void {
    for (const stanza of this.#client?.take() ?? []) {
      this.#got.push(stanza.name === 'message' && stanza.attrs['type'] === 'chat' ? (stanza.getChildText('body') ?? '') : '');
    }
  }

  #forgetSent(h: number | undefined): void {
    if (h === undefined) return;
    this.#sent.splice(0, Math.max(0, h - this.#sentFrom));
    this.#sentFrom = Math.max(this.#sentFrom, h);
  }

  async #sendAgain(): Promise<void> {
    for (const text of this.#sent) this.#client!.send(chat(ROMEO, text));
  }
}

interface FleetOptions {
  readonly seed: number;
  readonly modules: readonly AnyModule[];
  readonly devices: number;
  readonly isSlow: boolean;
  /** Whether it crashes instead of being restarted in order. */
  readonly crashes?: boolean;
}

/** A server, romeo who is always there, and juliet's devices. */
class Fleet {
  readonly random: () => number;
  readonly devices: Device[] = [];
  /** What romeo has written, and what he has got. */
  readonly written: string[] = [];
  readonly got: string[] = [];
  host!: TestHost;
  #slow!: SlowStorage;
  #romeo!: Probe;
  readonly #disk: Disk;
  readonly #modules: readonly AnyModule[];
  readonly #isSlow: boolean;
  readonly #crashes: boolean;
  #isHeld = false;
  #said = 0;

  private constructor(disk: Disk, { seed, modules, isSlow, crashes = false }: FleetOptions) {
    this.#disk = disk;
    this.#modules = modules;
    this.#isSlow = isSlow;
    this.#crashes = crashes;
    this.random = makeRandom(seed);
  }

  /** With a slow disk, much is under way at any time. */
  static async open(options: FleetOptions): Promise<Fleet> {
    const { devices } = options;
    const fleet = new Fleet(await Disk.create(), options);
    await fleet.#start();
    for (let i = 0; i < devices; i++) fleet.devices.push(new Device(fleet, `device${i}`));
    for (const device of fleet.devices) await device.connect();
    return fleet;
  }

  async #start(): Promise<void> {
    this.#slow = new SlowStorage(this.#disk.mount());
    this.host = await startHost(this.#modules, { storage: this.#slow.storage, modules: { offline: { patience: 0 } } });
    await this.host.host.accounts.create('juliet', 'secret');
    this.#romeo = await this.host.online('romeo', 'orchard');
  }

  release(): void {
    this.#isHeld = false;
    this.#slow.release();
  }

  async step(): Promise<void> {
    const { random } = this;
    const device = this.devices[Math.floor(random() * this.devices.length)]!;
    const dice = Math.floor(random() * 100);
    if (dice < 30) this.#write();
    else if (dice < 45) device.say(`j${this.#said++}`);
    else if (dice < 58) device.ack(random());
    else if (dice < 63) await device.request();
    else if (dice < 70) device.cut();
    else if (dice < 82) await (device.isConnected ? settle() : device.connect());
    else if (dice < 84) await device.connect();
    else if (dice < 87) device.setState(random() < 0.5 ? 'active' : 'inactive');
    else if (dice < 89) this.#hold();
    else if (dice < 92) this.release();
    else if (dice < 95) device.expire();
    else if (dice < 97) await this.#change(() => device.leave());
    else if (dice < 98) await this.#change(() => this.host.modules.restart(random() < 0.5 ? 'sm' : 'offline'));
    else if (dice < 99) await this.#change(() => this.#restart());
    else await settle();
    if (!this.#isSlow) await settle();
  }

  async finish(): Promise<void> {
    this.release();
    for (const device of this.devices) await device.finish();
    for (const device of this.devices) await device.finish();
    this.#listen();
    await this.host.stop();
    await this.#disk.close();
  }

  #hold(): void {
    if (!this.#isSlow || this.#isHeld) return;
    this.#isHeld = true;
    this.#slow.hold();
  }

  #write(): void {
    const text = `r${this.written.length}`;
    this.written.push(text);
    const kind = this.random();
    const to = kind < 0.15 ? `${JULIET}/device0` : JULIET;
    this.#romeo.send(chat(to, text, kind > 0.8 ? "<no-permanent-store xmlns='urn:xmpp:hints'/>" : ''));
    if (kind > 0.6) this.#romeo.send(`<presence to='${JULIET}/device0'/>`);
  }

  /** With nothing under way, so that the model need not know how far it has come. */
  async #change(task: () => Promise<void>): Promise<void> {
    this.release();
    await settle();
    for (const device of this.devices) await device.request();
    await task();
    await settle();
  }

  async #restart(): Promise<void> {
    for (const device of this.devices) if (!device.isConnected) await device.connect();
    await settle();
    this.#listen();
    for (const device of this.devices) device.cut();
    if (!this.#crashes) await this.host.stop();
    await this.#start();
  }

  #listen(): void {
    for (const stanza of this.#romeo.take()) {
      assert.notEqual(stanza.attrs['type'], 'error', String(stanza));
      const body = stanza.getChildText('body');
      if (body !== null && body !== undefined) this.got.push(body);
    }
  }
}

const MODULES = [sm, offline, carbons, csi, ping];

async function play(options: FleetOptions): Promise<Fleet> {
  const fleet = await Fleet.open(options);
  for (let i = 0; i < STEPS; i++) await fleet.step();
  await fleet.finish();
  return fleet;
}

for (const [what, modules] of [
  ['with an archive', [...MODULES, mam]],
  ['without an archive', MODULES],
] as const) {
  describe(`sm: whatever happens, ${what}`, () => {
    for (let seed = 1; seed <= 20; seed++) {
      it(`one device reads and says everything exactly once, in order (seed ${seed})`, async () => {
        const { devices, got, written } = await play({ seed, modules, devices: 1, isSlow: false });
        assert.deepEqual(devices[0]!.read, written);
        assert.deepEqual(got, said(got.length));
        assert.equal(devices[0]!.unsent, 0);
      });
    }

    for (let seed = 101; seed <= 140; seed++) {
      it(`also when the disk is slow (seed ${seed})`, async () => {
        const { devices, got, written } = await play({ seed, modules, devices: 1, isSlow: true });
        // What was under way when it came back may overtake what waited.
        assert.deepEqual([...devices[0]!.read].sort(), [...written].sort());
        assert.deepEqual(got, said(got.length));
        assert.equal(devices[0]!.unsent, 0);
      });
    }

    for (let seed = 201; seed <= 240; seed++) {
      it(`of two devices none reads anything twice, and together they read it all (seed ${seed})`, async () => {
        const { devices, got, written } = await play({ seed, modules, devices: 2, isSlow: seed % 2 === 0 });
        for (const { read } of devices) assert.deepEqual(read, [...new Set(read)]);
        const together = new Set(devices.flatMap(({ read }) => read));
        assert.deepEqual([...together].sort(), [...written].sort());
        assert.deepEqual(got, [...new Set(got)]);
        for (const { unsent } of devices) assert.equal(unsent, 0);
      });
    }
  });
}

describe('sm: whatever crashes', () => {
  for (let seed = 301; seed <= 330; seed++) {
    it(`nothing is lost (seed ${seed})`, async () => {
      const modules = seed % 2 === 0 ? MODULES : [...MODULES, mam];
      const { devices, got, written } = await play({ seed, modules, devices: 2, isSlow: seed % 3 === 0, crashes: true });
      const together = new Set(devices.flatMap(({ read }) => read));
      assert.deepEqual([...together].sort(), [...written].sort());
      assert.deepEqual([...new Set(got)].sort(), [...said(new Set(got).size)].sort());
      for (const { unsent } of devices) assert.equal(unsent, 0);
    });
  }
});

function said(count: number): readonly string[] {
  return Array.from({ length: count }, (_, i) => `j${i}`);
}

/** Numbers from 0 to 1, the same for the same seed. */
function makeRandom(seed: number): () => number {
  let state = seed * 2_654_435_761;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
