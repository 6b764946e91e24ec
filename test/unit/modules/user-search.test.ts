import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../../modules/commands/index.ts';
import disco from '../../../modules/disco/index.ts';
import userSearch from '../../../modules/user-search/index.ts';
import vcard from '../../../modules/vcard/index.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { conditionOf, infoOf, payloadOf } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:search';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';
const NODE = 'parlance:user-search:1#listed';
const RSM = 'http://jabber.org/protocol/rsm';
const MODULES = [vcard, disco, commands, userSearch];

const CARDS: Readonly<Record<string, string>> = {
  juliet:
    '<N><GIVEN>Juliet</GIVEN><FAMILY>Capulet</FAMILY></N><NICKNAME>JuliC</NICKNAME><EMAIL><USERID>juliet@shakespeare.lit</USERID></EMAIL>',
  tybalt: '<N><GIVEN>Tybalt</GIVEN><FAMILY>Capulet</FAMILY></N><NICKNAME>ty</NICKNAME>',
  romeo: '<FN>Romeo Montague</FN><N><GIVEN>Romeo</GIVEN><FAMILY>Montague</FAMILY></N>',
  bjork: '<FN>Björk Guðmundsdóttir</FN><N><GIVEN>Björk</GIVEN><FAMILY>Guðmundsdóttir</FAMILY></N>',
};

describe('user search (XEP-0055)', () => {
  let host: TestHost;
  let juliet: Probe;
  const start = async (options: Readonly<Record<string, unknown>> = {}, cards = CARDS) => {
    host = await startHost(MODULES, { modules: { 'user-search': { listed: 'optOut', searchesPerMinute: 0, ...options } } });
    for (const [username, card] of Object.entries(cards)) {
      const probe = await host.online(username, 'x');
      if (card !== '') await probe.ask(`<iq type='set'><vCard xmlns='vcard-temp'>${card}</vCard></iq>`);
      if (username === 'juliet') juliet = probe;
    }
    await settle();
  };
  afterEach(() => host.stop());

  const query = (inner: string, to = 'example.org') => `<iq type='set' to='${to}'><query xmlns='${NS}'>${inner}</query></iq>`;
  const form = (fields: Readonly<Record<string, string>>, more = '') =>
    query(
      `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${NS}</value></field>${Object.entries(
        fields,
      )
        .map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`)
        .join('')}</x>${more}`,
    );
  const jids = (answer: Element) =>
    payloadOf(answer)
      .getChildren('item')
      .map(({ attrs }) => String(attrs['jid']).split('@')[0]);
  const find = async (inner: string, probe = juliet) => jids(await probe.ask(query(inner)));
  const rows = (answer: Element) => payloadOf(answer).getChild('x')!.getChildren('item');
  const findBy = async (fields: Readonly<Record<string, string>>, more = '') =>
    rows(await juliet.ask(form(fields, more))).map((row) => {
      const field = row.getChildren('field').find(({ attrs }) => attrs['var'] === 'jid');
      return field!.getChildText('value')!.split('@')[0];
    });
  const choose = async (probe: Probe, value: string) => {
    const begun = payloadOf(
      await probe.ask(`<iq type='set' to='example.org'><command xmlns='${NS_COMMANDS}' node='${NODE}'/></iq>`),
    );
    const shown = begun
      .getChild('x')!
      .getChildren('field')
      .find(({ attrs }) => attrs['var'] === 'listed')!
      .getChildText('value');
    const filled = `<x xmlns='jabber:x:data' type='submit'><field var='listed'><value>${value}</value></field></x>`;
    const attrs = `xmlns='${NS_COMMANDS}' node='${NODE}' sessionid='${begun.attrs['sessionid']}'`;
    return [shown, await probe.ask(`<iq type='set' to='example.org'><command ${attrs}>${filled}</command></iq>`)] as const;
  };

  describe('answers', () => {
    beforeEach(() => start());

    it('what can be searched for (examples 2 and 8)', async () => {
      const fields = payloadOf(await juliet.ask(`<iq type='get' to='example.org'><query xmlns='${NS}'/></iq>`));
      const names = fields.getChildElements().map(({ name }) => name);
      assert.deepEqual(names, ['instructions', 'first', 'last', 'nick', 'email', 'x']);
      const inForm = fields
        .getChild('x')!
        .getChildren('field')
        .map(({ attrs }) => attrs['var']);
      assert.deepEqual(inForm, ['FORM_TYPE', 'name', 'first', 'last', 'nick', 'email', 'jid']);
    });

    it('plain searches with items (example 4), and with an empty query when there are none (example 5)', async () => {
      const found = payloadOf(await juliet.ask(query('<last>Capulet</last>')));
      assert.equal(
        String(found),
        `<query xmlns="${NS}"><item jid="juliet@example.org"><first>Juliet</first><last>Capulet</last><nick>JuliC</nick><email>juliet@shakespeare.lit</email></item>` +
          '<item jid="tybalt@example.org"><first>Tybalt</first><last>Capulet</last><nick>ty</nick><email/></item></query>',
      );
      assert.equal(String(payloadOf(await juliet.ask(query('<last>Lear</last>')))), `<query xmlns="${NS}"/>`);
    });

    it('forms with a table (example 10)', async () => {
      const table = payloadOf(await juliet.ask(form({ name: 'rom mont' }))).getChild('x')!;
      const reported = table
        .getChild('reported')!
        .getChildren('field')
        .map(({ attrs }) => attrs['var']);
      assert.deepEqual(reported, ['jid', 'name', 'first', 'last', 'nick', 'email']);
      const values = table
        .getChild('item')!
        .getChildren('field')
        .map((field) => field.getChildText('value'));
      assert.deepEqual(values, ['romeo@example.org', 'Romeo Montague', 'Romeo', 'Montague', '', '']);
    });

    it('that it is here, by service discovery', async () => {
      const info = infoOf(
        payloadOf(
          await juliet.ask(`<iq type='get' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`),
        ),
      );
      assert(info.features.includes(NS));
      assert(info.identities.includes('directory/user'));
    });
  });

  describe('compares', () => {
    beforeEach(() => start());

    it('beginnings of words, in any case and with or without accents', async () => {
      for (const text of ['capu', 'CAPULET', 'ＣＡＰＵ', 'cápulét']) {
        assert.deepEqual(await find(`<last>${text}</last>`), ['juliet', 'tybalt'], text);
      }
      for (const text of ['Bjork', 'björk', 'BJO\u0308RK'])
        assert.deepEqual(await find(`<first>${text}</first>`), ['bjork'], text);
      assert.deepEqual(await find('<last>gudmundsdottir</last>'), ['bjork']);
      assert.deepEqual(await find('<last>apulet</last>'), []);
    });

    it('all that is filled in', async () => {
      assert.deepEqual(await find('<last>Capulet</last><first>Ju</first>'), ['juliet']);
      assert.deepEqual(await find('<last>Capulet</last><first>Romeo</first>'), []);
      assert.deepEqual(await findBy({ name: 'capulet tybalt' }), ['tybalt']);
    });

    it('e-mail addresses and usernames from their beginnings', async () => {
      assert.deepEqual(await find('<email>juliet@sh</email>'), ['juliet']);
      assert.deepEqual(await find('<email>shakespeare</email>'), []);
      assert.deepEqual(await findBy({ jid: 'rom' }), ['romeo']);
      assert.deepEqual(await findBy({ jid: 'Romeo@exam' }), ['romeo']);
      assert.deepEqual(await findBy({ jid: 'rom@example.org' }), []);
      assert.deepEqual(await findBy({ jid: 'romeo@example.net' }), []);
    });

    it('nothing with patterns: there are none', async () => {
      assert.deepEqual(await find('<last>capu*</last>'), ['juliet', 'tybalt'], 'a star is no letter');
      for (const text of ['*', '%', '.*', '%%', '_', '?', '(', '\\', "' OR 1=1 --".slice(0, 2), 'a']) {
        for (const field of ['last', 'email']) {
          const answer = await juliet.ask(query(`<${field}>${text}</${field}>`));
          if (answer.attrs['type'] === 'result') assert.deepEqual(jids(answer), [], text);
          else assert.equal(conditionOf(answer), 'not-acceptable', text);
        }
      }
    });
  });

  it('refuses what says nothing, is too long, or is no search', async () => {
    await start();
    assert.equal(conditionOf(await juliet.ask(query(''))), 'not-acceptable');
    assert.equal(conditionOf(await juliet.ask(form({}))), 'not-acceptable');
    assert.equal(conditionOf(await juliet.ask(query(`<last>${'x'.repeat(300)}</last>`))), 'not-acceptable');
    assert.equal(conditionOf(await juliet.ask(query(`<x xmlns='jabber:x:data' type='form'/>`))), 'bad-request');
    assert.equal(
      conditionOf(
        await juliet.ask(form({ FORM_TYPE: 'x', last: 'Capulet' }).replace(NS, NS).replace(`<value>${NS}`, '<value>urn:x')),
      ),
      'bad-request',
    );
    assert.deepEqual(
      await find(`<last>${'\u{1f600}'.repeat(100)}</last><first>Juliet</first>`),
      ['juliet'],
      'nothing but pictures',
    );
  });

  it('knows of changes at once: of cards, of accounts that go', async () => {
    await start();
    await juliet.ask(
      `<iq type='set'><vCard xmlns='vcard-temp'><N><GIVEN>Juliet</GIVEN><FAMILY>Montague</FAMILY></N></vCard></iq>`,
    );
    assert.deepEqual(await find('<last>Capulet</last>'), ['tybalt']);
    assert.deepEqual(await find('<last>Montague</last>'), ['juliet', 'romeo']);
    await host.host.accounts.delete('romeo');
    assert.deepEqual(await find('<last>Montague</last>'), ['juliet']);
    await juliet.ask(`<iq type='set'><vCard xmlns='vcard-temp'/></iq>`);
    assert.deepEqual(await find('<last>Montague</last>'), []);
    assert.deepEqual(await findBy({ jid: 'juliet' }), []);
  });

  it('finds accounts without a vCard by their usernames only where that is wanted', async () => {
    await start({ listAll: true }, { ...CARDS, mercutio: '' });
    assert.deepEqual(await findBy({ jid: 'merc' }), []);
    host.host.signals.accountCreated.emit({ username: 'mercutio' });
    await settle();
    assert.deepEqual(await findBy({ jid: 'merc' }), ['mercutio']);
    await host.modules.restart('user-search');
    assert.deepEqual(await findBy({ jid: 'merc' }), ['mercutio'], 'also after a start');
  });

  it('is made anew at every start, from cards of before there was a directory, too', async () => {
    const storage = await openStorage({ type: 'memory' }, silent);
    const { cards } = await storage.open('example.org', 'vcard', vcard.stores!);
    for (let i = 0; i < 250; i++) {
      await cards.update(`user${i}`, new Map([['vcard', `<vCard xmlns='vcard-temp'><FN>Person ${i}</FN></vCard>`]]));
    }
    host = await startHost(MODULES, { storage, modules: { 'user-search': { listed: 'optOut', maxResults: 300 } } });
    juliet = await host.online('juliet');
    assert.equal((await findBy({ name: 'person' })).length, 250);
    assert.equal((await findBy({ name: 'person 249' })).length, 1);
  });

  describe('lists', () => {
    it('only those who want it, with optIn', async () => {
      await start({ listed: 'optIn' });
      assert.deepEqual(await find('<last>Capulet</last>'), []);
      const [shown, done] = await choose(juliet, '1');
      assert.equal(shown, 'false');
      assert.equal(payloadOf(done).attrs['status'], 'completed');
      assert.deepEqual(await find('<last>Capulet</last>'), ['juliet']);
      await host.modules.restart('user-search');
      assert.deepEqual(await find('<last>Capulet</last>'), ['juliet'], 'also after a restart');
    });

    it('nobody who does not, with optOut', async () => {
      await start();
      assert.equal((await choose(juliet, 'false'))[0], 'true');
      assert.deepEqual(await find('<last>Capulet</last>'), ['tybalt']);
      await juliet.ask(`<iq type='set'><vCard xmlns='vcard-temp'><N><FAMILY>Capulet</FAMILY></N></vCard></iq>`);
      await host.modules.restart('user-search');
      assert.deepEqual(await find('<last>Capulet</last>'), ['tybalt']);
      assert.equal(conditionOf((await choose(juliet, 'perhaps'))[1]), 'bad-request');
    });

    it('nobody by a choice that somebody else makes', async () => {
      await start();
      const guest = await host.loginAsGuest();
      const command = `<iq type='set' to='example.org'><command xmlns='${NS_COMMANDS}' node='${NODE}'/></iq>`;
      assert.equal(conditionOf(await guest.ask(command)), 'forbidden');
      await guest.ask(`<iq type='set'><vCard xmlns='vcard-temp'><N><FAMILY>Capulet</FAMILY></N></vCard></iq>`);
      assert.deepEqual(await find('<last>Capulet</last>'), ['juliet', 'tybalt'], 'guests are not listed');
    });
  });

  it('gives pages (XEP-0059), and no more than it may', async () => {
    const many = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => [`u${name}`, '<FN>Same Name</FN>']));
    await start({ maxResults: 5 }, { ...many, juliet: '' });
    const page = async (set: string) => {
      const answer = payloadOf(await juliet.ask(form({ name: 'same' }, `<set xmlns='${RSM}'>${set}</set>`)));
      const names = answer.getChild('x')!.getChildren('item').length;
      const rsm = answer.getChild('set', RSM)!;
      return [names, rsm.getChildText('first'), rsm.getChildText('last'), rsm.getChildText('count')];
    };
    assert.deepEqual(await findBy({ name: 'same' }), ['ua', 'ub', 'uc', 'ud', 'ue']);
    assert.deepEqual(await page('<max>2</max>'), [2, 'ua', 'ub', '5']);
    assert.deepEqual(await page('<max>2</max><after>ub</after>'), [2, 'uc', 'ud', '5']);
    assert.deepEqual(await page('<max>2</max><before/>'), [2, 'ud', 'ue', '5']);
    assert.deepEqual(await page('<max>2</max><before>ub</before>'), [1, 'ua', 'ua', '5']);
    assert.deepEqual(await page('<max>2</max><index>4</index>'), [1, 'ue', 'ue', '5']);
    assert.deepEqual(await page('<max>0</max>'), [0, null, null, '5']);
    const wrong = form({ name: 'same' }, `<set xmlns='${RSM}'><after>nobody</after></set>`);
    assert.equal(conditionOf(await juliet.ask(wrong)), 'item-not-found');
  });

  it('lets nobody search all day', async () => {
    await start({ searchesPerMinute: 1 });
    const answers = [];
    for (let i = 0; i < 15; i++) answers.push((await juliet.ask(query('<last>Capulet</last>'))).attrs['type']);
    assert.deepEqual(answers.filter((type) => type === 'error').length, 5);
    const refused = await juliet.ask(query('<last>Capulet</last>'));
    assert.equal(conditionOf(refused), 'resource-constraint');
    assert.equal(refused.getChild('error')?.attrs['type'], 'wait');
    assert.deepEqual(await find('<last>Capulet</last>', await host.online('romeo', 'y')), ['juliet', 'tybalt']);
  });

  describe('lets search', () => {
    const asStranger = async () => {
      const elsewhere = new Elsewhere(host, 'example.net');
      await elsewhere.send(
        `<iq type='set' id='1' from='x@example.net/y' to='example.org'><query xmlns='${NS}'><last>Capulet</last></query></iq>`,
      );
      return (await elsewhere.take())[0]!;
    };

    it('users of the host, and nobody else', async () => {
      await start();
      const guest = await host.loginAsGuest();
      assert.equal(conditionOf(await guest.ask(query('<last>Capulet</last>'))), 'forbidden');
      assert.equal(conditionOf(await guest.ask(`<iq type='get' to='example.org'><query xmlns='${NS}'/></iq>`)), 'forbidden');
      assert.equal(conditionOf(await asStranger()), 'forbidden');
    });

    it('guests or anyone, where the config says so', async () => {
      await start({ searchers: 'guests' });
      const guest = await host.loginAsGuest();
      assert.deepEqual(await find('<last>Capulet</last>', guest), ['juliet', 'tybalt']);
      assert.equal(conditionOf(await asStranger()), 'forbidden');
      await host.stop();
      await start({ searchers: 'anyone' });
      assert.deepEqual(jids(await asStranger()), ['juliet', 'tybalt']);
    });
  });

  it('has a domain of its own where it is given one', async () => {
    await start({ host: 'search.@', name: 'Who is who' });
    const ask = async (payload: string, type = 'get', to = 'search.example.org') =>
      juliet.ask(`<iq type='${type}' to='${to}'>${payload}</iq>`);
    assert.deepEqual(jids(await juliet.ask(query('<last>Capulet</last>', 'search.example.org'))), ['juliet', 'tybalt']);
    assert.equal(conditionOf(await juliet.ask(query('<last>Capulet</last>'))), 'service-unavailable');
    const info = infoOf(payloadOf(await ask(`<query xmlns='http://jabber.org/protocol/disco#info'/>`)));
    assert.deepEqual(info.identities, ['directory/user']);
    assert(info.features.includes(NS));
    const items = payloadOf(await ask(`<query xmlns='http://jabber.org/protocol/disco#items'/>`, 'get', 'example.org'));
    assert(
      items.getChildren('item').some(({ attrs }) => attrs['jid'] === 'search.example.org' && attrs['name'] === 'Who is who'),
    );
    assert.deepEqual(payloadOf(await ask(`<query xmlns='http://jabber.org/protocol/disco#items'/>`)).children, []);
    assert.equal(conditionOf(await ask(`<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>`)), 'item-not-found');
    assert.equal(conditionOf(await ask(`<query xmlns='urn:x'/>`)), 'service-unavailable');
    assert.equal(conditionOf(await ask(`<query xmlns='${NS}'/>`, 'get', 'x@search.example.org')), 'service-unavailable');
    juliet.send(`<message to='search.example.org'><body>hello</body></message>`);
    assert.equal(conditionOf(await juliet.receive('message')), 'service-unavailable');
  });
});
