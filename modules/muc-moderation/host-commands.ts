// Ad-hoc commands at the host (XEP-0050) for those who administer it: the list of abusers of our own.
import { type FormField, Jid, StanzaError, writeForm } from '#core';
import type { Answers, Command } from '../commands/index.ts';
import { NS_ROOMS } from './namespaces.ts';
import type { SpamGuard } from './spam-guard.ts';
import { readReason } from './text.ts';

/** Entries shown. */
const MAX_SHOWN = 200;

/** What the commands work with. */
export interface HostCommandParts {
  readonly guard: SpamGuard;
  isAdmin(jid: Jid): boolean;
}

/** All of them. */
export function hostCommands(parts: HostCommandParts): readonly Command[] {
  return [listEntries(parts), addEntry(parts), removeEntry(parts)];
}

const ADDRESS: FormField = { name: 'address', type: 'jid-single', label: 'Address or domain', isRequired: true };

function listEntries({ guard, isAdmin }: HostCommandParts): Command {
  const node = `${NS_ROOMS}#spam-list`;
  return {
    node,
    name: 'List Abusers Kept out of Rooms',
    isAllowed: isAdmin,
    run() {
      const local = [...guard.local]
        .map(([address, { reason, by }]) => `${address} (${by}${reason === '' ? '' : `: ${reason}`})`)
        .sort();
      const more = local.length - MAX_SHOWN;
      const fields: readonly FormField[] = [
        {
          name: 'addresses',
          type: 'text-multi',
          label: 'Of our own',
          values: more > 0 ? [...local.slice(0, MAX_SHOWN), `and ${more} more`] : local,
        },
        { name: 'lists', type: 'text-multi', label: 'Of other servers', values: guard.lists.map(describeList) },
      ];
      return { form: writeForm('result', node, fields, { title: 'Abusers kept out of rooms' }) };
    },
  };
}

function describeList({ address: { jid, node }, size, fetchedAt }: SpamGuard['lists'][number]): string {
  const state = fetchedAt === undefined ? 'not fetched yet' : `fetched ${new Date(fetchedAt).toISOString()}`;
  return `${jid.bare} ${node}: ${size} entries, ${state}`;
}

function addEntry({ guard, isAdmin }: HostCommandParts): Command {
  const node = `${NS_ROOMS}#spam-add`;
  const reason: FormField = { name: 'reason', type: 'text-single', label: 'Reason, for other admins' };
  return {
    node,
    name: 'Keep an Abuser out of Rooms',
    isAllowed: isAdmin,
    form: () => writeForm('form', node, [ADDRESS, reason], { title: 'Keep an abuser out of rooms' }),
    async run(answers, from) {
      const jid = readAddress(answers);
      if (isAdmin(jid)) throw new StanzaError('not-allowed', { text: 'Whoever administers the host owns its rooms' });
      await guard.add(jid, { reason: readReason(answers.get('reason')?.[0]) ?? '', by: from.bare, at: Date.now() });
      return `${jid.bare} is kept out of rooms.`;
    },
  };
}

function removeEntry({ guard, isAdmin }: HostCommandParts): Command {
  const node = `${NS_ROOMS}#spam-remove`;
  return {
    node,
    name: 'Let Somebody into Rooms Again',
    isAllowed: isAdmin,
    form: () => writeForm('form', node, [ADDRESS], { title: 'Let somebody into rooms again' }),
    async run(answers) {
      const jid = readAddress(answers);
      if (!(await guard.remove(jid))) throw new StanzaError('item-not-found', { text: 'This address is not listed' });
      return `${jid.bare} is not listed any more.`;
    },
  };
}

function readAddress(answers: Answers): Jid {
  const jid = Jid.tryParse(answers.get('address')?.[0]?.trim() ?? '');
  if (!jid) throw new StanzaError('not-acceptable', { text: 'This is no address' });
  return jid.bareJid;
}
