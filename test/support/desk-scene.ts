import type { Element } from 'ltx';
import commands, { type Answers, type CommandDesk, type Result, type Stage } from '../../modules/commands/index.ts';
import {
  after,
  type DiscoQuestion,
  defineModule,
  type Envelope,
  type Jid,
  option,
  resultOf,
  StanzaError,
  writeForm,
  xml,
} from '../../src/index.ts';
import { conditionOf, payloadOf } from './answers.ts';
import type { Probe } from './probe.ts';
import { startHost, type TestHost } from './start-host.ts';

/** The namespace of commands. */
export const NS = 'http://jabber.org/protocol/commands';
const NS_ITEMS = 'http://jabber.org/protocol/disco#items';

/** The error for all that is wrong with a session. */
export const EXPIRED = 'not-allowed session-expired';

/** A place with commands: there are two, `one` and `two`, and each is somebody's. */
export interface Room {
  readonly name: string;
  owner: string;
  /** What commands have done here. */
  readonly done: string[];
}

const formOf = (name: string) => writeForm('form', 'urn:form', [{ name, type: 'text-single', isRequired: true }]);

function read(answers: Answers, name: string): string {
  const value = answers.get(name)?.[0];
  if (!value) throw new StanzaError('bad-request', { extra: xml('bad-payload', NS) });
  return value;
}

/** Three forms, each of which asks for what the next one speaks of. */
function configure(room: Room): Stage {
  const finish = (service: string, level: string): Result => {
    room.done.push(`${service} ${level}`);
    return { text: `${service} runs at ${level}.` };
  };
  const level = (service: string): Stage => ({
    form: formOf(`level of ${service}`),
    isLast: true,
    next: (answers) => finish(service, read(answers, 'level')),
  });
  const confirm = (service: string): Stage => ({ form: formOf(`sure of ${service}`), next: async () => level(service) });
  return { form: formOf('service'), next: (answers) => confirm(read(answers, 'service')) };
}

/** Forms without end. */
export function ever(n: number): Stage {
  return { form: formOf(`form ${n}`), next: () => ever(n + 1) };
}

/** Two rooms whose commands are at a desk of their own, and a visitor. */
export class DeskScene {
  host!: TestHost;
  juliet!: Visitor;
  readonly rooms = new Map<string, Room>();
  /** Takes back the commands that were offered last. */
  withdraw: () => void = () => {};
  /** Lets the command `slow` go on. */
  open: () => void = () => {};
  #gate: Promise<void> | undefined = undefined;
  #desk!: CommandDesk<Room>;

  async begin(): Promise<void> {
    for (const name of ['one', 'two']) this.replace(name);
    this.#gate = new Promise((resolve) => (this.open = resolve));
    this.host = await startHost([commands, this.#service()], { modules: { commands: { maxOpen: 4, timeout: '10m' } } });
    this.offer();
    this.juliet = new Visitor(await this.host.online('juliet', 'balcony'));
  }

  /** Puts a new room at this address. */
  replace(name: string): void {
    this.rooms.set(name, { name, owner: 'juliet@example.org', done: [] });
  }

  give(name: string, owner: string): void {
    this.rooms.get(name)!.owner = owner;
  }

  done(name = 'one'): readonly string[] {
    return this.rooms.get(name)!.done;
  }

  /** Offers all commands. */
  offer(): void {
    const desk = this.#desk;
    const isOwner = async (from: Jid, room: Room) => from.bare === room.owner;
    const everybody = () => true;
    const withdrawals = [
      desk.offer({ node: 'config', name: 'Configure', isAllowed: isOwner, start: (_from, room) => configure(room) }),
      desk.offer({ node: 'again', name: 'Configure again', isAllowed: isOwner, start: async (_from, room) => configure(room) }),
      desk.offer({ node: 'ever', name: 'Ever on', isAllowed: everybody, start: () => ever(1) }),
      desk.offer({
        node: 'who',
        name: 'Whose',
        isAllowed: everybody,
        start: (_from, room) => ({
          form: writeForm('result', 'urn:who', [{ name: 'owner', values: [room.owner] }]),
          text: room.name,
        }),
      }),
      desk.offer({
        node: 'say',
        name: 'Say',
        isAllowed: everybody,
        form: (_from, room) => formOf(`for ${room.name}`),
        async run(answers, from, room) {
          room.done.push(`${from.local}: ${read(answers, 'text')}`);
          return { form: writeForm('result', 'urn:said', []) };
        },
      }),
      desk.offer({
        node: 'slow',
        name: 'Slow',
        isAllowed: everybody,
        start: (_from, room) => ({
          form: formOf('text'),
          next: () => this.#gate!.then(() => (room.done.push('slow') === 1 ? ever(1) : { text: 'Done.' })),
        }),
      }),
      desk.offer({
        node: 'broken',
        name: 'Broken',
        isAllowed: everybody,
        start: () => Promise.reject(new StanzaError('resource-constraint')),
      }),
    ];
    this.withdraw = () => {
      for (const withdraw of withdrawals) withdraw();
    };
  }

  #answer(env: Envelope) {
    const { from, to, stanza } = env;
    const room = this.rooms.get(to.local);
    const payload = stanza.element.getChildElements()[0];
    if (!room || !payload) throw new StanzaError('item-not-found');
    const question: DiscoQuestion = { from, to, node: payload.attrs['node'] };
    const reply = (answer: Element) => env.origin.send(resultOf(env, answer));
    if (payload.is('command', NS)) return after(this.#desk.take({ payload, from, to, env }, room), reply);
    if (payload.is('query', NS_ITEMS)) return after(this.#desk.items(question, room), (items) => reply(list('item', items)));
    return after(this.#desk.node(question, room), (info) => reply(list('identity', info?.identities ?? [])));
  }

  #service() {
    return defineModule({
      name: 'service',
      doc: 'Answers for places with commands.',
      needs: [commands],
      config: option.object({}),
      setup: ({ serve, use }) => {
        this.#desk = use(commands).desk<Room>();
        serve('rooms.example.org', { deliver: (env) => this.#answer(env) });
      },
    });
  }
}

function list(name: string, all: readonly object[]): Element {
  return xml('query', NS_ITEMS, ...all.map((attrs) => xml(name, { ...attrs })));
}

/** Somebody at a room's desk, with the session that is open there. */
export class Visitor {
  readonly probe: Probe;
  readonly room: string;
  id = '';

  constructor(probe: Probe, room = 'one') {
    this.probe = probe;
    this.room = room;
  }

  /** Asks this room about itself; returns the attributes of what it names. */
  async discover(what: 'info' | 'items', node: string): Promise<readonly Readonly<Record<string, string>>[]> {
    const query = `<query xmlns='http://jabber.org/protocol/disco#${what}' node='${node}'/>`;
    const reply = await this.probe.ask(`<iq type='get' to='${this.room}@rooms.example.org'>${query}</iq>`);
    return payloadOf(reply)
      .getChildElements()
      .map(({ attrs }) => attrs);
  }

  /** Sends the form that is open as one that was cancelled; what is shown then, or the error. */
  async cancelForm(node: string, action = 'execute'): Promise<string> {
    const command = `<command xmlns='${NS}' node='${node}' sessionid='${this.id}' action='${action}'>`;
    const form = `<x xmlns='jabber:x:data' type='cancel'/></command>`;
    return summarize(await this.probe.ask(`<iq type='set' to='${this.room}@rooms.example.org'>${command}${form}</iq>`));
  }

  /** Sends a command with these attributes and answers; returns the whole reply. */
  ask(attrs: string, answers?: Readonly<Record<string, string>>): Promise<Element> {
    const fields = Object.entries(answers ?? {}).map(([name, value]) => xml('field', { var: name }, xml('value', {}, value)));
    const form = answers ? xml('x', { xmlns: 'jabber:x:data', type: 'submit' }, ...fields) : '';
    return this.probe.ask(
      `<iq type='set' to='${this.room}@rooms.example.org'><command xmlns='${NS}' ${attrs}>${form}</command></iq>`,
    );
  }

  /** Begins a command; what is shown then. */
  async begin(node: string): Promise<string> {
    const command = payloadOf(await this.ask(`node='${node}'`));
    this.id = command.attrs['sessionid']!;
    return outline(command);
  }

  /** Goes on in the session; what is shown then, or the error. */
  async go(node: string, action: string | undefined, answers?: Readonly<Record<string, string>>): Promise<string> {
    const attrs = `node='${node}' sessionid='${this.id}' ${action === undefined ? '' : `action='${action}'`}`;
    return summarize(await this.ask(attrs, answers));
  }
}

/** What a reply shows, or the error that it is. */
export function summarize(reply: Element): string {
  if (reply.attrs['type'] === 'result') return outline(payloadOf(reply));
  const reason = reply.getChild('error')?.getChildElements()[1];
  return [conditionOf(reply), ...(reason ? [reason.name] : [])].join(' ');
}

/** The status of a command, what may be done (the default first, after a star), and which field or note is shown. */
export function outline(command: Element): string {
  const actions = command.getChild('actions');
  const names = actions?.getChildElements().map(({ name }) => (name === actions.attrs['execute'] ? `*${name}` : name)) ?? [];
  const fields = command.getChild('x', 'jabber:x:data')?.getChildren('field') ?? [];
  const field = fields.find(({ attrs }) => attrs['var'] !== 'FORM_TYPE')?.attrs['var'];
  const note = command.getChildText('note');
  return [command.attrs['status'], ...names, ...(field ? [`[${field}]`] : []), ...(note ? [note] : [])].join(' ');
}
