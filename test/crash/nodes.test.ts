import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Element } from 'ltx';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// A server is killed with kill -9 again and again while accounts publish into nodes of their own and of the service, retract, subscribe and
// change bookmarks. What was acknowledged is there afterwards, byte for byte and in order; what was not is there whole or not at all; and
// whoever was told of an item finds it.

const ROUNDS = Number(process.env['PARLANCE_CRASH_ROUNDS'] ?? 5);
const PASSWORD = 'correct horse';
const P = 'http://jabber.org/protocol/pubsub';
const SERVICE = 'pubsub.localhost';
const postgres = process.env['PARLANCE_TEST_POSTGRES'];

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['SQLite', {}],
  ...(postgres ? [['PostgreSQL', { storage: { type: 'postgresql', url: postgres } }] as const] : []),
];

/** What one publisher has done to one node. */
class Ledger {
  /** Ids whose publication was confirmed, in order, with their texts; retracted ones are taken out when that was confirmed. */
  readonly confirmed = new Map<string, string>();
  /** What was sent last, and may have been done or not. */
  open: { readonly id: string; readonly text: string | undefined } | undefined = undefined;
}

for (const [backend, changes] of BACKENDS) {
  describe(`nodes and kill -9 (${backend})`, () => {
    let server: ServerProcess;

    before(async () => {
      const modules = {
        roster: {},
        presence: {},
        ping: {},
        disco: {},
        caps: {},
        private: {},
        pep: {},
        pubsub: {},
        bookmarks: {},
      };
      server = await ServerProcess.create({ ...changes, modules });
    });

    after(() => server.remove());

    it(`lose nothing that was acknowledged, in ${ROUNDS} kills`, async function () {
      this.timeout(ROUNDS * 60_000);
      const scene = new Scene(server, Date.now().toString(36));
      await server.start();
      await scene.prepare();
      for (let round = 0; round < ROUNDS; round++) {
        const work = [scene.publish(scene.own, round), scene.publish(scene.shared, round), scene.bookmark(round), scene.listen()];
        await new Promise((resolve) => setTimeout(resolve, randomInt(300, 1000)));
        await server.stop('SIGKILL');
        await Promise.all(work);
        await server.start();
        await scene.check();
      }
    });
  });
}

/** A node, and who publishes to it. */
interface Target {
  readonly user: string;
  readonly to: string;
  readonly node: string;
  readonly ledger: Ledger;
}

class Scene {
  readonly own: Target;
  readonly shared: Target;
  readonly #server: ServerProcess;
  readonly #keeper: string;
  readonly #listener: string;
  readonly #rooms = new Ledger();
  /** Ids of items of the shared node that its subscriber was told of. */
  readonly #told = new Set<string>();
  readonly #retracted = new Set<string>();

  constructor(server: ServerProcess, run: string) {
    this.#server = server;
    this.#keeper = `keeper${run}`;
    this.#listener = `listener${run}`;
    this.own = { user: `alice${run}`, to: '', node: `urn:test:${run}`, ledger: new Ledger() };
    this.shared = { user: `bob${run}`, to: ` to='${SERVICE}'`, node: `node${run}`, ledger: new Ledger() };
  }

  async prepare(): Promise<void> {
    for (const name of [this.own.user, this.shared.user, this.#keeper, this.#listener]) {
      const client = await WireClient.connect(this.#server.http);
      assert.equal(await client.register(name, PASSWORD), true);
      client.close();
    }
    const options = "<field var='pubsub#max_items'><value>max</value></field>";
    for (const { user, to, node } of [this.own, this.shared]) {
      const client = await this.#login(user);
      const form = `<x xmlns='jabber:x:data' type='submit'>${options}</x>`;
      await done(client.ask(set(to, `<create node='${node}'/><configure>${form}</configure>`)));
      client.close();
    }
    const client = await this.#login(this.#listener);
    const jid = `${this.#listener}@localhost`;
    await done(client.ask(set(this.shared.to, `<subscribe node='${this.shared.node}' jid='${jid}'/>`)));
    client.close();
  }

  /** Publishes one item after the other, and takes some back, until the line breaks. */
  async publish({ user, to, node, ledger }: Target, round: number): Promise<void> {
    try {
      const client = await this.#login(user);
      for (let i = 0; ; i++) {
        const id = `${round}-${i}`;
        const text = `${id} é \u{1f600} &amp; &lt;`;
        ledger.open = { id, text };
        await done(client.ask(set(to, `<publish node='${node}'><item id='${id}'><t xmlns='urn:t'>${text}</t></item></publish>`)));
        ledger.confirmed.set(id, text);
        if (i % 5 !== 4) continue;
        const old = [...ledger.confirmed.keys()][randomInt(ledger.confirmed.size)]!;
        ledger.open = { id: old, text: undefined };
        this.#retracted.add(old);
        await done(client.ask(set(to, `<retract node='${node}'><item id='${old}'/></retract>`)));
        ledger.confirmed.delete(old);
      }
    } catch (error) {
      rethrowFault(error);
    }
  }

  /** Bookmarks rooms by both specifications. */
  async bookmark(round: number): Promise<void> {
    const ledger = this.#rooms;
    try {
      const client = await this.#login(this.#keeper);
      for (let i = 0; ; i++) {
        const id = `room${round}x${i}@conference.localhost`;
        ledger.open = { id, text: '' };
        if (i % 2 === 0) {
          const conference = "<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/>";
          await done(client.ask(set('', `<publish node='urn:xmpp:bookmarks:1'><item id='${id}'>${conference}</item></publish>`)));
        } else {
          const list = await client.ask(
            "<iq type='get'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>",
          );
          const storage = list.getChild('query', 'jabber:iq:private')!.getChild('storage', 'storage:bookmarks')!;
          storage.c('conference', { jid: id, autojoin: 'true' });
          await done(client.ask(`<iq type='set'><query xmlns='jabber:iq:private'>${storage}</query></iq>`));
        }
        ledger.confirmed.set(id, '');
      }
    } catch (error) {
      rethrowFault(error);
    }
  }

  async listen(): Promise<void> {
    try {
      const client = await this.#login(this.#listener);
      client.send('<presence/>');
      for (;;) {
        const message = await client.until(({ name }) => name === 'message');
        const items = message.getChild('event', `${P}#event`)?.getChild('items')?.getChildren('item') ?? [];
        for (const { attrs } of items) this.#told.add(String(attrs['id']));
      }
    } catch {
      // The server was killed.
    }
  }

  async check(): Promise<void> {
    for (const target of [this.own, this.shared]) await this.#checkNode(target);
    await this.#checkBookmarks();
    const client = await this.#login(this.#listener);
    const own = await client.ask(`<iq type='get'${this.shared.to}><pubsub xmlns='${P}'><subscriptions/></pubsub></iq>`);
    assert(String(own).includes(this.shared.node), 'the subscription is there');
    client.close();
  }

  async #checkNode(target: Target): Promise<void> {
    const { user, to, node, ledger } = target;
    const client = await this.#login(user);
    const found = new Map<string, string>();
    for (let after: string | undefined; ; ) {
      const behind = after === undefined ? '' : `<after>${after}</after>`;
      const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>${behind}</set>`;
      const answer = await done(
        client.ask(`<iq type='get'${to}><pubsub xmlns='${P}'><items node='${node}'/>${set}</pubsub></iq>`),
      );
      const items = answer.getChild('pubsub', P)!.getChild('items')!.getChildren('item');
      for (const item of items) {
        const id = String(item.attrs['id']);
        assert(!found.has(id), `${id} is there twice`);
        found.set(id, item.getChild('t', 'urn:t')!.getText());
      }
      after = items.at(-1)?.attrs['id'];
      if (items.length < 50) break;
    }
    client.close();
    settle(ledger, found);
    const wanted = [...ledger.confirmed].map(([id, text]) => [id, text.replace('&amp;', '&').replace('&lt;', '<')]);
    assert.deepEqual([...found], wanted);
    if (target !== this.shared) return;
    for (const id of this.#told) assert(found.has(id) || this.#retracted.has(id), `${id} was told of, and is not there`);
  }

  async #checkBookmarks(): Promise<void> {
    const client = await this.#login(this.#keeper);
    const items = await client.ask(`<iq type='get'><pubsub xmlns='${P}'><items node='urn:xmpp:bookmarks:1'/></pubsub></iq>`);
    const found = new Map<string, string>();
    for (const item of items.getChild('pubsub', P)?.getChild('items')?.getChildren('item') ?? [])
      found.set(String(item.attrs['id']), '');
    settle(this.#rooms, found);
    assert.deepEqual([...found.keys()].sort(), [...this.#rooms.confirmed.keys()].sort());
    const list = await client.ask(
      "<iq type='get'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query></iq>",
    );
    const storage = list.getChild('query', 'jabber:iq:private')!.getChild('storage', 'storage:bookmarks')!;
    const rooms = storage.getChildren('conference').map(({ attrs }) => String(attrs['jid']));
    assert.deepEqual(rooms.sort(), [...found.keys()].sort());
    client.close();
  }

  async #login(name: string): Promise<WireClient> {
    const client = await WireClient.connect(this.#server.http);
    await client.login(name, PASSWORD, 'x');
    return client;
  }
}

/** What was sent last and not answered may have been done. */
function settle(ledger: Ledger, found: ReadonlyMap<string, string>): void {
  const { open } = ledger;
  ledger.open = undefined;
  if (!open) return;
  if (open.text === undefined) {
    if (!found.has(open.id)) ledger.confirmed.delete(open.id);
  } else if (found.has(open.id)) ledger.confirmed.set(open.id, open.text);
}

function set(to: string, inner: string): string {
  return `<iq type='set'${to}><pubsub xmlns='${P}'>${inner}</pubsub></iq>`;
}

/** An answer that says no is a fault of this test, and no broken line. */
class Refused extends Error {}

async function done(answer: Promise<Element>): Promise<Element> {
  const iq = await answer;
  if (iq.attrs['type'] !== 'result') throw new Refused(String(iq));
  return iq;
}

function rethrowFault(error: unknown): void {
  if (error instanceof Refused) throw error;
}
