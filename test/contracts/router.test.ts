import assert from 'node:assert/strict';
import { xml } from '../../src/index.ts';
import { Jid } from '../../src/jid.ts';
import { type Log, silent } from '../../src/log.ts';
import { LocalRouter } from '../../src/router/local-router.ts';
import type { Resource, Router } from '../../src/router/router.ts';
import { Envelope, nobody } from '../../src/stanza/envelope.ts';
import { StanzaError } from '../../src/stanza/errors.ts';
import { Stanza } from '../../src/xml/stanza.ts';

// What every router promises, whether there is one node or many.

interface Subject {
  readonly router: Router;
  /** What went to other servers. */
  readonly remote: Envelope[];
  readonly faults: unknown[];
}

const IMPLEMENTATIONS: Readonly<Record<string, () => Subject>> = {
  'the local router': () => {
    const remote: Envelope[] = [];
    const faults: unknown[] = [];
    const log: Log = { ...silent, error: (_text, detail) => void faults.push(detail) };
    return { router: new LocalRouter(log, (env) => void remote.push(env)), remote, faults };
  },
};

class FakeResource implements Resource {
  readonly jid: Jid;
  readonly priority = 0;
  readonly presence = undefined;
  readonly carbons = false;
  readonly got: Stanza[] = [];
  isReplaced = false;

  constructor(jid: string) {
    this.jid = Jid.parse(jid);
  }

  send(stanza: Stanza): void {
    this.got.push(stanza);
  }

  replace(): void {
    this.isReplaced = true;
  }
}

const message = (to: string) =>
  new Envelope(Stanza.of(xml('message', { to })), Jid.parse('a@here.example/1'), Jid.parse(to), nobody);

for (const [name, create] of Object.entries(IMPLEMENTATIONS)) {
  describe(`${name} (contract)`, () => {
    it('finds the resources of an account in the order they were bound', () => {
      const { router } = create();
      const [one, two] = [new FakeResource('a@here.example/1'), new FakeResource('a@here.example/2')];
      router.bind(one);
      router.bind(two);
      assert.deepEqual(router.resources('a@here.example'), [one, two]);
      assert.equal(router.resource(two.jid), two);
      assert.equal(router.resource(Jid.parse('a@here.example/3')), undefined);
      assert.deepEqual(router.resources('b@here.example'), []);
    });

    it('gives back the one whose address is taken over, which can be forgotten without harm to the new one', () => {
      const { router } = create();
      const [old, young] = [new FakeResource('a@here.example/1'), new FakeResource('a@here.example/1')];
      assert.equal(router.bind(old), undefined);
      assert.equal(router.bind(young), old);
      assert.equal(router.unbind(old), false);
      assert.equal(router.resource(young.jid), young);
      assert.equal(router.unbind(young), true);
      assert.equal(router.unbind(young), false);
      assert.deepEqual(router.resources('a@here.example'), []);
    });

    it('lets whoever iterates the resources of an account bind and unbind meanwhile', () => {
      const { router } = create();
      const all = ['1', '2', '3'].map((resource) => new FakeResource(`a@here.example/${resource}`));
      for (const each of all) router.bind(each);
      const seen: Resource[] = [];
      for (const each of router.resources('a@here.example')) {
        seen.push(each);
        router.unbind(each);
      }
      assert.deepEqual(seen, all);
    });

    it('takes a stanza to whoever serves its domain, and to other servers otherwise', () => {
      const { router, remote } = create();
      const got: Envelope[] = [];
      const stop = router.serve('here.example', { deliver: (env) => void got.push(env) });
      assert.equal(router.serves('here.example'), true);
      void router.route(message('b@here.example'));
      void router.route(message('b@there.example'));
      assert.deepEqual([got.length, remote.length], [1, 1]);
      assert.throws(() => router.serve('here.example', { deliver() {} }));
      stop();
      assert.equal(router.serves('here.example'), false);
      void router.route(message('b@here.example'));
      assert.deepEqual([got.length, remote.length], [1, 2]);
    });

    it('passes on what refuses a stanza', () => {
      const { router } = create();
      router.serve('here.example', {
        deliver() {
          throw new StanzaError('forbidden');
        },
      });
      assert.throws(() => router.route(message('b@here.example')), { condition: 'forbidden' });
    });

    it('sends what the server says itself, with its addresses, and lets no refusal out', async () => {
      const { router, faults } = create();
      const got: Envelope[] = [];
      router.serve('here.example', { deliver: (env) => void got.push(env) });
      router.serve('wall.example', { deliver: () => Promise.reject(new StanzaError('forbidden')) });
      router.serve('hole.example', { deliver: () => Promise.reject(new Error('a fault')) });
      const [from, to] = [Jid.parse('here.example'), Jid.parse('b@here.example/1')];
      router.send(Stanza.of(xml('message')), from, to);
      assert.deepEqual([got[0]!.stanza.from, got[0]!.stanza.to], ['here.example', 'b@here.example/1']);
      router.send(Stanza.of(xml('message')), from, Jid.parse('wall.example'));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(faults.length, 0);
      router.send(Stanza.of(xml('message')), from, Jid.parse('hole.example'));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(faults.length, 1);
    });

    it('knows the owner of every account', () => {
      const { router } = create();
      assert.equal(typeof router.owner('a@here.example'), 'string');
    });
  });
}
