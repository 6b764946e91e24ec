import assert from 'node:assert/strict';
import carbons from '../../../modules/carbons/index.ts';
import mam from '../../../modules/mam/index.ts';
import offline from '../../../modules/offline/index.ts';
import sm from '../../../modules/sm/index.ts';
import { silent } from '../../../src/log.ts';
import type { AnyModule } from '../../../src/module/module.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';
import { chat, conditionOf, delayOf, SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const JULIET = 'juliet@example.org';

let host: TestHost;
let slow: SlowStorage;
let romeo: Probe;

async function start(more: readonly AnyModule[], config: Readonly<Record<string, unknown>> = {}): Promise<void> {
  slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
  // No client of these tests is waited for to read its archive, unless it says so.
  const modules = { offline: { patience: 0, ...config } };
  host = await startHost([sm, offline, carbons, ...more], { storage: slow.storage, modules });
  romeo = await host.online('romeo', 'orchard');
  // Who is there, and what they want to be archived, is known from here on.
  const nobody = await host.online('juliet', 'nobody');
  romeo.send(chat(JULIET, 'first'));
  await nobody.receive('message');
  nobody.leave();
  await settle();
}

const say = async (...bodies: readonly string[]) => {
  for (const body of bodies) romeo.send(chat(JULIET, body));
  await settle();
};

/** juliet comes without stream management; returns what she gets. */
async function arrive(resource?: string): Promise<{ juliet: Probe; messages: readonly (readonly [string, boolean])[] }> {
  const juliet = await host.login('juliet', resource);
  juliet.send('<presence/>');
  return { juliet, messages: await messagesOf(juliet) };
}

/** The messages a client has got: their texts, and whether they say when they were sent. */
async function messagesOf(client: Probe | SmClient): Promise<readonly (readonly [string, boolean])[]> {
  await settle();
  return client
    .take()
    .filter(({ name }) => name === 'message')
    .map((message) => [message.getChildText('body') ?? '', delayOf(message) !== undefined]);
}

const errors = async () => {
  await settle();
  const all = romeo.take().filter(({ attrs }) => attrs['type'] === 'error');
  return all.map((error) => `${error.attrs['id']} ${conditionOf(error)}`);
};

for (const [where, modules] of [
  ['in the archive', [mam]],
  ['where there is no archive', []],
] as const) {
  describe(`sm: messages that were not acknowledged, ${where}`, () => {
    beforeEach(() => start(modules));
    afterEach(async () => {
      slow.release();
      await host.stop();
    });

    const online = (resource: string) => SmClient.online(host, 'juliet', { resource });

    it('wait for the next client, and come once, with the time they were sent', async () => {
      const juliet = await online('balcony');
      await say('one', 'two');
      juliet.leave();
      assert.deepEqual((await arrive()).messages, [
        ['one', true],
        ['two', true],
      ]);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('but not those that were', async () => {
      const juliet = await online('balcony');
      await say('one', 'two', 'three');
      juliet.ack(juliet.h - 1);
      juliet.leave();
      assert.deepEqual((await arrive()).messages, [['three', true]]);
    });

    it('wait while their client may come back, and then for nobody', async () => {
      const juliet = await online('balcony');
      juliet.cut();
      await say('one');
      const { juliet: garden, messages } = await arrive('garden');
      assert.deepEqual(messages, []);
      await juliet.resume();
      assert.deepEqual(await messagesOf(juliet), [['one', true]]);
      juliet.ack();
      juliet.leave();
      assert.deepEqual(await messagesOf(garden), []);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('go to a client that has come meanwhile when theirs does not come back', async () => {
      const juliet = await online('balcony');
      await say('one');
      juliet.cut();
      await say('two');
      const { juliet: garden } = await arrive('garden');
      await say('three');
      assert.deepEqual(await messagesOf(garden), [['three', false]]);
      juliet.session.close();
      assert.deepEqual(await messagesOf(garden), [
        ['one', true],
        ['two', true],
      ]);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('go to one that confirms what it gets, and wait again when it does not', async () => {
      const juliet = await online('balcony');
      await say('one');
      juliet.cut();
      const garden = await online('garden');
      juliet.session.close();
      assert.deepEqual(await messagesOf(garden), [['one', true]]);
      garden.leave();
      const tomb = await SmClient.managed(host, 'juliet', { resource: 'tomb' });
      tomb.send('<presence/>');
      assert.deepEqual(await messagesOf(tomb), [['one', true]]);
      tomb.ack();
      tomb.leave();
      assert.deepEqual((await arrive()).messages, []);
    });

    it('go to the client that takes the place of theirs', async () => {
      const juliet = await online('balcony');
      await say('one');
      juliet.cut();
      await say('two');
      const { messages } = await arrive('balcony');
      assert.equal(juliet.session.isClosed, true);
      assert.deepEqual(messages, [
        ['one', true],
        ['two', true],
      ]);
    });

    for (const isFirst of [true, false]) {
      for (const kind of ['acknowledged them', 'confirms nothing'] as const) {
        it(`do not go to another that had them and ${kind} (bound ${isFirst ? 'before' : 'after'} theirs)`, async () => {
          const other = async () => (kind === 'confirms nothing' ? host.online('juliet', 'garden') : online('garden'));
          const early = isFirst ? await other() : undefined;
          const juliet = await online('balcony');
          const garden = early ?? (await other());
          await settle();
          garden.take();
          await say('one', 'two');
          assert.deepEqual(await messagesOf(garden), [
            ['one', false],
            ['two', false],
          ]);
          if (garden instanceof SmClient) garden.ack();
          juliet.session.close();
          assert.deepEqual(await messagesOf(garden), []);
          await say('three');
          assert.deepEqual(await messagesOf(garden), [['three', false]]);
          if (garden instanceof SmClient) garden.ack();
          garden.leave();
          assert.deepEqual((await arrive()).messages, []);
        });
      }
    }

    it('of two that had them and said nothing they wait until both are gone, and come once', async () => {
      const balcony = await online('balcony');
      const garden = await online('garden');
      await say('one');
      balcony.cut();
      garden.cut();
      const { juliet: tomb } = await arrive('tomb');
      balcony.session.close();
      assert.deepEqual(await messagesOf(tomb), []);
      garden.session.close();
      assert.deepEqual(await messagesOf(tomb), [['one', true]]);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('keep their order among those that come anew', async () => {
      const juliet = await online('balcony');
      await say('one');
      juliet.leave();
      await say('two', 'three');
      assert.deepEqual((await arrive()).messages, [
        ['one', true],
        ['two', true],
        ['three', true],
      ]);
    });

    it('wait for a client of negative priority in vain', async () => {
      const juliet = await online('balcony');
      await say('one');
      juliet.cut();
      const shy = await host.login('juliet', 'shy');
      shy.send('<presence><priority>-1</priority></presence>');
      juliet.session.close();
      assert.deepEqual(await messagesOf(shy), []);
      shy.send('<presence/>');
      assert.deepEqual(await messagesOf(shy), [['one', true]]);
    });

    it('come to a client that was gone while they were being stored', async () => {
      const juliet = await online('balcony');
      slow.hold();
      await say('one');
      juliet.leave();
      await settle();
      slow.release();
      await settle();
      assert.deepEqual((await arrive()).messages, [['one', true]]);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('come again from the one of two that was still there when they were stored', async () => {
      const balcony = await online('balcony');
      const garden = await online('garden');
      slow.hold();
      await say('one');
      balcony.leave();
      await settle();
      slow.release();
      assert.deepEqual(await messagesOf(garden), [['one', false]]);
      garden.leave();
      assert.deepEqual((await arrive()).messages, [['one', true]]);
    });

    it('are with a client that has begun to confirm while they were being stored', async () => {
      const juliet = await SmClient.bind(host, 'juliet', { resource: 'balcony' });
      juliet.send('<presence/>');
      await settle();
      slow.hold();
      await say('one');
      await juliet.enable();
      slow.release();
      assert.deepEqual((await messagesOf(juliet)).at(-1), ['one', false]);
      juliet.ack();
      juliet.leave();
      assert.deepEqual((await arrive()).messages, []);
    });

    it('are refused where they cannot be stored, and nobody gets them', async () => {
      const juliet = await online('balcony');
      slow.fail();
      romeo.send(`<message type='chat' id='m' to='${JULIET}'><body>one</body></message>`);
      assert.deepEqual(await errors(), ['m resource-constraint']);
      slow.release();
      host.faults.length = 0;
      assert.deepEqual(await messagesOf(juliet), []);
      juliet.leave();
      assert.deepEqual((await arrive()).messages, []);
    });

    it('to one of several clients only go to another when it is gone', async () => {
      const balcony = await online('balcony');
      const { juliet: garden } = await arrive('garden');
      romeo.send(chat(balcony.jid, 'for the balcony'));
      assert.deepEqual(await messagesOf(garden), []);
      balcony.leave();
      assert.deepEqual(await messagesOf(garden), [['for the balcony', true]]);
    });

    it('what is not to be stored is refused at the end, where nobody else has it', async () => {
      const juliet = await online('balcony');
      romeo.send(`<message type='chat' id='m' to='${JULIET}'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`);
      await romeo.quiet();
      juliet.leave();
      assert.deepEqual(await errors(), ['m service-unavailable']);
      assert.deepEqual((await arrive()).messages, []);
    });

    it('what is not to be stored goes to another client when it was for one only', async () => {
      const balcony = await online('balcony');
      const { juliet: garden } = await arrive('garden');
      romeo.send(`<message type='chat' id='m' to='${balcony.jid}'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`);
      await settle();
      balcony.leave();
      assert.deepEqual(await messagesOf(garden), [['x', false]]);
      assert.deepEqual(await errors(), []);
    });

    it('what is not to be stored does not go to one that has had a copy of it', async () => {
      const balcony = await online('balcony');
      const { juliet: garden } = await arrive('garden');
      assert.equal((await garden.ask("<iq type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>")).attrs['type'], 'result');
      romeo.send(`<message type='chat' id='m' to='${balcony.jid}'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>`);
      assert.equal((await messagesOf(garden)).length, 1);
      balcony.leave();
      assert.deepEqual(await messagesOf(garden), []);
      assert.deepEqual(await errors(), []);
    });

    it('what only says that somebody is typing is forgotten', async () => {
      const juliet = await online('balcony');
      romeo.send(`<message type='chat' to='${JULIET}'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`);
      await settle();
      juliet.leave();
      assert.deepEqual(await errors(), []);
      assert.deepEqual((await arrive()).messages, []);
    });
  });
}

describe('sm: messages that are not archived', () => {
  beforeEach(() => start([mam]));
  afterEach(() => host.stop());

  const NEVER = "<iq type='set'><prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs></iq>";

  it('since their recipient does not want it wait all the same', async () => {
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    assert.equal((await juliet.ask(NEVER)).attrs['type'], 'result');
    juliet.ack();
    await say('one', 'two');
    juliet.ack(juliet.h - 1);
    juliet.leave();
    assert.deepEqual((await arrive()).messages, [['two', true]]);
    assert.deepEqual((await arrive()).messages, []);
  });

  it('wait in order with those that are', async () => {
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    const unarchived = (body: string) => romeo.send(chat(JULIET, body, "<no-permanent-store xmlns='urn:xmpp:hints'/>"));
    for (let i = 0; i < 5; i++) {
      romeo.send(chat(JULIET, `archived ${i}`));
      unarchived(`not archived ${i}`);
    }
    await settle();
    assert.equal((await juliet.bodies()).length, 10);
    juliet.ack(juliet.h - 7);
    juliet.cut();
    await say('archived 5');
    unarchived('not archived 5');
    await settle();
    juliet.session.close();
    await say('archived 6');
    unarchived('not archived 6');
    await settle();
    assert.deepEqual(
      (await arrive()).messages.map(([body]) => body),
      ['not archived 1', ...[2, 3, 4, 5, 6].flatMap((i) => [`archived ${i}`, `not archived ${i}`])],
    );
    assert.deepEqual((await arrive()).messages, []);
  });
});

describe('sm: where there is no room for what is not archived', () => {
  beforeEach(() => start([], { maxMessages: 1 }));
  afterEach(() => host.stop());

  it('it is delivered all the same, and refused when it has not arrived', async () => {
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    for (const id of ['one', 'two', 'three'])
      romeo.send(`<message type='chat' id='${id}' to='${JULIET}'><body>${id}</body></message>`);
    assert.deepEqual(await juliet.bodies(), ['one', 'two', 'three']);
    assert.deepEqual(await errors(), []);
    juliet.leave();
    assert.deepEqual(await errors(), ['two service-unavailable', 'three service-unavailable']);
    assert.deepEqual((await arrive()).messages, [['one', true]]);
  });

  it('room is free again once what was kept has arrived', async () => {
    const juliet = await SmClient.online(host, 'juliet', { resource: 'balcony' });
    for (let i = 0; i < 5; i++) {
      await say(String(i));
      juliet.ack();
      await settle();
    }
    await say('last');
    juliet.leave();
    assert.deepEqual(await errors(), []);
    assert.deepEqual((await arrive()).messages, [['last', true]]);
  });
});

describe('sm: messages that nobody keeps', () => {
  const NO_STORE = "<no-store xmlns='urn:xmpp:hints'/>";
  const tell = async (id: string, to = JULIET) => {
    romeo.send(`<message type='chat' id='${id}' to='${to}'><body>${id}</body>${NO_STORE}</message>`);
    await settle();
  };
  const online = (resource: string) => SmClient.online(host, 'juliet', { resource });

  beforeEach(() => start([mam]));
  afterEach(() => host.stop());

  it('go to one that has come since, when theirs does not come back', async () => {
    const balcony = await online('balcony');
    balcony.cut();
    await tell('one');
    const { juliet: garden } = await arrive('garden');
    balcony.session.close();
    assert.deepEqual(await messagesOf(garden), [['one', true]]);
    assert.deepEqual(await errors(), []);
  });

  it('are refused when all that had them are gone, and not before', async () => {
    const balcony = await online('balcony');
    const garden = await online('garden');
    await tell('one');
    balcony.leave();
    assert.deepEqual(await errors(), []);
    garden.leave();
    assert.deepEqual(await errors(), ['one service-unavailable']);
  });

  for (const isFirst of [true, false]) {
    it(`have arrived when one has confirmed them (the ${isFirst ? 'first' : 'last'} to go)`, async () => {
      const clients = [await online('balcony'), await online('garden')];
      await tell('one');
      clients[isFirst ? 0 : 1]!.ack();
      for (const client of clients) client.leave();
      assert.deepEqual(await errors(), []);
    });
  }

  it('have arrived when one that confirms nothing had them', async () => {
    const { juliet: old } = await arrive('old');
    const balcony = await online('balcony');
    await settle();
    old.take();
    await tell('one');
    assert.equal((await messagesOf(old)).length, 1);
    old.leave();
    balcony.leave();
    assert.deepEqual(await errors(), []);
  });

  it('are given back again and again, until somebody confirms them', async () => {
    let client = await online('balcony');
    await tell('one');
    for (let i = 0; i < 3; i++) {
      const next = await SmClient.managed(host, 'juliet', { resource: `client${i}` });
      next.send('<presence/>');
      await settle();
      client.leave();
      assert.deepEqual(await next.bodies(), ['one']);
      client = next;
    }
    client.ack();
    client.leave();
    assert.deepEqual(await errors(), []);
  });

  it('are refused when the session ends together with the account', async () => {
    await online('balcony');
    await tell('one');
    await host.host.accounts.delete('juliet');
    assert.deepEqual(await errors(), ['one service-unavailable']);
  });
});
