// Who may do what at a node of the service, against the rules of test/support/pubsub-rules.ts: every operation of everybody at every kind of
// node.
import assert from 'node:assert/strict';
import { kindsAt, nodeOf } from '../../support/pubsub-people.ts';
import { hearsAsSubscriber, PEOPLE } from '../../support/pubsub-rules.ts';
import { describeAccess } from '../../support/pubsub-table.ts';

const KINDS = kindsAt('service');

describeAccess('service', (society) => {
  it('whoever has subscribed and may read is sent the last items on coming online', async () => {
    for (const [name, person] of Object.entries(PEOPLE)) {
      if (person.isForeign) continue;
      await society().comeAgain(name, []);
      const expected = KINDS.filter((kind) => hearsAsSubscriber(person, kind)).map((kind) => `${name} ${nodeOf(kind)} base`);
      assert.deepEqual(society().hearing(), expected.sort());
    }
  });
});
