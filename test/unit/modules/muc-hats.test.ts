import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import commands from '../../../modules/commands/index.ts';
import mucHats from '../../../modules/muc-hats/index.ts';
import type { Probe } from '../../support/probe.ts';
import { codesIn, errorIn, LOUNGE, RoomScene, SERVICE } from '../../support/room-scene.ts';

const NS = 'http://jabber.org/protocol/commands';
const NS_HATS = 'urn:xmpp:hats:0';
const DATA = 'jabber:x:data';
const TEACHER = 'http://tech.example.edu/hats#Teacher';
const PROCTOR = 'urn:example:proctor';

type Fields = Readonly<Record<string, string>>;

async function begin(probe: Probe, name: string): Promise<Element> {
  const answer = await probe.ask(
    `<iq type='set' to='${LOUNGE}'><command xmlns='${NS}' node='urn:xmpp:hats:commands:${name}' action='execute'/></iq>`,
  );
  return answer;
}

function command(name: string, attrs: string, fields: Fields): string {
  const written = Object.entries(fields).map(([name, value]) => `<field var='hats#${name}'><value>${value}</value></field>`);
  return (
    `<iq type='set' to='${LOUNGE}'><command xmlns='${NS}' node='urn:xmpp:hats:commands:${name}' ${attrs}>` +
    `<x xmlns='${DATA}' type='submit'>${written.join('')}</x></command></iq>`
  );
}

/** Runs a command to its end; returns `completed`, or what went wrong. */
async function run(probe: Probe, name: string, fields: Fields): Promise<string> {
  const first = await begin(probe, name);
  const error = errorIn(first);
  if (error) return error;
  const id = first.getChild('command', NS)!.attrs['sessionid'];
  const answer = await probe.ask(command(name, `sessionid='${id}'`, fields));
  return errorIn(answer) ?? String(answer.getChild('command', NS)!.attrs['status']);
}

function rows(answer: Element): string[][] {
  const items = answer.getChild('command', NS)!.getChild('x', DATA)!.getChildren('item');
  return items.map((item) => item.getChildren('field').map((field) => `${field.attrs['var']}=${field.getChildText('value')}`));
}

function worn(presence: Element | undefined): string[] | undefined {
  return presence
    ?.getChild('hats', NS_HATS)
    ?.getChildren('hat')
    .map(({ attrs }) => [attrs['title'], attrs['uri'], attrs['hue']].filter((each) => each !== undefined).join(' '));
}

const of = (nick: string, stanzas: readonly Element[]): Element | undefined =>
  stanzas.findLast(({ name, attrs }) => name === 'presence' && attrs['from'] === `${LOUNGE}/${nick}`);

async function hash(probe: Probe): Promise<string | undefined> {
  const answer = await probe.ask(`<iq type='get' to='${LOUNGE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  const query = answer.getChild('query')!;
  assert(query.getChildren('feature').some(({ attrs }) => attrs['var'] === NS_HATS));
  const field = query
    .getChild('x', DATA)!
    .getChildren('field')
    .find(({ attrs }) => attrs['var'] === 'hats#hash');
  return field?.getChildText('value') ?? undefined;
}

describe('hats', () => {
  let scene: RoomScene;
  let keeper: Probe;

  async function start(options: Parameters<typeof RoomScene.start>[0] = {}): Promise<void> {
    scene = await RoomScene.start({ more: [commands, mucHats], ...options });
    keeper = await scene.client('keeper');
  }

  afterEach(() => scene.stop());

  it('are made, changed, listed and destroyed', async () => {
    await start();
    await scene.room();
    assert.equal(await hash(keeper), undefined);
    assert.equal(await run(keeper, 'create', { title: 'Teacher', uri: TEACHER, hue: '327.255249' }), 'completed');
    assert.equal(await run(keeper, 'create', { title: 'Proctor', uri: PROCTOR }), 'completed');
    const first = await hash(keeper);
    assert.match(first!, /^[0-9a-f]{40}$/);
    assert.deepEqual(rows(await begin(keeper, 'list')), [
      ['hats#title=Teacher', `hats#uri=${TEACHER}`, 'hats#hue=327.255249'],
      ['hats#title=Proctor', `hats#uri=${PROCTOR}`],
    ]);

    assert.equal(await run(keeper, 'create', { title: 'Professor', uri: TEACHER }), 'completed');
    assert.notEqual(await hash(keeper), first, 'another title, another hash');
    assert.deepEqual(rows(await begin(keeper, 'list'))[0], ['hats#title=Professor', `hats#uri=${TEACHER}`], 'in its place');
    const options = (await begin(keeper, 'destroy')).getChild('command')!.getChild('x', DATA)!.getChildren('field');
    const choice = options.find(({ attrs }) => attrs['var'] === 'hats#uri')!;
    assert.deepEqual(
      choice.getChildren('option').map((each) => each.getChildText('value')),
      [TEACHER, PROCTOR],
    );

    assert.equal(await run(keeper, 'destroy', { uri: TEACHER }), 'completed');
    assert.equal(await run(keeper, 'destroy', { uri: PROCTOR }), 'completed');
    assert.equal(await run(keeper, 'destroy', { uri: PROCTOR }), 'item-not-found/cancel');
    assert.equal(await hash(keeper), undefined);
  });

  it('are taken off and destroyed in one step by who knows them already (sections 3.3 and 3.6)', async () => {
    await start();
    await scene.room();
    const guest = await scene.client('guest');
    await scene.enter(guest);
    await run(keeper, 'create', { title: 'Teacher', uri: TEACHER });
    const once = async (probe: Probe, name: string, fields: Fields): Promise<string> => {
      const answer = await probe.ask(command(name, "action='execute'", fields));
      return errorIn(answer) ?? String(answer.getChild('command', NS)!.attrs['status']);
    };
    const worn = async () => rows(await begin(keeper, 'list-assigned')).length;
    assert.equal(await once(keeper, 'assign', { jid: 'guest@example.org', uri: TEACHER }), 'completed');
    assert.equal(await worn(), 1);
    assert.equal(await once(guest, 'unassign', { jid: 'guest@example.org', uri: TEACHER }), 'forbidden/cancel');
    assert.equal(await once(keeper, 'unassign', { uri: TEACHER }), 'bad-request/modify');
    assert.equal(await worn(), 1);
    assert.equal(await once(keeper, 'unassign', { jid: 'guest@example.org', uri: TEACHER }), 'completed');
    assert.equal(await worn(), 0);
    assert.equal(await once(keeper, 'destroy', { uri: PROCTOR }), 'item-not-found/cancel');
    assert.equal(await once(keeper, 'destroy', { uri: TEACHER }), 'completed');
    assert.deepEqual(rows(await begin(keeper, 'list')), []);
  });

  it('are seen with the presence of those who wear them, in the order they were made', async () => {
    await start();
    await scene.room();
    const [guest, late] = [await scene.client('guest'), await scene.client('late')];
    await scene.enter(keeper);
    await scene.enter(guest);
    await run(keeper, 'create', { title: 'Teacher', uri: TEACHER, hue: '12' });
    await run(keeper, 'create', { title: 'Proctor', uri: PROCTOR });
    await scene.hush();
    assert.deepEqual(guest.take().map(codesIn), [['104'], ['104']]);

    await run(keeper, 'assign', { jid: 'guest@example.org', uri: PROCTOR });
    await run(keeper, 'assign', { jid: 'guest@example.org/desk', uri: TEACHER });
    await scene.hush();
    const shown = [`Teacher ${TEACHER} 12`, `Proctor ${PROCTOR}`];
    assert.deepEqual(worn(of('guest', guest.take())), shown);
    assert.deepEqual(worn(of('guest', keeper.take())), shown);
    const told = await scene.enter(late);
    assert.deepEqual(worn(of('guest', told)), shown, 'also those who come later see them');
    assert.equal(worn(of('late', told)), undefined);

    await scene.hush(guest);
    await run(keeper, 'create', { title: 'Professor', uri: TEACHER });
    await scene.hush();
    assert.deepEqual(worn(of('guest', guest.take())), [`Professor ${TEACHER}`, `Proctor ${PROCTOR}`]);
    await run(keeper, 'unassign', { jid: 'guest@example.org', uri: PROCTOR });
    await scene.hush();
    assert.deepEqual(worn(of('guest', guest.take())), [`Professor ${TEACHER}`]);
    await run(keeper, 'destroy', { uri: TEACHER });
    await scene.hush();
    const last = of('guest', guest.take());
    assert(last);
    assert.equal(worn(last), undefined, 'nobody wears what is no more');
    assert.deepEqual(rows(await begin(keeper, 'list-assigned')), []);
  });

  it('are still there when the room has slept, and not in another of its name', async () => {
    await start({ muc: { maxIdle: 1, keepNames: '0s' } });
    const guest = await scene.client('guest');
    await scene.room();
    await run(keeper, 'create', { title: 'Teacher', uri: TEACHER });
    assert.equal(await run(keeper, 'assign', { jid: 'guest@example.org', uri: TEACHER }), 'completed');
    const known = await hash(keeper);
    const awake = await scene.rooms.find(scene.host.jid(LOUNGE));
    await scene.room({ name: 'another' });
    await keeper.ask(`<iq type='get' to='another@${SERVICE}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
    assert.notEqual(await scene.rooms.find(scene.host.jid(LOUNGE)), awake, 'it has slept');
    assert.deepEqual(worn(of('guest', await scene.enter(guest))), [`Teacher ${TEACHER}`]);
    assert.equal(await hash(keeper), known);

    await scene.rooms.destroy((await scene.rooms.find(scene.host.jid(LOUNGE)))!);
    await scene.hush(guest);
    await scene.room();
    assert.equal(worn(of('guest', await scene.enter(guest))), undefined);
    assert.equal(await hash(keeper), undefined);
  });

  it('are still on those who were in the room when the module is started again', async () => {
    await start();
    const [guest, late] = [await scene.client('guest'), await scene.client('late')];
    await scene.room();
    await scene.enter(guest);
    await run(keeper, 'create', { title: 'Teacher', uri: TEACHER });
    await run(keeper, 'assign', { jid: 'guest@example.org', uri: TEACHER });
    await scene.reload({ maxHistory: 7 });
    assert.deepEqual(worn(of('guest', await scene.enter(late))), [`Teacher ${TEACHER}`]);
  });

  it('are nothing that who gets the name of a deleted account would have', async () => {
    await start();
    await scene.room();
    await scene.client('guest');
    await run(keeper, 'create', { title: 'Teacher', uri: TEACHER });
    await run(keeper, 'assign', { jid: 'guest@example.org', uri: TEACHER });
    assert.deepEqual(rows(await begin(keeper, 'list-assigned')), [
      ['hats#jid=guest@example.org', `hats#uri=${TEACHER}`, 'hats#title=Teacher'],
    ]);
    await scene.host.host.accounts.delete('guest');
    assert.deepEqual(rows(await begin(keeper, 'list-assigned')), []);
  });

  it('are looked after by admins, and seen by those inside', async () => {
    await start();
    await scene.room({ people: { admin: 'admin', member: 'member' } });
    const [admin, member, moderator, stranger] = [
      await scene.client('admin'),
      await scene.client('member'),
      await scene.client('moderator'),
      await scene.client('stranger'),
    ];
    await scene.enter(moderator);
    scene.assign((await scene.rooms.find(scene.host.jid(LOUNGE)))!, 'moderator', 'moderator');
    assert.equal(await run(admin, 'create', { title: 'Teacher', uri: TEACHER }), 'completed');
    assert.equal(await run(admin, 'assign', { jid: 'member@example.org', uri: TEACHER }), 'completed');
    for (const probe of [member, moderator, stranger]) {
      for (const name of ['create', 'destroy', 'assign', 'unassign']) {
        assert.equal(
          await run(probe, name, { title: 'X', uri: TEACHER, jid: probe.jid }),
          'forbidden/cancel',
          `${probe.jid} ${name}`,
        );
      }
    }
    assert.equal(rows(await begin(member, 'list')).length, 1);
    assert.equal(errorIn(await begin(stranger, 'list')), 'forbidden/cancel');
    // Who wears what tells who people are.
    assert.equal(rows(await begin(moderator, 'list-assigned')).length, 1);
    assert.equal(errorIn(await begin(member, 'list-assigned')), 'forbidden/cancel');
    assert.equal(errorIn(await begin(stranger, 'list-assigned')), 'forbidden/cancel');
  });

  it('are what they can be, and no more than there may be', async () => {
    await start({ modules: { 'muc-hats': { maxHats: 3, maxWorn: 2, maxWearers: 2 } } });
    await scene.room();
    const bad: Record<string, Fields> = {
      'no title': { title: ' ', uri: TEACHER },
      'a long title': { title: 'x'.repeat(101), uri: TEACHER },
      'a title that turns the text around': { title: 'Teacher\u202e', uri: TEACHER },
      'no URI': { title: 'X', uri: 'teacher' },
      'a URI with a space': { title: 'X', uri: 'urn:a b' },
      'a long URI': { title: 'X', uri: `urn:${'x'.repeat(300)}` },
      'no hue': { title: 'X', uri: TEACHER, hue: 'red' },
      'too much of a hue': { title: 'X', uri: TEACHER, hue: '361' },
      'less than nothing': { title: 'X', uri: TEACHER, hue: '-1' },
    };
    for (const [what, fields] of Object.entries(bad)) {
      assert.equal(await run(keeper, 'create', fields), 'not-acceptable/modify', what);
    }
    assert.equal(await run(keeper, 'create', { uri: TEACHER }), 'bad-request/modify');
    for (let i = 0; i < 3; i++) assert.equal(await run(keeper, 'create', { title: `${i}`, uri: `urn:hat:${i}` }), 'completed');
    assert.equal(await run(keeper, 'create', { title: '4', uri: 'urn:hat:4' }), 'resource-constraint/cancel');
    assert.equal(await run(keeper, 'create', { title: 'again', uri: 'urn:hat:2' }), 'completed', 'one that is there');

    const assign = (jid: string, n: number) => run(keeper, 'assign', { jid, uri: `urn:hat:${n}` });
    assert.equal(await assign('a@b@c', 0), 'jid-malformed/modify');
    assert.equal(await assign('elsewhere.example', 0), 'jid-malformed/modify');
    assert.equal(await assign('one@example.org', 7), 'item-not-found/cancel');
    assert.equal(await assign('one@example.org', 0), 'completed');
    assert.equal(await assign('one@example.org', 0), 'completed', 'once more changes nothing');
    assert.equal(await assign('one@example.org', 1), 'completed');
    assert.equal(await assign('one@example.org', 2), 'resource-constraint/cancel');
    assert.equal(await assign('__proto__@elsewhere.example', 0), 'completed');
    assert.equal(await assign('three@example.org', 0), 'resource-constraint/cancel');
    assert.equal(rows(await begin(keeper, 'list-assigned')).length, 3);
  });

  it('are changed one after the other, however many change them at once', async () => {
    await start();
    await scene.room();
    for (let i = 0; i < 5; i++) await run(keeper, 'create', { title: `${i}`, uri: `urn:hat:${i}` });
    const clients = await Promise.all([0, 1, 2, 3, 4].map((i) => scene.client('keeper', `r${i}`)));
    const done = await Promise.all(
      clients.map((client, i) => run(client, 'assign', { jid: 'guest@example.org', uri: `urn:hat:${i}` })),
    );
    assert.deepEqual(
      done,
      Array.from({ length: 5 }, () => 'completed'),
    );
    assert.equal(rows(await begin(keeper, 'list-assigned')).length, 5);
  });

  it('are not put on by those who only say so', async () => {
    await start();
    await scene.room();
    const guest = await scene.client('guest');
    await scene.enter(keeper);
    guest.send(
      `<presence to='${LOUNGE}/guest'><x xmlns='http://jabber.org/protocol/muc'/>` +
        `<hats xmlns='${NS_HATS}'><hat uri='${TEACHER}' title='Teacher'/></hats></presence>`,
    );
    await scene.hush();
    assert.equal(worn(of('guest', keeper.take())), undefined);
  });
});
