import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Element } from 'ltx';
import type { LogDetail } from '../../../src/log.ts';
import { type Log, silent } from '../../../src/log.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type ModerationOptions, ModerationScene } from '../../support/moderation-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { configure, errorIn, join, LOUNGE, say } from '../../support/room-scene.ts';
import { Disk } from '../../support/sm-client.ts';

const LISTS = 'lists.example.net';
const NODE = 'muc_bans_sha256';
const PUBSUB = 'http://jabber.org/protocol/pubsub';
const REFUSED = 'forbidden/cancel';

const hash = (address: string) => createHash('sha256').update(address).digest('hex');

/** Another server's pubsub service, which answers as a test says. */
class ListService {
  readonly #elsewhere: Elsewhere;
  /** What was asked and is not answered yet. */
  readonly asked: Element[] = [];
  /** Names of what was asked so far. */
  readonly log: string[] = [];

  constructor(scene: ModerationScene, domain = LISTS) {
    this.#elsewhere = new Elsewhere(scene.scene.host, domain);
  }

  /** Takes what has come. */
  async look(): Promise<void> {
    for (const stanza of await this.#elsewhere.take()) {
      if (stanza.name !== 'iq') continue;
      this.asked.push(stanza);
      this.log.push(stanza.getChild('pubsub', PUBSUB)!.getChildElements()[0]!.name);
    }
  }

  /** The next question. */
  async next(): Promise<Element> {
    for (let i = 0; i < 400 && this.asked.length === 0; i++) {
      await this.look();
      if (this.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const iq = this.asked.shift();
    assert(iq, 'nothing was asked');
    return iq;
  }

  async answer(iq: Element, payload: string, type = 'result'): Promise<void> {
    await this.#elsewhere.send(
      `<iq type='${type}' id='${iq.attrs['id']}' from='${iq.attrs['to']}' to='${iq.attrs['from']}'>${payload}</iq>`,
    );
  }

  refuse(iq: Element): Promise<void> {
    const error = "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    return this.answer(iq, error, 'error');
  }

  /** Answers a subscription, and then the question for all items with these ids. */
  async serve(...ids: readonly string[]): Promise<{ readonly subscribe: Element; readonly items: Element }> {
    const subscribe = await this.next();
    await this.answer(subscribe, '');
    const items = await this.next();
    await this.answer(items, `<pubsub xmlns='${PUBSUB}'>${itemsOf(ids)}</pubsub>`);
    return { subscribe, items };
  }

  notify(inner: string, from = LISTS): Promise<void> {
    return this.#elsewhere.send(
      `<message from='${from}' to='example.org'><event xmlns='${PUBSUB}#event'>${inner}</event></message>`,
    );
  }
}

const itemsOf = (ids: readonly string[]) =>
  `<items node='${NODE}'>${ids.map((id) => `<item id='${id}'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/></item>`).join('')}</items>`;

describe('muc-moderation: lists of abusers', () => {
  let scene: ModerationScene;
  let service: ListService;
  const warnings: string[] = [];

  async function start(options: ModerationOptions = {}): Promise<void> {
    const log: Log = {
      ...silent,
      warn: (text: string) => void warnings.push(text),
      error: (text: string, detail?: LogDetail) => assert.fail(`${text} ${String(detail?.['error'])}`),
      child: () => log,
    };
    warnings.length = 0;
    const moderation = { spamLists: [{ jid: LISTS }], spamRetry: '10ms', ...options.moderation };
    scene = await ModerationScene.start({ log, ...options, moderation });
    service = new ListService(scene);
  }
  afterEach(() => scene.stop());

  async function enter(who: string | Probe, nick = 'x'): Promise<string | undefined> {
    const probe = typeof who === 'string' ? await scene.scene.client(who) : who;
    await scene.scene.hush(probe);
    probe.send(join(`${LOUNGE}/${nick}`));
    await settle();
    const [first] = probe.take();
    return errorIn(first) ?? (first?.name === 'presence' ? undefined : 'nothing');
  }

  async function speak(probe: Probe): Promise<string | undefined> {
    await scene.scene.hush(probe);
    probe.send(say('hello'));
    return errorIn(await probe.receive('message'));
  }

  it('are asked for in the name of the host: first a subscription, then all there is', async () => {
    await start();
    const { subscribe, items } = await service.serve(hash('spammer@example.org'));
    assert.equal(subscribe.attrs['from'], 'example.org');
    assert.deepEqual(subscribe.getChild('pubsub', PUBSUB)?.getChild('subscribe')?.attrs, { node: NODE, jid: 'example.org' });
    assert.equal(items.getChild('pubsub', PUBSUB)?.getChild('items')?.attrs['node'], NODE);
    assert.equal(await enter('spammer'), REFUSED);
    assert.equal(await enter('romeo'), undefined);
  });

  it('are fetched in pages, where the service gives them', async () => {
    await start();
    await service.answer(await service.next(), '');
    const page = (ids: string[], last: string) =>
      `<pubsub xmlns='${PUBSUB}'>${itemsOf(ids)}<set xmlns='http://jabber.org/protocol/rsm'><last>${last}</last><count>2</count></set></pubsub>`;
    await service.answer(await service.next(), page([hash('one@example.org')], 'l1'));
    const second = await service.next();
    assert.equal(second.getChild('pubsub', PUBSUB)?.getChild('set')?.getChildText('after'), 'l1');
    await service.answer(second, page([hash('two@example.org')], 'l2'));
    // The end, from a service that gives its last page again and again.
    await service.answer(await service.next(), page([hash('two@example.org')], 'l2'));
    assert.equal(await enter('one'), REFUSED);
    assert.equal(await enter('two'), REFUSED);
    await service.look();
    assert.deepEqual(service.asked, []);
  });

  it('name domains too, by hash or as they are', async () => {
    await start();
    await service.serve(hash('bad.example'), 'worse.example', 'not a domain', '', hash('somebody').slice(1));
    const bad = new Elsewhere(scene.scene.host, 'bad.example');
    const worse = new Elsewhere(scene.scene.host, 'worse.example');
    const good = new Elsewhere(scene.scene.host, 'good.example');
    for (const [elsewhere, domain, wanted] of [
      [bad, 'bad.example', REFUSED],
      [worse, 'worse.example', REFUSED],
      [good, 'good.example', undefined],
    ] as const) {
      await elsewhere.send(join(`${LOUNGE}/${domain}`).replace('<presence', `<presence from='a@${domain}/b'`));
      assert.equal(errorIn((await elsewhere.take())[0]), wanted, domain);
    }
  });

  it('change by notifications, and refuse who is there already when they speak', async () => {
    await start();
    await service.serve();
    const spammer = await scene.enter('spammer');
    assert.equal(await speak(spammer), undefined);
    await service.notify(itemsOf([hash('spammer@example.org')]));
    assert.equal(await speak(spammer), REFUSED);
    spammer.send(`<message type='chat' to='${LOUNGE}/keeper'><body>psst</body></message>`);
    assert.equal(errorIn(await spammer.receive('message')), REFUSED);
    spammer.send(
      `<message to='${LOUNGE}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='keeper@example.org'/></x></message>`,
    );
    assert.equal(errorIn(await spammer.receive('message')), REFUSED);
    await service.notify(`<items node='${NODE}'><retract id='${hash('spammer@example.org')}'/></items>`);
    assert.equal(await speak(spammer), undefined);
    await service.notify(itemsOf([hash('spammer@example.org')]));
    await service.notify(`<purge node='${NODE}'/>`);
    assert.equal(await speak(spammer), undefined);
  });

  it('take no news from others, nor of other nodes', async () => {
    await start();
    await service.serve();
    const romeo = await scene.enter('romeo');
    const news = itemsOf([hash('romeo@example.org')]);
    const other = new ListService(scene, 'evil.example');
    await other.notify(news, 'evil.example');
    await other.notify(news, `somebody@evil.example`);
    await service.notify(news, `somebody@${LISTS}`);
    await service.notify(news.replace(NODE, 'another'));
    await service.notify('');
    await service.notify(`<items><item id='${hash('romeo@example.org')}'/></items>`);
    romeo.send(`<message to='example.org'><event xmlns='${PUBSUB}#event'>${news}</event></message>`);
    await scene.scene.hush(romeo);
    assert.equal(await speak(romeo), undefined);
  });

  it('know what has happened while they were fetched', async () => {
    await start();
    await service.answer(await service.next(), '');
    const items = await service.next();
    await service.notify(itemsOf([hash('new@example.org')]));
    await service.notify(`<items node='${NODE}'><retract id='${hash('old@example.org')}'/></items>`);
    await service.answer(items, `<pubsub xmlns='${PUBSUB}'>${itemsOf([hash('old@example.org')])}</pubsub>`);
    assert.equal(await enter('new'), REFUSED);
    assert.equal(await enter('old'), undefined);
  });

  it('are asked for again until they are there, and what is known stays in force', async () => {
    await start();
    await service.refuse(await service.next());
    await service.answer(await service.next(), '');
    await service.answer(await service.next(), '<nonsense xmlns="urn:x"/>');
    await service.serve(hash('spammer@example.org'));
    assert.equal(await enter('spammer'), REFUSED);
    assert.deepEqual(service.log, ['subscribe', 'subscribe', 'items', 'subscribe', 'items']);
    // The first time was before there was such a server.
    assert.deepEqual(warnings, Array(3).fill('a list of abusers is out of reach'));
  });

  it('do not concern whom the room knows, nor rooms that do without', async () => {
    await start({ plan: { people: { member: 'member' } } });
    await service.serve(hash('member@example.org'), hash('spammer@example.org'), hash('keeper@example.org'));
    assert.equal(await enter('member', 'm'), undefined);
    assert.equal(await speak(scene.keeper), undefined);
    const field = '{parlance:rooms:1}spam_lists';
    assert.equal(errorIn(await scene.keeper.ask(configure({ [field]: 'perhaps' }))), 'not-acceptable/modify');
    await scene.keeper.ask(configure({ [field]: '0' }));
    assert.equal(await enter('spammer'), undefined);
    const spammer = await scene.scene.client('spammer');
    assert.equal(await speak(spammer), undefined);
    await scene.keeper.ask(configure({ [field]: '1' }));
    assert.equal(await speak(spammer), REFUSED);
  });

  it('ban, where they are meant to: those who come, and those who are there', async () => {
    await start({ moderation: { spamAction: 'ban' } });
    await service.serve(hash('spammer@example.org'));
    assert.equal(await enter('spammer'), REFUSED);
    await settle();
    assert.equal(scene.room.members.get('spammer@example.org')?.affiliation, 'outcast');
    const romeo = await scene.enter('romeo');
    await service.notify(itemsOf([hash('romeo@example.org')]));
    assert.match(String(await romeo.receive('presence')), /status code="301"/);
    await service.notify(`<purge node='${NODE}'/>`);
    assert.equal(await enter(romeo), 'forbidden/auth');
  });

  describe('of our own', () => {
    const admin = { settings: { admins: ['boss@example.org'] } };
    const add = (probe: Probe, address: string, reason = '') => scene.run(probe, 'spam-add', { address, reason }, 'example.org');
    const show = (probe: Probe) => scene.run(probe, 'spam-list', {}, 'example.org');

    it('are kept by those who administer the host', async () => {
      await start(admin);
      const boss = await scene.scene.client('boss');
      const spammer = await scene.enter('spammer');
      assert.equal(await add(boss, 'spammer@example.org/anything', 'Sells pills'), 'spammer@example.org is kept out of rooms.');
      assert.equal(await add(boss, 'bad.example'), 'bad.example is kept out of rooms.');
      assert.equal(await speak(spammer), REFUSED);
      assert.match(
        await show(boss),
        /^bad\.example \(boss@example\.org\)\nspammer@example\.org \(boss@example\.org: Sells pills\)\nlists\.example\.net/,
      );
      assert.equal(
        await scene.run(boss, 'spam-remove', { address: 'spammer@example.org' }, 'example.org'),
        'spammer@example.org is not listed any more.',
      );
      assert.equal(await speak(spammer), undefined);
      assert.equal(
        await scene.run(boss, 'spam-remove', { address: 'spammer@example.org' }, 'example.org'),
        'item-not-found/cancel',
      );
    });

    it('last over a restart of the server', async () => {
      const disk = await Disk.create();
      await start({ ...admin, storage: disk.mount() });
      await add(await scene.scene.client('boss'), 'spammer@example.org');
      await scene.stop();
      await start({ ...admin, storage: disk.mount() });
      assert.equal(await enter('spammer'), REFUSED);
      await scene.stop();
      await disk.close();
      await start(admin);
    });

    it('take only addresses, and none of those who administer the host', async () => {
      await start(admin);
      const boss = await scene.scene.client('boss');
      for (const wrong of ['', '@', 'a b@c', 'x'.repeat(2000)])
        assert.equal(await add(boss, wrong), 'not-acceptable/modify', wrong);
      assert.equal(await add(boss, 'boss@example.org'), 'not-allowed/cancel');
      assert.equal(await add(boss, 'romeo@example.org', 'x'.repeat(2000)), 'not-acceptable/modify');
    });

    it('are nobody else’s business', async () => {
      await start(admin);
      for (const probe of [scene.keeper, await scene.enter('romeo')]) {
        for (const node of ['spam-list', 'spam-add', 'spam-remove', 'parlance:reports:1#list']) {
          assert.equal(await scene.run(probe, node, { address: 'a@b.example' }, 'example.org'), 'forbidden/cancel', node);
        }
      }
    });
  });
});
