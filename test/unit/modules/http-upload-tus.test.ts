import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { Upload } from 'tus-js-client';
import { type Slot, UploadScene } from '../../support/upload-scene.ts';

const TUS = { 'Tus-Resumable': '1.0.0' };

/** A line that breaks, as often as there are lengths, when so many bytes have come from the client. */
class BreakingLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  breaks = 0;

  private constructor(port: number, lengths: number[]) {
    this.#server = createServer((client) => {
      const server = connect(port, '127.0.0.1');
      let passed = 0;
      for (const each of [client, server]) {
        this.#sockets.add(each);
        each.on('error', () => {});
      }
      client.on('data', (chunk) => {
        passed += chunk.length;
        const [limit] = lengths;
        if (limit === undefined || passed < limit) return void server.write(chunk);
        this.breaks++;
        lengths.shift();
        server.write(chunk.subarray(0, Math.max(0, chunk.length - (passed - limit))));
        client.destroy();
        server.end();
      });
      client.on('end', () => server.end());
      server.on('data', (chunk) => client.write(chunk)).on('close', () => client.destroy());
    });
  }

  static async open(port: number, lengths: number[]): Promise<BreakingLine> {
    const line = new BreakingLine(port, lengths);
    line.#server.listen(0, '127.0.0.1');
    await once(line.#server, 'listening');
    return line;
  }

  get port(): number {
    return (this.#server.address() as { readonly port: number }).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

describe('http-upload: in pieces (tus 1.0)', () => {
  let scene: UploadScene;
  afterEach(() => scene.stop());

  const head = (slot: Slot) =>
    scene.http.ask(slot.put, { method: 'HEAD', headers: { ...TUS, Authorization: slot.authorization } });
  const patch = (slot: Slot, offset: number, body: string, headers: Readonly<Record<string, string>> = {}) =>
    scene.http.ask(slot.put, {
      method: 'PATCH',
      body,
      headers: {
        ...TUS,
        Authorization: slot.authorization,
        'Content-Type': 'application/offset+octet-stream',
        'Upload-Offset': String(offset),
        'Content-Length': String(body.length),
        ...headers,
      },
    });
  const file = async (slot: Slot) => (await scene.http.ask(slot.get)).body;

  it('is said by OPTIONS', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    const { headers } = await scene.http.ask(slot.put, { method: 'OPTIONS' });
    assert.equal(headers['tus-version'], '1.0.0');
    assert.equal(headers['tus-extension'], 'termination,checksum');
  });

  it('goes on where it was', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    const before = await head(slot);
    assert.deepEqual([before.status, before.headers['upload-offset'], before.headers['upload-length']], [200, '0', '10']);
    assert.equal((await patch(slot, 0, '0123')).headers['upload-offset'], '4');
    assert.equal((await head(slot)).headers['upload-offset'], '4');
    assert.equal((await scene.http.ask(slot.get)).status, 404);
    assert.equal((await patch(slot, 4, '456789')).status, 204);
    assert.equal(await file(slot), '0123456789');
    assert.equal((await head(slot)).headers['upload-offset'], '10');
  });

  it('goes nowhere else', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    await patch(slot, 0, '0123');
    for (const offset of [0, 3, 5, 10, 11]) assert.equal((await patch(slot, offset, 'xx')).status, 409, String(offset));
    assert.notEqual((await patch(slot, 4, '456789too much')).status, 204);
    const { 'upload-offset': offset = '' } = (await head(slot)).headers;
    assert(['4', '10'].includes(String(offset)));
    const other = await scene.slot(10);
    const wrong = { ...other, authorization: slot.authorization };
    assert.equal((await head(wrong)).status, 403);
    assert.equal((await patch(wrong, 0, '0')).status, 403);
    assert.equal((await patch({ ...other, authorization: 'Basic x' }, 0, '0')).status, 401);
    assert.equal((await patch({ ...other, put: `/upload/${'x'.repeat(32)}/a` }, 0, '0')).status, 404);
    assert.equal((await patch(other, 0, '0', { 'Content-Type': 'text/plain' })).status, 400);
    const post = await scene.http.ask('/upload/', { method: 'POST', headers: { ...TUS, 'Upload-Length': '5' } });
    assert.equal(post.status, 405);
  });

  it('checks what comes with a checksum, and takes nothing that is not it', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    const sum = (text: string, algorithm: string) => `${algorithm} ${createHash(algorithm).update(text).digest('base64')}`;
    assert.equal((await patch(slot, 0, '0123', { 'Upload-Checksum': sum('0124', 'sha1') })).status, 460);
    assert.equal((await head(slot)).headers['upload-offset'], '0');
    assert.equal((await patch(slot, 0, '0123', { 'Upload-Checksum': sum('0123', 'sha1') })).status, 204);
    assert.equal((await patch(slot, 4, '456789', { 'Upload-Checksum': sum('45678', 'sha256') })).status, 460);
    assert.equal((await patch(slot, 4, '456789', { 'Upload-Checksum': sum('456789', 'sha256') })).status, 204);
    assert.equal(await file(slot), '0123456789');
    for (const bad of ['md5 AAAA', 'sha1', 'x y z']) {
      assert.equal((await patch(await scene.slot(10), 0, '0', { 'Upload-Checksum': bad })).status, 400, bad);
    }
  });

  it('is given up by its owner', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    await patch(slot, 0, '0123');
    const gone = await scene.http.ask(slot.put, { method: 'DELETE', headers: { ...TUS, Authorization: slot.authorization } });
    assert.equal(gone.status, 204);
    assert.equal((await head(slot)).status, 404);
  });

  it('goes on after a PUT that has broken off', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    const line = connect(scene.http.port, '127.0.0.1');
    line.write(
      `PUT ${slot.put} HTTP/1.1\r\nHost: example.org\r\nAuthorization: ${slot.authorization}\r\nContent-Length: 10\r\n\r\n01234`,
    );
    while ((await head(slot)).headers['upload-offset'] !== '5');
    line.destroy();
    let status = 423;
    while (status === 423) status = (await patch(slot, 5, '56789')).status;
    assert.equal(status, 204);
    assert.equal(await file(slot), '0123456789');
  });

  it('with tus-js-client, over a line that breaks ten times', async function () {
    this.timeout(20_000);
    scene = await UploadScene.start();
    const bytes = randomBytes(3 << 20);
    const slot = await scene.slot(bytes.length);
    const lengths = Array.from({ length: 10 }, (_, i) => 1000 + i * 30_000);
    const line = await BreakingLine.open(scene.http.port, lengths);
    try {
      await new Promise<void>((resolve, reject) => {
        const upload = new Upload(bytes, {
          uploadUrl: `http://127.0.0.1:${line.port}${slot.put}`,
          headers: { Authorization: slot.authorization, Host: 'example.org' },
          retryDelays: Array.from({ length: 30 }, () => 5),
          chunkSize: 1 << 20,
          onSuccess: () => resolve(),
          onError: reject,
        });
        upload.start();
      });
      assert.equal(line.breaks, 10);
      const { body, headers } = await scene.http.ask(slot.get, { method: 'HEAD' });
      assert.equal(body, '');
      assert.equal(headers.etag, `"${createHash('sha256').update(bytes).digest('hex')}"`);
    } finally {
      line.close();
    }
  });
});
