import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../../modules/blocking/index.ts';
import commands from '../../../modules/commands/index.ts';
import disco from '../../../modules/disco/index.ts';
import mam from '../../../modules/mam/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:reporting:1';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';
const NODE = 'parlance:reports:1#list';
const SPAM = 'urn:xmpp:reporting:spam';

const report = (inner = '', reason = SPAM) => `<report xmlns='${NS}' reason='${reason}'>${inner}</report>`;
const item = (jid: string, inner = report()) => `<item jid='${jid}'>${inner}</item>`;
const block = (...items: readonly string[]) => `<iq type='set'><block xmlns='urn:xmpp:blocking'>${items.join('')}</block></iq>`;

describe('blocking: reports (XEP-0377)', () => {
  let host: TestHost;
  let juliet: Probe;
  let boss: Probe;

  const start = async (reports: Readonly<Record<string, unknown>> = {}) => {
    host = await startHost([blocking, commands, disco, mam], {
      modules: { blocking: { reports } },
      settings: { admins: ['boss@example.org'] },
    });
    juliet = await host.online('juliet', 'chamber');
    boss = await host.online('boss', 'desk');
  };
  afterEach(() => host.stop());

  const execute = (probe: Probe, more = '') =>
    probe.ask(`<iq type='set' to='example.org'><command xmlns='${NS_COMMANDS}' node='${NODE}' ${more}</iq>`);
  const linesOf = (answer: Element) =>
    payloadOf(answer)
      .getChild('x')!
      .getChildren('field')
      .filter(({ attrs }) => attrs['var'] === 'reports')
      .flatMap((field) => field.getChildren('value').map((value) => value.getText().replace(/^\S+ /, '')));
  const listed = async () => {
    await settle();
    return linesOf(await execute(boss, '/>'));
  };
  const take = async (probe: Probe, iq: string) => {
    const answer = await probe.ask(iq);
    await settle();
    return answer;
  };

  it('are offered by service discovery (section 3), unless the config has none', async () => {
    const ask = async () =>
      infoOf(
        payloadOf(
          await juliet.ask(`<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`),
        ),
      );
    await start();
    assert((await ask()).features.includes(NS));
    await host.stop();
    await start({ take: false });
    assert(!(await ask()).features.includes(NS));
    assert.equal((await take(juliet, block(item('romeo@example.net')))).attrs['type'], 'result');
    assert.equal(conditionOf(await execute(boss, '/>')), 'item-not-found');
  });

  it('are kept, and the address is blocked (section 6)', async () => {
    await start();
    await take(
      juliet,
      block(item('romeo@example.net', report(`<text xml:lang='en'>\n Never came trouble\n to my house. </text>`))),
    );
    assert.deepEqual(await listed(), ['juliet@example.org reports romeo@example.net for spam: Never came trouble to my house.']);
    const list = String(await juliet.ask(`<iq type='get'><blocklist xmlns='urn:xmpp:blocking'/></iq>`));
    assert.match(list, /romeo@example\.net/);
    assert.doesNotMatch(list, /report/);
  });

  it('are taken again of who is blocked already, and not where nothing is blocked', async () => {
    await start();
    for (let i = 0; i < 2; i++) await take(juliet, block(item('romeo@example.net')));
    assert.equal((await listed()).length, 2);
    assert.equal((await take(juliet, block(item('romeo@example.net'), item('@')))).attrs['type'], 'error');
    assert.equal((await listed()).length, 2);
  });

  it('are of one item each: reasons, texts', async () => {
    await start();
    await take(
      juliet,
      block(item('a@example.net', report('', 'urn:xmpp:reporting:abuse')), item('b@example.net', ''), item('c@example.net')),
    );
    assert.deepEqual(await listed(), [
      'juliet@example.org reports c@example.net for spam',
      'juliet@example.org reports a@example.net for abuse',
    ]);
  });

  it('quote messages that the reporter has from whoever is reported, and no others', async () => {
    await start();
    const elsewhere = new Elsewhere(host, 'example.net');
    const idOf = async (from: string, body: string) => {
      await elsewhere.send(`<message from='${from}' to='juliet@example.org' type='chat'><body>${body}</body></message>`);
      return (await juliet.receive('message')).getChild('stanza-id')!.attrs['id'] as string;
    };
    const spam = await idOf('romeo@example.net/x', 'Buy pills');
    const other = await idOf('nurse@example.net/x', 'A secret');
    juliet.send(`<message to='romeo@example.net' type='chat' id='m'><body>Mine</body></message>`);
    await settle();
    const romeo = await host.online('romeo', 'y');
    const id = (value: string, by = 'juliet@example.org') => `<stanza-id xmlns='urn:xmpp:sid:0' by='${by}' id='${value}'/>`;
    await take(juliet, block(item('romeo@example.net', report(id(spam) + id(other) + id('28482', 'romeo@example.net')))));
    assert.deepEqual(await listed(), [
      `juliet@example.org reports romeo@example.net for spam [${spam}] "Buy pills" [${other}] [28482]`,
    ]);
    await take(romeo, block(item('nurse@example.net', report(id(other) + id(other, 'romeo@example.org')))));
    assert.doesNotMatch((await listed())[0]!, /secret/, 'what is in the archive of another stays there');
  });

  it('are bounded, whatever is in them', async () => {
    await start({ max: 3 });
    const ids = `<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.org' id='${'i'.repeat(2000)}'/>`.repeat(30);
    for (let i = 0; i < 5; i++) {
      await take(juliet, block(item(`spammer${i}@example.net`, report(`${ids}<text>${i}${'😀'.repeat(5000)}</text>`, 'x y z'))));
    }
    const lines = await listed();
    assert.deepEqual(
      lines.map((line) => /spammer\d@example.net for abuse: \d/.exec(line)?.[0]),
      [4, 3, 2].map((i) => `spammer${i}@example.net for abuse: ${i}`),
    );
    assert(lines.every((line) => line.length < 1200 && !/\p{Surrogate}/u.test(line)));
  });

  it('are so many of one account', async () => {
    await start();
    const many = Array.from({ length: 50 }, (_, i) => item(`a${i}@example.net`));
    await take(juliet, block(...many));
    assert.equal((await listed()).length, 10, 'of one request');
    for (let i = 0; i < 5; i++) await take(juliet, block(...many));
    assert.equal((await listed()).length, 20);
    await take(await host.online('romeo'), block(item('x@example.net')));
    assert.equal((await listed()).length, 21, 'others are not kept from it');
  });

  it('are shown page by page, and only to admins', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    host = await startHost([blocking, commands], { storage, settings: { admins: ['boss@example.org'] } });
    for (let i = 0; i < 6; i++) {
      const probe = await host.online(`user${i}`);
      for (let j = 0; j < 2; j++)
        await take(probe, block(...Array.from({ length: 10 }, (_, k) => item(`a${j}${k}@example.net`))));
    }
    boss = await host.online('boss');
    juliet = await host.online('juliet');
    assert.equal(conditionOf(await execute(juliet, '/>')), 'forbidden');
    let answer = await execute(boss, '/>');
    const seen = linesOf(answer);
    const { sessionid } = payloadOf(answer).attrs as { sessionid: string };
    while (payloadOf(answer).attrs['status'] === 'executing') {
      answer = await execute(boss, `sessionid='${sessionid}' action='next'><x xmlns='jabber:x:data' type='submit'/></command>`);
      seen.push(...linesOf(answer));
    }
    assert.equal(seen.length, 120);
    assert.equal(new Set(seen).size, 120);
  });

  describe('are told', () => {
    it('to those in the config: one at once, others counted', async () => {
      await start({ tell: ['boss@example.org'], tellEvery: '1s' });
      for (const name of ['a', 'b', 'c']) await take(juliet, block(item(`${name}@example.net`)));
      assert.match(
        (await boss.receive('message')).getChildText('body')!,
        /A report\. \S+ juliet@example\.org reports a@example\.net for spam/,
      );
      await boss.quiet();
      assert.match((await boss.receive('message')).getChildText('body')!, /^2 more reports have come/);
      await juliet.quiet();
    });

    it('to nobody when nobody is named', async () => {
      await start();
      await take(juliet, block(item('a@example.net')));
      await boss.quiet();
    });
  });

  describe('go on', () => {
    const ALL = '<report-origin/><third-party/>';
    const forwarded = async (options: Readonly<Record<string, unknown>>, inner: string, jid = 'romeo@example.net') => {
      await start(options);
      const origin = new Elsewhere(host, 'example.net');
      const third = new Elsewhere(host, 'lists.example.com');
      await origin.send(
        `<message from='romeo@example.net/x' to='juliet@example.org/chamber' type='chat' id='1'><body>Buy pills</body></message>`,
      );
      const id = (await juliet.receive('message')).getChild('stanza-id')!.attrs['id'];
      const sid = `<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.org' id='${id}'/>`;
      // Served by the test, and still another server.
      const serves = host.host.router.serves.bind(host.host.router);
      host.host.router.serves = (domain) => domain !== 'example.net' && serves(domain);
      await take(juliet, block(item(jid, report(sid + inner))));
      return { origin: await origin.take(), third: await third.take() };
    };

    it('to the server of whoever is reported where their maker and the config say so, and hide who that is', async () => {
      const { origin, third } = await forwarded({ toOrigin: true }, `<text>Never came trouble like this.</text>${ALL}`);
      assert.deepEqual(third, []);
      const [told, ...more] = origin;
      assert.deepEqual(more, []);
      assert.deepEqual([told!.attrs['from'], told!.attrs['to']], ['example.org', 'example.net']);
      assert.equal(
        String(told!.getChild('report', NS)),
        `<report xmlns="${NS}" reason="${SPAM}"><jid xmlns="urn:xmpp:jid:0">romeo@example.net</jid><text>Never came trouble like this.</text></report>`,
      );
      const message = told!.getChild('forwarded', 'urn:xmpp:forward:0')!.getChildElements()[0]!;
      assert.deepEqual([message.attrs['from'], message.attrs['to']], ['romeo@example.net/x', undefined]);
      assert.equal(message.getChildText('body'), 'Buy pills');
      assert.doesNotMatch(String(told), /juliet|chamber/);
    });

    it('to third parties, where both say so', async () => {
      const { origin, third } = await forwarded({ thirdParties: ['lists.example.com'] }, ALL);
      assert.deepEqual(origin, []);
      assert.deepEqual(
        third.map(({ attrs }) => attrs['to']),
        ['lists.example.com'],
      );
    });

    it('nowhere where their maker does not ask for it, or the config has it otherwise', async () => {
      for (const [options, inner] of [
        [{ toOrigin: true, thirdParties: ['lists.example.com'] }, ''],
        [{}, ALL],
      ] as const) {
        assert.deepEqual(await forwarded(options, inner), { origin: [], third: [] });
        await host.stop();
      }
      assert.deepEqual(
        await forwarded({ toOrigin: true }, ALL, 'boss@example.org'),
        { origin: [], third: [] },
        'not to this server',
      );
      await boss.quiet();
    });
  });
});
