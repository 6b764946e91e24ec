import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askServer, type Control, openControl, placeControl } from '../../../src/cli/control.ts';

const describeError = (error: unknown) => [error instanceof Error ? error.message : String(error)];

describe('the control socket', () => {
  let folder = '';
  let control: Control | undefined;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-control-'));
  });

  afterEach(async () => {
    await control?.close();
    control = undefined;
    await rm(folder, { recursive: true });
  });

  async function open(handle: Parameters<typeof openControl>[1]): Promise<string> {
    control = await openControl(await placeControl(folder), handle, describeError);
    return control.path;
  }

  it('takes a request and gives the answer, to its user alone', async () => {
    const path = await open(async (request) => ({ got: request }));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await askServer(path, { do: 'status' }), { got: { do: 'status' } });
    assert.deepEqual(await askServer(path, { text: 'ü\n"' }), { got: { text: 'ü\n"' } });
  });

  it('tells what the request failed on', async () => {
    const path = await open(() => Promise.reject(new Error('no such host')));
    await assert.rejects(askServer(path, {}), { name: 'CliError', message: 'no such host' });
  });

  it('replaces what a killed server has left', async () => {
    await writeFile((await placeControl(folder)).path, '');
    assert.deepEqual(await askServer(await open(async () => 1), {}), 1);
  });

  it('has a place of its own where the path of the data folder is too long for a socket', async () => {
    const deep = join(folder, 'x'.repeat(120));
    await mkdir(deep);
    const place = await placeControl(deep);
    const { path } = place;
    assert.ok(path.length <= 100);
    control = await openControl(place, async () => 'here', describeError);
    assert.equal(await askServer(path, {}), 'here');
    await control.close();
    control = undefined;
    await assert.rejects(stat(join(path, '..')), { code: 'ENOENT' });
  });

  it('goes on after requests that are none', async () => {
    const path = await open(async () => 'well');
    for (const text of ['\n', '{\n', '[]]\n', 'null\n', '5\n', `${'x'.repeat(3 << 20)}\n`]) {
      const socket = connect(path).on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.resume().write(text);
      await closed;
    }
    const silent = connect(path).on('error', () => {});
    await once(silent, 'connect');
    assert.equal(await askServer(path, {}), 'well');
    silent.destroy();
  });

  it('that nobody listens on is said to be silent', async () => {
    await assert.rejects(askServer(join(folder, 'none'), {}), /does not answer on .*ENOENT/);
  });
});
