import { type FormField, StanzaError, writeForm, xml } from '#core';
import type { Answers, Command } from '../commands/index.ts';
import type { Announcer, Notice } from './index.ts';

const ADMIN = 'http://jabber.org/protocol/admin';
const NS_COMMANDS = 'http://jabber.org/protocol/commands';

/** One command that asks for a text. */
interface Asking {
  readonly node: string;
  readonly name: string;
  /** The field of the text. */
  readonly field: 'announcement' | 'motd';
  readonly label: string;
  readonly instructions: string;
  readonly done: string;
  readonly known?: () => Notice | undefined;
  send(notice: Notice): Promise<void>;
}

/** The commands of XEP-0133 for announcements, and one to all accounts, which it does not have. */
export function listCommands(announcer: Announcer): readonly Command[] {
  const asking: readonly Asking[] = [
    {
      node: `${ADMIN}#announce`,
      name: 'Send Announcement to Online Users',
      field: 'announcement',
      label: 'Announcement',
      instructions: 'The announcement goes to everyone who is online.',
      done: 'The announcement was sent.',
      send: (notice) => announcer.toOnline(notice),
    },
    {
      node: `${ADMIN}#announce-all`,
      name: 'Send Announcement to All Users',
      field: 'announcement',
      label: 'Announcement',
      instructions: 'The announcement goes to every account; who is offline gets it later.',
      done: 'The announcement is being sent.',
      send: (notice) => announcer.toAll(notice),
    },
    {
      node: `${ADMIN}#set-motd`,
      name: 'Set Message of the Day',
      field: 'motd',
      label: 'Message of the Day',
      instructions: 'Everyone gets the message once: who is online now, others when they log in.',
      done: 'The message of the day was set.',
      send: (notice) => announcer.setMotd(notice),
    },
    {
      node: `${ADMIN}#edit-motd`,
      name: 'Edit Message of the Day',
      field: 'motd',
      label: 'Message of the Day',
      instructions: 'Everyone gets the new message once, when they next log in.',
      done: 'The message of the day was changed.',
      known: () => announcer.motd,
      send: (notice) => announcer.editMotd(notice),
    },
  ];
  return [...asking.map((each) => ask(each, announcer)), remove(announcer)];
}

function ask(asking: Asking, announcer: Announcer): Command {
  return {
    node: asking.node,
    name: asking.name,
    isAllowed: (from) => announcer.isAdmin(from),
    form() {
      const known = asking.known?.();
      const subject: FormField = {
        name: 'subject',
        type: 'text-single',
        label: 'Subject',
        values: known?.subject ? [known.subject] : [],
      };
      const text: FormField = {
        name: asking.field,
        type: 'text-multi',
        label: asking.label,
        values: known?.body.split('\n') ?? [],
        isRequired: true,
      };
      return writeForm('form', ADMIN, [subject, text], { title: asking.name, instructions: asking.instructions });
    },
    async run(answers) {
      await asking.send(readNotice(answers, asking.field));
      return asking.done;
    },
  };
}

function remove(announcer: Announcer): Command {
  return {
    node: `${ADMIN}#delete-motd`,
    name: 'Delete Message of the Day',
    isAllowed: (from) => announcer.isAdmin(from),
    async run() {
      await announcer.deleteMotd();
      return 'The message of the day was deleted.';
    },
  };
}

function readNotice(answers: Answers, field: string): Notice {
  const body = (answers.get(field) ?? []).join('\n');
  if (body.trim() === '') throw new StanzaError('bad-request', { extra: xml('bad-payload', NS_COMMANDS) });
  return { subject: answers.get('subject')?.[0] ?? '', body };
}
