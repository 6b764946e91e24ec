import assert from 'node:assert/strict';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { DeskScene, EXPIRED, NS, outline, summarize, Visitor } from '../../support/desk-scene.ts';

const scene = new DeskScene();

describe('commands: stages (XEP-0050 section 2.4.2)', () => {
  beforeEach(() => scene.begin());
  afterEach(() => scene.host.stop());

  it('are shown one after the other, each with what may be done (XEP-0050 section 3.4)', async () => {
    assert.equal(await scene.juliet.begin('config'), 'executing *next [service]');
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
    assert.equal(await scene.juliet.go('config', undefined, {}), 'executing prev *complete [level of httpd]');
    assert.equal(await scene.juliet.go('config', 'complete', { level: '3' }), 'completed httpd runs at 3.');
    assert.deepEqual(scene.done(), ['httpd 3']);
  });

  it('keep one session id from the first to the last', async () => {
    await scene.juliet.begin('config');
    for (const answers of [{ service: 'httpd' }, {}, { level: '5' }]) {
      const reply = payloadOf(await scene.juliet.ask(`node='config' sessionid='${scene.juliet.id}'`, answers));
      assert.deepEqual([reply.attrs['sessionid'], reply.attrs['node']], [scene.juliet.id, 'config']);
    }
  });

  it('can be gone back over, and answered otherwise', async () => {
    await scene.juliet.begin('config');
    await scene.juliet.go('config', 'next', { service: 'httpd' });
    await scene.juliet.go('config', 'next', {});
    assert.equal(await scene.juliet.go('config', 'prev'), 'executing prev *next [sure of httpd]');
    assert.equal(await scene.juliet.go('config', 'prev', { service: 'not looked at' }), 'executing *next [service]');
    assert.equal(await scene.juliet.go('config', 'execute', { service: 'jabberd' }), 'executing prev *next [sure of jabberd]');
    await scene.juliet.go('config', 'next', {});
    assert.equal(await scene.juliet.go('config', 'execute', { level: '1' }), 'completed jabberd runs at 1.');
    assert.deepEqual(scene.done(), ['jabberd 1']);
  });

  it('have nothing before the first, which stays open', async () => {
    await scene.juliet.begin('config');
    assert.equal(await scene.juliet.go('config', 'prev'), 'bad-request bad-action');
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
    await scene.juliet.go('config', 'prev');
    assert.equal(await scene.juliet.go('config', 'prev'), 'bad-request bad-action');
  });

  it('take no action that was not offered', async () => {
    await scene.juliet.begin('config');
    assert.equal(await scene.juliet.go('config', 'complete', { service: 'httpd' }), 'bad-request bad-action');
    await scene.juliet.go('config', 'next', { service: 'httpd' });
    await scene.juliet.go('config', 'next', {});
    assert.equal(await scene.juliet.go('config', 'next', { level: '3' }), 'bad-request bad-action');
    assert.deepEqual(scene.done(), []);
  });

  it('stay where they are when answers are refused', async () => {
    await scene.juliet.begin('config');
    assert.equal(await scene.juliet.go('config', 'next', {}), 'bad-request bad-payload');
    await scene.juliet.go('config', 'next', { service: 'httpd' });
    await scene.juliet.go('config', 'next', {});
    assert.equal(await scene.juliet.go('config', 'complete', {}), 'bad-request bad-payload');
    assert.equal(await scene.juliet.go('config', 'complete', { level: '2' }), 'completed httpd runs at 2.');
  });

  it('can be cancelled at any of them (XEP-0050 section 2.5)', async () => {
    await scene.juliet.begin('config');
    await scene.juliet.go('config', 'next', { service: 'httpd' });
    assert.equal(await scene.juliet.go('config', 'cancel'), 'canceled');
    for (const action of ['next', 'prev', 'cancel', undefined])
      assert.equal(await scene.juliet.go('config', action, {}), EXPIRED);
    assert.deepEqual(scene.done(), []);
  });

  it('are cancelled by a form that is (XEP-0004 section 3.1)', async () => {
    await scene.juliet.begin('config');
    await scene.juliet.go('config', 'next', { service: 'httpd' });
    assert.equal(await scene.juliet.cancelForm('config', 'prev'), 'executing *next [service]', 'who goes back submits nothing');
    assert.equal(await scene.juliet.cancelForm('config', 'next'), 'canceled');
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), EXPIRED);
    await scene.juliet.begin('config');
    scene.give('one', 'romeo@example.org');
    assert.equal(await scene.juliet.cancelForm('config'), 'canceled', 'also by who may run it no more');
    assert.deepEqual(scene.done(), []);
  });

  it('are not kept without end', async () => {
    await scene.juliet.begin('ever');
    for (let n = 2; n <= 50; n++) assert.equal(await scene.juliet.go('ever', 'next', {}), `executing prev *next [form ${n}]`);
    let back = 0;
    while ((await scene.juliet.go('ever', 'prev')) !== 'bad-request bad-action') back++;
    assert.equal(back, 31);
    assert.equal(await scene.juliet.go('ever', 'next', {}), 'executing prev *next [form 20]');
  });

  it('may come to a result at once, which can be a form', async () => {
    const reply = payloadOf(await scene.juliet.ask("node='who'"));
    assert.equal(outline(reply), 'completed [owner] one');
    assert.equal(reply.getChild('x', 'jabber:x:data')?.attrs['type'], 'result');
    await scene.juliet.begin('say');
    const said = payloadOf(
      await scene.juliet.ask(`node='say' sessionid='${scene.juliet.id}' action='complete'`, { text: 'Ay me' }),
    );
    assert.deepEqual([said.attrs['status'], said.getChild('note')], ['completed', undefined]);
    assert.equal(said.getChild('x', 'jabber:x:data')?.attrs['type'], 'result');
  });

  it('are not begun when the first form cannot be made', async () => {
    assert.equal(summarize(await scene.juliet.ask("node='broken'")), 'resource-constraint');
  });
});

describe('commands: forms that are answered before they are shown', () => {
  beforeEach(() => scene.begin());
  afterEach(() => scene.host.stop());

  for (const action of ['', "action='execute'", "action='complete'"]) {
    it(`are done with at once when they are the only ones: ${action || 'no action'}`, async () => {
      const command = payloadOf(await scene.juliet.ask(`node='say' ${action}`, { text: 'Ay me' }));
      assert.equal(outline(command), 'completed');
      assert(command.attrs['sessionid']);
      assert.deepEqual(scene.done(), ['juliet: Ay me']);
    });
  }

  it('are followed by the next one, and can be gone back to', async () => {
    const second = payloadOf(await scene.juliet.ask("node='config' action='execute'", { service: 'httpd' }));
    assert.equal(outline(second), 'executing prev *next [sure of httpd]');
    scene.juliet.id = second.attrs['sessionid']!;
    assert.equal(await scene.juliet.go('config', 'prev'), 'executing *next [service]');
    await scene.juliet.go('config', 'next', { service: 'jabberd' });
    await scene.juliet.go('config', 'next', {});
    assert.equal(await scene.juliet.go('config', 'complete', { level: '3' }), 'completed jabberd runs at 3.');
    assert.deepEqual(scene.done(), ['jabberd 3']);
  });

  it('can be mended when they are refused, by sending them again', async () => {
    assert.equal(summarize(await scene.juliet.ask("node='say'", { other: 'x' })), 'bad-request bad-payload');
    assert.equal(summarize(await scene.juliet.ask("node='again'", { service: '' })), 'bad-request bad-payload');
    assert.equal(summarize(await scene.juliet.ask("node='again'", { service: 'httpd' })), 'executing prev *next [sure of httpd]');
  });

  it('are passed over by commands that have none', async () => {
    assert.equal(summarize(await scene.juliet.ask("node='who'", { text: 'x' })), 'completed [owner] one');
  });
});

describe('commands: desks of other places', () => {
  let elsewhere: Visitor;
  beforeEach(async () => {
    await scene.begin();
    elsewhere = new Visitor(scene.juliet.probe, 'two');
  });
  afterEach(() => scene.host.stop());

  it('list what whoever asks may run there', async () => {
    scene.give('two', 'romeo@example.org');
    const list = async (visitor: Visitor) => (await visitor.discover('items', NS)).map(({ jid, node }) => `${jid} ${node}`);
    const others = ['ever', 'who', 'say', 'slow', 'broken'];
    assert.deepEqual(
      await list(scene.juliet),
      ['config', 'again', ...others].map((node) => `one@rooms.example.org ${node}`),
    );
    assert.deepEqual(
      await list(elsewhere),
      others.map((node) => `two@rooms.example.org ${node}`),
    );
  });

  it('describe their commands, but not those one may not run', async () => {
    scene.give('two', 'romeo@example.org');
    const info = async (visitor: Visitor, node: string) =>
      (await visitor.discover('info', node)).map(({ type, name }) => `${type} ${name}`);
    assert.deepEqual(await info(scene.juliet, NS), ['command-list Commands']);
    assert.deepEqual(await info(scene.juliet, 'config'), ['command-node Configure']);
    assert.deepEqual(await info(scene.juliet, 'none'), []);
    const query = `<query xmlns='http://jabber.org/protocol/disco#info' node='config'/>`;
    assert.equal(conditionOf(await elsewhere.probe.ask(`<iq type='get' to='two@rooms.example.org'>${query}</iq>`)), 'forbidden');
  });

  it('work on the place they were asked at', async () => {
    assert.equal(await scene.juliet.begin('say'), 'executing *complete [for one]');
    assert.equal(await elsewhere.begin('say'), 'executing *complete [for two]');
    await scene.juliet.go('say', 'complete', { text: 'first' });
    await elsewhere.go('say', 'complete', { text: 'second' });
    assert.deepEqual([scene.done('one'), scene.done('two')], [['juliet: first'], ['juliet: second']]);
  });

  it('know nothing of the commands of the host, nor it of theirs', async () => {
    const reply = await scene.juliet.probe.ask(`<iq type='set' to='example.org'><command xmlns='${NS}' node='config'/></iq>`);
    assert.equal(conditionOf(reply), 'item-not-found');
    await scene.juliet.begin('config');
    const stolen = `<command xmlns='${NS}' node='config' sessionid='${scene.juliet.id}'/>`;
    assert.equal(conditionOf(await scene.juliet.probe.ask(`<iq type='set' to='example.org'>${stolen}</iq>`)), 'item-not-found');
  });

  it('do not take the session of another place', async () => {
    await scene.juliet.begin('config');
    elsewhere.id = scene.juliet.id;
    for (const action of ['next', 'prev', 'cancel', undefined])
      assert.equal(await elsewhere.go('config', action, { service: 'httpd' }), EXPIRED);
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
  });

  it('do not go on when another place has taken the address', async () => {
    await scene.juliet.begin('config');
    scene.replace('one');
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), EXPIRED);
  });

  it('count all that an account has open, wherever it is', async () => {
    await scene.juliet.begin('config');
    for (const visitor of [elsewhere, new Visitor(scene.juliet.probe), elsewhere]) await visitor.begin('config');
    const phone = new Visitor(await scene.host.online('juliet', 'phone'));
    const romeo = new Visitor(await scene.host.online('romeo'));
    await romeo.begin('say');
    // This one was shown last of all.
    assert.equal(await scene.juliet.go('config', 'next', { service: 'httpd' }), 'executing prev *next [sure of httpd]');
    const oldest = elsewhere.id;
    await phone.begin('say');
    await phone.begin('say');
    await phone.begin('say');
    elsewhere.id = oldest;
    assert.equal(await elsewhere.go('config', 'next', { service: 'httpd' }), EXPIRED);
    assert.equal(await scene.juliet.go('config', 'prev'), 'executing *next [service]');
    assert.equal(await romeo.go('say', 'complete', { text: 'I would I were thy bird' }), 'completed');
  });
});
