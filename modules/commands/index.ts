// XEP-0050: commands that entities may run on this host, by forms that any client can show. Other modules bring the commands, and
// may have desks of their own for other addresses.
import { defineModule, option } from '#core';
import type { Command } from './command.ts';
import { CommandDesk, NS_COMMANDS } from './desk.ts';
import { CommandSessions } from './sessions.ts';

export type { Answers, Command, FormCommand, Result, Stage, StagedCommand } from './command.ts';
export { CommandDesk } from './desk.ts';

/** What other modules get from this one. */
export interface CommandsApi {
  /** Offers a command; returns what takes it back. Throws when the node is taken. */
  offer(command: Command): () => void;
  /**
   * A desk for commands at other addresses than the host's: whoever answers for them hands on their IQs and the questions about them.
   * The limits of this module hold for all desks together.
   */
  desk<P>(): CommandDesk<P>;
}

export default defineModule({
  name: 'commands',
  doc: 'Ad-hoc commands: lets clients run what other modules offer, by forms.',
  xeps: [{ xep: 50, version: '1.3.0' }],
  features: [NS_COMMANDS],
  config: option.object({
    timeout: option.duration({ default: '15m', min: '1m', max: '1d', doc: 'Time to fill in a form.' }),
    maxOpen: option.integer({
      default: 10,
      min: 1,
      max: 1000,
      doc: 'Forms one account may have open; the oldest is closed for a new one.',
    }),
  }),

  setup({ config, disco, every, iq }): CommandsApi {
    const sessions = new CommandSessions(config);
    const desk = new CommandDesk<void>(sessions);

    iq.set('server', NS_COMMANDS, 'command', (query) => desk.take(query));
    disco.extend({
      items: (question) => (question.to.local === '' ? desk.items(question) : []),
      node: (question) => (question.to.local === '' ? desk.node(question) : undefined),
    });
    every(60_000, () => sessions.forgetExpired());

    return {
      offer: (command) => desk.offer(command),
      desk: <P>() => new CommandDesk<P>(sessions),
    };
  },
});
