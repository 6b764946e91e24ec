import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../../modules/commands/index.ts';
import disco from '../../../modules/disco/index.ts';
import { defineModule, option, StanzaError, writeForm } from '../../../src/index.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'http://jabber.org/protocol/commands';

const told: unknown[] = [];
const sample = defineModule({
  name: 'sample',
  doc: 'Offers commands.',
  needs: [commands],
  config: option.object({}),
  setup({ defer, isAdmin, use }) {
    const { offer } = use(commands);
    defer(offer({ node: 'now', name: 'Now', isAllowed: () => true, run: () => 'Done.' }));
    defer(
      offer({
        node: 'form',
        name: 'With a form',
        isAllowed: isAdmin,
        form: () => writeForm('form', 'urn:form', [{ name: 'text', type: 'text-multi', isRequired: true }]),
        async run(answers) {
          if (!answers.has('text')) throw new StanzaError('not-acceptable');
          told.push(answers.get('text'));
          return 'Told.';
        },
      }),
    );
  },
});

describe('commands', () => {
  let host: TestHost;
  beforeEach(async () => {
    told.length = 0;
    host = await startHost([commands, disco, sample], {
      settings: { admins: ['admin@example.org'] },
      modules: { commands: { maxOpen: 2 } },
    });
  });
  afterEach(() => host.stop());

  const ask = (attrs: string, inner = '') =>
    `<iq type='set' to='example.org'><command xmlns='${NS}' ${attrs}>${inner}</command></iq>`;
  const submit = (text: string) => `<x xmlns='jabber:x:data' type='submit'><field var='text'><value>${text}</value></field></x>`;
  const command = (iq: Element) => payloadOf(iq);

  it('lists the commands that one may run (XEP-0050 section 2.2)', async () => {
    const admin = await host.online('admin');
    const juliet = await host.online('juliet');
    const list = async (who: typeof admin) => {
      const query = payloadOf(
        await who.ask(
          `<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#items' node='${NS}'/></iq>`,
        ),
      );
      return query.getChildren('item').map(({ attrs }) => [attrs['jid'], attrs['node'], attrs['name']]);
    };
    assert.deepEqual(await list(juliet), [['example.org', 'now', 'Now']]);
    assert.deepEqual(await list(admin), [
      ['example.org', 'now', 'Now'],
      ['example.org', 'form', 'With a form'],
    ]);
  });

  it('describes them, but not those one may not run (XEP-0050 section 2.3)', async () => {
    const juliet = await host.online('juliet');
    const describeNode = (node: string) =>
      juliet.ask(`<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info' node='${node}'/></iq>`);
    assert.deepEqual(infoOf(payloadOf(await describeNode(NS))), { identities: ['automation/command-list'], features: [NS] });
    assert.deepEqual(infoOf(payloadOf(await describeNode('now'))), {
      identities: ['automation/command-node'],
      features: [NS, 'jabber:x:data'],
    });
    assert.equal(conditionOf(await describeNode('form')), 'forbidden');
  });

  it('runs one without a form at once (XEP-0050 section 3.1)', async () => {
    const juliet = await host.online('juliet');
    const done = command(await juliet.ask(ask("node='now' action='execute'")));
    assert.deepEqual([done.attrs['node'], done.attrs['status']], ['now', 'completed']);
    assert(done.attrs['sessionid']);
    assert.equal(done.getChildText('note'), 'Done.');
  });

  it('asks with a form, then runs (XEP-0050 section 3.2)', async () => {
    const admin = await host.online('admin');
    const first = command(await admin.ask(ask("node='form'")));
    assert.equal(first.attrs['status'], 'executing');
    assert(first.getChild('actions')?.getChild('complete'));
    assert.equal(first.getChild('x', 'jabber:x:data')?.attrs['type'], 'form');
    const { sessionid } = first.attrs;
    const done = command(await admin.ask(ask(`node='form' sessionid='${sessionid}' action='complete'`, submit('Hear ye'))));
    assert.deepEqual(
      [done.attrs['status'], done.attrs['sessionid'], done.getChildText('note')],
      ['completed', sessionid, 'Told.'],
    );
    assert.deepEqual(told, [['Hear ye']]);
    const again = await admin.ask(ask(`node='form' sessionid='${sessionid}'`, submit('Again')));
    assert.equal(conditionOf(again), 'not-allowed');
    assert(again.getChild('error')?.getChild('session-expired', NS));
    assert.equal(told.length, 1);
  });

  it('can be cancelled (XEP-0050 section 3.4)', async () => {
    const admin = await host.online('admin');
    const { sessionid } = command(await admin.ask(ask("node='form'"))).attrs;
    assert.equal(
      command(await admin.ask(ask(`node='form' sessionid='${sessionid}' action='cancel'`))).attrs['status'],
      'canceled',
    );
    assert.equal(conditionOf(await admin.ask(ask(`node='form' sessionid='${sessionid}'`, submit('x')))), 'not-allowed');
  });

  it('goes on when the answers are refused, so that they can be mended', async () => {
    const admin = await host.online('admin');
    const { sessionid } = command(await admin.ask(ask("node='form'"))).attrs;
    assert.equal(
      conditionOf(await admin.ask(ask(`node='form' sessionid='${sessionid}'`, "<x xmlns='jabber:x:data' type='submit'/>"))),
      'not-acceptable',
    );
    assert.equal(command(await admin.ask(ask(`node='form' sessionid='${sessionid}'`, submit('x')))).attrs['status'], 'completed');
  });

  it('is nobody else’s business: a form belongs to the client that asked for it', async () => {
    const one = await host.online('admin', 'one');
    const two = await host.online('admin', 'two');
    const { sessionid } = command(await one.ask(ask("node='form'"))).attrs;
    assert.equal(conditionOf(await two.ask(ask(`node='form' sessionid='${sessionid}'`, submit('x')))), 'not-allowed');
  });

  it('keeps so many forms of an account open and no more', async () => {
    const admin = await host.online('admin');
    const ids = [];
    for (let i = 0; i < 3; i++) ids.push(command(await admin.ask(ask("node='form'"))).attrs['sessionid']);
    const finish = async (id: string) => (await admin.ask(ask(`node='form' sessionid='${id}'`, submit('x')))).attrs['type'];
    assert.deepEqual([await finish(ids[0]!), await finish(ids[1]!), await finish(ids[2]!)], ['error', 'result', 'result']);
  });

  for (const [what, attrs, wanted, reason] of [
    ['an unknown command', "node='none'", 'item-not-found', undefined],
    ['no command', '', 'item-not-found', undefined],
    ['a name from the language', "node='__proto__'", 'item-not-found', undefined],
    ['an unknown action', "node='now' action='explode'", 'bad-request', 'malformed-action'],
    ['an action that makes no sense yet', "node='now' action='prev'", 'bad-request', 'bad-action'],
    ['a session that is none', "node='now' sessionid='x'", 'not-allowed', 'session-expired'],
  ] as const) {
    it(`refuses ${what} with ${wanted} (XEP-0050 section 4.4)`, async () => {
      const juliet = await host.online('juliet');
      const reply = await juliet.ask(ask(attrs));
      assert.equal(conditionOf(reply), wanted);
      if (reason) assert(reply.getChild('error')?.getChild(reason, NS));
    });
  }

  it('refuses those who may not run it', async () => {
    const juliet = await host.online('juliet');
    assert.equal(conditionOf(await juliet.ask(ask("node='form'"))), 'forbidden');
  });
});
