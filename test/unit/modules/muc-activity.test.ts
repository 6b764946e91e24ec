import assert from 'node:assert/strict';
import { mock } from 'node:test';
import type { Element } from 'ltx';
import mucActivity from '../../../modules/muc-activity/index.ts';
import { Meter } from '../../../modules/muc-activity/meter.ts';
import sm from '../../../modules/sm/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { errorIn, LOUNGE, RoomScene, SERVICE, say } from '../../support/room-scene.ts';
import { Disk, SmClient } from '../../support/sm-client.ts';

const RAI = 'urn:xmpp:rai:0';
const HOUR = 3_600_000;
const INTERVAL = 5000;
const SUBSCRIBE = `<presence to='${SERVICE}'><rai xmlns='${RAI}'/></presence>`;
const UNSUBSCRIBE = `<presence type='unavailable' to='${SERVICE}'/>`;
const addressOf = (name: string): string => `${name}@${SERVICE}`;

/** The rooms of each notification, in order. */
function told(stanzas: readonly Element[]): string[][] {
  return stanzas.flatMap((stanza) => {
    const rai = stanza.getChild('rai', RAI);
    if (!rai) return [];
    assert.equal(stanza.attrs['from'], SERVICE);
    return [rai.getChildren('activity').map((each) => each.getText().replace(`@${SERVICE}`, ''))];
  });
}

describe('activity of rooms', () => {
  let scene: RoomScene;
  let speaker: Probe;
  let reader: Probe;

  async function start(options: Parameters<typeof RoomScene.start>[0] = {}): Promise<void> {
    scene = await RoomScene.start({ more: [mucActivity], ...options });
    speaker = await scene.client('speaker');
    reader = await scene.client('reader');
  }

  async function tells(probe = reader): Promise<string[][]> {
    await settle();
    return told(probe.take());
  }

  async function subscribe(probe = reader): Promise<string[][]> {
    probe.send(SUBSCRIBE);
    return tells(probe);
  }

  /** Lets time go by. */
  async function pass(milliseconds: number): Promise<void> {
    mock.timers.tick(milliseconds);
    await settle();
  }

  async function talk(body: string, room = 'lounge'): Promise<void> {
    speaker.send(say(body, { room: addressOf(room) }));
    await settle();
  }

  beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.now() }));
  afterEach(async () => {
    mock.timers.reset();
    await scene.stop();
  });

  describe('is told (XEP-0437)', () => {
    const people = { reader: 'member', speaker: 'member' } as const;

    it('once, until the client has been in the room', async () => {
      await start();
      await scene.room({ people });
      await scene.enter(speaker);
      assert.deepEqual(await subscribe(), [], 'nothing was ever said');
      await talk('One');
      assert.deepEqual(await tells(), [['lounge']]);
      await talk('Two');
      await pass(INTERVAL);
      assert.deepEqual(await tells(), [], 'it knows already');

      await scene.enter(reader);
      await talk('Three');
      await pass(INTERVAL);
      assert.deepEqual(await tells(), [], 'it is there and hears for itself');
      reader.send(`<presence type='unavailable' to='${LOUNGE}/reader'/>`);
      await settle();
      await talk('Four');
      assert.deepEqual(await tells(), [['lounge']]);
    });

    it('of what has happened since the account was there, when a client asks', async () => {
      await start({ muc: { maxIdle: 1 } });
      for (const name of ['one', 'two', 'three', 'four']) {
        await scene.room({ name, people });
        await scene.enter(speaker, { room: addressOf(name) });
        if (name !== 'four') await talk('Early', name);
      }
      await scene.enter(reader, { room: addressOf('two') });
      await pass(1000);
      reader.send(`<presence type='unavailable' to='${addressOf('two')}/reader'/>`);
      await scene.hush(reader);
      await pass(1000);
      await talk('Late', 'three');
      for (const name of ['one', 'two', 'three', 'four']) {
        speaker.send(`<presence type='unavailable' to='${addressOf(name)}/speaker'/>`);
      }
      await settle();
      // All but one of them are asleep by now, and are not woken.
      const awake = [...scene.rooms.open()].length;
      assert.deepEqual(await subscribe(), [['one', 'three']]);
      assert.equal([...scene.rooms.open()].length, awake);
      const later = await scene.client('reader', 'phone');
      await pass(INTERVAL);
      assert.deepEqual(await subscribe(later), [['one', 'three']], 'each client is told');
    });

    it('of several rooms together, and no more often than it may be', async () => {
      await start();
      for (const name of ['one', 'two', 'three']) {
        await scene.room({ name, people });
        await scene.enter(speaker, { room: addressOf(name) });
      }
      await subscribe();
      speaker.send(say('1', { room: addressOf('one') }));
      await talk('2', 'two');
      const first = await tells();
      assert.equal(first.length, 1);
      await talk('3', 'three');
      assert.deepEqual(await tells(), first[0]!.length === 2 ? [] : [['two']], 'the interval is not over');
      await pass(INTERVAL);
      const rest = (await tells()).flat();
      assert.deepEqual([...first.flat(), ...rest].sort(), ['one', 'three', 'two']);
    });

    it('until the client does not want it any more, or has gone', async () => {
      await start();
      await scene.room({ people });
      await scene.enter(speaker);
      for (const end of [UNSUBSCRIBE, "<presence type='unavailable'/>"]) {
        await pass(INTERVAL);
        assert.deepEqual(await subscribe(), []);
        reader.send(end);
        await settle();
        await talk(end === UNSUBSCRIBE ? 'One' : 'Two');
        await pass(INTERVAL);
        assert.deepEqual(await tells(), []);
        await scene.enter(reader);
        reader.send(`<presence type='unavailable' to='${LOUNGE}/reader'/>`);
        await scene.hush(reader);
      }
      await pass(INTERVAL);
      await subscribe();
      reader.drop();
      await settle();
      await talk('Three');
      await pass(INTERVAL);
      assert.deepEqual(told(reader.take()), []);
    });

    it('only of rooms it may enter', async () => {
      await start();
      const closed = { isMembersOnly: true, isPublic: false } as const;
      const room = await scene.room({ people, settings: closed });
      await scene.room({ name: 'open' });
      await scene.enter(speaker);
      await scene.enter(speaker, { room: addressOf('open') });
      const stranger = await scene.client('stranger');
      await subscribe();
      await subscribe(stranger);
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('reader@example.org'), affiliation: 'none' }]);
      await talk('Secret');
      await talk('Open', 'open');
      await pass(INTERVAL);
      assert.deepEqual([await tells(), await tells(stranger)], [[], []], 'members are told, nobody else');
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('reader@example.org'), affiliation: 'member' }]);
      await talk('Another');
      await pass(INTERVAL);
      assert.deepEqual(await tells(), [['lounge']], 'who has become one meanwhile is told, too');
      await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('reader@example.org'), affiliation: 'outcast' }]);
      reader.send(UNSUBSCRIBE);
      await pass(INTERVAL);
      assert.deepEqual(await subscribe(), []);
    });

    it('not of what is no message to people, nor of what the account has said itself', async () => {
      await start();
      await scene.room({ people });
      const phone = await scene.client('reader', 'phone');
      await scene.enter(speaker);
      await scene.enter(phone, { nick: 'Phone' });
      await subscribe();
      speaker.send(
        `<message type='groupchat' to='${LOUNGE}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
      );
      speaker.send(say('Corrected', { more: "<replace xmlns='urn:xmpp:message-correct:0' id='x'/>" }));
      phone.send(say('Mine'));
      await settle();
      await pass(INTERVAL);
      assert.deepEqual(await tells(), []);
      await talk('Yours');
      assert.deepEqual(await tells(), [['lounge']]);
    });

    it('as often as it likes to ask, and looked up no more often than in each interval', async () => {
      await start();
      await scene.room({ people });
      await scene.enter(speaker);
      await talk('One');
      for (let i = 0; i < 200; i++) reader.send(SUBSCRIBE);
      assert.deepEqual(await tells(), [['lounge']]);
      await pass(INTERVAL);
      for (let i = 0; i < 200; i++) reader.send(i % 2 === 0 ? UNSUBSCRIBE : SUBSCRIBE);
      assert.ok((await tells()).length <= 100);
      speaker.send(SUBSCRIBE);
      reader.send(`<presence to='${SERVICE}'><rai xmlns='urn:xmpp:rai:1'/></presence>`);
      reader.send(`<presence to='${SERVICE}'/>`);
      await settle();
    });

    it('to as many as there is room for', async () => {
      await start({ modules: { 'muc-activity': { maxClients: 1, maxRooms: 2 } } });
      for (const name of ['one', 'two', 'three']) {
        await scene.room({ name, people });
        await scene.enter(speaker, { room: addressOf(name) });
      }
      await subscribe();
      for (const name of ['one', 'two', 'three']) await talk('Hey', name);
      await pass(INTERVAL);
      assert.equal((await tells()).flat().length, 2);
      const late = await scene.client('late');
      late.send(SUBSCRIBE);
      assert.equal(errorIn(await late.receive('presence')), 'resource-constraint/wait');
    });

    it('over a restart of the server, when the session lives so long', async () => {
      mock.timers.reset();
      const disk = await Disk.create();
      await start({ storage: disk.mount(), more: [sm, mucActivity] });
      await scene.room({ people: { ...people, juliet: 'member' } });
      const juliet = await SmClient.online(scene.host, 'juliet', { resource: 'balcony' });
      juliet.send(SUBSCRIBE);
      await settle();
      juliet.ack(juliet.h);
      await settle();
      await scene.stop();
      await start({ storage: disk.mount(), more: [sm, mucActivity] });
      await scene.host.host.accounts.create('juliet', 'secret');
      juliet.host = scene.host;
      assert.equal((await juliet.resume()).name, 'resumed');
      await scene.enter(speaker);
      await talk('Still here?');
      await settle();
      assert.deepEqual(told(juliet.take()), [['lounge']]);
      await scene.stop();
      await disk.close();
      await start();
    });
  });

  describe('is measured (XEP-0502)', () => {
    const rateOf = async (room = 'lounge'): Promise<string | undefined> => {
      const answer = await reader.ask(
        `<iq type='get' to='${addressOf(room)}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
      );
      const fields = answer.getChild('query')!.getChild('x', 'jabber:x:data')!.getChildren('field');
      const field = fields.find(({ attrs }) => attrs['var'] === '{urn:xmpp:muc-activity}message-activity');
      return field?.getChildText('value') ?? undefined;
    };

    it('by messages to people, once there has been an hour', async () => {
      await start();
      await scene.room();
      await scene.enter(speaker);
      for (let i = 0; i < 12; i++) speaker.send(say(`${i}`));
      speaker.send(say('12', { more: "<replace xmlns='urn:xmpp:message-correct:0' id='11'/>" }));
      speaker.send(`<message type='groupchat' to='${LOUNGE}'><subject>Silence</subject></message>`);
      speaker.send(`<message type='chat' to='${LOUNGE}/speaker'><body>Psst</body></message>`);
      await settle();
      assert.equal(await rateOf(), undefined, 'nothing is known yet');
      await pass(HOUR);
      assert.equal(await rateOf(), '12');
      await pass(4 * HOUR);
      assert.equal(await rateOf(), '2.4');
      await pass(24 * HOUR);
      assert.equal(await rateOf(), '0');
    });

    it('only of rooms that everybody may find and enter', async () => {
      await start();
      const kinds = { hidden: { isPublic: false }, closed: { isMembersOnly: true }, locked: { password: 'secret' } };
      for (const [name, settings] of Object.entries({ ...kinds, fleeting: { isPersistent: false } })) {
        await scene.room({ name, settings, ...(name !== 'fleeting' && { people: { speaker: 'owner' } }) });
        await scene.enter(speaker, { room: addressOf(name) });
        await talk('Hey', name);
        await pass(2 * HOUR);
        assert.equal(await rateOf(name), undefined, name);
      }
    });

    it('over a restart of the module', async () => {
      await start();
      await scene.room();
      await scene.enter(speaker);
      await talk('One');
      await scene.reload({ maxHistory: 7 });
      await pass(HOUR);
      assert.equal(await rateOf(), '1');
    });
  });
});

describe('meters', () => {
  const at = (hours: number): number => hours * HOUR + 1;

  it('leave out the hour that is not over, and what is older than a day', () => {
    const meter = new Meter(at(100));
    meter.count(at(100));
    assert.equal(meter.rate(at(100)), undefined);
    meter.count(at(101));
    assert.equal(meter.rate(at(101)), 1);
    assert.equal(meter.rate(at(102)), 1);
    assert.equal(meter.rate(at(124)), 2 / 24);
    assert.equal(meter.rate(at(125)), 1 / 24);
    assert.equal(meter.rate(at(126)), 0);
    assert.equal(meter.rate(at(1000)), 0);
  });

  it('are the same when they have been kept, and take no harm from a clock that goes back', () => {
    const meter = new Meter(at(100));
    meter.count(at(100));
    const again = new Meter(at(101), JSON.parse(JSON.stringify(meter.reading)));
    again.count(at(90));
    assert.equal(again.rate(at(101)), 2);
    assert.equal(new Meter(at(1), { hour: 1, since: 0, counts: [] }).rate(at(1)), 0);
  });
});
