// Section 8.7: an owner asks for the subscriptions that wait to be approved.
import { type Element, type Jid, StanzaError, writeForm } from '#core';
import type { FormCommand } from '../commands/index.ts';
import { standingOf } from './access.ts';
import type { Counter } from './counter.ts';
import { NS_PUBSUB } from './errors.ts';
import type { Member } from './members.ts';
import type { Node } from './node.ts';
import type { Place } from './place.ts';

const NS_SUBSCRIBE_AUTHORIZATION = `${NS_PUBSUB}#subscribe_authorization`;

/** The command by which owners are sent the forms of all who wait. */
export function pendingCommand(counter: Counter): FormCommand<Place> {
  return {
    node: `${NS_PUBSUB}#get-pending`,
    name: 'Show who waits for approval',
    isAllowed: async (from, place) => (await ownedBy(place, from)).length > 0,
    form: async (from, place) => writeChoice(await ownedBy(place, from, true)),
    async run(answers, from, place) {
      const node = place.nodes.find(answers.get('pubsub#node')?.[0] ?? '');
      if ((await standingOf(node, from.bare)).affiliation !== 'owner') throw new StanzaError('forbidden');
      await counter.approval.askAll(place, node, from.full);
      return 'They are sent to you';
    },
  };
}

/** The nodes that somebody owns; only those at which somebody waits. */
async function ownedBy({ nodes }: Place, { bare }: Jid, hasPending = false): Promise<readonly Node[]> {
  const owned: Node[] = [];
  for (const node of nodes.all()) {
    const members = await node.members();
    if (node.affiliationOf(bare, members) === 'owner' && (!hasPending || isAwaited(members))) owned.push(node);
  }
  return owned;
}

function isAwaited(members: ReadonlyMap<string, Member>): boolean {
  for (const { subscriptions } of members.values()) if (subscriptions.some(({ state }) => state === 'pending')) return true;
  return false;
}

function writeChoice(nodes: readonly Node[]): Element {
  const options = nodes.map(({ name, config }) => ({ value: name, label: config.title || name }));
  return writeForm('form', NS_SUBSCRIBE_AUTHORIZATION, [{ name: 'pubsub#node', type: 'list-single', label: 'Node', options }]);
}
