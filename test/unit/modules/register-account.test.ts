import assert from 'node:assert/strict';
import ping from '../../../modules/ping/index.ts';
import presence from '../../../modules/presence/index.ts';
import register from '../../../modules/register/index.ts';
import roster from '../../../modules/roster/index.ts';
import { conditionOf, payloadOf, subscribe } from '../../support/answers.ts';
import { settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';
import { account } from '../../support/stranger.ts';

const NS = 'jabber:iq:register';

let host: TestHost;

async function start(config: unknown = {}): Promise<void> {
  host = await startHost([register, ping, roster, presence], { modules: { register: config } });
}

describe('register: after login', () => {
  afterEach(() => host.stop());

  it('says who one is, and never the password (XEP-0077 section 3.1)', async () => {
    await start();
    const juliet = await host.online('juliet');
    for (const to of ['', "to='example.org'"]) {
      const query = payloadOf(await juliet.ask(`<iq type='get' ${to}><query xmlns='${NS}'/></iq>`));
      assert(query.getChild('registered'));
      assert.deepEqual([query.getChildText('username'), query.getChildText('password')], ['juliet', '']);
    }
  });

  it('changes the password (XEP-0077 section 3.3)', async () => {
    await start();
    const juliet = await host.online('juliet');
    for (const [username, password] of [
      ['juliet', 'groundlings'],
      ['Juliet', 'groundlings2'],
      ['juliet@example.org', 'groundlings3'],
    ] as const) {
      const reply = await juliet.ask(
        `<iq type='set' to='example.org'><query xmlns='${NS}'>${account(username, password)}</query></iq>`,
      );
      assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
      assert(await host.host.accounts.verify('juliet', password));
    }
  });

  for (const [what, inner, wanted] of [
    ["another's password", account('romeo', 'montague'), 'not-allowed'],
    ['an account while logged in', account('fresh', 'montague'), 'not-allowed'],
    ['a name that is none', account('a@b@c', 'montague'), 'not-allowed'],
    ['no name', '<password>groundlings</password>', 'bad-request'],
    ['an empty password', account('juliet', ''), 'not-acceptable'],
    ['a short password', account('juliet', 'abc'), 'not-acceptable'],
    ['a removal and more', '<remove/><username>juliet</username>', 'bad-request'],
  ] as const) {
    it(`refuses ${what} with ${wanted}`, async () => {
      await start();
      await host.host.accounts.create('romeo', 'secret');
      const juliet = await host.online('juliet');
      assert.equal(conditionOf(await juliet.ask(`<iq type='set'><query xmlns='${NS}'>${inner}</query></iq>`)), wanted);
      for (const name of ['juliet', 'romeo']) assert(await host.host.accounts.verify(name, 'secret'));
      assert.equal((await host.host.accounts.list()).length, 2);
    });
  }

  it('has no account of an anonymous client to show, to change or to remove (XEP-0175)', async () => {
    await start();
    const guest = await host.loginAsGuest();
    const name = guest.session.jid.local;
    for (const [type, inner] of [
      ['get', ''],
      ['set', account(name)],
      ['set', '<remove/>'],
    ] as const) {
      const reply = await guest.ask(`<iq type='${type}'><query xmlns='${NS}'>${inner}</query></iq>`);
      assert.equal(conditionOf(reply), 'registration-required');
    }
    assert.deepEqual(await host.host.accounts.list(), []);
    assert.equal(guest.transport.isEnded, false);
  });

  it('changes nothing where that is not wanted', async () => {
    await start({ passwordChange: false, removal: false });
    const juliet = await host.online('juliet');
    assert.equal(
      conditionOf(await juliet.ask(`<iq type='set'><query xmlns='${NS}'>${account('juliet')}</query></iq>`)),
      'not-allowed',
    );
    assert.equal(conditionOf(await juliet.ask(`<iq type='set'><query xmlns='${NS}'><remove/></query></iq>`)), 'not-allowed');
  });

  it('changes no password on a line that others can read', async () => {
    await start();
    const juliet = await host.online('juliet');
    juliet.transport.secure = false;
    assert.equal(
      conditionOf(await juliet.ask(`<iq type='set'><query xmlns='${NS}'>${account('juliet')}</query></iq>`)),
      'not-authorized',
    );
  });

  it('does not let an account change its password without end', async () => {
    await start();
    const juliet = await host.online('juliet');
    const types = [];
    for (let i = 0; i < 11; i++) {
      types.push(
        (await juliet.ask(`<iq type='set'><query xmlns='${NS}'>${account('juliet', `password-${i}`)}</query></iq>`)).attrs[
          'type'
        ],
      );
    }
    assert.deepEqual([types.lastIndexOf('result'), types.at(-1)], [9, 'error']);
  });

  it('removes the account, answers, and ends all its sessions (XEP-0077 section 3.2)', async () => {
    await start();
    const balcony = await host.login('juliet', 'balcony');
    const chamber = await host.login('juliet', 'chamber');
    balcony.send(`<iq id='bye' type='set'><query xmlns='${NS}'><remove/></query></iq>`);
    const result = await balcony.receive('iq');
    assert.deepEqual([result.attrs['type'], result.attrs['id']], ['result', 'bye']);
    for (const client of [balcony, chamber]) {
      const error = await client.receive('stream:error');
      assert(error.getChild('not-authorized'), String(error));
      assert(client.transport.isEnded);
    }
    assert.equal(await host.host.accounts.exists('juliet'), false);
    assert.deepEqual(host.host.router.resources('juliet@example.org'), []);
  });

  it('does nothing more for a client that goes on talking after its removal', async () => {
    await start();
    const juliet = await host.login('juliet');
    juliet.send(`<iq id='bye' type='set'><query xmlns='${NS}'><remove/></query></iq>`);
    juliet.send("<iq id='more' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
    await settle();
    assert.deepEqual(
      juliet.take().map(({ name, attrs }) => [name, attrs['id']]),
      [
        ['iq', 'bye'],
        ['stream:error', undefined],
        ['close', undefined],
      ],
    );
  });

  it('ends streams of the account that have logged in and are about to bind', async () => {
    await start();
    const juliet = await host.online('juliet');
    const { stream, transport } = host.connect();
    stream.authenticate('juliet');
    juliet.send(`<iq id='bye' type='set'><query xmlns='${NS}'><remove/></query></iq>`);
    await settle();
    assert(transport.isEnded);
  });

  it('tells the contacts of a removed account that it is gone, and ends their subscriptions (XEP-0077 section 3.2)', async () => {
    await start();
    const juliet = await host.online('juliet', 'balcony');
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    await subscribe(juliet, romeo);
    juliet.send(`<iq id='bye' type='set'><query xmlns='${NS}'><remove/></query></iq>`);
    await settle();
    const types = romeo
      .take()
      .filter(({ name }) => name === 'presence')
      .map(({ attrs }) => attrs['type']);
    assert.equal(types[0], 'unavailable');
    const items = payloadOf(await romeo.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>")).getChildren('item');
    assert.deepEqual(
      items.map(({ attrs }) => [attrs['jid'], attrs['subscription']]),
      [['juliet@example.org', 'none']],
    );
  });
});
