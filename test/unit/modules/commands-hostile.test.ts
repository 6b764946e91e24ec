import assert from 'node:assert/strict';
import { mock } from 'node:test';
import fc from 'fast-check';
import { CommandSessions } from '../../../modules/commands/sessions.ts';
import { Jid } from '../../../src/index.ts';
import { payloadOf } from '../../support/answers.ts';
import { DeskScene, EXPIRED, ever, NS, summarize, Visitor } from '../../support/desk-scene.ts';
import { Elsewhere } from '../../support/elsewhere.ts';

const MINUTE = 60_000;
const scene = new DeskScene();

/** Somebody of another server, whose stanzas do not wait for each other, begins the command that takes its time. */
async function beginSlow() {
  const remote = new Elsewhere(scene.host, 'example.net');
  const iq = "<iq type='set' id='1' from='juliet@example.net/x' to='one@rooms.example.org'>";
  const send = (attrs: string) => {
    const form = attrs === '' ? '' : "<x xmlns='jabber:x:data' type='submit'/>";
    return remote.send(`${iq}<command xmlns='${NS}' node='slow' ${attrs}>${form}</command></iq>`);
  };
  await send('');
  const id = payloadOf((await remote.take())[0]!).attrs['sessionid']!;
  return { send, id, take: async () => (await remote.take()).map(summarize) };
}

describe('commands: what nobody should get away with', () => {
  beforeEach(() => scene.begin());
  afterEach(async () => {
    mock.restoreAll();
    await scene.host.stop();
  });

  it('is to go on with what another client has begun, be it of the same account', async () => {
    const phone = new Visitor(await scene.host.online('juliet', 'phone'));
    const romeo = new Visitor(await scene.host.online('romeo'));
    await scene.juliet.begin('ever');
    for (const thief of [phone, romeo]) {
      thief.id = scene.juliet.id;
      for (const action of ['next', 'prev', 'cancel', 'complete', 'execute', undefined])
        assert.equal(await thief.go('ever', action, {}), EXPIRED);
    }
    assert.equal(await scene.juliet.go('ever', 'next', {}), 'executing prev *next [form 2]');
  });

  it('nor from another server', async () => {
    const remote = new Elsewhere(scene.host, 'example.net');
    await scene.juliet.begin('ever');
    const command = `<command xmlns='${NS}' node='ever' sessionid='${scene.juliet.id}' action='cancel'/>`;
    for (const from of ['juliet@example.net/balcony', 'example.net'])
      await remote.send(`<iq type='set' id='1' from='${from}' to='one@rooms.example.org'>${command}</iq>`);
    assert.deepEqual((await remote.take()).map(summarize), [EXPIRED, EXPIRED]);
    assert.equal(await scene.juliet.go('ever', 'next', {}), 'executing prev *next [form 2]');
  });

  it('is to go on with a session by the node of another command', async () => {
    await scene.juliet.begin('config');
    for (const node of ['again', 'ever']) assert.equal(await scene.juliet.go(node, 'next', { service: 'httpd' }), EXPIRED);
    assert.equal(await scene.juliet.go('none', 'next', { service: 'httpd' }), 'item-not-found');
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
  });

  it('is to go on when one may no more, but for cancelling', async () => {
    await scene.juliet.begin('config');
    scene.give('one', 'romeo@example.org');
    for (const action of ['next', 'prev', undefined])
      assert.equal(await scene.juliet.go('config', action, { service: 'x' }), 'forbidden');
    assert.equal(await scene.juliet.go('config', 'cancel'), 'canceled');
    assert.equal(summarize(await scene.juliet.ask("node='config'")), 'forbidden');
  });

  it('is to go on with what was completed', async () => {
    await scene.juliet.begin('say');
    assert.equal(await scene.juliet.go('say', 'complete', { text: 'once' }), 'completed');
    for (const action of ['complete', 'prev', 'cancel', undefined])
      assert.equal(await scene.juliet.go('say', action, { text: 'twice' }), EXPIRED);
    assert.deepEqual(scene.done(), ['juliet: once']);
  });

  it('is to have the same answers taken twice while they are being dealt with', async () => {
    const { send, id, take } = await beginSlow();
    const first = send(`sessionid='${id}' action='next'`);
    for (const action of ['next', 'execute', 'prev', 'cancel']) await send(`sessionid='${id}' action='${action}'`);
    assert.deepEqual(await take(), Array(4).fill('unexpected-request'));
    scene.open();
    await first;
    assert.deepEqual(await take(), ['executing prev *next [form 1]']);
    assert.deepEqual(scene.done(), ['slow']);
  });

  it('is to go on with what was closed meanwhile for others of the account', async () => {
    const { send, id, take } = await beginSlow();
    const first = send(`sessionid='${id}' action='next'`);
    for (let i = 0; i < 4; i++) await send('');
    scene.open();
    await first;
    assert.equal((await take()).at(-1), EXPIRED);
    await send(`sessionid='${id}' action='prev'`);
    assert.deepEqual(await take(), [EXPIRED]);
  });

  it('is to go on when the time is over', async () => {
    let now = Date.now();
    mock.method(Date, 'now', () => now);
    await scene.juliet.begin('config');
    now += 10 * MINUTE;
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
    // Each form has its own.
    now += 10 * MINUTE;
    assert.equal(await scene.juliet.go('config', 'next', {}), 'executing prev *complete [level of httpd]');
    now += 10 * MINUTE + 1;
    for (const action of ['complete', 'prev', 'cancel'])
      assert.equal(await scene.juliet.go('config', action, { level: '1' }), EXPIRED);
    assert.deepEqual(scene.done(), []);
  });

  it('is to go on with a command that is offered no more, or again', async () => {
    await scene.juliet.begin('config');
    const { withdraw } = scene;
    withdraw();
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'item-not-found');
    assert.equal(await scene.juliet.go('config', 'cancel'), 'item-not-found');
    scene.offer();
    // What is taken back twice is not what somebody has offered since.
    withdraw();
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), EXPIRED);
    assert.equal(await scene.juliet.begin('config'), 'executing *next [service]');
    assert.throws(() => scene.offer(), /two modules offer the command config/);
  });

  for (const [what, inner] of [
    ['no form', ''],
    ['an empty element', '<x/>'],
    ['a form in no namespace of forms', "<x xmlns='urn:x' type='submit'/>"],
    ['a form without a type', "<x xmlns='jabber:x:data'/>"],
    ['a form to be filled in', "<x xmlns='jabber:x:data' type='form'><field var='service'><value>x</value></field></x>"],
    ['a result', "<x xmlns='jabber:x:data' type='result'/>"],
    ['fields without names', "<x xmlns='jabber:x:data' type='submit'><field><value>x</value></field></x>"],
    ['a field without a value', "<x xmlns='jabber:x:data' type='submit'><field var='service'/></x>"],
    [
      'a field from elsewhere',
      "<x xmlns='jabber:x:data' type='submit'><field xmlns='urn:x' var='service'><value>x</value></field></x>",
    ],
    ['a name from the language', "<x xmlns='jabber:x:data' type='submit'><field var='__proto__'><value>x</value></field></x>"],
  ] as const) {
    it(`is ${what} for an answer`, async () => {
      await scene.juliet.begin('config');
      const { room, probe, id } = scene.juliet;
      const command = `<command xmlns='${NS}' node='config' sessionid='${id}'>${inner}</command>`;
      const reply = await probe.ask(`<iq type='set' to='${room}@rooms.example.org'>${command}</iq>`);
      assert.equal(summarize(reply), 'bad-request bad-payload');
      assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
    });
  }

  for (const [what, attrs, type, wanted] of [
    ['a first form to be filled in', "node='config'", 'form', 'bad-request bad-payload'],
    ['a first result', "node='config'", 'result', 'bad-request bad-payload'],
    ['a first form that was cancelled', "node='config'", 'cancel', 'bad-request bad-action'],
    ['a first form that completes what has more of them', "node='config' action='complete'", 'submit', 'bad-request bad-action'],
    ['a first form that goes on', "node='config' action='next'", 'submit', 'bad-request bad-action'],
    ['a first form that goes back', "node='config' action='prev'", 'submit', 'bad-request bad-action'],
    ['a first form that is empty', "node='config'", 'submit', 'bad-request bad-payload'],
    ['a first form of a session of its own', "node='config' sessionid='mine'", 'submit', EXPIRED],
    ['a first form of what cannot be begun', "node='broken'", 'submit', 'resource-constraint'],
  ] as const) {
    it(`is ${what}, which leaves nothing behind`, async () => {
      const { room, probe } = scene.juliet;
      const command = `<command xmlns='${NS}' ${attrs}><x xmlns='jabber:x:data' type='${type}'/></command>`;
      await scene.juliet.begin('config');
      for (let i = 0; i < 4; i++) {
        assert.equal(summarize(await probe.ask(`<iq type='set' to='${room}@rooms.example.org'>${command}</iq>`)), wanted);
      }
      // With one more open this one would be closed.
      assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
      assert.deepEqual(scene.done(), []);
    });
  }

  it('is to answer at once what one may not even ask', async () => {
    scene.give('one', 'romeo@example.org');
    assert.equal(summarize(await scene.juliet.ask("node='config'", { service: 'httpd' })), 'forbidden');
    assert.equal(summarize(await scene.juliet.ask("node='config' action='complete'", { service: 'httpd' })), 'forbidden');
  });

  for (const [what, attrs, wanted] of [
    ['no node', '', 'item-not-found'],
    ['a node from the language', "node='constructor'", 'item-not-found'],
    ['an action there is not', "node='ever' action='EXECUTE'", 'bad-request malformed-action'],
    ['no action', "node='ever' action=''", 'bad-request malformed-action'],
    ['to go back before it has begun', "node='ever' action='prev'", 'bad-request bad-action'],
    ['to complete before it has begun', "node='ever' action='complete'", 'bad-request bad-action'],
    ['to cancel before it has begun', "node='ever' action='cancel'", 'bad-request bad-action'],
    ['an empty session id', "node='ever' sessionid=''", EXPIRED],
    ['a session id of its own', "node='ever' sessionid='mine'", EXPIRED],
  ] as const) {
    it(`is ${what}`, async () => assert.equal(summarize(await scene.juliet.ask(attrs)), wanted));
  }

  it('is anything else, in whatever order it comes', async () => {
    const word = fc.constantFrom('config', 'ever', 'who', 'say', 'broken', 'none');
    const action = fc.constantFrom('execute', 'next', 'prev', 'complete', 'cancel', 'explode', undefined);
    const step = fc.record({ node: word, action, session: fc.nat(9), room: fc.constantFrom('one', 'two'), filled: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const ids = new Map<string, { readonly node: string; readonly room: string }>();
        for (const { node, action, session, room, filled } of steps) {
          const id = [...ids.keys()].at(-1 - session);
          const attrs = `node='${node}'${id === undefined ? '' : ` sessionid='${id}'`}${action === undefined ? '' : ` action='${action}'`}`;
          const reply = await new Visitor(scene.juliet.probe, room).ask(
            attrs,
            filled ? { service: 'x', level: 'y', text: 'z' } : undefined,
          );
          if (reply.attrs['type'] === 'error') continue;
          const command = payloadOf(reply);
          const sessionid = command.attrs['sessionid']!;
          // What is answered for a session is of the command and the room that it was begun with.
          if (id !== undefined) assert.deepEqual(ids.get(sessionid), { node, room });
          if (command.attrs['status'] === 'executing') ids.set(sessionid, { node, room });
          else ids.delete(sessionid);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is to leave anything behind', () => {
    const sessions = new CommandSessions({ timeout: MINUTE, maxOpen: 2 });
    let now = 0;
    mock.method(Date, 'now', () => now);
    const scope = { from: Jid.parse('juliet@example.org/x'), at: 'example.org', place: undefined, command: {} };
    for (let i = 0; i < 5; i++) sessions.open(`s${i}`, scope, ever(1));
    assert.equal(sessions.size, 2);
    assert.equal(sessions.find('s4', { ...scope, at: 'example.org/x' }), undefined);
    sessions.closeAllOf({});
    assert.equal(sessions.size, 2);
    sessions.open('other', { ...scope, command: 'other' }, ever(1));
    sessions.closeAllOf('other');
    assert.equal(sessions.size, 1);
    sessions.open('s5', scope, ever(1));
    now = MINUTE;
    const last = sessions.find('s4', scope)!;
    assert.equal(sessions.renew(last), true);
    now = MINUTE + 1;
    sessions.forgetExpired();
    assert.deepEqual([sessions.size, sessions.find('s4', scope)], [1, last]);
    sessions.close(last);
    sessions.close(last);
    assert.deepEqual([sessions.size, sessions.renew(last)], [0, false]);
  });
});
