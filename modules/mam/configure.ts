import { type Element, type FormField, StanzaError, writeForm, xml } from '#core';
import type { Answers, Command } from '../commands/index.ts';
import { POLICIES, type Policy, type Preferences, readPolicy } from './preferences.ts';

/** The well-known node of advanced configuration (XEP-0441 section 2.2), which is also the type of its form. */
const NODE = 'urn:xmpp:mam#configure';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';

const DAY = 86_400_000;
/** A hundred years: longer than that is for ever. */
const MAX_DAYS = 36_500;

const LABELS: Readonly<Record<Policy, string>> = {
  always: 'Everything',
  roster: 'What is exchanged with contacts',
  never: 'Nothing',
};

/** What the command needs of its surroundings. */
export interface ConfigureParts {
  readonly domain: string;
  readonly preferences: Preferences;
  /** Milliseconds that the host keeps messages at most; 0 for ever. */
  readonly keepFor: number;
}

/**
 * The command by which users configure their archives (XEP-0441 section 2.2): what is archived by default, and for how long. It is
 * offered by the host, and is about the account of whoever runs it.
 */
export function configureCommand({ domain, preferences, keepFor }: ConfigureParts): Command {
  const maxDays = keepFor > 0 ? Math.floor(keepFor / DAY) : MAX_DAYS;
  return {
    node: NODE,
    name: 'Configure Message Archive',
    isAllowed: (from) => from.domain === domain && from.local !== '',
    async form(from) {
      const policy = await preferences.policyOf(from.local);
      return writeConfiguration(policy, await preferences.keepFor(from.local), keepFor);
    },
    async run(answers, from) {
      const policy = readPolicy(answers.get('default')?.[0]);
      if (policy === undefined) throw badPayload('The default is always, never or roster');
      const days = readDays(answers, maxDays);
      await preferences.configure(from.local, policy, days === undefined ? undefined : days * DAY);
      return describe(await preferences.keepFor(from.local));
    },
  };
}

function writeConfiguration(policy: Policy, own: number, host: number): Element {
  const limit = host > 0 ? `the server keeps them for ${count(host)}` : 'the server keeps them for ever';
  const days: FormField = {
    name: 'days',
    type: 'text-single',
    label: `Days to keep messages (when empty, ${limit})`,
    values: own === host ? [] : [String(Math.floor(own / DAY))],
  };
  const form = writeForm('form', NODE, [days], {
    title: 'Message Archive',
    instructions: 'What is kept of your messages on the server, and for how long. It holds for all your devices.',
  });
  const options = POLICIES.map((value) => xml('option', { label: LABELS[value] }, xml('value', {}, value)));
  const attrs = { var: 'default', type: 'list-single', label: 'What to keep by default' };
  return form.cnode(xml('field', attrs, xml('value', {}, policy), ...options)).root();
}

/** Undefined: as the host has it. Throws StanzaError for what is no number of days, or more than the host has. */
function readDays(answers: Answers, max: number): number | undefined {
  const text = (answers.get('days')?.[0] ?? '').trim();
  if (text === '') return undefined;
  const days = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= max) return days;
  throw badPayload(max < 1 ? 'The server keeps messages for less than a day' : `Days are a whole number from 1 to ${max}`);
}

function describe(keepFor: number): string {
  return keepFor > 0 ? `Saved. Messages are kept for ${count(keepFor)}.` : 'Saved. Messages are kept for ever.';
}

function count(keepFor: number): string {
  if (keepFor < DAY) return 'less than a day';
  const days = Math.floor(keepFor / DAY);
  return days === 1 ? 'one day' : `${days} days`;
}

/** XEP-0050 section 4.4. */
function badPayload(text: string): StanzaError {
  return new StanzaError('bad-request', { text, extra: xml('bad-payload', NS_COMMANDS) });
}
