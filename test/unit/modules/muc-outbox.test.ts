import assert from 'node:assert/strict';
import { Line, Outbox, PER_TURN } from '../../../modules/muc/outbox.ts';
import { Jid, type Router, Stanza, xml } from '../../../src/index.ts';

const ROOM = Jid.parse('room@conference.example.org');

function message(id: string): Stanza {
  return Stanza.of(xml('message', { id }));
}

function clients(count: number, name = 'u'): readonly Jid[] {
  return Array.from({ length: count }, (_, i) => Jid.parse(`${name}${i}@example.org/r`));
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('muc: what rooms give out', () => {
  let given: string[];
  let outbox: Outbox;

  beforeEach(() => {
    given = [];
    const router: Pick<Router, 'send'> = { send: ({ id }, _from, to) => void given.push(`${id} ${to.local}`) };
    outbox = new Outbox(router as Router);
  });

  it('goes at once when it is little', () => {
    const line = new Line();
    assert.equal(outbox.sendAll(line, { stanza: message('a'), from: ROOM }, clients(3)), undefined);
    assert.deepEqual(given, ['a u0', 'a u1', 'a u2']);
  });

  it('is spread over turns when it is much, and each client gets it in order', async () => {
    const line = new Line();
    const first = outbox.sendAll(line, { stanza: message('a'), from: ROOM }, clients(1000));
    const second = outbox.sendAll(line, { stanza: message('b'), from: ROOM }, clients(1000));
    outbox.send(line, { stanza: message('c'), from: ROOM }, clients(1)[0]!);
    outbox.sendEach(
      line,
      [message('d'), message('e')].map((stanza) => ({ stanza, from: ROOM })),
      clients(1)[0]!,
    );
    assert.equal(given.length, 0);
    let most = 0;
    for (let before = 0; line.isBusy; before = given.length) {
      await turn();
      most = Math.max(most, given.length - before);
    }
    await Promise.all([first, second]);
    assert.ok(most <= 2 * PER_TURN, `${most} in one turn`);
    assert.equal(given.length, 2003);
    assert.deepEqual(
      given.filter((each) => each.endsWith(' u0')),
      ['a u0', 'b u0', 'c u0', 'd u0', 'e u0'],
    );
    assert.deepEqual(
      given.filter((each) => each.endsWith(' u999')),
      ['a u999', 'b u999'],
    );
  });

  it('tells when all have it', async () => {
    const line = new Line();
    let isDone = false;
    const all = outbox.sendAll(line, { stanza: message('a'), from: ROOM }, clients(300))!.then(() => {
      isDone = true;
    });
    await turn();
    assert.equal(isDone, false);
    await all;
    assert.equal(given.length, 300);
  });

  it('comes from each busy room in turn', async () => {
    const lines = Array.from({ length: 300 }, () => new Line());
    const done = lines.map((line, i) => outbox.sendAll(line, { stanza: message(String(i)), from: ROOM }, clients(200)));
    const turns = new Map<string, number>();
    for (let now = 0, seen = 0; lines.some((line) => line.isBusy); now++) {
      await turn();
      for (; seen < given.length; seen++) {
        const id = given[seen]!.split(' ')[0]!;
        if (!turns.has(id)) turns.set(id, now);
      }
    }
    await Promise.all(done);
    assert.equal(given.length, 300 * 200);
    // A room waits no longer than it takes to have served each other one once.
    assert.ok(
      Math.max(...turns.values()) <= Math.ceil(300 / PER_TURN) + 1,
      `a room had to wait for ${Math.max(...turns.values())} turns`,
    );
  });

  it('keeps a small room from waiting behind a large one', async () => {
    const [large, small] = [new Line(), new Line()];
    const all = outbox.sendAll(large, { stanza: message('large'), from: ROOM }, clients(5000));
    const few = outbox.sendAll(small, { stanza: message('small'), from: ROOM }, clients(20, 's'));
    await few;
    assert.ok(large.isBusy);
    assert.ok(given.length < 600, `${given.length} before it`);
    await all;
  });

  it('goes through a line of any length', async () => {
    const line = new Line();
    const [client] = clients(1);
    const held = outbox.sendAll(line, { stanza: message('first'), from: ROOM }, clients(200));
    for (let i = 0; i < 5000; i++) outbox.send(line, { stanza: message(String(i)), from: ROOM }, client!);
    await held;
    while (line.isBusy) await turn();
    const mine = given.filter((each) => each.endsWith(' u0')).map((each) => each.split(' ')[0]);
    assert.deepEqual(mine, ['first', ...Array.from({ length: 5000 }, (_, i) => String(i))]);
  });
});
