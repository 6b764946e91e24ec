import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Element } from 'ltx';
import { exportArchive } from '../../../modules/mam/export.ts';
import { TAG } from '../../../modules/mam/tag.ts';
import { exportAccount } from '../../../src/cli/archive.ts';
import { readConfiguration } from '../../../src/cli/config-file.ts';
import { run } from '../../../src/cli/program.ts';
import { makeIdSource } from '../../../src/ids.ts';
import { Jid } from '../../../src/jid.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type ArchiveStore, archiveStore, type Storage } from '../../../src/storage/storage.ts';
import { readElement } from '../../../src/xml/text.ts';

const ROMEO = 'romeo@example.net';
const JULIET = 'juliet@example.test';
const START = Date.parse('2026-01-30T10:00:00.000Z');
const HOUR = 3_600_000;
const main = fileURLToPath(new URL('../../../src/main.js', import.meta.url));

const said = (body: string, id = 'a') =>
  `<message xmlns='jabber:client' from='${ROMEO}/orchard' to='${JULIET}/balcony' type='chat' id='${id}'><body>${body}</body></message>`;

/** Takes what is written, as a pipe does; `onWrite` may throw instead. */
function collector(onWrite: (text: string) => void = () => {}): Writable & { text: string } {
  const stream = new Writable({
    highWaterMark: 1,
    write(chunk, _encoding, done) {
      try {
        onWrite(String(chunk));
        collected.text += String(chunk);
        setImmediate(done);
      } catch (error) {
        done(error as Error);
      }
    },
  });
  const collected = Object.assign(stream, { text: '' });
  return collected;
}

describe('parlance archive export', () => {
  let folder = '';
  let file = '';
  let storage: Storage;
  let messages: ArchiveStore;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'parlance-archive-'));
    file = join(folder, 'server.yaml');
    await configure({});
    await parlance(['account', 'create', JULIET, '--password-stdin']);
    storage = await openStorage((await readConfiguration(file)).config.storage, silent);
    ({ messages } = await storage.open('example.test', 'mam', { messages: archiveStore() }));
  });
  beforeEach(() => messages.remove('juliet', {}));
  after(async () => {
    await storage.close();
    await rm(folder, { recursive: true });
  });

  const configure = (changes: Readonly<Record<string, unknown>>) =>
    writeFile(
      file,
      JSON.stringify({
        data: './data',
        listeners: [{ type: 'c2s', port: 0, addresses: ['127.0.0.1'] }],
        modules: { roster: {} },
        hosts: { 'example.test': { certificate: 'self-signed' }, 'example.com': { certificate: 'self-signed' } },
        ...changes,
      }),
    );

  async function parlance(args: readonly string[], stdout = collector()) {
    let err = '';
    const stdin = Readable.from([Buffer.from('correct horse\n')]);
    const code = await run([...args, '--config', file], {
      stdin,
      stdout,
      stderr: { write: (text) => void (err += text) },
      env: {},
    });
    return { code, out: stdout.text, err };
  }
  const exported = (...args: readonly string[]) => parlance(['archive', 'export', JULIET, ...args]);

  /** Archives messages, one each hour, and gives the ids of their items. */
  async function keep(stanzas: readonly string[], store = messages): Promise<readonly string[]> {
    let now = START;
    const next = makeIdSource(() => now);
    const items = stanzas.map((stanza) => {
      const item = { id: next(), with: ROMEO, resource: 'orchard', tag: TAG.conversation, stanza };
      now += HOUR;
      return item;
    });
    await Promise.all(items.map((item) => store.append('juliet', item)));
    return items.map(({ id }) => id);
  }

  function archiveOf(out: string): Element {
    const root = readElement(out.replace("<?xml version='1.0' encoding='UTF-8'?>\n", '').trimEnd());
    assert.deepEqual([root.name, root.getNS()], ['server-data', 'urn:xmpp:pie:0']);
    const host = root.getChild('host')!;
    const user = host.getChild('user')!;
    assert.deepEqual([host.attrs['jid'], user.attrs['name']], ['example.test', 'juliet']);
    return user.getChild('archive', 'urn:xmpp:pie:0#mam')!;
  }

  const bodies = (out: string) =>
    archiveOf(out)
      .getChildren('result', 'urn:xmpp:mam:2')
      .map((result) => result.getChild('forwarded')!.getChild('message', 'jabber:client')!.getChildText('body'));
  const lines = (out: string) =>
    out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);

  it('writes results as in a query of the archive, oldest first (XEP-0227 section 4.11)', async () => {
    const ids = await keep([said('one'), said('two')]);
    const { code, out, err } = await exported();
    assert.deepEqual([code, err], [0, '']);
    const results = archiveOf(out).getChildren('result', 'urn:xmpp:mam:2');
    assert.deepEqual(
      results.map(({ attrs }) => attrs['id']),
      ids,
    );
    const forwarded = results[1]!.getChild('forwarded', 'urn:xmpp:forward:0')!;
    assert.equal(forwarded.getChild('delay', 'urn:xmpp:delay')!.attrs['stamp'], '2026-01-30T11:00:00.000Z');
    assert(out.includes(`${said('two')}</forwarded></result>`));
    assert.deepEqual(bodies(out), ['one', 'two']);
  });

  it('writes an object on each line, if that is asked for', async () => {
    const [id] = await keep([said('one')]);
    const sent = `<message xmlns='jabber:client' from='${JULIET}/balcony' to='${ROMEO}' id='s'><x xmlns='urn:example'/></message>`;
    const last = makeIdSource(() => START + HOUR)();
    await messages.append('juliet', { id: last, with: ROMEO, tag: TAG.outgoing, stanza: sent });
    assert.deepEqual(lines((await exported('--format', 'jsonl')).out), [
      {
        id,
        time: '2026-01-30T10:00:00.000Z',
        with: `${ROMEO}/orchard`,
        sent: false,
        from: `${ROMEO}/orchard`,
        to: `${JULIET}/balcony`,
        type: 'chat',
        stanzaId: 'a',
        body: 'one',
        stanza: said('one'),
      },
      {
        id: last,
        time: '2026-01-30T11:00:00.000Z',
        with: ROMEO,
        sent: true,
        from: `${JULIET}/balcony`,
        to: ROMEO,
        type: 'normal',
        stanzaId: 's',
        stanza: sent,
      },
    ]);
  });

  it('writes an empty archive for who has none', async () => {
    assert.deepEqual(bodies((await exported()).out), []);
    assert.deepEqual(await exported('--format', 'jsonl'), { code: 0, out: '', err: '' });
  });

  it('keeps what is written strangely as it was meant', async () => {
    const strange = ['&lt;/archive&gt;', ']]&gt;&amp;amp;', 'a\u2028b\u2029c\u0085d', 'é😀\ufeff', '&#13;\n\t'];
    const meant = ['</archive>', ']]>&amp;', 'a\u2028b\u2029c\u0085d', 'é😀\ufeff', '\r\n\t'];
    await keep(strange.map((body) => said(body)));
    assert.deepEqual(bodies((await exported()).out), meant);
    assert.deepEqual(
      lines((await exported('--format', 'jsonl')).out).map(({ body }) => body),
      meant,
    );
  });

  it('writes only what lies between two times; days are whole, and in UTC', async () => {
    await keep(Array.from({ length: 40 }, (_, i) => said(String(i)))); // from 10:00 on the 30th to 01:00 on the 1st
    for (const [args, first, last] of [
      [['--since', '2026-01-31'], '14', '39'],
      [['--until', '2026-01-30'], '0', '13'],
      [['--since', '2026-01-31', '--until', '2026-01-31'], '14', '37'],
      [['--since', '2026-01-30T12:00:00Z', '--until', '2026-01-30T14:00:00Z'], '2', '4'],
      [['--since', '2026-01-30T12:00:00.001Z', '--until', '2026-01-30T16:59:59+02:00'], '3', '4'],
    ] as const) {
      const found = bodies((await exported(...args)).out);
      assert.deepEqual([found[0], found.at(-1)], [first, last], args.join(' '));
    }
    assert.deepEqual(bodies((await exported('--since', '2027-01-01', '--until', '2027-01-01')).out), []);
  });

  it('writes nothing of other accounts and other hosts', async () => {
    await keep([said('mine')]);
    const elsewhere = await storage.open('example.com', 'mam', { messages: archiveStore() });
    await keep([said('not mine')], elsewhere.messages);
    const id = makeIdSource(() => START)();
    await messages.append('nurse', { id, with: ROMEO, stanza: said('not mine either') });
    assert.deepEqual(bodies((await exported()).out), ['mine']);
  });

  it('has little of it in memory, and waits for who reads slowly', async () => {
    await keep(Array.from({ length: 250 }, (_, i) => said(String(i))));
    let queries = 0;
    const counted: ArchiveStore = Object.assign(Object.create(messages), {
      query: (...args: Parameters<ArchiveStore['query']>) => {
        queries++;
        return messages.query(...args);
      },
    });
    const chunks = exportArchive({ messages: counted, account: Jid.parse(JULIET), format: 'xml', until: Date.now() });
    const seen: number[] = [];
    for await (const chunk of chunks) seen.push(chunk.messages, queries);
    assert.deepEqual(seen, [0, 0, 100, 1, 100, 2, 50, 3, 0, 3]);
    assert.deepEqual(
      bodies((await exported()).out),
      Array.from({ length: 250 }, (_, i) => String(i)),
    );
  });

  it('is not kept from its end by what comes in meanwhile', async () => {
    await keep([said('old')]);
    const next = makeIdSource(Date.now);
    let written: Promise<void> | undefined;
    const stdout = collector(() => {
      written ??= messages.append('juliet', { id: next(), with: ROMEO, stanza: said('new') });
    });
    const { code, out } = await parlance(['archive', 'export', JULIET], stdout);
    await written;
    assert.deepEqual([code, bodies(out)], [0, ['old']]);
    assert.equal(await messages.count('juliet', {}), 2);
  });

  it('ends quietly when who reads goes away', async () => {
    await keep(Array.from({ length: 250 }, (_, i) => said(String(i))));
    const gone = () => {
      throw Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' });
    };
    assert.deepEqual(await parlance(['archive', 'export', JULIET], collector(gone)), { code: 0, out: '', err: '' });
  });

  it('ends quietly when it is a pipe that breaks', async () => {
    await keep(Array.from({ length: 300 }, () => said('x'.repeat(10_000))));
    const child = spawn(process.execPath, [main, 'archive', 'export', JULIET, '--config', file]);
    let err = '';
    child.stderr.on('data', (data) => (err += String(data)));
    await once(child.stdout, 'data');
    child.stdout.destroy();
    const [code] = await once(child, 'close');
    assert.deepEqual([code, err.replace(/^parlance: \d+ messages.*\n/gm, '')], [0, '']);
  });

  it('ends with 1 when what it writes cannot be kept', async () => {
    await keep([said('one')]);
    const full = () => {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
    };
    const { code, err } = await parlance(['archive', 'export', JULIET], collector(full));
    assert.deepEqual([code, err], [1, 'parlance: ENOSPC: no space left on device, write\n']);
  });

  it('leaves out what is damaged, so that the rest can be read, and says so', async () => {
    await keep([said('one'), "<message xmlns='jabber:client'><body>", '', said('two'), `${said('three')}<x/>`]);
    for (const format of ['xml', 'jsonl']) {
      const { code, out, err } = await exported('--format', format);
      assert.deepEqual([code, err], [1, 'parlance: the database is damaged: 3 items cannot be read, and were left out\n']);
      const found = format === 'xml' ? bodies(out) : lines(out).map(({ body }) => body);
      assert.deepEqual(found, ['one', 'two']);
    }
  });

  it('tells how far it is when that takes long', async () => {
    await keep(Array.from({ length: 250 }, (_, i) => said(String(i))));
    let err = '';
    let now = 0;
    const stdout = collector(() => (now += 600));
    const terminal = { stdin: Readable.from([]), stdout, stderr: { write: (text: string) => void (err += text) }, env: {} };
    await exportAccount(terminal, JULIET, { format: 'xml', config: file }, () => now);
    assert.deepEqual(err.split('\n'), [
      'parlance: 200 messages so far, up to 2026-02-07T17:00:00.000Z',
      'parlance: 250 messages',
      '',
    ]);
  });

  for (const [what, args, code, problem] of [
    ['what is no account', ['example.test'], 2, /is not the address of an account/],
    ['a client', [`${JULIET}/balcony`], 2, /is not the address of an account/],
    ['an account that is not there', ['nobody@example.test'], 1, /nobody@example\.test: there is no such account/],
    ['a host that is not served', ['juliet@example.org'], 2, /has no host example\.org; it has example\.test, example\.com/],
    ['another format', [JULIET, '--format', 'csv'], 2, /Allowed choices are xml, jsonl/],
    ['a day that is none', [JULIET, '--since', '2026-02-30'], 2, /--since: expected a day or a time/],
    ['a time on such a day', [JULIET, '--until', '2026-02-30T00:00:00Z'], 2, /--until: expected a day or a time/],
    ['a time without its zone', [JULIET, '--since', '2026-01-31T12:00:00'], 2, /--since: expected/],
    ['an hour that is none', [JULIET, '--since', '2026-01-31T25:00:00Z'], 2, /--since: expected/],
    ['words', [JULIET, '--until', 'yesterday'], 2, /--until: expected .*, found "yesterday"/],
    ['an end before the beginning', [JULIET, '--since', '2026-02-01', '--until', '2026-01-31'], 2, /nothing lies between/],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const result = await parlance(['archive', 'export', ...args]);
      assert.equal(result.code, code);
      assert.equal(result.out, '');
      assert.match(result.err, problem);
    });
  }

  it('refuses a storage that only the server has', async () => {
    await configure({ storage: { type: 'memory' } });
    const { code, err } = await exported();
    await configure({});
    assert.equal(code, 1);
    assert.match(err, /within the running server/);
  });

  it('has help', async () => {
    const { code, out } = await parlance(['archive', 'export', '--help']);
    assert.equal(code, 0);
    assert.match(out, /^Usage: parlance archive export \[options\] <jid>/);
  });
});
