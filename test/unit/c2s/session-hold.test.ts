import assert from 'node:assert/strict';
import ping from '../../../modules/ping/index.ts';
import sm from '../../../modules/sm/index.ts';
import { defineModule, type Envelope, HANDLED, option, Priority, StanzaError, StreamError } from '../../../src/index.ts';
import { StorageError } from '../../../src/storage/storage.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { SmClient } from '../../support/sm-client.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

/** What a session takes at once. */
const MOST = 64;
const MOST_BYTES = 262_144;

interface Deferred {
  readonly promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
}

/** What is being stored, by the text of the message. */
const storing = new Map<string, Deferred>();
/** The texts of all messages that have come as far as the hook. */
const seen: string[] = [];

/** Stores messages as slowly as a test wants; its texts say what is to happen with them. */
const keeper = defineModule({
  name: 'keeper',
  doc: 'Keeps messages for as long as a test says.',
  config: option.object({}),
  setup({ hooks, on }) {
    on(hooks.messageSent, record, Priority.record);
    on(hooks.binding, ({ resource }) => storing.get(resource)?.promise, Priority.guard);

    function record(env: Envelope): undefined | typeof HANDLED | Promise<undefined> {
      const text = env.stanza.text('body') ?? '';
      seen.push(text);
      if (text.startsWith('slow')) env.wait(defer(text));
      if (text.startsWith('after')) env.wait(later(text));
      if (text.startsWith('refuse')) throw new StanzaError('policy-violation');
      if (text.startsWith('swallow')) return HANDLED;
      if (text.startsWith('ask')) return defer(text).then(() => undefined);
      return undefined;
    }
  },
});

/** So many turns after what is named behind the number. */
async function later(text: string): Promise<void> {
  const [, ticks, name] = text.split(' ');
  await storing.get(name!)!.promise;
  for (let i = 0; i < Number(ticks); i++) await undefined;
}

function defer(text: string): Promise<void> {
  let resolve = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  storing.set(text, { promise, resolve, reject });
  return promise;
}

let host: TestHost;
let romeo: SmClient;
let juliet: Probe;

/** It is stored now. */
async function store(...texts: readonly string[]): Promise<void> {
  for (const text of texts) storing.get(text)!.resolve();
  await settle();
}

const fail = async (text: string, error: unknown = new StorageError('full', 'no room')) => {
  storing.get(text)!.reject(error);
  await settle();
};
const message = (text: string, to = juliet.jid) =>
  `<message type='chat' to='${to}' id='${text.slice(0, 20)}'><body>${text}</body></message>`;
const write = (...texts: readonly string[]) => {
  for (const text of texts) romeo.send(message(text));
};
const READ = "<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>";
/** What juliet has got since the last time. */
const heard = async () => {
  await settle();
  return juliet.take().map((stanza) => stanza.getChildText('body') ?? stanza.name);
};
/** What romeo was told: answers and errors, by kind and id. */
const told = async () => {
  await settle();
  return romeo.take().map(({ name, attrs }) => `${name} ${attrs['type']} ${attrs['id']}`);
};
const handled = () => romeo.session.handled - first;
let first = 0;

describe('session: messages that are being stored', () => {
  beforeEach(async () => {
    storing.clear();
    seen.length = 0;
    host = await startHost([keeper, sm, ping]);
    juliet = await host.online('juliet', 'balcony');
    romeo = await SmClient.managed(host, 'romeo', { resource: 'orchard' });
    first = romeo.session.handled;
  });

  afterEach(async () => {
    for (const { resolve } of storing.values()) resolve();
    await host.stop();
  });

  it('do not keep the next ones from being taken', async () => {
    write('slow 1', 'slow 2', 'slow 3');
    assert.deepEqual(seen, ['slow 1', 'slow 2', 'slow 3']);
    assert.equal(romeo.line.isPaused, false);
    assert.deepEqual(await heard(), []);
    await store('slow 1', 'slow 2', 'slow 3');
    assert.deepEqual(await heard(), ['slow 1', 'slow 2', 'slow 3']);
  });

  it('are delivered in the order they came, in whatever order they are stored', async () => {
    write('slow 1', 'slow 2', 'slow 3');
    await store('slow 3');
    assert.deepEqual(await heard(), []);
    await store('slow 1');
    assert.deepEqual(await heard(), ['slow 1']);
    await store('slow 2');
    assert.deepEqual(await heard(), ['slow 2', 'slow 3']);
  });

  it('count as handled one after the other, as they become durable', async () => {
    write('slow 1', 'quick', 'slow 2');
    assert.equal(handled(), 0);
    await store('slow 2');
    assert.equal(handled(), 0);
    await store('slow 1');
    assert.equal(handled(), 3);
  });

  it('are overtaken by none that need not be stored', async () => {
    write('slow', 'quick 1', 'quick 2');
    assert.deepEqual(seen, ['slow', 'quick 1', 'quick 2']);
    assert.deepEqual(await heard(), []);
    await store('slow');
    assert.deepEqual(await heard(), ['slow', 'quick 1', 'quick 2']);
    assert.equal(handled(), 3);
    write('quick 3');
    assert.equal(handled(), 4);
    assert.deepEqual(await heard(), ['quick 3']);
  });

  it('are overtaken by none for another domain', async () => {
    const far = new Elsewhere(host, 'example.net');
    write('slow');
    romeo.send(message('far', 'nurse@example.net'));
    assert.deepEqual(await far.take(), []);
    await store('slow');
    assert.equal((await far.take()).length, 1);
  });

  it('of one client keep no other one waiting', async () => {
    const nurse = await host.online('nurse');
    write('slow');
    nurse.send(message('from the nurse'));
    assert.deepEqual(await heard(), ['from the nurse']);
    assert.equal((await nurse.ask("<iq type='get' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")).attrs['type'], 'result');
  });

  it('keep questions and presence behind them, which may depend on them', async () => {
    write('slow 1');
    romeo.send(READ);
    romeo.send(`<presence to='${juliet.jid}'/>`);
    write('quick');
    assert.deepEqual(await told(), []);
    assert.deepEqual(seen, ['slow 1']);
    assert.equal(romeo.line.isPaused, true);
    await store('slow 1');
    assert.deepEqual(await told(), ['iq result p']);
    assert.deepEqual(await heard(), ['slow 1', 'presence', 'quick']);
    assert.equal(romeo.line.isPaused, false);
    assert.equal(handled(), 4);
  });

  it('keep the answer to a request for acknowledgement behind them, not the line', async () => {
    write('slow 1');
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    await settle();
    assert.deepEqual(romeo.takeElements(), []);
    await store('slow 1');
    assert.equal((await romeo.element('a')).attrs['h'], '1');
  });

  it('that cannot be stored are refused, before they are acknowledged, and keep none from being delivered', async () => {
    const order: string[] = [];
    write('slow 1', 'slow 2', 'slow 3');
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    const take = romeo.line.onSend;
    romeo.line.onSend = (text) => {
      order.push(/^<(\w+)/.exec(text)![1]!);
      take(text);
    };
    await store('slow 1', 'slow 3');
    await fail('slow 2');
    assert.deepEqual(await heard(), ['slow 1', 'slow 3']);
    assert.deepEqual(
      order.filter((name) => name !== 'r'),
      ['message', 'a'],
    );
    assert.deepEqual(await told(), ['message error slow 2']);
    assert.equal((await romeo.element()).attrs['h'], '3');
    host.faults.length = 0;
  });

  it('that are refused by a hook meanwhile are answered, and counted in their turn', async () => {
    write('slow', 'refuse', 'swallow');
    assert.deepEqual(await told(), ['message error refuse']);
    assert.equal(handled(), 0);
    await store('slow');
    assert.equal(handled(), 3);
    assert.deepEqual(await heard(), ['slow']);
  });

  for (const [what, error] of [
    ['a StanzaError', new StanzaError('not-acceptable')],
    ['a fault of ours', new TypeError('x is not a function')],
    ['nothing', undefined],
  ] as const) {
    it(`are refused whatever they fail with (${what})`, async () => {
      write('slow 1', 'slow 2');
      await fail('slow 1', error);
      assert.deepEqual(await told(), ['message error slow 1']);
      await store('slow 2');
      assert.deepEqual(await heard(), ['slow 2']);
      assert.equal(handled(), 2);
      host.faults.length = 0;
    });
  }

  it(`are ${MOST} at most: then the line is paused until there is room`, async () => {
    const texts = Array.from({ length: MOST + 10 }, (_, i) => `slow ${i}`);
    write(...texts.slice(0, MOST - 1));
    assert.equal(romeo.line.isPaused, false);
    write(...texts.slice(MOST - 1));
    assert.equal(romeo.line.isPaused, true);
    assert.equal(seen.length, MOST);
    await store(...texts.slice(0, MOST - 1));
    assert.equal(seen.length, MOST);
    await store(texts[MOST - 1]!);
    assert.equal(seen.length, MOST + 10);
    assert.equal(romeo.line.isPaused, false);
    await store(...texts.slice(MOST));
    assert.deepEqual(await heard(), texts);
    assert.equal(handled(), MOST + 10);
  });

  it('are as many with those that wait for nothing but them', async () => {
    write('slow', ...Array.from({ length: 2 * MOST }, (_, i) => `${i % 2 ? 'refuse' : 'quick'} ${i}`));
    assert.equal(seen.length, MOST);
    assert.equal(romeo.line.isPaused, true);
    await store('slow');
    assert.equal(seen.length, 2 * MOST + 1);
    assert.equal(handled(), 2 * MOST + 1);
    assert.equal((await heard()).length, MOST + 1);
    assert.equal((await told()).length, MOST);
  });

  it(`are ${MOST_BYTES} bytes at most`, async () => {
    const large = (i: number) => `slow ${i} ${'x'.repeat(MOST_BYTES / 4)}`;
    write(...[1, 2, 3].map(large));
    assert.equal(romeo.line.isPaused, false);
    write(...[4, 5, 6].map(large));
    assert.equal(romeo.line.isPaused, true);
    assert.equal(seen.length, 4);
    await store(...[1, 2, 3, 4].map(large));
    assert.equal(seen.length, 6);
    await store(...[5, 6].map(large));
    assert.equal((await heard()).length, 6);
  });

  it('make room for as many once all are stored', async () => {
    for (let round = 0; round < 5; round++) {
      const texts = Array.from({ length: MOST - 1 }, (_, i) => `slow ${round} ${i}`);
      write(...texts);
      assert.equal(romeo.line.isPaused, false);
      await store(...texts);
      assert.deepEqual(await heard(), texts);
    }
  });

  it('and those for which a hook waits keep the line waiting: what comes may depend on it', async () => {
    write('slow 1', 'ask', 'slow 2');
    assert.deepEqual(seen, ['slow 1', 'ask']);
    assert.equal(romeo.line.isPaused, true);
    await store('slow 1');
    assert.deepEqual(seen, ['slow 1', 'ask']);
    await store('ask');
    assert.deepEqual(seen, ['slow 1', 'ask', 'slow 2']);
    await store('slow 2');
    assert.deepEqual(await heard(), ['slow 1', 'ask', 'slow 2']);
  });

  it('are delivered although their client has gone', async () => {
    write('slow 1', 'slow 2');
    romeo.leave();
    assert.equal(romeo.session.isClosed, true);
    await store('slow 1', 'slow 2');
    assert.deepEqual(await heard(), ['slow 1', 'slow 2']);
  });

  it('are delivered although a hook has ended the stream', async () => {
    write('slow', 'ask');
    await fail('ask', new StreamError('policy-violation'));
    assert.equal(romeo.isConnected, false);
    await store('slow');
    assert.deepEqual(await heard(), ['slow']);
  });

  it('do no harm when their client is gone and they cannot be stored', async () => {
    write('slow 1', 'slow 2');
    romeo.leave();
    await fail('slow 1');
    await store('slow 2');
    assert.deepEqual(await heard(), ['slow 2']);
    host.faults.length = 0;
  });

  it('are nobody the wiser of what is said by halves: one that is wrong ends the stream as ever', async () => {
    write('slow');
    romeo.send("<message from='juliet@example.org'><body>forged</body></message>");
    assert.equal(romeo.isConnected, false);
    await store('slow');
    assert.deepEqual(await heard(), ['slow']);
  });
});

describe('session: binding', () => {
  beforeEach(async () => {
    storing.clear();
    host = await startHost([keeper, sm, ping]);
    juliet = await host.online('juliet', 'balcony');
  });

  afterEach(() => host.stop());

  it('is told to a client before anything comes for it, also what is stored in the very moment in which it is bound', async () => {
    const came: number[] = [];
    for (let ticks = 0; ticks < 12; ticks++) {
      const client = await SmClient.connect(host, 'romeo');
      const said: string[] = [];
      client.line.onSend = (text) => void said.push(/^<(\w+)/.exec(text)![1]!);
      const resource = `r${ticks}`;
      void defer(resource);
      client.send(
        `<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
      );
      juliet.send(message(`after ${ticks} ${resource}`, `romeo@example.org/${resource}`));
      await store(resource);
      assert.equal(said[0], 'iq');
      if (said.length > 1) came.push(ticks);
    }
    assert.notDeepEqual(came, []);
  });

  it('is told before what an earlier client of that address has not acknowledged', async () => {
    const before = await SmClient.managed(host, 'romeo', { resource: 'orchard' });
    before.cut();
    juliet.send(message('not acknowledged', before.jid));
    await settle();
    const client = await SmClient.connect(host, 'romeo');
    await client.bind('orchard');
    assert.deepEqual(await client.bodies(), ['not acknowledged']);
  });
});

describe('session: what is to be durable before a client is answered', () => {
  beforeEach(async () => {
    storing.clear();
    seen.length = 0;
    host = await startHost([keeper, sm, ping]);
    juliet = await host.online('juliet', 'balcony');
    romeo = await SmClient.managed(host, 'romeo', { resource: 'orchard' });
    first = romeo.session.handled;
  });

  afterEach(() => host.stop());

  it('is begun with the next question, which waits for it; messages do not', async () => {
    let begun = 0;
    romeo.session.owe(() => {
      begun++;
      return defer('noted');
    });
    write('quick');
    assert.deepEqual(await heard(), ['quick']);
    assert.equal(begun, 0);
    romeo.send(READ);
    assert.equal(begun, 1);
    write('behind it');
    assert.deepEqual([await told(), await heard()], [[], []]);
    await store('noted');
    assert.deepEqual([await told(), await heard()], [['iq result p'], ['behind it']]);
    romeo.send(READ);
    assert.deepEqual(await told(), ['iq result p']);
    assert.equal(begun, 1);
    assert.equal(handled(), 4);
  });

  it('holds nobody up when there is nothing to do any more', async () => {
    romeo.session.owe(() => undefined);
    romeo.send(READ);
    assert.equal(romeo.line.isPaused, false);
    assert.deepEqual(await told(), ['iq result p']);
  });

  it('is one thing: what is owed later takes the place of what has not been begun', async () => {
    const begun: string[] = [];
    for (const name of ['one', 'two'])
      romeo.session.owe(() => {
        begun.push(name);
        return undefined;
      });
    romeo.send(READ);
    assert.deepEqual(await told(), ['iq result p']);
    assert.deepEqual(begun, ['two']);
  });

  it('is waited for together with what is being stored', async () => {
    for (const [first, second] of [
      ['slow', 'noted'],
      ['noted', 'slow'],
    ] as const) {
      write('slow');
      romeo.session.owe(() => defer('noted'));
      romeo.send(READ);
      await store(first);
      assert.deepEqual(await told(), []);
      await store(second);
      assert.deepEqual(await told(), ['iq result p']);
    }
    assert.equal(handled(), 4);
  });
});
