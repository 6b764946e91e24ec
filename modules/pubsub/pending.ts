// Section 8.7: an owner asks for the subscriptions that wait to be approved.
import { type Element, type Jid, StanzaError, writeForm } from '#core';
import type { FormCommand } from '../commands/index.ts';
import { standingOf } from './access.ts';
import type { Counter } from './counter.ts';
import { NS_PUBSUB } from './errors.ts';
import type { Node } from './node.ts';
import type { Place } from './place.ts';

const NS_SUBSCRIBE_AUTHORIZATION = `${NS_PUBSUB}#subscribe_authorization`;

/** The command by which owners are sent the forms of all who wait. */
export function pendingCommand(counter: Counter): FormCommand<Place> {
  return {
    node: `${NS_PUBSUB}#get-pending`,
    name: 'Show who waits for approval',
    isAllowed: async (from, place) => (await ownedBy(place, from)).length > 0,
    form: async (from, place) => writeChoice(await ownedBy(place, from)),
    async run(answers, from, place) {
      const node = place.nodes.find(answers.get('pubsub#node')?.[0] ?? '');
      if ((await standingOf(node, from.bare)).affiliation !== 'owner') throw new StanzaError('forbidden');
      await counter.approval.askAll(place, node, from.full);
      return 'They are sent to you';
    },
  };
}

async function ownedBy({ nodes }: Place, { bare }: Jid): Promise<readonly Node[]> {
  const owned: Node[] = [];
  for (const node of nodes.all()) {
    const members = await node.members();
    const waits = [...members.values()].some(({ subscriptions }) => subscriptions.some(({ state }) => state === 'pending'));
    if (waits && node.affiliationOf(bare, members) === 'owner') owned.push(node);
  }
  return owned;
}

function writeChoice(nodes: readonly Node[]): Element {
  const options = nodes.map(({ name, config }) => ({ value: name, label: config.title || name }));
  return writeForm('form', NS_SUBSCRIBE_AUTHORIZATION, [{ name: 'pubsub#node', type: 'list-single', label: 'Node', options }]);
}
