import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../../modules/commands/index.ts';
import mam from '../../../modules/mam/index.ts';
import { type Policy, Preferences, type StoredPreferences } from '../../../modules/mam/preferences.ts';
import roster from '../../../modules/roster/index.ts';
import { Cache } from '../../../src/cache.ts';
import { Jid } from '../../../src/jid.ts';
import { silent } from '../../../src/log.ts';
import { openStorage } from '../../../src/storage/open.ts';
import { type MapStore, mapStore, type Storage } from '../../../src/storage/storage.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import type { Probe } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:xmpp:mam:2';
const DAY = 86_400_000;
const list = (name: string, jids: readonly string[]) => `<${name}>${jids.map((jid) => `<jid>${jid}</jid>`).join('')}</${name}>`;
const set = (policy: string, inner = '') => `<iq type='set'><prefs xmlns='${NS}' default='${policy}'>${inner}</prefs></iq>`;
const GET = `<iq type='get'><prefs xmlns='${NS}'/></iq>`;
const asText = (always: readonly string[], never: readonly string[]) => `${list('always', always)}${list('never', never)}`;

/** The default, and what is on both lists. */
function summary(iq: Element): readonly unknown[] {
  const prefs = payloadOf(iq);
  const jids = (name: string) =>
    prefs
      .getChild(name, NS)!
      .getChildren('jid')
      .map((jid) => jid.getText());
  return [prefs.attrs['default'], jids('always'), jids('never')];
}

describe('mam: preferences (XEP-0441 section 2.1)', () => {
  let host: TestHost;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([roster, commands, mam]);
    juliet = await host.login('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  it('are those of the host at first, with both lists, though empty', async () => {
    assert.deepEqual(summary(await juliet.ask(GET)), ['always', [], []]);
    const other = await startHost([mam], { modules: { mam: { default: 'roster' } } });
    assert.deepEqual(summary(await (await other.login('juliet')).ask(GET)), ['roster', [], []]);
    await other.stop();
  });

  it('are answered with what holds now, and are the same for all devices', async () => {
    const garden = await host.login('juliet', 'garden');
    const wanted = ['never', ['romeo@example.net', 'example.com'], ['tybalt@example.net/street']];
    const answer = await juliet.ask(
      set('never', asText(['Romeo@Example.NET', 'romeo@example.net', ' example.com '], ['tybalt@example.net/street'])),
    );
    assert.deepEqual(summary(answer), wanted);
    assert.deepEqual(summary(await garden.ask(GET)), wanted);
  });

  it('are replaced as a whole: a list that is missing is empty', async () => {
    await juliet.ask(set('roster', asText(['a@example.net'], ['b@example.net'])));
    await juliet.ask(set('always', list('never', ['c@example.net'])));
    assert.deepEqual(summary(await juliet.ask(GET)), ['always', [], ['c@example.net']]);
    await juliet.ask(set('always'));
    assert.deepEqual(summary(await juliet.ask(GET)), ['always', [], []]);
  });

  it('take the order in which they were set, also when nobody waits for the answer', async () => {
    for (const policy of ['never', 'roster', 'always'])
      juliet.send(set(policy, list('never', [`${policy}@example.net`])).replace('<iq', `<iq id='${policy}'`));
    for (const policy of ['never', 'roster', 'always']) assert.equal((await juliet.receive('iq')).attrs['id'], policy);
    assert.deepEqual(summary(await juliet.ask(GET)), ['always', [], ['always@example.net']]);
  });

  it('end with the account', async () => {
    await juliet.ask(set('never', list('always', ['romeo@example.net'])));
    await host.host.accounts.delete('juliet');
    assert.deepEqual(summary(await (await host.login('juliet')).ask(GET)), ['always', [], []]);
  });

  const many = Array.from({ length: 1001 }, (_, i) => `a${i}@b`);
  const tooLong = `${'a'.repeat(1000)}@${'b'.repeat(60)}.example`;
  for (const [what, iq, condition] of [
    ['no default', `<iq type='set'><prefs xmlns='${NS}'/></iq>`, 'bad-request'],
    ['an unknown default', set('sometimes'), 'bad-request'],
    ['a default in other letters', set('Always'), 'bad-request'],
    ['a property of objects as default', set('constructor'), 'bad-request'],
    ['what is no address', set('always', list('never', ['a b@example.net'])), 'jid-malformed'],
    ['an empty address', set('always', list('never', [''])), 'jid-malformed'],
    ['an address that is too long', set('always', list('never', [tooLong])), 'not-acceptable'],
    ['an unknown list', set('always', list('maybe', [])), 'bad-request'],
    ['a list twice', set('always', `${list('never', [])}${list('never', ['a@b'])}`), 'bad-request'],
    ['an entry that is none', set('always', '<never><item>a@b</item></never>'), 'bad-request'],
    ['elements in an address', set('always', '<never><jid>a@b<jid>c@d</jid></jid></never>'), 'bad-request'],
    ['too many addresses', set('always', asText(many.slice(0, 501), many.slice(501))), 'resource-constraint'],
    [
      'lists that are too long together',
      set(
        'always',
        list(
          'never',
          many.slice(0, 200).map((jid) => `${'x'.repeat(400)}${jid}`),
        ),
      ),
      'resource-constraint',
    ],
  ] as const) {
    it(`refuse ${what}, and stay as they were`, async () => {
      await juliet.ask(set('roster', list('always', ['romeo@example.net'])));
      assert.equal(conditionOf(await juliet.ask(iq)), condition);
      assert.deepEqual(summary(await juliet.ask(GET)), ['roster', ['romeo@example.net'], []]);
    });
  }

  it('take what is in a namespace of others for a remark', async () => {
    const inner = "<always><jid>a@b</jid><note xmlns='urn:example'/></always><note xmlns='urn:example'/>";
    assert.deepEqual(summary(await juliet.ask(set('never', inner))), ['never', ['a@b'], []]);
  });

  it('are nobody else’s business', async () => {
    const romeo = await host.login('romeo');
    for (const iq of [GET, set('never')])
      assert.equal(conditionOf(await romeo.ask(iq.replace('<iq', "<iq to='juliet@example.org'"))), 'forbidden');
    assert.deepEqual(summary(await juliet.ask(GET)), ['always', [], []]);
  });
});

describe('mam: whom preferences are about (XEP-0441 section 2.3)', () => {
  let storage: Storage;
  let store: MapStore<StoredPreferences>;

  beforeEach(async () => {
    storage = await openStorage({ type: 'memory' }, silent);
    ({ preferences: store } = await storage.open('example.org', 'mam', { preferences: mapStore<StoredPreferences>() }));
  });
  afterEach(() => storage.close());

  const open = (policy: Policy = 'always', keepFor = 0) =>
    new Preferences({ store, cache: (_name, load, max = 10) => new Cache(max, load), policy, keepFor });
  const save = (value: Partial<StoredPreferences>) =>
    store.update('juliet', new Map([['preferences', { always: [], never: [], ...value }]]));
  const nobody = () => false;

  for (const [what, lists, jid, isWanted] of [
    ['a bare JID means all its resources', { never: ['romeo@example.net'] }, 'romeo@example.net/orchard', false],
    ['and itself', { never: ['romeo@example.net'] }, 'romeo@example.net', false],
    ['a full JID means that resource', { never: ['romeo@example.net/orchard'] }, 'romeo@example.net/orchard', false],
    ['and no other', { never: ['romeo@example.net/orchard'] }, 'romeo@example.net/Orchard', true],
    ['nor the bare one', { never: ['romeo@example.net/orchard'] }, 'romeo@example.net', true],
    ['a domain means itself', { never: ['example.net'] }, 'example.net/x', false],
    ['and not its users', { never: ['example.net'] }, 'romeo@example.net', true],
    ['what is on both lists is not kept', { always: ['a@b'], never: ['a@b'] }, 'a@b', false],
    ['a full JID goes before a bare one', { always: ['a@b/c'], never: ['a@b'] }, 'a@b/c', true],
    ['whichever list it is on', { always: ['a@b'], never: ['a@b/c'] }, 'a@b/c', false],
    ['always goes before the default', { policy: 'never', always: ['a@b'] }, 'a@b/d', true],
    ['the default is for all others', { policy: 'never', always: ['a@b'] }, 'c@d', false],
  ] as const) {
    it(`${what}: ${JSON.stringify(lists)}, ${jid}`, async () => {
      await save(lists);
      assert.equal(await open().isWanted('juliet', Jid.parse(jid), nobody), isWanted);
    });
  }

  it('asks for contacts where the default is roster, and only for those on neither list', async () => {
    await save({ policy: 'roster', always: ['a@b'], never: ['c@d'] });
    const preferences = open();
    let asked = 0;
    const judge = (jid: string, isContact: boolean) =>
      preferences.isWanted('juliet', Jid.parse(jid), () => {
        asked++;
        return isContact;
      });
    assert.deepEqual([await judge('a@b', false), await judge('c@d', true), asked], [true, false, 0]);
    assert.deepEqual([await judge('e@f', true), await judge('e@f', false), asked], [true, false, 2]);
  });

  it('takes the host’s default for those who have chosen none, whatever it is now', async () => {
    await save({ keepFor: DAY });
    for (const [policy, isWanted] of [
      ['always', true],
      ['never', false],
    ] as const) {
      assert.equal(await open(policy).isWanted('juliet', Jid.parse('a@b'), nobody), isWanted);
    }
  });

  it('answers at once what is in memory', async () => {
    const preferences = open();
    await preferences.isWanted('juliet', Jid.parse('a@b'), nobody);
    assert.equal(preferences.isWanted('juliet', Jid.parse('a@b'), nobody), true);
    await preferences.configure('juliet', 'never', undefined);
    assert.equal(preferences.isWanted('juliet', Jid.parse('a@b'), nobody), false);
  });

  it('keeps messages as long as the host or the user says, whichever is shorter', async () => {
    for (const [own, ofHost, wanted] of [
      [undefined, 0, 0],
      [undefined, 9, 9],
      [5, 0, 5],
      [5, 9, 5],
      [9, 5, 5],
    ] as const) {
      await save(own === undefined ? {} : { keepFor: own });
      assert.equal(await open('always', ofHost).keepFor('juliet'), wanted, `${own} of ${ofHost}`);
    }
    assert.equal(await open('always', 7).keepFor('nobody'), 7);
  });

  it('takes changes in the order in which they came, each on top of the one before', async () => {
    const preferences = open();
    await Promise.all([
      preferences.configure('juliet', 'never', DAY),
      preferences.configure('juliet', 'roster', 2 * DAY),
      preferences.configure('juliet', 'always', 3 * DAY),
    ]);
    assert.deepEqual(await store.get('juliet', 'preferences'), { policy: 'always', always: [], never: [], keepFor: 3 * DAY });
  });

  it('goes on after a change that could not be stored', async () => {
    const preferences = open();
    const update = store.update.bind(store);
    let isBroken = true;
    store.update = (owner, changes) => (isBroken ? Promise.reject(new Error('full')) : update(owner, changes));
    await assert.rejects(preferences.configure('juliet', 'never', DAY), /full/);
    assert.equal(await preferences.policyOf('juliet'), 'always');
    isBroken = false;
    await preferences.configure('juliet', 'roster', undefined);
    assert.equal(await preferences.policyOf('juliet'), 'roster');
  });
});

describe('mam: the command to configure an archive (XEP-0441 section 2.2)', () => {
  const NS_COMMANDS = 'http://jabber.org/protocol/commands';
  const NODE = 'urn:xmpp:mam#configure';
  let host: TestHost;
  let juliet: Probe;

  async function begin(keepFor: string | number = 0): Promise<void> {
    host = await startHost([roster, commands, mam], { modules: { mam: { keepFor } } });
    juliet = await host.login('juliet', 'balcony');
  }
  afterEach(() => host.stop());

  const run = (inner = '', session = '') =>
    juliet.ask(
      `<iq type='set' to='example.org'><command xmlns='${NS_COMMANDS}' node='${NODE}' ${session}>${inner}</command></iq>`,
    );
  const field = (name: string, value: string) => `<field var='${name}'><value>${value}</value></field>`;

  async function fill(policy: string, days: string): Promise<Element> {
    const { sessionid } = payloadOf(await run()).attrs;
    const fields = `${field('default', policy)}${field('days', days)}`;
    return run(`<x xmlns='jabber:x:data' type='submit'>${fields}</x>`, `sessionid='${sessionid}' action='complete'`);
  }

  /** What the form shows: the default, and the days. */
  async function shown(): Promise<readonly (string | null | undefined)[]> {
    const form = payloadOf(await run()).getChild('x', 'jabber:x:data')!;
    const value = (name: string) => form.getChildByAttr('var', name)?.getChildText('value');
    assert.equal(value('FORM_TYPE'), NODE);
    return [value('default'), value('days')];
  }
  const note = (answer: Element) => payloadOf(answer).getChildText('note');

  it('shows what holds, and changes it for the account that asks', async () => {
    await begin();
    assert.deepEqual(await shown(), ['always', null]);
    await juliet.ask(set('never', list('never', ['tybalt@example.net'])));
    assert.equal(note(await fill('roster', '30')), 'Saved. Messages are kept for 30 days.');
    assert.deepEqual(await shown(), ['roster', '30']);
    assert.deepEqual(summary(await juliet.ask(GET)), ['roster', [], ['tybalt@example.net']]);
    await juliet.ask(set('always'));
    assert.deepEqual(await shown(), ['always', '30']);
    assert.equal(note(await fill('always', '')), 'Saved. Messages are kept for ever.');
    assert.deepEqual(await shown(), ['always', null]);
    const romeo = juliet;
    juliet = await host.login('romeo');
    assert.deepEqual(await shown(), ['always', null]);
    juliet = romeo;
  });

  it('offers a choice of what to keep', async () => {
    await begin();
    const form = payloadOf(await run()).getChild('x', 'jabber:x:data')!;
    const options = form.getChildByAttr('var', 'default')!.getChildren('option');
    assert.deepEqual(
      options.map((option) => option.getChildText('value')),
      ['always', 'never', 'roster'],
    );
  });

  it('keeps nothing for longer than the host does', async () => {
    await begin('10d');
    assert.equal(conditionOf(await fill('always', '11')), 'bad-request');
    assert.equal(note(await fill('always', '1')), 'Saved. Messages are kept for one day.');
    assert.equal(note(await fill('always', ' ')), 'Saved. Messages are kept for 10 days.');
    assert.deepEqual(await shown(), ['always', null]);
  });

  it('has no days to choose where the host keeps nothing for a whole one', async () => {
    await begin('1h');
    assert.equal(conditionOf(await fill('always', '1')), 'bad-request');
    assert.equal(note(await fill('always', '')), 'Saved. Messages are kept for less than a day.');
  });

  it('refuses answers that are none', async () => {
    await begin();
    for (const [policy, days] of [
      ['', '1'],
      ['sometimes', '1'],
      ['__proto__', ''],
      ['always', '0'],
      ['always', '-1'],
      ['always', '1.5'],
      ['always', '1e3'],
      ['always', '99999999999999999999'],
      ['always', 'soon'],
    ] as const)
      assert.equal(conditionOf(await fill(policy, days)), 'bad-request', `${policy} ${days}`);
    assert.deepEqual(await shown(), ['always', null]);
  });
});
