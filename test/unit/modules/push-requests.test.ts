import assert from 'node:assert/strict';
import { parse } from 'ltx';
import mam from '../../../modules/mam/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { assertResult, conditionIn, disable, enable, NS_PUSH, nodeOf, options, PushScene } from '../../support/push-scene.ts';

let scene: PushScene;
let juliet: Probe;

/** What is stored for juliet: the nodes. */
async function stored(): Promise<readonly (string | undefined)[]> {
  const stores = await scene.host.storage.open('example.org', 'push', { registrations: { kind: 'map', version: 1 } });
  const entries = await stores.registrations.entries('juliet');
  return [...entries.values()].map((value) => (value as { node?: string }).node).sort();
}

/** Which nodes are notified when juliet is gone. */
async function notified(): Promise<readonly (string | undefined)[]> {
  juliet.leave();
  await settle();
  await scene.write('Wherefore?');
  const nodes: (string | undefined)[] = [];
  for (let left = (await stored()).length; left > 0; left--) nodes.push(nodeOf(await scene.app.receive()));
  await scene.app.quiet();
  return nodes.sort();
}

const refuses = async (iq: string, condition: string) =>
  assert.equal(conditionIn(await juliet.ask(iq)), condition, iq.slice(0, 200));

describe('push: enabling and disabling (XEP-0357 sections 5 and 6)', () => {
  beforeEach(async () => {
    scene = await PushScene.open([mam], { maxPerAccount: 4 });
    juliet = await scene.host.online('juliet', 'phone');
  });
  afterEach(() => scene.stop());

  it('is durable when it is answered, and is answered without a payload', async () => {
    const answer = await juliet.ask(enable('n'));
    assertResult(answer);
    assert.equal(answer.getChildElements().length, 0);
    assert.deepEqual(await stored(), ['n']);
  });

  it('can be addressed to the bare JID, and to nobody else', async () => {
    assertResult(await juliet.ask(enable('n').replace('<iq', `<iq to='juliet@example.org'`)));
    await refuses(enable('x').replace('<iq', `<iq to='example.org'`), 'service-unavailable');
    await refuses(enable('x').replace('<iq', `<iq to='romeo@example.org'`), 'service-unavailable');
    await refuses(disable('x').replace('<iq', `<iq to='romeo@example.org'`), 'service-unavailable');
    await refuses(enable('x').replace('set', 'get'), 'service-unavailable');
    assert.deepEqual(await notified(), ['n']);
  });

  it('with the same node makes no second one', async () => {
    for (let i = 0; i < 3; i++) assertResult(await juliet.ask(enable('n')));
    assertResult(await juliet.ask(enable('n', '', 'PUSH.example.org.')));
    assert.deepEqual(await notified(), ['n']);
  });

  it('is taken back for one node', async () => {
    for (const node of ['a', 'b', undefined]) assertResult(await juliet.ask(enable(node)));
    assertResult(await juliet.ask(disable('a')));
    assert.deepEqual(await notified(), ['b', undefined]);
  });

  it('is taken back for all nodes of a service, and of that only', async () => {
    for (const node of ['a', 'b', undefined]) assertResult(await juliet.ask(enable(node)));
    assertResult(await juliet.ask(enable('c', '', 'push.example.net')));
    assertResult(await juliet.ask(disable(undefined)));
    assert.deepEqual(await stored(), ['c']);
  });

  it('is taken back where nothing was', async () => {
    assertResult(await juliet.ask(disable('a')));
    assertResult(await juliet.ask(disable(undefined, 'elsewhere.example')));
    assert.deepEqual(await stored(), []);
  });

  it('is ended by a service that takes nothing any more (section 9), in both forms', async () => {
    for (const node of ['a', 'b', 'c']) assertResult(await juliet.ask(enable(node)));
    const say = (node: string, affiliation: string, wrap = false) => {
      const one = `<affiliation jid='juliet@example.org' affiliation='${affiliation}'/>`;
      const inner = wrap ? `<affiliations node='${node}'>${one}</affiliations>` : one;
      const attr = wrap ? '' : `node='${node}'`;
      return scene.app.send(
        parse(
          `<message to='juliet@example.org'><pubsub xmlns='http://jabber.org/protocol/pubsub' ${attr}>${inner}</pubsub></message>`,
        ),
      );
    };
    await say('a', 'none');
    await say('b', 'publisher');
    await say('c', 'none', true);
    assert.deepEqual(juliet.take().filter(({ name }) => name === 'message').length, 1);
    assert.deepEqual(await notified(), ['b']);
  });

  it('is not ended by others who say so', async () => {
    assertResult(await juliet.ask(enable('a')));
    const leave = `<pubsub xmlns='http://jabber.org/protocol/pubsub' node='a'><affiliation jid='juliet@example.org' affiliation='none'/></pubsub>`;
    scene.romeo.send(`<message to='juliet@example.org'>${leave}</message>`);
    scene.romeo.send(`<message to='juliet@example.org' from='push.example.org'>${leave}</message>`);
    await settle();
    assert.deepEqual(await stored(), ['a']);
  });

  it('goes with the account', async () => {
    assertResult(await juliet.ask(enable('n')));
    await scene.host.host.accounts.delete('juliet');
    assert.deepEqual(await stored(), []);
    juliet.leave();
    await settle();
    await scene.host.host.accounts.create('juliet', 'secret');
    await scene.write('Wherefore?');
    await scene.app.quiet();
  });
});

describe('push: requests that are refused', () => {
  beforeEach(async () => {
    scene = await PushScene.open([mam], { maxPerAccount: 4 });
    juliet = await scene.host.online('juliet', 'phone');
  });
  afterEach(async () => {
    assert.deepEqual(await stored(), []);
    await scene.stop();
  });

  it('of guests, who are gone for good when they are gone', async () => {
    const guest = await scene.host.loginAsGuest();
    assert.equal(conditionIn(await guest.ask(enable('n'))), 'registration-required');
    assert.equal(conditionIn(await guest.ask(disable('n'))), 'registration-required');
  });

  it('without a service, or with what is no address', async () => {
    await refuses(`<iq type='set'><enable xmlns='${NS_PUSH}' node='n'/></iq>`, 'bad-request');
    await refuses(`<iq type='set'><disable xmlns='${NS_PUSH}'/></iq>`, 'bad-request');
    await refuses(enable('n', '', ''), 'bad-request');
    await refuses(enable('n', '', '@'), 'jid-malformed');
    await refuses(enable('n', '', 'a b@c d'), 'jid-malformed');
    await refuses(disable('n', 'x@'), 'jid-malformed');
  });

  it('for the account itself, another one here, or the host', async () => {
    for (const jid of [
      'juliet@example.org',
      'juliet@example.org/phone',
      'romeo@example.org/orchard',
      'EXAMPLE.org',
      'example.org/x',
    ]) {
      await refuses(enable('n', '', jid), 'not-acceptable');
    }
  });

  it('with huge names', async () => {
    await refuses(enable(''), 'bad-request');
    await refuses(enable('n'.repeat(1025)), 'not-acceptable');
    await refuses(enable('\u00e9'.repeat(513)), 'not-acceptable');
    await refuses(enable('n', '', `${'a'.repeat(1000)}@push.example.org/${'b'.repeat(1000)}`), 'not-acceptable');
  });

  it('with forms that are none, or too long', async () => {
    const form = options({ secret: 's' });
    const many = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`f${i}`, 'v']));
    await refuses(enable('n', form + form), 'bad-request');
    await refuses(enable('n', form.replace("type='submit'", "type='cancel'")), 'bad-request');
    await refuses(enable('n', form.replace('#publish-options', '#node_config')), 'bad-request');
    await refuses(enable('n', `<x xmlns='jabber:x:data' type='submit'/>`), 'bad-request');
    await refuses(enable('n', form.replace('<value>http', '<value>x</value><value>http')), 'bad-request');
    await refuses(enable('n', options(many)), 'not-acceptable');
    await refuses(enable('n', options({ secret: 'x'.repeat(4097) })), 'not-acceptable');
    await refuses(enable('n', options({ [`${'x'.repeat(4097)}`]: '' })), 'not-acceptable');
  });
});

describe('push: many registrations', () => {
  beforeEach(async () => {
    scene = await PushScene.open([mam], { maxPerAccount: 4 });
    juliet = await scene.host.online('juliet', 'phone');
  });
  afterEach(() => scene.stop());

  it('the oldest gives way', async () => {
    for (const node of ['a', 'b', 'c', 'd']) assertResult(await juliet.ask(enable(node)));
    // It is in use again.
    assertResult(await juliet.ask(enable('a', options({ secret: 's' }))));
    assertResult(await juliet.ask(enable('e')));
    assert.deepEqual(await notified(), ['a', 'c', 'd', 'e']);
  });

  it('a flood of them leaves no more than there may be, also of all clients at once', async () => {
    const desk = await scene.host.online('juliet', 'desk');
    for (let i = 0; i < 100; i++) {
      for (const [who, name] of [
        [juliet, 'p'],
        [desk, 'd'],
      ] as const)
        who.send(enable(`${name}${i}`).replace('<iq', `<iq id='${i}'`));
    }
    await juliet.ask(disable('none'));
    await desk.ask(disable('none'));
    assert.equal((await stored()).length, 4);
    desk.leave();
    assert.equal((await notified()).length, 4);
  });

  it('those of clients that are connected do not give way to others', async () => {
    for (const node of ['a', 'b', 'c', 'd']) assertResult(await juliet.ask(enable(node)));
    const desk = await scene.host.online('juliet', 'desk');
    assert.equal(conditionIn(await desk.ask(enable('e'))), 'resource-constraint');
    juliet.leave();
    await settle();
    assertResult(await desk.ask(enable('e')));
    assert.deepEqual(await stored(), ['b', 'c', 'd', 'e']);
  });

  it('names that are properties elsewhere are names', async () => {
    for (const node of ['__proto__', 'constructor', 'toString']) {
      assertResult(await juliet.ask(enable(node, options({ __proto__x: '1', constructor: '2' }))));
    }
    assert.deepEqual(await notified(), ['__proto__', 'constructor', 'toString']);
  });
});
