import type { Maybe } from '../hooks.ts';
import { Jid } from '../jid.ts';
import type { Resource } from '../router/router.ts';
import { Envelope, nobody } from '../stanza/envelope.ts';
import { StanzaError } from '../stanza/errors.ts';
import { resultOf } from '../stanza/reply.ts';
import type { Stanza } from '../xml/stanza.ts';
import type { Host } from './host.ts';

// RFC 6121 section 8.5: where a stanza for a local account goes once every hook has let it pass.

/** What happens to a message no resource takes, by its type. An unknown type counts as normal (RFC 6121 section 5.2.2). */
const MESSAGE_RULES = {
  //          to the bare JID (8.5.2.1.1, 8.5.2.2.1)   to a full JID that is not there (8.5.3.2.1)
  normal: { bare: 'resources', full: 'refuse' },
  chat: { bare: 'resources', full: 'as-bare' },
  groupchat: { bare: 'refuse', full: 'refuse' },
  headline: { bare: 'resources-or-drop', full: 'drop' },
  error: { bare: 'drop', full: 'drop' },
} as const;

type MessageRule = (typeof MESSAGE_RULES)[keyof typeof MESSAGE_RULES];

function ruleFor(type: string | undefined): MessageRule {
  switch (type) {
    case 'chat':
      return MESSAGE_RULES.chat;
    case 'groupchat':
      return MESSAGE_RULES.groupchat;
    case 'headline':
      return MESSAGE_RULES.headline;
    case 'error':
      return MESSAGE_RULES.error;
    default:
      return MESSAGE_RULES.normal;
  }
}

/** Delivers a message for this host. Throws or rejects with StanzaError when the sender is to be told that it cannot be. */
export function deliverMessage(host: Host, env: Envelope): Maybe<void> {
  const { to, stanza } = env;
  if (to.local === '') {
    if (stanza.type === 'error' || stanza.type === 'headline') return;
    throw new StanzaError('service-unavailable');
  }
  const rule = ruleFor(stanza.type);
  if (to.resource !== '') {
    const resource = host.router.resource(to);
    if (resource) return resource.send(stanza);
    if (rule.full === 'drop') return;
    if (rule.full === 'refuse') throw new StanzaError('service-unavailable');
  }
  if (rule.bare === 'drop') return;
  if (rule.bare === 'refuse') throw new StanzaError('service-unavailable');
  if (toResources(host, env) || rule.bare === 'resources-or-drop') return;
  return keep(host, env);
}

/** To every available resource that has not opted out with a negative priority (RFC 6121 section 8.5.2.1.1). */
function toResources(host: Host, { to, stanza }: Envelope): boolean {
  const resources = host.router.resources(to.bare);
  const least = leastPriority(host, resources);
  let delivered = false;
  for (const resource of resources) {
    if (!hasPriority(resource, least)) continue;
    resource.send(stanza);
    delivered = true;
  }
  return delivered;
}

/** The resources that a message for an account here would be given to now, by the same rules; none where it would be kept or refused. */
export function recipientsOf(host: Host, { to, stanza }: Envelope): readonly Resource[] {
  if (to.local === '') return [];
  const rule = ruleFor(stanza.type);
  if (to.resource !== '') {
    const resource = host.router.resource(to);
    if (resource) return [resource];
    if (rule.full !== 'as-bare') return [];
  }
  if (rule.bare === 'drop' || rule.bare === 'refuse') return [];
  const resources = host.router.resources(to.bare);
  const least = leastPriority(host, resources);
  return resources.filter((resource) => hasPriority(resource, least));
}

/** The priority from which on resources are given what is sent to their bare JID: never a negative one. */
function leastPriority(host: Host, resources: readonly Resource[]): number {
  let highest = 0;
  if (host.config.deliverToAll) return highest;
  for (const { priority } of resources) if (priority !== undefined && priority > highest) highest = priority;
  return highest;
}

/** Whether the resource is available, with this priority at least. */
function hasPriority({ priority }: Resource, least: number): boolean {
  return priority !== undefined && priority >= least;
}

/**
 * Delivers a message whose recipient has gone before it arrived: as one to an address that is not there, but past the hooks, which have
 * had it already. Throws or rejects with StanzaError when its sender is to be told.
 */
export function redeliver(host: Host, message: Stanza): Maybe<void> {
  const from = Jid.parse(message.from!);
  const to = Jid.parse(message.to!);
  return deliverMessage(host, new Envelope(message, from, to, nobody));
}

/** Hands the message to whoever keeps messages. An account that does not exist gives the same answer as one without storage. */
async function keep(host: Host, env: Envelope): Promise<void> {
  const kept = (await host.accounts.exists(env.to.local)) && (await host.hooks.messageUndeliverable.run(env));
  if (!kept) throw new StanzaError('service-unavailable');
}

/** Delivers presence for this host (RFC 6121 sections 8.5.2.1.2 and 8.5.3). What nobody is there for is dropped in silence. */
export function deliverPresence(host: Host, env: Envelope): void {
  const { to, stanza } = env;
  if (to.local === '') return;
  if (to.resource !== '') {
    host.router.resource(to)?.send(stanza);
    return;
  }
  if (stanza.type !== undefined && stanza.type !== 'unavailable') return;
  for (const resource of host.router.resources(to.bare)) if (resource.priority !== undefined) resource.send(stanza);
}

/** Delivers an IQ, or has it answered by whoever has claimed it (RFC 6121 sections 8.5.2.1.3 and 8.5.3). */
export function deliverIq(host: Host, env: Envelope): Maybe<void> {
  const { to, stanza } = env;
  const asks = stanza.type === 'get' || stanza.type === 'set';
  if (to.local !== '' && to.resource !== '') {
    const resource = host.router.resource(to);
    if (resource) return resource.send(stanza);
    if (asks) throw new StanzaError('service-unavailable');
    return;
  }
  if (asks) return answer(host, env, stanza.type as 'get' | 'set');
  host.questions.answered(env);
}

function answer(host: Host, env: Envelope, type: 'get' | 'set'): Maybe<void> {
  const { to, from, stanza } = env;
  const at = to.local === '' ? 'server' : to.bare === from.bare ? 'self' : 'account';
  const handler = host.queries.find(type, at, stanza.payloadNS ?? '', stanza.payloadName ?? '');
  if (!handler) throw new StanzaError('service-unavailable');
  const ask = () => handler({ payload: stanza.element.getChildElements()[0]!, from, to, env });
  const reply = at === 'account' ? host.accounts.exists(to.local).then((known) => (known ? ask() : refuse())) : ask();
  if (reply instanceof Promise) return reply.then((payload) => env.origin.send(resultOf(env, payload ?? undefined)));
  env.origin.send(resultOf(env, reply ?? undefined));
}

function refuse(): never {
  throw new StanzaError('service-unavailable');
}
