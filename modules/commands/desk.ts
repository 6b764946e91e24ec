import {
  after,
  type DiscoItem,
  type DiscoQuestion,
  type Element,
  type Jid,
  type Maybe,
  type NodeInfo,
  type Query,
  randomToken,
  readForm,
  StanzaError,
  xml,
} from '#core';
import type { Command, FormCommand, Result, Stage } from './command.ts';
import type { CommandSession, CommandSessions, SessionScope } from './sessions.ts';

/** The namespace of ad-hoc commands, and the node of the list of them (XEP-0050 sections 2.1 and 2.2). */
export const NS_COMMANDS = 'http://jabber.org/protocol/commands';
const NS_DATA = 'jabber:x:data';

const ACTIONS: ReadonlySet<string> = new Set(['execute', 'cancel', 'prev', 'next', 'complete']);
/** Stages that one can go back over; a command that asks on and on would otherwise be kept whole. */
const MAX_STAGES = 32;

/** One step of a command that is known and may be run. */
interface Step<P> extends SessionScope {
  readonly command: Command<P>;
  readonly place: P;
  readonly payload: Element;
  readonly action: string;
}

/**
 * Where commands are offered and run: the host's own, or one for all places of a kind, such as the rooms of a service. A session
 * belongs to the address it was begun at and to what stood there, told by identity: for one who asks elsewhere, or when something
 * else has taken the address, there is no such session.
 */
export class CommandDesk<P> {
  readonly #sessions: CommandSessions;
  readonly #commands = new Map<string, Command<P>>();

  constructor(sessions: CommandSessions) {
    this.#sessions = sessions;
  }

  /** Offers a command; returns what takes it back, and closes what is open of it. Throws when the node is taken. */
  offer(command: Command<P>): () => void {
    const { node } = command;
    if (this.#commands.has(node)) throw new Error(`two modules offer the command ${node}`);
    this.#commands.set(node, command);
    return () => {
      if (this.#commands.get(node) !== command) return;
      this.#commands.delete(node);
      this.#sessions.closeAllOf(command);
    };
  }

  /** Answers the IQ set with a <command/> to this place. Throws StanzaError (XEP-0050 section 4.4). */
  take({ payload, from, to }: Query, place: P): Maybe<Element> {
    const command = this.#commands.get(read(payload, 'node') ?? '');
    if (!command) throw new StanzaError('item-not-found');
    const asked = read(payload, 'action') ?? 'execute';
    const id = read(payload, 'sessionid');
    if (!ACTIONS.has(asked)) throw refusal('bad-request', 'malformed-action');
    // Section 3.5.1 would take a form of type cancel as submitted: nothing is done that somebody has cancelled (XEP-0004 section 3.1).
    const action = asked !== 'prev' && formIn(payload)?.attrs['type'] === 'cancel' ? 'cancel' : asked;
    const step: Step<P> = { command, place, payload, action, from, at: to.full };
    // Who may run it no more may still cancel: it is always allowed (section 3.4).
    if (action === 'cancel' && id !== undefined) return this.#cancel(step, id);
    return after(command.isAllowed(from, place), (isAllowed) => {
      if (!isAllowed) throw forbidden();
      return id === undefined ? this.#begin(step) : this.#goOn(step, id);
    });
  }

  /** What disco#items has to say of the list of commands here: those that whoever asks may run. Empty for other nodes. */
  items({ from, to, node }: DiscoQuestion, place: P): Maybe<readonly DiscoItem[]> {
    if (node !== NS_COMMANDS) return [];
    const commands = [...this.#commands.values()];
    const verdicts = commands.map((command) => command.isAllowed(from, place));
    const list = (allowed: readonly (boolean | Promise<boolean>)[]) =>
      commands.filter((_, i) => allowed[i] === true).map((command) => ({ jid: to.full, node: command.node, name: command.name }));
    return verdicts.some((verdict) => verdict instanceof Promise) ? Promise.all(verdicts).then(list) : list(verdicts);
  }

  /** What disco#info has to say of the list of commands or one of them; undefined for other nodes. Throws StanzaError `forbidden`. */
  node({ from, node = '' }: DiscoQuestion, place: P): Maybe<NodeInfo | undefined> {
    if (node === NS_COMMANDS) return describe('command-list', 'Commands', [NS_COMMANDS]);
    const command = this.#commands.get(node);
    if (!command) return undefined;
    return after(command.isAllowed(from, place), (isAllowed) => {
      if (!isAllowed) throw forbidden();
      return describe('command-node', command.name, [NS_COMMANDS, NS_DATA]);
    });
  }

  #begin(step: Step<P>): Maybe<Element> {
    const { command, place, from, payload, action } = step;
    const hasAnswers = formIn(payload) !== undefined;
    if (action !== 'execute' && !(hasAnswers && action === 'complete')) throw refusal('bad-request', 'bad-action');
    const id = randomToken(16);
    const start = command.start ? command.start(from, place) : startForm(command, from, place);
    return after(start, (first) => {
      if (!isStage(first)) return complete(command, id, first);
      // Only now: a first form that could not be made leaves nothing open.
      if (!hasAnswers) return show(this.#open(id, step, first), command);
      return after(goForward(first, step), (second) => {
        // Answers that are refused leave nothing open either: they can be sent again as they were.
        if (!isStage(second)) return complete(command, id, second);
        const session = this.#open(id, step, first);
        session.stages.push(second);
        return show(session, command);
      });
    });
  }

  #open(id: string, { command, place, from, at }: Step<P>, stage: Stage): CommandSession {
    return this.#sessions.open(id, { command, place, from, at }, stage);
  }

  #goOn(step: Step<P>, id: string): Maybe<Element> {
    const session = this.#find(step, id);
    const { stages } = session;
    if (step.action === 'prev') {
      if (stages.length < 2) throw refusal('bad-request', 'bad-action');
      stages.pop();
      this.#sessions.renew(session);
      return show(session, step.command);
    }
    return busy(session, () => after(goForward(stages.at(-1)!, step), (outcome) => this.#goTo(session, step.command, outcome)));
  }

  #goTo(session: CommandSession, command: Command<P>, outcome: Stage | Result): Element {
    if (!isStage(outcome)) {
      this.#sessions.close(session);
      return complete(command, session.id, outcome);
    }
    if (!this.#sessions.renew(session)) throw expired();
    session.stages.push(outcome);
    if (session.stages.length > MAX_STAGES) session.stages.shift();
    return show(session, command);
  }

  #cancel(step: Step<P>, id: string): Element {
    const session = this.#find(step, id);
    this.#sessions.close(session);
    return answer(step.command, id, 'canceled');
  }

  /** Whatever is wrong with a session, it is the same error: nobody learns of another's. */
  #find(step: Step<P>, id: string): CommandSession {
    const session = this.#sessions.find(id, step);
    if (!session) throw expired();
    if (session.isBusy) throw new StanzaError('unexpected-request');
    return session;
  }
}

/** Runs a step that nothing else may be done to the session beside. */
function busy(session: CommandSession, step: () => Maybe<Element>): Maybe<Element> {
  const end = () => {
    session.isBusy = false;
  };
  session.isBusy = true;
  let reply: Maybe<Element>;
  try {
    reply = step();
  } catch (error) {
    end();
    throw error;
  }
  if (reply instanceof Promise) return reply.finally(end);
  end();
  return reply;
}

/** Goes on from a stage with what was filled in. Throws StanzaError where this action is not offered there, or nothing was filled in. */
function goForward(stage: Stage, { action, payload }: Pick<Step<never>, 'action' | 'payload'>): Maybe<Stage | Result> {
  if (action !== 'execute' && action !== forwardFrom(stage)) throw refusal('bad-request', 'bad-action');
  const form = formIn(payload);
  if (form?.attrs['type'] !== 'submit') throw refusal('bad-request', 'bad-payload');
  return stage.next(readForm(form));
}

function forwardFrom({ isLast }: Stage): 'complete' | 'next' {
  return isLast ? 'complete' : 'next';
}

function formIn(payload: Element): Element | undefined {
  return payload.getChild('x', NS_DATA);
}

/** A command with a form is one with a single stage. */
function startForm<P>(command: FormCommand<P>, from: Jid, place: P): Maybe<Stage | Result> {
  const run = (answers: ReadonlyMap<string, readonly string[]>) => after(command.run(answers, from, place), toResult);
  if (!command.form) return run(new Map());
  return after(command.form(from, place), (form) => ({ form, isLast: true, next: run }));
}

function toResult(outcome: string | Result): Result {
  return typeof outcome === 'string' ? { text: outcome } : outcome;
}

function isStage(outcome: Stage | Result): outcome is Stage {
  return 'next' in outcome;
}

function show({ id, stages }: CommandSession, command: Command<never>): Element {
  const stage = stages.at(-1)!;
  const forward = forwardFrom(stage);
  const actions = xml('actions', { execute: forward }, stages.length > 1 ? xml('prev') : undefined, xml(forward));
  return answer(command, id, 'executing', actions, stage.form);
}

function complete(command: Command<never>, id: string, { form, text }: Result): Element {
  return answer(command, id, 'completed', form, text === undefined ? undefined : xml('note', { type: 'info' }, text));
}

function answer(
  { node }: Command<never>,
  sessionid: string,
  status: string,
  ...children: readonly (Element | undefined)[]
): Element {
  return xml('command', { xmlns: NS_COMMANDS, node, sessionid, status }, ...children);
}

function describe(type: string, name: string, features: readonly string[]): NodeInfo {
  return { identities: [{ category: 'automation', type, name }], features };
}

function read({ attrs }: Element, name: string): string | undefined {
  const value: unknown = attrs[name];
  return typeof value === 'string' ? value : undefined;
}

function forbidden(): StanzaError {
  return new StanzaError('forbidden', { type: 'cancel' });
}

function expired(): StanzaError {
  return refusal('not-allowed', 'session-expired');
}

/** The errors of XEP-0050 section 4.4. */
function refusal(condition: 'bad-request' | 'not-allowed', reason: string): StanzaError {
  return new StanzaError(condition, { extra: xml(reason, NS_COMMANDS) });
}
