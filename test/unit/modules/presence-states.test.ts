import assert from 'node:assert/strict';
import presence from '../../../modules/presence/index.ts';
import roster from '../../../modules/roster/index.ts';
import { Elsewhere } from '../../support/elsewhere.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

// RFC 6121 appendix A: what becomes of a subscription stanza in each of the nine states, row by row and through the server.
// The columns: state before, whether the stanza goes on, state after ('=' for the same).

const OUTBOUND = {
  subscribe: `
    None                  | MUST     | None + Pending Out
    None + Pending Out    | MUST     | =
    None + Pending In     | MUST     | None + Pending Out+In
    None + Pending Out+In | MUST     | =
    To                    | MUST     | =
    To + Pending In       | MUST     | =
    From                  | MUST     | From + Pending Out
    From + Pending Out    | MUST     | =
    Both                  | MUST     | =`,
  unsubscribe: `
    None                  | MUST     | =
    None + Pending Out    | MUST     | None
    None + Pending In     | MUST     | =
    None + Pending Out+In | MUST     | None + Pending In
    To                    | MUST     | None
    To + Pending In       | MUST     | None + Pending In
    From                  | MUST     | =
    From + Pending Out    | MUST     | From
    Both                  | MUST     | From`,
  subscribed: `
    None                  | MUST NOT | =
    None + Pending Out    | MUST NOT | =
    None + Pending In     | MUST     | From
    None + Pending Out+In | MUST     | From + Pending Out
    To                    | MUST NOT | =
    To + Pending In       | MUST     | Both
    From                  | MUST NOT | =
    From + Pending Out    | MUST NOT | =
    Both                  | MUST NOT | =`,
  unsubscribed: `
    None                  | MUST NOT | =
    None + Pending Out    | MUST NOT | =
    None + Pending In     | MUST     | None
    None + Pending Out+In | MUST     | None + Pending Out
    To                    | MUST NOT | =
    To + Pending In       | MUST     | To
    From                  | MUST     | None
    From + Pending Out    | MUST     | None + Pending Out
    Both                  | MUST     | To`,
};

const INBOUND = {
  subscribe: `
    None                  | MUST     | None + Pending In
    None + Pending Out    | MUST     | None + Pending Out+In
    None + Pending In     | MUST NOT | =
    None + Pending Out+In | MUST NOT | =
    To                    | MUST     | To + Pending In
    To + Pending In       | MUST NOT | =
    From                  | MUST NOT | =
    From + Pending Out    | MUST NOT | =
    Both                  | MUST NOT | =`,
  unsubscribe: `
    None                  | MUST NOT | =
    None + Pending Out    | MUST NOT | =
    None + Pending In     | MUST     | None
    None + Pending Out+In | MUST     | None + Pending Out
    To                    | MUST NOT | =
    To + Pending In       | MUST     | To
    From                  | MUST     | None
    From + Pending Out    | MUST     | None + Pending Out
    Both                  | MUST     | To`,
  subscribed: `
    None                  | MUST NOT | =
    None + Pending Out    | MUST     | To
    None + Pending In     | MUST NOT | =
    None + Pending Out+In | MUST     | To + Pending In
    To                    | MUST NOT | =
    To + Pending In       | MUST NOT | =
    From                  | MUST NOT | =
    From + Pending Out    | MUST     | Both
    Both                  | MUST NOT | =`,
  unsubscribed: `
    None                  | MUST NOT | =
    None + Pending Out    | MUST     | None
    None + Pending In     | MUST NOT | =
    None + Pending Out+In | MUST     | None + Pending In
    To                    | MUST     | None
    To + Pending In       | MUST     | None + Pending In
    From                  | MUST NOT | =
    From + Pending Out    | MUST     | From
    Both                  | MUST     | From`,
};

interface Row {
  readonly before: string;
  readonly goesOn: boolean;
  readonly after: string;
}

function readTable(table: string): readonly Row[] {
  const rows = table.trim().split('\n');
  assert.equal(rows.length, 9);
  return rows.map((row) => {
    const [before, rule, after] = row.split('|').map((cell) => cell.trim());
    return { before: before!, goesOn: rule === 'MUST', after: after === '=' ? before! : after! };
  });
}

const ROMEO = 'romeo@elsewhere.example';
const JULIET = 'juliet@example.org';

describe('presence: the subscription states of RFC 6121 appendix A', () => {
  let host: TestHost;
  let there: Elsewhere;
  let juliet: Probe;

  beforeEach(async () => {
    host = await startHost([roster, presence]);
    there = new Elsewhere(host, 'elsewhere.example');
    juliet = await host.online('juliet', 'balcony');
    await juliet.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    await juliet.ask(`<iq type='set'><query xmlns='jabber:iq:roster'><item jid='${ROMEO}' name='Romeo'/></query></iq>`);
  });
  afterEach(() => host.stop());

  async function out(type: string): Promise<void> {
    juliet.send(`<presence type='${type}' to='${ROMEO}'/>`);
    await settle();
  }

  async function enter(state: string): Promise<void> {
    if (/^(To|Both)/.test(state)) {
      await out('subscribe');
      await there.send(`<presence type='subscribed' from='${ROMEO}' to='${JULIET}'/>`);
    }
    if (/^(From|Both)/.test(state)) {
      await there.send(`<presence type='subscribe' from='${ROMEO}' to='${JULIET}'/>`);
      await out('subscribed');
    }
    if (/Pending Out/.test(state)) await out('subscribe');
    if (/In$/.test(state)) await there.send(`<presence type='subscribe' from='${ROMEO}' to='${JULIET}'/>`);
    assert.equal(await readState(), state, 'the state before');
    await there.take();
    juliet.take();
  }

  /** The state as the protocol shows it: by the roster, and by what a client is given that comes online. */
  async function readState(): Promise<string> {
    const other = await host.login('juliet', 'garden');
    const answer = await other.ask("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>");
    const { subscription, ask } = answer.getChild('query')!.getChild('item')!.attrs;
    other.send('<presence/>');
    await settle();
    const isPending = other.take().some(({ attrs }) => attrs['type'] === 'subscribe' && attrs['from'] === ROMEO);
    other.leave();
    await settle();
    const pending = `${ask === 'subscribe' ? 'Out' : ''}${isPending ? (ask ? '+In' : 'In') : ''}`;
    return subscription[0].toUpperCase() + subscription.slice(1) + (pending === '' ? '' : ` + Pending ${pending}`);
  }

  for (const [type, table] of Object.entries(OUTBOUND)) {
    for (const { before, goesOn, after } of readTable(table)) {
      it(`outbound ${type} in "${before}" ${goesOn ? 'is routed' : 'is not routed'} and leads to "${after}"`, async () => {
        await enter(before);
        await out(type);
        const routed = (await there.take()).filter(({ attrs }) => attrs['type'] === type);
        assert.deepEqual(
          routed.map(({ attrs }) => [attrs['from'], attrs['to']]),
          goesOn ? [[JULIET, ROMEO]] : [],
        );
        assert.equal(await readState(), after);
      });
    }
  }

  for (const [type, table] of Object.entries(INBOUND)) {
    for (const { before, goesOn, after } of readTable(table)) {
      it(`inbound ${type} in "${before}" ${goesOn ? 'is delivered' : 'is not delivered'} and leads to "${after}"`, async () => {
        await enter(before);
        await there.send(`<presence type='${type}' from='${ROMEO}' to='${JULIET}'/>`);
        const delivered = juliet.take().filter(({ name, attrs }) => name === 'presence' && attrs['type'] === type);
        assert.deepEqual(
          delivered.map(({ attrs }) => [attrs['from'], attrs['to']]),
          goesOn ? [[ROMEO, JULIET]] : [],
        );
        assert.equal(await readState(), after);
      });
    }
  }
});
