import assert from 'node:assert/strict';
import { Questions } from '../../../src/host/questions.ts';
import { type Destination, type Envelope, errorOf, Jid, resultOf, StanzaError, xml } from '../../../src/index.ts';
import { silent } from '../../../src/log.ts';
import { LocalRouter } from '../../../src/router/local-router.ts';

const HOST = Jid.parse('example.org');
const PING = () => xml('ping', { xmlns: 'urn:xmpp:ping' });

/** What was logged as a fault. */
const faults: string[] = [];
const log = { ...silent, error: (text: string) => void faults.push(text) };

/** Questions of a host, beside a domain that does this with them. */
function beside(deliver: Destination['deliver'], max?: number): Questions {
  const router = new LocalRouter(silent, () => {
    throw new StanzaError('remote-server-not-found');
  });
  router.serve('service.example.org', { deliver });
  return new Questions(router, log, max);
}

describe('what a host asks others', () => {
  const service = Jid.parse('service.example.org');

  it('is answered by who answers for a domain here', async () => {
    const questions = beside((env) => env.origin.send(resultOf(env, xml('pong', { xmlns: 'urn:example' }))));
    assert.equal((await questions.ask(HOST, service, 'get', PING()))?.name, 'pong');
  });

  it('is refused at once with what was said, and as what', async () => {
    const error = new StanzaError('item-not-found', { type: 'modify', text: 'No such node' });
    const questions = beside((env) => env.origin.send(errorOf(env, error)!));
    await assert.rejects(questions.ask(HOST, service, 'set', PING()), {
      condition: 'item-not-found',
      type: 'modify',
      message: 'No such node',
    });
  });

  it('is refused at once where it cannot be delivered', async () => {
    const questions = beside(() => Promise.reject(new StanzaError('service-unavailable')));
    await assert.rejects(questions.ask(HOST, service, 'get', PING()), { condition: 'service-unavailable' });
    await assert.rejects(questions.ask(HOST, Jid.parse('nowhere.example'), 'get', PING()), {
      condition: 'remote-server-not-found',
    });
  });

  it('is not answered by others, and a fault tells nothing of itself', async () => {
    const questions = beside((env) => {
      const forged = { from: 'mallory@example.org', to: 'example.org', type: 'result', id: env.stanza.id };
      const from = Jid.parse(forged.from);
      questions.answered({ ...env, stanza: resultOf(env, undefined).with(forged), from } as typeof env);
      throw new Error('the database is at 192.0.2.7');
    });
    await assert.rejects(questions.ask(HOST, service, 'get', PING()), {
      condition: 'internal-server-error',
      message: 'internal-server-error',
    });
    assert.deepEqual(faults.splice(0), ['a question of ours failed']);
  });

  it('ends when nobody answers', async () => {
    const questions = beside(() => {});
    await assert.rejects(questions.ask(HOST, service, 'get', PING(), 1), { condition: 'remote-server-timeout' });
    const last = questions.ask(HOST, service, 'get', PING());
    questions.close();
    await assert.rejects(last, { condition: 'service-unavailable' });
  });

  it('is asked no more when too much is, and again when that has ended', async () => {
    const unanswered: Envelope[] = [];
    const questions = beside((env) => void unanswered.push(env), 2);
    const asked = [1, 2].map(() => questions.ask(HOST, service, 'get', PING()));
    await assert.rejects(questions.ask(HOST, service, 'get', PING()), { condition: 'resource-constraint' });
    assert.equal(unanswered.length, 2);
    const [first] = unanswered;
    first!.origin.send(resultOf(first!, undefined));
    await asked[0];
    asked.push(questions.ask(HOST, service, 'get', PING()));
    assert.equal(unanswered.length, 3);
    questions.close();
    await assert.rejects(asked[1]!, { condition: 'service-unavailable' });
    await assert.rejects(asked[2]!, { condition: 'service-unavailable' });
  });
});
