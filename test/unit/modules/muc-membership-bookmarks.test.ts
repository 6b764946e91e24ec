// Of what members are notified, as clients say it in bookmarks of the newer specification (XEP-0402 with XEP-0492).
import assert from 'node:assert/strict';
import bookmarks from '../../../modules/bookmarks/index.ts';
import caps from '../../../modules/caps/index.ts';
import commands from '../../../modules/commands/index.ts';
import disco from '../../../modules/disco/index.ts';
import mucMembership from '../../../modules/muc-membership/index.ts';
import pep from '../../../modules/pep/index.ts';
import privateStorage from '../../../modules/private/index.ts';
import push from '../../../modules/push/index.ts';
import { defineModule, option, type Signal } from '../../../src/index.ts';
import { conference, native, publish, retract, writePrivate } from '../../support/bookmark-scene.ts';
import { type Probe, settle } from '../../support/probe.ts';
import { AppServer, assertResult, enable, nodeOf } from '../../support/push-scene.ts';
import { LOUNGE, RoomScene, say } from '../../support/room-scene.ts';

const notify = (inner: string) => `<extensions><notify xmlns='urn:xmpp:notification-settings:1'>${inner}</notify></extensions>`;

for (const [title, storage] of [
  ['beside private storage', [privateStorage]],
  ['without private storage', []],
] as const) {
  describe(`muc-membership: native bookmarks ${title}`, () => {
    let scene: RoomScene;
    let app: AppServer;
    let romeo: Probe;
    let juliet: Probe;
    let changed: Signal<{ readonly username: string }>;
    const insider = defineModule({
      name: 'insider',
      doc: '',
      needs: [bookmarks],
      config: option.object({}),
      setup({ use }) {
        changed = use(bookmarks).changed;
      },
    });

    beforeEach(async () => {
      scene = await RoomScene.start({
        more: [caps, disco, commands, ...storage, pep, bookmarks, push, mucMembership, insider],
        modules: { push: { interval: 0 } },
      });
      app = new AppServer(scene.host, 'push.example.org');
      await scene.room({ settings: { isMembersOnly: true }, people: { romeo: 'member', juliet: 'member' } });
      romeo = await scene.client('romeo');
      await scene.enter(romeo);
      const phone = await scene.host.online('juliet', 'phone');
      assertResult(await phone.ask(enable('juliet')));
      phone.leave();
      juliet = await scene.client('juliet', 'laptop');
    });
    afterEach(() => scene.stop());

    /** Changes bookmarks; it is known to all when this resolves. */
    async function change(work: () => Promise<void>): Promise<void> {
      const told = new Promise<void>((resolve) => {
        const remove = changed.add(() => {
          remove();
          resolve();
        });
      });
      await work();
      await told;
      await settle();
    }
    const bookmark = (inner: string) => change(() => publish(juliet, LOUNGE, native('', inner)));

    /** Juliet's phone is woken up by each of these, or not. */
    async function wakes(expected: Readonly<Record<string, boolean>>): Promise<void> {
      for (const [body, isWoken] of Object.entries(expected)) {
        romeo.send(say(body));
        if (isWoken) assert.equal(nodeOf(await app.receive()), 'juliet', body);
        await app.quiet();
      }
    }

    it('say of what somebody is notified, and do so anew when they change', async () => {
      await wakes({ one: true, juliet: true });
      await bookmark(notify('<never/>'));
      await wakes({ one: false, juliet: false });
      await bookmark(notify("<never identity-category='client' identity-type='pc'/><on-mention/>"));
      await wakes({ one: false, juliet: true });
      await bookmark(notify("<on-mention/><always identity-category='client' identity-type='phone'/>"));
      await wakes({ one: true, juliet: true });
      await bookmark(notify('<never/>'));
      await bookmark('');
      await wakes({ one: true, juliet: true });
    });

    it('are known from before, and end when the bookmark does', async () => {
      await bookmark(notify('<never/>'));
      await wakes({ one: false, juliet: false });
      await change(() => retract(juliet, LOUNGE));
      await wakes({ one: true, juliet: true });
    });

    it('say by which nick somebody is called', async () => {
      await bookmark(`<nick>Jule</nick>${notify('<on-mention/>')}`);
      await wakes({ Jule: true, juliet: false });
    });

    if (storage.length > 0) {
      it('keep their settings when an older client writes its list', async () => {
        await bookmark(notify('<never/>'));
        await change(() => writePrivate(juliet, conference(LOUNGE, "autojoin='true'", '<nick>Jule</nick>')));
        await wakes({ one: false, juliet: false });
        await change(() => writePrivate(juliet));
        await wakes({ one: true, juliet: true });
      });
    }
  });
}
