import assert from 'node:assert/strict';
import privateStorage from '../../../modules/private/index.ts';
import { conditionOf, payloadOf } from '../../support/answers.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'jabber:iq:private';

describe('private', () => {
  let host: TestHost;
  beforeEach(async () => {
    host = await startHost([privateStorage], { modules: { private: { maxItems: 3, maxBytes: '1KiB' } } });
  });
  afterEach(() => host.stop());

  const get = (inner: string) => `<iq type='get'><query xmlns='${NS}'>${inner}</query></iq>`;
  const set = (inner: string) => `<iq type='set'><query xmlns='${NS}'>${inner}</query></iq>`;

  it('keeps an element by its namespace and gives it back (XEP-0049 section 2)', async () => {
    const hamlet = await host.online('hamlet');
    const reply = await hamlet.ask(set("<exodus xmlns='exodus:prefs'><defaultnick>Hamlet &lt;3</defaultnick></exodus>"));
    assert.deepEqual([reply.attrs['type'], reply.children], ['result', []]);
    const query = payloadOf(await hamlet.ask(get("<exodus xmlns='exodus:prefs'/>")));
    assert.equal(query.getNS(), NS);
    assert.equal(query.getChild('exodus', 'exodus:prefs')?.getChildText('defaultnick'), 'Hamlet <3');
  });

  it('gives back the question when nothing was kept', async () => {
    const hamlet = await host.online('hamlet');
    const query = payloadOf(await hamlet.ask(get("<storage xmlns='storage:bookmarks'/>")));
    assert.deepEqual(query.getChild('storage', 'storage:bookmarks')?.children, []);
  });

  it('takes several at once, and tells names and namespaces apart', async () => {
    const hamlet = await host.online('hamlet');
    await hamlet.ask(set("<a xmlns='urn:1'>one</a><a xmlns='urn:2'>two</a><b xmlns='urn:1'>three</b>"));
    assert.equal(payloadOf(await hamlet.ask(get("<a xmlns='urn:2'/>"))).getChildText('a'), 'two');
    assert.equal(payloadOf(await hamlet.ask(get("<b xmlns='urn:1'/>"))).getChildText('b'), 'three');
  });

  it('is shared by the clients of an account, and by nobody else', async () => {
    const one = await host.online('hamlet', 'one');
    const two = await host.online('hamlet', 'two');
    const macbeth = await host.online('macbeth');
    await one.ask(set("<x xmlns='urn:x'>secret</x>"));
    assert.equal(payloadOf(await two.ask(get("<x xmlns='urn:x'/>"))).getChildText('x'), 'secret');
    assert.equal(payloadOf(await macbeth.ask(get("<x xmlns='urn:x'/>"))).getChildText('x'), '');
  });

  for (const type of ['get', 'set']) {
    it(`refuses to ${type} what is another's, whether there is such an account or not (XEP-0049 section 2.3)`, async () => {
      const hamlet = await host.online('hamlet');
      const macbeth = await host.online('macbeth');
      await hamlet.ask(set("<x xmlns='urn:x'>secret</x>"));
      for (const to of ['hamlet@example.org', 'nobody@example.org']) {
        const reply = await macbeth.ask(`<iq type='${type}' to='${to}'><query xmlns='${NS}'><x xmlns='urn:x'/></query></iq>`);
        assert.equal(conditionOf(reply), 'forbidden');
      }
      assert.equal(payloadOf(await hamlet.ask(get("<x xmlns='urn:x'/>"))).getChildText('x'), 'secret');
    });
  }

  for (const [what, iq, wanted] of [
    ['a question about nothing', get(''), 'bad-request'],
    ['a question about two things', get("<a xmlns='urn:1'/><b xmlns='urn:1'/>"), 'bad-request'],
    ['nothing to keep', set(''), 'not-acceptable'],
    ['text alone', set('hello'), 'not-acceptable'],
    ['an element without a namespace of its own', set('<a>x</a>'), 'not-acceptable'],
    ['no namespace at all', set("<a xmlns=''>x</a>"), 'not-acceptable'],
    ['jabber:iq:auth', set("<query xmlns='jabber:iq:auth'/>"), 'not-acceptable'],
    ['http://jabber.org/protocol/muc', set("<x xmlns='http://jabber.org/protocol/muc'>1</x>"), 'not-acceptable'],
    ['vcard-temp', set("<vCard xmlns='vcard-temp'>1</vCard>"), 'not-acceptable'],
    ['a reserved namespace among others', set("<a xmlns='urn:1'>1</a><b xmlns='jabber:x'>2</b>"), 'not-acceptable'],
    ['a very long namespace', set(`<a xmlns='urn:${'x'.repeat(2000)}'>1</a>`), 'not-acceptable'],
    ['a prefix that is declared nowhere within', get("<a xmlns='jabber:iq:private'/>"), 'not-acceptable'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const hamlet = await host.online('hamlet');
      assert.equal(conditionOf(await hamlet.ask(iq)), wanted);
      assert.equal(payloadOf(await hamlet.ask(get("<a xmlns='urn:1'/>"))).getChildText('a'), '');
    });
  }

  for (const name of ['__proto__', 'constructor', 'toString']) {
    it(`keeps an element named ${name} like any other`, async () => {
      const hamlet = await host.online('hamlet');
      assert.equal(payloadOf(await hamlet.ask(get(`<${name} xmlns='${name}'/>`))).getChildText(name), '');
      await hamlet.ask(set(`<${name} xmlns='${name}'>kept</${name}>`));
      assert.equal(payloadOf(await hamlet.ask(get(`<${name} xmlns='${name}'/>`))).getChildText(name), 'kept');
    });
  }

  it('holds no more than it should, but what is there can be changed and made less', async () => {
    const hamlet = await host.online('hamlet');
    for (const i of [1, 2, 3]) await hamlet.ask(set(`<x xmlns='urn:${i}'>${i}</x>`));
    assert.equal(conditionOf(await hamlet.ask(set("<x xmlns='urn:4'>4</x>"))), 'resource-constraint');
    assert.equal(conditionOf(await hamlet.ask(set(`<x xmlns='urn:1'>${'x'.repeat(1100)}</x>`))), 'resource-constraint');
    assert.equal((await hamlet.ask(set("<x xmlns='urn:1'>2</x>"))).attrs['type'], 'result');
    assert.equal((await hamlet.ask(set("<x xmlns='urn:2'/>"))).attrs['type'], 'result');
    assert.equal((await hamlet.ask(set("<x xmlns='urn:4'>4</x>"))).attrs['type'], 'result');
  });
});
