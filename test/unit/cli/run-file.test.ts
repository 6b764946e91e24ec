import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { claim, findRunning, release, runFile } from '../../../src/cli/run-file.ts';

const ABOUT = { version: '1.0.0', config: '/x/server.yaml', started: '2026-01-01T00:00:00Z', control: '/x/control.sock' };

describe('the file of a running server', () => {
  let data = '';

  beforeEach(async () => {
    data = join(await mkdtemp(join(tmpdir(), 'parlance-run-')), 'data');
  });

  afterEach(() => rm(join(data, '..'), { recursive: true }));

  it('names the process, for its user alone, in a folder that is made for it', async () => {
    await claim(data, ABOUT);
    assert.equal((await stat(runFile(data))).mode & 0o777, 0o600);
    assert.equal((await stat(data)).mode & 0o777, 0o700);
    const running = await findRunning(data);
    assert.equal(running?.pid, process.pid);
    assert.equal(running?.control, ABOUT.control);
    await release(data);
    assert.equal(await findRunning(data), undefined);
  });

  it('keeps a second server off the folder', async () => {
    await claim(data, ABOUT);
    await assert.rejects(claim(data, ABOUT), /a server \(process \d+\) runs on .*data already/);
  });

  it('that a killed server has left behind is replaced', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    await claim(data, ABOUT);
    const left = JSON.parse(await readFile(runFile(data), 'utf8')) as Record<string, unknown>;
    await writeFile(runFile(data), JSON.stringify({ ...left, pid: child.pid }));
    assert.equal(await findRunning(data), undefined);
    await claim(data, ABOUT);
    assert.equal((await findRunning(data))?.pid, process.pid);
  });

  // Where the system does not say when a process was started, its number is all there is.
  if (process.platform === 'linux') {
    it('is not believed when another process has the number by now', async () => {
      await claim(data, ABOUT);
      const own = JSON.parse(await readFile(runFile(data), 'utf8')) as Record<string, unknown>;
      await writeFile(runFile(data), JSON.stringify({ ...own, birth: '1' }));
      assert.equal(await findRunning(data), undefined);
    });
  }

  it('is not believed when it is something else', async () => {
    await claim(data, ABOUT);
    for (const text of ['', '{', '[]', '{"pid":-1}', '{"pid":"1"}', 'null', '{"pid":1}']) {
      await writeFile(runFile(data), text);
      assert.equal(await findRunning(data), undefined, text);
    }
  });
});
