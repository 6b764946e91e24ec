import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createMechanisms } from '../../../src/auth/mechanisms.ts';
import type { SaslContext, SaslExchange, SaslMechanism } from '../../../src/auth/sasl.ts';
import { type AccountRecord, StoredAccounts } from '../../../src/auth/stored-accounts.ts';
import { Throttle } from '../../../src/auth/throttle.ts';
import { authentication } from '../../../src/config/sections/limits.ts';
import { type Log, silent } from '../../../src/log.ts';
import { SaslError } from '../../../src/stanza/errors.ts';
import type { MapStore } from '../../../src/storage/storage.ts';
import { ScramClient } from '../../support/scram-client.ts';

/** Records in memory. */
function mapOf(records: Map<string, AccountRecord>): MapStore<AccountRecord> {
  return {
    get: async (owner) => records.get(owner),
    entries: async () => new Map(),
    async update(owner, changes) {
      for (const record of changes.values()) if (record) records.set(owner, record);
    },
    async insert(owner, _key, record) {
      if (records.has(owner)) return false;
      records.set(owner, record);
      return true;
    },
    clear: async (owner) => void records.delete(owner),
    owners: async () => [],
    scan: async () => [],
  };
}

async function outcome(work: () => unknown): Promise<string> {
  try {
    const step = (await work()) as { username?: string };
    return step.username ?? 'challenge';
  } catch (error) {
    assert(error instanceof SaslError, String(error));
    return error.condition;
  }
}

describe('somebody who guesses', () => {
  const records = new Map<string, AccountRecord>();
  let accounts: StoredAccounts;
  let lines: string[];
  let mechanisms: ReadonlyMap<string, SaslMechanism>;

  beforeEach(async () => {
    records.clear();
    lines = [];
    const log: Log = {
      ...silent,
      warn: (text, detail) => void lines.push(`${text} ${JSON.stringify(detail)}`),
      child: () => log,
    };
    const secret = Buffer.alloc(32, 1);
    const erase = async (username: string) => void records.delete(username);
    accounts = new StoredAccounts({
      store: mapOf(records),
      iterations: 4096,
      secret,
      erase,
      created() {},
      async deleting() {},
      deleted() {},
    });
    await accounts.create('juliet', 'pencil');
    const throttle = new Throttle({ perAccount: 3, perAddress: 100, period: 60_000, exemptLoopback: false }, () => 0);
    const guard = throttle.guard('example.org', log);
    const created = createMechanisms(authentication.parse({}, 'authentication'), guard);
    mechanisms = new Map(created.map((mechanism) => [mechanism.name, mechanism]));
  });

  function start(name: string, remoteAddress = '192.0.2.1'): SaslExchange {
    const offered = [...mechanisms.keys()].filter((each) => !each.endsWith('-PLUS'));
    const context: SaslContext = { domain: 'example.org', accounts, tls: undefined, remoteAddress, offered, bindings: [] };
    return mechanisms.get(name)!.start(context);
  }

  const plain = (username: string, password: string, address?: string) =>
    outcome(() => start('PLAIN', address).step(Buffer.from(`\0${username}\0${password}`)));

  /** Begins with SCRAM; the function returned ends it. */
  async function begin(username: string, password: string): Promise<() => Promise<string>> {
    const client = new ScramClient({ hash: 'sha256', username, password });
    const exchange = start('SCRAM-SHA-256');
    const step = await exchange.step(client.first());
    assert('challenge' in step);
    const last = client.last(step.challenge);
    return () => outcome(() => exchange.step(last));
  }

  const scram = async (username: string, password: string) => (await begin(username, password))();

  it('gets the same answers for a name that nobody has', async () => {
    for (const login of [plain, scram]) {
      assert.equal(await login('juliet', 'wrong'), 'not-authorized');
      assert.equal(await login('nobody', 'wrong'), 'not-authorized');
    }
    const shape = async (username: string) => {
      const step = await start('SCRAM-SHA-512').step(Buffer.from(`n,,n=${username},r=abc`));
      assert('challenge' in step);
      return step.challenge.toString().replace(/[rs]=[^,]*/g, (value) => `${value[0]}:${value.length}`);
    };
    assert.equal(await shape('juliet'), await shape('nobody'));
  });

  it('is put off after as many failures for a name that nobody has', async () => {
    for (const username of ['juliet', 'nobody']) {
      const answers: string[] = [];
      for (let i = 0; i < 5; i++) answers.push(await plain(username, 'wrong'));
      const refused = ['not-authorized', 'not-authorized', 'not-authorized'];
      assert.deepEqual(answers, [...refused, 'temporary-auth-failure', 'temporary-auth-failure']);
    }
  });

  it('is put off with the right password too, and its owner elsewhere is not', async () => {
    for (let i = 0; i < 3; i++) await scram('juliet', 'wrong');
    assert.equal(await plain('juliet', 'pencil'), 'temporary-auth-failure');
    assert.equal(await plain('juliet', 'pencil', '192.0.2.2'), 'juliet');
  });

  it('learns no more from many attempts with PLAIN at once', async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => plain('juliet', `wrong${i}`)));
    assert.equal(answers.filter((answer) => answer === 'not-authorized').length, 3);
    assert.equal(answers.filter((answer) => answer === 'temporary-auth-failure').length, 9);
  });

  it('learns no more from many exchanges of SCRAM that were begun before any of them failed', async () => {
    const begun: (() => Promise<string>)[] = [];
    for (let i = 0; i < 6; i++) begun.push(await begin('juliet', `wrong${i}`));
    begun.push(await begin('juliet', 'pencil'));
    const answers: string[] = [];
    for (const end of begun) answers.push(await end());
    const refused = ['not-authorized', 'not-authorized', 'not-authorized'];
    assert.deepEqual(answers, [...refused, ...Array(4).fill('temporary-auth-failure')]);
  });

  it('is logged, without the password', async () => {
    await plain('juliet', 'a-wrong-guess');
    await scram('juliet', 'a-wrong-guess');
    assert.equal(lines.length, 2);
    for (const line of lines) {
      assert.match(line, /"username":"juliet","address":"192\.0\.2\.1"/);
      assert.equal(line.includes('guess'), false);
    }
  });

  it('meets the new password as soon as one was set', async () => {
    const old = await begin('juliet', 'pencil');
    await accounts.setPassword('juliet', 'pen');
    assert.equal(await old(), 'juliet'); // begun with what was right then
    assert.equal(await scram('juliet', 'pencil'), 'not-authorized');
    assert.equal(await scram('juliet', 'pen'), 'juliet');
    assert.equal(await plain('juliet', 'pen'), 'juliet');
  });

  it('cannot go on before it was answered, nor begin twice', async () => {
    const exchange = start('SCRAM-SHA-1');
    const first = Buffer.from('n,,n=juliet,r=abc');
    const pending = exchange.step(first);
    assert.equal(await outcome(() => exchange.step(first)), 'malformed-request');
    await pending;
    assert.equal(await outcome(() => exchange.step(first)), 'malformed-request');
  });

  for (const [name, message] of [
    ['m= behind the nonce', 'n,,n=juliet,r=abc,m=x'],
    ['an extension without a name', 'n,,n=juliet,r=abc,=x'],
    ['an extension without a value', 'n,,n=juliet,r=abc,x='],
    ['NUL in an extension', 'n,,n=juliet,r=abc,x=\0'],
    ['a second line', 'n,,n=juliet,r=abc\nn,,n=juliet,r=abc'],
    ['a comma at the end', 'n,,n=juliet,r=abc,'],
    ['commas alone', ','.repeat(16_000)],
    ['extensions without end', `n,,n=juliet,r=abc${',x=y'.repeat(4000)},`],
  ] as const) {
    it(`gets malformed-request for ${name}`, async () => {
      assert.equal(await outcome(() => start('SCRAM-SHA-256').step(Buffer.from(message))), 'malformed-request');
    });
  }

  it('brings about nothing but SaslError, whatever it sends to whatever mechanism', async () => {
    const piece = fc.constantFrom(
      'n,,',
      'y,,',
      'p=tls-exporter,,',
      'n=',
      'r=',
      'a=',
      'c=biws',
      ',',
      '=',
      '=2C',
      'm=',
      'p=',
      '\0',
      'juliet',
      'é',
      '\ud800',
    );
    const text = fc
      .array(fc.oneof(piece, fc.string({ maxLength: 4 })), { maxLength: 9 })
      .map((pieces) => Buffer.from(pieces.join('')));
    const message = fc.oneof(
      text,
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    );
    const names = fc.constantFrom(...mechanisms.keys());
    await fc.assert(
      fc.asyncProperty(names, fc.array(message, { minLength: 1, maxLength: 3 }), async (name, messages) => {
        const exchange = start(name);
        for (const each of messages) await outcome(() => exchange.step(each));
      }),
      { numRuns: 300 },
    );
  });
});
