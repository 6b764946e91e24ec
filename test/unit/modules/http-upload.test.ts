import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Element } from 'ltx';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { errorIn as wholeErrorIn } from '../../support/room-scene.ts';
import { NS_UPLOAD, SERVICE, type Slot, UploadScene } from '../../support/upload-scene.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const OWN = 'parlance:upload:1';
/** The condition of an error, without its type. */
const errorIn = (answer: Element): string => String(wholeErrorIn(answer)).split('/', 1)[0]!;
const BEARER = { Authorization: `Bearer ${'x'.repeat(43)}` };

describe('http-upload (XEP-0363)', () => {
  let scene: UploadScene;
  afterEach(() => scene.stop());

  const get = (path: string, headers: Readonly<Record<string, string>> = {}) => scene.http.ask(path, { headers });
  const origin = () => `http://example.org:${scene.http.port}`;

  it('is found, and says how big a file may be (section 3)', async () => {
    scene = await UploadScene.start({ config: { maxFileSize: 5000 } });
    const items = await scene.romeo.ask(
      "<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    );
    assert(String(items).includes(SERVICE));
    const info = String(await scene.romeo.ask(`<iq type='get' to='${SERVICE}'><query xmlns='${INFO}'/></iq>`));
    for (const part of ['category="store"', NS_UPLOAD, 'max-file-size', '>5000<', 'urn:xmpp:http:upload:purpose:0#profile']) {
      assert(info.includes(part), part);
    }
  });

  it('gives a slot; what is put there is had from there, byte for byte (sections 5 and 9)', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(5);
    assert.match(slot.put, /^\/upload\/[\w-]{32}\/a%20b\.png$/);
    assert.equal((await get(slot.get)).status, 404);
    assert.equal((await scene.put(slot, 'hello')).status, 201);
    const { status, headers, body } = await get(slot.get);
    assert.deepEqual([status, body, headers['content-type']], [200, 'hello', 'image/png']);
    assert.equal(headers['content-disposition'], "inline; filename*=UTF-8''a%20b.png");
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers.etag, `"${createHash('sha256').update('hello').digest('hex')}"`);
    assert.match(String(headers['content-security-policy']), /default-src 'none'.*sandbox/);
  });

  it('gives parts of a file, and nothing where nothing has changed (RFC 9110 sections 13 and 14)', async () => {
    scene = await UploadScene.start();
    const { get: path } = await scene.upload('0123456789');
    const ask = async (range: string) => {
      const { status, headers, body } = await get(path, { Range: range });
      return [status, headers['content-range'], body];
    };
    assert.deepEqual(await ask('bytes=2-4'), [206, 'bytes 2-4/10', '234']);
    assert.deepEqual(await ask('bytes=7-'), [206, 'bytes 7-9/10', '789']);
    assert.deepEqual(await ask('bytes=-3'), [206, 'bytes 7-9/10', '789']);
    assert.deepEqual(await ask('bytes=5-500'), [206, 'bytes 5-9/10', '56789']);
    assert.deepEqual((await ask('bytes=10-')).slice(0, 2), [416, undefined]);
    for (const whole of ['bytes=4-2', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=', 'bytes=a-b']) {
      assert.deepEqual(await ask(whole), [200, undefined, '0123456789'], whole);
    }
    const { headers } = await get(path);
    const again = await get(path, { 'If-None-Match': `"x", ${headers.etag}` });
    assert.deepEqual([again.status, again.body], [304, '']);
    const head = await scene.http.ask(path, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '10', '']);
  });

  it('lets pages of others ask', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(5);
    const { status, headers } = await scene.http.ask(slot.put, { method: 'OPTIONS', headers: { Origin: 'https://web.example' } });
    assert.deepEqual([status, headers['access-control-allow-origin']], [204, '*']);
    assert.match(String(headers['access-control-allow-methods']), /PUT/);
    assert.match(String(headers['access-control-allow-headers']), /Authorization/);
  });

  describe('refuses to put', () => {
    let slot: Slot;
    const status = async (...args: Parameters<UploadScene['put']>) => (await scene.put(...args)).status;

    beforeEach(async () => {
      scene = await UploadScene.start();
      slot = await scene.slot(5);
    });

    it('without what was given out with the slot, or with that of another one', async () => {
      const other = await scene.slot(5);
      assert.equal((await scene.http.ask(slot.put, { method: 'PUT', body: 'hello' })).status, 401);
      assert.equal(await status({ ...slot, ...{ authorization: BEARER.Authorization } }, 'hello'), 403);
      assert.equal(await status({ ...slot, authorization: other.authorization }, 'hello'), 403);
      assert.equal((await get(slot.get)).status, 404);
    });

    it('more, less, or what has no size', async () => {
      assert.equal(await status(slot, 'hello!'), 413);
      assert.equal(await status(slot, 'hell'), 400);
      const chunked = await scene.http.ask(slot.put, {
        method: 'PUT',
        headers: { Authorization: slot.authorization, 'Transfer-Encoding': 'chunked' },
        body: 'hello',
      });
      assert.equal(chunked.status, 411);
      assert.equal(await status(slot, 'hello'), 201);
    });

    it('another type than was said', async () => {
      assert.equal(await status(slot, 'hello', { 'Content-Type': 'text/html' }), 415);
      assert.equal(await status(slot, 'hello', { 'Content-Type': 'IMAGE/PNG; x=y' }), 201);
    });

    it('a second time', async () => {
      assert.equal(await status(slot, 'hello'), 201);
      assert.equal(await status(slot, 'HELLO'), 409);
      assert.equal((await get(slot.get)).body, 'hello');
    });

    it('two at once', async () => {
      const statuses = await Promise.all([status(slot, 'hello'), status(slot, 'HELLO')]);
      assert.deepEqual(statuses.sort(), [201, 409]);
    });

    it('to where nobody asked', async () => {
      for (const path of ['/upload/nothing/a', '/upload/', `/upload/${'a'.repeat(32)}/x`, '/upload/%2e%2e%2fetc/passwd']) {
        const { status: found } = await scene.http.ask(path, { method: 'PUT', body: 'hello', headers: BEARER });
        assert([400, 404].includes(found), `${path}: ${found}`);
      }
    });
  });

  it('does not show a file that has broken off, and takes it anew', async () => {
    scene = await UploadScene.start();
    const slot = await scene.slot(10);
    const line = connect(scene.http.port, '127.0.0.1');
    await once(line, 'connect');
    line.write(
      `PUT ${slot.put} HTTP/1.1\r\nHost: example.org\r\nAuthorization: ${slot.authorization}\r\nContent-Length: 10\r\n\r\n01234`,
    );
    // While it is being written nobody else may.
    for (let code = 0; code !== 409; )
      code = (await scene.put(slot, '0123456789', { 'Content-Type': 'image/png' })).status === 409 ? 409 : assert.fail();
    line.destroy();
    await once(line, 'close');
    assert.equal((await get(slot.get)).status, 404);
    let code = 409;
    while (code === 409) code = (await scene.put(slot, 'abcdefghij')).status;
    assert.equal(code, 201);
    assert.equal((await get(slot.get)).body, 'abcdefghij');
  });

  describe('what could act in our name is saved, and not shown', () => {
    const files = [
      ['text/html', '<script>alert(1)</script>'],
      ['image/svg+xml', '<svg onload="alert(1)"/>'],
      ['application/xhtml+xml', '<html/>'],
      ['text/javascript', 'alert(1)'],
      ['application/pdf', '%PDF'],
      ['text/xml', '<x/>'],
      ['made/up', 'x'],
      ['text/html; charset=x\u0000', 'x'],
    ] as const;
    for (const [type, body] of files) {
      it(JSON.stringify(type), async () => {
        scene = await UploadScene.start();
        const written = type.replace('\u0000', '');
        const answer = await scene.request(`filename='x.html' size='${body.length}' content-type='${written}'`);
        const slot = answer.getChild('slot', NS_UPLOAD)!;
        const path = String(slot.getChild('put')!.attrs['url']).slice(origin().length);
        await scene.put({ put: path, get: path, authorization: slot.getChild('put')!.getChildText('header')! }, body);
        const { headers } = await get(path);
        assert.equal(headers['content-type'], 'application/octet-stream');
        assert.match(String(headers['content-disposition']), /^attachment;/);
      });
    }
  });

  it('refuses what is no request (sections 5 and 7)', async () => {
    scene = await UploadScene.start({ config: { maxFileSize: 2000, types: { deny: ['application/x-msdownload', 'video/*'] } } });
    const cases: readonly (readonly [string, string])[] = [
      ["filename='a'", 'bad-request'],
      ["size='5'", 'bad-request'],
      ["filename='' size='5'", 'bad-request'],
      ["filename='a' size='0'", 'bad-request'],
      ["filename='a' size='-5'", 'bad-request'],
      ["filename='a' size='5.5'", 'bad-request'],
      ["filename='a' size='1e3'", 'bad-request'],
      ["filename='a' size='99999999999999999999'", 'bad-request'],
      [`filename='${'x'.repeat(256)}' size='5'`, 'bad-request'],
      ["filename='a' size='2001'", 'not-acceptable'],
      ["filename='a' size='5' content-type='application/x-msdownload'", 'not-acceptable'],
      ["filename='a' size='5' content-type='video/mp4'", 'not-acceptable'],
    ];
    for (const [attrs, condition] of cases) assert.equal(errorIn(await scene.request(attrs)), condition, attrs);
    const tooBig = await scene.request("filename='a' size='2001'");
    assert.equal(tooBig.getChild('error')!.getChild('file-too-large', NS_UPLOAD)!.getChildText('max-file-size'), '2000');
  });

  it('takes away what would make a name another path', async () => {
    scene = await UploadScene.start();
    const names: readonly (readonly [string, string])[] = [
      ['../../etc/passwd', '.._.._etc_passwd'],
      ['..', '_'],
      ['a\u202egnp.exe', 'a_gnp.exe'],
      ['très cool.jpg', 'tr%C3%A8s%20cool.jpg'],
      ['a\\b', 'a_b'],
    ];
    for (const [name, end] of names) {
      const answer = await scene.request(`filename='${name}' size='5'`);
      const url = String(answer.getChild('slot', NS_UPLOAD)!.getChild('put')!.attrs['url']);
      assert(url.endsWith(`/${end}`), url);
    }
  });

  it('is for those with an account here, and no guests', async () => {
    scene = await UploadScene.start();
    const guest = await scene.host.loginAsGuest();
    assert.equal(errorIn(await scene.request("filename='a' size='5'", '', guest)), 'forbidden');
  });

  it('bounds what one account keeps, and has open', async () => {
    scene = await UploadScene.start({ config: { quota: 2000, maxFileSize: 1500, maxOpen: 2 } });
    await scene.upload('x'.repeat(1000));
    assert.equal(errorIn(await scene.request("filename='a' size='1001'")), 'resource-constraint');
    await scene.slot(10);
    await scene.slot(10);
    assert.equal(errorIn(await scene.request("filename='a' size='10'")), 'resource-constraint');
    const juliet = await scene.host.login('juliet');
    assert.equal((await scene.request("filename='a' size='1001'", '', juliet)).attrs['type'], 'result');
  });

  it('bounds them also when all is asked for at once', async () => {
    scene = await UploadScene.start({ config: { quota: 5000, maxFileSize: 1500, maxOpen: 1000 } });
    const clients = await Promise.all(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((each) => scene.host.login('romeo', each)));
    const answers = await Promise.all(clients.map((client) => scene.request("filename='a' size='1000'", '', client)));
    assert.equal(answers.filter(({ attrs }) => attrs['type'] === 'result').length, 5);
  });

  it('is taken back by who it belongs to', async () => {
    scene = await UploadScene.start();
    const slot = await scene.upload('hello');
    const juliet = await scene.host.login('juliet');
    const request = `<iq type='set' to='${SERVICE}'><delete xmlns='${OWN}' url='${origin()}${slot.get}'/></iq>`;
    assert.equal(errorIn(await juliet.ask(request)), 'item-not-found');
    assert.equal((await scene.romeo.ask(request)).attrs['type'], 'result');
    assert.equal((await get(slot.get)).status, 404);
    const other = await scene.upload('hello');
    assert.equal((await scene.http.ask(other.put, { method: 'DELETE', headers: BEARER })).status, 403);
    const gone = await scene.http.ask(other.put, { method: 'DELETE', headers: { Authorization: other.authorization } });
    assert.equal(gone.status, 204);
    assert.equal((await get(other.get)).status, 404);
  });

  it('goes with the account', async () => {
    scene = await UploadScene.start();
    const slot = await scene.upload('hello');
    await scene.host.host.accounts.delete('romeo');
    assert.equal((await get(slot.get)).status, 404);
  });

  describe('permissions', () => {
    const ticket = async (url: string, by = scene.romeo) => {
      const answer = await by.ask(`<iq type='get' to='${SERVICE}'><ticket xmlns='${OWN}' url='${origin()}${url}'/></iq>`);
      return answer.getChild('ticket', OWN)?.getText() ?? errorIn(answer);
    };

    it('signed links are good, and changed ones are not', async () => {
      scene = await UploadScene.start({ config: { access: 'signed' } });
      const slot = await scene.upload('hello');
      assert.equal((await get(slot.get)).body, 'hello');
      const [path, query = ''] = slot.get.split('?');
      assert.equal((await get(path!)).status, 401);
      for (const forged of [query.replace(/.$/, 'A'), query.replace('=', '=z'), 'ticket=', 'ticket=a.b.c']) {
        assert([401, 403].includes((await get(`${path}?${forged}`)).status), forged);
      }
      const other = await scene.upload('other');
      assert.equal((await get(`${other.get.split('?')[0]}?${query}`)).status, 403);
    });

    it('what is for people is had by them only, with a ticket', async () => {
      scene = await UploadScene.start();
      const slot = await scene.upload('hello', `<access xmlns='${OWN}' mode='people' to='juliet@example.org'/>`);
      const juliet = await scene.host.login('juliet');
      const tybalt = await scene.host.login('tybalt');
      assert.equal((await get(slot.get)).status, 401);
      assert.equal(await ticket(slot.get, tybalt), 'item-not-found');
      const good = await ticket(slot.get, juliet);
      assert.equal((await get(slot.get, { Authorization: `Bearer ${good}` })).body, 'hello');
      assert.equal((await get(`${slot.get}?ticket=${good}`)).headers['cache-control'], 'private, no-cache');
      assert.equal((await get(slot.get, { Authorization: `Bearer ${await ticket(slot.get)}` })).body, 'hello');
      const shared = `<iq type='set' to='${SERVICE}'><share xmlns='${OWN}' url='${origin()}${slot.get}' to='tybalt@example.org'/></iq>`;
      assert.equal(errorIn(await juliet.ask(shared)), 'item-not-found');
      await scene.romeo.ask(shared);
      assert.equal((await get(slot.get, { Authorization: `Bearer ${await ticket(slot.get, tybalt)}` })).status, 200);
    });
  });

  it('outlives a restart, and finds nothing that was put into the folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'parlance-files-'));
    const database = join(folder, 'db.sqlite');
    const open = () => openStorage({ type: 'sqlite', file: database }, silent);
    const config = { folder: join(folder, 'files') };
    try {
      scene = await UploadScene.start({ config, host: { storage: await open() } });
      const slot = await scene.upload('hello');
      await scene.stop();
      const [shelf] = await readdir(config.folder);
      await writeFile(join(config.folder, shelf!, `${shelf}${'x'.repeat(30)}`), 'planted');
      scene = await UploadScene.start({ config, host: { storage: await open() } });
      assert.equal((await get(slot.get)).body, 'hello');
      assert.equal((await get(`/upload/${shelf}${'x'.repeat(30)}/x`)).status, 404);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
