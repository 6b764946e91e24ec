import assert from 'node:assert/strict';
import carbons from '../../../modules/carbons/index.ts';
import csi, { type CsiApi } from '../../../modules/csi/index.ts';
import ping from '../../../modules/ping/index.ts';
import { bind } from '../../../src/c2s/bind.ts';
import { defineModule, option, Stanza, xml } from '../../../src/index.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:csi:0';
const ACTIVE = `<active xmlns='${NS}'/>`;
const INACTIVE = `<inactive xmlns='${NS}'/>`;
const TYPING = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
const MUC = "xmlns='http://jabber.org/protocol/muc#user'";

let api: CsiApi;
/** Takes the API as another module would. */
const taker = defineModule({
  name: 'taker',
  doc: 'Takes the API.',
  needs: [csi],
  config: option.object({}),
  setup({ use }) {
    api = use(csi);
  },
});

let host: TestHost;
let far: Elsewhere;
let juliet: Probe;

async function start(config: Readonly<Record<string, unknown>> = {}): Promise<void> {
  host = await startHost([csi, taker, carbons, ping], { modules: { csi: config } });
  far = new Elsewhere(host, 'example.net');
  juliet = await host.online('juliet', 'balcony');
}

const presence = (from: string, rest = '', inner = '') =>
  far.send(`<presence from='${from}@example.net/x' to='${juliet.jid}' ${rest}>${inner}</presence>`);
/** Presence for the client, past the way it takes there. */
const presenceOf = (id: string) => Stanza.of(xml('presence', { from: `${id}@example.net/x`, id }));
const message = (rest: string, inner: string) =>
  far.send(`<message from='romeo@example.net/x' to='${juliet.jid}' ${rest}>${inner}</message>`);
const event = (node: string, items: string) =>
  `<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='${node}'>${items}</items></event>`;
/** What has come, in short: the sender's name and the id, or else the type. */
const heard = async () => {
  await settle();
  return juliet
    .take()
    .map(({ name, attrs }) => `${name[0]}:${String(attrs['from']).split('@')[0]}:${attrs['id'] ?? attrs['type'] ?? ''}`);
};

describe('csi: saying it (XEP-0352 sections 4 and 5)', () => {
  beforeEach(() => start());
  afterEach(() => host.stop());

  it('is offered once the client has logged in, and not before', async () => {
    const { stream, transport } = host.connect();
    assert.doesNotMatch(transport.sent.join(''), /csi/);
    stream.authenticate('juliet');
    await stream.sendFeatures();
    assert.match(transport.sent.at(-1)!, /<csi xmlns='urn:xmpp:csi:0'\/>/);
  });

  it('is not answered, and can be repeated', async () => {
    for (const state of [ACTIVE, INACTIVE, INACTIVE, ACTIVE, ACTIVE]) juliet.send(state);
    await juliet.quiet();
    assert.equal(juliet.session.isClosed, false);
  });

  it('does nothing before a client is bound, which then begins as active', async () => {
    const { stream, transport } = host.connect();
    stream.authenticate('juliet');
    transport.feed(INACTIVE);
    transport.feed(ACTIVE);
    assert.equal(transport.isEnded, false);
    transport.feed(INACTIVE);
    juliet = new Probe(await bind(stream, 'garden'), transport);
    await presence('romeo');
    assert.deepEqual(await heard(), ['p:romeo:']);
  });

  it('is nothing for strangers', () => {
    const { transport } = host.connect();
    transport.feed(INACTIVE);
    assert.match(transport.sent.join(''), /not-authorized/);
    assert.equal(transport.isEnded, true);
  });

  it('is not taken for something else of that namespace', async () => {
    juliet.send(`<dormant xmlns='${NS}'/>`);
    await settle();
    assert.match(String(juliet.take()), /unsupported-stanza-type/);
  });

  it('takes effect before what the client asks next (section 5.1)', async () => {
    juliet.send(INACTIVE);
    await presence('romeo');
    await juliet.quiet();
    juliet.send(ACTIVE);
    juliet.send("<iq type='get' id='ping1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>");
    assert.deepEqual(await heard(), ['p:romeo:', 'i:example.org:ping1']);
  });

  it('is told to nobody, and changes nothing for others', async () => {
    const garden = await host.online('juliet', 'garden');
    juliet.send(INACTIVE);
    await garden.quiet();
    await far.send(`<presence from='romeo@example.net/x' to='juliet@example.org'/>`);
    await garden.receive('presence');
    await juliet.quiet();
  });
});

describe('csi: what an inactive client is spared', () => {
  beforeEach(async () => {
    await start();
    juliet.send(INACTIVE);
  });
  afterEach(() => host.stop());

  it('presence waits, the last of each sender, in the order of the last change', async () => {
    await presence('romeo', "id='1'");
    await presence('nurse', "id='2'");
    await presence('romeo', "id='3' type='unavailable'");
    await far.send(`<presence from='romeo@example.net/y' to='${juliet.jid}' id='4'/>`);
    await juliet.quiet();
    juliet.send(ACTIVE);
    assert.deepEqual(await heard(), ['p:nurse:2', 'p:romeo:3', 'p:romeo:4']);
    await presence('nurse', "id='5'");
    assert.deepEqual(await heard(), ['p:nurse:5']);
  });

  it('presence does not wait that asks, answers, fails or says "this is you" in a room', async () => {
    for (const type of ['subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'error']) {
      await presence('romeo', `type='${type}'`);
      assert.deepEqual(await heard(), [`p:romeo:${type}`]);
    }
    await presence('room', '', `<x ${MUC}><item role='participant'/></x>`);
    await juliet.quiet();
    await presence('room', "id='me'", `<x ${MUC}><status code='100'/><status code='110'/></x>`);
    assert.deepEqual(await heard(), ['p:room:', 'p:room:me']);
  });

  it('messages that only say that somebody is typing are dropped', async () => {
    await message("type='chat'", TYPING);
    await message("type='chat'", `${TYPING}<thread>t</thread><no-store xmlns='urn:xmpp:hints'/><x ${MUC}/>`);
    await message("type='groupchat'", `<occupant-id xmlns='urn:xmpp:occupant-id:0' id='o'/>${TYPING}`);
    juliet.send(ACTIVE);
    await juliet.quiet();
    await message("type='chat' id='1'", TYPING);
    assert.deepEqual(await heard(), ['m:romeo:1']);
  });

  it('copies of such messages are dropped, others are not', async () => {
    const garden = await host.online('juliet', 'garden');
    juliet.session.carbons = true;
    await far.send(`<message from='romeo@example.net/x' to='${garden.jid}' type='chat'>${TYPING}</message>`);
    garden.send(`<message to='romeo@example.net' type='chat'>${TYPING}</message>`);
    await juliet.quiet();
    garden.send(`<message to='romeo@example.net' type='chat'>${TYPING}<body>hi</body></message>`);
    await far.send(
      `<message from='romeo@example.net/x' to='${garden.jid}' type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>`,
    );
    assert.deepEqual(await heard(), ['m:juliet:chat', 'm:juliet:chat']);
  });

  it('notifications wait, the last of each item', async () => {
    await message("type='headline' id='1'", event('urn:n', "<item id='current'>a</item>"));
    await message("id='2'", event('urn:n', "<item id='other'>b</item>"));
    await message("type='headline' id='3'", event('urn:m', "<item id='current'>c</item>"));
    await message("type='headline' id='4'", event('urn:n', "<retract id='current'/>"));
    await far.send(
      `<message from='nurse@example.net/x' to='${juliet.jid}' id='5'>${event('urn:n', "<item id='other'>d</item>")}</message>`,
    );
    await juliet.quiet();
    juliet.send(ACTIVE);
    assert.deepEqual(await heard(), ['m:romeo:2', 'm:romeo:3', 'm:romeo:4', 'm:nurse:5']);
  });

  it('notifications that empty or delete a node keep their place', async () => {
    const purge = "<event xmlns='http://jabber.org/protocol/pubsub#event'><purge node='urn:n'/></event>";
    await message("id='1'", event('urn:n', "<item id='a'/>"));
    await message("id='2'", purge);
    await message("id='3'", event('urn:n', "<item id='b'/>"));
    await juliet.quiet();
    juliet.send(ACTIVE);
    assert.deepEqual(await heard(), ['m:romeo:1', 'm:romeo:2', 'm:romeo:3']);
  });

  it('notifications do not wait of nodes that are urgent, or that nobody can collapse', async () => {
    await message("id='1'", event('urn:xmpp:mds:displayed:0', "<item id='a'/>"));
    assert.deepEqual(await heard(), ['m:romeo:1']);
    await message("id='2'", event('urn:n', '<item>x</item>'));
    await message("id='3'", "<event xmlns='http://jabber.org/protocol/pubsub#event'/>");
    await message("id='4'", `<event xmlns='http://jabber.org/protocol/pubsub#event'><items/></event>`);
    await message("id='5' type='chat'", `<body>hi</body>${event('urn:n', "<item id='a'/>")}`);
    assert.deepEqual(await heard(), ['m:romeo:2', 'm:romeo:3', 'm:romeo:4', 'm:romeo:5']);
  });

  it('everything else comes at once, and before it all that has waited', async () => {
    const important = [
      ["type='chat'", '<body>hi</body>'],
      ["type='chat'", `${TYPING}<encrypted xmlns='urn:xmpp:omemo:2'/>`],
      ["type='chat'", "<received xmlns='urn:xmpp:receipts' id='1'/>"],
      ["type='chat'", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"],
      ["type='chat'", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>"],
      ["type='groupchat'", '<subject>news</subject>'],
      ["type='headline'", '<body>news</body>'],
      ["type='error'", `${TYPING}<error type='cancel'/>`],
      ['', `<x ${MUC}><invite/></x>`],
      ['', ''],
    ] as const;
    for (const [rest, inner] of important) {
      await presence('nurse');
      await juliet.quiet();
      await message(`id='m' ${rest}`, inner);
      assert.deepEqual(await heard(), ['p:nurse:', 'm:romeo:m'], inner);
    }
    await presence('nurse');
    await far.send(`<iq from='romeo@example.net/x' to='${juliet.jid}' type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>`);
    assert.deepEqual(await heard(), ['p:nurse:', 'i:romeo:i']);
  });

  it('is lost with the session, and found again by nobody', async () => {
    await presence('romeo');
    juliet.leave();
    await settle();
    juliet = await host.online('juliet', 'balcony');
    await juliet.quiet();
    await presence('nurse');
    assert.deepEqual(await heard(), ['p:nurse:']);
  });

  it('comes when the module is switched off', async () => {
    await presence('romeo');
    await host.modules.apply([]);
    assert.deepEqual(await heard(), ['p:romeo:']);
  });
});

describe('csi: bounds and options', () => {
  afterEach(() => host.stop());

  it('holds a thousand stanzas at most, however many come', async () => {
    await start();
    juliet.send(INACTIVE);
    for (let i = 0; i < 2500; i++) juliet.session.send(presenceOf(`u${i}`));
    assert.equal(juliet.take().length, 2002);
    for (let i = 0; i < 5000; i++) juliet.session.send(presenceOf('romeo'));
    await juliet.quiet();
    juliet.send(ACTIVE);
    assert.equal((await heard()).length, 499);
  });

  it('holds so many bytes at most', async () => {
    await start({ maxBytes: '16KiB' });
    juliet.send(INACTIVE);
    const status = `<status>${'x'.repeat(6000)}</status>`;
    for (let i = 0; i < 10; i++) await presence('romeo', '', status);
    await presence('nurse', '', status);
    await juliet.quiet();
    await presence('tybalt', '', status);
    assert.deepEqual(await heard(), ['p:romeo:', 'p:nurse:', 'p:tybalt:']);
  });

  it('holds and drops only what the config says', async () => {
    await start({ holdPresence: false, holdNotifications: false, dropChatStates: false });
    juliet.send(INACTIVE);
    await presence('nurse');
    await message("id='1'", event('urn:n', "<item id='a'/>"));
    await message("id='2'", TYPING);
    assert.deepEqual(await heard(), ['p:nurse:', 'm:romeo:1', 'm:romeo:2']);
  });

  it('takes the urgent nodes from the config', async () => {
    await start({ urgentNodes: ['urn:n'] });
    juliet.send(INACTIVE);
    await message("id='1'", event('urn:n', "<item id='a'/>"));
    assert.deepEqual(await heard(), ['m:romeo:1']);
    await message("id='2'", event('urn:xmpp:mds:displayed:0', "<item id='a'/>"));
    await juliet.quiet();
  });

  it('costs a client nothing that never says it', async () => {
    await start();
    const before = juliet.session.slots?.length;
    await presence('romeo');
    await message("type='chat'", TYPING);
    juliet.send(ACTIVE);
    assert.deepEqual(await heard(), ['p:romeo:', 'm:romeo:chat']);
    assert.equal(juliet.session.slots?.length, before);
  });
});

describe('csi: broken lines (XEP-0352 section 5.2)', () => {
  const sent: string[] = [];

  /** Keeps the session when its line breaks, and notes what is written meanwhile. */
  const keep = () => {
    sent.length = 0;
    juliet.session.keeper = { sent: ({ name, id }) => void sent.push(`${name} ${id ?? ''}`), keeps: () => true, ended() {} };
  };
  /** The client comes back to its session over a new line. */
  const comeBack = () => {
    const { session } = juliet;
    const { stream, transport } = host.connect();
    stream.authenticate('juliet');
    session.attach(stream);
    juliet = new Probe(session, transport);
  };

  beforeEach(async () => {
    await start();
    keep();
  });
  afterEach(async () => {
    juliet.session.close();
    await host.stop();
  });

  it('count as inactive, whether or not the client has said so', async () => {
    juliet.drop();
    await presence('romeo', "id='1'");
    await message("type='chat'", TYPING);
    await presence('romeo', "id='2'");
    assert.deepEqual(sent, []);
    await message("type='chat' id='3'", '<body>hi</body>');
    assert.deepEqual(sent, ['presence 2', 'message 3']);
  });

  it('count as active once the client is back, which gets what has waited', async () => {
    juliet.send(INACTIVE);
    await presence('nurse', "id='1'");
    juliet.drop();
    await presence('romeo', "id='2'");
    comeBack();
    api.resumed(juliet.session);
    assert.deepEqual(await heard(), ['p:nurse:1', 'p:romeo:2']);
    await presence('romeo', "id='3'");
    assert.deepEqual(await heard(), ['p:romeo:3']);
  });

  it('count as active on a new line although nobody has told', async () => {
    juliet.send(INACTIVE);
    await presence('nurse', "id='1'");
    juliet.drop();
    comeBack();
    await presence('romeo', "id='2'");
    await presence('romeo', "id='3'");
    assert.deepEqual(await heard(), ['p:nurse:1', 'p:romeo:2', 'p:romeo:3']);
    juliet.send(INACTIVE);
    await presence('romeo', "id='4'");
    await juliet.quiet();
  });

  it('let others have all that is held', async () => {
    juliet.send(INACTIVE);
    await presence('romeo', "id='1'");
    api.flush(juliet.session);
    api.flush(juliet.session);
    assert.deepEqual(await heard(), ['p:romeo:1']);
    await presence('romeo', "id='2'");
    await juliet.quiet();
  });

  it('hold nothing for a session that is over', async () => {
    const { session } = juliet;
    juliet.send(INACTIVE);
    juliet.drop();
    session.close();
    session.send(presenceOf('romeo'));
    api.flush(session);
    assert.deepEqual(sent, ['presence romeo']);
  });
});
