import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import mucMentions, { isMentioned } from '../../../modules/muc-mentions/index.ts';
import { hasWord, simplify } from '../../../modules/muc-mentions/words.ts';
import { readStanza } from '../../../src/index.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { codesIn, configure, errorIn, LOUNGE, RoomScene, say } from '../../support/room-scene.ts';

const NS = 'urn:xmpp:mentions:0';
const DATA = 'jabber:x:data';
const ALL = `<mention xmlns='${NS}' mentions='${NS}#channel'/>`;
const anna = { nick: 'Anna', occupantId: 'id-anna', bare: 'anna@example.org' };

/** Whether Anna is meant by a message in the lounge. */
function means(body: string, more = '', who: Partial<typeof anna & { isActive: boolean }> = {}): boolean {
  const stanza = readStanza(
    `<message xmlns='jabber:client' type='groupchat' from='${LOUNGE}/Bob'><body>${body}</body>${more}</message>`,
  );
  return isMentioned(stanza, { ...anna, ...who });
}

const mention = (attrs: string, inner = ''): string => `<mention xmlns='${NS}' ${attrs}>${inner}</mention>`;
const reference = (uri: string, type = 'mention'): string =>
  `<reference xmlns='urn:xmpp:reference:0' type='${type}' uri='${uri}'/>`;
const reply = (to: string): string => `<reply xmlns='urn:xmpp:reply:0' id='x' to='${to}'/>`;

describe('mentions', () => {
  it('are explicit (XEP-0513)', () => {
    assert(means('hey', mention("occupantid='id-anna'")));
    assert(means('hey', mention("jid='Anna@example.org/desk'")));
    assert(!means('hey', mention("occupantid='id-bob'")));
    assert(!means('hey', mention("occupantid='__proto__'")));
    assert(!means('hey', mention("jid='@@'")));
    assert(!means('hey', mention(`occupantid='id-anna' mentions='${NS}#owner'`)), 'a group is not a person');
    assert(!means('hey', "<mention xmlns='urn:xmpp:mentions:1' occupantid='id-anna'/>"));
  });

  it('of everybody in this room are of everybody', () => {
    assert(means('hey', ALL));
    assert(means('hey', mention(`mentions='${NS}#channel' uri='xmpp:${LOUNGE}?join'`)));
    assert(!means('hey', mention(`mentions='${NS}#channel' uri='xmpp:kitchen@conference.example.org'`)));
    assert(!means('hey', mention(`mentions='${NS}#channel' uri='%%%'`)));
    assert(!means('hey @all', mention(`mentions='${NS}#server' uri='xmpp:example.org'`)));
    assert(!means('@all @here'), 'these are only words');
  });

  it('may be for those who are about, and may want to disturb nobody', () => {
    const active = mention("occupantid='id-anna'", `<active xmlns='${NS}'/>`);
    assert(!means('hey', active));
    assert(means('hey', active, { isActive: true }));
    assert(!means('hey', mention(`mentions='${NS}#channel'`, '<active/>')));
    assert(means('hey', mention(`mentions='${NS}#channel'`, '<active/>'), { isActive: true }));
    const silent = mention("occupantid='id-anna' begin='0' end='4'", '<noping/>');
    assert(!means('Anna is not meant', silent));
    assert(means('Anna is not meant', mention("occupantid='id-bob'", '<noping/>')), 'somebody else is not');
    assert(means('Anna is meant', silent + mention("occupantid='id-anna'")));
    assert(!means('hey', mention(`mentions='${NS}#channel'`, '<noping/>')));
  });

  it('are references (XEP-0372)', () => {
    assert(means('hey', reference('xmpp:anna@example.org')));
    assert(means('hey', reference('xmpp:anna@example.org/desk?message')));
    assert(means('hey', reference(`xmpp:${LOUNGE}/Anna`)), 'by an address in the room');
    assert(means('hey', reference('xmpp:an%6ea@example.org')));
    assert(!means('hey', reference(`xmpp:${LOUNGE}/Bob`)));
    assert(!means('hey', reference('xmpp:kitchen@conference.example.org/Anna')), 'in another room');
    assert(!means('hey', reference('xmpp:anna@example.org', 'data')));
    for (const uri of ['', 'xmpp:', 'xmpp:%', 'xmpp:%00', 'mailto:anna@example.org', 'xmpp:@@@']) {
      assert(!means('hey', reference(uri)), uri);
    }
  });

  it('are replies (XEP-0461), but not by what is quoted in them', () => {
    assert(means('hey', reply(`${LOUNGE}/Anna`)));
    assert(!means('hey', reply(`${LOUNGE}/Bob`)));
    assert(!means('hey', reply(LOUNGE)));
    const fallback = (range: string): string =>
      `<fallback xmlns='urn:xmpp:fallback:0' for='urn:xmpp:reply:0'>${range}</fallback>`;
    const quoted = '&gt; Anna: 😀\nRight';
    assert(means(quoted, reply(`${LOUNGE}/Bob`)), 'nothing says that it is a quotation');
    assert(!means(quoted, reply(`${LOUNGE}/Bob`) + fallback("<body start='0' end='10'/>")));
    assert(means(`${quoted}, Anna`, reply(`${LOUNGE}/Bob`) + fallback("<body start='0' end='10'/>")));
    assert(!means(quoted, fallback('<body/>')), 'all of it');
    for (const range of ["<body start='-1' end='x'/>", "<body start='9' end='1'/>", "<body start='1e9' end='1e12'/>"])
      means(quoted, fallback(range));
  });

  it('are names that stand by themselves, in any script', () => {
    for (const text of ['Anna', 'anna: hi', 'hi, ANNA!', '@Anna', 'x\nAnna\ny', '(Anna)', 'Annabel and Anna', '😀Anna😀']) {
      assert(means(text), text);
    }
    for (const text of ['Annabel', 'Hanna', 'anna_', '9anna', 'Ann a', '', 'annaä', 'Anna\u0301']) assert(!means(text), text);
    const says = (text: string, nick: string): boolean => hasWord(simplify(text), simplify(nick));
    assert(says('привет, Жанна!', 'жанна'));
    assert(!says('Жаннами', 'Жанна'));
    assert(says('王小明你好', '王小明'), 'where words are not set apart');
    assert(says('Bob你好', 'bob'));
    assert(says('cafe\u0301 time', 'Caf\u00e9'), 'whatever form it has');
    assert(!says('𝔸𝔸nn', '𝔸'), 'a letter outside the basic plane is a letter');
    assert(says('𝔸 nn', '𝔸'));
    assert(says('what [a-z]+.*( then', '[a-z]+.*('), 'a nick is no pattern');
    assert(says('hm $& ?', '$&'));
    assert(!says('anything', ''));
  });

  it('cost little, whatever is sent', () => {
    const long = 'a'.repeat(200_000);
    assert(!means(long, '', { nick: 'aa' }));
    assert(!means('hey', mention("jid='x@y'").repeat(2000)));
    assert(!means('hey', reference(`xmpp:${'%41'.repeat(1000)}`).repeat(200)));
    const stanza = readStanza(`<message xmlns='jabber:client' from='${LOUNGE}/Bob'><body>${long}</body></message>`);
    for (let i = 0; i < 5000; i++) assert(!isMentioned(stanza, { ...anna, nick: `aa${'a'.repeat(i % 50)}` }));
  });
});

describe('mentions in rooms', () => {
  let scene: RoomScene;
  let keeper: Probe;
  let guest: Probe;

  async function start(people: Parameters<RoomScene['room']>[0] = {}): Promise<void> {
    scene = await RoomScene.start({ more: [mucMentions] });
    await scene.room(people);
    [keeper, guest] = [await scene.client('keeper'), await scene.client('guest')];
    await scene.enter(keeper);
    await scene.enter(guest);
    await scene.hush(keeper, guest);
  }

  /** What of a message is shown: mentions and references. */
  async function shown(from: Probe, more: string): Promise<string[]> {
    from.send(say('Hey', { more }));
    await settle();
    const message = keeper.take().find((stanza) => stanza.getChildText('body') === 'Hey')!;
    guest.take();
    return message
      .getChildElements()
      .filter(({ name }) => name === 'mention' || name === 'reference')
      .map(({ attrs }) => String(attrs['mentions'] ?? attrs['occupantid'] ?? attrs['uri']).replace(`${NS}#`, '#'));
  }

  const ask = (probe: Probe) => probe.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='${NS}'/></iq>`);
  const submit = (probe: Probe, fields: Record<string, string>, type = NS) => {
    const written = Object.entries({ FORM_TYPE: type, ...fields }).map(
      ([name, value]) => `<field var='${name}'><value>${value}</value></field>`,
    );
    return probe.ask(
      `<iq type='set' to='${LOUNGE}'><query xmlns='${NS}'><x xmlns='${DATA}' type='submit'>${written.join('')}</x></query></iq>`,
    );
  };
  const valuesIn = (form: Element | undefined): Record<string, string> =>
    Object.fromEntries(
      (form?.getChildren('field') ?? []).map((field) => [field.attrs['var'], field.getChildText('value') ?? '']),
    );

  afterEach(() => scene.stop());

  it('of everybody are taken out of what those say who may not make them', async () => {
    await start();
    assert.deepEqual(await shown(guest, ALL + mention("occupantid='x'")), ['x']);
    assert.deepEqual(await shown(keeper, ALL + mention("occupantid='x'")), ['#channel', 'x']);
    const silent = mention(`mentions='${NS}#channel'`, '<noping/>');
    assert.deepEqual(await shown(guest, silent), ['#channel'], 'which disturbs nobody');
    assert.deepEqual(await shown(guest, mention(`mentions='${NS}#channel' uri='xmpp:a@b'`)), ['#channel'], 'of another room');
    assert.deepEqual(await shown(guest, reference('xmpp:a@b', 'data')), ['xmpp:a@b']);
  });

  it('are none at all where there are too many', async () => {
    await start();
    const ten = mention("occupantid='x'").repeat(5) + reference('xmpp:a@b').repeat(5);
    assert.equal((await shown(guest, ten)).length, 10);
    assert.deepEqual(await shown(guest, ten + mention("occupantid='x'")), []);
    assert.deepEqual(await shown(guest, mention("occupantid='x'").repeat(4000)), []);
  });

  it('are made by whom the owners let make them (XEP-0513 section 4)', async () => {
    await start();
    const form = (await ask(guest)).getChild('query', NS)!.getChild('x', DATA)!;
    assert.equal(form.attrs['type'], 'form');
    const usual = { 'mentions#count': '10', 'mentions#individual': 'participants', 'mentions#channel': 'moderators' };
    assert.deepEqual(valuesIn(form), { FORM_TYPE: NS, ...usual });

    const answer = await submit(keeper, {
      'mentions#count': '2',
      'mentions#individual': 'moderators',
      'mentions#channel': 'participants',
    });
    assert.equal(answer.attrs['type'], 'result');
    await settle();
    const notices = guest.take();
    assert.deepEqual(notices.flatMap(codesIn), ['104']);
    const told = { 'mentions#count': '2', 'mentions#individual': 'moderators', 'mentions#channel': 'participants' };
    assert.deepEqual(valuesIn(notices.find((each) => each.getChild('x', DATA))!.getChild('x', DATA)), { FORM_TYPE: NS, ...told });
    keeper.take();
    assert.deepEqual(await shown(guest, ALL + mention("occupantid='x'")), ['#channel']);
    assert.deepEqual(await shown(guest, reference('xmpp:a@b') + reference('xmpp:a@b', 'data')), ['xmpp:a@b']);
    assert.deepEqual(await shown(keeper, ALL + mention("occupantid='x'").repeat(2)), []);

    await submit(keeper, { 'mentions#channel': 'none' });
    await settle();
    assert.deepEqual(
      valuesIn(
        guest
          .take()
          .find((each) => each.getChild('x', DATA))!
          .getChild('x', DATA),
      ),
      {
        FORM_TYPE: NS,
        'mentions#channel': 'none',
      },
    );
    const info = await guest.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    const query = info.getChild('query')!;
    const features = query.getChildren('feature').map(({ attrs }) => String(attrs['var']));
    assert(features.includes(NS) && features.includes(`${NS}#channel`));
    assert.equal(valuesIn(query.getChild('x', DATA))['mentions#channel'], 'none');

    keeper.send(configure({ '{parlance:rooms:1}who_may_mention_all': 'members' }).replace('<iq', "<iq id='c'"));
    await settle();
    assert.equal(
      valuesIn(
        guest
          .take()
          .find((each) => each.getChild('x', DATA))
          ?.getChild('x', DATA),
      )['mentions#channel'],
      'participants',
    );
  });

  it('are configured by owners only, with what can be', async () => {
    await start({ people: { admin: 'admin' } });
    const admin = await scene.client('admin');
    for (const probe of [guest, admin]) {
      assert.equal(errorIn(await submit(probe, { 'mentions#count': '1' })), 'forbidden/auth');
    }
    for (const fields of [
      { 'mentions#count': '-1' },
      { 'mentions#count': '101' },
      { 'mentions#count': 'many' },
      { 'mentions#channel': 'owners' },
      { 'mentions#channel': '__proto__' },
      { 'mentions#individual': '' },
    ]) {
      assert.equal(errorIn(await submit(keeper, fields)), 'not-acceptable/modify', JSON.stringify(fields));
    }
    assert.equal(errorIn(await submit(keeper, {}, 'urn:another')), 'bad-request/modify');
    const empty = await keeper.ask(`<iq type='set' to='${LOUNGE}'><query xmlns='${NS}'/></iq>`);
    assert.equal(errorIn(empty), 'bad-request/modify');
    assert.equal(valuesIn((await ask(keeper)).getChild('query', NS)!.getChild('x', DATA))['mentions#count'], '10');
  });
});

describe('mention notifications (XEP-0452)', () => {
  let scene: RoomScene;
  let speaker: Probe;
  let anna: Probe;

  async function start(wants = '1'): Promise<void> {
    scene = await RoomScene.start({ more: [mucMentions] });
    const room = await scene.room({ people: { anna: 'member', speaker: 'member', shy: 'member' } });
    [speaker, anna] = [await scene.client('speaker'), await scene.client('anna')];
    const keeper = await scene.client('keeper');
    await keeper.ask(configure({ 'muc#roomconfig_forwardmentions': wants }));
    await room.affiliate(new Map([['anna@example.org', { affiliation: 'member', nick: 'Anna' }]]));
    await scene.enter(speaker);
    await scene.hush(speaker, anna);
  }

  async function forwarded(text: string, more = ''): Promise<string[]> {
    speaker.send(say(text, { more }));
    await settle();
    return anna.take().map((stanza) => {
      assert.equal(stanza.attrs['from'], LOUNGE);
      const message = stanza.getChild('mentions', 'urn:xmpp:mmn:0')!.getChild('forwarded', 'urn:xmpp:forward:0')!;
      assert(message.getChild('delay', 'urn:xmpp:delay'));
      const original = message.getChild('message', 'jabber:client')!;
      assert.deepEqual([original.attrs['from'], original.attrs['to']], [`${LOUNGE}/speaker`, LOUNGE]);
      assert.equal(original.getChild('stanza-id', 'urn:xmpp:sid:0')!.attrs['by'], LOUNGE);
      return original.getChildText('body')!;
    });
  }

  afterEach(() => scene.stop());

  it('go to members with a nick who are not there', async () => {
    await start();
    assert.deepEqual(await forwarded('Anna?'), ['Anna?']);
    assert.deepEqual(await forwarded('You', reference('xmpp:anna@example.org')), ['You']);
    const id = (await scene.rooms.find(scene.host.jid(LOUNGE)))!.occupantId('anna@example.org');
    assert.deepEqual(await forwarded('And you', mention(`occupantid='${id}'`)), ['And you']);
    assert.deepEqual(await forwarded('Nobody'), []);
    assert.deepEqual(await forwarded('Anna', "<replace xmlns='urn:xmpp:message-correct:0' id='Anna?'/>"), []);
    await scene.enter(anna, { nick: 'Anna' });
    speaker.send(say('Anna!'));
    await settle();
    assert.deepEqual(
      anna.take().map((stanza) => stanza.getChildText('body')),
      ['Anna!'],
      'she hears it herself',
    );
  });

  it('are sent only where the owners want it', async () => {
    await start('0');
    assert.deepEqual(await forwarded('Anna?'), []);
  });

  it('go to nobody who has registered no nick, has been banned, or is only one of all', async () => {
    await start();
    const shy = await scene.client('shy');
    await scene.hush(shy);
    await forwarded('shy', reference('xmpp:shy@example.org'));
    await shy.quiet();
    const keeper = await scene.client('keeper');
    await scene.enter(keeper);
    keeper.send(say('Everybody', { more: ALL }));
    await settle();
    await anna.quiet();
    const room = (await scene.rooms.find(scene.host.jid(LOUNGE)))!;
    await scene.rooms.affiliate(room, undefined, [{ jid: scene.host.jid('anna@example.org'), affiliation: 'outcast' }]);
    await scene.hush(anna);
    assert.deepEqual(await forwarded('Anna?'), []);
  });

  it('go to no more than a message may mention', async () => {
    await start();
    const room = (await scene.rooms.find(scene.host.jid(LOUNGE)))!;
    const members = Array.from({ length: 50 }, (_, i) => `m${i}`);
    await room.affiliate(new Map(members.map((name) => [`${name}@example.org`, { affiliation: 'member', nick: name }])));
    const clients = [];
    for (const name of members) clients.push(await scene.client(name));
    await scene.hush(...clients);
    speaker.send(say(members.join(' ')));
    await settle();
    assert.equal(clients.flatMap((client) => client.take()).length, 10);
  });
});
