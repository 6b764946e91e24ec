import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Element } from 'ltx';
import { ManagedClient } from '../support/managed-client.ts';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// A database that is gone, or slow. Only with PostgreSQL (PARLANCE_TEST_POSTGRES), which the server reaches through a line that can be cut.

const PASSWORD = 'correct horse';
const NS_STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const PING = "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
/** Milliseconds that everything takes on its way to a slow database, and again on the way back. */
const SLOW = 20;
/** What somebody says who asks for nothing in return: much more than the kernel holds for a connection. */
const FLOOD = 64 << 20;
const BODY = 'x'.repeat(16_000);
/** What the kernel, the server and the client itself may hold of it. */
const MOST_UNANSWERED = 24 << 20;

/** Messages that are waited for, to see that they still come, and how fast. */
const ENOUGH = 50;

const postgres = process.env['PARLANCE_TEST_POSTGRES'];

/** The way to the database. */
class Way {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #target: URL;
  #isCut = false;
  #delay = 0;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((near) => this.#join(near));
  }

  static async open(url: string): Promise<Way> {
    const way = new Way(new URL(url));
    way.#server.listen(0, '127.0.0.1');
    await once(way.#server, 'listening');
    return way;
  }

  /** The database's address, this way. */
  get url(): string {
    const url = new URL(this.#target);
    url.hostname = '127.0.0.1';
    url.port = String((this.#server.address() as { port: number }).port);
    return url.href;
  }

  /** Nothing passes. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** All is well again. */
  mend(): void {
    this.#isCut = false;
    this.#delay = 0;
  }

  /** Everything takes its time. */
  slowDown(milliseconds: number): void {
    this.#delay = milliseconds;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(near: Socket): void {
    if (this.#isCut) return void near.destroy();
    const far = connect({ host: this.#target.hostname, port: Number(this.#target.port || 5432), noDelay: true });
    this.#pass(near, far);
    this.#pass(far, near);
  }

  #pass(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    // In order, though each chunk is held back by itself.
    let last = Promise.resolve();
    from.on('data', (chunk) => {
      const until = performance.now() + this.#delay;
      last = last.then(async () => {
        const left = until - performance.now();
        if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
        to.write(chunk);
      });
    });
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

if (postgres) describe('a database that fails', () => withDatabase(postgres));

function withDatabase(url: string): void {
  let way: Way;
  let server: ServerProcess;
  const run = Date.now().toString(36);
  const [romeo, juliet, tybalt] = ['romeo', 'juliet', 'tybalt'].map((name) => `${name}${run}`) as [string, string, string];

  before(async function () {
    this.timeout(30_000);
    way = await Way.open(url);
    server = await ServerProcess.create({
      storage: { type: 'postgresql', url: way.url },
      modules: { roster: {}, presence: {}, ping: {}, private: {}, offline: { patience: '100ms' }, sm: {}, mam: {} },
    });
    await server.start();
    for (const name of [romeo, juliet, tybalt]) {
      const client = await WireClient.connect(server.http);
      assert.equal(await client.register(name, PASSWORD), true);
      client.close();
    }
  });

  after(async () => {
    way?.mend();
    await server?.remove();
    way?.close();
  });

  async function enter(name: string, message: (message: Element) => void = () => {}): Promise<ManagedClient> {
    const parts = { server, username: name, password: PASSWORD, resource: 'x', transport: 'tcp', confirms: true } as const;
    const client = new ManagedClient({ ...parts, message });
    await client.connect();
    client.send('<presence/>');
    await client.checkpoint();
    return client;
  }

  it('senders are told while it is gone, connections survive, and it heals by itself', async () => {
    const heard: string[] = [];
    const sender = await enter(romeo);
    const receiver = await enter(juliet, ({ attrs }) => heard.push(String(attrs['id'])));
    for (let round = 0; round < 3; round++) {
      const say = (id: string) => {
        const said = sender.say(() => writeMessage(juliet, id, id));
        sender.request();
        return said;
      };
      way.cut();
      const error = sender.until(({ name, attrs }) => name === 'message' && attrs['type'] === 'error');
      const lost = say(`lost${round}`);
      const { attrs, ...refused } = await error.then((message) => ({ attrs: message.attrs, ...describeError(message) }));
      assert.deepEqual([attrs['id'], refused], [`lost${round}`, { type: 'wait', condition: 'internal-server-error' }]);
      const answer = await sender.ask("<iq type='set'><query xmlns='jabber:iq:private'><x xmlns='urn:x'>y</x></query></iq>");
      assert.deepEqual(describeError(answer), { type: 'wait', condition: 'internal-server-error' });
      for (const client of [sender, receiver]) assert.equal((await client.ask(PING)).attrs['type'], 'result');
      way.mend();
      const kept = say(`kept${round}`);
      while (!kept.isAcknowledged) await sender.until(({ name }) => name === 'a');
      assert.equal(lost.isAcknowledged, true, 'what was refused was dealt with, too');
      await receiver.ask(PING);
      assert.deepEqual(heard.splice(0), [`kept${round}`]);
    }
    assert.deepEqual([sender.sessions, receiver.sessions], [1, 1]);
    for (const client of [sender, receiver]) client.close();
  });

  it('a slow one holds up those who want something stored, and nobody else', async function () {
    this.timeout(60_000);
    let heard = 0;
    const count = ({ attrs }: Element) => void (attrs['from'] === `${romeo}@localhost/x` && heard++);
    const [flooder, one, other] = [await enter(romeo), await enter(juliet), await enter(tybalt, count)];
    const memory = await residentBytes(server);
    way.slowDown(SLOW);
    const total = Math.ceil(FLOOD / BODY.length);
    for (let i = 0; i < total; i++) flooder.say(() => writeMessage(tybalt, `${i}`, BODY));
    // Whatever needs no storage goes to and fro, many times in the time that some messages take.
    let rounds = 0;
    for (; heard < ENOUGH; rounds++) {
      assert.equal((await one.ask(PING)).attrs['type'], 'result');
      const seen = other.until(({ name, attrs }) => name === 'presence' && attrs['from'] === `${juliet}@localhost/x`);
      one.send(`<presence to='${tybalt}@localhost/x'><status>${rounds}</status></presence>`);
      await seen;
    }
    assert.ok(rounds > ENOUGH, `only ${rounds} rounds`);
    assert.ok(heard < total / 10, 'the database was not slow');
    // What has left the client and was not delivered is in the kernel, or in the server.
    const unanswered = (total - heard) * BODY.length - flooder.unsent;
    assert.ok(unanswered < MOST_UNANSWERED, `${unanswered} bytes are not answered`);
    const growth = (await residentBytes(server)) - memory;
    assert.ok(growth < MOST_UNANSWERED * 2, `the server has grown by ${growth} bytes`);
    flooder.close();
    way.mend();
    assert.equal((await one.ask(PING)).attrs['type'], 'result');
    for (const client of [one, other]) client.close();
  });
}

function writeMessage(to: string, id: string, body: string): string {
  return `<message to='${to}@localhost' type='chat' id='${id}'><body>${body}</body></message>`;
}

function describeError(stanza: Element): { readonly type: unknown; readonly condition: string | undefined } {
  const error = stanza.getChild('error');
  const condition = error
    ?.getChildElements()
    .find((child) => child.getNS() === NS_STANZAS)
    ?.getName();
  return { type: error?.attrs['type'], condition };
}

async function residentBytes(server: ServerProcess): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024;
}
