import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ServerProcess } from '../support/server-process.ts';
import { WireClient } from '../support/wire-client.ts';

// A kill does not show whether what was acknowledged would survive a loss of power: that takes an fsync before the answer leaves.
// The system calls are watched with strace.

const CHANGES = 10;

describe('a server that loses power', () => {
  let server: ServerProcess;
  let strace: ChildProcess | undefined;

  before(async () => {
    server = await ServerProcess.create({ modules: { private: {}, register: { loopbackUnlimited: true } } });
    await server.start();
  });

  after(async () => {
    strace?.kill('SIGKILL');
    await server.remove();
  });

  it('has written to disk whatever it has acknowledged', async () => {
    const client = await WireClient.connect(server.http);
    await client.register('romeo', 'secret phrase');
    await client.login('romeo', 'secret phrase', 'x');
    const file = join(server.folder, 'calls');
    strace = spawn('strace', ['-f', '-s', '64', '-e', 'trace=fsync,fdatasync,write', '-p', String(server.pid), '-o', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await once(strace.stderr!, 'data'); // attached, or it says why it cannot
    for (let i = 0; i < CHANGES; i++) {
      const answer = await client.ask(`<iq type='set'><query xmlns='jabber:iq:private'><x xmlns='urn:x${i}'>y</x></query></iq>`);
      assert.equal(answer.attrs['type'], 'result');
    }
    strace.kill('SIGINT');
    await once(strace, 'exit');
    const calls = (await readFile(file, 'latin1')).split('\n');
    const isSync = (call: string) => /fsync\(|fdatasync\(/.test(call);
    const isAnswer = (call: string) => call.includes('<iq xmlns=');
    const order = calls.filter((call) => isSync(call) || isAnswer(call)).map((call) => (isSync(call) ? 'fsync' : 'answer'));
    assert.equal(order.filter((each) => each === 'answer').length, CHANGES);
    for (const [i, each] of order.entries()) if (each === 'answer') assert.equal(order[i - 1], 'fsync', order.join(' '));
    client.close();
  });
});
