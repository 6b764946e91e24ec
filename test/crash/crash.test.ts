import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// A server is killed with kill -9 again and again while clients talk to it. Whatever it had acknowledged has to be there
// afterwards, once and in order: accounts whose registration was confirmed, contacts whose roster set was answered, messages to
// somebody offline behind which a ping was answered (a stream is served in order, so the answer covers them).

const ROUNDS = Number(process.env['PARLANCE_CRASH_ROUNDS'] ?? 6);
const SENDERS = 4;
const LAST = 'the last of all';
const PASSWORD = 'correct horse';
const postgres = process.env['PARLANCE_TEST_POSTGRES'];

/** What the server has confirmed. */
interface Ledger {
  readonly accounts: string[];
  /** By sender: the numbers of its messages, and its contacts. */
  readonly messages: Map<string, number[]>;
  readonly contacts: Map<string, string[]>;
}

const BACKENDS: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['SQLite', {}],
  ...(postgres ? [['PostgreSQL', { storage: { type: 'postgresql', url: postgres } }] as const] : []),
];

for (const [name, changes] of BACKENDS) {
  describe(`kill -9 (${name})`, () => {
    let server: ServerProcess;

    before(async () => {
      server = await ServerProcess.create({
        ...changes,
        modules: {
          roster: {},
          presence: {},
          ping: {},
          offline: { maxMessages: 100_000 },
          register: { loopbackUnlimited: true },
        },
      });
    });

    after(() => server.remove());

    it(`loses nothing that was acknowledged, in ${ROUNDS} kills`, async function () {
      this.timeout(ROUNDS * 60_000);
      const run = Date.now().toString(36);
      const ledger: Ledger = { accounts: [], messages: new Map(), contacts: new Map() };
      await server.start();
      await makeAccounts(server, [`sleeper${run}`, ...Array.from({ length: SENDERS }, (_, i) => `sender${i}${run}`)]);
      for (let round = 0; round < ROUNDS; round++) {
        const talks = Array.from({ length: SENDERS }, (_, i) => talk(server, `sender${i}${run}`, `sleeper${run}`, ledger));
        const registrations = registerMany(server, `r${round}${run}`, ledger);
        await new Promise((resolve) => setTimeout(resolve, randomInt(200, 900)));
        await server.stop('SIGKILL');
        await Promise.all([...talks, registrations]);
        await server.start();
      }
      await checkMessages(server, `sleeper${run}`, ledger);
      await checkContacts(server, ledger);
      await checkAccounts(server, ledger);
      const count = [...ledger.messages.values()].reduce((sum, { length }) => sum + length, 0);
      assert.ok(count > 0 && ledger.accounts.length > 0, 'nothing was acknowledged, so nothing was tested');
    });
  });
}

async function makeAccounts(server: ServerProcess, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const client = await WireClient.connect(server.http);
    assert.equal(await client.register(name, PASSWORD), true);
    client.close();
  }
}

/** Sends until the line breaks, and notes what was confirmed. */
async function talk(server: ServerProcess, name: string, to: string, ledger: Ledger): Promise<void> {
  const sent = ledger.messages.get(name) ?? [];
  const contacts = ledger.contacts.get(name) ?? [];
  ledger.messages.set(name, sent);
  ledger.contacts.set(name, contacts);
  try {
    const client = await WireClient.connect(server.http);
    await client.login(name, PASSWORD, 'talk');
    for (let next = (sent.at(-1) ?? 0) + 1000; ; next += 3) {
      const batch = [next, next + 1, next + 2];
      for (const number of batch)
        client.send(`<message to='${to}@localhost' type='chat' id='${number}'><body>${number}</body></message>`);
      await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
      sent.push(...batch);
      const contact = `c${next}@example.org`;
      await client.ask(`<iq type='set'><query xmlns='jabber:iq:roster'><item jid='${contact}'/></query></iq>`);
      contacts.push(contact);
    }
  } catch {
    // The server was killed.
  }
}

async function registerMany(server: ServerProcess, prefix: string, ledger: Ledger): Promise<void> {
  try {
    for (let i = 0; ; i++) {
      const client = await WireClient.connect(server.http);
      if (await client.register(`${prefix}x${i}`, PASSWORD)) ledger.accounts.push(`${prefix}x${i}`);
      client.close();
    }
  } catch {
    // The server was killed.
  }
}

async function checkMessages(server: ServerProcess, name: string, ledger: Ledger): Promise<void> {
  await sayLast(server, [...ledger.messages.keys()][0]!, name);
  const client = await WireClient.connect(server.http);
  await client.login(name, PASSWORD, 'wake');
  client.send('<presence/>');
  // What waits is delivered in order, and this one came last.
  await client.until((stanza) => stanza.name === 'message' && stanza.getChildText('body') === LAST);
  const got = new Map<string, number[]>();
  for (const stanza of client.take()) {
    if (stanza.name !== 'message') continue;
    const sender = stanza.attrs['from'].split('@')[0];
    got.set(sender, [...(got.get(sender) ?? []), Number(stanza.getChildText('body'))]);
  }
  for (const [sender, wanted] of ledger.messages) {
    const found = got.get(sender) ?? [];
    assert.deepEqual(
      found,
      [...new Set(found)].sort((a, b) => a - b),
      `${sender}: each once, in order`,
    );
    const there = new Set(found);
    assert.deepEqual(
      wanted.filter((number) => !there.has(number)),
      [],
      `${sender}: acknowledged and lost`,
    );
  }
  client.close();
}

async function sayLast(server: ServerProcess, from: string, to: string): Promise<void> {
  const client = await WireClient.connect(server.http);
  await client.login(from, PASSWORD, 'last');
  client.send(`<message to='${to}@localhost' type='chat'><body>${LAST}</body></message>`);
  await client.ask("<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
  client.close();
}

async function checkContacts(server: ServerProcess, ledger: Ledger): Promise<void> {
  for (const [name, contacts] of ledger.contacts) {
    const client = await WireClient.connect(server.http);
    await client.login(name, PASSWORD, 'check');
    const roster = await client.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    const found = new Set(
      roster
        .getChild('query')!
        .getChildren('item')
        .map(({ attrs }) => attrs['jid']),
    );
    assert.deepEqual(
      contacts.filter((contact) => !found.has(contact)),
      [],
      `${name}: contacts that were acknowledged and lost`,
    );
    client.close();
  }
}

async function checkAccounts(server: ServerProcess, ledger: Ledger): Promise<void> {
  for (const name of ledger.accounts) {
    const client = await WireClient.connect(server.http);
    await client.login(name, PASSWORD, 'check');
    client.close();
  }
}
