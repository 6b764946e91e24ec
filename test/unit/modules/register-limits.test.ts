import assert from 'node:assert/strict';
import { Allowance } from '../../../modules/register/allowance.ts';
import register from '../../../modules/register/index.ts';
import { conditionOf } from '../../support/answers.ts';
import type { FakeTransport } from '../../support/fake-transport.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';
import { account, Stranger } from '../../support/stranger.ts';

let host: TestHost;

async function start(config: unknown): Promise<void> {
  host = await startHost([register], { modules: { register: config } });
}

/** Somebody on a line with these properties. */
function stranger(line: Partial<FakeTransport> = {}): Stranger {
  return new Stranger(host, (transport) => void Object.assign(transport, line));
}

describe('register: limits', () => {
  afterEach(() => host.stop());

  it('makes one account on each stream', async () => {
    await start({});
    const someone = stranger();
    assert.equal((await someone.ask(account('bill'))).attrs['type'], 'result');
    assert.equal(conditionOf(await someone.ask(account('william'))), 'not-acceptable');
  });

  it('makes so many accounts for an address and no more, and goes on after the period', async () => {
    await start({ perAddress: 2 });
    const names = ['one', 'two', 'three'];
    const replies = [];
    for (const name of names) replies.push((await stranger().ask(account(name))).attrs['type']);
    assert.deepEqual(replies, ['result', 'result', 'error']);
    const other = stranger({ remoteAddress: '198.51.100.1' });
    assert.equal((await other.ask(account('three'))).attrs['type'], 'result');
  });

  it('counts the addresses of one IPv6 network as one', async () => {
    await start({ perAddress: 1 });
    const from = (remoteAddress: string) => stranger({ remoteAddress });
    assert.equal((await from('2001:db8:0:1::1').ask(account('one'))).attrs['type'], 'result');
    assert.equal(conditionOf(await from('2001:db8:0:1:ffff::2').ask(account('two'))), 'not-acceptable');
    assert.equal((await from('2001:db8:0:2::1').ask(account('two'))).attrs['type'], 'result');
  });

  it('charges little for names that are taken, but does not let anybody try names without end', async () => {
    await start({ perAddress: 1 });
    await host.host.accounts.create('juliet', 'secret');
    assert.equal(conditionOf(await stranger().ask(account('juliet'))), 'conflict');
    // One account costs ten attempts; with one attempt spent there is no account left, and soon no attempt either.
    assert.equal(conditionOf(await stranger().ask(account('fresh'))), 'not-acceptable');
  });

  it('does not limit this machine where that is configured', async () => {
    await start({ perAddress: 1, loopbackUnlimited: true });
    const local = () => stranger({ loopback: true, remoteAddress: '127.0.0.1' });
    for (const name of ['one', 'two', 'three']) assert.equal((await local().ask(account(name))).attrs['type'], 'result');
  });
});

describe('register: allowances', () => {
  it('come back after the period', () => {
    const allowance = new Allowance().configure(2, 1000);
    assert.deepEqual(
      [0, 1, 2].map(() => allowance.spend('a', 1, 5000)),
      [true, true, false],
    );
    assert.equal(allowance.spend('a', 1, 5999), false);
    assert.equal(allowance.spend('a', 1, 6000), true);
  });

  it('remember so many names and no more', () => {
    const allowance = new Allowance(100).configure(1, 1000);
    for (let i = 0; i < 10_000; i++) allowance.spend(`name ${i}`, 1, 0);
    assert.equal(allowance.size, 100);
  });
});
