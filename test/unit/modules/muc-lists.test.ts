// What lists of affiliations and roles say of those who are here (XEP-0045 section 15.4).
import assert from 'node:assert/strict';
import type { Probe } from '../../support/probe.ts';
import { ADMIN, list, RoomScene } from '../../support/room-scene.ts';

describe('muc: lists', () => {
  let scene: RoomScene;
  let keeper: Probe;

  before(async () => {
    scene = await RoomScene.start();
    const room = await scene.room({ people: { carol: 'member', eve: 'outcast' } });
    keeper = await scene.client('keeper');
    await scene.enter(keeper, { nick: 'Keeper' });
    await scene.enter(await scene.client('carol'), { nick: 'Carol' });
    scene.assign(room, 'carol', 'moderator');
    await scene.hush(keeper);
  });

  after(() => scene.stop());

  it('one of affiliations has bare addresses and nicks, and no roles', async () => {
    assert.deepEqual(await read("affiliation='owner'"), [{ affiliation: 'owner', jid: 'keeper@example.org', nick: 'Keeper' }]);
    assert.deepEqual(await read("affiliation='member'"), [{ affiliation: 'member', jid: 'carol@example.org', nick: 'Carol' }]);
    assert.deepEqual(await read("affiliation='outcast'"), [{ affiliation: 'outcast', jid: 'eve@example.org' }]);
  });

  it('one of roles has nicks, roles, affiliations and full addresses', async () => {
    assert.deepEqual(await read("role='moderator'"), [
      { nick: 'Keeper', role: 'moderator', affiliation: 'owner', jid: 'keeper@example.org/desk' },
      { nick: 'Carol', role: 'moderator', affiliation: 'member', jid: 'carol@example.org/desk' },
    ]);
  });

  async function read(attrs: string): Promise<Record<string, string>[]> {
    const answer = await keeper.ask(list(attrs));
    const items = answer.getChild('query', ADMIN)?.getChildren('item') ?? [];
    return items.map((item) => Object.fromEntries(Object.entries(item.attrs).filter(([, value]) => value !== undefined)));
  }
});
