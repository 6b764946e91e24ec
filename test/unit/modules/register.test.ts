import assert from 'node:assert/strict';
import disco from '../../../modules/disco/index.ts';
import register from '../../../modules/register/index.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import type { FakeTransport } from '../../support/fake-transport.ts';
import { type HostOptions, startHost, type TestHost } from '../../support/start-host.ts';
import { account, Stranger } from '../../support/stranger.ts';

const NS = 'jabber:iq:register';
const NS_FEATURE = 'http://jabber.org/features/iq-register';

let host: TestHost;

async function start(config: unknown = {}, options: HostOptions = {}): Promise<void> {
  host = await startHost([register, disco], { ...options, modules: { register: config } });
}

/** Somebody on a line with these properties. */
function stranger(line: Partial<FakeTransport> = {}): Stranger {
  return new Stranger(host, (transport) => void Object.assign(transport, line));
}

describe('register: before login', () => {
  afterEach(() => host.stop());

  it('is offered as a stream feature and in disco (XEP-0077 sections 8 and 10)', async () => {
    await start();
    assert(stranger().features.getChild('register', NS_FEATURE));
    const juliet = await host.online('juliet');
    const info = payloadOf(
      await juliet.ask("<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"),
    );
    assert(info.getChildren('feature').some(({ attrs }) => attrs['var'] === NS));
  });

  it('says which fields are needed (XEP-0077 section 3.1)', async () => {
    await start({ instructions: 'Tell us.' });
    for (const to of ['', "to='example.org'", "to='EXAMPLE.org'"]) {
      const reply = await stranger().ask('', 'get', to);
      assert.equal(reply.attrs['from'], 'example.org');
      const query = payloadOf(reply);
      assert.deepEqual(
        query.getChildElements().map(({ name }) => name),
        ['instructions', 'username', 'password'],
      );
      assert.equal(query.getChildText('instructions'), 'Tell us.');
    }
  });

  it('makes an account that one can log in to', async () => {
    await start();
    const reply = await stranger().ask(account('Bill'));
    assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
    assert(await host.host.accounts.verify('bill', 'Call me but love'));
  });

  it('gives nobody a name of the form that anonymous clients have', async () => {
    await start();
    const guest = await host.loginAsGuest();
    for (const name of [guest.session.jid.local, guest.session.jid.local.toUpperCase(), '0'.repeat(32)])
      assert.equal(conditionOf(await stranger().ask(account(name))), 'not-acceptable');
    for (const name of ['0'.repeat(31), 'g'.repeat(32)])
      assert.equal((await stranger().ask(account(name))).attrs['type'], 'result');
  });

  it('takes a form as well as fields (XEP-0077 section 4)', async () => {
    await start();
    const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;
    const form = (fields: string, type = 'submit') => `<x xmlns='jabber:x:data' type='${type}'>${fields}</x>`;
    const fields = field('FORM_TYPE', NS) + field('username', 'bill') + field('password', 'Calliope');
    assert.equal(conditionOf(await stranger().ask(form(fields, 'form'))), 'bad-request');
    assert.equal(conditionOf(await stranger().ask(form(fields) + account('bill'))), 'bad-request');
    assert.equal(
      conditionOf(await stranger().ask(form(field('FORM_TYPE', 'urn:other') + field('username', 'bill')))),
      'bad-request',
    );
    assert.equal(conditionOf(await stranger().ask(form(field('username', 'bill')))), 'not-acceptable');
    assert.equal((await stranger().ask(form(fields))).attrs['type'], 'result');
    assert(await host.host.accounts.verify('bill', 'Calliope'));
  });

  for (const [what, inner, wanted] of [
    ['a name that is taken', account('juliet'), 'conflict'],
    ['a name that is taken, in capitals', account('JULIET'), 'conflict'],
    ['no name', '<password>secret-enough</password>', 'not-acceptable'],
    ['an empty name', account(''), 'not-acceptable'],
    ['no password', '<username>bill</username>', 'not-acceptable'],
    ['an empty password', account('bill', ''), 'not-acceptable'],
    ['a short password', account('bill', 'abc'), 'not-acceptable'],
    ['a very long password', account('bill', 'x'.repeat(2000)), 'not-acceptable'],
    ['a reserved name', account('Admin'), 'not-acceptable'],
    ['a name with an at sign', account('bill@example.org'), 'not-acceptable'],
    ['a name with a slash', account('bill/x'), 'not-acceptable'],
    ['a name with a space', account('bill gates'), 'not-acceptable'],
    ['a name with a control character', account('bi&#x9;ll'), 'not-acceptable'],
    ['a short name', account('bo'), 'not-acceptable'],
    ['a long name', account('b'.repeat(30)), 'not-acceptable'],
    ['nothing', '', 'not-acceptable'],
    ['a removal', '<remove/>', 'unexpected-request'],
    ['a removal and more', '<remove/><username>bill</username>', 'bad-request'],
  ] as const) {
    it(`refuses ${what} with ${wanted}`, async () => {
      await start({ minUsername: 3, maxUsername: 20 });
      await host.host.accounts.create('juliet', 'secret');
      const reply = await stranger().ask(inner);
      assert.equal(conditionOf(reply), wanted);
      // XEP-0077 section 3.3: no password is sent back.
      assert.equal(reply.getChild('query'), undefined);
      assert.deepEqual(
        (await host.host.accounts.list()).map(({ username }) => username),
        ['juliet'],
      );
    });
  }

  it('is neither offered nor answered without encryption (XEP-0077 section 11)', async () => {
    await start();
    const someone = stranger({ secure: false });
    assert.equal(someone.features.getChild('register', NS_FEATURE), undefined);
    const [error] = await someone.say(`<iq id='r' type='set'><query xmlns='${NS}'>${account('bill')}</query></iq>`);
    assert(error?.getChild('not-authorized'), String(error));
    assert.deepEqual(await host.host.accounts.list(), []);
  });

  it('works without encryption on this machine where that is trusted', async () => {
    await start({}, { settings: { trustLoopback: true } });
    const local = stranger({ secure: false, loopback: true });
    assert(local.features.getChild('register', NS_FEATURE));
    assert.equal((await local.ask(account('bill'))).attrs['type'], 'result');
  });

  it('is not offered where accounts cannot be made', async () => {
    await start({ accounts: false });
    const someone = stranger();
    assert.equal(someone.features.getChild('register', NS_FEATURE), undefined);
    const [error] = await someone.say(`<iq id='r' type='get'><query xmlns='${NS}'/></iq>`);
    assert.equal(error?.name, 'stream:error');
  });

  for (const iq of [
    `<iq id='r' type='get' to='example.net'><query xmlns='${NS}'/></iq>`,
    `<iq id='r' type='get' to='juliet@example.org'><query xmlns='${NS}'/></iq>`,
    "<iq id='r' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
    `<message><query xmlns='${NS}'/></message>`,
  ]) {
    it(`leaves ${iq.slice(0, 60)} to the core, which ends the stream`, async () => {
      await start();
      const [error] = await stranger().say(iq.replace('<message', "<message xmlns='jabber:client'"));
      assert(error?.getChild('not-authorized'), String(error));
    });
  }

  for (const iq of [
    `<iq type='set'><query xmlns='${NS}'>${account('bill')}</query></iq>`,
    `<iq id='r' type='set'><query xmlns='${NS}'>${account('bill')}</query><query xmlns='${NS}'/></iq>`,
    `<iq id='r' type='result'><query xmlns='${NS}'>${account('bill')}</query></iq>`,
    `<iq id='r'><query xmlns='${NS}'>${account('bill')}</query></iq>`,
  ]) {
    it(`makes nothing of ${iq.slice(0, 40)}`, async () => {
      await start();
      await stranger().say(iq);
      assert.deepEqual(await host.host.accounts.list(), []);
    });
  }
});
