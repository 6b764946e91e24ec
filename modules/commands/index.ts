// XEP-0050: commands that entities may run on this host, by forms that any client can show. Other modules bring the commands.
import { randomBytes } from 'node:crypto';
import {
  after,
  type DiscoItem,
  type DiscoQuestion,
  defineModule,
  type Element,
  type Jid,
  type Maybe,
  type NodeInfo,
  option,
  type Query,
  readForm,
  StanzaError,
  xml,
} from '#core';

const NS = 'http://jabber.org/protocol/commands';
const NS_DATA = 'jabber:x:data';

/** What was filled into a command's form: values by field. */
export type Answers = ReadonlyMap<string, readonly string[]>;

/** A command with at most one form. */
export interface Command {
  /** Names it: unique on this host. */
  readonly node: string;
  /** What clients show. */
  readonly name: string;
  isAllowed(from: Jid): boolean;
  /** What is to be filled in first; without it the command runs at once. */
  form?(from: Jid): Maybe<Element>;
  /** Does it. Returns what the user is told, and throws StanzaError to refuse the answers. */
  run(answers: Answers, from: Jid): Maybe<string>;
}

/** What other modules get from this one. */
export interface CommandsApi {
  /** Offers a command; returns what takes it back. Throws when the node is taken. */
  offer(command: Command): () => void;
}

interface Execution {
  readonly command: Command;
  /** The full JID that began it; nobody else may go on with it. */
  readonly owner: string;
  readonly expires: number;
}

export default defineModule({
  name: 'commands',
  doc: 'Ad-hoc commands: lets clients run what other modules offer, by forms.',
  xeps: [{ xep: 50, version: '1.3.0' }],
  features: [NS],
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
    const commands = new Map<string, Command>();
    /** By session id; in the order they began, which is the order they expire in. */
    const open = new Map<string, Execution>();

    iq.set('server', NS, 'command', take);
    disco.extend({ items: listItems, node: describe });
    every(60_000, forgetExpired);

    function take({ payload, from }: Query): Maybe<Element> {
      const command = find(read(payload, 'node'), from);
      const action = read(payload, 'action') ?? 'execute';
      const sessionid = read(payload, 'sessionid');
      if (!ACTIONS.has(action)) throw refusal('bad-request', 'malformed-action');
      if (sessionid === undefined) return begin(command, from, action);
      const execution = open.get(sessionid);
      if (execution?.command !== command || execution.owner !== from.full || execution.expires < Date.now()) {
        throw refusal('not-allowed', 'session-expired');
      }
      if (action === 'prev') throw refusal('bad-request', 'bad-action');
      if (action === 'cancel') {
        open.delete(sessionid);
        return answer(command, sessionid, 'canceled');
      }
      return finish(command, sessionid, { form: payload.getChild('x', NS_DATA) ?? undefined, from });
    }

    function find(node: string | undefined, from: Jid): Command {
      const command = commands.get(node ?? '');
      if (!command) throw new StanzaError('item-not-found');
      if (!command.isAllowed(from)) throw new StanzaError('forbidden', { type: 'cancel' });
      return command;
    }

    function begin(command: Command, from: Jid, action: string): Maybe<Element> {
      if (action !== 'execute') throw refusal('bad-request', 'bad-action');
      const id = randomBytes(16).toString('base64url');
      if (!command.form) return after(command.run(new Map(), from), (text) => answer(command, id, 'completed', note(text)));
      makeRoom(from);
      open.set(id, { command, owner: from.full, expires: Date.now() + config.timeout });
      return after(command.form(from), (form) =>
        answer(command, id, 'executing', xml('actions', { execute: 'complete' }, xml('complete')), form),
      );
    }

    function finish(command: Command, id: string, { form, from }: { form: Element | undefined; from: Jid }): Maybe<Element> {
      if (form?.attrs['type'] !== 'submit') throw refusal('bad-request', 'bad-payload');
      return after(command.run(readForm(form), from), (text) => {
        open.delete(id);
        return answer(command, id, 'completed', note(text));
      });
    }

    function makeRoom(from: Jid): void {
      const mine = [...open].filter(([, { owner }]) => owner === from.full || owner.startsWith(`${from.bare}/`));
      for (const [id] of mine.slice(0, Math.max(0, mine.length - config.maxOpen + 1))) open.delete(id);
    }

    function forgetExpired(): void {
      const now = Date.now();
      for (const [id, { expires }] of open) if (expires < now) open.delete(id);
    }

    function listItems({ from, to, node }: DiscoQuestion): readonly DiscoItem[] {
      if (to.local !== '' || node !== NS) return [];
      const allowed = [...commands.values()].filter((command) => command.isAllowed(from));
      return allowed.map((command) => ({ jid: to.full, node: command.node, name: command.name }));
    }

    function describe({ from, to, node = '' }: DiscoQuestion): NodeInfo | undefined {
      if (to.local !== '') return undefined;
      if (node === NS)
        return { identities: [{ category: 'automation', type: 'command-list', name: 'Commands' }], features: [NS] };
      const command = commands.get(node);
      if (!command) return undefined;
      if (!command.isAllowed(from)) throw new StanzaError('forbidden', { type: 'cancel' });
      return { identities: [{ category: 'automation', type: 'command-node', name: command.name }], features: [NS, NS_DATA] };
    }

    return {
      offer(command) {
        if (commands.has(command.node)) throw new Error(`two modules offer the command ${command.node}`);
        commands.set(command.node, command);
        return () => void commands.delete(command.node);
      },
    };
  },
});

const ACTIONS: ReadonlySet<string> = new Set(['execute', 'cancel', 'prev', 'next', 'complete']);

function read({ attrs }: Element, name: string): string | undefined {
  const value: unknown = attrs[name];
  return typeof value === 'string' ? value : undefined;
}

function answer({ node }: Command, sessionid: string, status: string, ...children: readonly Element[]): Element {
  return xml('command', { xmlns: NS, node, sessionid, status }, ...children);
}

function note(text: string): Element {
  return xml('note', { type: 'info' }, text);
}

/** The errors of XEP-0050 section 4.4. */
function refusal(condition: 'bad-request' | 'not-allowed', reason: string): StanzaError {
  return new StanzaError(condition, { extra: xml(reason, NS) });
}
