import assert from 'node:assert/strict';
import type { SessionSlot } from '../../../src/c2s/slot.ts';
import { ConfigError } from '../../../src/config/errors.ts';
import {
  type AnyModule,
  defineModule,
  type Hook,
  type ModuleRef,
  option,
  Priority,
  StanzaError,
  xml,
} from '../../../src/index.ts';
import { startHost, type TestHost } from '../../support/start-host.ts';

const NS = 'urn:example:loader';

/** A module that only notes when it starts and stops. */
function noting(
  name: string,
  notes: string[],
  refs: { needs?: readonly ModuleRef<unknown>[]; wants?: readonly ModuleRef<unknown>[] } = {},
): AnyModule {
  return defineModule({
    name,
    doc: 'For tests.',
    ...refs,
    config: option.object({ size: option.integer({ default: 1, doc: 'Anything.' }) }),
    setup({ config, defer }) {
      notes.push(`+${name}${config.size === 1 ? '' : config.size}`);
      defer(() => void notes.push(`-${name}`));
    },
  });
}

function enable(...modules: readonly (AnyModule | readonly [AnyModule, unknown])[]) {
  return modules.map((each) => {
    const [module, section] = 'setup' in each ? [each, {}] : each;
    return { module, config: module.config.parse(section, module.name) as unknown };
  });
}

describe('the modules of a host', () => {
  let host: TestHost;
  let notes: string[];

  beforeEach(async () => {
    notes = [];
    host = await startHost([]);
  });

  afterEach(() => host.stop());

  const take = () => notes.splice(0).join(' ');

  it('serve pages to those methods that they name', async () => {
    const module = defineModule({
      name: 'pages',
      doc: 'For tests.',
      config: option.object({}),
      setup({ http }) {
        http('/usual', () => {});
        http('/hook', () => {}, { methods: ['POST', 'PUT'] });
      },
    });
    await host.modules.apply(enable(module));
    const methods = (path: string) => {
      const route = host.site.find('example.org', path);
      return typeof route === 'object' ? route.methods : route;
    };
    assert.deepEqual(
      [methods('/usual'), methods('/hook')],
      [
        ['GET', 'HEAD'],
        ['POST', 'PUT'],
      ],
    );
    await host.modules.apply([]);
    assert.equal(methods('/hook'), undefined);
  });

  it('start after what they need or want, and stop before it, whatever the order of the config', async () => {
    const c = noting('c', notes);
    const b = noting('b', notes, { needs: [c] });
    const a = noting('a', notes, { wants: [b] });
    await host.modules.apply(enable(a, b, c));
    assert.equal(take(), '+c +b +a');
    assert.deepEqual(host.modules.running, ['c', 'b', 'a']);
    await host.modules.stop();
    assert.equal(take(), '-a -b -c');
  });

  it('refuse a missing need and a cycle before anything is touched', async () => {
    const a = noting('a', notes);
    await host.modules.apply(enable(a));
    take();
    const needy = noting('needy', notes, { needs: [{ name: 'nobody' }] });
    await assert.rejects(host.modules.apply(enable(needy)), (error) => {
      assert(error instanceof ConfigError);
      assert.equal(error.message, 'hosts.example.org.modules.needy: needs the module nobody, which is not enabled');
      return true;
    });
    const left = noting('left', notes, { needs: [{ name: 'right' }] });
    const right = noting('right', notes, { needs: [{ name: 'left' }] });
    await assert.rejects(host.modules.apply(enable(left, right)), /these need each other: left -> right -> left/);
    assert.equal(take(), '');
    assert.deepEqual(host.modules.running, ['a']);
  });

  it('go on running where their section is the same, and start again with what depends on them where it changed', async () => {
    const base = noting('base', notes);
    const user = noting('user', notes, { needs: [base] });
    const other = noting('other', notes);
    await host.modules.apply(enable(base, user, other));
    take();
    await host.modules.apply(enable(base, user, other));
    assert.equal(take(), '');
    await host.modules.apply(enable([base, { size: 2 }], user, other));
    assert.equal(take(), '-user -base +base2 +user');
    await host.modules.apply(enable([base, { size: 2 }], other));
    assert.equal(take(), '-user');
  });

  it('start again when one that they want is switched on or off', async () => {
    const wanted = noting('wanted', notes);
    const fan = noting('fan', notes, { wants: [wanted] });
    await host.modules.apply(enable(fan));
    take();
    await host.modules.apply(enable(fan, wanted));
    assert.equal(take(), '-fan +wanted +fan');
    await host.modules.apply(enable(fan));
    assert.equal(take(), '-fan -wanted +fan');
  });

  it('are restarted one by one, with what depends on them', async () => {
    const base = noting('base', notes);
    const user = noting('user', notes, { needs: [base] });
    const other = noting('other', notes);
    await host.modules.apply(enable(base, user, other));
    take();
    await host.modules.restart('base');
    assert.equal(take(), '-user -base +base +user');
  });

  it('are changed by one at a time', async () => {
    const a = noting('a', notes);
    const b = noting('b', notes);
    await Promise.all([
      host.modules.apply(enable(a)),
      host.modules.apply(enable(a, b)),
      host.modules.apply(enable(b)),
      host.modules.stop(),
    ]);
    assert.equal(take(), '+a +b -a -b');
  });

  it('give back whatever they have taken', async () => {
    const ticks: string[] = [];
    const greedy = defineModule({
      name: 'greedy',
      doc: 'Takes everything there is.',
      features: [`${NS}#feature`],
      config: option.object({}),
      setup({ disco, every, hooks, http, iq, on, sasl, signals, stopping }) {
        iq.get('server', NS, 'x', () => xml('x', NS));
        iq.set('self', NS, 'x', () => {});
        disco.identity('account', { category: 'client', type: 'bot' });
        disco.extend({ items: () => [] });
        for (const hook of Object.values(hooks) as Hook<unknown>[]) on(hook, () => {}, Priority.serve);
        on(signals.sessionBound, () => void ticks.push('bound'));
        every(1, () => void ticks.push('tick'));
        http('/greedy', () => {});
        sasl({
          name: 'X-GREEDY',
          strength: 1,
          isOffered: () => true,
          start: () => ({ step: () => ({ challenge: Buffer.alloc(0) }) }),
        });
        stopping.addEventListener('abort', () => void ticks.push('abort'));
      },
    });
    const describe = () => ({
      hooks: Object.values(host.host.hooks).map((hook) => (hook as Hook<unknown>).size),
      queries: [host.host.queries.find('get', 'server', NS, 'x'), host.host.queries.find('set', 'self', NS, 'x')],
      features: host.host.disco.features('server'),
      identities: [...host.host.disco.identities('account')],
      extensions: [...host.host.disco.extensions],
      routes: [...host.routes.keys()],
      mechanisms: host.host.login.offered(host.connect().transport),
    });
    const before = describe();
    await host.modules.apply(enable(greedy));
    assert.notDeepEqual(describe(), before);
    await host.modules.stop();
    assert.deepEqual(describe(), before);
    assert.deepEqual(
      ticks.filter((tick) => tick !== 'tick'),
      ['abort'],
    );
    await host.login('juliet');
    assert.equal(ticks.includes('bound'), false);
  });

  it('that fail to start give back what they had taken, and the others run as before', async () => {
    const steady = noting('steady', notes);
    const picky = defineModule({
      name: 'picky',
      doc: 'Fails for some configs.',
      needs: [steady],
      config: option.object({ works: option.boolean({ default: true, doc: 'Whether it does.' }) }),
      setup({ config, iq, defer }) {
        iq.get('server', NS, 'picky', () => {});
        defer(() => void notes.push('-picky'));
        if (!config.works) throw new Error('not today');
        notes.push('+picky');
      },
    });
    await host.modules.apply(enable(steady, picky));
    take();
    await assert.rejects(host.modules.apply(enable([steady, { size: 3 }], [picky, { works: false }])), /not today/);
    assert.equal(take(), '-picky -steady +steady3 -picky -steady +steady +picky');
    assert.deepEqual(host.modules.running, ['steady', 'picky']);
    assert.ok(host.host.queries.find('get', 'server', NS, 'picky'));
    await host.modules.stop();
    assert.equal(host.host.queries.find('get', 'server', NS, 'picky'), undefined);
  });

  it('that claim the same query cannot run together', async () => {
    const claim = (name: string) =>
      defineModule({ name, doc: 'x', config: option.object({}), setup: ({ iq }) => iq.get('server', NS, 'mine', () => {}) });
    await assert.rejects(
      host.modules.apply(enable(claim('one'), claim('two'))),
      /two modules answer get \{urn:example:loader\}mine at server/,
    );
    assert.deepEqual(host.modules.running, []);
  });

  it('may only use what they have named', async () => {
    const api = defineModule({ name: 'api', doc: 'x', config: option.object({}), setup: () => ({ answer: 42 }) });
    let found: unknown[] = [];
    const absent = { name: 'absent' };
    const user = defineModule({
      name: 'user',
      doc: 'x',
      needs: [api],
      wants: [absent],
      config: option.object({}),
      setup: ({ use }) => void (found = [use(api).answer, use(absent)]),
    });
    await host.modules.apply(enable(api, user));
    assert.deepEqual(found, [42, undefined]);
    const sneaky = defineModule({ name: 'sneaky', doc: 'x', config: option.object({}), setup: ({ use }) => void use(api) });
    await assert.rejects(host.modules.apply(enable(api, sneaky)), /sneaky uses api without naming it/);
  });

  it('find their kept state and their sessions again after a restart, and not after they were off', async () => {
    let slot: SessionSlot<{ n: number }> | undefined;
    let kept: Map<string, number> | undefined;
    const rooms = defineModule({
      name: 'rooms',
      doc: 'x',
      config: option.object({ size: option.integer({ default: 1, doc: 'x' }) }),
      setup(ctx) {
        slot = ctx.slot(() => ({ n: 0 }));
        kept = ctx.keep('open', () => new Map<string, number>());
      },
    });
    const other = defineModule({
      name: 'other',
      doc: 'x',
      config: option.object({}),
      setup: (ctx) => void ctx.slot(() => 'other'),
    });
    await host.modules.apply(enable(rooms, other));
    const juliet = await host.login('juliet');
    slot!.get(juliet.session).n = 5;
    kept!.set('verona', 1);
    await host.modules.apply(enable([rooms, { size: 2 }], other));
    assert.equal(slot!.get(juliet.session).n, 5);
    assert.equal(kept!.get('verona'), 1);
    await host.modules.apply(enable(other));
    await host.modules.apply(enable(rooms, other));
    assert.equal(slot!.get(juliet.session).n, 0);
    assert.equal(kept!.size, 0);
  });

  it('take nothing any more once they are stopped, however late they try', async () => {
    let late = () => {};
    const slow = defineModule({
      name: 'slow',
      doc: 'x',
      config: option.object({}),
      setup({ iq }) {
        late = () => iq.get('server', NS, 'late', () => {});
      },
    });
    await host.modules.apply(enable(slow));
    await host.modules.stop();
    late();
    assert.equal(host.host.queries.find('get', 'server', NS, 'late'), undefined);
  });

  it('have no cached value of an account that was deleted', async () => {
    let load: (user: string) => unknown = () => undefined;
    let loads = 0;
    const caching = defineModule({
      name: 'caching',
      doc: 'x',
      config: option.object({}),
      setup({ cache }) {
        const values = cache('values', async () => ++loads);
        load = (user) => values.get(user);
      },
    });
    await host.modules.apply(enable(caching));
    await host.login('juliet');
    assert.equal(await load('juliet'), 1);
    assert.equal(load('juliet'), 1);
    await host.host.accounts.delete('juliet');
    assert.equal(await load('juliet'), 2);
  });

  it('say which handler lacks its priority', async () => {
    const careless = defineModule({
      name: 'careless',
      doc: 'x',
      config: option.object({}),
      setup({ on, hooks }) {
        on(hooks.messageSent, () => {}, undefined as unknown as number);
      },
    });
    await assert.rejects(host.modules.apply(enable(careless)), /a handler of messageSent needs a priority/);
  });

  it('answer while they run, and refuse as they say', async () => {
    const picky = defineModule({
      name: 'picky',
      doc: 'x',
      config: option.object({}),
      setup({ iq }) {
        iq.get('server', NS, 'ask', ({ payload }) => {
          if (payload.attrs['politely'] !== 'true') throw new StanzaError('not-acceptable');
          return xml('granted', NS);
        });
      },
    });
    await host.modules.apply(enable(picky));
    const juliet = await host.login('juliet');
    const ask = async (attrs: string) => {
      const answer = await juliet.ask(`<iq type='get' to='example.org'><ask xmlns='${NS}' ${attrs}/></iq>`);
      return answer.getChild('error')?.getChildElements()[0]?.name ?? answer.getChildElements()[0]?.name;
    };
    assert.equal(await ask("politely='true'"), 'granted');
    assert.equal(await ask(''), 'not-acceptable');
    await host.modules.stop();
    assert.equal(await ask("politely='true'"), 'service-unavailable');
  });
});
