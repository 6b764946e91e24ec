import assert from 'node:assert/strict';
import csi from '../../../modules/csi/index.ts';
import ping from '../../../modules/ping/index.ts';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { chat, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

let host: TestHost;
let romeo: Probe;
let juliet: SmClient;

const say = (body: string) => romeo.send(chat(juliet.jid, body));

describe('sm: together with client state (XEP-0352)', () => {
  const inactive = "<inactive xmlns='urn:xmpp:csi:0'/>";
  const composing = () =>
    romeo.send(`<message type='chat' to='${juliet.jid}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
  const show = (text: string) => romeo.send(`<presence to='${juliet.jid}'><show>${text}</show></presence>`);
  const got = async () => {
    await settle();
    return juliet.take().map((stanza) => stanza.getChildText('show') ?? stanza.getChildText('body') ?? stanza.name);
  };

  beforeEach(async () => {
    host = await startHost([sm, csi, ping, roster, presence]);
    romeo = await host.online('romeo', 'orchard');
    juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
  });
  afterEach(() => host.stop());

  it('what nobody would miss is not kept for a client whose line is broken', async () => {
    juliet.cut();
    composing();
    for (const text of ['away', 'xa', 'dnd']) show(text);
    await settle();
    await juliet.resume();
    assert.deepEqual(await got(), ['dnd']);
  });

  it('what was held back comes before what matters, and is acknowledged with it', async () => {
    juliet.send(inactive);
    show('away');
    await juliet.quiet();
    juliet.cut();
    say('hello');
    show('dnd');
    await settle();
    await juliet.resume();
    assert.deepEqual(await got(), ['away', 'hello', 'dnd']);
    juliet.ack();
    await settle();
    assert.equal(juliet.isConnected, true);
  });

  it('a client that resumes is active', async () => {
    juliet.send(inactive);
    juliet.cut();
    await juliet.resume();
    show('away');
    assert.deepEqual(await got(), ['away']);
  });

  it('its numbers are right whatever was held back', async () => {
    for (let i = 0; i < 5; i++) {
      juliet.send(inactive);
      show(`a${i}`);
      show(`b${i}`);
      juliet.cut();
      show(`c${i}`);
      say(`m${i}`);
      await settle();
      assert.equal((await juliet.resume()).name, 'resumed');
      assert.deepEqual(await got(), [`c${i}`, `m${i}`]);
    }
    juliet.ack();
    await settle();
    assert.equal(juliet.isConnected, true);
  });
});
