import assert from 'node:assert/strict';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { conditionOf, subscribe } from '../../support/answers.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// RFC 6121 section 4.6: presence for somebody in particular, such as a room.

const ROOM = 'verona@elsewhere.example/juliet';

describe('directed presence (RFC 6121 section 4.6)', () => {
  let host: TestHost;
  let juliet: Probe;
  let there: Elsewhere;

  beforeEach(async () => {
    host = await startHost([roster, presence], { modules: { presence: { maxDirected: 3 } } });
    there = new Elsewhere(host, 'elsewhere.example');
    juliet = await host.online('juliet', 'balcony');
  });
  afterEach(() => host.stop());

  async function arrived(): Promise<readonly string[]> {
    return (await there.take()).map(({ attrs }) => `${attrs['to']} ${attrs['type'] ?? 'available'}`);
  }

  function join(to = ROOM): void {
    juliet.send(`<presence to='${to}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
  }

  it('goes where it is sent, as it is', async () => {
    join();
    const [stanza] = await there.take();
    assert.deepEqual([stanza!.attrs['from'], stanza!.attrs['to']], [juliet.jid, ROOM]);
    assert(stanza!.getChild('x', 'http://jabber.org/protocol/muc'));
  });

  it('is not followed by what the client says to all', async () => {
    join();
    await there.take();
    juliet.send('<presence><show>away</show></presence>');
    assert.deepEqual(await arrived(), []);
  });

  for (const [how, go] of [
    ['says that it is unavailable', () => juliet.send("<presence type='unavailable'><status>gone</status></presence>")],
    ['closes its stream', () => juliet.leave()],
    ['loses its line', () => juliet.drop()],
  ] as const) {
    it(`is taken back when the client ${how} (section 4.6.3, rule 2)`, async () => {
      join();
      await there.take();
      go();
      assert.deepEqual(await arrived(), [`${ROOM} unavailable`]);
    });
  }

  it('is taken back also from a client that was never available to all (rule 3)', async () => {
    const hall = await host.login('juliet', 'hall');
    hall.send(`<presence to='${ROOM}'/>`);
    await there.take();
    hall.drop();
    assert.deepEqual(await arrived(), [`${ROOM} unavailable`]);
  });

  it('is not taken back twice: the client has done it itself', async () => {
    join();
    juliet.send(`<presence to='${ROOM}' type='unavailable'/>`);
    await there.take();
    juliet.drop();
    assert.deepEqual(await arrived(), []);
  });

  it('is not taken back from who has answered with an error', async () => {
    join();
    await there.take();
    await there.send(`<presence type='error' from='${ROOM}' to='${juliet.jid}'><error type='cancel'/></presence>`);
    assert.equal((await juliet.receive('presence')).attrs['type'], 'error');
    juliet.drop();
    assert.deepEqual(await arrived(), []);
  });

  it('to a subscriber changes nothing: they are told like all others (rule 1)', async () => {
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    juliet.send("<presence to='romeo@example.org'><show>chat</show></presence>");
    await settle();
    assert.equal(romeo.take().length, 1);
    juliet.send('<presence><show>away</show></presence>');
    await settle();
    assert.equal(romeo.take().length, 1);
    juliet.drop();
    await settle();
    assert.deepEqual(
      romeo.take().map(({ attrs }) => attrs['type']),
      ['unavailable'],
    );
  });

  it('to a subscriber from a client that is not available to all is taken back, too (rule 3)', async () => {
    const romeo = await host.online('romeo', 'orchard');
    await subscribe(romeo, juliet);
    const hall = await host.login('juliet', 'hall');
    hall.send("<presence to='romeo@example.org/orchard'/>");
    hall.drop();
    await settle();
    assert.deepEqual(
      romeo.take().map(({ attrs }) => [attrs['from'], attrs['type']]),
      [
        ['juliet@example.org/hall', undefined],
        ['juliet@example.org/hall', 'unavailable'],
      ],
    );
  });

  it('to one client of an account is not seen by its others', async () => {
    const romeo = await host.online('romeo', 'orchard');
    const street = await host.online('romeo', 'street');
    romeo.take();
    juliet.send("<presence to='romeo@example.org/street'/>");
    await street.receive('presence');
    await romeo.quiet();
  });

  it('to oneself reaches the own clients and is not kept in mind', async () => {
    const garden = await host.online('juliet', 'garden');
    juliet.take();
    juliet.send("<presence to='juliet@example.org'/>");
    await garden.receive('presence');
    juliet.send("<presence to='juliet@example.org/garden'/>");
    await garden.receive('presence');
    juliet.drop();
    await settle();
    assert.equal(garden.take().length, 1);
  });

  it('to more than allowed is refused, and possible again once others are told that one is gone', async () => {
    for (const name of ['a', 'b', 'c']) join(`${name}@elsewhere.example/x`);
    join('a@elsewhere.example/x');
    await there.take();
    join('d@elsewhere.example/x');
    assert.equal(conditionOf(await juliet.receive('presence')), 'resource-constraint');
    assert.deepEqual(await arrived(), []);
    juliet.send("<presence to='a@elsewhere.example/x' type='unavailable'/>");
    join('d@elsewhere.example/x');
    await there.take();
    juliet.drop();
    assert.deepEqual((await arrived()).toSorted(), [
      'b@elsewhere.example/x unavailable',
      'c@elsewhere.example/x unavailable',
      'd@elsewhere.example/x unavailable',
    ]);
  });

  it('to an account that does not exist gets no answer', async () => {
    for (const to of ['nobody@example.org', 'nobody@example.org/x']) juliet.send(`<presence to='${to}'/>`);
    await juliet.quiet();
  });
});
