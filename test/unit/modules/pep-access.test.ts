// Who may do what at a node of an account, against the rules of test/support/pubsub-rules.ts: every operation of everybody at every kind of
// node, and who hears of it without having subscribed.
import assert from 'node:assert/strict';
import { kindsAt, nodeOf } from '../../support/pubsub-people.ts';
import { hearsAsContact, PEOPLE } from '../../support/pubsub-rules.ts';
import { describeAccess } from '../../support/pubsub-table.ts';

const KINDS = kindsAt('account');
const NODES = KINDS.map(nodeOf);

describeAccess('account', (society) => {
  it('whoever is interested, sees the presence and may read is sent the last items on coming online', async () => {
    await society().listen(NODES);
    for (const [name, person] of Object.entries(PEOPLE)) {
      if (person.isForeign) continue;
      await society().comeAgain(name, NODES);
      const expected = KINDS.filter((kind) => hearsAsContact(person, kind)).map((kind) => `${name} ${nodeOf(kind)} base`);
      assert.deepEqual(society().hearing(), expected.sort());
    }
  });
});
