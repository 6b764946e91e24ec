import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import carbons from '../../../modules/carbons/index.ts';
import offline from '../../../modules/offline/index.ts';
import { defineModule, type Envelope, option, Priority, readStanza, StanzaError } from '../../../src/index.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:carbons:2';
const NS_FORWARD = 'urn:xmpp:forward:0';
const ENABLE = `<iq type='set'><enable xmlns='${NS}'/></iq>`;
const DISABLE = `<iq type='set'><disable xmlns='${NS}'/></iq>`;
const ROMEO = 'romeo@example.net';

/** A client that wants copies. */
async function keen(host: TestHost, username: string, resource: string): Promise<Probe> {
  const probe = await host.online(username, resource);
  payloadOf(await probe.ask(ENABLE));
  await settle();
  return probe;
}

/** The direction and the message of a copy; fails for anything else. */
function opened(copy: Element): { direction: string; message: Element } {
  const wrapper = copy.getChildElements();
  assert.equal(wrapper.length, 1, String(copy));
  assert.equal(wrapper[0]!.getNS(), NS, String(copy));
  const message = wrapper[0]!.getChild('forwarded', NS_FORWARD)?.getChild('message', 'jabber:client');
  assert(message, String(copy));
  return { direction: wrapper[0]!.name, message };
}

/** What has come for a client: bodies, those of copies behind their direction. */
async function heard(probe: Probe): Promise<readonly string[]> {
  await settle();
  const brief = (message: Element) => message.getChildText('body') ?? message.attrs['type'] ?? '-';
  return probe.take().map((stanza) => {
    if (!stanza.getChildByAttr('xmlns', NS)) return brief(stanza);
    const { direction, message } = opened(stanza);
    return `${direction} ${brief(message)}`;
  });
}

describe('carbons: switching them on and off (XEP-0280 sections 4 and 5)', () => {
  let host: TestHost;

  beforeEach(async () => {
    host = await startHost([carbons]);
  });
  afterEach(() => host.stop());

  it('is announced, with the rules it keeps to', () => {
    assert.deepEqual([...host.host.disco.features('server')].sort(), [NS, 'urn:xmpp:carbons:rules:0']);
  });

  it('begins switched off', async () => {
    const garden = await host.online('juliet', 'garden');
    const balcony = await host.online('juliet', 'balcony');
    balcony.send(`<message to='x@example.org' type='chat'><body>hi</body></message>`);
    await garden.quiet();
  });

  it('can be switched on and off as often as one likes', async () => {
    const garden = await host.online('juliet', 'garden');
    for (const [iq, wants] of [
      [ENABLE, true],
      [ENABLE, true],
      [DISABLE, false],
      [DISABLE, false],
      [ENABLE, true],
    ] as const) {
      const reply = await garden.ask(iq);
      assert.deepEqual([reply.attrs['type'], reply.getChildElements().length], ['result', 0]);
      assert.equal(garden.session.carbons, wants);
    }
  });

  it('can be asked for at the own address', async () => {
    const garden = await host.online('juliet', 'garden');
    const reply = await garden.ask(ENABLE.replace('<iq', "<iq to='juliet@example.org'"));
    assert.deepEqual([reply.attrs['type'], reply.attrs['from']], ['result', 'juliet@example.org']);
    assert.equal(garden.session.carbons, true);
  });

  it('is refused to others, from here and from elsewhere', async () => {
    const garden = await host.online('juliet', 'garden');
    const romeo = await host.online('romeo');
    const far = new Elsewhere(host, 'example.net');
    for (const iq of [ENABLE, DISABLE]) {
      const reply = await romeo.ask(iq.replace('<iq', "<iq to='juliet@example.org'"));
      assert.equal(conditionOf(reply), 'not-allowed');
      assert.equal(reply.getChild('error')!.attrs['type'], 'cancel');
      await far.send(iq.replace('<iq', `<iq from='${ROMEO}/hall' to='juliet@example.org' id='1'`));
      assert.deepEqual((await far.take()).map(conditionOf), ['not-allowed']);
    }
    assert.deepEqual([garden.session.carbons, romeo.session.carbons], [false, false]);
    const missing = await romeo.ask(ENABLE.replace('<iq', "<iq to='nobody@example.org'"));
    assert.equal(conditionOf(missing), 'service-unavailable');
  });
});

describe('carbons: what is received (XEP-0280 section 7)', () => {
  let host: TestHost;
  let far: Elsewhere;
  let balcony: Probe;
  let garden: Probe;
  const say = (to: string, rest = "type='chat' id='1'") =>
    far.send(`<message from='${ROMEO}/hall' to='juliet@example.org${to}' ${rest}><body>hi</body></message>`);

  beforeEach(async () => {
    host = await startHost([carbons, offline]);
    far = new Elsewhere(host, 'example.net');
    balcony = await keen(host, 'juliet', 'balcony');
    garden = await keen(host, 'juliet', 'garden');
  });
  afterEach(() => host.stop());

  it('is copied to the other clients, whole and as it came', async () => {
    await far.send(
      `<message from='${ROMEO}/hall' to='juliet@example.org/balcony' type='chat' id='1' xml:lang='it'>` +
        `<body>Che «tempo» &amp; 🌤</body><thread>t</thread><x:y xmlns:x='urn:x' x:z='"'/></message>`,
    );
    const copy = await garden.receive('message');
    assert.deepEqual(copy.attrs, {
      xmlns: 'jabber:client',
      from: 'juliet@example.org',
      to: 'juliet@example.org/garden',
      type: 'chat',
    });
    const { direction, message } = opened(copy);
    assert.equal(direction, 'received');
    assert.equal(String(message), String(await balcony.receive('message')));
    assert.equal(message.getChildText('body'), 'Che «tempo» & 🌤');
    assert.equal(message.attrs['xml:lang'], 'it');
    for (const probe of [balcony, garden]) await probe.quiet();
  });

  it('reaches each client once', async () => {
    const hall = await host.online('juliet', 'hall');
    await say(''); // all three are given it
    await say('/hall');
    assert.deepEqual(await heard(balcony), ['hi', 'received hi']);
    assert.deepEqual(await heard(garden), ['hi', 'received hi']);
    assert.deepEqual(await heard(hall), ['hi', 'hi']);
  });

  it('also reaches those with a negative priority and those without presence, once somebody else is given it', async () => {
    garden.send('<presence><priority>-1</priority></presence>');
    const hall = await host.login('juliet', 'hall');
    await hall.ask(ENABLE);
    await settle();
    garden.take();
    await say('');
    await say('/balcony');
    for (const probe of [garden, hall]) assert.deepEqual(await heard(probe), ['received hi', 'received hi']);
  });

  it('is not copied to who gets it anyway with the first presence', async () => {
    const mercutio = await host.login('mercutio', 'hall');
    await mercutio.ask(ENABLE);
    await far.send(`<message from='${ROMEO}/hall' to='mercutio@example.org' type='chat'><body>late</body></message>`);
    await mercutio.quiet();
    mercutio.send('<presence/>');
    assert.deepEqual(await heard(mercutio), ['late']);
  });

  it('is copied when its addressee has gone and no other is given it', async () => {
    balcony.send('<presence><priority>-1</priority></presence>');
    garden.send('<presence><priority>-1</priority></presence>');
    await heard(balcony);
    await heard(garden);
    await say('/gone');
    assert.deepEqual(await heard(balcony), ['received hi']);
  });

  it('is shown to nobody when it is refused', async () => {
    await say('/gone', "id='1'");
    assert.deepEqual((await far.take()).map(conditionOf), ['service-unavailable']);
    for (const probe of [balcony, garden]) await probe.quiet();
  });

  it('is copied from a neighbour as well, and from the host', async () => {
    const nurse = await host.online('nurse');
    nurse.send(`<message to='juliet@example.org/balcony' type='chat'><body>madam</body></message>`);
    assert.deepEqual(await heard(garden), ['received madam']);
    const notice = readStanza(`<message xmlns='jabber:client'><body>notice</body></message>`);
    host.host.router.send(notice, host.jid('example.org'), host.jid('juliet@example.org/garden'));
    assert.deepEqual(await heard(balcony), ['madam', 'received notice']);
  });
});

describe('carbons: what is sent (XEP-0280 section 8)', () => {
  let host: TestHost;
  let far: Elsewhere;
  let balcony: Probe;
  let garden: Probe;

  beforeEach(async () => {
    host = await startHost([carbons]);
    far = new Elsewhere(host, 'example.net');
    balcony = await host.online('juliet', 'balcony');
    garden = await keen(host, 'juliet', 'garden');
  });
  afterEach(() => host.stop());

  it("is copied to the sender's other clients, whether or not it wants copies itself", async () => {
    balcony.send(`<message to='${ROMEO}/hall' type='chat' id='1'><body>hi</body></message>`);
    const copy = await garden.receive('message');
    assert.deepEqual(copy.attrs, {
      xmlns: 'jabber:client',
      from: 'juliet@example.org',
      to: 'juliet@example.org/garden',
      type: 'chat',
    });
    const { direction, message } = opened(copy);
    assert.equal(direction, 'sent');
    assert.deepEqual([message.attrs['from'], message.attrs['to'], message.attrs['id']], [balcony.jid, `${ROMEO}/hall`, '1']);
    await balcony.quiet();
    garden.send(`<message to='${ROMEO}' type='chat'><body>and I</body></message>`);
    await balcony.quiet();
    await garden.quiet();
  });

  it('is copied when it is for the host', async () => {
    balcony.send(`<message to='example.org' type='chat'><body>help</body></message>`);
    assert.deepEqual(await heard(garden), ['sent help']);
  });

  it('makes no doubles among the clients of one account', async () => {
    const hall = await keen(host, 'juliet', 'hall');
    await balcony.ask(ENABLE);
    balcony.send(`<message to='juliet@example.org/garden' type='chat'><body>directed</body></message>`);
    balcony.send(`<message to='juliet@example.org' type='chat'><body>to all</body></message>`);
    balcony.send(`<message type='chat'><body>to oneself</body></message>`);
    assert.deepEqual(await heard(hall), ['received directed', 'to all', 'to oneself']);
    assert.deepEqual(await heard(garden), ['directed', 'to all', 'to oneself']);
    assert.deepEqual(await heard(balcony), ['to all', 'to oneself']);
  });

  it('stays among those of the account', async () => {
    const nurse = await keen(host, 'nurse', 'kitchen');
    balcony.send(`<message to='${ROMEO}' type='chat'><body>hi</body></message>`);
    await far.take();
    await nurse.quiet();
  });

  it('goes to nobody any more once it is switched off', async () => {
    await garden.ask(DISABLE);
    balcony.send(`<message to='${ROMEO}' type='chat'><body>hi</body></message>`);
    await garden.quiet();
  });
});

describe('carbons: messages that wait for the disk', () => {
  const waiting: { store: () => void; fail: (error: Error) => void }[] = [];
  /** An archive that stores when the test says so, and gives the own clients an id. */
  const archive = defineModule({
    name: 'archive-of-a-test',
    doc: 'Keeps messages as slowly as a test wants.',
    config: option.object({}),
    setup({ hooks, on }) {
      const keep = (env: Envelope): void => {
        env.wait(new Promise<void>((store, fail) => void waiting.push({ store, fail })));
      };
      on(
        hooks.messageSent,
        (env) => {
          keep(env);
          env.ownCopy = env.stanza.plus('stanza-id', 'urn:xmpp:sid:0', { id: 'mine' });
        },
        Priority.record,
      );
      on(
        hooks.messageReceived,
        (env) => {
          keep(env);
          env.stanza = env.stanza.plus('stanza-id', 'urn:xmpp:sid:0', { id: 'theirs' }).kept('theirs');
        },
        Priority.record,
      );
    },
  });
  const idOf = (copy: Element) => opened(copy).message.getChild('stanza-id')?.attrs['id'];
  let host: TestHost;
  let clients: readonly Probe[];

  beforeEach(async () => {
    waiting.length = 0;
    host = await startHost([carbons, archive]);
    clients = [await host.online('juliet', 'balcony'), await keen(host, 'juliet', 'garden'), await keen(host, 'romeo', 'hall')];
    await host.online('romeo', 'orchard');
    clients[0]!.send(`<message to='romeo@example.org/orchard' type='chat' id='1'><body>hi</body></message>`);
  });
  afterEach(() => host.stop());

  it('are shown to nobody before they are durable, and then as each archive has them', async () => {
    const [, garden, hall] = clients;
    for (const probe of clients) await probe.quiet();
    for (const { store } of waiting) store();
    assert.equal(idOf(await garden!.receive()), 'mine');
    assert.equal(idOf(await hall!.receive()), 'theirs');
  });

  it('are shown to nobody when they are refused', async () => {
    const [balcony, garden, hall] = clients;
    for (const { fail } of waiting) fail(new StanzaError('resource-constraint'));
    assert.equal(conditionOf(await balcony!.receive()), 'resource-constraint');
    for (const probe of [garden!, hall!]) await probe.quiet();
  });
});
