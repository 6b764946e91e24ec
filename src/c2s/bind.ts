import type { Host } from '../host/host.ts';
import { Jid, JidError } from '../jid.ts';
import { randomToken } from '../random.ts';
import type { Resource } from '../router/router.ts';
import { StanzaError } from '../stanza/errors.ts';
import type { C2sServer } from './c2s-server.ts';
import { Session } from './session.ts';
import type { C2sStream } from './stream.ts';

/**
 * Binds an authenticated stream to a resource (RFC 6120 section 7): the wanted one, or one the server makes up.
 * The session can be routed to from here on, and `tell` tells the client before anything else can come over its stream; the caller emits
 * `sessionBound`.
 * Rejects with StanzaError: `bad-request` for a resource that cannot be prepared, `conflict` or `resource-constraint` by policy,
 * `not-allowed` when the stream has a session already.
 */
export async function bind(
  stream: C2sStream,
  wanted: string | undefined,
  tell: (session: Session) => void = () => {},
): Promise<Session> {
  const { username } = stream;
  const host = stream.host!;
  if (username === undefined || stream.session) throw new StanzaError('not-allowed');
  const binding = { stream, username, resource: wanted ? prepare(wanted) : randomResource() };
  await host.hooks.binding.run(binding);
  const account = Jid.of(username, host.domain);
  const resource = settleConflict(stream, account, binding.resource);
  if (stream.isClosing) throw new StanzaError('not-allowed');
  const { server, isAnonymous } = stream;
  const session = new Session({ host, server, isAnonymous, jid: account.withResource(resource) });
  session.attach(stream);
  tell(session);
  // Its client has read nothing of all that it was sent, and has been given up.
  if (session.isClosed) throw new StanzaError('not-allowed');
  host.router.bind(session)?.replace();
  return session;
}

function settleConflict(stream: C2sStream, account: Jid, resource: string): string {
  const { router, config, log } = stream.host!;
  const holder = router.resource(account.withResource(resource));
  const taken = holder !== undefined;
  // A client that has lost its line, and comes without resuming, must not be in its own way.
  const isWaiting = holder instanceof Session && holder.waitingSince !== undefined;
  if (taken && config.resourceConflict === 'refuse' && !isWaiting) throw new StanzaError('conflict', { type: 'modify' });
  if (taken && config.resourceConflict !== 'rename') return resource;
  if (router.resources(account.bare).length >= config.resourcesPerAccount && !makeRoom(router.resources(account.bare))) {
    log.warn('too many clients of one account', { account: account.bare, address: stream.transport.remoteAddress });
    throw new StanzaError('resource-constraint', { text: 'Too many clients of this account are connected' });
  }
  return taken ? randomResource() : resource;
}

/** A client that is there goes before one that may come back (XEP-0198): the one that has waited longest ends. */
function makeRoom(resources: readonly Resource[]): boolean {
  let longest: Session | undefined;
  for (const each of resources) {
    if (!(each instanceof Session) || each.waitingSince === undefined) continue;
    if (longest === undefined || each.waitingSince < longest.waitingSince!) longest = each;
  }
  longest?.replace();
  return longest !== undefined;
}

function prepare(resource: string): string {
  try {
    return Jid.prepareResource(resource);
  } catch (error) {
    if (error instanceof JidError) throw new StanzaError('bad-request', { text: 'This resource cannot be used' });
    throw error;
  }
}

/** Not to be guessed, so that a stranger cannot address a client it has not seen (RFC 6120 section 13.10.2). */
function randomResource(): string {
  return randomToken(12);
}

/**
 * Makes a session without a stream and lets it be addressed: one of before a restart, that its client may take up again (XEP-0198).
 * Undefined when somebody else has its address meanwhile.
 */
export function revive(host: Host, server: C2sServer, jid: Jid): Session | undefined {
  if (host.router.resource(jid)) return undefined;
  const session = new Session({ host, server, isAnonymous: false, jid });
  session.waitingSince = performance.now();
  host.router.bind(session);
  return session;
}
