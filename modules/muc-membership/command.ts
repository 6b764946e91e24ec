import { StanzaError, writeForm } from '#core';
import type { Command } from '../commands/index.ts';
import type { Room } from '../muc/index.ts';
import type { Preferences } from './preferences.ts';
import { readSetting, SETTINGS, type Setting } from './settings.ts';
import { isMember } from './watches.ts';

/** The node of the command, and the type of its form. */
const NODE = 'parlance:membership:1#notifications';

/** What the choices are called. */
export const LABELS: Readonly<Record<Setting, string>> = {
  always: 'All messages',
  'on-mention': 'Only when I am mentioned',
  never: 'Nothing',
};

/** What the command needs of its surroundings. */
export interface CommandParts {
  readonly preferences: Preferences;
  /** The account's name, when it is one of the host's. */
  localName(bare: string): string | undefined;
  /** What holds in a room for those who have not chosen. */
  usual(room: Room): Setting;
  /** A member has chosen. */
  changed(room: Room, bare: string): void;
}

/** The command by which members choose at a room of what in it they want to be notified: any client can show it. */
export function notificationsCommand({ preferences, localName, usual, changed }: CommandParts): Command<Room> {
  return {
    node: NODE,
    name: 'Notifications',
    isAllowed: ({ bare }, room) => localName(bare) !== undefined && isMember(room, bare),
    async form({ local }, room) {
      const chosen = await preferences.of(local, room.jid.bare);
      const options = [
        { value: 'usual', label: `As is usual in this room (${LABELS[usual(room)]})` },
        ...SETTINGS.map((value) => ({ value, label: LABELS[value] })),
      ];
      const field = { name: 'notify', type: 'list-single', label: 'Notify me of', values: [chosen ?? 'usual'], options } as const;
      return writeForm('form', NODE, [field], {
        title: 'Notifications',
        instructions: 'Of what in this room you are notified while you are away.',
      });
    },
    async run(answers, { local, bare }, room) {
      const text = answers.get('notify')?.[0];
      const setting = readSetting(text);
      if (!setting && text !== 'usual') throw new StanzaError('bad-request', { text: 'This cannot be chosen' });
      await preferences.choose(local, room.jid.bare, setting);
      changed(room, bare);
      return `Saved. You are notified of: ${LABELS[(await preferences.of(local, room.jid.bare)) ?? usual(room)]}.`;
    },
  };
}
