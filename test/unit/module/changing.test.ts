import assert from 'node:assert/strict';
import ping from '../../../modules/ping/index.ts';
import sm from '../../../modules/sm/index.ts';
import { option } from '../../../src/config/option.ts';
import { defineModule } from '../../../src/module/module.ts';
import { settle } from '../../support/probe.ts';
import { startHost } from '../../support/start-host.ts';

describe('while modules are stopped and started again', () => {
  it('what clients say waits, and is answered when they run', async () => {
    let open: () => void = () => {};
    let gate: Promise<void> | undefined;
    const slow = defineModule({
      name: 'slow',
      doc: 'Takes its time to start.',
      needs: [ping],
      config: option.object({}),
      setup: () => gate,
    });
    const host = await startHost([ping, slow, sm]);
    const juliet = await host.online('juliet', 'balcony');
    juliet.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    await settle();
    juliet.take();
    gate = new Promise((resolve) => (open = resolve));
    const restarted = Promise.all([host.modules.restart('ping'), host.modules.restart('sm')]);
    await settle();
    juliet.send("<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>");
    juliet.send("<r xmlns='urn:xmpp:sm:3'/>");
    await juliet.quiet();
    open();
    await restarted;
    const answers = [await juliet.receive(), await juliet.receive()];
    assert.deepEqual(
      answers.map(({ name, attrs }) => [name, attrs['type'] ?? attrs['h']]),
      [
        ['iq', 'result'],
        ['a', '1'],
      ],
    );
    assert.equal(juliet.session.isClosed, false);
    await host.stop();
  });
});
