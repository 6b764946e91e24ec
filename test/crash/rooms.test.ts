import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Element } from 'ltx';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// A server is killed with kill -9 again and again while people talk in a room, and its owner manages it. What was acknowledged is there
// afterwards: each message once in the room's archive and in the order in which everybody has seen it; members, nicks, the subject and the
// configuration as they were answered last; and everybody has the same occupant id as before.

const ROUNDS = Number(process.env['PARLANCE_CRASH_ROUNDS'] ?? 5);
const SPEAKERS = 3;
const PASSWORD = 'correct horse';
const NS_MUC = 'http://jabber.org/protocol/muc';
const NS_MAM = 'urn:xmpp:mam:2';
const NS_SID = 'urn:xmpp:sid:0';
const postgres = process.env['PARLANCE_TEST_POSTGRES'];

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['SQLite', {}],
  ...(postgres ? [['PostgreSQL', { storage: { type: 'postgresql', url: postgres } }] as const] : []),
];

/** What the server has confirmed. */
class Ledger {
  /** Bodies of messages that were followed by an answer, by speaker. */
  readonly said = new Map<string, string[]>();
  /** Ids by which the room has shown messages to a listener, in that order. */
  readonly seen: string[][] = [];
  readonly members: string[] = [];
  readonly occupantIds = new Map<string, Set<string>>();
  /** The name of the room that was confirmed last, and the one that was sent last. */
  name = '';
  tried = '';
}

for (const [backend, changes] of BACKENDS) {
  describe(`rooms and kill -9 (${backend})`, () => {
    let server: ServerProcess;

    before(async () => {
      const modules = { roster: {}, presence: {}, ping: {}, disco: {}, mam: {}, muc: {} };
      server = await ServerProcess.create({ ...changes, modules });
    });

    after(() => server.remove());

    it(`lose nothing that was acknowledged, in ${ROUNDS} kills`, async function () {
      this.timeout(ROUNDS * 60_000);
      const run = Date.now().toString(36);
      const scene = new Scene(server, run);
      await server.start();
      await scene.prepare();
      for (let round = 0; round < ROUNDS; round++) {
        const talks = scene.speakers.map((name) => scene.talk(name, round));
        const others = [scene.listen(), scene.manage(round)];
        await new Promise((resolve) => setTimeout(resolve, randomInt(300, 1000)));
        await server.stop('SIGKILL');
        await Promise.all([...talks, ...others]);
        await server.start();
      }
      await scene.check();
    });
  });
}

class Scene {
  readonly ledger = new Ledger();
  readonly speakers: readonly string[];
  readonly #server: ServerProcess;
  readonly #owner: string;
  readonly #listener: string;
  readonly #room: string;

  constructor(server: ServerProcess, run: string) {
    this.#server = server;
    this.#owner = `owner${run}`;
    this.#listener = `listener${run}`;
    this.#room = `room${run}@conference.localhost`;
    this.speakers = Array.from({ length: SPEAKERS }, (_, i) => `speaker${i}${run}`);
  }

  async prepare(): Promise<void> {
    for (const name of [this.#owner, this.#listener, ...this.speakers]) {
      const client = await WireClient.connect(this.#server.http);
      assert.equal(await client.register(name, PASSWORD), true);
      client.close();
    }
    const owner = await this.#enter(this.#owner);
    await owner.ask(this.#configure('first'));
    owner.close();
  }

  /** Says one thing after the other until the line breaks, and notes what was answered for. */
  async talk(name: string, round: number): Promise<void> {
    const said = this.ledger.said.get(name) ?? [];
    this.ledger.said.set(name, said);
    try {
      const client = await this.#enter(name);
      for (let i = 0; ; i += 3) {
        const batch = [i, i + 1, i + 2].map((number) => `${name} ${round} ${number}`);
        for (const body of batch)
          client.send(`<message to='${this.#room}' type='groupchat' id='${body}'><body>${body}</body></message>`);
        await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
        said.push(...batch);
      }
    } catch {
      // The server was killed.
    }
  }

  /** Notes what the room shows, in this order. */
  async listen(): Promise<void> {
    const ids: string[] = [];
    this.ledger.seen.push(ids);
    try {
      const client = await this.#enter(this.#listener);
      for (;;) {
        const message = await client.until((stanza) => stanza.name === 'message' && stanza.getChild('body') !== undefined);
        const id = message.getChild('stanza-id', NS_SID)?.attrs['id'];
        if (id && !message.getChild('delay', 'urn:xmpp:delay')) ids.push(id);
        this.#noteOccupant(message);
      }
    } catch {
      // The server was killed.
    }
  }

  /** Makes members, and gives the room new names. */
  async manage(round: number): Promise<void> {
    try {
      const client = await this.#enter(this.#owner);
      for (let i = 0; ; i++) {
        const jid = `member${round}x${i}@example.org`;
        await client.ask(
          `<iq type='set' to='${this.#room}'><query xmlns='${NS_MUC}#admin'><item jid='${jid}' affiliation='member' nick='m${round}x${i}'/></query></iq>`,
        );
        this.ledger.members.push(jid);
        const name = `name ${round} ${i}`;
        this.ledger.tried = name;
        await client.ask(this.#configure(name));
        this.ledger.name = name;
      }
    } catch {
      // The server was killed.
    }
  }

  async check(): Promise<void> {
    const owner = await this.#enter(this.#owner);
    const archive = await readArchive(owner, this.#room);
    const bodies = archive.map(({ body }) => body);
    assert.equal(new Set(bodies).size, bodies.length, 'each once');
    for (const [name, said] of this.ledger.said) {
      const mine = bodies.filter((body) => body.startsWith(`${name} `));
      const there = new Set(mine);
      assert.deepEqual(
        said.filter((body) => !there.has(body)),
        [],
        `${name}: acknowledged and lost`,
      );
      const acknowledged = new Set(said);
      assert.deepEqual(
        mine.filter((body) => acknowledged.has(body)),
        said,
        `${name}: in order`,
      );
    }
    const places = new Map(archive.map(({ id }, i) => [id, i]));
    for (const ids of this.ledger.seen) {
      const order = ids.map((id) => places.get(id) ?? -1);
      assert.ok(!order.includes(-1), 'what was shown is in the archive');
      assert.deepEqual(
        order,
        order.toSorted((a, b) => a - b),
        'in the order in which it was shown',
      );
    }
    await this.#checkState(owner);
    assert.ok(bodies.length > 0 && this.ledger.members.length > 0, 'nothing was acknowledged, so nothing was tested');
    assert.ok(
      [...this.ledger.occupantIds.values()].every(({ size }) => size === 1),
      'occupants keep their ids',
    );
    owner.close();
  }

  async #checkState(owner: WireClient): Promise<void> {
    const list = await owner.ask(
      `<iq type='get' to='${this.#room}'><query xmlns='${NS_MUC}#admin'><item affiliation='member'/></query></iq>`,
    );
    const members = new Set(
      list
        .getChild('query')!
        .getChildren('item')
        .map(({ attrs }) => attrs['jid']),
    );
    assert.deepEqual(
      this.ledger.members.filter((jid) => !members.has(jid)),
      [],
      'members that were acknowledged and lost',
    );
    const info = await owner.ask(`<iq type='get' to='${this.#room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    const name = String(info.getChild('query')!.getChild('identity')!.attrs['name']);
    // The last that was tried may have been stored without an answer.
    assert.ok([this.ledger.name, this.ledger.tried].includes(name), `the name is ${name}`);
  }

  #noteOccupant(message: Element): void {
    const speaker = String(message.attrs['from']).split('/')[1]!;
    const id = message.getChild('occupant-id', 'urn:xmpp:occupant-id:0')?.attrs['id'];
    const ids = this.ledger.occupantIds.get(speaker) ?? new Set();
    this.ledger.occupantIds.set(speaker, ids.add(id));
  }

  async #enter(name: string): Promise<WireClient> {
    const client = await WireClient.connect(this.#server.http);
    await client.login(name, PASSWORD, 'crash');
    client.send('<presence/>');
    client.send(`<presence to='${this.#room}/${name}'><x xmlns='${NS_MUC}'/></presence>`);
    await client.until((stanza) => stanza.name === 'message' && stanza.getChild('subject') !== undefined);
    return client;
  }

  #configure(name: string): string {
    const field = (key: string, value: string) => `<field var='${key}'><value>${value}</value></field>`;
    const fields =
      field('FORM_TYPE', `${NS_MUC}#roomconfig`) + field('muc#roomconfig_roomname', name) + field('muc#maxhistoryfetch', '20');
    return `<iq type='set' to='${this.#room}'><query xmlns='${NS_MUC}#owner'><x xmlns='jabber:x:data' type='submit'>${fields}</x></query></iq>`;
  }
}

/** All of it, page by page. */
async function readArchive(client: WireClient, room: string): Promise<readonly { readonly id: string; readonly body: string }[]> {
  const found: { id: string; body: string }[] = [];
  for (let after = ''; ; ) {
    client.take();
    const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>250</max>${after && `<after>${after}</after>`}</set>`;
    const iq = await client.ask(`<iq type='set' to='${room}'><query xmlns='${NS_MAM}'>${set}</query></iq>`);
    for (const stanza of client.take()) {
      const result = stanza.getChild('result', NS_MAM);
      const message = result?.getChild('forwarded', 'urn:xmpp:forward:0')?.getChild('message');
      if (message) found.push({ id: result!.attrs['id'], body: message.getChildText('body') ?? '' });
    }
    const fin = iq.getChild('fin', NS_MAM)!;
    if (fin.attrs['complete'] === 'true') return found;
    after = fin.getChild('set', 'http://jabber.org/protocol/rsm')!.getChildText('last')!;
  }
}
