import assert from 'node:assert/strict';
import { defineModule, HANDLED, option, Priority, xml } from '../../../src/index.ts';
import type { Probe } from '../../support/probe.ts';
import { settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// RFC 6121 section 8, row by row: what becomes of a stanza for a local address.

const TYPES = ['normal', 'chat', 'groupchat', 'headline', 'error'] as const;
type Outcome = 'delivered' | 'stored' | 'refused' | 'dropped';

/** Keeps what cannot be delivered, as an offline store would. */
function keeper(kept: string[]) {
  return defineModule({
    name: 'keeper',
    doc: 'Keeps messages.',
    config: option.object({}),
    setup({ hooks, on }) {
      const keep = ({ stanza }: { stanza: { id: string | undefined } }) => {
        kept.push(stanza.id ?? '');
        return HANDLED;
      };
      on(hooks.messageUndeliverable, keep, Priority.serve);
    },
  });
}

function typed(type: string, to: string): string {
  return `<message id='m' to='${to}'${type === 'normal' ? '' : ` type='${type}'`}><body>hi</body></message>`;
}

describe('delivery (RFC 6121 section 8)', () => {
  let host: TestHost;
  let kept: string[];
  let romeo: Probe;

  beforeEach(async () => {
    kept = [];
    host = await startHost([keeper(kept)]);
    romeo = await host.online('romeo', 'orchard');
    await host.host.accounts.create('juliet', 'secret');
  });

  afterEach(() => host.stop());

  /** Sends a message and says what became of it. */
  async function outcome(type: string, to: string, others: readonly Probe[]): Promise<Outcome> {
    kept.length = 0;
    romeo.send(typed(type, to));
    await settle();
    const [answer] = romeo.take();
    const got = others.flatMap((probe) => probe.take());
    if (answer) {
      assert.equal(answer.attrs['type'], 'error');
      assert.equal(answer.getChild('error')!.getChild('service-unavailable')?.getNS(), 'urn:ietf:params:xml:ns:xmpp-stanzas');
      assert.equal(got.length + kept.length, 0);
      return 'refused';
    }
    if (kept.length > 0) return 'stored';
    return got.length > 0 ? 'delivered' : 'dropped';
  }

  const ROWS: readonly (readonly [
    string,
    string,
    readonly (number | undefined)[],
    Readonly<Record<(typeof TYPES)[number], Outcome>>,
  ])[] = [
    // 8.5.1: no such account
    ['nobody, bare', 'nobody@example.org', [], row('refused', 'refused', 'refused', 'dropped', 'dropped')],
    // 8.5.2.1: an available resource
    ['available, bare', 'juliet@example.org', [0], row('delivered', 'delivered', 'refused', 'delivered', 'dropped')],
    // 8.5.2.1.1: only a negative priority counts as none
    ['negative, bare', 'juliet@example.org', [-1], row('stored', 'stored', 'refused', 'dropped', 'dropped')],
    // 8.5.2.2: nobody there
    ['offline, bare', 'juliet@example.org', [], row('stored', 'stored', 'refused', 'dropped', 'dropped')],
    [
      'connected but not available, bare',
      'juliet@example.org',
      [undefined],
      row('stored', 'stored', 'refused', 'dropped', 'dropped'),
    ],
    // 8.5.3.1: the resource is there
    ['full, there', 'juliet@example.org/r0', [0], row('delivered', 'delivered', 'delivered', 'delivered', 'delivered')],
    [
      'full, there with a negative priority',
      'juliet@example.org/r0',
      [-5],
      row('delivered', 'delivered', 'delivered', 'delivered', 'delivered'),
    ],
    // 8.5.3.2: it is not
    [
      'full, gone, another is there',
      'juliet@example.org/gone',
      [0],
      row('refused', 'delivered', 'refused', 'dropped', 'dropped'),
    ],
    ['full, gone, nobody there', 'juliet@example.org/gone', [], row('refused', 'stored', 'refused', 'dropped', 'dropped')],
    // 8.3: the server itself
    ['the server', 'example.org', [], row('refused', 'refused', 'refused', 'dropped', 'dropped')],
  ];

  for (const [name, to, priorities, outcomes] of ROWS) {
    for (const type of TYPES) {
      it(`a ${type} message to ${name} is ${outcomes[type]}`, async () => {
        const others = await Promise.all(priorities.map((priority, i) => present(host, `r${i}`, priority)));
        assert.equal(await outcome(type, to, others), outcomes[type]);
      });
    }
  }

  it('a message to an account reaches all resources that have not opted out', async () => {
    const [one, two, opted] = await Promise.all([present(host, 'a', 0), present(host, 'b', 5), present(host, 'c', -1)]);
    romeo.send(typed('chat', 'juliet@example.org'));
    assert.equal((await one!.receive('message')).getChildText('body'), 'hi');
    assert.equal((await two!.receive('message')).attrs['to'], 'juliet@example.org');
    await opted!.quiet();
  });

  it('a message to an account reaches only the highest priority where the config says so', async () => {
    await host.stop();
    host = await startHost([keeper(kept)], { settings: { deliverToAll: false } });
    romeo = await host.online('romeo', 'orchard');
    await host.host.accounts.create('juliet', 'secret');
    const [low, high, alsoHigh] = await Promise.all([present(host, 'a', 0), present(host, 'b', 5), present(host, 'c', 5)]);
    romeo.send(typed('chat', 'juliet@example.org'));
    await high!.receive('message');
    await alsoHigh!.receive('message');
    await low!.quiet();
  });

  it('an unknown type counts as normal (RFC 6121 section 5.2.2)', async () => {
    const juliet = await present(host, 'a', 0);
    romeo.send("<message to='juliet@example.org' type='weird'><body>hi</body></message>");
    await juliet.receive('message');
  });

  it('a request to a resource is passed on, and its answer comes back', async () => {
    const juliet = await present(host, 'a', 0);
    romeo.send("<iq type='get' id='1' to='juliet@example.org/a'><q xmlns='urn:q'/></iq>");
    const asked = await juliet.receive('iq');
    assert.equal(asked.attrs['from'], 'romeo@example.org/orchard');
    juliet.send("<iq type='result' id='1' to='romeo@example.org/orchard'/>");
    assert.equal((await romeo.receive('iq')).attrs['from'], 'juliet@example.org/a');
  });

  for (const to of ['juliet@example.org/gone', 'juliet@example.org', 'nobody@example.org', 'example.org', 'romeo@example.org']) {
    it(`a request to ${to} that nobody answers is service-unavailable`, async () => {
      const answer = await romeo.ask(`<iq type='get' to='${to}'><q xmlns='urn:q'/></iq>`);
      assert.equal(answer.attrs['type'], 'error');
      assert.equal(answer.attrs['from'], to);
      assert.notEqual(answer.getChild('error')!.getChild('service-unavailable'), undefined);
    });
  }

  it('a request to another domain is remote-server-not-found where nobody federates', async () => {
    const answer = await romeo.ask("<iq type='get' to='someone@elsewhere.example'><q xmlns='urn:q'/></iq>");
    assert.notEqual(answer.getChild('error')!.getChild('remote-server-not-found'), undefined);
  });

  it('errors and results are never answered', async () => {
    romeo.send("<iq type='result' id='1' to='juliet@example.org/gone'/>");
    romeo.send("<iq type='error' id='2' to='nobody@example.org'/>");
    romeo.send("<message type='error' to='nobody@example.org'/>");
    romeo.send("<message type='error' to='elsewhere.example'/>");
    await romeo.quiet();
  });

  it('order is kept between two clients though one stanza waits', async () => {
    await host.stop();
    let release = () => {};
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = defineModule({
      name: 'slow',
      doc: 'Lets one stanza wait.',
      config: option.object({}),
      setup({ hooks, on }) {
        on(hooks.messageSent, ({ stanza }) => (stanza.id === '1' ? waiting : undefined), Priority.guard);
      },
    });
    host = await startHost([slow]);
    romeo = await host.online('romeo', 'orchard');
    const juliet = await host.online('juliet', 'a');
    for (const id of ['1', '2', '3']) romeo.send(`<message id='${id}' to='juliet@example.org/a'/>`);
    await juliet.quiet();
    release();
    await settle();
    assert.deepEqual(
      juliet.take().map(({ attrs }) => attrs['id']),
      ['1', '2', '3'],
    );
  });

  it('a handler that fails refuses the stanza, tells its sender nothing of why, and is logged', async () => {
    await host.stop();
    const faulty = defineModule({
      name: 'faulty',
      doc: 'Fails.',
      config: option.object({}),
      setup({ hooks, on }) {
        on(
          hooks.messageReceived,
          ({ stanza }) => {
            if (stanza.id === 'sync') throw new Error('the secret');
            return Promise.reject(new Error('the secret'));
          },
          Priority.guard,
        );
      },
    });
    host = await startHost([faulty]);
    romeo = await host.online('romeo', 'orchard');
    const juliet = await host.online('juliet', 'a');
    for (const id of ['sync', 'async']) {
      romeo.send(`<message id='${id}' to='juliet@example.org/a'/>`);
      const answer = await romeo.receive('message');
      assert.notEqual(answer.getChild('error')!.getChild('internal-server-error'), undefined);
      assert.equal(answer.toString().includes('secret'), false);
    }
    await juliet.quiet();
    assert.equal(host.faults.splice(0).length, 2);
  });
});

function row(normal: Outcome, chat: Outcome, groupchat: Outcome, headline: Outcome, error: Outcome) {
  return { normal, chat, groupchat, headline, error };
}

async function present(host: TestHost, resource: string, priority: number | undefined): Promise<Probe> {
  const probe = await host.login('juliet', resource);
  if (priority !== undefined) {
    probe.send(String(xml('presence', {}, xml('priority', {}, String(priority)))));
    await settle();
    probe.take();
  }
  return probe;
}
