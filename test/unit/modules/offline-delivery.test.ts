import assert from 'node:assert/strict';
import offline from '../../../modules/offline/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import type { FakeTransport } from '../../support/fake-transport.ts';
import { bodiesOf, chat, OfflineScene } from '../../support/offline-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SlowStorage } from '../../support/slow-storage.ts';

describe('offline: delivery', () => {
  let scene: OfflineScene;
  afterEach(() => scene.host.stop());

  it('is in order, once, to the first client that comes', async () => {
    scene = await OfflineScene.open();
    const bodies = Array.from({ length: 120 }, (_, i) => `m${i}`);
    for (const body of bodies) scene.romeo.send(chat(body));
    await settle();
    const first = await scene.arrive('balcony');
    const got = [...first.bodies];
    for (let i = 0; i < 50 && got.length < bodies.length; i++) {
      await settle();
      got.push(...bodiesOf(first.juliet.take()));
    }
    assert.deepEqual(got, bodies);
    assert.deepEqual((await scene.arrive('chamber')).bodies, []);
  });

  it('waits for presence of a priority that is not negative (XEP-0160 section 2)', async () => {
    scene = await OfflineScene.open();
    scene.romeo.send(chat('hi'));
    await settle();
    const { juliet, bodies } = await scene.arrive('balcony', '<presence><priority>-1</priority></presence>');
    assert.deepEqual(bodies, []);
    juliet.send(`<presence to='${scene.romeo.jid}'/>`);
    await juliet.quiet();
    juliet.send('<presence><priority>0</priority></presence>');
    assert.equal((await juliet.receive('message')).getChildText('body'), 'hi');
  });

  describe('to a client that leaves in the turn in which it is given them', () => {
    async function leave(how: (juliet: Probe) => void): Promise<string[]> {
      scene = await OfflineScene.open();
      await scene.write('1', '2', '3');
      const juliet = await scene.host.login('juliet', 'balcony');
      const { onSend } = juliet.transport;
      juliet.transport.onSend = (text) => {
        onSend(text);
        if (text.includes('<body>3</body>')) queueMicrotask(() => how(juliet));
      };
      juliet.send('<presence/>');
      await settle();
      assert.deepEqual(bodiesOf(juliet.take()), ['1', '2', '3']);
      const bodies: string[] = [];
      for (let i = 0; i < 20; i++) await settle();
      bodies.push(...(await scene.arrive('chamber')).bodies);
      return bodies;
    }

    it('is done when both sides have closed the stream (RFC 6120 section 4.4)', async () => {
      const goodbye = "<presence xmlns='jabber:client' type='unavailable'/>";
      const again = await leave(({ transport }) => {
        transport.feed(goodbye);
        transport.feed(close);
      });
      assert.deepEqual(again, []);
    });

    it('is not when the line has broken', async () => {
      assert.deepEqual(await leave(({ transport }) => transport.destroy()), ['1', '2', '3']);
    });
  });

  it('is done when the line breaks as soon as all has left, which under TLS takes a turn more', async () => {
    scene = await OfflineScene.open();
    await scene.write('1', '2');
    const { transport } = await scene.host.login('juliet', 'balcony');
    transport.onSend = (text) => {
      transport.queued += text.length;
      if (!text.includes('<body>2</body>')) return;
      void (async () => {
        await turn();
        await turn();
        transport.queued = 0;
        await turn();
        transport.destroy();
      })();
    };
    transport.feed("<presence xmlns='jabber:client'/>");
    await settle();
    assert(transport.isEnded);
    assert.deepEqual((await scene.arrive('chamber')).bodies, []);
  });

  describe('to a client that closes its stream while they are still leaving (RFC 6120 section 4.4)', () => {
    async function closeEarly(): Promise<{ gone: FakeTransport; chamber: Probe; left: () => Promise<number> }> {
      const storage = await openStorage({ type: 'memory' }, silent);
      const { messages } = await storage.open('example.org', 'offline', { messages: offline.stores!.messages });
      scene = await OfflineScene.open({}, { storage });
      await scene.write('1', '2');
      const first = await scene.host.login('juliet', 'balcony');
      first.transport.queued = 500;
      first.send('<presence/>');
      await settle();
      assert.deepEqual(bodiesOf(first.take()), ['1', '2']);
      first.leave();
      const { juliet: chamber, bodies } = await scene.arrive('chamber');
      // What is still leaving is given to nobody else.
      assert.deepEqual(bodies, []);
      return { gone: first.transport, chamber, left: () => messages.count('juliet', {}) };
    }

    it('is done when they have left', async () => {
      const { gone, chamber, left } = await closeEarly();
      assert.equal(await left(), 2);
      gone.queued = 0;
      while ((await left()) > 0) await settle();
      await chamber.quiet();
    });

    it('begins again with the next client when the line breaks before they have', async () => {
      const { gone, chamber } = await closeEarly();
      // A line that breaks holds nothing any more.
      gone.queued = 0;
      gone.handler.closed(new Error('reset'));
      assert.equal((await chamber.receive('message')).getChildText('body'), '1');
      assert.equal((await chamber.receive('message')).getChildText('body'), '2');
      await chamber.quiet();
    });
  });

  it('goes on with the next client when a slow one leaves in the middle, with what that has not got', async () => {
    scene = await OfflineScene.open({}, { limits: { queueBytes: 100_000 } });
    for (let i = 0; i < 5; i++) await scene.write(`${i}${'x'.repeat(20_000)}`);
    const numbers = (all: readonly string[]) => all.map((body) => body.charAt(0));
    const slow = await scene.host.login('juliet', 'balcony');
    const { transport } = slow;
    const write = transport.onSend;
    transport.onSend = (text) => {
      transport.queued += text.length;
      write(text);
    };
    slow.send('<presence/>');
    await settle();
    const got = numbers(bodiesOf(slow.take()));
    assert(got.length > 0 && got.length < 5);
    transport.queued = 0;
    slow.leave();
    await settle();
    const { juliet, bodies } = await scene.arrive('chamber');
    got.push(...numbers(bodies));
    while (got.length < 5) got.push(...numbers(bodiesOf([await juliet.receive('message')])));
    assert.deepEqual(got, ['0', '1', '2', '3', '4']);
    await juliet.quiet();
  });

  it('goes to one of two clients that come at the same time', async () => {
    scene = await OfflineScene.open();
    for (const body of ['1', '2', '3']) scene.romeo.send(chat(body));
    await settle();
    const one = await scene.host.login('juliet', 'one');
    const two = await scene.host.login('juliet', 'two');
    one.send('<presence/>');
    two.send('<presence/>');
    await settle();
    assert.deepEqual([...bodiesOf(one.take()), ...bodiesOf(two.take())], ['1', '2', '3']);
  });

  it('is not overtaken by what comes meanwhile (RFC 6120 section 10.1)', async () => {
    const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await OfflineScene.open({}, { storage: slow.storage });
    scene.romeo.send(chat('1'));
    await settle();
    const juliet = await scene.host.login('juliet', 'balcony');
    slow.hold();
    juliet.send('<presence/>');
    scene.romeo.send(chat('2'));
    scene.romeo.send(chat('3', juliet.jid));
    await settle();
    assert.deepEqual(bodiesOf(juliet.take()), []);
    slow.release();
    await settle();
    scene.romeo.send(chat('4'));
    await settle();
    assert.deepEqual(bodiesOf(juliet.take()), ['1', '2', '3', '4']);
    await juliet.quiet();
  });

  it('does not miss a message that is being written while the client comes', async () => {
    const slow = new SlowStorage(await openStorage({ type: 'memory' }, silent));
    scene = await OfflineScene.open({}, { storage: slow.storage });
    slow.hold();
    scene.romeo.send(chat('1'));
    await settle();
    const juliet = await scene.host.login('juliet', 'balcony');
    juliet.send('<presence/>');
    await settle();
    slow.release();
    await settle();
    await settle();
    assert.deepEqual(bodiesOf(juliet.take()), ['1']);
  });

  it('gives it to a client that is there already, when the first one is lost', async () => {
    scene = await OfflineScene.open();
    for (const body of ['1', '2']) scene.romeo.send(chat(body));
    await settle();
    const first = await scene.host.login('juliet', 'balcony');
    first.transport.queued = 1000;
    first.send('<presence/>');
    await settle();
    const { juliet: second, bodies } = await scene.arrive('chamber');
    assert.deepEqual(bodies, []);
    first.drop();
    assert.equal((await second.receive('message')).getChildText('body'), '1');
    assert.equal((await second.receive('message')).getChildText('body'), '2');
    await second.quiet();
  });

  it('gives it again at the next login, when the line broke before it had left', async () => {
    scene = await OfflineScene.open();
    scene.romeo.send(chat('1'));
    await settle();
    const first = await scene.host.login('juliet', 'balcony');
    first.transport.queued = 1000;
    first.send('<presence/>');
    await settle();
    first.drop();
    await settle();
    assert.deepEqual((await scene.arrive('balcony')).bodies, ['1']);
    assert.deepEqual((await scene.arrive('balcony')).bodies, []);
  });

  it('does not drown a slow client', async () => {
    scene = await OfflineScene.open({}, { limits: { queueBytes: 100_000 } });
    for (let i = 0; i < 10; i++) scene.romeo.send(chat(`${i}${'x'.repeat(20_000)}`));
    await settle();
    const juliet = await scene.host.login('juliet', 'balcony');
    const { transport } = juliet;
    const write = transport.onSend;
    transport.onSend = (text) => {
      transport.queued += text.length;
      write(text);
    };
    juliet.send('<presence/>');
    await settle();
    assert(juliet.take().length < 4);
    assert(!transport.isEnded);
    const numbers: string[] = [];
    while (numbers.length < 6) {
      transport.queued = 0;
      numbers.push((await juliet.receive('message')).getChildText('body')!.charAt(0));
    }
    transport.queued = 0;
    assert.deepEqual(numbers, [...numbers].sort());
  });

  it('stays until a client that confirms what it gets has confirmed it (XEP-0198)', async () => {
    scene = await OfflineScene.open();
    scene.romeo.send(chat('1'));
    await settle();
    const juliet = await scene.host.login('juliet', 'balcony');
    const first = confirming(juliet);
    juliet.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(juliet.take()), ['1']);
    first.end(false);
    juliet.leave();
    const again = await scene.host.login('juliet', 'balcony');
    const second = confirming(again);
    again.send('<presence/>');
    await settle();
    assert.deepEqual(bodiesOf(again.take()), ['1']);
    second.end(true);
    await settle();
    again.leave();
    assert.deepEqual((await scene.arrive('balcony')).bodies, []);
  });

  it('is not stopped by a message that cannot be read any more', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const { messages } = await storage.open('example.org', 'offline', { messages: offline.stores!.messages });
    await messages.append('juliet', { id: '00000000-0000-7000-8000-000000000000', with: 'x', stanza: '<broken' });
    scene = await OfflineScene.open({}, { storage, log: silent });
    scene.romeo.send(chat('hi'));
    await settle();
    assert.deepEqual((await scene.arrive()).bodies, ['hi']);
    assert.equal(await messages.count('juliet', {}), 0);
  });
});

const close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";

/** The next turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Lets a client confirm what it has got, all at once. */
function confirming({ session }: Probe): { end(hasArrived: boolean): void } {
  const ids: string[] = [];
  const { messageGiven, messageArrived, messageReturned } = session.host.signals;
  session.keeper = {
    sent({ keptAs: id }) {
      if (id === undefined) return;
      ids.push(id);
      messageGiven.emit({ session, id });
    },
    keeps: () => false,
    ended() {},
  };
  return {
    end(hasArrived) {
      for (const id of ids.splice(0)) (hasArrived ? messageArrived : messageReturned).emit({ session, id });
    },
  };
}
