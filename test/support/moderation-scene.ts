import assert from 'node:assert/strict';
import type { Element } from 'ltx';
import blocking from '../../modules/blocking/index.ts';
import commands from '../../modules/commands/index.ts';
import disco from '../../modules/disco/index.ts';
import type { Room } from '../../modules/muc/index.ts';
import mucModeration from '../../modules/muc-moderation/index.ts';
import type { Probe } from './probe.ts';
import { errorIn, LOUNGE, type RoomPlan, RoomScene, type RoomSceneOptions, say } from './room-scene.ts';

export const RETRACT = 'urn:xmpp:message-retract:1';
export const MODERATE = 'urn:xmpp:message-moderate:1';
export const FASTEN = 'urn:xmpp:fasten:0';
const SID = 'urn:xmpp:sid:0';
const COMMANDS = 'http://jabber.org/protocol/commands';

/** How a scene differs from the usual one. */
export interface ModerationOptions extends RoomSceneOptions {
  /** The section of the module. */
  readonly moderation?: Readonly<Record<string, unknown>>;
  readonly plan?: RoomPlan;
}

/** A room in which order is kept: its owner, `keeper`, is there. */
export class ModerationScene {
  readonly scene: RoomScene;
  readonly room: Room;
  readonly keeper: Probe;

  private constructor(scene: RoomScene, room: Room, keeper: Probe) {
    this.scene = scene;
    this.room = room;
    this.keeper = keeper;
  }

  static async start({ moderation = {}, plan = {}, ...options }: ModerationOptions = {}): Promise<ModerationScene> {
    const scene = await RoomScene.start({
      ...options,
      more: [commands, blocking, disco, mucModeration],
      modules: { 'muc-moderation': moderation, ...options.modules },
    });
    // After a restart it is there already.
    const room = (await scene.rooms.find(scene.host.jid(LOUNGE))) ?? (await scene.room(plan));
    const keeper = await scene.client('keeper');
    await scene.enter(keeper);
    return new ModerationScene(scene, room, keeper);
  }

  stop(): Promise<void> {
    return this.scene.stop();
  }

  /** A client that is in the room, and has been told of it. */
  async enter(username: string, resource?: string): Promise<Probe> {
    const probe = await this.scene.client(username, resource);
    await this.scene.enter(probe);
    await this.scene.hush(this.keeper, probe);
    return probe;
  }

  /** Says something; returns its id in the room's archive, as the sender is told it. */
  async say(probe: Probe, body: string, id = body): Promise<string> {
    await this.scene.hush(this.keeper, probe);
    probe.send(say(body, { id }));
    const echo = await probe.receive('message');
    assert.equal(echo.attrs['type'], 'groupchat', String(echo));
    return idIn(echo);
  }

  /** Everything in the room's archive, as a client gets it. */
  async archive(probe: Probe = this.keeper): Promise<readonly Element[]> {
    await this.scene.hush(probe);
    probe.send(`<iq type='set' id='mam' to='${LOUNGE}'><query xmlns='urn:xmpp:mam:2'/></iq>`);
    const found: Element[] = [];
    for (;;) {
      const stanza = await probe.receive();
      if (stanza.name === 'iq') return found;
      found.push(stanza.getChild('result')!.getChild('forwarded')!.getChild('message')!);
    }
  }

  /** Runs a command with one form; returns what is told, or the error. */
  async run(probe: Probe, node: string, answers: Readonly<Record<string, string>> = {}, to = LOUNGE): Promise<string> {
    const attrs = `xmlns='${COMMANDS}' node='${node.includes('#') ? node : `parlance:rooms:1#${node}`}'`;
    const first = await probe.ask(`<iq type='set' to='${to}'><command ${attrs}/></iq>`);
    if (first.attrs['type'] === 'error') return errorIn(first)!;
    const shown = first.getChild('command')!;
    if (shown.attrs['status'] === 'completed') return textOf(shown);
    const fields = Object.entries(answers).map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`);
    const form = `<x xmlns='jabber:x:data' type='submit'>${fields.join('')}</x>`;
    const { sessionid } = shown.attrs as { sessionid: string };
    const second = await probe.ask(`<iq type='set' to='${to}'><command ${attrs} sessionid='${sessionid}'>${form}</command></iq>`);
    return second.attrs['type'] === 'error' ? errorIn(second)! : textOf(second.getChild('command')!);
  }
}

/** The id that the room has given a message. */
export function idIn(message: Element): string {
  const id: unknown = message.getChildren('stanza-id', SID).find(({ attrs }) => attrs['by'] === LOUNGE)?.attrs['id'];
  assert(typeof id === 'string', `no stanza-id in ${message}`);
  return id;
}

/** A message that retracts another. */
export function retract(id: string, inner = ''): string {
  return `<message type='groupchat' to='${LOUNGE}' id='retraction'><retract xmlns='${RETRACT}' id='${id}'>${inner}</retract></message>`;
}

/** The IQ of a moderator. */
export function moderate(id: string, reason = ''): string {
  const why = reason === '' ? '' : `<reason>${reason}</reason>`;
  return `<iq type='set' to='${LOUNGE}'><moderate xmlns='${MODERATE}' id='${id}'><retract xmlns='${RETRACT}'/>${why}</moderate></iq>`;
}

/** The note of a command, and the values that it shows. */
function textOf(command: Element): string {
  const fields = command.getChild('x', 'jabber:x:data')?.getChildren('field') ?? [];
  const shown = fields.filter(({ attrs }) => attrs['var'] !== 'FORM_TYPE');
  const values = shown.flatMap((field) => field.getChildren('value').map((value) => value.getText()));
  return [command.getChildText('note') ?? '', ...values].filter((text) => text !== '').join('\n');
}
